//! `POST /v1/embeddings`: the same in OpenAI's dialect, in which all vectors come or none.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::error::Error;
use shared::http::openai::OpenAiProblem;
use shared::http::{Call, Payload, parse};
use shared::telemetry::Record;
use utoipa::ToSchema;

use crate::App;
use crate::answer::Pieces;
use crate::dialect::{Purpose, Truncate};
use crate::input::Given;
use crate::job::Job;
use crate::vectors::Encoding;

/// What OpenAI's clients send; what they send besides is left aside. `purpose` and `truncate` are ours.
#[derive(Deserialize, ToSchema)]
pub struct OpenAiEmbeddingsRequest {
    /// A text or several.
    input: TextInput,
    /// `auto`, or any name of a model.
    model: Option<String>,
    /// Numbers, or little-endian `f32`s in base64.
    encoding_format: Option<Format>,
    /// The length of the vectors; the model's own if absent.
    dimensions: Option<u32>,
    /// Taken, and not used: who asks is known from the signature.
    #[allow(dead_code, reason = "clients send it")]
    user: Option<String>,
    /// What the vectors are for; `document` if absent.
    purpose: Option<Purpose>,
    /// Which end of a text may go when it is too long.
    truncate: Option<Truncate>,
}

#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
enum TextInput {
    Text(String),
    Texts(Vec<String>),
    #[schema(value_type = Vec<i64>)]
    Tokens(#[allow(dead_code, reason = "refused")] Vec<u64>),
    #[schema(value_type = Vec<Vec<i64>>)]
    TokenLists(#[allow(dead_code, reason = "refused")] Vec<Vec<u64>>),
    #[schema(value_type = bool)]
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
        Err(error) => Err(error.into()),
    };
    let kind = answer.as_ref().err().map(|refused| refused.error.kind());
    let response = answer.unwrap_or_else(|refused| problem(&refused, &call.request_id));
    call.write(
        &mut record,
        response.status(),
        kind,
        app.config.metrics.as_deref(),
    );
    response
}

impl App {
    async fn openai(
        &self,
        call: &Call,
        job: Job,
        record: &mut Record,
    ) -> Result<Response, Refused> {
        let done = self.embed(call, job, record).await?;
        // A list with a hole is nothing that these clients know.
        let failed = done.slots.iter().enumerate();
        let failed = failed.filter_map(|(at, slot)| Some((at, done.faults.get(*slot)?.as_ref()?)));
        if let Some((at, fault)) = failed.into_iter().next() {
            return Err(Refused {
                error: Error::bedrock(fault.clone(), Vec::new()),
                param: Some(format!("input[{at}]")),
                paid: true,
            });
        }
        let usage = OpenAiUsage {
            prompt_tokens: done.usage.input_tokens,
            total_tokens: done.usage.total_tokens,
        };
        let told = json!({ "object": "list", "model": done.place.id, "usage": usage });
        let pieces = Pieces::new(&told, "data", done, true)?;
        Ok(pieces.respond(&call.request_id))
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
        TextInput::Tokens(_) | TextInput::TokenLists(_) => {
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
        truncate: body.truncate.unwrap_or_default(),
        encoding: match body.encoding_format.unwrap_or_default() {
            Format::Float => Encoding::Float,
            Format::Base64 => Encoding::Base64,
        },
        ..Job::default()
    })
}

/// An error, and what OpenAI's clients want to know of it.
struct Refused {
    error: Error,
    /// The input that is to blame, where the error does not say so.
    param: Option<String>,
    /// Other vectors of the request came, and are paid for: to repeat all of it would pay twice.
    paid: bool,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self {
            error,
            param: None,
            paid: false,
        }
    }
}

/// A problem in OpenAI's shape.
fn problem(refused: &Refused, request_id: &str) -> Response {
    OpenAiProblem::of(&refused.error)
        .about(refused.param.clone())
        .respond(&refused.error, refused.paid, request_id)
}
