//! Converse's JSON: what callers send, what Bedrock takes, what it answers.
//!
//! Text is read; every other block travels as the JSON it came in, and blocks that a reply holds survive whatever they are.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cost::{ServiceTier, Usage};
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

/// One turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Whose turn it is.
    pub role: Role,
    /// What it holds; a plain string is one text block.
    #[serde(deserialize_with = "text_or_blocks")]
    pub content: Vec<ContentBlock>,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// The caller's.
    User,
    /// The model's.
    Assistant,
}

/// A piece of a turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ContentBlock {
    /// Text.
    Text(String),
    /// An image.
    Image(Box<RawValue>),
    /// A document.
    Document(Box<RawValue>),
    /// A video.
    Video(Box<RawValue>),
    /// A call that the model made.
    ToolUse(Box<RawValue>),
    /// What a call gave.
    ToolResult(Box<RawValue>),
    /// What the model thought.
    ReasoningContent(Box<RawValue>),
    /// The prompt up to here may be cached.
    CachePoint(Box<RawValue>),
}

/// A piece of the system prompt.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SystemBlock {
    /// Text.
    Text(String),
    /// The prompt up to here may be cached.
    CachePoint(Box<RawValue>),
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

impl From<String> for ContentBlock {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<String> for SystemBlock {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Reads a list of blocks, or a plain string as one text block.
///
/// # Errors
/// When it is neither.
pub fn text_or_blocks<'de, D, B>(deserializer: D) -> Result<Vec<B>, D::Error>
where
    D: Deserializer<'de>,
    B: Deserialize<'de> + From<String>,
{
    struct Either<B>(std::marker::PhantomData<B>);

    impl<'de, B: Deserialize<'de> + From<String>> Visitor<'de> for Either<B> {
        type Value = Vec<B>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or a list of blocks such as {\"text\": \"...\"}")
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![B::from(text.to_owned())])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(list))
        }
    }

    deserializer.deserialize_any(Either(std::marker::PhantomData))
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
            turns: self.messages.len(),
            images: blocks().any(|block| matches!(block, ContentBlock::Image(_))),
            documents: blocks().any(|block| matches!(block, ContentBlock::Document(_))),
            videos: blocks().any(|block| matches!(block, ContentBlock::Video(_))),
            tools: self.tool_config.is_some() || blocks().any(is_tool),
            max_tokens: self.inference.max_tokens,
            ..Facts::default()
        }
    }

    /// The text of the last user turn.
    #[must_use]
    pub fn prompt(&self) -> Cow<'_, str> {
        let last = self
            .messages
            .iter()
            .rev()
            .find(|message| message.role == Role::User);
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

impl Message {
    /// A user turn of one text.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self {
            role: Role::User,
            content: vec![ContentBlock::Text(text.into())],
        }
    }

    fn check(&self, path: &str) -> Result<(), Error> {
        if self.content.is_empty() {
            return Err(Error::invalid(path, "the message is empty"));
        }
        let blank = |block: &ContentBlock| block.text().is_some_and(|text| text.trim().is_empty());
        match self.content.iter().position(blank) {
            Some(index) => Err(Error::invalid(
                format!("{path}[{index}].text"),
                "the text is blank; Bedrock refuses that",
            )),
            None => Ok(()),
        }
    }
}

impl ContentBlock {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Image(_)
            | Self::Document(_)
            | Self::Video(_)
            | Self::ToolUse(_)
            | Self::ToolResult(_)
            | Self::ReasoningContent(_)
            | Self::CachePoint(_) => None,
        }
    }

    /// Images cost about 1,600 tokens each (Claude's figure for a full-size one); a document about a tenth of its base64.
    fn estimated_tokens(&self) -> u32 {
        match self {
            Self::Text(text) => estimate_tokens(text),
            Self::Image(_) => 1600,
            Self::Document(block) | Self::Video(block) => {
                u32::try_from(block.get().len() / 10).unwrap_or(u32::MAX)
            }
            Self::ToolUse(block) | Self::ToolResult(block) | Self::ReasoningContent(block) => {
                estimate_tokens(block.get())
            }
            Self::CachePoint(_) => 0,
        }
    }
}

impl SystemBlock {
    fn estimated_tokens(&self) -> u32 {
        match self {
            Self::Text(text) => estimate_tokens(text),
            Self::CachePoint(_) => 0,
        }
    }
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
    pub system: &'a [SystemBlock],
    /// How to answer.
    pub inference_config: InferenceConfig,
    /// Tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_config: Option<&'a RawValue>,
}

/// A model's answer, as far as we read it; the message stays as it came.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    /// The message.
    pub output: Output,
    /// Why it ended: `end_turn`, `max_tokens`, `tool_use` ...
    pub stop_reason: String,
    /// Tokens.
    #[serde(default)]
    pub usage: Usage,
    /// Bedrock's own measurements.
    pub metrics: Option<Metrics>,
    /// The tier that served it.
    #[serde(default)]
    service_tier: Option<ServedTier>,
}

/// The envelope of a message.
#[derive(Debug, Serialize, Deserialize)]
pub struct Output {
    /// Role and content.
    pub message: Box<RawValue>,
}

/// Bedrock's own measurements.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Milliseconds in Bedrock.
    pub latency_ms: u64,
}

#[derive(Debug, Deserialize)]
struct ServedTier {
    r#type: ServiceTier,
}

impl Reply {
    /// Reads a reply.
    ///
    /// # Errors
    /// When it is not one; the text never quotes it.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(json).map_err(|error| {
            format!(
                "Bedrock's reply cannot be read: {:?} error",
                error.classify()
            )
        })
    }

    /// The text blocks, joined.
    #[must_use]
    pub fn text(&self) -> String {
        #[derive(Deserialize)]
        struct Content {
            #[serde(default)]
            content: Vec<Block>,
        }
        #[derive(Deserialize)]
        struct Block {
            text: Option<String>,
        }
        let content: Option<Content> = serde_json::from_str(self.output.message.get()).ok();
        let blocks = content.map(|content| content.content).unwrap_or_default();
        blocks.into_iter().filter_map(|block| block.text).collect()
    }

    /// The tier that served it.
    #[must_use]
    pub fn service_tier(&self) -> ServiceTier {
        self.service_tier
            .as_ref()
            .map(|tier| tier.r#type)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(json: &str) -> Result<Message, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn content_is_a_string_or_blocks() {
        let short = message(r#"{"role": "user", "content": "hi"}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&short).unwrap(),
            r#"{"role":"user","content":[{"text":"hi"}]}"#
        );
        let image =
            r#"{"role":"user","content":[{"image":{"format":"png","source":{"bytes":"aGk="}}}]}"#;
        assert_eq!(
            serde_json::to_string(&message(image).unwrap()).unwrap(),
            image
        );
        assert!(
            message(r#"{"role": "user", "content": 1}"#)
                .unwrap_err()
                .contains("a string or a list of blocks")
        );
        let unknown = message(r#"{"role": "user", "content": [{"picture": {}}]}"#).unwrap_err();
        assert!(
            unknown.contains("unknown variant `picture`, expected one of `text`, `image`"),
            "{unknown}"
        );
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

    #[test]
    fn a_reply_keeps_what_it_is_not_read_for() {
        let json = r#"{"output":{"message":{"role":"assistant","content":[{"text":"a"},{"hologram":{"x":1}},{"text":"b"}]}},
            "stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3},"serviceTier":{"type":"flex"},"new":1}"#;
        let reply = Reply::parse(json.as_bytes()).unwrap();
        assert_eq!(reply.text(), "ab");
        assert!(reply.output.message.get().contains("hologram"));
        assert_eq!(reply.service_tier(), ServiceTier::Flex);
        assert!(!Reply::parse(b"{\"secret\"").unwrap_err().contains("secret"));
    }
}
