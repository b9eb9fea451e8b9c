//! The catalog as a table.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde::Deserialize;
use shared::usd::Usd;

use crate::client::{send, table};

/// Which models to show; all that is given must fit.
#[derive(Debug, Default, clap::Args)]
pub struct Filter {
    /// Who made it, such as anthropic.
    #[arg(long)]
    provider: Option<String>,
    /// text, embedding, image, imageEdit or rerank.
    #[arg(long)]
    kind: Option<String>,
    /// simple, medium or complex: those that auto may choose there.
    #[arg(long)]
    tier: Option<String>,
    /// false: those that cannot be called any more.
    #[arg(long, default_value = "true", action = clap::ArgAction::Set)]
    alive: bool,
    /// Those that can be called from a Region.
    #[arg(long)]
    region: Option<String>,
}

impl Filter {
    fn query(&self) -> String {
        let alive = Some(self.alive.to_string());
        let given = [
            ("provider", &self.provider),
            ("kind", &self.kind),
            ("tier", &self.tier),
            ("alive", &alive),
            ("region", &self.region),
        ];
        let pairs = given
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", encode(value.as_ref()?))));
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// Percent-encodes everything but letters and digits.
fn encode(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(byte).collect()
}

#[derive(Deserialize)]
struct Models {
    models: Vec<Model>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    name: String,
    kind: String,
    strengths: String,
    limits: Limits,
    invoked_as: Option<String>,
    usd_per_million_tokens: Option<Prices>,
    lifecycle: Life,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    context_tokens: Option<u32>,
}

#[derive(Deserialize)]
struct Prices {
    input: Option<Usd>,
    output: Option<Usd>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Life {
    days_left: Option<i32>,
}

/// Lists models, and returns what to print.
///
/// # Errors
/// The problem's text.
pub async fn models(router: Router, filter: &Filter) -> Result<String, String> {
    let request = Request::get(format!("/models?{}", filter.query()))
        .body(Body::empty())
        .map_err(|error| error.to_string())?;
    let body = send(router, request).await?;
    let models: Models = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    let mut table = table();
    table.set_width(160).set_header([
        "model",
        "kind",
        "invoked as",
        "context",
        "USD in / out per million",
        "days left",
        "strengths",
    ]);
    for model in &models.models {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        let prices = model.usd_per_million_tokens.as_ref();
        let price = |price: Option<Usd>| price.map_or_else(|| "?".into(), |usd| usd.to_string());
        table.add_row([
            model.name.clone(),
            model.kind.clone(),
            or_dash(model.invoked_as.clone()),
            or_dash(model.limits.context_tokens.map(|tokens| tokens.to_string())),
            or_dash(
                prices.map(|prices| format!("{} / {}", price(prices.input), price(prices.output))),
            ),
            or_dash(model.lifecycle.days_left.map(|days| days.to_string())),
            model.strengths.clone(),
        ]);
    }
    Ok(format!("{table}\n{} models", models.models.len()))
}
