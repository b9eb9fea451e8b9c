//! The router's cold start: log, configuration, client, and then one call after the other.

use lambda_http::tower::ServiceExt;
use router::App;
use shared::{bedrock, config::Config, http, nodelay, telemetry};

#[tokio::main(flavor = "current_thread")]
#[expect(
    clippy::disallowed_methods,
    reason = "the environment is read here and nowhere else"
)]
async fn main() -> Result<(), lambda_http::Error> {
    let variable = |name: &str| std::env::var(name).ok();
    telemetry::init(variable("LOG_LEVEL"));
    let config = Config::from_lookup(variable)?;
    let client = bedrock::client(config.bedrock_endpoint.as_deref()).await;
    let (base_path, streaming) = (config.base_path.clone(), config.streaming);
    let runtime_api = variable("AWS_LAMBDA_RUNTIME_API").unwrap_or_default();
    let routes = router::routes(App::new(config, client));
    let routes = routes.map_request(move |request| http::at_root(request, &base_path));
    if streaming {
        let routes =
            routes.map_response(move |response| nodelay::on_runtime_api(&runtime_api, response));
        lambda_http::run_with_streaming_response(routes).await
    } else {
        lambda_http::run(routes).await
    }
}
