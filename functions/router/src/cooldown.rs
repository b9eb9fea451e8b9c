//! Ids that are left alone for a while, because asking them again at once would only make it worse.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use shared::bedrock::{Fault, Outcome};

/// After a throttle without a `Retry-After`; doubled by each that follows, up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

/// After a refusal that only an operator can mend: no access, no such model for this account.
const CLOSED: Duration = Duration::from_secs(600);

/// What this instance of the function has seen of each id.
#[derive(Debug, Default)]
pub struct Cooldowns(Mutex<HashMap<String, Rest>>);

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    strikes: u32,
    /// How the last call ended.
    outcome: Outcome,
}

impl Cooldowns {
    /// How long an id is still left alone.
    pub(crate) fn left(&self, id: &str, now: Instant) -> Option<Duration> {
        let rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = rests.get(id)?.until.saturating_duration_since(now);
        Some(left).filter(|left| !left.is_zero())
    }

    /// Why an id is left alone now, as the fault that a call would be answered with.
    pub(crate) fn rest(&self, id: &str, now: Instant) -> Option<Fault> {
        let left = self.left(id, now)?;
        let rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = Fault::new(
            rests.get(id)?.outcome,
            format!("{id} failed so a moment ago, and is left alone for now"),
        );
        Some(Fault {
            retry_after_seconds: Some(left.as_secs() + 1),
            ..fault
        })
    }

    /// Notes how a call ended that brought no answer.
    pub(crate) fn note(&self, id: &str, fault: &Fault, now: Instant) {
        let mut rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let strikes = rests.get(id).map_or(0, |rest| rest.strikes);
        let wished = fault.retry_after_seconds.map(Duration::from_secs);
        let length = match fault.outcome {
            Outcome::Throttled | Outcome::NotReady | Outcome::Unavailable => wished
                .unwrap_or_else(|| FIRST.saturating_mul(1 << strikes.min(4)))
                .min(LONGEST),
            Outcome::Denied | Outcome::NotFound => CLOSED,
            Outcome::ModelError
            | Outcome::TimedOut
            | Outcome::Invalid
            | Outcome::Unsupported
            | Outcome::Unreadable
            | Outcome::Filtered
            | Outcome::Failed => return,
        };
        rests.insert(
            id.to_owned(),
            Rest {
                until: now + length,
                strikes: strikes + 1,
                outcome: fault.outcome,
            },
        );
    }

    /// Notes that an id has answered.
    pub(crate) fn clear(&self, id: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttles_rest_longer_each_time_until_an_answer() {
        let (cooldowns, now) = (Cooldowns::default(), Instant::now());
        let seconds = |outcome, wish| {
            let fault = Fault {
                retry_after_seconds: wish,
                ..Fault::new(outcome, "x")
            };
            cooldowns.note("a", &fault, now);
            cooldowns.left("a", now).map(|left| left.as_secs())
        };
        let rests: Vec<_> = (0..6)
            .filter_map(|_| seconds(Outcome::Throttled, None))
            .collect();
        assert_eq!(rests, [5, 10, 20, 40, 60, 60]);
        assert_eq!(seconds(Outcome::Unavailable, Some(7)), Some(7));
        assert_eq!(cooldowns.left("a", now + Duration::from_secs(8)), None);
        cooldowns.clear("a");
        assert_eq!(cooldowns.left("a", now), None);
        assert_eq!(seconds(Outcome::Failed, None), None);
        assert_eq!(seconds(Outcome::Denied, None), Some(600));
    }
}
