//! The report itself: figures priced, summed and compared. Pure: the same figures make the same report.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::Serialize;
use shared::catalog::{Catalog, Kind, Model, Named, Prices, Reference, Scope, Task, Tier};
use shared::cost::{Cost, ServiceTier, Usage, cost};
use shared::usd::Usd;

use crate::figures::{Figures, Gathered, Metric, Series};
use crate::window::Window;

/// The version of this shape; it changes when a field loses its meaning.
const SCHEMA: u32 = 1;

/// What the estimate cannot see.
const BLIND: [&str; 5] = [
    "an estimate from CloudWatch's counts and list prices, not a bill",
    "service tiers, batch jobs and provisioned throughput are priced as the standard tier",
    "surcharges for long contexts are not seen: CloudWatch has sums, not requests",
    "writes to the prompt cache are priced as those of five minutes",
    "images that a model reads, guardrails and Marketplace discounts are not seen",
];

/// An id's use in one Region.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The id as it was called.
    pub model_id: String,
    /// The model's short name; the id itself where the catalog does not know it.
    pub model: String,
    /// Who made it.
    pub provider: String,
    /// The Region that was called.
    pub region: String,
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
    /// Milliseconds to the last token, on average; null where CloudWatch has no figure.
    pub latency_ms: Option<u64>,
    /// The 99th percentile of the worst period.
    pub latency_p99_ms: Option<u64>,
    /// Milliseconds to the first token, on average.
    pub first_token_ms: Option<u64>,
    /// The estimate; null where a price is unknown.
    pub cost_usd: Option<Usd>,
    /// The same of the window before.
    pub previous_cost_usd: Option<Usd>,
}

/// A sum over rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// Calls that were answered.
    pub invocations: u64,
    /// Fresh input, and what was read from and written to the prompt cache.
    pub input_tokens: u64,
    /// Output.
    pub output_tokens: u64,
    /// The estimate, of all whose price is known.
    pub cost_usd: Usd,
    /// The same of the window before.
    pub previous_cost_usd: Usd,
}

/// What was saved against one model for everything.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// The model.
    pub model: String,
    /// What the same tokens of text models would have cost there.
    pub cost_usd: Usd,
    /// The difference.
    pub saved_usd: Usd,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of this shape.
    pub schema: u32,
    /// The hours it is about.
    pub window: Window,
    /// Everything together.
    pub total: Total,
    /// By maker.
    pub providers: BTreeMap<String, Total>,
    /// By Region.
    pub regions: BTreeMap<String, Total>,
    /// By id and Region, the dearest first.
    pub models: Vec<Row>,
    /// Ids that were used and whose price is unknown.
    pub unpriced: Vec<String>,
    /// Against the best model for everything.
    pub baseline: Option<Baseline>,
    /// What thirty days cost at this rate.
    pub thirty_days_usd: Usd,
    /// What somebody should look at.
    pub findings: Vec<String>,
    /// Figures that could not be had.
    pub missing: Vec<String>,
    /// Calls to CloudWatch that it took.
    pub calls: u32,
    /// What the estimate cannot see.
    pub notes: Vec<&'static str>,
}

impl Report {
    /// Makes the report of a window. Figures before it are those of the window before.
    #[must_use]
    pub fn new(catalog: &Catalog, window: Window, gathered: Gathered, today: Date) -> Self {
        let rows = gathered
            .figures
            .iter()
            .map(|figures| row(catalog, &window, figures));
        let mut models: Vec<Row> = rows.filter(Row::is_used).collect();
        models.sort_by(|a, b| (b.cost_usd, &a.model_id).cmp(&(a.cost_usd, &b.model_id)));
        let mut total = Total::default();
        let mut providers: BTreeMap<String, Total> = BTreeMap::new();
        let mut regions: BTreeMap<String, Total> = BTreeMap::new();
        for row in &models {
            total.add(row);
            providers.entry(row.provider.clone()).or_default().add(row);
            regions.entry(row.region.clone()).or_default().add(row);
        }
        let unpriced: BTreeSet<_> = models
            .iter()
            .filter(|row| row.cost_usd.is_none() && row.invocations > 0)
            .map(|row| row.model_id.clone())
            .collect();
        let hours = (window.end.as_second() - window.start.as_second()) / 3600;
        let thirty_days = total.cost_usd.pico() * 720 / i128::from(hours.max(1));
        Self {
            schema: SCHEMA,
            baseline: baseline(catalog, &models),
            findings: findings(catalog, &models, today),
            thirty_days_usd: Usd::from_pico(thirty_days),
            unpriced: unpriced.into_iter().collect(),
            window,
            total,
            providers,
            regions,
            models,
            missing: gathered.missing,
            calls: gathered.calls,
            notes: BLIND.to_vec(),
        }
    }
}

impl Row {
    fn is_used(&self) -> bool {
        let now = self.invocations + self.client_errors + self.server_errors + self.throttles;
        now > 0 || self.previous_cost_usd.is_some_and(|cost| cost > Usd::ZERO)
    }
}

impl Total {
    fn add(&mut self, row: &Row) {
        self.invocations += row.invocations;
        self.input_tokens +=
            row.input_tokens + row.cache_read_input_tokens + row.cache_write_input_tokens;
        self.output_tokens += row.output_tokens;
        self.cost_usd = self.cost_usd + row.cost_usd.unwrap_or_default();
        self.previous_cost_usd = self.previous_cost_usd + row.previous_cost_usd.unwrap_or_default();
    }
}

fn row(catalog: &Catalog, window: &Window, figures: &Figures) -> Row {
    let now = Part {
        figures,
        window,
        current: true,
    };
    let before = Part {
        figures,
        window,
        current: false,
    };
    let known = reference(catalog, &figures.model_id);
    Row {
        model_id: figures.model_id.clone(),
        model: known
            .as_ref()
            .map_or(figures.model_id.as_str(), |known| &known.model.name)
            .to_string(),
        provider: known
            .as_ref()
            .map_or("unknown", |known| &known.model.provider)
            .to_string(),
        region: figures.region.clone(),
        invocations: now.sum(Metric::Invocations),
        input_tokens: now.sum(Metric::InputTokens),
        output_tokens: now.sum(Metric::OutputTokens),
        cache_read_input_tokens: now.sum(Metric::CacheReadTokens),
        cache_write_input_tokens: now.sum(Metric::CacheWriteTokens),
        images: now.sum(Metric::Images),
        client_errors: now.sum(Metric::ClientErrors),
        server_errors: now.sum(Metric::ServerErrors),
        throttles: now.sum(Metric::Throttles),
        latency_ms: now.mean(Metric::LatencyAverage),
        latency_p99_ms: now.worst(Metric::LatencyP99),
        first_token_ms: now.mean(Metric::FirstTokenAverage),
        cost_usd: known.as_ref().and_then(|known| now.cost(known)),
        previous_cost_usd: known.as_ref().and_then(|known| before.cost(known)),
    }
}

fn reference<'a>(catalog: &'a Catalog, id: &str) -> Option<Reference<'a>> {
    match catalog.named(id) {
        Named::Model(reference) => Some(reference),
        Named::Opaque | Named::Unknown(_) => None,
    }
}

/// The figures of the window, or of the one before it.
#[derive(Clone, Copy)]
struct Part<'f> {
    figures: &'f Figures,
    window: &'f Window,
    current: bool,
}

impl Part<'_> {
    fn values(&self, metric: Metric) -> impl Iterator<Item = (jiff::Timestamp, f64)> {
        let series: Option<&Series> = self.figures.series.get(&metric);
        let (start, current) = (self.window.start, self.current);
        let values = series.into_iter().flatten();
        values
            .filter(move |(time, _)| (**time >= start) == current)
            .map(|(time, value)| (*time, *value))
    }

    /// Counts are whole numbers, exact below 2^53.
    fn sum(&self, metric: Metric) -> u64 {
        whole(self.values(metric).map(|(_, value)| value).sum())
    }

    /// The mean of means, each weighed by its invocations.
    fn mean(&self, metric: Metric) -> Option<u64> {
        let invocations: BTreeMap<_, _> = self.values(Metric::Invocations).collect();
        let (mut sum, mut weight) = (0.0, 0.0);
        for (time, value) in self.values(metric) {
            let count = invocations.get(&time).copied().unwrap_or(1.0);
            sum += value * count;
            weight += count;
        }
        (weight > 0.0).then(|| whole(sum / weight))
    }

    fn worst(&self, metric: Metric) -> Option<u64> {
        self.values(metric)
            .map(|(_, value)| value)
            .reduce(f64::max)
            .map(whole)
    }

    /// What it cost by the id's scope; unknown where any of it has no price.
    fn cost(&self, known: &Reference<'_>) -> Option<Usd> {
        let scope = known.scope.unwrap_or(Scope::InRegion);
        let prices = known.model.prices_in(&scope, &self.figures.region)?;
        match known.model.kind {
            Kind::Image | Kind::ImageEdit => Some(
                prices.per_image? * self.sum(Metric::Images).max(self.sum(Metric::Invocations)),
            ),
            Kind::Rerank => Some(prices.per_query? * self.sum(Metric::Invocations)),
            Kind::Text | Kind::Embedding => {
                priced(&self.usage(), prices).map(|cost| cost.total_usd)
            }
        }
    }

    fn usage(&self) -> Usage {
        Usage {
            cache_read_input_tokens: Some(self.sum(Metric::CacheReadTokens)),
            cache_write_input_tokens: Some(self.sum(Metric::CacheWriteTokens)),
            ..Usage::of(
                self.sum(Metric::InputTokens),
                self.sum(Metric::OutputTokens),
            )
        }
    }
}

/// Sums say nothing of the length of a request, so that no surcharge for it applies.
fn priced(usage: &Usage, prices: &Prices) -> Option<Cost> {
    let base = Prices {
        long_context: None,
        ..prices.clone()
    };
    cost(usage, &base, ServiceTier::Default)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count, or milliseconds"
)]
fn whole(value: f64) -> u64 {
    value.round().max(0.0) as u64
}

/// The best model for the hardest tasks, for all that text models have done.
fn baseline(catalog: &Catalog, rows: &[Row]) -> Option<Baseline> {
    let best = catalog
        .candidates(Task::General, Tier::Complex)
        .iter()
        .max_by_key(|ranked| ranked.quality)?;
    let model: &Model = catalog.model(best.model)?;
    let prices = model
        .prices
        .iter()
        .find(|prices| prices.standard.is_some() && prices.scope != Scope::Global)?;
    let is_text = |row: &&Row| {
        reference(catalog, &row.model_id).is_some_and(|known| known.model.kind == Kind::Text)
    };
    let (mut there, mut here) = (Usd::ZERO, Usd::ZERO);
    for row in rows.iter().filter(is_text) {
        let usage = Usage {
            cache_read_input_tokens: Some(row.cache_read_input_tokens),
            cache_write_input_tokens: Some(row.cache_write_input_tokens),
            ..Usage::of(row.input_tokens, row.output_tokens)
        };
        there = there + priced(&usage, prices)?.total_usd;
        here = here + row.cost_usd?;
    }
    Some(Baseline {
        model: model.name.to_string(),
        cost_usd: there,
        saved_usd: there - here,
    })
}

/// A share of so many calls in a hundred that fail is worth a look, where there are so many calls.
const SHARE: u64 = 1;
const CALLS: u64 = 100;
/// So many days before its end a model is worth a look.
const DAYS: i32 = 90;

fn findings(catalog: &Catalog, rows: &[Row], today: Date) -> Vec<String> {
    let mut findings = Vec::new();
    for row in rows {
        let all = row.invocations + row.client_errors + row.server_errors + row.throttles;
        let failed = [
            (
                row.throttles,
                "throttled: ask for more quota, or spread the load",
            ),
            (row.server_errors, "failed on Bedrock's side"),
            (row.client_errors, "refused: the log says why"),
        ];
        for (count, words) in failed {
            if all >= CALLS && count * 100 > all * SHARE {
                findings.push(format!(
                    "{}: {count} of {all} calls were {words}",
                    row.model_id
                ));
            }
        }
        let Some(known) = reference(catalog, &row.model_id) else {
            continue;
        };
        if let Some(days) = known
            .model
            .days_left(today)
            .filter(|days| *days <= DAYS && row.invocations > 0)
        {
            let next = catalog.successor(known.model, today);
            let next = next.map_or(String::new(), |next| {
                format!("; {} takes its place", next.name)
            });
            findings.push(format!(
                "{}: reaches its end of life in {days} days{next}",
                row.model_id
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::civil::date;
    use serde_json::json;

    use super::*;

    fn window() -> Window {
        Window::of(
            &json!({ "window": "day" }),
            "2026-11-24T12:00:00Z".parse().unwrap(),
        )
        .unwrap()
    }

    fn figures(id: &str, region: &str, values: &[(Metric, &str, f64)]) -> Figures {
        let mut figures = Figures {
            model_id: id.into(),
            region: region.into(),
            ..Figures::default()
        };
        for (metric, time, value) in values {
            let time: Timestamp = time.parse().unwrap();
            figures
                .series
                .entry(*metric)
                .or_default()
                .insert(time, *value);
        }
        figures
    }

    fn report(figures: &[Figures]) -> Report {
        let gathered = Gathered {
            figures: figures.to_vec(),
            ..Gathered::default()
        };
        let today = date(2026, 11, 24);
        Report::new(Catalog::built_in(), window(), gathered, today)
    }

    #[test]
    fn figures_are_summed_priced_by_scope_and_compared() {
        let (early, noon, before) = (
            "2026-11-23T00:00:00Z",
            "2026-11-23T12:00:00Z",
            "2026-11-22T12:00:00Z",
        );
        let haiku = figures(
            "us.anthropic.claude-haiku-5-5",
            "us-east-1",
            &[
                (Metric::Invocations, early, 10.0),
                (Metric::Invocations, noon, 30.0),
                (Metric::InputTokens, early, 1000.0),
                (Metric::InputTokens, noon, 2000.0),
                (Metric::InputTokens, before, 500.0),
                (Metric::OutputTokens, noon, 700.0),
                (Metric::LatencyAverage, early, 100.0),
                (Metric::LatencyAverage, noon, 200.0),
                (Metric::LatencyP99, early, 900.0),
                (Metric::LatencyP99, noon, 400.0),
                (Metric::Throttles, noon, 0.0),
            ],
        );
        let report = report(&[haiku]);
        let row = &report.models[0];
        assert_eq!(
            (row.invocations, row.input_tokens, row.output_tokens),
            (40, 3000, 700)
        );
        assert_eq!(
            (row.latency_ms, row.latency_p99_ms, row.first_token_ms),
            (Some(175), Some(900), None)
        );
        let prices = Catalog::built_in()
            .find("claude-haiku-5-5")
            .unwrap()
            .prices_in(&Scope::parse("us").unwrap(), "us-east-1")
            .unwrap();
        let rates = prices.standard.as_ref().unwrap();
        let wanted = rates.input.unwrap().times(3000) + rates.output.unwrap().times(700);
        assert_eq!(
            (row.cost_usd, row.previous_cost_usd),
            (Some(wanted), Some(rates.input.unwrap().times(500)))
        );
        assert_eq!(report.total.cost_usd, wanted);
        assert_eq!(report.thirty_days_usd, wanted * 30);
        assert_eq!(
            report.baseline.as_ref().unwrap().saved_usd,
            report.baseline.as_ref().unwrap().cost_usd - wanted
        );
    }

    #[test]
    fn an_unknown_price_is_listed_and_is_not_zero() {
        let noon = "2026-11-23T12:00:00Z";
        let arn = "arn:aws:bedrock:us-east-1:1:application-inference-profile/x";
        let report = report(&[figures(
            arn,
            "us-east-1",
            &[
                (Metric::Invocations, noon, 5.0),
                (Metric::InputTokens, noon, 9.0),
            ],
        )]);
        assert_eq!(
            (report.models[0].cost_usd, report.unpriced.as_slice()),
            (None, [arn.to_owned()].as_slice())
        );
    }

    #[test]
    fn what_needs_a_look_is_found_and_noise_is_not() {
        let noon = "2026-11-23T12:00:00Z";
        let of = |id: &str, invocations, throttles| {
            figures(
                id,
                "us-east-1",
                &[
                    (Metric::Invocations, noon, invocations),
                    (Metric::Throttles, noon, throttles),
                ],
            )
        };
        let report = report(&[
            of("amazon.nova-lite-v1:0", 1000.0, 50.0),
            of("amazon.nova-micro-v1:0", 10.0, 3.0),
            of("ai21.jamba-1-5-mini-v1:0", 10.0, 0.0),
        ]);
        assert!(
            report
                .findings
                .iter()
                .any(|finding| finding.contains("50 of 1050 calls were throttled")),
            "{:?}",
            report.findings
        );
        assert!(
            report
                .findings
                .iter()
                .any(|finding| finding.contains("jamba") && finding.contains("in 2 days")),
            "{:?}",
            report.findings
        );
        assert_eq!(report.findings.len(), 2, "{:?}", report.findings);
    }
}
