//! OpenAI's dialect through the real bootstrap: chat, chunks, tools, thoughts, JSON, errors, models.

use local::bedrock::faults::{Breaks, Fault};
use serde_json::{Value, json};

use crate::lambda::{Lambda, answer};

const CHAT: &str = "/v1/chat/completions";

async fn chat(lambda: &Lambda, body: Value) -> (u16, Value) {
    lambda.post(CHAT, &body.to_string()).await
}

/// The chunks of an answer, and whether it was ended as OpenAI's clients expect.
async fn chunks(lambda: &Lambda, mut body: Value) -> (Vec<Value>, bool) {
    body["stream"] = true.into();
    let text = lambda.post_for_text(CHAT, &body.to_string()).await;
    let data: Vec<_> = text
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .collect();
    let ended = data.last() == Some(&"[DONE]");
    let chunks = data.iter().filter(|data| **data != "[DONE]");
    (
        chunks
            .map(|data| serde_json::from_str(data).unwrap())
            .collect(),
        ended,
    )
}

fn asks(text: &str) -> Value {
    json!({ "messages": [{ "role": "user", "content": text }] })
}

fn weather() -> Value {
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    json!([{ "type": "function", "function": { "name": "weather", "parameters": parameters } }])
}

#[tokio::test]
async fn a_chat_is_answered_with_text_tokens_cost_and_reason() {
    let lambda = Lambda::router(&[]).await;
    let body = json!({ "model": "auto:lower-cost", "seed": 1, "messages": [{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "Classify: good or bad?" }] });
    let (status, said) = chat(&lambda, body).await;
    assert_eq!(status, 200, "{said}");
    insta::assert_json_snapshot!(said, { ".created" => "[s]", ".routing.attempts[].latencyMs" => "[ms]" });
    insta::assert_json_snapshot!("chat_on_the_wire", lambda.sent()[0]);
    let record = &lambda.metrics()[0];
    assert_eq!(
        (&record["route"], &record["Requests"]),
        (&json!(CHAT), &json!(1))
    );
}

#[tokio::test]
async fn chunks_add_up_to_the_whole() {
    for mode in ["stream", "buffered"] {
        let lambda = Lambda::router(&[("RESPONSE_MODE", mode)]).await;
        let mut body = asks("Use weather for Oslo and weather for Rome.");
        body["model"] = "claude-sonnet-5-5".into();
        body["tools"] = weather();
        body["reasoning_effort"] = "high".into();
        let (_, whole) = chat(&lambda, body.clone()).await;
        body["stream_options"] = json!({ "include_usage": true });
        let (chunks, ended) = chunks(&lambda, body).await;
        assert!(ended);
        let text = |pointer: &str| -> String {
            chunks
                .iter()
                .filter_map(|chunk| chunk.pointer(pointer)?.as_str())
                .collect()
        };
        let message = &whole["choices"][0]["message"];
        assert_eq!(
            text("/choices/0/delta/content"),
            message["content"].as_str().unwrap_or_default()
        );
        assert_eq!(
            text("/choices/0/delta/reasoning_content"),
            message["reasoning_content"].as_str().unwrap_or_default()
        );
        // Calls are numbered from 0, whatever stands before them in the message.
        assert_eq!(
            text("/choices/0/delta/tool_calls/0/function/name"),
            "weather"
        );
        let arguments = text("/choices/0/delta/tool_calls/0/function/arguments");
        assert_eq!(
            Value::from(arguments),
            message["tool_calls"][0]["function"]["arguments"]
        );
        assert!(chunks.iter().all(|chunk| {
            chunk
                .pointer("/choices/0/delta/tool_calls/0/index")
                .is_none_or(|index| index == 0)
        }));
        let [.., end, usage] = chunks.as_slice() else {
            panic!("{chunks:?}")
        };
        assert_eq!(
            end["choices"][0]["finish_reason"],
            whole["choices"][0]["finish_reason"]
        );
        assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(
            (&usage["usage"], &usage["choices"], &end["cost"]),
            (&whole["usage"], &json!([]), &whole["cost"])
        );
        assert!(chunks[0]["usage"].is_null() && chunks[0]["routing"]["modelId"] == whole["model"]);
        assert!(
            chunks
                .iter()
                .all(|chunk| chunk["id"] == chunks[0]["id"] && chunk["model"] == whole["model"])
        );
    }
}

#[tokio::test]
async fn thoughts_survive_a_tool_loop_as_they_came() {
    let lambda = Lambda::router(&[]).await;
    let mut body = asks("Use weather.");
    body["model"] = "claude-sonnet-5-5".into();
    body["tools"] = weather();
    body["reasoning_effort"] = "high".into();
    let (_, said) = chat(&lambda, body.clone()).await;
    let message = &said["choices"][0]["message"];
    let sealed = &message["reasoning_details"][0];
    assert!(
        sealed["signature"].is_string() && sealed["text"].is_string(),
        "{said}"
    );
    let turns = body["messages"].as_array_mut().unwrap();
    turns.push(message.clone());
    turns.push(json!({ "role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "clear" }));
    let (status, said) = chat(&lambda, body).await;
    assert_eq!(status, 200, "{said}");
    let sent = lambda.sent();
    let turn = &sent.last().unwrap()["messages"][1]["content"];
    assert_eq!(
        turn[0]["reasoningContent"]["reasoningText"],
        json!({ "text": sealed["text"], "signature": sealed["signature"] })
    );
}

#[tokio::test]
async fn json_comes_by_a_schema_or_at_all() {
    let lambda = Lambda::router(&[]).await;
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"], "additionalProperties": false });
    for (format, keys) in [
        (
            json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema, "strict": true } }),
            1,
        ),
        (json!({ "type": "json_object" }), 0),
    ] {
        let mut body = asks("JSON, please.");
        body["response_format"] = format;
        let (status, said) = chat(&lambda, body).await;
        let content = said["choices"][0]["message"]["content"].as_str().unwrap();
        let json: Value = serde_json::from_str(content).unwrap();
        assert_eq!(
            (
                status,
                json.as_object().unwrap().len(),
                &said["choices"][0]["finish_reason"]
            ),
            (200, keys, &json!("stop"))
        );
    }
}

#[tokio::test]
async fn errors_are_openais() {
    let lambda = Lambda::router(&[]).await;
    let error = |said: &Value| {
        let error = &said["error"];
        (
            error["type"].as_str().unwrap().to_owned(),
            error["code"].as_str().unwrap().to_owned(),
            error["param"].clone(),
        )
    };
    let mut unknown = asks("x");
    unknown["model"] = "gpt-4o-mini".into();
    let (status, said) = chat(&lambda, unknown).await;
    assert_eq!(
        (status, error(&said)),
        (
            404,
            (
                "invalid_request_error".into(),
                "model_not_found".into(),
                json!("model")
            )
        )
    );
    let (status, said) = chat(&lambda, asks("")).await;
    assert_eq!((status, error(&said).2), (400, json!("messages")));
    lambda.fail("", "ThrottlingException", None);
    let (status, said) = chat(&lambda, asks("x")).await;
    assert_eq!((status, error(&said).0.as_str()), (429, "rate_limit_error"));
    let paused = Lambda::router(&[("PAUSED", "true")]).await;
    let (status, said) = chat(&paused, asks("x")).await;
    assert_eq!((status, error(&said).0.as_str()), (503, "api_error"));
}

#[tokio::test]
async fn a_stream_that_breaks_is_an_error_and_no_success() {
    let lambda = Lambda::router(&[("RESPONSE_MODE", "stream")]).await;
    lambda.bedrock.faults.add(Fault {
        breaks: Some(Breaks::Cut),
        after: Some(3),
        ..Fault::default()
    });
    let (chunks, ended) = chunks(&lambda, asks("Classify: good or bad?")).await;
    assert!(!ended, "{chunks:?}");
    let last = chunks.last().unwrap();
    assert_eq!(last["error"]["type"], "api_error", "{last}");
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["choices"][0]["finish_reason"].is_null())
    );
}

#[tokio::test]
async fn what_is_paid_for_is_told_and_not_asked_for_again() {
    let lambda = Lambda::router(&[]).await;
    let cut = Fault {
        breaks: Some(Breaks::Cut),
        after: Some(3),
        ..Fault::default()
    };
    lambda.bedrock.faults.add(cut);
    let mut event: Value = serde_json::from_str(&crate::lambda::event("openai-chat-rest")).unwrap();
    event["body"] = asks("Classify: good or bad?").to_string().into();
    let said = lambda.invoke(&event.to_string()).await;
    let (status, body) = answer(&said);
    assert_eq!(status, 502);
    assert!(
        body["error"]["partial"]["cost"]["totalUsd"].is_number(),
        "{body}"
    );
    assert_eq!(said["multiValueHeaders"]["x-should-retry"][0], "false");
    event["path"] = "/model/auto/converse".into();
    event["body"] = json!({ "prompt": "x" }).to_string().into();
    let said = lambda.invoke(&event.to_string()).await;
    assert_eq!(
        (
            answer(&said).0,
            &said["multiValueHeaders"]["x-amzn-errortype"][0]
        ),
        (424, &json!("ModelErrorException"))
    );
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_told_so_that_clients_shorten_it() {
    let lambda = Lambda::router(&[]).await;
    let mut body = asks(&"word ".repeat(200_000));
    body["model"] = "nova-micro".into();
    let (status, said) = chat(&lambda, body).await;
    assert_eq!(
        (status, &said["error"]["code"]),
        (400, &json!("context_length_exceeded")),
        "{said}"
    );
}

#[tokio::test]
async fn a_call_with_nothing_is_a_call_with_an_empty_object() {
    let lambda = Lambda::router(&[("RESPONSE_MODE", "stream")]).await;
    let mut body = asks("Use ping.");
    body["tools"] = json!([{ "type": "function", "function": { "name": "ping" } }]);
    let (chunks, _) = chunks(&lambda, body).await;
    let arguments = chunks.iter().filter_map(|chunk| {
        chunk
            .pointer("/choices/0/delta/tool_calls/0/function/arguments")?
            .as_str()
    });
    assert_eq!(arguments.collect::<String>(), "{}");
}

#[tokio::test]
async fn models_are_listed_as_openai_lists_them() {
    let lambda = Lambda::router(&[]).await;
    let mut event: Value =
        serde_json::from_str(&crate::lambda::event("openai-models-rest")).unwrap();
    let (status, list) = answer(&lambda.invoke(&event.to_string()).await);
    assert_eq!((status, &list["object"]), (200, &json!("list")));
    let ids: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert!(
        ids.starts_with(&["auto", "auto:lower-cost"])
            && ids.contains(&"claude-haiku-5-5")
            && !ids.contains(&"titan-text-express"),
        "{ids:?}"
    );
    for id in ids {
        event["path"] = format!("/v1/models/{id}").into();
        let (status, model) = answer(&lambda.invoke(&event.to_string()).await);
        assert_eq!(
            (status, &model["id"], &model["object"]),
            (200, &json!(id), &json!("model"))
        );
    }
    event["path"] = "/v1/models/gpt-4".into();
    let (status, said) = answer(&lambda.invoke(&event.to_string()).await);
    assert_eq!(
        (status, &said["error"]["code"]),
        (404, &json!("model_not_found"))
    );
}
