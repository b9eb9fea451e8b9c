//! What Bedrock's refusals teach: the catalog may be behind, and one refused call is then enough.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// A way to make a request fit that Bedrock's own words have asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Move the system prompt into the first user turn.
    System,
    /// Send no sampling parameters.
    Sampling,
    /// Send no `topP` beside a temperature.
    TopP,
    /// Send no more than so many `maxTokens`.
    MaxTokens(u32),
    /// Send no cache points.
    CachePoints,
    /// Send no reasoning of earlier turns.
    Reasoning,
    /// Send no `outputConfig.textFormat`.
    TextFormat,
    /// Send no `outputConfig.effort`.
    Effort,
    /// Send no `performanceConfig`.
    Performance,
    /// Send no `additionalModelRequestFields` of this name.
    AdditionalField(String),
}

impl Repair {
    /// What a refusal asks for, if its words are known.
    ///
    /// The words are those that Bedrock and the models behind it have been seen to use, as of November 2026.
    #[must_use]
    pub fn asked_for_by(message: &str) -> Option<Self> {
        let says = |words: &str| message.contains(words);
        let unsupported = [
            "not support",
            "n't support",
            "unsupported",
            "not permitted",
            "not allowed",
            "deprecated",
            "not available",
        ];
        let refuses = |name: &str| says(name) && unsupported.iter().any(|words| says(words));
        if let Some(key) = extraneous_key(message) {
            return Some(if key == "cachePoint" {
                Self::CachePoints
            } else {
                Self::AdditionalField(key)
            });
        }
        // A refused schema names keywords and fields that are the caller's.
        if says("output_config.format")
            || says("outputConfig.textFormat")
            || (says("schema") && refuses("structured output"))
        {
            return Some(Self::TextFormat);
        }
        if says("system messages") && refuses("support") {
            Some(Self::System)
        } else if says("`temperature` and `top_p` cannot both") {
            Some(Self::TopP)
        } else if ["`temperature`", "`top_p`", "`top_k`"]
            .iter()
            .any(|name| refuses(name))
        {
            Some(Self::Sampling)
        } else if says("maximum tokens you requested exceeds") {
            let limit = message.split("limit of ").nth(1)?;
            let digits: String = limit.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok().map(Self::MaxTokens)
        } else if refuses("cachePoint") || refuses("prompt caching") {
            Some(Self::CachePoints)
        } else if says("`signature`") || says("reasoningContent") || refuses("reasoning content") {
            Some(Self::Reasoning)
        } else if refuses("effort") {
            Some(Self::Effort)
        } else if refuses("performance") || refuses("latency") {
            Some(Self::Performance)
        } else {
            None
        }
    }

    /// Whether it holds for every request to the model. Seals, schemas, cache points and fields may be wrong in one request
    /// and right in the next.
    #[must_use]
    pub fn is_about_the_model(&self) -> bool {
        match self {
            Self::System | Self::Sampling | Self::TopP | Self::MaxTokens(_) | Self::Performance => {
                true
            }
            Self::CachePoints
            | Self::Reasoning
            | Self::TextFormat
            | Self::Effort
            | Self::AdditionalField(_) => false,
        }
    }
}

/// The key in `#: extraneous key [x] is not permitted`, the words of the schema check before some models. It comes first,
/// because a caller can put any words into a key.
fn extraneous_key(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("extraneous key [")?;
    let (key, _) = rest.split_once("] is not permitted")?;
    Some(key.to_owned())
}

/// What has been learned by this instance of the function, by invoked id.
#[derive(Debug, Default)]
pub struct Learned(RwLock<HashMap<String, Vec<Repair>>>);

/// More than this many repairs of one model are not kept: something else is wrong then.
const MOST: usize = 16;

impl Learned {
    /// What is known of an id.
    #[must_use]
    pub fn of(&self, id: &str) -> Vec<Repair> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(id).cloned().unwrap_or_default()
    }

    /// Keeps a repair for an id.
    pub fn add(&self, id: &str, repair: Repair) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let repairs = known.entry(id.to_owned()).or_default();
        if !repairs.contains(&repair) && repairs.len() < MOST {
            repairs.push(repair);
        }
    }
}

#[cfg(test)]
#[allow(clippy::too_many_lines, reason = "tables")]
mod tests {
    use super::*;

    #[test]
    fn a_known_refusal_asks_for_a_repair() {
        for (message, repair) in [
            (
                "This model doesn't support system messages. Try again without a system message or use a model that supports system messages.",
                Some(Repair::System),
            ),
            (
                "The model returned the following errors: `temperature` is deprecated for this model.",
                Some(Repair::Sampling),
            ),
            (
                "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
                Some(Repair::TopP),
            ),
            (
                "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value that is lower than 4096.",
                Some(Repair::MaxTokens(4096)),
            ),
            (
                "Malformed input request: #/messages/6/content/0: extraneous key [cachePoint] is not permitted",
                Some(Repair::CachePoints),
            ),
            (
                "Malformed input request: #: extraneous key [top_k] is not permitted, please reformat your input and try again.",
                Some(Repair::AdditionalField("top_k".into())),
            ),
            (
                "messages.1.content.0: Invalid `signature` in `thinking` block",
                Some(Repair::Reasoning),
            ),
            (
                "This model doesn't support the effort parameter.",
                Some(Repair::Effort),
            ),
            (
                "This model doesn't support the outputConfig.textFormat field.",
                Some(Repair::TextFormat),
            ),
            (
                "Latency performance configuration is not supported for this model.",
                Some(Repair::Performance),
            ),
            (
                "output_config.format.schema: For 'array' type, property 'temperature' is not supported",
                Some(Repair::TextFormat),
            ),
            (
                "Malformed input request: #: extraneous key [system messages not supported] is not permitted",
                Some(Repair::AdditionalField(
                    "system messages not supported".into(),
                )),
            ),
            ("Too many input tokens.", None),
            ("This model doesn't support tool use.", None),
            ("", None),
        ] {
            assert_eq!(Repair::asked_for_by(message), repair, "{message}");
        }
    }

    #[test]
    fn a_repair_is_kept_once() {
        let learned = Learned::default();
        for _ in 0..3 {
            learned.add("a", Repair::System);
        }
        for limit in 0..100 {
            learned.add("b", Repair::MaxTokens(limit));
        }
        assert_eq!(
            (
                learned.of("a").len(),
                learned.of("b").len(),
                learned.of("c").len()
            ),
            (1, MOST, 0)
        );
    }
}
