//! What the decision knows of a request.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalog::Task;
use crate::cost::ServiceTier;
use crate::usd::Usd;

/// What the caller would rather have when several models will do.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// The least cost.
    LowerCost,
    /// The order of preference in `routes.json`.
    #[default]
    Balanced,
    /// The highest quality.
    BestQuality,
}

/// The facts of one request. Nothing here is sent anywhere.
#[derive(Clone, Debug, Default)]
pub struct Facts<'a> {
    /// The last user turn, which says what is wanted.
    pub prompt: &'a str,
    /// Input tokens of the whole conversation, estimated by [`estimate_tokens`].
    pub input_tokens: u32,
    /// It has a system prompt.
    pub system: bool,
    /// Images are in it.
    pub images: bool,
    /// Documents are in it.
    pub documents: bool,
    /// Videos are in it.
    pub videos: bool,
    /// Sound is in it.
    pub audio: bool,
    /// Tools have answered with images.
    pub tool_images: bool,
    /// Something in it is to be cited.
    pub citations: bool,
    /// A guardrail looks at it.
    pub guardrail: bool,
    /// Instructions stand among its turns.
    pub system_turns: bool,
    /// The model is asked to think.
    pub thinking: bool,
    /// Parts of it may be written to the prompt cache.
    pub cache_points: bool,
    /// Tools are offered, or were used earlier.
    pub tools: bool,
    /// A tool must be used, whatever the model thinks of it.
    pub forced_tool: bool,
    /// It ends with an assistant turn, which the model is to continue.
    pub prefill: bool,
    /// The task, where the caller named it.
    pub task: Option<Task>,
    /// The budget.
    pub budget: Budget,
    /// The service tier that is asked for.
    pub service_tier: ServiceTier,
    /// The caller's `maxTokens`.
    pub max_tokens: Option<u32>,
    /// The most the call may cost.
    pub max_cost: Option<Usd>,
}

/// A token estimate for text: one for four ASCII bytes, and one for every other character.
///
/// English prose comes out within a fifth of what Bedrock counts, code and digits rather low, Chinese, Japanese and Korean
/// about right. Linear, a fraction of a nanosecond per byte.
#[must_use]
pub fn estimate_tokens(text: &str) -> u32 {
    let ascii = count(text, |byte| byte.is_ascii());
    let other = count(text, |byte| byte >= FIRST_OF_MANY);
    u32::try_from(ascii.div_ceil(4) + other).unwrap_or(u32::MAX)
}

/// From here on, a byte is the first of a character that UTF-8 writes with several.
pub(super) const FIRST_OF_MANY: u8 = 0xC0;

/// How many bytes of a text are of a kind. In steps of 255, so that the compiler can count many bytes at once.
pub(super) fn count(text: &str, is_it: impl Fn(u8) -> bool) -> usize {
    let some = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |sum: u8, byte| sum.wrapping_add(u8::from(is_it(*byte))))
    };
    text.as_bytes()
        .chunks(usize::from(u8::MAX))
        .map(|bytes| usize::from(some(bytes)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_follow_length_and_script() {
        assert_eq!(estimate_tokens(""), 0);
        assert_eq!(
            estimate_tokens("The quick brown fox jumps over the lazy dog."),
            11
        );
        assert_eq!(estimate_tokens("素早い茶色の狐"), 7);
        assert_eq!(estimate_tokens(&"x".repeat(100_000)), 25_000);
    }
}
