//! What an answer says: text, tokens, cost, and how the model was chosen.

use serde::Serialize;
use shared::bedrock::Attempt;
use shared::catalog::{Task, Tier};
use shared::cost::{Cost, Usage};
use shared::http;
use shared::routing::{Budget, Candidate, Decision};
use shared::wire::{Metrics, Output};

/// The answer of `POST /invoke`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer<'a> {
    /// The Lambda request id.
    pub id: &'a str,
    /// The text blocks of the message, joined.
    pub text: String,
    /// The message as Bedrock sent it.
    pub output: Output,
    /// Why it ended.
    pub stop_reason: String,
    /// Tokens, as Bedrock counted them.
    pub usage: Usage,
    /// Exact cost; null where a price is unknown.
    pub cost: Option<Cost>,
    /// Milliseconds from request to answer.
    pub latency_ms: u64,
    /// Bedrock's own measurements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// How the model was chosen.
    pub routing: Routing<'a>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// How the model was chosen.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Routing<'a> {
    /// How much model the request needs.
    tier: Tier,
    /// 0 (trivial) to 1 (hard).
    score: f64,
    /// What it is for.
    task: Task,
    /// What the caller would rather have.
    budget: Budget,
    /// The id that answers.
    model_id: &'a str,
    /// Its short name; null behind an ARN that is not configured.
    model: Option<&'a str>,
    /// What it is priced by.
    scope: Option<&'a str>,
    /// The ceiling of the answer.
    max_tokens: u32,
    /// What moved the score.
    reasons: &'a [String],
    /// Every call that was made.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    attempts: &'a [Attempt],
    /// Every candidate, in order, and those that will not do.
    candidates: Vec<http::Candidate<'a>>,
    /// Only where the decision stands alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<String>>,
}

impl<'a> Routing<'a> {
    /// The decision alone, before anything is asked.
    #[must_use]
    pub fn alone(decision: &'a Decision<'a>, warnings: Vec<String>) -> Self {
        Self {
            warnings: Some(warnings),
            ..Self::by(decision, &decision.first, &[])
        }
    }

    /// Of a decision whose candidate has answered.
    #[must_use]
    pub fn by(
        decision: &'a Decision<'a>,
        chosen: &'a Candidate<'a>,
        attempts: &'a [Attempt],
    ) -> Self {
        let will_do = decision.chain().map(|candidate| http::Candidate {
            model_id: &candidate.id,
            estimated_cost_usd: candidate.estimate,
            rejected: None,
        });
        Self {
            tier: decision.assessment.tier,
            score: f64::from(decision.assessment.score) / 100.0,
            task: decision.assessment.task,
            budget: decision.budget,
            model_id: &chosen.id,
            model: chosen.model.map(|model| model.name.as_ref()),
            scope: chosen.scope.as_ref().map(shared::catalog::Scope::as_str),
            max_tokens: chosen.max_tokens,
            reasons: &decision.assessment.reasons,
            attempts,
            candidates: will_do
                .chain(decision.rejected.iter().map(http::Candidate::from))
                .collect(),
            warnings: None,
        }
    }
}
