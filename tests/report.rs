//! The usage report: the real bootstrap, the real SDK, CloudWatch's figures on the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::response::Response;
use serde_json::{Value, json};

use crate::aws::{Answer, cbor, cloudwatch, recorded};
use crate::lambda::{Lambda, event};

/// Every event that asks for a report, with the window that it asks for.
pub(crate) const EVENTS: [(&str, &str, &str); 4] = [
    // Whichever week was the last.
    ("report-by-hand", "", ""),
    (
        "report-schedule",
        "2026-11-22T00:00:00Z",
        "2026-11-23T00:00:00Z",
    ),
    (
        "report-schedule-default",
        "2026-11-22T00:00:00Z",
        "2026-11-23T00:00:00Z",
    ),
    (
        "report-rule",
        "2026-11-22T00:00:00Z",
        "2026-11-23T00:00:00Z",
    ),
];

const HAIKU: &str = "us.anthropic.claude-haiku-5-5";
/// 2026-11-22T00:00:00Z.
const DAY: u64 = 1_795_305_600;

#[tokio::test]
async fn every_event_asks_for_its_window() {
    let lambda = Lambda::usage_report(&[]).await;
    for (name, start, end) in EVENTS {
        let report = lambda.invoke(&event(name)).await;
        let window = &report["window"];
        if start.is_empty() {
            assert_eq!(window["name"], "week", "{report}");
            continue;
        }
        assert_eq!(
            (&window["start"], &window["end"]),
            (&json!(start), &json!(end)),
            "{name}: {report}"
        );
        assert_eq!(
            (&report["models"], &report["missing"]),
            (&json!([]), &json!([])),
            "an empty account"
        );
    }
}

#[tokio::test]
async fn every_figure_is_right_and_nothing_is_counted_twice() {
    let lambda = Lambda::usage_report(&[]).await;
    let figures = &lambda.bedrock.figures;
    for (name, at, value) in [
        ("Invocations", DAY, 3.0),
        ("Invocations", DAY + 86_340, 4.0),
        ("InputTokenCount", DAY, 1000.0),
        ("InputTokenCount", DAY + 60, 500.0),
        ("OutputTokenCount", DAY + 3600, 250.0),
        ("InvocationThrottles", DAY, 2.0),
        ("InvocationLatency", DAY, 100.0),
        ("InvocationLatency", DAY, 300.0),
        // The window is half open: this is the next day's, that the last one's.
        ("Invocations", DAY + 86_400, 100.0),
        ("InputTokenCount", DAY - 60, 700.0),
    ] {
        figures.record("us-east-1", HAIKU, name, at, value);
    }
    figures.record(
        "us-east-1",
        "amazon.titan-embed-text-v2:0",
        "Invocations",
        DAY,
        1.0,
    );
    figures.record(
        "us-east-1",
        "amazon.titan-embed-text-v2:0",
        "InputTokenCount",
        DAY,
        50.0,
    );
    // Another Region's figures are that Region's.
    figures.record("us-west-2", HAIKU, "Invocations", DAY, 99.0);
    let report = lambda.invoke(&event("report-schedule")).await;
    let row = &report["models"][0];
    assert_eq!(
        (&row["modelId"], &row["provider"]),
        (&json!(HAIKU), &json!("Anthropic")),
        "{report}"
    );
    assert_eq!(
        (
            &row["invocations"],
            &row["inputTokens"],
            &row["outputTokens"],
            &row["throttles"]
        ),
        (&json!(7), &json!(1500), &json!(250), &json!(2))
    );
    assert_eq!(
        (&row["latencyMs"], &row["latencyP99Ms"]),
        (&json!(200), &json!(300))
    );
    // 0.11 and 0.55 USD a million in the geography of the United States.
    assert_eq!(row["costUsd"].to_string(), "0.0003025", "{row}");
    assert_eq!(row["previousCostUsd"].to_string(), "0.000077", "{row}");
    assert_eq!(report["total"]["invocations"], 8);
    assert_eq!(report["models"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn images_are_counted_in_the_region_that_draws_them() {
    let lambda = Lambda::usage_report(&[("REPORT_REGIONS", "us-east-1, us-west-2")]).await;
    let figures = &lambda.bedrock.figures;
    figures.record(
        "us-west-2",
        "stability.stable-image-core-v1:1",
        "Invocations",
        DAY,
        2.0,
    );
    figures.record(
        "us-west-2",
        "stability.stable-image-core-v1:1",
        "OutputImageCount",
        DAY,
        2.0,
    );
    let report = lambda.invoke(&event("report-schedule")).await;
    assert_eq!(
        (
            &report["models"][0]["region"],
            report["models"][0]["costUsd"].to_string()
        ),
        (&json!("us-west-2"), "0.08".into()),
        "{report}"
    );
}

/// The report of 2026-11-22 while CloudWatch answers something else.
async fn disturbed(variables: &[(&str, &str)], answer: Answer) -> Value {
    let figures = Arc::default();
    let address = cloudwatch(&figures, answer).await;
    for region in ["us-east-1", "us-west-2"] {
        figures.record(region, HAIKU, "Invocations", DAY, 3.0);
        figures.record(region, HAIKU, "InputTokenCount", DAY, 1000.0);
    }
    let mut variables = variables.to_vec();
    variables.push(("CLOUDWATCH_ENDPOINT", &address));
    let lambda = Lambda::usage_report(&variables).await;
    lambda.invoke(&event("report-schedule")).await
}

fn failing(code: &str) -> Response {
    let body = format!("{{\"__type\":\"com.amazonaws.cloudwatch#{code}\",\"message\":\"no\"}}");
    let body: ciborium::Value = serde_json::from_str(&body).unwrap();
    let mut bytes = Vec::new();
    ciborium::into_writer(&body, &mut bytes).unwrap();
    cbor(400, bytes)
}

#[tokio::test]
async fn what_cannot_be_had_is_said() {
    // Nobody is there.
    let lambda = Lambda::usage_report(&[("CLOUDWATCH_ENDPOINT", "http://127.0.0.1:9")]).await;
    let report = lambda.invoke(&event("report-schedule")).await;
    let missing = report["missing"].as_array().unwrap();
    assert_eq!(
        missing[0],
        "us-east-1: models could not be listed (no answer)"
    );
    let second = missing[1].as_str().unwrap();
    assert!(
        second.contains(" figures of ai21.jamba-1-5-large-v1:0 to ")
            && second.ends_with("by name (no answer)"),
        "{second}"
    );
    // Throttled, by a recorded answer.
    let report = disturbed(&[], |operation, _| {
        (operation == "GetMetricData").then(|| cbor(400, recorded("cw_error_throttling")))
    })
    .await;
    assert!(
        report["missing"][1]
            .as_str()
            .unwrap()
            .contains(&format!("15 figures of {HAIKU} (ThrottlingException)")),
        "{report}"
    );
    // Not allowed.
    let report = disturbed(&[], |_, _| Some(failing("AccessDenied"))).await;
    let advice = "(AccessDenied: the function's role needs cloudwatch:ListMetrics and cloudwatch:GetMetricData)";
    assert!(
        report["missing"][0].as_str().unwrap().contains(advice),
        "{report}"
    );
    // One of two Regions.
    let regions = [("REPORT_REGIONS", "us-east-1,us-west-2")];
    let report = disturbed(&regions, |_, region| {
        (region == "us-west-2").then(|| failing("InternalServiceFault"))
    })
    .await;
    assert_eq!(report["total"]["invocations"], 3);
    assert!(
        report["missing"][0]
            .as_str()
            .unwrap()
            .starts_with("us-west-2: models could not be listed"),
        "{report}"
    );
}

#[tokio::test]
async fn recorded_bodies_are_read_to_the_unit() {
    // A first page of partial data, then everything: what comes twice counts once.
    let replay: Answer = |operation, _| {
        static PAGES: AtomicUsize = AtomicUsize::new(0);
        let name = match operation {
            "ListMetrics" => "cw_list_metrics",
            _ if PAGES.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
                "cw_get_metric_data_page1"
            }
            _ => "cw_get_metric_data",
        };
        Some(cbor(200, recorded(name)))
    };
    let figures = Arc::default();
    let address = cloudwatch(&figures, replay).await;
    let lambda = Lambda::usage_report(&[("CLOUDWATCH_ENDPOINT", &address)]).await;
    let report = lambda
        .invoke(&json!({ "scheduled": "2025-11-23T06:00:00Z" }).to_string())
        .await;
    // m0 is the first of the two that are listed, by name.
    let row = &report["models"][0];
    assert_eq!(
        (&row["modelId"], &row["inputTokens"]),
        (&json!("amazon.titan-embed-text-v2:0"), &json!(2000)),
        "{report}"
    );
    assert_eq!(
        (row["costUsd"].to_string(), &report["missing"]),
        ("0.00004".into(), &json!([]))
    );
}

#[tokio::test]
async fn figures_that_stay_incomplete_are_named() {
    let partial: Answer = |operation, _| {
        let body = recorded("cw_get_metric_data_page1");
        let mut body: ciborium::Value = ciborium::from_reader(body.as_slice()).unwrap();
        body.as_map_mut()
            .unwrap()
            .retain(|(name, _)| name.as_text() != Some("NextToken"));
        let mut bytes = Vec::new();
        ciborium::into_writer(&body, &mut bytes).unwrap();
        (operation == "GetMetricData").then(|| cbor(200, bytes))
    };
    let report = disturbed(&[], partial).await;
    assert_eq!(
        report["missing"],
        json!([format!(
            "us-east-1: InputTokenCount (Sum) of {HAIKU}: CloudWatch says PartialData"
        )])
    );
}

#[tokio::test]
async fn many_models_take_few_calls_and_old_windows_are_not_empty() {
    let lambda = Lambda::usage_report(&[]).await;
    for number in 0..120 {
        let arn = format!("arn:aws:bedrock:us-east-1:1:application-inference-profile/p{number}");
        for hour in 0..24 {
            lambda
                .bedrock
                .figures
                .record("us-east-1", &arn, "Invocations", DAY + hour * 3600, 1.0);
        }
    }
    let report = lambda.invoke(&event("report-schedule")).await;
    assert_eq!(
        (
            &report["total"]["invocations"],
            report["unpriced"].as_array().unwrap().len()
        ),
        (&json!(2880), 120)
    );
    // Four lists of a page, one look for models too old to be listed, 120 models of 15 sums each at 500 a call, and their course.
    assert_eq!(report["calls"], 4 + 1 + 4 + 1, "{report}");
}

#[tokio::test]
async fn what_is_too_old_to_be_listed_is_found_by_name() {
    let arn = "arn:aws:bedrock:us-east-1:1:application-inference-profile/p";
    let arns = format!("{arn}=us.anthropic.claude-haiku-5-5");
    let lambda = Lambda::usage_report(&[("MODEL_ARNS", &arns)]).await;
    let figures = &lambda.bedrock.figures;
    figures
        .listed_since
        .store(DAY - 13 * 86_400, Ordering::Relaxed);
    for id in [arn, "amazon.nova-lite-v1:0"] {
        figures.record("us-east-1", id, "Invocations", DAY - 20 * 86_400, 5.0);
        figures.record(
            "us-east-1",
            id,
            "InputTokenCount",
            DAY - 20 * 86_400,
            1_000_000.0,
        );
    }
    // The month so far has both, though the day has neither.
    let report = lambda.invoke(&event("report-schedule")).await;
    assert_eq!(report["models"], json!([]), "{report}");
    assert_eq!(report["month"]["toDateUsd"].to_string(), "0.17", "{report}");
    let day = json!({ "end": "2026-11-03T00:00:00Z", "scheduled": "2026-11-23T06:15:00Z", "deliver": false });
    let report = lambda.invoke(&day.to_string()).await;
    assert_eq!(
        (
            &report["total"]["invocations"],
            report["total"]["costUsd"].to_string()
        ),
        (&json!(10), "0.17".into())
    );
}

#[tokio::test]
async fn a_region_that_is_named_twice_counts_once() {
    let lambda = Lambda::usage_report(&[("REPORT_REGIONS", "us-east-1, us-east-1,")]).await;
    lambda
        .bedrock
        .figures
        .record("us-east-1", HAIKU, "Invocations", DAY, 3.0);
    let report = lambda.invoke(&event("report-schedule")).await;
    assert_eq!(report["total"]["invocations"], 3);
}
