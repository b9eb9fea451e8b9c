//! `POST /v1/embeddings`: the same in OpenAI's dialect, in which all vectors come or none.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::error::Error;
use shared::http::{Call, Payload, log, parse, raw_json};
use shared::telemetry::Record;
use utoipa::ToSchema;

use crate::App;
use crate::answer::{Pieces, respond};
use crate::dialect::{Purpose, Truncate};
use crate::input::Given;
use crate::job::Job;
use crate::vectors::Encoding;

/// What OpenAI's clients send. `purpose` and `truncate` are ours.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenAiEmbeddingsRequest {
    /// A text or several.
    input: TextInput,
    /// `auto`, or any name of a model.
    model: Option<String>,
    /// Numbers, or little-endian `f32`s in base64.
    #[serde(default)]
    encoding_format: Format,
    /// The length of the vectors; the model's own if absent.
    dimensions: Option<u32>,
    /// Taken, and not used: who asks is known from the signature.
    #[allow(dead_code, reason = "clients send it")]
    user: Option<String>,
    /// What the vectors are for; `document` if absent.
    purpose: Option<Purpose>,
    /// Which end of a text may go when it is too long.
    #[serde(default)]
    truncate: Truncate,
}

#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
enum TextInput {
    Text(String),
    Texts(Vec<String>),
    #[schema(value_type = Vec<i64>)]
    Tokens(#[allow(dead_code, reason = "refused, whatever they are")] Vec<IgnoredAny>),
    #[schema(value_type = Vec<Vec<i64>>)]
    Other(#[allow(dead_code, reason = "refused, whatever it is")] IgnoredAny),
}

#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Float,
    Base64,
}

/// The vectors.
#[derive(Serialize, ToSchema)]
#[allow(
    dead_code,
    reason = "for the document; the vectors are written piece by piece"
)]
pub(crate) struct OpenAiEmbeddings {
    /// `list`.
    object: &'static str,
    /// The vectors in the order of the inputs.
    data: Vec<OpenAiEmbedding>,
    /// The id that was invoked.
    model: String,
    usage: OpenAiUsage,
}

#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "for the document")]
struct OpenAiEmbedding {
    /// `embedding`.
    object: &'static str,
    index: usize,
    /// Numbers, or base64.
    #[schema(value_type = Value)]
    embedding: serde_json::Value,
}

#[derive(Serialize, ToSchema)]
struct OpenAiUsage {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// An error as OpenAI has it.
#[derive(Serialize, ToSchema)]
pub(crate) struct OpenAiProblem {
    error: OpenAiError,
}

#[derive(Serialize, ToSchema)]
struct OpenAiError {
    message: String,
    r#type: &'static str,
    param: Option<String>,
    code: &'static str,
}

/// Makes the vectors.
#[utoipa::path(post, path = "/v1/embeddings", tag = "openai", summary = "Vectors, in OpenAI's dialect",
    request_body(content = OpenAiEmbeddingsRequest, examples(
        ("list" = (summary = "Two texts", value = json!({ "model": "titan-embed-text-v2", "input": ["a", "b"] }))),
        ("base64" = (summary = "As OpenAI's own clients ask", value = json!({
            "model": "auto", "input": "a", "encoding_format": "base64" }))),
    )),
    responses((status = 200, description = "The vectors", body = OpenAiEmbeddings),
        (status = "4XX", description = "The request is not valid, or cannot be served", body = OpenAiProblem),
        (status = "5XX", description = "No answer from Bedrock", body = OpenAiProblem)))]
pub async fn embeddings(State(app): State<Arc<App>>, call: Call, body: Payload) -> Response {
    let mut record = call.record("/v1/embeddings");
    let answer = match body.0.and_then(|body| read(&body)) {
        Ok(job) => app.openai(&call, job, &mut record).await,
        Err(error) => Err(error),
    };
    let kind = answer.as_ref().err().map(Error::kind);
    let response = answer.unwrap_or_else(|error| problem(&error, &call.request_id));
    call.write(
        &mut record,
        response.status(),
        kind,
        app.config.metrics.as_deref(),
    );
    response
}

impl App {
    async fn openai(&self, call: &Call, job: Job, record: &mut Record) -> Result<Response, Error> {
        let done = self.embed(call, job, record).await?;
        // A list with a hole is nothing that these clients know.
        if let Some(fault) = done.faults.iter().flatten().next() {
            return Err(Error::bedrock(fault.clone(), Vec::new()));
        }
        let usage = OpenAiUsage {
            prompt_tokens: done.usage.input_tokens,
            total_tokens: done.usage.total_tokens,
        };
        let head = json!({ "object": "list", "model": done.place.id, "usage": usage });
        let mut head = head.to_string().into_bytes();
        head.pop();
        head.extend_from_slice(b",\"data\":[");
        let pieces = Pieces {
            head,
            encoding: done.shape.encoding,
            vectors: done.vectors,
            slots: done.slots.into_iter(),
            item: |place, to: &mut Vec<u8>, write: &dyn Fn(&mut Vec<u8>)| {
                to.extend_from_slice(
                    format!("{{\"object\":\"embedding\",\"index\":{place},\"embedding\":")
                        .as_bytes(),
                );
                write(to);
                to.push(b'}');
            },
            tail: Some("]}"),
            place: 0,
        };
        Ok(respond(pieces, &call.request_id))
    }
}

fn read(body: &[u8]) -> Result<Job, Error> {
    let body: OpenAiEmbeddingsRequest = parse(body)?;
    let texts = match body.input {
        TextInput::Text(text) => vec![text],
        TextInput::Texts(texts) => texts,
        TextInput::Other(_) => {
            return Err(Error::invalid(
                "input",
                "input must be a text or a list of texts",
            ));
        }
        TextInput::Tokens(_) => {
            let words = "token arrays are made by OpenAI's tokenizer, which no model here has; send texts (LangChain: check_embedding_ctx_length=False)";
            return Err(Error::invalid("input", words));
        }
    };
    Ok(Job {
        given: Given {
            texts,
            images: Vec::new(),
            field: "input",
        },
        model: body.model,
        purpose: body.purpose,
        dimensions: body.dimensions,
        truncate: body.truncate,
        encoding: match body.encoding_format {
            Format::Float => Encoding::Float,
            Format::Base64 => Encoding::Base64,
        },
        ..Job::default()
    })
}

/// A problem in OpenAI's shape.
fn problem(error: &Error, request_id: &str) -> Response {
    log(error, request_id);
    let status = error.status();
    let param = if let Error::Invalid { field, .. } = error {
        Some(field.clone())
    } else {
        None
    };
    let told = OpenAiProblem {
        error: OpenAiError {
            message: error.detail(),
            r#type: match status.as_u16() {
                429 => "rate_limit_error",
                400..500 => "invalid_request_error",
                _ => "api_error",
            },
            param,
            code: error.kind(),
        },
    };
    let mut response = raw_json(
        status,
        serde_json::to_vec(&told).unwrap_or_default(),
        request_id,
    );
    if let Some(seconds) = error.retry_after_seconds() {
        response
            .headers_mut()
            .insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
