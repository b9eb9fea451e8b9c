//! A piece of an answer, as whoever listens is told of it.

use serde_json::{Map, Value};

use super::stream::{BlockDelta, BlockStart, Delta, Partial, ReasoningDelta, StreamEvent};

/// A piece of an answer.
#[derive(Debug, PartialEq)]
pub struct Piece {
    /// Its block's place in the message.
    pub index: usize,
    /// What it is.
    pub what: What,
}

/// What a piece is.
#[derive(Debug, PartialEq)]
pub enum What {
    /// Text.
    Text(String),
    /// A call of a tool, and the next part of what it is called with, which is JSON once it is whole.
    ToolUse {
        /// The call's id.
        id: String,
        /// The tool.
        name: String,
        /// The next part of the input; nothing when the call begins.
        input: String,
    },
    /// A part of what the model thinks.
    Reasoning(ReasoningDelta),
    /// A citation of the text before it.
    Citation(Value),
    /// Parts of what a tool gave that Bedrock ran.
    ToolResult(Vec<Value>),
    /// A part of an image.
    Image(Map<String, Value>),
}

impl Piece {
    /// What an event tells, after what has come so far; `None` where it tells nothing. With `is_formed`, the only tool is ours, and
    /// what it is called with is the text of the answer.
    #[must_use]
    pub fn of(event: &StreamEvent, so_far: &Partial, is_formed: bool) -> Option<Self> {
        match event {
            StreamEvent::BlockStart(start) if !is_formed => Self::beginning(start),
            StreamEvent::Delta(delta) => Self::going_on(delta, so_far, is_formed),
            StreamEvent::BlockStart(_)
            | StreamEvent::MessageStart
            | StreamEvent::BlockStop
            | StreamEvent::MessageStop(_)
            | StreamEvent::Metadata(_)
            | StreamEvent::Unknown => None,
        }
    }

    /// A call is told when it begins, because one without input has nothing more to tell.
    fn beginning(start: &BlockStart) -> Option<Self> {
        let call = start.start.get("toolUse")?;
        let text = |field| call.get(field).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            index: start.content_block_index,
            what: What::ToolUse {
                id: text("toolUseId")?,
                name: text("name")?,
                input: String::new(),
            },
        })
    }

    fn going_on(delta: &BlockDelta, so_far: &Partial, is_formed: bool) -> Option<Self> {
        let index = delta.content_block_index;
        let what = match &delta.delta {
            Delta::Text(text) if text.is_empty() || is_formed => return None,
            Delta::Text(text) => What::Text(text.clone()),
            Delta::ToolUse(call) if call.input.is_empty() => return None,
            Delta::ToolUse(call) if is_formed => What::Text(call.input.clone()),
            Delta::ToolUse(call) => {
                let (id, name) = so_far.call(index).unwrap_or_default();
                What::ToolUse {
                    id: id.to_owned(),
                    name: name.to_owned(),
                    input: call.input.clone(),
                }
            }
            Delta::ReasoningContent(reasoning) => What::Reasoning(reasoning.clone()),
            Delta::Citation(citation) => What::Citation(citation.clone()),
            Delta::ToolResult(results) => What::ToolResult(results.clone()),
            Delta::Image(image) => What::Image(image.clone()),
        };
        Some(Self { index, what })
    }
}
