//! JSON by a schema: through `outputConfig` where the model has it, else by a tool that it must call, else by asking for it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{Fitting, Repair};
use crate::wire::{ContentBlock, JsonSchemaDefinition, Role, ToolConfig};

/// How JSON by a schema is come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Form {
    /// The model is held to the schema by Bedrock.
    OutputConfig,
    /// The model must call a tool that takes the schema.
    ForcedTool,
    /// The model is asked for it.
    Instruction,
}

/// The tool's name where the schema has none.
pub const TOOL: &str = "answer";

impl Fitting<'_, '_> {
    /// Chooses how JSON is come by, and changes the request accordingly.
    pub(super) fn form_answer(&mut self) -> Option<Form> {
        let definition = self.body.options.schema()?.clone();
        let form = self.form(&definition);
        match form {
            Form::OutputConfig => self.be_strict(),
            Form::ForcedTool => self.force_tool(&definition),
            Form::Instruction => self.ask_for_json(&definition),
        }
        if form != Form::OutputConfig
            && let Some(config) = &mut self.body.options.output_config
        {
            config.text_format = None;
            if config.effort.is_none() {
                self.body.options.output_config = None;
            }
        }
        Some(form)
    }

    fn form(&self, definition: &JsonSchemaDefinition) -> Form {
        let Some(model) = self.candidate.model else {
            return Form::OutputConfig;
        };
        let can = &model.capabilities;
        let options = &self.body.options;
        let cites = self
            .body
            .messages
            .iter()
            .flat_map(|message| &message.content)
            .any(ContentBlock::wants_citations);
        let native =
            can.structured_output == Some(true) && !self.has_learned(&Repair::TextFormat) && !cites;
        let thinks = can.thinks_by_default == Some(true)
            || can.thinking_always_on == Some(true)
            || super::thinking::is_asked_for(&options.additional_model_request_fields);
        let can_be_forced = can.tools == Some(true)
            && can.tool_choice == Some(true)
            && can.forced_tool_use != Some(false);
        // A guardrail looks at text, and not at what a tool is called with.
        let unseen = options.guardrail_config.is_some();
        if native && is_closed(&definition.schema) {
            Form::OutputConfig
        } else if can_be_forced
            && !thinks
            && !unseen
            && self.body.tool_config.is_none()
            && is_an_object(&definition.schema)
            && names_fields(&definition.schema)
        {
            Form::ForcedTool
        } else {
            Form::Instruction
        }
    }

    /// GPT-6 wants to be told once more (its model card).
    fn be_strict(&mut self) {
        if self
            .candidate
            .model
            .is_some_and(|model| model.family == "gpt-6")
        {
            let fields = &mut self.body.options.additional_model_request_fields;
            fields
                .entry("text")
                .or_insert_with(|| json!({ "format": { "strict": true } }));
        }
    }

    fn force_tool(&mut self, definition: &JsonSchemaDefinition) {
        let Ok(schema) = RawValue::from_string(definition.schema.clone()) else {
            return;
        };
        let description = definition.description.as_deref().unwrap_or("The answer.");
        let config = ToolConfig::forced(
            definition.name.as_deref().unwrap_or(TOOL),
            description,
            schema,
        );
        self.body.tool_config = Some(Cow::Owned(config));
    }

    fn ask_for_json(&mut self, definition: &JsonSchemaDefinition) {
        let JsonSchemaDefinition {
            schema,
            description,
            ..
        } = definition;
        let what = description
            .as_deref()
            .map(|what| format!(" ({what})"))
            .unwrap_or_default();
        let words = format!(
            "Answer with JSON{what} that matches this JSON schema, and with nothing else: no words around it, no code fence.\n{schema}"
        );
        if let Some(last) = self
            .body
            .messages
            .to_mut()
            .iter_mut()
            .rfind(|message| message.role == Role::User)
        {
            last.content.push(ContentBlock::Text(words));
        }
    }
}

/// Whether a schema names fields: a tool without any is called with nothing.
fn names_fields(schema: &str) -> bool {
    let schema: Option<Value> = serde_json::from_str(schema).ok();
    let properties = schema.as_ref().and_then(|schema| schema.get("properties"));
    properties
        .and_then(Value::as_object)
        .is_some_and(|properties| !properties.is_empty())
}

/// Whether a schema is one of an object, which is all that a tool can take.
fn is_an_object(schema: &str) -> bool {
    serde_json::from_str(schema)
        .is_ok_and(|schema: Value| schema.get("type") == Some(&json!("object")))
}

/// Whether a schema keeps to what Bedrock's structured output takes for certain: an object, every object in it closed, and no
/// keyword but these (AWS's page on structured outputs).
fn is_closed(schema: &str) -> bool {
    is_an_object(schema)
        && serde_json::from_str(schema).is_ok_and(|schema: Value| is_closed_at(&schema))
}

const TAKEN: [&str; 11] = [
    "$schema",
    "additionalProperties",
    "anyOf",
    "const",
    "default",
    "description",
    "enum",
    "items",
    "properties",
    "required",
    "title",
];

fn is_closed_at(schema: &Value) -> bool {
    let Value::Object(schema) = schema else {
        return false;
    };
    let kind = schema.get("type");
    let is_object = schema.contains_key("properties")
        || kind == Some(&json!("object"))
        || kind
            .and_then(Value::as_array)
            .is_some_and(|kinds| kinds.contains(&json!("object")));
    let is_closed = !is_object || schema.get("additionalProperties") == Some(&Value::Bool(false));
    let is_taken = |key: &String| key == "type" || TAKEN.contains(&key.as_str());
    is_closed && schema.keys().all(is_taken) && parts(schema).all(is_closed_at)
}

/// The schemas within a schema.
fn parts(schema: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let listed = schema
        .get("anyOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let named = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::values);
    schema.get("items").into_iter().chain(listed).chain(named)
}
