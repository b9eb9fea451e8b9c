//! The HTTP border: who calls, under which path, with which body; answers and problems.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode, Uri};
use lambda_http::RequestExt;
use lambda_http::request::RequestContext;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bedrock::Attempt;
use crate::error::Error;
use crate::routing::Rejected;
use crate::telemetry;
use crate::usd::Usd;

/// The largest request body: Lambda takes 6 MB of event, and API Gateway may have put the body into base64.
pub const MAX_BODY: usize = 6 * 1024 * 1024;

/// Kept back from Lambda's deadline, to write the answer.
const MARGIN: Duration = Duration::from_millis(500);

/// What is left of a call's time where no deadline is set: Lambda's own maximum.
const LONGEST: Duration = Duration::from_secs(900);

/// One call: who, under which id, and until when.
#[derive(Clone, Debug)]
pub struct Call {
    /// The Lambda request id, or what the local stack gave.
    pub request_id: String,
    /// IAM principal or API key id, as API Gateway vouches for it.
    pub caller: Option<String>,
    /// When it began.
    pub started: Instant,
    /// Time left when it began, up to Lambda's deadline less a margin.
    pub time_left: Duration,
}

/// The request id of a call that no Lambda made.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

impl Call {
    /// Time left now, within a limit counted from the beginning.
    #[must_use]
    pub fn time_left_within(&self, limit: Option<Duration>) -> Duration {
        let whole = limit.unwrap_or(LONGEST).min(self.time_left);
        whole.saturating_sub(self.started.elapsed())
    }
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let lambda = parts.extensions.lambda_context_ref();
        let local = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
        let deadline = lambda.map(|context| Duration::from_millis(context.deadline));
        Ok(Self {
            request_id: lambda
                .map(|context| context.request_id.clone())
                .or(local)
                .unwrap_or_default(),
            caller: parts.extensions.request_context_ref().and_then(caller),
            started: Instant::now(),
            time_left: deadline.map_or(LONGEST, |deadline| time_left(deadline, telemetry::now())),
        })
    }
}

/// Time until a deadline, less the margin, both since 1970. Lambda calls no function after its deadline, so one that has passed
/// is an emulator's (cargo-lambda sends ten minutes after 1970) and stands for none.
fn time_left(deadline: Duration, now: Duration) -> Duration {
    deadline
        .checked_sub(now)
        .map_or(LONGEST, |left| left.saturating_sub(MARGIN))
}

/// The principal that API Gateway or the function URL has authenticated.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "which variants exist depends on lambda_http's features"
)]
fn caller(context: &RequestContext) -> Option<String> {
    let named = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    match context {
        RequestContext::ApiGatewayV1(context) => {
            let identity = &context.identity;
            named(&identity.user_arn).or_else(|| named(&identity.api_key_id))
        }
        RequestContext::ApiGatewayV2(context) => {
            let authorizer = context.authorizer.as_ref()?;
            let principal = authorizer.iam.as_ref().and_then(|iam| named(&iam.user_arn));
            principal.or_else(|| authorizer.jwt.as_ref()?.claims.get("sub").cloned())
        }
        _ => None,
    }
}

/// Takes stage and base path off a request's path, before any routing.
///
/// `lambda_http` puts the stage in front of every path whose stage is not `$default`, whether the event had it or not.
#[must_use]
pub fn at_root<B>(mut request: http::Request<B>, base_path: &str) -> http::Request<B> {
    let stage = request.extensions().request_context_ref().and_then(stage);
    let path = request.uri().path();
    let path = stage.map_or(path, |stage| without(path, &format!("/{stage}")));
    let path = without(path, base_path);
    if path.len() != request.uri().path().len() {
        let query = request
            .uri()
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = PathAndQuery::try_from(format!("{path}{query}")).ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "which variants exist depends on lambda_http's features"
)]
fn stage(context: &RequestContext) -> Option<String> {
    let stage = match context {
        RequestContext::ApiGatewayV1(context) => context.stage.clone(),
        RequestContext::ApiGatewayV2(context) => context.stage.clone(),
        _ => None,
    };
    stage.filter(|stage| stage != "$default")
}

/// A path without a prefix of whole segments; `/` where nothing is left.
fn without<'a>(path: &'a str, prefix: &str) -> &'a str {
    match path.strip_prefix(prefix) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        Some(_) | None => path,
    }
}

/// A request body, whole, or why it could not be had.
#[derive(Debug)]
pub struct Payload(pub Result<Bytes, Error>);

impl<S: Send + Sync> FromRequest<S> for Payload {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let body = Bytes::from_request(request, state).await;
        Ok(Self(body.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge { limit: MAX_BODY },
            _ => Error::invalid("body", "the body could not be read to its end"),
        })))
    }
}

/// Reads a JSON body; what is wrong with it is said with the path of the field.
///
/// # Errors
/// [`Error::Invalid`].
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    if body.trim_ascii().is_empty() {
        return Err(Error::invalid(
            "body",
            "the body is empty; send JSON such as {\"prompt\": \"...\"}",
        ));
    }
    // Without this, serde would read a list as the fields in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Error::invalid(
            "body",
            "the body must be a JSON object such as {\"prompt\": \"...\"}",
        ));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let field = match path.trim_end_matches(".?") {
            "." | "?" => "body",
            known => known,
        };
        Error::invalid(field, error.inner().to_string())
    })?;
    deserializer
        .end()
        .map_err(|error| Error::invalid("body", error.to_string()))?;
    Ok(value)
}

/// A JSON answer.
#[must_use]
pub fn json(status: StatusCode, value: &impl Serialize, request_id: &str) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => respond(status, "application/json", body, request_id),
        Err(error) => problem(&Error::Internal(error.to_string()), request_id),
    }
}

/// An error as an RFC 9457 problem. What a 5xx hides from the caller goes to the log here.
#[must_use]
pub fn problem(error: &Error, request_id: &str) -> Response {
    log(error, request_id);
    let problem = Problem::of(error, request_id);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = respond(error.status(), "application/problem+json", body, request_id);
    if let Some(seconds) = problem.retry_after_seconds {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn log(error: &Error, request_id: &str) {
    match error {
        Error::Internal(cause) => tracing::error!(request_id, cause, "internal error"),
        Error::Bedrock { fault, .. } => {
            tracing::warn!(
                request_id,
                kind = error.kind(),
                cause = fault.cause,
                "no answer from Bedrock"
            )
        }
        Error::Invalid { .. }
        | Error::TooLarge { .. }
        | Error::NotFound { .. }
        | Error::MethodNotAllowed
        | Error::Gone { .. }
        | Error::NoCandidate { .. }
        | Error::Paused => tracing::debug!(request_id, kind = error.kind(), "request refused"),
    }
}

fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
    request_id: &str,
) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    response
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    successor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<Candidate<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    attempts: &'a [Attempt],
}

/// A candidate as answers and problems show it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate<'a> {
    /// The id that would be invoked.
    pub model_id: &'a str,
    /// What it is expected to cost; null where a price is unknown.
    pub estimated_cost_usd: Option<Usd>,
    /// Why it will not do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<&'a str>,
}

impl<'a> From<&'a Rejected> for Candidate<'a> {
    fn from(rejected: &'a Rejected) -> Self {
        Self {
            model_id: &rejected.id,
            estimated_cost_usd: rejected.estimate,
            rejected: Some(&rejected.reason),
        }
    }
}

impl<'a> Problem<'a> {
    fn of(error: &'a Error, request_id: &'a str) -> Self {
        let mut problem = Self {
            r#type: format!("urn:bedrock-router:problem:{}", error.kind()),
            title: error.title(),
            status: error.status().as_u16(),
            detail: error.detail(),
            request_id,
            field: None,
            successor: None,
            retry_after_seconds: error.retry_after_seconds(),
            candidates: Vec::new(),
            attempts: &[],
        };
        match error {
            Error::Invalid { field, .. } => problem.field = Some(field),
            Error::Gone { successor, .. } => problem.successor = successor.as_deref(),
            Error::NoCandidate { rejected } => {
                problem.candidates = rejected.iter().map(Candidate::from).collect()
            }
            Error::Bedrock { attempts, .. } => problem.attempts = attempts,
            Error::TooLarge { .. }
            | Error::NotFound { .. }
            | Error::MethodNotAllowed
            | Error::Paused
            | Error::Internal(_) => {}
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(default)]
        _names: Vec<String>,
    }

    #[test]
    fn a_wrong_body_is_explained_with_the_path_of_the_field() {
        for (body, field, detail) in [
            ("", "body", "the body is empty"),
            (" \n", "body", "the body is empty"),
            ("{", "body", "EOF while parsing"),
            ("nonsense", "body", "a JSON object"),
            ("[]", "body", "a JSON object"),
            ("{} {}", "body", "trailing characters"),
            (
                r#"{"_names": [1]}"#,
                "_names[0]",
                "invalid type: integer `1`, expected a string",
            ),
            (
                r#"{"name": 1}"#,
                "name",
                "unknown field `name`, expected `_names`",
            ),
        ] {
            match parse::<Sample>(body.as_bytes()) {
                Err(Error::Invalid {
                    field: f,
                    detail: d,
                }) => {
                    assert_eq!(f, field, "{body}");
                    assert!(d.contains(detail), "{body}: {d}");
                }
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn time_is_left_until_the_deadline_if_there_is_one() {
        let seconds = Duration::from_secs;
        assert_eq!(
            time_left(seconds(1030), seconds(1000)),
            seconds(30) - MARGIN
        );
        assert_eq!(time_left(seconds(1000), seconds(1000)), Duration::ZERO);
        assert_eq!(time_left(seconds(600), seconds(1000)), LONGEST);
    }

    #[test]
    fn prefixes_are_taken_off_by_whole_segments() {
        for (path, prefix, rest) in [
            ("/dev/invoke", "/dev", "/invoke"),
            ("/dev", "/dev", "/"),
            ("/device", "/dev", "/device"),
            ("/invoke", "", "/invoke"),
        ] {
            assert_eq!(without(path, prefix), rest);
        }
    }
}
