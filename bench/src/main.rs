//! `make bench`: what the functions cost in time and memory, beside the floor, a bare function that is built and measured with them.
//!
//! The release bootstraps run as they are; this plays the Lambda Runtime API and a Bedrock that answers at once. Rounds of all functions
//! take turns, so that a machine's moods meet all alike: read the ratios.
//!
//! `overhead [cold] [warm] [tls] [streams] [crowd] [name=bootstrap ...]`: some parts of it, or other bootstraps, the floor first. `overhead freeze`
//! looks at what a minute's freeze does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a measurement may fail, and prints"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::thread::{CpuSet, sched_getaffinity};
use serde_json::{Value, json};

use bedrock::{Bedrock, Wire};
use function::{Function, pin};
use table::{Figures, Table};

mod bedrock;
mod direct;
mod freeze;
mod function;
mod table;

const ROUNDS: usize = 8;
const CALLS: usize = 400;
const SLOW_CALLS: usize = 15;
const SLOW: Duration = Duration::from_millis(50);
const COLD_STARTS: usize = 40;
const STREAMS: usize = 40;
const PAUSE: Duration = Duration::from_millis(5);
const INSTANCES: usize = 32;
const CROWD: Duration = Duration::from_millis(1500);

/// A function that is measured.
struct Contender {
    name: String,
    bootstrap: PathBuf,
    event: Bytes,
}

impl Contender {
    async fn start(&self, bedrock: &Bedrock) -> Function {
        // The floor is a bare SDK in this, too: it believes whom the machine believes, from the bundle alone.
        let machines = ("SSL_CERT_FILE", bedrock.roots.machines.as_str());
        let variables = self.name.starts_with("floor").then_some(machines);
        Function::start(&self.bootstrap, bedrock, variables.as_slice()).await
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = PathBuf::from("target/bench");
    std::fs::create_dir_all(&folder).unwrap();
    let _ = std::fs::remove_file(folder.join("log.txt"));
    if arguments
        .first()
        .is_some_and(|argument| argument == "freeze")
    {
        return freeze::check(Path::new("target/lambda/router/bootstrap"), &folder).await;
    }
    let contenders = contenders(&arguments);
    let wanted = |part: &str| {
        let mut parts = arguments.iter().filter(|argument| !argument.contains('='));
        parts.clone().next().is_none() || parts.any(|argument| argument == part)
    };
    let http = Bedrock::start(Wire::Http, &folder).await;
    let mut table = Table::new(contenders.iter().map(|contender| contender.name.clone()));
    sizes(&contenders, &mut table);
    if wanted("cold") {
        cold_starts(&contenders, &http, &folder, &mut table).await;
    }
    if wanted("warm") {
        warm_calls(&contenders, &http, &mut table).await;
    }
    if wanted("tls") {
        for (wire, name) in [
            (Wire::TlsHttp1, "TLS, HTTP/1.1"),
            (Wire::Tls, "TLS, HTTP/2"),
        ] {
            let bedrock = Bedrock::start(wire, &folder).await;
            encrypted(&contenders, &bedrock, name, &mut table).await;
        }
    }
    if wanted("streams") {
        streams(&contenders, &http, &mut table).await;
    }
    if wanted("crowd") {
        crowds(&contenders, &http, &mut table).await;
    }
    println!("\n{}", table.markdown());
    let file = folder.join("overhead.json");
    std::fs::write(&file, table.json().to_string()).unwrap();
    println!("also in {}", file.display());
}

/// `name=path` of each, the floor first; or what `make build` makes.
fn contenders(arguments: &[String]) -> Vec<Contender> {
    let usual = ["floor", "router", "embeddings"];
    let usual = usual.map(|name| format!("{name}=target/lambda/{name}/bootstrap"));
    let mut named: Vec<_> = arguments
        .iter()
        .filter(|argument| argument.contains('='))
        .collect();
    if named.is_empty() {
        named.extend(&usual);
    }
    let contender = |argument: &String| {
        let (name, path) = argument.split_once('=').expect("name=path of a bootstrap");
        Contender {
            event: event(name.starts_with("embeddings")),
            name: name.to_owned(),
            bootstrap: path.into(),
        }
    };
    named.into_iter().map(contender).collect()
}

/// An event of API Gateway, with a question of 530 characters or a text to embed.
fn event(embeds: bool) -> Bytes {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/invoke-http.json");
    let mut event: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let text = "Explain the pros and cons of using serverless architecture for a web application. "
        .repeat(7);
    let text = &text[..530];
    let (path, body) = if embeds {
        (
            "/embeddings",
            json!({ "texts": [text], "model": "titan-embed-text-v2" }),
        )
    } else {
        ("/invoke", json!({ "prompt": text }))
    };
    event["rawPath"] = path.into();
    event["requestContext"]["http"]["path"] = path.into();
    event["body"] = body.to_string().into();
    event.to_string().into()
}

/// Bytes of each bootstrap, and of its zip.
fn sizes(contenders: &[Contender], table: &mut Table) {
    for (at, contender) in contenders.iter().enumerate() {
        let size = std::fs::metadata(&contender.bootstrap).unwrap().len();
        let zipped = Command::new("gzip")
            .arg("-9c")
            .arg(&contender.bootstrap)
            .output()
            .unwrap();
        table.set("binary, MB", at, size as f64 / 1e6);
        table.set("zipped, MB", at, zipped.stdout.len() as f64 / 1e6);
    }
}

/// From the start of the process to the first poll and to the first answer.
async fn cold_starts(contenders: &[Contender], http: &Bedrock, folder: &Path, table: &mut Table) {
    let tls = Bedrock::start(Wire::Tls, folder).await;
    let wires = [(http, "HTTP"), (&tls, "TLS")];
    let mut inits = Figures::of(contenders.len());
    let mut firsts = wires.map(|_| Figures::of(contenders.len()));
    let mut cpus = wires.map(|_| Figures::of(contenders.len()));
    for _ in 0..COLD_STARTS {
        for (wire, (bedrock, _)) in wires.iter().enumerate() {
            for (at, contender) in contenders.iter().enumerate() {
                let mut function = contender.start(bedrock).await;
                inits.add(at, function.init().await);
                let answer = function.invoke(&contender.event).await;
                firsts[wire].add(at, function.age());
                cpus[wire].add(at, function.cpu());
                answer.must_be_good();
            }
        }
    }
    table.times("cold start to the first poll, ms", &inits, 500, 1e3);
    for (wire, (_, name)) in wires.iter().enumerate() {
        let (first, cpu) = (&firsts[wire], &cpus[wire]);
        let what = format!("cold start to the first answer, {name}, ms");
        table.times(&what, first, 500, 1e3);
        let what = format!("processor's time of it, {name}, ms");
        table.times(&what, cpu, 500, 1e3);
    }
}

/// What a call takes beyond Bedrock's own time, and what it costs. This side has one processor and the function the other, because
/// calls are a third quicker whenever both happen to share one.
async fn warm_calls(contenders: &[Contender], http: &Bedrock, table: &mut Table) {
    let all = sched_getaffinity(None).unwrap();
    for (latency, calls, name) in [
        (Duration::ZERO, CALLS, "at once"),
        (SLOW, SLOW_CALLS, "after 50 ms"),
    ] {
        http.takes(latency);
        let mut functions = start_all(contenders, http).await;
        functions
            .iter()
            .for_each(|function| function.pin(&processor(1)));
        pin(std::process::id(), &processor(0));
        let mut own = Figures::of(contenders.len());
        let mut straight = Figures::of(1);
        let mut cpu = vec![Duration::ZERO; contenders.len()];
        for _ in 0..ROUNDS {
            direct::times(http, calls, |time| straight.add(0, time)).await;
            for (at, (function, contender)) in functions.iter_mut().zip(contenders).enumerate() {
                let before = function.cpu();
                for _ in 0..calls {
                    own.add(at, function.time(&contender.event).await);
                }
                cpu[at] += function.cpu() - before;
            }
        }
        let straight = straight.at(0, 500);
        for (per_mille, percentile) in [(500, "p50"), (990, "p99")] {
            let what = format!(
                "a warm call beyond Bedrock's time, {percentile}, Bedrock answers {name}, ms"
            );
            let beyond = |at| own.at(at, per_mille).saturating_sub(straight).as_secs_f64() * 1e3;
            (0..contenders.len()).for_each(|at| table.set(&what, at, beyond(at)));
        }
        if latency.is_zero() {
            upkeep(&functions, &cpu, table);
        }
    }
    http.takes(Duration::ZERO);
    pin(std::process::id(), &all);
}

/// What the calls have taken of a processor, and left in memory.
fn upkeep(functions: &[Function], cpu: &[Duration], table: &mut Table) {
    for (at, (function, cpu)) in functions.iter().zip(cpu).enumerate() {
        let a_call = cpu.as_secs_f64() * 1e3 / (ROUNDS * CALLS) as f64;
        table.set("processor's time of a warm call, ms", at, a_call);
        let resident = function.resident_kb() as f64 / 1e3;
        table.set("memory after that, MB", at, resident);
    }
}

/// One processor.
fn processor(number: usize) -> CpuSet {
    let mut one = CpuSet::new();
    one.set(number);
    one
}

/// Functions that have answered a few times.
async fn start_all(contenders: &[Contender], bedrock: &Bedrock) -> Vec<Function> {
    let mut functions = Vec::new();
    for contender in contenders {
        let mut function = contender.start(bedrock).await;
        for _ in 0..20 {
            function.time(&contender.event).await;
        }
        functions.push(function);
    }
    functions
}

/// Whole calls over TLS.
async fn encrypted(contenders: &[Contender], bedrock: &Bedrock, wire: &str, table: &mut Table) {
    let mut functions = start_all(contenders, bedrock).await;
    let mut times = Figures::of(contenders.len());
    for _ in 0..ROUNDS {
        for (at, (function, contender)) in functions.iter_mut().zip(contenders).enumerate() {
            for _ in 0..CALLS / 2 {
                times.add(at, function.time(&contender.event).await);
            }
        }
    }
    table.times(
        &format!("a whole warm call, {wire}, p50, ms"),
        &times,
        500,
        1e3,
    );
}

/// From a delta's leaving Bedrock to its reaching the Runtime API: the first one, and all others. The floor does not stream.
async fn streams(contenders: &[Contender], http: &Bedrock, table: &mut Table) {
    http.drips(PAUSE);
    for (at, contender) in contenders
        .iter()
        .enumerate()
        .filter(|(_, c)| c.name.starts_with("router"))
    {
        let mut event: Value = serde_json::from_slice(&contender.event).unwrap();
        event["body"] = event["body"]
            .as_str()
            .unwrap()
            .replacen('{', r#"{"stream":true,"#, 1)
            .into();
        let event = Bytes::from(event.to_string());
        let mut function =
            Function::start(&contender.bootstrap, http, &[("RESPONSE_MODE", "stream")]).await;
        let (mut first, mut others) = (Figures::of(1), Figures::of(1));
        for _ in 0..STREAMS {
            let answer = function.invoke(&event).await;
            answer.must_be_good();
            let deltas = answer
                .pieces
                .iter()
                .filter(|(_, piece)| contains(piece, b"event: delta"));
            let arrived: Vec<Instant> = deltas.map(|(at, _)| *at).collect();
            assert_eq!(arrived.len(), bedrock::DELTAS, "each delta is a piece");
            for (number, (sent, arrived)) in http.sent().into_iter().zip(arrived).enumerate() {
                let figures = if number == 0 { &mut first } else { &mut others };
                figures.add(0, arrived.saturating_duration_since(sent));
            }
        }
        for (figures, which) in [(&first, "first"), (&others, "later")] {
            for (per_mille, percentile) in [(500, "p50"), (990, "p99")] {
                let what = format!("from Bedrock's {which} delta to ours, {percentile}, ms");
                table.set(&what, at, figures.at(0, per_mille).as_secs_f64() * 1e3);
            }
        }
    }
    http.drips(Duration::ZERO);
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Calls a second of many instances at once.
async fn crowds(contenders: &[Contender], http: &Bedrock, table: &mut Table) {
    let mut rates = vec![0.0; contenders.len()];
    const TURNS: usize = 8;
    for _ in 0..TURNS {
        for (at, contender) in contenders.iter().enumerate() {
            let mut crowd = Vec::new();
            for _ in 0..INSTANCES {
                crowd.push(
                    start_all(std::slice::from_ref(contender), http)
                        .await
                        .remove(0),
                );
            }
            let until = Instant::now() + CROWD;
            let tasks: Vec<_> = crowd
                .into_iter()
                .map(|mut function| {
                    let event = contender.event.clone();
                    tokio::spawn(async move {
                        let mut calls = 0;
                        while Instant::now() < until {
                            function.time(&event).await;
                            calls += 1;
                        }
                        calls
                    })
                })
                .collect();
            for task in tasks {
                let calls: u32 = task.await.unwrap();
                rates[at] += f64::from(calls) / CROWD.as_secs_f64() / TURNS as f64;
            }
        }
    }
    for (at, rate) in rates.into_iter().enumerate() {
        table.set("calls a second of 32 instances", at, rate);
    }
}
