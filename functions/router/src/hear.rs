//! Hearing: one call to one candidate, and its answer as it comes, told to whoever listens.
//!
//! Answers come over ConverseStream, whoever listens, so that a deadline loses nothing; only what a model cannot stream comes
//! over Converse, in one piece.

use std::time::{Duration, Instant};

use bytes::Bytes;
use shared::bedrock::{self, Attempt, Fault, Limits, Outcome};
use shared::cost::Usage;
use shared::fit::Form;
use shared::routing::{Candidate, estimate_tokens};
use shared::telemetry::whole_ms;
use shared::wire::{Partial, Piece, Reply, StreamEvent};

use crate::App;
use crate::answer::Routing;
use crate::ask::Turn;
use crate::dialect::Begun;
use crate::structured::unwrap;

/// The longest wait for a sign of life, while there are other candidates.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// So long the end of a body is waited for once the answer is whole.
const GRACE: Duration = Duration::from_millis(50);

/// What became of one call.
pub(crate) enum Heard {
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
    /// One call, and its line in the attempts.
    pub(crate) async fn call(
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
        let mut reply = Reply::parse(&reply).map_err(Fault::unreadable)?;
        let first_piece = Some(asking.turn.call.started.elapsed());
        if asking.turn.sink.is_open() {
            asking.tell_routing(attempts).await;
            if let Some(form) = form {
                unwrap(&mut reply, form);
            }
            for piece in reply.pieces() {
                asking.turn.sink.tell(&piece).await;
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
}

/// One call.
pub(crate) struct Asking<'r> {
    pub(crate) turn: Turn<'r>,
    pub(crate) candidate: &'r Candidate<'r>,
    /// No other follows.
    pub(crate) is_last: bool,
}

impl Asking<'_> {
    /// Some models stream, but not when there are tools; and a model that cannot stream at all says so in the catalog.
    fn can_stream(&self, form: Option<Form>) -> bool {
        let Some(model) = self.candidate.model else {
            return true;
        };
        let tools = self.turn.request.conversation.uses_tools() || form == Some(Form::ForcedTool);
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
        if self.turn.sink.is_first_time() {
            let begun = Begun {
                id: &self.turn.call.request_id,
                routing: Routing::by(self.turn.decision, self.candidate, attempts, None),
            };
            self.turn.sink.begin(&begun).await;
        }
    }
}

/// Tokens as we reckon them where Bedrock tells none.
pub(crate) fn estimate(turn: &Turn<'_>, partial: &Partial) -> Usage {
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
        let piece = Piece::of(&event, &self.partial, self.form == Some(Form::ForcedTool));
        self.partial.add(event);
        let Some(piece) = piece else { return };
        self.first_piece
            .get_or_insert_with(|| asking.turn.call.started.elapsed());
        if asking.turn.sink.is_open() {
            asking.tell_routing(attempts).await;
            asking.turn.sink.tell(&piece).await;
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
