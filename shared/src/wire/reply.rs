//! What a model answers.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::media::Json;
use super::options::{Latency, PerformanceConfig};
use super::piece::{Piece, What};
use super::stream::ReasoningDelta;
use crate::cost::{ServiceTier, Usage};

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
    pub(super) service_tier: Option<ServedTier>,
    /// Fields of the model's own, where they were asked for.
    pub additional_model_response_fields: Option<Json>,
    /// What guardrail and prompt router did.
    #[serde(default, deserialize_with = "or_default")]
    pub trace: Trace,
    /// Whether it was served at optimized latency.
    #[serde(default)]
    pub(super) performance_config: Option<PerformanceConfig>,
}

/// Reads null as nothing said.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What guardrail and prompt router did.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Trace {
    /// The guardrail's findings.
    pub guardrail: Option<GuardrailTrace>,
    /// The prompt router's choice.
    prompt_router: Option<PromptRouter>,
}

/// What a guardrail found. What the model would have said stays out of it: the guardrail is there to keep that back.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GuardrailTrace {
    /// Why it stepped in, in words.
    pub action_reason: Option<String>,
    /// Findings in the question, by guardrail.
    pub input_assessment: Option<Value>,
    /// Findings in the answer, by guardrail.
    pub output_assessments: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptRouter {
    invoked_model_id: String,
}

/// The envelope of a message.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Output {
    /// Role and content.
    #[schema(value_type = Object)]
    pub message: Box<RawValue>,
}

/// Bedrock's own measurements.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Milliseconds in Bedrock.
    #[serde(default)]
    pub latency_ms: u64,
}

/// The tier that served an answer.
#[derive(Debug, Deserialize)]
pub struct ServedTier {
    r#type: ServiceTier,
}

/// Characters of a piece of text that did not come in pieces.
const PIECE: usize = 200;

/// What we read of a block.
#[derive(Deserialize)]
struct Block {
    text: Option<String>,
    #[serde(rename = "citationsContent")]
    cited: Option<Cited>,
    #[serde(rename = "toolUse")]
    call: Option<Call>,
    #[serde(rename = "reasoningContent")]
    reasoning: Option<Reasoning>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Reasoning {
    ReasoningText(ReasoningDelta),
    RedactedContent(String),
}

#[derive(Deserialize)]
struct Cited {
    #[serde(default)]
    content: Vec<CitedText>,
}

#[derive(Deserialize)]
struct CitedText {
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    tool_use_id: String,
    name: String,
    input: Json,
}

impl Block {
    fn into_pieces(self) -> Vec<What> {
        if let Some(call) = self.call {
            return vec![What::ToolUse {
                id: call.tool_use_id,
                name: call.name,
                input: call.input.get().to_owned(),
            }];
        }
        match self.reasoning {
            Some(Reasoning::ReasoningText(text)) => return vec![What::Reasoning(text)],
            Some(Reasoning::RedactedContent(redacted)) => {
                return vec![What::Reasoning(ReasoningDelta {
                    redacted_content: Some(redacted),
                    ..ReasoningDelta::default()
                })];
            }
            None => {}
        }
        let text: Vec<char> = self.into_text().unwrap_or_default().chars().collect();
        let pieces = text.chunks(PIECE);
        pieces
            .map(|piece| What::Text(piece.iter().collect()))
            .collect()
    }

    fn into_text(self) -> Option<String> {
        let cited = |cited: Cited| {
            cited
                .content
                .into_iter()
                .filter_map(|piece| piece.text)
                .collect()
        };
        self.text.or_else(|| self.cited.map(cited))
    }
}

impl Output {
    /// The message in pieces, as if it had been streamed: text in lengths that a terminal shows at once.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece> {
        let blocks = self.blocks().into_iter().enumerate();
        let pieces = blocks.flat_map(|(index, block)| {
            let whats = block.into_pieces().into_iter();
            whats.map(move |what| Piece { index, what })
        });
        pieces.collect()
    }

    fn blocks(&self) -> Vec<Block> {
        #[derive(Deserialize)]
        struct Content {
            #[serde(default)]
            content: Vec<Block>,
        }
        let content: Option<Content> = serde_json::from_str(self.message.get()).ok();
        content.map(|content| content.content).unwrap_or_default()
    }
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

    /// The texts, cited ones too, joined.
    #[must_use]
    pub fn text(&self) -> String {
        self.blocks()
            .into_iter()
            .filter_map(Block::into_text)
            .collect()
    }

    /// Whether nothing came but perhaps thoughts: no text, no call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks()
            .iter()
            .all(|block| block.text.is_none() && block.cited.is_none() && block.call.is_none())
    }

    /// Whether the model calls tools.
    #[must_use]
    pub fn has_calls(&self) -> bool {
        self.blocks().iter().any(|block| block.call.is_some())
    }

    /// The message in pieces, as if it had been streamed.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece> {
        self.output.pieces()
    }

    fn blocks(&self) -> Vec<Block> {
        self.output.blocks()
    }

    /// The model that a prompt router chose: its id, or its ARN.
    #[must_use]
    pub fn routed_to(&self) -> Option<&str> {
        self.trace
            .prompt_router
            .as_ref()
            .map(|router| router.invoked_model_id.as_str())
    }

    /// Whether it was served at optimized latency, whose price we do not know.
    #[must_use]
    pub fn is_optimized(&self) -> bool {
        self.performance_config
            .is_some_and(|config| config.latency == Latency::Optimized)
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
