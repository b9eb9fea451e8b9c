//! Dialects: how callers ask, and how they are answered.
//!
//! Each turns foreign JSON into our [`Request`](crate::request::Request), and our [`Answer`] into foreign bytes; what happens in
//! between is the same for all.

use axum::response::Response;
use serde::Serialize;
use shared::error::Error;
use shared::wire::Piece;
use utoipa::ToSchema;

use crate::answer::{Answer, Routing};

pub mod converse;
pub(crate) mod native;
pub mod openai;

/// How one caller is answered, in one piece or in many.
pub(crate) trait Dialect: Send + Sync {
    /// The content type of an answer in pieces.
    fn streams_as(&self) -> &'static str {
        "text/event-stream"
    }

    /// What goes out into a long silence.
    fn heartbeat(&self) -> Option<&'static str> {
        Some(": waiting\n\n")
    }

    /// The first piece: who answers.
    fn begun(&mut self, begun: &Begun<'_>) -> Vec<u8>;

    /// A piece of the answer.
    fn piece(&mut self, piece: &Piece) -> Vec<u8>;

    /// The last piece, of all that is known at the end.
    fn done(&mut self, answer: &Answer<'_>) -> Vec<u8>;

    /// In place of the last piece: why there is no more.
    fn failed(&mut self, error: &Error, request_id: &str) -> Vec<u8>;

    /// The answer in one piece.
    fn whole(&self, answer: &Answer<'_>) -> Response;

    /// No answer, and why.
    fn problem(&self, error: &Error, request_id: &str) -> Response;
}

/// Who answers.
#[derive(Serialize)]
pub(crate) struct Begun<'a> {
    pub(crate) id: &'a str,
    pub(crate) routing: Routing<'a>,
}

/// An event of an answer in pieces.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct ServerSentEvent {
    /// What it is, where it has a name.
    event: Option<String>,
    /// JSON, as text; `[DONE]` at the end of OpenAI's.
    data: String,
}

/// A server-sent event. JSON has no line breaks of its own, so that one line holds it.
pub fn event(name: Option<&str>, value: &impl Serialize) -> Vec<u8> {
    let mut event = Vec::with_capacity(128);
    if let Some(name) = name {
        event.extend_from_slice(b"event: ");
        event.extend_from_slice(name.as_bytes());
        event.push(b'\n');
    }
    event.extend_from_slice(b"data: ");
    if serde_json::to_writer(&mut event, value).is_err() {
        return Vec::new();
    }
    event.extend_from_slice(b"\n\n");
    event
}
