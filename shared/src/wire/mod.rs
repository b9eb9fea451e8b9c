//! Converse's JSON: what callers send, what Bedrock takes, what it answers.
//!
//! A request is read into types block by block, so that what Bedrock would refuse is refused here, with the path of the field.
//! Of a reply only what we need is read: its message stays as it came, and blocks that nobody knows yet survive.

pub use conversation::{CACHE_POINTS, Conversation, ConverseBody};
pub use media::{
    AudioBlock, AudioFormat, Base64, BytesSource, DocumentBlock, DocumentFormat, DocumentSource,
    ImageBlock, ImageFormat, Json,
};
pub use message::{
    CachePoint, CacheTtl, ContentBlock, Message, ReasoningContent, ReasoningText, Role,
    SystemContentBlock,
};
pub use options::{
    AdditionalFields, Effort, GuardrailConfig, GuardrailTrace, InferenceConfig,
    JsonSchemaDefinition, Latency, Options, OutputConfig, PerformanceConfig, PromptVariable,
    RESERVED, ServiceTierConfig, ServiceTierName, TextFormat, TextFormatType, TextStructure,
    check_guardrail, fits_metadata,
};
pub use piece::{Piece, What};
pub use reply::{Metrics, Output, Reply};
pub use stream::{BlockDelta, Delta, Partial, ReasoningDelta, StreamEvent};
pub use tool::{
    Empty, SystemTool, Tool, ToolChoice, ToolConfig, ToolInputSchema, ToolResult,
    ToolResultContentBlock, ToolResultStatus, ToolSpec, ToolUse, fits_id,
};

mod conversation;
mod media;
mod message;
mod options;
mod piece;
mod reply;
mod stream;
#[cfg(test)]
#[allow(clippy::too_many_lines, reason = "tables")]
mod tests;
mod tool;
pub mod union;

use utoipa::ToSchema;

/// In the schema, a list of blocks or a plain text that stands for one.
#[derive(ToSchema)]
#[schema(title = "TextOrBlocks")]
#[serde(untagged)]
#[allow(dead_code, missing_docs, reason = "only its schema is used")]
pub enum TextOr<B: ToSchema> {
    Text(String),
    Blocks(Vec<B>),
}
