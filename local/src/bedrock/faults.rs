//! What the stand-in is told to do wrong: fail in every way that Bedrock can, at every point of an answer, or be slow.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::Bedrock;

/// A fault for the models whose id contains a text.
///
/// `POST /_simulation/faults` takes one as JSON: `{"model": "opus", "error": "ThrottlingException", "times": 2}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// A part of the invoked id; empty for all.
    #[serde(default)]
    pub model: String,
    /// How many requests it lets pass before it begins.
    #[serde(default)]
    pub skip: u32,
    /// It meets only one in so many requests.
    pub every: Option<u32>,
    /// It lets so many requests a second pass, with as many at once, and meets the others.
    pub per_second: Option<u32>,
    /// How many requests it meets; without it, all.
    pub times: Option<u32>,
    /// The exception to answer with; its own HTTP status unless `status` is given.
    pub error: Option<String>,
    /// The exception's message.
    pub message: Option<String>,
    /// An HTTP status to answer with; without `error`, one that names no exception.
    pub status: Option<u16>,
    /// Seconds that the answer asks the caller to wait.
    pub retry_after: Option<u64>,
    /// A body to answer with, whatever it is: as if all went well, or with `status`.
    pub reply: Option<String>,
    /// So many events of a streamed answer come before it goes wrong. Without it, an `error` or `breaks` comes in their place.
    pub after: Option<usize>,
    /// How the answer breaks.
    pub breaks: Option<Breaks>,
    /// Milliseconds to wait before the answer.
    #[serde(default)]
    pub latency_ms: u64,
    /// Milliseconds to wait before each event of a streamed answer.
    #[serde(default)]
    pub drip_ms: u64,
    /// Requests that it has counted for `every`.
    #[serde(skip)]
    pub seen: u32,
    /// What is left in the bucket of `per_second`, and since when.
    #[serde(skip)]
    pub bucket: Option<(f64, Instant)>,
}

/// How an answer breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Breaks {
    /// The connection is reset: before the answer's head, or after some events.
    Reset,
    /// The connection is reset within the answer's head.
    ResetInHead,
    /// Nothing more comes, and the connection stays open.
    Hang,
    /// The stream ends as if it were whole.
    Truncated,
    /// The stream ends within a frame.
    Cut,
    /// A frame has a wrong checksum.
    Checksum,
    /// The last event, which holds the tokens, is missing.
    Usage,
}

/// The faults in force.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Adds a fault; earlier ones come first.
    pub fn add(&self, fault: Fault) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fault);
    }

    /// Takes all faults away.
    pub fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// The fault that meets a request to a model, after its wait.
    pub(super) async fn next(&self, id: &str) -> Option<Fault> {
        let fault = self.take(id)?;
        if fault.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(fault.latency_ms)).await;
        }
        Some(fault)
    }

    fn take(&self, id: &str) -> Option<Fault> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = faults
            .iter_mut()
            .filter(|fault| id.contains(&fault.model) && fault.times != Some(0))
            .find_map(|fault| fault.is_its_turn().then_some(fault))?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times = fault.times.map(|times| times - 1);
        Some(fault.clone())
    }
}

impl Fault {
    /// Counts a request, and says whether the fault meets it, as far as `every` and `per_second` go.
    fn is_its_turn(&mut self) -> bool {
        if let Some(rate) = self.per_second.map(f64::from) {
            let now = Instant::now();
            let (left, since) = self.bucket.unwrap_or((rate, now));
            let left = (left + (now - since).as_secs_f64() * rate).min(rate);
            let passes = left >= 1.0;
            self.bucket = Some((if passes { left - 1.0 } else { left }, now));
            return !passes;
        }
        let Some(every) = self.every else { return true };
        self.seen += 1;
        self.seen.is_multiple_of(every)
    }

    /// Whether it comes within a streamed answer, and not in its place.
    pub(super) fn is_within(&self) -> bool {
        let in_place = matches!(
            self.breaks,
            None | Some(Breaks::Reset | Breaks::ResetInHead | Breaks::Hang)
        );
        self.after.is_some() || !in_place
    }

    /// The words of its exception.
    pub(super) fn words(&self) -> String {
        self.message
            .clone()
            .unwrap_or_else(|| "a fault that the simulation was told to make".into())
    }
}

pub(super) async fn add(
    State(bedrock): State<Arc<Bedrock>>,
    Json(fault): Json<Fault>,
) -> StatusCode {
    bedrock.faults.add(fault);
    StatusCode::NO_CONTENT
}

pub(super) async fn clear(State(bedrock): State<Arc<Bedrock>>) -> StatusCode {
    bedrock.faults.clear();
    StatusCode::NO_CONTENT
}
