//! Texts as vectors, and how near they are to each other.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::client::{send, table};

/// What to embed, and how.
#[derive(Debug, clap::Args)]
pub struct Texts {
    /// The texts.
    #[arg(required = true)]
    pub texts: Vec<String>,
    /// A model by any of its names, or auto.
    #[arg(long, default_value = "auto")]
    pub model: String,
    /// document, query, classification or clustering.
    #[arg(long)]
    pub purpose: Option<String>,
    /// The length of the vectors.
    #[arg(long)]
    pub dimensions: Option<u32>,
    /// Print the JSON answer instead of tables.
    #[arg(long)]
    pub json: bool,
}

/// Embeds the texts, and returns what to print.
///
/// # Errors
/// The problem's text, when there is no answer.
pub async fn embed(router: Router, texts: &Texts) -> Result<String, String> {
    let mut body = json!({ "texts": texts.texts, "model": texts.model });
    if let Some(fields) = body.as_object_mut() {
        let given = [
            ("purpose", texts.purpose.clone().map(Value::from)),
            ("dimensions", texts.dimensions.map(Value::from)),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        fields.extend(given);
    }
    let request = Request::post("/embeddings")
        .body(Body::from(body.to_string()))
        .map_err(|error| error.to_string())?;
    let body = send(router, request).await?;
    if texts.json {
        return Ok(String::from_utf8_lossy(&body).into_owned());
    }
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|error| format!("the answer cannot be read: {error}"))?;
    Ok(show(&answer, &texts.texts))
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    model_id: String,
    dimensions: u32,
    purpose: String,
    usage: shared::cost::Usage,
    cost: Option<Cost>,
    warnings: Vec<String>,
    embeddings: Vec<Option<Vec<f64>>>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    total_usd: shared::usd::Usd,
}

fn show(answer: &Answer, texts: &[String]) -> String {
    let mut about = table();
    about.add_row(["model", &answer.model_id]);
    about.add_row([
        "vectors",
        &format!(
            "{} of {} dimensions, as {}",
            answer.embeddings.len(),
            answer.dimensions,
            answer.purpose
        ),
    ]);
    about.add_row(["tokens", &answer.usage.input_tokens.to_string()]);
    let cost = answer.cost.as_ref();
    about.add_row([
        "cost",
        &cost.map_or("unknown".into(), |cost| format!("{} USD", cost.total_usd)),
    ]);
    for warning in &answer.warnings {
        about.add_row(["warning", warning]);
    }
    let mut likeness = table();
    let numbers = (1..=texts.len()).map(|number| number.to_string());
    likeness.set_header(
        ["".to_owned(), "text".into(), "norm".into()]
            .into_iter()
            .chain(numbers),
    );
    for (at, text) in texts.iter().enumerate() {
        let vector = answer.embeddings.get(at).and_then(Option::as_ref);
        let norm = vector.map_or("none".into(), |vector| {
            format!("{:.4}", dot(vector, vector).sqrt())
        });
        let others = answer.embeddings.iter().map(|other| match (vector, other) {
            (Some(vector), Some(other)) => format!("{:.2}", cosine(vector, other)),
            (None, _) | (_, None) => "-".into(),
        });
        let row = [(at + 1).to_string(), shared::error::cut(text, 40), norm];
        likeness.add_row(row.into_iter().chain(others));
    }
    format!("{about}\n\nHow near they are (cosine):\n{likeness}")
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
