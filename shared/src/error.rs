//! What can go wrong, and what the caller is told.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::bedrock::{Attempt, Fault, Outcome};
use crate::cost::{Cost, Usage};
use crate::routing::Rejected;

/// Everything that ends a request without an answer. Text of a 4xx is for the caller; a 5xx tells only the bare fact.
#[derive(Debug)]
pub enum Error {
    /// The request is wrong.
    Invalid {
        /// The path of the field, such as `messages[0].role`.
        field: String,
        /// What is wrong and what was wanted.
        detail: String,
    },
    /// The body is longer than this many bytes.
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The answer would be longer than the function may send.
    AnswerTooLarge {
        /// How long it would be, and what to do.
        detail: String,
    },
    /// No such route, or no such thing at it.
    NotFound {
        /// What was looked for, and where to look instead.
        detail: String,
    },
    /// The route exists, but not for this method.
    MethodNotAllowed,
    /// The model is dead, and the caller was strict or nothing succeeds it.
    Gone {
        /// What became of it.
        absence: String,
        /// The id to use in its place.
        successor: Option<String>,
    },
    /// No model will do.
    NoCandidate {
        /// Every candidate with why not.
        rejected: Vec<Rejected>,
    },
    /// The operator has paused all calls.
    Paused,
    /// Bedrock did not answer, after all candidates were asked.
    Bedrock {
        /// How the last call ended.
        fault: Fault,
        /// Every call.
        attempts: Vec<Attempt>,
        /// What had come of an answer that broke off.
        cut: Option<Box<Cut>>,
    },
    /// Our own mistake.
    Internal(String),
}

/// What had come of an answer when it broke off.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Cut {
    /// Its text so far.
    pub text: String,
    /// Tokens, by our own estimate: Bedrock tells them at the end only.
    pub usage: Usage,
    /// What they cost; null where a price is unknown.
    pub cost: Option<Cost>,
}

impl Error {
    /// A wrong field. What a caller sent may be quoted in it, so both are cut to a readable length.
    pub fn invalid(field: impl AsRef<str>, detail: impl AsRef<str>) -> Self {
        Self::Invalid {
            field: cut(field.as_ref(), 200),
            detail: cut(detail.as_ref(), 800),
        }
    }

    /// A model name that nothing is known of.
    #[must_use]
    pub fn unknown_model(name: &str, nearest: &[&str]) -> Self {
        Self::invalid("model", no_such_model(name, nearest))
    }

    /// A model that was looked up and is not there.
    #[must_use]
    pub fn no_model(name: &str, nearest: &[&str]) -> Self {
        Self::NotFound {
            detail: no_such_model(name, nearest),
        }
    }

    /// A dead model.
    #[must_use]
    pub fn gone(absence: String, successor: Option<String>) -> Self {
        Self::Gone { absence, successor }
    }

    /// No answer at all.
    #[must_use]
    pub fn bedrock(fault: Fault, attempts: Vec<Attempt>) -> Self {
        Self::Bedrock {
            fault,
            attempts,
            cut: None,
        }
    }

    /// The HTTP status that says it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Invalid { .. } => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } | Self::AnswerTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Gone { .. } => StatusCode::GONE,
            Self::NoCandidate { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Paused => StatusCode::SERVICE_UNAVAILABLE,
            Self::Bedrock { fault, .. } => fault.outcome.status(),
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A stable word for it, the last part of the problem's `type`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid-request",
            Self::TooLarge { .. } => "too-large",
            Self::AnswerTooLarge { .. } => "answer-too-large",
            Self::NotFound { .. } => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Gone { .. } => "model-gone",
            Self::NoCandidate { .. } => "no-candidate",
            Self::Paused => "paused",
            Self::Bedrock { fault, .. } => fault.outcome.kind(),
            Self::Internal(_) => "internal",
        }
    }

    /// A short title, the same for every problem of the kind.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "The request is not valid",
            Self::TooLarge { .. } => "The request is too large",
            Self::AnswerTooLarge { .. } => "The answer would be too large",
            Self::NotFound { .. } => "There is no such thing",
            Self::MethodNotAllowed => "The route does not take this method",
            Self::Gone { .. } => "The model is gone",
            Self::NoCandidate { .. } => "No model will do",
            Self::Paused => "Calls are paused",
            Self::Bedrock { fault, .. } => fault.outcome.title(),
            Self::Internal(_) => "The router failed",
        }
    }

    /// What happened and what to do about it, for the caller.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Invalid { detail, .. } => detail.clone(),
            Self::TooLarge { limit } => {
                format!("the body may have {limit} bytes at most; Lambda takes no more")
            }
            Self::NotFound { detail } | Self::AnswerTooLarge { detail } => detail.clone(),
            Self::MethodNotAllowed => "the Allow header lists the methods".into(),
            Self::Gone {
                absence,
                successor: Some(successor),
            } => {
                format!("{absence}; use {successor}, or leave out strictModel to be served by it")
            }
            Self::Gone {
                absence,
                successor: None,
            } => format!("{absence}, and nothing takes its place"),
            Self::NoCandidate { rejected } => match rejected.as_slice() {
                [] => "no route lists a candidate for this request".into(),
                [only] => format!("{}: {}", only.id, only.reason),
                all => format!(
                    "none of {} candidates will do; `candidates` says why",
                    all.len()
                ),
            },
            Self::Paused => "the operator has paused all model calls".into(),
            Self::Bedrock {
                fault,
                cut: Some(_),
                ..
            } => {
                format!(
                    "the answer broke off after its first pieces: {}",
                    fault.detail()
                )
            }
            Self::Bedrock { fault, .. } => fault.detail(),
            Self::Internal(_) => {
                "this is our mistake; the log has the details under the request id".into()
            }
        }
    }

    /// The same, for callers who are told nothing else: with the reasons of candidates that will not do.
    #[must_use]
    pub fn whole_detail(&self) -> String {
        let Self::NoCandidate { rejected } = self else {
            return self.detail();
        };
        let mut reasons: Vec<_> = rejected.iter().map(|one| one.reason.as_str()).collect();
        reasons.dedup();
        match reasons.len() {
            0 | 1 => self.detail(),
            _ => {
                let shown = rejected.iter().take(3);
                let shown = shown.map(|one| format!("{}: {}", one.id, one.reason));
                let shown = shown.collect::<Vec<_>>().join("; ");
                format!("none of {} candidates will do: {shown}", rejected.len())
            }
        }
    }

    /// Whether the prompt is too long for every candidate.
    #[must_use]
    pub fn is_about_the_context(&self) -> bool {
        match self {
            Self::NoCandidate { rejected } => {
                let about = |one: &Rejected| one.reason.starts_with("context window");
                !rejected.is_empty() && rejected.iter().all(about)
            }
            Self::Bedrock { fault, .. } => {
                fault.outcome.is_a_refusal() && fault.message.contains("too long")
            }
            Self::Invalid { .. }
            | Self::TooLarge { .. }
            | Self::AnswerTooLarge { .. }
            | Self::NotFound { .. }
            | Self::MethodNotAllowed
            | Self::Gone { .. }
            | Self::Paused
            | Self::Internal(_) => false,
        }
    }

    /// What had come of an answer that broke off.
    #[must_use]
    pub fn cut(&self) -> Option<&Cut> {
        if let Self::Bedrock { cut, .. } = self {
            cut.as_deref()
        } else {
            None
        }
    }

    /// Whether Bedrock bills something that did not arrive: to ask again pays again.
    #[must_use]
    pub fn is_paid_for(&self) -> bool {
        let unreadable = |fault: &Fault| fault.outcome == Outcome::Unreadable;
        self.cut().is_some() || matches!(self, Self::Bedrock { fault, .. } if unreadable(fault))
    }

    /// Seconds after which a retry makes sense.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Bedrock { fault, .. }
                if matches!(
                    fault.outcome,
                    Outcome::Throttled | Outcome::NotReady | Outcome::Unavailable
                ) =>
            {
                Some(fault.retry_after_seconds.unwrap_or(5))
            }
            Self::Paused => Some(60),
            Self::Bedrock { .. }
            | Self::Invalid { .. }
            | Self::TooLarge { .. }
            | Self::AnswerTooLarge { .. }
            | Self::NotFound { .. }
            | Self::MethodNotAllowed
            | Self::Gone { .. }
            | Self::NoCandidate { .. }
            | Self::Internal(_) => None,
        }
    }
}

fn no_such_model(name: &str, nearest: &[&str]) -> String {
    let shown = cut(name, 80);
    let hint = match nearest {
        [] => "GET /models lists all of them".to_owned(),
        names => format!("did you mean {}?", names.join(", ")),
    };
    format!("no model is known as \"{shown}\"; {hint}")
}

/// The first so many characters of a text.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
