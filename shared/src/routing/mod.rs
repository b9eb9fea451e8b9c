//! Which model a request goes to, and why: pure functions from facts to a ranked chain of candidates.
//!
//! [`classify`] says how much model the request needs, [`decide`] which models will do, in which order; [`specialists`] does so for models that do not converse. None reads a clock,
//! the environment or the network.

pub use classify::{Assessment, classify};
pub use decide::{Candidate, Decision, Policy, Rejected, Wanted, decide};
pub use facts::{Budget, Facts, estimate_tokens};
pub use specialists::{Specialist, Specialists, specialists};
pub use views::{Router, Views};

mod classify;
mod cues;
mod decide;
mod facts;
mod filter;
pub mod learned;
mod named;
mod signals;
mod specialists;
mod views;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;
