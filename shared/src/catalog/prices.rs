//! What a model costs, by where and how it is called.
//!
//! The build script compiles this file too, so it names nothing but [`crate::usd`] and [`super::data`].

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::data::Text;
use crate::usd::{Rate, Usd};

/// Prices in one scope.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prices {
    /// Which ids these prices are for.
    #[schema(value_type = String, example = "us")]
    pub scope: Scope,
    /// The Region of the bare id, where its price differs from the list price of us-east-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub region: Option<Text>,
    /// Tokens at the standard service tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standard: Option<TokenPrices>,
    /// Tokens at the flex service tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flex: Option<TokenPrices>,
    /// Tokens at the priority service tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<TokenPrices>,
    /// Tokens in batch jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<TokenPrices>,
    /// Tokens of a whole request once its input passes a threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_context: Option<LongContext>,
    /// Per image made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_image: Option<Usd>,
    /// Per image read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_input_image: Option<Usd>,
    /// Per rerank query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_query: Option<Usd>,
    /// Per second of video read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_video_second: Option<Usd>,
    /// Per second of audio read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_audio_second: Option<Usd>,
}

/// The five prices of tokens: USD per million in JSON, pico-dollars per token inside. A missing one is unknown.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenPrices {
    /// Per input token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Rate>,
    /// Per output token, thinking included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Rate>,
    /// Per token read from the prompt cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Rate>,
    /// Per token written to the prompt cache for five minutes.
    #[serde(rename = "cacheWrite5m", skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<Rate>,
    /// Per token written to the prompt cache for an hour.
    #[serde(rename = "cacheWrite1h", skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Rate>,
}

/// What tokens cost when the whole input, cached tokens included, is longer than a threshold.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LongContext {
    /// Input tokens that are still priced normally.
    pub above_tokens: u32,
    /// Prices beyond, for the whole request.
    pub prices: TokenPrices,
}

/// Where a call may run and what it is priced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Text", into = "String")]
pub enum Scope {
    /// The Region itself, by the bare id.
    InRegion,
    /// A geography, by a profile prefix such as `us` or `eu`.
    Geo(Prefix),
    /// Any commercial Region, by the `global` profile.
    Global,
}

/// A profile prefix: one to eight lower-case letters and dashes.
///
/// It stands in the value itself and not behind a pointer, so that the loader has nothing to do for a static table of prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix([u8; 8]);

impl Prefix {
    /// The prefix in bytes, padded with zeros.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The prefix in bytes, padded with zeros.
    #[must_use]
    pub const fn bytes(self) -> [u8; 8] {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 8];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        let is_plain = text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        (is_plain && !text.is_empty()).then_some(Self(bytes))
    }

    fn as_str(&self) -> &str {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(self.0.len());
        self.0
            .get(..end)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }
}

impl Scope {
    /// Reads a scope as it stands in JSON, or the prefix of a profile id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "in-region" => Some(Self::InRegion),
            "global" => Some(Self::Global),
            _ => Prefix::parse(text).map(Self::Geo),
        }
    }

    /// As it stands in JSON: `in-region`, `global`, or the profile prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::InRegion => "in-region",
            Self::Geo(prefix) => prefix.as_str(),
            Self::Global => "global",
        }
    }
}

impl TryFrom<Text> for Scope {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, Self::Error> {
        let wrong = "a scope is in-region, global, or a profile prefix such as us";
        Self::parse(&text).ok_or_else(|| wrong.to_owned())
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_read_as_it_is_written() {
        for text in ["in-region", "global", "us", "us-gov", "apac"] {
            assert_eq!(Scope::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "US", "toolong-for-it", "u s", "\u{e9}"] {
            assert_eq!(Scope::parse(text), None, "{text}");
        }
    }
}
