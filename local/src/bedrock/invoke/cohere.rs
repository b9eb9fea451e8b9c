//! Cohere's embeddings, versions 3 and 4.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use shared::catalog::Model;

use super::super::answer::tokens;
use super::super::{Refusal, list};
use super::meaning::{mean, of_bytes, of_text, shown, unit};
use super::{Reply, malformed, not_in_list, number, only, sized, word};

/// The most that one call takes.
const BATCH: usize = 96;

pub(super) fn embed(model: &Model, fields: &Map<String, Value>) -> Reply {
    let facts = model.embedding.as_ref();
    let is_v4 = facts.is_some_and(|facts| facts.body == "cohere_v4");
    check(fields, is_v4)?;
    let types = types(fields)?;
    let body = Value::Object(fields.clone());
    let (vectors, count) = vectors(&body, fields, is_v4)?;
    let of = |element: &str| -> Value {
        let shown = vectors.iter().map(|vector| shown(vector, element));
        shown.collect()
    };
    let (kind, embeddings) = match types {
        None => ("embeddings_floats", of("float")),
        Some(types) => {
            let by_type = types.iter().map(|name| (name.clone(), of(name)));
            ("embeddings_by_type", Value::Object(by_type.collect()))
        }
    };
    let reply = json!({
        "id": "simulated", "response_type": kind, "embeddings": embeddings, "texts": body.get("texts")
    });
    Ok((reply, Some(count)))
}

fn check(fields: &Map<String, Value>, is_v4: bool) -> Result<(), Refusal> {
    let common = [
        "texts",
        "images",
        "input_type",
        "truncate",
        "embedding_types",
    ];
    let own = ["inputs", "output_dimension", "max_tokens"];
    let own = own.into_iter().filter(|_| is_v4);
    let known: Vec<_> = common.into_iter().chain(own).collect();
    only("#", fields, &known)?;
    let sources = ["texts", "images", "inputs"];
    let given = sources.iter().filter(|name| fields.contains_key(**name));
    if given.count() != 1 {
        let words = "exactly one of texts, images and inputs must be given";
        return Err(malformed("#", words));
    }
    input_type(fields)
}

fn vectors(
    body: &Value,
    fields: &Map<String, Value>,
    is_v4: bool,
) -> Result<(Vectors, u64), Refusal> {
    let dimensions = match is_v4 {
        true => number(fields, "output_dimension", &[256, 512, 1024, 1536], 1536)?,
        false => 1024,
    };
    let ends: &[&str] = match is_v4 {
        true => &["NONE", "LEFT", "RIGHT"],
        false => &["NONE", "START", "END"],
    };
    let truncate = word(fields, "truncate", ends)?;
    let most = if is_v4 { 128_000 } else { 512 };
    if fields.contains_key("texts") {
        texts(
            list(body, "texts"),
            dimensions,
            most,
            !is_v4,
            truncate != "NONE",
        )
    } else if fields.contains_key("images") {
        let most = if is_v4 { BATCH } else { 1 };
        Ok((images(list(body, "images"), dimensions, most)?, 0))
    } else {
        inputs(list(body, "inputs"), dimensions)
    }
}

fn input_type(fields: &Map<String, Value>) -> Result<(), Refusal> {
    let Some(kind) = fields.get("input_type") else {
        return Err(malformed("#", "required key [input_type] not found"));
    };
    let of_texts = [
        "search_document",
        "search_query",
        "classification",
        "clustering",
    ];
    let is_image = kind == "image";
    let known = is_image || of_texts.iter().any(|known| kind == known);
    if !known || is_image != fields.contains_key("images") {
        return Err(not_in_list("#/input_type", kind));
    }
    Ok(())
}

fn types(fields: &Map<String, Value>) -> Result<Option<Vec<String>>, Refusal> {
    let Some(types) = fields.get("embedding_types") else {
        return Ok(None);
    };
    let known = ["float", "int8", "uint8", "binary", "ubinary"];
    let names: Vec<String> = types
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(not_in_list("#/embedding_types", &json!(unknown))),
        None => Ok(Some(names)),
    }
}

type Vectors = Vec<Vec<f64>>;

fn texts(
    texts: &[Value],
    dimensions: u64,
    most: u64,
    are_short: bool,
    may_cut: bool,
) -> Result<(Vectors, u64), Refusal> {
    batch("texts", texts.len(), BATCH)?;
    let mut count = 0;
    let mut vectors = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let at = format!("#/texts/{at}");
        let text = text
            .as_str()
            .ok_or_else(|| malformed(&at, "expected type: String"))?;
        sized(&at, text, if are_short { 2048 } else { usize::MAX })?;
        let all = tokens(text);
        if all > most && !may_cut {
            return Err(Refusal::invalid(format!(
                "{at} has {all} tokens, more than {most}, and truncate is NONE"
            )));
        }
        count += all.min(most);
        vectors.push(unit(&of_text(text, dimensions)));
    }
    Ok((vectors, count))
}

fn batch(name: &str, count: usize, most: usize) -> Result<(), Refusal> {
    let at = format!("#/{name}");
    match count {
        0 => Err(malformed(&at, "expected minimum item count: 1, found: 0")),
        _ if count > most => Err(malformed(
            &at,
            &format!("expected maximum item count: {most}, found: {count}"),
        )),
        _ => Ok(()),
    }
}

fn images(images: &[Value], dimensions: u64, most: usize) -> Result<Vectors, Refusal> {
    batch("images", images.len(), most)?;
    images
        .iter()
        .map(|image| Ok(unit(&of_bytes(&bytes(image)?, dimensions))))
        .collect()
}

fn bytes(image: &Value) -> Result<Vec<u8>, Refusal> {
    let base64 = image
        .as_str()
        .and_then(|uri| uri.strip_prefix("data:image/")?.split_once(";base64,"));
    let (_, base64) = base64.ok_or_else(|| Refusal::invalid("image must be a valid data URI"))?;
    STANDARD
        .decode(base64)
        .map_err(|_| Refusal::invalid("image must be a valid data URI"))
}

fn inputs(inputs: &[Value], dimensions: u64) -> Result<(Vectors, u64), Refusal> {
    batch("inputs", inputs.len(), BATCH)?;
    let mut count = 0;
    let mut vectors = Vec::new();
    for input in inputs {
        let mut parts: Vectors = Vec::new();
        for part in list(input, "content") {
            parts.push(match part.get("type").and_then(Value::as_str) {
                Some("text") => {
                    let text = part.get("text").and_then(Value::as_str).unwrap_or_default();
                    count += tokens(text);
                    of_text(text, dimensions)
                }
                Some("image_url") => {
                    let url = part.pointer("/image_url/url").unwrap_or(&Value::Null);
                    count += 1000;
                    of_bytes(&bytes(url)?, dimensions)
                }
                _ => return Err(not_in_list("#/inputs/content/type", part)),
            });
        }
        vectors.push(match parts.as_slice() {
            [] => {
                return Err(malformed(
                    "#/inputs",
                    "expected minimum item count: 1, found: 0",
                ));
            }
            [one] => unit(one),
            [one, other, ..] => unit(&mean(one, other)),
        });
    }
    Ok((vectors, count))
}
