//! Tools: what a model may call, what it called, and what came of it.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use super::media::{
    DocumentBlock, IMAGE_TOKENS, ImageBlock, Json, SearchResultBlock, TextPiece, VideoBlock,
};
use super::message::CachePoint;
use super::union;
use crate::error::Error;
use crate::routing::estimate_tokens;

/// The tools a model may call.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolConfig {
    /// At least one.
    #[serde(deserialize_with = "union::list")]
    #[schema(min_items = 1)]
    pub tools: Vec<Tool>,
    /// Whether one must be called; `auto` if absent.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "union::maybe"
    )]
    pub tool_choice: Option<ToolChoice>,
}

/// A tool.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Tool {
    /// One of the caller's.
    ToolSpec(ToolSpec),
    /// One that Bedrock runs.
    SystemTool(SystemTool),
    /// The tools up to here may be cached.
    CachePoint(CachePoint),
}

/// A tool of the caller's.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolSpec {
    /// Letters, digits, `_` and `-`.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-zA-Z0-9_-]+$")]
    pub name: String,
    /// What it does, for the model to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it takes.
    #[serde(deserialize_with = "union::one")]
    pub input_schema: ToolInputSchema,
    /// Hold the model to the schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// What a tool takes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ToolInputSchema {
    /// A JSON schema.
    #[schema(value_type = Object)]
    Json(Json),
}

/// A tool that Bedrock runs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SystemTool {
    /// Its name.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-zA-Z0-9_-]+$")]
    pub name: String,
}

/// Whether a tool must be called.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ToolChoice {
    /// The model decides.
    Auto(Empty),
    /// One of them.
    Any(Empty),
    /// This one.
    Tool(SystemTool),
}

/// An object without fields.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// A call that the model made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolUse {
    /// What the result must name.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-zA-Z0-9_.:-]+$")]
    pub tool_use_id: String,
    /// The tool.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-zA-Z0-9_-]+$")]
    pub name: String,
    /// What it is called with.
    #[schema(value_type = Object)]
    pub input: Json,
    /// `server_tool_use` where Bedrock runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
}

/// What came of a call.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolResult {
    /// The call's.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-zA-Z0-9_.:-]+$")]
    pub tool_use_id: String,
    /// What it gave.
    #[serde(deserialize_with = "union::text_or_list")]
    #[schema(value_type = super::TextOr<ToolResultContentBlock>)]
    pub content: Vec<ToolResultContentBlock>,
    /// Whether it went well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ToolResultStatus>,
    /// The kind of tool, where Bedrock ran it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
}

/// Whether a call went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum ToolResultStatus {
    Success,
    Error,
}

/// A piece of what a call gave.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ToolResultContentBlock {
    /// JSON.
    #[schema(value_type = Object)]
    Json(Json),
    /// Text.
    Text(String),
    /// An image.
    Image(ImageBlock),
    /// A document.
    Document(DocumentBlock),
    /// A video.
    Video(VideoBlock),
    /// A search result.
    SearchResult(SearchResultBlock),
}

impl From<String> for ToolResultContentBlock {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl ToolConfig {
    /// One tool, which must be called.
    #[must_use]
    pub fn forced(name: &str, description: &str, schema: Json) -> Self {
        let tool = Tool::ToolSpec(ToolSpec {
            name: name.to_owned(),
            description: Some(description.to_owned()),
            input_schema: ToolInputSchema::Json(schema),
            strict: None,
        });
        Self {
            tools: vec![tool],
            tool_choice: Some(ToolChoice::Any(Empty {})),
        }
    }

    /// Tools of which only the names are known, because they were called earlier.
    #[must_use]
    pub fn named(names: &[String]) -> Option<Self> {
        let schema = to_raw_value(&json!({ "type": "object" })).ok()?;
        let tool = |name: &String| {
            Tool::ToolSpec(ToolSpec {
                name: name.clone(),
                description: Some("Used earlier in this conversation.".into()),
                input_schema: ToolInputSchema::Json(schema.clone()),
                strict: None,
            })
        };
        Some(Self {
            tools: names.iter().map(tool).collect(),
            tool_choice: None,
        })
    }

    /// Whether `toolChoice` makes the model call a tool.
    pub(super) fn forces(&self) -> bool {
        matches!(
            self.tool_choice,
            Some(ToolChoice::Any(_) | ToolChoice::Tool(_))
        )
    }

    pub(super) fn cache_points(&self) -> usize {
        self.tools
            .iter()
            .filter(|tool| matches!(tool, Tool::CachePoint(_)))
            .count()
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let mut names = HashSet::new();
        for (index, tool) in self.tools.iter().enumerate() {
            let path = format!("toolConfig.tools[{index}]");
            match tool {
                Tool::ToolSpec(spec) => spec.check(&format!("{path}.toolSpec"))?,
                Tool::SystemTool(tool) => {
                    check_name(&tool.name, &format!("{path}.systemTool.name"))?
                }
                Tool::CachePoint(point) => point.check(&format!("{path}.cachePoint"))?,
            }
            let Some(name) = tool.name() else { continue };
            if !names.insert(name) {
                return Err(Error::invalid(path, format!("two tools are called {name}")));
            }
        }
        match &self.tool_choice {
            _ if names.is_empty() => Err(Error::invalid(
                "toolConfig.tools",
                "there must be at least one tool",
            )),
            Some(ToolChoice::Tool(tool)) if !names.contains(tool.name.as_str()) => {
                let words = format!("no tool is called {}", tool.name);
                Err(Error::invalid("toolConfig.toolChoice.tool.name", words))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn estimated_tokens(&self) -> u32 {
        let tokens = self.tools.iter().map(|tool| match tool {
            Tool::ToolSpec(ToolSpec {
                name,
                description,
                input_schema: ToolInputSchema::Json(schema),
                ..
            }) => estimate_tokens(name)
                .saturating_add(estimate_tokens(description.as_deref().unwrap_or_default()))
                .saturating_add(estimate_tokens(schema.get())),
            Tool::SystemTool(tool) => estimate_tokens(&tool.name),
            Tool::CachePoint(_) => 0,
        });
        tokens.fold(0, u32::saturating_add)
    }
}

impl Tool {
    fn name(&self) -> Option<&str> {
        match self {
            Self::ToolSpec(spec) => Some(&spec.name),
            Self::SystemTool(tool) => Some(&tool.name),
            Self::CachePoint(_) => None,
        }
    }
}

impl ToolSpec {
    fn check(&self, path: &str) -> Result<(), Error> {
        check_name(&self.name, &format!("{path}.name"))?;
        if self
            .description
            .as_deref()
            .is_some_and(|text| text.trim().is_empty())
        {
            return Err(Error::invalid(
                format!("{path}.description"),
                "the description is blank; leave it out instead",
            ));
        }
        let ToolInputSchema::Json(schema) = &self.input_schema;
        check_object(schema, &format!("{path}.inputSchema.json"))
    }
}

impl ToolUse {
    pub(super) fn check(&self, path: &str) -> Result<(), Error> {
        check_id(&self.tool_use_id, &format!("{path}.toolUseId"))?;
        check_name(&self.name, &format!("{path}.name"))?;
        check_object(&self.input, &format!("{path}.input"))
    }

    pub(crate) fn estimated_tokens(&self) -> u32 {
        estimate_tokens(&self.name).saturating_add(estimate_tokens(self.input.get()))
    }
}

impl ToolResult {
    pub(super) fn check(&self, path: &str) -> Result<(), Error> {
        check_id(&self.tool_use_id, &format!("{path}.toolUseId"))?;
        for (index, block) in self.content.iter().enumerate() {
            let path = format!("{path}.content[{index}]");
            match block {
                ToolResultContentBlock::Image(image) => image.check(&format!("{path}.image"))?,
                ToolResultContentBlock::Document(document) => {
                    document.check(&format!("{path}.document"))?
                }
                ToolResultContentBlock::Video(video) => {
                    video.source.check(&format!("{path}.video"))?
                }
                ToolResultContentBlock::Json(json) => check_object(json, &format!("{path}.json"))?,
                ToolResultContentBlock::Text(_) | ToolResultContentBlock::SearchResult(_) => {}
            }
        }
        Ok(())
    }

    pub(crate) fn estimated_tokens(&self) -> u32 {
        let tokens = self.content.iter().map(|block| match block {
            ToolResultContentBlock::Json(json) => estimate_tokens(json.get()),
            ToolResultContentBlock::Text(text) => estimate_tokens(text),
            ToolResultContentBlock::Image(_) => IMAGE_TOKENS,
            ToolResultContentBlock::Document(document) => document.estimated_tokens(),
            ToolResultContentBlock::Video(video) => video.source.estimated_tokens(),
            ToolResultContentBlock::SearchResult(result) => result.estimated_tokens(),
        });
        tokens.fold(0, u32::saturating_add)
    }
}

impl SearchResultBlock {
    pub(crate) fn estimated_tokens(&self) -> u32 {
        let head = estimate_tokens(&self.source).saturating_add(estimate_tokens(&self.title));
        self.content
            .iter()
            .map(TextPiece::estimated_tokens)
            .fold(head, u32::saturating_add)
    }
}

fn check_name(name: &str, path: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    check_word(
        name,
        allowed,
        path,
        "a tool's name has 1 to 64 letters, digits, _ and -",
    )
}

fn check_id(id: &str, path: &str) -> Result<(), Error> {
    let rule = "a toolUseId has 1 to 64 letters, digits, _ . : and -";
    check_word(id, may_stand_in_id, path, rule)
}

/// Whether Bedrock takes it as the id of a call.
#[must_use]
pub fn fits_id(id: &str) -> bool {
    fits(id, may_stand_in_id)
}

fn may_stand_in_id(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.:-".contains(c)
}

fn fits(word: &str, allowed: impl Fn(char) -> bool) -> bool {
    (1..=64).contains(&word.len()) && word.chars().all(allowed)
}

fn check_word(
    word: &str,
    allowed: impl Fn(char) -> bool,
    path: &str,
    rule: &str,
) -> Result<(), Error> {
    if fits(word, allowed) {
        Ok(())
    } else {
        Err(Error::invalid(path, format!("{rule}; this is {word:?}")))
    }
}

pub(super) fn check_object(json: &RawValue, path: &str) -> Result<(), Error> {
    if json.get().starts_with('{') {
        Ok(())
    } else {
        Err(Error::invalid(path, "this must be a JSON object"))
    }
}
