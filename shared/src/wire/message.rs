//! Turns and the blocks they are made of.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::Error;
use crate::routing::estimate_tokens;

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
    struct Either<B>(PhantomData<B>);

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

    deserializer.deserialize_any(Either(PhantomData))
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

    pub(super) fn check(&self, path: &str) -> Result<(), Error> {
        if self.content.is_empty() {
            return Err(Error::invalid(path, "the message is empty"));
        }
        for (index, block) in self.content.iter().enumerate() {
            block.check(&format!("{path}[{index}]"))?;
        }
        Ok(())
    }
}

impl ContentBlock {
    fn check(&self, path: &str) -> Result<(), Error> {
        if self.text().is_some_and(|text| text.trim().is_empty()) {
            return Err(Error::invalid(
                format!("{path}.text"),
                "the text is blank; Bedrock refuses that",
            ));
        }
        if let Self::Image(block) | Self::Document(block) | Self::Video(block) = self
            && block.get().contains("\"s3Location\"")
        {
            let why = "s3Location is not taken: the function must not read buckets for others; send bytes";
            return Err(Error::invalid(path, why));
        }
        Ok(())
    }

    /// The tool that the model called.
    pub(super) fn tool_called(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Call {
            name: String,
        }
        let Self::ToolUse(block) = self else {
            return None;
        };
        serde_json::from_str::<Call>(block.get())
            .ok()
            .map(|call| call.name)
    }

    /// Whether a model must see to take it; tools answer with images too.
    pub(super) fn shows_an_image(&self) -> bool {
        let in_result = |block: &RawValue| block.get().contains("\"image\"");
        matches!(self, Self::Image(_))
            || matches!(self, Self::ToolResult(block) if in_result(block))
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// Images cost about 1,600 tokens each (Claude's figure for a full-size one); a file in base64 about a tenth of its length; all other
    /// blocks count as the text of their JSON.
    pub(super) fn estimated_tokens(&self) -> u32 {
        match self {
            Self::Text(text) => estimate_tokens(text),
            Self::Image(_) => 1600,
            Self::Document(block) | Self::Video(block) if block.get().contains("\"bytes\"") => {
                u32::try_from(block.get().len() / 10).unwrap_or(u32::MAX)
            }
            Self::Document(block)
            | Self::Video(block)
            | Self::ToolUse(block)
            | Self::ToolResult(block)
            | Self::ReasoningContent(block) => estimate_tokens(block.get()),
            Self::CachePoint(_) => 0,
        }
    }
}

impl SystemBlock {
    pub(super) fn estimated_tokens(&self) -> u32 {
        match self {
            Self::Text(text) => estimate_tokens(text),
            Self::CachePoint(_) => 0,
        }
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
}
