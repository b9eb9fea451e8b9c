//! JSON that matches a schema, as a model would write it: plain values that say nothing.

use serde_json::{Map, Value, json};

/// How deep a schema is followed.
const DEPTH: usize = 8;

/// A value for a schema.
pub(super) fn sample(schema: &Value) -> Value {
    at(schema, schema, 0)
}

fn at(root: &Value, schema: &Value, depth: usize) -> Value {
    if depth > DEPTH {
        return Value::Null;
    }
    let target = schema["$ref"]
        .as_str()
        .and_then(|target| root.pointer(target.trim_start_matches('#')));
    if let Some(target) = target {
        return at(root, target, depth + 1);
    }
    let choices = ["anyOf", "oneOf", "allOf"]
        .into_iter()
        .find_map(|key| schema[key].as_array()?.first());
    if let Some(choice) = choices {
        return at(root, choice, depth + 1);
    }
    if let Some(value) = schema
        .get("const")
        .or_else(|| schema["enum"].as_array()?.first())
    {
        return value.clone();
    }
    let kind = schema["type"]
        .as_str()
        .or_else(|| schema["type"].as_array()?.first()?.as_str());
    match kind {
        Some("string") => "x".repeat(size(schema, "minLength").max(1)).into(),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| 1.into()),
        Some("boolean") => true.into(),
        Some("array") => {
            vec![at(root, &schema["items"], depth + 1); size(schema, "minItems").max(1)].into()
        }
        Some("null") => Value::Null,
        _ => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let fields: Map<_, _> = properties
                .map(|(name, part)| (name.clone(), at(root, part, depth + 1)))
                .collect();
            json!(fields)
        }
    }
}

fn size(schema: &Value, key: &str) -> usize {
    schema[key]
        .as_u64()
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(0)
        .min(1000)
}
