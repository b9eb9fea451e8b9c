//! What an answer says: text, tokens, cost, and how the model was chosen.

use serde::Serialize;
use serde_json::Value;
use shared::bedrock::Attempt;
use shared::catalog::{Task, Tier};
use shared::cost::{Cost, ServiceTier, Usage};
use shared::http;
use shared::routing::{Budget, Candidate, Decision, Views, learned};
use shared::usd::Usd;
use shared::wire::{Json, Metrics, Output, Reply};
use utoipa::ToSchema;

use crate::request::Request;
use crate::structured::StructuredOutput;

/// The answer of `POST /invoke`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer<'a> {
    /// The text blocks of the message, joined.
    pub text: String,
    /// The message as Bedrock sent it.
    pub output: Output,
    /// All the rest.
    #[serde(flatten)]
    pub done: Done<'a>,
    /// How the model was chosen.
    pub routing: Routing<'a>,
}

/// What is known at the end of an answer: the last event of one that is streamed, and a part of one that is not.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Done<'a> {
    /// The Lambda request id.
    pub id: &'a str,
    /// Why it ended: Bedrock's word, or `deadline`.
    pub stop_reason: String,
    /// Tokens, as Bedrock counted them.
    pub usage: Usage,
    /// The tokens are our own estimate, because the answer was cut off before Bedrock told them.
    #[serde(skip_serializing_if = "is_false")]
    pub usage_estimated: bool,
    /// Exact cost; null where a price is unknown.
    pub cost: Option<Cost>,
    /// Milliseconds from request to answer.
    pub latency_ms: u64,
    /// Milliseconds from request to the first piece of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_to_first_token_ms: Option<u64>,
    /// Bedrock's own measurements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// The service tier that served it, where it is not the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<ServiceTier>,
    /// How JSON by the caller's schema was come by; only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_output: Option<StructuredOutput>,
    /// What the guardrail found; only where one was in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<Guardrail>,
    /// Fields of the model's own, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub additional_model_response_fields: Option<Json>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What the guardrail found. What the model would have said is never part of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Guardrail {
    /// Whether it stepped in; then `text` is its message, and `stopReason` is `guardrail_intervened`, unless it only masked.
    intervened: bool,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    action_reason: Option<String>,
    /// Findings in the question, by guardrail, in Bedrock's shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    input_assessment: Option<Value>,
    /// Findings in the answer, by guardrail, in Bedrock's shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    output_assessments: Option<Value>,
}

impl Guardrail {
    /// Of a reply to a request that had one in force. Of the operator's guardrail, what it matched in the answer is kept back:
    /// that is what it masks.
    pub(crate) fn of(request: &Request, reply: &mut Reply, is_the_operators: bool) -> Option<Self> {
        request.conversation.options.guardrail_config.as_ref()?;
        let mut trace = reply.trace.guardrail.take().unwrap_or_default();
        if is_the_operators && let Some(assessments) = &mut trace.output_assessments {
            forget_matches(assessments);
        }
        Some(Self {
            intervened: reply.stop_reason == "guardrail_intervened",
            action_reason: trace.action_reason,
            input_assessment: trace.input_assessment,
            output_assessments: trace.output_assessments,
        })
    }
}

fn forget_matches(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("match");
            fields.values_mut().for_each(forget_matches);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_matches),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// How the model was chosen.
#[derive(Serialize, ToSchema)]
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
    /// The model that a prompt router of Bedrock's chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    invoked_model_id: Option<String>,
    /// The ceiling of the answer.
    max_tokens: u32,
    /// What moved the score.
    reasons: &'a [String],
    /// Every call that was made.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    attempts: &'a [Attempt],
    /// Every candidate, in order, and those that will not do.
    candidates: Vec<http::Candidate<'a>>,
    /// Only where the decision stands alone: what the rule and the learned router make of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    views: Option<Explained>,
    /// Only where the decision stands alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<String>>,
}

/// What the rule and the learned router make of a request, and why.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The rule's tier.
    rules: Tier,
    /// The learned router's.
    learned: Tier,
    /// What the learned router's choice is expected to save against the rule's; below zero where it is dearer.
    expected_saving_usd: Usd,
    /// The tokens of the answer, as the learned router expects them.
    expected_output_tokens: u32,
    /// What each tier would give and cost, the cheapest first: what a cheaper or a dearer choice would have changed.
    tiers: Vec<Prospect>,
    /// What moved the learned router most: features of the prompt, by the quality that they add to a large model's lead.
    pushes: Vec<Pushed>,
    /// What the user turn before adds to it.
    context: f64,
    /// What words, tools and the caller's task add to it.
    evidence: f64,
}

/// What a tier would give and cost.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Prospect {
    tier: Tier,
    /// 0 to 1, of the models that were learned from.
    expected_quality: f64,
    /// Of the tier's first choice, with the tokens that are expected.
    expected_cost_usd: Usd,
}

/// What a feature of the prompt adds.
#[derive(Serialize, ToSchema)]
struct Pushed {
    feature: String,
    by: f64,
}

/// Features that are told.
const PUSHES: usize = 8;

/// Millionths as a share.
fn share(millionths: i32) -> f64 {
    f64::from(millionths) / 1e6
}

impl Explained {
    fn of(views: &Views, prompt: &str) -> Self {
        let tiers = [Tier::Simple, Tier::Medium, Tier::Complex].into_iter();
        let prospects = tiers.zip(views.foretold.quality).zip(views.costs);
        let pushes = learned::pushes(prompt, PUSHES).into_iter();
        Self {
            rules: views.rules,
            learned: views.learned,
            expected_saving_usd: views.saving(),
            expected_output_tokens: views.foretold.output_tokens,
            tiers: prospects
                .map(|((tier, quality), expected_cost_usd)| Prospect {
                    tier,
                    expected_quality: share(quality),
                    expected_cost_usd,
                })
                .collect(),
            pushes: pushes
                .map(|push| Pushed {
                    feature: push.feature,
                    by: share(push.by),
                })
                .collect(),
            context: share(views.foretold.context),
            evidence: share(views.evidence),
        }
    }
}

impl<'a> Routing<'a> {
    /// The id that answers.
    #[must_use]
    pub fn model_id(&self) -> &str {
        self.model_id
    }

    /// The decision alone, before anything is asked.
    #[must_use]
    pub fn alone(decision: &'a Decision<'a>, warnings: Vec<String>, prompt: &str) -> Self {
        let views = decision.assessment.views.as_ref();
        let mut routing = Self::by(decision, &decision.first, &[], None);
        for (shown, candidate) in routing.candidates.iter_mut().zip(decision.chain()) {
            let expected = views.filter(|_| candidate.quality > 0);
            shown.expected_quality =
                expected.map(|views| share(views.expected_quality(candidate.quality)));
        }
        Self {
            views: views.map(|views| Explained::of(views, prompt)),
            warnings: Some(warnings),
            ..routing
        }
    }

    /// Of a decision whose candidate has answered.
    #[must_use]
    pub fn by(
        decision: &'a Decision<'a>,
        chosen: &'a Candidate<'a>,
        attempts: &'a [Attempt],
        routed_to: Option<&str>,
    ) -> Self {
        let will_do = decision.chain().map(|candidate| http::Candidate {
            model_id: &candidate.id,
            estimated_cost_usd: candidate.estimate,
            expected_quality: None,
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
            invoked_model_id: routed_to.map(str::to_owned),
            max_tokens: chosen.max_tokens,
            reasons: &decision.assessment.reasons,
            attempts,
            candidates: will_do
                .chain(decision.rejected.iter().map(http::Candidate::from))
                .collect(),
            views: None,
            warnings: None,
        }
    }
}
