//! The usage report's ways to the reader: what is delivered, once, and what a retry makes up for.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::aws::Outlets;
use crate::lambda::{Lambda, event};

/// 2026-11-22T12:00:00Z, in the window of the scheduled events.
const NOON: u64 = 1_795_348_800;
const HAIKU: &str = "us.anthropic.claude-haiku-5-5";
const FOLDER: &str = "/reports/day/2026-11-22";

async fn function(outlets: &Arc<Outlets>, more: &[(&str, &str)]) -> Lambda {
    let variables = outlets.start().await;
    let variables = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    let variables: Vec<_> = variables.chain(more.iter().copied()).collect();
    let lambda = Lambda::usage_report(&variables).await;
    for (name, value) in [
        ("Invocations", 200.0),
        ("InputTokenCount", 2_000_000.0),
        ("InvocationThrottles", 50.0),
    ] {
        lambda
            .bedrock
            .figures
            .record("us-east-1", HAIKU, name, NOON, value);
    }
    lambda
}

#[tokio::test]
async fn files_mail_and_metrics_come_once() {
    let outlets = Arc::new(Outlets::default());
    let lambda = function(&outlets, &[("MONTHLY_BUDGET_USD", "0.20")]).await;
    let answer = lambda.invoke(&event("report-schedule")).await;
    assert_eq!(
        answer["delivered"],
        json!(["files", "mail", "metrics"]),
        "{answer}"
    );
    for (file, content_type, words) in [
        ("report.html", "text/html; charset=utf-8", "<!DOCTYPE html>"),
        ("report.json", "application/json", "\"costUsd\":0.22"),
        (
            "report.csv",
            "text/csv; charset=utf-8",
            "2026-11-22,us-east-1,Anthropic,claude-haiku-5-5,us.anthropic.claude-haiku-5-5,200,2000000,0,0,0,0,0,0,50,0,0.22\n",
        ),
        (
            "report.txt",
            "text/plain; charset=utf-8",
            "50 of 250 calls were throttled",
        ),
    ] {
        let path = format!("{FOLDER}/{file}");
        assert!(
            outlets.object(&path).contains(words),
            "{}",
            outlets.object(&path)
        );
        assert_eq!(outlets.objects.lock().unwrap()[&path].0, content_type);
    }
    let (subject, message) = outlets.mails.lock().unwrap()[0].clone();
    assert_eq!(
        subject,
        "Bedrock usage 2026-11-22: about 0.2200 USD, 200 calls, something to look at"
    );
    assert!(message.contains("https://us-east-1.console.aws.amazon.com/s3/object/reports?region=us-east-1&prefix=day/2026-11-22/report.html"), "{message}");
    assert!(
        message.contains("over budget: 0.2200 of the month's 0.2000 USD are used up (110 %)"),
        "{message}"
    );
    metrics_are_those_of_the_report(&lambda.metrics());
    // EventBridge may deliver an event twice, and another instance may get it.
    for lambda in [&lambda, &function(&outlets, &[]).await] {
        let answer = lambda.invoke(&event("report-schedule")).await;
        assert_eq!(answer["delivered"], json!([]), "{answer}");
    }
    assert_eq!(
        (outlets.mails.lock().unwrap().len(), lambda.metrics().len()),
        (1, 3)
    );
    // Unless somebody asks for it.
    let again = json!({ "scheduled": "2026-11-23T06:15:00Z", "again": true });
    let answer = lambda.invoke(&again.to_string()).await;
    assert_eq!(answer["delivered"], json!(["files", "mail", "metrics"]));
}

fn metrics_are_those_of_the_report(metrics: &[Value]) {
    let of = |line: &Value| line["_aws"]["CloudWatchMetrics"][0].clone();
    let dimensions = metrics.iter().map(|line| of(line)["Dimensions"].clone());
    assert_eq!(
        dimensions.collect::<Vec<_>>(),
        [
            json!([["Window", "ModelId"]]),
            json!([["Window"]]),
            json!([[]])
        ]
    );
    let [model, total, month] = metrics else {
        panic!("{metrics:?}")
    };
    assert_eq!(
        (
            &model["EstimatedCostUsd"],
            &model["ModelId"],
            &model["Window"]
        ),
        (&json!(0.22), &json!(HAIKU), &json!("day"))
    );
    assert_eq!(
        (&total["EstimatedCostUsd"], &total["_aws"]["Timestamp"]),
        (&json!(0.22), &json!(1_795_391_999_000_u64))
    );
    assert_eq!(
        (&month["MonthToDateCostUsd"], &month["BudgetUsedPercent"]),
        (&json!(0.22), &json!(110.0))
    );
}

#[tokio::test]
async fn a_failed_channel_fails_the_call_and_its_retry_delivers_only_that() {
    for (broken, delivered_first, missing) in [("sns", "files", "mail"), ("s3", "mail", "files")] {
        let outlets = Arc::new(Outlets::default());
        outlets.broken.lock().unwrap().insert(broken);
        let lambda = function(&outlets, &[]).await;
        let error = lambda
            .try_invoke(&event("report-schedule"))
            .await
            .unwrap_err();
        assert_eq!(error["errorType"], "NotDelivered", "{error}");
        let message = error["errorMessage"].as_str().unwrap();
        assert!(
            message.starts_with(&format!("not delivered: {missing}: "))
                && message.contains("AccessDenied (no)"),
            "{message}"
        );
        let (files, mails) = (
            outlets.written.lock().unwrap().len(),
            outlets.mails.lock().unwrap().len(),
        );
        assert!(
            if delivered_first == "files" {
                files > 0 && mails == 0
            } else {
                files == 0 && mails == 1
            },
            "{files} {mails}"
        );
        assert_eq!(lambda.metrics().len(), 3, "the rest was delivered");
        outlets.broken.lock().unwrap().clear();
        let answer = lambda.invoke(&event("report-schedule")).await;
        assert_eq!(answer["delivered"], json!([missing]));
        assert_eq!(
            (outlets.mails.lock().unwrap().len(), lambda.metrics().len()),
            (1, 3)
        );
    }
}

#[tokio::test]
async fn a_view_of_one_model_is_answered_hour_by_hour_and_not_delivered() {
    let outlets = Arc::new(Outlets::default());
    let lambda = function(&outlets, &[]).await;
    lambda.bedrock.figures.record(
        "us-east-1",
        "amazon.nova-lite-v1:0",
        "Invocations",
        NOON,
        7.0,
    );
    let order =
        |model: &str| json!({ "scheduled": "2026-11-23T06:15:00Z", "model": model }).to_string();
    for name in ["haiku", HAIKU] {
        let answer = lambda.invoke(&order(name)).await;
        assert_eq!(
            answer["hours"],
            json!([{ "time": "2026-11-22T12:00:00Z", "invocations": 200 }]),
            "{answer}"
        );
        assert_eq!(
            (&answer["models"][0]["modelId"], &answer["delivered"]),
            (&json!(HAIKU), &json!([]))
        );
    }
    let error = lambda.try_invoke(&order("hiku")).await.unwrap_err();
    assert_eq!(error["errorType"], "InvalidEvent");
    assert!(
        error["errorMessage"]
            .as_str()
            .unwrap()
            .contains("did you mean haiku"),
        "{error}"
    );
    assert!(outlets.written.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_stranger_s_id_does_no_harm_to_page_mail_and_rows() {
    let outlets = Arc::new(Outlets::default());
    let lambda = function(&outlets, &[]).await;
    let id = "<script>alert(1)</script>, \"x\"\u{e9}";
    lambda
        .bedrock
        .figures
        .record("us-east-1", id, "Invocations", NOON, 7.0);
    lambda.invoke(&event("report-schedule")).await;
    let page = outlets.object(&format!("{FOLDER}/report.html"));
    assert!(
        !page.contains("<script") && page.contains("&lt;script&gt;"),
        "{page}"
    );
    let rows = outlets.object(&format!("{FOLDER}/report.csv"));
    assert!(
        rows.contains("\"<script>alert(1)</script>, \"\"x\"\"\u{e9}\",7,"),
        "{rows}"
    );
    assert!(outlets.mails.lock().unwrap()[0].0.is_ascii());
}

#[tokio::test]
async fn what_was_incomplete_is_made_up_for_and_a_used_up_budget_is_told_all_the_same() {
    let outlets = Arc::new(Outlets::default());
    let variables = [
        ("REPORT_REGIONS", "us-east-1,us-west-2"),
        ("MONTHLY_BUDGET_USD", "0.20"),
    ];
    let figures = Arc::default();
    let fails: crate::aws::Answer =
        |_, region| (region == "us-west-2").then(|| crate::aws::cbor(500, Vec::new()));
    let address = crate::aws::cloudwatch(&figures, fails).await;
    figures.record("us-east-1", HAIKU, "Invocations", NOON, 200.0);
    figures.record("us-east-1", HAIKU, "InputTokenCount", NOON, 2_000_000.0);
    let broken = [&variables[..], &[("CLOUDWATCH_ENDPOINT", address.as_str())]].concat();
    let lambda = function(&outlets, &broken).await;
    let answer = lambda.invoke(&event("report-schedule")).await;
    assert_eq!(
        answer["delivered"],
        json!(["files", "mail", "metrics"]),
        "{answer}"
    );
    assert!(
        outlets.mails.lock().unwrap()[0]
            .0
            .ends_with("figures are missing, something to look at")
    );
    let [only] = lambda.metrics().try_into().unwrap();
    assert_eq!(
        (&only["BudgetUsedPercent"], only.get("ForecastCostUsd")),
        (&json!(110.0), None)
    );
    assert_eq!(
        lambda.invoke(&event("report-schedule")).await["delivered"],
        json!([])
    );
    // The next one can read everything.
    let lambda = function(&outlets, &variables).await;
    let answer = lambda.invoke(&event("report-schedule")).await;
    assert_eq!(answer["delivered"], json!(["files", "mail", "metrics"]));
}
