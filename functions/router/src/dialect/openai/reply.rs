//! Answers as OpenAI's clients read them: in one piece, or in chunks.

use std::mem;

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use shared::cost::{Cost, Usage};
use shared::error::Error;
use shared::http::json;
use shared::http::openai::OpenAiProblem;
use shared::routing::estimate_tokens;
use shared::telemetry;
use shared::wire::{Piece, ReasoningDelta, What};
use utoipa::ToSchema;

use crate::answer::{Answer, Routing};
use crate::dialect::{Begun, Dialect, event};

/// The end of a stream.
const DONE: &[u8] = b"data: [DONE]\n\n";

/// One answer in OpenAI's dialect.
pub(crate) struct OpenAi {
    id: String,
    created: u64,
    /// The id that answers, once it is known.
    model: String,
    include_usage: bool,
    /// What of the request was left aside.
    notes: Vec<String>,
    begun: bool,
    calls: Dense,
    /// The call that is being told, and whether it has input so far.
    open: Option<(usize, bool)>,
    /// What the model thought, by block, to be told whole at the end: clients put lists of pieces together each in its own way.
    thoughts: Vec<(usize, ReasoningPart)>,
}

/// Places of blocks in a message, numbered without gaps.
#[derive(Default)]
struct Dense(Vec<usize>);

impl Dense {
    /// The number of a block, and whether it is new.
    fn number(&mut self, block: usize) -> (usize, bool) {
        match self.0.iter().position(|known| *known == block) {
            Some(number) => (number, false),
            None => {
                self.0.push(block);
                (self.0.len() - 1, true)
            }
        }
    }
}

/// The answer. `routing`, `cost` and `warnings` are ours.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChatCompletion<'a> {
    id: &'a str,
    /// `chat.completion`.
    object: &'static str,
    /// Seconds since 1970.
    created: u64,
    /// The id that answered.
    model: &'a str,
    /// One.
    choices: [ChatChoice; 1],
    usage: ChatUsage,
    /// Exact cost; null where a price is unknown.
    cost: Option<&'a Cost>,
    routing: &'a Routing<'a>,
    warnings: Vec<&'a str>,
}

#[derive(Serialize, ToSchema)]
struct ChatChoice {
    index: usize,
    message: ChatDelta,
    finish_reason: &'static str,
    /// Null: no model here tells them.
    logprobs: Option<f64>,
}

/// A message, or a piece of one.
#[derive(Default, Serialize, ToSchema)]
struct ChatDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    /// Text; null where there is none beside calls.
    #[serde(skip_serializing_if = "Content::is_absent")]
    #[schema(value_type = Option<String>)]
    content: Content,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Vec<ChatCall>>,
    /// What the model thought, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    /// The same with the model's seals, to be sent back as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_details: Option<Vec<ReasoningPart>>,
}

/// Text, none, or nothing said about it.
#[derive(Default, Serialize)]
#[serde(untagged)]
enum Content {
    #[default]
    Absent,
    Text(String),
    Null(()),
}

impl Content {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

#[derive(Serialize, ToSchema)]
struct ChatCall {
    /// Only in chunks.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// `function`.
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: ChatFunction,
}

#[derive(Serialize, ToSchema)]
struct ChatFunction {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// JSON, as text.
    arguments: String,
}

#[derive(Serialize, ToSchema)]
struct ReasoningPart {
    /// `reasoning.text`, or `reasoning.encrypted`.
    r#type: &'static str,
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
}

/// Tokens as OpenAI counts them: cached ones are part of the prompt's.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChatUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Serialize, ToSchema)]
struct PromptDetails {
    /// Read from the prompt cache.
    cached_tokens: u64,
    /// Written to it.
    cache_write_tokens: u64,
}

#[derive(Serialize, ToSchema)]
struct CompletionDetails {
    /// Our estimate from what the model showed of its thoughts: Bedrock does not count them apart.
    reasoning_tokens: u64,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<ChunkChoice>,
    /// Null in all chunks but the last, where tokens are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<ChatUsage>>,
    #[serde(flatten)]
    ours: Ours<'a>,
}

/// What chunks have beside OpenAI's own.
#[derive(Default, Serialize)]
struct Ours<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    routing: Option<&'a Routing<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Option<&'a Cost>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<&'a str>>,
}

#[derive(Serialize)]
struct ChunkChoice {
    index: usize,
    delta: ChatDelta,
    finish_reason: Option<&'static str>,
    logprobs: Option<f64>,
}

impl OpenAi {
    pub(super) fn new(request_id: &str, include_usage: bool, notes: Vec<String>) -> Self {
        Self {
            id: format!("chatcmpl-{request_id}"),
            created: telemetry::now().as_secs(),
            model: String::new(),
            include_usage,
            notes,
            begun: false,
            calls: Dense::default(),
            open: None,
            thoughts: Vec::new(),
        }
    }

    /// What was left aside, and what the answer says.
    fn warnings<'a>(&'a self, answer: &'a Answer<'_>) -> Vec<&'a str> {
        let notes = self.notes.iter().chain(&answer.done.warnings);
        notes.map(String::as_str).collect()
    }

    fn chunk<'a>(&'a self, choices: Vec<ChunkChoice>, ours: Ours<'a>) -> Chunk<'a> {
        Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            choices,
            usage: self.include_usage.then_some(None),
            ours,
        }
    }

    fn start(&mut self, routing: &Routing<'_>) -> Vec<u8> {
        self.begun = true;
        routing.model_id().clone_into(&mut self.model);
        let delta = ChatDelta {
            role: Some("assistant"),
            content: Content::Text(String::new()),
            ..ChatDelta::default()
        };
        let ours = Ours {
            routing: Some(routing),
            ..Ours::default()
        };
        event(None, &self.chunk(vec![choice(delta, None)], ours))
    }

    fn remember(&mut self, block: usize, reasoning: &ReasoningDelta) {
        let index = self.thoughts.len();
        let more = ReasoningPart::of(reasoning, index);
        match self.thoughts.iter_mut().find(|(known, _)| *known == block) {
            Some((_, detail)) => detail.add(more),
            None => self.thoughts.push((block, more)),
        }
    }

    /// Ends the call that is being told before another block; one that nothing is passed to is called with an empty object.
    fn end_call(&mut self, next: Option<usize>) -> Vec<u8> {
        let ended = self.open.take_if(|(block, _)| Some(*block) != next);
        let Some((block, false)) = ended else {
            return Vec::new();
        };
        let (index, _) = self.calls.number(block);
        let call = ChatCall {
            index: Some(index),
            id: None,
            r#type: None,
            function: ChatFunction {
                name: None,
                arguments: "{}".into(),
            },
        };
        let delta = ChatDelta {
            tool_calls: Some(vec![call]),
            ..ChatDelta::default()
        };
        event(
            None,
            &self.chunk(vec![choice(delta, None)], Ours::default()),
        )
    }

    fn delta(&mut self, piece: &Piece) -> Option<ChatDelta> {
        let mut delta = ChatDelta::default();
        match &piece.what {
            What::Text(text) => delta.content = Content::Text(text.clone()),
            What::ToolUse { id, name, input } => {
                let (index, is_new) = self.calls.number(piece.index);
                let told = !is_new && self.open.is_some_and(|(_, told)| told);
                self.open = Some((piece.index, told || !input.is_empty()));
                delta.tool_calls = Some(vec![ChatCall {
                    index: Some(index),
                    id: is_new.then(|| id.clone()),
                    r#type: is_new.then_some("function"),
                    function: ChatFunction {
                        name: is_new.then(|| name.clone()),
                        arguments: input.clone(),
                    },
                }]);
            }
            What::Reasoning(reasoning) => {
                self.remember(piece.index, reasoning);
                delta.reasoning_content = Some(reasoning.text.clone()?);
            }
            // Nothing that these clients know.
            What::Citation(_) | What::ToolResult(_) | What::Image(_) => return None,
        }
        Some(delta)
    }
}

impl ReasoningPart {
    fn add(&mut self, more: Self) {
        let append = |to: &mut Option<String>, more: Option<String>| match (to.as_mut(), more) {
            (Some(to), Some(more)) => to.push_str(&more),
            (None, more) => *to = more,
            (Some(_), None) => {}
        };
        append(&mut self.text, more.text);
        append(&mut self.signature, more.signature);
        append(&mut self.data, more.data);
    }

    fn of(reasoning: &ReasoningDelta, index: usize) -> Self {
        Self {
            r#type: match reasoning.redacted_content {
                Some(_) => "reasoning.encrypted",
                None => "reasoning.text",
            },
            index,
            text: reasoning.text.clone(),
            signature: reasoning.signature.clone(),
            data: reasoning.redacted_content.clone(),
        }
    }
}

fn choice(delta: ChatDelta, finish_reason: Option<&'static str>) -> ChunkChoice {
    ChunkChoice {
        index: 0,
        delta,
        finish_reason,
        logprobs: None,
    }
}

impl Dialect for OpenAi {
    fn begun(&mut self, begun: &Begun<'_>) -> Vec<u8> {
        self.start(&begun.routing)
    }

    fn piece(&mut self, piece: &Piece) -> Vec<u8> {
        let mut told = self.end_call(Some(piece.index));
        let delta = self.delta(piece);
        if let Some(delta) = delta {
            let chunk = self.chunk(vec![choice(delta, None)], Ours::default());
            told.extend(event(None, &chunk));
        }
        told
    }

    fn done(&mut self, answer: &Answer<'_>) -> Vec<u8> {
        let mut told = match self.begun {
            true => Vec::new(),
            false => self.start(&answer.routing),
        };
        told.extend(self.end_call(None));
        let thoughts = mem::take(&mut self.thoughts).into_iter();
        let details: Vec<_> = thoughts.map(|(_, detail)| detail).collect();
        let delta = ChatDelta {
            reasoning_details: Some(details).filter(|details| !details.is_empty()),
            ..ChatDelta::default()
        };
        let ours = Ours {
            cost: Some(answer.done.cost.as_ref()),
            warnings: Some(self.warnings(answer)),
            ..Ours::default()
        };
        let end = choice(delta, Some(finish_reason(&answer.done.stop_reason)));
        told.extend(event(None, &self.chunk(vec![end], ours)));
        if self.include_usage {
            let mut last = self.chunk(Vec::new(), Ours::default());
            last.usage = Some(Some(ChatUsage::of(answer)));
            told.extend(event(None, &last));
        }
        told.extend_from_slice(DONE);
        told
    }

    fn failed(&mut self, error: &Error, _: &str) -> Vec<u8> {
        event(None, &OpenAiProblem::of(error))
    }

    fn whole(&self, answer: &Answer<'_>) -> Response {
        let completion = ChatCompletion {
            id: &self.id,
            object: "chat.completion",
            created: self.created,
            model: answer.routing.model_id(),
            choices: [ChatChoice {
                index: 0,
                message: message(answer),
                finish_reason: finish_reason(&answer.done.stop_reason),
                logprobs: None,
            }],
            usage: ChatUsage::of(answer),
            cost: answer.done.cost.as_ref(),
            routing: &answer.routing,
            warnings: self.warnings(answer),
        };
        json(StatusCode::OK, &completion, answer.done.id)
    }

    fn problem(&self, error: &Error, request_id: &str) -> Response {
        OpenAiProblem::of(error).respond(error, false, request_id)
    }
}

/// The whole message: text beside calls is kept, as is what was thought.
fn message(answer: &Answer<'_>) -> ChatDelta {
    let (mut calls, mut details, mut thoughts) = (Vec::new(), Vec::new(), String::new());
    for piece in answer.output.pieces() {
        match piece.what {
            What::ToolUse { id, name, input } => calls.push(ChatCall {
                index: None,
                id: Some(id),
                r#type: Some("function"),
                function: ChatFunction {
                    name: Some(name),
                    // Input that was cut off is no JSON, and stands in a string.
                    arguments: serde_json::from_str(&input).unwrap_or(input),
                },
            }),
            What::Reasoning(reasoning) => {
                thoughts.push_str(reasoning.text.as_deref().unwrap_or_default());
                details.push(ReasoningPart::of(&reasoning, details.len()));
            }
            What::Text(_) | What::Citation(_) | What::ToolResult(_) | What::Image(_) => {}
        }
    }
    ChatDelta {
        role: Some("assistant"),
        content: match answer.text.is_empty() && !calls.is_empty() {
            true => Content::Null(()),
            false => Content::Text(answer.text.clone()),
        },
        tool_calls: Some(calls).filter(|calls| !calls.is_empty()),
        reasoning_content: Some(thoughts).filter(|thoughts| !thoughts.is_empty()),
        reasoning_details: Some(details).filter(|details| !details.is_empty()),
    }
}

impl ChatUsage {
    fn of(answer: &Answer<'_>) -> Self {
        let usage: &Usage = &answer.done.usage;
        let read = usage.cache_read_input_tokens.unwrap_or_default();
        let written = usage.cache_write_input_tokens.unwrap_or_default();
        let prompt_tokens = usage
            .input_tokens
            .saturating_add(read)
            .saturating_add(written);
        let thought = |piece: Piece| match piece.what {
            What::Reasoning(reasoning) => estimate_tokens(&reasoning.text.unwrap_or_default()),
            What::Text(_)
            | What::ToolUse { .. }
            | What::Citation(_)
            | What::ToolResult(_)
            | What::Image(_) => 0,
        };
        let thoughts = answer.output.pieces().into_iter().map(thought);
        let thoughts: u64 = thoughts.map(u64::from).sum();
        Self {
            prompt_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: prompt_tokens.saturating_add(usage.output_tokens),
            prompt_tokens_details: PromptDetails {
                cached_tokens: read,
                cache_write_tokens: written,
            },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: thoughts.min(usage.output_tokens),
            },
        }
    }
}

/// Why an answer ended, in OpenAI's words.
fn finish_reason(stop_reason: &str) -> &'static str {
    match stop_reason {
        "tool_use" => "tool_calls",
        "max_tokens" | "model_context_window_exceeded" | "deadline" => "length",
        "guardrail_intervened" | "content_filtered" => "content_filter",
        _ => "stop",
    }
}
