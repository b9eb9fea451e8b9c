//! Asking: the candidates in turn, each with a request that fits it, until one answers.
//!
//! Answers come over ConverseStream, whoever listens, so that a deadline loses nothing; only what a model cannot stream comes
//! over Converse, in one piece. Until the first piece of an answer, the next candidate may take over; after it, none can.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use shared::bedrock::{self, Attempt, Fault, Limits, Outcome};
use shared::catalog::{Named, Scope};
use shared::cost::{Cost, Usage, cost};
use shared::error::{Cut, Error};
use shared::fit::{Fitted, Form, Repair, fit};
use shared::http::Call;
use shared::routing::{Candidate, Decision, estimate_tokens};
use shared::telemetry::{Record, whole_ms};
use shared::wire::{Conversation, Delta, Partial, Reply, StreamEvent};

use crate::App;
use crate::answer::Routing;
use crate::request::Request;
use crate::sse::Sink;
use crate::structured::unwrap;

/// The longest wait for a sign of life, while there are other candidates.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// So long the end of a body is waited for once the answer is whole.
const GRACE: Duration = Duration::from_millis(50);

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
    fn time_left(&self) -> Duration {
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

/// What became of one call.
enum Heard {
    Reply {
        reply: Reply,
        /// A piece came of a kind that we do not know.
        unknown: bool,
        estimated: bool,
        first_piece: Option<Duration>,
    },
    /// The answer broke off after its first piece.
    Broken { partial: Partial, fault: Fault },
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

    /// One call, and its line in the attempts.
    async fn call(
        &self,
        asking: &Asking<'_>,
        form: Option<Form>,
        body: Bytes,
        attempts: &mut Vec<Attempt>,
    ) -> Result<Heard, Fault> {
        let began = Instant::now();
        attempts.push(Attempt {
            model_id: asking.candidate.id.clone(),
            outcome: "answering",
            latency_ms: 0,
        });
        let heard = if asking.can_stream(form) {
            self.stream(asking, form, body, attempts).await
        } else {
            self.converse(asking, form, body, attempts).await
        };
        let outcome = match &heard {
            Ok(Heard::Reply { .. }) => "answered",
            Ok(Heard::Broken { fault, .. }) | Err(fault) => fault.outcome.kind(),
        };
        if let Some(attempt) = attempts.last_mut() {
            attempt.outcome = outcome;
            attempt.latency_ms = whole_ms(began.elapsed());
        }
        heard
    }

    /// The whole answer at once; who listens piece by piece gets it in pieces all the same.
    async fn converse(
        &self,
        asking: &Asking<'_>,
        form: Option<Form>,
        body: Bytes,
        attempts: &[Attempt],
    ) -> Result<Heard, Fault> {
        let limits = asking.limits(asking.turn.time_left().mul_f64(0.75));
        let reply = bedrock::converse(&self.client, &asking.candidate.id, body, limits).await?;
        let mut reply = Reply::parse(&reply).map_err(|why| Fault::new(Outcome::Unreadable, why))?;
        let first_piece = Some(asking.turn.call.started.elapsed());
        if asking.turn.sink.is_open() {
            asking.tell_routing(attempts).await;
            if let Some(form) = form {
                unwrap(&mut reply, form);
            }
            for delta in reply.pieces() {
                asking.turn.sink.tell("delta", &delta).await;
            }
        }
        Ok(Heard::Reply {
            reply,
            unknown: false,
            estimated: false,
            first_piece,
        })
    }

    /// The answer piece by piece, until its end, its breaking off, or the deadline.
    async fn stream(
        &self,
        asking: &Asking<'_>,
        form: Option<Form>,
        body: Bytes,
        attempts: &[Attempt],
    ) -> Result<Heard, Fault> {
        let whole = Instant::now() + asking.turn.time_left();
        let limits = asking.limits(asking.sign_of_life(form));
        let head = Instant::now() + limits.time;
        let mut events =
            bedrock::converse_stream(&self.client, &asking.candidate.id, body, limits).await?;
        let mut heard = Listening {
            form,
            ..Listening::default()
        };
        loop {
            let until = match heard.partial.is_whole() {
                // The end of the body is waited for only so that the connection can be used again.
                true => Instant::now() + GRACE,
                false if heard.alive => whole,
                false => head,
            };
            let event = tokio::time::timeout_at(until.into(), events.next()).await;
            match heard.end_of(event) {
                Next::Event(event) => {
                    // Nobody may listen; that must not keep the record from being written.
                    let _ =
                        tokio::time::timeout_at(whole.into(), heard.add(event, asking, attempts))
                            .await;
                }
                Next::Whole => return Ok(heard.whole()),
                Next::Deadline if heard.first_piece.is_none() => {
                    return Err(Fault::new(Outcome::TimedOut, "no answer came in time"));
                }
                Next::Deadline => return Ok(heard.at_the_deadline(asking)),
                // Nothing was told yet: another candidate may take over.
                Next::Fault(fault) if heard.first_piece.is_none() => return Err(fault),
                Next::Fault(fault) => {
                    return Ok(Heard::Broken {
                        partial: heard.partial,
                        fault,
                    });
                }
            }
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
        let facts = turn.request.conversation.facts("");
        let (tier, optimized) = match estimated {
            true => (candidate.tier, facts.optimized),
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

/// One call.
struct Asking<'r> {
    turn: Turn<'r>,
    candidate: &'r Candidate<'r>,
    is_last: bool,
}

impl Asking<'_> {
    /// Some models stream, but not when there are tools; and a model that cannot stream at all says so in the catalog.
    fn can_stream(&self, form: Option<Form>) -> bool {
        let Some(model) = self.candidate.model else {
            return true;
        };
        let tools =
            self.turn.request.conversation.facts("").tools || form == Some(Form::ForcedTool);
        model.capabilities.streaming != Some(false)
            && !(tools && model.capabilities.streaming_tools == Some(false))
    }

    /// How long a sign of life is waited for while others follow: longer where a model thinks before its first word, or where
    /// Bedrock compiles a schema first, which takes up to minutes.
    fn sign_of_life(&self, form: Option<Form>) -> Duration {
        let thinks = self
            .candidate
            .model
            .is_some_and(shared::catalog::Model::may_think);
        if form == Some(Form::OutputConfig) || (thinks && self.turn.time_left() > SIGN_OF_LIFE) {
            self.turn.time_left().mul_f64(0.75).min(3 * SIGN_OF_LIFE)
        } else {
            self.turn.time_left().div_f64(2.0).min(SIGN_OF_LIFE)
        }
    }

    /// The last candidate has all the time, and the SDK's own second attempt; the others leave time for those that follow.
    fn limits(&self, share: Duration) -> Limits {
        let time_left = self.turn.time_left();
        match self.is_last {
            true => Limits {
                time: time_left,
                attempts: 2,
            },
            false => Limits {
                time: share.min(time_left),
                attempts: 1,
            },
        }
    }

    async fn tell_routing(&self, attempts: &[Attempt]) {
        // Not json!, which would take money through a float.
        #[derive(Serialize)]
        struct Chosen<'a> {
            id: &'a str,
            routing: Routing<'a>,
        }
        if !self.turn.sink.is_first_time() {
            return;
        }
        let routing = Routing::by(self.turn.decision, self.candidate, attempts, None);
        self.turn
            .sink
            .tell(
                "routing",
                &Chosen {
                    id: &self.turn.call.request_id,
                    routing,
                },
            )
            .await;
    }
}

/// Tokens as we reckon them where Bedrock tells none.
fn estimate(turn: &Turn<'_>, partial: &Partial) -> Usage {
    let output = partial
        .written()
        .map(estimate_tokens)
        .fold(0, u32::saturating_add);
    Usage::of(
        turn.request.conversation.facts("").input_tokens.into(),
        output.into(),
    )
}

/// An answer while it comes.
#[derive(Default)]
struct Listening {
    partial: Partial,
    form: Option<Form>,
    /// A sign of life has come.
    alive: bool,
    first_piece: Option<Duration>,
}

/// What comes next.
enum Next {
    Event(StreamEvent),
    Whole,
    Deadline,
    Fault(Fault),
}

impl Listening {
    fn end_of(
        &self,
        event: Result<Option<Result<StreamEvent, Fault>>, tokio::time::error::Elapsed>,
    ) -> Next {
        match event {
            Err(_) if self.partial.is_whole() => Next::Whole,
            Err(_) => Next::Deadline,
            Ok(Some(Ok(event))) => Next::Event(event),
            Ok(Some(Err(_)) | None) if self.partial.is_whole() => Next::Whole,
            Ok(Some(Err(fault))) => Next::Fault(fault),
            Ok(None) => Next::Fault(Fault::new(
                Outcome::Failed,
                "the stream ended before the answer did",
            )),
        }
    }

    async fn add(&mut self, event: StreamEvent, asking: &Asking<'_>, attempts: &[Attempt]) {
        self.alive = true;
        let piece = if let StreamEvent::Delta(delta) = &event {
            piece(
                &delta.delta,
                delta.content_block_index,
                &self.partial,
                self.form,
            )
        } else {
            None
        };
        self.partial.add(event);
        let Some(piece) = piece else { return };
        self.first_piece
            .get_or_insert_with(|| asking.turn.call.started.elapsed());
        if asking.turn.sink.is_open() {
            asking.tell_routing(attempts).await;
            asking.turn.sink.tell("delta", &piece).await;
        }
    }

    fn whole(self) -> Heard {
        let unknown = self.partial.unknown;
        let reply = self.partial.into_reply("end_turn", Usage::default());
        Heard::Reply {
            reply,
            estimated: false,
            unknown,
            first_piece: self.first_piece,
        }
    }

    fn at_the_deadline(self, asking: &Asking<'_>) -> Heard {
        let estimated = !self.partial.is_whole();
        let usage = estimate(&asking.turn, &self.partial);
        Heard::Reply {
            unknown: self.partial.unknown,
            reply: self.partial.into_reply("deadline", usage),
            estimated,
            first_piece: self.first_piece,
        }
    }
}

/// A piece as it is told: text, a part of a tool's input, or of what the model thinks; nothing where it says nothing.
fn piece(
    delta: &Delta,
    index: usize,
    partial: &Partial,
    form: Option<Form>,
) -> Option<serde_json::Value> {
    let is_formed = form == Some(Form::ForcedTool);
    let piece = match delta {
        Delta::Text(text) if text.is_empty() || is_formed => return None,
        Delta::Text(text) => json!({ "text": text }),
        // The tool is ours: what it is called with is the answer.
        Delta::ToolUse(call) if is_formed => json!({ "text": call.input }),
        Delta::ToolUse(call) => {
            let (id, name) = partial.call(index).unwrap_or_default();
            json!({ "toolUse": { "index": index, "id": id, "name": name, "input": call.input } })
        }
        Delta::ReasoningContent(reasoning) => json!({ "reasoning": reasoning }),
        Delta::Citation(citation) => json!({ "citation": citation }),
        Delta::ToolResult(results) => json!({ "toolResult": results }),
        Delta::Image(image) => json!({ "image": image }),
    };
    Some(piece)
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
