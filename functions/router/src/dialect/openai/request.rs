//! What OpenAI's clients send to `/v1/chat/completions`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use shared::catalog::Task;
use shared::routing::Budget;
use shared::usd::Usd;
use shared::wire::{CacheTtl, GuardrailConfig, Json};
use utoipa::ToSchema;

/// A conversation, and how it is to be answered. Fields that are not listed are taken, left aside, and named in `warnings`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ChatRequest {
    /// Turns, the oldest first.
    pub(super) messages: Vec<ChatMessage>,
    /// `auto`, `auto:` and a budget, or any name of a model: alias, id, inference-profile id, ARN.
    #[schema(example = "auto")]
    pub(super) model: Option<String>,
    /// The most tokens of the answer, thinking included.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1)]
    pub(super) max_tokens: Option<u32>,
    /// The same, by its newer name.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1)]
    pub(super) max_completion_tokens: Option<u32>,
    /// 0 to 2; no model here takes more than 1.
    #[schema(minimum = 0, maximum = 2)]
    pub(super) temperature: Option<f64>,
    /// 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    pub(super) top_p: Option<f64>,
    /// A text that ends the answer, or several.
    #[serde(default, deserialize_with = "one_or_more")]
    #[schema(value_type = Option<Value>)]
    pub(super) stop: Vec<String>,
    /// How many answers: 1.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 1)]
    pub(super) n: Option<u32>,
    /// Answer in chunks.
    pub(super) stream: Option<bool>,
    /// What chunks tell.
    pub(super) stream_options: Option<StreamOptions>,
    /// Functions that the model may call.
    pub(super) tools: Option<Vec<ChatTool>>,
    /// `auto`, `none`, `required`, or one function by its name.
    #[schema(value_type = Option<Value>)]
    pub(super) tool_choice: Option<ChatToolChoice>,
    /// Text, JSON, or JSON by a schema.
    pub(super) response_format: Option<ResponseFormat>,
    /// How hard to think: `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`.
    pub(super) reasoning_effort: Option<String>,
    /// Pairs for Bedrock's invocation log.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub(super) metadata: Option<BTreeMap<String, Value>>,
    /// Who asks, for Bedrock's invocation log.
    pub(super) user: Option<String>,
    /// `auto`, `default`, `flex` or `priority`.
    pub(super) service_tier: Option<String>,
    /// What the answer is made of: text.
    pub(super) modalities: Option<Vec<String>>,
    /// Ours: what it is for; inferred if absent.
    pub(super) task: Option<Task>,
    /// Ours: what the caller would rather have.
    pub(super) budget: Option<Budget>,
    /// Ours: the most it may cost, in US dollars.
    #[serde(rename = "maxCostUsd")]
    #[schema(exclusive_minimum = 0)]
    pub(super) max_cost_usd: Option<Usd>,
    /// Ours: the most time it may take, in milliseconds.
    #[serde(rename = "timeoutMs")]
    #[schema(minimum = 100, maximum = 86400000)]
    pub(super) timeout_ms: Option<u64>,
    /// Ours: place cache points, which last so long, where they pay.
    #[serde(rename = "promptCache")]
    pub(super) prompt_cache: Option<CacheTtl>,
    /// Ours: refuse a model that is gone, in place of asking its successor.
    #[serde(rename = "strictModel")]
    pub(super) strict_model: Option<bool>,
    /// Ours: the guardrail that looks at question and answer.
    #[serde(rename = "guardrailConfig")]
    pub(super) guardrail_config: Option<GuardrailConfig>,
    /// All others.
    #[serde(flatten)]
    #[schema(ignore)]
    pub(super) others: Map<String, Value>,
}

/// What chunks tell.
#[derive(Clone, Copy, Deserialize, ToSchema)]
pub(crate) struct StreamOptions {
    /// Tokens, in a last chunk.
    pub(super) include_usage: Option<bool>,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChatRole {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

/// One turn. Which fields it has depends on the role; others are left aside.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ChatMessage {
    pub(super) role: ChatRole,
    /// A text, or parts.
    #[serde(default, deserialize_with = "parts")]
    #[schema(value_type = Option<Value>)]
    pub(super) content: Option<Vec<Part>>,
    /// Of the assistant: why it would not answer.
    pub(super) refusal: Option<String>,
    /// Of the assistant: calls that it made.
    pub(super) tool_calls: Option<Vec<ChatToolCall>>,
    /// Of a tool: the call that it answers.
    pub(super) tool_call_id: Option<String>,
    /// Of the assistant: what it thought, as it came; models want it back in a tool loop.
    pub(super) reasoning_details: Option<Vec<ReasoningDetail>>,
    /// The old form of a call, which is refused.
    #[schema(value_type = Option<Value>)]
    pub(super) function_call: Option<Value>,
}

/// A part of a turn.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// An image.
    ImageUrl {
        /// Where it is.
        image_url: ImageUrl,
    },
    /// A document.
    File {
        /// The document.
        file: File,
    },
    /// A sound.
    InputAudio {
        /// The sound.
        input_audio: InputAudio,
    },
    /// Why the assistant would not answer.
    Refusal {
        /// In words.
        refusal: String,
    },
}

/// Where an image is.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ImageUrl {
    /// A data URL: `data:image/png;base64,` and the bytes.
    pub(super) url: String,
}

/// A document.
#[derive(Deserialize, ToSchema)]
pub(crate) struct File {
    /// A data URL: `data:application/pdf;base64,` and the bytes.
    pub(super) file_data: Option<String>,
    /// Its name.
    pub(super) filename: Option<String>,
    /// The id of an uploaded file, which is refused: nothing is kept here.
    pub(super) file_id: Option<String>,
}

/// A sound.
#[derive(Deserialize, ToSchema)]
pub(crate) struct InputAudio {
    /// The bytes, in base64.
    pub(super) data: String,
    /// `wav` or `mp3`.
    pub(super) format: String,
}

/// A call that the assistant made.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ChatToolCall {
    pub(super) id: String,
    pub(super) function: CalledFunction,
}

/// What was called.
#[derive(Deserialize, ToSchema)]
pub(crate) struct CalledFunction {
    pub(super) name: String,
    /// JSON, as text.
    pub(super) arguments: Option<String>,
}

/// What a model thought.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ReasoningDetail {
    /// In words.
    pub(super) text: Option<String>,
    /// The model's seal on them.
    pub(super) signature: Option<String>,
    /// Encrypted.
    pub(super) data: Option<String>,
}

/// A function that the model may call.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ChatTool {
    /// `function`.
    pub(super) r#type: String,
    pub(super) function: Option<FunctionDefinition>,
}

/// What a function is called, and takes.
#[derive(Deserialize, ToSchema)]
pub(crate) struct FunctionDefinition {
    pub(super) name: String,
    pub(super) description: Option<String>,
    /// A JSON schema.
    #[schema(value_type = Option<Object>)]
    pub(super) parameters: Option<Json>,
    /// Hold the model to the schema.
    pub(super) strict: Option<bool>,
}

/// Whether a function must be called.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum ChatToolChoice {
    Word(String),
    One(ChosenTool),
}

#[derive(Deserialize)]
pub(crate) struct ChosenTool {
    pub(super) r#type: String,
    pub(super) function: Option<FunctionName>,
    pub(super) allowed_tools: Option<AllowedTools>,
}

#[derive(Deserialize)]
pub(crate) struct FunctionName {
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(crate) struct AllowedTools {
    pub(super) mode: String,
    pub(super) tools: Vec<ChosenTool>,
}

/// The form of the answer.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ResponseFormat {
    /// `text`, `json_object` or `json_schema`.
    pub(super) r#type: String,
    pub(super) json_schema: Option<NamedSchema>,
}

/// A schema with a name.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NamedSchema {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub(super) schema: Option<Json>,
}

impl ChatRequest {
    /// Whether a last chunk tells the tokens.
    pub(super) fn includes_usage(&self) -> bool {
        self.stream_options
            .is_some_and(|options| options.include_usage == Some(true))
    }
}

/// Reads a whole number, also one that is written with a point.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let is_whole = number.fract() == 0.0 && (0.0..=f64::from(i32::MAX)).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole, and within the bounds"
    )]
    let whole = is_whole.then_some(number as u32);
    let whole = whole.ok_or_else(|| D::Error::custom(format!("{number} is no whole number")))?;
    Ok(Some(whole))
}

/// Reads a text, a list of texts, or nothing.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stop {
        One(String),
        More(Vec<String>),
    }
    let stop = Option::<Stop>::deserialize(deserializer)
        .map_err(|_| D::Error::custom("stop is a text or a list of texts"))?;
    Ok(match stop {
        None => Vec::new(),
        Some(Stop::One(text)) => vec![text],
        Some(Stop::More(texts)) => texts,
    })
}

/// Reads a text as one part, a list of parts, or nothing.
fn parts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Part>>, D::Error> {
    deserializer.deserialize_any(Parts)
}

struct Parts;

impl<'de> Visitor<'de> for Parts {
    type Value = Option<Vec<Part>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of parts such as {\"type\": \"text\", \"text\": \"...\"}")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        let text = text.to_owned();
        Ok(Some(vec![Part::Text { text }]))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = list.next_element()? {
            parts.push(part);
        }
        Ok(Some(parts))
    }
}
