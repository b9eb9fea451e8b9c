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

/// Prose with the words that the rule listens for, as long as wanted.
fn prompt(length: usize) -> String {
    const TEXT: &str = "Explain how the design of a distributed cache affects latency, and compare it with a database. \
        The designer said: classify every request first; whatever remains should be summarized step by step. ";
    TEXT.chars().cycle().take(length).collect()
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
        let at = |share: f64| {
            times
                .get((times.len() as f64 * share) as usize)
                .copied()
                .unwrap_or_default()
        };
        let per_char = at(0.5).as_secs_f64() * 1e9 / length as f64;
        println!(
            "{length:>10} {:>10.1?} {:>10.1?} {:>10.1?} {per_char:>10.2}",
            at(0.5),
            at(0.99),
            at(0.999)
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
}

criterion_group!(benches, bench);
criterion_main!(benches);
