//! The usage report: what every model did and cost, from CloudWatch's figures.
//!
//! An event [orders](window::Order) a window. The [`figures`] of every model that was called in it are gathered, [counted and
//! priced](counts), summed into a [`report`] with its [`findings`], written for people as [`text`], [`page`] and [`rows`], and
//! [delivered](deliver).

use std::collections::BTreeSet;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::{Builder, Region};
use jiff::Timestamp;
use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde_json::Value;
use shared::catalog::{Named, clean};
use shared::config::Config;
use shared::telemetry;
use shared::usd::Usd;

use counts::reference;
use deliver::Outlets;
use figures::{Gathered, Ids, gather};
use report::Report;
use text::headline;
use window::Order;

pub mod chart;
pub mod counts;
pub mod deliver;
pub mod figures;
pub mod findings;
pub mod metrics;
pub mod page;
pub mod report;
pub mod rows;
pub mod text;
pub mod window;

/// CloudWatch lists what has had figures within two weeks only.
const LISTED_DAYS: i64 = 14;

/// What every report needs.
#[derive(Debug)]
pub struct App {
    /// The catalog, and what ARNs stand for.
    pub config: Config,
    /// The connection to CloudWatch, in the own Region.
    pub client: Client,
    /// The Regions whose figures are gathered.
    pub regions: BTreeSet<String>,
    /// The endpoint is that of the own Region, and others have theirs.
    pub is_regional: bool,
    /// What a calendar month may cost.
    pub budget: Option<Usd>,
}

impl App {
    /// Reads what is set for reports alone.
    ///
    /// | variable | default | meaning |
    /// |---|---|---|
    /// | `REPORT_REGIONS` | the own one | Regions whose calls are counted, parted by commas |
    /// | `MONTHLY_BUDGET_USD` | none | what a calendar month may cost |
    ///
    /// # Errors
    /// A sentence that names the variable, its value and what was wanted.
    pub fn new(
        config: Config,
        client: Client,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let home = &config.policy.region;
        let budget = lookup("MONTHLY_BUDGET_USD").map(|text| {
            let amount = Usd::parse(text.trim()).ok();
            amount.filter(|amount| *amount >= Usd::ZERO).ok_or(format!(
                "MONTHLY_BUDGET_USD is {text:?}, which is not an amount in US dollars"
            ))
        });
        let budget = budget.transpose()?.filter(|budget| *budget > Usd::ZERO);
        // A VPC endpoint has its Region's name in its own.
        let endpoint = lookup("CLOUDWATCH_ENDPOINT");
        let is_regional = endpoint.is_some_and(|url| url.contains(home.as_str()));
        Ok(Self {
            regions: regions(lookup("REPORT_REGIONS").as_deref(), home)?,
            is_regional,
            budget,
            config,
            client,
        })
    }

    /// Makes the report that was ordered, and tells how it gets on.
    ///
    /// # Errors
    /// Beyond the calendar. Figures that cannot be had are no error: the report says what is missing.
    pub async fn make(&self, order: Order, tell: &dyn Fn(String)) -> Result<Report, String> {
        let catalog = &self.config.catalog;
        let [sums, _] = order.window.plans()?;
        let mut all = Gathered::default();
        for region in &self.regions {
            tell(format!("reading CloudWatch's figures of {region}"));
            let more = self.unlisted(region, sums.start, order.now);
            let is_wanted = |id: &str| self.is_wanted(order.model.as_deref(), id);
            let ids = Ids {
                more,
                is_wanted: &is_wanted,
            };
            let client = self.in_region(region);
            all.add(gather(&client, region, ids, &order.window).await?);
        }
        tell(format!("{} calls to CloudWatch", all.calls));
        let is_nothing = all.figures.is_empty() && all.missing.is_empty();
        if let Some(model) = order.model.as_deref().filter(|_| is_nothing)
            && let Named::Unknown(nearest) = catalog.named(model)
        {
            let nearest = match nearest.as_slice() {
                [] => String::new(),
                names => format!("; did you mean {}?", names.join(", ")),
            };
            return Err(format!("no model is called {model:?}{nearest}"));
        }
        Report::new(&self.config, order, all, self.budget)
    }

    /// Every id that might have been called and is too old to be listed.
    fn unlisted(&self, region: &str, start: Timestamp, now: Timestamp) -> BTreeSet<String> {
        if now.as_second() - start.as_second() < LISTED_DAYS * 86_400 {
            return BTreeSet::new();
        }
        let arns = self.config.policy.arns.iter().map(|(arn, _)| arn.clone());
        let mut ids: BTreeSet<String> = arns.collect();
        for model in self.config.catalog.models.iter() {
            if model.regions.iter().any(|there| there == region) {
                ids.insert(model.id.to_string());
            }
            let profiles = model.profiles.iter();
            let here = profiles.filter(|profile| profile.from.iter().any(|from| from == region));
            ids.extend(here.map(|profile| model.id_in(&profile.scope)));
        }
        ids
    }

    fn in_region(&self, region: &str) -> Client {
        let mut there: Builder = self.client.config().to_builder();
        if self.is_regional && *region != self.config.policy.region {
            there.set_endpoint_url(None);
        }
        Client::from_conf(there.region(Region::new(region.to_owned())).build())
    }

    /// Whether an id is of the one model that is asked for, by any of its names, or that id itself.
    fn is_wanted(&self, model: Option<&str>, id: &str) -> bool {
        let Some(model) = model else { return true };
        let same = |asked: shared::catalog::Reference<'_>| {
            let known = reference(&self.config, id);
            let is_scope = asked.scope.is_none() || asked.scope == known.as_ref()?.scope;
            Some(is_scope && known?.model.id == asked.model.id)
        };
        clean(model) == id || reference(&self.config, model).and_then(same) == Some(true)
    }
}

/// The client of the function. Nothing goes over the network here.
#[must_use]
pub fn client(settings: &SdkConfig, endpoint: Option<&str>) -> Client {
    let mut config = Builder::from(settings);
    if let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_empty()) {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

/// Bounds the time of every call: a service that does not answer must not keep the others' figures from the report.
#[must_use]
pub fn bounded(settings: SdkConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(10))
        .operation_timeout(Duration::from_secs(30));
    settings
        .into_builder()
        .timeout_config(timeouts.build())
        .build()
}

/// The Regions of a setting, each once; the own one where it names none.
fn regions(setting: Option<&str>, home: &str) -> Result<BTreeSet<String>, String> {
    let named = setting.unwrap_or_default().split(',').map(str::trim);
    let mut regions: BTreeSet<String> = named
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    let is_name = |name: &String| {
        let parts = name.split('-').count();
        parts >= 3
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if let Some(wrong) = regions.iter().find(|name| !is_name(name)) {
        return Err(format!(
            "REPORT_REGIONS holds {wrong:?}, which is not a Region such as us-west-2"
        ));
    }
    if regions.is_empty() {
        regions.insert(home.to_owned());
    }
    Ok(regions)
}

/// The time, for events that do not say theirs.
#[must_use]
pub fn now() -> Timestamp {
    let seconds = i64::try_from(telemetry::now().as_secs()).unwrap_or(0);
    Timestamp::from_second(seconds).unwrap_or_default()
}

/// The function's answer.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The report.
    #[serde(flatten)]
    pub report: Report,
    /// The channels that this call has delivered it by.
    pub delivered: Vec<&'static str>,
}

/// What keeps a report from being made or delivered: the name that Lambda is told, and a sentence.
#[derive(Debug)]
pub struct Failure(&'static str, String);

impl From<Failure> for Diagnostic {
    fn from(Failure(kind, message): Failure) -> Self {
        Self {
            error_type: kind.into(),
            error_message: message,
        }
    }
}

/// Makes the report that an event asks for, and delivers it unless it is only to be answered.
///
/// # Errors
/// What is wrong with the event, or what could not be delivered.
pub async fn answer(app: &App, outlets: &Outlets, event: &Value) -> Result<Answer, Failure> {
    let invalid = |error| Failure("InvalidEvent", error);
    let order = Order::of(event, now()).map_err(invalid)?;
    let (deliver, again) = (order.deliver, order.again);
    let tell = |what: String| tracing::debug!("{what}");
    let mut report = app.make(order, &tell).await.map_err(invalid)?;
    tracing::info!(missing = report.missing.len(), "{}", headline(&report));
    let delivered = if deliver {
        let delivered = outlets.deliver(&report, again).await;
        delivered.map_err(|error| Failure("NotDelivered", error))?
    } else {
        Vec::new()
    };
    report.fit();
    Ok(Answer { report, delivered })
}
