//! Stability's images: a real picture, drawn from the prompt's hash, an eighth as wide as the model's own.

use std::fmt::Display;
use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use serde_json::{Map, Value, json};

use super::meaning::fnv;
use super::{Refusal, Reply, malformed, only, text, word};

/// Width and height of each ratio, in pixels.
const RATIOS: [(&str, u32, u32); 9] = [
    ("1:1", 128, 128),
    ("16:9", 168, 96),
    ("21:9", 192, 80),
    ("2:3", 104, 152),
    ("3:2", 152, 104),
    ("4:5", 112, 136),
    ("5:4", 136, 112),
    ("9:16", 96, 168),
    ("9:21", 80, 192),
];

/// Draws; a prompt that says "forbidden" is stopped by the filter, with HTTP 200 as Stability does it.
pub(super) fn draw(fields: &Map<String, Value>) -> Reply {
    only(
        "#",
        fields,
        &[
            "prompt",
            "negative_prompt",
            "aspect_ratio",
            "seed",
            "output_format",
            "mode",
        ],
    )?;
    let prompt = text(fields, "prompt", 10_000)?;
    if fields.contains_key("negative_prompt") {
        text(fields, "negative_prompt", 10_000)?;
    }
    word(fields, "mode", &["text-to-image"])?;
    let ratio = word(fields, "aspect_ratio", &RATIOS.map(|(name, ..)| name))?;
    let format = word(fields, "output_format", &["png", "jpeg", "webp"])?;
    let seed = match fields.get("seed") {
        None => hash("seed", prompt) % 4_294_967_295,
        Some(seed) => seed
            .as_u64()
            .filter(|seed| *seed <= 4_294_967_294)
            .ok_or_else(|| malformed("#/seed", "expected maximum value: 4294967294"))?,
    };
    if prompt.to_lowercase().contains("forbidden") {
        return Ok((
            json!({ "seeds": [seed], "finish_reasons": ["Filter reason: prompt"] }),
            None,
        ));
    }
    let (_, width, height) = RATIOS
        .into_iter()
        .find(|(name, ..)| *name == ratio)
        .unwrap_or(("", 128, 128));
    let bytes = encode(&picture(prompt, seed, width, height), format)?;
    Ok((
        json!({ "seeds": [seed], "finish_reasons": [null], "images": [STANDARD.encode(bytes)] }),
        None,
    ))
}

fn encode(picture: &RgbImage, format: &str) -> Result<Vec<u8>, Refusal> {
    let format = match format {
        "jpeg" => ImageFormat::Jpeg,
        "webp" => ImageFormat::WebP,
        _ => ImageFormat::Png,
    };
    let mut bytes = Cursor::new(Vec::new());
    let written = DynamicImage::ImageRgb8(picture.clone()).write_to(&mut bytes, format);
    written.map_err(|error| Refusal::new("InternalServerException", error.to_string()))?;
    Ok(bytes.into_inner())
}

/// A sky from one colour to another, and a mirrored pattern of squares before it.
fn picture(prompt: &str, seed: u64, width: u32, height: u32) -> RgbImage {
    let bits = hash(seed, prompt);
    let colour = |shift: u32| {
        [0, 8, 16].map(|part| u8::try_from((bits >> (shift + part)) & 0xff).unwrap_or(0))
    };
    let (above, below, squares) = (colour(0), colour(16), colour(40));
    let side = width.min(height) / 8;
    let (left, top) = ((width - side * 6) / 2, (height - side * 6) / 2);
    RgbImage::from_fn(width, height, |x, y| {
        let column = x
            .checked_sub(left)
            .map(|x| x / side)
            .filter(|column| *column < 6);
        let row = y.checked_sub(top).map(|y| y / side).filter(|row| *row < 6);
        if let (Some(column), Some(row)) = (column, row) {
            let mirrored = column.min(5 - column);
            if bits >> (row * 3 + mirrored) & 1 == 1 {
                return Rgb(squares);
            }
        }
        let mix = |(a, b): (u8, u8)| {
            let mixed = u32::from(a) * (height - y) + u32::from(b) * y;
            u8::try_from(mixed / height).unwrap_or(u8::MAX)
        };
        let [r, g, b] = above;
        let [s, h, c] = below;
        Rgb([(r, s), (g, h), (b, c)].map(mix))
    })
}

fn hash(seed: impl Display, prompt: &str) -> u64 {
    fnv(format!("{seed} {prompt}").as_bytes())
}
