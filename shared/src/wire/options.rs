//! How a model is to answer: everything of a Converse request but its content.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::media::Json;
use super::union;
use crate::cost::ServiceTier;
use crate::error::Error;
use crate::routing::estimate_tokens;

/// Fields of a model's own, whatever they are.
pub type AdditionalFields = Map<String, Value>;

/// How to answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InferenceConfig {
    /// The most tokens of the answer, thinking included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub max_tokens: Option<u32>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub temperature: Option<f64>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub top_p: Option<f64>,
    /// Texts that end the answer; none empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 2500)]
    pub stop_sequences: Option<Vec<String>>,
}

/// The guardrail that looks at question and answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuardrailConfig {
    /// Its id or ARN.
    #[schema(max_length = 2048, example = "gr4x7example")]
    pub guardrail_identifier: String,
    /// Its version, or `DRAFT`.
    #[schema(pattern = "^([1-9][0-9]{0,7}|DRAFT)$", example = "1")]
    pub guardrail_version: String,
    /// Whether the answer tells what it found; `enabled` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<GuardrailTrace>,
    /// Taken and not passed on: every piece of an answer is looked at before it leaves, which is Bedrock's default.
    #[serde(skip_serializing)]
    pub stream_processing_mode: Option<String>,
}

/// Whether the answer tells what the guardrail found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum GuardrailTrace {
    Enabled,
    Disabled,
    EnabledFull,
}

/// The form of the answer, and the effort it is worth.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputConfig {
    /// JSON by a schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_format: Option<TextFormat>,
    /// How hard to think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
}

/// How hard to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Effort {
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

impl Effort {
    /// By Bedrock's word for it.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Low, Self::Medium, Self::High, Self::Xhigh, Self::Max]
            .into_iter()
            .find(|effort| effort.as_str() == word)
    }

    /// Bedrock's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }
}

/// JSON by a schema.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TextFormat {
    /// Always `json_schema`.
    pub r#type: TextFormatType,
    /// The schema.
    #[serde(deserialize_with = "union::one")]
    pub structure: TextStructure,
}

/// The kinds of form that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextFormatType {
    /// JSON by a schema.
    JsonSchema,
}

/// The schema of the answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum TextStructure {
    /// A JSON schema.
    JsonSchema(JsonSchemaDefinition),
}

/// A JSON schema with a name.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonSchemaDefinition {
    /// The schema, as text: that is how Bedrock takes it.
    #[schema(
        example = r#"{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": false}"#
    )]
    pub schema: String,
    /// What the answer is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the answer is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A value in a stored prompt.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum PromptVariable {
    /// Text.
    Text(String),
}

/// Whether latency matters more than price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PerformanceConfig {
    /// `optimized` where it does.
    pub latency: Latency,
}

/// Whether latency matters more than price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Latency {
    Standard,
    Optimized,
}

/// The service tier that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceTierConfig {
    /// Which.
    #[schema(value_type = ServiceTierName)]
    pub r#type: ServiceTier,
}

/// The service tiers that can be asked for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, missing_docs, reason = "only its schema is used")]
pub enum ServiceTierName {
    Default,
    Flex,
    Priority,
    Reserved,
}

/// Everything of a request but content, instructions and tools.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// How to answer.
    #[serde(skip_serializing_if = "InferenceConfig::is_empty")]
    pub inference_config: InferenceConfig,
    /// The guardrail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrail_config: Option<GuardrailConfig>,
    /// The form of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_config: Option<OutputConfig>,
    /// Fields of the model's own.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub additional_model_request_fields: AdditionalFields,
    /// JSON pointers to fields of the model's own answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_model_response_field_paths: Vec<String>,
    /// Values in a stored prompt.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub prompt_variables: BTreeMap<String, PromptVariable>,
    /// What Bedrock's invocation log is to hold.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub request_metadata: BTreeMap<String, String>,
    /// The service tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<ServiceTierConfig>,
    /// Whether latency matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performance_config: Option<PerformanceConfig>,
    /// The Bedrock project that is charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_identifier: Option<String>,
}

/// Keys of `requestMetadata` that begin so are the router's.
pub const RESERVED: &str = "router:";

/// The most pairs of `requestMetadata` that Bedrock takes, and those that are the router's.
const METADATA: usize = 16;
const RESERVED_METADATA: usize = 2;

/// The model's own fields, as far as they are settings and no content.
const SETTINGS: [&str; 10] = [
    "thinking",
    "top_k",
    "reasoning_effort",
    "reasoningConfig",
    "inferenceConfig",
    "output_config",
    "anthropic_beta",
    "seed",
    "text",
    "min_p",
];

/// Content, and limits that money depends on: none of it may go by the model's own fields, past the checks here.
const ELSEWHERE: [&str; 16] = [
    "system",
    "messages",
    "prompt",
    "inputText",
    "input",
    "tools",
    "tool_choice",
    "toolConfig",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "maxTokens",
    "max_new_tokens",
    "max_gen_len",
    "n",
    "num_generations",
];

/// The most bytes of the model's own fields.
const LONGEST_FIELDS: usize = 64 * 1024;

impl Options {
    /// The service tier that is asked for.
    #[must_use]
    pub fn tier(&self) -> ServiceTier {
        self.service_tier
            .map(|tier| tier.r#type)
            .unwrap_or_default()
    }

    /// Whether optimized latency is asked for.
    #[must_use]
    pub fn wants_optimized_latency(&self) -> bool {
        self.performance_config
            .is_some_and(|config| config.latency == Latency::Optimized)
    }

    /// The schema of the answer, if it is to be JSON.
    #[must_use]
    pub fn schema(&self) -> Option<&JsonSchemaDefinition> {
        let TextStructure::JsonSchema(definition) =
            &self.output_config.as_ref()?.text_format.as_ref()?.structure;
        Some(definition)
    }

    /// Tells Bedrock who asks and where, in pairs that a caller cannot set.
    pub fn identify(&mut self, caller: Option<&str>, route: &str) {
        let clean = |text: &str| {
            text.chars()
                .take(256)
                .map(|c| if may_stand_in_metadata(c) { c } else { '_' })
                .collect()
        };
        let mut set = |key: &str, value: &str| {
            self.request_metadata
                .insert(format!("{RESERVED}{key}"), clean(value))
        };
        set("route", route);
        caller.map(|caller| set("caller", caller));
    }

    /// Tokens of all that reaches the model from here: its own fields, and the schema of the answer.
    pub(super) fn estimated_tokens(&self) -> u32 {
        let fields =
            serde_json::to_string(&self.additional_model_request_fields).unwrap_or_default();
        let variables = self
            .prompt_variables
            .values()
            .map(|PromptVariable::Text(text)| estimate_tokens(text));
        let schema = self.schema().map_or(0, |definition| {
            let description =
                estimate_tokens(definition.description.as_deref().unwrap_or_default());
            estimate_tokens(&definition.schema).saturating_add(description)
        });
        let fields = if self.additional_model_request_fields.is_empty() {
            0
        } else {
            estimate_tokens(&fields)
        };
        variables.fold(schema.saturating_add(fields), u32::saturating_add)
    }

    /// Keeps a request from going round a guardrail that looks at messages: nothing but settings may go by the model's own
    /// fields, and nothing of its own answer may come back by them.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other field.
    pub fn keep_to_settings(&self) -> Result<(), Error> {
        if !self.additional_model_response_field_paths.is_empty() {
            let words =
                "with the operator's guardrail, fields of the model's own answer cannot be had";
            return Err(Error::invalid("additionalModelResponseFieldPaths", words));
        }
        match self
            .additional_model_request_fields
            .keys()
            .find(|field| !SETTINGS.contains(&field.as_str()))
        {
            Some(field) => Err(Error::invalid(
                format!("additionalModelRequestFields.{field}"),
                format!(
                    "with the operator's guardrail, the model's own fields may be {} only",
                    SETTINGS.join(", ")
                ),
            )),
            None => Ok(()),
        }
    }

    fn check_additional_fields(&self) -> Result<(), Error> {
        let path = "additionalModelRequestFields";
        let fields = &self.additional_model_request_fields;
        let inner = fields
            .get("inferenceConfig")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        for name in fields.keys().chain(inner.map(|(name, _)| name)) {
            if ELSEWHERE.contains(&name.as_str()) || name.starts_with("amazon-bedrock-") {
                let words = format!(
                    "{name} does not go by the model's own fields; Converse has a field for it, or none"
                );
                return Err(Error::invalid(format!("{path}.{name}"), words));
            }
        }
        let length = serde_json::to_string(fields).map_or(0, |json| json.len());
        if length > LONGEST_FIELDS {
            return Err(Error::invalid(
                path,
                format!("{length} bytes are more than the {LONGEST_FIELDS} that settings need"),
            ));
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        self.inference_config.check()?;
        self.check_additional_fields()?;
        if self
            .project_identifier
            .as_ref()
            .is_some_and(|id| id.is_empty() || id.len() > 2048)
        {
            return Err(Error::invalid(
                "projectIdentifier",
                "a project's id or ARN has 1 to 2,048 characters",
            ));
        }
        self.guardrail_config
            .as_ref()
            .map_or(Ok(()), GuardrailConfig::check)?;
        self.schema().map_or(Ok(()), JsonSchemaDefinition::check)?;
        self.check_paths()?;
        self.check_metadata()?;
        if self.tier() == ServiceTier::Unknown {
            return Err(Error::invalid(
                "serviceTier.type",
                "the service tiers are default, flex, priority and reserved",
            ));
        }
        Ok(())
    }

    fn check_paths(&self) -> Result<(), Error> {
        let paths = &self.additional_model_response_field_paths;
        if paths.len() > 10 {
            return Err(Error::invalid(
                "additionalModelResponseFieldPaths",
                "there may be at most 10 paths",
            ));
        }
        let wrong = |path: &String| !(1..=256).contains(&path.len()) || !path.starts_with('/');
        match paths.iter().position(wrong) {
            Some(index) => Err(Error::invalid(
                format!("additionalModelResponseFieldPaths[{index}]"),
                "a path is a JSON pointer such as /stop_sequence, of at most 256 characters",
            )),
            None => Ok(()),
        }
    }

    fn check_metadata(&self) -> Result<(), Error> {
        let most = METADATA - RESERVED_METADATA;
        if self.request_metadata.len() > most {
            return Err(Error::invalid(
                "requestMetadata",
                format!("there may be at most {most} pairs; two more are the router's"),
            ));
        }
        for (key, value) in &self.request_metadata {
            let path = format!("requestMetadata.{key}");
            if key.starts_with(RESERVED) {
                return Err(Error::invalid(
                    path,
                    format!("keys that begin with {RESERVED} are set by the router"),
                ));
            }
            if !fits_metadata(key, value) {
                let rule = "keys and values have at most 256 letters, digits, spaces and characters of : _ @ $ # = / + , - . and no key is empty";
                return Err(Error::invalid(path, rule));
            }
        }
        Ok(())
    }
}

/// Whether a pair may stand in `requestMetadata`.
#[must_use]
pub fn fits_metadata(key: &str, value: &str) -> bool {
    let allowed =
        |text: &str| text.chars().all(may_stand_in_metadata) && text.chars().count() <= 256;
    !key.is_empty() && allowed(key) && allowed(value)
}

fn may_stand_in_metadata(c: char) -> bool {
    c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":_@$#=/+,-.".contains(c)
}

impl GuardrailConfig {
    fn check(&self) -> Result<(), Error> {
        check_guardrail(&self.guardrail_identifier, &self.guardrail_version)
            .map_err(|(field, why)| Error::invalid(format!("guardrailConfig.{field}"), why))
    }
}

/// Whether these can be a guardrail's id or ARN, and its version; if not, which is wrong and why.
///
/// # Errors
/// The field and the rule.
pub fn check_guardrail(
    identifier: &str,
    version: &str,
) -> Result<(), (&'static str, &'static str)> {
    let is_id = |id: &str| {
        !id.is_empty()
            && id
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let id = match identifier.strip_prefix("arn:aws") {
        Some(arn) => arn.split_once(":guardrail/").map(|(_, id)| id),
        None => Some(identifier),
    };
    let is_number = version.len() <= 8
        && version.chars().all(|c| c.is_ascii_digit())
        && !version.starts_with('0');
    if !id.is_some_and(is_id) || identifier.len() > 2048 {
        Err((
            "guardrailIdentifier",
            "this is a guardrail's id, lower-case letters and digits, or its ARN",
        ))
    } else if version != "DRAFT" && (version.is_empty() || !is_number) {
        Err((
            "guardrailVersion",
            "this is the number of a version, or DRAFT",
        ))
    } else {
        Ok(())
    }
}

impl JsonSchemaDefinition {
    fn check(&self) -> Result<(), Error> {
        let path = "outputConfig.textFormat.structure.jsonSchema";
        let is_object =
            serde_json::from_str::<Json>(&self.schema).map(|json| json.get().starts_with('{'));
        match is_object {
            Ok(true) => {}
            Ok(false) => {
                return Err(Error::invalid(
                    format!("{path}.schema"),
                    "the schema must be a JSON object, as text",
                ));
            }
            Err(error) => {
                return Err(Error::invalid(
                    format!("{path}.schema"),
                    format!("the schema is not JSON: {error}"),
                ));
            }
        }
        let named = |name: &String| {
            (1..=64).contains(&name.len())
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        };
        if self.name.as_ref().is_some_and(|name| !named(name)) {
            return Err(Error::invalid(
                format!("{path}.name"),
                "the name has 1 to 64 letters, digits, _ and -",
            ));
        }
        Ok(())
    }
}

impl InferenceConfig {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self) -> Result<(), Error> {
        let field = |name: &str| format!("inferenceConfig.{name}");
        if self.max_tokens == Some(0) {
            return Err(Error::invalid(
                field("maxTokens"),
                "maxTokens is 0, but must be at least 1",
            ));
        }
        for (name, value) in [("temperature", self.temperature), ("topP", self.top_p)] {
            if let Some(value) = value.filter(|value| !(0.0..=1.0).contains(value)) {
                return Err(Error::invalid(
                    field(name),
                    format!("{name} is {value}, but must be between 0 and 1"),
                ));
            }
        }
        let stops = self.stop_sequences.as_deref().unwrap_or_default();
        if stops.len() > 2500 || stops.iter().any(String::is_empty) {
            return Err(Error::invalid(
                field("stopSequences"),
                "there may be at most 2,500 stop sequences, none of them empty",
            ));
        }
        Ok(())
    }
}
