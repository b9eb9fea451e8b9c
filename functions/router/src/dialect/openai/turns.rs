//! From OpenAI's messages to turns of Converse.
//!
//! Turns are joined until roles alternate, and results of parallel calls end up in one turn. What Converse would refuse is refused
//! with the index of the caller's own message.

use std::collections::HashSet;

use serde_json::value::{RawValue, to_raw_value};
use shared::error::Error;
use shared::wire::{
    Base64, ContentBlock, Conversation, Json, Message, ReasoningContent, ReasoningText, Role,
    SystemContentBlock, ToolResult, ToolResultContentBlock, ToolUse, fits_id,
};

use super::media::{audio, document, image};
use super::request::{ChatMessage, ChatRole, ChatToolCall, Part, ReasoningDetail};

/// Stands where a conversation begins with the assistant: Converse wants the user to begin.
const BEGINNING: &str = ".";
/// Stands for what a tool gave where it gave nothing: Converse takes no blank text.
const NOTHING: &str = "(no output)";

/// Turns while they are made.
#[derive(Default)]
pub(super) struct Turns {
    system: Vec<SystemContentBlock>,
    messages: Vec<Message>,
    /// Of each block of each turn, the index of the caller's message.
    origins: Vec<Vec<usize>>,
    /// Calls that no tool has answered yet.
    open: Vec<Open>,
    calls: usize,
    names: HashSet<String>,
    notes: Vec<String>,
}

/// A call that no tool has answered yet.
struct Open {
    /// The caller's id, and the one that Bedrock takes.
    id: String,
    ours: String,
    /// The index of the caller's message.
    at: usize,
}

impl Turns {
    pub(super) fn add(&mut self, index: usize, message: ChatMessage) -> Result<(), Error> {
        match message.role {
            ChatRole::System | ChatRole::Developer => self.instruct(index, message),
            ChatRole::User => {
                self.all_answered()?;
                let blocks = self.user_blocks(index, message.content)?;
                self.push(Role::User, index, blocks)
            }
            ChatRole::Assistant => {
                self.all_answered()?;
                let blocks = self.assistant_blocks(index, message)?;
                if blocks.is_empty() {
                    self.notes
                        .push(format!("messages[{index}] is empty and was left out"));
                    return Ok(());
                }
                self.push(Role::Assistant, index, blocks)
            }
            ChatRole::Tool => {
                let result = self.tool_result(index, message)?;
                self.push(Role::User, index, vec![ContentBlock::ToolResult(result)])
            }
        }
    }

    /// The conversation, checked.
    pub(super) fn finish(
        mut self,
        mut conversation: Conversation,
        notes: &mut Vec<String>,
    ) -> Result<Conversation, Error> {
        self.all_answered()?;
        if self.messages.is_empty() {
            // Some clients send instructions alone, and want them followed.
            let Some(SystemContentBlock::Text(text)) = self.system.pop() else {
                return Err(Error::invalid("messages", "there is nothing to answer"));
            };
            self.notes
                .push("the last system message was sent as the user's".into());
            self.push(Role::User, 0, vec![ContentBlock::Text(text)])?;
        }
        if self
            .messages
            .first()
            .is_some_and(|first| first.role == Role::Assistant)
        {
            self.notes
                .push("a user turn was put in front: Bedrock wants the user to begin".into());
            self.messages.insert(0, Message::user(BEGINNING));
            self.origins.insert(0, vec![0]);
        }
        notes.append(&mut self.notes);
        conversation.messages = self.messages;
        conversation.system = self.system;
        let checked = conversation
            .check_parts()
            .and_then(|()| conversation.check_whole());
        checked.map_err(|error| in_the_callers_words(error, &self.origins))?;
        Ok(conversation)
    }

    fn instruct(&mut self, index: usize, message: ChatMessage) -> Result<(), Error> {
        if !self.messages.is_empty() {
            self.notes.push(format!(
                "messages[{index}] is an instruction, and was put before the conversation"
            ));
        }
        for part in message.content.into_iter().flatten() {
            match part {
                Part::Text { text } if text.trim().is_empty() => {}
                Part::Text { text } => self.system.push(SystemContentBlock::Text(text)),
                Part::ImageUrl { .. }
                | Part::File { .. }
                | Part::InputAudio { .. }
                | Part::Refusal { .. } => {
                    let field = format!("messages[{index}].content");
                    return Err(Error::invalid(field, "instructions are text"));
                }
            }
        }
        Ok(())
    }

    fn user_blocks(
        &mut self,
        index: usize,
        parts: Option<Vec<Part>>,
    ) -> Result<Vec<ContentBlock>, Error> {
        let mut blocks = Vec::new();
        for (at, part) in parts.into_iter().flatten().enumerate() {
            let path = format!("messages[{index}].content[{at}]");
            match part {
                Part::Text { text } if text.trim().is_empty() => {}
                Part::Text { text } => blocks.push(ContentBlock::Text(text)),
                Part::ImageUrl { image_url } => {
                    blocks.push(ContentBlock::Image(image(&image_url.url, &path)?));
                }
                Part::File { file } => {
                    blocks.push(ContentBlock::Document(document(
                        file,
                        &path,
                        &mut self.names,
                    )?));
                }
                Part::InputAudio { input_audio } => {
                    blocks.push(ContentBlock::Audio(audio(input_audio, &path)?));
                }
                Part::Refusal { .. } => {
                    return Err(Error::invalid(path, "only an assistant refuses"));
                }
            }
        }
        match blocks.is_empty() {
            true => Err(Error::invalid(
                format!("messages[{index}].content"),
                "the message is blank",
            )),
            false => Ok(blocks),
        }
    }

    fn assistant_blocks(
        &mut self,
        index: usize,
        message: ChatMessage,
    ) -> Result<Vec<ContentBlock>, Error> {
        if message.function_call.is_some_and(|call| !call.is_null()) {
            let field = format!("messages[{index}].function_call");
            return Err(Error::invalid(field, "this is long gone; send tool_calls"));
        }
        let details = message.reasoning_details.into_iter().flatten();
        let mut blocks: Vec<_> = details.filter_map(reasoning).collect();
        for part in message.content.into_iter().flatten() {
            let (Part::Text { text } | Part::Refusal { refusal: text }) = part else {
                let field = format!("messages[{index}].content");
                return Err(Error::invalid(field, "what an assistant says is text"));
            };
            blocks.push(ContentBlock::Text(text));
        }
        blocks.extend(message.refusal.map(ContentBlock::Text));
        blocks.retain(|block| !matches!(block, ContentBlock::Text(text) if text.trim().is_empty()));
        for (at, call) in message.tool_calls.into_iter().flatten().enumerate() {
            let path = format!("messages[{index}].tool_calls[{at}]");
            blocks.push(ContentBlock::ToolUse(self.call(index, call, &path)?));
        }
        Ok(blocks)
    }

    fn call(&mut self, at: usize, call: ChatToolCall, path: &str) -> Result<ToolUse, Error> {
        self.calls += 1;
        let taken = self.open.iter().any(|open| open.id == call.id);
        if taken {
            let words = format!("two calls of the message have the id {:?}", call.id);
            return Err(Error::invalid(format!("{path}.id"), words));
        }
        // Other systems make ids that Bedrock does not take; they only need to fit together.
        let ours = match fits_id(&call.id) {
            true => call.id.clone(),
            false => format!("call_{}", self.calls),
        };
        self.open.push(Open {
            id: call.id,
            ours: ours.clone(),
            at,
        });
        Ok(ToolUse {
            tool_use_id: ours,
            name: call.function.name,
            input: arguments(call.function.arguments.as_deref().unwrap_or_default(), path)?,
            r#type: None,
        })
    }

    fn tool_result(&mut self, index: usize, message: ChatMessage) -> Result<ToolResult, Error> {
        let id = message.tool_call_id.unwrap_or_default();
        let at = self.open.iter().position(|open| open.id == id);
        let Some(at) = at else {
            let words = format!(
                "no assistant message before this has a call {id:?} that is still to be answered"
            );
            return Err(Error::invalid(
                format!("messages[{index}].tool_call_id"),
                words,
            ));
        };
        let open = self.open.remove(at);
        let mut content = Vec::new();
        for (at, part) in message.content.into_iter().flatten().enumerate() {
            let path = format!("messages[{index}].content[{at}]");
            match part {
                Part::Text { text } if text.trim().is_empty() => {}
                Part::Text { text } => content.push(ToolResultContentBlock::Text(text)),
                Part::ImageUrl { image_url } => {
                    content.push(ToolResultContentBlock::Image(image(&image_url.url, &path)?));
                }
                Part::File { file } => {
                    let document = document(file, &path, &mut self.names)?;
                    content.push(ToolResultContentBlock::Document(document));
                }
                Part::InputAudio { .. } | Part::Refusal { .. } => {
                    let words = "what a tool gave is text, images or documents";
                    return Err(Error::invalid(path, words));
                }
            }
        }
        if content.is_empty() {
            content.push(ToolResultContentBlock::Text(NOTHING.into()));
        }
        Ok(ToolResult {
            tool_use_id: open.ours,
            content,
            status: None,
            r#type: None,
        })
    }

    fn all_answered(&self) -> Result<(), Error> {
        match self.open.first() {
            None => Ok(()),
            Some(open) => Err(Error::invalid(
                format!("messages[{}].tool_calls", open.at),
                format!("no tool message answers the call {:?}", open.id),
            )),
        }
    }

    /// Adds blocks to the turn that is open, or opens another.
    fn push(&mut self, role: Role, index: usize, blocks: Vec<ContentBlock>) -> Result<(), Error> {
        let origins = vec![index; blocks.len()];
        match (self.messages.last_mut(), self.origins.last_mut()) {
            (Some(last), Some(known)) if last.role == role => {
                let thought =
                    |block: &ContentBlock| matches!(block, ContentBlock::ReasoningContent(_));
                if last.content.iter().chain(&blocks).any(thought) {
                    let words = "two assistant messages in a row cannot be joined where one holds reasoning";
                    return Err(Error::invalid(format!("messages[{index}]"), words));
                }
                last.content.extend(blocks);
                known.extend(origins);
            }
            _ => {
                self.messages.push(Message {
                    role,
                    content: blocks,
                });
                self.origins.push(origins);
            }
        }
        Ok(())
    }
}

/// What a model thought, as it takes it back.
fn reasoning(detail: ReasoningDetail) -> Option<ContentBlock> {
    let reasoning = match (detail.data, detail.text) {
        (Some(data), _) => ReasoningContent::RedactedContent(Base64::new(data)),
        (None, Some(text)) => ReasoningContent::ReasoningText(ReasoningText {
            text,
            signature: detail.signature,
        }),
        (None, None) => return None,
    };
    Some(ContentBlock::ReasoningContent(reasoning))
}

/// What a call was made with: a JSON object, as text. Models write nothing where they mean an empty one.
fn arguments(text: &str, path: &str) -> Result<Json, Error> {
    let text = match text.trim() {
        "" => "{}",
        text => text,
    };
    let json = serde_json::from_str::<&RawValue>(text).ok();
    match json.filter(|json| json.get().starts_with('{')) {
        Some(json) => to_raw_value(json).map_err(|error| Error::Internal(error.to_string())),
        None => Err(Error::invalid(
            format!("{path}.function.arguments"),
            "arguments must be a JSON object, as text",
        )),
    }
}

/// An error whose path is that of a turn, with the path of the caller's message.
fn in_the_callers_words(error: Error, origins: &[Vec<usize>]) -> Error {
    let Error::Invalid { field, detail } = error else {
        return error;
    };
    let mut numbers = field
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse::<usize>().ok());
    let turn = numbers.next().and_then(|turn| origins.get(turn));
    let block = numbers.next().unwrap_or_default();
    match turn.filter(|_| field.starts_with("messages[")) {
        Some(blocks) => {
            let at = blocks.get(block).or(blocks.first()).copied();
            Error::invalid(format!("messages[{}]", at.unwrap_or_default()), detail)
        }
        None => Error::Invalid { field, detail },
    }
}
