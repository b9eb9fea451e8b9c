//! Whether a value matches a JSON schema, as far as answers of models need it.
//!
//! What cannot be decided holds nothing back. It knows `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`, `items`, `anyOf`, `oneOf`, `allOf`, `not`,
//! `$ref` within the document, and the limits of numbers, lengths and counts; of other keywords, `pattern` and `format` among
//! them, it decides nothing. A whole validator would make the function's binary a fifth larger (boon 0.6: 1.8 MB).

use std::cell::Cell;

use serde_json::{Map, Value};

/// How deep a schema may refer to itself before it is given up.
const DEPTH: usize = 64;

/// How many parts of schema and value are compared before it is given up: choices within choices multiply.
const STEPS: u32 = 100_000;

/// Checks a value against a schema.
///
/// # Errors
/// Where the first mismatch is, and what was wanted there.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    let checker = Checker {
        root: schema,
        steps: Cell::new(STEPS),
    };
    let checked = checker.check(schema, value, "", 0);
    if checker.steps.get() == 0 {
        Ok(())
    } else {
        checked
    }
}

struct Checker<'a> {
    root: &'a Value,
    steps: Cell<u32>,
}

impl<'a> Checker<'a> {
    fn check(
        &self,
        schema: &'a Value,
        value: &Value,
        at: &str,
        depth: usize,
    ) -> Result<(), String> {
        let schema = match schema {
            Value::Object(schema) => schema,
            Value::Bool(false) => return wrong(at, "nothing is allowed here"),
            Value::Null
            | Value::Bool(true)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => return Ok(()),
        };
        let Some(steps) = self.steps.get().checked_sub(1).filter(|_| depth <= DEPTH) else {
            self.steps.set(0);
            return Ok(());
        };
        self.steps.set(steps);
        let target = schema.get("$ref").and_then(Value::as_str);
        if let Some(found) = target.and_then(|target| self.root.pointer(target.strip_prefix('#')?))
        {
            self.check(found, value, at, depth + 1)?;
        }
        check_type(schema, value, at)?;
        check_values(schema, value, at)?;
        check_limits(schema, value, at)?;
        self.check_choices(schema, value, at, depth)?;
        match value {
            Value::Object(fields) => self.check_fields(schema, fields, at, depth),
            Value::Array(items) => {
                let Some(schema) = schema
                    .get("items")
                    .filter(|_| !schema.contains_key("prefixItems"))
                else {
                    return Ok(());
                };
                let mut items = items.iter().enumerate();
                items.try_for_each(|(index, item)| {
                    self.check(schema, item, &format!("{at}/{index}"), depth + 1)
                })
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn check_fields(
        &self,
        schema: &'a Map<String, Value>,
        fields: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) -> Result<(), String> {
        for name in list(schema, "required").filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                return wrong(at, &format!("{name:?} is missing"));
            }
        }
        let known = schema.get("properties").and_then(Value::as_object);
        let rest = schema
            .get("additionalProperties")
            .filter(|_| !schema.contains_key("patternProperties"));
        for (name, field) in fields {
            let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            let part = known.and_then(|known| known.get(name));
            match (part, rest) {
                (Some(part), _) => self.check(part, field, &at, depth + 1)?,
                (None, Some(Value::Bool(false))) => return wrong(&at, "no such field is allowed"),
                (None, Some(rest)) => self.check(rest, field, &at, depth + 1)?,
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn check_choices(
        &self,
        schema: &'a Map<String, Value>,
        value: &Value,
        at: &str,
        depth: usize,
    ) -> Result<(), String> {
        let matches = |part: &&'a Value| self.check(part, value, at, depth + 1).is_ok();
        for part in list(schema, "allOf") {
            self.check(part, value, at, depth + 1)?;
        }
        if schema.contains_key("anyOf") && !list(schema, "anyOf").any(|part| matches(&part)) {
            return wrong(at, "none of anyOf matches");
        }
        let one_of: Vec<_> = list(schema, "oneOf").filter(matches).collect();
        let is_open = list(schema, "oneOf").any(is_undecided);
        if schema.contains_key("oneOf") && (one_of.is_empty() || (one_of.len() > 1 && !is_open)) {
            return wrong(at, "not exactly one of oneOf matches");
        }
        let not = schema.get("not").filter(|part| !is_undecided(part));
        if not.is_some_and(|part| matches(&part)) {
            return wrong(at, "what must not match does");
        }
        Ok(())
    }
}

/// Whether a schema, or one within it, has a keyword of which nothing is decided here.
fn is_undecided(schema: &Value) -> bool {
    let Value::Object(schema) = schema else {
        return false;
    };
    schema.iter().any(|(key, value)| match key.as_str() {
        "properties" | "$defs" | "definitions" => value
            .as_object()
            .into_iter()
            .flat_map(Map::values)
            .any(is_undecided),
        "anyOf" | "oneOf" | "allOf" => value.as_array().into_iter().flatten().any(is_undecided),
        "items" | "additionalProperties" | "not" => is_undecided(value),
        "$ref" => !value
            .as_str()
            .is_some_and(|target| target == "#" || target.starts_with("#/")),
        "type" | "enum" | "const" | "required" | "title" | "description" | "default"
        | "examples" => false,
        limit => !["min", "max", "exclusive"]
            .iter()
            .any(|kind| limit.starts_with(kind)),
    })
}

fn check_type(schema: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
    let is = |name: &str| match (name, value) {
        ("null", Value::Null) | ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) => true,
        ("string", Value::String(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_)) => true,
        ("integer", Value::Number(number)) => {
            number.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        _ => false,
    };
    let fits = match schema.get("type") {
        Some(Value::String(name)) => is(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(is),
        Some(_) | None => true,
    };
    if fits {
        Ok(())
    } else {
        wrong(
            at,
            &format!(
                "this is not of type {}",
                schema.get("type").unwrap_or(&Value::Null)
            ),
        )
    }
}

fn check_values(schema: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
    let equal = |wanted: &Value| match (wanted.as_f64(), value.as_f64()) {
        (Some(wanted), Some(value)) => wanted == value,
        _ => wanted == value,
    };
    if schema.contains_key("enum") && !list(schema, "enum").any(equal) {
        return wrong(
            at,
            &format!(
                "this is none of {}",
                schema.get("enum").unwrap_or(&Value::Null)
            ),
        );
    }
    match schema.get("const") {
        Some(wanted) if !equal(wanted) => wrong(at, &format!("this is not {wanted}")),
        Some(_) | None => Ok(()),
    }
}

/// Limits of numbers, lengths and counts.
fn check_limits(schema: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "no answer of a model has 2^53 items"
    )]
    let size = |count: usize| Some(count as f64);
    let (least, most, what) = match value {
        Value::Number(_) => ("minimum", "maximum", value.as_f64()),
        Value::String(text) => ("minLength", "maxLength", size(text.chars().count())),
        Value::Array(items) => ("minItems", "maxItems", size(items.len())),
        Value::Object(fields) => ("minProperties", "maxProperties", size(fields.len())),
        Value::Null | Value::Bool(_) => return Ok(()),
    };
    let limit = |name: &str| schema.get(name).and_then(Value::as_f64);
    let Some(what) = what else { return Ok(()) };
    let is_number = value.is_number();
    let too_small = limit(least).is_some_and(|least| what < least)
        || (is_number && limit("exclusiveMinimum").is_some_and(|least| what <= least));
    let too_large = limit(most).is_some_and(|most| what > most)
        || (is_number && limit("exclusiveMaximum").is_some_and(|most| what >= most));
    if too_small {
        wrong(at, &format!("this is below {least}"))
    } else if too_large {
        wrong(at, &format!("this is above {most}"))
    } else {
        Ok(())
    }
}

fn list<'a>(schema: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = &'a Value> {
    schema
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn wrong(at: &str, what: &str) -> Result<(), String> {
    let place = if at.is_empty() { "the answer" } else { at };
    Err(format!(
        "{}: {}",
        crate::error::cut(place, 100),
        crate::error::cut(what, 200)
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mismatch_is_told_with_its_place() {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": { "type": "string", "minLength": 1 },
                "sizes": { "type": "array", "items": { "$ref": "#/$defs/size" } },
            },
            "required": ["name"],
            "additionalProperties": false,
            "$defs": { "size": { "type": "integer", "minimum": 1 } },
        });
        for (value, why) in [
            (json!({ "name": "x", "sizes": [1, 2] }), None),
            (
                json!([]),
                Some("the answer: this is not of type \"object\""),
            ),
            (json!({}), Some("the answer: \"name\" is missing")),
            (
                json!({ "name": "" }),
                Some("/name: this is below minLength"),
            ),
            (
                json!({ "name": "x", "sizes": [1, 0] }),
                Some("/sizes/1: this is below minimum"),
            ),
            (
                json!({ "name": "x", "a/b": 1 }),
                Some("/a~1b: no such field is allowed"),
            ),
        ] {
            assert_eq!(check(&schema, &value).err().as_deref(), why, "{value}");
        }
        // What cannot be decided counts as right: no end, too many choices, keywords that are not known.
        for open in [
            json!({ "$ref": "#" }),
            json!({ "anyOf": [{ "$ref": "#" }, { "$ref": "#" }] }),
            json!({ "$ref": "#/$defs/nowhere" }),
            json!({ "not": { "pattern": "x" } }),
            json!({ "oneOf": [{ "format": "email" }, { "format": "uri" }] }),
            json!({ "additionalProperties": false, "patternProperties": { "^x": {} } }),
        ] {
            assert_eq!(check(&open, &json!({ "x": 1 })), Ok(()), "{open}");
        }
        assert_eq!(
            check(&json!({ "prefixItems": [{}], "items": false }), &json!([1])),
            Ok(())
        );
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3i32..4).prop_map(Value::from),
            Just(json!(1.5)),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[xyz]", inner, 0..3)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn schema() -> impl Strategy<Value = Value> {
        let name = prop_oneof![
            "null", "boolean", "integer", "number", "string", "array", "object"
        ];
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            name.prop_map(|name| json!({ "type": name })),
            prop::collection::vec(value(), 1..3).prop_map(|values| json!({ "enum": values })),
            value().prop_map(|value| json!({ "const": value })),
            (-2i32..3).prop_map(|limit| json!({ "minimum": limit, "maxLength": limit.abs(), "minItems": limit.abs() })),
            (-2i32..3).prop_map(|limit| json!({ "exclusiveMaximum": limit, "maxProperties": limit.abs() })),
            Just(json!({ "$ref": "#/$defs/any" })),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            let fields = prop::collection::btree_map("[xyz]", inner.clone(), 0..3);
            prop_oneof![
                (fields, prop::collection::vec("[xyz]", 0..2), inner.clone()).prop_map(|(properties, required, rest)| {
                    let required: std::collections::BTreeSet<_> = required.into_iter().collect();
                    json!({ "properties": properties, "required": required, "additionalProperties": rest })
                }),
                inner.clone().prop_map(|items| json!({ "items": items })),
                inner.clone().prop_map(|part| json!({ "not": part })),
                prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| json!({ "anyOf": parts })),
                prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| json!({ "oneOf": parts })),
                prop::collection::vec(inner, 1..3).prop_map(|parts| json!({ "allOf": parts })),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_whole_validator(schema in schema(), value in value()) {
            let mut root = json!({ "$defs": { "any": { "type": ["object", "string"] } } });
            match schema.as_object() {
                Some(fields) => root.as_object_mut().unwrap().extend(fields.clone()),
                None => root["allOf"] = json!([schema]),
            }
            prop_assert_eq!(check(&root, &value).is_ok(), jsonschema::is_valid(&root, &value), "{} {}", root, value);
        }
    }
}
