//! How long a decision takes, and its parts: percentiles of single ones, then criterion's statistics.
//!
//! `cargo bench -p shared --bench decision`. The goals, of 99 in 100: the rule under 20 microseconds at 2,000 characters, under 60 at 12,000,
//! linear beyond; what the learned router foretells under 100 microseconds at 4,000, under 3 milliseconds at 100,000.
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
use shared::routing::{Facts, Policy, Wanted, classify, decide, estimate_tokens, learned};

const LENGTHS: [usize; 5] = [200, 2_000, 4_000, 12_000, 100_000];

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

type Part = (&'static str, fn(&str));

/// The whole of it, then its parts: whichever router decides, the other's view is told beside it.
const PARTS: [Part; 4] = [
    ("decision", decision),
    ("rule", by_the_rule),
    ("learned", foretold),
    ("token estimate", tokens),
];

fn percentiles((name, part): Part) {
    println!(
        "{name:<15} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "characters", "p50", "p99", "p99.9", "ns/char"
    );
    for length in LENGTHS {
        let prompt = prompt(length);
        let time = || {
            let began = Instant::now();
            part(&prompt);
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
            "{:<15} {length:>10} {:>10.1?} {:>10.1?} {:>10.1?} {per_char:>10.2}",
            "",
            at(500),
            at(990),
            at(999)
        );
    }
}

fn bench(criterion: &mut Criterion) {
    PARTS.into_iter().for_each(percentiles);
    for (name, part) in PARTS {
        let mut group = criterion.benchmark_group(name);
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
}

criterion_group!(benches, bench);
criterion_main!(benches);
