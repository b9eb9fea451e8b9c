//! A function's cold start: log, configuration, client, and then one call after the other.

use std::pin::Pin;

use aws_sdk_bedrockruntime::Client;
use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::response::Response;
use lambda_http::{Body, IntoResponse, http};
use tower::ServiceExt;

use crate::config::Config;
use crate::http::{at_root, closed};
use crate::{aws, bedrock, nodelay, telemetry};

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
    let client = bedrock::client(&aws::settings(variable), config.bedrock_endpoint.as_deref());
    let (base_path, streaming) = (config.base_path.clone(), config.streaming);
    let runtime_api = variable("AWS_LAMBDA_RUNTIME_API").unwrap_or_default();
    let sites = config.sites.clone();
    let routes = closed(routes(config, client), &sites);
    let routes = routes.map_request(move |request| at_root(request, &base_path));
    if streaming {
        let routes =
            routes.map_response(move |response| nodelay::on_runtime_api(&runtime_api, response));
        lambda_http::run_with_streaming_response(routes).await
    } else {
        lambda_http::run(routes.map_response(Whole)).await
    }
}

/// An answer that leaves in one piece. `lambda_http` would look at its charset, with tables of all that the web has ever known, which
/// make a function a twentieth larger; ours are UTF-8, or bytes.
struct Whole(Response);

impl IntoResponse for Whole {
    fn into_response(self) -> Pin<Box<dyn Future<Output = http::Response<Body>> + Send>> {
        let (mut parts, body) = self.0.into_parts();
        Box::pin(async {
            let bytes = to_bytes(body, usize::MAX).await.unwrap_or_else(|error| {
                // Half an answer must not look like a whole one.
                tracing::error!(%error, "an answer broke off");
                parts.status = http::StatusCode::INTERNAL_SERVER_ERROR;
                Bytes::new()
            });
            let body = match String::from_utf8(bytes.into()) {
                Ok(text) if text.is_empty() => Body::Empty,
                Ok(text) => Body::Text(text),
                Err(error) => Body::Binary(error.into_bytes()),
            };
            http::Response::from_parts(parts, body)
        })
    }
}
