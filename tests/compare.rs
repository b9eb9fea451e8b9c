//! `POST /compare` through the real bootstrap: at once, in the order of the request, exact, one failure among answers.

use std::time::Instant;

use local::bedrock::faults::{Breaks, Fault};
use serde_json::{Value, json};

use crate::lambda::{Lambda, answer, event};

const EIGHT: [&str; 8] = [
    "claude-haiku",
    "claude-sonnet",
    "claude-opus",
    "nova-micro",
    "nova-lite",
    "nova-pro",
    "qwen3-32b",
    "gpt-oss-20b",
];

async fn compare(lambda: &Lambda, body: Value) -> (u16, Value) {
    lambda.post("/compare", &body.to_string()).await
}

/// Whole pico-dollars.
fn pico(number: &Value) -> i128 {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "rounded, and far from any limit"
    )]
    let pico = (number.as_f64().unwrap() * 1e12).round() as i128;
    pico
}

#[tokio::test]
async fn eight_models_take_as_long_as_the_slowest_and_one_failure_spoils_nothing() {
    let lambda = Lambda::router(&[]).await;
    lambda.bedrock.faults.add(Fault {
        latency_ms: 600,
        ..Fault::default()
    });
    let began = Instant::now();
    let (status, said) = compare(&lambda, json!({ "prompt": "x", "models": EIGHT })).await;
    let took = began.elapsed().as_millis();
    assert_eq!(
        (status, &said["totals"]["answered"]),
        (200, &json!(8)),
        "{said}"
    );
    assert!((600..2 * 600).contains(&took), "{took} ms");
    lambda.bedrock.faults.clear();
    lambda.fail("nova-lite", "AccessDeniedException", None);
    let (status, said) = compare(&lambda, json!({ "prompt": "x", "models": EIGHT })).await;
    let results = said["results"].as_array().unwrap();
    let names: Vec<_> = results
        .iter()
        .map(|result| result["name"].as_str().unwrap())
        .collect();
    assert_eq!((status, names.as_slice()), (200, &EIGHT[..]));
    let failed: Vec<_> = results
        .iter()
        .filter(|result| result["error"].is_object())
        .collect();
    assert_eq!(
        (
            failed.len(),
            &failed[0]["name"],
            &failed[0]["error"]["status"]
        ),
        (1, &json!("nova-lite"), &json!(403))
    );
    assert_eq!(
        (&said["totals"]["answered"], &said["totals"]["failed"]),
        (&json!(7), &json!(1))
    );
    let costs = results
        .iter()
        .filter(|result| result["cost"].is_object())
        .map(|result| pico(&result["cost"]["totalUsd"]));
    assert_eq!(costs.sum::<i128>(), pico(&said["totals"]["costUsd"]));
    let ranked = |names: &Value, number: fn(&Value) -> i128| {
        let find = |name: &Value| {
            results
                .iter()
                .find(|result| result["name"] == *name)
                .unwrap()
        };
        let numbers: Vec<_> = names
            .as_array()
            .unwrap()
            .iter()
            .map(|name| number(find(name)))
            .collect();
        assert_eq!(numbers.len(), 7);
        assert!(numbers.is_sorted(), "{numbers:?}");
    };
    ranked(&said["byCost"], |result| pico(&result["cost"]["totalUsd"]));
    ranked(&said["byLatency"], |result| {
        result["latencyMs"].as_i64().unwrap().into()
    });
    // Each model has its own line of metrics.
    assert_eq!(lambda.metrics().len(), 16);
    assert!(
        lambda
            .metrics()
            .iter()
            .all(|record| record["route"] == "/compare" && record["ModelId"].is_string())
    );
}

#[tokio::test]
async fn models_come_by_name_by_group_or_as_the_guide_has_them() {
    let lambda = Lambda::router(&[]).await;
    let answering = |said: &Value| -> Vec<String> {
        said["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|result| result["modelId"].as_str().unwrap().to_owned())
            .collect()
    };
    let (_, said) = compare(&lambda, json!({ "prompt": "x" })).await;
    assert_eq!(
        answering(&said),
        [
            "us.anthropic.claude-sonnet-5-5",
            "meta.llama3-70b-instruct-v1:0",
            "amazon.nova-lite-v1:0",
            "us.anthropic.claude-haiku-5-5"
        ]
    );
    assert!(
        said["results"][0]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("answers in its place")
    );
    let (_, said) = compare(
        &lambda,
        json!({ "prompt": "x", "models": ["tiers", "haiku", "cheapest:2"] }),
    )
    .await;
    assert_eq!(
        answering(&said),
        [
            "us.anthropic.claude-haiku-5-5",
            "us.anthropic.claude-sonnet-5-5",
            "us.anthropic.claude-opus-5-5",
            "amazon.nova-micro-v1:0",
            "mistral.ministral-3-8b-instruct"
        ]
    );
    let image =
        json!({ "image": { "format": "png", "source": { "bytes": crate::families::PIXEL } } });
    let seen = json!({ "messages": [{ "role": "user", "content": [{ "text": "x" }, image] }], "models": ["cheapest:1"] });
    let (status, said) = compare(&lambda, seen).await;
    assert_eq!(
        (status, &said["results"][0]["modelId"]),
        (200, &json!("amazon.nova-lite-v1:0")),
        "{said}"
    );
    for (models, field) in [
        (json!([]), "models"),
        (json!(["nope"]), "models[0]"),
        (json!(["opus", "cheapest:0"]), "models[1]"),
        (json!(["cheapest:x"]), "models[0]"),
        (json!(["cheapest:20", "opus", "claude-3-haiku"]), "models"),
    ] {
        let (status, said) = compare(&lambda, json!({ "prompt": "x", "models": models })).await;
        assert_eq!(
            (status, said["field"].as_str()),
            (400, Some(field)),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_comparison_is_json_a_table_or_rows() {
    let lambda = Lambda::router(&[]).await;
    lambda.fail("nova-micro", "ModelErrorException", None);
    let mut event: Value = serde_json::from_str(&event("compare-rest")).unwrap();
    let body = json!({ "prompt": "a \"b\", c", "models": ["claude-haiku", "nova-micro"] });
    event["body"] = body.to_string().into();
    for (accept, kind) in [
        ("text/plain", "text/plain; charset=utf-8"),
        ("text/csv;q=0.9, */*", "text/csv; charset=utf-8"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/csv;q=0, */*", "application/json"),
    ] {
        event["headers"]["Accept"] = accept.into();
        event["multiValueHeaders"]["Accept"] = json!([accept]);
        let said = lambda.invoke(&event.to_string()).await;
        assert_eq!(said["multiValueHeaders"]["content-type"][0], kind);
        let text = said["body"].as_str().unwrap();
        let lines: Vec<_> = text.lines().collect();
        if kind == "application/json" {
            assert!(text.starts_with('{'), "{text}");
        } else if accept == "text/plain" {
            assert!(
                lines[0].starts_with("Model")
                    && lines[2].starts_with("claude-haiku")
                    && lines[3].contains("ERROR: "),
                "{text}"
            );
        } else {
            assert!(
                lines[0].starts_with("name,modelId,latencyMs")
                    && lines[1].contains("“a \"\"b\"\", c …”"),
                "{text}"
            );
        }
    }
    let mut body = body;
    body["stream"] = true.into();
    let text = lambda.post_for_text("/compare", &body.to_string()).await;
    let names: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    assert_eq!(names, ["result", "result", "done"]);
    assert_eq!(answer(&lambda.invoke(&event.to_string()).await).0, 200);
}

#[tokio::test]
async fn what_broke_off_is_counted_and_each_id_asked_once() {
    let lambda = Lambda::router(&[]).await;
    lambda.bedrock.faults.add(Fault {
        model: "haiku".into(),
        breaks: Some(Breaks::Cut),
        after: Some(3),
        ..Fault::default()
    });
    let names = json!([
        "claude-haiku",
        "us.anthropic.claude-haiku-5-5",
        "claude-3-haiku",
        "nova-lite"
    ]);
    let (_, said) = compare(&lambda, json!({ "prompt": "x", "models": names })).await;
    let results = said["results"].as_array().unwrap();
    assert_eq!((results.len(), lambda.bedrock.requests()), (2, 2), "{said}");
    let costs = results
        .iter()
        .map(|result| pico(&result["cost"]["totalUsd"]));
    assert!(results[0]["error"].is_object() && results[0]["cost"].is_object());
    assert_eq!(costs.sum::<i128>(), pico(&said["totals"]["costUsd"]));
    let many = vec!["tiers"; 21];
    let (status, _) = compare(&lambda, json!({ "prompt": "x", "models": many })).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn the_deadline_is_that_of_all_together() {
    let lambda = Lambda::router(&[]).await;
    lambda.bedrock.faults.add(Fault {
        latency_ms: 3000,
        model: "opus".into(),
        ..Fault::default()
    });
    let began = Instant::now();
    let (status, said) = compare(
        &lambda,
        json!({ "prompt": "x", "models": ["opus", "haiku"], "timeoutMs": 500 }),
    )
    .await;
    assert!(began.elapsed().as_millis() < 2000);
    assert_eq!(
        (
            status,
            &said["results"][0]["error"]["status"],
            &said["results"][1]["error"]
        ),
        (200, &json!(504), &Value::Null)
    );
}
