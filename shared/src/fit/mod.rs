//! A request made to fit the model it goes to: what the model rejects is dropped, folded or put in its own words, and said.
//!
//! What a model takes is the catalog's to say; where the catalog errs, Bedrock's refusal teaches a [`Repair`]. [`structure`]
//! decides how JSON by a schema is come by, [`caching`] where cache points go, [`thinking`] how thinking is asked for.

use std::borrow::Cow;

use crate::catalog::{Capabilities, Model, is_stored_prompt};
use crate::cost::ServiceTier;
use crate::routing::Candidate;
use crate::wire::{
    CacheTtl, ContentBlock, Conversation, ConverseBody, Latency, Message, ReasoningContent,
    SystemContentBlock, ToolConfig, ToolResultStatus,
};

pub use learned::{Learned, Repair};
pub use structure::Form;

pub mod caching;
mod learned;
pub mod structure;
pub mod thinking;

#[cfg(test)]
#[allow(clippy::too_many_lines, reason = "tables")]
mod tests;

/// A request that fits.
#[derive(Debug)]
pub struct Fitted<'a> {
    /// What goes to Bedrock.
    pub body: ConverseBody<'a>,
    /// What was changed, in sentences.
    pub changes: Vec<String>,
    /// How JSON by a schema is come by, if it is asked for.
    pub form: Option<Form>,
}

impl Fitted<'_> {
    /// The `maxTokens` that is sent.
    #[must_use]
    pub fn max_tokens(&self) -> Option<u32> {
        self.body.options.inference_config.max_tokens
    }
}

/// Makes a conversation fit a candidate. `caching` asks for cache points; `learned` is what Bedrock has refused before.
///
/// `maxTokens` is always set: Bedrock reserves quota by it, and its own default is the model's maximum. Only a stored prompt
/// brings its own.
#[must_use]
pub fn fit<'a>(
    conversation: &'a Conversation,
    candidate: &Candidate<'_>,
    caching: Option<CacheTtl>,
    learned: &[Repair],
) -> Fitted<'a> {
    let body = ConverseBody {
        messages: Cow::Borrowed(&conversation.messages),
        system: Cow::Borrowed(&conversation.system),
        tool_config: conversation.tool_config.as_ref().map(Cow::Borrowed),
        options: conversation.options.clone(),
    };
    let mut fitting = Fitting {
        body,
        changes: Vec::new(),
        candidate,
        learned,
    };
    let mut form = None;
    // A stored prompt brings its own settings, and Bedrock takes none beside it.
    if !is_stored_prompt(&candidate.id) {
        fitting.limit_tokens();
        fitting.supply_tools(conversation);
        form = fitting.form_answer();
        fitting.drop_options();
        fitting.drop_sampling();
        fitting.drop_blank_stops();
        fitting.adjust_thinking();
        fitting.strip_reasoning();
        fitting.simplify_tool_results();
        fitting.fold_system();
        fitting.adjust_cache_points();
        fitting.place_cache_points(caching);
    }
    Fitted {
        body: fitting.body,
        changes: fitting.changes,
        form,
    }
}

/// A request while it is made to fit.
struct Fitting<'a, 'c> {
    body: ConverseBody<'a>,
    changes: Vec<String>,
    candidate: &'c Candidate<'c>,
    learned: &'c [Repair],
}

impl Fitting<'_, '_> {
    fn model(&self) -> Option<&Model> {
        self.candidate.model
    }

    fn name(&self) -> String {
        self.candidate
            .model
            .map_or_else(|| self.candidate.id.clone(), |model| model.name.to_string())
    }

    /// Of a model that is not in the catalog nothing is known.
    fn is(&self, capability: impl Fn(&Capabilities) -> Option<bool>, value: bool) -> bool {
        self.model()
            .is_some_and(|model| capability(&model.capabilities) == Some(value))
    }

    fn has_learned(&self, repair: &Repair) -> bool {
        self.learned.contains(repair)
    }

    fn say(&mut self, change: impl Into<String>) {
        self.changes.push(change.into());
    }

    fn limit_tokens(&mut self) {
        let learned = self.learned.iter().filter_map(|repair| {
            if let Repair::MaxTokens(most) = repair {
                Some(*most)
            } else {
                None
            }
        });
        let most = learned.fold(self.candidate.max_tokens, u32::min);
        let asked = self.body.options.inference_config.max_tokens.replace(most);
        if let Some(asked) = asked.filter(|asked| *asked > most) {
            self.say(format!(
                "maxTokens {asked} lowered to {most}, the most that fits"
            ));
        }
    }

    /// Bedrock demands `toolConfig` on every turn after a tool was used, also when the caller offers none any more.
    fn supply_tools(&mut self, conversation: &Conversation) {
        if self.body.tool_config.is_some() {
            return;
        }
        let called = conversation.tools_called();
        if let Some(config) = ToolConfig::named(&called).filter(|_| !called.is_empty()) {
            self.body.tool_config = Some(Cow::Owned(config));
            self.say(format!(
                "toolConfig supplied for the tools of the conversation: {}",
                called.join(", ")
            ));
        }
    }

    /// Options that only change price, speed or effort go where there are none.
    fn drop_options(&mut self) {
        let name = self.name();
        let options = &mut self.body.options;
        let asked = options.tier();
        let has_tier = self.candidate.tier == asked;
        if asked != ServiceTier::Default && !has_tier {
            options.service_tier = None;
            self.say(format!(
                "serviceTier dropped: {name} has no tier {}",
                asked.as_str()
            ));
        }
        let optimized = self
            .body
            .options
            .performance_config
            .is_some_and(|config| config.latency == Latency::Optimized);
        let unknown = self
            .model()
            .is_some_and(|model| model.capabilities.latency_optimized != Some(true));
        if optimized && (unknown || self.has_learned(&Repair::Performance)) {
            self.body.options.performance_config = None;
            self.say(format!(
                "performanceConfig dropped: {name} is not known to have optimized latency"
            ));
        }
        for repair in self.learned {
            if let Repair::AdditionalField(field) = repair
                && self
                    .body
                    .options
                    .additional_model_request_fields
                    .remove(field)
                    .is_some()
            {
                self.changes.push(format!(
                    "additionalModelRequestFields.{field} dropped: {name} does not know it"
                ));
            }
        }
    }

    /// Claude takes no stop sequence of white space alone.
    fn drop_blank_stops(&mut self) {
        if self
            .model()
            .is_none_or(|model| model.provider != "Anthropic")
        {
            return;
        }
        let name = self.name();
        let stops = &mut self.body.options.inference_config.stop_sequences;
        let all = stops.as_ref().map_or(0, Vec::len);
        if let Some(stops) = stops {
            stops.retain(|stop| !stop.trim().is_empty());
        }
        let left = stops.as_ref().map_or(0, Vec::len);
        stops.take_if(|stops| stops.is_empty());
        if left < all {
            self.say(format!(
                "stopSequences of white space dropped: {name} takes none"
            ));
        }
    }

    /// Newer Claude and GPT models reject sampling parameters; some Claude models take only one of the two.
    fn drop_sampling(&mut self) {
        let name = self.name();
        let none =
            self.is(|can| can.sampling_parameters, false) || self.has_learned(&Repair::Sampling);
        let not_both =
            self.is(|can| can.temperature_with_top_p, false) || self.has_learned(&Repair::TopP);
        let config = &mut self.body.options.inference_config;
        let mut dropped = Vec::new();
        if none {
            dropped.extend(config.temperature.take().map(|_| "temperature"));
            dropped.extend(config.top_p.take().map(|_| "topP"));
            dropped.extend(
                self.body
                    .options
                    .additional_model_request_fields
                    .remove("top_k")
                    .map(|_| "top_k"),
            );
        } else if not_both && config.temperature.is_some() && config.top_p.take().is_some() {
            self.changes.push(format!(
                "topP dropped: {name} takes it or temperature, not both"
            ));
        }
        self.changes.extend(
            dropped
                .into_iter()
                .map(|parameter| format!("{parameter} dropped: {name} takes none")),
        );
    }

    /// What another model thought is sealed with that model's key, or is of no use to one that does not think.
    ///
    /// Only Claude seals its reasoning, and refuses what is not sealed (Anthropic's documentation of extended thinking).
    fn strip_reasoning(&mut self) {
        let thinks = self.is(|can| can.reasoning, true);
        let seals = self
            .model()
            .is_some_and(|model| model.provider == "Anthropic");
        let strips_all =
            self.has_learned(&Repair::Reasoning) || (self.model().is_some() && !thinks);
        let does_not_fit =
            |reasoning: &ReasoningContent| strips_all || (thinks && reasoning.is_sealed() != seals);
        let is_foreign = |block: &ContentBlock| matches!(block, ContentBlock::ReasoningContent(reasoning) if does_not_fit(reasoning));
        if !self
            .body
            .messages
            .iter()
            .any(|message| message.content.iter().any(is_foreign))
        {
            return;
        }
        for message in self.body.messages.to_mut() {
            message.content.retain(|block| !is_foreign(block));
            if message.content.is_empty() {
                message
                    .content
                    .push(ContentBlock::Text("(thought only)".into()));
            }
        }
        self.say(format!(
            "reasoning of another model dropped: {} does not take it",
            self.name()
        ));
    }

    /// Whether a call went well is told to Claude and Nova only.
    fn simplify_tool_results(&mut self) {
        let has_status = |message: &Message| {
            message.content.iter().any(|block| matches!(block, ContentBlock::ToolResult(result) if result.status.is_some()))
        };
        if self.model().is_none()
            || self.is(|can| can.rich_tool_results, true)
            || !self.body.messages.iter().any(has_status)
        {
            return;
        }
        let mut lost = false;
        for message in self.body.messages.to_mut() {
            for block in &mut message.content {
                if let ContentBlock::ToolResult(result) = block {
                    lost |= result.status.take() == Some(ToolResultStatus::Error);
                }
            }
        }
        if lost {
            self.say(format!(
                "toolResult.status dropped: {} is not known to take it",
                self.name()
            ));
        }
    }

    /// A model without system prompts gets the instructions at the head of the first user turn.
    fn fold_system(&mut self) {
        if self.body.system.is_empty()
            || !(self.is(|can| can.system, false) || self.has_learned(&Repair::System))
        {
            return;
        }
        let blocks = self.body.system.iter().filter_map(|block| match block {
            SystemContentBlock::Text(text) => Some(ContentBlock::Text(text.clone())),
            SystemContentBlock::GuardContent(block) => {
                Some(ContentBlock::GuardContent(block.clone()))
            }
            SystemContentBlock::CachePoint(_) => None,
        });
        let blocks: Vec<_> = blocks.collect();
        if let Some(Message { content, .. }) = self.body.messages.to_mut().first_mut() {
            content.splice(0..0, blocks);
        }
        self.body.system = Cow::Borrowed(&[]);
        self.say(format!(
            "system moved into the first user message: {} takes no system prompt",
            self.name()
        ));
    }
}
