//! `POST /model/{id}/converse`: checked as Bedrock checks it, answered by nobody.
//!
//! Most messages are those that Bedrock has been observed to send, in October and November 2026; those about forced tools and
//! prefill are worded alike.

use serde_json::{Value, json};
use shared::catalog::{Catalog, Kind, Modality, Model, Scope, Status};
use shared::telemetry;

use super::{Bedrock, Refusal};

/// The fields that a Converse request may have.
const FIELDS: [&str; 12] = [
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "promptVariables",
    "requestMetadata",
    "performanceConfig",
    "serviceTier",
    "outputConfig",
];

/// Answers a Converse request.
///
/// # Errors
/// The refusal that Bedrock would send.
pub fn converse(bedrock: &Bedrock, id: &str, body: &[u8]) -> Result<Value, Refusal> {
    let model = model(&bedrock.catalog, &bedrock.region, id)?;
    let body: Value = serde_json::from_slice(body)
        .map_err(|_| Refusal::new("SerializationException", "the body is not JSON"))?;
    check_fields(&body)?;
    check_messages(&body)?;
    check_model(model, &body)?;
    Ok(reply(model, &body))
}

/// The model behind an id, if it can be invoked from this Region by that id.
fn model<'a>(catalog: &'a Catalog, region: &str, id: &str) -> Result<&'a Model, Refusal> {
    let id = id.rsplit('/').next().unwrap_or(id);
    let bare = catalog.models.iter().find(|model| model.id == id);
    let profile = id.split_once('.').and_then(|(prefix, rest)| {
        let model = catalog.models.iter().find(|model| model.id == rest)?;
        Some((Scope::parse(prefix)?, model))
    });
    let unknown = || Refusal::invalid("The provided model identifier is invalid.");
    let (scope, model) = bare
        .map(|model| (Scope::InRegion, model))
        .or(profile)
        .ok_or_else(unknown)?;
    check_alive(model)?;
    let served = model
        .profiles
        .iter()
        .filter(|profile| profile.from.iter().any(|from| from == region));
    let in_region = model.regions.iter().any(|r| r == region);
    match scope {
        Scope::InRegion if in_region => Ok(model),
        Scope::InRegion if served.clone().next().is_some() => Err(Refusal::invalid(format!(
            "Invocation of model ID {id} with on-demand throughput isn\u{2019}t supported. Retry your request with the ID \
             or ARN of an inference profile that contains this model."
        ))),
        Scope::InRegion => Err(unknown()),
        Scope::Geo(_) | Scope::Global => served
            .map(|p| &p.scope)
            .any(|s| *s == scope)
            .then_some(model)
            .ok_or_else(unknown),
    }
}

fn check_alive(model: &Model) -> Result<(), Refusal> {
    let ended = model
        .lifecycle
        .end_of_life
        .is_some_and(|end| end <= telemetry::today());
    if ended || model.lifecycle.status == Status::EndOfLife {
        let message = "This model version has reached the end of its life. Please refer to the AWS documentation for more details.";
        return Err(Refusal::new("ResourceNotFoundException", message));
    }
    Ok(())
}

fn check_fields(body: &Value) -> Result<(), Refusal> {
    let fields = body
        .as_object()
        .ok_or_else(|| Refusal::invalid("The request must be a JSON object."))?;
    match fields
        .keys()
        .find(|field| !FIELDS.contains(&field.as_str()))
    {
        Some(field) => Err(Refusal::invalid(format!(
            "Malformed input request: #: extraneous key [{field}] is not permitted, please reformat your input and try again."
        ))),
        None => Ok(()),
    }
}

fn check_messages(body: &Value) -> Result<(), Refusal> {
    let messages = list(body, "messages");
    let mut expected = "user";
    for (m, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if m == 0 && role != "user" {
            return Err(Refusal::invalid(
                "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
            ));
        }
        if role != expected {
            return Err(Refusal::invalid(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates \
                 between user and assistant roles and try again.",
            ));
        }
        expected = if role == "user" { "assistant" } else { "user" };
        for (c, block) in list(message, "content").iter().enumerate() {
            if block["text"]
                .as_str()
                .is_some_and(|text| text.trim().is_empty())
            {
                return Err(Refusal::invalid(format!(
                    "The text field in the ContentBlock object at messages.{m}.content.{c} is blank. Add text to the text \
                     field, and try again."
                )));
            }
        }
    }
    if messages.is_empty() {
        Err(Refusal::invalid("messages must not be empty"))
    } else {
        Ok(())
    }
}

fn check_model(model: &Model, body: &Value) -> Result<(), Refusal> {
    let capabilities = &model.capabilities;
    let config = &body["inferenceConfig"];
    let has = |field: &str| config.get(field).is_some();
    let has_block = |kind: &str| blocks(body).any(|block| block.get(kind).is_some());
    let limit = model.limits.output_tokens.unwrap_or(u32::MAX);
    let problem = if model.kind != Kind::Text || capabilities.converse == Some(false) {
        "This action doesn't support the model that you provided. Try again with a supported text or chat model."
    } else if !list(body, "system").is_empty() && capabilities.system == Some(false) {
        "This model doesn't support system messages. Try again without a system message or use a model that supports system \
         messages."
    } else if body.get("toolConfig").is_none() && (has_block("toolUse") || has_block("toolResult"))
    {
        "The toolConfig field must be defined when using toolUse and toolResult content blocks."
    } else if body.get("toolConfig").is_some() && capabilities.tools == Some(false) {
        "This model doesn't support tool use."
    } else if body
        .pointer("/toolConfig/toolChoice")
        .is_some_and(is_forced)
        && capabilities.forced_tool_use == Some(false)
    {
        "This model doesn't support forced tool use. Try again with a tool choice of auto."
    } else if ends_with_assistant(body) && capabilities.assistant_prefill == Some(false) {
        "This model does not support assistant message prefill. The conversation must end with a user message."
    } else if has_block("image") && !model.takes(Modality::Image) {
        "This model doesn't support the image content block that you provided. Update the content and try again."
    } else if has_block("document") && capabilities.documents == Some(false) {
        "This model doesn't support documents. Try again without a document."
    } else if has("temperature") && capabilities.sampling_parameters == Some(false) {
        "`temperature` is deprecated for this model."
    } else if has("topP") && capabilities.sampling_parameters == Some(false) {
        "`top_p` is deprecated for this model."
    } else if has("temperature")
        && has("topP")
        && capabilities.temperature_with_top_p == Some(false)
    {
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    } else if config["maxTokens"]
        .as_u64()
        .is_some_and(|asked| asked > u64::from(limit))
    {
        return Err(Refusal::invalid(format!(
            "The maximum tokens you requested exceeds the model limit of {limit}. Try again with a maximum tokens value that \
             is lower than {limit}."
        )));
    } else if tokens(&text(body)) > u64::from(model.limits.context_tokens.unwrap_or(u32::MAX)) {
        "Input is too long for requested model."
    } else {
        return Ok(());
    };
    Err(Refusal::invalid(problem))
}

fn is_forced(choice: &Value) -> bool {
    choice.get("any").is_some() || choice.get("tool").is_some()
}

fn ends_with_assistant(body: &Value) -> bool {
    list(body, "messages")
        .last()
        .is_some_and(|message| message["role"] == "assistant")
}

fn reply(model: &Model, body: &Value) -> Value {
    let input = text(body);
    let opening: String = input
        .split_whitespace()
        .take(12)
        .collect::<Vec<_>>()
        .join(" ");
    let text = format!(
        "[simulation: no model was called] {} would answer: \u{201c}{opening} \u{2026}\u{201d}",
        model.name
    );
    let thinking = if model.capabilities.thinks_by_default == Some(true) {
        64
    } else {
        0
    };
    let ceiling = body.pointer("/inferenceConfig/maxTokens");
    let ceiling = ceiling.and_then(Value::as_u64).unwrap_or(u64::MAX);
    let wanted = thinking + tokens(&text);
    let (text, stop_reason) = if wanted > ceiling {
        (cut(&text, ceiling, thinking), "max_tokens")
    } else {
        (text, "end_turn")
    };
    let (input_tokens, output_tokens) = (tokens(&input), wanted.min(ceiling));
    json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": text }] } },
        "stopReason": stop_reason,
        "usage": {
            "inputTokens": input_tokens,
            "outputTokens": output_tokens,
            "totalTokens": input_tokens + output_tokens,
        },
        "metrics": { "latencyMs": 200 + output_tokens * 10 },
    })
}

/// What is left of a text when thinking has taken its tokens; perhaps nothing.
fn cut(text: &str, ceiling: u64, thinking: u64) -> String {
    let left = usize::try_from(ceiling.saturating_sub(thinking)).unwrap_or(usize::MAX);
    text.split_whitespace()
        .take(left)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Plausible: four tokens for three words, and one for each character that is not ASCII.
fn tokens(text: &str) -> u64 {
    let words = text.split_whitespace().count() as u64;
    let foreign = text.chars().filter(|c| !c.is_ascii()).count() as u64;
    (words * 4).div_ceil(3) + foreign
}

fn text(body: &Value) -> String {
    let system = list(body, "system").iter();
    let texts = system
        .chain(blocks(body))
        .filter_map(|block| block["text"].as_str());
    texts.collect::<Vec<_>>().join("\n")
}

fn blocks(body: &Value) -> impl Iterator<Item = &Value> {
    list(body, "messages")
        .iter()
        .flat_map(|message| list(message, "content"))
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value
        .get(field)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}
