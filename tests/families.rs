//! What reaches the wire, family by family: one request with everything, and what was changed for each model.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shared::catalog::{Catalog, Kind, Model};
use shared::telemetry;

use crate::lambda::Lambda;

/// A PNG of one pixel.
pub const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// System, tools, sampling, an image, and a tool loop behind it.
fn everything() -> Value {
    json!({
        "system": [{ "text": "Be brief." }],
        "messages": [
            { "role": "user", "content": [
                { "text": "What is in the picture, and what is the weather there?" },
                { "image": { "format": "png", "source": { "bytes": PIXEL } } },
            ] },
            { "role": "assistant", "content": [{ "toolUse": { "toolUseId": "t1", "name": "weather", "input": { "city": "Oslo" } } }] },
            { "role": "user", "content": [{ "toolResult": { "toolUseId": "t1", "content": [{ "json": { "sky": "clear" } }], "status": "success" } }] },
        ],
        "inferenceConfig": { "maxTokens": 1000, "temperature": 0.5, "topP": 0.9 },
        "toolConfig": { "tools": [{ "toolSpec": { "name": "weather", "inputSchema": { "json": { "type": "object", "properties": { "city": { "type": "string" } } } } } }] },
    })
}

/// The same without what a model was left out for.
fn without(mut request: Value, reason: &str) -> Value {
    if reason.contains("images") {
        request["messages"][0]["content"]
            .as_array_mut()
            .unwrap()
            .truncate(1);
    } else if reason.contains("tools") {
        request.as_object_mut().unwrap().remove("toolConfig");
        request["messages"].as_array_mut().unwrap().truncate(1);
    } else {
        panic!("{reason}");
    }
    request
}

fn converses(model: &Model) -> bool {
    let can = &model.capabilities;
    model.kind == Kind::Text
        && can.converse == Some(true)
        && model.absence(telemetry::today()).is_none()
}

/// Regions where a model can be called.
fn regions(model: &Model) -> BTreeSet<&str> {
    let through = model
        .profiles
        .iter()
        .flat_map(|profile| profile.from.iter());
    model
        .regions
        .iter()
        .chain(through)
        .map(AsRef::as_ref)
        .collect()
}

/// Every model that makes a difference: for each family the models whose capabilities differ.
fn models() -> Vec<&'static Model> {
    let mut seen = BTreeSet::new();
    let living = Catalog::built_in()
        .models
        .iter()
        .filter(|model| converses(model) && !regions(model).is_empty());
    living
        .filter(|model| {
            seen.insert((
                &model.family,
                format!("{:?}{:?}", model.capabilities, model.input),
            ))
        })
        .collect()
}

#[tokio::test]
async fn each_family_gets_a_request_that_it_takes() {
    let mut routers: BTreeMap<&str, Lambda> = BTreeMap::new();
    let mut seen = 0;
    for model in models() {
        let region = ["us-east-1", "us-west-2"]
            .into_iter()
            .find(|region| regions(model).contains(region));
        let region = region
            .or_else(|| regions(model).into_iter().next())
            .unwrap();
        if !routers.contains_key(region) {
            routers.insert(
                region,
                Lambda::router(&[
                    ("AWS_REGION", region),
                    ("DATA_RESIDENCY", "global"),
                    ("MAX_COST_USD", "100"),
                ])
                .await,
            );
        }
        let (lambda, mut request, mut refused) = (&routers[region], everything(), Vec::new());
        request["model"] = model.id.as_ref().into();
        let answer = loop {
            let (status, answer) = lambda.post("/invoke", &request.to_string()).await;
            if status == 200 {
                break answer;
            }
            assert_eq!(status, 422, "{}: {answer}", model.id);
            let reason = answer["candidates"][0]["rejected"]
                .as_str()
                .unwrap()
                .to_owned();
            request = without(request, &reason);
            refused.push(reason);
        };
        // Nothing had to be repaired: Bedrock refused no request.
        assert_eq!(
            answer["routing"]["attempts"].as_array().unwrap().len(),
            1,
            "{}: {answer}",
            model.id
        );
        let sent = lambda.sent().pop().unwrap();
        let warnings = answer["warnings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|warning| !warning.to_string().contains("end of life"));
        let shown = json!({
            "refused": refused,
            "messages": shape(&sent["messages"]),
            "system": sent["system"],
            "inferenceConfig": sent["inferenceConfig"],
            "tools": sent["toolConfig"]["tools"].as_array().map_or(0, Vec::len),
            "warnings": warnings.collect::<Vec<_>>(),
        });
        // One file a model, so that one that dies takes nothing with it.
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("snapshots/families");
        settings.set_prepend_module_to_snapshot(false);
        settings.bind(|| insta::assert_json_snapshot!(model.name.as_ref(), shown));
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
}

/// Roles and kinds of blocks.
fn shape(messages: &Value) -> Value {
    let blocks = |message: &Value| {
        let keys = message["content"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|block| block.as_object().unwrap().keys().cloned());
        format!(
            "{}: {}",
            message["role"].as_str().unwrap(),
            keys.collect::<Vec<_>>().join(", ")
        )
    };
    messages.as_array().unwrap().iter().map(blocks).collect()
}
