//! A function's bootstrap and the Lambda service it believes to run in.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Lock};
use std::time::{Duration, Instant};

use futures_core::Stream;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use local::bedrock::Bedrock;
use local::bedrock::faults::Fault;
use serde_json::{Value, json};
use shared::catalog::Catalog;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc, oneshot};

/// The Runtime API of one function: events go in, answers come out.
#[derive(Debug)]
struct Runtime {
    time: Duration,
    next: Mutex<mpsc::UnboundedReceiver<(u64, String)>>,
    waiting: Lock<HashMap<u64, oneshot::Sender<Result<Value, Value>>>>,
}

/// A running function.
#[derive(Debug)]
pub struct Lambda {
    events: mpsc::UnboundedSender<(u64, String)>,
    runtime: Arc<Runtime>,
    count: AtomicU64,
    output: Arc<Lock<String>>,
    /// The Bedrock it calls.
    pub bedrock: Arc<Bedrock>,
    /// Its process; killed when dropped.
    child: Child,
}

impl Lambda {
    /// Starts the router with further variables in its environment.
    pub async fn router(variables: &[(&str, &str)]) -> Self {
        Self::lasting(variables, Duration::from_secs(30)).await
    }

    /// Starts the embeddings function with further variables in its environment.
    pub async fn embeddings(variables: &[(&str, &str)]) -> Self {
        let bootstrap = env!("CARGO_BIN_EXE_embeddings-under-test");
        Self::start(bootstrap, variables, Duration::from_secs(30)).await
    }

    /// Starts the router; each call has so much time.
    pub async fn lasting(variables: &[(&str, &str)], time: Duration) -> Self {
        Self::start(env!("CARGO_BIN_EXE_router-under-test"), variables, time).await
    }

    /// Starts the usage report with further variables in its environment.
    pub async fn usage_report(variables: &[(&str, &str)]) -> Self {
        let bootstrap = env!("CARGO_BIN_EXE_usage-report-under-test");
        Self::start(bootstrap, variables, Duration::from_secs(30)).await
    }

    /// Starts the authorizer.
    pub async fn authorizer() -> Self {
        let bootstrap = env!("CARGO_BIN_EXE_authorizer-under-test");
        Self::start(bootstrap, &[], Duration::from_secs(30)).await
    }

    /// Starts a bootstrap.
    pub async fn start(bootstrap: &str, variables: &[(&str, &str)], time: Duration) -> Self {
        let (events, next) = mpsc::unbounded_channel();
        let runtime = Arc::new(Runtime {
            time,
            next: Mutex::new(next),
            waiting: Lock::default(),
        });
        let region = variables
            .iter()
            .find(|(name, _)| *name == "AWS_REGION")
            .map_or("us-east-1", |(_, region)| region);
        let bedrock = Arc::new(Bedrock::new(region, Cow::Borrowed(Catalog::built_in())));
        let runtime_port = serve(runtime_api(Arc::clone(&runtime))).await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let bedrock_port = listener.local_addr().unwrap().port();
        tokio::spawn(local::stack::serve(listener, Arc::clone(&bedrock)));
        let mut child = Command::new(bootstrap)
            .env_clear()
            .envs(environment(runtime_port, bedrock_port))
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the bootstrap starts");
        let output = Arc::default();
        collect(child.stdout.take().expect("piped"), &output);
        collect(child.stderr.take().expect("piped"), &output);
        Self {
            events,
            runtime,
            count: AtomicU64::new(1),
            output,
            bedrock,
            child,
        }
    }

    /// Sends an event and returns what the function answers to Lambda.
    pub async fn invoke(&self, event: &str) -> Value {
        let answer = self.try_invoke(event).await;
        answer.unwrap_or_else(|error| panic!("the function failed: {error}"))
    }

    /// Sends an event and returns what the function answers to Lambda, or the error that it tells it.
    pub async fn try_invoke(&self, event: &str) -> Result<Value, Value> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.runtime.waiting.lock().unwrap().insert(number, sender);
        self.events.send((number, event.to_owned())).unwrap();
        let answer = tokio::time::timeout(self.runtime.time * 2, receiver).await;
        let answer =
            answer.unwrap_or_else(|_| panic!("no answer; the function wrote:\n{}", self.output()));
        answer.unwrap()
    }

    /// Sends a body to a path through an HTTP API, and returns status and JSON.
    pub async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let mut event: Value = serde_json::from_str(&event("invoke-http")).unwrap();
        event["rawPath"] = path.into();
        event["body"] = body.into();
        answer(&self.invoke(&event.to_string()).await)
    }

    /// Sends a body to a path through an HTTP API, and returns what comes as text.
    pub async fn post_for_text(&self, path: &str, body: &str) -> String {
        let mut event: Value = serde_json::from_str(&event("invoke-http")).unwrap();
        event["rawPath"] = path.into();
        event["body"] = body.into();
        let answer = self.invoke(&event.to_string()).await;
        answer["body"].as_str().unwrap().to_owned()
    }

    /// Sends a body to `/invoke` and returns status, problem or events, and when each piece came.
    pub async fn stream(&self, body: &Value) -> Streamed {
        let mut event: Value = serde_json::from_str(&event("invoke-http")).unwrap();
        let mut body = body.clone();
        body["stream"] = true.into();
        event["body"] = body.to_string().into();
        let answer = self.invoke(&event.to_string()).await;
        let text = answer["body"].as_str().unwrap();
        let field = |event: &str, name: &str| {
            event
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
        };
        let events = text.split("\n\n").filter_map(|event| {
            let data = field(event, "data")?;
            Some((field(event, "event")?, serde_json::from_str(&data).unwrap()))
        });
        Streamed {
            status: u16::try_from(answer["statusCode"].as_u64().unwrap()).unwrap(),
            events: events.collect(),
            problem: serde_json::from_str(text).unwrap_or_default(),
            pieces: answer["pieces"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|piece| {
                    (
                        piece[0].as_u64().unwrap(),
                        piece[1].as_str().unwrap().to_owned(),
                    )
                })
                .collect(),
        }
    }

    /// Lets Bedrock fail for models whose id contains a text, a number of times or for good.
    pub fn fail(&self, model: &str, error: &str, times: Option<u32>) {
        let (model, error) = (model.to_owned(), Some(error.to_owned()));
        self.bedrock.faults.add(Fault {
            model,
            error,
            times,
            ..Fault::default()
        });
    }

    /// Lets Bedrock answer every request with a body.
    pub fn reply(&self, body: &str) {
        self.bedrock.faults.clear();
        self.bedrock.faults.add(Fault {
            reply: Some(body.to_owned()),
            ..Fault::default()
        });
    }

    /// The bodies that reached Bedrock, the oldest first.
    pub fn sent(&self) -> Vec<Value> {
        self.bedrock
            .sent()
            .into_iter()
            .map(|sent| sent.body)
            .collect()
    }

    /// Memory that its process holds, in KB.
    pub fn resident_kb(&self) -> usize {
        self.memory_kb("VmRSS:")
    }

    /// The most memory that its process has held, in KB.
    pub fn peak_kb(&self) -> usize {
        self.memory_kb("VmHWM:")
    }

    fn memory_kb(&self, what: &str) -> usize {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(what))
            .unwrap();
        line.trim().split(' ').next().unwrap().parse().unwrap()
    }

    /// Files and sockets that its process has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id().unwrap()))
            .unwrap()
            .count()
    }

    /// What the function has written to standard output and error so far.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// The metric lines it has written so far.
    pub fn metrics(&self) -> Vec<Value> {
        let output = self.output();
        let lines = output.lines().filter(|line| line.starts_with("{\"_aws\""));
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// A streamed answer.
#[derive(Debug)]
pub struct Streamed {
    /// The HTTP status.
    pub status: u16,
    /// The events by name, in their order.
    pub events: Vec<(String, Value)>,
    /// The problem, where there is one in their place.
    pub problem: Value,
    /// When each piece came, in microseconds since 1970, and what it was.
    pub pieces: Vec<(u64, String)>,
}

impl Streamed {
    /// The names of the events, each once in a row.
    pub fn order(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.events.iter().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        names
    }

    /// The last event.
    pub fn last(&self) -> &Value {
        &self
            .events
            .last()
            .unwrap_or_else(|| panic!("no events: {self:?}"))
            .1
    }

    /// The text of all deltas.
    pub fn text(&self) -> String {
        self.events
            .iter()
            .filter_map(|(_, value)| value["text"].as_str())
            .collect()
    }
}

/// Status and JSON body of an answer to Lambda.
pub fn answer(response: &Value) -> (u16, Value) {
    let body = response["body"].as_str().unwrap_or_default();
    let status = u16::try_from(response["statusCode"].as_u64().unwrap()).unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// The text of a file in `events/`.
pub fn event(name: &str) -> String {
    std::fs::read_to_string(events().join(format!("{name}.json"))).unwrap()
}

/// The folder of the events.
pub fn events() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../events")
}

fn environment(runtime: u16, bedrock: u16) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{runtime}")),
        ("AWS_LAMBDA_FUNCTION_NAME", "router".into()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".into()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".into()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/router".into()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "stream".into()),
        ("AWS_REGION", "us-east-1".into()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".into()),
        ("AWS_SECRET_ACCESS_KEY", "secret".into()),
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ("BEDROCK_ENDPOINT", format!("http://127.0.0.1:{bedrock}")),
        ("CLOUDWATCH_ENDPOINT", format!("http://127.0.0.1:{bedrock}")),
    ]
}

/// Serves routes on a port of their own.
pub async fn serve(router: Router) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

fn collect(pipe: impl AsyncRead + Send + Unpin + 'static, output: &Arc<Lock<String>>) {
    let output = Arc::clone(output);
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    });
}

/// The Runtime API as <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html> describes it.
fn runtime_api(runtime: Arc<Runtime>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route(
            "/2018-06-01/runtime/invocation/{id}/response",
            post(response),
        )
        .route("/2018-06-01/runtime/invocation/{id}/error", post(failure))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(runtime)
}

async fn next(State(runtime): State<Arc<Runtime>>) -> impl IntoResponse {
    let Some((number, event)) = runtime.next.lock().await.recv().await else {
        return std::future::pending().await;
    };
    let deadline = shared::telemetry::now() + runtime.time;
    let headers = [
        ("lambda-runtime-aws-request-id", format!("request-{number}")),
        (
            "lambda-runtime-deadline-ms",
            deadline.as_millis().to_string(),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:123456789012:function:router".into(),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0".into(),
        ),
    ];
    let headers: HeaderMap = headers
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    (headers, event)
}

async fn response(
    State(runtime): State<Arc<Runtime>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> StatusCode {
    let streamed = headers
        .get("lambda-runtime-function-response-mode")
        .is_some_and(|mode| mode == "streaming");
    let mut pieces = Vec::new();
    let mut stream = body.into_data_stream();
    while let Some(piece) = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
        pieces.push((Instant::now(), piece.expect("no answer breaks off")));
    }
    let whole: Vec<u8> = pieces
        .iter()
        .flat_map(|(_, piece)| piece.to_vec())
        .collect();
    let answer = if streamed {
        streamed_answer(&whole, pieces)
    } else {
        serde_json::from_slice(&whole).unwrap()
    };
    conclude(&runtime, &id, Ok(answer))
}

/// What Lambda makes of a streamed answer: its head as JSON, eight zeros, its body. `pieces` tells when each piece came, in
/// microseconds since 1970, as far as one clock can tell it.
fn streamed_answer(whole: &[u8], pieces: Vec<(Instant, Bytes)>) -> Value {
    let zeros = whole
        .windows(8)
        .position(|bytes| bytes == [0; 8])
        .expect("eight zeros end the head");
    let mut answer: Value = serde_json::from_slice(&whole[..zeros]).unwrap();
    answer["body"] = String::from_utf8_lossy(&whole[zeros + 8..]).into();
    let ago =
        |at: Instant| micros().saturating_sub(u64::try_from(at.elapsed().as_micros()).unwrap());
    answer["pieces"] = pieces
        .iter()
        .map(|(at, piece)| json!([ago(*at), String::from_utf8_lossy(piece)]))
        .collect();
    answer
}

/// Microseconds since 1970.
pub fn micros() -> u64 {
    u64::try_from(shared::telemetry::now().as_micros()).unwrap()
}

async fn failure(
    State(runtime): State<Arc<Runtime>>,
    Path(id): Path<String>,
    body: Bytes,
) -> StatusCode {
    let error =
        serde_json::from_slice(&body).unwrap_or_else(|_| json!({ "body": format!("{body:?}") }));
    conclude(&runtime, &id, Err(error))
}

fn conclude(runtime: &Runtime, id: &str, result: Result<Value, Value>) -> StatusCode {
    let number: u64 = id.trim_start_matches("request-").parse().unwrap();
    let sender = runtime.waiting.lock().unwrap().remove(&number).unwrap();
    sender.send(result).unwrap();
    StatusCode::ACCEPTED
}
