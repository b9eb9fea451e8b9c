//! What a call cost: tokens as Bedrock counted them, times the price of the id that was really invoked.

use std::ops::Add;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::catalog::{Prices, TokenPrices};
use crate::usd::{Rate, Usd};

/// Tokens of one call, as Converse reports them. `inputTokens` excludes cached ones; thinking is part of the output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Fresh input tokens.
    pub input_tokens: u64,
    /// Output tokens, thinking included.
    pub output_tokens: u64,
    /// Both, and cached ones.
    pub total_tokens: u64,
    /// Tokens read from the prompt cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_input_tokens: Option<u64>,
    /// Tokens written to the prompt cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_input_tokens: Option<u64>,
    /// Written tokens by time to live.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_none"
    )]
    pub cache_details: Vec<CacheDetail>,
}

/// Reads null as an empty list.
fn null_as_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<CacheDetail>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Tokens written to the prompt cache with one time to live.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CacheDetail {
    /// `5m` or `1h`.
    pub ttl: String,
    /// How many.
    pub input_tokens: u64,
}

impl Usage {
    /// Usage without a cache.
    #[must_use]
    pub fn of(input_tokens: u64, output_tokens: u64) -> Self {
        let total_tokens = input_tokens.saturating_add(output_tokens);
        Self {
            input_tokens,
            output_tokens,
            total_tokens,
            ..Self::default()
        }
    }

    /// Tokens of two calls together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
        };
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            total_tokens: self.total_tokens.saturating_add(other.total_tokens),
            cache_read_input_tokens: sum(
                self.cache_read_input_tokens,
                other.cache_read_input_tokens,
            ),
            cache_write_input_tokens: sum(
                self.cache_write_input_tokens,
                other.cache_write_input_tokens,
            ),
            cache_details: [self.cache_details.clone(), other.cache_details.clone()].concat(),
        }
    }

    fn cache_read(&self) -> u64 {
        self.cache_read_input_tokens.unwrap_or(0)
    }

    /// Written tokens that live an hour, and all others, which live five minutes.
    fn cache_writes(&self) -> (u64, u64) {
        let hour = self
            .cache_details
            .iter()
            .filter(|detail| detail.ttl == "1h");
        let hour = hour
            .map(|detail| detail.input_tokens)
            .fold(0, u64::saturating_add);
        let all = self.cache_write_input_tokens.unwrap_or(0).max(hour);
        (hour, all - hour)
    }
}

/// The service tier that served a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ServiceTier {
    /// The standard tier.
    #[default]
    Default,
    /// Slower and cheaper.
    Flex,
    /// Faster and dearer.
    Priority,
    /// Bought capacity; its price is not per token.
    Reserved,
    /// A tier that we do not know yet.
    #[serde(other)]
    Unknown,
}

impl ServiceTier {
    /// Bedrock's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Reserved => "reserved",
            Self::Unknown => "unknown",
        }
    }
}

/// Exact cost by component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Fresh input.
    pub input_usd: Usd,
    /// Output, thinking included.
    pub output_usd: Usd,
    /// Reads from the prompt cache.
    pub cache_read_usd: Usd,
    /// Writes to the prompt cache, of either time to live.
    pub cache_write_usd: Usd,
    /// The sum.
    pub total_usd: Usd,
    /// What the prompt cache saved, against the same tokens as fresh input: below zero where more was written than read.
    pub cache_saved_usd: Usd,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input_usd: self.input_usd + other.input_usd,
            output_usd: self.output_usd + other.output_usd,
            cache_read_usd: self.cache_read_usd + other.cache_read_usd,
            cache_write_usd: self.cache_write_usd + other.cache_write_usd,
            total_usd: self.total_usd + other.total_usd,
            cache_saved_usd: self.cache_saved_usd + other.cache_saved_usd,
        }
    }
}

impl Cost {
    /// What was read and what was made, with nothing cached.
    #[must_use]
    pub fn of(input_usd: Usd, output_usd: Usd) -> Self {
        Self {
            input_usd,
            output_usd,
            cache_read_usd: Usd::ZERO,
            cache_write_usd: Usd::ZERO,
            total_usd: input_usd + output_usd,
            cache_saved_usd: Usd::ZERO,
        }
    }
}

/// The token prices that apply to one request, if they are known.
fn rates(prices: &Prices, tier: ServiceTier, all_input: u64) -> Option<&TokenPrices> {
    let long = prices
        .long_context
        .as_ref()
        .filter(|long| all_input > u64::from(long.above_tokens));
    match (tier, long) {
        (ServiceTier::Default, None) => prices.standard.as_ref(),
        (ServiceTier::Default, Some(long)) => Some(&long.prices),
        (ServiceTier::Flex, None) => prices.flex.as_ref(),
        (ServiceTier::Priority, None) => prices.priority.as_ref(),
        (ServiceTier::Flex | ServiceTier::Priority, Some(_))
        | (ServiceTier::Reserved | ServiceTier::Unknown, _) => None,
    }
}

/// What some usage costs, or `None` when it used something whose price is unknown.
///
/// A long-context surcharge applies to the whole request once all its input, cached or not, passes the threshold
/// (Bedrock's model cards and price list).
#[must_use]
pub fn cost(usage: &Usage, prices: &Prices, tier: ServiceTier) -> Option<Cost> {
    let (hour, five_minutes) = usage.cache_writes();
    let cached = usage
        .cache_read()
        .saturating_add(hour)
        .saturating_add(five_minutes);
    let rates = rates(prices, tier, usage.input_tokens.saturating_add(cached))?;
    let input_usd = part(usage.input_tokens, rates.input)?;
    let output_usd = part(usage.output_tokens, rates.output)?;
    let cache_read_usd = part(usage.cache_read(), rates.cache_read)?;
    let cache_write_usd =
        part(five_minutes, rates.cache_write_5m)? + part(hour, rates.cache_write_1h)?;
    let total_usd = input_usd + output_usd + cache_read_usd + cache_write_usd;
    let cache_saved_usd = part(cached, rates.input)? - cache_read_usd - cache_write_usd;
    Some(Cost {
        input_usd,
        output_usd,
        cache_read_usd,
        cache_write_usd,
        total_usd,
        cache_saved_usd,
    })
}

/// Nothing used costs nothing, whatever its price.
fn part(tokens: u64, rate: Option<Rate>) -> Option<Usd> {
    if tokens == 0 {
        Some(Usd::ZERO)
    } else {
        Some(rate?.times(tokens))
    }
}

/// The most output tokens that an amount of money buys after the input is paid, or `None` when a price is unknown.
///
/// Input that may be written to the prompt cache is paid at the dearest price it can have.
#[must_use]
pub fn affordable_output(
    limit: Usd,
    input_tokens: u64,
    may_be_cached: bool,
    prices: &Prices,
    tier: ServiceTier,
) -> Option<u64> {
    let rates = rates(prices, tier, input_tokens)?;
    let written = [rates.cache_write_5m, rates.cache_write_1h]
        .into_iter()
        .flatten()
        .filter(|_| may_be_cached);
    let input = written.fold(rates.input?, Rate::max);
    let left = limit.pico() - input.times(input_tokens).pico();
    let rate = i128::from(rates.output?.pico());
    let tokens = if rate == 0 {
        i128::from(u64::MAX)
    } else {
        left.max(0) / rate
    };
    Some(u64::try_from(tokens).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::{Catalog, Scope};

    fn prices(name: &str, scope: &'static str) -> &'static Prices {
        let scope = Scope::parse(scope).unwrap();
        Catalog::built_in()
            .find(name)
            .unwrap()
            .prices_in(&scope, "us-east-1")
            .unwrap()
    }

    fn total(usage: &Usage, prices: &Prices, tier: ServiceTier) -> Option<String> {
        cost(usage, prices, tier).map(|cost| cost.total_usd.to_string())
    }

    #[test]
    fn the_guides_volumes_cost_what_it_says() {
        let volume = Usage::of(1_000_000, 500_000);
        for (name, usd) in [
            ("anthropic.claude-3-5-sonnet-20240620-v1:0", "10.5"),
            ("anthropic.claude-3-haiku-20240307-v1:0", "0.875"),
            ("anthropic.claude-3-opus-20240229-v1:0", "52.5"),
            ("meta.llama3-70b-instruct-v1:0", "4.4"),
            ("meta.llama3-8b-instruct-v1:0", "0.6"),
            ("amazon.titan-text-express-v1", "0.5"),
        ] {
            assert_eq!(
                total(&volume, prices(name, "in-region"), ServiceTier::Default).as_deref(),
                Some(usd),
                "{name}"
            );
        }
    }

    #[test]
    fn five_components_are_priced_apart() {
        let usage = Usage {
            cache_read_input_tokens: Some(1_000_000),
            cache_write_input_tokens: Some(3_000),
            cache_details: vec![
                CacheDetail {
                    ttl: "5m".into(),
                    input_tokens: 2_000,
                },
                CacheDetail {
                    ttl: "1h".into(),
                    input_tokens: 1_000,
                },
            ],
            ..Usage::of(10, 20)
        };
        let cost = cost(
            &usage,
            prices("claude-opus-5-5", "us"),
            ServiceTier::Default,
        )
        .unwrap();
        assert_eq!(cost.input_usd.to_string(), "0.000044");
        assert_eq!(cost.output_usd.to_string(), "0.00044");
        assert_eq!(cost.cache_read_usd.to_string(), "0.22");
        assert_eq!(cost.cache_write_usd.to_string(), "0.0198");
        assert_eq!(cost.total_usd.to_string(), "0.240284");
    }

    #[test]
    fn a_long_context_raises_the_price_of_the_whole_request() {
        let gpt = prices("gpt-6-sol", "global");
        assert_eq!(
            total(&Usage::of(272_000, 0), gpt, ServiceTier::Default).as_deref(),
            Some("0.544")
        );
        assert_eq!(
            total(&Usage::of(272_001, 0), gpt, ServiceTier::Default).as_deref(),
            Some("1.088004")
        );
        let cached = Usage {
            cache_read_input_tokens: Some(272_000),
            ..Usage::of(1, 0)
        };
        assert_eq!(
            total(&cached, gpt, ServiceTier::Default).as_deref(),
            Some("0.108804")
        );
    }

    #[test]
    fn a_tier_has_its_own_price_or_none() {
        let (nova, usage) = (prices("nova-2-lite", "us"), Usage::of(1_000_000, 0));
        assert_eq!(
            total(&usage, nova, ServiceTier::Flex).as_deref(),
            Some("0.165")
        );
        assert_eq!(
            total(&usage, nova, ServiceTier::Priority).as_deref(),
            Some("0.5775")
        );
        assert_eq!(total(&usage, nova, ServiceTier::Reserved), None);
        assert_eq!(
            total(&usage, prices("claude-opus-5-5", "us"), ServiceTier::Flex),
            None
        );
        let cached = Usage {
            cache_write_input_tokens: Some(1),
            ..usage
        };
        assert_eq!(total(&cached, nova, ServiceTier::Flex), None);
        assert_eq!(total(&Usage::of(1, 1), nova, ServiceTier::Unknown), None);
    }

    #[test]
    fn an_unknown_price_is_never_zero() {
        let nova = prices("nova-lite", "us");
        let written = Usage {
            cache_write_input_tokens: Some(5),
            ..Usage::of(1, 1)
        };
        assert_eq!(cost(&written, nova, ServiceTier::Default), None);
        assert!(cost(&Usage::of(1, 1), nova, ServiceTier::Default).is_some());
    }

    proptest! {
        #[test]
        fn cost_is_linear_and_affordable_output_its_inverse(a in 0u64..100_000, b in 0u64..100_000, limit in 0i128..10i128.pow(12)) {
            let opus = prices("claude-opus-5-5", "us");
            let of = |n, m| cost(&Usage::of(n, m), opus, ServiceTier::Default).unwrap().total_usd;
            prop_assert_eq!(of(a, b), of(a, 0) + of(0, b));
            let limit = Usd::from_pico(limit);
            let most = affordable_output(limit, a, false, opus, ServiceTier::Default).unwrap();
            prop_assert!(most == 0 || of(a, most) <= limit);
            prop_assert!(of(a, most + 1) > limit);
            let written = Usage { cache_write_input_tokens: Some(a), cache_details: vec![CacheDetail { ttl: "1h".into(), input_tokens: a }], ..Usage::of(0, 0) };
            let most = affordable_output(limit, a, true, opus, ServiceTier::Default).unwrap();
            let worst = cost(&Usage { output_tokens: most, ..written }, opus, ServiceTier::Default).unwrap().total_usd;
            prop_assert!(most == 0 || worst <= limit);
        }
    }
}
