//! Bad input gets a 4xx that says what is wrong: never a panic, never a 500.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use local::bedrock::Bedrock;
use local::stack::{config, functions, simulate};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use shared::catalog::Catalog;
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::lambda::{Lambda, event};

#[tokio::test]
async fn what_is_wrong_is_named() {
    let lambda = Lambda::router(&[]).await;
    for (body, status, field, detail) in [
        ("", 400, "body", "the body is empty"),
        ("not json", 400, "body", "a JSON object"),
        ("[1]", 400, "body", "a JSON object"),
        ("{}", 400, "prompt", "give either prompt"),
        (
            r#"{"prompt": 5}"#,
            400,
            "prompt",
            "invalid type: integer `5`, expected a string",
        ),
        (r#"{"prompt": "  "}"#, 400, "prompt", "the prompt is blank"),
        (
            r#"{"prompt": "x", "messages": []}"#,
            400,
            "messages",
            "not both",
        ),
        (r#"{"messages": []}"#, 400, "messages", "at least one"),
        (
            r#"{"messages": [{"role": "assistant", "content": "x"}]}"#,
            400,
            "messages[0].role",
            "begins with a user message",
        ),
        (
            r#"{"messages": [{"role": "robot", "content": "x"}]}"#,
            400,
            "messages[0].role",
            "unknown variant `robot`",
        ),
        (
            r#"{"messages": [{"role": "user", "content": [{"text": 1}]}]}"#,
            400,
            "messages[0].content[0].text",
            "integer `1`",
        ),
        (
            r#"{"messages": [{"role": "user", "content": [{"text": ""}]}]}"#,
            400,
            "messages[0].content[0].text",
            "blank",
        ),
        (
            r#"{"prompt": "x", "promt": "y"}"#,
            400,
            "promt",
            "unknown field `promt`, expected one of `prompt`, `messages`",
        ),
        (
            r#"{"prompt": "x", "inferenceConfig": {"temperature": 3}}"#,
            400,
            "inferenceConfig.temperature",
            "between 0 and 1",
        ),
        (
            r#"{"prompt": "x", "inferenceConfig": {"maxTokens": 0}}"#,
            400,
            "inferenceConfig.maxTokens",
            "at least 1",
        ),
        (
            r#"{"prompt": "x", "inferenceConfig": {"maxTokens": -1}}"#,
            400,
            "inferenceConfig.maxTokens",
            "expected a whole number",
        ),
        (
            r#"{"prompt": "x", "maxCostUsd": 0}"#,
            400,
            "maxCostUsd",
            "above 0",
        ),
        (
            r#"{"prompt": "x", "maxCostUsd": "1"}"#,
            400,
            "maxCostUsd",
            "is not a decimal number",
        ),
        (
            r#"{"prompt": "x", "timeoutMs": 99}"#,
            400,
            "timeoutMs",
            "at least 100",
        ),
        (
            r#"{"prompt": "x", "budget": "cheap"}"#,
            400,
            "budget",
            "expected one of `lower-cost`, `balanced`, `best-quality`",
        ),
        (
            r#"{"prompt": "x", "task": "embedding"}"#,
            400,
            "task",
            "POST /embeddings",
        ),
        (
            r#"{"prompt": "x", "model": "gpt-nothing"}"#,
            400,
            "model",
            "no model is known as \"gpt-nothing\"",
        ),
        (
            r#"{"prompt": "x", "model": "titan-embed-v2"}"#,
            422,
            "",
            "does embedding, not text",
        ),
    ] {
        let (got, problem) = lambda.post("/invoke", body).await;
        assert_eq!(got, status, "{body}: {problem}");
        assert_eq!(
            problem["field"].as_str().unwrap_or_default(),
            field,
            "{body}: {problem}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains(detail),
            "{body}: {problem}"
        );
        assert!(
            problem["requestId"]
                .as_str()
                .unwrap()
                .starts_with("request-")
        );
    }
}

#[tokio::test]
async fn a_hostile_model_name_is_refused_and_not_echoed_whole() {
    let lambda = Lambda::router(&[]).await;
    for tail in [
        "x".repeat(70_000),
        "my secret prompt".into(),
        "é".repeat(2000),
    ] {
        let model = format!("arn:aws:bedrock:us-east-1:1:application-inference-profile/{tail}");
        let body = serde_json::json!({ "prompt": "x", "model": model }).to_string();
        let (status, problem) = lambda.post("/invoke", &body).await;
        assert_eq!(
            (status, &problem["field"]),
            (400, &"model".into()),
            "{problem}"
        );
        assert!(problem.to_string().len() < 1000);
    }
    let huge = format!(
        r#"{{"prompt": "x", "maxCostUsd": "{}"}}"#,
        "9".repeat(100_000)
    );
    let (status, problem) = lambda.post("/invoke", &huge).await;
    assert!(status == 400 && problem.to_string().len() < 2000);
    assert_eq!(lambda.bedrock.requests(), 0);
}

#[tokio::test]
async fn content_from_a_bucket_is_refused() {
    let lambda = Lambda::router(&[]).await;
    let image = r#"{"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}}"#;
    let body =
        format!(r#"{{"messages": [{{"role": "user", "content": [{{"text": "x"}}, {image}]}}]}}"#);
    let (status, problem) = lambda.post("/invoke", &body).await;
    assert_eq!(
        (status, &problem["field"]),
        (400, &"messages[0].content[1].image.source".into()),
        "{problem}"
    );
}

#[tokio::test]
async fn a_body_that_lambda_would_not_take_is_refused() {
    let lambda = Lambda::router(&[]).await;
    let body = format!(r#"{{"prompt": "{}"}}"#, "x".repeat(7 * 1024 * 1024));
    let (status, problem) = lambda.post("/invoke", &body).await;
    assert_eq!(
        (status, problem["title"].as_str().unwrap()),
        (413, "The request is too large")
    );
}

#[tokio::test]
async fn no_candidate_means_every_candidates_reason() {
    let lambda = Lambda::router(&[]).await;
    let (status, problem) = lambda
        .post(
            "/invoke",
            r#"{"prompt": "Classify: x", "maxCostUsd": 0.000000001}"#,
        )
        .await;
    let candidates = problem["candidates"].as_array().unwrap();
    assert_eq!((status, candidates.len()), (422, 9));
    assert!(
        candidates
            .iter()
            .all(|candidate| candidate["rejected"].is_string()),
        "{problem}"
    );
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let lambda = Lambda::router(&[]).await;
    let mut event: Value = serde_json::from_str(&crate::lambda::event("health-http")).unwrap();
    event["rawPath"] = "/invoke".into();
    let response = lambda.invoke(&event.to_string()).await;
    assert_eq!(
        (&response["statusCode"], &response["headers"]["allow"]),
        (&405.into(), &"POST".into()),
        "{response}"
    );
}

#[tokio::test]
async fn a_path_that_no_client_should_send_is_not_found() {
    let lambda = Lambda::router(&[]).await;
    for path in [
        "", "//", "/é", "/a\"<>b", "/%zz", "/a\nb", "/invoke/", "/Invoke",
    ] {
        let (status, problem) = lambda.post(path, "{}").await;
        assert_eq!(
            (status, &problem["title"]),
            (404, &"There is no such thing".into()),
            "{path}"
        );
    }
}

/// The functions as `cargo run` serves them, in this process.
async fn stack() -> Router {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = simulate(
        Arc::new(Bedrock::new(
            "us-east-1",
            Cow::Borrowed(Catalog::built_in()),
        )),
        listener,
    )
    .unwrap();
    functions(config(|_| None).unwrap(), client)
}

/// Bodies that are nearly right: the pieces of requests, cut and mixed.
fn nearly_json() -> impl Strategy<Value = String> {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"prompt\"",
        "\"messages\"",
        "\"model\"",
        "\"role\"",
        "\"content\"",
        "\"text\"",
        "\"user\"",
        "\"image\"",
        "\"system\"",
        "\"inferenceConfig\"",
        "\"maxTokens\"",
        "\"maxCostUsd\"",
        "null",
        "1e999",
        "-0",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"Design\"",
        "true",
        "\"us.x\"",
        "\"arn:aws:\"",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..24)
        .prop_map(|pieces| pieces.concat())
}

#[test]
fn any_bytes_are_answered_and_never_with_a_500() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stack = runtime.block_on(stack());
    let status = |path: &str, body: Vec<u8>| {
        let request = Request::post(path).body(Body::from(body)).unwrap();
        runtime.block_on(async {
            let response = stack.clone().oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            to_bytes(response.into_body(), usize::MAX).await.unwrap();
            status
        })
    };
    let bodies = prop_oneof![
        nearly_json().prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..64)
    ];
    let mut runner = TestRunner::default();
    let result = runner.run(&(bodies, proptest::bool::ANY), |(body, only_route)| {
        let status = status(if only_route { "/route" } else { "/invoke" }, body);
        prop_assert!((200..500).contains(&status), "{status}");
        Ok(())
    });
    result.unwrap();
}

#[test]
fn any_prompt_and_model_name_is_answered() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stack = runtime.block_on(stack());
    let mut runner = TestRunner::default();
    let result = runner.run(
        &("\\PC{1,200}", "[a-z0-9.:/_-]{0,40}"),
        |(prompt, model)| {
            let body = serde_json::json!({ "prompt": prompt, "model": model }).to_string();
            let request = Request::post("/invoke").body(Body::from(body)).unwrap();
            let response = runtime.block_on(stack.clone().oneshot(request)).unwrap();
            prop_assert!(response.status().as_u16() < 500);
            Ok(())
        },
    );
    result.unwrap();
}

#[tokio::test]
async fn browsers_of_named_sites_may_ask_and_others_may_not() {
    let preflight = |origin: &str| {
        let mut event: Value = serde_json::from_str(&event("invoke-rest")).unwrap();
        event["httpMethod"] = json!("OPTIONS");
        event["requestContext"]["httpMethod"] = json!("OPTIONS");
        event["body"] = Value::Null;
        event["headers"] = json!({ "origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization" });
        event["multiValueHeaders"] = json!({});
        event.to_string()
    };
    let header = |answer: &Value, name: &str| {
        answer["multiValueHeaders"][name][0]
            .as_str()
            .map(str::to_owned)
    };
    let lambda = Lambda::router(&[("CORS_ORIGIN", "https://a.example, https://b.example")]).await;
    let answer = lambda.invoke(&preflight("https://b.example")).await;
    assert_eq!(answer["statusCode"], 200);
    assert_eq!(
        header(&answer, "access-control-allow-origin").as_deref(),
        Some("https://b.example"),
        "{answer}"
    );
    assert_eq!(
        header(&answer, "access-control-allow-headers").as_deref(),
        Some("authorization"),
        "{answer}"
    );
    let answer = lambda.invoke(&preflight("https://evil.example")).await;
    assert_eq!(
        header(&answer, "access-control-allow-origin"),
        None,
        "{answer}"
    );
    let mut asked: Value = serde_json::from_str(&event("invoke-rest")).unwrap();
    asked["multiValueHeaders"]["origin"] = json!(["https://a.example"]);
    asked["headers"]["origin"] = json!("https://a.example");
    let answer = lambda.invoke(&asked.to_string()).await;
    assert_eq!(
        (
            &answer["statusCode"],
            header(&answer, "access-control-allow-origin").as_deref()
        ),
        (&json!(200), Some("https://a.example"))
    );
    // Without the setting there is no such thing.
    let lambda = Lambda::router(&[]).await;
    let answer = lambda.invoke(&preflight("https://a.example")).await;
    assert_eq!(
        (
            &answer["statusCode"],
            header(&answer, "access-control-allow-origin")
        ),
        (&json!(405), None)
    );
}
