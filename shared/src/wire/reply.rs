//! What a model answers.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

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
