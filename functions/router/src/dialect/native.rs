//! Our own dialect, of `POST /invoke`.

use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use shared::error::Error;
use shared::http::{Problem, json, problem};
use shared::wire::{Piece, What};

use super::{Begun, Dialect, event};
use crate::answer::Answer;

/// Events `routing`, `delta`, `done` and `error`.
pub(crate) struct Native;

impl Dialect for Native {
    fn begun(&mut self, begun: &Begun<'_>) -> Vec<u8> {
        event(Some("routing"), begun)
    }

    fn piece(&mut self, piece: &Piece) -> Vec<u8> {
        let told = match &piece.what {
            What::Text(text) => json!({ "text": text }),
            What::ToolUse { id, name, input } => {
                json!({ "toolUse": { "index": piece.index, "id": id, "name": name, "input": input } })
            }
            What::Reasoning(reasoning) => json!({ "reasoning": reasoning }),
            What::Citation(citation) => json!({ "citation": citation }),
            What::ToolResult(results) => json!({ "toolResult": results }),
            What::Image(image) => json!({ "image": image }),
        };
        event(Some("delta"), &told)
    }

    fn done(&mut self, answer: &Answer<'_>) -> Vec<u8> {
        event(Some("done"), &answer.done)
    }

    fn failed(&mut self, error: &Error, request_id: &str) -> Vec<u8> {
        event(Some("error"), &Problem::of(error, request_id))
    }

    fn whole(&self, answer: &Answer<'_>) -> Response {
        json(StatusCode::OK, answer, answer.done.id)
    }

    fn problem(&self, error: &Error, request_id: &str) -> Response {
        problem(error, request_id)
    }
}
