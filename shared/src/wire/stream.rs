//! An answer that comes in pieces: its events, and what they add up to.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::media::Json;
use super::options::PerformanceConfig;
use super::reply::{Metrics, Output, Reply, ServedTier, Trace};
use super::union;
use crate::cost::Usage;

/// An event of ConverseStream.
#[derive(Debug)]
pub enum StreamEvent {
    /// The answer begins.
    MessageStart,
    /// A block other than text begins.
    BlockStart(BlockStart),
    /// A piece of a block.
    Delta(BlockDelta),
    /// A block ends.
    BlockStop,
    /// The answer ends.
    MessageStop(MessageStop),
    /// Tokens and measurements, the last event.
    Metadata(Box<Metadata>),
    /// An event that we do not know.
    Unknown,
}

/// A block begins.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockStart {
    /// Its place in the message.
    pub content_block_index: usize,
    /// One key, the kind of the block, with what is known of it.
    pub start: Map<String, Value>,
}

/// A piece of a block.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockDelta {
    /// The block's place in the message.
    pub content_block_index: usize,
    /// The piece.
    #[serde(deserialize_with = "union::one")]
    pub delta: Delta,
}

/// A piece of a block.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Delta {
    /// Text.
    Text(String),
    /// A part of a tool's input, which is JSON once it is whole.
    ToolUse(ToolUseDelta),
    /// A part of what the model thinks.
    ReasoningContent(ReasoningDelta),
    /// A citation of the text before it.
    Citation(Value),
    /// Parts of what a tool gave that Bedrock ran.
    ToolResult(Vec<Value>),
    /// A part of an image.
    Image(Map<String, Value>),
}

/// A part of a tool's input.
#[derive(Debug, Deserialize)]
pub struct ToolUseDelta {
    /// A part of its JSON text.
    pub input: String,
}

/// A part of what the model thinks: words, the seal on them, or encrypted bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReasoningDelta {
    /// Words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The model's seal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Encrypted bytes, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redacted_content: Option<String>,
}

/// The answer ends.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageStop {
    /// Why.
    pub stop_reason: String,
    /// Fields of the model's own.
    pub additional_model_response_fields: Option<Json>,
}

/// Tokens and measurements. Only the tokens must be there and be read; the rest may be new to us.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Tokens.
    pub usage: Usage,
    /// Bedrock's own measurements.
    #[serde(default, deserialize_with = "if_known")]
    pub metrics: Option<Metrics>,
    /// What guardrail and prompt router did.
    #[serde(default, deserialize_with = "if_known")]
    pub trace: Option<Trace>,
    /// Whether it was served at optimized latency.
    #[serde(default, deserialize_with = "if_known")]
    pub performance_config: Option<PerformanceConfig>,
    /// The tier that served it.
    #[serde(default, deserialize_with = "if_known")]
    pub service_tier: Option<ServedTier>,
}

/// A value, if it can be read.
fn if_known<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let json = Json::deserialize(deserializer)?;
    Ok(serde_json::from_str(json.get()).ok())
}

impl StreamEvent {
    /// Reads an event by its name.
    ///
    /// # Errors
    /// When it cannot be read; the text never quotes it.
    pub fn parse(name: &str, json: &[u8]) -> Result<Self, String> {
        let event = match name {
            "messageStart" => Ok(Self::MessageStart),
            "contentBlockStart" => serde_json::from_slice(json).map(Self::BlockStart),
            "contentBlockDelta" => serde_json::from_slice(json)
                .map(Self::Delta)
                .or_else(|error| match error.is_data() {
                    // A kind of piece that is not known yet.
                    true => Ok(Self::Unknown),
                    false => Err(error),
                }),
            "contentBlockStop" => Ok(Self::BlockStop),
            "messageStop" => serde_json::from_slice(json).map(Self::MessageStop),
            "metadata" => serde_json::from_slice(json).map(Self::Metadata),
            _ => Ok(Self::Unknown),
        };
        event.map_err(|error| {
            format!(
                "an event {name} of Bedrock's cannot be read: {:?} error",
                error.classify()
            )
        })
    }
}

/// What has come of an answer so far.
#[derive(Debug, Default)]
pub struct Partial {
    blocks: Vec<Block>,
    stop: Option<MessageStop>,
    metadata: Option<Box<Metadata>>,
    /// An event came that we do not know.
    pub unknown: bool,
}

/// A block so far.
#[derive(Debug, Default)]
struct Block {
    /// What the start said: a kind, and fields.
    start: Map<String, Value>,
    text: String,
    input: String,
    reasoning: ReasoningDelta,
    citations: Vec<Value>,
    results: Vec<Value>,
    image: Map<String, Value>,
}

/// More blocks than this are no answer.
const MOST_BLOCKS: usize = 10_000;

impl Partial {
    /// Adds an event.
    pub fn add(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::MessageStart | StreamEvent::BlockStop => {}
            StreamEvent::BlockStart(start) => {
                if let Some(block) = self.block(start.content_block_index) {
                    block.start = start.start;
                }
            }
            StreamEvent::Delta(delta) => {
                if let Some(block) = self.block(delta.content_block_index) {
                    block.add(delta.delta);
                }
            }
            StreamEvent::MessageStop(stop) => self.stop = Some(stop),
            StreamEvent::Metadata(metadata) => self.metadata = Some(metadata),
            StreamEvent::Unknown => self.unknown = true,
        }
    }

    fn block(&mut self, index: usize) -> Option<&mut Block> {
        if index >= self.blocks.len() && index < MOST_BLOCKS {
            self.blocks.resize_with(index + 1, Block::default);
        }
        self.blocks.get_mut(index)
    }

    /// The call that a piece of a tool's input belongs to: id and name.
    #[must_use]
    pub fn call(&self, index: usize) -> Option<(&str, &str)> {
        let call = self.blocks.get(index)?.start.get("toolUse")?;
        Some((
            call.get("toolUseId")?.as_str()?,
            call.get("name")?.as_str()?,
        ))
    }

    /// Whether the answer and its tokens are whole.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.stop.is_some() && self.metadata.is_some()
    }

    /// Whether nothing of the answer has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.iter().all(Block::is_empty)
    }

    /// The text so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.blocks
            .iter()
            .map(|block| block.text.as_str())
            .collect()
    }

    /// All that was written so far, for an estimate of its tokens: text, input of tools, reasoning.
    pub fn written(&self) -> impl Iterator<Item = &str> {
        self.blocks.iter().flat_map(|block| {
            [
                block.text.as_str(),
                &block.input,
                block.reasoning.text.as_deref().unwrap_or_default(),
            ]
        })
    }

    /// The reply it adds up to; `ended` is why it ended where Bedrock did not say, and `usage` stands in for tokens that it did
    /// not tell.
    #[must_use]
    pub fn into_reply(self, ended: &str, usage: Usage) -> Reply {
        let content: Vec<_> = self
            .blocks
            .into_iter()
            .filter_map(Block::into_json)
            .collect();
        let message = json!({ "role": "assistant", "content": content });
        let (stop_reason, fields) = match self.stop {
            Some(stop) => (stop.stop_reason, stop.additional_model_response_fields),
            None => (ended.to_owned(), None),
        };
        let metadata = self.metadata.map_or_else(
            || Metadata {
                usage,
                metrics: None,
                trace: None,
                performance_config: None,
                service_tier: None,
            },
            |metadata| *metadata,
        );
        Reply {
            output: Output {
                message: to_raw_value(&message).unwrap_or_else(|_| RawValue::NULL.to_owned()),
            },
            stop_reason,
            usage: metadata.usage,
            metrics: metadata.metrics,
            service_tier: metadata.service_tier,
            additional_model_response_fields: fields,
            trace: metadata.trace.unwrap_or_default(),
            performance_config: metadata.performance_config,
        }
    }
}

impl Block {
    fn add(&mut self, delta: Delta) {
        let append = |to: &mut Option<String>, more: Option<String>| {
            if let Some(more) = more {
                to.get_or_insert_default().push_str(&more);
            }
        };
        match delta {
            Delta::Text(text) => self.text.push_str(&text),
            Delta::ToolUse(call) => self.input.push_str(&call.input),
            Delta::ReasoningContent(more) => {
                append(&mut self.reasoning.text, more.text);
                append(&mut self.reasoning.signature, more.signature);
                append(&mut self.reasoning.redacted_content, more.redacted_content);
            }
            Delta::Citation(citation) => self.citations.push(citation),
            Delta::ToolResult(results) => self.results.extend(results),
            Delta::Image(part) => self.image.extend(part),
        }
    }

    fn is_empty(&self) -> bool {
        let ReasoningDelta {
            text,
            redacted_content,
            ..
        } = &self.reasoning;
        let nothing = self.text.is_empty()
            && self.input.is_empty()
            && self.results.is_empty()
            && self.image.is_empty();
        nothing && text.is_none() && redacted_content.is_none() && self.start.is_empty()
    }

    /// The block as Converse has it; `None` for one that nothing came of.
    fn into_json(self) -> Option<Value> {
        let ReasoningDelta {
            text,
            signature,
            redacted_content,
        } = self.reasoning;
        if let Some((kind, Value::Object(mut fields))) = self.start.into_iter().next() {
            match kind.as_str() {
                // Input that is cut off is no JSON; it is told as the text that it is.
                "toolUse" if self.input.is_empty() => fields.insert("input".into(), json!({})),
                "toolUse" => fields.insert(
                    "input".into(),
                    serde_json::from_str(&self.input).unwrap_or(Value::String(self.input)),
                ),
                "toolResult" => fields.insert("content".into(), self.results.into()),
                _ => {
                    fields.extend(self.image);
                    None
                }
            };
            return Some(json!({ kind: fields }));
        }
        if let Some(redacted) = redacted_content {
            Some(json!({ "reasoningContent": { "redactedContent": redacted } }))
        } else if text.is_some() || signature.is_some() {
            let mut fields = json!({ "text": text.unwrap_or_default() });
            if let (Some(signature), Value::Object(fields)) = (signature, &mut fields) {
                fields.insert("signature".into(), signature.into());
            }
            Some(json!({ "reasoningContent": { "reasoningText": fields } }))
        } else if !self.citations.is_empty() {
            Some(
                json!({ "citationsContent": { "content": [{ "text": self.text }], "citations": self.citations } }),
            )
        } else if self.text.is_empty() {
            None
        } else {
            Some(json!({ "text": self.text }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(events: &[(&str, Value)]) -> Partial {
        let mut partial = Partial::default();
        for (name, json) in events {
            partial.add(StreamEvent::parse(name, json.to_string().as_bytes()).unwrap());
        }
        partial
    }

    fn delta(index: usize, delta: Value) -> (&'static str, Value) {
        (
            "contentBlockDelta",
            json!({ "contentBlockIndex": index, "delta": delta, "p": "abcdef" }),
        )
    }

    #[test]
    fn events_add_up_to_a_reply() {
        let partial = added(&[
            ("messageStart", json!({ "role": "assistant" })),
            delta(0, json!({ "reasoningContent": { "text": "h" } })),
            delta(0, json!({ "reasoningContent": { "text": "m" } })),
            delta(0, json!({ "reasoningContent": { "signature": "s" } })),
            delta(1, json!({ "text": "he" })),
            delta(1, json!({ "text": "llo" })),
            (
                "contentBlockStart",
                json!({ "contentBlockIndex": 2, "start": { "toolUse": { "toolUseId": "1", "name": "a" } } }),
            ),
            delta(2, json!({ "toolUse": { "input": "{\"b\"" } })),
            delta(2, json!({ "toolUse": { "input": ":1}" } })),
            delta(3, json!({ "text": "cited" })),
            delta(3, json!({ "citation": { "title": "t" } })),
            delta(4, json!({ "hologram": 1 })),
            ("contentBlockStop", json!({ "contentBlockIndex": 3 })),
            ("messageStop", json!({ "stopReason": "tool_use" })),
            (
                "metadata",
                json!({ "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 }, "metrics": { "latencyMs": 4 } }),
            ),
        ]);
        assert!(partial.is_whole() && partial.unknown && partial.call(2) == Some(("1", "a")));
        let reply = partial.into_reply("cut", Usage::default());
        let message: Value = serde_json::from_str(reply.output.message.get()).unwrap();
        assert_eq!(
            message["content"],
            json!([
                { "reasoningContent": { "reasoningText": { "text": "hm", "signature": "s" } } },
                { "text": "hello" },
                { "toolUse": { "toolUseId": "1", "name": "a", "input": { "b": 1 } } },
                { "citationsContent": { "content": [{ "text": "cited" }], "citations": [{ "title": "t" }] } },
            ])
        );
        assert_eq!(
            (
                reply.stop_reason.as_str(),
                reply.usage.total_tokens,
                reply.text().as_str()
            ),
            ("tool_use", 3, "hellocited")
        );
    }

    #[test]
    fn what_is_cut_off_is_kept() {
        let partial = added(&[
            delta(0, json!({ "text": "so far" })),
            (
                "contentBlockStart",
                json!({ "contentBlockIndex": 1, "start": { "toolUse": { "toolUseId": "1", "name": "a" } } }),
            ),
            delta(1, json!({ "toolUse": { "input": "{\"b\"" } })),
        ]);
        assert!(!partial.is_whole() && !partial.is_empty());
        let reply = partial.into_reply("deadline", Usage::of(1, 2));
        assert_eq!(
            (reply.stop_reason.as_str(), reply.usage),
            ("deadline", Usage::of(1, 2))
        );
        assert!(reply.output.message.get().contains(r#""input":"{\"b\"""#));
        assert!(
            StreamEvent::parse("metadata", b"{\"secret\"")
                .unwrap_err()
                .contains("metadata")
        );
        assert!(Partial::default().is_empty());
    }
}
