//! The report as a page: one file with its charts in it, no script, light and dark, for a desk and a phone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::slice;

use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use shared::usd::Usd;

use crate::chart::{Bars, COLOURS, Failure, Lines, Tick, bars, lines};
use crate::counts::dollars;
use crate::figures::Metric;
use crate::report::{Month, Report, Row, Total};
use crate::text::{cents, change, grouped, money, month_name, nothing, plain, span};

const STYLE: &str = include_str!("page.css");

/// So many series have a colour of their own.
const SERIES: usize = COLOURS.len() - 1;
/// The latencies of so many models are drawn.
const LATENCIES: usize = 3;

/// The report's page.
///
/// # Errors
/// When a chart cannot be drawn.
pub fn page(report: &Report) -> Result<String, Failure> {
    let title = match &report.model {
        Some(model) => format!("Bedrock usage of {model}"),
        None => "Bedrock usage".to_owned(),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) ", " (span(report)) }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                h1 { (title) ", " span { (span(report)) } }
                p.soft { "Made " (plain(report.window.made)) " UTC from CloudWatch's figures. Days are UTC; costs are estimates in USD." }
                (missing(report))
                (tiles(report))
                (to_look_at(report))
                (charts(report)?)
                (models(report))
                (totals("By provider", &report.providers))
                (totals("By Region", &report.regions))
                (notes(report))
            } }
        }
    };
    Ok(page.into_string())
}

fn missing(report: &Report) -> Markup {
    html! {
        @if report.is_incomplete() {
            div.warn {
                b { "Figures are missing, so that sums are too low." }
                ul { @for line in &report.missing { li { (line) } } }
            }
        }
    }
}

fn tile(value: &str, words: &str) -> Markup {
    html! { div.tile { b { (value) } span { (words) } } }
}

fn tiles(report: &Report) -> Markup {
    let total = &report.total;
    let tokens = format!(
        "{} in, {} out",
        short(total.input_tokens),
        short(total.output_tokens)
    );
    html! {
        div.tiles {
            (tile(&money(total.cost_usd), &format!("USD{}", change(report))))
            (tile(&grouped(total.invocations), "calls"))
            (tile(&tokens, "tokens"))
            @match &report.month {
                Some(month) => (this_month(report, month)),
                None => (tile(&money(report.thirty_days_usd), "USD in thirty days at this rate")),
            }
            @if let Some(baseline) = &report.baseline {
                @if baseline.saved_usd > Usd::ZERO {
                    (tile(&money(baseline.saved_usd), &format!("USD saved, against {} for all text", baseline.model)))
                }
            }
        }
    }
}

fn this_month(report: &Report, month: &Month) -> Markup {
    let name = month_name(month, report.window.last_day());
    let end = month.forecast_usd.unwrap_or(month.to_date_usd);
    html! {
        @if let Some(forecast) = month.forecast_usd {
            (tile(&money(month.to_date_usd), &format!("USD: {name}")))
            div.tile {
                b { (money(forecast)) }
                span { "USD at the end of " (month.first_day.strftime("%B").to_string()) }
                (meter(month, end))
            }
        } @else {
            div.tile {
                b { (money(end)) }
                span { "USD: " (name) }
                (meter(month, end))
            }
        }
    }
}

fn meter(month: &Month, end: Usd) -> Markup {
    html! {
        @if let (Some(budget), Some(used)) = (month.budget_usd, month.used_percent) {
            div.meter.over[end > budget] { i style={ "width:" (used.min(100)) "%" } {} }
            span { (used) " % of " (money(budget)) " used" }
        }
    }
}

fn to_look_at(report: &Report) -> Markup {
    html! {
        h2 { "To look at" }
        @if report.findings.is_empty() {
            p.soft { (if report.is_incomplete() { "Nothing in what could be read." } else { "Nothing: no unusual cost, few failures, no model near its end." }) }
        } @else {
            ul { @for finding in &report.findings { li { (finding.message) } } }
        }
    }
}

/// A chart with its words, in both sizes.
fn figure(
    title: &str,
    words: &str,
    legend: &[(&str, String)],
    [wide, narrow]: [String; 2],
) -> Markup {
    html! {
        figure {
            figcaption {
                b { (title) } " " (words)
                @if legend.len() > 1 {
                    ul.legend {
                        @for (colour, name) in legend { li { i style={ "background:" (colour) } {} (name) } }
                    }
                }
            }
            div.wide role="img" aria-label=(title) { (PreEscaped(wide)) }
            div.narrow role="img" aria-label=(title) { (PreEscaped(narrow)) }
        }
    }
}

fn charts(report: &Report) -> Result<Markup, Failure> {
    if report.models.is_empty() {
        return Ok(Markup::default());
    }
    Ok(html! {
        (costs(report)?)
        (calls(report)?)
        (latencies(report)?)
    })
}

/// Costs of a model by step.
type Costs<'r> = (&'r str, BTreeMap<Timestamp, Usd>);

/// Cost by day and model; before the window, too, where it is of days.
fn costs(report: &Report) -> Result<Markup, Failure> {
    let window = &report.window;
    let by_day = window.is_days();
    let models = costs_by_model(report, by_day);
    let first = models.iter().filter_map(|(_, costs)| costs.keys().next());
    let first = first
        .min()
        .map_or(window.start, |first| *first.min(&window.start));
    let times = steps(first, window.end, if by_day { 86_400 } else { 3600 });
    let (own, others) = models.split_at(models.len().min(SERIES));
    let mut stacks: Vec<_> = own
        .iter()
        .map(|costs| stack(slice::from_ref(costs), &times))
        .collect();
    let names = own.iter().map(|(name, _)| (*name).to_owned());
    let mut legend: Vec<_> = COLOURS.into_iter().zip(names).collect();
    if let Some((only, _)) = others.first() {
        stacks.push(stack(others, &times));
        let name = match others.len() {
            1 => (*only).to_owned(),
            many => format!("{many} others"),
        };
        legend.extend(COLOURS.last().map(|colour| (*colour, name)));
    }
    let before = times.iter().filter(|time| **time < window.start).count();
    let words = match before {
        0 => "USD by model",
        _ => "USD by model; paler before the window",
    };
    let ticks = ticks(&times);
    let chart = Bars {
        stacks,
        ticks,
        before,
        unit: "USD",
    };
    let title = if by_day {
        "Cost per day"
    } else {
        "Cost per hour"
    };
    Ok(figure(title, words, &legend, bars(&chart)?))
}

/// The dearest model first.
fn costs_by_model(report: &Report, by_day: bool) -> Vec<Costs<'_>> {
    let mut models: BTreeMap<&str, BTreeMap<Timestamp, Usd>> = BTreeMap::new();
    for row in &report.models {
        let costs = models.entry(&row.model).or_default();
        for (time, cost) in &row.costs {
            if by_day || report.window.holds(*time) {
                let step = if by_day { *time } else { hour(*time) };
                let sum = costs.entry(step).or_default();
                *sum = *sum + *cost;
            }
        }
    }
    let mut models: Vec<_> = models.into_iter().collect();
    models.sort_by_cached_key(|(_, costs)| Reverse(costs.values().copied().sum::<Usd>()));
    models
}

/// The costs of some models together.
fn stack(models: &[Costs<'_>], times: &[Timestamp]) -> Vec<f64> {
    let cost = |time: &Timestamp| {
        let costs = models.iter().filter_map(|(_, costs)| costs.get(time));
        dollars(costs.copied().sum())
    };
    times.iter().map(cost).collect()
}

fn calls(report: &Report) -> Result<Markup, Failure> {
    let window = &report.window;
    let calls: BTreeMap<_, _> = report
        .hours
        .iter()
        .map(|hour| (hour.time, hour.invocations))
        .collect();
    let times = steps(window.start, window.end, i64::from(window.period));
    #[expect(clippy::cast_precision_loss, reason = "a height")]
    let values = times
        .iter()
        .map(|time| calls.get(time).copied().unwrap_or(0) as f64);
    let chart = Bars {
        stacks: vec![values.collect()],
        ticks: ticks(&times),
        before: 0,
        unit: "calls",
    };
    let title = if window.period < 3600 {
        "Calls per five minutes"
    } else {
        "Calls per hour"
    };
    Ok(figure(title, "answered, of all models", &[], bars(&chart)?))
}

/// The percentiles of the models that were called most.
fn latencies(report: &Report) -> Result<Markup, Failure> {
    let window = &report.window;
    let times = steps(window.start, window.end, i64::from(window.period));
    let mut rows: Vec<&Row> = report.models.iter().collect();
    rows.retain(|row| row.course.contains_key(&Metric::LatencyP50));
    rows.sort_by_key(|row| Reverse(row.counts.invocations));
    let percentiles = [Metric::LatencyP50, Metric::LatencyP90, Metric::LatencyP99];
    let mut figures = Vec::new();
    for row in rows.into_iter().take(LATENCIES) {
        let curve = |metric: Metric| {
            let series = row.course.get(&metric);
            let value = |time| {
                series
                    .and_then(|series| series.get(time))
                    .map(|ms| ms / 1000.0)
            };
            times.iter().map(value).collect()
        };
        let curves = percentiles.map(curve).to_vec();
        let names = ["median", "90 %", "99 %"].map(str::to_owned);
        let legend: Vec<_> = COLOURS.iter().copied().zip(names).collect();
        let chart = Lines {
            curves,
            ticks: ticks(&times),
            unit: "seconds",
        };
        let words = format!(
            "of {} in {}: half, 90 % and 99 % of answers were complete within",
            row.model_id, row.region
        );
        figures.push(figure("Latency", &words, &legend, lines(&chart)?));
    }
    Ok(html! { @for figure in figures { (figure) } })
}

fn hour(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second() / 3600 * 3600).unwrap_or(time)
}

fn steps(start: Timestamp, end: Timestamp, seconds: i64) -> Vec<Timestamp> {
    let mut times = Vec::new();
    let mut time = start;
    while time < end {
        times.push(time);
        time += seconds.seconds();
    }
    times
}

/// A label for each day; for each hour where there are two days at most.
fn ticks(times: &[Timestamp]) -> Vec<Tick> {
    let days: BTreeSet<_> = times.iter().map(|time| time.as_second() / 86_400).collect();
    let (every, format) = if days.len() > 2 {
        (86_400, "%-d %b")
    } else {
        (3600, "%H:%M")
    };
    let times = times.iter().enumerate();
    let times = times.filter(|(_, time)| time.as_second() % every == 0);
    let label = |time: &Timestamp| Offset::UTC.to_datetime(*time).strftime(format).to_string();
    times.map(|(step, time)| (step, label(time))).collect()
}

/// A large number in few digits.
#[expect(clippy::cast_precision_loss, reason = "for reading")]
fn short(number: u64) -> String {
    let tenths = |unit: f64| format!("{:.1}", number as f64 / unit);
    match number {
        0..10_000 => grouped(number),
        10_000..1_000_000 => format!("{}k", grouped(number / 1000)),
        1_000_000..1_000_000_000 => tenths(1e6) + "M",
        _ => tenths(1e9) + "G",
    }
}

fn models(report: &Report) -> Markup {
    let ms = |value: Option<u64>| value.map_or("–".to_owned(), grouped);
    html! {
        h2 { "By model" }
        @if report.models.is_empty() {
            p { (nothing(report)) }
        } @else {
            div.scroll tabindex="0" { table {
                thead { tr {
                    th { "model" } th { "USD" } th { "before" } th { "calls" } th { "tokens in" } th { "out" }
                    th { "median ms" } th { "90 %" } th { "99 %" } th { "errors" } th { "throttled" }
                } }
                tbody { @for row in &report.models { tr {
                    td { (row.model_id) small { (row.region) } }
                    td { (row.counts.cost_usd.map_or("unknown".into(), cents)) }
                    td { (row.previous_cost_usd.map_or("–".into(), cents)) }
                    td { (grouped(row.counts.invocations)) }
                    td { (short(row.counts.all_input())) }
                    td { (short(row.counts.output_tokens)) }
                    td { (ms(row.latency_p50_ms)) }
                    td { (ms(row.latency_p90_ms)) }
                    td { (ms(row.latency_p99_ms)) }
                    td { (grouped(row.counts.client_errors + row.counts.server_errors)) }
                    td { (grouped(row.counts.throttles)) }
                } } }
            } }
        }
    }
}

fn totals(title: &str, totals: &BTreeMap<String, Total>) -> Markup {
    html! {
        @if totals.len() > 1 {
            h2 { (title) }
            div.scroll tabindex="0" { table {
                thead { tr { th { "" } th { "USD" } th { "before" } th { "calls" } th { "tokens in" } th { "out" } } }
                tbody { @for (name, total) in totals { tr {
                    td { (name) }
                    td { (cents(total.cost_usd)) }
                    td { (cents(total.previous_cost_usd)) }
                    td { (grouped(total.invocations)) }
                    td { (short(total.input_tokens)) }
                    td { (short(total.output_tokens)) }
                } } }
            } }
        }
    }
}

fn notes(report: &Report) -> Markup {
    html! {
        h2 { "How to read it" }
        ul.soft {
            @for note in &report.notes { li { (note) } }
            li { "latencies are milliseconds to the last token; percentiles are those of a day; of several days those of the worst, of hours those of the worst step" }
            li { "“before” is the window before: as long, or the month before" }
        }
    }
}
