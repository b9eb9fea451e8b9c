//! How long the parts of a call take: percentiles of single ones, then criterion's statistics.
//!
//! `make parts`. The goals, of 99 in 100: the rule under 20 microseconds at 2,000 characters, under 60 at 12,000, linear beyond; what the
//! learned router foretells under 100 microseconds at 4,000, under 3 milliseconds at 100,000.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "criterion's macros; a benchmark may fail, and prints"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use embeddings::vectors::{Encoding, Vector};
use jiff::civil::date;
use router::dialect::event;
use router::request::Request;
use serde_json::json;
use serde_json::value::to_raw_value;
use shared::catalog::{Catalog, Scope};
use shared::cost::{ServiceTier, Usage, cost};
use shared::fit::fit;
use shared::routing::{
    Decision, Facts, Policy, Wanted, classify, decide, estimate_tokens, learned,
};
use shared::wire::{Partial, StreamEvent};

const LENGTHS: [usize; 5] = [200, 2_000, 4_000, 12_000, 100_000];

/// A question about a text, as long as wanted.
fn prompt(length: usize) -> String {
    // One that the learned router has a view of.
    const QUESTION: &str =
        "What went wrong here, and what would have kept it from happening at all?\n\n";
    const TEXT: &str = "On Tuesday evening the checkout of the shop became slow for about forty minutes. The first alarm came \
        from the payment provider, whose callbacks were no longer accepted in time; our own dashboards looked healthy until \
        the queue of open orders passed two thousand. Two engineers restarted the workers, which helped for a moment. The \
        cause was a migration of the customer table that had been started by hand an hour earlier: it held a lock while it \
        copied rows, and every new order waited for it. After the migration was stopped, the queue drained within minutes. ";
    QUESTION
        .chars()
        .chain(TEXT.chars().cycle())
        .take(length)
        .collect()
}

fn decided(prompt: &str) -> Decision<'static> {
    let policy = Policy {
        region: "us-east-1".into(),
        retire_days: 30,
        ..Policy::default()
    };
    let facts = Facts {
        prompt,
        input_tokens: estimate_tokens(prompt),
        ..Facts::default()
    };
    let today = date(2026, 11, 24);
    decide(
        Catalog::built_in(),
        &policy,
        black_box(&facts),
        Wanted::Auto,
        today,
    )
    .unwrap()
}

fn decision(prompt: &str) {
    let _ = black_box(decided(prompt));
}

fn by_the_rule(prompt: &str) {
    let facts = Facts {
        prompt,
        ..Facts::default()
    };
    let _ = black_box(classify(black_box(&facts)));
}

fn foretold(prompt: &str) {
    let _ = black_box(learned::foretell(black_box(prompt)));
}

fn tokens(prompt: &str) {
    let _ = black_box(estimate_tokens(black_box(prompt)));
}

type Part<'a> = (&'static str, Box<dyn Fn(&str) + 'a>);

/// What grows with the prompt. Whichever router decides, the other's view is told beside it.
fn by_length<'a>(decision_at_hand: &'a Decision<'a>) -> Vec<Part<'a>> {
    let translated = |prompt: &str| {
        let body = json!({ "prompt": prompt }).to_string();
        let request = Request::parse(body.as_bytes()).unwrap();
        let fitted = fit(&request.conversation, &decision_at_hand.first, None, &[]);
        let _ = black_box(serde_json::to_vec(&fitted.body).unwrap());
    };
    vec![
        ("decision", Box::new(decision)),
        ("rule", Box::new(by_the_rule)),
        ("learned", Box::new(foretold)),
        ("token estimate", Box::new(tokens)),
        ("request: parse, fit, write", Box::new(translated)),
    ]
}

/// What does not.
#[expect(clippy::too_many_lines, reason = "a table")]
fn constant<'a>() -> Vec<Part<'a>> {
    let model = Catalog::built_in().find("claude-haiku-5-5").unwrap();
    let prices = model.prices_in(&Scope::Global, "us-east-1").unwrap();
    let delta =
        json!({ "contentBlockIndex": 0, "delta": { "text": "some words of it " } }).to_string();
    let numbers: Vec<f64> = (0..1024_u32)
        .map(|number| f64::from(number).sin() / 23.0)
        .collect();
    let list = to_raw_value(&numbers).unwrap();
    let vector = Vector::read(&list, Encoding::Float).unwrap();
    let written = vector.clone();
    vec![
        (
            "price of a call",
            Box::new(move |_| {
                let usage = black_box(Usage::of(1234, 567));
                let _ = black_box(cost(&usage, prices, ServiceTier::Default).unwrap());
            }),
        ),
        (
            "ten deltas of a stream",
            Box::new(move |_| {
                let mut partial = Partial::default();
                for _ in 0..10 {
                    partial.add(StreamEvent::parse("contentBlockDelta", delta.as_bytes()).unwrap());
                }
                let _ = black_box(partial);
            }),
        ),
        (
            "a server-sent event",
            Box::new(|_| {
                let _ = black_box(event(
                    Some("delta"),
                    &json!({ "text": black_box("some words of it ") }),
                ));
            }),
        ),
        (
            "read a vector of 1,024",
            Box::new(move |_| {
                let _ = black_box(Vector::read(&list, Encoding::Float).unwrap());
            }),
        ),
        (
            "write it as numbers",
            Box::new(move |_| {
                let mut text = Vec::with_capacity(16_384);
                vector.write(Encoding::Float, &mut text);
                let _ = black_box(text);
            }),
        ),
        (
            "write it as base64",
            Box::new(move |_| {
                let mut text = Vec::with_capacity(16_384);
                written.write(Encoding::Base64, &mut text);
                let _ = black_box(text);
            }),
        ),
    ]
}

fn percentiles(name: &str, part: &dyn Fn(&str), prompt: &str) {
    let time = || {
        let began = Instant::now();
        part(prompt);
        began.elapsed()
    };
    let mut times: Vec<Duration> = (0..20_000).map(|_| time()).skip(1_000).collect();
    times.sort_unstable();
    let at = |per_mille| times.get(times.len() * per_mille / 1000).copied();
    let [p50, p99, p999] = [500, 990, 999].map(|per_mille| at(per_mille).unwrap_or_default());
    let length = prompt.len();
    println!("{name:<27} {length:>7} {p50:>10.1?} {p99:>10.1?} {p999:>10.1?}");
}

fn bench(criterion: &mut Criterion) {
    let at_hand = decided(&prompt(200));
    let (by_length, constant) = (by_length(&at_hand), constant());
    println!(
        "{:<27} {:>7} {:>10} {:>10} {:>10}",
        "", "bytes", "p50", "p99", "p99.9"
    );
    for (name, part) in &by_length {
        for length in LENGTHS {
            percentiles(name, part, &prompt(length));
        }
    }
    for (name, part) in &constant {
        percentiles(name, part, "");
    }
    for (name, part) in &by_length {
        let mut group = criterion.benchmark_group(*name);
        for length in LENGTHS {
            let prompt = prompt(length);
            group.throughput(Throughput::Bytes(length as u64));
            group.bench_with_input(
                BenchmarkId::from_parameter(length),
                &prompt,
                |bencher, prompt| bencher.iter(|| part(prompt)),
            );
        }
        group.finish();
    }
    for (name, part) in &constant {
        criterion.bench_function(name, |bencher| bencher.iter(|| part("")));
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
