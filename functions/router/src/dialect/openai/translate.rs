//! From OpenAI's request to ours; its messages are in [`turns`](super::turns).

use std::collections::BTreeMap;

use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};
use shared::cost::ServiceTier;
use shared::error::{Error, cut};
use shared::http::bounds;
use shared::wire::{
    AdditionalFields, Conversation, Effort, Empty, InferenceConfig, Json, JsonSchemaDefinition,
    Options, OutputConfig, RESERVED, ServiceTierConfig, SystemTool, TextFormat, TextFormatType,
    TextStructure, Tool, ToolChoice, ToolConfig, ToolInputSchema, ToolSpec, fits_id, fits_metadata,
};

use super::request::{ChatRequest, ChatTool, ChatToolChoice, ChosenTool, ResponseFormat};
use super::turns::Turns;
use crate::request::{Request, wanted};

impl ChatRequest {
    /// Our request, and what was left aside on the way.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the caller's own field.
    pub(super) fn translate(self) -> Result<(Request, Vec<String>), Error> {
        let mut notes = Vec::new();
        self.refuse_what_nobody_does()?;
        let timeout = bounds(self.max_cost_usd, self.timeout_ms)?;
        let (model, budget) = wanted(self.model.clone(), self.budget)?;
        let options = self.options(&mut notes)?;
        let tool_config = tool_config(self.tools, self.tool_choice, &mut notes)?;
        notes.extend(ignored(&self.others));
        let mut turns = Turns::default();
        for (index, message) in self.messages.into_iter().enumerate() {
            turns.add(index, message)?;
        }
        let conversation = Conversation {
            tool_config,
            options,
            ..Conversation::default()
        };
        let request = Request {
            model,
            strict: self.strict_model.unwrap_or_default(),
            task: self.task,
            budget,
            max_cost: self.max_cost_usd,
            timeout,
            caching: self.prompt_cache,
            stream: self.stream.unwrap_or_default(),
            conversation: turns.finish(conversation, &mut notes)?,
            mended: None,
        };
        Ok((request, notes))
    }

    fn refuse_what_nobody_does(&self) -> Result<(), Error> {
        let wants_sound = |modalities: &Vec<String>| modalities.iter().any(|kind| kind != "text");
        if self.n.is_some_and(|n| n != 1) {
            return Err(Error::invalid(
                "n",
                "there is one answer to a request: n is 1",
            ));
        }
        if self.modalities.as_ref().is_some_and(wants_sound) {
            return Err(Error::invalid(
                "modalities",
                "answers are text; leave modalities out",
            ));
        }
        let asks = |field: &str| match self.others.get(field) {
            None | Some(Value::Null) => false,
            Some(Value::Array(list)) => !list.is_empty(),
            Some(choice) => choice != "none" && choice != "auto",
        };
        if asks("functions") || asks("function_call") {
            let words = "functions and function_call are long gone; send tools and tool_choice";
            return Err(Error::invalid("functions", words));
        }
        if self.messages.is_empty() {
            return Err(Error::invalid(
                "messages",
                "there must be at least one message",
            ));
        }
        Ok(())
    }

    fn options(&self, notes: &mut Vec<String>) -> Result<Options, Error> {
        let temperature = within("temperature", self.temperature, 2.0)?;
        if temperature.is_some_and(|temperature| temperature > 1.0) {
            notes.push("temperature was lowered to 1, the most that models here take".into());
        }
        let top_p = within("top_p", self.top_p, 1.0)?;
        let max_tokens = self.max_completion_tokens.or(self.max_tokens);
        if max_tokens == Some(0) {
            return Err(Error::invalid(
                "max_tokens",
                "max_tokens must be at least 1",
            ));
        }
        if self.stop.iter().any(String::is_empty) {
            return Err(Error::invalid(
                "stop",
                "a text that ends the answer is not empty",
            ));
        }
        Ok(Options {
            inference_config: InferenceConfig {
                max_tokens,
                temperature: temperature.map(|temperature| temperature.min(1.0)),
                top_p,
                stop_sequences: Some(self.stop.clone()).filter(|stop| !stop.is_empty()),
            },
            guardrail_config: self.guardrail_config.clone(),
            output_config: self.output_config(notes)?,
            additional_model_request_fields: self.thinking(),
            request_metadata: self.request_metadata(notes),
            service_tier: self.service_tier(notes),
            ..Options::default()
        })
    }

    /// Who wants effort wants the model to think; in Claude's words, which are taken away where others answer.
    fn thinking(&self) -> AdditionalFields {
        let kind = match self.reasoning_effort.as_deref() {
            None => return AdditionalFields::default(),
            Some("none") => "disabled",
            Some(_) => "adaptive",
        };
        [("thinking".to_owned(), json!({ "type": kind }))]
            .into_iter()
            .collect()
    }

    fn output_config(&self, notes: &mut Vec<String>) -> Result<Option<OutputConfig>, Error> {
        let effort = match self.reasoning_effort.as_deref() {
            None | Some("none") => None,
            Some("minimal") => Some(Effort::Low),
            Some(word) => Some(Effort::parse(word).ok_or_else(|| {
                let words = "the efforts are none, minimal, low, medium, high, xhigh and max";
                Error::invalid("reasoning_effort", words)
            })?),
        };
        let text_format = match &self.response_format {
            Some(format) => text_format(format, notes)?,
            None => None,
        };
        let wanted = effort.is_some() || text_format.is_some();
        Ok(wanted.then_some(OutputConfig {
            text_format,
            effort,
        }))
    }

    /// What Bedrock's log takes of the pairs, and of who asks.
    fn request_metadata(&self, notes: &mut Vec<String>) -> BTreeMap<String, String> {
        let user = self.user.iter().map(|user| ("user", Some(user.as_str())));
        let pairs = self.metadata.iter().flatten();
        let pairs = pairs.map(|(key, value)| (key.as_str(), value.as_str()));
        let mut taken = BTreeMap::new();
        for (key, value) in user.chain(pairs) {
            let is_ours = key.starts_with(RESERVED);
            match value.filter(|value| fits_metadata(key, value) && !is_ours && taken.len() < 14) {
                Some(value) => {
                    taken.insert(key.to_owned(), value.to_owned());
                }
                None => notes.push(format!(
                    "metadata.{} does not fit into Bedrock's log and was left out",
                    cut(key, 40)
                )),
            }
        }
        taken
    }

    fn service_tier(&self, notes: &mut Vec<String>) -> Option<ServiceTierConfig> {
        let r#type = match self.service_tier.as_deref()? {
            "flex" => ServiceTier::Flex,
            "priority" => ServiceTier::Priority,
            "auto" | "default" => return None,
            other => {
                notes.push(format!(
                    "service_tier {:?} is none of Bedrock's and was left out",
                    cut(other, 40)
                ));
                return None;
            }
        };
        Some(ServiceTierConfig { r#type })
    }
}

/// Fields that nobody here reads, each in a sentence; null asks for nothing.
fn ignored(others: &Map<String, Value>) -> Vec<String> {
    let asked = others.iter().filter(|(_, value)| !value.is_null());
    let names: Vec<_> = asked.map(|(name, _)| cut(name, 40)).collect();
    match names.is_empty() {
        true => Vec::new(),
        false => vec![format!("not used here and left out: {}", names.join(", "))],
    }
}

fn within(field: &str, value: Option<f64>, most: f64) -> Result<Option<f64>, Error> {
    match value {
        Some(value) if !(0.0..=most).contains(&value) => Err(Error::invalid(
            field,
            format!("{field} is {value}, but must be between 0 and {most}"),
        )),
        value => Ok(value),
    }
}

fn text_format(
    format: &ResponseFormat,
    notes: &mut Vec<String>,
) -> Result<Option<TextFormat>, Error> {
    let definition = match (format.r#type.as_str(), &format.json_schema) {
        ("text", _) => return Ok(None),
        ("json_object", _) => JsonSchemaDefinition {
            schema: json!({ "type": "object" }).to_string(),
            name: None,
            description: None,
        },
        ("json_schema", Some(named)) => {
            let schema = named.schema.as_ref().map(|schema| schema.get().to_owned());
            let name = named
                .name
                .clone()
                .filter(|name| fits_id(name) && !name.contains(['.', ':']));
            if name.is_none() && named.name.is_some() {
                notes.push(
                    "response_format.json_schema.name was left out: letters, digits, _ and - only"
                        .into(),
                );
            }
            JsonSchemaDefinition {
                schema: schema.unwrap_or_else(|| json!({ "type": "object" }).to_string()),
                name,
                description: named.description.clone(),
            }
        }
        ("json_schema", None) => {
            let words = "the type json_schema needs json_schema, with name and schema";
            return Err(Error::invalid("response_format.json_schema", words));
        }
        _ => {
            let words = "the types are text, json_object and json_schema";
            return Err(Error::invalid("response_format.type", words));
        }
    };
    if !definition.schema.trim_start().starts_with('{') {
        let words = "the schema must be a JSON object";
        return Err(Error::invalid("response_format.json_schema.schema", words));
    }
    Ok(Some(TextFormat {
        r#type: TextFormatType::JsonSchema,
        structure: TextStructure::JsonSchema(definition),
    }))
}

fn tool_config(
    tools: Option<Vec<ChatTool>>,
    choice: Option<ChatToolChoice>,
    notes: &mut Vec<String>,
) -> Result<Option<ToolConfig>, Error> {
    let mut specs = Vec::new();
    for (index, tool) in tools.into_iter().flatten().enumerate() {
        specs.push(tool_spec(tool, &format!("tools[{index}]"))?);
    }
    let tool_choice = match choice {
        None => None,
        Some(ChatToolChoice::Word(word)) => match word.as_str() {
            "auto" => None,
            "required" => Some(ToolChoice::Any(Empty {})),
            "none" => {
                if !specs.is_empty() {
                    notes.push("tools were left out, because tool_choice is none".into());
                }
                return Ok(None);
            }
            _ => {
                let words = "tool_choice is auto, none, required, or one function by its name";
                return Err(Error::invalid("tool_choice", words));
            }
        },
        Some(ChatToolChoice::One(chosen)) => chosen_tool(&chosen, &mut specs)?,
    };
    let tools: Vec<_> = specs.into_iter().map(Tool::ToolSpec).collect();
    Ok((!tools.is_empty()).then_some(ToolConfig { tools, tool_choice }))
}

/// What a choice by name comes to; of several that are allowed, the others are taken away.
fn chosen_tool(
    chosen: &ChosenTool,
    specs: &mut Vec<ToolSpec>,
) -> Result<Option<ToolChoice>, Error> {
    let known = |name: &str| match specs.iter().any(|spec| spec.name == name) {
        true => Ok(()),
        false => {
            let words = format!("no function is called {:?}", cut(name, 80));
            Err(Error::invalid("tool_choice", words))
        }
    };
    match (&chosen.function, &chosen.allowed_tools) {
        (Some(function), _) => {
            known(&function.name)?;
            let name = function.name.clone();
            Ok(Some(ToolChoice::Tool(SystemTool { name })))
        }
        (None, Some(allowed)) => {
            let named = allowed
                .tools
                .iter()
                .filter_map(|tool| tool.function.as_ref());
            let names: Vec<_> = named.map(|function| function.name.as_str()).collect();
            names.iter().try_for_each(|name| known(name))?;
            specs.retain(|spec| names.contains(&spec.name.as_str()));
            Ok((allowed.mode == "required").then_some(ToolChoice::Any(Empty {})))
        }
        (None, None) => {
            let words = format!(
                "a tool_choice of the type {:?} names no function",
                cut(&chosen.r#type, 40)
            );
            Err(Error::invalid("tool_choice", words))
        }
    }
}

fn tool_spec(tool: ChatTool, path: &str) -> Result<ToolSpec, Error> {
    let (true, Some(function)) = (tool.r#type == "function", tool.function) else {
        let words = "tools here are of the type function, with a function";
        return Err(Error::invalid(path, words));
    };
    let is_object = |schema: &Json| schema.get().starts_with('{');
    let parameters = function.parameters;
    if parameters.as_ref().is_some_and(|schema| !is_object(schema)) {
        let words = "parameters must be a JSON schema, which is an object";
        return Err(Error::invalid(format!("{path}.function.parameters"), words));
    }
    let schema = of_an_object(parameters)?;
    Ok(ToolSpec {
        name: function.name,
        description: function.description.filter(|text| !text.trim().is_empty()),
        input_schema: ToolInputSchema::Json(schema),
        strict: function.strict.filter(|strict| *strict),
    })
}

/// A schema that says that it is one of an object: Bedrock refuses any other.
fn of_an_object(schema: Option<Json>) -> Result<Json, Error> {
    let text = schema.as_ref().map_or("{}", |schema| schema.get());
    let mut fields: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    if let Some(schema) = schema.filter(|_| fields.get("type").is_some_and(|kind| kind == "object"))
    {
        return Ok(schema);
    }
    fields.insert("type".into(), "object".into());
    to_raw_value(&fields).map_err(|error| Error::Internal(error.to_string()))
}
