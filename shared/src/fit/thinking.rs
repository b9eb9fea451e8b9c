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

/// Whether a caller's own fields ask the model to think, in Claude's words or in Nova's.
#[must_use]
pub fn is_asked_for(fields: &AdditionalFields) -> bool {
    let nova = fields
        .get("reasoningConfig")
        .and_then(|config| config.get("type"));
    nova.is_some_and(|kind| kind == "enabled")
        || matches!(
            Thinking::read(fields),
            Some(Thinking::Adaptive | Thinking::Budget(_))
        )
}

/// The tokens of thought that a caller asks for; 0 where none are named.
#[must_use]
pub fn budget(fields: &AdditionalFields) -> u32 {
    match Thinking::read(fields) {
        Some(Thinking::Budget(tokens)) => u32::try_from(tokens).unwrap_or(u32::MAX),
        Some(Thinking::Disabled | Thinking::Adaptive) | None => 0,
    }
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
        self.lower_novas_effort();
        let Some(thinking) = Thinking::read(&self.body.options.additional_model_request_fields)
        else {
            return;
        };
        let Some(model) = self.candidate.model else {
            return;
        };
        if model.provider != "Anthropic" || model.capabilities.reasoning != Some(true) {
            return self.drop_thinking(&format!("{} takes no such field", model.name));
        }
        let forced = self
            .body
            .tool_config
            .as_ref()
            .and_then(|config| config.tool_choice.as_ref());
        let is_forced = matches!(forced, Some(ToolChoice::Any(_) | ToolChoice::Tool(_)));
        let adaptive = model.capabilities.adaptive_thinking == Some(true);
        match thinking {
            Thinking::Disabled if model.capabilities.thinking_always_on == Some(true) => {
                self.drop_thinking(&format!("{} cannot be kept from it", model.name));
            }
            Thinking::Disabled => {}
            Thinking::Adaptive | Thinking::Budget(_) if is_forced => {
                self.drop_thinking(&format!(
                    "{} does not think when it is made to use a tool",
                    model.name
                ));
            }
            Thinking::Adaptive if adaptive => self.drop_sampling_beside_thinking(),
            Thinking::Budget(_) if adaptive => {
                self.set_thinking(json!({ "type": "adaptive" }));
                self.say(format!(
                    "thinking made adaptive: {} chooses its own budget",
                    model.name
                ));
                self.drop_sampling_beside_thinking();
            }
            Thinking::Adaptive => self.budget(u64::MAX),
            Thinking::Budget(tokens) => self.budget(tokens),
        }
    }

    /// A budget below `maxTokens`, as Claude wants it: the caller's, or half of what there is.
    fn budget(&mut self, wanted: u64) {
        let name = self.name();
        let most = u64::from(self.body.options.inference_config.max_tokens.unwrap_or(0));
        if most <= LEAST_BUDGET {
            return self.drop_thinking(&format!("maxTokens {most} leaves {name} no room for it"));
        }
        let tokens = if (LEAST_BUDGET..most).contains(&wanted) {
            wanted
        } else {
            (most / 2).max(LEAST_BUDGET)
        };
        self.set_thinking(json!({ "type": "enabled", "budget_tokens": tokens }));
        if tokens != wanted {
            self.say(format!("thinking set to a budget of {tokens} tokens: {name} wants one between {LEAST_BUDGET} and maxTokens {most}"));
        }
        self.drop_sampling_beside_thinking();
    }

    /// While Claude thinks, it takes no temperature but 1, no `topP` below 0.95, and no top-k.
    fn drop_sampling_beside_thinking(&mut self) {
        let name = self.name();
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

    /// With high effort, Nova 2 takes no `maxTokens`, and without one nobody knows what an answer may cost.
    fn lower_novas_effort(&mut self) {
        let name = self.name();
        let fields = &mut self.body.options.additional_model_request_fields;
        let effort = fields
            .get_mut("reasoningConfig")
            .and_then(|config| config.get_mut("maxReasoningEffort"));
        if let Some(effort) = effort.filter(|effort| *effort == "high") {
            *effort = "medium".into();
            self.say(format!(
                "maxReasoningEffort lowered to medium: with high, {name} takes no maxTokens"
            ));
        }
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
