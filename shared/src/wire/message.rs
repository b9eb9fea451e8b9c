//! Turns and the blocks they are made of.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::media::{
    AudioBlock, Base64, DocumentBlock, GuardContentBlock, GuardText, IMAGE_TOKENS, ImageBlock,
    Json, SearchResultBlock, VideoBlock,
};
use super::tool::{ToolResult, ToolResultContentBlock, ToolUse, check_object};
use super::union;
use crate::error::Error;
use crate::routing::estimate_tokens;

/// One turn.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Whose turn it is.
    pub role: Role,
    /// What it holds; a plain string is one text block.
    #[serde(deserialize_with = "union::text_or_list")]
    #[schema(value_type = super::TextOr<ContentBlock>)]
    pub content: Vec<ContentBlock>,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// The caller's.
    User,
    /// The model's.
    Assistant,
    /// An instruction in the middle of the conversation.
    System,
}

/// A piece of a turn.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ContentBlock {
    /// Text.
    Text(String),
    /// An image.
    Image(ImageBlock),
    /// A document.
    Document(DocumentBlock),
    /// A video.
    Video(VideoBlock),
    /// A sound.
    Audio(AudioBlock),
    /// A call that the model made.
    ToolUse(ToolUse),
    /// What came of a call.
    ToolResult(ToolResult),
    /// What a guardrail is to look at.
    #[serde(deserialize_with = "union::one")]
    GuardContent(GuardContentBlock),
    /// The prompt up to here may be cached.
    CachePoint(CachePoint),
    /// What the model thought.
    #[serde(deserialize_with = "union::one")]
    ReasoningContent(ReasoningContent),
    /// Text of the model with its citations, as it came.
    #[schema(value_type = Object)]
    CitationsContent(Json),
    /// A search result.
    SearchResult(SearchResultBlock),
    /// A tool that may be used from here on; in system turns.
    #[schema(value_type = Object)]
    ToolAddition(Json),
    /// A tool that may not be used from here on; in system turns.
    #[schema(value_type = Object)]
    ToolRemoval(Json),
}

/// A piece of the system prompt.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SystemContentBlock {
    /// Text.
    Text(String),
    /// What a guardrail is to look at.
    #[serde(deserialize_with = "union::one")]
    GuardContent(GuardContentBlock),
    /// The prompt up to here may be cached.
    CachePoint(CachePoint),
}

/// The prompt up to here may be cached.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CachePoint {
    /// Always `default`.
    #[schema(pattern = "^default$")]
    pub r#type: String,
    /// How long; five minutes if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<CacheTtl>,
}

/// How long a cached prompt lives after its last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum CacheTtl {
    /// Five minutes.
    #[serde(rename = "5m")]
    FiveMinutes,
    /// One hour, at a higher price.
    #[serde(rename = "1h")]
    OneHour,
}

/// What the model thought. It goes back as it came, or the model refuses it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReasoningContent {
    /// In words.
    ReasoningText(ReasoningText),
    /// Encrypted.
    RedactedContent(Base64),
}

/// What the model thought, in words.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasoningText {
    /// The words.
    pub text: String,
    /// The model's seal on them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl From<String> for ContentBlock {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<String> for SystemContentBlock {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl CachePoint {
    /// A cache point that lives so long.
    #[must_use]
    pub fn lasting(ttl: CacheTtl) -> Self {
        let ttl = Some(ttl).filter(|ttl| *ttl != CacheTtl::FiveMinutes);
        Self {
            r#type: "default".into(),
            ttl,
        }
    }

    pub(super) fn check(&self, path: &str) -> Result<(), Error> {
        if self.r#type == "default" {
            Ok(())
        } else {
            Err(Error::invalid(
                format!("{path}.type"),
                format!(
                    "the type of a cache point is \"default\", not {:?}",
                    self.r#type
                ),
            ))
        }
    }
}

impl ReasoningContent {
    /// Whether the model sealed it, so that no other model takes it.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        match self {
            Self::ReasoningText(text) => text.signature.is_some(),
            Self::RedactedContent(_) => true,
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

    pub(super) fn check(&self, path: &str) -> Result<(), Error> {
        if self.content.is_empty() {
            return Err(Error::invalid(path, "the message is empty"));
        }
        for (index, block) in self.content.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if !block.may_stand_in(self.role) {
                let words = format!(
                    "{} may not stand in {} turns",
                    block.name(),
                    self.role.name()
                );
                return Err(Error::invalid(format!("{path}.{}", block.name()), words));
            }
            block.check(&path)?;
        }
        if self
            .content
            .iter()
            .all(|block| matches!(block, ContentBlock::CachePoint(_)))
        {
            return Err(Error::invalid(
                path,
                "a cache point needs something before it that can be cached",
            ));
        }
        Ok(())
    }

    /// At most 20 images and 5 documents a message, and a text beside documents.
    pub(super) fn check_counts(&self, path: &str) -> Result<(), Error> {
        let count = |is_it: fn(&ContentBlock) -> bool| {
            self.content.iter().filter(|block| is_it(block)).count()
        };
        let images = count(|block| matches!(block, ContentBlock::Image(_)));
        let documents = count(|block| matches!(block, ContentBlock::Document(_)));
        if images > 20 {
            Err(Error::invalid(
                path,
                format!("{images} images are more than Bedrock's limit of 20 a message"),
            ))
        } else if documents > 5 {
            Err(Error::invalid(
                path,
                format!("{documents} documents are more than Bedrock's limit of 5 a message"),
            ))
        } else if documents > 0 && count(|block| block.text().is_some()) == 0 {
            Err(Error::invalid(
                path,
                "a document needs a text beside it that says what to do with it",
            ))
        } else {
            Ok(())
        }
    }
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }
}

impl ContentBlock {
    /// Its key.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Image(_) => "image",
            Self::Document(_) => "document",
            Self::Video(_) => "video",
            Self::Audio(_) => "audio",
            Self::ToolUse(_) => "toolUse",
            Self::ToolResult(_) => "toolResult",
            Self::GuardContent(_) => "guardContent",
            Self::CachePoint(_) => "cachePoint",
            Self::ReasoningContent(_) => "reasoningContent",
            Self::CitationsContent(_) => "citationsContent",
            Self::SearchResult(_) => "searchResult",
            Self::ToolAddition(_) => "toolAddition",
            Self::ToolRemoval(_) => "toolRemoval",
        }
    }

    fn may_stand_in(&self, role: Role) -> bool {
        match self {
            Self::Text(_) | Self::CachePoint(_) => true,
            Self::Image(_)
            | Self::Document(_)
            | Self::Video(_)
            | Self::Audio(_)
            | Self::GuardContent(_)
            | Self::SearchResult(_) => role == Role::User,
            // What Bedrock ran itself has its result beside the call.
            Self::ToolResult(result) => {
                role == Role::User || (role == Role::Assistant && result.r#type.is_some())
            }
            Self::ToolUse(_) | Self::ReasoningContent(_) | Self::CitationsContent(_) => {
                role == Role::Assistant
            }
            Self::ToolAddition(_) | Self::ToolRemoval(_) => role == Role::System,
        }
    }

    fn check(&self, path: &str) -> Result<(), Error> {
        let path = format!("{path}.{}", self.name());
        match self {
            Self::Text(text) if text.trim().is_empty() => Err(Error::invalid(
                path,
                "the text is blank; Bedrock refuses that",
            )),
            Self::Image(image) => image.check(&path),
            Self::Document(document) => document.check(&path),
            Self::Video(VideoBlock { source, .. }) | Self::Audio(AudioBlock { source, .. }) => {
                source.check(&path)
            }
            Self::ToolUse(call) => call.check(&path),
            Self::ToolResult(result) => result.check(&path),
            Self::GuardContent(block) => block.check(&path),
            Self::CachePoint(point) => point.check(&path),
            Self::CitationsContent(json) | Self::ToolAddition(json) | Self::ToolRemoval(json) => {
                check_object(json, &path)
            }
            Self::Text(_) | Self::ReasoningContent(_) | Self::SearchResult(_) => Ok(()),
        }
    }

    /// Whether a model must see to take it; tools answer with images too.
    pub(super) fn shows_an_image(&self) -> bool {
        self.is_or_gives(
            |block| {
                matches!(
                    block,
                    Self::Image(_) | Self::GuardContent(GuardContentBlock::Image(_))
                )
            },
            |piece| matches!(piece, ToolResultContentBlock::Image(_)),
        )
    }

    /// Whether a tool has answered with an image.
    pub(super) fn gives_an_image(&self) -> bool {
        self.is_or_gives(
            |_| false,
            |piece| matches!(piece, ToolResultContentBlock::Image(_)),
        )
    }

    pub(super) fn shows_a_document(&self) -> bool {
        self.is_or_gives(
            |block| matches!(block, Self::Document(_)),
            |piece| matches!(piece, ToolResultContentBlock::Document(_)),
        )
    }

    pub(super) fn shows_a_video(&self) -> bool {
        self.is_or_gives(
            |block| matches!(block, Self::Video(_)),
            |piece| matches!(piece, ToolResultContentBlock::Video(_)),
        )
    }

    /// Whether only a model that cites takes it.
    pub(crate) fn wants_citations(&self) -> bool {
        self.is_or_gives(
            |block| {
                matches!(block, Self::SearchResult(_) | Self::CitationsContent(_))
                    || matches!(block, Self::Document(document) if document.is_cited())
            },
            |piece| {
                matches!(piece, ToolResultContentBlock::SearchResult(_))
                    || matches!(piece, ToolResultContentBlock::Document(document) if document.is_cited())
            },
        )
    }

    fn is_or_gives(
        &self,
        is_it: impl Fn(&Self) -> bool,
        gives: impl Fn(&ToolResultContentBlock) -> bool,
    ) -> bool {
        is_it(self) || matches!(self, Self::ToolResult(result) if result.content.iter().any(gives))
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text)
        | Self::GuardContent(GuardContentBlock::Text(GuardText { text, .. })) = self
        {
            Some(text)
        } else {
            None
        }
    }

    /// Text and JSON by their length, an image as [`IMAGE_TOKENS`], a file by its length.
    pub(crate) fn estimated_tokens(&self) -> u32 {
        match self {
            Self::Text(text) => estimate_tokens(text),
            Self::Image(_) => IMAGE_TOKENS,
            Self::Document(document) => document.estimated_tokens(),
            Self::Video(VideoBlock { source, .. }) | Self::Audio(AudioBlock { source, .. }) => {
                source.estimated_tokens()
            }
            Self::ToolUse(call) => call.estimated_tokens(),
            Self::ToolResult(result) => result.estimated_tokens(),
            Self::GuardContent(block) => block.estimated_tokens(),
            Self::ReasoningContent(ReasoningContent::ReasoningText(text)) => {
                // A seal may hold all that the model thought.
                let seal = text.signature.as_ref().map_or(0, String::len) / 6;
                estimate_tokens(&text.text).saturating_add(u32::try_from(seal).unwrap_or(u32::MAX))
            }
            Self::SearchResult(result) => result.estimated_tokens(),
            Self::CitationsContent(json) | Self::ToolAddition(json) | Self::ToolRemoval(json) => {
                estimate_tokens(json.get())
            }
            Self::ReasoningContent(ReasoningContent::RedactedContent(bytes)) => {
                u32::try_from(bytes.len() / 6).unwrap_or(u32::MAX)
            }
            Self::CachePoint(_) => 0,
        }
    }
}

impl SystemContentBlock {
    pub(super) fn check(&self, path: &str) -> Result<(), Error> {
        match self {
            Self::Text(text) if text.trim().is_empty() => Err(Error::invalid(
                format!("{path}.text"),
                "the text is blank; Bedrock refuses that",
            )),
            Self::Text(_) => Ok(()),
            Self::GuardContent(block) => block.check(&format!("{path}.guardContent")),
            Self::CachePoint(point) => point.check(&format!("{path}.cachePoint")),
        }
    }

    pub(crate) fn estimated_tokens(&self) -> u32 {
        match self {
            Self::Text(text) => estimate_tokens(text),
            Self::GuardContent(block) => block.estimated_tokens(),
            Self::CachePoint(_) => 0,
        }
    }
}
