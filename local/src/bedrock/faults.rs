//! What the stand-in is told to do wrong: fail a number of times, or be slow.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::{Bedrock, Refusal};

/// A fault for the models whose id contains a text.
///
/// `POST /_simulation/faults` takes one as JSON: `{"model": "opus", "error": "ThrottlingException", "times": 2}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// A part of the invoked id; empty for all.
    #[serde(default)]
    pub model: String,
    /// The exception to answer with.
    pub error: Option<String>,
    /// The exception's message.
    pub message: Option<String>,
    /// A body to answer with, whatever it is, as if all went well.
    pub reply: Option<String>,
    /// How many requests it meets; without it, all.
    pub times: Option<u32>,
    /// Milliseconds to wait before the answer.
    #[serde(default)]
    pub latency_ms: u64,
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

    /// Waits as told, and gives what a request to a model is to be answered with, unless it is to be answered as usual.
    pub(super) async fn next(&self, id: &str) -> Option<Result<String, Refusal>> {
        let fault = self.take(id)?;
        tokio::time::sleep(Duration::from_millis(fault.latency_ms)).await;
        let message = fault
            .message
            .unwrap_or_else(|| "a fault that the simulation was told to make".into());
        let refusal = |code| Err(Refusal::new(code, message));
        fault.error.map(refusal).or(fault.reply.map(Ok))
    }

    fn take(&self, id: &str) -> Option<Fault> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = faults
            .iter_mut()
            .find(|fault| id.contains(&fault.model) && fault.times != Some(0))?;
        fault.times = fault.times.map(|times| times - 1);
        Some(fault.clone())
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
