//! `POST /images`.

use local::bedrock::faults::Fault;
use serde_json::{Value, json};

use crate::lambda::Lambda;

async fn draw(lambda: &Lambda, body: Value) -> (u16, Value) {
    lambda.post("/images", &body.to_string()).await
}

#[tokio::test]
async fn a_stability_image_is_drawn_in_the_region_that_has_it() {
    let lambda = Lambda::router(&[]).await;
    let (status, body) = draw(&lambda, json!({ "prompt": "A sunset", "model": "stability.sd3-5-large-v1:0", "seed": 7, "outputFormat": "webp" })).await;
    assert_eq!(
        (status, &body["region"], &body["modelId"]),
        (
            200,
            &json!("us-west-2"),
            &json!("stability.sd3-5-large-v1:0")
        ),
        "{body}"
    );
    assert_eq!(
        (&body["images"][0]["mediaType"], &body["images"][0]["seed"]),
        (&json!("image/webp"), &json!(7))
    );
    assert_eq!(
        lambda.sent()[0],
        json!({ "prompt": "A sunset", "seed": 7, "output_format": "webp" })
    );
    let (_, cheapest) = draw(&lambda, json!({ "prompt": "A sunset" })).await;
    assert_eq!(cheapest["model"], "stable-image-core", "{cheapest}");
}

#[tokio::test]
async fn several_images_are_several_calls_with_seeds_in_a_row() {
    let lambda = Lambda::router(&[("RESPONSE_MODE", "stream")]).await;
    let (status, body) = draw(
        &lambda,
        json!({ "prompt": "A sunset", "count": 3, "seed": 4294967294u32, "aspectRatio": "16:9" }),
    )
    .await;
    let seeds: Vec<_> = body["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["seed"].as_u64().unwrap())
        .collect();
    assert_eq!((status, seeds), (200, vec![4_294_967_294, 1, 2]), "{body}");
    assert_eq!(body["cost"]["totalUsd"].to_string(), "0.12");
    lambda.bedrock.faults.add(Fault {
        times: Some(1),
        reply: Some(json!({ "finish_reasons": ["Filter reason: output image"] }).to_string()),
        ..Fault::default()
    });
    let (status, body) = draw(&lambda, json!({ "prompt": "A sunset", "count": 2 })).await;
    assert_eq!(
        (status, body["images"].as_array().unwrap().len()),
        (200, 1),
        "{body}"
    );
    assert_eq!(
        body["errors"][0]["type"], "urn:bedrock-router:problem:content-filtered",
        "{body}"
    );
    assert_eq!(
        body["cost"]["totalUsd"].to_string(),
        "0.04",
        "what was not made is not billed"
    );
}

#[tokio::test]
async fn dead_models_have_a_successor() {
    let lambda = Lambda::router(&[]).await;
    for id in [
        "amazon.titan-image-generator-v1",
        "amazon.nova-canvas-v1:0",
        "stability.stable-diffusion-xl-v1",
    ] {
        let (status, body) = draw(&lambda, json!({ "prompt": "x", "model": id })).await;
        assert_eq!(
            (status, &body["model"]),
            (200, &json!("sd3-5-large")),
            "{body}"
        );
        assert!(
            body["warnings"][0]
                .as_str()
                .unwrap()
                .contains("answers in its place")
        );
        let (status, problem) = draw(
            &lambda,
            json!({ "prompt": "x", "model": id, "strictModel": true }),
        )
        .await;
        assert_eq!(
            (status, &problem["successor"]),
            (410, &json!("stability.sd3-5-large-v1:0")),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn a_filter_is_an_error_though_bedrock_says_200() {
    let lambda = Lambda::router(&[]).await;
    let (status, problem) = draw(&lambda, json!({ "prompt": "something forbidden" })).await;
    assert_eq!(
        (status, problem["type"].as_str()),
        (422, Some("urn:bedrock-router:problem:content-filtered")),
        "{problem}"
    );
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("Filter reason: prompt")
    );
    lambda.reply(&json!({ "finish_reasons": ["Inference error"] }).to_string());
    assert_eq!(draw(&lambda, json!({ "prompt": "x" })).await.0, 502);
}

#[tokio::test]
async fn limits_are_said_before_anything_is_asked() {
    let lambda = Lambda::router(&[]).await;
    for (body, status, field) in [
        (json!({ "prompt": "" }), 400, "prompt"),
        (json!({ "prompt": "x".repeat(10_001) }), 400, "prompt"),
        (
            json!({ "prompt": "x", "negativePrompt": "x".repeat(10_001) }),
            400,
            "negativePrompt",
        ),
        (
            json!({ "prompt": "x", "aspectRatio": "7:3" }),
            400,
            "aspectRatio",
        ),
        (
            json!({ "prompt": "x", "seed": 4_294_967_295u64 }),
            400,
            "seed",
        ),
        (
            json!({ "prompt": "x", "outputFormat": "webp", "model": "stable-image-ultra" }),
            400,
            "outputFormat",
        ),
        (json!({ "prompt": "x", "count": 0 }), 400, "count"),
        (json!({ "prompt": "x", "count": 11 }), 400, "count"),
        (
            json!({ "prompt": "x", "model": "titan-embed" }),
            400,
            "model",
        ),
        (
            json!({ "prompt": "x", "model": "stable-outpaint" }),
            400,
            "model",
        ),
        (json!({ "prompt": "x", "maxCostUsd": 0.01 }), 422, ""),
        (json!({ "prompt": "x", "count": 2 }), 413, ""),
    ] {
        let (got, problem) = draw(&lambda, body.clone()).await;
        assert_eq!(
            (got, problem["field"].as_str().unwrap_or_default()),
            (status, field),
            "{body}: {problem}"
        );
    }
    assert_eq!(lambda.bedrock.requests(), 0);
}

#[tokio::test]
async fn the_next_model_draws_when_one_is_throttled() {
    let lambda = Lambda::router(&[]).await;
    lambda.fail("core", "ThrottlingException", None);
    let (status, body) = draw(&lambda, json!({ "prompt": "x" })).await;
    assert_eq!(
        (status, &body["model"]),
        (200, &json!("sd3-5-large")),
        "{body}"
    );
    assert!(
        body["warnings"][0].as_str().unwrap().contains("throttled"),
        "{body}"
    );
    let (status, problem) = draw(
        &lambda,
        json!({ "prompt": "x", "model": "stable-image-core" }),
    )
    .await;
    assert_eq!(status, 429, "{problem}");
    assert!(problem["retryAfterSeconds"].is_number());
}

#[tokio::test]
async fn who_names_no_model_gets_one_that_can() {
    let lambda = Lambda::router(&[]).await;
    let (status, body) = draw(
        &lambda,
        json!({ "prompt": "x", "outputFormat": "webp", "negativePrompt": "" }),
    )
    .await;
    assert_eq!(
        (status, &body["model"]),
        (200, &json!("sd3-5-large")),
        "{body}"
    );
    assert_eq!(lambda.sent()[0].get("negative_prompt"), None);
}
