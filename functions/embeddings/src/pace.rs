//! How many calls to Bedrock run at once: more while all goes well, fewer when it throttles.
//!
//! Additive increase, multiplicative decrease, in the form that data centres use (DCTCP, RFC 8257): the window shrinks by half
//! the share of calls that were throttled, not by half at every single one. A quota that throttles one call in twenty at random
//! then costs a little speed, while one that throttles all of them halves the window at every turn.

/// The first window.
const FIRST: f64 = 16.0;
/// The widest: beyond it, connections and memory cost more than they bring.
const WIDEST: f64 = 64.0;
/// What a round without a throttle adds.
const STEP: f64 = 4.0;

/// The window of one request's calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    window: f64,
    ended: u32,
    throttled: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            window: FIRST,
            ended: 0,
            throttled: 0,
        }
    }
}

impl Pace {
    /// How many calls may run at once now.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 1 and 64"
    )]
    pub(crate) fn window(&self) -> usize {
        self.window as usize
    }

    /// Notes that a call has ended. A round is as many calls as the window is wide.
    pub(crate) fn ended(&mut self, throttled: bool) {
        self.ended += 1;
        self.throttled += u32::from(throttled);
        if f64::from(self.ended) >= self.window.floor() {
            let share = f64::from(self.throttled) / f64::from(self.ended);
            let window = self.window * (1.0 - share / 2.0) + STEP * (1.0 - share);
            *self = Self {
                window: window.clamp(1.0, WIDEST),
                ended: 0,
                throttled: 0,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(calls: u32, throttled: impl Fn(u32) -> bool) -> usize {
        let mut pace = Pace::default();
        for call in 0..calls {
            pace.ended(throttled(call));
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
    fn it_recovers() {
        let mut pace = Pace::default();
        (0..200).for_each(|_| pace.ended(true));
        assert_eq!(pace.window(), 1);
        (0..200).for_each(|_| pace.ended(false));
        assert!(pace.window() > 24, "{}", pace.window());
    }
}
