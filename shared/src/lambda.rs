//! A function's cold start: log, configuration, client, and then one call after the other.

use std::pin::Pin;

use aws_sdk_bedrockruntime::Client;
use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::response::Response;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayV2httpRequest};
use lambda_http::lambda_runtime;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Body, IntoResponse, LambdaEvent, StreamAdapter, http};
use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
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
        lambda_runtime::run(StreamAdapter::from(routes).map_request(Event::opened)).await
    } else {
        let routes = routes.map_response(Whole);
        lambda_runtime::run(Adapter::from(routes).map_request(Event::opened)).await
    }
}

/// An event of API Gateway or of a function URL. `lambda_http` would read each as one of a REST API first, to its end, and then again
/// as what it is; its version tells.
struct Event(LambdaRequest);

impl Event {
    fn opened(event: LambdaEvent<Self>) -> LambdaEvent<LambdaRequest> {
        LambdaEvent::new(event.payload.0, event.context)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Outline<'a> {
            #[serde(borrow)]
            version: Option<&'a RawValue>,
            raw_path: Option<IgnoredAny>,
        }
        let event = <&RawValue>::deserialize(deserializer)?.get();
        let read = || -> serde_json::Result<LambdaRequest> {
            let outline: Outline<'_> = serde_json::from_str(event)?;
            let is_second = match outline.version {
                Some(version) => version.get() == r#""2.0""#,
                None => outline.raw_path.is_some(),
            };
            if is_second {
                let event = serde_json::from_str::<ApiGatewayV2httpRequest>(event)?;
                return Ok(LambdaRequest::ApiGatewayV2(event));
            }
            let event = serde_json::from_str::<ApiGatewayProxyRequest>(event)?;
            Ok(LambdaRequest::ApiGatewayV1(event))
        };
        read().map(Self).map_err(|error| {
            let why = without_values(&error);
            D::Error::custom(format!("no event of API Gateway or a function URL: {why}"))
        })
    }
}

/// What is wrong, without the values in serde's words: they are the caller's, and the runtime logs this.
fn without_values(error: &serde_json::Error) -> String {
    let words = error.to_string();
    if words.starts_with("missing field") {
        return words;
    }
    let (line, column) = (error.line(), error.column());
    format!("unexpected value at line {line} column {column}")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(event: &str) -> Result<LambdaRequest, String> {
        let event = serde_json::from_str::<Event>(event);
        event
            .map(|event| event.0)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn events_are_what_their_version_says() {
        let http = include_str!("../../events/invoke-http.json");
        let url = include_str!("../../events/invoke-function-url.json");
        let rest = include_str!("../../events/invoke-rest.json");
        for event in [http, url] {
            assert!(matches!(read(event), Ok(LambdaRequest::ApiGatewayV2(_))));
        }
        assert!(matches!(read(rest), Ok(LambdaRequest::ApiGatewayV1(_))));
        let mut versioned: serde_json::Value = serde_json::from_str(rest).unwrap();
        versioned["version"] = "1.0".into();
        let versioned = read(&versioned.to_string());
        assert!(matches!(versioned, Ok(LambdaRequest::ApiGatewayV1(_))));
    }

    #[test]
    fn an_event_without_a_version_is_known_by_its_path() {
        let mut event: serde_json::Value =
            serde_json::from_str(include_str!("../../events/invoke-http.json")).unwrap();
        event.as_object_mut().unwrap().remove("version");
        let read = read(&event.to_string());
        assert!(matches!(read, Ok(LambdaRequest::ApiGatewayV2(_))));
    }

    #[test]
    fn what_is_no_event_says_why_and_not_what() {
        for (event, why) in [
            ("{}", "missing field `httpMethod`"),
            (r#"{"key1":"secret"}"#, "missing field `httpMethod`"),
            (r#"{"version":"2.0"}"#, "missing field `requestContext`"),
            (r#"{"version":2}"#, "missing field `httpMethod`"),
            (r#""secret""#, "unexpected value at line 1 column 8"),
            (r#"{"httpMethod":"a secret"}"#, "unexpected value at line 1"),
            (
                r#"{"isBase64Encoded":"secret"}"#,
                "unexpected value at line 1",
            ),
            ("[]", "unexpected value at line 1"),
            ("null", "unexpected value at line 1"),
        ] {
            let error = read(event).unwrap_err();
            assert!(
                error.contains(why) && !error.contains("secret"),
                "{event}: {error}"
            );
        }
    }
}
