//! A conversation, what Converse demands of it, and the body that carries it to Bedrock.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::message::{ContentBlock, Message, Role, SystemBlock};
use crate::error::Error;
use crate::routing::{Facts, estimate_tokens};

/// A conversation to be continued by a model.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// Turns, the oldest first.
    pub messages: Vec<Message>,
    /// Instructions beside the turns.
    pub system: Vec<SystemBlock>,
    /// How to answer.
    pub inference: InferenceConfig,
    /// Tools, as Converse takes them.
    pub tool_config: Option<Box<RawValue>>,
}

/// How to answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InferenceConfig {
    /// The most tokens of the answer, thinking included; at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Texts that end the answer; at most 2,500, none empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_sequences: Option<Vec<String>>,
}

impl Conversation {
    /// Checks what Converse demands of every conversation.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the path of the first wrong field.
    pub fn check(&self) -> Result<(), Error> {
        if self.messages.is_empty() {
            return Err(Error::invalid(
                "messages",
                "there must be at least one message",
            ));
        }
        for (index, message) in self.messages.iter().enumerate() {
            let expected = if index % 2 == 0 {
                Role::User
            } else {
                Role::Assistant
            };
            if message.role != expected {
                let field = format!("messages[{index}].role");
                return Err(Error::invalid(
                    field,
                    "roles must alternate, and a user message comes first",
                ));
            }
            message.check(&format!("messages[{index}].content"))?;
        }
        for (index, block) in self.system.iter().enumerate() {
            if matches!(block, SystemBlock::Text(text) if text.trim().is_empty()) {
                return Err(Error::invalid(
                    format!("system[{index}].text"),
                    "the text is blank; Bedrock refuses that",
                ));
            }
        }
        self.inference.check()
    }

    /// What the decision needs to know of it, the caller's wishes apart.
    #[must_use]
    pub fn facts<'a>(&self, prompt: &'a str) -> Facts<'a> {
        let blocks = || self.messages.iter().flat_map(|message| &message.content);
        let system = self.system.iter().map(SystemBlock::estimated_tokens);
        let tools = self
            .tool_config
            .iter()
            .map(|tools| estimate_tokens(tools.get()));
        let is_tool = |block: &ContentBlock| {
            matches!(
                block,
                ContentBlock::ToolUse(_) | ContentBlock::ToolResult(_)
            )
        };
        Facts {
            prompt,
            input_tokens: blocks()
                .map(ContentBlock::estimated_tokens)
                .chain(system)
                .chain(tools)
                .fold(0, u32::saturating_add),
            system: !self.system.is_empty(),
            images: blocks().any(ContentBlock::shows_an_image),
            documents: blocks().any(|block| matches!(block, ContentBlock::Document(_))),
            videos: blocks().any(|block| matches!(block, ContentBlock::Video(_))),
            cache_points: blocks().any(|block| matches!(block, ContentBlock::CachePoint(_)))
                || self
                    .system
                    .iter()
                    .any(|block| matches!(block, SystemBlock::CachePoint(_))),
            tools: self.tool_config.is_some() || blocks().any(is_tool),
            forced_tool: self.tool_config.as_deref().is_some_and(forces_a_tool),
            prefill: self
                .messages
                .last()
                .is_some_and(|message| message.role == Role::Assistant),
            max_tokens: self.inference.max_tokens,
            ..Facts::default()
        }
    }

    /// The names of the tools that were called, each once.
    #[must_use]
    pub fn tools_called(&self) -> Vec<String> {
        let blocks = self.messages.iter().flat_map(|message| &message.content);
        let mut names: Vec<_> = blocks.filter_map(ContentBlock::tool_called).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The text of the last user turn that has any: in a tool loop the question, not the tools' results.
    #[must_use]
    pub fn prompt(&self) -> Cow<'_, str> {
        let has_text =
            |message: &&Message| message.content.iter().any(|block| block.text().is_some());
        let mut users = self
            .messages
            .iter()
            .rev()
            .filter(|message| message.role == Role::User);
        let last = users.find(has_text);
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
}

/// Whether `toolChoice` is `any` or `tool`.
fn forces_a_tool(tool_config: &RawValue) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Choice {
        tool_choice: Option<Forced>,
    }
    #[derive(Deserialize)]
    struct Forced {
        any: Option<IgnoredAny>,
        tool: Option<IgnoredAny>,
    }
    let choice: Option<Choice> = serde_json::from_str(tool_config.get()).ok();
    choice
        .and_then(|choice| choice.tool_choice)
        .is_some_and(|choice| choice.any.is_some() || choice.tool.is_some())
}

impl InferenceConfig {
    fn check(&self) -> Result<(), Error> {
        let field = |name: &str| format!("inferenceConfig.{name}");
        if self.max_tokens == Some(0) {
            return Err(Error::invalid(
                field("maxTokens"),
                "maxTokens is 0, but must be at least 1",
            ));
        }
        for (name, value) in [("temperature", self.temperature), ("topP", self.top_p)] {
            if let Some(value) = value.filter(|value| !(0.0..=1.0).contains(value)) {
                return Err(Error::invalid(
                    field(name),
                    format!("{name} is {value}, but must be between 0 and 1"),
                ));
            }
        }
        let stops = self.stop_sequences.as_deref().unwrap_or_default();
        if stops.len() > 2500 || stops.iter().any(String::is_empty) {
            return Err(Error::invalid(
                field("stopSequences"),
                "there may be at most 2,500 stop sequences, none of them empty",
            ));
        }
        Ok(())
    }
}

/// A request body as Bedrock takes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConverseBody<'a> {
    /// Turns.
    pub messages: Cow<'a, [Message]>,
    /// Instructions.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub system: Cow<'a, [SystemBlock]>,
    /// How to answer.
    pub inference_config: InferenceConfig,
    /// Tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_config: Option<Cow<'a, RawValue>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_say_what_a_model_must_be_able_to_do() {
        let conversation = |json: &str| Conversation {
            messages: serde_json::from_str(json).unwrap(),
            ..Conversation::default()
        };
        let result = r#"{"toolResult": {"toolUseId": "1", "content": [{"image": {"format": "png", "source": {"bytes": "aGk="}}}]}}"#;
        let facts = |conversation: &Conversation| {
            let facts = conversation.facts("");
            (facts.images, facts.tools, facts.forced_tool, facts.prefill)
        };
        let shown = conversation(&format!(r#"[{{"role": "user", "content": [{result}]}}]"#));
        let asked = r#"{"role": "user", "content": "draw"}, {"role": "assistant", "content": "y"}"#;
        let looped = conversation(&format!(
            r#"[{asked}, {{"role": "user", "content": [{result}]}}]"#
        ));
        assert_eq!(
            (shown.prompt().as_ref(), looped.prompt().as_ref()),
            ("", "draw")
        );
        assert_eq!(facts(&shown), (true, true, false, false));
        let begun = conversation(
            r#"[{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]"#,
        );
        assert_eq!(facts(&begun), (false, false, false, true));
        for (choice, forced) in [
            (r#"{"any": {}}"#, true),
            (r#"{"tool": {"name": "a"}}"#, true),
            (r#"{"auto": {}}"#, false),
        ] {
            let tools =
                RawValue::from_string(format!(r#"{{"tools": [], "toolChoice": {choice}}}"#))
                    .unwrap();
            let told = Conversation {
                tool_config: Some(tools),
                ..conversation(r#"[{"role": "user", "content": "x"}]"#)
            };
            assert_eq!(facts(&told), (false, true, forced, false));
        }
    }

    #[test]
    fn a_conversation_alternates_and_begins_with_the_user() {
        let turn = |role| Message {
            role,
            content: vec![ContentBlock::Text("x".into())],
        };
        let check = |messages| {
            Conversation {
                messages,
                ..Conversation::default()
            }
            .check()
        };
        assert!(
            check(vec![
                turn(Role::User),
                turn(Role::Assistant),
                turn(Role::User)
            ])
            .is_ok()
        );
        for messages in [
            vec![],
            vec![turn(Role::Assistant)],
            vec![turn(Role::User), turn(Role::User)],
        ] {
            assert!(check(messages).is_err());
        }
        assert!(check(vec![Message::user(" \n")]).is_err());
    }
}
