//! One prompt through the router, shown as a table.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::client::{send, table};

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
    let request = Request::post("/invoke")
        .body(Body::from(question.body()))
        .map_err(|error| error.to_string())?;
    let body = send(router, request).await;
    spinner.finish_and_clear();
    let body = body?;
    if question.json {
        return Ok(String::from_utf8_lossy(&body).into_owned());
    }
    let answer: Value = serde_json::from_slice(&body)
        .map_err(|error| format!("the answer is not JSON: {error}"))?;
    Ok(show(&answer, &body))
}

fn show(answer: &Value, body: &[u8]) -> String {
    let routing = &answer["routing"];
    let mut table = table();
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
