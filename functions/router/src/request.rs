//! The body of `POST /invoke` and `POST /route`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use shared::catalog::{Task, is_stored_prompt};
use shared::error::Error;
use shared::http;
use shared::routing::{Budget, Facts, Wanted};
use shared::usd::Usd;
use shared::wire::{
    AdditionalFields, CacheTtl, ContentBlock, Conversation, GuardrailConfig, GuardrailTrace,
    InferenceConfig, Message, Options, OutputConfig, PerformanceConfig, PromptVariable,
    ServiceTierConfig, SystemContentBlock, TextOr, ToolConfig, union,
};
use utoipa::ToSchema;

/// What is asked: `prompt` or `messages`, and how it is to be answered. Only one of the two is needed.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InvokeRequest {
    /// A question, in place of `messages`.
    pub(crate) prompt: Option<String>,
    /// A conversation, the oldest turn first.
    pub(crate) messages: Option<Vec<Message>>,
    /// Instructions.
    #[serde(default, deserialize_with = "union::text_or_list")]
    #[schema(value_type = TextOr<SystemContentBlock>)]
    pub(crate) system: Vec<SystemContentBlock>,
    /// How to answer.
    #[serde(default)]
    #[schema(value_type = InferenceConfig)]
    pub(crate) inference_config: InferenceConfig,
    /// Tools.
    pub(crate) tool_config: Option<ToolConfig>,
    /// The guardrail that looks at question and answer; the operator may have set one for all.
    pub(crate) guardrail_config: Option<GuardrailConfig>,
    /// JSON by a schema, and how hard to think.
    pub(crate) output_config: Option<OutputConfig>,
    /// Fields of the model's own, such as Claude's `thinking`.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) additional_model_request_fields: AdditionalFields,
    /// JSON pointers to fields of the model's own answer.
    #[serde(default)]
    #[schema(max_items = 10)]
    pub(crate) additional_model_response_field_paths: Vec<String>,
    /// Values in a stored prompt, where `model` is its ARN.
    #[serde(default, deserialize_with = "variables")]
    #[schema(value_type = BTreeMap<String, PromptVariable>)]
    pub(crate) prompt_variables: BTreeMap<String, PromptVariable>,
    /// Pairs for Bedrock's invocation log, at most 14; the router adds route and caller.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    pub(crate) request_metadata: BTreeMap<String, String>,
    /// The service tier.
    pub(crate) service_tier: Option<ServiceTierConfig>,
    /// Whether latency matters more than price.
    pub(crate) performance_config: Option<PerformanceConfig>,
    /// The Bedrock project that is charged.
    #[schema(min_length = 1, max_length = 2048)]
    pub(crate) project_identifier: Option<String>,
    /// Place cache points, which last so long, where they pay.
    pub(crate) prompt_cache: Option<CacheTtl>,
    /// `auto`, `auto:` and a budget, or any name of a model: alias, id, inference-profile id, ARN.
    #[schema(example = "auto")]
    pub(crate) model: Option<String>,
    /// Answer in server-sent events; the header `Accept: text/event-stream` asks for the same.
    #[serde(default)]
    pub(crate) stream: bool,
    /// Refuse a model that is gone, in place of asking its successor.
    #[serde(default)]
    pub(crate) strict_model: bool,
    /// What it is for; inferred if absent.
    pub(crate) task: Option<Task>,
    /// What the caller would rather have.
    pub(crate) budget: Option<Budget>,
    /// The most it may cost, in US dollars.
    #[schema(exclusive_minimum = 0)]
    pub(crate) max_cost_usd: Option<Usd>,
    /// The most time it may take, in milliseconds.
    #[schema(minimum = 100, maximum = 86400000)]
    pub(crate) timeout_ms: Option<u64>,
}

/// Each variable is a union.
fn variables<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, PromptVariable>, D::Error> {
    #[derive(Deserialize)]
    struct Variable(#[serde(deserialize_with = "union::one")] PromptVariable);
    let variables = BTreeMap::<String, Variable>::deserialize(deserializer)?;
    Ok(variables
        .into_iter()
        .map(|(name, Variable(value))| (name, value))
        .collect())
}

/// A request that was read and checked.
#[derive(Clone, Debug)]
pub struct Request {
    /// What goes to the model.
    pub conversation: Conversation,
    /// Place cache points that last so long.
    pub caching: Option<CacheTtl>,
    /// Answer piece by piece.
    pub stream: bool,
    /// The caller's name for a model; `None` for `auto`.
    pub model: Option<String>,
    /// Refuse a dead model.
    pub strict: bool,
    /// What it is for.
    pub task: Option<Task>,
    /// What the caller would rather have.
    pub budget: Option<Budget>,
    /// The most it may cost.
    pub max_cost: Option<Usd>,
    /// The most time it may take.
    pub timeout: Option<Duration>,
    /// What was mended while it was read.
    pub mended: Option<String>,
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the path of the first wrong field.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        Self::of(http::parse(body)?)
    }

    /// Reads a body for a model that is named elsewhere.
    ///
    /// # Errors
    /// As [`Request::parse`]; and for a body that names a model, too.
    pub fn of_model(name: &str, body: &[u8]) -> Result<Self, Error> {
        let mut body: InvokeRequest = http::parse(body)?;
        if body.model.is_some() {
            return Err(Error::invalid("model", "the model is named in the path"));
        }
        body.model = Some(name.to_owned());
        Self::of(body)
    }

    pub(crate) fn of(body: InvokeRequest) -> Result<Self, Error> {
        let timeout = http::bounds(body.max_cost_usd, body.timeout_ms)?;
        let stored = body.model.as_deref().is_some_and(is_stored_prompt);
        let (model, budget) = wanted(body.model, body.budget)?;
        let mut request = Self {
            model,
            strict: body.strict_model,
            task: body.task,
            budget,
            max_cost: body.max_cost_usd,
            timeout,
            caching: body.prompt_cache,
            stream: body.stream,
            conversation: Conversation {
                messages: messages(body.prompt, body.messages, stored)?,
                system: body.system,
                tool_config: body.tool_config,
                options: Options {
                    inference_config: body.inference_config,
                    guardrail_config: body.guardrail_config,
                    output_config: body.output_config,
                    additional_model_request_fields: body.additional_model_request_fields,
                    additional_model_response_field_paths: body
                        .additional_model_response_field_paths,
                    prompt_variables: body.prompt_variables,
                    request_metadata: body.request_metadata,
                    service_tier: body.service_tier,
                    performance_config: body.performance_config,
                    project_identifier: body.project_identifier,
                },
            },
            mended: None,
        };
        request.conversation.check_parts()?;
        request.mended = request.conversation.alternate()?;
        request.conversation.check_whole()?;
        request.check_stored_prompt(stored)?;
        Ok(request)
    }

    /// A stored prompt brings instructions, tools and settings of its own; no other request has variables.
    fn check_stored_prompt(&self, stored: bool) -> Result<(), Error> {
        let Conversation {
            system,
            tool_config,
            options,
            ..
        } = &self.conversation;
        let refuse = |field: &str| {
            Err(Error::invalid(
                field,
                format!("{field} comes with the stored prompt; leave it out"),
            ))
        };
        match stored {
            false if !options.prompt_variables.is_empty() => Err(Error::invalid(
                "promptVariables",
                "there are variables only where model is the ARN of a stored prompt",
            )),
            true if !system.is_empty() => refuse("system"),
            true if tool_config.is_some() => refuse("toolConfig"),
            true if options.inference_config != InferenceConfig::default() => {
                refuse("inferenceConfig")
            }
            true if !options.additional_model_request_fields.is_empty() => {
                refuse("additionalModelRequestFields")
            }
            true | false => Ok(()),
        }
    }

    /// Puts the operator's guardrail in force, if there is one; a caller cannot get round it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another guardrail, and for parts marked for a guardrail, which would keep it from all others.
    pub fn guard(&mut self, operators: Option<&GuardrailConfig>) -> Result<(), Error> {
        let parts = self.conversation.guards_parts();
        let config = &mut self.conversation.options.guardrail_config;
        if let Some(guardrail) = operators {
            let same = |own: &GuardrailConfig| {
                own.guardrail_identifier == guardrail.guardrail_identifier
                    && own.guardrail_version == guardrail.guardrail_version
            };
            if config.as_ref().is_some_and(|own| !same(own)) {
                return Err(Error::invalid(
                    "guardrailConfig",
                    "the operator has set the guardrail for all calls; leave it out",
                ));
            }
            if parts {
                return Err(Error::invalid(
                    "guardContent",
                    "the operator has set a guardrail that looks at everything; send text in place of guardContent",
                ));
            }
            config.get_or_insert_with(|| guardrail.clone());
            self.conversation.options.keep_to_settings()?;
        } else if parts && config.is_none() {
            return Err(Error::invalid(
                "guardContent",
                "guardContent needs a guardrailConfig that says which guardrail looks at it",
            ));
        }
        if let Some(config) = &mut self.conversation.options.guardrail_config {
            config.trace.get_or_insert(GuardrailTrace::Enabled);
        }
        Ok(())
    }

    /// What the decision needs to know of it; `prompt` is the conversation's own.
    #[must_use]
    pub fn facts<'a>(&'a self, prompt: &'a str, default_budget: Budget) -> Facts<'a> {
        let facts = self.conversation.facts(prompt);
        Facts {
            task: self.task,
            budget: self.budget.unwrap_or(default_budget),
            max_cost: self.max_cost,
            cache_points: facts.cache_points || self.caching.is_some(),
            ..facts
        }
    }

    /// The model that is asked for.
    #[must_use]
    pub fn wanted(&self) -> Wanted<'_> {
        let named = |name| Wanted::Named {
            name,
            strict: self.strict,
        };
        self.model.as_deref().map_or(Wanted::Auto, named)
    }
}

/// The model and the budget that are wanted: `auto` is no model, and `auto:lower-cost` is none with a budget, for callers who have
/// no other place for one.
pub(crate) fn wanted(
    model: Option<String>,
    budget: Option<Budget>,
) -> Result<(Option<String>, Option<Budget>), Error> {
    let Some(model) = model else {
        return Ok((None, budget));
    };
    let (name, word) = match model.trim().split_once(':') {
        Some((name, word)) => (name, Some(word.to_ascii_lowercase())),
        None => (model.trim(), None),
    };
    if !name.eq_ignore_ascii_case("auto") {
        return Ok((Some(model), budget));
    }
    let Some(word) = word else {
        return Ok((None, budget));
    };
    let named: Result<_, serde::de::value::Error> =
        Budget::deserialize(word.as_str().into_deserializer());
    let named = named.map_err(|_| {
        let words = "after \"auto:\" comes lower-cost, balanced or best-quality";
        Error::invalid("model", words)
    })?;
    match budget.filter(|budget| *budget != named) {
        Some(_) => Err(Error::invalid(
            "budget",
            format!("budget and model ({model}) say different things; leave one out"),
        )),
        None => Ok((None, Some(named))),
    }
}

fn messages(
    prompt: Option<String>,
    messages: Option<Vec<Message>>,
    stored: bool,
) -> Result<Vec<Message>, Error> {
    match (prompt, messages) {
        (Some(prompt), None) if prompt.trim().is_empty() => {
            Err(Error::invalid("prompt", "the prompt is blank"))
        }
        (Some(prompt), None) => Ok(vec![Message::user(prompt)]),
        (None, Some(messages)) if messages.is_empty() => Err(Error::invalid(
            "messages",
            "there must be at least one message",
        )),
        (None, Some(messages)) => Ok(messages),
        (None, None) if stored => Ok(Vec::new()),
        (None, None) => Err(Error::invalid(
            "prompt",
            "give either prompt, a text, or messages, a conversation",
        )),
        (Some(_), Some(_)) => Err(Error::invalid(
            "messages",
            "give either prompt or messages, not both",
        )),
    }
}

/// A conversation that goes on after an answer that does not match its schema.
pub(crate) fn asked_again(conversation: &Conversation, answer: &str, why: &str) -> Conversation {
    let answer = if answer.trim().is_empty() {
        "(nothing)"
    } else {
        answer
    };
    let complaint = format!(
        "That does not match the schema: {why}. Answer again, with the whole JSON and nothing else."
    );
    let mut again = conversation.clone();
    again.messages.push(Message {
        role: shared::wire::Role::Assistant,
        content: vec![ContentBlock::Text(answer.to_owned())],
    });
    again.messages.push(Message::user(complaint));
    again
}
