//! What the report itself tells CloudWatch, in the embedded metric format: the cost of each model, and how the month gets on.
//!
//! A metric is paid for by the hour in which it has a figure, so that one figure a day costs a thirtieth of a US dollar a month.

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::{Timestamp, ToSpan};
use serde::Serialize;
use serde_json::{Map, Value, json};
use shared::usd::Usd;

use crate::counts::dollars;
use crate::report::{Month, Report};

/// CloudWatch takes figures of so many days.
const KEPT_DAYS: i64 = 14;

/// Writes the metrics to standard output. Of an incomplete report only that the budget is used up.
///
/// # Errors
/// When nothing can be written.
pub fn emit(report: &Report, namespace: &str) -> io::Result<()> {
    let lines = lines(report, namespace);
    io::stdout().lock().write_all(lines.as_bytes())
}

/// A line for each model, one for all of them, and one for the month.
fn lines(report: &Report, namespace: &str) -> String {
    let window = &report.window;
    let is_whole = !report.is_incomplete();
    let mut lines = String::new();
    let mut add = |time: Timestamp, dimensions: &[(&str, &str)], metrics: &[(&str, f64)]| {
        lines += &line(namespace, time, dimensions, metrics);
    };
    let last = window.end - 1.second();
    if is_whole && window.made.as_second() - last.as_second() < KEPT_DAYS * 86_400 {
        let mut models: BTreeMap<&str, Usd> = BTreeMap::new();
        for row in &report.models {
            if let Some(cost) = row.counts.cost_usd {
                let sum = models.entry(&row.model_id).or_default();
                *sum = *sum + cost;
            }
        }
        let of_window = ("Window", window.name.as_str());
        for (id, cost) in models {
            let dimensions = [of_window, ("ModelId", id)];
            add(last, &dimensions, &[("EstimatedCostUsd", dollars(cost))]);
        }
        let total = dollars(report.total.cost_usd);
        add(last, &[of_window], &[("EstimatedCostUsd", total)]);
    }
    // An old window says nothing of the month that goes on.
    let is_latest = window.made.as_second() - last.as_second() < 2 * 86_400;
    if let Some(month) = report.month.as_ref().filter(|_| is_latest) {
        let metrics = of_month(month, is_whole);
        if !metrics.is_empty() {
            add(window.made, &[], &metrics);
        }
    }
    lines
}

/// A metric cannot say that figures are missing, and must not end an alarm by that. That the budget is used up is sure all the same.
fn of_month(month: &Month, is_whole: bool) -> Vec<(&'static str, f64)> {
    let mut metrics = Vec::new();
    let percent = |cost: Usd| Some(dollars(cost) * 100.0 / dollars(month.budget_usd?));
    let used = percent(month.to_date_usd).filter(|used| is_whole || *used >= 100.0);
    metrics.extend(used.map(|used| ("BudgetUsedPercent", used)));
    if is_whole {
        metrics.push(("MonthToDateCostUsd", dollars(month.to_date_usd)));
        if let Some(forecast) = month.forecast_usd {
            metrics.push(("ForecastCostUsd", dollars(forecast)));
            metrics.extend(percent(forecast).map(|used| ("BudgetForecastPercent", used)));
        }
    }
    metrics
}

fn line(
    namespace: &str,
    time: Timestamp,
    dimensions: &[(&str, &str)],
    metrics: &[(&str, f64)],
) -> String {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let units = metrics.iter().map(|(name, _)| {
        let unit = if name.ends_with("Percent") {
            "Percent"
        } else {
            "None"
        };
        json!({ "Name": name, "Unit": unit })
    });
    let directive = json!({
        "Namespace": namespace, "Dimensions": [names], "Metrics": units.collect::<Vec<_>>()
    });
    let text = |(name, value): &(&str, &str)| ((*name).to_owned(), json!(value));
    let number = |(name, value): &(&str, f64)| ((*name).to_owned(), json!(value));
    let values = dimensions
        .iter()
        .map(text)
        .chain(metrics.iter().map(number));
    let line = Line {
        aws: json!({ "Timestamp": time.as_millisecond(), "CloudWatchMetrics": [directive] }),
        values: values.collect(),
    };
    serde_json::to_string(&line)
        .map(|line| line + "\n")
        .unwrap_or_default()
}

/// One figure with its dimensions, and before it what they are.
#[derive(Serialize)]
struct Line {
    #[serde(rename = "_aws")]
    aws: Value,
    #[serde(flatten)]
    values: Map<String, Value>,
}
