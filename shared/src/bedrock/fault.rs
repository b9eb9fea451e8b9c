//! How calls to Bedrock end that bring no answer.
#![allow(clippy::wildcard_enum_match_arm, reason = "the SDK's enums are open")]

use std::error::Error;

use aws_sdk_bedrockruntime::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// How a call to Bedrock ended when it brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// A quota of the account is used up.
    Throttled,
    /// The model is being loaded.
    NotReady,
    /// Bedrock lacks capacity.
    Unavailable,
    /// The model failed.
    ModelError,
    /// No answer in time.
    TimedOut,
    /// Bedrock refuses the request.
    Invalid,
    /// Bedrock refuses the request for this model; another may take it.
    Unsupported,
    /// No permission, or no access to the model.
    Denied,
    /// Bedrock does not know the model, or not for this account.
    NotFound,
    /// An answer came, and is paid for, but cannot be read.
    Unreadable,
    /// The provider's filter stopped the request or its answer.
    Filtered,
    /// Anything else: a broken connection, an internal error.
    Failed,
}

impl Outcome {
    /// The HTTP status that tells the caller.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Throttled | Self::NotReady => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Invalid | Self::Unsupported => StatusCode::BAD_REQUEST,
            Self::Filtered => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::ModelError | Self::Unreadable | Self::Failed => StatusCode::BAD_GATEWAY,
        }
    }

    /// The word for it in problems and metrics.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::NotReady => "model-not-ready",
            Self::Unavailable => "unavailable",
            Self::ModelError => "model-error",
            Self::TimedOut => "timed-out",
            Self::Invalid => "refused-by-bedrock",
            Self::Unsupported => "refused-for-model",
            Self::Unreadable => "unreadable-answer",
            Self::Filtered => "content-filtered",
            Self::Denied => "access-denied",
            Self::NotFound => "model-not-found",
            Self::Failed => "bedrock-failed",
        }
    }

    /// A title for a problem.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Throttled => "Bedrock throttles this account",
            Self::NotReady => "The model is being loaded",
            Self::Unavailable => "Bedrock lacks capacity",
            Self::ModelError => "The model failed",
            Self::TimedOut => "No answer in time",
            Self::Invalid => "Bedrock refused the request",
            Self::Unsupported => "Bedrock refused the request for this model",
            Self::Unreadable => "The answer cannot be read",
            Self::Filtered => "The provider's filter stepped in",
            Self::Denied => "No access to the model",
            Self::NotFound => "Bedrock does not know the model",
            Self::Failed => "Bedrock failed",
        }
    }

    /// Whether the fault lies with the moment, so that it passes.
    #[must_use]
    pub fn passes(self) -> bool {
        match self {
            Self::Throttled
            | Self::NotReady
            | Self::Unavailable
            | Self::ModelError
            | Self::TimedOut
            | Self::Failed => true,
            Self::Invalid
            | Self::Unsupported
            | Self::Unreadable
            | Self::Filtered
            | Self::Denied
            | Self::NotFound => false,
        }
    }

    /// Whether Bedrock refuses the request, for this model or at all.
    #[must_use]
    pub fn is_a_refusal(self) -> bool {
        matches!(self, Self::Invalid | Self::Unsupported)
    }

    /// Whether another model may succeed where this one did not, and nothing is paid for yet.
    #[must_use]
    pub fn is_worth_another_model(self) -> bool {
        !matches!(self, Self::Invalid | Self::Unreadable | Self::Filtered)
    }
}

/// One call to Bedrock and how it ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The id that was invoked.
    pub model_id: String,
    /// `answered` (`answering` in the `routing` event of a stream), `cooling-down` or `too-little-time` where it was not even
    /// asked, or the kind of [`Outcome`].
    pub outcome: &'static str,
    /// Milliseconds until it ended.
    pub latency_ms: u64,
}

/// A call that brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of end it was.
    pub outcome: Outcome,
    /// Bedrock's own words, or ours where it had none.
    pub message: String,
    /// Status and code, or the chain of causes, for the log; it never holds a prompt.
    pub cause: String,
    /// Bedrock's wish, in seconds.
    pub retry_after_seconds: Option<u64>,
}

impl Fault {
    /// A fault that we found ourselves.
    pub fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        let message = message.into();
        let cause = match outcome {
            // These are about what was written, and quote it. Where in a reply the fault lies may be told.
            Outcome::Unreadable | Outcome::Invalid | Outcome::Filtered | Outcome::ModelError => {
                let place = message.rfind(" at line ").and_then(|at| message.get(at..));
                format!("{}{}", outcome.kind(), place.unwrap_or_default())
            }
            _ => message.clone(),
        };
        Self {
            outcome,
            cause,
            message,
            retry_after_seconds: None,
        }
    }

    /// An answer that cannot be read.
    pub fn unreadable(why: impl ToString) -> Self {
        Self::new(Outcome::Unreadable, why.to_string())
    }

    pub(super) fn from_sdk<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E>) -> Self {
        let answered = error
            .raw_response()
            .is_some_and(|response| response.status().is_success());
        let outcome = match error {
            _ if answered => Outcome::Unreadable,
            SdkError::TimeoutError(_) => Outcome::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Outcome::TimedOut,
            SdkError::ServiceError(service) => by_code(
                service.err().code(),
                service.err().message(),
                service.raw().status().as_u16(),
            ),
            _ => Outcome::Failed,
        };
        let headers = error.raw_response().map(|response| response.headers());
        let retry_after = headers.and_then(|headers| headers.get("retry-after"));
        let message = error.message().unwrap_or(outcome.title()).to_owned();
        let cause = match error.raw_response() {
            Some(response) => format!(
                "{} {}",
                response.status().as_u16(),
                error.code().unwrap_or("without a code")
            ),
            None => DisplayErrorContext(error).to_string(),
        };
        Self {
            outcome,
            message,
            cause,
            retry_after_seconds: retry_after.and_then(|seconds| seconds.parse().ok()),
        }
    }

    /// What an exception within a stream says.
    pub(super) fn in_stream(code: &str, message: &str) -> Self {
        Self {
            outcome: by_code(Some(code), Some(message), 500),
            message: message.to_owned(),
            cause: format!("in the stream: {code}"),
            retry_after_seconds: None,
        }
    }

    /// What the caller is told. Bedrock's words about a request are the caller's to read; those about its own failures are not.
    #[must_use]
    pub fn detail(&self) -> String {
        let message = &self.message;
        match self.outcome {
            Outcome::Throttled => format!(
                "Bedrock throttles this account ({message}); try again later or ask AWS for more quota"
            ),
            Outcome::NotReady => "the model is being loaded; try again in a moment".into(),
            Outcome::Unavailable => {
                "Bedrock has no capacity for the candidates right now; try again later".into()
            }
            Outcome::ModelError => {
                "the model failed to process the request; try again or name another model".into()
            }
            Outcome::TimedOut => "no answer came in time; raise timeoutMs, or ask for less".into(),
            Outcome::Invalid | Outcome::Unsupported | Outcome::NotFound => {
                format!("Bedrock says: {message}")
            }
            Outcome::Unreadable => {
                "the model answered, but its answer cannot be read; its tokens are billed".into()
            }
            Outcome::Filtered => format!("{message}; change the request, or name another model"),
            Outcome::Denied => format!(
                "Bedrock says: {message}. Check that the function may invoke it (template.yaml: Models=catalog for models beyond \
                 routes.json, and DataResidency), and that the account has access to the model (a third-party model needs a Marketplace subscription, Anthropic's also a use-case form)"
            ),
            Outcome::Failed => {
                "the call to Bedrock failed; the log has the cause under the request id".into()
            }
        }
    }
}

/// By Bedrock's error code in any letter case, else by status: codes are missing from some 429s and from HTML bodies.
fn by_code(code: Option<&str>, message: Option<&str>, status: u16) -> Outcome {
    let about_the_model = [
        "model identifier is invalid",
        "on-demand throughput",
        "This model doesn't support",
        "service tier",
        "Input is too long",
        "Too many input tokens",
    ];
    let is_about_the_model =
        message.is_some_and(|message| about_the_model.iter().any(|words| message.contains(words)));
    match code.unwrap_or_default().to_ascii_lowercase().as_str() {
        "throttlingexception" | "servicequotaexceededexception" => Outcome::Throttled,
        "modelnotreadyexception" => Outcome::NotReady,
        "serviceunavailableexception" => Outcome::Unavailable,
        "modelerrorexception" | "modelstreamerrorexception" => Outcome::ModelError,
        "modeltimeoutexception" => Outcome::TimedOut,
        "validationexception" if is_about_the_model => Outcome::Unsupported,
        "validationexception" => Outcome::Invalid,
        "accessdeniedexception" => Outcome::Denied,
        "resourcenotfoundexception" => Outcome::NotFound,
        _ => match status {
            400 | 413 => Outcome::Invalid,
            401 | 403 => Outcome::Denied,
            404 => Outcome::NotFound,
            408 | 504 => Outcome::TimedOut,
            429 => Outcome::Throttled,
            503 => Outcome::Unavailable,
            _ => Outcome::Failed,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reply_quotes_is_not_for_the_log() {
        let said = "invalid type: string \"secret\", expected f32 at line 1 column 9";
        let fault = Fault::new(Outcome::Unreadable, said);
        assert_eq!(fault.cause, "unreadable-answer at line 1 column 9");
        assert_eq!(Fault::new(Outcome::Failed, "reset").cause, "reset");
    }

    #[test]
    fn the_code_decides_and_else_the_status() {
        for (code, status, outcome) in [
            (Some("ThrottlingException"), 429, Outcome::Throttled),
            (Some("throttlingException"), 400, Outcome::Throttled),
            (Some("ModelErrorException"), 424, Outcome::ModelError),
            (Some("SomethingNew"), 503, Outcome::Unavailable),
            (
                Some("ServiceQuotaExceededException"),
                400,
                Outcome::Throttled,
            ),
            (None, 429, Outcome::Throttled),
            (None, 500, Outcome::Failed),
        ] {
            assert_eq!(by_code(code, None, status), outcome);
        }
        let refused = |message| by_code(Some("ValidationException"), Some(message), 400);
        assert_eq!(
            refused("The provided model identifier is invalid."),
            Outcome::Unsupported
        );
        assert_eq!(
            refused("Input is too long for requested model."),
            Outcome::Unsupported
        );
        assert_eq!(refused("The text field is blank."), Outcome::Invalid);
    }
}
