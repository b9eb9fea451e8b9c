//! What an id did in a time, and what that cost.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use shared::catalog::{Kind, Model, Named, Prices, Reference, Scope};
use shared::config::Config;
use shared::cost::{ServiceTier, Usage, cost};
use shared::usd::Usd;

use crate::figures::{Metric, Table};

/// What an id did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Calls that were answered.
    pub invocations: u64,
    /// Fresh input.
    pub input_tokens: u64,
    /// Output.
    pub output_tokens: u64,
    /// Read from the prompt cache.
    pub cache_read_input_tokens: u64,
    /// Written to the prompt cache.
    pub cache_write_input_tokens: u64,
    /// Images that were made.
    pub images: u64,
    /// By our side's fault.
    pub client_errors: u64,
    /// By Bedrock's fault.
    pub server_errors: u64,
    /// Beyond a quota.
    pub throttles: u64,
    /// Of the answered calls those to a model that Bedrock calls legacy.
    pub legacy_invocations: u64,
    /// The estimate; null where a price is unknown.
    pub cost_usd: Option<Usd>,
}

impl Counts {
    /// Counts and prices the figures of a time.
    #[must_use]
    pub fn of(table: &Table, is_in: impl Fn(Timestamp) -> bool, price: &Price<'_>) -> Self {
        let part = Part { table, is_in };
        Self::from(|metric| part.sum(metric), price)
    }

    /// Counts and prices the figures that begin at a moment.
    #[must_use]
    pub fn at(table: &Table, time: Timestamp, price: &Price<'_>) -> Self {
        let value = |metric| table.get(&metric)?.get(&time).copied().map(whole);
        Self::from(|metric| value(metric).unwrap_or(0), price)
    }

    fn from(sum: impl Fn(Metric) -> u64, price: &Price<'_>) -> Self {
        let mut counts = Self {
            invocations: sum(Metric::Invocations),
            input_tokens: sum(Metric::InputTokens),
            output_tokens: sum(Metric::OutputTokens),
            cache_read_input_tokens: sum(Metric::CacheReadTokens),
            cache_write_input_tokens: sum(Metric::CacheWriteTokens),
            images: sum(Metric::Images),
            client_errors: sum(Metric::ClientErrors),
            server_errors: sum(Metric::ServerErrors),
            throttles: sum(Metric::Throttles),
            legacy_invocations: sum(Metric::LegacyInvocations),
            cost_usd: None,
        };
        counts.cost_usd = price.of(&counts);
        counts
    }

    /// Calls, answered or not.
    #[must_use]
    pub fn calls(&self) -> u64 {
        let failed = [self.client_errors, self.server_errors, self.throttles];
        failed
            .into_iter()
            .fold(self.invocations, u64::saturating_add)
    }

    /// Whether there is anything.
    #[must_use]
    pub fn is_any(&self) -> bool {
        let numbers = [
            self.calls(),
            self.all_input(),
            self.output_tokens,
            self.images,
        ];
        numbers.iter().any(|number| *number > 0)
    }

    /// Input, fresh and cached.
    #[must_use]
    pub fn all_input(&self) -> u64 {
        let cached = [self.cache_read_input_tokens, self.cache_write_input_tokens];
        cached
            .into_iter()
            .fold(self.input_tokens, u64::saturating_add)
    }

    /// Tokens as they are priced.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            cache_read_input_tokens: Some(self.cache_read_input_tokens),
            cache_write_input_tokens: Some(self.cache_write_input_tokens),
            ..Usage::of(self.input_tokens, self.output_tokens)
        }
    }
}

/// Figures of a time.
pub struct Part<'t, F> {
    /// All figures.
    pub table: &'t Table,
    /// Which of them count.
    pub is_in: F,
}

impl<F: Fn(Timestamp) -> bool> Part<'_, F> {
    fn values(&self, metric: Metric) -> impl Iterator<Item = (Timestamp, f64)> {
        let values = self.table.get(&metric).into_iter().flatten();
        let values = values.filter(|(time, _)| (self.is_in)(**time));
        values.map(|(time, value)| (*time, *value))
    }

    /// Counts are whole numbers, exact below 2^53.
    fn sum(&self, metric: Metric) -> u64 {
        whole(self.values(metric).map(|(_, value)| value).sum())
    }

    /// The mean of means, each weighed by its invocations.
    pub fn mean(&self, metric: Metric) -> Option<u64> {
        let invocations: BTreeMap<_, _> = self.values(Metric::Invocations).collect();
        let (mut sum, mut weight) = (0.0, 0.0);
        for (time, value) in self.values(metric) {
            let count = invocations.get(&time).copied().unwrap_or(1.0);
            sum += value * count;
            weight += count;
        }
        (weight > 0.0).then(|| whole(sum / weight))
    }

    /// The highest.
    pub fn worst(&self, metric: Metric) -> Option<u64> {
        let values = self.values(metric).map(|(_, value)| value);
        values.reduce(f64::max).map(whole)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count, or milliseconds"
)]
fn whole(value: f64) -> u64 {
    value.round().max(0.0) as u64
}

/// What is known of an id: its model, and what it costs in the scope of the id.
#[derive(Clone, Debug)]
pub struct Price<'a> {
    /// The model, if the catalog knows it.
    pub model: Option<&'a Model>,
    prices: Option<&'a Prices>,
}

impl<'a> Price<'a> {
    /// What is known of an id that was called in a Region. An ARN stands for what the operator says that it stands for.
    #[must_use]
    pub fn find(config: &'a Config, id: &'a str, region: &str) -> Self {
        let Some(Reference { model, scope }) = reference(config, id) else {
            return Self {
                model: None,
                prices: None,
            };
        };
        let scope = scope.unwrap_or(Scope::InRegion);
        Self {
            model: Some(model),
            prices: model.prices_in(&scope, region),
        }
    }

    /// The estimate; none where any price that it takes is unknown.
    fn of(&self, counts: &Counts) -> Option<Usd> {
        let prices = self.prices?;
        match self.model?.kind {
            Kind::Image | Kind::ImageEdit => {
                Some(prices.per_image? * counts.images.max(counts.invocations))
            }
            Kind::Rerank => Some(prices.per_query? * counts.invocations),
            Kind::Text | Kind::Embedding => tokens(&counts.usage(), prices),
        }
    }
}

/// The catalog's model behind an id, and the scope in its name.
#[must_use]
pub fn reference<'a>(config: &'a Config, id: &'a str) -> Option<Reference<'a>> {
    match config.catalog.named(config.policy.known_as(id)) {
        Named::Model(reference) => Some(reference),
        Named::Opaque | Named::Unknown(_) => None,
    }
}

/// What tokens cost. Sums say nothing of the length of a request, so that no surcharge for it applies.
#[must_use]
pub fn tokens(usage: &Usage, prices: &Prices) -> Option<Usd> {
    let base = Prices {
        long_context: None,
        ..prices.clone()
    };
    cost(usage, &base, ServiceTier::Default).map(|cost| cost.total_usd)
}

/// An amount as a float, for what takes no other: charts and metrics.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "it is looked at, not counted on"
)]
pub fn dollars(amount: Usd) -> f64 {
    amount.pico() as f64 / 1e12
}
