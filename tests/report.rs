//! The usage report: the real bootstrap, the real SDK, CloudWatch's figures on the wire.

use serde_json::{Value, json};

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
    let haiku = "us.anthropic.claude-haiku-5-5";
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
        figures.record("us-east-1", haiku, name, at, value);
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
    figures.record("us-west-2", haiku, "Invocations", DAY, 99.0);
    let report = lambda.invoke(&event("report-schedule")).await;
    let row = &report["models"][0];
    assert_eq!(
        (&row["modelId"], &row["provider"]),
        (&json!(haiku), &json!("Anthropic")),
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

#[tokio::test]
async fn what_cannot_be_had_is_said() {
    let lambda = Lambda::usage_report(&[("CLOUDWATCH_ENDPOINT", "http://127.0.0.1:9")]).await;
    let report = lambda.invoke(&event("report-schedule")).await;
    let missing = report["missing"].as_array().unwrap();
    assert!(
        missing[0]
            .as_str()
            .unwrap()
            .starts_with("us-east-1: models could not be listed"),
        "{report}"
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
    // Four lists of a page, and 120 models of 15 figures each at 500 a call.
    assert_eq!(report["calls"], 4 + 4, "{report}");
    // What is too old to be listed is found by the catalog's ids.
    lambda.bedrock.figures.record(
        "us-east-1",
        "amazon.nova-lite-v1:0",
        "Invocations",
        DAY - 120 * 86_400,
        5.0,
    );
    let old = json!({ "window": "day", "end": "2026-07-26T00:00:00Z", "scheduled": "2026-11-23T06:15:00Z" });
    let report = lambda.invoke(&old.to_string()).await;
    assert_eq!(
        report["models"][0]["modelId"],
        Value::from("amazon.nova-lite-v1:0"),
        "{report}"
    );
}
