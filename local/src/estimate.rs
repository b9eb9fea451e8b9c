//! Costs of several models side by side.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::usd::Usd;

use crate::client::{send, table};

/// What to price; without anything, the guide's volume for the guide's models.
#[derive(Debug, Default, clap::Args)]
pub struct Wanted {
    /// Models by any of their names.
    models: Vec<String>,
    /// Input tokens; a million if absent.
    #[arg(long)]
    input_tokens: Option<u64>,
    /// Output tokens; half a million if absent, or what is expected of a prompt.
    #[arg(long)]
    output_tokens: Option<u64>,
    /// One request with this prompt, in place of input tokens.
    #[arg(long)]
    prompt: Option<String>,
    /// in-region, global, or a profile prefix such as us.
    #[arg(long)]
    scope: Option<String>,
}

impl Wanted {
    fn body(&self) -> Value {
        let models = Some(&self.models).filter(|models| !models.is_empty());
        let given = [
            ("models", models.map(|models| json!(models))),
            ("inputTokens", self.input_tokens.map(Value::from)),
            ("outputTokens", self.output_tokens.map(Value::from)),
            ("prompt", self.prompt.clone().map(Value::from)),
            ("scope", self.scope.clone().map(Value::from)),
        ];
        Value::Object(
            given
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
        )
    }
}

#[derive(Deserialize)]
struct Estimates {
    estimates: Vec<Estimate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Estimate {
    model_id: String,
    scope: String,
    input_tokens: u64,
    output_tokens: u64,
    input_usd: Option<Usd>,
    output_usd: Option<Usd>,
    total_usd: Option<Usd>,
    warnings: Vec<String>,
}

/// Estimates, and returns what to print.
///
/// # Errors
/// The problem's text.
pub async fn estimate(router: Router, wanted: &Wanted) -> Result<String, String> {
    let request = Request::post("/estimate")
        .body(Body::from(wanted.body().to_string()))
        .map_err(|error| error.to_string())?;
    let body = send(router, request).await?;
    let estimates: Estimates = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    let mut table = table();
    table.set_width(140).set_header([
        "model",
        "scope",
        "tokens in / out",
        "USD in",
        "USD out",
        "USD total",
        "warnings",
    ]);
    for estimate in &estimates.estimates {
        let usd = |usd: Option<Usd>| usd.map_or_else(|| "unknown".into(), |usd| usd.to_string());
        table.add_row([
            estimate.model_id.clone(),
            estimate.scope.clone(),
            format!("{} / {}", estimate.input_tokens, estimate.output_tokens),
            usd(estimate.input_usd),
            usd(estimate.output_usd),
            usd(estimate.total_usd),
            estimate.warnings.join("; "),
        ]);
    }
    Ok(table.to_string())
}
