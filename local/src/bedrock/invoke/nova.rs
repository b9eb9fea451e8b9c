//! Amazon Nova's multimodal embeddings, as far as they come at once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::super::answer::tokens;
use super::meaning::{of_bytes, of_text, shown, unit};
use super::{Reply, malformed, not_in_list, number, only, text};

const PURPOSES: [&str; 9] = [
    "GENERIC_INDEX",
    "GENERIC_RETRIEVAL",
    "TEXT_RETRIEVAL",
    "IMAGE_RETRIEVAL",
    "VIDEO_RETRIEVAL",
    "DOCUMENT_RETRIEVAL",
    "AUDIO_RETRIEVAL",
    "CLASSIFICATION",
    "CLUSTERING",
];

pub(super) fn embed(fields: &Map<String, Value>) -> Reply {
    only(
        "#",
        fields,
        &["schemaVersion", "taskType", "singleEmbeddingParams"],
    )?;
    for (name, wanted) in [
        ("schemaVersion", "nova-multimodal-embed-v1"),
        ("taskType", "SINGLE_EMBEDDING"),
    ] {
        let given = fields.get(name).unwrap_or(&Value::Null);
        if given != wanted {
            return Err(not_in_list(&format!("#/{name}"), given));
        }
    }
    let empty = Map::new();
    let params = fields
        .get("singleEmbeddingParams")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    only(
        "#/singleEmbeddingParams",
        params,
        &["embeddingPurpose", "embeddingDimension", "text", "image"],
    )?;
    let purpose = params.get("embeddingPurpose").unwrap_or(&Value::Null);
    if !PURPOSES.iter().any(|known| purpose == known) {
        return Err(not_in_list(
            "#/singleEmbeddingParams/embeddingPurpose",
            purpose,
        ));
    }
    let dimensions = number(params, "embeddingDimension", &[256, 384, 1024, 3072], 3072)?;
    match (
        params.get("text").and_then(Value::as_object),
        params.get("image"),
    ) {
        (Some(text), None) => of(text, dimensions),
        (None, Some(image)) => of_image(image, dimensions),
        _ => Err(malformed(
            "#/singleEmbeddingParams",
            "exactly one of text and image must be given",
        )),
    }
}

fn of_image(image: &Value, dimensions: u64) -> Reply {
    let base64 = image
        .pointer("/source/bytes")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let bytes = STANDARD
        .decode(base64)
        .map_err(|_| malformed("#/singleEmbeddingParams/image", "expected bytes"))?;
    let vector = unit(&of_bytes(&bytes, dimensions));
    let embedding = json!({ "embeddingType": "IMAGE", "embedding": shown(&vector, "float") });
    Ok((json!({ "embeddings": [embedding] }), Some(0)))
}

fn of(given: &Map<String, Value>, dimensions: u64) -> Reply {
    only(
        "#/singleEmbeddingParams/text",
        given,
        &["truncationMode", "value"],
    )?;
    let mode = given.get("truncationMode").unwrap_or(&Value::Null);
    if !["NONE", "START", "END"].iter().any(|known| mode == known) {
        return Err(not_in_list(
            "#/singleEmbeddingParams/text/truncationMode",
            mode,
        ));
    }
    let value = text(given, "value", 8192)?;
    let count = tokens(value);
    let vector = unit(&of_text(value, dimensions));
    Ok((
        json!({ "embeddings": [{ "embeddingType": "TEXT", "embedding": shown(&vector, "float") }] }),
        Some(count),
    ))
}
