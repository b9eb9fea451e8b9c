//! `POST /model/{id}/invoke`: models that do not converse, each in its own dialect.
//!
//! This shares nothing with the functions that ask: the dialects are written down here a second time, from AWS's model parameter
//! pages, so that one side checks the other.

use serde_json::{Map, Value};
use shared::catalog::{Kind, Model};

use super::{Bedrock, Refusal, converse};

mod cohere;
mod draw;
mod meaning;
mod nova;
mod rank;
mod titan;

/// A reply, and the input tokens that stand beside it.
pub(super) type Reply = Result<(Value, Option<u64>), Refusal>;

/// Answers an InvokeModel request in a Region.
///
/// # Errors
/// The refusal that Bedrock would send.
pub(super) fn invoke(bedrock: &Bedrock, id: &str, region: &str, body: &[u8]) -> Reply {
    let model = converse::model(&bedrock.catalog, region, id)?;
    let body: Value =
        serde_json::from_slice(body).map_err(|_| malformed("#", "the body is not JSON"))?;
    let fields = body
        .as_object()
        .ok_or_else(|| malformed("#", "expected type: JSONObject"))?;
    match model.kind {
        Kind::Embedding => embed(model, fields),
        Kind::Image => draw::draw(fields),
        Kind::Rerank => rank::rank(model, fields),
        Kind::Text | Kind::ImageEdit => Err(Refusal::invalid(
            "The simulation invokes models that embed, draw or rerank; all others converse.",
        )),
    }
}

fn embed(model: &Model, fields: &Map<String, Value>) -> Reply {
    match model.family.as_ref() {
        "titan-embed" => titan::embed(model, fields),
        "embed" => cohere::embed(model, fields),
        "nova-2" => nova::embed(fields),
        other => Err(Refusal::invalid(format!(
            "The simulation has no embeddings of the family {other}."
        ))),
    }
}

/// What Bedrock says of a body that its schema refuses.
fn malformed(at: &str, what: &str) -> Refusal {
    Refusal::invalid(format!(
        "Malformed input request: {at}: {what}, please reformat your input and try again."
    ))
}

/// That there are no fields but these.
fn only(at: &str, fields: &Map<String, Value>, known: &[&str]) -> Result<(), Refusal> {
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(malformed(
            at,
            &format!("extraneous key [{key}] is not permitted"),
        )),
        None => Ok(()),
    }
}

/// A text of a length.
fn text<'a>(
    fields: &'a Map<String, Value>,
    name: &str,
    longest: usize,
) -> Result<&'a str, Refusal> {
    let at = format!("#/{name}");
    let value = fields
        .get(name)
        .ok_or_else(|| malformed("#", &format!("required key [{name}] not found")))?;
    let text = value
        .as_str()
        .ok_or_else(|| malformed(&at, "expected type: String"))?;
    sized(&at, text, longest)?;
    Ok(text)
}

fn sized(at: &str, text: &str, longest: usize) -> Result<(), Refusal> {
    let length = text.chars().count();
    if length == 0 {
        return Err(malformed(at, "expected minLength: 1, actual: 0"));
    }
    if length > longest {
        return Err(malformed(
            at,
            &format!("expected maxLength: {longest}, actual: {length}"),
        ));
    }
    Ok(())
}

/// A word out of a list, or the first of the list where there is none.
fn word<'a>(
    fields: &'a Map<String, Value>,
    name: &str,
    known: &[&'a str],
) -> Result<&'a str, Refusal> {
    let Some(value) = fields.get(name) else {
        return Ok(known.first().copied().unwrap_or_default());
    };
    let word = value.as_str().unwrap_or_default();
    if known.contains(&word) {
        Ok(word)
    } else {
        Err(not_in_list(&format!("#/{name}"), value))
    }
}

fn not_in_list(at: &str, value: &Value) -> Refusal {
    malformed(at, &format!("{value} is not a valid enum value"))
}

/// A number out of a list, or a default.
fn number(
    fields: &Map<String, Value>,
    name: &str,
    known: &[u64],
    default: u64,
) -> Result<u64, Refusal> {
    match fields.get(name) {
        None => Ok(default),
        Some(value) => value
            .as_u64()
            .filter(|number| known.contains(number))
            .ok_or_else(|| not_in_list(&format!("#/{name}"), value)),
    }
}

/// What Bedrock says of a text with too many tokens.
fn too_many(most: u64, had: u64) -> Refusal {
    Refusal::invalid(format!(
        "400 Bad Request: Too many input tokens. Max input tokens: {most}, request input token count: {had} "
    ))
}
