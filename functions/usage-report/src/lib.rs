//! The usage report: what every model did and cost, from CloudWatch's figures.
//!
//! An event asks for a [`window`]. The [`figures`] of every model that was called in it are gathered, priced and summed into a
//! [`report`], which is written for people as [`text`].

use std::collections::BTreeSet;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::{BehaviorVersion, Builder, Region};
use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::Value;
use shared::catalog::Catalog;
use shared::telemetry;

use figures::{Gathered, gather};
use report::Report;
use window::Window;

pub mod figures;
pub mod report;
pub mod text;
pub mod window;

/// CloudWatch lists what has had figures within two weeks only.
const LISTED_DAYS: i64 = 14;

/// What every report needs.
#[derive(Debug)]
pub struct App {
    /// The connection to CloudWatch, in the own Region.
    pub client: Client,
    /// The Regions whose figures are gathered.
    pub regions: Vec<String>,
}

/// The client of the function, from its environment. Nothing goes over the network here.
pub async fn client(endpoint: Option<&str>) -> Client {
    let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
    let mut config = Builder::from(&config);
    if let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_empty()) {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

/// The Regions of a setting, parted by commas; the own one where it names none.
#[must_use]
pub fn regions(setting: Option<&str>, home: &str) -> Vec<String> {
    let named = setting.unwrap_or_default().split(',').map(str::trim);
    let mut regions: Vec<_> = named
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if regions.is_empty() {
        regions.push(home.to_owned());
    }
    regions
}

/// The time, for events that do not say theirs.
#[must_use]
pub fn now() -> Timestamp {
    let seconds = i64::try_from(telemetry::now().as_secs()).unwrap_or(0);
    Timestamp::from_second(seconds).unwrap_or_default()
}

/// Makes the report that an event asks for.
///
/// # Errors
/// What is wrong with the event. Figures that cannot be had are no error: the report says what is missing.
pub async fn make(
    app: &App,
    catalog: &Catalog,
    event: &Value,
    now: Timestamp,
) -> Result<Report, String> {
    let window = Window::of(event, now)?;
    let start = window.previous()?.start;
    let mut all = Gathered::default();
    for region in &app.regions {
        let client = in_region(&app.client, region);
        let others = unlisted(catalog, region, start, window.made);
        let span = (start, window.end);
        let some = gather(&client, region, &others, span, window.period).await;
        all.figures.extend(some.figures);
        all.missing.extend(some.missing);
        all.calls += some.calls;
    }
    let today = Offset::UTC.to_datetime(window.made).date();
    Ok(Report::new(catalog, window, all, today))
}

/// Every id that might have been called and is too old to be listed.
fn unlisted(catalog: &Catalog, region: &str, start: Timestamp, now: Timestamp) -> BTreeSet<String> {
    if now.as_second() - start.as_second() < LISTED_DAYS * 86_400 {
        return BTreeSet::new();
    }
    let mut ids = BTreeSet::new();
    for model in catalog.models.iter() {
        if model.regions.iter().any(|there| there == region) {
            ids.insert(model.id.to_string());
        }
        let profiles = model.profiles.iter();
        let here = profiles.filter(|profile| profile.from.iter().any(|from| from == region));
        ids.extend(here.map(|profile| model.id_in(&profile.scope)));
    }
    ids
}

fn in_region(client: &Client, region: &str) -> Client {
    let there: Builder = client.config().to_builder();
    Client::from_conf(there.region(Region::new(region.to_owned())).build())
}
