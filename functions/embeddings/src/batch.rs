//! The inputs of a job, in batches that the provider takes, as many at once as it bears.
//!
//! What is throttled or fails for the moment is tried again, later each time. A batch that is refused is halved until the refused
//! input stands alone. What fails for good leaves its place empty and says why.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use aws_sdk_bedrockruntime::Client;
use shared::bedrock::{self, Fault, Invoked, Limits, Outcome};
use shared::routing::estimate_tokens;
use tokio::task::JoinSet;

use crate::dialect::{Dialect, Read, Shape, Truncate};
use crate::input::{Input, shorten};
use crate::pace::Pace;
use crate::vectors::Vector;

/// The longest that one call may take: vectors come in well under a second.
const CALL: Duration = Duration::from_secs(30);
/// The first wait after a throttle; doubled by each that follows.
const WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// So often a batch is tried when it is throttled, and when it fails otherwise.
const THROTTLES: u32 = 12;
const FAILURES: u32 = 3;
/// So many inputs are refused in a row before the rest is not asked any more.
const REFUSALS: usize = 8;

/// How a provider is asked.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) client: Client,
    pub(crate) id: String,
    pub(crate) dialect: Dialect,
    pub(crate) shape: Shape,
    /// Inputs per call.
    pub(crate) batch: usize,
}

/// What has become of the inputs.
#[derive(Debug, Default)]
pub(crate) struct Batched {
    /// By input: its vector, if it has one.
    pub(crate) vectors: Vec<Option<Vector>>,
    /// By input: why it has none.
    pub(crate) faults: Vec<Option<Fault>>,
    /// Inputs that were cut, by us or by the model.
    pub(crate) cut: Vec<usize>,
    /// Vectors that had not the length that they should have.
    pub(crate) scaled: usize,
    pub(crate) input_tokens: u64,
    /// Some of the tokens are our estimate.
    pub(crate) estimated: bool,
    /// Calls to Bedrock, and those of them that were throttled.
    pub(crate) calls: u32,
    pub(crate) throttled: u32,
}

/// Inputs that go out in one call.
#[derive(Debug)]
struct Batch {
    at: Vec<usize>,
    tries: u32,
    ready: Instant,
}

type Ended = (Batch, Result<(Read, Option<u64>), Fault>);

struct Run {
    way: Way,
    inputs: Vec<Input>,
    until: Instant,
    ready: VecDeque<Batch>,
    waiting: Vec<Batch>,
    running: JoinSet<Ended>,
    pace: Pace,
    refusals: usize,
    done: Batched,
}

/// Embeds all inputs, until a point in time.
pub(crate) async fn embed(way: Way, inputs: Vec<Input>, until: Instant) -> Batched {
    let now = Instant::now();
    let all: Vec<usize> = (0..inputs.len()).collect();
    let batch = |at: &[usize]| Batch {
        at: at.to_vec(),
        tries: 0,
        ready: now,
    };
    let mut run = Run {
        ready: all.chunks(way.batch.max(1)).map(batch).collect(),
        done: Batched {
            vectors: vec![None; inputs.len()],
            faults: vec![None; inputs.len()],
            ..Batched::default()
        },
        way,
        inputs,
        until,
        waiting: Vec::new(),
        running: JoinSet::new(),
        pace: Pace::default(),
        refusals: 0,
    };
    run.finish().await;
    run.done.cut.sort_unstable();
    run.done.cut.dedup();
    run.done
}

impl Run {
    async fn finish(&mut self) {
        loop {
            self.start();
            if self.running.is_empty() && self.waiting.is_empty() && self.ready.is_empty() {
                return;
            }
            let next = self.waiting.iter().map(|batch| batch.ready).min();
            let has_room = self.running.len() < self.pace.window();
            let wake = next
                .filter(|_| has_room)
                .unwrap_or(self.until)
                .min(self.until);
            tokio::select! {
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => {
                    // A call that panicked has told so in the log; its inputs stay empty.
                    if let Ok((batch, result)) = ended {
                        self.take(batch, result);
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            if Instant::now() >= self.until {
                return self.give_up(&Fault::new(
                    Outcome::TimedOut,
                    "time ran out before it was its turn",
                ));
            }
        }
    }

    /// Starts what may run now.
    fn start(&mut self) {
        let now = Instant::now();
        let (due, waiting) = self.waiting.drain(..).partition(|batch| batch.ready <= now);
        self.waiting = waiting;
        self.ready.extend::<Vec<_>>(due);
        while self.running.len() < self.pace.window()
            && let Some(batch) = self.ready.pop_front()
        {
            let inputs: Vec<&Input> = batch
                .at
                .iter()
                .filter_map(|at| self.inputs.get(*at))
                .collect();
            match self.way.dialect.body(&inputs, &self.way.shape) {
                Ok(body) => {
                    self.done.calls += 1;
                    let time = self.until.saturating_duration_since(now).min(CALL);
                    self.running
                        .spawn(call(self.way.clone(), batch, body, time));
                }
                Err(fault) => self.fail(&batch.at, &fault),
            }
        }
    }

    fn take(&mut self, mut batch: Batch, result: Result<(Read, Option<u64>), Fault>) {
        let throttled = matches!(&result, Err(fault) if is_throttle(fault));
        self.pace.ended(throttled);
        self.done.throttled += u32::from(throttled);
        let fault = match result {
            Ok((read, beside)) => return self.keep(&batch.at, read, beside),
            Err(fault) => fault,
        };
        batch.tries += 1;
        let tries = if throttled { THROTTLES } else { FAILURES };
        if matches!(fault.outcome, Outcome::Denied | Outcome::NotFound) {
            self.fail(&batch.at, &fault);
            self.give_up(&fault);
        } else if fault.outcome.passes() && batch.tries < tries {
            batch.ready = Instant::now() + wait(&batch, &fault);
            self.waiting.push(batch);
        } else if fault.outcome.is_a_refusal() {
            self.refused(batch, &fault);
        } else {
            self.fail(&batch.at, &fault);
        }
    }

    /// Keeps the vectors of a reply, once each is checked.
    fn keep(&mut self, at: &[usize], read: Read, beside: Option<u64>) {
        self.refusals = 0;
        let Shape {
            dimensions,
            normalize,
            ..
        } = self.way.shape;
        let unit = normalize.unwrap_or(self.way.dialect.is_unit());
        match read.input_tokens.or(beside) {
            Some(tokens) => self.done.input_tokens += tokens,
            None => {
                let texts = at
                    .iter()
                    .filter_map(|at| self.inputs.get(*at)?.text.as_deref());
                self.done.input_tokens += texts
                    .map(|text| u64::from(estimate_tokens(text)))
                    .sum::<u64>();
                self.done.estimated = true;
            }
        }
        if read.cut {
            self.done.cut.extend(at);
        }
        for (at, mut vector) in at.iter().zip(read.vectors) {
            match vector.check(dimensions, unit) {
                Ok(scaled) => {
                    self.done.scaled += usize::from(scaled);
                    set(&mut self.done.vectors, *at, vector);
                }
                Err(error) => self.fail(&[*at], &Fault::new(Outcome::Unreadable, error)),
            }
        }
    }

    /// What is refused in company is tried in halves; a single text that is too long is cut, if it may be.
    fn refused(&mut self, mut batch: Batch, fault: &Fault) {
        let now = Instant::now();
        if batch.at.len() > 1 {
            let rest = batch.at.split_off(batch.at.len() / 2);
            self.ready.extend([batch.at, rest].map(|at| Batch {
                at,
                tries: 0,
                ready: now,
            }));
            return;
        }
        if let (Some(at), Some(share)) = (batch.at.first().copied(), excess(&fault.message))
            && batch.tries < FAILURES
            && self.shorten(at, share)
        {
            self.done.cut.push(at);
            return self.ready.push_back(batch);
        }
        self.fail(&batch.at, fault);
        self.refusals += 1;
        let is_hopeless =
            self.refusals >= REFUSALS && self.done.vectors.iter().all(Option::is_none);
        if is_hopeless {
            self.give_up(fault);
        }
    }

    /// Cuts an input's text to a share of its length, if the caller allows it.
    fn shorten(&mut self, at: usize, share: f64) -> bool {
        let truncate = self.way.shape.truncate;
        let Some(input) = self.inputs.get_mut(at) else {
            return false;
        };
        let Some(text) = input.text.as_deref().filter(|_| truncate != Truncate::None) else {
            return false;
        };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a length, roughly"
        )]
        let most = (text.chars().count() as f64 * share) as usize;
        let short = shorten(text, most.max(1), truncate).map(Box::from);
        input.text = short.or(input.text.take());
        true
    }

    fn fail(&mut self, at: &[usize], fault: &Fault) {
        at.iter()
            .for_each(|at| set(&mut self.done.faults, *at, fault.clone()));
    }

    /// Asks for nothing more: what has no vector yet gets none.
    fn give_up(&mut self, fault: &Fault) {
        self.running = JoinSet::new();
        self.ready.clear();
        self.waiting.clear();
        let places = self.done.vectors.iter().zip(&mut self.done.faults);
        for (vector, place) in places {
            if vector.is_none() && place.is_none() {
                *place = Some(fault.clone());
            }
        }
    }
}

fn set<T>(places: &mut [Option<T>], at: usize, value: T) {
    if let Some(place) = places.get_mut(at) {
        *place = Some(value);
    }
}

async fn call(way: Way, batch: Batch, body: Vec<u8>, time: Duration) -> Ended {
    // What is to be tried again is decided here, and not by the SDK, which knows nothing of the other calls.
    let limits = Limits { time, attempts: 1 };
    let answer = bedrock::invoke(&way.client, &way.id, body, limits).await;
    let read = answer.and_then(|Invoked { body, input_tokens }| {
        Ok((
            way.dialect.read(&body, batch.at.len(), &way.shape)?,
            input_tokens,
        ))
    });
    (batch, read)
}

fn is_throttle(fault: &Fault) -> bool {
    matches!(
        fault.outcome,
        Outcome::Throttled | Outcome::NotReady | Outcome::Unavailable
    )
}

/// How long a batch waits before it is tried again: longer each time, and each batch a little differently, so that those which were
/// throttled together do not come back together.
fn wait(batch: &Batch, fault: &Fault) -> Duration {
    let wished = fault
        .retry_after_seconds
        .map_or(Duration::ZERO, Duration::from_secs)
        .min(LONGEST_WAIT);
    let doubled = WAIT
        .saturating_mul(1 << batch.tries.saturating_sub(1).min(10))
        .min(LONGEST_WAIT);
    let first = batch.at.first().copied().unwrap_or(0);
    let spread = u32::try_from(first % 16).unwrap_or(0);
    wished + doubled * (16 + spread) / 32
}

/// What share of a text may stay when Bedrock counts its tokens and finds too many, a little less than would just do.
fn excess(message: &str) -> Option<f64> {
    let words = message.contains("Too many input tokens");
    let mut numbers = message
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse::<f64>().ok())
        .filter(|number| *number > 99.0 && *number != 400.0);
    let (most, had) = (numbers.next()?, numbers.next()?);
    (words && had > most).then_some(most / had * 0.97)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bedrock_says_how_much_too_long_a_text_is() {
        let said = "400 Bad Request: Too many input tokens. Max input tokens: 8192, request input token count: 11531 ";
        let share = excess(said).unwrap();
        assert!((0.68..0.70).contains(&share), "{share}");
        assert_eq!(excess("Too many input tokens."), None);
        assert_eq!(excess("The text field is blank, 8192 11531"), None);
    }

    #[test]
    fn waiting_grows_and_differs() {
        let batch = |tries, first| Batch {
            at: vec![first],
            tries,
            ready: Instant::now(),
        };
        let throttled = Fault::new(Outcome::Throttled, "");
        assert!(wait(&batch(1, 0), &throttled) < wait(&batch(1, 7), &throttled));
        assert!(wait(&batch(1, 7), &throttled) <= WAIT);
        assert!(wait(&batch(9, 0), &throttled) <= LONGEST_WAIT);
        let asked = Fault {
            retry_after_seconds: Some(3),
            ..throttled
        };
        assert!(wait(&batch(1, 0), &asked) >= Duration::from_secs(3));
    }
}
