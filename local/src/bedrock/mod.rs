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
use std::time::Duration;

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

mod answer;
pub mod breakable;
mod check;
pub mod converse;
pub mod faults;
mod fitness;
mod invoke;
mod sample;
mod stream;

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

/// Its routes.
pub fn routes(bedrock: Arc<Bedrock>) -> Router {
    Router::new()
        .route("/model/{id}/converse", post(converse))
        .route("/model/{id}/converse-stream", post(converse_stream))
        .route("/model/{id}/invoke", post(invoke))
        .route(
            "/_simulation/faults",
            post(faults::add).delete(faults::clear),
        )
        .route("/_simulation/requests", get(requests))
        .layer(DefaultBodyLimit::max(25_000_000))
        .with_state(bedrock)
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

async fn converse(
    bedrock: State<Arc<Bedrock>>,
    id: Path<String>,
    breaker: ConnectInfo<Breaker>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(
        bedrock.0,
        id.0,
        breaker.0,
        headers,
        body,
        Operation::Converse,
    )
    .await
}

async fn converse_stream(
    bedrock: State<Arc<Bedrock>>,
    id: Path<String>,
    breaker: ConnectInfo<Breaker>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(bedrock.0, id.0, breaker.0, headers, body, Operation::Stream).await
}

async fn invoke(
    bedrock: State<Arc<Bedrock>>,
    id: Path<String>,
    breaker: ConnectInfo<Breaker>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(bedrock.0, id.0, breaker.0, headers, body, Operation::Invoke).await
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
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&format!("simulated-{number}")) {
        headers.insert("x-amzn-requestid", id);
    }
    response
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
        (Ok(reply), None) => Json(reply).into_response(),
        (Ok(reply), Some(fault)) => events(stream::body(
            &reply,
            fault,
            Arc::clone(&bedrock.first_piece),
        )),
    }
}

/// What a model that does not converse would answer, in the Region that the request is signed for.
fn invoked(bedrock: &Bedrock, id: &str, headers: &HeaderMap, body: &[u8]) -> Response {
    let region = signed_for(headers).unwrap_or(&bedrock.region);
    let reply = signed(headers).and_then(|()| invoke::invoke(bedrock, id, region, body));
    let (reply, tokens) = match reply {
        Ok(reply) => reply,
        Err(refusal) => return refusal.into_response(),
    };
    let mut response = Json(reply).into_response();
    if let Some(tokens) = tokens {
        let headers = response.headers_mut();
        headers.insert("x-amzn-bedrock-input-token-count", tokens.into());
    }
    response
}

/// The Region in the scope of a signature.
fn signed_for(headers: &HeaderMap) -> Option<&str> {
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
