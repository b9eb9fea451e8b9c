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
/// The first wait after a fault; doubled by each that follows.
const WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// After so long without a single vector, throttles are not going to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// So often a batch is tried when it fails otherwise than by a throttle, and so often a text is cut.
const FAILURES: u32 = 3;
/// After so many inputs that were refused in the same words, and none that was not, the others are tried from the end.
const DOUBT: usize = 8;
/// After so many, none is tried any more.
const REFUSALS: usize = 32;

/// How a provider is asked.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) client: Client,
    pub(crate) id: String,
    pub(crate) dialect: Dialect,
    pub(crate) shape: Shape,
    /// Inputs per call.
    pub(crate) batch: usize,
    /// Tokens of an input.
    pub(crate) most_tokens: Option<u32>,
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
    throttles: u32,
    failures: u32,
    cuts: u32,
    /// When it may start; once it has, when it did.
    ready: Instant,
}

impl Batch {
    fn of(at: Vec<usize>, ready: Instant) -> Self {
        Self {
            at,
            throttles: 0,
            failures: 0,
            cuts: 0,
            ready,
        }
    }
}

/// How a call ended, with the tokens that Bedrock told beside the body.
struct Ended {
    batch: Batch,
    read: Result<Read, Fault>,
    input_tokens: Option<u64>,
}

struct Run {
    way: Way,
    inputs: Vec<Input>,
    until: Instant,
    ready: VecDeque<Batch>,
    waiting: Vec<Batch>,
    running: JoinSet<Ended>,
    pace: Pace,
    /// Inputs that were refused alone while none was not, and the words.
    refused: (usize, String),
    last_vector: Instant,
    done: Batched,
}

/// Embeds all inputs, until a point in time.
pub(crate) async fn embed(way: Way, inputs: Vec<Input>, until: Instant) -> Batched {
    let now = Instant::now();
    let all: Vec<usize> = (0..inputs.len()).collect();
    let batch = |at: &[usize]| Batch::of(at.to_vec(), now);
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
        pace: Pace::new(now),
        refused: (0, String::new()),
        last_vector: now,
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
            let wake = self.wake();
            tokio::select! {
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => {
                    // A call that panicked has told so in the log; its inputs stay empty.
                    if let Ok(ended) = ended {
                        self.take(ended);
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            if Instant::now() >= self.until {
                let late = Fault::new(Outcome::TimedOut, "time ran out before it was its turn");
                return self.give_up(&late, &[]);
            }
        }
    }

    /// When something may start that may not now.
    fn wake(&self) -> Instant {
        if self.running.len() >= self.pace.window() {
            return self.until;
        }
        let waiting = self.waiting.iter().map(|batch| batch.ready).min();
        let ready = (!self.ready.is_empty()).then(|| self.pace.next());
        let next = waiting.into_iter().chain(ready).min();
        next.unwrap_or(self.until).min(self.until)
    }

    /// Starts what may run now.
    fn start(&mut self) {
        let now = Instant::now();
        let (due, waiting) = self.waiting.drain(..).partition(|batch| batch.ready <= now);
        self.waiting = waiting;
        self.ready.extend::<Vec<_>>(due);
        while self.running.len() < self.pace.window()
            && self.pace.next() <= now
            && let Some(mut batch) = self.ready.pop_front()
        {
            batch.ready = now;
            let inputs = batch.at.iter().filter_map(|at| self.inputs.get(*at));
            let inputs: Vec<&Input> = inputs.collect();
            match self.way.dialect.body(&inputs, &self.way.shape) {
                Ok(body) => {
                    self.done.calls += 1;
                    self.pace.started(now);
                    let time = self.until.saturating_duration_since(now).min(CALL);
                    self.running
                        .spawn(call(self.way.clone(), batch, body, time));
                }
                Err(fault) => self.fail(&batch.at, &fault),
            }
        }
    }

    fn take(&mut self, ended: Ended) {
        let Ended {
            mut batch,
            read,
            input_tokens,
        } = ended;
        let throttled = matches!(&read, Err(fault) if is_throttle(fault));
        let now = Instant::now();
        self.pace.ended(throttled, batch.ready, now);
        let fault = match read {
            Ok(read) => return self.keep(&batch.at, read, input_tokens),
            Err(fault) => fault,
        };
        // What cannot be read is billed all the same.
        self.done.input_tokens += input_tokens.unwrap_or(0);
        if throttled {
            self.done.throttled += 1;
            if let Some(seconds) = fault.retry_after_seconds {
                self.pace
                    .rest(now + Duration::from_secs(seconds).min(LONGEST_WAIT));
            }
            if now.duration_since(self.last_vector) > PATIENCE {
                return self.give_up(&fault, &batch.at);
            }
            batch.throttles += 1;
            self.again(batch, now);
        } else if matches!(fault.outcome, Outcome::Denied | Outcome::NotFound) {
            self.give_up(&fault, &batch.at);
        } else if fault.outcome.passes() && batch.failures + 1 < FAILURES {
            batch.failures += 1;
            self.again(batch, now);
        } else if fault.outcome.is_a_refusal() {
            self.refused(batch, &fault);
        } else {
            self.fail(&batch.at, &fault);
        }
    }

    fn again(&mut self, mut batch: Batch, now: Instant) {
        batch.ready = now + wait(&batch);
        self.waiting.push(batch);
    }

    /// Keeps the vectors of a reply, once each is checked.
    fn keep(&mut self, at: &[usize], read: Read, beside: Option<u64>) {
        self.last_vector = Instant::now();
        let Shape {
            dimensions,
            normalize,
            encoding,
            ..
        } = self.way.shape;
        let unit = normalize.unwrap_or(self.way.dialect.is_unit());
        let texts = at
            .iter()
            .filter_map(|at| Some((*at, self.inputs.get(*at)?.text.as_deref()?)));
        let tokens: Vec<_> = texts
            .map(|(at, text)| (at, estimate_tokens(text)))
            .collect();
        let told = read.input_tokens.or(beside);
        let estimate = || tokens.iter().map(|(_, tokens)| u64::from(*tokens)).sum();
        self.done.estimated |= told.is_none();
        self.done.input_tokens += told.unwrap_or_else(estimate);
        // Cohere cuts without a word.
        let most = self
            .way
            .most_tokens
            .filter(|_| self.way.shape.truncate != Truncate::None);
        let long = tokens
            .iter()
            .filter(|(_, tokens)| read.cut || most.is_some_and(|most| *tokens > most));
        self.done.cut.extend(long.map(|(at, _)| at));
        for (at, mut vector) in at.iter().zip(read.vectors) {
            match vector.check(dimensions, encoding, unit) {
                Ok(scaled) => {
                    self.done.scaled += usize::from(scaled);
                    set(&mut self.done.vectors, *at, vector);
                    // It is not needed any more, and there may be thousands.
                    if let Some(input) = self.inputs.get_mut(*at) {
                        *input = Input::default();
                    }
                }
                Err(error) => self.fail(&[*at], &Fault::unreadable(error)),
            }
        }
    }

    /// What is refused in company is tried in halves, at once, so that the one to blame is soon found; a single text that is too
    /// long is cut, if it may be.
    fn refused(&mut self, mut batch: Batch, fault: &Fault) {
        if batch.at.len() > 1 {
            let now = Instant::now();
            let rest = batch.at.split_off(batch.at.len() / 2);
            self.ready.push_front(Batch::of(rest, now));
            return self.ready.push_front(Batch::of(batch.at, now));
        }
        let share = excess(&fault.message);
        if let (Some(at), Some(share)) = (batch.at.first().copied(), share)
            && batch.cuts < FAILURES
            && self.shorten(at, share)
        {
            self.done.cut.push(at);
            batch.cuts += 1;
            return self.ready.push_front(batch);
        }
        self.fail(&batch.at, fault);
        // A text that is too long says nothing of the others.
        let says_nothing = share.is_some() || self.done.vectors.iter().any(Option::is_some);
        if says_nothing {
            return;
        }
        let (count, words) = &mut self.refused;
        *count = if *words == fault.message {
            *count + 1
        } else {
            1
        };
        words.clone_from(&fault.message);
        match *count {
            DOUBT => self.ready.make_contiguous().reverse(),
            REFUSALS.. => self.give_up(fault, &[]),
            _ => {}
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
    fn give_up(&mut self, fault: &Fault, at: &[usize]) {
        self.fail(at, fault);
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
    let (read, input_tokens) = match answer {
        Ok(Invoked { body, input_tokens }) => (
            way.dialect.read(&body, batch.at.len(), &way.shape),
            input_tokens,
        ),
        Err(fault) => (Err(fault), None),
    };
    Ended {
        batch,
        read,
        input_tokens,
    }
}

fn is_throttle(fault: &Fault) -> bool {
    matches!(
        fault.outcome,
        Outcome::Throttled | Outcome::NotReady | Outcome::Unavailable
    )
}

/// How long a batch waits before it is tried again: longer each time, and each batch a little differently, so that those which
/// failed together do not come back together.
fn wait(batch: &Batch) -> Duration {
    let tries = (batch.throttles + batch.failures).saturating_sub(1).min(10);
    let doubled = WAIT.saturating_mul(1 << tries).min(LONGEST_WAIT);
    let first = batch.at.first().copied().unwrap_or(0);
    let spread = u32::try_from(first % 16).unwrap_or(0);
    doubled * (16 + spread) / 32
}

/// What share of a text may stay when Bedrock counts its tokens and finds too many, a little less than would just do.
fn excess(message: &str) -> Option<f64> {
    let after = |words: &str| -> Option<f64> {
        let rest = message.split_once(words)?.1.trim_start();
        let end = rest
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(rest.len());
        rest.get(..end)?.parse().ok()
    };
    let most = after("Max input tokens:")?;
    let had = after("token count:")?;
    (had > most).then(|| most / had * 0.97)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bedrock_says_how_much_too_long_a_text_is() {
        let said = "400 Bad Request: Too many input tokens. Max input tokens: 8192, request input token count: 11531 ";
        let share = excess(said).unwrap();
        assert!((0.68..0.70).contains(&share), "{share}");
        let even = excess("Max input tokens: 256, request input token count: 400");
        assert!(even.is_some_and(|share| share > 0.6), "{even:?}");
        assert_eq!(excess("Too many input tokens."), None);
        assert_eq!(excess("The text field is blank, 8192 11531"), None);
    }

    #[test]
    fn waiting_grows_and_differs() {
        let batch = |throttles, first| Batch {
            throttles,
            ..Batch::of(vec![first], Instant::now())
        };
        assert!(wait(&batch(1, 0)) < wait(&batch(1, 7)));
        assert!(wait(&batch(1, 7)) <= WAIT);
        assert!(wait(&batch(9, 0)) > wait(&batch(1, 0)));
        assert!(wait(&batch(30, 15)) <= LONGEST_WAIT);
    }
}
