//! Everything that Converse takes, through `/invoke`, on a Bedrock that refuses what the real one refuses.

use local::bedrock::faults::Fault;
use serde_json::{Value, json};

use crate::families::PIXEL;
use crate::lambda::Lambda;

async fn invoke(lambda: &Lambda, body: &Value) -> Value {
    let (status, answer) = lambda.post("/invoke", &body.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

/// The field of a request that is refused.
async fn refused(lambda: &Lambda, body: &Value) -> String {
    let (status, problem) = lambda.post("/invoke", &body.to_string()).await;
    assert_eq!(status, 400, "{problem}");
    problem["field"].as_str().unwrap().to_owned()
}

fn has_warning(answer: &Value, words: &str) -> bool {
    answer["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .any(|warning| warning.as_str().unwrap().contains(words))
}

fn tool(name: &str) -> Value {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    json!({ "toolSpec": { "name": name, "description": "x", "inputSchema": { "json": schema } } })
}

#[tokio::test]
async fn two_parallel_calls_and_their_results_go_round() {
    let lambda = Lambda::router(&[]).await;
    let tools = json!({ "tools": [tool("weather"), tool("local_time"), tool("unused")] });
    let question = json!({ "role": "user", "content": "Use weather and local time for Oslo." });
    let first = invoke(
        &lambda,
        &json!({ "messages": [question], "toolConfig": tools }),
    )
    .await;
    assert_eq!(first["stopReason"], "tool_use");
    let calls = first["output"]["message"]["content"].as_array().unwrap();
    let names: Vec<_> = calls
        .iter()
        .map(|block| block["toolUse"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["weather", "local_time"]);
    let results = calls.iter().map(|block| {
        json!({ "toolResult": { "toolUseId": block["toolUse"]["toolUseId"], "content": [{ "json": { "ok": true } }] } })
    });
    // The second turn offers no tools any more; Bedrock wants toolConfig all the same.
    let messages = json!([question, first["output"]["message"], { "role": "user", "content": results.collect::<Vec<_>>() }]);
    let second = invoke(&lambda, &json!({ "messages": messages })).await;
    assert_eq!(second["stopReason"], "end_turn");
    assert!(second["text"].as_str().unwrap().contains("simulation"));
    assert!(has_warning(
        &second,
        "toolConfig supplied for the tools of the conversation: local_time, weather"
    ));
}

#[tokio::test]
async fn a_document_is_asked_about() {
    let lambda = Lambda::router(&[]).await;
    let document = json!({ "document": { "format": "pdf", "name": "Report 2026", "source": { "bytes": "JVBERi0xLjc=" } } });
    let body = json!({ "messages": [{ "role": "user", "content": [document, { "text": "Summarize the report." }] }] });
    let answer = invoke(&lambda, &body).await;
    assert_eq!(lambda.sent()[0]["messages"], body["messages"]);
    let rejected: Vec<_> = answer["routing"]["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|c| c["rejected"].as_str())
        .collect();
    assert!(rejected.contains(&"takes no documents"), "{rejected:?}");
}

#[tokio::test]
async fn twenty_images_are_a_legal_request() {
    let lambda = Lambda::router(&[]).await;
    // About 150 KB each: more than axum's own limit of 2 MB in sum.
    let picture = format!("{}{}", PIXEL.trim_end_matches('='), "A".repeat(150_002));
    let image = json!({ "image": { "format": "png", "source": { "bytes": picture } } });
    let mut content = vec![image; 20];
    content.push(json!({ "text": "What do they show?" }));
    let mut body = json!({ "messages": [{ "role": "user", "content": content }] });
    invoke(&lambda, &body).await;
    body["messages"][0]["content"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "image": { "format": "png", "source": { "bytes": PIXEL } } }));
    assert_eq!(refused(&lambda, &body).await, "messages[0].content");
}

fn structured(schema: &str) -> Value {
    json!({
        "prompt": "Who is it?",
        "outputConfig": { "textFormat": { "type": "json_schema", "structure": { "jsonSchema": { "schema": schema, "name": "person" } } } },
    })
}

const PERSON: &str = r#"{"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name", "age"], "additionalProperties": false}"#;

#[tokio::test]
async fn json_by_a_schema_comes_three_ways() {
    let lambda = Lambda::router(&[]).await;
    for (model, via) in [
        ("claude-haiku-5-5", "outputConfig"),
        ("nova-lite", "forcedTool"),
        ("claude-opus-5-5", "instruction"),
    ] {
        let mut body = structured(PERSON);
        body["model"] = model.into();
        let answer = invoke(&lambda, &body).await;
        assert_eq!(
            answer["structuredOutput"],
            json!({ "via": via, "valid": true, "retried": false }),
            "{model}"
        );
        let person: Value = serde_json::from_str(answer["text"].as_str().unwrap()).unwrap();
        assert!(
            person["name"].is_string() && person["age"].is_i64(),
            "{model}: {person}"
        );
        assert_eq!(
            (
                answer["stopReason"].as_str(),
                answer["routing"]["attempts"].as_array().unwrap().len()
            ),
            (Some("end_turn"), 1)
        );
    }
}

#[tokio::test]
async fn json_that_does_not_match_is_asked_for_once_more() {
    let lambda = Lambda::router(&[]).await;
    let mut body = structured(PERSON);
    body["model"] = "claude-opus-5-5".into();
    let wrong = json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": "```json\n{\"name\": \"Ada\"}\n```" }] } },
        "stopReason": "end_turn",
        "usage": { "inputTokens": 100, "outputTokens": 10, "totalTokens": 110 },
    });
    let say = |times| {
        lambda.bedrock.faults.add(Fault {
            reply: Some(wrong.to_string()),
            times,
            ..Fault::default()
        })
    };
    say(Some(1));
    let answer = invoke(&lambda, &body).await;
    assert_eq!(
        answer["structuredOutput"],
        json!({ "via": "instruction", "valid": true, "retried": true })
    );
    let again = &lambda.sent()[1]["messages"];
    assert_eq!(again[1]["content"][0]["text"], "{\"name\": \"Ada\"}");
    assert!(
        again[2]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("\"age\" is missing"),
        "{again}"
    );
    // Both answers are paid for.
    assert!(
        answer["usage"]["inputTokens"].as_u64().unwrap() > 100
            && answer["usage"]["outputTokens"].as_u64().unwrap() > 10
    );
    assert_eq!(answer["routing"]["attempts"].as_array().unwrap().len(), 2);
    say(None);
    let answer = invoke(&lambda, &body).await;
    assert_eq!(
        answer["structuredOutput"],
        json!({ "via": "instruction", "valid": false, "retried": true })
    );
    assert_eq!(
        (&answer["text"], &answer["usage"]["inputTokens"]),
        (&"{\"name\": \"Ada\"}".into(), &200.into())
    );
    assert!(has_warning(
        &answer,
        "the answer does not match the schema: the answer: \"age\" is missing"
    ));
    // A second answer that the limit does not allow is not asked for.
    body["maxCostUsd"] = json!(0.0665);
    body["inferenceConfig"] = json!({ "maxTokens": 3000 });
    let answer = invoke(&lambda, &body).await;
    assert_eq!(answer["structuredOutput"]["retried"], false, "{answer}");
}

#[tokio::test]
async fn what_the_cache_saves_is_shown() {
    let lambda = Lambda::router(&[]).await;
    let body = json!({ "prompt": "And?", "system": "word ".repeat(2000), "model": "claude-opus-5-5", "promptCache": "1h" });
    let first = invoke(&lambda, &body).await;
    assert_eq!(
        lambda.sent()[0]["system"][1],
        json!({ "cachePoint": { "type": "default", "ttl": "1h" } })
    );
    let written = first["usage"]["cacheWriteInputTokens"].as_u64().unwrap();
    assert!(
        written > 2000 && first["cost"]["cacheSavedUsd"].as_f64().unwrap() < 0.0,
        "{first}"
    );
    let second = invoke(&lambda, &body).await;
    assert_eq!(second["usage"]["cacheReadInputTokens"], written);
    let saved = second["cost"]["cacheSavedUsd"].as_f64().unwrap();
    // A read costs a twentieth of fresh input at 4.4 USD per million.
    assert!(
        (saved - written as f64 * 4.4e-6 * 0.95).abs() < 1e-9,
        "{second}"
    );
    let short = invoke(
        &lambda,
        &json!({ "prompt": "And?", "model": "claude-opus-5-5", "promptCache": "5m" }),
    )
    .await;
    assert!(has_warning(&short, "nothing is cached"));
}

fn guardrail(id: &str) -> Value {
    json!({ "guardrailIdentifier": id, "guardrailVersion": "1" })
}

#[tokio::test]
async fn a_guardrail_steps_in_and_says_why() {
    let lambda = Lambda::router(&[]).await;
    let answer = invoke(
        &lambda,
        &json!({ "prompt": "Something forbidden", "guardrailConfig": guardrail("abc1") }),
    )
    .await;
    assert_eq!(
        (
            answer["stopReason"].as_str(),
            answer["guardrail"]["intervened"].as_bool()
        ),
        (Some("guardrail_intervened"), Some(true))
    );
    assert_eq!(
        answer["guardrail"]["inputAssessment"]["abc1"]["wordPolicy"]["customWords"][0]["match"],
        "forbidden"
    );
    assert!(has_warning(&answer, "the guardrail stepped in"));
    let answer = invoke(
        &lambda,
        &json!({ "prompt": "Something fine", "guardrailConfig": guardrail("abc1") }),
    )
    .await;
    assert_eq!(answer["guardrail"], json!({ "intervened": false }));
    let without = invoke(&lambda, &json!({ "prompt": "Something forbidden" })).await;
    assert!(without.get("guardrail").is_none());
    let part = json!([{ "guardContent": { "text": { "text": "x" } } }]);
    assert_eq!(
        refused(
            &lambda,
            &json!({ "messages": [{ "role": "user", "content": part }] })
        )
        .await,
        "guardContent"
    );
}

#[tokio::test]
async fn the_operators_guardrail_cannot_be_switched_off() {
    let lambda = Lambda::router(&[("GUARDRAIL", "abc1:1")]).await;
    let answer = invoke(&lambda, &json!({ "prompt": "Something forbidden" })).await;
    assert_eq!(answer["stopReason"], "guardrail_intervened");
    for body in [
        json!({ "prompt": "x", "guardrailConfig": guardrail("other") }),
        json!({ "prompt": "x", "guardrailConfig": { "guardrailIdentifier": "abc1", "guardrailVersion": "2" } }),
    ] {
        assert_eq!(refused(&lambda, &body).await, "guardrailConfig");
    }
    // Parts that are marked for it would keep all others from it.
    let marked =
        json!([{ "text": "forbidden" }, { "guardContent": { "text": { "text": "fine" } } }]);
    assert_eq!(
        refused(
            &lambda,
            &json!({ "messages": [{ "role": "user", "content": marked }] })
        )
        .await,
        "guardContent"
    );
    let silent =
        json!({ "guardrailIdentifier": "abc1", "guardrailVersion": "1", "trace": "disabled" });
    let answer = invoke(
        &lambda,
        &json!({ "prompt": "Something forbidden", "guardrailConfig": silent }),
    )
    .await;
    assert_eq!(answer["guardrail"], json!({ "intervened": true }));
}

#[tokio::test]
async fn what_the_operators_guardrail_masked_stays_masked() {
    let reply = json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": "Call {PHONE}." }] } },
        "stopReason": "guardrail_intervened",
        "usage": { "inputTokens": 1, "outputTokens": 1, "totalTokens": 2 },
        "trace": { "guardrail": {
            "modelOutput": ["Call 555-0100."],
            "outputAssessments": { "abc1": [{ "sensitiveInformationPolicy": { "piiEntities": [{ "type": "PHONE", "match": "555-0100", "action": "ANONYMIZED" }] } }] },
        } },
    });
    for (variables, body, kept) in [
        (
            &[("GUARDRAIL", "abc1:1")][..],
            json!({ "prompt": "x" }),
            false,
        ),
        (
            &[],
            json!({ "prompt": "x", "guardrailConfig": guardrail("abc1") }),
            true,
        ),
    ] {
        let lambda = Lambda::router(variables).await;
        lambda.reply(&reply.to_string());
        let answer = invoke(&lambda, &body).await;
        assert!(
            answer["guardrail"]["outputAssessments"]["abc1"][0]
                .to_string()
                .contains("PHONE")
        );
        assert_eq!(answer.to_string().contains("555-0100"), kept, "{answer}");
        assert!(!answer.to_string().contains("modelOutput"));
    }
}

#[tokio::test]
async fn bedrock_is_told_who_asks_and_nobody_can_forge_it() {
    let lambda = Lambda::router(&[]).await;
    let mut event: Value = serde_json::from_str(&crate::lambda::event("invoke-rest")).unwrap();
    event["body"] = json!({ "prompt": "x", "requestMetadata": { "team": "blue" } })
        .to_string()
        .into();
    let caller = event["requestContext"]["identity"]["userArn"]
        .as_str()
        .unwrap()
        .to_owned();
    lambda.invoke(&event.to_string()).await;
    let metadata = &lambda.sent()[0]["requestMetadata"];
    assert_eq!(
        *metadata,
        json!({ "router:caller": caller, "router:route": "/invoke", "team": "blue" })
    );
    let forged = json!({ "prompt": "x", "requestMetadata": { "router:caller": "someone else" } });
    assert_eq!(
        refused(&lambda, &forged).await,
        "requestMetadata.router:caller"
    );
}

#[tokio::test]
async fn a_known_refusal_is_repaired_once_and_remembered() {
    let lambda = Lambda::router(&[]).await;
    let body = json!({ "prompt": "x", "system": "Be brief.", "model": "nova-lite" });
    let message = "This model doesn't support system messages. Try again without a system message or use a model that supports system messages.";
    let refuse = |message: &str, times| {
        let (error, message) = (Some("ValidationException".into()), Some(message.into()));
        lambda.bedrock.faults.add(Fault {
            error,
            message,
            times,
            ..Fault::default()
        });
    };
    refuse(message, Some(1));
    let answer = invoke(&lambda, &body).await;
    let outcomes: Vec<_> = answer["routing"]["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["refused-for-model", "answered"]);
    assert!(has_warning(
        &answer,
        "system moved into the first user message"
    ));
    let answer = invoke(&lambda, &body).await;
    assert_eq!(answer["routing"]["attempts"].as_array().unwrap().len(), 1);
    assert!(lambda.sent()[2].get("system").is_none());
    // A second refusal ends it, and so does one that asks for nothing that could be changed.
    refuse("`temperature` is deprecated for this model.", None);
    let (status, problem) = lambda.post("/invoke", &body.to_string()).await;
    assert_eq!(
        (status, problem["attempts"].as_array().unwrap().len()),
        (400, 1),
        "{problem}"
    );
}

#[tokio::test]
async fn a_field_that_the_model_does_not_know_is_dropped_for_this_request_only() {
    let lambda = Lambda::router(&[]).await;
    let body = json!({ "prompt": "x", "model": "nova-lite", "additionalModelRequestFields": { "top_a": 1 } });
    for attempts in [2, 2] {
        let answer = invoke(&lambda, &body).await;
        assert_eq!(
            answer["routing"]["attempts"].as_array().unwrap().len(),
            attempts
        );
        assert!(has_warning(
            &answer,
            "additionalModelRequestFields.top_a dropped"
        ));
    }
}

#[tokio::test]
async fn reasoning_is_echoed_to_its_model_and_kept_from_others() {
    let lambda = Lambda::router(&[]).await;
    let question = json!({ "role": "user", "content": "Why?" });
    let thinking = json!({ "thinking": { "type": "adaptive" } });
    let ask = |model: &str, messages: Value| json!({ "model": model, "messages": messages, "additionalModelRequestFields": thinking });
    let first = invoke(&lambda, &ask("claude-sonnet-5-5", json!([question]))).await;
    let message = &first["output"]["message"];
    assert!(
        message["content"][0]["reasoningContent"]["reasoningText"]["signature"].is_string(),
        "{message}"
    );
    let turns = json!([question, message, { "role": "user", "content": "And?" }]);
    let same = invoke(&lambda, &ask("claude-sonnet-5-5", turns.clone())).await;
    assert_eq!(lambda.sent()[1]["messages"][1], *message);
    assert_eq!(same["routing"]["attempts"].as_array().unwrap().len(), 1);
    // Another Claude does not know the seal and says so; the reasoning is dropped.
    let other = invoke(&lambda, &ask("claude-opus-5-5", turns.clone())).await;
    assert!(has_warning(&other, "reasoning of another model dropped") && lambda.sent().len() == 4);
    // A model without seals is not even asked.
    let third = invoke(&lambda, &json!({ "model": "nova-lite", "messages": turns })).await;
    assert!(has_warning(&third, "reasoning of another model dropped") && lambda.sent().len() == 5);
}

#[tokio::test]
async fn a_stored_prompt_is_sent_with_its_variables_alone() {
    let lambda = Lambda::router(&[]).await;
    let arn = "arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:2";
    let router = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0";
    lambda.reply(
        &json!({
            "output": { "message": { "role": "assistant", "content": [{ "text": "ok" }] } },
            "stopReason": "end_turn",
            "usage": { "inputTokens": 1000, "outputTokens": 1000, "totalTokens": 2000 },
            "trace": { "promptRouter": { "invokedModelId": router } },
        })
        .to_string(),
    );
    let body = json!({ "model": arn, "promptVariables": { "city": { "text": "Oslo" } } });
    let answer = invoke(&lambda, &body).await;
    let sent = lambda.sent().pop().unwrap();
    assert_eq!(
        sent,
        json!({ "promptVariables": { "city": { "text": "Oslo" } }, "requestMetadata": { "router:route": "/invoke" } })
    );
    // Bedrock's own prompt router says which model it chose, and that has a price.
    assert_eq!(
        (
            &answer["routing"]["invokedModelId"],
            &answer["cost"]["totalUsd"]
        ),
        (&router.into(), &json!(0.0003))
    );
    for (field, value) in [
        ("system", json!("x")),
        ("inferenceConfig", json!({ "maxTokens": 1 })),
        ("additionalModelRequestFields", json!({ "a": 1 })),
    ] {
        let mut body = body.clone();
        body[field] = value;
        assert_eq!(refused(&lambda, &body).await, field);
    }
    assert_eq!(
        refused(
            &lambda,
            &json!({ "prompt": "x", "promptVariables": { "a": { "text": "b" } } })
        )
        .await,
        "promptVariables"
    );
}

#[tokio::test]
async fn a_service_tier_is_routed_to_and_priced() {
    let lambda = Lambda::router(&[]).await;
    let flex = json!({ "prompt": "Classify: good or bad?", "serviceTier": { "type": "flex" } });
    let answer = invoke(&lambda, &flex).await;
    assert_eq!(lambda.sent()[0]["serviceTier"], json!({ "type": "flex" }));
    let mut standard = flex.clone();
    standard["serviceTier"] = json!({ "type": "default" });
    standard["model"] = answer["routing"]["model"].clone();
    let dearer = invoke(&lambda, &standard).await;
    let total = |answer: &Value| answer["cost"]["totalUsd"].as_f64().unwrap();
    assert!(
        (total(&answer) * 2.0 - total(&dearer)).abs() < 1e-12,
        "{answer} {dearer}"
    );
    let mut named = flex;
    named["model"] = "claude-opus-5-5".into();
    assert!(has_warning(
        &invoke(&lambda, &named).await,
        "serviceTier dropped: claude-opus-5-5 has no tier flex"
    ));
}

#[tokio::test]
async fn everything_else_travels_as_it_came() {
    let lambda = Lambda::router(&[]).await;
    let body = json!({
        "model": "nova-pro",
        "messages": [{ "role": "user", "content": [{ "text": "x" }, { "video": { "format": "mp4", "source": { "bytes": "aGk=" } } }] }],
        "additionalModelRequestFields": { "inferenceConfig": { "topK": 5 } },
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "performanceConfig": { "latency": "optimized" },
        "projectIdentifier": "blue",
        "inferenceConfig": { "stopSequences": ["END"] },
    });
    let answer = invoke(&lambda, &body).await;
    let sent = &lambda.sent()[0];
    for field in [
        "messages",
        "additionalModelRequestFields",
        "additionalModelResponseFieldPaths",
        "performanceConfig",
        "projectIdentifier",
    ] {
        assert_eq!(sent[field], body[field], "{field}");
    }
    assert_eq!(sent["inferenceConfig"]["stopSequences"], json!(["END"]));
    assert_eq!(
        answer["additionalModelResponseFields"],
        json!({ "stop_sequence": null })
    );
    // What optimized latency costs is not known.
    assert_eq!(answer["cost"], Value::Null);
    assert!(has_warning(&answer, "is not known for all that was used"));
}

#[tokio::test]
async fn nothing_goes_past_the_operators_guardrail() {
    let lambda = Lambda::router(&[("GUARDRAIL", "abc1:1")]).await;
    for (field, value) in [
        (
            "additionalModelRequestFields",
            json!({ "anything": "forbidden" }),
        ),
        ("additionalModelResponseFieldPaths", json!(["/content"])),
    ] {
        let body = json!({ "prompt": "x", field: value });
        assert!(refused(&lambda, &body).await.starts_with(field));
    }
    // A forced tool's input is not looked at: JSON comes as text.
    let mut body = structured(PERSON);
    body["model"] = "nova-lite".into();
    let answer = invoke(&lambda, &body).await;
    assert_eq!(answer["structuredOutput"]["via"], "instruction");
}

#[tokio::test]
async fn content_and_limits_do_not_go_by_the_models_own_fields() {
    let lambda = Lambda::router(&[]).await;
    for fields in [
        json!({ "system": "x" }),
        json!({ "tools": [] }),
        json!({ "max_tokens": 100_000 }),
        json!({ "inferenceConfig": { "max_new_tokens": 100_000 } }),
        json!({ "amazon-bedrock-guardrailConfig": {} }),
        json!({ "thinking": "x".repeat(70_000) }),
    ] {
        let body = json!({ "prompt": "x", "additionalModelRequestFields": fields });
        assert!(
            refused(&lambda, &body)
                .await
                .starts_with("additionalModelRequestFields"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_cost_limit_counts_all_that_reaches_the_model() {
    let lambda = Lambda::router(&[]).await;
    let long = "a long description ".repeat(20_000);
    let mut schema = structured(&json!({ "type": "object", "description": long }).to_string());
    schema["maxCostUsd"] = json!(0.001);
    schema["model"] = "nova-pro".into();
    let context = json!([{ "document": { "name": "a", "source": { "text": "x" }, "context": long } }, { "text": "x" }]);
    let document = json!({ "messages": [{ "role": "user", "content": context }], "model": "nova-pro", "maxCostUsd": 0.001 });
    let reserved = json!({ "prompt": "word ".repeat(30_000), "model": "claude-opus-4-1", "serviceTier": { "type": "reserved" }, "inferenceConfig": { "maxTokens": 32_000 } });
    for body in [schema, document, reserved] {
        let (status, problem) = lambda.post("/invoke", &body.to_string()).await;
        assert_eq!(status, 422, "{problem}");
        assert!(
            problem["candidates"][0]["rejected"]
                .as_str()
                .unwrap()
                .contains("a cost limit of"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn a_call_of_the_callers_tool_is_no_wrong_json() {
    let lambda = Lambda::router(&[]).await;
    for model in ["claude-opus-5-5", "claude-haiku-5-5", "nova-lite"] {
        let mut body = structured(PERSON);
        body["model"] = model.into();
        body["prompt"] = "Use weather.".into();
        body["toolConfig"] = json!({ "tools": [tool("weather")] });
        let answer = invoke(&lambda, &body).await;
        assert_eq!(
            (
                answer["stopReason"].as_str(),
                &answer["structuredOutput"]["valid"]
            ),
            (Some("tool_use"), &Value::Null),
            "{model}"
        );
        assert_eq!(
            (
                answer["routing"]["attempts"].as_array().unwrap().len(),
                &answer["warnings"]
            ),
            (1, &json!([])),
            "{model}"
        );
    }
    let mut body = structured(PERSON);
    body.as_object_mut().unwrap().remove("prompt");
    body["messages"] =
        json!([{ "role": "user", "content": "x" }, { "role": "assistant", "content": "{" }]);
    assert_eq!(refused(&lambda, &body).await, "outputConfig.textFormat");
}

#[tokio::test]
async fn one_callers_mistake_teaches_nothing_about_the_model() {
    let lambda = Lambda::router(&[]).await;
    let refuse = |message: &str| {
        let (error, message) = (Some("ValidationException".into()), Some(message.into()));
        lambda.bedrock.faults.add(Fault {
            error,
            message,
            times: Some(1),
            ..Fault::default()
        });
    };
    let mut body = structured(PERSON);
    body["model"] = "claude-haiku-5-5".into();
    refuse(
        "output_config.format.schema: For 'array' type, property 'uniqueItems' is not supported",
    );
    let ways = [invoke(&lambda, &body).await, invoke(&lambda, &body).await]
        .map(|answer| answer["structuredOutput"]["via"].clone());
    assert_eq!(ways, ["forcedTool", "outputConfig"]);
}

#[tokio::test]
async fn large_bodies_take_no_more_than_their_share_of_time() {
    let lambda = Lambda::router(&[]).await;
    let turns = vec![json!({ "role": "user", "content": "a" }); 100_000];
    let tools: Vec<_> = (0..40_000)
        .map(|n| json!({ "toolSpec": { "name": format!("t{n}"), "inputSchema": { "json": {} } } }))
        .collect();
    let calls: Vec<_> = (0..20_000)
        .map(|n| json!({ "toolUse": { "toolUseId": format!("t{n}"), "name": "a", "input": {} } }))
        .collect();
    let results: Vec<_> = (0..20_000)
        .rev()
        .map(|n| json!({ "toolResult": { "toolUseId": format!("t{n}"), "content": [] } }))
        .collect();
    let ask = json!({ "role": "user", "content": "x" });
    for body in [
        json!({ "messages": turns }),
        json!({ "prompt": "x", "toolConfig": { "tools": tools } }),
        json!({ "messages": [ask, { "role": "assistant", "content": calls }, { "role": "user", "content": results }] }),
        json!({ "prompt": "x", "model": "a".repeat(1_000_000) }),
    ] {
        // Quadratic work took minutes; the Lambda of the tests waits for one.
        let (status, problem) = lambda.post("/route", &body.to_string()).await;
        assert!(matches!(status, 200 | 400 | 422), "{status}: {problem}");
    }
}
