//! The real bootstrap under load, over loopback: `make load`, and `make soak` for what takes minutes; `-- vectors` for the
//! embeddings alone, `-- report` for the usage report.
//!
//! It prints what it measures, and ends with an error when an answer is wrong or something leaks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::too_many_lines,
    clippy::cast_possible_truncation,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a measurement may fail and prints; its modules are one program"
)]

mod lambda;

use std::time::{Duration, Instant};

use lambda::Lambda;
use local::bedrock::faults::{Breaks, Fault};
use serde_json::{Value, json};

const STREAM: [(&str, &str); 1] = [("RESPONSE_MODE", "stream")];

#[tokio::main]
async fn main() {
    if std::env::args().any(|argument| argument == "soak") {
        a_long_answer().await;
        a_slow_answer().await;
    } else if std::env::args().any(|argument| argument == "vectors") {
        vectors().await;
    } else if std::env::args().any(|argument| argument == "report") {
        report().await;
    } else {
        latencies().await;
        a_throttled_first_candidate().await;
        first_pieces().await;
        faults().await;
        vectors().await;
        report().await;
    }
}

/// The month of 120 models that were called every hour, and the month before: calls to CloudWatch, time, memory.
async fn report() {
    const HOURS: u64 = 61 * 24;
    let september = 1_788_220_800;
    let lambda = Lambda::usage_report(&[]).await;
    lambda.invoke(r#"{"window":"PT1H"}"#).await;
    let idle = lambda.peak_kb();
    let figures = &lambda.bedrock.figures;
    for number in 0..120u64 {
        let id = format!("us.vendor.model-{number:03}");
        for hour in 0..HOURS {
            for name in [
                "Invocations",
                "InputTokenCount",
                "OutputTokenCount",
                "CacheReadInputTokens",
                "CacheWriteInputTokens",
                "InvocationLatency",
                "TimeToFirstToken",
                "InvocationClientErrors",
                "InvocationServerErrors",
                "InvocationThrottles",
                "LegacyModelInvocations",
            ] {
                figures.record("us-east-1", &id, name, september + hour * 3600, 7.0);
            }
        }
    }
    let began = Instant::now();
    let answer = lambda
        .invoke(r#"{"window":"month","scheduled":"2026-11-01T06:15:00Z"}"#)
        .await;
    let time = began.elapsed();
    assert_eq!(answer["missing"], json!([]));
    assert_eq!(answer["total"]["invocations"], 120 * 31 * 24 * 7);
    println!(
        "report of 120 models, 15 sums and 4 courses each, 31 days: {} calls to CloudWatch, {time:.1?}, {} KB at most ({idle} before)",
        answer["calls"],
        lambda.peak_kb()
    );
}

/// A thousand texts at 50 ms a call and one throttle in twenty, against one after the other; and the memory of a long answer.
async fn vectors() {
    let slow = |error: Option<&str>, every| Fault {
        every,
        error: error.map(str::to_owned),
        latency_ms: 50,
        ..Fault::default()
    };
    let texts = |count: usize| -> Vec<String> {
        (0..count)
            .map(|number| format!("text number {number}"))
            .collect()
    };
    let lambda = Lambda::embeddings(&STREAM).await;
    let ask = async |texts: &[String], dimensions: u32| {
        let body = json!({ "texts": texts, "dimensions": dimensions }).to_string();
        let began = Instant::now();
        let (status, answer) = lambda.post("/embeddings", &body).await;
        let time = began.elapsed();
        let vectors = answer["embeddings"].as_array().unwrap();
        assert_eq!((status, vectors.len()), (200, texts.len()));
        assert!(vectors.iter().all(Value::is_array));
        (time, answer["throttled"].as_u64().unwrap())
    };
    ask(&texts(1), 256).await;
    lambda.bedrock.faults.add(slow(None, None));
    let mut alone = Duration::ZERO;
    for text in texts(40) {
        alone += ask(&[text], 256).await.0;
    }
    let alone = alone * 25;
    lambda.bedrock.faults.clear();
    lambda
        .bedrock
        .faults
        .add(slow(Some("ThrottlingException"), Some(20)));
    lambda.bedrock.faults.add(slow(None, None));
    let (together, throttled) = ask(&texts(1000), 256).await;
    let faster = alone.as_secs_f64() / together.as_secs_f64();
    println!(
        "1,000 texts, {throttled} throttles: {together:.1?}; one by one {alone:.1?}: {faster:.0} times as fast"
    );
    lambda.bedrock.faults.clear();
    let before = lambda.peak_kb();
    let (time, _) = ask(&texts(2000), 1024).await;
    println!(
        "2,000 vectors of 1,024: {time:.1?}; peak memory {} KB, {before} KB before (the numbers alone are 8,000 KB)",
        lambda.peak_kb()
    );
}

fn question() -> Value {
    json!({ "prompt": "Classify: good or bad?" })
}

/// The times of requests, sorted.
async fn times(lambda: &Lambda, count: usize, body: &Value) -> Vec<Duration> {
    let body = body.to_string();
    let mut times = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        let (status, answer) = lambda.post("/invoke", &body).await;
        times.push(began.elapsed());
        assert_eq!(status, 200, "{answer}");
    }
    times.sort_unstable();
    times
}

fn show(what: &str, times: &[Duration]) {
    let at = |per_cent: usize| times[times.len() * per_cent / 100];
    println!("{what:<44} p50 {:>9.1?}  p99 {:>9.1?}", at(50), at(99));
}

/// What a warm call takes, Bedrock's stand-in and the Runtime API included.
async fn latencies() {
    for mode in ["buffered", "stream"] {
        let lambda = Lambda::router(&[("RESPONSE_MODE", mode)]).await;
        times(&lambda, 200, &question()).await;
        show(
            &format!("a warm call, {mode}"),
            &times(&lambda, 2000, &question()).await,
        );
    }
}

/// What it costs that the first candidate is throttled for good.
async fn a_throttled_first_candidate() {
    let lambda = Lambda::router(&[]).await;
    times(&lambda, 200, &question()).await;
    let second = json!({ "prompt": "Classify: good or bad?", "model": "gpt-6-luna" });
    let alone = times(&lambda, 1000, &second).await;
    lambda.bedrock.faults.add(Fault {
        model: "haiku".into(),
        error: Some("ThrottlingException".into()),
        ..Fault::default()
    });
    let asked = lambda.bedrock.requests();
    let routed = times(&lambda, 1000, &question()).await;
    show("the second candidate alone", &alone);
    show("the second, with the first throttled", &routed);
    println!(
        "{:<44} {} of 1000",
        "the throttled one was asked",
        lambda.bedrock.requests() - asked - 1000
    );
}

/// From the stand-in's first delta to the Runtime API's, in stream mode.
async fn first_pieces() {
    let lambda = Lambda::router(&STREAM).await;
    let mut times = Vec::new();
    for _ in 0..500 {
        // The pause keeps the pieces apart, so that each must leave by itself.
        lambda.bedrock.faults.clear();
        lambda.bedrock.faults.add(Fault {
            drip_ms: 3,
            ..Fault::default()
        });
        let streamed = lambda.stream(&question()).await;
        let arrived = streamed
            .pieces
            .iter()
            .find(|(_, piece)| piece.contains("event: delta"))
            .unwrap()
            .0;
        let sent = lambda.bedrock.first_piece().unwrap().as_micros() as u64;
        times.push(Duration::from_micros(arrived.saturating_sub(sent)));
    }
    times.sort_unstable();
    show("from Bedrock's first delta to ours", &times);
}

/// 20,000 requests, every twentieth with a fault.
async fn faults() {
    let lambda = Lambda::router(&STREAM).await;
    let (mut state, mut wrong, mut told) = (1u64, 0, 0);
    let mut random = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    times(&lambda, 500, &question()).await;
    let before = (lambda.resident_kb(), lambda.open_files());
    let began = Instant::now();
    for _ in 0..20_000 {
        lambda.bedrock.faults.clear();
        if random(20) == 0 {
            lambda.bedrock.faults.add(random_fault(&mut random));
        }
        let mut body = question();
        body["timeoutMs"] = 2000.into();
        let (status, answer) = lambda.post("/invoke", &body.to_string()).await;
        let text = answer["text"]
            .as_str()
            .or(answer["partial"]["text"].as_str())
            .unwrap_or_default();
        let is_right = match status {
            200 => {
                text.ends_with('\u{201d}') && answer["cost"]["totalUsd"].is_number()
                    || answer["stopReason"] == "deadline"
            }
            429 | 502 | 503 | 504 => {
                answer["attempts"].is_array()
                    && (answer["partial"].is_null() || text.starts_with("[simulation"))
            }
            _ => false,
        };
        told += usize::from(status != 200);
        if !is_right {
            wrong += 1;
            println!("wrong: {status} {answer}");
        }
    }
    let after = (lambda.resident_kb(), lambda.open_files());
    println!(
        "20,000 requests in {:.0?}: {wrong} wrong, {told} told as failures",
        began.elapsed()
    );
    println!(
        "resident {} -> {} KB, open files {} -> {}",
        before.0, after.0, before.1, after.1
    );
    assert_eq!(wrong, 0);
    assert!(after.1 <= before.1 + 8, "files stay open");
    assert!(after.0 < before.0 * 3 / 2, "memory grows");
}

fn random_fault(random: &mut impl FnMut(u64) -> u64) -> Fault {
    let errors = [
        "ThrottlingException",
        "ServiceUnavailableException",
        "InternalServerException",
        "ModelErrorException",
        "ModelTimeoutException",
    ];
    let breaks = [
        Breaks::Reset,
        Breaks::Truncated,
        Breaks::Cut,
        Breaks::Checksum,
        Breaks::Usage,
        Breaks::Hang,
    ];
    let after = Some(random(8) as usize).filter(|after| *after > 0);
    let fault = Fault {
        times: Some(1),
        after,
        ..Fault::default()
    };
    match random(2) {
        0 => Fault {
            error: Some(errors[random(5) as usize].into()),
            ..fault
        },
        _ => Fault {
            breaks: Some(breaks[random(6) as usize]),
            ..fault
        },
    }
}

/// 11 MB of text, which no buffered function could return.
async fn a_long_answer() {
    let lambda = Lambda::lasting(&STREAM, Duration::from_secs(900)).await;
    let text = "words of a very long answer ".repeat(11 * 1024 * 1024 / 28);
    lambda.reply(&reply(&text));
    let began = Instant::now();
    let streamed = lambda
        .stream(&json!({ "prompt": "x", "model": "nova-lite" }))
        .await;
    assert!(streamed.text() == text, "the text is not whole");
    println!(
        "{} MB in {} events, {:.1?}; resident {} KB",
        text.len() / 1024 / 1024,
        streamed.events.len(),
        began.elapsed(),
        lambda.resident_kb()
    );
}

/// Five minutes of a word now and then.
async fn a_slow_answer() {
    let lambda = Lambda::lasting(&STREAM, Duration::from_secs(900)).await;
    lambda.bedrock.faults.add(Fault {
        drip_ms: 40_000,
        ..Fault::default()
    });
    let began = Instant::now();
    let streamed = lambda.stream(&question()).await;
    assert_eq!(streamed.order(), ["routing", "delta", "done"]);
    let heartbeats = streamed
        .pieces
        .iter()
        .filter(|(_, piece)| piece.starts_with(": waiting"))
        .count();
    println!(
        "a drip of {:.0?}: {} events, {heartbeats} heartbeats",
        began.elapsed(),
        streamed.events.len()
    );
    assert!(began.elapsed() > Duration::from_secs(300));
}

fn reply(text: &str) -> String {
    let message = json!({ "role": "assistant", "content": [{ "text": text }] });
    let usage = json!({ "inputTokens": 1, "outputTokens": 1, "totalTokens": 2 });
    json!({ "output": { "message": message }, "stopReason": "end_turn", "usage": usage })
        .to_string()
}
