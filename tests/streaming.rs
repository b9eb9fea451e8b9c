//! Answers in pieces, faults at every point of them, deadlines.

use std::time::{Duration, Instant};

use local::bedrock::faults::{Breaks, Fault};
use serde_json::{Value, json};

use crate::lambda::{Lambda, Streamed};

const STREAM: [(&str, &str); 1] = [("RESPONSE_MODE", "stream")];

fn question() -> Value {
    json!({ "prompt": "Classify: good or bad?" })
}

#[tokio::test]
async fn an_answer_comes_in_pieces_in_either_mode() {
    for mode in ["stream", "buffered"] {
        let lambda = Lambda::router(&[("RESPONSE_MODE", mode)]).await;
        let streamed = lambda.stream(&question()).await;
        assert_eq!(
            (streamed.status, streamed.order()),
            (200, vec!["routing", "delta", "done"]),
            "{mode}"
        );
        let (_, whole) = lambda.post("/invoke", &question().to_string()).await;
        assert_eq!(streamed.text(), whole["text"].as_str().unwrap(), "{mode}");
        let (routing, done) = (&streamed.events[0].1, streamed.last());
        assert_eq!(routing["routing"]["modelId"], whole["routing"]["modelId"]);
        assert_eq!(
            (&done["usage"], &done["cost"], &done["stopReason"]),
            (&whole["usage"], &whole["cost"], &whole["stopReason"])
        );
        assert!(done["timeToFirstTokenMs"].is_u64() && done["latencyMs"].is_u64());
        assert!(streamed.events.len() > 4);
        assert_eq!(lambda.metrics().len(), 2);
    }
}

#[tokio::test]
async fn every_route_answers_in_stream_mode() {
    let lambda = Lambda::router(&STREAM).await;
    for (event, status) in [
        ("health-rest", 200),
        ("models-rest", 200),
        ("unknown-path-rest", 404),
        ("invoke-rest", 200),
    ] {
        let answer = lambda.invoke(&crate::lambda::event(event)).await;
        assert_eq!(answer["statusCode"], status, "{event}");
        assert!(
            serde_json::from_str::<Value>(answer["body"].as_str().unwrap()).is_ok(),
            "{event}"
        );
    }
    let refused = lambda.stream(&json!({ "promt": "x" })).await;
    assert_eq!(
        (refused.status, refused.problem["field"].as_str()),
        (400, Some("promt"))
    );
}

#[tokio::test]
async fn tools_and_thoughts_come_in_pieces() {
    let lambda = Lambda::router(&STREAM).await;
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let tools = json!({ "tools": [{ "toolSpec": { "name": "weather", "inputSchema": { "json": schema } } }] });
    let thinking = json!({ "thinking": { "type": "adaptive" } });
    let body = json!({ "model": "claude-sonnet-5-5", "prompt": "Use weather.", "toolConfig": tools, "additionalModelRequestFields": thinking });
    let streamed = lambda.stream(&body).await;
    let deltas: Vec<_> = streamed
        .events
        .iter()
        .filter(|(name, _)| name == "delta")
        .map(|(_, value)| value)
        .collect();
    assert!(
        deltas[0]["reasoning"]["text"].is_string()
            && deltas[1]["reasoning"]["signature"].is_string(),
        "{deltas:?}"
    );
    let calls: Vec<_> = deltas
        .iter()
        .filter(|delta| delta["toolUse"].is_object())
        .collect();
    assert!(
        calls
            .iter()
            .all(|delta| delta["toolUse"]["name"] == "weather" && delta["toolUse"]["index"] == 1)
    );
    let input: String = calls
        .iter()
        .map(|delta| delta["toolUse"]["input"].as_str().unwrap())
        .collect();
    assert_eq!(
        serde_json::from_str::<Value>(&input).unwrap(),
        json!({ "city": "x" })
    );
    assert_eq!(streamed.last()["stopReason"], "tool_use");
    // A model that does not stream with tools is asked in one piece, and answers in pieces all the same.
    let mut body = body;
    body["model"] = "llama-3.1-70b".into();
    body.as_object_mut()
        .unwrap()
        .remove("additionalModelRequestFields");
    let streamed = lambda.stream(&body).await;
    assert_eq!(
        (streamed.order(), streamed.last()["stopReason"].as_str()),
        (vec!["routing", "delta", "done"], Some("tool_use"))
    );
    // JSON that a forced tool makes is told as text.
    let schema = r#"{"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}"#;
    let format = json!({ "textFormat": { "type": "json_schema", "structure": { "jsonSchema": { "schema": schema } } } });
    let streamed = lambda
        .stream(&json!({ "model": "nova-lite", "prompt": "x", "outputConfig": format }))
        .await;
    assert_eq!(streamed.text(), r#"{"a":"x"}"#);
    assert_eq!(
        streamed.last()["structuredOutput"],
        json!({ "via": "forcedTool", "valid": true, "retried": false })
    );
}

/// Every fault that Bedrock can give, with the outcome that is told of it.
fn faults() -> Vec<(Fault, &'static str)> {
    let error = |name: &str, outcome| {
        (
            Fault {
                error: Some(name.into()),
                ..Fault::default()
            },
            outcome,
        )
    };
    let breaks = |how, outcome| {
        (
            Fault {
                breaks: Some(how),
                ..Fault::default()
            },
            outcome,
        )
    };
    let html = Some("<html>Service Unavailable</html>".into());
    vec![
        error("ThrottlingException", "throttled"),
        error("ModelNotReadyException", "model-not-ready"),
        error("ServiceUnavailableException", "unavailable"),
        error("InternalServerException", "bedrock-failed"),
        error("ModelErrorException", "model-error"),
        error("ModelTimeoutException", "timed-out"),
        error("AccessDeniedException", "access-denied"),
        error("ResourceNotFoundException", "model-not-found"),
        error("ServiceQuotaExceededException", "throttled"),
        (
            Fault {
                status: Some(429),
                ..Fault::default()
            },
            "throttled",
        ),
        (
            Fault {
                status: Some(503),
                reply: html,
                ..Fault::default()
            },
            "unavailable",
        ),
        breaks(Breaks::Reset, "bedrock-failed"),
        breaks(Breaks::ResetInHead, "bedrock-failed"),
        breaks(Breaks::Hang, "timed-out"),
    ]
}

/// Every fault within a stream, with the outcome that is told of it.
fn faults_within() -> Vec<(Fault, &'static str)> {
    let error = |name: &str, outcome| {
        (
            Fault {
                error: Some(name.into()),
                ..Fault::default()
            },
            outcome,
        )
    };
    let breaks = |how, outcome| {
        (
            Fault {
                breaks: Some(how),
                ..Fault::default()
            },
            outcome,
        )
    };
    vec![
        error("InternalServerException", "bedrock-failed"),
        error("ModelStreamErrorException", "model-error"),
        error("ValidationException", "refused-by-bedrock"),
        error("ThrottlingException", "throttled"),
        error("ServiceUnavailableException", "unavailable"),
        breaks(Breaks::Reset, "bedrock-failed"),
        breaks(Breaks::Truncated, "bedrock-failed"),
        breaks(Breaks::Cut, "bedrock-failed"),
        breaks(Breaks::Checksum, "bedrock-failed"),
        breaks(Breaks::Usage, "bedrock-failed"),
        breaks(Breaks::Hang, "deadline"),
    ]
}

/// A request with little time where a fault hangs, so that it is waited for briefly.
fn brief(fault: &Fault) -> Value {
    let time = if fault.breaks == Some(Breaks::Hang) {
        600
    } else {
        20_000
    };
    json!({ "prompt": "Classify: good or bad?", "timeoutMs": time })
}

#[tokio::test]
async fn before_the_first_piece_every_fault_is_followed_by_the_next_candidate() {
    let all = faults().into_iter().chain(
        faults_within()
            .into_iter()
            .filter(|(_, outcome)| *outcome != "refused-by-bedrock")
            .map(|(fault, outcome)| {
                let outcome = if outcome == "deadline" {
                    "timed-out"
                } else {
                    outcome
                };
                (
                    Fault {
                        after: Some(0),
                        ..fault
                    },
                    outcome,
                )
            }),
    );
    // Without the tokens, an answer has come; that is not before its first piece.
    let all: Vec<_> = all
        .filter(|(fault, _)| fault.breaks != Some(Breaks::Usage))
        .collect();
    for streaming in [false, true] {
        for (fault, outcome) in &all {
            let lambda = Lambda::router(&STREAM).await;
            lambda.bedrock.faults.add(Fault {
                model: "haiku".into(),
                ..fault.clone()
            });
            let routing = if streaming {
                let streamed = lambda.stream(&brief(fault)).await;
                assert_eq!(
                    (streamed.status, streamed.order()),
                    (200, vec!["routing", "delta", "done"]),
                    "{fault:?}: {streamed:?}"
                );
                streamed.events[0].1["routing"].clone()
            } else {
                let (status, answer) = post(&lambda, &brief(fault)).await;
                assert_eq!(status, 200, "{fault:?}: {answer}");
                answer["routing"].clone()
            };
            let outcomes: Vec<_> = routing["attempts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|attempt| attempt["outcome"].as_str().unwrap())
                .collect();
            // With little time left, models that think are passed over.
            let others: Vec<_> = outcomes
                .iter()
                .filter(|other| **other != "too-little-time")
                .collect();
            let last = if streaming { &"answering" } else { &"answered" };
            assert_eq!(others, [outcome, last], "{fault:?}");
            assert_ne!(routing["modelId"], "us.anthropic.claude-haiku-5-5");
        }
    }
}

#[tokio::test]
async fn after_the_first_piece_nothing_is_lost_and_the_end_is_told() {
    for streaming in [false, true] {
        for (fault, outcome) in &faults_within() {
            let outcome = *outcome;
            let lambda = Lambda::router(&STREAM).await;
            lambda.bedrock.faults.add(Fault {
                after: Some(3).filter(|_| fault.breaks != Some(Breaks::Usage)),
                ..fault.clone()
            });
            let began = Instant::now();
            if streaming {
                let streamed = lambda.stream(&brief(fault)).await;
                let last = streamed.last();
                assert!(
                    streamed
                        .text()
                        .starts_with("[simulation: no model was called]"),
                    "{fault:?}"
                );
                assert_eq!(
                    streamed.order(),
                    if outcome == "deadline" {
                        ["routing", "delta", "done"]
                    } else {
                        ["routing", "delta", "error"]
                    },
                    "{fault:?}"
                );
                check(fault, outcome, last, &streamed.text());
            } else {
                let (status, answer) = post(&lambda, &brief(fault)).await;
                assert_eq!(status == 200, outcome == "deadline", "{fault:?}: {answer}");
                let text = answer["text"]
                    .as_str()
                    .or(answer["partial"]["text"].as_str())
                    .unwrap()
                    .to_owned();
                check(fault, outcome, &answer, &text);
            }
            assert!(began.elapsed() < Duration::from_secs(3), "{fault:?}");
            let metric = lambda.metrics().pop().unwrap();
            assert!(
                metric["OutputTokens"].as_u64().unwrap() > 0
                    && metric["Cost"].as_f64().unwrap() > 0.0,
                "{fault:?}: {metric}"
            );
        }
    }
}

/// What must be told at the end of an answer that broke off.
fn check(fault: &Fault, outcome: &str, told: &Value, text: &str) {
    assert!(text.contains("simulation"), "{fault:?}: {told}");
    if outcome == "deadline" {
        assert_eq!(
            (
                told["stopReason"].as_str(),
                told["usageEstimated"].as_bool()
            ),
            (Some("deadline"), Some(true)),
            "{told}"
        );
        assert!(
            told["warnings"].to_string().contains("time ran out"),
            "{told}"
        );
        assert!(told["cost"]["totalUsd"].as_f64().unwrap() > 0.0);
        return;
    }
    assert_eq!(
        told["type"],
        format!("urn:bedrock-router:problem:{outcome}"),
        "{fault:?}: {told}"
    );
    assert!(
        told["partial"]["usage"]["outputTokens"].as_u64().unwrap() > 0,
        "{fault:?}: {told}"
    );
    assert_eq!(told["attempts"][0]["outcome"], outcome);
}

/// Status and JSON of a buffered answer of a function in stream mode.
async fn post(lambda: &Lambda, body: &Value) -> (u16, Value) {
    lambda.post("/invoke", &body.to_string()).await
}

#[tokio::test]
async fn when_all_are_throttled_the_status_says_so_and_when_to_come_again() {
    for streaming in [false, true] {
        let lambda = Lambda::router(&STREAM).await;
        lambda.bedrock.faults.add(Fault {
            error: Some("ThrottlingException".into()),
            retry_after: Some(7),
            ..Fault::default()
        });
        let problem = |streamed: Streamed| (streamed.status, streamed.problem);
        let (status, first) = if streaming {
            problem(lambda.stream(&question()).await)
        } else {
            post(&lambda, &question()).await
        };
        assert_eq!(
            (status, first["retryAfterSeconds"].as_u64()),
            (429, Some(7)),
            "{first}"
        );
        // Whoever comes again before that is not even sent to Bedrock.
        let asked = lambda.bedrock.requests();
        let (status, again) = if streaming {
            problem(lambda.stream(&question()).await)
        } else {
            post(&lambda, &question()).await
        };
        assert_eq!((status, lambda.bedrock.requests()), (429, asked), "{again}");
        assert!(
            (1..=8).contains(&again["retryAfterSeconds"].as_u64().unwrap()),
            "{again}"
        );
        assert!(
            again["attempts"]
                .as_array()
                .unwrap()
                .iter()
                .all(|attempt| attempt["outcome"] == "cooling-down")
        );
    }
}

#[tokio::test]
async fn another_scope_of_the_same_model_has_a_quota_of_its_own() {
    let lambda = Lambda::router(&[]).await;
    lambda.fail("nova-lite", "ThrottlingException", Some(1));
    let (status, answer) = lambda
        .post("/invoke", r#"{"prompt": "x", "model": "nova-lite"}"#)
        .await;
    let asked: Vec<_> = answer["routing"]["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["modelId"].as_str().unwrap())
        .collect();
    assert_eq!(
        (status, asked),
        (
            200,
            vec!["amazon.nova-lite-v1:0", "us.amazon.nova-lite-v1:0"]
        )
    );
    // A scope that the caller spells out is kept.
    let lambda = Lambda::router(&[]).await;
    lambda.fail("nova-lite", "ThrottlingException", None);
    let (status, problem) = lambda
        .post(
            "/invoke",
            r#"{"prompt": "x", "model": "us.amazon.nova-lite-v1:0"}"#,
        )
        .await;
    assert_eq!(
        (status, problem["attempts"].as_array().unwrap().len()),
        (429, 1),
        "{problem}"
    );
}

#[tokio::test]
async fn a_throttled_id_rests_until_its_time_is_over() {
    let lambda = Lambda::router(&STREAM).await;
    lambda.bedrock.faults.add(Fault {
        model: "haiku".into(),
        error: Some("ThrottlingException".into()),
        retry_after: Some(1),
        times: Some(1),
        ..Fault::default()
    });
    let chosen = |answer: &Value| answer["routing"]["model"].as_str().unwrap().to_owned();
    let first = post(&lambda, &question()).await.1;
    let second = post(&lambda, &question()).await.1;
    assert_eq!(
        (chosen(&first), chosen(&second)),
        ("gpt-6-luna".into(), "gpt-6-luna".into())
    );
    assert_eq!(second["routing"]["attempts"][0]["outcome"], "cooling-down");
    assert_eq!(lambda.bedrock.requests(), 3);
    let rested = Instant::now();
    let third = loop {
        let answer = post(&lambda, &question()).await.1;
        if chosen(&answer) == "claude-haiku-5-5" || rested.elapsed() > Duration::from_secs(5) {
            break answer;
        }
    };
    assert_eq!(chosen(&third), "claude-haiku-5-5");
    assert!(rested.elapsed() > Duration::from_millis(500));
}

#[tokio::test]
async fn pieces_leave_as_they_come() {
    let lambda = Lambda::router(&STREAM).await;
    lambda.bedrock.faults.add(Fault {
        drip_ms: 30,
        ..Fault::default()
    });
    let streamed = lambda.stream(&question()).await;
    let deltas: Vec<u64> = streamed
        .pieces
        .iter()
        .filter(|(_, piece)| piece.contains("event: delta"))
        .map(|(at, _)| *at)
        .collect();
    assert!(deltas.len() > 3, "{streamed:?}");
    let spread = deltas.last().unwrap() - deltas[0];
    assert!(spread > 30_000 * (deltas.len() as u64 - 2), "{deltas:?}");
}

#[tokio::test]
async fn thinking_that_uses_up_all_room_is_given_more_once() {
    let lambda = Lambda::router(&[]).await;
    let thought_only = json!({
        "output": { "message": { "role": "assistant", "content": [{ "reasoningContent": { "reasoningText": { "text": "hm", "signature": "s" } } }] } },
        "stopReason": "max_tokens",
        "usage": { "inputTokens": 10, "outputTokens": 2048, "totalTokens": 2058 },
    });
    lambda.bedrock.faults.add(Fault {
        reply: Some(thought_only.to_string()),
        times: Some(1),
        ..Fault::default()
    });
    let (status, answer) = lambda
        .post(
            "/invoke",
            r#"{"prompt": "Classify: good", "model": "opus"}"#,
        )
        .await;
    assert_eq!(
        (status, answer["stopReason"].as_str()),
        (200, Some("end_turn")),
        "{answer}"
    );
    let (first, second) = (
        &lambda.sent()[0]["inferenceConfig"]["maxTokens"],
        &lambda.sent()[1]["inferenceConfig"]["maxTokens"],
    );
    assert_eq!(first.as_u64().unwrap() * 2, second.as_u64().unwrap());
    assert!(
        answer["usage"]["outputTokens"].as_u64().unwrap() > 2048
            && answer["warnings"].to_string().contains("asked once more")
    );
}

/// An answer that thought, and came to nothing more.
fn thought_only() -> Value {
    let thought =
        json!({ "reasoningContent": { "reasoningText": { "text": "hm", "signature": "s" } } });
    json!({
        "output": { "message": { "role": "assistant", "content": [thought] } },
        "stopReason": "max_tokens",
        "usage": { "inputTokens": 10, "outputTokens": 2048, "totalTokens": 2058 },
    })
}

#[tokio::test]
async fn the_second_answer_after_thinking_is_told_as_one_with_the_first() {
    let question = json!({ "prompt": "Classify: good", "model": "opus" });
    for cut in [false, true] {
        let lambda = Lambda::router(&STREAM).await;
        lambda.bedrock.faults.add(Fault {
            reply: Some(thought_only().to_string()),
            times: Some(1),
            ..Fault::default()
        });
        if cut {
            lambda.bedrock.faults.add(Fault {
                after: Some(3),
                breaks: Some(Breaks::Reset),
                ..Fault::default()
            });
        }
        let streamed = lambda.stream(&question).await;
        let last = if cut { "error" } else { "done" };
        assert_eq!(streamed.order(), ["routing", "delta", last], "{streamed:?}");
        let usage = if cut {
            &streamed.last()["partial"]["usage"]
        } else {
            &streamed.last()["usage"]
        };
        assert!(
            usage["outputTokens"].as_u64().unwrap() > 2048,
            "both answers are paid for: {usage}"
        );
        assert_eq!(lambda.metrics().len(), 1);
    }
}

#[tokio::test]
async fn access_that_is_missing_lets_a_model_rest_but_not_for_who_names_it() {
    let lambda = Lambda::router(&[]).await;
    lambda.bedrock.faults.add(Fault {
        model: "haiku".into(),
        error: Some("AccessDeniedException".into()),
        times: Some(1),
        ..Fault::default()
    });
    for _ in 0..2 {
        let (_, answer) = post(&lambda, &question()).await;
        assert_eq!(answer["routing"]["model"], "gpt-6-luna");
    }
    assert_eq!(lambda.bedrock.requests(), 3);
    let named = json!({ "prompt": "Classify: good or bad?", "model": "haiku" });
    assert_eq!(post(&lambda, &named).await.0, 200);
    // What a guardrail that a caller names may not do says nothing about the model.
    let lambda = Lambda::router(&[]).await;
    let message = Some(
        "You are not authorized to perform bedrock:ApplyGuardrail on this guardrail".to_owned(),
    );
    lambda.bedrock.faults.add(Fault {
        error: Some("AccessDeniedException".into()),
        message,
        times: Some(1),
        ..Fault::default()
    });
    post(&lambda, &question()).await;
    assert_eq!(
        post(&lambda, &question()).await.1["routing"]["model"],
        "claude-haiku-5-5"
    );
}
