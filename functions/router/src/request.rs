//! The body of `POST /invoke` and `POST /route`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use shared::catalog::Task;
use shared::error::Error;
use shared::http;
use shared::routing::{Budget, Facts, Wanted};
use shared::usd::Usd;
use shared::wire::{Conversation, InferenceConfig, Message, SystemBlock, text_or_blocks};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    prompt: Option<String>,
    messages: Option<Vec<Message>>,
    #[serde(default, deserialize_with = "text_or_blocks")]
    system: Vec<SystemBlock>,
    #[serde(default)]
    inference_config: InferenceConfig,
    tool_config: Option<Box<RawValue>>,
    model: Option<String>,
    #[serde(default)]
    strict_model: bool,
    task: Option<Task>,
    budget: Option<Budget>,
    max_cost_usd: Option<Usd>,
    timeout_ms: Option<u64>,
}

/// A request that was read and checked.
#[derive(Debug)]
pub struct Request {
    /// What goes to the model.
    pub conversation: Conversation,
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
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the path of the first wrong field.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let body: Body = http::parse(body)?;
        let messages = match (body.prompt, body.messages) {
            (Some(prompt), None) if prompt.trim().is_empty() => {
                return Err(Error::invalid("prompt", "the prompt is blank"));
            }
            (Some(prompt), None) => vec![Message::user(prompt)],
            (None, Some(messages)) => messages,
            (None, None) => {
                return Err(Error::invalid(
                    "prompt",
                    "give either prompt, a text, or messages, a conversation",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(Error::invalid(
                    "messages",
                    "give either prompt or messages, not both",
                ));
            }
        };
        if body.max_cost_usd.is_some_and(|limit| limit <= Usd::ZERO) {
            return Err(Error::invalid("maxCostUsd", "maxCostUsd must be above 0"));
        }
        if body.timeout_ms == Some(0) {
            return Err(Error::invalid("timeoutMs", "timeoutMs must be at least 1"));
        }
        let conversation = Conversation {
            messages,
            system: body.system,
            inference: body.inference_config,
            tool_config: body.tool_config,
        };
        conversation.check()?;
        Ok(Self {
            conversation,
            model: body
                .model
                .filter(|model| !model.eq_ignore_ascii_case("auto")),
            strict: body.strict_model,
            task: body.task,
            budget: body.budget,
            max_cost: body.max_cost_usd,
            timeout: body.timeout_ms.map(Duration::from_millis),
        })
    }

    /// What the decision needs to know of it; `prompt` is the conversation's own.
    #[must_use]
    pub fn facts<'a>(&self, prompt: &'a str, default_budget: Budget) -> Facts<'a> {
        Facts {
            task: self.task,
            budget: self.budget.unwrap_or(default_budget),
            max_cost: self.max_cost,
            ..self.conversation.facts(prompt)
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
