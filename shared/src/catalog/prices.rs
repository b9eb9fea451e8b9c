//! What a model costs, by where and how it is called.
//!
//! The build script compiles this file too, so it names nothing but [`crate::usd`] and [`super::data`].

use serde::{Deserialize, Serialize};

use super::data::Text;
use crate::usd::{Rate, Usd};

/// Prices in one scope.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prices {
    /// Which ids these prices are for.
    pub scope: Scope,
    /// The Region of the bare id, where its price differs from the list price of us-east-1.
    #[serde(skip_serializing_if = "Option::is_none")]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LongContext {
    /// Input tokens that are still priced normally.
    pub above_tokens: u32,
    /// Prices beyond, for the whole request.
    pub prices: TokenPrices,
}

/// Where a call may run and what it is priced by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Text", into = "Text")]
pub enum Scope {
    /// The Region itself, by the bare id.
    InRegion,
    /// A geography, by a profile prefix such as `us` or `eu`.
    Geo(Text),
    /// Any commercial Region, by the `global` profile.
    Global,
}

impl Scope {
    /// As it stands in JSON: `in-region`, `global`, or the profile prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::InRegion => "in-region",
            Self::Geo(prefix) => prefix,
            Self::Global => "global",
        }
    }
}

impl From<Text> for Scope {
    fn from(text: Text) -> Self {
        match text.as_ref() {
            "in-region" => Self::InRegion,
            "global" => Self::Global,
            _ => Self::Geo(text),
        }
    }
}

impl From<Scope> for Text {
    fn from(scope: Scope) -> Self {
        Self::Owned(scope.as_str().to_owned())
    }
}
