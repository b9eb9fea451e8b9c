//! A stand-in for Amazon Bedrock's runtime API, on the wire.
//!
//! It takes what Bedrock takes and refuses what Bedrock refuses, in Bedrock's words (as observed, see `check` and `fitness`).
//! It answers at once with a text that says it is a simulation, and it can throttle, fail and be slow on demand (see [`faults`]).
//! `GET /_simulation/requests` shows what has reached it.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::{Value, json};
use shared::catalog::Catalog;
use shared::telemetry;

mod answer;
pub mod breakable;
mod check;
pub mod converse;
pub mod faults;
mod fitness;
mod invoke;
mod sample;
mod stream;

use crate::cloudwatch::CloudWatch;
use breakable::Breaker;
use faults::{Breaks, Fault, Faults};

/// The stand-in's state.
#[derive(Debug)]
pub struct Bedrock {
    /// The models it serves.
    pub catalog: Cow<'static, Catalog>,
    /// The Region it plays.
    pub region: String,
    /// What it is told to do wrong.
    pub faults: Faults,
    /// Where it publishes its figures.
    pub figures: Arc<CloudWatch>,
    requests: AtomicU64,
    sent: Mutex<VecDeque<Sent>>,
    cached: Mutex<HashSet<u64>>,
    first_piece: Arc<Mutex<Option<Duration>>>,
}

/// A request that came, as it came.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// The id that was invoked.
    pub model_id: String,
    /// The body; null where it is no JSON or longer than [`LONGEST`].
    pub body: Value,
}

/// So many requests are kept.
const KEPT: usize = 100;

/// The longest body that is kept, in bytes.
const LONGEST: usize = 256 * 1024;

impl Bedrock {
    /// A stand-in for a Region, with nothing wrong, for the models of the catalog that the functions use.
    #[must_use]
    pub fn new(region: impl Into<String>, catalog: Cow<'static, Catalog>) -> Self {
        Self {
            catalog,
            region: region.into(),
            faults: Faults::default(),
            figures: Arc::default(),
            requests: AtomicU64::new(0),
            sent: Mutex::default(),
            cached: Mutex::default(),
            first_piece: Arc::default(),
        }
    }

    /// The last requests, the oldest first.
    pub fn sent(&self) -> Vec<Sent> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.iter().cloned().collect()
    }

    fn keep(&self, id: &str, body: &[u8]) {
        let body = if body.len() > LONGEST {
            None
        } else {
            serde_json::from_slice(body).ok()
        };
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.len() == KEPT {
            sent.pop_front();
        }
        sent.push_back(Sent {
            model_id: id.to_owned(),
            body: body.unwrap_or_default(),
        });
    }

    /// When the first piece of the last streamed answer went out, since 1970.
    pub fn first_piece(&self) -> Option<Duration> {
        *self
            .first_piece
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The prompts that were cached.
    fn cached(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests it has had.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Its routes, and CloudWatch's beside them.
pub fn routes(bedrock: Arc<Bedrock>) -> Router {
    let figures = crate::cloudwatch::routes(Arc::clone(&bedrock.figures));
    Router::new()
        .route("/model/{id}/{operation}", post(model))
        .route(
            "/_simulation/faults",
            post(faults::add).delete(faults::clear),
        )
        .route("/_simulation/requests", get(requests))
        .layer(DefaultBodyLimit::max(25_000_000))
        .with_state(bedrock)
        .merge(figures)
}

async fn requests(State(bedrock): State<Arc<Bedrock>>) -> Json<Vec<Sent>> {
    Json(bedrock.sent())
}

fn blocks(body: &Value) -> impl Iterator<Item = &Value> {
    list(body, "messages")
        .iter()
        .flat_map(|message| list(message, "content"))
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value
        .get(field)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

async fn model(
    bedrock: State<Arc<Bedrock>>,
    Path((id, operation)): Path<(String, String)>,
    breaker: ConnectInfo<Breaker>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let operation = match operation.as_str() {
        "converse" => Operation::Converse,
        "converse-stream" => Operation::Stream,
        "invoke" => Operation::Invoke,
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    answer(bedrock.0, id, breaker.0, headers, body, operation).await
}

/// What is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Converse,
    Stream,
    Invoke,
}

async fn answer(
    bedrock: Arc<Bedrock>,
    id: String,
    breaker: Breaker,
    headers: HeaderMap,
    body: Bytes,
    operation: Operation,
) -> Response {
    let stream = operation == Operation::Stream;
    let number = bedrock.requests.fetch_add(1, Ordering::Relaxed);
    let began = Instant::now();
    let region = signed_for(&headers).unwrap_or(&bedrock.region).to_owned();
    bedrock.keep(&id, &body);
    let fault = bedrock.faults.next(&id).await;
    let mut response = match fault
        .as_ref()
        .filter(|fault| !(stream && fault.is_within()))
    {
        Some(fault) if fault.breaks == Some(Breaks::Hang) => pending().await,
        Some(fault) if fault.breaks.is_some() => {
            breaker.break_after(if fault.breaks == Some(Breaks::ResetInHead) {
                20
            } else {
                0
            });
            StatusCode::OK.into_response()
        }
        Some(fault) if fault.error.is_some() || fault.status.is_some() || fault.reply.is_some() => {
            told(fault, stream)
        }
        _ if operation == Operation::Invoke => invoked(&bedrock, &id, &headers, &body),
        _ => usual(&bedrock, &id, &headers, &body, stream.then_some(fault)),
    };
    let figures = Figures {
        bedrock: &bedrock,
        region: &region,
        id: &id,
    };
    figures.publish(&response, began.elapsed());
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&format!("simulated-{number}")) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

/// What Bedrock tells CloudWatch of a call.
struct Figures<'b> {
    bedrock: &'b Bedrock,
    region: &'b str,
    id: &'b str,
}

/// The tokens of a reply, in its response's extensions.
#[derive(Clone, Debug)]
struct Tokens(Vec<(&'static str, u64)>);

impl Tokens {
    fn of(reply: &Value) -> Self {
        let usage = reply.get("usage").unwrap_or(&Value::Null);
        let names = [
            ("InputTokenCount", "inputTokens"),
            ("OutputTokenCount", "outputTokens"),
            ("CacheReadInputTokens", "cacheReadInputTokens"),
            ("CacheWriteInputTokens", "cacheWriteInputTokens"),
        ];
        let told = names
            .into_iter()
            .filter_map(|(name, field)| Some((name, usage.get(field)?.as_u64()?)));
        Self(told.filter(|(_, count)| *count > 0).collect())
    }
}

impl Figures<'_> {
    fn publish(&self, response: &Response, time: Duration) {
        match response.status().as_u16() {
            200 => {}
            429 => return self.note("InvocationThrottles", 1.0),
            400..500 => return self.note("InvocationClientErrors", 1.0),
            _ => return self.note("InvocationServerErrors", 1.0),
        }
        self.note("Invocations", 1.0);
        self.note("InvocationLatency", time.as_secs_f64() * 1e3);
        let tokens = response.extensions().get::<Tokens>();
        for (name, count) in tokens.into_iter().flat_map(|tokens| &tokens.0) {
            #[expect(clippy::cast_precision_loss, reason = "a count of tokens")]
            self.note(name, *count as f64);
        }
    }

    fn note(&self, name: &str, value: f64) {
        let now = telemetry::now().as_secs();
        self.bedrock
            .figures
            .record(self.region, self.id, name, now, value);
    }
}

/// What the stand-in was told to answer.
fn told(fault: &Fault, stream: bool) -> Response {
    let status = fault
        .status
        .and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = match (&fault.error, &fault.reply) {
        (Some(code), _) => Refusal::new(code.clone(), fault.words()).into_response(),
        (None, Some(reply)) if status.is_none() && stream => whole_stream(reply),
        (None, Some(reply)) => {
            ([(header::CONTENT_TYPE, "application/json")], reply.clone()).into_response()
        }
        (None, None) => json!({ "message": fault.words() })
            .to_string()
            .into_response(),
    };
    if let Some(status) = status {
        *response.status_mut() = status;
    }
    if let Some(seconds) = fault.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A reply in pieces, if it is one; what is no JSON goes out as it is.
fn whole_stream(reply: &str) -> Response {
    match serde_json::from_str::<Value>(reply) {
        Ok(reply) => events(stream::body(&reply, None, Arc::default())),
        Err(_) => events(reply.to_owned().into()),
    }
}

fn events(body: Body) -> Response {
    (
        [(header::CONTENT_TYPE, "application/vnd.amazon.eventstream")],
        body,
    )
        .into_response()
}

/// What Bedrock would answer; streamed, perhaps with a fault within.
fn usual(
    bedrock: &Bedrock,
    id: &str,
    headers: &HeaderMap,
    body: &[u8],
    stream: Option<Option<Fault>>,
) -> Response {
    let reply =
        signed(headers).and_then(|()| converse::converse(bedrock, id, body, stream.is_some()));
    match (reply, stream) {
        (Err(refusal), _) => refusal.into_response(),
        (Ok(reply), None) => with_tokens(Tokens::of(&reply), Json(reply).into_response()),
        (Ok(reply), Some(fault)) => {
            let body = stream::body(&reply, fault, Arc::clone(&bedrock.first_piece));
            with_tokens(Tokens::of(&reply), events(body))
        }
    }
}

fn with_tokens(tokens: Tokens, mut response: Response) -> Response {
    response.extensions_mut().insert(tokens);
    response
}

/// What a model that does not converse would answer, in the Region that the request is signed for.
fn invoked(bedrock: &Bedrock, id: &str, headers: &HeaderMap, body: &[u8]) -> Response {
    let region = signed_for(headers).unwrap_or(&bedrock.region);
    let reply = signed(headers).and_then(|()| invoke::invoke(bedrock, id, region, body));
    let (reply, tokens) = match reply {
        Ok(reply) => reply,
        Err(refusal) => return refusal.into_response(),
    };
    let count = tokens.map(|tokens| ("InputTokenCount", tokens));
    let mut response = with_tokens(
        Tokens(count.into_iter().collect()),
        Json(reply).into_response(),
    );
    if let Some(tokens) = tokens {
        let headers = response.headers_mut();
        headers.insert("x-amzn-bedrock-input-token-count", tokens.into());
    }
    response
}

/// The Region in the scope of a signature.
pub(crate) fn signed_for(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    authorization.split_once("Credential=")?.1.split('/').nth(2)
}

fn signed(headers: &HeaderMap) -> Result<(), Refusal> {
    let authorization = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let known = |text: &str| text.starts_with("AWS4-HMAC-SHA256 ") || text.starts_with("Bearer ");
    match authorization {
        Some(text) if known(text) => Ok(()),
        Some(_) | None => Err(Refusal::new(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        )),
    }
}

/// An error as Bedrock words it.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The exception's name.
    pub code: String,
    /// Its message.
    pub message: String,
}

impl Refusal {
    /// An error.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }

    /// A request that is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    fn status(&self) -> StatusCode {
        match self.code.as_str() {
            "ThrottlingException" | "ModelNotReadyException" => StatusCode::TOO_MANY_REQUESTS,
            "ServiceUnavailableException" => StatusCode::SERVICE_UNAVAILABLE,
            "InternalServerException" => StatusCode::INTERNAL_SERVER_ERROR,
            "ModelErrorException" => StatusCode::FAILED_DEPENDENCY,
            "ModelTimeoutException" => StatusCode::REQUEST_TIMEOUT,
            "AccessDeniedException" | "MissingAuthenticationTokenException" => {
                StatusCode::FORBIDDEN
            }
            "ResourceNotFoundException" => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body: Value = json!({ "message": self.message });
        let mut response = (self.status(), body.to_string()).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        // The suffix is what the real service sends at times; clients must cut it off.
        let kind = format!(
            "{}:http://internal.amazon.com/coral/com.amazon.bedrock/",
            self.code
        );
        if let Ok(kind) = HeaderValue::from_str(&kind) {
            response.headers_mut().insert("x-amzn-errortype", kind);
        }
        response
    }
}
