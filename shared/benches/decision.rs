//! How long a decision takes: percentiles of single decisions, then criterion's statistics.
//!
//! `cargo bench -p shared`. The goal: 99 in 100 under 20 microseconds at 2,000 characters, under 60 at 12,000, linear beyond.
#![allow(
    missing_docs,
    clippy::print_stdout,
    reason = "criterion's macros; a benchmark prints"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::civil::date;
use shared::catalog::Catalog;
use shared::routing::{Facts, Policy, Wanted, decide, estimate_tokens};

const LENGTHS: [usize; 4] = [200, 2_000, 12_000, 100_000];

/// A question about a text, as long as wanted.
fn prompt(length: usize) -> String {
    const QUESTION: &str =
        "Explain what went wrong here and suggest how to keep it from happening again.\n\n";
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

fn decision(prompt: &str) {
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
    let decided = decide(
        Catalog::built_in(),
        &policy,
        black_box(&facts),
        Wanted::Auto,
        date(2026, 11, 24),
    );
    let _ = black_box(decided);
}

fn percentiles() {
    println!(
        "{:>10} {:>10} {:>10} {:>10} {:>10}",
        "characters", "p50", "p99", "p99.9", "ns/char"
    );
    for length in LENGTHS {
        let prompt = prompt(length);
        let time = || {
            let began = Instant::now();
            decision(&prompt);
            began.elapsed()
        };
        let mut times: Vec<Duration> = (0..20_000).map(|_| time()).skip(1_000).collect();
        times.sort_unstable();
        let at = |per_mille| {
            times
                .get(times.len() * per_mille / 1000)
                .copied()
                .unwrap_or_default()
        };
        let per_char = at(500).as_secs_f64() * 1e9 / length as f64;
        println!(
            "{length:>10} {:>10.1?} {:>10.1?} {:>10.1?} {per_char:>10.2}",
            at(500),
            at(990),
            at(999)
        );
    }
}

fn bench(criterion: &mut Criterion) {
    percentiles();
    let mut group = criterion.benchmark_group("decision");
    for length in LENGTHS {
        let prompt = prompt(length);
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(length),
            &prompt,
            |bencher, prompt| {
                bencher.iter(|| decision(prompt));
            },
        );
    }
    group.finish();
    let mut group = criterion.benchmark_group("token estimate");
    for length in LENGTHS {
        let prompt = prompt(length);
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(length),
            &prompt,
            |bencher, prompt| {
                bencher.iter(|| estimate_tokens(black_box(prompt)));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
