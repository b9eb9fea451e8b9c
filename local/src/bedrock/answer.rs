//! What the stand-in answers: text that says it is a simulation, calls of tools, JSON by a schema, and plausible tokens.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};
use shared::catalog::Model;

use super::sample::sample;
use super::{blocks, list};

/// The word that the stand-in's guardrail blocks.
const FORBIDDEN: &str = "forbidden";

/// Answers a request that was checked; `cached` holds the prompts that were cached before.
pub(super) fn reply(model: &Model, body: &Value, cached: &mut HashSet<u64>) -> Value {
    if let Some(intervention) = intervention(body) {
        return intervention;
    }
    let content = content(model, body);
    let calls = content.iter().any(|block| block.get("toolUse").is_some());
    let thinking = if model.capabilities.thinks_by_default == Some(true) {
        64
    } else {
        0
    };
    let ceiling = body
        .pointer("/inferenceConfig/maxTokens")
        .and_then(Value::as_u64)
        .unwrap_or(u64::MAX);
    let wanted = thinking + tokens(&strings(&json!(content)));
    let (content, stop_reason) = match wanted > ceiling {
        true => (
            vec![json!({ "text": cut(&strings(&json!(content)), ceiling, thinking) })],
            "max_tokens",
        ),
        false if calls => (content, "tool_use"),
        false => (content, "end_turn"),
    };
    let mut reply = json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": stop_reason,
        "usage": usage(model, body, wanted.min(ceiling), cached),
        "metrics": { "latencyMs": 200 + wanted.min(ceiling) * 10 },
    });
    for field in ["serviceTier", "performanceConfig"] {
        if let Some(asked) = body.get(field) {
            set(&mut reply, field, asked.clone());
        }
    }
    let paths = list(body, "additionalModelResponseFieldPaths")
        .iter()
        .filter_map(Value::as_str);
    let fields: Map<_, _> = paths
        .map(|path| (path.trim_start_matches('/').to_owned(), Value::Null))
        .collect();
    if !fields.is_empty() {
        set(&mut reply, "additionalModelResponseFields", fields.into());
    }
    reply
}

fn set(value: &mut Value, key: &str, field: Value) {
    if let Value::Object(fields) = value {
        fields.insert(key.to_owned(), field);
    }
}

/// The guardrail's answer in place of the model's, if a text holds the word.
fn intervention(body: &Value) -> Option<Value> {
    let id = body
        .pointer("/guardrailConfig/guardrailIdentifier")?
        .as_str()?;
    let guarded: Vec<_> = blocks(body)
        .filter_map(|block| block.pointer("/guardContent/text/text"))
        .collect();
    let texts = if guarded.is_empty() {
        blocks(body).filter_map(|block| block.get("text")).collect()
    } else {
        guarded
    };
    texts
        .iter()
        .filter_map(|text| text.as_str())
        .find(|text| text.to_lowercase().contains(FORBIDDEN))?;
    let words = json!({ "wordPolicy": { "customWords": [{ "match": FORBIDDEN, "action": "BLOCKED", "detected": true }] } });
    let mut reply = json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": "[simulation] The guardrail does not allow this." }] } },
        "stopReason": "guardrail_intervened",
        "usage": { "inputTokens": 0, "outputTokens": 0, "totalTokens": 0 },
        "metrics": { "latencyMs": 150 },
    });
    if body
        .pointer("/guardrailConfig/trace")
        .is_some_and(|trace| trace != "disabled")
    {
        let guardrail =
            json!({ "actionReason": "Guardrail blocked.", "inputAssessment": { id: words } });
        set(&mut reply, "trace", json!({ "guardrail": guardrail }));
    }
    Some(reply)
}

/// What a model seals its reasoning with.
pub(super) fn seal(model: &Model) -> String {
    format!("sealed by {}", model.id)
}

fn content(model: &Model, body: &Value) -> Vec<Value> {
    let mut content = Vec::new();
    let asked = body.pointer("/additionalModelRequestFields/thinking/type");
    if asked.is_some_and(|kind| kind != "disabled") {
        let text = "[simulation] This would be reasoning.";
        content.push(json!({ "reasoningContent": { "reasoningText": { "text": text, "signature": seal(model) } } }));
    }
    let calls = calls(body);
    if calls.is_empty() {
        content.push(json!({ "text": words(model, body) }));
    }
    content.extend(calls);
    content
}

/// Calls of the tool that must be used, or of every tool that the question names.
fn calls(body: &Value) -> Vec<Value> {
    let tools = body
        .get("toolConfig")
        .map(|config| list(config, "tools"))
        .unwrap_or_default();
    let specs = tools.iter().filter_map(|tool| tool.get("toolSpec"));
    let last = list(body, "messages")
        .last()
        .map(|message| list(message, "content"))
        .unwrap_or_default();
    let results = last.iter().any(|block| block.get("toolResult").is_some());
    let choice = body.pointer("/toolConfig/toolChoice");
    let forced = choice.is_some_and(|choice| choice.get("any").is_some());
    let named = choice.and_then(|choice| choice.pointer("/tool/name"));
    let question = strings(&json!(last)).to_lowercase();
    let is_named = |spec: &&Value| {
        let name = spec["name"].as_str().unwrap_or_default().to_lowercase();
        question.contains(&name) || question.contains(&name.replace('_', " "))
    };
    let called: Vec<_> = match named {
        Some(name) => specs.filter(|spec| spec["name"] == *name).collect(),
        None if forced => specs.take(1).collect(),
        None if results => Vec::new(),
        None => specs.filter(is_named).collect(),
    };
    let call = |(number, spec): (usize, &&Value)| {
        let input = spec
            .pointer("/inputSchema/json")
            .map_or(Value::Null, sample);
        json!({ "toolUse": { "toolUseId": format!("tooluse_{number}"), "name": spec["name"], "input": input } })
    };
    called.iter().enumerate().map(call).collect()
}

/// JSON where a schema is given, in `outputConfig` or in words; else a sentence.
fn words(model: &Model, body: &Value) -> String {
    let native = body
        .pointer("/outputConfig/textFormat/structure/jsonSchema/schema")
        .and_then(Value::as_str);
    if let Some(schema) = native
        .and_then(|schema| serde_json::from_str(schema).ok())
        .or_else(|| asked_for(body))
    {
        return sample(&schema).to_string();
    }
    let input = text(body);
    let opening = input
        .split_whitespace()
        .take(12)
        .collect::<Vec<_>>()
        .join(" ");
    format!(
        "[simulation: no model was called] {} would answer: \u{201c}{opening} \u{2026}\u{201d}",
        model.name
    )
}

/// The schema that the last turn asks for in words.
fn asked_for(body: &Value) -> Option<Value> {
    let text = list(body, "messages").last().map(strings)?;
    let (_, rest) = text.split_once("JSON schema")?;
    let schema = rest.get(rest.find('{')?..)?;
    serde_json::Deserializer::from_str(schema)
        .into_iter()
        .next()?
        .ok()
}

/// Tokens in and out, with what the prompt cache takes and gives.
fn usage(model: &Model, body: &Value, output: u64, cached: &mut HashSet<u64>) -> Value {
    let images = blocks(body)
        .filter(|block| block.get("image").is_some())
        .count() as u64;
    let input = tokens(&text(body)) + images * 1600;
    let least = u64::from(model.capabilities.prompt_cache_min_tokens.unwrap_or(1024));
    let (mut read, mut all, mut ttl) = (0, 0, "5m");
    for prefix in prefixes(body) {
        let size = tokens(&prefix.text);
        if size < least {
            continue;
        }
        let mut hasher = DefaultHasher::new();
        (&model.id, &prefix.text).hash(&mut hasher);
        if cached.insert(hasher.finish()) {
            all = size
        } else {
            read = size
        }
        ttl = prefix.ttl;
    }
    let written = all.saturating_sub(read);
    let fresh = input.saturating_sub(read + written);
    let mut usage = json!({ "inputTokens": fresh, "outputTokens": output, "totalTokens": fresh + read + written + output });
    if read + written > 0 {
        set(&mut usage, "cacheReadInputTokens", read.into());
        set(&mut usage, "cacheWriteInputTokens", written.into());
        set(
            &mut usage,
            "cacheDetails",
            json!([{ "ttl": ttl, "inputTokens": written }]),
        );
    }
    usage
}

/// The prompt up to a cache point.
struct Prefix {
    text: String,
    ttl: &'static str,
}

/// In the order in which Bedrock reads a prompt: tools, system, messages.
fn prefixes(body: &Value) -> Vec<Prefix> {
    let tools = body
        .get("toolConfig")
        .map(|config| list(config, "tools"))
        .unwrap_or_default();
    let mut text = String::new();
    let mut found = Vec::new();
    for block in tools.iter().chain(list(body, "system")).chain(blocks(body)) {
        match block.get("cachePoint") {
            Some(point) => found.push(Prefix {
                text: text.clone(),
                ttl: if point["ttl"] == "1h" { "1h" } else { "5m" },
            }),
            None => text += &(strings(block) + "\n"),
        }
    }
    found
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
pub(super) fn tokens(text: &str) -> u64 {
    let words = text.split_whitespace().count() as u64;
    let foreign = text.chars().filter(|c| !c.is_ascii()).count() as u64;
    (words * 4).div_ceil(3) + foreign
}

/// All that a model would read: instructions, tools, turns.
pub(super) fn text(body: &Value) -> String {
    let tools = body
        .get("toolConfig")
        .map(|config| list(config, "tools"))
        .unwrap_or_default();
    let all = list(body, "system").iter().chain(blocks(body)).chain(tools);
    all.map(strings).collect::<Vec<_>>().join("\n")
}

/// The texts in a value, whatever they are called; files, formats and ids are none.
fn strings(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(strings).collect::<Vec<_>>().join("\n"),
        Value::Object(fields) => {
            let is_text = |name: &str| {
                ![
                    "bytes",
                    "format",
                    "type",
                    "ttl",
                    "toolUseId",
                    "signature",
                    "redactedContent",
                    "role",
                ]
                .contains(&name)
            };
            let texts = fields
                .iter()
                .filter(|(name, _)| is_text(name))
                .map(|(_, value)| strings(value));
            texts
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join("\n")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}
