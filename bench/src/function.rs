//! A function's process, and the Lambda service it believes to run in.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};
use tokio_stream::StreamExt;

use crate::bedrock::Bedrock;

/// A running function; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Function {
    events: mpsc::UnboundedSender<Bytes>,
    answers: mpsc::UnboundedReceiver<Answer>,
    polled: mpsc::UnboundedReceiver<Instant>,
    began: Instant,
    child: Child,
}

/// What a function has answered, and when each piece of it came.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The pieces.
    pub(crate) pieces: Vec<(Instant, Bytes)>,
    failed: bool,
}

impl Answer {
    /// All of it.
    pub(crate) fn text(&self) -> String {
        let bytes: Vec<u8> = self
            .pieces
            .iter()
            .flat_map(|(_, piece)| piece.to_vec())
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Ends the measurement with what came in place of a good answer.
    pub(crate) fn must_be_good(&self) {
        let first = self.pieces.first().map_or(&[][..], |(_, piece)| piece);
        let is_good = first.starts_with(br#"{"statusCode":200,"#) && !self.failed;
        assert!(is_good, "the function answered: {}", self.text());
    }
}

#[derive(Debug)]
struct Runtime {
    next: Mutex<mpsc::UnboundedReceiver<Bytes>>,
    polled: mpsc::UnboundedSender<Instant>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Function {
    /// Starts a bootstrap that asks this Bedrock.
    pub(crate) async fn start(
        bootstrap: &Path,
        bedrock: &Bedrock,
        variables: &[(&str, &str)],
    ) -> Self {
        let (events, next) = mpsc::unbounded_channel();
        let (polled_sender, polled) = mpsc::unbounded_channel();
        let (answers_sender, answers) = mpsc::unbounded_channel();
        let runtime = Runtime {
            next: Mutex::new(next),
            polled: polled_sender,
            answers: answers_sender,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, runtime_api(runtime)).await });
        let began = Instant::now();
        let child = Command::new(bootstrap)
            .env_clear()
            .envs(environment(port, bedrock))
            .envs(variables.iter().copied())
            .stdout(log())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", bootstrap.display()));
        Self {
            events,
            answers,
            polled,
            began,
            child,
        }
    }

    /// From its start until it asked for the first event.
    pub(crate) async fn init(&mut self) -> Duration {
        self.polled.recv().await.unwrap().duration_since(self.began)
    }

    /// Since its start.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Sends an event and waits for the answer.
    pub(crate) async fn invoke(&mut self, event: &Bytes) -> Answer {
        self.events.send(event.clone()).unwrap();
        self.answers.recv().await.unwrap()
    }

    /// The time of one call.
    pub(crate) async fn time(&mut self, event: &Bytes) -> Duration {
        let began = Instant::now();
        let answer = self.invoke(event).await;
        let time = began.elapsed();
        answer.must_be_good();
        time
    }

    /// The processor's time that it has used.
    pub(crate) fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let nanos = |task: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse().ok()
        };
        Duration::from_nanos(tasks.filter_map(nanos).sum())
    }

    /// Memory that it holds, in KB.
    pub(crate) fn resident_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.unwrap()
            .trim()
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Stops it where it stands, as Lambda does between calls.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Lets it run on some processors only.
    pub(crate) fn pin(&self, processors: &CpuSet) {
        pin(self.pid(), processors);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.unwrap(), signal).unwrap();
    }

    fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }
}

/// Lets all threads of a process run on some processors only.
pub(crate) fn pin(process: u32, processors: &CpuSet) {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    for task in tasks.flatten() {
        let task = task.file_name().to_str().and_then(|task| task.parse().ok());
        // A thread may have ended meanwhile.
        let _ = sched_setaffinity(task.and_then(Pid::from_raw), processors);
    }
}

/// Where log and metrics go: a file, so that nobody's reading of them is measured.
fn log() -> Stdio {
    let file = File::options().create(true).append(true).open(LOG);
    file.unwrap().into()
}

const LOG: &str = "target/bench/log.txt";

fn environment(runtime_port: u16, bedrock: &Bedrock) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        (
            "AWS_LAMBDA_RUNTIME_API",
            format!("127.0.0.1:{runtime_port}"),
        ),
        ("AWS_LAMBDA_FUNCTION_NAME", "function".into()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".into()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1".into()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/function".into()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "stream".into()),
        ("AWS_REGION", "us-east-1".into()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".into()),
        ("AWS_SECRET_ACCESS_KEY", "secret".into()),
        ("AWS_SESSION_TOKEN", "token".into()),
        // The router reads the first, a bare SDK the second.
        ("BEDROCK_ENDPOINT", bedrock.url.clone()),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", bedrock.url.clone()),
    ];
    // Without TLS it has the authorities that it brings along.
    if bedrock.url.starts_with("https") {
        variables.push(("SSL_CERT_FILE", bedrock.roots.amazons.clone()));
    }
    variables
}

fn runtime_api(runtime: Runtime) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route(
            "/2018-06-01/runtime/invocation/{id}/response",
            post(response),
        )
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .with_state(Arc::new(runtime))
}

async fn next(State(runtime): State<Arc<Runtime>>) -> impl IntoResponse {
    let _ = runtime.polled.send(Instant::now());
    let Some(event) = runtime.next.lock().await.recv().await else {
        return std::future::pending().await;
    };
    let deadline = shared::telemetry::now() + Duration::from_secs(60);
    let headers = [
        (
            "lambda-runtime-aws-request-id",
            "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned(),
        ),
        (
            "lambda-runtime-deadline-ms",
            deadline.as_millis().to_string(),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:123456789012:function:function".to_owned(),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0".to_owned(),
        ),
    ];
    (headers, event)
}

async fn response(State(runtime): State<Arc<Runtime>>, body: Body) -> StatusCode {
    receive(&runtime, body, false).await
}

async fn error(State(runtime): State<Arc<Runtime>>, body: Body) -> StatusCode {
    receive(&runtime, body, true).await
}

async fn receive(runtime: &Runtime, body: Body, failed: bool) -> StatusCode {
    let mut pieces = Vec::new();
    let mut stream = body.into_data_stream();
    while let Some(Ok(piece)) = stream.next().await {
        pieces.push((Instant::now(), piece));
    }
    let _ = runtime.answers.send(Answer { pieces, failed });
    StatusCode::ACCEPTED
}
