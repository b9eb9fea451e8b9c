//! The HTTP border: who calls, under which path, with which body; answers and problems.

pub use answer::{Candidate, Failed, Problem, json, log, problem, raw_json, respond, way_out};
pub use body::{MAX_BODY, Payload, bounds, parse};
pub use call::{Call, RequestId, at_root};
pub use missing::closed;

mod answer;
mod body;
mod call;
pub mod described;
mod missing;
pub mod openai;
