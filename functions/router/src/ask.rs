//! Asking: the candidates in turn, each with a request that fits it, until one answers.
//!
//! Until the first piece of an answer, the next candidate may take over; after it, none can. How one call is heard is in
//! [`hear`](crate::hear).

use std::time::{Duration, Instant};

use bytes::Bytes;
use shared::bedrock::{Attempt, Fault, Outcome};
use shared::catalog::{Named, Scope};
use shared::cost::{Cost, Usage, cost};
use shared::error::{Cut, Error};
use shared::fit::{Fitted, Form, Repair, fit};
use shared::http::Call;
use shared::routing::{Candidate, Decision};
use shared::telemetry::Record;
use shared::wire::{Conversation, Partial, Reply};

use crate::App;
use crate::hear::{Asking, Heard, estimate};
use crate::request::Request;
use crate::tell::Sink;

/// With less time than this left, models that think are passed over where others are to come.
const LITTLE_TIME: Duration = Duration::from_secs(5);

/// One request on its way: who asks, what, and who listens.
#[derive(Clone, Copy)]
pub(crate) struct Turn<'r> {
    pub(crate) call: &'r Call,
    pub(crate) request: &'r Request,
    pub(crate) sink: &'r Sink,
    pub(crate) decision: &'r Decision<'r>,
}

impl Turn<'_> {
    pub(crate) fn time_left(&self) -> Duration {
        self.call.time_left_within(self.request.timeout)
    }
}

/// A model's answer, and how it was come by.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) candidate: Candidate<'a>,
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
    /// The tokens are our estimate, because Bedrock did not tell them.
    pub(crate) estimated: bool,
    /// Cost of all answers; `None` where a price is unknown.
    pub(crate) cost: Option<Cost>,
    /// From the request to the first piece of the answer.
    pub(crate) first_piece: Option<Duration>,
    /// The `maxTokens` that was sent.
    pub(crate) max_tokens: Option<u32>,
}

impl Asked<'_> {
    pub(crate) fn text(&self) -> String {
        self.reply.text()
    }

    fn count(&mut self, usage: &Usage, cost: Option<Cost>) {
        self.usage = self.usage.plus(usage);
        self.cost = self.cost.zip(cost).map(|(first, second)| first + second);
    }
}

/// One answer of one candidate.
struct Answered {
    reply: Reply,
    max_tokens: Option<u32>,
    changes: Vec<String>,
    form: Option<Form>,
    estimated: bool,
    first_piece: Option<Duration>,
}

impl App {
    /// Asks the candidates in turn until one answers.
    pub(crate) async fn ask<'a>(
        &self,
        turn: Turn<'a>,
        record: &mut Record,
    ) -> Result<Asked<'a>, Error> {
        let mut attempts = Vec::new();
        let mut last = None;
        let chain: Vec<_> = turn.decision.chain().collect();
        for (number, candidate) in chain.iter().copied().enumerate() {
            let later = chain.get(number + 1..).unwrap_or_default();
            if turn.time_left().is_zero() {
                break;
            }
            let is_last = self.none_follows(later);
            if let Some(fault) = self.pass_over(&turn, candidate, later, &mut attempts) {
                last = worth_telling(last, fault);
                continue;
            }
            record.model_id = Some(metric_name(candidate));
            record.fallbacks = number;
            match self
                .ask_one(
                    turn,
                    &turn.request.conversation,
                    candidate,
                    is_last,
                    &mut attempts,
                )
                .await
            {
                Ok(answered) => return Ok(self.asked(&turn, candidate, answered, attempts)),
                Err(Ended::Refused(fault)) if fault.outcome.is_worth_another_model() => {
                    last = worth_telling(last, fault)
                }
                Err(Ended::Refused(fault)) => return Err(Error::bedrock(fault, attempts)),
                Err(Ended::Cut(fault, partial)) => {
                    let cut = Some(Box::new(self.cut(turn, candidate, &partial, record)));
                    return Err(Error::Bedrock {
                        fault,
                        attempts,
                        cut,
                    });
                }
            }
        }
        let out_of_time = || Fault::new(Outcome::TimedOut, "there was no time left to ask");
        Err(Error::bedrock(last.unwrap_or_else(out_of_time), attempts))
    }

    fn asked<'a>(
        &self,
        turn: &Turn<'a>,
        candidate: &Candidate<'a>,
        answered: Answered,
        attempts: Vec<Attempt>,
    ) -> Asked<'a> {
        let Answered {
            max_tokens,
            reply,
            changes,
            form,
            estimated,
            first_piece,
        } = answered;
        Asked {
            candidate: candidate.clone(),
            usage: reply.usage.clone(),
            cost: self.price(turn, candidate, &reply, estimated),
            reply,
            attempts,
            changes,
            form,
            estimated,
            first_piece,
            max_tokens,
        }
    }

    /// Why a candidate is not asked at all: it rests, or it thinks where there is no time for that.
    fn pass_over(
        &self,
        turn: &Turn<'_>,
        candidate: &Candidate<'_>,
        later: &[&Candidate<'_>],
        attempts: &mut Vec<Attempt>,
    ) -> Option<Fault> {
        let attempt = |outcome| Attempt {
            model_id: candidate.id.clone(),
            outcome,
            latency_ms: 0,
        };
        let rest = self.cooldowns.rest(&candidate.id, Instant::now());
        // Somebody may just have given access to a model that a caller names.
        let rest = rest.filter(|fault| turn.request.model.is_none() || fault.outcome.passes());
        if let Some(fault) = rest {
            attempts.push(attempt("cooling-down"));
            return Some(fault);
        }
        let thinks = |candidate: &Candidate<'_>| {
            candidate
                .model
                .is_some_and(shared::catalog::Model::may_think)
        };
        let is_late = !attempts.is_empty() && turn.time_left() < LITTLE_TIME;
        if is_late && thinks(candidate) && later.iter().any(|later| !thinks(later)) {
            attempts.push(attempt("too-little-time"));
            return Some(Fault::new(
                Outcome::TimedOut,
                "too little time is left for a model that thinks",
            ));
        }
        None
    }

    /// Lets an id rest after a fault that is the id's own: what is refused because of a guardrail that the caller names, or for a
    /// caller who names the model, is not.
    fn rest(&self, candidate: &Candidate<'_>, auto: bool, fault: &Fault) {
        let closed = matches!(fault.outcome, Outcome::Denied | Outcome::NotFound);
        let is_the_ids_own = auto && !fault.message.to_lowercase().contains("guardrail");
        if !closed || is_the_ids_own {
            self.cooldowns.note(&candidate.id, fault, Instant::now());
        }
    }

    /// Whether no candidate follows that would be asked.
    fn none_follows(&self, later: &[&Candidate<'_>]) -> bool {
        let now = Instant::now();
        later
            .iter()
            .all(|later| self.cooldowns.left(&later.id, now).is_some())
    }

    /// Asks the candidate that has answered once more, with another conversation or more room. Tokens and cost of both answers
    /// are counted; the second reply is the caller's to take, if there is one.
    ///
    /// # Errors
    /// The fault of a second answer that broke off, and what had come of both.
    pub(crate) async fn ask_again(
        &self,
        turn: Turn<'_>,
        again: &Conversation,
        asked: &mut Asked<'_>,
    ) -> Result<Option<Reply>, (Fault, Cut)> {
        let candidate = asked.candidate.clone();
        match self
            .ask_one(turn, again, &candidate, true, &mut asked.attempts)
            .await
        {
            Ok(answered) => {
                let cost = self.price(&turn, &candidate, &answered.reply, answered.estimated);
                asked.count(&answered.reply.usage, cost);
                asked.estimated |= answered.estimated;
                asked.max_tokens = answered.max_tokens;
                Ok(Some(answered.reply))
            }
            Err(Ended::Refused(_)) => Ok(None),
            Err(Ended::Cut(fault, partial)) => {
                let usage = estimate(&turn, &partial);
                let cost = candidate
                    .prices
                    .and_then(|prices| cost(&usage, prices, candidate.tier));
                asked.count(&usage, cost);
                asked.estimated = true;
                Err((
                    fault,
                    Cut {
                        text: partial.text(),
                        usage: asked.usage.clone(),
                        cost: asked.cost,
                    },
                ))
            }
        }
    }

    /// Asks one candidate; a refusal whose words are known is repaired once, and remembered if it is about the model.
    async fn ask_one(
        &self,
        turn: Turn<'_>,
        conversation: &Conversation,
        candidate: &Candidate<'_>,
        is_last: bool,
        attempts: &mut Vec<Attempt>,
    ) -> Result<Answered, Ended> {
        let id = &candidate.id;
        let mut learned = self.learned.of(id);
        let fitted = fit(conversation, candidate, turn.request.caching, &learned);
        let asking = Asking {
            turn,
            candidate,
            is_last,
        };
        let fault = match self.send(&asking, &fitted, attempts).await {
            Err(Ended::Refused(fault)) => fault,
            answered_or_cut => return answered_or_cut,
        };
        let lesson = Repair::asked_for_by(&fault.message).filter(|_| fault.outcome.is_a_refusal());
        let mended = lesson.and_then(|repair| {
            learned.push(repair.clone());
            let mended = fit(conversation, candidate, turn.request.caching, &learned);
            // What changes nothing repairs nothing.
            let changes =
                serde_json::to_vec(&mended.body).ok() != serde_json::to_vec(&fitted.body).ok();
            changes.then_some((repair, mended))
        });
        let Some((repair, mended)) = mended else {
            self.rest(candidate, turn.request.model.is_none(), &fault);
            return Err(Ended::Refused(fault));
        };
        let answered = self.send(&asking, &mended, attempts).await;
        match &answered {
            Ok(_) if repair.is_about_the_model() => self.learned.add(id, repair),
            Err(Ended::Refused(fault)) => self.rest(candidate, turn.request.model.is_none(), fault),
            Ok(_) | Err(Ended::Cut(..)) => {}
        }
        answered
    }

    /// Sends one request that fits.
    async fn send(
        &self,
        asking: &Asking<'_>,
        fitted: &Fitted<'_>,
        attempts: &mut Vec<Attempt>,
    ) -> Result<Answered, Ended> {
        let body = serde_json::to_vec(&fitted.body)
            .map_err(|error| Fault::new(Outcome::Failed, error.to_string()))?;
        match self
            .call(asking, fitted.form, Bytes::from(body), attempts)
            .await?
        {
            Heard::Reply {
                reply,
                unknown,
                estimated,
                first_piece,
            } => {
                self.cooldowns.clear(&asking.candidate.id);
                let (max_tokens, form) = (fitted.max_tokens(), fitted.form);
                let unknown = unknown.then(|| {
                    "a part of the answer is of a kind that this router does not know".to_owned()
                });
                let changes = fitted.changes.iter().cloned().chain(unknown).collect();
                Ok(Answered {
                    reply,
                    max_tokens,
                    changes,
                    form,
                    estimated,
                    first_piece,
                })
            }
            Heard::Broken { partial, fault } => Err(Ended::Cut(fault, Box::new(partial))),
        }
    }

    /// What is left of an answer that broke off: its text, and what it must have cost, by our own estimate.
    fn cut(
        &self,
        turn: Turn<'_>,
        candidate: &Candidate<'_>,
        partial: &Partial,
        record: &mut Record,
    ) -> Cut {
        let usage = estimate(&turn, partial);
        let cost = candidate
            .prices
            .and_then(|prices| cost(&usage, prices, candidate.tier));
        record.spend(&usage, cost.map(|cost| cost.total_usd));
        Cut {
            text: partial.text(),
            usage,
            cost,
        }
    }

    /// The exact cost of one answer, by the id that gave it; behind a prompt router, by the model it chose. Where Bedrock has told
    /// nothing, what was asked for counts.
    fn price(
        &self,
        turn: &Turn<'_>,
        candidate: &Candidate<'_>,
        reply: &Reply,
        estimated: bool,
    ) -> Option<Cost> {
        let chosen = || match self.config.catalog.named(reply.routed_to()?) {
            Named::Model(reference) => {
                let scope = reference.scope.unwrap_or(Scope::InRegion);
                reference
                    .model
                    .prices_in(&scope, &self.config.policy.region)
            }
            Named::Opaque | Named::Unknown(_) => None,
        };
        let options = &turn.request.conversation.options;
        let (tier, optimized) = match estimated {
            true => (candidate.tier, options.wants_optimized_latency()),
            false => (reply.service_tier(), reply.is_optimized()),
        };
        let prices = chosen().or(candidate.prices).filter(|_| !optimized)?;
        cost(&reply.usage, prices, tier)
    }
}

/// How asking one candidate ended without an answer.
enum Ended {
    /// Before the first piece.
    Refused(Fault),
    /// After it.
    Cut(Fault, Box<Partial>),
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
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
