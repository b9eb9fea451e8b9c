//! Which hours every event asks for.

use serde_json::json;

use super::*;

const NOW: &str = "2026-11-24T12:34:56Z";

fn window(event: &Value) -> Result<(String, String, i32), String> {
    let window = Order::of(event, NOW.parse().unwrap())?.window;
    Ok((
        window.start.to_string(),
        window.end.to_string(),
        window.period,
    ))
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn every_event_asks_for_a_window() {
    let scheduler = json!({
        "version": "0", "detail-type": "Scheduled Event", "source": "aws.scheduler", "time": "2026-11-22T00:05:00Z",
        "region": "us-east-1", "resources": [], "detail": "{}"
    });
    for (event, start, end, period) in [
        (
            json!(null),
            "2026-11-23T00:00:00Z",
            "2026-11-24T00:00:00Z",
            3600,
        ),
        (
            json!({}),
            "2026-11-23T00:00:00Z",
            "2026-11-24T00:00:00Z",
            3600,
        ),
        // Five past midnight is too early for the day that has just ended.
        (
            json!({ "window": "day", "scheduled": "2026-11-22T00:05:00Z" }),
            "2026-11-20T00:00:00Z",
            "2026-11-21T00:00:00Z",
            3600,
        ),
        (
            json!({ "window": "day", "scheduled": "2026-11-22T01:05:00Z" }),
            "2026-11-21T00:00:00Z",
            "2026-11-22T00:00:00Z",
            3600,
        ),
        (
            scheduler,
            "2026-11-20T00:00:00Z",
            "2026-11-21T00:00:00Z",
            3600,
        ),
        (
            json!({ "source": "aws.events", "time": "2026-11-02T06:00:00Z", "detail": { "window": "month" } }),
            "2026-10-01T00:00:00Z",
            "2026-11-01T00:00:00Z",
            3600,
        ),
        (
            json!({ "window": "week" }),
            "2026-11-17T00:00:00Z",
            "2026-11-24T00:00:00Z",
            3600,
        ),
        (
            json!({ "window": "month", "end": "2026-03-01T00:00:00Z" }),
            "2026-02-01T00:00:00Z",
            "2026-03-01T00:00:00Z",
            3600,
        ),
        (
            json!({ "window": "PT6H" }),
            "2026-11-24T05:00:00Z",
            "2026-11-24T11:00:00Z",
            300,
        ),
        (
            json!({ "window": "PT6H", "end": "2026-01-01T10:20:00Z" }),
            "2026-01-01T04:00:00Z",
            "2026-01-01T10:00:00Z",
            3600,
        ),
        (
            json!({ "window": "P2D" }),
            "2026-11-22T11:00:00Z",
            "2026-11-24T11:00:00Z",
            3600,
        ),
    ] {
        assert_eq!(
            window(&event),
            Ok((start.into(), end.into(), period)),
            "{event}"
        );
    }
}

#[test]
fn what_cannot_be_reported_is_refused() {
    for (event, words) in [
        (
            json!({ "end": "2026-11-25T00:00:00Z" }),
            "lies in the future",
        ),
        (json!({ "end": "2025-01-01T00:00:00Z" }), "455 days only"),
        (json!({ "window": "year" }), "is not day, week, month"),
        (json!({ "window": "PT90M" }), "whole hours"),
        (json!({ "window": "PT0H" }), "whole hours"),
        (json!({ "window": "P40D" }), "up to 31 days"),
        (json!({ "end": "yesterday" }), "cannot be read"),
        (json!([1]), "cannot be read"),
        (json!({ "windw": "month" }), "\"windw\" is not known"),
        (
            json!({ "source": "aws.scheduler", "detail": "{" }),
            "detail cannot be read",
        ),
        (
            json!({ "scheduled": "2027-01-01T00:00:00Z" }),
            "is not a time that was",
        ),
        (
            json!({ "scheduled": "-009999-01-02T01:59:59Z" }),
            "is not a time that was",
        ),
        (
            json!({ "window": "PT744H", "end": "-009999-01-02T01:59:59Z" }),
            "lies before",
        ),
    ] {
        let error = window(&event).unwrap_err();
        assert!(error.contains(words), "{event}: {error}");
    }
}

#[test]
fn the_window_before_is_as_long_or_the_month_before() {
    let of = |event: Value| Order::of(&event, NOW.parse().unwrap()).unwrap().window;
    let before = of(json!({ "window": "month" })).previous().unwrap();
    assert_eq!(before.start.to_string(), "2026-09-01T00:00:00Z");
    assert_eq!(before.end.to_string(), "2026-10-01T00:00:00Z");
    let before = of(json!({ "window": "PT6H" })).previous().unwrap();
    assert_eq!(before.start.to_string(), "2026-11-23T23:00:00Z");
    for (event, key) in [
        (json!({}), "day/2026-11-23"),
        (json!({ "window": "6 hours" }), "PT6H/2026-11-24T0500Z"),
        (json!({ "window": "P2D" }), "PT48H/2026-11-22T1100Z"),
    ] {
        assert_eq!(of(event).key(), key);
    }
}

#[test]
fn days_are_asked_for_by_day_with_what_is_usual_and_their_month() {
    let plans = |event: Value| {
        let order = Order::of(&event, NOW.parse().unwrap()).unwrap();
        let plans = order.window.plans().unwrap();
        plans.map(|plan| format!("{} {} {}", plan.start, plan.end, plan.period))
    };
    for (event, sums, course) in [
        (
            json!({}),
            "2026-10-26T00:00:00Z 2026-11-24T00:00:00Z 86400",
            "2026-11-23T00:00:00Z 2026-11-24T00:00:00Z 3600",
        ),
        (
            json!({ "window": "month" }),
            "2026-09-01T00:00:00Z 2026-11-01T00:00:00Z 86400",
            "2026-10-01T00:00:00Z 2026-11-01T00:00:00Z 3600",
        ),
        (
            json!({ "window": "PT6H" }),
            "2026-11-23T23:00:00Z 2026-11-24T11:00:00Z 300",
            "2026-11-24T05:00:00Z 2026-11-24T11:00:00Z 300",
        ),
        // As far back as CloudWatch goes, by the hour and to the day.
        (
            json!({ "end": "2025-08-27T00:00:00Z", "scheduled": "2026-11-24T00:00:00Z" }),
            "2025-08-26T00:00:00Z 2025-08-27T00:00:00Z 86400",
            "2025-08-26T00:00:00Z 2025-08-27T00:00:00Z 3600",
        ),
        (
            json!({ "end": "2025-09-05T00:00:00Z" }),
            "2025-08-27T00:00:00Z 2025-09-05T00:00:00Z 86400",
            "2025-09-04T00:00:00Z 2025-09-05T00:00:00Z 3600",
        ),
    ] {
        assert_eq!(plans(event), [sums, course]);
    }
}

#[test]
fn an_event_may_name_a_model_and_ask_again() {
    let event =
        json!({ "source": "aws.scheduler", "detail": "{\"model\": \"haiku\", \"again\": true}" });
    let order = Order::of(&event, NOW.parse().unwrap()).unwrap();
    assert_eq!((order.model.as_deref(), order.again), (Some("haiku"), true));
    assert!(!order.deliver, "a view is no report");
    let order = |event| Order::of(&event, NOW.parse().unwrap()).unwrap();
    assert!(order(json!({})).deliver && !order(json!({ "deliver": false })).deliver);
    let settling = json!({ "end": "2026-11-24T00:00:00Z", "scheduled": "2026-11-24T00:00:30Z" });
    assert!(
        !order(settling).deliver,
        "figures of the last hour may still arrive"
    );
}
