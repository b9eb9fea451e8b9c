//! The report as rows for a spreadsheet: a line for each id and day.

use csv::Writer;

use crate::counts::Counts;
use crate::report::{Report, Row};

const HEAD: [&str; 16] = [
    "date",
    "region",
    "provider",
    "model",
    "modelId",
    "invocations",
    "inputTokens",
    "outputTokens",
    "cacheReadInputTokens",
    "cacheWriteInputTokens",
    "images",
    "clientErrors",
    "serverErrors",
    "throttles",
    "legacyInvocations",
    "costUsd",
];

/// The report as CSV. An unknown cost is empty; `date` is the window's start where the window is of hours.
///
/// # Errors
/// None, in fact: writing into memory does not fail.
pub fn csv(report: &Report) -> Result<String, csv::Error> {
    let mut to = Writer::from_writer(Vec::new());
    to.write_record(HEAD)?;
    for row in &report.models {
        if !report.window.is_days() {
            to.write_record(record(report.window.start.to_string(), row, &row.counts))?;
        }
        for day in &row.days {
            to.write_record(record(day.date.to_string(), row, &day.counts))?;
        }
    }
    let bytes = to.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn record(date: String, row: &Row, counts: &Counts) -> [String; HEAD.len()] {
    [
        date,
        row.region.clone(),
        row.provider.clone(),
        row.model.clone(),
        row.model_id.clone(),
        counts.invocations.to_string(),
        counts.input_tokens.to_string(),
        counts.output_tokens.to_string(),
        counts.cache_read_input_tokens.to_string(),
        counts.cache_write_input_tokens.to_string(),
        counts.images.to_string(),
        counts.client_errors.to_string(),
        counts.server_errors.to_string(),
        counts.throttles.to_string(),
        counts.legacy_invocations.to_string(),
        counts
            .cost_usd
            .map_or(String::new(), |cost| cost.to_string()),
    ]
}
