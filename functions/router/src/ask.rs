//! Asking: the candidates in turn, each with a request that fits it, until one answers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use shared::bedrock::{self, Attempt, Fault, Outcome};
use shared::catalog::{Named, Scope};
use shared::cost::{Cost, Usage, cost};
use shared::error::Error;
use shared::fit::{Fitted, Form, Repair, fit};
use shared::http::Call;
use shared::routing::{Candidate, Decision};
use shared::telemetry::{Record, whole_ms};
use shared::wire::{Conversation, Reply};

use crate::App;
use crate::request::Request;

/// A model's answer, and how it was come by.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) candidate: &'a Candidate<'a>,
    /// The last answer.
    pub(crate) reply: Reply,
    /// Every call.
    pub(crate) attempts: Vec<Attempt>,
    /// What was changed for the model.
    pub(crate) changes: Vec<String>,
    /// How JSON by a schema was come by.
    pub(crate) form: Option<Form>,
    /// Tokens of all answers.
    pub(crate) usage: Usage,
    /// Cost of all answers; `None` where a price is unknown.
    pub(crate) cost: Option<Cost>,
}

impl Asked<'_> {
    pub(crate) fn text(&self) -> String {
        self.reply.text()
    }
}

/// One answer of one candidate.
struct Answered {
    reply: Reply,
    changes: Vec<String>,
    form: Option<Form>,
}

impl App {
    /// Asks the candidates in turn until one answers.
    pub(crate) async fn ask<'a>(
        &self,
        call: &Call,
        request: &Request,
        decision: &'a Decision<'a>,
        record: &mut Record,
    ) -> Result<Asked<'a>, Error> {
        let mut attempts = Vec::new();
        let mut last = None;
        for (number, candidate) in decision.chain().enumerate() {
            if call.time_left_within(request.timeout).is_zero() {
                break;
            }
            record.model_id = Some(metric_name(candidate));
            record.fallbacks = number;
            match self
                .ask_one(
                    call,
                    request,
                    &request.conversation,
                    candidate,
                    &mut attempts,
                )
                .await
            {
                Ok(Answered {
                    reply,
                    changes,
                    form,
                }) => {
                    let usage = reply.usage.clone();
                    let cost = self.price(candidate, &reply);
                    return Ok(Asked {
                        candidate,
                        reply,
                        attempts,
                        changes,
                        form,
                        usage,
                        cost,
                    });
                }
                Err(fault) if fault.outcome.is_worth_another_model() => {
                    last = worth_telling(last, fault)
                }
                Err(fault) => return Err(Error::Bedrock { fault, attempts }),
            }
        }
        let out_of_time = || Fault::new(Outcome::TimedOut, "there was no time left to ask");
        Err(Error::Bedrock {
            fault: last.unwrap_or_else(out_of_time),
            attempts,
        })
    }

    /// Asks the candidate that has answered once more, with a longer conversation, and counts both answers; whether it did.
    pub(crate) async fn ask_again(
        &self,
        call: &Call,
        request: &Request,
        again: &Conversation,
        asked: &mut Asked<'_>,
    ) -> bool {
        let candidate = asked.candidate;
        match self
            .ask_one(call, request, again, candidate, &mut asked.attempts)
            .await
        {
            Ok(Answered { reply, .. }) => {
                asked.usage = asked.usage.plus(&reply.usage);
                asked.cost = asked
                    .cost
                    .zip(self.price(candidate, &reply))
                    .map(|(first, second)| first + second);
                asked.reply = reply;
                true
            }
            Err(_) => false,
        }
    }

    /// Asks one candidate; a refusal whose words are known is repaired once, and remembered.
    async fn ask_one(
        &self,
        call: &Call,
        request: &Request,
        conversation: &Conversation,
        candidate: &Candidate<'_>,
        attempts: &mut Vec<Attempt>,
    ) -> Result<Answered, Fault> {
        let mut learned = self.learned.of(&candidate.id);
        let mut body = Bytes::new();
        let mut lesson = None;
        let mut refusal = None;
        for _ in 0..2 {
            let fitted = fit(conversation, candidate, request.caching, &learned);
            let fitting_body = json(&fitted)?;
            // What changes nothing repairs nothing.
            if let Some(fault) = refusal.take_if(|_| fitting_body == body) {
                return Err(fault);
            }
            body = fitting_body;
            let time_left = call.time_left_within(request.timeout);
            match self.converse(candidate, &body, time_left, attempts).await {
                Ok(reply) => {
                    if let Some(repair) =
                        lesson.take_if(|repair: &mut Repair| repair.is_about_the_model())
                    {
                        self.learned.add(&candidate.id, repair);
                    }
                    return Ok(Answered {
                        reply,
                        changes: fitted.changes,
                        form: fitted.form,
                    });
                }
                Err(fault) => match Repair::asked_for_by(&fault.message)
                    .filter(|_| fault.outcome.is_a_refusal())
                {
                    Some(repair) if refusal.is_none() => {
                        learned.push(repair.clone());
                        lesson = Some(repair);
                        refusal = Some(fault);
                    }
                    Some(_) | None => return Err(fault),
                },
            }
        }
        Err(refusal.unwrap_or_else(|| Fault::new(Outcome::Failed, "nothing was asked")))
    }

    /// One call, and its line in the attempts.
    async fn converse(
        &self,
        candidate: &Candidate<'_>,
        body: &Bytes,
        time_left: Duration,
        attempts: &mut Vec<Attempt>,
    ) -> Result<Reply, Fault> {
        let began = Instant::now();
        let reply = bedrock::converse(&self.client, &candidate.id, body.clone(), time_left).await;
        let reply = reply.and_then(|reply| {
            Reply::parse(&reply).map_err(|why| Fault::new(Outcome::Unreadable, why))
        });
        attempts.push(Attempt {
            model_id: candidate.id.clone(),
            outcome: reply
                .as_ref()
                .map_or_else(|fault| fault.outcome.kind(), |_| "answered"),
            latency_ms: whole_ms(began.elapsed()),
        });
        reply
    }

    /// The exact cost of one answer, by the id that gave it; behind a prompt router, by the model it chose.
    fn price(&self, candidate: &Candidate<'_>, reply: &Reply) -> Option<Cost> {
        let chosen = || match self.config.catalog.named(reply.routed_to()?) {
            Named::Model(reference) => {
                let scope = reference.scope.unwrap_or(Scope::InRegion);
                reference
                    .model
                    .prices_in(&scope, &self.config.policy.region)
            }
            Named::Opaque | Named::Unknown(_) => None,
        };
        cost(
            &reply.usage,
            candidate.prices.or_else(chosen)?,
            reply.service_tier(),
        )
    }
}

fn json(fitted: &Fitted<'_>) -> Result<Bytes, Fault> {
    let body = serde_json::to_vec(&fitted.body)
        .map_err(|error| Fault::new(Outcome::Failed, error.to_string()))?;
    Ok(Bytes::from(body))
}

/// Of two faults the one that the caller can do something about by waiting; else the later one.
fn worth_telling(earlier: Option<Fault>, later: Fault) -> Option<Fault> {
    earlier
        .filter(|earlier| earlier.outcome.passes() && !later.outcome.passes())
        .or(Some(later))
}

/// The metric dimension of a candidate: callers must not be able to make up new ones, each of which is billed.
fn metric_name(candidate: &Candidate<'_>) -> String {
    candidate
        .model
        .map_or_else(|| "unlisted".to_owned(), |_| candidate.id.clone())
}
