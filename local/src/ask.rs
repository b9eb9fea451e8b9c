//! One prompt through the router, shown as a table.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tower::ServiceExt;

/// What to ask, and how.
#[derive(Debug, Default, clap::Args)]
pub struct Question {
    /// The prompt.
    pub prompt: String,
    /// A model by any of its names, or auto.
    #[arg(long, default_value = "auto")]
    pub model: String,
    /// general, classification, extraction, summarization, reasoning, coding, creative or rag.
    #[arg(long)]
    pub task: Option<String>,
    /// lower-cost, balanced or best-quality.
    #[arg(long)]
    pub budget: Option<String>,
    /// A system prompt.
    #[arg(long)]
    pub system: Option<String>,
    /// The most tokens of the answer.
    #[arg(long)]
    pub max_tokens: Option<u32>,
    /// The most the call may cost, in US dollars.
    #[arg(long, value_name = "USD")]
    pub max_cost: Option<String>,
    /// Print the JSON answer instead of a table.
    #[arg(long)]
    pub json: bool,
}

impl Question {
    /// The body of `POST /invoke`, as text: the cost limit is written as it was given.
    fn body(&self) -> String {
        let fields = [
            ("prompt", Some(Value::from(self.prompt.clone()))),
            ("model", Some(self.model.clone().into())),
            ("task", self.task.clone().map(Value::from)),
            ("budget", self.budget.clone().map(Value::from)),
            ("system", self.system.clone().map(Value::from)),
            (
                "inferenceConfig",
                self.max_tokens.map(|most| json!({ "maxTokens": most })),
            ),
        ];
        let given = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let text = Value::Object(given.collect()).to_string();
        match &self.max_cost {
            Some(limit) => format!(
                "{},\"maxCostUsd\":{limit}}}",
                text.strip_suffix('}').unwrap_or(&text)
            ),
            None => text,
        }
    }
}

/// Asks, and returns what to print.
///
/// # Errors
/// The problem's text, when there is no answer.
pub async fn ask(router: Router, question: &Question) -> Result<String, String> {
    let spinner = ProgressBar::new_spinner().with_message("asking");
    spinner.set_style(
        ProgressStyle::with_template("{spinner} {msg} {elapsed}")
            .unwrap_or(ProgressStyle::default_spinner()),
    );
    spinner.enable_steady_tick(Duration::from_millis(100));
    let (status, body) = post(router, question.body()).await?;
    spinner.finish_and_clear();
    let answer: Value = serde_json::from_slice(&body)
        .map_err(|error| format!("the answer is not JSON: {error}"))?;
    match status {
        StatusCode::OK if question.json => Ok(String::from_utf8_lossy(&body).into_owned()),
        StatusCode::OK => Ok(table(&answer, &body)),
        _ => Err(problem(&answer)),
    }
}

async fn post(router: Router, body: String) -> Result<(StatusCode, Vec<u8>), String> {
    let request = Request::post("/invoke")
        .body(Body::from(body))
        .map_err(|error| error.to_string())?;
    let response = router
        .oneshot(request)
        .await
        .unwrap_or_else(|never| match never {});
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX)
        .await
        .map_err(|error| error.to_string())?;
    Ok((status, body.to_vec()))
}

fn table(answer: &Value, body: &[u8]) -> String {
    let routing = &answer["routing"];
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(110);
    let reasons = list(&routing["reasons"]).join(", ");
    let decision = format!(
        "{}, score {} ({reasons})",
        word(&routing["tier"]),
        routing["score"]
    );
    table.add_row(["tier", &decision]);
    table.add_row([
        "task",
        &format!(
            "{}, budget {}",
            word(&routing["task"]),
            word(&routing["budget"])
        ),
    ]);
    table.add_row(["model", word(&routing["modelId"])]);
    table.add_row(["answer", word(&answer["text"])]);
    let usage = &answer["usage"];
    table.add_row([
        "tokens",
        &format!("{} in, {} out", usage["inputTokens"], usage["outputTokens"]),
    ]);
    table.add_row(["cost", &cost(body)]);
    table.add_row(["latency", &format!("{} ms", answer["latencyMs"])]);
    for warning in list(&answer["warnings"]) {
        table.add_row(["warning", warning]);
    }
    table.to_string()
}

/// The exact digits of the total, which a float would round.
fn cost(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Answer {
        cost: Option<Cost>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Cost {
        total_usd: shared::usd::Usd,
    }
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    let cost = answer.and_then(|answer| answer.cost);
    cost.map_or_else(
        || "unknown".into(),
        |cost| format!("{} USD", cost.total_usd),
    )
}

fn problem(problem: &Value) -> String {
    let mut lines = vec![format!(
        "{}: {}",
        word(&problem["title"]),
        word(&problem["detail"])
    )];
    if let Some(field) = problem["field"].as_str() {
        lines.push(format!("  field: {field}"));
    }
    for candidate in problem["candidates"].as_array().into_iter().flatten() {
        lines.push(format!(
            "  {}: {}",
            word(&candidate["modelId"]),
            word(&candidate["rejected"])
        ));
    }
    for attempt in problem["attempts"].as_array().into_iter().flatten() {
        lines.push(format!(
            "  {}: {}",
            word(&attempt["modelId"]),
            word(&attempt["outcome"])
        ));
    }
    lines.join("\n")
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
