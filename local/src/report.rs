//! The usage report, made from this machine's figures or from AWS's.

use aws_sdk_cloudwatch::Client;
use indicatif::ProgressBar;
use serde_json::json;
use shared::catalog::Catalog;
use std::time::Duration;
use usage_report::text::text;
use usage_report::{App, make, now};

/// Which report, and how.
#[derive(Debug, clap::Args)]
pub struct Wanted {
    /// day, week, month, or a duration of whole hours such as PT6H.
    #[arg(long, default_value = "week")]
    pub window: String,
    /// The moment after the window, such as 2026-11-24T00:00:00Z; the last whole window if absent.
    #[arg(long)]
    pub end: Option<String>,
    /// Print the JSON report instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Makes a report, and returns what to print.
///
/// # Errors
/// What is wrong with the window.
pub async fn report(
    client: Client,
    regions: Vec<String>,
    catalog: &Catalog,
    wanted: &Wanted,
) -> Result<String, String> {
    let spinner = ProgressBar::new_spinner().with_message("reading CloudWatch's figures");
    spinner.enable_steady_tick(Duration::from_millis(100));
    let app = App { client, regions };
    let mut event = json!({ "window": wanted.window });
    if let (Some(end), Some(event)) = (&wanted.end, event.as_object_mut()) {
        event.insert("end".into(), end.clone().into());
    }
    let report = make(&app, catalog, &event, now()).await;
    spinner.finish_and_clear();
    let report = report?;
    if wanted.json {
        return serde_json::to_string(&report).map_err(|error| error.to_string());
    }
    Ok(text(&report))
}
