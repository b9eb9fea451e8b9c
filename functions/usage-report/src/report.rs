//! The report itself: figures priced, summed and compared. Pure: the same figures make the same report.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;
use shared::catalog::{Kind, Scope, Task, Tier};
use shared::config::Config;
use shared::usd::Usd;

use crate::counts::{Counts, Part, Price, tokens};
use crate::figures::{Figures, Gathered, Metric};
use crate::findings::{Finding, findings};
use crate::window::{Order, USUAL_DAYS, Window, day};

/// The version of this shape; it changes when a field loses its meaning.
const SCHEMA: u32 = 1;

/// Days of all models together in an answer, which may have 6 MB.
const MOST_DAYS: usize = 12_000;

/// What the estimate cannot see.
const BLIND: [&str; 7] = [
    "an estimate from CloudWatch's counts and list prices, not a bill",
    "service tiers, batch jobs and provisioned throughput are priced as the standard tier",
    "surcharges for long contexts are not seen: CloudWatch has sums, not requests",
    "writes to the prompt cache are priced as those of five minutes",
    "images are counted as one a call where CloudWatch has no count of them by model",
    "ids that neither the catalog nor MODEL_ARNS knows are seen for two weeks after their last call",
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
    /// What it did in the window.
    #[serde(flatten)]
    pub counts: Counts,
    /// Milliseconds to the last token, on average; null where CloudWatch has no figure.
    pub latency_ms: Option<u64>,
    /// The median, and the 90th and 99th percentile: of the day, of the worst day of several, or of the worst period of a window
    /// of hours.
    pub latency_p50_ms: Option<u64>,
    /// See `latency_p50_ms`.
    pub latency_p90_ms: Option<u64>,
    /// See `latency_p50_ms`.
    pub latency_p99_ms: Option<u64>,
    /// Milliseconds to the first token, on average; of streamed answers only.
    pub first_token_ms: Option<u64>,
    /// Calls that were answered in the window before.
    pub previous_invocations: u64,
    /// The estimate of the window before.
    pub previous_cost_usd: Option<Usd>,
    /// Milliseconds to the last token in the window before, on average.
    pub previous_latency_ms: Option<u64>,
    /// Day by day, where the window is of days.
    pub days: Vec<Day>,
    /// The cost of what came before and of the window, by step.
    #[serde(skip)]
    pub costs: BTreeMap<Timestamp, Usd>,
    /// What is drawn over time.
    #[serde(skip)]
    pub course: crate::figures::Table,
}

/// What an id did on a day.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Day {
    /// The day, in UTC.
    pub date: Date,
    /// What it did.
    #[serde(flatten)]
    pub counts: Counts,
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

/// The calendar month of the window's last day.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Month {
    /// Its first day.
    pub first_day: Date,
    /// The estimate, from its first day to the window's last.
    pub to_date_usd: Usd,
    /// That, and for each day left the mean of the last seven days; null once the month is over.
    pub forecast_usd: Option<Usd>,
    /// What it may cost.
    pub budget_usd: Option<Usd>,
    /// Per cent of the budget that is used up.
    pub used_percent: Option<u64>,
    /// The highest threshold that is reached: 50, 80 or 100 per cent.
    pub reached_percent: Option<u64>,
    /// That which was reached before the window.
    #[serde(skip)]
    pub reached_before: Option<u64>,
}

/// Calls in an hour, or in five minutes of a short window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hour {
    /// When it began.
    pub time: Timestamp,
    /// Calls that were answered.
    pub invocations: u64,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of this shape.
    pub schema: u32,
    /// The hours it is about.
    pub window: Window,
    /// The one model it is about, as the event named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Everything together.
    pub total: Total,
    /// By maker.
    pub providers: BTreeMap<String, Total>,
    /// By Region.
    pub regions: BTreeMap<String, Total>,
    /// By id and Region, the dearest first.
    pub models: Vec<Row>,
    /// Calls over time; hours without a call are absent.
    pub hours: Vec<Hour>,
    /// Ids that were used and whose price is unknown.
    pub unpriced: Vec<String>,
    /// Against the best model for everything.
    pub baseline: Option<Baseline>,
    /// What thirty days cost at this rate.
    pub thirty_days_usd: Usd,
    /// The month so far, and as it will end; absent where the window is of hours or of one model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub month: Option<Month>,
    /// What somebody should look at.
    pub findings: Vec<Finding>,
    /// Figures that could not be had.
    pub missing: Vec<String>,
    /// Calls to CloudWatch that it took.
    pub calls: u32,
    /// What the estimate cannot see.
    pub notes: Vec<&'static str>,
}

impl Report {
    /// Makes the report that was ordered. `budget` is what a calendar month may cost.
    ///
    /// # Errors
    /// Beyond the calendar.
    pub fn new(
        config: &Config,
        order: Order,
        gathered: Gathered,
        budget: Option<Usd>,
    ) -> Result<Self, String> {
        let Order { window, model, .. } = order;
        let previous = window.previous()?;
        let rows = gathered.figures.into_iter();
        let rows = rows.map(|figures| row(config, &window, &previous, figures));
        let mut models: Vec<Row> = rows.filter(|row| row.is_used(&window)).collect();
        models.sort_by_cached_key(|row| {
            let cost = std::cmp::Reverse(row.counts.cost_usd);
            (cost, row.model_id.clone(), row.region.clone())
        });
        let month = (window.is_days() && model.is_none()).then(|| month(&window, &models, budget));
        let findings = findings(config, &window, &models, month.as_ref());
        let mut shown = models;
        shown.retain(|row| row.counts.is_any() || row.previous_invocations > 0);
        Ok(Self {
            schema: SCHEMA,
            total: Total::of(&shown),
            providers: by(&shown, |row| &row.provider),
            regions: by(&shown, |row| &row.region),
            hours: hours(&shown),
            unpriced: unpriced(&shown),
            baseline: baseline(config, &shown),
            thirty_days_usd: thirty_days(&window, &shown),
            month,
            findings,
            window,
            model,
            models: shown,
            missing: gathered.missing,
            calls: gathered.calls,
            notes: BLIND.to_vec(),
        })
    }

    /// Leaves out the days where there are so many that a function's answer could not hold them; the file has them.
    pub fn fit(&mut self) {
        let days: usize = self.models.iter().map(|row| row.days.len()).sum();
        if days > MOST_DAYS {
            for row in &mut self.models {
                row.days.clear();
            }
            self.notes
                .push("too many models to answer with their days; report.json has them");
        }
    }

    /// Whether figures are missing, so that sums are too low.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        !self.missing.is_empty()
    }
}

impl Row {
    /// Whether there is anything to say: of the window, of the one before, or of its month.
    fn is_used(&self, window: &Window) -> bool {
        let first = window.last_day().first_of_month();
        self.counts.is_any()
            || self.previous_invocations > 0
            || self.costs.keys().any(|time| day(*time) >= first)
    }

    /// The cost of each of the days before a day that show what is usual, from the first of use on.
    #[must_use]
    pub fn usual(&self, start: Timestamp) -> Vec<Usd> {
        let first = self.costs.keys().next().copied().unwrap_or(start);
        let days = (1..=USUAL_DAYS).map(|back| start - (back * 24).hours());
        let days = days.filter(|time| *time >= first);
        days.map(|time| self.costs.get(&time).copied().unwrap_or_default())
            .collect()
    }
}

impl Total {
    fn of<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Self {
        let mut total = Self::default();
        for row in rows {
            total.invocations = total.invocations.saturating_add(row.counts.invocations);
            total.input_tokens = total.input_tokens.saturating_add(row.counts.all_input());
            total.output_tokens = total.output_tokens.saturating_add(row.counts.output_tokens);
            total.cost_usd = total.cost_usd + row.counts.cost_usd.unwrap_or_default();
            total.previous_cost_usd =
                total.previous_cost_usd + row.previous_cost_usd.unwrap_or_default();
        }
        total
    }
}

fn by(rows: &[Row], name: impl Fn(&Row) -> &String) -> BTreeMap<String, Total> {
    let mut groups: BTreeMap<&String, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(name(row)).or_default().push(row);
    }
    let totals = groups
        .into_iter()
        .map(|(name, rows)| (name.clone(), Total::of(rows)));
    totals.collect()
}

fn row(config: &Config, window: &Window, previous: &Window, figures: Figures) -> Row {
    let (id, sums) = (&figures.model_id, &figures.sums);
    let price = Price::find(config, id, &figures.region);
    let before = Counts::of(sums, |time| previous.holds(time), &price);
    let part = Part {
        table: sums,
        is_in: |time| window.holds(time),
    };
    let part_before = Part {
        table: sums,
        is_in: |time| previous.holds(time),
    };
    let costs = costs(&figures, &price);
    let mut counts = Counts::of(sums, |time| window.holds(time), &price);
    // A sum of its parts, where images are counted for some of them only.
    let parts = costs.iter().filter(|(time, _)| window.holds(**time));
    counts.cost_usd = counts.cost_usd.map(|_| parts.map(|(_, cost)| *cost).sum());
    Row {
        model_id: id.clone(),
        model: price
            .model
            .map_or(id.as_str(), |model| &model.name)
            .to_owned(),
        provider: price
            .model
            .map_or("unknown", |model| &model.provider)
            .to_owned(),
        region: figures.region.clone(),
        counts,
        latency_ms: part.mean(Metric::LatencyAverage),
        latency_p50_ms: part.worst(Metric::LatencyP50),
        latency_p90_ms: part.worst(Metric::LatencyP90),
        latency_p99_ms: part.worst(Metric::LatencyP99),
        first_token_ms: part.mean(Metric::FirstTokenAverage),
        previous_invocations: before.invocations,
        previous_cost_usd: before.cost_usd,
        previous_latency_ms: part_before.mean(Metric::LatencyAverage),
        days: days(window, &figures, &price),
        costs,
        course: figures.course,
    }
}

/// What an id did on each day of a window of days.
fn days(window: &Window, figures: &Figures, price: &Price<'_>) -> Vec<Day> {
    if !window.is_days() {
        return Vec::new();
    }
    let times = times(figures);
    let times = times.into_iter().filter(|time| window.holds(*time));
    let days = times.map(|start| Day {
        date: day(start),
        counts: Counts::at(&figures.sums, start, price),
    });
    days.collect()
}

/// What an id cost at every time of which there are figures.
fn costs(figures: &Figures, price: &Price<'_>) -> BTreeMap<Timestamp, Usd> {
    let costs = times(figures).into_iter().filter_map(|start| {
        let counts = Counts::at(&figures.sums, start, price);
        Some((start, counts.cost_usd?))
    });
    costs.collect()
}

fn times(figures: &Figures) -> BTreeSet<Timestamp> {
    let series = figures.sums.values();
    series.flat_map(|series| series.keys().copied()).collect()
}

fn hours(rows: &[Row]) -> Vec<Hour> {
    let mut hours: BTreeMap<Timestamp, f64> = BTreeMap::new();
    for row in rows {
        for (time, value) in row.course.get(&Metric::Invocations).into_iter().flatten() {
            *hours.entry(*time).or_default() += value;
        }
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count"
    )]
    let hours = hours.into_iter().map(|(time, invocations)| Hour {
        time,
        invocations: invocations as u64,
    });
    hours.collect()
}

fn unpriced(rows: &[Row]) -> Vec<String> {
    let unpriced = rows
        .iter()
        .filter(|row| row.counts.cost_usd.is_none() && row.counts.invocations > 0);
    let ids: BTreeSet<_> = unpriced.map(|row| row.model_id.clone()).collect();
    ids.into_iter().collect()
}

fn thirty_days(window: &Window, rows: &[Row]) -> Usd {
    let hours = (window.end.as_second() - window.start.as_second()) / 3600;
    let cost = Total::of(rows).cost_usd;
    Usd::from_pico(cost.pico() * 720 / i128::from(hours.max(1)))
}

/// The thresholds of a budget, in per cent.
const THRESHOLDS: [u64; 3] = [50, 80, 100];
/// The forecast goes by so many days, which have every day of the week in them.
const RECENT_DAYS: i64 = 7;

fn month(window: &Window, rows: &[Row], budget: Option<Usd>) -> Month {
    let last = window.last_day();
    let first_day = last.first_of_month();
    let spent = |is_in: &dyn Fn(Timestamp) -> bool| -> Usd {
        let costs = rows.iter().flat_map(|row| &row.costs);
        costs
            .filter(|(time, _)| is_in(**time) && **time < window.end)
            .map(|(_, cost)| *cost)
            .sum()
    };
    let to_date_usd = spent(&|time| day(time) >= first_day);
    let first_used = rows.iter().filter_map(|row| row.costs.keys().next()).min();
    let used = first_used.map_or(RECENT_DAYS, |first| {
        (window.end.as_second() - first.as_second()) / 86_400
    });
    let recent_days = used.clamp(1, RECENT_DAYS);
    let recent = window.end - (recent_days * 24).hours();
    let recent_usd = spent(&|time| time >= recent);
    let left = i128::from(last.days_in_month() - last.day());
    let rest = recent_usd.pico() * left / i128::from(recent_days);
    let percent = |spent: Usd| {
        let percent = spent.pico() * 100 / budget?.pico().max(1);
        u64::try_from(percent).ok()
    };
    let reached = |used| THRESHOLDS.into_iter().rfind(|threshold| *threshold <= used);
    let before = spent(&|time| day(time) >= first_day && time < window.start);
    let used_percent = percent(to_date_usd);
    let is_over = day(window.made).first_of_month() > first_day;
    let forecast_usd = to_date_usd + Usd::from_pico(rest);
    Month {
        first_day,
        to_date_usd,
        forecast_usd: (!is_over).then_some(forecast_usd),
        budget_usd: budget,
        used_percent,
        reached_percent: used_percent.and_then(reached),
        reached_before: percent(before).and_then(reached),
    }
}

/// The best model for the hardest tasks, for all that text models have done whose price is known.
fn baseline(config: &Config, rows: &[Row]) -> Option<Baseline> {
    let catalog = &config.catalog;
    let best = catalog
        .candidates(Task::General, Tier::Complex)
        .iter()
        .max_by_key(|ranked| ranked.quality)?;
    let model = catalog.model(best.model)?;
    let prices = model
        .prices
        .iter()
        .find(|prices| prices.standard.is_some() && prices.scope != Scope::Global)?;
    let (mut there, mut here) = (Usd::ZERO, Usd::ZERO);
    for row in rows {
        let known = Price::find(config, &row.model_id, &row.region).model;
        if known.is_none_or(|model| model.kind != Kind::Text) {
            continue;
        }
        if let Some(cost) = row.counts.cost_usd {
            here = here + cost;
            there = there + tokens(&row.counts.usage(), prices)?;
        }
    }
    Some(Baseline {
        model: model.name.to_string(),
        cost_usd: there,
        saved_usd: there - here,
    })
}

#[cfg(test)]
mod tests;
