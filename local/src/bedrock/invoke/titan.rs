//! Amazon Titan's embeddings.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use shared::catalog::Model;

use super::super::Refusal;
use super::super::answer::tokens;
use super::meaning::{mean, of_bytes, of_text, shown, unit};
use super::{Reply, malformed, not_in_list, number, only, text, too_many};

pub(super) fn embed(model: &Model, fields: &Map<String, Value>) -> Reply {
    let body = model.embedding.as_ref().map(|facts| facts.body.as_ref());
    match body {
        Some("titan_v2") => second(fields),
        Some("titan_mm") => multimodal(fields),
        _ => first(fields),
    }
}

fn first(fields: &Map<String, Value>) -> Reply {
    only("#", fields, &["inputText"])?;
    let text = text(fields, "inputText", usize::MAX)?;
    let count = counted(text, 8192)?;
    // The first generation does not normalise.
    let vector: Vec<_> = unit(&of_text(text, 1536))
        .iter()
        .map(|value| value * 19.0)
        .collect();
    let reply = json!({ "embedding": shown(&vector, "float"), "inputTextTokenCount": count });
    Ok((reply, Some(count)))
}

fn second(fields: &Map<String, Value>) -> Reply {
    only(
        "#",
        fields,
        &["inputText", "dimensions", "normalize", "embeddingTypes"],
    )?;
    let text = text(fields, "inputText", 50_000)?;
    let dimensions = number(fields, "dimensions", &[256, 512, 1024], 1024)?;
    let normalize = normalize(fields)?;
    let types = types(fields)?;
    let count = counted(text, 8192)?;
    let vector = unit(&of_text(text, dimensions));
    let vector: Vec<_> = if normalize {
        vector
    } else {
        vector.iter().map(|value| value * 11.0).collect()
    };
    let bits: Value = vector.iter().map(|value| u8::from(*value > 0.0)).collect();
    let of = |name: &String| {
        if name == "binary" {
            bits.clone()
        } else {
            shown(&vector, "float")
        }
    };
    let by_type: Map<_, _> = types.iter().map(|name| (name.clone(), of(name))).collect();
    let mut reply = json!({ "inputTextTokenCount": count, "embeddingsByType": by_type });
    // Who asks for bits only gets no `embedding`.
    if types.iter().any(|name| name == "float") {
        let float = shown(&vector, "float");
        reply
            .as_object_mut()
            .map(|reply| reply.insert("embedding".into(), float));
    }
    Ok((reply, Some(count)))
}

fn normalize(fields: &Map<String, Value>) -> Result<bool, Refusal> {
    match fields.get("normalize") {
        None | Some(Value::Bool(true)) => Ok(true),
        Some(Value::Bool(false)) => Ok(false),
        Some(_) => Err(malformed("#/normalize", "expected type: Boolean")),
    }
}

fn types(fields: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let Some(types) = fields.get("embeddingTypes") else {
        return Ok(vec!["float".into()]);
    };
    let types = types
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let types: Vec<_> = types.map(str::to_owned).collect();
    match types
        .iter()
        .find(|name| *name != "float" && *name != "binary")
    {
        Some(unknown) => Err(not_in_list("#/embeddingTypes/0", &json!(unknown))),
        None => Ok(types),
    }
}

fn multimodal(fields: &Map<String, Value>) -> Reply {
    only("#", fields, &["inputText", "inputImage", "embeddingConfig"])?;
    let empty = Map::new();
    let config = fields
        .get("embeddingConfig")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    only("#/embeddingConfig", config, &["outputEmbeddingLength"])?;
    let dimensions = number(config, "outputEmbeddingLength", &[256, 384, 1024], 1024)?;
    let words = match fields.get("inputText") {
        Some(_) => Some(text(fields, "inputText", usize::MAX)?),
        None => None,
    };
    let count = words.map_or(Ok(0), |words| counted(words, 256))?;
    let picture = match fields.get("inputImage").and_then(Value::as_str) {
        None => None,
        Some(base64) => match image(base64) {
            Ok(bytes) => Some(bytes),
            // The one model that says so in a reply that looks like a good one.
            Err(message) => {
                return Ok((
                    json!({ "embedding": null, "inputTextTokenCount": count, "message": message }),
                    None,
                ));
            }
        },
    };
    let vector = match (words, picture) {
        (Some(words), Some(bytes)) => {
            mean(&of_text(words, dimensions), &of_bytes(&bytes, dimensions))
        }
        (Some(words), None) => unit(&of_text(words, dimensions)),
        (None, Some(bytes)) => unit(&of_bytes(&bytes, dimensions)),
        (None, None) => {
            return Err(malformed(
                "#",
                "required key [inputText] or [inputImage] not found",
            ));
        }
    };
    let reply = json!({ "embedding": shown(&vector, "float"), "inputTextTokenCount": count, "message": null });
    Ok((reply, Some(count)))
}

fn image(base64: &str) -> Result<Vec<u8>, String> {
    let bytes = STANDARD
        .decode(base64)
        .map_err(|_| "The image is not base64.".to_owned())?;
    let size = imagesize::blob_size(&bytes).map_err(|_| "The image cannot be read.".to_owned())?;
    if size.width.max(size.height) > 2048 {
        return Err(format!(
            "The image has {} by {} pixels, more than 2048 by 2048.",
            size.width, size.height
        ));
    }
    Ok(bytes)
}

fn counted(text: &str, most: u64) -> Result<u64, Refusal> {
    let count = tokens(text);
    if count > most {
        Err(too_many(most, count))
    } else {
        Ok(count)
    }
}
