//! Logs and metrics: JSON lines on standard output, which Lambda hands to CloudWatch.
//!
//! Every call writes one line in CloudWatch's embedded metric format, which is its log record too. Prompts and answers are in
//! none of them, at any level: other crates' targets are held at `warn`, whatever level is set, because the SDK logs bodies.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::cost::Usage;
use crate::usd::Usd;

/// Our own targets, which follow the configured level.
const OURS: [&str; 5] = ["shared", "router", "embeddings", "usage_report", "local"];

/// Starts the log: JSON with `timestamp` and `level` at the top, as Lambda's log-level filter wants them.
///
/// `level` is the value of `LOG_LEVEL`; what is not a level counts as `info`.
pub fn init(level: Option<String>) {
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false);
    // A second call, in a test that starts two functions in one process, changes nothing.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(targets(level, LevelFilter::INFO)))
        .try_init();
}

/// Starts a log for a person: lines on standard error, from `warn` on unless `level` says otherwise.
pub fn init_terminal(level: Option<String>) {
    let lines = fmt::layer().with_writer(io::stderr).with_target(false);
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(targets(level, LevelFilter::WARN)))
        .try_init();
}

/// Our targets at the level that is set, all others at `warn` at most.
fn targets(level: Option<String>, default: LevelFilter) -> Targets {
    let level = level
        .and_then(|level| level.to_lowercase().parse().ok())
        .unwrap_or(default);
    Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_targets(OURS.map(|target| (target, level)))
}

/// The time since 1970.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock; everything pure is given the time"
)]
pub fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Today, in UTC.
#[must_use]
pub fn today() -> Date {
    Offset::UTC.to_datetime(timestamp(now())).date()
}

/// A time since 1970 as a point in time; one beyond the calendar's end counts as 1970.
fn timestamp(time: Duration) -> Timestamp {
    let time = SignedDuration::try_from(time).unwrap_or_default();
    Timestamp::from_duration(time).unwrap_or_default()
}

/// What one call did: the values of its metrics and, as properties, what no metric may carry.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Record {
    /// The Lambda request id.
    #[serde(rename = "requestId")]
    pub request_id: String,
    /// IAM principal or API key id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The route, such as `/invoke`.
    pub route: &'static str,
    /// The HTTP status that went out.
    pub status: u16,
    /// The kind of error, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// The tier decided on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<crate::catalog::Tier>,
    /// The task decided on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<crate::catalog::Task>,
    /// Why the answer ended, such as `end_turn` or `guardrail_intervened`.
    #[serde(rename = "stopReason", skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// The id that answered.
    #[serde(rename = "ModelId", skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Always 1.
    #[serde(rename = "Requests")]
    pub requests: u8,
    /// 1 for a 4xx.
    #[serde(rename = "ClientErrors")]
    pub client_errors: u8,
    /// 1 for a 5xx.
    #[serde(rename = "ServerErrors")]
    pub server_errors: u8,
    /// Candidates asked beyond the first.
    #[serde(rename = "Fallbacks")]
    pub fallbacks: usize,
    /// Milliseconds from request to answer.
    #[serde(rename = "Latency")]
    pub latency_ms: u64,
    /// Microseconds that the decision took.
    #[serde(rename = "DecisionTime", skip_serializing_if = "Option::is_none")]
    pub decision_us: Option<u64>,
    /// Fresh input tokens.
    #[serde(rename = "InputTokens", skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Output tokens.
    #[serde(rename = "OutputTokens", skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Tokens read from the prompt cache.
    #[serde(
        rename = "CacheReadInputTokens",
        skip_serializing_if = "Option::is_none"
    )]
    pub cache_read_input_tokens: Option<u64>,
    /// Tokens written to the prompt cache.
    #[serde(
        rename = "CacheWriteInputTokens",
        skip_serializing_if = "Option::is_none"
    )]
    pub cache_write_input_tokens: Option<u64>,
    /// US dollars.
    #[serde(rename = "Cost", skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
    /// The tier of the rule, and that of the learned router, where both have a view.
    #[serde(rename = "rulesTier", skip_serializing_if = "Option::is_none")]
    pub rules_tier: Option<crate::catalog::Tier>,
    /// The tier of the learned router.
    #[serde(rename = "learnedTier", skip_serializing_if = "Option::is_none")]
    pub learned_tier: Option<crate::catalog::Tier>,
    /// US dollars that the learned router's choice is expected to save against the rule's; below zero where it is dearer.
    #[serde(rename = "LearnedSaving", skip_serializing_if = "Option::is_none")]
    pub learned_saving: Option<Usd>,
    /// 1 when an answer's cost is unknown.
    #[serde(rename = "UnknownCosts", skip_serializing_if = "Option::is_none")]
    pub unknown_costs: Option<u8>,
}

impl Record {
    /// Notes the tokens and cost of an answer.
    pub fn spend(&mut self, usage: &Usage, cost: Option<Usd>) {
        self.input_tokens = Some(usage.input_tokens);
        self.output_tokens = Some(usage.output_tokens);
        self.cache_read_input_tokens = usage.cache_read_input_tokens;
        self.cache_write_input_tokens = usage.cache_write_input_tokens;
        self.cost = cost;
        self.unknown_costs = Some(u8::from(cost.is_none()));
    }

    /// Notes the status that goes out.
    pub fn conclude(&mut self, status: u16, error: Option<&'static str>, latency: Duration) {
        self.requests = 1;
        self.status = status;
        self.error = error;
        self.client_errors = u8::from((400..500).contains(&status));
        // A pause is the operator's own wish, and must not raise the alarm that would take it back.
        self.server_errors = u8::from(status >= 500 && error != Some("paused"));
        self.latency_ms = whole_ms(latency);
    }

    /// Writes the line to standard output, whole, before the answer leaves: the sandbox may freeze right after.
    ///
    /// It is raw JSON and not a log event, because CloudWatch finds metrics only at the top of a line.
    pub fn emit(&self, namespace: &str) {
        let line = self.line(namespace, now());
        // Nothing can be done about a log that cannot be written, and the answer matters more.
        let _ = io::stdout().lock().write_all(line.as_bytes());
    }

    fn line(&self, namespace: &str, time: Duration) -> String {
        let line = Line {
            aws: Aws {
                timestamp: whole_ms(time),
                metrics: [self.directive(namespace)],
            },
            timestamp: timestamp(time),
            level: if self.server_errors == 0 {
                "INFO"
            } else {
                "ERROR"
            },
            record: self,
        };
        serde_json::to_string(&line)
            .map(|line| line + "\n")
            .unwrap_or_default()
    }

    /// Two dimension sets, none and the model: everything else is a property, because each set of values is a metric to pay.
    fn directive<'a>(&self, namespace: &'a str) -> Directive<'a> {
        let dimensions: &[&[&str]] = if self.model_id.is_some() {
            &[&[], &["ModelId"]]
        } else {
            &[&[]]
        };
        let present = [
            (true, "Requests", "Count"),
            (true, "ClientErrors", "Count"),
            (true, "ServerErrors", "Count"),
            (true, "Fallbacks", "Count"),
            (true, "Latency", "Milliseconds"),
            (self.decision_us.is_some(), "DecisionTime", "Microseconds"),
            (self.input_tokens.is_some(), "InputTokens", "Count"),
            (self.output_tokens.is_some(), "OutputTokens", "Count"),
            (
                self.cache_read_input_tokens.is_some(),
                "CacheReadInputTokens",
                "Count",
            ),
            (
                self.cache_write_input_tokens.is_some(),
                "CacheWriteInputTokens",
                "Count",
            ),
            (self.cost.is_some(), "Cost", "None"),
            (self.unknown_costs.is_some(), "UnknownCosts", "Count"),
            (self.learned_saving.is_some(), "LearnedSaving", "None"),
        ];
        let metrics = present
            .into_iter()
            .filter(|(present, ..)| *present)
            .map(|(_, name, unit)| Metric { name, unit })
            .collect();
        Directive {
            namespace,
            dimensions,
            metrics,
        }
    }
}

/// Whole milliseconds of a duration.
#[must_use]
pub fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "_aws")]
    aws: Aws<'a>,
    timestamp: Timestamp,
    level: &'static str,
    #[serde(flatten)]
    record: &'a Record,
}

#[derive(Serialize)]
struct Aws<'a> {
    #[serde(rename = "Timestamp")]
    timestamp: u64,
    #[serde(rename = "CloudWatchMetrics")]
    metrics: [Directive<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'a str,
    dimensions: &'static [&'static [&'static str]],
    metrics: Vec<Metric>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: &'static str,
    unit: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_one_line_of_embedded_metrics() {
        let mut record = Record {
            request_id: "r1".into(),
            route: "/invoke",
            ..Record::default()
        };
        record.model_id = Some("us.x".into());
        record.spend(&Usage::of(10, 20), Usd::parse("0.00011").ok());
        record.conclude(200, None, Duration::from_millis(12));
        let line = record.line("Ns", Duration::from_millis(1_795_000_000_123));
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1);
        assert!(line.contains(r#""Dimensions":[[],["ModelId"]]"#), "{line}");
        assert!(
            line.contains(r#""timestamp":"2026-11-18T"#) && line.contains(r#""level":"INFO""#),
            "{line}"
        );
        assert!(
            line.contains(r#""Cost":0.00011"#) && line.contains(r#""UnknownCosts":0"#),
            "{line}"
        );
    }

    #[test]
    fn every_metric_named_has_a_value_and_no_other_has() {
        let mut record = Record::default();
        record.conclude(500, Some("internal"), Duration::ZERO);
        let line: serde_json::Value =
            serde_json::from_str(&record.line("Ns", Duration::ZERO)).unwrap();
        for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
            .as_array()
            .unwrap()
        {
            assert!(
                line[metric["Name"].as_str().unwrap()].is_number(),
                "{metric}"
            );
        }
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            serde_json::json!([[]])
        );
        assert!(line.get("Cost").is_none());
    }
}
