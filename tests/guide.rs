//! Everything that the guide shows works.

use serde_json::json;

use crate::lambda::Lambda;

/// The guide's text model ids, with the id that answers today.
const TEXT_MODELS: [(&str, &str, bool); 7] = [
    (
        "anthropic.claude-3-5-sonnet-20240620-v1:0",
        "us.anthropic.claude-sonnet-5-5",
        false,
    ),
    (
        "anthropic.claude-3-haiku-20240307-v1:0",
        "us.anthropic.claude-haiku-5-5",
        false,
    ),
    (
        "anthropic.claude-3-opus-20240229-v1:0",
        "us.anthropic.claude-opus-5-5",
        false,
    ),
    (
        "amazon.titan-text-express-v1",
        "amazon.nova-lite-v1:0",
        false,
    ),
    (
        "meta.llama3-70b-instruct-v1:0",
        "meta.llama3-70b-instruct-v1:0",
        true,
    ),
    (
        "meta.llama3-8b-instruct-v1:0",
        "meta.llama3-8b-instruct-v1:0",
        true,
    ),
    ("cohere.command-r-plus-v1:0", "amazon.nova-pro-v1:0", false),
];

#[tokio::test]
async fn living_models_answer_and_dead_ones_are_succeeded() {
    let lambda = Lambda::router(&[]).await;
    for (id, answering, alive) in TEXT_MODELS {
        let request = json!({ "prompt": "Explain tides", "model": id, "inferenceConfig": { "temperature": 0.5 } });
        let (status, body) = lambda.post("/invoke", &request.to_string()).await;
        assert_eq!(
            (status, &body["routing"]["modelId"]),
            (200, &json!(answering)),
            "{body}"
        );
        let warning = body["warnings"][0].as_str().unwrap_or_default();
        assert_eq!(warning.contains("answers in its place"), !alive, "{body}");
    }
}

#[tokio::test]
async fn a_strict_caller_is_told_that_a_model_is_gone() {
    let lambda = Lambda::router(&[]).await;
    for (id, _, alive) in TEXT_MODELS {
        let request = json!({ "prompt": "Explain tides", "model": id, "strictModel": true });
        let (status, body) = lambda.post("/invoke", &request.to_string()).await;
        assert_eq!(status, if alive { 200 } else { 410 }, "{body}");
        assert!(alive || body["successor"].is_string(), "{body}");
    }
}

#[tokio::test]
async fn the_routers_three_examples_go_where_its_comments_say() {
    let lambda = Lambda::router(&[]).await;
    for (prompt, tier, model) in [
        (
            "Classify this as positive or negative: 'Great product!'",
            "simple",
            "claude-haiku-5-5",
        ),
        (
            "Explain the pros and cons of using serverless architecture for a web application.",
            "medium",
            "claude-sonnet-5-5",
        ),
        (
            "Design a complete CI/CD pipeline architecture for a microservices application...",
            "complex",
            "claude-opus-5-5",
        ),
    ] {
        let (_, body) = lambda
            .post("/route", &json!({ "prompt": prompt }).to_string())
            .await;
        assert_eq!(
            (&body["tier"], &body["model"]),
            (&json!(tier), &json!(model)),
            "{body}"
        );
    }
}
