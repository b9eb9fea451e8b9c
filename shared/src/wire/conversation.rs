//! A conversation, what Converse demands of it, and the body that carries it to Bedrock.

use std::borrow::Cow;
use std::collections::HashSet;
use std::{iter, mem};

use serde::Serialize;

use super::message::{ContentBlock, Message, Role, SystemContentBlock};
use super::options::Options;
use super::tool::ToolConfig;
use crate::error::Error;
use crate::fit::thinking;
use crate::routing::Facts;

/// A conversation to be continued by a model.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// Turns, the oldest first.
    pub messages: Vec<Message>,
    /// Instructions beside the turns.
    pub system: Vec<SystemContentBlock>,
    /// Tools.
    pub tool_config: Option<ToolConfig>,
    /// How to answer.
    pub options: Options,
}

/// The most cache points of a request.
pub const CACHE_POINTS: usize = 4;

impl Conversation {
    /// Joins turns of the same role that follow each other, and says so: Bedrock wants them to alternate.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the order of turns cannot be mended without loss.
    pub fn alternate(&mut self) -> Result<Option<String>, Error> {
        let mut joined = 0;
        let mut before = None;
        for (index, message) in mem::take(&mut self.messages).into_iter().enumerate() {
            let wrong = |what| Err(Error::invalid(format!("messages[{index}].role"), what));
            if message.role == Role::System {
                self.messages.push(message);
                continue;
            }
            // A seal covers a turn as the model made it.
            let sealed = message
                .content
                .iter()
                .any(|block| matches!(block, ContentBlock::ReasoningContent(_)));
            match (before, self.messages.last_mut()) {
                (None, _) if message.role != Role::User => {
                    return wrong("a conversation begins with a user message");
                }
                (Some((role, was_sealed)), Some(last)) if role == message.role => {
                    if was_sealed || sealed {
                        return wrong(
                            "roles must alternate, and turns with reasoning cannot be joined",
                        );
                    }
                    if last.role == Role::System {
                        return wrong("roles must alternate, also around a system message");
                    }
                    last.content.extend(message.content);
                    joined += 1;
                }
                (None | Some(_), _) => {
                    before = Some((message.role, sealed));
                    self.messages.push(message);
                }
            }
        }
        Ok((joined > 0).then(|| {
            format!(
                "messages of the same role joined, {joined} times: Bedrock wants roles to alternate"
            )
        }))
    }

    /// Checks what Converse demands of every part of a conversation, each by itself.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the path of the first wrong field.
    pub fn check_parts(&self) -> Result<(), Error> {
        for (index, message) in self.messages.iter().enumerate() {
            message.check(&format!("messages[{index}].content"))?;
        }
        for (index, block) in self.system.iter().enumerate() {
            block.check(&format!("system[{index}]"))?;
        }
        self.tool_config
            .as_ref()
            .map_or(Ok(()), ToolConfig::check)?;
        self.options.check()
    }

    /// Checks what Converse demands of the parts together, once turns alternate.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the path of the first wrong field.
    pub fn check_whole(&self) -> Result<(), Error> {
        self.check_calls()?;
        self.check_documents()?;
        for (index, message) in self.messages.iter().enumerate() {
            message.check_counts(&format!("messages[{index}].content"))?;
        }
        let is_prefilled = self
            .messages
            .last()
            .is_some_and(|message| message.role == Role::Assistant);
        if is_prefilled && self.options.schema().is_some() {
            return Err(Error::invalid(
                "outputConfig.textFormat",
                "JSON by a schema cannot continue a turn that is begun; end with a user message",
            ));
        }
        match self.cache_points() {
            points if points > CACHE_POINTS => Err(Error::invalid(
                "cachePoint",
                format!("{points} cache points are more than Bedrock's limit of {CACHE_POINTS}"),
            )),
            _ => Ok(()),
        }
    }

    /// Both checks.
    #[cfg(test)]
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.check_parts()?;
        self.check_whole()
    }

    /// No two documents have the same name.
    fn check_documents(&self) -> Result<(), Error> {
        let mut names = HashSet::new();
        for (m, message) in self.messages.iter().enumerate() {
            for (c, block) in message.content.iter().enumerate() {
                if let ContentBlock::Document(document) = block
                    && !names.insert(&document.name)
                {
                    let words = format!(
                        "two documents are called {:?}; Bedrock wants names that differ",
                        document.name
                    );
                    return Err(Error::invalid(
                        format!("messages[{m}].content[{c}].document.name"),
                        words,
                    ));
                }
            }
        }
        Ok(())
    }

    /// Each call has its result in the next turn, and each result its call in the turn before.
    fn check_calls(&self) -> Result<(), Error> {
        let mut open: HashSet<&str> = HashSet::new();
        for (m, message) in self.messages.iter().enumerate() {
            if message.role == Role::System {
                continue;
            }
            let path = format!("messages[{m}].content");
            close_calls(&mut open, message, &path)?;
            if let Some(id) = open.iter().next() {
                return Err(Error::invalid(
                    path,
                    format!("the result of the call {id:?} is missing"),
                ));
            }
            open_calls(&mut open, message, &path)?;
        }
        match open.iter().next() {
            Some(id) => Err(Error::invalid(
                "messages",
                format!("the result of the call {id:?} is missing at the end"),
            )),
            None => Ok(()),
        }
    }

    fn blocks(&self) -> impl Iterator<Item = &ContentBlock> {
        self.messages.iter().flat_map(|message| &message.content)
    }

    /// Whether tools are offered, or were used earlier.
    #[must_use]
    pub fn uses_tools(&self) -> bool {
        let is_tool = |block: &ContentBlock| {
            matches!(
                block,
                ContentBlock::ToolUse(_) | ContentBlock::ToolResult(_)
            )
        };
        self.tool_config.is_some() || self.blocks().any(is_tool)
    }

    /// How many cache points there are.
    #[must_use]
    pub fn cache_points(&self) -> usize {
        let in_messages = self
            .blocks()
            .filter(|block| matches!(block, ContentBlock::CachePoint(_)))
            .count();
        let in_system = self
            .system
            .iter()
            .filter(|block| matches!(block, SystemContentBlock::CachePoint(_)))
            .count();
        in_messages
            + in_system
            + self
                .tool_config
                .as_ref()
                .map_or(0, ToolConfig::cache_points)
    }

    /// Whether parts are marked for a guardrail, so that it looks at nothing else.
    #[must_use]
    pub fn guards_parts(&self) -> bool {
        self.blocks()
            .any(|block| matches!(block, ContentBlock::GuardContent(_)))
            || self
                .system
                .iter()
                .any(|block| matches!(block, SystemContentBlock::GuardContent(_)))
    }

    /// What the decision needs to know of it, the caller's wishes apart.
    #[must_use]
    pub fn facts<'a>(&'a self, prompt: &'a str) -> Facts<'a> {
        let any = |is_it: fn(&ContentBlock) -> bool| self.blocks().any(is_it);
        let tokens = self.blocks().map(ContentBlock::estimated_tokens);
        let tokens = tokens.chain(self.system.iter().map(SystemContentBlock::estimated_tokens));
        let tokens = tokens.chain(self.tool_config.iter().map(ToolConfig::estimated_tokens));
        let tokens = tokens.chain(iter::once(self.options.estimated_tokens()));
        Facts {
            prompt,
            earlier: self.earlier(),
            input_tokens: tokens.fold(0, u32::saturating_add),
            system: !self.system.is_empty(),
            images: any(ContentBlock::shows_an_image),
            documents: any(ContentBlock::shows_a_document),
            videos: any(ContentBlock::shows_a_video),
            audio: any(|block| matches!(block, ContentBlock::Audio(_))),
            tool_images: any(ContentBlock::gives_an_image),
            citations: any(ContentBlock::wants_citations),
            cache_points: self.cache_points() > 0,
            optimized: self.options.wants_optimized_latency(),
            thinking_budget: thinking::budget(&self.options.additional_model_request_fields),
            guardrail: self.options.guardrail_config.is_some(),
            tools: self.uses_tools(),
            forced_tool: self.tool_config.as_ref().is_some_and(ToolConfig::forces),
            prefill: self
                .messages
                .last()
                .is_some_and(|message| message.role == Role::Assistant),
            system_turns: self
                .messages
                .iter()
                .any(|message| message.role == Role::System),
            thinking: thinking::is_asked_for(&self.options.additional_model_request_fields),
            service_tier: self.options.tier(),
            max_tokens: self.options.inference_config.max_tokens,
            ..Facts::default()
        }
    }

    /// The names of the tools that were called, each once.
    #[must_use]
    pub fn tools_called(&self) -> Vec<String> {
        let called = self.blocks().filter_map(|block| {
            if let ContentBlock::ToolUse(call) = block {
                Some(call.name.clone())
            } else {
                None
            }
        });
        let mut names: Vec<_> = called.collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The text of the last user turn that has any: in a tool loop the question, not the tools' results.
    #[must_use]
    pub fn prompt(&self) -> Cow<'_, str> {
        let last = self.said().next();
        let blocks = last.map_or(&[][..], |message| &message.content);
        let mut texts = blocks.iter().filter_map(ContentBlock::text);
        match (texts.next(), texts.next()) {
            (None, _) => Cow::Borrowed(""),
            (Some(only), None) => Cow::Borrowed(only),
            (Some(first), Some(second)) => {
                let rest = texts.fold(format!("{first}\n{second}"), |all, text| all + "\n" + text);
                Cow::Owned(rest)
            }
        }
    }

    /// The first text of the user turn before that.
    fn earlier(&self) -> Option<&str> {
        let turn = self.said().nth(1)?;
        turn.content.iter().find_map(ContentBlock::text)
    }

    /// The user turns that have text, the last one first.
    fn said(&self) -> impl Iterator<Item = &Message> {
        let has_text =
            |message: &&Message| message.content.iter().any(|block| block.text().is_some());
        let users = self
            .messages
            .iter()
            .rev()
            .filter(|message| message.role == Role::User);
        users.filter(has_text)
    }
}

/// Takes the calls away whose results stand in a turn.
fn close_calls(open: &mut HashSet<&str>, message: &Message, path: &str) -> Result<(), Error> {
    for (index, block) in message.content.iter().enumerate() {
        let ContentBlock::ToolResult(result) = block else {
            continue;
        };
        // What Bedrock ran itself has its result beside it.
        if !open.remove(result.tool_use_id.as_str()) && result.r#type.is_none() {
            let words = format!(
                "no call {:?} stands in the turn before, or it has its result already",
                result.tool_use_id
            );
            return Err(Error::invalid(
                format!("{path}[{index}].toolResult.toolUseId"),
                words,
            ));
        }
    }
    Ok(())
}

/// Adds the calls of a turn, but those that Bedrock ran itself.
fn open_calls<'a>(
    open: &mut HashSet<&'a str>,
    message: &'a Message,
    path: &str,
) -> Result<(), Error> {
    for (index, block) in message.content.iter().enumerate() {
        let ContentBlock::ToolUse(call) = block else {
            continue;
        };
        if call.r#type.is_none() && !open.insert(&call.tool_use_id) {
            let words = format!("two calls have the id {:?}", call.tool_use_id);
            return Err(Error::invalid(
                format!("{path}[{index}].toolUse.toolUseId"),
                words,
            ));
        }
    }
    Ok(())
}

/// A request body as Bedrock takes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConverseBody<'a> {
    /// Turns.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub messages: Cow<'a, [Message]>,
    /// Instructions.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub system: Cow<'a, [SystemContentBlock]>,
    /// Tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_config: Option<Cow<'a, ToolConfig>>,
    /// How to answer.
    #[serde(flatten)]
    pub options: Options,
}
