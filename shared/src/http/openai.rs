//! Errors as OpenAI has them, for the routes that speak its dialect.

use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::{log, raw_json};
use crate::error::{Cut, Error};

/// The word that clients look for where a model is not known, and which comes with a 404.
const UNKNOWN_MODEL: &str = "model_not_found";
/// The word for a prompt that no context holds, which clients look for to shorten it, and which comes with a 400.
const TOO_LONG: &str = "context_length_exceeded";

/// An error as OpenAI has it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenAiProblem<'a> {
    error: OpenAiError<'a>,
}

#[derive(Debug, Serialize, ToSchema)]
struct OpenAiError<'a> {
    message: String,
    r#type: &'static str,
    param: Option<String>,
    code: &'static str,
    /// Ours: what had come of an answer that broke off, and what it cost by our estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<&'a Cut>,
}

impl<'a> OpenAiProblem<'a> {
    /// What an error is to OpenAI's clients.
    #[must_use]
    pub fn of(error: &'a Error) -> Self {
        let param = if let Error::Invalid { field, .. } = error {
            Some(field.clone())
        } else {
            None
        };
        Self {
            error: OpenAiError {
                message: error.whole_detail(),
                r#type: match error.status().as_u16() {
                    401 => "authentication_error",
                    403 => "permission_error",
                    429 => "rate_limit_error",
                    400..500 => "invalid_request_error",
                    _ => "api_error",
                },
                code: match (error.kind(), param.as_deref()) {
                    _ if error.is_about_the_context() => TOO_LONG,
                    ("not-found", _) | ("invalid-request", Some("model")) => UNKNOWN_MODEL,
                    (kind, _) => kind,
                },
                param,
                partial: error.cut(),
            },
        }
    }

    /// The same, with another part of the request to blame.
    #[must_use]
    pub fn about(mut self, param: Option<String>) -> Self {
        self.error.param = param.or(self.error.param);
        self
    }

    /// As a response. OpenAI's clients repeat by themselves unless they are told not to, as they are where a part is `paid` for: to
    /// repeat all would pay twice. What a 5xx hides from the caller goes to the log here.
    #[must_use]
    pub fn respond(&self, error: &Error, paid: bool, request_id: &str) -> Response {
        log(error, request_id);
        let body = serde_json::to_vec(self).unwrap_or_default();
        let status = match self.error.code {
            UNKNOWN_MODEL => StatusCode::NOT_FOUND,
            TOO_LONG => StatusCode::BAD_REQUEST,
            _ => error.status(),
        };
        let mut response = raw_json(status, body, request_id);
        let headers = response.headers_mut();
        if let Some(seconds) = error.retry_after_seconds() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if paid || error.is_paid_for() {
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        response
    }
}
