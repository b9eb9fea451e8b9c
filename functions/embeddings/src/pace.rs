//! How many calls to Bedrock run at once, and how close together they start: more while all goes well, fewer when it throttles.
//!
//! Additive increase, multiplicative decrease, in the form that data centres use (DCTCP, RFC 8257): the window shrinks by half
//! the share of calls that were throttled, not by half at every single one. A quota that throttles one call in twenty at random
//! then costs a little speed, while one that throttles all of them halves the window at every turn. A quota by rate is below even
//! one call at a time, because a throttle comes back at once: then the calls start apart, twice as far at each turn that most of
//! them were throttled, and a little nearer at each that they were not.

use std::time::{Duration, Instant};

/// The first window.
const FIRST: f64 = 16.0;
/// The widest: beyond it, connections and memory cost more than they bring.
const WIDEST: f64 = 64.0;
/// What a round without a throttle adds.
const STEP: f64 = 4.0;
/// The first gap between two starts, in seconds, and the longest.
const GAP: f64 = 0.05;
const LONGEST_GAP: f64 = 2.0;

/// The window of one request's calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    window: f64,
    /// Seconds between two starts.
    gap: f64,
    /// Nothing starts before.
    next: Instant,
    /// When the gap last grew: what started before says nothing of it.
    grown: Instant,
    ended: u32,
    throttled: u32,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            window: FIRST,
            gap: 0.0,
            next: now,
            grown: now,
            ended: 0,
            throttled: 0,
        }
    }

    /// How many calls may run at once now.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 1 and 64"
    )]
    pub(crate) fn window(&self) -> usize {
        self.window as usize
    }

    /// The time before which nothing starts.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Notes that a call starts.
    pub(crate) fn started(&mut self, now: Instant) {
        self.next = self.next.max(now + Duration::from_secs_f64(self.gap));
    }

    /// Notes Bedrock's wish to be left alone for a while.
    pub(crate) fn rest(&mut self, until: Instant) {
        self.next = self.next.max(until);
    }

    /// Notes that a call has ended. A round is as many calls as the window is wide, or one, where calls start apart.
    pub(crate) fn ended(&mut self, throttled: bool, started: Instant, now: Instant) {
        if started < self.grown {
            return;
        }
        self.ended += 1;
        self.throttled += u32::from(throttled);
        let round = if self.gap > 0.0 {
            1.0
        } else {
            self.window.floor()
        };
        if f64::from(self.ended) < round {
            return;
        }
        let share = f64::from(self.throttled) / f64::from(self.ended);
        let window = self.window * (1.0 - share / 2.0) + STEP * (1.0 - share);
        self.window = window.clamp(1.0, WIDEST);
        self.gap = match share {
            most if most > 0.5 => {
                self.grown = now;
                (self.gap * 2.0).clamp(GAP, LONGEST_GAP)
            }
            _ if self.gap < GAP / 2.0 => 0.0,
            _ => self.gap * 0.8,
        };
        if self.gap > 0.0 {
            self.window = self.window.min(STEP);
        }
        (self.ended, self.throttled) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(calls: u32, throttled: impl Fn(u32) -> bool) -> usize {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for call in 0..calls {
            pace.ended(throttled(call), now, now);
        }
        pace.window()
    }

    #[test]
    fn the_window_follows_the_share_of_throttles() {
        assert_eq!(after(1000, |_| false), 64);
        assert_eq!(after(1000, |_| true), 1);
        let now_and_then = after(1000, |call| call % 20 == 7);
        assert!(now_and_then > 40, "{now_and_then}");
        let often = after(1000, |call| call % 2 == 0);
        assert!((4..16).contains(&often), "{often}");
    }

    #[test]
    fn a_quota_by_rate_is_found() {
        // Ten calls a second, by a clock of our own: what the bucket lacks is throttled at once.
        let start = Instant::now();
        let (mut now, mut pace) = (start, Pace::new(start));
        let (mut bucket, mut good, mut calls) = (10.0_f64, 0, 0);
        while good < 1000 {
            let at = pace.next().max(now + Duration::from_millis(5));
            bucket = (bucket + (at - now).as_secs_f64() * 10.0).min(10.0);
            now = at;
            pace.started(now);
            calls += 1;
            let throttled = bucket < 1.0;
            if !throttled {
                (bucket, good) = (bucket - 1.0, good + 1);
            }
            pace.ended(throttled, now, now);
        }
        let seconds = (now - start).as_secs_f64();
        assert!(
            seconds < 150.0 && calls < 2500,
            "{seconds} s, {calls} calls"
        );
    }

    #[test]
    fn it_recovers() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        (0..200).for_each(|_| pace.ended(true, now, now));
        assert_eq!(pace.window(), 1);
        (0..400).for_each(|_| pace.ended(false, now, now));
        assert!(pace.window() > 24, "{}", pace.window());
    }
}
