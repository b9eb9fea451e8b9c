//! The usage report, made from this machine's figures or from AWS's.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;
use jiff::Timestamp;
use serde_json::json;
use usage_report::App;
use usage_report::deliver::files;
use usage_report::report::Report;
use usage_report::text::text;
use usage_report::window::Order;

/// Which report, and how.
#[derive(Debug, clap::Args)]
pub struct Wanted {
    /// day, week, month, or a duration of whole hours such as PT6H.
    #[arg(long, default_value = "week")]
    pub window: String,
    /// The moment after the window, such as 2026-11-24T00:00:00Z; the last whole window if absent.
    #[arg(long)]
    pub end: Option<String>,
    /// One model by any of its names, hour by hour.
    #[arg(long)]
    pub model: Option<String>,
    /// Print the JSON report instead of text, and write no files.
    #[arg(long)]
    pub json: bool,
    /// Where the page, the JSON and the CSV are written.
    #[arg(long, default_value = "target/usage-report")]
    pub out: PathBuf,
    /// Open the page in a browser.
    #[arg(long)]
    pub open: bool,
    /// The figures of a local stack that is running, found by --listen and --aws-port, up to the current hour.
    #[arg(long, conflicts_with = "aws")]
    pub running: bool,
}

/// Makes a report, writes its files, and returns what to print.
///
/// # Errors
/// What is wrong with the window, or what could not be written.
pub async fn report(app: &App, wanted: &Wanted, now: Timestamp) -> Result<String, String> {
    let mut event = json!({ "window": wanted.window });
    for (name, value) in [("end", &wanted.end), ("model", &wanted.model)] {
        if let (Some(value), Some(event)) = (value, event.as_object_mut()) {
            event.insert(name.into(), value.clone().into());
        }
    }
    let order = Order::of(&event, now)?;
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(100));
    let tell = |what| spinner.set_message(what);
    let report = app.make(order, &tell).await;
    spinner.finish_and_clear();
    let report = report?;
    if wanted.json {
        return serde_json::to_string(&report).map_err(|error| error.to_string());
    }
    let page = write(&report, &wanted.out)?;
    let page = page.display();
    let mut files = format!("page  {page}\ndata  report.json and report.csv beside it");
    if wanted.open
        && let Err(error) = open::that_detached(page.to_string())
    {
        files += &format!("\n\nno browser could be started ({error}); open the page yourself");
    }
    Ok(format!("{}\n{files}", text(&report, None)))
}

/// Writes the files, and returns the page's path.
fn write(report: &Report, folder: &Path) -> Result<PathBuf, String> {
    let told = |error: &std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(|error| told(&error))?;
    for (name, _, text) in files(report)? {
        fs::write(folder.join(name), text).map_err(|error| told(&error))?;
    }
    Ok(folder.join("report.html"))
}
