//! What goes out: JSON, and problems as RFC 9457 has them.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::bedrock::{Attempt, Fault};
use crate::error::{Cut, Error};
use crate::routing::Rejected;
use crate::usd::Usd;

/// A JSON answer.
#[must_use]
pub fn json(status: StatusCode, value: &impl Serialize, request_id: &str) -> Response {
    let mut body = Vec::with_capacity(USUAL);
    match serde_json::to_writer(&mut body, value) {
        Ok(()) => respond(status, "application/json", body, request_id),
        Err(error) => problem(&Error::Internal(error.to_string()), request_id),
    }
}

/// Most answers have no more bytes than this.
const USUAL: usize = 4096;

/// An answer that is JSON already.
#[must_use]
pub fn raw_json(status: StatusCode, body: Vec<u8>, request_id: &str) -> Response {
    respond(status, "application/json", body, request_id)
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

/// What a 5xx hides from the caller goes to the log.
pub fn log(error: &Error, request_id: &str) {
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
        | Error::AnswerTooLarge { .. }
        | Error::NotFound { .. }
        | Error::MethodNotAllowed
        | Error::Gone { .. }
        | Error::NoCandidate { .. }
        | Error::Paused => tracing::debug!(request_id, kind = error.kind(), "request refused"),
    }
}

/// An answer of any kind.
#[must_use]
pub fn respond(
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

/// An error as RFC 9457 has it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem<'a> {
    /// The kind of problem, as a URN.
    r#type: String,
    /// The kind of problem, in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened and what to do about it.
    detail: String,
    /// The Lambda request id, under which the log has more.
    request_id: &'a str,
    /// The path of the field that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// The model that takes the place of one that is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    successor: Option<&'a str>,
    /// Seconds after which another try makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    /// The models that were considered, and why they will not do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<Candidate<'a>>,
    /// The calls that were made.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    attempts: &'a [Attempt],
    /// What had come of an answer that broke off; its tokens are estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<&'a Cut>,
}

/// One of several things that were asked for, and failed alone.
#[derive(Debug, Serialize, ToSchema)]
pub struct Failed {
    /// Its place in the request, from 0.
    index: usize,
    /// The kind of problem, as a URN.
    r#type: String,
    /// The HTTP status that it would have had alone.
    status: u16,
    /// What happened.
    detail: String,
}

impl Failed {
    /// What became of the thing at a place.
    #[must_use]
    pub fn of(index: usize, fault: &Fault) -> Self {
        Self {
            index,
            r#type: urn(fault.outcome.kind()),
            status: fault.outcome.status().as_u16(),
            detail: fault.detail(),
        }
    }
}

fn urn(kind: &str) -> String {
    format!("urn:bedrock-router:problem:{kind}")
}

/// The most that a function sends in one piece: Lambda's 6 MB, less what stands around it.
const WHOLE: u64 = 6_000_000 - 200_000;
/// What Lambda streams at once, how many bytes a second after that, and how many at all.
const STREAMED_AT_ONCE: u64 = 6_000_000;
const STREAMED_A_SECOND: u64 = 2_000_000;
const STREAMED: u64 = 200_000_000;

/// The time that a long answer needs to leave the function.
///
/// # Errors
/// [`Error::AnswerTooLarge`], with advice, for one that Lambda would not send: better before it is paid for than after.
pub fn way_out(bytes: u64, streaming: bool, advice: &str) -> Result<Duration, Error> {
    let megabytes = bytes.div_ceil(1_000_000);
    let too_large = |most: &str| Error::AnswerTooLarge {
        detail: format!(
            "the answer would have about {megabytes} MB, and Lambda sends {most}; {advice}"
        ),
    };
    if !streaming && bytes > WHOLE {
        return Err(too_large(
            "6 in one piece (an operator may set RESPONSE_MODE to stream)",
        ));
    }
    if bytes > STREAMED {
        return Err(too_large("200"));
    }
    let slow = bytes.saturating_sub(STREAMED_AT_ONCE) / STREAMED_A_SECOND;
    Ok(Duration::from_secs(slow))
}

/// A candidate as answers and problems show it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Candidate<'a> {
    /// The id that would be invoked.
    pub model_id: &'a str,
    /// What it is expected to cost; null where a price is unknown.
    pub estimated_cost_usd: Option<Usd>,
    /// Only where the decision stands alone: the quality that the learned router expects of it, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_quality: Option<f64>,
    /// Why it will not do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<&'a str>,
}

impl<'a> From<&'a Rejected> for Candidate<'a> {
    fn from(rejected: &'a Rejected) -> Self {
        Self {
            model_id: &rejected.id,
            estimated_cost_usd: rejected.estimate,
            expected_quality: None,
            rejected: Some(&rejected.reason),
        }
    }
}

impl<'a> Problem<'a> {
    /// The problem that an error is to the caller.
    #[must_use]
    pub fn of(error: &'a Error, request_id: &'a str) -> Self {
        let mut problem = Self {
            r#type: urn(error.kind()),
            title: error.title(),
            status: error.status().as_u16(),
            detail: error.detail(),
            request_id,
            field: None,
            successor: None,
            retry_after_seconds: error.retry_after_seconds(),
            candidates: Vec::new(),
            attempts: &[],
            partial: None,
        };
        match error {
            Error::Invalid { field, .. } => problem.field = Some(field),
            Error::Gone { successor, .. } => problem.successor = successor.as_deref(),
            Error::NoCandidate { rejected } => {
                problem.candidates = rejected.iter().map(Candidate::from).collect()
            }
            Error::Bedrock { attempts, cut, .. } => {
                problem.attempts = attempts;
                problem.partial = cut.as_deref();
            }
            Error::TooLarge { .. }
            | Error::AnswerTooLarge { .. }
            | Error::NotFound { .. }
            | Error::MethodNotAllowed
            | Error::Paused
            | Error::Internal(_) => {}
        }
        problem
    }
}
