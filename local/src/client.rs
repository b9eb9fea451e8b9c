//! The router as the commands use it: one request in this process, answered by what `cargo run` serves.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::Value;
use tower::ServiceExt;

/// Sends a request and returns the body of a good answer.
///
/// # Errors
/// The problem's text for any other answer.
pub async fn send(router: Router, request: Request<Body>) -> Result<Vec<u8>, String> {
    let response = router
        .oneshot(request)
        .await
        .unwrap_or_else(|never| match never {});
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX)
        .await
        .map_err(|error| error.to_string())?;
    if status == StatusCode::OK {
        return Ok(body.to_vec());
    }
    Err(problem_of(&body))
}

/// A problem in lines to print.
pub(crate) fn problem_of(body: &[u8]) -> String {
    match serde_json::from_slice(body) {
        Ok(answer) => problem(&answer),
        Err(error) => format!("the answer is not JSON: {error}"),
    }
}

/// An empty table in the style of all our tables.
#[must_use]
pub fn table() -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(110);
    table
}

fn problem(problem: &Value) -> String {
    let word = |value: &Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let list = |name: &str| {
        problem
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let mut lines = vec![format!(
        "{}: {}",
        word(problem, "title"),
        word(problem, "detail")
    )];
    if problem.get("field").is_some() {
        lines.push(format!("  field: {}", word(problem, "field")));
    }
    lines.extend(
        list("candidates").map(|c| format!("  {}: {}", word(c, "modelId"), word(c, "rejected"))),
    );
    lines.extend(
        list("attempts").map(|a| format!("  {}: {}", word(a, "modelId"), word(a, "outcome"))),
    );
    lines.join("\n")
}
