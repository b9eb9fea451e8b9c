//! Converse's JSON: what callers send, what Bedrock takes, what it answers.
//!
//! Text is read; every other block travels as the JSON it came in, and blocks that a reply holds survive whatever they are.

pub use conversation::{Conversation, ConverseBody, InferenceConfig};
pub use message::{ContentBlock, Message, Role, SystemBlock, text_or_blocks};
pub use reply::{Metrics, Output, Reply};

mod conversation;
mod message;
mod reply;
