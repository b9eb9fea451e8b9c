//! A stand-in for Amazon CloudWatch, as far as reading figures goes, over the protocol that the current SDK speaks: rpc-v2-cbor.
//!
//! It knows what was invoked here, as Bedrock would publish it, and a seeded fortnight on request. Like the real one it has the same
//! calls in several dimension sets, and no figure where nothing happened.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use ciborium::Value;
use shared::catalog::{Catalog, Kind};

use crate::bedrock::signed_for;

/// Entries on a page of ListMetrics, and values on one of GetMetricData.
const LISTED: usize = 500;
const VALUES: usize = 100_800;

/// A figure's place: Region, id, name.
type Place = (String, String, String);

/// The figures: by place, and there by minute since 1970.
#[derive(Debug, Default)]
pub struct CloudWatch {
    figures: Mutex<BTreeMap<Place, BTreeMap<u64, Vec<f64>>>>,
    /// What has had no figure since is not listed, in seconds since 1970; the real one lists two weeks.
    pub listed_since: AtomicU64,
}

impl CloudWatch {
    /// Notes a value of a figure.
    pub fn record(&self, region: &str, id: &str, name: &str, seconds: u64, value: f64) {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (region.to_owned(), id.to_owned(), name.to_owned());
        let minutes = figures.entry(place).or_default();
        minutes.entry(seconds / 60).or_default().push(value);
    }

    /// Ten weeks before a moment that look like a team's: by day and at night, with weekends, growing, and with one bad afternoon.
    pub fn seed(&self, catalog: &Catalog, region: &str, now: u64) {
        let living = catalog.models.iter().filter_map(|model| {
            let placement = model
                .placements(region, shared::catalog::Residency::Geo)
                .next()?;
            model
                .prices_in(&placement.scope, region)?
                .standard
                .as_ref()?;
            let is_routed = catalog
                .routes
                .iter()
                .flat_map(|route| route.candidates.iter())
                .any(|ranked| {
                    catalog
                        .model(ranked.model)
                        .is_some_and(|m| m.id == model.id)
                });
            is_routed.then_some((placement.id, model.kind == Kind::Text))
        });
        for (number, (id, writes)) in living.take(8).enumerate() {
            let number = u64::try_from(number).unwrap_or(0);
            for hour in (now / 3600).saturating_sub(70 * 24)..now / 3600 {
                // One bad afternoon of the dearest model, yesterday: a loop that called it until its quota was used up.
                let bad =
                    number == 0 && now / 86_400 - hour / 24 == 1 && (13..17).contains(&(hour % 24));
                let growth = 60 + 40 * (hour + 70 * 24 - now / 3600) / (70 * 24);
                self.seed_hour(region, &id, number, (hour, growth), (writes, bad));
            }
        }
    }

    fn seed_hour(
        &self,
        region: &str,
        id: &str,
        number: u64,
        (hour, growth): (u64, u64),
        (writes, bad): (bool, bool),
    ) {
        let of_day = hour % 24;
        let is_weekend = (hour / 24 + 3) % 7 >= 5;
        let busy = [
            1, 1, 1, 1, 1, 2, 4, 9, 16, 20, 22, 20, 17, 21, 23, 21, 17, 12, 8, 6, 4, 3, 2, 1,
        ];
        let busy = busy
            .get(usize::try_from(of_day).unwrap_or(0))
            .copied()
            .unwrap_or(1);
        let noise = mix(hour * 31 + number) % 5 + 8;
        let calls = busy * noise * growth / 100 / (number + 2) / if is_weekend { 4 } else { 1 };
        let calls = if bad { calls * 25 } else { calls };
        if calls == 0 {
            return;
        }
        let record = |name, value: u64| {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            self.record(region, id, name, hour * 3600, value as f64);
        };
        record("Invocations", calls);
        record("InputTokenCount", calls * (700 + mix(hour + number) % 500));
        if writes {
            record(
                "OutputTokenCount",
                calls * (150 + mix(hour * 7 + number) % 200),
            );
        }
        for sample in 0..calls.min(20) {
            let mut latency = 400 * (number + 1) + mix(hour * 100 + sample) % 900;
            // One answer in sixteen takes long.
            if mix(hour * 1000 + sample).is_multiple_of(16) {
                latency *= 3;
            }
            record("InvocationLatency", latency);
            record("TimeToFirstToken", latency / 4);
        }
        if bad {
            record("InvocationThrottles", calls / 3 + 1);
        }
    }

    fn values(&self, place: &Place, from: u64, to: u64, period: u64) -> BTreeMap<u64, Vec<f64>> {
        let figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let mut periods: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        let minutes = figures.get(place).into_iter().flatten();
        for (minute, values) in minutes.filter(|(minute, _)| (from..to).contains(&(**minute * 60)))
        {
            let start = minute * 60 / period * period;
            periods.entry(start).or_default().extend(values);
        }
        periods
    }

    fn places(&self, region: &str, name: Option<&str>) -> Vec<Place> {
        let figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let since = self.listed_since.load(Ordering::Relaxed) / 60;
        let listed = figures.iter().filter(|((there, _, named), minutes)| {
            let is_recent = minutes.range(since..).next().is_some();
            there == region && name.is_none_or(|name| name == named) && is_recent
        });
        listed.map(|(place, _)| place.clone()).collect()
    }
}

/// A number that looks like chance and is always the same.
fn mix(seed: u64) -> u64 {
    let mixed = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40
}

/// Its routes.
pub fn routes(figures: Arc<CloudWatch>) -> Router {
    Router::new()
        .route(
            "/service/GraniteServiceVersion20100801/operation/{operation}",
            post(operation),
        )
        .with_state(figures)
}

async fn operation(
    State(figures): State<Arc<CloudWatch>>,
    Path(operation): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let region = signed_for(&headers).unwrap_or_default();
    let Ok(request) = ciborium::from_reader::<Value, _>(body.as_ref()) else {
        return failure("SerializationException", "the body is not CBOR");
    };
    match operation.as_str() {
        "ListMetrics" => list(&figures, region, &request),
        "GetMetricData" => data(&figures, region, &request),
        _ => failure(
            "UnknownOperationException",
            "the simulation reads figures only",
        ),
    }
}

fn list(figures: &CloudWatch, region: &str, request: &Value) -> Response {
    let places = figures.places(region, text(request, "MetricName"));
    let entry = |name: &str, dimensions: &[(&str, &str)]| {
        let dimensions = dimensions.iter().map(|(name, value)| {
            map([("Name", Value::from(*name)), ("Value", Value::from(*value))])
        });
        map([
            ("Namespace", "AWS/Bedrock".into()),
            ("MetricName", name.into()),
            ("Dimensions", Value::Array(dimensions.collect())),
        ])
    };
    // The same calls once more by service tier, as the real one has them.
    let all: Vec<Value> = places
        .iter()
        .flat_map(|(_, id, name)| {
            let tiers = [
                ("ModelId", id.as_str()),
                ("ResolvedServiceTier", "default"),
                ("ServiceTier", "default"),
            ];
            [entry(name, &[("ModelId", id)]), entry(name, &tiers)]
        })
        .collect();
    let from = page(request);
    let next = (all.len() > from + LISTED).then(|| (from + LISTED).to_string());
    let metrics = all.into_iter().skip(from).take(LISTED).collect();
    answer([("Metrics", Value::Array(metrics))], next)
}

fn data(figures: &CloudWatch, region: &str, request: &Value) -> Response {
    let queries = field(request, "MetricDataQueries").and_then(Value::as_array);
    let queries = queries.map(Vec::as_slice).unwrap_or_default();
    if queries.is_empty() || queries.len() > 500 {
        return failure("ValidationError", "there may be 1 to 500 MetricDataQueries");
    }
    let (Some(from), Some(to)) = (time(request, "StartTime"), time(request, "EndTime")) else {
        return failure("MissingParameter", "StartTime and EndTime are required");
    };
    let first = page(request);
    let (mut results, mut count, mut next) = (Vec::new(), 0, None);
    for (number, query) in queries.iter().enumerate().skip(first) {
        if count >= VALUES {
            next = Some(number.to_string());
            break;
        }
        let (result, values) = result(figures, region, query, from, to);
        count += values;
        results.push(result);
    }
    answer(
        [
            ("MetricDataResults", Value::Array(results)),
            ("Messages", Value::Array(Vec::new())),
        ],
        next,
    )
}

fn result(figures: &CloudWatch, region: &str, query: &Value, from: u64, to: u64) -> (Value, usize) {
    let stat = field(query, "MetricStat").unwrap_or(&Value::Null);
    let metric = field(stat, "Metric").unwrap_or(&Value::Null);
    let dimensions = field(metric, "Dimensions").and_then(Value::as_array);
    let id = match dimensions.map(Vec::as_slice) {
        Some([only]) if text(only, "Name") == Some("ModelId") => text(only, "Value"),
        _ => None,
    };
    let name = text(metric, "MetricName").unwrap_or_default();
    let period = field(stat, "Period").and_then(Value::as_integer);
    let period = period
        .and_then(|period| u64::try_from(period).ok())
        .unwrap_or(60)
        .max(60);
    let statistic = text(stat, "Stat").unwrap_or("Sum");
    let place = (
        region.to_owned(),
        id.unwrap_or_default().to_owned(),
        name.to_owned(),
    );
    let values = figures.values(&place, from, to, period);
    let times = values.keys().map(|start| {
        // A time is tag 1 of seconds since 1970.
        Value::Tag(1, Box::new(Value::from(*start)))
    });
    let numbers = values
        .values()
        .map(|values| Value::from(reduce(values, statistic)));
    let result = map([
        ("Id", text(query, "Id").unwrap_or_default().into()),
        ("Label", name.into()),
        ("Timestamps", Value::Array(times.collect())),
        ("Values", Value::Array(numbers.collect())),
        ("StatusCode", "Complete".into()),
    ]);
    (result, values.len())
}

fn reduce(values: &[f64], statistic: &str) -> f64 {
    let sum: f64 = values.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "a number of samples")]
    let count = values.len() as f64;
    match statistic {
        "Average" => sum / count,
        "SampleCount" => count,
        "Maximum" => values.iter().copied().fold(f64::MIN, f64::max),
        percentile if percentile.starts_with('p') => {
            let wanted: f64 = percentile
                .get(1..)
                .and_then(|number| number.parse().ok())
                .unwrap_or(50.0);
            let mut sorted = values.to_vec();
            sorted.sort_by(f64::total_cmp);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a place in a list"
            )]
            let place = ((wanted / 100.0 * count).ceil() as usize).saturating_sub(1);
            sorted.get(place).copied().unwrap_or_default()
        }
        _ => sum,
    }
}

fn answer<const N: usize>(fields: [(&str, Value); N], next: Option<String>) -> Response {
    let fields = fields
        .into_iter()
        .chain(next.map(|next| ("NextToken", Value::from(next))));
    respond(
        StatusCode::OK,
        &Value::Map(fields.map(|(name, value)| (name.into(), value)).collect()),
    )
}

fn failure(code: &str, message: &str) -> Response {
    let body = map([
        ("__type", format!("com.amazonaws.cloudwatch#{code}").into()),
        ("message", message.into()),
    ]);
    respond(StatusCode::BAD_REQUEST, &body)
}

fn respond(status: StatusCode, body: &Value) -> Response {
    let mut bytes = Vec::new();
    if ciborium::into_writer(body, &mut bytes).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let headers = [
        ("content-type", "application/cbor"),
        ("smithy-protocol", "rpc-v2-cbor"),
    ];
    (status, headers, bytes).into_response()
}

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(
        fields
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect(),
    )
}

fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = value.as_map()?;
    fields
        .iter()
        .find(|(key, _)| key.as_text() == Some(name))
        .map(|(_, value)| value)
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    field(value, name)?.as_text()
}

fn page(request: &Value) -> usize {
    text(request, "NextToken")
        .and_then(|token| token.parse().ok())
        .unwrap_or(0)
}

fn time(request: &Value, name: &str) -> Option<u64> {
    let (tag, seconds) = field(request, name)?.as_tag()?;
    let whole = seconds
        .as_integer()
        .and_then(|seconds| u64::try_from(seconds).ok());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds since 1970"
    )]
    let broken = seconds.as_float().map(|seconds| seconds as u64);
    whole.or(broken).filter(|_| tag == 1)
}
