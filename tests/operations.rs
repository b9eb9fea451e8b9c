//! What an operator sets and sees: metrics, logs, limits, the pause switch, a broken configuration.

use std::process::Command;

use serde_json::{Value, json};

use crate::lambda::{Lambda, event};

#[tokio::test]
async fn a_call_leaves_one_metric_line_before_it_is_answered() {
    let lambda = Lambda::router(&[("METRICS_NAMESPACE", "Ns")]).await;
    lambda.invoke(&event("invoke-rest")).await;
    let lines = settled(&lambda, 1).await;
    let line = &lines[0];
    assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "Ns");
    assert_eq!(
        line["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
        json!([[], ["ModelId"]])
    );
    assert_eq!(
        (&line["ModelId"], &line["InputTokens"]),
        (&json!("us.anthropic.claude-haiku-5-5"), &json!(11))
    );
    assert_eq!(
        (&line["requestId"], &line["caller"]),
        (
            &json!("request-1"),
            &json!("arn:aws:iam::123456789012:user/example")
        )
    );
    assert!(line["DecisionTime"].is_number() && line["Cost"].is_number());
    assert!(line["timestamp"].is_string() && line["level"] == "INFO");
}

#[tokio::test]
async fn a_caller_cannot_make_up_metrics() {
    let lambda = Lambda::router(&[]).await;
    let arn = "arn:aws:bedrock:us-east-1:1:application-inference-profile/made-up";
    lambda
        .post(
            "/invoke",
            &json!({ "prompt": "x", "model": arn }).to_string(),
        )
        .await;
    assert_eq!(settled(&lambda, 1).await[0]["ModelId"], "unlisted");
}

#[tokio::test]
async fn nobodys_prompt_is_in_the_log_at_any_level() {
    let lambda = Lambda::router(&[("LOG_LEVEL", "TRACE")]).await;
    let secret = "xyzzy-4711";
    for body in [
        json!({ "prompt": secret }),
        json!({ "prompt": secret, "model": "mistral-7b", "system": secret }),
        json!({ "messages": [{ "role": "user", "content": [{ "text": secret }, { "tex": secret }] }] }),
    ] {
        lambda.post("/invoke", &body.to_string()).await;
    }
    settled(&lambda, 3).await;
    assert!(!lambda.output().contains(secret), "{}", lambda.output());
}

#[tokio::test]
async fn a_paused_router_decides_but_does_not_ask() {
    let lambda = Lambda::router(&[("PAUSED", "true")]).await;
    let (status, problem) = lambda.post("/invoke", r#"{"prompt": "hi"}"#).await;
    assert_eq!(
        (status, &problem["title"]),
        (503, &json!("Calls are paused"))
    );
    assert_eq!(lambda.post("/route", r#"{"prompt": "hi"}"#).await.0, 200);
    assert_eq!(lambda.bedrock.requests(), 0);
}

#[tokio::test]
async fn an_operators_limits_hold_for_every_call() {
    let limits = [
        ("MAX_TOKENS", "50"),
        ("DISABLED_MODELS", "claude-haiku-5-5"),
        ("DATA_RESIDENCY", "global"),
    ];
    let lambda = Lambda::router(&limits).await;
    let body = r#"{"prompt": "Classify: good", "inferenceConfig": {"maxTokens": 5000}}"#;
    let (_, body) = lambda.post("/invoke", body).await;
    assert_eq!(body["routing"]["modelId"], "global.openai.gpt-6-luna");
    assert_eq!(body["routing"]["maxTokens"], 50);
}

#[tokio::test]
async fn a_base_path_is_taken_off() {
    let lambda = Lambda::router(&[("BASE_PATH", "/ai")]).await;
    assert_eq!(lambda.post("/ai/route", r#"{"prompt": "hi"}"#).await.0, 200);
    assert_eq!(lambda.post("/route", r#"{"prompt": "hi"}"#).await.0, 200);
}

#[test]
fn a_broken_configuration_ends_the_start_with_a_sentence() {
    let output = Command::new(env!("CARGO_BIN_EXE_router-under-test"))
        .env_clear()
        .envs([("AWS_REGION", "us-east-1"), ("MAX_TOKENS", "ten")])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains(r#"MAX_TOKENS=\"ten\" is not a whole number above zero"#),
        "{error}"
    );
}

/// The metric lines, once there are so many: the pipe may lag behind the answer.
async fn settled(lambda: &Lambda, lines: usize) -> Vec<Value> {
    let enough = async {
        while lambda.metrics().len() < lines {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), enough)
        .await
        .expect("the metric lines come");
    lambda.metrics()
}

#[tokio::test]
async fn health_lists_the_routes_of_all_functions() {
    let lambda = Lambda::router(&[]).await;
    let (_, health) = crate::lambda::answer(&lambda.invoke(&event("health-rest")).await);
    let routes: Vec<_> = local::stack::routes().collect();
    assert_eq!(health["routes"], json!(routes));
}
