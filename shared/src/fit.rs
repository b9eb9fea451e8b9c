//! A request made to fit the model it goes to: what the model rejects is dropped or folded, and said.

use std::borrow::Cow;

use serde_json::json;
use serde_json::value::to_raw_value;

use crate::catalog::Model;
use crate::wire::{
    ContentBlock, Conversation, ConverseBody, InferenceConfig, Message, SystemBlock,
};

/// The body for one model, and what was changed for it.
///
/// `maxTokens` is always set: Bedrock reserves quota by it, and its own default is the model's maximum.
#[must_use]
pub fn fit<'a>(
    conversation: &'a Conversation,
    model: Option<&Model>,
    max_tokens: u32,
) -> (ConverseBody<'a>, Vec<String>) {
    let mut changes = Vec::new();
    if let Some(asked) = conversation
        .inference
        .max_tokens
        .filter(|asked| *asked > max_tokens)
    {
        changes.push(format!(
            "maxTokens {asked} lowered to {max_tokens}, the most that fits"
        ));
    }
    let mut body = ConverseBody {
        messages: Cow::Borrowed(&conversation.messages),
        system: Cow::Borrowed(&conversation.system),
        inference_config: InferenceConfig {
            max_tokens: Some(max_tokens),
            ..conversation.inference.clone()
        },
        tool_config: conversation.tool_config.as_deref().map(Cow::Borrowed),
    };
    supply_tools(&mut body, conversation, &mut changes);
    if let Some(model) = model {
        drop_sampling(&mut body.inference_config, model, &mut changes);
        fold_system(&mut body, model, &mut changes);
        drop_cache_points(&mut body, model, &mut changes);
    }
    (body, changes)
}

/// Bedrock demands `toolConfig` on every turn after a tool was used, also when the caller offers none any more.
fn supply_tools(
    body: &mut ConverseBody<'_>,
    conversation: &Conversation,
    changes: &mut Vec<String>,
) {
    let called = if body.tool_config.is_none() {
        conversation.tools_called()
    } else {
        Vec::new()
    };
    let tool = |name: &String| {
        let schema = json!({ "json": { "type": "object" } });
        json!({ "toolSpec": { "name": name, "description": "Used earlier in this conversation.", "inputSchema": schema } })
    };
    let tools: Vec<_> = called.iter().map(tool).collect();
    let config = to_raw_value(&json!({ "tools": tools }))
        .ok()
        .filter(|_| !tools.is_empty());
    if let Some(config) = config {
        body.tool_config = Some(Cow::Owned(config));
        changes.push(format!(
            "toolConfig supplied for the tools of the conversation: {}",
            called.join(", ")
        ));
    }
}

/// Newer Claude and GPT models reject sampling parameters; some Claude models take only one of the two.
fn drop_sampling(config: &mut InferenceConfig, model: &Model, changes: &mut Vec<String>) {
    let name = &model.name;
    if model.capabilities.sampling_parameters == Some(false) {
        for (parameter, value) in [
            ("temperature", &mut config.temperature),
            ("topP", &mut config.top_p),
        ] {
            if value.take().is_some() {
                changes.push(format!("{parameter} dropped: {name} takes none"));
            }
        }
    }
    if model.capabilities.temperature_with_top_p == Some(false)
        && config.temperature.is_some()
        && config.top_p.take().is_some()
    {
        changes.push(format!(
            "topP dropped: {name} takes it or temperature, not both"
        ));
    }
}

/// A model without system prompts gets the instructions at the head of the first user turn.
fn fold_system(body: &mut ConverseBody<'_>, model: &Model, changes: &mut Vec<String>) {
    if body.system.is_empty() || model.capabilities.system != Some(false) {
        return;
    }
    let texts = body.system.iter().filter_map(|block| match block {
        SystemBlock::Text(text) => Some(ContentBlock::Text(text.clone())),
        SystemBlock::CachePoint(_) => None,
    });
    if let Some(Message { content, .. }) = body.messages.to_mut().first_mut() {
        content.splice(0..0, texts);
    }
    body.system = Cow::Borrowed(&[]);
    changes.push(format!(
        "system moved into the first user message: {} takes no system prompt",
        model.name
    ));
}

/// Where a model is not known to cache prompts, a cache point is a mistake; without it the answer is the same.
fn drop_cache_points(body: &mut ConverseBody<'_>, model: &Model, changes: &mut Vec<String>) {
    let in_message = |block: &ContentBlock| matches!(block, ContentBlock::CachePoint(_));
    let in_system = |block: &SystemBlock| matches!(block, SystemBlock::CachePoint(_));
    let messages = body
        .messages
        .iter()
        .any(|message| message.content.iter().any(in_message));
    let system = body.system.iter().any(in_system);
    if model.capabilities.prompt_caching == Some(true) || !(messages || system) {
        return;
    }
    if messages {
        for message in body.messages.to_mut() {
            message.content.retain(|block| !in_message(block));
        }
    }
    if system {
        body.system.to_mut().retain(|block| !in_system(block));
    }
    changes.push(format!(
        "cache points dropped: {} is not known to cache prompts",
        model.name
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn fitted(name: &str) -> (String, Vec<String>) {
        let conversation = Conversation {
            messages: vec![Message::user("hi")],
            system: vec![SystemBlock::Text("be brief".into())],
            inference: InferenceConfig {
                temperature: Some(0.5),
                top_p: Some(0.9),
                ..InferenceConfig::default()
            },
            tool_config: None,
        };
        let (body, changes) = fit(&conversation, Catalog::built_in().find(name), 100);
        (serde_json::to_string(&body).unwrap(), changes)
    }

    #[test]
    fn a_model_that_takes_all_gets_all() {
        let (body, changes) = fitted("nova-lite");
        let message = r#""messages":[{"role":"user","content":[{"text":"hi"}]}]"#;
        let rest = r#""system":[{"text":"be brief"}],"inferenceConfig":{"maxTokens":100,"temperature":0.5,"topP":0.9}"#;
        assert_eq!(body, format!("{{{message},{rest}}}"));
        assert!(changes.is_empty());
    }

    #[test]
    fn a_lowered_ceiling_is_said() {
        let inference = InferenceConfig {
            max_tokens: Some(50),
            ..InferenceConfig::default()
        };
        let conversation = Conversation {
            inference,
            ..Conversation::default()
        };
        assert_eq!(
            fit(&conversation, None, 7).1,
            ["maxTokens 50 lowered to 7, the most that fits"]
        );
        assert!(fit(&conversation, None, 50).1.is_empty());
    }

    #[test]
    fn sampling_parameters_are_dropped_where_they_are_rejected() {
        let (body, changes) = fitted("claude-opus-5-5");
        assert!(
            body.contains(r#""inferenceConfig":{"maxTokens":100}"#),
            "{body}"
        );
        assert_eq!(changes.len(), 2);
        let (body, changes) = fitted("claude-haiku-4-5");
        assert!(
            body.contains(r#""inferenceConfig":{"maxTokens":100,"temperature":0.5}"#),
            "{body}"
        );
        assert_eq!(
            changes,
            ["topP dropped: claude-haiku-4-5 takes it or temperature, not both"]
        );
    }

    #[test]
    fn tools_of_the_conversation_are_supplied() {
        let call = r#"{"role": "assistant", "content": [{"toolUse": {"toolUseId": "1", "name": "clock", "input": {}}}]}"#;
        let result = r#"{"role": "user", "content": [{"toolResult": {"toolUseId": "1", "content": [{"text": "noon"}]}}]}"#;
        let json = format!(r#"[{{"role": "user", "content": "time?"}}, {call}, {result}]"#);
        let conversation = Conversation {
            messages: serde_json::from_str(&json).unwrap(),
            ..Conversation::default()
        };
        let (body, changes) = fit(&conversation, Catalog::built_in().find("nova-lite"), 100);
        assert!(
            body.tool_config
                .unwrap()
                .get()
                .contains(r#""name":"clock""#)
        );
        assert_eq!(
            changes,
            ["toolConfig supplied for the tools of the conversation: clock"]
        );
        let tools = to_raw_value(&json!({ "tools": [] })).ok();
        let offered = Conversation {
            tool_config: tools,
            ..conversation.clone()
        };
        assert!(fit(&offered, None, 100).1.is_empty());
    }

    #[test]
    fn cache_points_are_dropped_where_nothing_is_cached() {
        let json = r#"[{"role": "user", "content": [{"text": "hi"}, {"cachePoint": {"type": "default"}}]}]"#;
        let conversation = Conversation {
            messages: serde_json::from_str(json).unwrap(),
            ..Conversation::default()
        };
        let fitted = |name| {
            let (body, changes) = fit(&conversation, Catalog::built_in().find(name), 100);
            (
                serde_json::to_string(&body).unwrap().contains("cachePoint"),
                changes.len(),
            )
        };
        assert_eq!(fitted("claude-opus-5-5"), (true, 0));
        assert_eq!(fitted("mistral-7b"), (false, 1));
    }

    #[test]
    fn a_system_prompt_is_folded_where_there_is_none() {
        let (body, changes) = fitted("mistral-7b");
        assert!(
            body.contains(r#""content":[{"text":"be brief"},{"text":"hi"}]"#)
                && !body.contains("system"),
            "{body}"
        );
        assert_eq!(
            changes,
            [
                "system moved into the first user message: mistral-7b-instruct takes no system prompt"
            ]
        );
    }
}
