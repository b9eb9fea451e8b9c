//! What a request looks like after it was made to fit, model by model.

use jiff::civil::date;
use serde_json::{Value, json};

use super::*;
use crate::catalog::{Catalog, Residency};
use crate::routing::{Facts, Policy, Wanted, decide};

/// A candidate as the decision makes it when a caller names it, with so many tokens.
fn candidate(name: &str, max_tokens: u32) -> Candidate<'static> {
    let facts = Facts {
        prompt: "hi",
        max_tokens: Some(max_tokens),
        ..Facts::default()
    };
    let of = |region: &str| {
        let policy = Policy {
            region: region.into(),
            residency: Residency::Global,
            ..Policy::default()
        };
        decide(
            Catalog::built_in(),
            &policy,
            &facts,
            Wanted::Named {
                name,
                strict: false,
            },
            date(2026, 11, 24),
        )
    };
    of("us-east-1").or_else(|_| of("us-west-2")).unwrap().first
}

/// A conversation from parts of a Converse body.
fn conversation(mut parts: Value) -> Conversation {
    let mut part = |name: &str| parts.as_object_mut().unwrap().remove(name);
    let messages = part("messages")
        .unwrap_or_else(|| json!([{ "role": "user", "content": [{ "text": "hi" }] }]));
    let system = part("system").unwrap_or_else(|| json!([]));
    let conversation = Conversation {
        messages: serde_json::from_str(&messages.to_string()).unwrap(),
        system: serde_json::from_str(&system.to_string()).unwrap(),
        tool_config: part("toolConfig")
            .map(|config| serde_json::from_str(&config.to_string()).unwrap()),
        options: crate::wire::Options {
            inference_config: part("inferenceConfig")
                .map(|config| serde_json::from_value(config).unwrap())
                .unwrap_or_default(),
            output_config: part("outputConfig")
                .map(|config| serde_json::from_value(config).unwrap()),
            service_tier: part("serviceTier").map(|config| serde_json::from_value(config).unwrap()),
            performance_config: part("performanceConfig")
                .map(|config| serde_json::from_value(config).unwrap()),
            additional_model_request_fields: part("additionalModelRequestFields")
                .map(|fields| serde_json::from_value(fields).unwrap())
                .unwrap_or_default(),
            ..crate::wire::Options::default()
        },
    };
    conversation.check().unwrap();
    conversation
}

/// The body's JSON and what was changed.
fn fitted(name: &str, parts: Value) -> (Value, Vec<String>) {
    let conversation = conversation(parts);
    let fitted = fit(&conversation, &candidate(name, 4096), None, &[]);
    (serde_json::to_value(&fitted.body).unwrap(), fitted.changes)
}

fn everything() -> Value {
    json!({ "system": [{ "text": "be brief" }], "inferenceConfig": { "temperature": 0.5, "topP": 0.5 } })
}

#[test]
fn a_model_that_takes_all_gets_all() {
    let (body, changes) = fitted("nova-lite", everything());
    let mut expected = everything();
    expected["messages"] = json!([{ "role": "user", "content": [{ "text": "hi" }] }]);
    expected["inferenceConfig"]["maxTokens"] = 4096.into();
    assert_eq!(body, expected);
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn a_lowered_ceiling_is_said() {
    let (body, changes) = fitted(
        "nova-lite",
        json!({ "inferenceConfig": { "maxTokens": 5000 } }),
    );
    assert_eq!(body["inferenceConfig"]["maxTokens"], 4096);
    assert_eq!(
        changes,
        ["maxTokens 5000 lowered to 4096, the most that fits"]
    );
}

#[test]
fn sampling_parameters_are_dropped_where_they_are_rejected() {
    let (body, changes) = fitted("claude-opus-5-5", everything());
    assert_eq!(body["inferenceConfig"], json!({ "maxTokens": 4096 }));
    assert_eq!(
        changes,
        [
            "temperature dropped: claude-opus-5-5 takes none",
            "topP dropped: claude-opus-5-5 takes none"
        ]
    );
    let (body, changes) = fitted("claude-haiku-4-5", everything());
    assert_eq!(
        body["inferenceConfig"],
        json!({ "maxTokens": 4096, "temperature": 0.5 })
    );
    assert_eq!(
        changes,
        ["topP dropped: claude-haiku-4-5 takes it or temperature, not both"]
    );
}

fn tool_loop(status: &str) -> Value {
    json!([
        { "role": "user", "content": [{ "text": "time?" }] },
        { "role": "assistant", "content": [{ "toolUse": { "toolUseId": "1", "name": "clock", "input": {} } }] },
        { "role": "user", "content": [{ "toolResult": { "toolUseId": "1", "content": [{ "text": "noon" }], "status": status } }] },
    ])
}

#[test]
fn tools_of_the_conversation_are_supplied() {
    let (body, changes) = fitted("nova-lite", json!({ "messages": tool_loop("success") }));
    assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["name"], "clock");
    assert_eq!(
        changes,
        ["toolConfig supplied for the tools of the conversation: clock"]
    );
}

#[test]
fn the_status_of_a_call_goes_where_it_is_not_taken() {
    let tools =
        json!({ "tools": [{ "toolSpec": { "name": "clock", "inputSchema": { "json": {} } } }] });
    for (name, status, kept, said) in [
        ("nova-lite", "error", true, 0),
        ("gpt-oss-120b", "error", false, 1),
        ("gpt-oss-120b", "success", false, 0),
    ] {
        let (body, changes) = fitted(
            name,
            json!({ "messages": tool_loop(status), "toolConfig": tools }),
        );
        assert_eq!(
            body["messages"][2]["content"][0]["toolResult"]
                .get("status")
                .is_some(),
            kept,
            "{name}"
        );
        assert_eq!(changes.len(), said, "{name}: {changes:?}");
    }
}

#[test]
fn a_system_prompt_is_folded_where_there_is_none() {
    let (body, changes) = fitted("mistral-7b", everything());
    assert_eq!(
        body["messages"][0]["content"],
        json!([{ "text": "be brief" }, { "text": "hi" }])
    );
    assert!(body.get("system").is_none());
    assert_eq!(
        changes,
        ["system moved into the first user message: mistral-7b-instruct takes no system prompt"]
    );
}

#[test]
fn reasoning_goes_only_to_a_model_that_takes_it() {
    let with = |reasoning: Value| {
        json!({ "messages": [
            { "role": "user", "content": [{ "text": "hi" }] },
            { "role": "assistant", "content": [{ "reasoningContent": reasoning }, { "text": "ho" }] },
            { "role": "user", "content": [{ "text": "and?" }] },
        ] })
    };
    let sealed = json!({ "reasoningText": { "text": "hm", "signature": "s" } });
    let open = json!({ "reasoningText": { "text": "hm" } });
    for (name, reasoning, kept) in [
        ("claude-sonnet-5-5", &sealed, true),
        ("claude-sonnet-5-5", &open, false),
        ("gpt-oss-120b", &sealed, false),
        ("gpt-oss-120b", &open, true),
        ("nova-lite", &open, false),
    ] {
        let (body, changes) = fitted(name, with(reasoning.clone()));
        assert_eq!(
            body["messages"][1]["content"].as_array().unwrap().len(),
            1 + usize::from(kept),
            "{name}"
        );
        assert_eq!(changes.is_empty(), kept, "{name}: {changes:?}");
    }
}

#[test]
fn options_without_a_price_or_a_name_go() {
    let asked = json!({ "serviceTier": { "type": "flex" }, "performanceConfig": { "latency": "optimized" } });
    let (body, changes) = fitted("claude-opus-5-5", asked.clone());
    assert!(body.get("serviceTier").is_none() && body.get("performanceConfig").is_none());
    assert_eq!(changes.len(), 2);
    let flex = Candidate {
        tier: ServiceTier::Flex,
        ..candidate("nova-pro", 100)
    };
    let conversation = conversation(asked);
    let fitted = fit(&conversation, &flex, None, &[]);
    assert!(
        fitted
            .changes
            .iter()
            .all(|change| change.starts_with("maxTokens")),
        "{:?}",
        fitted.changes
    );
}

#[test]
fn thinking_is_asked_for_in_the_models_own_words() {
    let thinking = |name: &str, thinking: Value| {
        let (body, changes) = fitted(
            name,
            json!({ "additionalModelRequestFields": { "thinking": thinking }, "inferenceConfig": { "temperature": 0.5 } }),
        );
        let said = changes
            .iter()
            .find(|change| change.contains("think"))
            .cloned()
            .unwrap_or_default();
        (
            body["additionalModelRequestFields"]["thinking"].clone(),
            said,
        )
    };
    let (enabled, adaptive, disabled) = (
        json!({ "type": "enabled", "budget_tokens": 9000 }),
        json!({ "type": "adaptive" }),
        json!({ "type": "disabled" }),
    );
    for (name, asked, sent, words) in [
        (
            "claude-opus-5-5",
            &enabled,
            adaptive.clone(),
            "thinking made adaptive: claude-opus-5-5 chooses its own budget",
        ),
        ("claude-opus-5-5", &adaptive, adaptive.clone(), ""),
        (
            "claude-opus-5-5",
            &disabled,
            Value::Null,
            "thinking dropped: claude-opus-5-5 cannot be kept from it",
        ),
        ("claude-sonnet-5", &disabled, disabled.clone(), ""),
        (
            "nova-lite",
            &enabled,
            Value::Null,
            "thinking dropped: nova-lite takes no such field",
        ),
        (
            "claude-haiku-4-5",
            &enabled,
            json!({ "type": "enabled", "budget_tokens": 2048 }),
            "thinking set to a budget of 2048 tokens: claude-haiku-4-5 wants one between 1024 and maxTokens 4096",
        ),
    ] {
        assert_eq!(
            thinking(name, asked.clone()),
            (sent, words.to_owned()),
            "{name}"
        );
    }
    assert_eq!(thinking("claude-haiku-4-5", adaptive).0["type"], "enabled");
}

#[test]
fn effort_is_no_more_than_the_model_takes() {
    let effort = |name: &str, extra: Value| {
        let (body, changes) = fitted(
            name,
            json!({ "outputConfig": { "effort": "max" }, "additionalModelRequestFields": extra }),
        );
        (
            body["outputConfig"]["effort"].as_str().map(str::to_owned),
            changes.len(),
        )
    };
    assert_eq!(
        effort("claude-sonnet-5-5", json!({})),
        (Some("xhigh".into()), 1)
    );
    assert_eq!(
        effort(
            "claude-sonnet-5",
            json!({ "thinking": { "type": "disabled" } })
        ),
        (Some("high".into()), 1)
    );
    assert_eq!(
        effort("claude-opus-4-6", json!({})),
        (Some("max".into()), 0)
    );
    assert_eq!(effort("nova-lite", json!({})), (None, 1));
}

fn schema(extra: &str) -> Value {
    let schema = format!(
        r#"{{"type": "object", "properties": {{"a": {{"type": "string"{extra}}}}}, "additionalProperties": false}}"#
    );
    json!({ "outputConfig": { "textFormat": { "type": "json_schema", "structure": { "jsonSchema": { "schema": schema, "name": "a" } } } } })
}

#[test]
fn json_comes_by_output_config_else_by_a_tool_else_by_words() {
    let formed = |name: &str, parts: Value, learned: &[Repair]| {
        let conversation = conversation(parts);
        let fitted = fit(&conversation, &candidate(name, 4096), None, learned);
        let body = serde_json::to_value(&fitted.body).unwrap();
        let last = body["messages"][0]["content"].as_array().unwrap().len() == 2;
        (
            fitted.form.unwrap(),
            body.get("outputConfig").is_some(),
            body["toolConfig"]["toolChoice"].get("any").is_some(),
            last,
        )
    };
    assert_eq!(
        formed("claude-haiku-5-5", schema(""), &[]),
        (Form::OutputConfig, true, false, false)
    );
    // What Bedrock's structured output does not take is left to a tool.
    assert_eq!(
        formed("claude-haiku-5-5", schema(r#", "minLength": 1"#), &[]),
        (Form::ForcedTool, false, true, false)
    );
    assert_eq!(
        formed("claude-haiku-5-5", schema(""), &[Repair::TextFormat]),
        (Form::ForcedTool, false, true, false)
    );
    assert_eq!(
        formed("nova-lite", schema(""), &[]),
        (Form::ForcedTool, false, true, false)
    );
    // It thinks, and does not let itself be forced.
    assert_eq!(
        formed("claude-opus-5-5", schema(""), &[]),
        (Form::Instruction, false, false, true)
    );
    let (body, _) = fitted("gpt-6-sol", schema(""));
    assert!(
        body.get("outputConfig").is_none()
            || body["additionalModelRequestFields"]["text"]["format"]["strict"] == true
    );
}

fn long(tokens: usize) -> String {
    "word ".repeat(tokens * 4 / 5)
}

fn points(body: &Value) -> Vec<&'static str> {
    let has = |list: &Value| {
        list.as_array()
            .is_some_and(|list| list.iter().any(|item| item.get("cachePoint").is_some()))
    };
    let mut found = Vec::new();
    found.extend(has(&body["toolConfig"]["tools"]).then_some("tools"));
    found.extend(has(&body["system"]).then_some("system"));
    found.extend(
        body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .any(|message| has(&message["content"]))
            .then_some("messages"),
    );
    found
}

#[test]
fn cache_points_are_placed_where_they_pay() {
    let tools = |tokens| json!({ "tools": [{ "toolSpec": { "name": "a", "description": long(tokens), "inputSchema": { "json": {} } } }] });
    let turns = |tokens| {
        json!([
            { "role": "user", "content": [{ "text": long(tokens) }] },
            { "role": "assistant", "content": [{ "text": "ok" }] },
            { "role": "user", "content": [{ "text": "and?" }] },
        ])
    };
    let placed = |name: &str, tools_tokens, system, turn| {
        let conversation = conversation(
            json!({ "toolConfig": tools(tools_tokens), "system": [{ "text": long(system) }], "messages": turns(turn) }),
        );
        let fitted = fit(
            &conversation,
            &candidate(name, 4096),
            Some(CacheTtl::OneHour),
            &[],
        );
        (
            points(&serde_json::to_value(&fitted.body).unwrap()),
            fitted.changes,
        )
    };
    assert_eq!(
        placed("claude-opus-5-5", 600, 10, 10),
        (vec!["tools", "system", "messages"], vec![])
    );
    assert_eq!(
        placed("claude-opus-5-5", 300, 300, 10),
        (vec!["system", "messages"], vec![])
    );
    assert_eq!(
        placed("claude-opus-5-5", 100, 100, 400),
        (vec!["messages"], vec![])
    );
    let (none, said) = placed("claude-opus-5-5", 10, 10, 10);
    assert!(
        none.is_empty()
            && said
                == [
                    "nothing is cached: no part that repeats has the 512 tokens that claude-opus-5-5 demands"
                ],
        "{said:?}"
    );
    let (none, said) = placed("gpt-oss-120b", 5000, 10, 10);
    assert!(none.is_empty() && said.len() == 1, "{said:?}");
}

#[test]
fn cache_points_are_dropped_where_they_are_refused() {
    let point = json!({ "cachePoint": { "type": "default", "ttl": "1h" } });
    let parts = json!({
        "messages": [{ "role": "user", "content": [{ "text": "hi" }, point] }],
        "system": [{ "text": "be brief" }, point],
        "toolConfig": { "tools": [{ "toolSpec": { "name": "a", "inputSchema": { "json": {} } } }, point] },
    });
    let kept = |name: &str| {
        let (body, changes) = fitted(name, parts.clone());
        (
            points(&body),
            body.to_string().contains("1h"),
            changes.len(),
        )
    };
    assert_eq!(
        kept("claude-opus-5-5"),
        (vec!["tools", "system", "messages"], true, 0)
    );
    // Nova takes none among the tools, and none for an hour.
    assert_eq!(kept("nova-lite"), (vec!["system", "messages"], false, 2));
    assert_eq!(kept("gpt-oss-120b"), (vec![], false, 1));
}

#[test]
fn what_bedrock_taught_is_applied() {
    let conversation = conversation(json!({
        "system": [{ "text": "be brief" }],
        "inferenceConfig": { "temperature": 0.5, "maxTokens": 4096 },
        "additionalModelRequestFields": { "odd": 1, "even": 2 },
    }));
    let learned = [
        Repair::System,
        Repair::Sampling,
        Repair::MaxTokens(100),
        Repair::AdditionalField("odd".into()),
    ];
    let fitted = fit(&conversation, &candidate("nova-lite", 4096), None, &learned);
    let body = serde_json::to_value(&fitted.body).unwrap();
    assert_eq!(body["inferenceConfig"], json!({ "maxTokens": 100 }));
    assert_eq!(body["additionalModelRequestFields"], json!({ "even": 2 }));
    assert_eq!(body["messages"][0]["content"].as_array().unwrap().len(), 2);
    assert_eq!(fitted.changes.len(), 4, "{:?}", fitted.changes);
}
