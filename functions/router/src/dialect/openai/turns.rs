//! From OpenAI's messages to turns of Converse.
//!
//! Turns are joined until roles alternate, and results of parallel calls end up in one turn. What Converse would refuse is refused
//! with the index of the caller's own message.

use std::collections::HashMap;

use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use shared::error::Error;
use shared::wire::{
    Base64, ContentBlock, Conversation, Json, Message, ReasoningContent, ReasoningText, Role,
    SystemContentBlock, ToolResult, ToolResultContentBlock, ToolUse, fits_id,
};

use super::media::{Names, audio, document, image};
use super::request::{ChatMessage, ChatRole, ChatToolCall, Part, ReasoningDetail};

/// Stands where a conversation begins with the assistant: Converse wants the user to begin.
const BEGINNING: &str = ".";
/// Stands beside documents that come without a text.
const ATTACHED: &str = "See the document.";
/// Stands for what a tool gave where it gave nothing: Converse takes no blank text.
const NOTHING: &str = "(no output)";

/// Turns while they are made.
#[derive(Default)]
pub(super) struct Turns {
    system: Vec<SystemContentBlock>,
    messages: Vec<Message>,
    /// Of each block of each turn, the index of the caller's message.
    origins: Vec<Vec<usize>>,
    /// Calls that no tool has answered yet, by the caller's id.
    open: HashMap<String, Open>,
    calls: usize,
    names: Names,
    /// How many messages were left out because they are blank, and instructions were moved.
    blank: usize,
    moved: usize,
    /// The index of the last instruction, and how many turns stood before it.
    last_instruction: Option<(usize, usize)>,
    notes: Vec<String>,
}

/// A call that no tool has answered yet.
struct Open {
    /// The id that Bedrock takes.
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
                self.speak(Role::User, index, blocks)
            }
            ChatRole::Assistant => {
                self.all_answered()?;
                let blocks = self.assistant_blocks(index, message)?;
                self.speak(Role::Assistant, index, blocks)
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
        self.end_with_the_user()?;
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
        if self.blank > 0 {
            notes.push(format!("blank messages were left out: {}", self.blank));
        }
        if self.moved > 0 {
            let words = "instructions within the conversation were put before it";
            notes.push(format!("{words}: {}", self.moved));
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

    /// Some clients send instructions alone, or last of all, and want them followed: then the last is the user's turn.
    fn end_with_the_user(&mut self) -> Result<(), Error> {
        let is_last = |at: usize| at == self.messages.len();
        let is_answered = self
            .messages
            .last()
            .is_none_or(|last| last.role == Role::Assistant);
        let Some((index, _)) = self
            .last_instruction
            .filter(|(_, at)| is_last(*at) && is_answered)
        else {
            return match self.messages.is_empty() {
                true => Err(Error::invalid("messages", "there is nothing to answer")),
                false => Ok(()),
            };
        };
        if let Some(SystemContentBlock::Text(text)) = self.system.pop() {
            self.moved = self
                .moved
                .saturating_sub(usize::from(!self.messages.is_empty()));
            self.notes
                .push("the last system message was sent as the user's".into());
            self.push(Role::User, index, vec![ContentBlock::Text(text)])?;
        }
        Ok(())
    }

    /// Adds what a user or an assistant says, if it is anything.
    fn speak(&mut self, role: Role, index: usize, blocks: Vec<ContentBlock>) -> Result<(), Error> {
        if blocks.is_empty() {
            self.blank += 1;
            return Ok(());
        }
        self.push(role, index, blocks)
    }

    fn instruct(&mut self, index: usize, message: ChatMessage) -> Result<(), Error> {
        self.moved += usize::from(!self.messages.is_empty());
        for part in message.content.into_iter().flatten() {
            match part {
                Part::Text { text } if text.trim().is_empty() => {}
                Part::Text { text } => {
                    self.last_instruction = Some((index, self.messages.len()));
                    self.system.push(SystemContentBlock::Text(text));
                }
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
        let is_text = |block: &ContentBlock| matches!(block, ContentBlock::Text(_));
        let is_document = |block: &ContentBlock| matches!(block, ContentBlock::Document(_));
        if blocks.iter().any(is_document) && !blocks.iter().any(is_text) {
            blocks.push(ContentBlock::Text(ATTACHED.into()));
            self.notes.push(format!(
                "a text was put beside the document of messages[{index}]: Bedrock wants one"
            ));
        }
        Ok(blocks)
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
        if self.open.contains_key(&call.id) {
            let words = format!("two calls of the message have the id {:?}", call.id);
            return Err(Error::invalid(format!("{path}.id"), words));
        }
        // Other systems make ids that Bedrock does not take; they only need to fit together.
        let ours = match fits_id(&call.id) {
            true => call.id.clone(),
            false => format!("call_{}", self.calls),
        };
        let open = Open {
            ours: ours.clone(),
            at,
        };
        self.open.insert(call.id, open);
        Ok(ToolUse {
            tool_use_id: ours,
            name: call.function.name,
            input: arguments(call.function.arguments.as_deref().unwrap_or_default())?,
            r#type: None,
        })
    }

    fn tool_result(&mut self, index: usize, message: ChatMessage) -> Result<ToolResult, Error> {
        let id = message.tool_call_id.unwrap_or_default();
        let Some(open) = self.open.remove(&id) else {
            let words = format!(
                "no assistant message before this has a call {id:?} that is still to be answered"
            );
            return Err(Error::invalid(
                format!("messages[{index}].tool_call_id"),
                words,
            ));
        };
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
        match self.open.iter().min_by_key(|(id, open)| (open.at, *id)) {
            None => Ok(()),
            Some((id, open)) => Err(Error::invalid(
                format!("messages[{}].tool_calls", open.at),
                format!("no tool message answers the call {id:?}"),
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

/// What a call was made with: a JSON object, as text. Models write nothing where they mean an empty one, and what a model wrote wrongly
/// goes back to it as it was.
fn arguments(text: &str) -> Result<Json, Error> {
    let text = match text.trim() {
        "" => "{}",
        text => text,
    };
    let json = serde_json::from_str::<&RawValue>(text).ok();
    let json = match json.filter(|json| json.get().starts_with('{')) {
        Some(json) => to_raw_value(json),
        None => to_raw_value(&json!({ "_raw": text })),
    };
    json.map_err(|error| Error::Internal(error.to_string()))
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
        None => {
            let field = field
                .replace("toolConfig.tools[", "tools[")
                .replace(".toolSpec", ".function");
            Error::Invalid { field, detail }
        }
    }
}
