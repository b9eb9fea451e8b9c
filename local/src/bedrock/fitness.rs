//! What a model refuses, in the words that Bedrock has been observed to send for it in October and November 2026.
//!
//! The messages about forced tools, prefill, structured output, tiers and latency are worded alike.

use serde_json::Value;
use shared::catalog::{Kind, Modality, Model};

use super::answer::{seal, text, tokens};
use super::check::malformed;
use super::{Refusal, blocks, list};

type Checked = Result<(), Refusal>;

/// Checks that a model takes what a request holds.
///
/// # Errors
/// The refusal that Bedrock would send.
pub(super) fn of(model: &Model, body: &Value) -> Checked {
    let refusal = kind(model, body)
        .or_else(|| tools(model, body))
        .or_else(|| content(model, body))
        .or_else(|| sampling(model, body))
        .or_else(|| options(model, body))
        .or_else(|| limits(model, body));
    if let Some(message) = refusal {
        return Err(Refusal::invalid(message));
    }
    cache_points(model, body)?;
    thinking(model, body)
}

fn has_block(body: &Value, kind: &str) -> bool {
    blocks(body).any(|block| block.get(kind).is_some())
}

fn kind(model: &Model, body: &Value) -> Option<String> {
    let capabilities = &model.capabilities;
    if model.kind != Kind::Text || capabilities.converse == Some(false) {
        let words = "This action doesn't support the model that you provided. Try again with a supported text or chat model.";
        return Some(words.into());
    }
    let refuses = !list(body, "system").is_empty() && capabilities.system == Some(false);
    let words = "This model doesn't support system messages. Try again without a system message or use a model that supports system messages.";
    refuses.then(|| words.into())
}

fn tools(model: &Model, body: &Value) -> Option<String> {
    let capabilities = &model.capabilities;
    let choice = body.pointer("/toolConfig/toolChoice");
    let forced =
        choice.is_some_and(|choice| choice.get("any").is_some() || choice.get("tool").is_some());
    let last = list(body, "messages").last();
    let has_status = blocks(body).any(|block| block.pointer("/toolResult/status").is_some());
    let words = if body.get("toolConfig").is_some() && capabilities.tools == Some(false) {
        "This model doesn't support tool use."
    } else if forced
        && (capabilities.forced_tool_use == Some(false) || capabilities.tool_choice == Some(false))
    {
        "This model doesn't support forced tool use. Try again with a tool choice of auto."
    } else if has_status && capabilities.rich_tool_results != Some(true) {
        "This model doesn't support the status field. Remove status and try again."
    } else if last.is_some_and(|message| message["role"] == "assistant")
        && capabilities.assistant_prefill == Some(false)
    {
        "This model does not support assistant message prefill. The conversation must end with a user message."
    } else {
        return None;
    };
    Some(words.into())
}

fn content(model: &Model, body: &Value) -> Option<String> {
    let refuses = [
        ("image", !model.takes(Modality::Image)),
        ("video", !model.takes(Modality::Video)),
        ("audio", !model.takes(Modality::Audio)),
        ("document", model.capabilities.documents == Some(false)),
        ("searchResult", model.capabilities.citations != Some(true)),
        (
            "reasoningContent",
            model.capabilities.reasoning != Some(true),
        ),
    ];
    let (kind, _) = refuses
        .into_iter()
        .find(|(kind, refuses)| *refuses && has_block(body, kind))?;
    Some(format!(
        "This model doesn't support the {kind} content block that you provided. Update the content and try again."
    ))
}

fn sampling(model: &Model, body: &Value) -> Option<String> {
    let has = |field: &str| body.pointer(&format!("/inferenceConfig/{field}")).is_some();
    let none = model.capabilities.sampling_parameters == Some(false);
    if has("temperature") && none {
        Some("`temperature` is deprecated for this model.".into())
    } else if has("topP") && none {
        Some("`top_p` is deprecated for this model.".into())
    } else if has("temperature")
        && has("topP")
        && model.capabilities.temperature_with_top_p == Some(false)
    {
        Some("`temperature` and `top_p` cannot both be specified for this model. Please use only one.".into())
    } else {
        None
    }
}

fn options(model: &Model, body: &Value) -> Option<String> {
    let capabilities = &model.capabilities;
    let at = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let schema = at("/outputConfig/textFormat/structure/jsonSchema/schema");
    let sold = |price: fn(&shared::catalog::Prices) -> bool| model.prices.iter().any(price);
    let tier_is_sold = match at("/serviceTier/type") {
        Some("flex") => sold(|prices| prices.flex.is_some()),
        Some("priority") => sold(|prices| prices.priority.is_some()),
        Some(_) | None => true,
    };
    let words = if schema.is_some() && capabilities.structured_output != Some(true) {
        "This model doesn't support the outputConfig.textFormat field."
    } else if schema.is_some_and(|schema| !schema.contains("\"additionalProperties\"")) {
        "For 'object' type, 'additionalProperties' must be explicitly set to false."
    } else if at("/outputConfig/effort").is_some() && capabilities.output_config != Some(true) {
        "This model doesn't support the effort parameter."
    } else if !tier_is_sold {
        "The model does not support the provided service tier."
    } else if at("/performanceConfig/latency") == Some("optimized")
        && capabilities.latency_optimized != Some(true)
    {
        "Latency performance configuration is not supported for this model."
    } else if body.get("guardrailConfig").is_some() && capabilities.guardrails == Some(false) {
        "This model doesn't support guardrails."
    } else {
        return None;
    };
    Some(words.into())
}

fn limits(model: &Model, body: &Value) -> Option<String> {
    let limit = model.limits.output_tokens.unwrap_or(u32::MAX);
    if body
        .pointer("/inferenceConfig/maxTokens")
        .and_then(Value::as_u64)
        .is_some_and(|asked| asked > u64::from(limit))
    {
        return Some(format!(
            "The maximum tokens you requested exceeds the model limit of {limit}. Try again with a maximum tokens value that is \
             lower than {limit}."
        ));
    }
    let context = u64::from(model.limits.context_tokens.unwrap_or(u32::MAX));
    (tokens(&text(body)) > context).then(|| "Input is too long for requested model.".into())
}

fn cache_points(model: &Model, body: &Value) -> Checked {
    let is_point = |block: &Value| block.get("cachePoint").is_some();
    let tools = body
        .get("toolConfig")
        .map(|config| list(config, "tools"))
        .unwrap_or_default();
    if let Some(index) = tools
        .iter()
        .position(is_point)
        .filter(|_| model.capabilities.tool_cache_points != Some(true))
    {
        return Err(malformed(
            &format!("#/toolConfig/tools/{index}"),
            "cachePoint",
        ));
    }
    let elsewhere = blocks(body).chain(list(body, "system")).any(is_point);
    if elsewhere && model.capabilities.cache_points != Some(true) {
        return Err(malformed("#/messages/0/content/0", "cachePoint"));
    }
    Ok(())
}

/// Claude's own fields, and what it thinks of the seals on earlier reasoning.
fn thinking(model: &Model, body: &Value) -> Checked {
    let capabilities = &model.capabilities;
    let fields = body
        .get("additionalModelRequestFields")
        .and_then(Value::as_object);
    let own = ["inferenceConfig", "reasoningConfig"];
    let extraneous = fields
        .into_iter()
        .flatten()
        .find(|(key, _)| match model.provider.as_ref() {
            "Amazon" => !own.contains(&key.as_str()),
            "Anthropic" => false,
            _ => key.as_str() == "thinking",
        });
    if let Some((key, _)) = extraneous {
        return Err(malformed("#", key));
    }
    let asked = fields.and_then(|fields| fields.get("thinking"));
    let kind = asked.and_then(|thinking| thinking["type"].as_str());
    let budget = asked
        .and_then(|thinking| thinking["budget_tokens"].as_u64())
        .unwrap_or(0);
    let most = body
        .pointer("/inferenceConfig/maxTokens")
        .and_then(Value::as_u64)
        .unwrap_or(u64::MAX);
    let adaptive = capabilities.adaptive_thinking == Some(true);
    let always = capabilities.thinking_always_on == Some(true);
    let temperature = body
        .pointer("/inferenceConfig/temperature")
        .and_then(Value::as_f64)
        .unwrap_or(1.0);
    let words = match kind {
        Some("enabled") if adaptive && always => {
            "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\"."
        }
        Some("disabled") if always => "\"thinking.type.disabled\" is not supported for this model.",
        Some("adaptive") if !adaptive => "adaptive thinking is not supported on this model",
        Some("enabled") if !adaptive && !(1024..most).contains(&budget) => {
            "`max_tokens` must be greater than `thinking.budget_tokens`, which must be at least 1024."
        }
        Some("enabled") if temperature < 1.0 => {
            "`temperature` may only be set to 1 when thinking is enabled."
        }
        _ => return seals(model, body),
    };
    Err(Refusal::invalid(words))
}

fn seals(model: &Model, body: &Value) -> Checked {
    if model.provider != "Anthropic" {
        return Ok(());
    }
    for (m, message) in list(body, "messages").iter().enumerate() {
        for (c, block) in list(message, "content").iter().enumerate() {
            let text = block.pointer("/reasoningContent/reasoningText");
            if text.is_some_and(|text| text["signature"] != seal(model).as_str()) {
                return Err(Refusal::invalid(format!(
                    "messages.{m}.content.{c}: Invalid `signature` in `thinking` block"
                )));
            }
        }
    }
    Ok(())
}
