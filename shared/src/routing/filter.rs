//! Whether one model will do for one request, and how many tokens it may answer with.

use jiff::Span;

use super::decide::Search;
use super::facts::Facts;
use crate::catalog::{Capabilities, Kind, Modality, Model, Prices, Task, TierTokens};
use crate::cost::{self, ServiceTier, Usage};
use crate::usd::Usd;

/// The first reason why a model will not do, money apart. For `auto`, a capability that is not known is not there.
pub(super) fn unfit(
    search: &Search<'_, '_>,
    model: &Model,
    id: &str,
    auto: bool,
) -> Option<String> {
    disabled(search, model, id)
        .or_else(|| model.absence(search.today))
        .or_else(|| auto.then(|| retiring(search, model)).flatten())
        .or_else(|| incapable(search, model, auto))
        .or_else(|| too_long(search, model))
}

fn disabled(search: &Search<'_, '_>, model: &Model, id: &str) -> Option<String> {
    let disabled = search
        .policy
        .disabled
        .iter()
        .any(|name| *name == model.id || name == id);
    disabled.then(|| "disabled by the operator".to_owned())
}

fn retiring(search: &Search<'_, '_>, model: &Model) -> Option<String> {
    let end = model.lifecycle.end_of_life?;
    let horizon = search
        .today
        .saturating_add(Span::new().days(search.policy.retire_days));
    (end <= horizon).then(|| format!("reaches its end of life on {end}"))
}

fn incapable(search: &Search<'_, '_>, model: &Model, auto: bool) -> Option<String> {
    let facts = search.facts;
    let kind = if search.assessment.task == Task::Embedding {
        Kind::Embedding
    } else {
        Kind::Text
    };
    if model.kind != kind {
        return Some(format!("does {:?}, not {kind:?}", model.kind).to_lowercase());
    }
    content_lacking(facts, model, auto)
        .or_else(|| tools_lacking(facts, &model.capabilities, auto))
        .or_else(|| wire_lacking(facts, &model.capabilities, auto).filter(|_| kind == Kind::Text))
        .map(str::to_owned)
}

/// Whether a capability is not there; for `auto`, one that is not known is not.
fn lacks(capability: Option<bool>, auto: bool) -> bool {
    capability == Some(false) || (auto && capability.is_none())
}

fn first(needs: &[(bool, &'static str)]) -> Option<&'static str> {
    needs
        .iter()
        .find(|(lacking, _)| *lacking)
        .map(|(_, reason)| *reason)
}

fn content_lacking(facts: &Facts<'_>, model: &Model, auto: bool) -> Option<&'static str> {
    let can = &model.capabilities;
    first(&[
        (
            facts.images && !model.takes(Modality::Image),
            "takes no images",
        ),
        (
            facts.videos && !model.takes(Modality::Video),
            "takes no video",
        ),
        (
            facts.audio && !model.takes(Modality::Audio),
            "takes no audio",
        ),
        (
            facts.documents && lacks(can.documents, auto),
            "takes no documents",
        ),
        (
            facts.citations && can.citations != Some(true),
            "does not cite",
        ),
        (
            facts.prefill && lacks(can.assistant_prefill, auto),
            "does not continue an assistant turn",
        ),
    ])
}

fn tools_lacking(facts: &Facts<'_>, can: &Capabilities, auto: bool) -> Option<&'static str> {
    first(&[
        (facts.tools && lacks(can.tools, auto), "takes no tools"),
        (
            facts.forced_tool && !can_be_forced(can, auto),
            "cannot be made to use a tool",
        ),
        (
            facts.tool_images && can.rich_tool_results != Some(true),
            "takes no images in tool results",
        ),
    ])
}

fn wire_lacking(facts: &Facts<'_>, can: &Capabilities, auto: bool) -> Option<&'static str> {
    first(&[
        // Where there is none, it is folded into the first message.
        (
            facts.system && auto && can.system.is_none(),
            "may take no system prompt, for all that is known",
        ),
        (
            facts.system_turns && lacks(can.mid_conversation_system, auto),
            "takes no system messages among the turns",
        ),
        (
            facts.guardrail && lacks(can.guardrails, auto),
            "does not work with guardrails",
        ),
        (lacks(can.converse, auto), "does not speak Converse"),
    ])
}

/// A model that takes `toolChoice` may still not let it force a call.
fn can_be_forced(capabilities: &Capabilities, auto: bool) -> bool {
    capabilities.forced_tool_use != Some(false) && !lacks(capabilities.tool_choice, auto)
}

fn too_long(search: &Search<'_, '_>, model: &Model) -> Option<String> {
    let context = model.limits.context_tokens?;
    let needed = search
        .facts
        .input_tokens
        .saturating_add(least_output(search, model));
    (needed > context).then(|| format!("context window {context} < {needed} tokens"))
}

/// Whether the context has room even if the input is a fifth longer than estimated, which is how far estimates go wrong.
pub(super) fn is_roomy(search: &Search<'_, '_>, model: &Model) -> bool {
    let input = search.facts.input_tokens;
    let needed = input
        .saturating_add(input / 5)
        .saturating_add(least_output(search, model));
    model
        .limits
        .context_tokens
        .is_none_or(|context| needed <= context)
}

/// The output a model must have room for: what the caller asks for, as far as the model can, else what is expected.
fn least_output(search: &Search<'_, '_>, model: &Model) -> u32 {
    let asked = search
        .facts
        .max_tokens
        .unwrap_or_else(|| expected_output(search, model));
    asked.min(model.limits.output_tokens.unwrap_or(u32::MAX))
}

fn tokens<'a>(search: &Search<'a, '_>) -> Option<&'a TierTokens> {
    search.catalog.tier_tokens(search.assessment.tier)
}

/// Vectors are no tokens.
fn expected_output(search: &Search<'_, '_>, model: &Model) -> u32 {
    let answers = tokens(search).filter(|_| model.kind == Kind::Text);
    answers.map_or(0, |tokens| tokens.expected(thinks(search, model)))
}

/// Whether the model thinks when nothing is said, or is asked to and can.
fn thinks(search: &Search<'_, '_>, model: &Model) -> bool {
    model.may_think() || (search.facts.thinking && model.capabilities.reasoning == Some(true))
}

/// The service tier of a call: the one that is asked for, where it has a price; reserved capacity has none.
pub(super) fn tier(facts: &Facts<'_>, prices: Option<&Prices>) -> ServiceTier {
    let is_sold = match facts.service_tier {
        ServiceTier::Flex => prices.is_some_and(|prices| prices.flex.is_some()),
        ServiceTier::Priority => prices.is_some_and(|prices| prices.priority.is_some()),
        ServiceTier::Default | ServiceTier::Reserved | ServiceTier::Unknown => true,
    };
    if is_sold {
        facts.service_tier
    } else {
        ServiceTier::Default
    }
}

/// That a call would not have the tier that is asked for.
pub(super) fn tierless(facts: &Facts<'_>, tier: ServiceTier) -> Option<String> {
    (tier != facts.service_tier)
        .then(|| format!("has no service tier {}", facts.service_tier.as_str()))
}

/// What a request is expected to cost: its estimated input and the expected output, at the service tier of the call.
pub(super) fn estimate(
    search: &Search<'_, '_>,
    model: &Model,
    prices: &Prices,
    tier: ServiceTier,
) -> Option<Usd> {
    let output = expected_output(search, model).min(search.facts.max_tokens.unwrap_or(u32::MAX));
    let usage = Usage::of(search.facts.input_tokens.into(), output.into());
    cost::cost(&usage, prices, tier).map(|cost| cost.total_usd)
}

/// `maxTokens` for a call: the caller's or the tier's, within the limits of model, context, operator and money.
///
/// # Errors
/// The reason why no useful ceiling is left.
pub(super) fn ceiling(
    search: &Search<'_, '_>,
    model: &Model,
    prices: Option<&Prices>,
    tier: ServiceTier,
) -> Result<u32, String> {
    let facts = search.facts;
    let max_tokens = room(search, model);
    let limits = facts.max_cost.into_iter().chain(search.policy.max_cost);
    let Some(limit) = limits.min() else {
        return Ok(max_tokens);
    };
    // Bought capacity that does not suffice is served, and billed, at the standard tier.
    let tier = match tier {
        ServiceTier::Reserved | ServiceTier::Unknown => ServiceTier::Default,
        ServiceTier::Default | ServiceTier::Flex | ServiceTier::Priority => tier,
    };
    // What optimized latency costs is in no price list that we have.
    let prices =
        prices.filter(|_| !(facts.optimized && model.capabilities.latency_optimized == Some(true)));
    let most = prices.and_then(|prices| {
        cost::affordable_output(
            limit,
            facts.input_tokens.into(),
            facts.cache_points,
            prices,
            tier,
        )
    });
    match (most, facts.max_cost) {
        (Some(most), _) => within(search, model, max_tokens, most, limit),
        (None, Some(limit)) => Err(format!(
            "the price of {} is unknown, so maxCostUsd {limit} cannot be kept",
            model.name
        )),
        (None, None) => Ok(max_tokens),
    }
}

/// The caller's `maxTokens` or the tier's, within the limits of model, context and operator.
fn room(search: &Search<'_, '_>, model: &Model) -> u32 {
    let facts = search.facts;
    let usual = tokens(search).map_or(1, |tokens| {
        // Thinking that is asked for comes on top of the answer.
        let thinking = facts
            .thinking_budget
            .saturating_add(if facts.thinking_budget > 0 {
                tokens.max_tokens
            } else {
                0
            });
        tokens.ceiling(thinks(search, model)).max(thinking)
    });
    let context = model.limits.context_tokens.unwrap_or(u32::MAX);
    let limits = [
        model.limits.output_tokens.unwrap_or(u32::MAX),
        search.policy.max_tokens.unwrap_or(u32::MAX),
        context.saturating_sub(facts.input_tokens).max(1),
    ];
    limits
        .into_iter()
        .fold(facts.max_tokens.unwrap_or(usual), u32::min)
}

/// A ceiling that money lowers must still leave room for the answer: all that the caller asked for, or what is expected.
fn within(
    search: &Search<'_, '_>,
    model: &Model,
    max_tokens: u32,
    most: u64,
    limit: Usd,
) -> Result<u32, String> {
    let needed = search.facts.max_tokens.map_or_else(
        || expected_output(search, model).min(max_tokens),
        |_| max_tokens,
    );
    if most < u64::from(needed) {
        return Err(format!(
            "a cost limit of {limit} USD buys {most} of the {needed} output tokens needed"
        ));
    }
    Ok(max_tokens.min(u32::try_from(most).unwrap_or(u32::MAX)))
}
