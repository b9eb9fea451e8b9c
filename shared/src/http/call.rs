//! Who calls, until when, and under which path.

use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::header::ACCEPT;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{StatusCode, Uri};
use lambda_http::RequestExt;
use lambda_http::request::RequestContext;

use super::problem;
use crate::error::Error;
use crate::telemetry::{self, Record};

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
    /// The client takes server-sent events.
    pub takes_events: bool,
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
        self.time_to_ask(limit, Duration::ZERO)
    }

    /// The same, with so much of Lambda's time kept back for the answer's way out.
    #[must_use]
    pub fn time_to_ask(&self, limit: Option<Duration>, way_out: Duration) -> Duration {
        let whole = self.time_left.saturating_sub(way_out);
        let whole = limit.unwrap_or(LONGEST).min(whole);
        whole.saturating_sub(self.started.elapsed())
    }

    /// A part of this call that begins now, and has what is left of its time.
    #[must_use]
    pub fn afresh(&self) -> Self {
        Self {
            started: Instant::now(),
            time_left: self.time_left_within(None),
            ..self.clone()
        }
    }

    /// The record of this call, to be filled in.
    #[must_use]
    pub fn record(&self, route: &'static str) -> Record {
        Record {
            request_id: self.request_id.clone(),
            caller: self.caller.clone(),
            route,
            ..Record::default()
        }
    }

    /// The answer or the problem, after its record is written.
    #[must_use]
    pub fn conclude(
        &self,
        answer: Result<Response, Error>,
        mut record: Record,
        metrics: Option<&str>,
    ) -> Response {
        let kind = answer.as_ref().err().map(Error::kind);
        let response = answer.unwrap_or_else(|error| problem(&error, &self.request_id));
        self.write(&mut record, response.status(), kind, metrics);
        response
    }

    /// Writes the record of this call, which ends here.
    pub fn write(
        &self,
        record: &mut Record,
        status: StatusCode,
        kind: Option<&'static str>,
        metrics: Option<&str>,
    ) {
        record.conclude(status.as_u16(), kind, self.started.elapsed());
        if let Some(namespace) = metrics {
            record.emit(namespace);
        }
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
            takes_events: parts.headers.get_all(ACCEPT).iter().any(|accept| {
                let accept = accept.to_str().unwrap_or_default();
                accept
                    .split(',')
                    .any(|kind| kind.trim().starts_with("text/event-stream"))
            }),
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

#[cfg(test)]
mod tests {
    use super::*;

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
