//! What a model answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::media::Json;
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
    service_tier: Option<ServedTier>,
    /// Fields of the model's own, where they were asked for.
    pub additional_model_response_fields: Option<Json>,
    /// What guardrail and prompt router did.
    #[serde(default)]
    pub trace: Trace,
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

    /// The model that a prompt router chose: its id, or its ARN.
    #[must_use]
    pub fn routed_to(&self) -> Option<&str> {
        self.trace
            .prompt_router
            .as_ref()
            .map(|router| router.invoked_model_id.as_str())
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
