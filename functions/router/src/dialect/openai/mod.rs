//! OpenAI's dialect: `POST /v1/chat/completions`, and the models as OpenAI lists them.
//!
//! [`request`] is what its clients send, [`translate`], [`turns`] and [`media`] make our request of it, [`reply`] answers, [`models`] lists.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use shared::http::openai::OpenAiProblem;
use shared::http::{Call, Payload, parse};

use crate::App;
use crate::dialect::ServerSentEvent;
use crate::invoke::serve;
use reply::{ChatCompletion, OpenAi};
use request::ChatRequest;

mod media;
pub mod models;
pub(crate) mod reply;
pub(crate) mod request;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "tables"
)]
mod tests;
mod translate;
mod turns;

/// Routes, asks, prices, and answers as OpenAI's clients expect.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "openai", summary = "Route a conversation, in OpenAI's dialect",
    request_body(content = ChatRequest, examples(
        ("question" = (summary = "A question", value = json!({
            "model": "auto", "messages": [{ "role": "user", "content": "Why is the sky blue?" }] }))),
        ("cheapest" = (summary = "The cheapest model that will do", value = json!({
            "model": "auto:lower-cost", "messages": [{ "role": "user", "content": "Say yes." }] }))),
    )),
    responses((status = 200, description = "The model's answer; with `stream`, chunks of it as server-sent events", content(
            (ChatCompletion = "application/json"), (ServerSentEvent = "text/event-stream"))),
        (status = "4XX", description = "The request is not valid, or cannot be served", body = OpenAiProblem),
        (status = "5XX", description = "No answer from Bedrock", body = OpenAiProblem)))]
pub async fn chat(State(app): State<Arc<App>>, call: Call, body: Payload) -> Response {
    let asked = body.0.and_then(|body| parse::<ChatRequest>(&body));
    let asked = asked.and_then(|asked| {
        let include_usage = asked.includes_usage();
        Ok((asked.translate()?, include_usage))
    });
    let (request, ignored, include_usage) = match asked {
        Ok(((request, ignored), include_usage)) => (Ok(request), ignored, include_usage),
        Err(error) => (Err(error), Vec::new(), false),
    };
    let dialect = OpenAi::new(&call.request_id, include_usage, ignored);
    serve(
        app,
        call,
        request,
        Box::new(dialect),
        "/v1/chat/completions",
    )
    .await
}
