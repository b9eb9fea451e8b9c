//! A stand-in for Amazon Bedrock's runtime API, on the wire.
//!
//! It takes what Bedrock takes and refuses what Bedrock refuses, in Bedrock's words (as observed, see `check` and `fitness`).
//! It answers at once with a text that says it is a simulation, and it can throttle, fail and be slow on demand (see [`faults`]).
//! `GET /_simulation/requests` shows what has reached it.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::{Value, json};
use shared::catalog::Catalog;

mod answer;
mod check;
pub mod converse;
pub mod faults;
mod fitness;
mod sample;

use faults::Faults;

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
        .route("/model/{id}/converse", post(reply))
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

async fn reply(
    State(bedrock): State<Arc<Bedrock>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let number = bedrock.requests.fetch_add(1, Ordering::Relaxed);
    bedrock.keep(&id, &body);
    let result = match bedrock.faults.next(&id).await {
        Some(told) => told,
        None => signed(&headers)
            .and_then(|()| converse::converse(&bedrock, &id, &body))
            .map(|reply| reply.to_string()),
    };
    let mut response = result.map_or_else(Refusal::into_response, |reply| {
        (StatusCode::OK, reply).into_response()
    });
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Ok(id) = HeaderValue::from_str(&format!("simulated-{number}")) {
        headers.insert("x-amzn-requestid", id);
    }
    response
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
