//! `POST /embeddings` and its twin in OpenAI's dialect: N in, N out, in order, whatever the provider's batch rules.

use local::bedrock::faults::Fault;
use serde_json::{Value, json};

use crate::lambda::{Lambda, answer, event};

/// A white pixel.
pub(crate) const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// The head of a PNG of 3,000 by 2 pixels.
const WIDE: &str = "iVBORw0KGgoAAAANSUhEUgAAC7gAAAACCAIAAABHIQbHAAAAAAAAAAAAAAAA";

const STREAM: (&str, &str) = ("RESPONSE_MODE", "stream");

async fn embed(lambda: &Lambda, body: Value) -> (u16, Value) {
    lambda.post("/embeddings", &body.to_string()).await
}

fn norm(vector: &Value) -> f64 {
    let values = vector.as_array().unwrap().iter();
    values
        .map(|value| value.as_f64().unwrap().powi(2))
        .sum::<f64>()
        .sqrt()
}

fn texts(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("text number {number} of many"))
        .collect()
}

#[tokio::test]
async fn the_guides_embedding_calls_work_with_its_own_ids_and_values() {
    let lambda = Lambda::embeddings(&[]).await;
    let titan = json!({
        "model": "amazon.titan-embed-text-v2:0", "texts": ["How to monitor Kubernetes clusters"], "dimensions": 512, "normalize": true
    });
    let (status, body) = embed(&lambda, titan).await;
    assert_eq!(
        (status, body["embeddings"][0].as_array().unwrap().len()),
        (200, 512),
        "{body}"
    );
    assert!((norm(&body["embeddings"][0]) - 1.0).abs() < 1e-3);
    let image = json!({ "model": "amazon.titan-embed-image-v1", "texts": ["A photo of a sunset over the ocean"] });
    let (status, body) = embed(&lambda, image).await;
    assert_eq!(
        (status, body["embeddings"][0].as_array().unwrap().len()),
        (200, 1024),
        "{body}"
    );
    let cohere = json!({
        "model": "cohere.embed-english-v3", "purpose": "document", "truncate": "end",
        "texts": ["How to set up monitoring alerts", "Configure Kubernetes probes", "Best Italian restaurants nearby"]
    });
    let (status, body) = embed(&lambda, cohere).await;
    assert_eq!(
        (
            status,
            body["embeddings"].as_array().unwrap().len(),
            &body["purpose"]
        ),
        (200, 3, &json!("document"))
    );
    let sent = lambda.sent();
    assert_eq!(
        sent.first().unwrap(),
        &json!({ "inputText": "How to monitor Kubernetes clusters", "dimensions": 512, "normalize": true })
    );
    assert_eq!(
        (
            &sent[2]["input_type"],
            &sent[2]["truncate"],
            sent[2]["texts"].as_array().unwrap().len()
        ),
        (&json!("search_document"), &json!("END"), 3)
    );
}

#[tokio::test]
async fn a_thousand_texts_come_back_in_order_through_throttles() {
    let lambda = Lambda::embeddings(&[STREAM]).await;
    lambda.bedrock.faults.add(Fault {
        every: Some(20),
        error: Some("ThrottlingException".into()),
        ..Fault::default()
    });
    let texts = texts(1000);
    let (status, body) = embed(&lambda, json!({ "texts": texts, "dimensions": 256 })).await;
    let vectors = body["embeddings"].as_array().unwrap();
    assert_eq!(
        (status, vectors.len(), &body["errors"]),
        (200, 1000, &json!([]))
    );
    let throttled = body["throttled"].as_u64().unwrap();
    assert!(throttled >= 50, "{throttled}");
    assert_eq!(
        lambda.bedrock.requests(),
        1000 + throttled,
        "no text is asked twice but for a throttle"
    );
    assert_eq!(body["calls"], json!(1000 + throttled));
    lambda.bedrock.faults.clear();
    for at in [0, 1, 15, 16, 500, 998, 999] {
        let (_, alone) = embed(&lambda, json!({ "texts": [texts[at]], "dimensions": 256 })).await;
        assert_eq!(alone["embeddings"][0], vectors[at], "{at}");
    }
}

#[tokio::test]
async fn cohere_takes_96_at_once_and_duplicates_are_embedded_once() {
    let lambda = Lambda::embeddings(&[STREAM]).await;
    let (status, body) = embed(
        &lambda,
        json!({ "texts": texts(1000), "model": "cohere-embed-multilingual" }),
    )
    .await;
    assert_eq!(
        (
            status,
            body["embeddings"].as_array().unwrap().len(),
            &body["calls"]
        ),
        (200, 1000, &json!(11))
    );
    assert_eq!(lambda.bedrock.requests(), 11);
    let (_, body) = embed(
        &lambda,
        json!({ "texts": ["a", "b", "a", "a"], "model": "cohere-embed-multilingual" }),
    )
    .await;
    let vectors = body["embeddings"].as_array().unwrap();
    assert_eq!(lambda.sent().last().unwrap()["texts"], json!(["a", "b"]));
    assert!(
        vectors.len() == 4
            && vectors[0] == vectors[2]
            && vectors[0] == vectors[3]
            && vectors[0] != vectors[1]
    );
}

#[tokio::test]
async fn usage_and_cost_are_exact() {
    let lambda = Lambda::embeddings(&[]).await;
    // Titan tells the tokens in its body, Cohere in a header.
    for model in [
        "titan-embed",
        "cohere-embed-english",
        "cohere-embed",
        "nova-2-multimodal-embeddings",
    ] {
        let (status, body) = embed(
            &lambda,
            json!({ "texts": ["one two three", "four five six"], "model": model }),
        )
        .await;
        assert_eq!(
            (
                status,
                &body["usage"]["inputTokens"],
                &body["usageEstimated"]
            ),
            (200, &json!(8), &Value::Null),
            "{body}"
        );
    }
    let mut event: Value = serde_json::from_str(&event("embeddings-rest")).unwrap();
    event["body"] =
        json!({ "texts": ["one two three"], "images": [PNG], "model": "titan-multimodal" })
            .to_string()
            .into();
    let response = lambda.invoke(&event.to_string()).await;
    let text = response["body"].as_str().unwrap();
    // 4 tokens at 0.8 USD a million, and an image at 0.00006.
    assert!(text.contains("\"totalUsd\":0.0000632"), "{text}");
    let line = lambda.metrics().pop().unwrap();
    assert_eq!(
        (&line["ModelId"], &line["InputTokens"], &line["route"]),
        (
            &json!("amazon.titan-embed-image-v1"),
            &json!(4),
            &json!("/embeddings")
        )
    );
    assert!(line["Cost"].is_number());
}

#[tokio::test]
async fn what_a_model_lacks_is_said_with_what_it_has() {
    let lambda = Lambda::embeddings(&[]).await;
    let long = "x".repeat(2049);
    let image = json!([PNG]);
    for (body, field, words) in [
        (
            json!({ "texts": ["a"], "dimensions": 300 }),
            "dimensions",
            "256, 512, 1024 dimensions, not of 300",
        ),
        (
            json!({ "texts": ["a"], "model": "titan-embed-v1", "dimensions": 512 }),
            "dimensions",
            "1536 dimensions",
        ),
        (
            json!({ "texts": ["a"], "encoding": "int8" }),
            "encoding",
            "binary",
        ),
        (
            json!({ "texts": ["a"], "model": "titan-embed-v1", "encoding": "binary" }),
            "encoding",
            "floats only",
        ),
        (json!({ "texts": [] }), "texts", "nothing to embed"),
        (json!({}), "texts", "nothing to embed"),
        (json!({ "texts": ["a", ""] }), "texts[1]", "nothing in it"),
        (
            json!({ "texts": ["a"], "images": image }),
            "images",
            "takes texts only",
        ),
        (
            json!({ "texts": ["a", "b"], "images": image, "model": "titan-multimodal" }),
            "images",
            "no pairs",
        ),
        (
            json!({ "texts": ["a"], "images": image, "model": "nova-2-multimodal-embeddings" }),
            "images",
            "one of the two",
        ),
        (
            json!({ "images": ["!"], "model": "titan-multimodal" }),
            "images[0]",
            "not base64",
        ),
        (
            json!({ "images": ["aGVsbG8="], "model": "titan-multimodal" }),
            "images[0]",
            "png, jpeg",
        ),
        (
            json!({ "texts": ["a", long], "model": "cohere-embed-english" }),
            "texts[1]",
            "2049 characters are more than the model's 2048",
        ),
        (
            json!({ "texts": ["x".repeat(50_001)] }),
            "texts[0]",
            "50000",
        ),
        (
            json!({ "texts": ["x".repeat(8_193)], "model": "nova-2-multimodal-embeddings" }),
            "texts[0]",
            "8192",
        ),
        (
            json!({ "texts": vec!["a"; 10_001] }),
            "texts",
            "10001 inputs are more than 10000",
        ),
        (
            json!({ "images": [WIDE], "model": "titan-multimodal" }),
            "images[0]",
            "3000 by 2 pixels are more than the model's 2048 by 2048",
        ),
        (
            json!({ "texts": ["a"], "model": "opus" }),
            "model",
            "answers with text",
        ),
        (
            json!({ "texts": ["a"], "model": "titan-embd" }),
            "model",
            "did you mean titan-embed",
        ),
        (json!({ "texts": "a" }), "texts", "expected a sequence"),
        (json!({ "text": ["a"] }), "text", "unknown field"),
        (
            json!({ "texts": ["a"], "purpose": "x" }),
            "purpose",
            "unknown variant",
        ),
    ] {
        let (status, problem) = embed(&lambda, body.clone()).await;
        assert_eq!(
            (status, problem["field"].as_str()),
            (400, Some(field)),
            "{problem}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains(words),
            "{problem}"
        );
    }
    let (status, problem) = embed(
        &lambda,
        json!({ "texts": ["a ".repeat(10_000)], "maxCostUsd": 0.00001 }),
    )
    .await;
    assert_eq!(
        (status, problem["candidates"][0]["modelId"].as_str()),
        (422, Some("amazon.titan-embed-text-v2:0")),
        "{problem}"
    );
    assert_eq!(lambda.bedrock.requests(), 0, "nothing was asked");
}

#[tokio::test]
async fn images_and_pairs_have_vectors_too() {
    let lambda = Lambda::embeddings(&[]).await;
    let uri = format!("data:image/png;base64,{PNG}");
    for (model, dimensions) in [
        ("titan-multimodal", 1024),
        ("cohere-embed-english", 1024),
        ("cohere-embed", 1536),
        ("nova-2-multimodal-embeddings", 3072),
    ] {
        let (status, body) = embed(&lambda, json!({ "images": [PNG, uri], "model": model })).await;
        assert_eq!(
            (status, body["embeddings"][1].as_array().map(Vec::len)),
            (200, Some(dimensions)),
            "{model} {body}"
        );
        assert_eq!(
            body["embeddings"][0], body["embeddings"][1],
            "the same image in two spellings"
        );
    }
    for model in ["titan-multimodal", "cohere-embed"] {
        let (status, body) = embed(
            &lambda,
            json!({ "texts": ["white"], "images": [PNG], "model": model }),
        )
        .await;
        assert_eq!(
            (status, body["embeddings"].as_array().map(Vec::len)),
            (200, Some(1)),
            "{body}"
        );
    }
    let (_, body) = embed(
        &lambda,
        json!({ "images": [PNG], "model": "cohere-embed-english" }),
    )
    .await;
    assert_eq!(
        body["cost"],
        Value::Null,
        "what Cohere's images cost is in no price list"
    );
}

#[tokio::test]
async fn every_encoding_is_the_same_vector() {
    let lambda = Lambda::embeddings(&[]).await;
    let ask = |encoding: &str, model: &str| json!({ "texts": ["monitoring alerts"], "model": model, "encoding": encoding });
    let (_, floats) = embed(&lambda, ask("float", "cohere-embed-english")).await;
    let floats: Vec<f64> = floats["embeddings"][0]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap())
        .collect();
    for (encoding, length) in [
        ("int8", 1024),
        ("uint8", 1024),
        ("binary", 128),
        ("ubinary", 128),
    ] {
        let (status, body) = embed(&lambda, ask(encoding, "cohere-embed-english")).await;
        let vector = body["embeddings"][0].as_array().unwrap();
        assert_eq!(
            (status, vector.len(), &body["encoding"]),
            (200, length, &json!(encoding))
        );
        if encoding == "int8" {
            let near = |(byte, float): (&Value, &f64)| {
                (byte.as_f64().unwrap() / 127.0 - float).abs() < 0.01
            };
            assert!(vector.iter().zip(&floats).all(near));
        }
    }
    // Titan leaves `embedding` out when only bits are asked for.
    let (status, body) = embed(&lambda, ask("binary", "titan-embed")).await;
    assert_eq!(
        (status, body["embeddings"][0].as_array().unwrap().len()),
        (200, 1024),
        "{body}"
    );
}

#[tokio::test]
async fn too_long_texts_are_cut_where_that_is_allowed() {
    let lambda = Lambda::embeddings(&[]).await;
    let long = format!("{} last", "first ".repeat(400));
    let (status, body) = embed(
        &lambda,
        json!({ "texts": [long], "model": "cohere-embed-english", "truncate": "start" }),
    )
    .await;
    assert_eq!(status, 200, "{body}");
    let sent = lambda.sent().pop().unwrap();
    let text = sent["texts"][0].as_str().unwrap();
    assert!(
        text.chars().count() == 2048 && text.ends_with(" last"),
        "{text}"
    );
    assert!(
        body["warnings"][0]
            .as_str()
            .unwrap()
            .contains("1 of the texts were longer"),
        "{body}"
    );
    // Titan counts tokens, and says how many were too many.
    let many = "word ".repeat(9_000);
    let (status, problem) = embed(&lambda, json!({ "texts": [many] })).await;
    assert_eq!(status, 400, "{problem}");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("Too many input tokens"),
        "{problem}"
    );
    let (status, body) = embed(&lambda, json!({ "texts": [many], "truncate": "end" })).await;
    assert_eq!((status, &body["calls"]), (200, &json!(2)), "{body}");
}

#[tokio::test]
async fn one_input_that_fails_leaves_a_hole_and_says_why() {
    let lambda = Lambda::embeddings(&[]).await;
    // Cohere refuses the whole batch for one text of too many tokens; the others must not suffer.
    let mut all = texts(10);
    all[7] = "word ".repeat(400);
    let (status, body) = embed(
        &lambda,
        json!({ "texts": all, "model": "cohere-embed-english" }),
    )
    .await;
    let vectors = body["embeddings"].as_array().unwrap();
    assert_eq!(
        (status, vectors.len(), vectors[7].is_null()),
        (200, 10, true),
        "{body}"
    );
    assert_eq!(vectors.iter().filter(|vector| vector.is_null()).count(), 1);
    assert_eq!(
        (&body["errors"][0]["index"], &body["errors"][0]["status"]),
        (&json!(7), &json!(400)),
        "{body}"
    );
    assert!(
        body["errors"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("tokens")
    );
    let (status, problem) = lambda
        .post(
            "/v1/embeddings",
            &json!({ "input": all, "model": "cohere-embed-english" }).to_string(),
        )
        .await;
    assert_eq!(
        (
            status,
            problem["error"]["type"].as_str(),
            problem["error"]["param"].as_str()
        ),
        (400, Some("invalid_request_error"), Some("input[7]")),
        "{problem}"
    );
}

#[tokio::test]
async fn a_failure_in_a_good_looking_answer_is_one() {
    let lambda = Lambda::embeddings(&[]).await;
    let zeros = vec![0; 1024];
    for (model, reply, status) in [
        (
            "titan-multimodal",
            json!({ "embedding": null, "message": "The image cannot be read." }),
            400,
        ),
        ("titan-embed", json!({ "embedding": [1, 2] }), 502),
        (
            "titan-embed",
            json!({ "embedding": zeros, "inputTextTokenCount": 1 }),
            502,
        ),
        ("titan-embed", json!({ "embeddingsByType": {} }), 502),
        ("cohere-embed-english", json!({ "embeddings": [] }), 502),
        (
            "cohere-embed-english",
            json!({ "embeddings": [[0.1]] }),
            502,
        ),
        (
            "nova-2-multimodal-embeddings",
            json!({ "embeddings": [{}] }),
            502,
        ),
        ("titan-embed", json!("nonsense"), 502),
    ] {
        lambda.reply(&reply.to_string());
        let (got, problem) = embed(&lambda, json!({ "texts": ["a"], "model": model })).await;
        assert_eq!(got, status, "{model} {reply}: {problem}");
    }
}

#[tokio::test]
async fn every_fault_has_its_answer() {
    let lambda = Lambda::embeddings(&[]).await;
    for (error, status, calls) in [
        ("AccessDeniedException", 403, 1),
        ("ResourceNotFoundException", 404, 1),
        ("ValidationException", 400, 1),
        ("ModelErrorException", 502, 3),
        ("InternalServerException", 502, 3),
    ] {
        lambda.bedrock.faults.clear();
        lambda.fail("titan", error, None);
        let before = lambda.bedrock.requests();
        let (got, problem) = embed(&lambda, json!({ "texts": ["a"] })).await;
        assert_eq!(
            (got, lambda.bedrock.requests() - before),
            (status, calls),
            "{error}: {problem}"
        );
    }
    // Without access, a thousand texts are not a thousand refusals.
    lambda.bedrock.faults.clear();
    lambda.fail("titan", "AccessDeniedException", None);
    let before = lambda.bedrock.requests();
    let (status, _) = embed(&lambda, json!({ "texts": texts(300), "dimensions": 256 })).await;
    assert_eq!(status, 403);
    assert!(
        lambda.bedrock.requests() - before <= 16,
        "{}",
        lambda.bedrock.requests() - before
    );
}

#[tokio::test]
async fn refused_texts_do_not_spoil_the_good_ones_wherever_they_stand() {
    let lambda = Lambda::embeddings(&[]).await;
    let long = |number: usize| format!("{number} {}", "word ".repeat(8_500));
    let mut all: Vec<String> = (0..20).map(long).collect();
    all.extend(texts(20));
    let (status, body) = embed(&lambda, json!({ "texts": all, "dimensions": 256 })).await;
    let came: Vec<_> = body["embeddings"]
        .as_array()
        .unwrap()
        .iter()
        .map(Value::is_array)
        .collect();
    assert_eq!(
        (status, came),
        (200, [vec![false; 20], vec![true; 20]].concat()),
        "{}",
        body["errors"]
    );
    // Where everything is refused, not everything is asked: neither one by one nor by halves.
    let mut asked = lambda.bedrock.requests();
    for (model, count, most) in [
        ("titan-embed", 300, 110),
        ("cohere-embed-english", 1000, 300),
    ] {
        lambda.bedrock.faults.clear();
        lambda.fail("", "ValidationException", None);
        let (status, _) = embed(
            &lambda,
            json!({ "texts": texts(count), "model": model, "encoding": "base64" }),
        )
        .await;
        let calls = lambda.bedrock.requests() - asked;
        assert!(status == 400 && calls <= most, "{model}: {calls} calls");
        asked = lambda.bedrock.requests();
    }
}

#[tokio::test]
async fn a_quota_by_rate_loses_nothing() {
    let lambda = Lambda::embeddings(&[]).await;
    let error = Some("ThrottlingException".into());
    lambda.bedrock.faults.add(Fault {
        per_second: Some(20),
        error,
        ..Fault::default()
    });
    let (status, body) = embed(&lambda, json!({ "texts": texts(120), "dimensions": 256 })).await;
    assert_eq!((status, &body["errors"]), (200, &json!([])), "{body}");
    assert!(body["calls"].as_u64().unwrap() < 500, "{}", body["calls"]);
}

#[tokio::test]
async fn throttles_do_not_use_up_the_tries_of_other_faults() {
    let lambda = Lambda::embeddings(&[]).await;
    lambda.fail("titan", "ThrottlingException", Some(3));
    lambda.fail("titan", "InternalServerException", Some(1));
    let (status, body) = embed(&lambda, json!({ "texts": ["a"] })).await;
    assert_eq!(
        (status, &body["calls"], &body["throttled"]),
        (200, &json!(5), &json!(3)),
        "{body}"
    );
    lambda.fail("titan", "ThrottlingException", Some(3));
    let (status, body) = embed(
        &lambda,
        json!({ "texts": ["word ".repeat(9_000)], "truncate": "end" }),
    )
    .await;
    assert_eq!((status, &body["calls"]), (200, &json!(5)), "{body}");
    assert!(
        body["warnings"][0]
            .as_str()
            .unwrap()
            .starts_with("1 of the texts"),
        "{body}"
    );
}

#[tokio::test]
async fn the_deadline_is_kept_and_what_came_by_then_is_not_lost() {
    let lambda = Lambda::embeddings(&[]).await;
    lambda.bedrock.faults.add(Fault {
        skip: 5,
        latency_ms: 20_000,
        ..Fault::default()
    });
    let (status, body) = embed(
        &lambda,
        json!({ "texts": texts(8), "dimensions": 256, "timeoutMs": 1500 }),
    )
    .await;
    let came = body["embeddings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|vector| !vector.is_null())
        .count();
    assert_eq!(
        (status, came, body["errors"].as_array().unwrap().len()),
        (200, 5, 3),
        "{body}"
    );
    assert_eq!(body["errors"][0]["status"], 504, "{body}");
    lambda.bedrock.faults.clear();
    lambda.fail("titan", "ThrottlingException", None);
    let (status, problem) = embed(&lambda, json!({ "texts": ["a"], "timeoutMs": 800 })).await;
    assert!([429, 504].contains(&status), "{problem}");
}

#[tokio::test]
async fn an_answer_that_lambda_would_not_send_is_refused_before_it_is_paid_for() {
    let lambda = Lambda::embeddings(&[]).await;
    let (status, problem) = embed(&lambda, json!({ "texts": texts(1000) })).await;
    assert_eq!(
        (status, problem["type"].as_str()),
        (413, Some("urn:bedrock-router:problem:answer-too-large"))
    );
    assert!(
        problem["detail"].as_str().unwrap().contains("base64"),
        "{problem}"
    );
    assert_eq!(lambda.bedrock.requests(), 0);
}

#[tokio::test]
async fn openais_dialect_gives_the_same_vectors() {
    let lambda = Lambda::embeddings(&[]).await;
    let (_, native) = embed(
        &lambda,
        json!({ "texts": ["a b", "c d"], "dimensions": 256 }),
    )
    .await;
    let lambda = &lambda;
    let ask = |body: Value| async move { lambda.post("/v1/embeddings", &body.to_string()).await };
    let (status, body) = ask(
        json!({ "model": "titan-embed", "input": ["a b", "c d"], "dimensions": 256, "user": "me" }),
    )
    .await;
    assert_eq!(
        (status, &body["object"], &body["model"]),
        (200, &json!("list"), &json!("amazon.titan-embed-text-v2:0")),
        "{body}"
    );
    for at in [0, 1] {
        assert_eq!(
            (&body["data"][at]["index"], &body["data"][at]["embedding"]),
            (&json!(at), &native["embeddings"][at])
        );
    }
    assert_eq!(
        body["usage"],
        json!({ "prompt_tokens": native["usage"]["inputTokens"], "total_tokens": native["usage"]["inputTokens"] })
    );
    let (_, base64) = embed(
        lambda,
        json!({ "texts": ["a b"], "dimensions": 256, "encoding": "base64" }),
    )
    .await;
    let (status, body) = ask(
        json!({ "model": "auto", "input": "a b", "dimensions": 256, "encoding_format": "base64" }),
    )
    .await;
    assert_eq!(
        (status, &body["data"][0]["embedding"]),
        (200, &base64["embeddings"][0])
    );
    let (status, _) = ask(json!({ "input": "a", "encoding_format": null, "truncate": null, "input_type": "x", "dimensions": 256 })).await;
    assert_eq!(status, 200, "what other clients add is left aside");
    for (body, status, param) in [
        (json!({ "input": [1, 2, 3] }), 400, "input"),
        (json!({ "input": ["a", 1] }), 400, "input"),
        (json!({ "input": [[1, 2], [3]] }), 400, "input"),
        (json!({ "input": [] }), 400, "input"),
        (json!({ "input": 7 }), 400, "input"),
        (json!({ "model": "x" }), 400, "body"),
        (
            json!({ "input": "a", "model": "text-embedding-3-small" }),
            404,
            "model",
        ),
    ] {
        let (got, problem) = ask(body.clone()).await;
        assert_eq!(
            (got, problem["error"]["param"].as_str()),
            (status, Some(param)),
            "{body}: {problem}"
        );
        assert!(
            !problem["error"]["message"]
                .as_str()
                .unwrap()
                .contains("untagged"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn a_model_of_another_region_is_called_there() {
    let lambda = Lambda::embeddings(&[("AWS_REGION", "us-west-2")]).await;
    let (status, body) = embed(
        &lambda,
        json!({ "texts": ["a"], "model": "nova-2-multimodal-embeddings" }),
    )
    .await;
    assert_eq!(
        (status, &body["region"]),
        (200, &json!("us-east-1")),
        "{body}"
    );
    let stay =
        Lambda::embeddings(&[("AWS_REGION", "us-west-2"), ("DATA_RESIDENCY", "in-region")]).await;
    let (status, problem) = embed(
        &stay,
        json!({ "texts": ["a"], "model": "nova-2-multimodal-embeddings" }),
    )
    .await;
    assert_eq!(status, 422, "{problem}");
}

#[tokio::test]
async fn nobodys_text_is_in_the_log_at_any_level() {
    let lambda = Lambda::embeddings(&[("LOG_LEVEL", "TRACE")]).await;
    let secret = "xyzzy-4711";
    for body in [
        json!({ "texts": [secret] }),
        json!({ "texts": [secret], "model": "cohere-embed", "purpose": secret }),
    ] {
        embed(&lambda, body).await;
    }
    let response = lambda.invoke(&event("embeddings-rest")).await;
    assert_eq!(answer(&response).0, 200);
    // Not in replies that quote it, either.
    for reply in [
        json!({ "embedding": null, "message": secret }),
        json!({ "embedding": secret }),
        json!({ "message": 7, "embedding": [secret] }),
    ] {
        lambda.reply(&reply.to_string());
        embed(&lambda, json!({ "texts": ["a"] })).await;
    }
    assert!(!lambda.output().contains(secret), "{}", lambda.output());
}

#[tokio::test]
async fn the_models_own_limits_are_kept() {
    let lambda = Lambda::embeddings(&[STREAM]).await;
    // Cohere v4 takes 96 inputs with images a call.
    let (captions, images) = (texts(97), vec![PNG; 97]);
    let pairs = json!({ "texts": captions, "images": images, "model": "cohere-embed" });
    let (status, body) = embed(&lambda, pairs).await;
    assert_eq!(
        (status, &body["calls"]),
        (200, &json!(2)),
        "{}",
        body["errors"]
    );
    // Titan's multimodal model takes 256 tokens.
    let long = "word ".repeat(300);
    let ask = |truncate: &str| json!({ "texts": [long], "model": "titan-multimodal", "truncate": truncate });
    let (status, problem) = embed(&lambda, ask("none")).await;
    assert!(
        status == 400 && problem["detail"].as_str().unwrap().contains("256"),
        "{problem}"
    );
    let (status, body) = embed(&lambda, ask("start")).await;
    assert_eq!((status, &body["calls"]), (200, &json!(2)), "{body}");
}
