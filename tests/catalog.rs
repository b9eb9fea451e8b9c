//! `GET /models`, `GET /models/{id}` and `POST /estimate`.

use serde_json::{Value, json};

use crate::lambda::{Lambda, answer, event};

async fn get(lambda: &Lambda, path: &str, query: &str) -> (u16, Value) {
    let mut event: Value = serde_json::from_str(&event("models-http")).unwrap();
    event["rawPath"] = path.into();
    event["rawQueryString"] = query.into();
    answer(&lambda.invoke(&event.to_string()).await)
}

fn models(body: &Value) -> &[Value] {
    body["models"].as_array().unwrap()
}

#[tokio::test]
async fn the_list_passes_filters() {
    let lambda = Lambda::router(&[]).await;
    let (_, all) = get(&lambda, "/models", "").await;
    assert_eq!(
        models(&all).len(),
        shared::catalog::Catalog::built_in().models.len()
    );
    for (query, check) in [
        ("provider=anthropic", ("provider", json!("Anthropic"))),
        ("kind=rerank", ("kind", json!("rerank"))),
        ("kind=imageEdit", ("kind", json!("imageEdit"))),
    ] {
        let (_, some) = get(&lambda, "/models", query).await;
        assert!(
            !models(&some).is_empty() && models(&some).len() < models(&all).len(),
            "{query}"
        );
        assert!(
            models(&some).iter().all(|model| model[check.0] == check.1),
            "{query}"
        );
    }
    let (_, dead) = get(&lambda, "/models", "alive=false&provider=Cohere").await;
    assert!(
        models(&dead)
            .iter()
            .any(|model| model["id"] == "cohere.command-r-plus-v1:0")
    );
    assert!(
        models(&dead)
            .iter()
            .all(|model| model["invokedAs"].is_null() && model["lifecycle"]["alive"] == false)
    );
    let (_, tier) = get(&lambda, "/models", "tier=simple").await;
    assert!(
        models(&tier)
            .iter()
            .any(|model| model["name"] == "claude-haiku-5-5")
    );
    let (_, here) = get(&lambda, "/models", "region=us-east-1").await;
    assert!(
        models(&here)
            .iter()
            .all(|model| model["lifecycle"]["alive"] == true)
    );
    let (_, tokyo) = get(
        &lambda,
        "/models",
        "region=ap-northeast-1&provider=anthropic",
    )
    .await;
    assert!(
        models(&tokyo)
            .iter()
            .any(|model| model["invokedAs"] == "jp.anthropic.claude-haiku-5-5")
    );
}

#[tokio::test]
async fn a_wrong_filter_is_named() {
    let lambda = Lambda::router(&[]).await;
    for query in ["color=red", "alive=perhaps", "tier=huge"] {
        let (status, problem) = get(&lambda, "/models", query).await;
        assert_eq!(
            (status, &problem["field"]),
            (400, &json!("query")),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn one_model_is_found_by_any_of_its_names() {
    let lambda = Lambda::router(&[]).await;
    for name in [
        "claude-opus",
        "us.anthropic.claude-opus-5-5",
        "Claude-Opus-5.5",
    ] {
        let (status, model) = get(&lambda, &format!("/models/{name}"), "").await;
        assert_eq!(
            (status, &model["id"]),
            (200, &json!("anthropic.claude-opus-5-5")),
            "{name}"
        );
        assert_eq!(model["invokedAs"], "us.anthropic.claude-opus-5-5");
    }
    let (_, llama) = get(&lambda, "/models/llama3-70b", "").await;
    assert!(
        llama["daysLeft"].as_i64().unwrap() < 365 && llama["successor"].is_string(),
        "{llama}"
    );
    assert_eq!(get(&lambda, "/models/%ff", "").await.0, 404);
    let (status, problem) = get(&lambda, "/models/claude-opsu", "").await;
    assert_eq!(status, 404);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean claude-opus"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_model_is_shown_with_prices_to_the_last_digit() {
    let lambda = Lambda::router(&[]).await;
    let response = lambda.invoke(&event("model-rest")).await;
    let body = response["body"].as_str().unwrap();
    assert!(
        body.contains(r#""usdPerMillionTokens":{"input":0.06,"output":0.24,"cacheRead":0.015}"#),
        "{body}"
    );
    assert!(
        body.contains(r#""strengths":"Amazon's cheap multimodal model"#),
        "{body}"
    );
}

#[tokio::test]
async fn the_guides_six_totals_are_exact() {
    let lambda = Lambda::router(&[]).await;
    let response = lambda.invoke(&event("estimate-rest")).await;
    let (_, body) = answer(&response);
    let estimates = body["estimates"].as_array().unwrap().iter();
    let totals: Vec<_> = estimates
        .map(|e| (e["model"].as_str().unwrap(), e["totalUsd"].to_string()))
        .collect();
    let expected = [
        ("titan-text-express", "0.5"),
        ("llama3-8b-instruct", "0.6"),
        ("claude-3-haiku", "0.875"),
        ("llama3-70b-instruct", "4.4"),
        ("claude-3-5-sonnet", "10.5"),
        ("claude-3-opus", "52.5"),
    ];
    assert_eq!(totals, expected.map(|(model, usd)| (model, usd.to_owned())));
    assert!(
        body["estimates"][2]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("end of life"),
        "{body}"
    );
}

#[tokio::test]
async fn an_estimate_is_priced_by_what_would_be_invoked_or_is_asked_for() {
    let lambda = Lambda::router(&[]).await;
    let total = async |body: Value| {
        let (status, body) = lambda.post("/estimate", &body.to_string()).await;
        assert_eq!(status, 200, "{body}");
        body["estimates"][0].clone()
    };
    let volume = json!({ "models": ["opus"], "inputTokens": 1_000_000, "outputTokens": 0 });
    let here = total(volume.clone()).await;
    assert_eq!(
        (&here["modelId"], &here["totalUsd"]),
        (&json!("us.anthropic.claude-opus-5-5"), &json!(4.4))
    );
    let mut global = volume;
    global["scope"] = "global".into();
    let global = total(global).await;
    assert_eq!(
        (&global["totalUsd"], &global["modelId"]),
        (&json!(4), &json!("global.anthropic.claude-opus-5-5"))
    );
    assert_eq!(
        global["warnings"],
        json!(["DATA_RESIDENCY does not allow the scope global"])
    );
    // A volume is no request: a long context costs more only where one request has it.
    let volume = json!({ "models": ["us.anthropic.claude-haiku-5-5"], "inputTokens": 200_000, "outputTokens": 0 });
    assert_eq!(total(volume).await["totalUsd"], json!(0.022));
    let request =
        json!({ "models": ["claude-haiku"], "prompt": "x".repeat(800_000), "outputTokens": 0 });
    assert_eq!(total(request).await["totalUsd"], json!(0.08052055));
    // What is expected of an answer includes thinking, where a model thinks.
    let thinks = total(json!({ "models": ["opus"], "prompt": "Explain tides" })).await;
    let does_not = total(json!({ "models": ["nova-lite"], "prompt": "Explain tides" })).await;
    assert_eq!(
        (&thinks["outputTokens"], &does_not["outputTokens"]),
        (&json!(1300), &json!(500))
    );
    let image = total(json!({ "models": ["sd3.5-large"], "scope": "in-region" })).await;
    assert_eq!(
        (&image["totalUsd"], &image["warnings"][1]),
        (&Value::Null, &json!("an image costs 0.08 USD")),
        "{image}"
    );
    let rerank = total(json!({ "models": ["cohere-rerank"] })).await;
    assert_eq!(
        (&rerank["totalUsd"], &rerank["warnings"][0]),
        (&Value::Null, &json!("a query costs 0.002 USD")),
        "{rerank}"
    );
    let gone = total(json!({ "models": ["us.anthropic.claude-3-haiku-20240307-v1:0"] })).await;
    assert_eq!(
        (&gone["totalUsd"], &gone["scope"]),
        (&json!(0.875), &json!("in-region")),
        "{gone}"
    );
    let long = total(json!({ "models": ["llama3-8b"], "prompt": "x".repeat(80_000) })).await;
    assert_eq!(
        long["warnings"][0], "14761 tokens are more than its context of 8192",
        "{long}"
    );
}

#[tokio::test]
async fn a_wrong_estimate_is_explained() {
    let lambda = Lambda::router(&[]).await;
    for (body, field) in [
        (json!({ "models": ["opus", "nope"] }), "models[1]"),
        (json!({ "prompt": "x", "inputTokens": 1 }), "inputTokens"),
        (json!({ "inputTokens": -1 }), "inputTokens"),
        (json!({ "model": "opus" }), "model"),
        (json!({ "scope": "zz" }), "scope"),
        (json!({ "scope": "Not a scope" }), "scope"),
    ] {
        let (status, problem) = lambda.post("/estimate", &body.to_string()).await;
        assert_eq!(
            (status, &problem["field"]),
            (400, &json!(field)),
            "{problem}"
        );
    }
}
