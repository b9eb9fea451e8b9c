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

use crate::window::{Plan, Window};

/// Bedrock's namespace, and the one dimension that counts.
const NAMESPACE: &str = "AWS/Bedrock";
const MODEL_ID: &str = "ModelId";
/// Queries in one GetMetricData call at most.
const QUERIES: usize = 500;
/// What is listed, because a model that was only refused has no `Invocations`.
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

/// What is drawn over time.
pub const COURSE: [Metric; 4] = [
    Metric::Invocations,
    Metric::LatencyP50,
    Metric::LatencyP90,
    Metric::LatencyP99,
];

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
    /// CloudWatch's name for it, the statistic, and what it is called in a query's id.
    #[must_use]
    pub fn query(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Invocations => ("Invocations", "Sum", "calls"),
            Self::InputTokens => ("InputTokenCount", "Sum", "in"),
            Self::OutputTokens => ("OutputTokenCount", "Sum", "out"),
            Self::CacheReadTokens => ("CacheReadInputTokens", "Sum", "read"),
            Self::CacheWriteTokens => ("CacheWriteInputTokens", "Sum", "write"),
            Self::LatencyAverage => ("InvocationLatency", "Average", "latency"),
            Self::LatencyP50 => ("InvocationLatency", "p50", "p50"),
            Self::LatencyP90 => ("InvocationLatency", "p90", "p90"),
            Self::LatencyP99 => ("InvocationLatency", "p99", "p99"),
            Self::FirstTokenAverage => ("TimeToFirstToken", "Average", "first"),
            Self::ClientErrors => ("InvocationClientErrors", "Sum", "client"),
            Self::ServerErrors => ("InvocationServerErrors", "Sum", "server"),
            Self::Throttles => ("InvocationThrottles", "Sum", "throttles"),
            Self::Images => ("OutputImageCount", "Sum", "images"),
            Self::LegacyInvocations => ("LegacyModelInvocations", "Sum", "legacy"),
        }
    }
}

/// One figure by time.
pub type Series = BTreeMap<Timestamp, f64>;
/// Figures of one id by time.
pub type Table = BTreeMap<Metric, Series>;

/// The figures of one id in one Region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// The Region that was called.
    pub region: String,
    /// The id as it was called.
    pub model_id: String,
    /// Everything, by the period of sums: of the window and of the time before it.
    pub sums: Table,
    /// What is drawn over time: of the window alone.
    pub course: Table,
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

impl Gathered {
    /// Adds another Region's.
    pub fn add(&mut self, other: Self) {
        self.figures.extend(other.figures);
        self.missing.extend(other.missing);
        self.calls += other.calls;
    }
}

/// Which ids to gather, beside those that CloudWatch lists, and which of all those.
pub struct Ids<'a> {
    /// Ids that may be too old to be listed.
    pub more: BTreeSet<String>,
    /// Whether an id is wanted.
    pub is_wanted: &'a dyn Fn(&str) -> bool,
}

/// Gathers the figures of one Region.
///
/// # Errors
/// Beyond the calendar. What CloudWatch does not say is no error.
pub async fn gather(
    client: &Client,
    region: &str,
    ids: Ids<'_>,
    window: &Window,
) -> Result<Gathered, String> {
    let mut gathered = Gathered::default();
    let mut listed = BTreeSet::new();
    for metric in LISTED {
        if let Err(error) = list(client, metric, &mut listed, &mut gathered.calls).await {
            let what = format!("{region}: models could not be listed ({error})");
            gathered.missing.push(what);
            break;
        }
    }
    let empty = |model_id: String| Figures {
        region: region.to_owned(),
        model_id,
        ..Figures::default()
    };
    let [sums, course] = window.plans()?;
    // Of what may be too old to be listed only that is asked for in full which has been called.
    let more = ids.more.into_iter().filter(|id| !listed.contains(id));
    let more = more.filter(|id| (ids.is_wanted)(id));
    gathered.figures = more.map(empty).collect();
    let probe = Plan {
        metrics: &[Metric::Invocations],
        ..sums
    };
    carry_out(client, region, &probe, true, &mut gathered).await;
    gathered.figures.retain(|figures| !figures.sums.is_empty());
    let wanted = listed.into_iter().filter(|id| (ids.is_wanted)(id));
    gathered.figures.extend(wanted.map(empty));
    carry_out(client, region, &sums, true, &mut gathered).await;
    gathered.figures.retain(|figures| !figures.sums.is_empty());
    carry_out(client, region, &course, false, &mut gathered).await;
    Ok(gathered)
}

/// Asks for the figures of a plan, as many in one call as it takes.
async fn carry_out(
    client: &Client,
    region: &str,
    plan: &Plan,
    is_sums: bool,
    gathered: &mut Gathered,
) {
    let models = 0..gathered.figures.len();
    let places: Vec<(usize, Metric)> = models
        .flat_map(|model| plan.metrics.iter().map(move |metric| (model, *metric)))
        .collect();
    let mut rest = places.as_slice();
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(QUERIES));
        let part = Part {
            places: now,
            plan,
            is_sums,
        };
        match part.ask(client, gathered).await {
            Ok(incomplete) => {
                let incomplete = part.describe(&incomplete, gathered);
                gathered.missing.extend(incomplete);
            }
            Err(error) => {
                // A throttle passes; whatever else it is meets the next part, too.
                let lost = if error.starts_with("Thrott") {
                    now
                } else {
                    rest
                };
                let what = lost_figures(lost, gathered);
                gathered.missing.push(format!("{region}: {what} ({error})"));
                if lost.len() > now.len() {
                    return;
                }
            }
        }
        rest = later;
    }
}

/// Figures that could not be had, and whose.
fn lost_figures(places: &[(usize, Metric)], gathered: &Gathered) -> String {
    let id = |place: Option<&(usize, Metric)>| {
        let figures = place.and_then(|(model, _)| gathered.figures.get(*model));
        figures.map_or("?", |figures| figures.model_id.as_str())
    };
    let (first, last) = (id(places.first()), id(places.last()));
    let whose = if first == last {
        first.to_owned()
    } else {
        format!("{first} to {last}, by name")
    };
    format!("{} figures of {whose}", places.len())
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

fn query(model: usize, id: &str, metric: Metric, period: i32) -> MetricDataQuery {
    let (metric_name, stat, _) = metric.query();
    let dimension = Dimension::builder().name(MODEL_ID).value(id).build();
    let named = Named::builder()
        .namespace(NAMESPACE)
        .metric_name(metric_name)
        .dimensions(dimension)
        .build();
    let stat = MetricStat::builder()
        .metric(named)
        .period(period)
        .stat(stat)
        .build();
    MetricDataQuery::builder()
        .id(query_id(model, metric))
        .metric_stat(stat)
        .build()
}

/// Such as `m0_in`.
fn query_id(model: usize, metric: Metric) -> String {
    format!("m{model}_{}", metric.query().2)
}

/// As many figures as one call takes.
struct Part<'p> {
    places: &'p [(usize, Metric)],
    plan: &'p Plan,
    is_sums: bool,
}

impl Part<'_> {
    fn queries(&self, gathered: &Gathered) -> Vec<MetricDataQuery> {
        let queries = self.places.iter().filter_map(|(model, metric)| {
            let id = &gathered.figures.get(*model)?.model_id;
            Some(query(*model, id, *metric, self.plan.period))
        });
        queries.collect()
    }

    /// Follows every page, and returns the last word on each figure that is not complete.
    async fn ask(
        &self,
        client: &Client,
        gathered: &mut Gathered,
    ) -> Result<BTreeMap<usize, StatusCode>, String> {
        let queries = self.queries(gathered);
        let ids = self.places.iter().enumerate();
        let ids = ids.map(|(number, (model, metric))| (query_id(*model, *metric), number));
        let numbers: BTreeMap<String, usize> = ids.collect();
        let mut token: Option<String> = None;
        let mut last = BTreeMap::new();
        loop {
            gathered.calls += 1;
            let page = client
                .get_metric_data()
                .set_metric_data_queries(Some(queries.clone()))
                .start_time(DateTime::from_secs(self.plan.start.as_second()))
                .end_time(DateTime::from_secs(self.plan.end.as_second()))
                .scan_by(ScanBy::TimestampAscending)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| code(&error))?;
            self.keep(&page, &numbers, gathered, &mut last);
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        last.retain(|_, status| *status != StatusCode::Complete);
        Ok(last)
    }

    fn keep(
        &self,
        page: &GetMetricDataOutput,
        numbers: &BTreeMap<String, usize>,
        gathered: &mut Gathered,
        last: &mut BTreeMap<usize, StatusCode>,
    ) {
        for result in page.metric_data_results() {
            let Some(&number) = result.id().and_then(|id| numbers.get(id)) else {
                continue;
            };
            if let Some(status) = result.status_code() {
                last.insert(number, status.clone());
            }
            let place = self.places.get(number);
            let Some((figures, metric)) = place.and_then(|(model, metric)| {
                let figures = gathered.figures.get_mut(*model)?;
                Some((figures, *metric))
            }) else {
                continue;
            };
            let table = if self.is_sums {
                &mut figures.sums
            } else {
                &mut figures.course
            };
            for (time, value) in result.timestamps().iter().zip(result.values()) {
                if let Ok(time) = Timestamp::from_second(time.secs()) {
                    table.entry(metric).or_default().insert(time, *value);
                }
            }
        }
    }

    /// What is incomplete, in a line for each reason.
    fn describe(
        &self,
        incomplete: &BTreeMap<usize, StatusCode>,
        gathered: &Gathered,
    ) -> Vec<String> {
        let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (number, status) in incomplete {
            let Some((model, metric)) = self.places.get(*number) else {
                continue;
            };
            let Some(figures) = gathered.figures.get(*model) else {
                continue;
            };
            let (name, stat, _) = metric.query();
            let reason = reasons.entry(status.as_str().to_owned()).or_default();
            let (region, id) = (&figures.region, &figures.model_id);
            reason.push(format!("{region}: {name} ({stat}) of {id}"));
        }
        let lines = reasons.into_iter().map(|(reason, figures)| {
            let first = figures.first().map_or("?", String::as_str);
            let more = match figures.len() {
                0 | 1 => String::new(),
                all => format!(" and {} more figures", all - 1),
            };
            format!("{first}{more}: CloudWatch says {reason}")
        });
        lines.collect()
    }
}

/// The error's own name, and what to do about the one that an operator can cure.
fn code<E: ProvideErrorMetadata>(error: &aws_sdk_cloudwatch::error::SdkError<E>) -> String {
    match error.code() {
        Some(code) if code.starts_with("AccessDenied") => format!(
            "{code}: the function's role needs cloudwatch:ListMetrics and cloudwatch:GetMetricData"
        ),
        Some(code) => code.to_owned(),
        None => "no answer".to_owned(),
    }
}
