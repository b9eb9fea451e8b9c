//! The OpenAPI document: what it shows works.

use serde_json::Value;

use crate::lambda::{Lambda, answer, event};

#[tokio::test]
async fn every_example_in_the_document_is_answered() {
    let lambda = Lambda::router(&[]).await;
    let embeddings = Lambda::embeddings(&[]).await;
    let (status, document) = answer(&lambda.invoke(&event("openapi-rest")).await);
    assert_eq!((status, document["openapi"].as_str()), (200, Some("3.1.0")));
    let mut seen = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let content = &item["post"]["requestBody"]["content"]["application/json"];
        for (name, example) in content["examples"].as_object().into_iter().flatten() {
            let lambda = if path.contains("embeddings") {
                &embeddings
            } else {
                &lambda
            };
            let path = path.replace("{modelId}", "auto");
            let (status, answer) = lambda.post(&path, &example["value"].to_string()).await;
            assert_eq!(status, 200, "{path} {name}: {answer}");
            seen += 1;
        }
    }
    assert!(seen > 7, "{seen}");
}

#[tokio::test]
async fn every_field_of_an_answer_is_in_the_document() {
    let lambda = Lambda::router(&[]).await;
    let (_, document) = answer(&lambda.invoke(&event("openapi-rest")).await);
    let (_, said) = lambda.post("/invoke", r#"{"prompt": "x", "guardrailConfig": {"guardrailIdentifier": "a", "guardrailVersion": "1"}}"#).await;
    let mut done = said.clone();
    for elsewhere in ["text", "output", "routing"] {
        assert!(done.as_object_mut().unwrap().remove(elsewhere).is_some());
    }
    for (name, value) in [
        ("Done", &done),
        ("Routing", &said["routing"]),
        ("Usage", &said["usage"]),
        ("Cost", &said["cost"]),
    ] {
        let known = document["components"]["schemas"][name]["properties"]
            .as_object()
            .unwrap();
        let missing: Vec<_> = value
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| !known.contains_key(*key))
            .collect();
        assert!(missing.is_empty(), "{name} lacks {missing:?}");
    }
    assert!(said["guardrail"] != Value::Null);
}
