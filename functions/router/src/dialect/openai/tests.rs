use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::error::Error;
use shared::http::parse;

use super::request::ChatRequest;
use crate::request::Request;

/// A PNG of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

fn translate(body: &Value) -> Result<(Request, Vec<String>), Error> {
    parse::<ChatRequest>(body.to_string().as_bytes())?.translate()
}

/// The body as it would go to Bedrock, and what was left aside.
fn sent(body: &Value) -> (Value, Vec<String>) {
    let (request, notes) = translate(body).unwrap();
    let conversation = request.conversation;
    let mut sent = serde_json::to_value(&conversation.options).unwrap();
    sent["messages"] = serde_json::to_value(&conversation.messages).unwrap();
    sent["system"] = serde_json::to_value(&conversation.system).unwrap();
    if let Some(tools) = &conversation.tool_config {
        sent["toolConfig"] = serde_json::to_value(tools).unwrap();
    }
    (sent, notes)
}

/// Field and words of a refusal.
fn refused(body: &Value) -> (String, String) {
    match translate(body) {
        Err(Error::Invalid { field, detail }) => (field, detail),
        other => panic!("{body}: {other:?}"),
    }
}

fn user(content: impl Into<Value>) -> Value {
    json!({ "role": "user", "content": content.into() })
}

fn call(id: &str, arguments: &str) -> Value {
    json!({ "id": id, "type": "function", "function": { "name": "weather", "arguments": arguments } })
}

#[test]
fn a_tool_loop_with_parallel_calls_becomes_turns_that_alternate() {
    let foreign =
        "call with spaces, and far longer than the sixty-four characters that Bedrock takes";
    let (sent, notes) = sent(&json!({
        "messages": [
            { "role": "developer", "content": "Be brief." },
            user(json!([{ "type": "text", "text": "Here?" }, { "type": "image_url", "image_url": { "url": format!("data:image/jpeg;base64,{PIXEL}") } }])),
            { "role": "assistant", "content": "Let me see.", "tool_calls": [call("a", "{\"city\":\"Oslo\"}"), call(foreign, "")],
              "reasoning_details": [{ "type": "reasoning.text", "text": "hm", "signature": "s" }, { "type": "reasoning.encrypted", "data": "eA==" }] },
            { "role": "tool", "tool_call_id": foreign, "content": "" },
            { "role": "tool", "tool_call_id": "a", "content": [{ "type": "text", "text": "clear" }] },
            user("And tomorrow?"),
        ],
        "tools": [{ "type": "function", "function": { "name": "weather", "description": " ", "strict": true,
            "parameters": { "type": "object", "properties": { "city": { "type": "string" } } } } }],
    }));
    assert_eq!(
        sent,
        json!({
            "system": [{ "text": "Be brief." }],
            "messages": [
                { "role": "user", "content": [{ "text": "Here?" }, { "image": { "format": "png", "source": { "bytes": PIXEL } } }] },
                { "role": "assistant", "content": [
                    { "reasoningContent": { "reasoningText": { "text": "hm", "signature": "s" } } },
                    { "reasoningContent": { "redactedContent": "eA==" } },
                    { "text": "Let me see." },
                    { "toolUse": { "toolUseId": "a", "name": "weather", "input": { "city": "Oslo" } } },
                    { "toolUse": { "toolUseId": "call_2", "name": "weather", "input": {} } } ] },
                { "role": "user", "content": [
                    { "toolResult": { "toolUseId": "call_2", "content": [{ "text": "(no output)" }] } },
                    { "toolResult": { "toolUseId": "a", "content": [{ "text": "clear" }] } },
                    { "text": "And tomorrow?" } ] },
            ],
            "toolConfig": { "tools": [{ "toolSpec": { "name": "weather", "strict": true,
                "inputSchema": { "json": { "type": "object", "properties": { "city": { "type": "string" } } } } } }] },
        })
    );
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn settings_have_their_places() {
    let (sent, notes) = sent(&json!({
        "model": "auto:best-quality", "messages": [user("x")], "max_tokens": 5, "max_completion_tokens": 7, "temperature": 1.5, "top_p": 0.5,
        "stop": "END", "n": 1, "reasoning_effort": "minimal", "service_tier": "flex", "user": "u-1", "seed": 3, "logit_bias": { "1": 2 },
        "parallel_tool_calls": false, "store": null, "metadata": { "team": "a", "bad": "ü" }, "modalities": ["text"],
        "response_format": { "type": "json_schema", "json_schema": { "name": "a b", "schema": { "type": "object" }, "strict": true } },
    }));
    assert_eq!(
        sent,
        json!({
            "messages": [{ "role": "user", "content": [{ "text": "x" }] }], "system": [],
            "inferenceConfig": { "maxTokens": 7, "temperature": 1.0, "topP": 0.5, "stopSequences": ["END"] },
            "outputConfig": { "effort": "low", "textFormat": { "type": "json_schema", "structure": { "jsonSchema": { "schema": "{\"type\":\"object\"}" } } } },
            "additionalModelRequestFields": { "thinking": { "type": "adaptive" } },
            "serviceTier": { "type": "flex" }, "requestMetadata": { "team": "a", "user": "u-1" },
        })
    );
    assert_eq!(
        notes,
        [
            "temperature was lowered to 1, the most that models here take",
            "response_format.json_schema.name was left out: letters, digits, _ and - only",
            "metadata.bad does not fit into Bedrock's log and was left out",
            "not used here and left out: logit_bias, parallel_tool_calls, seed",
        ]
    );
}

#[test]
fn tools_are_chosen_as_openai_has_it() {
    let tool = |name: &str| json!({ "type": "function", "function": { "name": name } });
    let asked = |choice: Value| json!({ "messages": [user("x")], "tools": [tool("a"), tool("b")], "tool_choice": choice });
    let chosen = |choice: Value| {
        let config = sent(&asked(choice)).0["toolConfig"].clone();
        let names = config["tools"].as_array().map_or(0, Vec::len);
        (names, config["toolChoice"].clone())
    };
    assert_eq!(chosen(json!("auto")), (2, Value::Null));
    assert_eq!(chosen(json!("none")), (0, Value::Null));
    assert_eq!(chosen(json!("required")), (2, json!({ "any": {} })));
    assert_eq!(chosen(tool("b")), (2, json!({ "tool": { "name": "b" } })));
    let allowed = json!({ "type": "allowed_tools", "allowed_tools": { "mode": "required", "tools": [tool("a")] } });
    assert_eq!(chosen(allowed), (1, json!({ "any": {} })));
    for choice in [
        json!("maybe"),
        tool("c"),
        json!({ "type": "custom" }),
        json!(3),
    ] {
        assert_eq!(refused(&asked(choice)).0, "tool_choice");
    }
}

#[test]
fn what_cannot_be_said_in_converse_is_refused_with_the_callers_own_index() {
    let image = |url: &str| json!([{ "type": "image_url", "image_url": { "url": url } }]);
    let file = |file: Value| json!([{ "type": "text", "text": "Sum up." }, { "type": "file", "file": file }]);
    let calls = json!({ "role": "assistant", "content": null, "tool_calls": [call("a", "{}"), call("b", "{}")] });
    let result = json!({ "role": "tool", "tool_call_id": "a", "content": "x" });
    for (messages, field, words) in [
        (json!([]), "messages", "at least one"),
        (json!([user(" ")]), "messages", "nothing to answer"),
        (
            json!([user(image("https://example.com/a.png"))]),
            "messages[0].content[0].image_url.url",
            "nothing is fetched",
        ),
        (
            json!([user(image("data:image/tiff;base64,AAAA"))]),
            "messages[0].content[0].image_url.url",
            "not \"image/tiff\"",
        ),
        (
            json!([user("x"), user(image("data:image/png;base64,AAAA"))]),
            "messages[1]",
            "no image",
        ),
        (
            json!([user(file(json!({ "file_id": "f" })))]),
            "messages[0].content[1].file.file_id",
            "no files are kept",
        ),
        (
            json!([user(file(
                json!({ "file_data": "AAAA", "filename": "a.exe" })
            ))]),
            "messages[0].content[1].file.file_data",
            "pdf",
        ),
        (
            json!([user("x"), calls, result, user("y")]),
            "messages[1].tool_calls",
            "\"b\"",
        ),
        (
            json!([user("x"), result]),
            "messages[1].tool_call_id",
            "\"a\"",
        ),
        (
            json!([user("x"), { "role": "assistant", "tool_calls": [call("a", "{}"), call("a", "{}")] }]),
            "messages[1].tool_calls[1].id",
            "two calls",
        ),
        (
            json!([user("x"), { "role": "assistant", "function_call": { "name": "a", "arguments": "{}" } }]),
            "messages[1].function_call",
            "tool_calls",
        ),
        (
            json!([user("x"), { "role": "robot", "content": "y" }]),
            "messages[1].role",
            "unknown variant",
        ),
        (
            json!([user("x"), user(3)]),
            "messages[1].content",
            "a text or a list of parts",
        ),
        (
            json!([user("x"), user(json!([{ "type": "hologram" }]))]),
            "messages[1].content[0]",
            "unknown variant",
        ),
    ] {
        let (at, detail) = refused(&json!({ "messages": messages }));
        assert!(
            at.starts_with(field) && detail.contains(words),
            "{messages}: {at}: {detail}"
        );
    }
    for (field, value) in [
        ("n", json!(2)),
        ("modalities", json!(["text", "audio"])),
        ("temperature", json!(2.5)),
        ("max_tokens", json!(0)),
        ("stop", json!([""])),
        ("stop", json!(1)),
        ("reasoning_effort", json!("huge")),
        ("model", json!("auto:dear")),
        ("functions", json!([{ "name": "a" }])),
    ] {
        let (at, _) = refused(&json!({ "messages": [user("x")], field: value }));
        assert_eq!(at, field);
    }
}

#[test]
fn what_other_systems_allow_is_mended_and_told() {
    let (greeted, notes) = sent(
        &json!({ "messages": [{ "role": "assistant", "content": "Hello!" }, user("Hi"), { "role": "assistant", "content": "" }, user("x")] }),
    );
    assert_eq!(
        greeted["messages"],
        json!([
            { "role": "user", "content": [{ "text": "." }] },
            { "role": "assistant", "content": [{ "text": "Hello!" }] },
            { "role": "user", "content": [{ "text": "Hi" }, { "text": "x" }] },
        ])
    );
    assert_eq!(
        notes,
        [
            "blank messages were left out: 1",
            "a user turn was put in front: Bedrock wants the user to begin"
        ]
    );
    let (alone, _) = sent(&json!({ "messages": [{ "role": "system", "content": "Say yes." }] }));
    assert_eq!(
        alone["messages"],
        json!([{ "role": "user", "content": [{ "text": "Say yes." }] }])
    );
    let data = "data:text/plain;base64,aGVsbG8=";
    let file = json!({ "type": "file", "file": { "file_data": data, "filename": "a_b.txt" } });
    let (files, _) = sent(
        &json!({ "messages": [user(json!([{ "type": "text", "text": "Sum up." }, file, file]))] }),
    );
    let names = [1, 2].map(|at| files["messages"][0]["content"][at]["document"]["name"].clone());
    assert_eq!(names, [json!("a b"), json!("a b (2)")]);
}

#[test]
fn what_real_clients_send_is_taken() {
    let wrong = "{\"city\": \"Os";
    let (sent, notes) = sent(&json!({
        "n": 1.0, "max_tokens": 100.0, "functions": [], "function_call": "none", "stream_options": null, "metadata": { "run": 7 }, "tools": [
            { "type": "function", "function": { "name": "weather", "parameters": {} } },
            { "type": "function", "function": { "name": "other", "parameters": { "oneOf": [] } } } ],
        "messages": [
            user(json!([{ "type": "file", "file": { "file_data": "data:text/plain;base64,aGVs\nbG8=", "filename": "a(b).txt" } }])),
            { "role": "assistant", "content": null, "tool_calls": [call("a", wrong)] },
            { "role": "tool", "tool_call_id": "a", "content": "no" },
            { "role": "assistant", "content": "done" },
            { "role": "system", "content": "Say more." },
        ],
    }));
    let turns = sent["messages"].as_array().unwrap();
    assert_eq!(
        turns[0]["content"],
        json!([
            { "document": { "format": "txt", "name": "a b", "source": { "bytes": "aGVsbG8=" } } }, { "text": "See the document." } ])
    );
    assert_eq!(
        turns[1]["content"][0]["toolUse"]["input"],
        json!({ "_raw": wrong })
    );
    assert_eq!(
        turns.last().unwrap(),
        &json!({ "role": "user", "content": [{ "text": "Say more." }] })
    );
    let schema = |at: usize| &sent["toolConfig"]["tools"][at]["toolSpec"]["inputSchema"]["json"];
    assert_eq!(
        (schema(0), schema(1)),
        (
            &json!({ "type": "object" }),
            &json!({ "oneOf": [], "type": "object" })
        )
    );
    assert!(
        notes.contains(&"the last system message was sent as the user's".into()),
        "{notes:?}"
    );
    let named = json!({ "messages": [user("x")], "tools": [{ "type": "function", "function": { "name": "a b" } }] });
    assert_eq!(refused(&named).0, "tools[0].function.name");
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just(" \n".to_owned()), "\\PC{0,12}"]
}

fn any_content() -> impl Strategy<Value = Value> {
    let part = prop_oneof![
        any_text().prop_map(|text| json!({ "type": "text", "text": text })),
        Just(
            json!({ "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{PIXEL}") } })
        ),
        Just(json!({ "type": "image_url", "image_url": { "url": "https://example.com" } })),
        Just(json!({ "type": "refusal", "refusal": "no" })),
        Just(
            json!({ "type": "file", "file": { "file_data": "data:text/plain;base64,aGVsbG8=", "filename": "a.txt" } })
        ),
    ];
    prop_oneof![
        4 => any_text().prop_map(Value::from),
        1 => Just(Value::Null),
        2 => vec(part, 0..4).prop_map(Value::from),
    ]
}

fn any_message() -> impl Strategy<Value = Value> {
    let role = prop_oneof![
        4 => Just("user"), 4 => Just("assistant"), 4 => Just("tool"), 1 => Just("system"), 1 => Just("developer")
    ];
    let id = || prop_oneof![Just("a"), Just("b"), Just("c d")];
    let calls = vec(
        (
            id(),
            prop_oneof![4 => Just("{}"), 1 => Just(""), 1 => Just("[")],
        )
            .prop_map(|(id, arguments)| call(id, arguments)),
        0..3,
    );
    let details = vec(
        Just(json!({ "type": "reasoning.text", "text": "hm", "signature": "s" })),
        1..2,
    );
    (role, any_content(), option::of(calls), option::weighted(0.9, id()), option::weighted(0.1, details)).prop_map(
        |(role, content, calls, id, details)| {
            json!({ "role": role, "content": content, "tool_calls": calls, "tool_call_id": id, "reasoning_details": details })
        },
    )
}

/// Messages of any kind; after most calls come their results, in the other order.
fn any_conversation() -> impl Strategy<Value = Vec<Value>> {
    let answered = prop::bool::weighted(0.8);
    vec((any_message(), answered), 0..7).prop_map(|messages| {
        let mut all = Vec::new();
        for (message, answered) in messages {
            let calls = message["tool_calls"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let is_assistant = message["role"] == "assistant";
            all.push(message);
            if answered && is_assistant {
                let results = calls.iter().rev();
                all.extend(results.map(
                    |call| json!({ "role": "tool", "tool_call_id": call["id"], "content": "x" }),
                ));
            }
        }
        all
    })
}

/// What Converse demands, written down once more.
fn breaks_a_rule(messages: &[Value]) -> Option<String> {
    let ids = |message: &Value, kind: &str| -> Vec<String> {
        let blocks = message["content"].as_array().unwrap().iter();
        let mut ids: Vec<_> = blocks
            .filter_map(|block| Some(block[kind]["toolUseId"].as_str()?.to_owned()))
            .collect();
        ids.sort();
        ids
    };
    let mut open = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = if at % 2 == 0 { "user" } else { "assistant" };
        if message["role"] != role {
            return Some(format!("turn {at} is not the {role}'s"));
        }
        if ids(message, "toolResult") != open {
            return Some(format!("turn {at} does not answer {open:?}"));
        }
        open = ids(message, "toolUse");
        if open.windows(2).any(|pair| pair[0] == pair[1]) {
            return Some("an id twice".into());
        }
        let blocks = message["content"].as_array().unwrap();
        let blank = |block: &Value| {
            block["text"]
                .as_str()
                .is_some_and(|text| text.trim().is_empty())
        };
        if blocks.is_empty() || blocks.iter().any(blank) {
            return Some(format!("turn {at} is blank"));
        }
    }
    (!open.is_empty()).then(|| "calls stay open".to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_conversation_fits_converse_or_is_refused_with_an_index(messages in any_conversation()) {
        let body = json!({ "messages": messages });
        match translate(&body) {
            Ok((request, _)) => {
                let turns = serde_json::to_value(&request.conversation.messages).unwrap();
                prop_assert_eq!(breaks_a_rule(turns.as_array().unwrap()), None, "{} became {}", body, turns);
            }
            Err(Error::Invalid { field, detail }) => {
                let index = field.strip_prefix("messages[").and_then(|rest| rest.split(']').next()?.parse::<usize>().ok());
                let whole = field == "messages" && ["at least one", "nothing to answer"].iter().any(|words| detail.contains(words));
                prop_assert!(whole || index.is_some_and(|index| index < messages.len()), "{}: {}: {}", body, field, detail);
            }
            Err(other) => prop_assert!(false, "{}: {:?}", body, other),
        }
    }
}
