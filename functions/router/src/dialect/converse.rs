//! Bedrock's own dialect, so that its SDKs work with another endpoint: `POST /model/{modelId}/converse` and `converse-stream`.
//!
//! The model is named in the path, as `auto` or by any name; the answer says in `trace.promptRouter` which one it was, as Bedrock's own
//! prompt routers do. Streams are event-stream frames, and errors have Bedrock's names.

use std::sync::Arc;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue as Value, Message};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::json;
use shared::bedrock::Outcome;
use shared::cost::{ServiceTier, Usage};
use shared::error::Error;
use shared::http::{Call, Payload, json, log, raw_json};
use shared::wire::{Json, Output, Piece, What};
use utoipa::ToSchema;

use super::{Begun, Dialect};
use crate::App;
use crate::answer::{Answer, Guardrail};
use crate::invoke::serve;
use crate::request::{InvokeRequest, Request};

/// What the answer cost, for callers whose SDK shows no other fields than Bedrock's.
const COST: HeaderName = HeaderName::from_static("x-bedrock-router-cost-usd");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Routes, asks, and answers as Converse does.
#[utoipa::path(post, path = "/model/{modelId}/converse", tag = "bedrock", summary = "Converse, routed: for the AWS SDKs with another endpoint",
    params(("modelId" = String, Path, description = "`auto`, `auto:lower-cost` and the like, or any name of a model", example = "auto")),
    request_body(content = InvokeRequest, examples(
        ("question" = (summary = "A question", value = json!({
            "messages": [{ "role": "user", "content": [{ "text": "Why is the sky blue?" }] }] }))),
    )),
    responses((status = 200, description = "The model's answer", body = ConverseAnswer),
        (status = "4XX", description = "The request is not valid, or cannot be served", body = BedrockProblem),
        (status = "5XX", description = "No answer from Bedrock", body = BedrockProblem)))]
pub async fn converse(
    State(app): State<Arc<App>>,
    call: Call,
    path: Result<Path<String>, PathRejection>,
    body: Payload,
) -> Response {
    let rest = path.map(|Path(rest)| rest).unwrap_or_default();
    // A model may be named by an ARN, which holds slashes: what follows the last one is the operation.
    let (name, operation) = rest.rsplit_once('/').unwrap_or((rest.as_str(), ""));
    let (route, stream) = match operation {
        "converse" => ("/model/{modelId}/converse", false),
        "converse-stream" => ("/model/{modelId}/converse-stream", true),
        _ => {
            let detail =
                "the operations are converse and converse-stream; InvokeModel is not served here";
            let error = Error::NotFound {
                detail: detail.into(),
            };
            return problem(&error, &call.request_id);
        }
    };
    let request = body.0.and_then(|body| Request::of_model(name, &body));
    let request = request.map(|request| Request { stream, ..request });
    serve(app, call, request, Box::new(Bedrock::default()), route).await
}

/// The same in pieces.
#[utoipa::path(post, path = "/model/{modelId}/converse-stream", tag = "bedrock",
    summary = "ConverseStream, routed: for the AWS SDKs with another endpoint",
    params(("modelId" = String, Path, description = "`auto`, `auto:lower-cost` and the like, or any name of a model", example = "auto")),
    request_body(content = InvokeRequest),
    responses((status = 200, description = "The answer as event-stream frames", content_type = "application/vnd.amazon.eventstream"),
        (status = "4XX", description = "The request is not valid, or cannot be served", body = BedrockProblem),
        (status = "5XX", description = "No answer from Bedrock", body = BedrockProblem)))]
#[allow(
    dead_code,
    reason = "for the document; both are served by one function"
)]
pub(crate) fn converse_stream() {}

/// The answer as Converse has it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConverseAnswer<'a> {
    output: &'a Output,
    stop_reason: &'a str,
    usage: &'a Usage,
    metrics: Measured,
    trace: ConverseTrace<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<ServedBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    additional_model_response_fields: Option<&'a Json>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Measured {
    /// Milliseconds from request to answer.
    latency_ms: u64,
}

#[derive(Serialize, ToSchema)]
struct ServedBy {
    r#type: ServiceTier,
}

/// Who answered, and what a guardrail found.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ConverseTrace<'a> {
    prompt_router: PromptRouter<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guardrail: Option<&'a Guardrail>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PromptRouter<'a> {
    /// The id that answered.
    invoked_model_id: &'a str,
}

/// Why a stream ends.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageStop<'a> {
    stop_reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_model_response_fields: Option<&'a Json>,
}

/// What is told at the very end of a stream.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    usage: &'a Usage,
    metrics: Measured,
    trace: ConverseTrace<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<ServedBy>,
}

/// An error as Bedrock has it; the header `x-amzn-errortype` names its kind.
#[derive(Serialize, ToSchema)]
pub(crate) struct BedrockProblem {
    message: String,
}

impl<'a> ConverseTrace<'a> {
    fn of(answer: &'a Answer<'_>) -> Self {
        Self {
            prompt_router: PromptRouter {
                invoked_model_id: answer.routing.model_id(),
            },
            guardrail: answer.done.guardrail.as_ref(),
        }
    }
}

fn tier(answer: &Answer<'_>) -> Option<ServedBy> {
    answer.done.service_tier.map(|r#type| ServedBy { r#type })
}

/// Bedrock's word for why an answer ended; a deadline is none of them.
fn stop_reason<'a>(answer: &'a Answer<'_>) -> &'a str {
    match answer.done.stop_reason.as_str() {
        "deadline" => "max_tokens",
        reason => reason,
    }
}

/// One answer in Bedrock's dialect.
#[derive(Default)]
pub(crate) struct Bedrock {
    begun: bool,
    /// The block that is being told.
    open: Option<usize>,
}

impl Bedrock {
    fn close(&mut self) -> Vec<u8> {
        let closed = self.open.take();
        closed.map_or_else(Vec::new, |index| {
            frame(
                "event",
                "contentBlockStop",
                &json!({ "contentBlockIndex": index }),
            )
        })
    }

    fn start(&mut self) -> Vec<u8> {
        self.begun = true;
        frame("event", "messageStart", &json!({ "role": "assistant" }))
    }
}

impl Dialect for Bedrock {
    fn streams_as(&self) -> &'static str {
        "application/vnd.amazon.eventstream"
    }

    /// There is no frame that means nothing.
    fn heartbeat(&self) -> Option<&'static str> {
        None
    }

    fn begun(&mut self, _: &Begun<'_>) -> Vec<u8> {
        self.start()
    }

    fn piece(&mut self, piece: &Piece) -> Vec<u8> {
        let index = piece.index;
        let mut told = Vec::new();
        let is_new = self.open != Some(index);
        if is_new {
            told.extend(self.close());
            self.open = Some(index);
        }
        let begin = |start| {
            let start = json!({ "contentBlockIndex": index, "start": start });
            frame("event", "contentBlockStart", &start)
        };
        let delta = match &piece.what {
            What::Text(text) => json!({ "text": text }),
            What::ToolUse { id, name, input } => {
                if is_new {
                    told.extend(begin(
                        json!({ "toolUse": { "toolUseId": id, "name": name } }),
                    ));
                }
                if input.is_empty() {
                    return told;
                }
                json!({ "toolUse": { "input": input } })
            }
            What::Reasoning(reasoning) => json!({ "reasoningContent": reasoning }),
            What::Citation(citation) => json!({ "citation": citation }),
            What::ToolResult(results) => json!({ "toolResult": results }),
            What::Image(image) => json!({ "image": image }),
        };
        let delta = json!({ "contentBlockIndex": index, "delta": delta });
        told.extend(frame("event", "contentBlockDelta", &delta));
        told
    }

    fn done(&mut self, answer: &Answer<'_>) -> Vec<u8> {
        let mut told = match self.begun {
            true => Vec::new(),
            false => self.start(),
        };
        told.extend(self.close());
        let stop = MessageStop {
            stop_reason: stop_reason(answer),
            additional_model_response_fields: answer.done.additional_model_response_fields.as_ref(),
        };
        told.extend(frame("event", "messageStop", &stop));
        let metadata = Metadata {
            usage: &answer.done.usage,
            metrics: Measured {
                latency_ms: answer.done.latency_ms,
            },
            trace: ConverseTrace::of(answer),
            service_tier: tier(answer),
        };
        told.extend(frame("event", "metadata", &metadata));
        told
    }

    fn failed(&mut self, error: &Error, _: &str) -> Vec<u8> {
        let (name, _) = in_bedrocks_words(error);
        // A stream knows fewer errors than a response.
        let name = match name {
            "ValidationException" => "validationException",
            "ThrottlingException" => "throttlingException",
            "ServiceUnavailableException" => "serviceUnavailableException",
            "InternalServerException" => "internalServerException",
            _ => "modelStreamErrorException",
        };
        frame(
            "exception",
            name,
            &BedrockProblem {
                message: error.whole_detail(),
            },
        )
    }

    fn whole(&self, answer: &Answer<'_>) -> Response {
        let told = ConverseAnswer {
            output: &answer.output,
            stop_reason: stop_reason(answer),
            usage: &answer.done.usage,
            metrics: Measured {
                latency_ms: answer.done.latency_ms,
            },
            trace: ConverseTrace::of(answer),
            service_tier: tier(answer),
            additional_model_response_fields: answer.done.additional_model_response_fields.as_ref(),
        };
        let mut response = json(StatusCode::OK, &told, answer.done.id);
        tell_id(response.headers_mut(), answer.done.id);
        let cost = answer.done.cost.map(|cost| cost.total_usd.to_string());
        if let Some(cost) = cost.and_then(|cost| HeaderValue::from_str(&cost).ok()) {
            response.headers_mut().insert(COST, cost);
        }
        response
    }

    fn problem(&self, error: &Error, request_id: &str) -> Response {
        problem(error, request_id)
    }
}

/// The request id, where the AWS SDKs look for it.
fn tell_id(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
}

/// An error as Bedrock tells it.
fn problem(error: &Error, request_id: &str) -> Response {
    log(error, request_id);
    let (name, status) = in_bedrocks_words(error);
    let problem = BedrockProblem {
        message: error.whole_detail(),
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = raw_json(status, body, request_id);
    let headers = response.headers_mut();
    headers.insert(ERROR_TYPE, HeaderValue::from_static(name));
    tell_id(headers, request_id);
    if let Some(seconds) = error.retry_after_seconds() {
        headers.insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Bedrock's name for an error, and its status.
fn in_bedrocks_words(error: &Error) -> (&'static str, StatusCode) {
    match error {
        Error::Invalid { .. }
        | Error::TooLarge { .. }
        | Error::AnswerTooLarge { .. }
        | Error::NoCandidate { .. } => ("ValidationException", StatusCode::BAD_REQUEST),
        Error::NotFound { .. } | Error::MethodNotAllowed | Error::Gone { .. } => {
            ("ResourceNotFoundException", StatusCode::NOT_FOUND)
        }
        Error::Paused => (
            "ServiceUnavailableException",
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        Error::Internal(_) => ("InternalServerException", StatusCode::INTERNAL_SERVER_ERROR),
        // What is paid for must not be asked for again; the SDKs repeat a 500, and not this.
        _ if error.is_paid_for() => ("ModelErrorException", StatusCode::FAILED_DEPENDENCY),
        Error::Bedrock { fault, .. } => match fault.outcome {
            Outcome::Throttled => ("ThrottlingException", StatusCode::TOO_MANY_REQUESTS),
            Outcome::NotReady => ("ModelNotReadyException", StatusCode::TOO_MANY_REQUESTS),
            Outcome::Unavailable => (
                "ServiceUnavailableException",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            Outcome::TimedOut => ("ModelTimeoutException", StatusCode::REQUEST_TIMEOUT),
            Outcome::Invalid | Outcome::Unsupported | Outcome::Filtered => {
                ("ValidationException", StatusCode::BAD_REQUEST)
            }
            Outcome::Denied => ("AccessDeniedException", StatusCode::FORBIDDEN),
            Outcome::NotFound => ("ResourceNotFoundException", StatusCode::NOT_FOUND),
            Outcome::ModelError | Outcome::Unreadable => {
                ("ModelErrorException", StatusCode::FAILED_DEPENDENCY)
            }
            Outcome::Failed => ("InternalServerException", StatusCode::INTERNAL_SERVER_ERROR),
        },
    }
}

/// A frame of an event stream: an event, or an exception.
fn frame(kind: &'static str, name: &'static str, value: &impl Serialize) -> Vec<u8> {
    let payload = serde_json::to_vec(value).unwrap_or_default();
    let header =
        |name: &'static str, value: &'static str| Header::new(name, Value::String(value.into()));
    let named = match kind {
        "exception" => ":exception-type",
        _ => ":event-type",
    };
    let message = Message::new(payload)
        .add_header(header(named, name))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", kind));
    let mut frame = Vec::new();
    match write_message_to(&message, &mut frame) {
        Ok(()) => frame,
        Err(_) => Vec::new(),
    }
}
