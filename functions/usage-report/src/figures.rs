//! The edge to CloudWatch: which models were called, and their figures.
//!
//! Only the exact dimension set `{ModelId}` is asked for: CloudWatch has the same calls once more by service tier and in other
//! sets, and whoever sums all of them counts twice. No figure is not a zero.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::error::ProvideErrorMetadata;
use aws_sdk_cloudwatch::operation::get_metric_data::GetMetricDataOutput;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    Dimension, Metric as Named, MetricDataQuery, MetricStat, ScanBy, StatusCode,
};
use jiff::Timestamp;

/// Bedrock's namespace, and the one dimension that counts.
const NAMESPACE: &str = "AWS/Bedrock";
const MODEL_ID: &str = "ModelId";
/// Queries in one GetMetricData call at most.
const QUERIES: usize = 500;
/// A model that was only refused has no `Invocations`.
const LISTED: [Metric; 4] = [
    Metric::Invocations,
    Metric::ClientErrors,
    Metric::ServerErrors,
    Metric::Throttles,
];

/// A figure of Bedrock's, with the statistic that it is read by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Metric {
    Invocations,
    InputTokens,
    OutputTokens,
    CacheReadTokens,
    CacheWriteTokens,
    LatencyAverage,
    LatencyP50,
    LatencyP90,
    LatencyP99,
    FirstTokenAverage,
    ClientErrors,
    ServerErrors,
    Throttles,
    Images,
    LegacyInvocations,
}

/// All of them.
pub const METRICS: [Metric; 15] = [
    Metric::Invocations,
    Metric::InputTokens,
    Metric::OutputTokens,
    Metric::CacheReadTokens,
    Metric::CacheWriteTokens,
    Metric::LatencyAverage,
    Metric::LatencyP50,
    Metric::LatencyP90,
    Metric::LatencyP99,
    Metric::FirstTokenAverage,
    Metric::ClientErrors,
    Metric::ServerErrors,
    Metric::Throttles,
    Metric::Images,
    Metric::LegacyInvocations,
];

impl Metric {
    /// CloudWatch's name for it, and the statistic.
    #[must_use]
    pub fn query(self) -> (&'static str, &'static str) {
        match self {
            Self::Invocations => ("Invocations", "Sum"),
            Self::InputTokens => ("InputTokenCount", "Sum"),
            Self::OutputTokens => ("OutputTokenCount", "Sum"),
            Self::CacheReadTokens => ("CacheReadInputTokens", "Sum"),
            Self::CacheWriteTokens => ("CacheWriteInputTokens", "Sum"),
            Self::LatencyAverage => ("InvocationLatency", "Average"),
            Self::LatencyP50 => ("InvocationLatency", "p50"),
            Self::LatencyP90 => ("InvocationLatency", "p90"),
            Self::LatencyP99 => ("InvocationLatency", "p99"),
            Self::FirstTokenAverage => ("TimeToFirstToken", "Average"),
            Self::ClientErrors => ("InvocationClientErrors", "Sum"),
            Self::ServerErrors => ("InvocationServerErrors", "Sum"),
            Self::Throttles => ("InvocationThrottles", "Sum"),
            Self::Images => ("OutputImageCount", "Sum"),
            Self::LegacyInvocations => ("LegacyModelInvocations", "Sum"),
        }
    }
}

/// One figure by time.
pub type Series = BTreeMap<Timestamp, f64>;

/// The figures of one id in one Region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// The Region that was called.
    pub region: String,
    /// The id as it was called.
    pub model_id: String,
    /// What CloudWatch has of it.
    pub series: BTreeMap<Metric, Series>,
}

/// What was gathered, and what could not be.
#[derive(Debug, Default)]
pub struct Gathered {
    /// By id and Region.
    pub figures: Vec<Figures>,
    /// What is missing, and why.
    pub missing: Vec<String>,
    /// Calls to CloudWatch.
    pub calls: u32,
}

/// Gathers the figures of one Region: of all ids that it lists, and of others that may be too old to be listed.
pub async fn gather(
    client: &Client,
    region: &str,
    others: &BTreeSet<String>,
    (start, end): (Timestamp, Timestamp),
    period: i32,
) -> Gathered {
    let mut gathered = Gathered::default();
    let mut ids = others.clone();
    for metric in LISTED {
        if let Err(error) = list(client, metric, &mut ids, &mut gathered.calls).await {
            let what = format!("{region}: models could not be listed ({error})");
            gathered.missing.push(what);
            break;
        }
    }
    let ids: Vec<String> = ids.into_iter().collect();
    gathered.figures = ids
        .iter()
        .map(|id| Figures {
            region: region.to_owned(),
            model_id: id.clone(),
            series: BTreeMap::new(),
        })
        .collect();
    let places: Vec<(usize, Metric)> = (0..ids.len())
        .flat_map(|model| METRICS.map(|metric| (model, metric)))
        .collect();
    for (part, places) in places.chunks(QUERIES).enumerate() {
        let queries = places.iter().enumerate();
        let queries = queries.filter_map(|(number, (model, metric))| {
            let name = format!("q{number}");
            Some(query(name, ids.get(*model)?, *metric, period))
        });
        let asked = Part {
            queries: queries.collect(),
            places,
            start,
            end,
        };
        if let Err(error) = asked.ask(client, &mut gathered).await {
            let what = format!("{region}: figures, part {} ({error})", part + 1);
            gathered.missing.push(what);
        }
    }
    gathered
        .figures
        .retain(|figures| !figures.series.is_empty());
    gathered
}

async fn list(
    client: &Client,
    metric: Metric,
    ids: &mut BTreeSet<String>,
    calls: &mut u32,
) -> Result<(), String> {
    let mut token = None;
    loop {
        *calls += 1;
        let page = client
            .list_metrics()
            .namespace(NAMESPACE)
            .metric_name(metric.query().0)
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| code(&error))?;
        for metric in page.metrics() {
            if let [only] = metric.dimensions()
                && only.name() == Some(MODEL_ID)
                && let Some(id) = only.value()
            {
                ids.insert(id.to_owned());
            }
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(());
        }
    }
}

fn query(name: String, id: &str, metric: Metric, period: i32) -> MetricDataQuery {
    let (metric_name, stat) = metric.query();
    let dimension = Dimension::builder().name(MODEL_ID).value(id).build();
    let metric = Named::builder()
        .namespace(NAMESPACE)
        .metric_name(metric_name)
        .dimensions(dimension)
        .build();
    let stat = MetricStat::builder()
        .metric(metric)
        .period(period)
        .stat(stat)
        .build();
    MetricDataQuery::builder()
        .id(name)
        .metric_stat(stat)
        .build()
}

/// As many queries as one call takes.
struct Part<'p> {
    queries: Vec<MetricDataQuery>,
    places: &'p [(usize, Metric)],
    start: Timestamp,
    end: Timestamp,
}

impl Part<'_> {
    async fn ask(self, client: &Client, gathered: &mut Gathered) -> Result<(), String> {
        let mut token: Option<String> = None;
        let mut last: BTreeMap<String, StatusCode> = BTreeMap::new();
        loop {
            gathered.calls += 1;
            let page = client
                .get_metric_data()
                .set_metric_data_queries(Some(self.queries.clone()))
                .start_time(DateTime::from_secs(self.start.as_second()))
                .end_time(DateTime::from_secs(self.end.as_second()))
                .scan_by(ScanBy::TimestampAscending)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| code(&error))?;
            self.keep(&page, gathered, &mut last);
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        let incomplete = last
            .values()
            .filter(|status| **status != StatusCode::Complete);
        let words: BTreeSet<_> = incomplete.map(StatusCode::as_str).collect();
        if words.is_empty() {
            Ok(())
        } else {
            let words: Vec<_> = words.into_iter().collect();
            Err(format!("CloudWatch says {}", words.join(", ")))
        }
    }

    fn keep(
        &self,
        page: &GetMetricDataOutput,
        gathered: &mut Gathered,
        last: &mut BTreeMap<String, StatusCode>,
    ) {
        for result in page.metric_data_results() {
            let Some(id) = result.id() else { continue };
            if let Some(status) = result.status_code() {
                last.insert(id.to_owned(), status.clone());
            }
            let place = id
                .strip_prefix('q')
                .and_then(|number| number.parse::<usize>().ok());
            let Some((model, metric)) = place.and_then(|place| self.places.get(place)) else {
                continue;
            };
            let Some(figures) = gathered.figures.get_mut(*model) else {
                continue;
            };
            for (time, value) in result.timestamps().iter().zip(result.values()) {
                if let Ok(time) = Timestamp::from_second(time.secs()) {
                    figures
                        .series
                        .entry(*metric)
                        .or_default()
                        .insert(time, *value);
                }
            }
        }
    }
}

fn code<E: ProvideErrorMetadata>(error: &aws_sdk_cloudwatch::error::SdkError<E>) -> String {
    match error.code() {
        Some(code) => code.to_owned(),
        None => "no answer".to_owned(),
    }
}
