//! A function's cold start: log, configuration, client, and then one call after the other.

use aws_sdk_bedrockruntime::Client;
use axum::Router;
use tower::ServiceExt;

use crate::config::Config;
use crate::{aws, bedrock, http, nodelay, telemetry};

/// Serves the routes that are made of the configuration and the client, until Lambda ends it.
///
/// # Errors
/// What is wrong with the configuration, or with the connection to Lambda.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment is read here and nowhere else"
)]
pub async fn serve(
    routes: impl FnOnce(Config, Client) -> Router,
) -> Result<(), lambda_http::Error> {
    let variable = |name: &str| std::env::var(name).ok();
    telemetry::init(variable("LOG_LEVEL"));
    let config = Config::from_lookup(variable)?;
    let client = bedrock::client(
        &aws::settings(variable),
        config.bedrock_endpoint.as_deref(),
    );
    let (base_path, streaming) = (config.base_path.clone(), config.streaming);
    let runtime_api = variable("AWS_LAMBDA_RUNTIME_API").unwrap_or_default();
    let sites = config.sites.clone();
    let routes = http::closed(routes(config, client), &sites);
    let routes = routes.map_request(move |request| http::at_root(request, &base_path));
    if streaming {
        let routes =
            routes.map_response(move |response| nodelay::on_runtime_api(&runtime_api, response));
        lambda_http::run_with_streaming_response(routes).await
    } else {
        lambda_http::run(routes).await
    }
}
