//! `POST /invoke`, `POST /route` and `GET /health` by every shape of event that reaches them.

use std::collections::BTreeSet;

use local::bedrock::faults::Fault;
use serde_json::{Value, json};

use crate::lambda::{Lambda, answer, event, events};

/// Every file in `events/`, with the status it gets and the model that answers.
const EVENTS: [(&str, u16, &str); 28] = [
    ("compare-rest", 200, ""),
    ("openai-chat-rest", 200, ""),
    ("openai-models-rest", 200, ""),
    ("openai-model-rest", 200, ""),
    ("converse-rest", 200, ""),
    ("converse-stream-rest", 200, ""),
    ("embeddings-rest", 200, ""),
    ("openai-embeddings-rest", 200, ""),
    ("images-rest", 200, ""),
    ("rerank-rest", 200, ""),
    ("invoke-rest", 200, "us.anthropic.claude-haiku-5-5"),
    ("invoke-rest-base64", 200, "us.anthropic.claude-haiku-5-5"),
    ("invoke-http", 200, "us.anthropic.claude-sonnet-5-5"),
    (
        "invoke-http-stage-base64",
        200,
        "us.anthropic.claude-opus-5-5",
    ),
    (
        "invoke-function-url",
        200,
        "mistral.mistral-7b-instruct-v0:2",
    ),
    ("route-rest", 200, ""),
    ("route-http", 200, ""),
    ("estimate-rest", 200, ""),
    ("models-rest", 200, ""),
    ("models-http", 200, ""),
    ("model-rest", 200, ""),
    ("model-http", 200, ""),
    ("health-rest", 200, ""),
    ("health-http", 200, ""),
    ("openapi-rest", 200, ""),
    ("unknown-path-rest", 404, ""),
    ("unknown-path-http", 404, ""),
    ("empty-body-rest", 400, ""),
];

#[tokio::test]
async fn every_event_is_answered() {
    let router = Lambda::router(&[]).await;
    let embeddings = Lambda::embeddings(&[]).await;
    for (name, status, model) in EVENTS {
        let lambda = if name.contains("embeddings") {
            &embeddings
        } else {
            &router
        };
        let response = lambda.invoke(&event(name)).await;
        let (got, body) = answer(&response);
        assert_eq!(got, status, "{name}: {body}");
        let kind = if name.contains("stream") {
            "application/vnd.amazon.eventstream"
        } else if status == 200 {
            "application/json"
        } else {
            "application/problem+json"
        };
        let headers = &response["multiValueHeaders"]["content-type"][0];
        let header = if headers.is_null() {
            &response["headers"]["content-type"]
        } else {
            headers
        };
        assert_eq!(header, kind, "{name}");
        if !model.is_empty() {
            assert_eq!(body["routing"]["modelId"], model, "{name}");
            assert!(
                body["text"].as_str().unwrap().contains("simulation"),
                "{name}"
            );
        }
    }
}

#[test]
fn every_event_file_is_used() {
    let files: BTreeSet<_> = std::fs::read_dir(events())
        .unwrap()
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let reports = crate::report::EVENTS.iter().map(|(name, ..)| *name);
    let used = EVENTS.iter().map(|(name, ..)| *name).chain(reports);
    let used = used.chain(crate::authorizer::EVENTS);
    assert_eq!(files, used.map(str::to_owned).collect());
}

#[tokio::test]
async fn the_answer_has_the_documented_shape() {
    let lambda = Lambda::router(&[]).await;
    let (_, answer) = answer(&lambda.invoke(&event("invoke-rest")).await);
    insta::assert_json_snapshot!(answer, { ".latencyMs" => "[ms]", ".timeToFirstTokenMs" => "[ms]", ".routing.attempts[].latencyMs" => "[ms]" });
}

#[tokio::test]
async fn the_decision_alone_calls_nothing() {
    let lambda = Lambda::router(&[]).await;
    let (_, decision) = answer(&lambda.invoke(&event("route-rest")).await);
    insta::assert_json_snapshot!(decision);
    assert_eq!(lambda.bedrock.requests(), 0);
}

#[tokio::test]
async fn money_is_printed_to_the_last_digit() {
    let lambda = Lambda::router(&[]).await;
    let response = lambda.invoke(&event("invoke-rest")).await;
    let body = response["body"].as_str().unwrap();
    let cost = r#""cost":{"inputUsd":0.00000121,"outputUsd":0.0000143,"cacheReadUsd":0,"cacheWriteUsd":0,"totalUsd":0.00001551,"cacheSavedUsd":0}"#;
    assert!(body.contains(cost), "{body}");
}

#[tokio::test]
async fn a_failing_candidate_is_followed_by_the_next() {
    let lambda = Lambda::router(&[]).await;
    for error in [
        "ThrottlingException",
        "ServiceUnavailableException",
        "ModelErrorException",
        "AccessDeniedException",
    ] {
        lambda.fail("haiku", error, Some(2));
        let (status, body) = lambda
            .post("/invoke", r#"{"prompt": "Classify: good"}"#)
            .await;
        assert_eq!(
            (status, &body["routing"]["modelId"]),
            (200, &json!("us.openai.gpt-6-luna")),
            "{error}: {body}"
        );
        assert_eq!(body["routing"]["attempts"].as_array().unwrap().len(), 2);
        assert!(
            body["warnings"][0]
                .as_str()
                .unwrap()
                .starts_with("us.anthropic.claude-haiku-5-5 did not answer:")
        );
        lambda.bedrock.faults.clear();
    }
}

#[tokio::test]
async fn an_answer_to_the_sdks_own_second_try_is_used() {
    let lambda = Lambda::router(&[]).await;
    lambda.fail("haiku", "ThrottlingException", Some(1));
    // Only where no other candidate follows.
    let (status, body) = lambda
        .post(
            "/invoke",
            r#"{"prompt": "Classify: good", "model": "haiku"}"#,
        )
        .await;
    assert_eq!(
        (status, &body["routing"]["modelId"]),
        (200, &json!("us.anthropic.claude-haiku-5-5")),
        "{body}"
    );
    assert_eq!(
        (
            lambda.bedrock.requests(),
            body["warnings"].as_array().unwrap().len()
        ),
        (2, 0)
    );
}

#[tokio::test]
async fn an_unknown_price_is_null_and_said() {
    let lambda = Lambda::router(&[("AWS_REGION", "ap-south-1")]).await;
    let (status, body) = lambda
        .post(
            "/invoke",
            r#"{"prompt": "hi", "model": "in.anthropic.claude-sonnet-5"}"#,
        )
        .await;
    assert_eq!((status, &body["cost"]), (200, &Value::Null), "{body}");
    let warning = "the price of in.anthropic.claude-sonnet-5 is not known for all that was used";
    assert_eq!(body["warnings"], json!([warning]));
}

#[tokio::test]
async fn when_no_candidate_answers_the_last_fault_is_told() {
    for (error, status, kind) in [
        ("ThrottlingException", 429, "throttled"),
        ("ModelNotReadyException", 429, "model-not-ready"),
        ("ServiceUnavailableException", 503, "unavailable"),
        ("InternalServerException", 502, "bedrock-failed"),
        ("ModelErrorException", 502, "model-error"),
        ("ModelTimeoutException", 504, "timed-out"),
        ("AccessDeniedException", 403, "access-denied"),
        ("ResourceNotFoundException", 404, "model-not-found"),
        ("ValidationException", 400, "refused-by-bedrock"),
    ] {
        // Another instance each time: what failed rests for a while.
        let lambda = Lambda::router(&[]).await;
        lambda.fail("", error, None);
        let (got, body) = lambda
            .post("/invoke", r#"{"prompt": "hi", "model": "nova-lite"}"#)
            .await;
        assert_eq!(got, status, "{body}");
        assert_eq!(body["type"], format!("urn:bedrock-router:problem:{kind}"));
        assert_eq!(
            body["retryAfterSeconds"].is_number(),
            status == 429 || status == 503,
            "{body}"
        );
        assert_eq!(body["attempts"][0]["outcome"], kind);
    }
}

#[tokio::test]
async fn an_answer_that_is_paid_for_is_not_asked_for_again() {
    let lambda = Lambda::router(&[]).await;
    lambda.reply("{\"output\": 5}");
    let (status, body) = lambda
        .post("/invoke", r#"{"prompt": "Classify: good"}"#)
        .await;
    assert_eq!(
        (status, &body["type"]),
        (502, &json!("urn:bedrock-router:problem:unreadable-answer")),
        "{body}"
    );
    assert_eq!(lambda.bedrock.requests(), 1);
    let message = r#"{"message": {"role": "assistant", "content": [{"text": "yes"}]}}"#;
    let usage = r#"{"inputTokens": 5, "outputTokens": 1, "totalTokens": 6}"#;
    let tier = r#"{"type": "turbo"}"#;
    lambda.reply(&format!(r#"{{"output": {message}, "stopReason": "end_turn", "usage": {usage}, "serviceTier": {tier}}}"#));
    let (status, body) = lambda
        .post("/invoke", r#"{"prompt": "Classify: good"}"#)
        .await;
    assert_eq!(
        (status, &body["text"], &body["cost"]),
        (200, &json!("yes"), &Value::Null),
        "{body}"
    );
}

#[tokio::test]
async fn a_model_that_does_not_take_the_request_is_followed_by_one_that_may() {
    let lambda = Lambda::router(&[]).await;
    for message in [
        "The provided model identifier is invalid.",
        "This model doesn't support tool use.",
    ] {
        lambda.bedrock.faults.clear();
        let (model, error) = ("haiku".into(), Some("ValidationException".into()));
        lambda.bedrock.faults.add(Fault {
            model,
            error,
            message: Some(message.into()),
            ..Fault::default()
        });
        let (status, body) = lambda
            .post("/invoke", r#"{"prompt": "Classify: good"}"#)
            .await;
        assert_eq!(
            (status, &body["routing"]["modelId"]),
            (200, &json!("us.openai.gpt-6-luna")),
            "{body}"
        );
    }
}

#[tokio::test]
async fn of_several_faults_the_one_that_passes_is_told() {
    let lambda = Lambda::router(&[]).await;
    lambda.fail("haiku", "ThrottlingException", None);
    lambda.fail("", "AccessDeniedException", None);
    let (status, body) = lambda
        .post("/invoke", r#"{"prompt": "Classify: good"}"#)
        .await;
    assert_eq!(
        (status, &body["retryAfterSeconds"]),
        (429, &json!(5)),
        "{body}"
    );
    assert_eq!(body["attempts"].as_array().unwrap().len(), 11);
}

#[tokio::test]
async fn time_runs_out_for_the_caller_before_it_does_for_lambda() {
    let lambda = Lambda::router(&[]).await;
    lambda.bedrock.faults.add(Fault {
        latency_ms: 60_000,
        ..Fault::default()
    });
    let (status, body) = lambda
        .post("/invoke", r#"{"prompt": "hi", "timeoutMs": 100}"#)
        .await;
    assert_eq!(
        (status, &body["type"]),
        (504, &json!("urn:bedrock-router:problem:timed-out")),
        "{body}"
    );
}

#[tokio::test]
async fn a_tool_loop_goes_on_without_its_tools() {
    let lambda = Lambda::router(&[]).await;
    let call = json!({ "toolUse": { "toolUseId": "1", "name": "clock", "input": {} } });
    let result = json!({ "toolResult": { "toolUseId": "1", "content": [{ "text": "noon" }] } });
    let body = json!({ "messages": [
        { "role": "user", "content": "What time is it?" },
        { "role": "assistant", "content": [call] },
        { "role": "user", "content": [result] },
    ] });
    let (status, body) = lambda.post("/invoke", &body.to_string()).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        body["warnings"],
        json!(["toolConfig supplied for the tools of the conversation: clock"])
    );
}

#[tokio::test]
async fn an_empty_answer_is_explained() {
    let lambda = Lambda::router(&[]).await;
    let body = r#"{"prompt": "hi", "model": "opus", "inferenceConfig": {"maxTokens": 10}}"#;
    let (status, body) = lambda.post("/invoke", body).await;
    assert_eq!(
        (status, &body["text"], &body["stopReason"]),
        (200, &json!(""), &json!("max_tokens"))
    );
    let warning = "the answer was cut at maxTokens 10; thinking counts against it";
    assert!(
        body["warnings"]
            .as_array()
            .unwrap()
            .contains(&Value::from(warning)),
        "{body}"
    );
}
