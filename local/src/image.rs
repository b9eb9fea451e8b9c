//! A picture from a prompt, into a file.

use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use crate::client::{send, table};

/// What to draw, and where to.
#[derive(Debug, clap::Args)]
pub struct Picture {
    /// What is to be seen.
    pub prompt: String,
    /// The file to write; its ending says whether it is png, jpeg or webp.
    #[arg(long, short, default_value = "image.png")]
    pub out: PathBuf,
    /// A model by any of its names, or auto.
    #[arg(long, default_value = "auto")]
    pub model: String,
    /// Width to height, such as 16:9.
    #[arg(long, default_value = "1:1")]
    pub ratio: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    model_id: String,
    region: String,
    cost: Option<Cost>,
    images: Vec<Image>,
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    total_usd: shared::usd::Usd,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    media_type: String,
    base64: String,
    seed: Option<u64>,
}

/// Draws, writes the file, and returns what to print.
///
/// # Errors
/// The problem's text, when there is no image, or why the file cannot be written.
pub async fn image(router: Router, picture: &Picture) -> Result<String, String> {
    let ending = picture.out.extension().and_then(|ending| ending.to_str());
    let format = match ending.unwrap_or("png") {
        "jpg" => "jpeg",
        other => other,
    };
    let body = json!({
        "prompt": picture.prompt, "model": picture.model, "aspectRatio": picture.ratio, "outputFormat": format
    });
    let request = Request::post("/images")
        .body(Body::from(body.to_string()))
        .map_err(|error| error.to_string())?;
    let body = send(router, request).await?;
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|error| format!("the answer cannot be read: {error}"))?;
    let image = answer.images.first().ok_or("there is no image")?;
    let bytes = STANDARD
        .decode(&image.base64)
        .map_err(|error| error.to_string())?;
    let out = picture.out.display();
    std::fs::write(&picture.out, &bytes)
        .map_err(|error| format!("{out} cannot be written: {error}"))?;
    let mut table = table();
    table.add_row([
        "file",
        &format!("{out}, {} bytes of {}", bytes.len(), image.media_type),
    ]);
    table.add_row([
        "model",
        &format!("{} in {}", answer.model_id, answer.region),
    ]);
    table.add_row([
        "seed",
        &image.seed.map_or("unknown".into(), |seed| seed.to_string()),
    ]);
    let cost = answer.cost.as_ref();
    table.add_row([
        "cost",
        &cost.map_or("unknown".into(), |cost| format!("{} USD", cost.total_usd)),
    ]);
    for warning in &answer.warnings {
        table.add_row(["warning", warning]);
    }
    Ok(table.to_string())
}
