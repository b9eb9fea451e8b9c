//! Thinking, asked for in the words of the model that answers.
//!
//! Claude takes `thinking` among its own fields: newer models choose how long they think (`adaptive`), some cannot be kept from
//! it, older ones want a budget (Anthropic's documentation of extended and adaptive thinking, and Bedrock's refusals).

use serde_json::{Value, json};

use super::{Fitting, Repair};
use crate::wire::{AdditionalFields, Effort, ToolChoice};

/// The smallest budget that Claude takes.
const LEAST_BUDGET: u64 = 1024;

/// What a caller asks for.
enum Thinking {
    Disabled,
    Adaptive,
    /// So many tokens.
    Budget(u64),
}

/// Whether a caller's own fields ask the model to think.
#[must_use]
pub fn is_asked_for(fields: &AdditionalFields) -> bool {
    matches!(
        Thinking::read(fields),
        Some(Thinking::Adaptive | Thinking::Budget(_))
    )
}

impl Thinking {
    fn read(fields: &AdditionalFields) -> Option<Self> {
        let thinking = fields.get("thinking")?;
        match thinking.get("type").and_then(Value::as_str)? {
            "disabled" => Some(Self::Disabled),
            "adaptive" => Some(Self::Adaptive),
            "enabled" => Some(Self::Budget(
                thinking
                    .get("budget_tokens")
                    .and_then(Value::as_u64)
                    .unwrap_or(LEAST_BUDGET),
            )),
            _ => None,
        }
    }
}

impl Fitting<'_, '_> {
    pub(super) fn adjust_thinking(&mut self) {
        self.adjust_effort();
        let Some(thinking) = Thinking::read(&self.body.options.additional_model_request_fields)
        else {
            return;
        };
        let Some(model) = self.candidate.model else {
            return;
        };
        if model.provider != "Anthropic" || model.capabilities.reasoning != Some(true) {
            return self.drop_thinking(&format!("{} does not think on request", model.name));
        }
        let adaptive = model.capabilities.adaptive_thinking == Some(true);
        match thinking {
            Thinking::Disabled if model.capabilities.thinking_always_on == Some(true) => {
                self.drop_thinking(&format!("{} cannot be kept from it", model.name));
            }
            Thinking::Budget(_) if adaptive => {
                self.set_thinking(json!({ "type": "adaptive" }));
                self.say(format!(
                    "thinking made adaptive: {} chooses its own budget",
                    model.name
                ));
            }
            Thinking::Adaptive if !adaptive => self.budget(u64::MAX),
            Thinking::Budget(tokens) if !adaptive => self.budget(tokens),
            Thinking::Disabled | Thinking::Adaptive | Thinking::Budget(_) => {}
        }
    }

    /// A budget of at most half of `maxTokens`, so that an answer has room; and nothing beside it that older Claude refuses.
    fn budget(&mut self, wanted: u64) {
        let name = self.name();
        let forced = self
            .body
            .tool_config
            .as_ref()
            .and_then(|config| config.tool_choice.as_ref());
        if matches!(forced, Some(ToolChoice::Any(_) | ToolChoice::Tool(_))) {
            return self.drop_thinking(&format!(
                "{name} does not think when it is made to use a tool"
            ));
        }
        let room = u64::from(self.body.options.inference_config.max_tokens.unwrap_or(0)) / 2;
        if room < LEAST_BUDGET {
            return self.drop_thinking(&format!("maxTokens leaves {name} no room for it"));
        }
        let tokens = wanted.clamp(LEAST_BUDGET, room);
        self.set_thinking(json!({ "type": "enabled", "budget_tokens": tokens }));
        if tokens != wanted {
            self.say(format!("thinking set to a budget of {tokens} tokens: {name} wants one that leaves room in maxTokens"));
        }
        let config = &mut self.body.options.inference_config;
        let temperature = config
            .temperature
            .take_if(|temperature| *temperature != 1.0)
            .map(|_| "temperature");
        let top_p = config.top_p.take_if(|top_p| *top_p < 0.95).map(|_| "topP");
        let top_k = self
            .body
            .options
            .additional_model_request_fields
            .remove("top_k")
            .map(|_| "top_k");
        let dropped = [temperature, top_p, top_k].into_iter().flatten();
        self.changes
            .extend(dropped.map(|parameter| {
                format!("{parameter} dropped: {name} takes none while it thinks")
            }));
    }

    fn set_thinking(&mut self, thinking: Value) {
        self.body
            .options
            .additional_model_request_fields
            .insert("thinking".into(), thinking);
    }

    fn drop_thinking(&mut self, why: &str) {
        self.body
            .options
            .additional_model_request_fields
            .remove("thinking");
        self.say(format!("thinking dropped: {why}"));
    }

    /// No more effort than the model takes, and none where it takes no word about it.
    fn adjust_effort(&mut self) {
        let name = self.name();
        let Some(config) = &mut self.body.options.output_config else {
            return;
        };
        let Some(effort) = config.effort else { return };
        let capabilities = self.candidate.model.map(|model| &model.capabilities);
        let unknown =
            capabilities.is_some_and(|capabilities| capabilities.output_config != Some(true));
        if unknown || self.learned.contains(&Repair::Effort) {
            config.effort = None;
            if config.text_format.is_none() {
                self.body.options.output_config = None;
            }
            return self.say(format!(
                "outputConfig.effort dropped: {name} is not known to take it"
            ));
        }
        let ceiling = capabilities
            .and_then(|capabilities| Effort::parse(capabilities.effort_ceiling.as_deref()?));
        let idle = matches!(
            Thinking::read(&self.body.options.additional_model_request_fields),
            Some(Thinking::Disabled)
        );
        // Without thinking, no effort above high is taken.
        let most = [ceiling, idle.then_some(Effort::High)]
            .into_iter()
            .flatten()
            .min();
        if let Some(most) = most.filter(|most| effort > *most) {
            config.effort = Some(most);
            self.say(format!(
                "outputConfig.effort lowered to {}: {name} takes no more",
                most.as_str()
            ));
        }
    }
}
