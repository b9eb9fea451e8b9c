//! `POST /rerank`.

use serde_json::{Value, json};

use crate::lambda::Lambda;

async fn rerank(lambda: &Lambda, body: Value) -> (u16, Value) {
    lambda.post("/rerank", &body.to_string()).await
}

fn question() -> Value {
    json!({
        "query": "monitoring a kubernetes cluster",
        "documents": ["Best Italian restaurants nearby", "How to monitor Kubernetes clusters", "Configure Kubernetes probes"]
    })
}

#[tokio::test]
async fn documents_come_by_relevance_from_whichever_model_is_near() {
    for (region, id, here, cost) in [
        ("us-east-1", "cohere.rerank-v3-5:0", "us-east-1", "0.002"),
        ("us-west-2", "amazon.rerank-v1:0", "us-west-2", "0.001"),
        ("us-east-2", "amazon.rerank-v1:0", "us-west-2", "0.001"),
    ] {
        let lambda = Lambda::router(&[("AWS_REGION", region)]).await;
        let (status, body) = rerank(&lambda, question()).await;
        assert_eq!(
            (status, &body["modelId"], &body["region"]),
            (200, &json!(id), &json!(here)),
            "{body}"
        );
        let order: Vec<_> = body["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["index"].as_u64().unwrap())
            .collect();
        assert_eq!(order, [1, 2, 0], "{body}");
        assert_eq!(
            (
                body["cost"]["totalUsd"].to_string().as_str(),
                &body["usage"]
            ),
            (cost, &json!({ "queries": 1 }))
        );
        let sent = lambda.sent().pop().unwrap();
        assert_eq!(
            sent["api_version"],
            if id.starts_with("cohere") {
                json!(2)
            } else {
                Value::Null
            }
        );
    }
}

#[tokio::test]
async fn only_the_best_come_if_only_they_are_wanted() {
    let lambda = Lambda::router(&[]).await;
    let mut body = question();
    body["topN"] = 1.into();
    body["model"] = "amazon.rerank-v1:0".into();
    let (status, body) = rerank(&lambda, body).await;
    assert_eq!(
        (
            status,
            body["results"].as_array().unwrap().len(),
            &body["region"]
        ),
        (200, 1, &json!("us-west-2")),
        "{body}"
    );
}

#[tokio::test]
async fn limits_faults_and_replies_that_do_not_fit() {
    let lambda = Lambda::router(&[]).await;
    for (body, status, field) in [
        (json!({ "query": " ", "documents": ["a"] }), 400, "query"),
        (json!({ "query": "a", "documents": [] }), 400, "documents"),
        (
            json!({ "query": "a", "documents": ["a", ""] }),
            400,
            "documents[1]",
        ),
        (
            json!({ "query": "a", "documents": vec!["a"; 1001] }),
            400,
            "documents",
        ),
        (
            json!({ "query": "a", "documents": ["a"], "topN": 0 }),
            400,
            "topN",
        ),
        (
            json!({ "query": "a", "documents": ["a"], "maxCostUsd": 0.0001 }),
            422,
            "",
        ),
        (
            json!({ "query": "a", "documents": ["a"], "model": "opus" }),
            400,
            "model",
        ),
    ] {
        let (got, problem) = rerank(&lambda, body.clone()).await;
        assert_eq!(
            (got, problem["field"].as_str().unwrap_or_default()),
            (status, field),
            "{body}: {problem}"
        );
    }
    assert_eq!(lambda.bedrock.requests(), 0);
    lambda.fail("cohere", "ThrottlingException", None);
    let (status, body) = rerank(&lambda, question()).await;
    assert_eq!(status, 200, "{body}");
    assert!(
        body["warnings"][0].as_str().unwrap().contains("throttled"),
        "{body}"
    );
    lambda.reply(r#"{"results": [{"index": 9, "relevance_score": 1}]}"#);
    assert_eq!(rerank(&lambda, question()).await.0, 502);
}
