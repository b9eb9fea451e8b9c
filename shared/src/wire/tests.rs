//! What Converse demands, limit by limit, and what it takes.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::Error;

fn read(messages: &Value) -> Result<Vec<Message>, String> {
    serde_json::from_str(&messages.to_string()).map_err(|error| error.to_string())
}

/// The path of the first wrong field of a conversation.
fn wrong(conversation: &Conversation) -> String {
    match conversation.check() {
        Err(Error::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

fn said(content: Value) -> Conversation {
    let messages = read(&json!([{ "role": "user", "content": content }])).unwrap();
    Conversation {
        messages,
        ..Conversation::default()
    }
}

/// The first bytes of a PNG of a size, in base64.
fn png(width: u32, height: u32) -> String {
    use base64::Engine;
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend([8, 6, 0, 0, 0]);
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn image(format: &str, bytes: &str) -> Value {
    json!({ "image": { "format": format, "source": { "bytes": bytes } } })
}

fn document(name: &str) -> Value {
    json!({ "document": { "format": "txt", "name": name, "source": { "bytes": "aGk=" } } })
}

fn call(id: &str, name: &str, input: Value) -> Value {
    json!({ "toolUse": { "toolUseId": id, "name": name, "input": input } })
}

fn result(id: &str) -> Value {
    json!({ "toolResult": { "toolUseId": id, "content": [{ "text": "x" }] } })
}

#[test]
fn every_limit_of_a_message_is_checked_with_its_path() {
    let big = "A".repeat(4 * (3_932_160 / 3 + 1));
    let bigger = "A".repeat(4 * (4_718_592 / 3 + 1));
    let ok = image("png", &png(10, 10));
    let content = "messages[0].content";
    for (blocks, path) in [
        (json!([]), content.to_owned()),
        (json!([{ "text": " \n" }]), format!("{content}[0].text")),
        (json!(vec![ok.clone(); 21]), content.into()),
        (
            json!([image("png", "!")]),
            format!("{content}[0].image.source.bytes"),
        ),
        (
            json!([image("png", "")]),
            format!("{content}[0].image.source.bytes"),
        ),
        (
            json!([image("png", "aGk=")]),
            format!("{content}[0].image.source.bytes"),
        ),
        (
            json!([image("png", &big)]),
            format!("{content}[0].image.source.bytes"),
        ),
        (
            json!([image("png", &png(8001, 10))]),
            format!("{content}[0].image.source.bytes"),
        ),
        (
            json!([image("jpeg", &png(10, 10))]),
            format!("{content}[0].image.format"),
        ),
        (
            json!([{ "image": { "format": "png", "source": { "s3Location": { "uri": "s3://b/k" } } } }]),
            format!("{content}[0].image.source"),
        ),
        (json!([document("a")]), content.into()),
        (
            json!([document("a"), document("b"), document("c"), document("d"), document("e"), document("f"), { "text": "x" }]),
            content.into(),
        ),
        (
            json!([document("a.pdf"), { "text": "x" }]),
            format!("{content}[0].document.name"),
        ),
        (
            json!([document("a  b"), { "text": "x" }]),
            format!("{content}[0].document.name"),
        ),
        (
            json!([document(&"a".repeat(201)), { "text": "x" }]),
            format!("{content}[0].document.name"),
        ),
        (
            json!([{ "document": { "format": "pdf", "name": "a", "source": { "bytes": bigger } } }, { "text": "x" }]),
            format!("{content}[0].document.source.bytes"),
        ),
        (
            json!([{ "document": { "name": "a", "source": { "text": "" } } }, { "text": "x" }]),
            format!("{content}[0].document.source.text"),
        ),
        (
            json!([{ "document": { "name": "a", "source": { "content": [] } } }, { "text": "x" }]),
            format!("{content}[0].document.source.content"),
        ),
        (
            json!([{ "video": { "format": "mp4", "source": { "bytes": "?" } } }]),
            format!("{content}[0].video.source.bytes"),
        ),
        (
            json!([call("1", "a", json!({}))]),
            format!("{content}[0].toolUse"),
        ),
        (
            json!([{ "reasoningContent": { "redactedContent": "aGk=" } }]),
            format!("{content}[0].reasoningContent"),
        ),
        (
            json!([{ "text": "x" }, { "cachePoint": { "type": "other" } }]),
            format!("{content}[1].cachePoint.type"),
        ),
        (
            json!([{ "guardContent": { "text": { "text": "" } } }]),
            format!("{content}[0].guardContent.text.text"),
        ),
        (
            json!([{ "toolAddition": { "tool": {} } }]),
            format!("{content}[0].toolAddition"),
        ),
        (
            json!([result("1")]),
            format!("{content}[0].toolResult.toolUseId"),
        ),
        (
            json!([{ "text": "x" }, { "toolResult": { "toolUseId": "a b", "content": [] } }]),
            format!("{content}[1].toolResult.toolUseId"),
        ),
    ] {
        let shown: String = blocks.to_string().chars().take(120).collect();
        assert_eq!(wrong(&said(blocks)), path, "{shown}");
    }
    assert!(said(json!(vec![ok; 20])).check().is_ok());
    assert!(
        said(json!([document("A report (1) [x]-2"), { "text": "x" }]))
            .check()
            .is_ok()
    );
}

#[test]
fn every_limit_of_tools_is_checked_with_its_path() {
    let tool = |name: &str| json!({ "toolSpec": { "name": name, "inputSchema": { "json": { "type": "object" } } } });
    let point = json!({ "cachePoint": { "type": "default" } });
    for (config, path) in [
        (json!({ "tools": [] }), "toolConfig.tools"),
        (json!({ "tools": [point] }), "toolConfig.tools"),
        (
            json!({ "tools": [tool(&"a".repeat(65))] }),
            "toolConfig.tools[0].toolSpec.name",
        ),
        (
            json!({ "tools": [tool("a.b")] }),
            "toolConfig.tools[0].toolSpec.name",
        ),
        (
            json!({ "tools": [tool("")] }),
            "toolConfig.tools[0].toolSpec.name",
        ),
        (
            json!({ "tools": [tool("a"), tool("a")] }),
            "toolConfig.tools[1]",
        ),
        (
            json!({ "tools": [tool("a")], "toolChoice": { "tool": { "name": "b" } } }),
            "toolConfig.toolChoice.tool.name",
        ),
        (
            json!({ "tools": [{ "toolSpec": { "name": "a", "inputSchema": { "json": [] } } }] }),
            "toolConfig.tools[0].toolSpec.inputSchema.json",
        ),
        (
            json!({ "tools": [{ "toolSpec": { "name": "a", "description": "", "inputSchema": { "json": {} } } }] }),
            "toolConfig.tools[0].toolSpec.description",
        ),
        (
            json!({ "tools": [tool("a"), point, point, point, point, point] }),
            "cachePoint",
        ),
    ] {
        let tool_config = serde_json::from_str(&config.to_string()).unwrap();
        let conversation = Conversation {
            tool_config: Some(tool_config),
            ..said(json!("hi"))
        };
        assert_eq!(wrong(&conversation), path, "{config}");
    }
}

#[test]
fn every_limit_of_options_is_checked_with_its_path() {
    let long = "a".repeat(257);
    let pairs: serde_json::Map<_, _> = (0..15).map(|n| (n.to_string(), json!("x"))).collect();
    let schema = |schema: &str, name: &str| json!({ "textFormat": { "type": "json_schema", "structure": { "jsonSchema": { "schema": schema, "name": name } } } });
    let definition = "outputConfig.textFormat.structure.jsonSchema";
    type Set = fn(&mut Options, Value);
    let inference: Set =
        |options, value| options.inference_config = serde_json::from_value(value).unwrap();
    let paths: Set = |options, value| {
        options.additional_model_response_field_paths = serde_json::from_value(value).unwrap()
    };
    let metadata: Set =
        |options, value| options.request_metadata = serde_json::from_value(value).unwrap();
    let guardrail: Set =
        |options, value| options.guardrail_config = serde_json::from_value(value).unwrap();
    let output: Set =
        |options, value| options.output_config = serde_json::from_value(value).unwrap();
    let tier: Set = |options, value| options.service_tier = serde_json::from_value(value).unwrap();
    for (set, value, path) in [
        (
            inference,
            json!({ "maxTokens": 0 }),
            "inferenceConfig.maxTokens",
        ),
        (
            inference,
            json!({ "temperature": 1.1 }),
            "inferenceConfig.temperature",
        ),
        (inference, json!({ "topP": -0.1 }), "inferenceConfig.topP"),
        (
            inference,
            json!({ "stopSequences": [""] }),
            "inferenceConfig.stopSequences",
        ),
        (
            inference,
            json!({ "stopSequences": vec!["a"; 2501] }),
            "inferenceConfig.stopSequences",
        ),
        (
            paths,
            json!(vec!["/a"; 11]),
            "additionalModelResponseFieldPaths",
        ),
        (
            paths,
            json!(["/a", "b"]),
            "additionalModelResponseFieldPaths[1]",
        ),
        (
            paths,
            json!([format!("/{long}")]),
            "additionalModelResponseFieldPaths[0]",
        ),
        (metadata, json!(pairs), "requestMetadata"),
        (
            metadata,
            json!({ "router:caller": "me" }),
            "requestMetadata.router:caller",
        ),
        (metadata, json!({ "a": long }), "requestMetadata.a"),
        (metadata, json!({ "a": "ä" }), "requestMetadata.a"),
        (metadata, json!({ "": "a" }), "requestMetadata."),
        (
            guardrail,
            json!({ "guardrailIdentifier": "A", "guardrailVersion": "1" }),
            "guardrailConfig.guardrailIdentifier",
        ),
        (
            guardrail,
            json!({ "guardrailIdentifier": "a", "guardrailVersion": "0" }),
            "guardrailConfig.guardrailVersion",
        ),
        (
            guardrail,
            json!({ "guardrailIdentifier": "a", "guardrailVersion": "" }),
            "guardrailConfig.guardrailVersion",
        ),
        (output, schema("{", "a"), &format!("{definition}.schema")),
        (output, schema("[]", "a"), &format!("{definition}.schema")),
        (output, schema("{}", "a b"), &format!("{definition}.name")),
        (tier, json!({ "type": "express" }), "serviceTier.type"),
    ] {
        let mut conversation = said(json!("hi"));
        set(&mut conversation.options, value.clone());
        assert_eq!(wrong(&conversation), path, "{value}");
    }
    let mut fine = said(json!("hi"));
    guardrail(
        &mut fine.options,
        json!({ "guardrailIdentifier": "arn:aws:bedrock:us-east-1:123456789012:guardrail/abc1", "guardrailVersion": "DRAFT" }),
    );
    metadata(&mut fine.options, json!({ "team a": "x:_@$#=/+,-." }));
    assert!(fine.check().is_ok());
}

#[test]
fn every_call_has_its_result_in_the_next_turn() {
    let user = |content: Value| json!({ "role": "user", "content": content });
    let model = |content: Value| json!({ "role": "assistant", "content": content });
    let two = model(json!([
        call("1", "a", json!({})),
        call("2", "b", json!({}))
    ]));
    let check = |turns: &[&Value]| {
        Conversation {
            messages: read(&json!(turns)).unwrap(),
            ..Conversation::default()
        }
        .check()
    };
    let (ask, both) = (user(json!("x")), user(json!([result("2"), result("1")])));
    assert!(check(&[&ask, &two, &both]).is_ok());
    for turns in [
        [&ask, &two, &user(json!([result("1")]))],
        [
            &ask,
            &two,
            &user(json!([result("1"), result("1"), result("2")])),
        ],
        [&ask, &two, &user(json!("never mind"))],
        [&ask, &model(json!("y")), &both],
        [
            &ask,
            &model(json!([
                call("1", "a", json!({})),
                call("1", "b", json!({}))
            ])),
            &user(json!([result("1")])),
        ],
        [
            &ask,
            &model(json!([call("1", "a", json!([]))])),
            &user(json!([result("1")])),
        ],
    ] {
        assert!(check(&turns).is_err(), "{turns:?}");
    }
    assert!(check(&[&ask, &two]).is_err());
}

#[test]
fn turns_of_one_role_are_joined_where_nothing_is_lost() {
    let alternate = |turns: Value| {
        let mut conversation = Conversation {
            messages: read(&turns).unwrap(),
            ..Conversation::default()
        };
        let said = conversation.alternate().map_err(|error| error.detail())?;
        Ok::<_, String>((conversation.messages.len(), said.is_some()))
    };
    let turn = |role: &str| json!({ "role": role, "content": "x" });
    let (user, model, system) = (turn("user"), turn("assistant"), turn("system"));
    assert_eq!(alternate(json!([user, model, user])), Ok((3, false)));
    assert_eq!(
        alternate(json!([user, user, model, model, user])),
        Ok((3, true))
    );
    assert_eq!(alternate(json!([user, system, model])), Ok((3, false)));
    assert!(
        alternate(json!([model, user]))
            .unwrap_err()
            .contains("begins with a user message")
    );
    let thought = json!({ "role": "assistant", "content": [{ "reasoningContent": { "redactedContent": "aGk=" } }, { "text": "x" }] });
    assert!(
        alternate(json!([user, thought, model]))
            .unwrap_err()
            .contains("cannot be joined")
    );
}

#[test]
fn a_wrong_block_is_explained() {
    for (block, words) in [
        (
            json!({}),
            "this is empty; a ContentBlock has exactly one of text, image, document",
        ),
        (
            json!({ "picture": {} }),
            "`picture` is not known; a ContentBlock has exactly one of text, image",
        ),
        (
            json!({ "text": "x", "toolUse": {} }),
            "this has both `text` and `toolUse`",
        ),
        (
            json!({ "image": { "format": "bmp", "source": { "bytes": "" } } }),
            "unknown variant `bmp`, expected one of `png`, `jpeg`, `gif`, `webp`",
        ),
        (
            json!({ "image": { "format": "png", "source": {} } }),
            "this is empty; a BytesSource has exactly one of bytes, s3Location",
        ),
        (
            json!({ "image": { "format": "png", "source": { "url": "http://x" } } }),
            "`url` is not known",
        ),
        (
            json!({ "toolUse": { "toolUseId": "1", "name": "a" } }),
            "missing field `input`",
        ),
        (
            json!({ "text": null }),
            "invalid type: null, expected a string",
        ),
    ] {
        let error = read(&json!([{ "role": "user", "content": [block] }])).unwrap_err();
        assert!(error.contains(words), "{block}: {error}");
    }
    assert!(
        read(&json!([{ "role": "user", "content": 1 }]))
            .unwrap_err()
            .contains("a string or a list of blocks")
    );
}

#[test]
fn the_facts_say_what_a_model_must_be_able_to_do() {
    let picture = image("png", &png(1, 1));
    let shown = json!({ "toolResult": { "toolUseId": "1", "content": [picture] } });
    let looped = Conversation {
        messages: read(&json!([
            { "role": "user", "content": "draw" },
            { "role": "assistant", "content": [call("1", "a", json!({}))] },
            { "role": "user", "content": [shown] },
        ]))
        .unwrap(),
        ..Conversation::default()
    };
    assert_eq!(looped.prompt(), "draw");
    let facts = looped.facts("");
    assert!(
        facts.images
            && facts.tool_images
            && facts.tools
            && !facts.prefill
            && !facts.documents
            && facts.input_tokens > 1600
    );
    let begun = Conversation {
        messages: read(
            &json!([{ "role": "user", "content": "x" }, { "role": "assistant", "content": "y" }]),
        )
        .unwrap(),
        ..Conversation::default()
    };
    assert!(begun.facts("").prefill);
    let cited = said(
        json!([{ "document": { "name": "a", "source": { "text": "x" }, "citations": { "enabled": true } } }, { "text": "x" }]),
    );
    assert!(
        cited.facts("").citations
            && cited.facts("").documents
            && !said(json!("x")).facts("").citations
    );
    for (choice, forced) in [("any", true), ("auto", false)] {
        let config = json!({ "tools": [{ "toolSpec": { "name": "a", "inputSchema": { "json": {} } } }], "toolChoice": { choice: {} } });
        let told = Conversation {
            tool_config: serde_json::from_str(&config.to_string()).ok(),
            ..said(json!("x"))
        };
        assert_eq!(
            (told.facts("").tools, told.facts("").forced_tool),
            (true, forced)
        );
    }
}

#[test]
fn who_asks_is_told_in_characters_that_bedrock_takes() {
    let mut options = Options {
        request_metadata: [("team".into(), "x".into())].into(),
        ..Options::default()
    };
    options.identify(Some("arn:aws:iam::123456789012:user/Jürgen"), "/invoke");
    let pairs: Vec<_> = options
        .request_metadata
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let caller = "arn:aws:iam::123456789012:user/J_rgen";
    assert_eq!(
        pairs,
        [
            ("router:caller", caller),
            ("router:route", "/invoke"),
            ("team", "x")
        ]
    );
}

/// Documents made so far, for names that differ.
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9äß☃ ]{0,12}[a-z]"
}

/// A user turn and a model's turn, with calls and their results, of any blocks that may stand there.
fn turns() -> impl Strategy<Value = Vec<Value>> {
    let words = || text().prop_map(|text| json!({ "text": text }));
    let user = prop_oneof![
        words(),
        Just(image("png", &png(3, 4))),
        text().prop_map(|text| json!({ "document": { "name": format!("d{}", COUNT.fetch_add(1, Ordering::Relaxed)), "format": "md", "source": { "text": text }, "citations": { "enabled": true } } })),
        Just(json!({ "video": { "format": "three_gp", "source": { "bytes": "aGk=" } } })),
        Just(json!({ "audio": { "format": "x-aac", "source": { "bytes": "aGk=" } } })),
        text().prop_map(|text| json!({ "guardContent": { "text": { "text": text, "qualifiers": ["query"] } } })),
        text().prop_map(|text| json!({ "searchResult": { "source": "s", "title": "t", "content": [{ "text": text }] } })),
    ];
    let model = prop_oneof![
        words(),
        text().prop_map(|text| json!({ "reasoningContent": { "reasoningText": { "text": text, "signature": "s" } } })),
        Just(json!({ "reasoningContent": { "redactedContent": "aGk=" } })),
        text().prop_map(|text| json!({ "citationsContent": { "content": [{ "text": text }], "citations": [] } })),
    ];
    let pair = (
        prop::collection::vec(user, 0..4),
        prop::collection::vec(model, 1..3),
        0usize..3,
        text(),
    );
    prop::collection::vec(pair, 1..4).prop_map(|pairs| {
        let mut turns = Vec::new();
        let mut open = Vec::new();
        for (mut asked, mut answered, calls, text) in pairs {
            asked.splice(0..0, open.drain(..).map(|id: String| result(&id)));
            asked.push(json!({ "text": text }));
            answered.extend((0..calls).map(|n| {
                call(
                    &format!("c{n}"),
                    "tool",
                    json!({ "b": text, "a": [1, 2.5] }),
                )
            }));
            open = (0..calls).map(|n| format!("c{n}")).collect();
            turns.push(json!({ "role": "user", "content": asked }));
            turns.push(json!({ "role": "assistant", "content": answered }));
        }
        let mut last: Vec<_> = open.iter().map(|id| result(id)).collect();
        last.push(json!({ "text": "and?" }));
        turns.push(json!({ "role": "user", "content": last }));
        turns
    })
}

proptest! {
    #[test]
    fn every_legal_conversation_passes_and_is_sent_as_it_came(turns in turns()) {
        let mut conversation = Conversation { messages: read(&json!(turns)).unwrap(), ..Conversation::default() };
        prop_assert!(conversation.alternate().unwrap().is_none());
        prop_assert!(conversation.check().is_ok(), "{:?}", conversation.check());
        prop_assert_eq!(serde_json::to_value(&conversation.messages).unwrap(), json!(turns));
        prop_assert!(conversation.facts(&conversation.prompt()).input_tokens > 0);
    }

    #[test]
    fn any_json_is_read_or_explained(text in r#"[\[\]{}":,a-z0-9]{0,40}"#) {
        let body = format!(r#"{{"role": "user", "content": [{text}]}}"#);
        if let Ok(message) = serde_json::from_str::<Message>(&body) {
            let _ = Conversation { messages: vec![message], ..Conversation::default() }.check();
        }
    }
}
