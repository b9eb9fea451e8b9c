//! Which hours a report is about: from the event that asks for it, in UTC, aligned to what CloudWatch keeps.
//!
//! No clock is read where the event says when it was made: the same event asks for the same report, however often it is delivered.

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Span, Timestamp, ToSpan, Unit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// CloudWatch keeps hourly figures for so long, and five-minute ones.
const HOURLY_DAYS: i64 = 455;
const FIVE_MINUTES_DAYS: i64 = 63;
/// A window ends so long before its report is made: metrics arrive late.
const LATE: i64 = 3600;
/// The longest window, in hours.
const LONGEST_HOURS: i64 = 31 * 24;

/// The hours of a report: from `start`, which is in it, to `end`, which is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// What was asked for: `day`, `week`, `month`, or a duration.
    pub name: String,
    /// The first moment.
    pub start: Timestamp,
    /// The first moment that is not in it.
    pub end: Timestamp,
    /// When the report was asked for.
    pub made: Timestamp,
    /// Seconds of one figure.
    #[serde(rename = "periodSeconds")]
    pub period: i32,
}

/// What an event says: by hand, by EventBridge Scheduler with an input of its own or without, or by a rule.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    window: Option<String>,
    end: Option<Timestamp>,
    /// When a schedule was due; Scheduler's `<aws.scheduler.scheduled-time>`.
    scheduled: Option<Timestamp>,
    /// When EventBridge made the event.
    time: Option<Timestamp>,
    /// An object in a rule's event, and a text that holds one in Scheduler's.
    detail: Option<Value>,
}

impl Window {
    /// The window that an event asks for. `now` counts only where the event does not say when it was made.
    ///
    /// # Errors
    /// What is wrong with it, and what was wanted.
    pub fn of(event: &Value, now: Timestamp) -> Result<Self, String> {
        let asked = Asked::of(event)?;
        let made = asked.scheduled.or(asked.time).unwrap_or(now);
        let settled = made - LATE.seconds();
        if let Some(end) = asked.end.filter(|end| *end > made) {
            return Err(format!("end {end} lies in the future"));
        }
        let name = asked.window.unwrap_or_else(|| "day".into());
        let last = asked.end.unwrap_or(settled);
        let (start, end) = match name.as_str() {
            "day" => back(midnight(last), 1.day())?,
            "week" => back(midnight(last), 7.days())?,
            "month" => back(first_of_month(last)?, 1.month())?,
            hours => {
                let hours = whole_hours(hours)?;
                let end = Timestamp::from_second(last.as_second().div_euclid(3600) * 3600);
                let end = end.map_err(|error| error.to_string())?;
                (end - (hours * 3600).seconds(), end)
            }
        };
        let window = Self {
            period: period(start, end, made),
            name,
            start,
            end,
            made,
        };
        let oldest = made - (HOURLY_DAYS * 86_400).seconds();
        if window.start < oldest {
            return Err(format!(
                "{} lies before {oldest}, and CloudWatch keeps figures for {HOURLY_DAYS} days only",
                window.start
            ));
        }
        Ok(window)
    }

    /// The window before this one: as long, or the month before.
    ///
    /// # Errors
    /// Beyond the calendar.
    pub fn previous(&self) -> Result<Self, String> {
        let (start, end) = match self.name.as_str() {
            "month" => back(self.start, 1.month())?,
            _ => (
                self.start - (self.end.as_second() - self.start.as_second()).seconds(),
                self.start,
            ),
        };
        Ok(Self {
            start,
            end,
            ..self.clone()
        })
    }

    /// A name that is the same for the same window.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}_{}", self.start, self.end).replace(':', "")
    }
}

impl Asked {
    fn of(event: &Value) -> Result<Self, String> {
        let read = |value: &Value| {
            serde_json::from_value::<Self>(value.clone())
                .map_err(|error| format!("the event cannot be read: {error}"))
        };
        let outer = if event.is_null() {
            Self::default()
        } else {
            read(event)?
        };
        let inner = match &outer.detail {
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
            Some(detail) => detail.clone(),
            None => Value::Null,
        };
        let inner = if inner.is_object() {
            read(&inner)?
        } else {
            Self::default()
        };
        // EventBridge's samples are of 1970; no report is.
        let time = outer.time.filter(|time| time.as_second() > 0);
        Ok(Self {
            window: outer.window.or(inner.window),
            end: outer.end.or(inner.end),
            scheduled: outer.scheduled.or(inner.scheduled),
            time,
            detail: None,
        })
    }
}

fn day(time: Timestamp) -> Date {
    Offset::UTC.to_datetime(time).date()
}

fn at(date: Date) -> Result<Timestamp, String> {
    let start = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0));
    start.map_err(|error| error.to_string())
}

fn midnight(time: Timestamp) -> Timestamp {
    at(day(time)).unwrap_or(time)
}

fn first_of_month(time: Timestamp) -> Result<Timestamp, String> {
    at(day(time).first_of_month())
}

fn back(end: Timestamp, by: Span) -> Result<(Timestamp, Timestamp), String> {
    let start = day(end)
        .checked_sub(by)
        .map_err(|error| error.to_string())?;
    Ok((at(start)?, end))
}

/// The hours of an ISO 8601 duration.
fn whole_hours(text: &str) -> Result<i64, String> {
    let wrong = || {
        format!(
            "window {text:?} is not day, week, month, or a duration of whole hours such as PT6H, up to 31 days"
        )
    };
    let span: Span = text.parse().map_err(|_| wrong())?;
    let days = (Unit::Day, jiff::SpanRelativeTo::days_are_24_hours());
    let seconds = span.total((Unit::Second, days.1)).map_err(|_| wrong())?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole seconds of a month at most"
    )]
    let seconds = seconds as i64;
    let hours = seconds / 3600;
    let is_whole = seconds % 3600 == 0 && (1..=LONGEST_HOURS).contains(&hours);
    is_whole.then_some(hours).ok_or_else(wrong)
}

/// Hourly figures; of a few hours those of five minutes, while CloudWatch has them.
fn period(start: Timestamp, end: Timestamp, made: Timestamp) -> i32 {
    let hours = (end.as_second() - start.as_second()) / 3600;
    // The window before it is asked for in the same way.
    let oldest = 2 * start.as_second() - end.as_second();
    let has_fine = made.as_second() - oldest < FIVE_MINUTES_DAYS * 86_400;
    if hours <= 6 && has_fine { 300 } else { 3600 }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-11-24T12:34:56Z";

    fn window(event: &Value) -> Result<(String, String, i32), String> {
        let window = Window::of(event, NOW.parse().unwrap())?;
        Ok((
            window.start.to_string(),
            window.end.to_string(),
            window.period,
        ))
    }

    #[test]
    #[allow(clippy::too_many_lines, reason = "a table")]
    fn every_event_asks_for_a_window() {
        let scheduler = json!({
            "version": "0", "detail-type": "Scheduled Event", "source": "aws.scheduler", "time": "2026-11-22T00:05:00Z",
            "region": "us-east-1", "resources": [], "detail": "{}"
        });
        for (event, start, end, period) in [
            (
                json!(null),
                "2026-11-23T00:00:00Z",
                "2026-11-24T00:00:00Z",
                3600,
            ),
            (
                json!({}),
                "2026-11-23T00:00:00Z",
                "2026-11-24T00:00:00Z",
                3600,
            ),
            // Five past midnight is too early for the day that has just ended.
            (
                json!({ "window": "day", "scheduled": "2026-11-22T00:05:00Z" }),
                "2026-11-20T00:00:00Z",
                "2026-11-21T00:00:00Z",
                3600,
            ),
            (
                json!({ "window": "day", "scheduled": "2026-11-22T01:05:00Z" }),
                "2026-11-21T00:00:00Z",
                "2026-11-22T00:00:00Z",
                3600,
            ),
            (
                scheduler,
                "2026-11-20T00:00:00Z",
                "2026-11-21T00:00:00Z",
                3600,
            ),
            (
                json!({ "source": "aws.events", "time": "2026-11-02T06:00:00Z", "detail": { "window": "month" } }),
                "2026-10-01T00:00:00Z",
                "2026-11-01T00:00:00Z",
                3600,
            ),
            (
                json!({ "window": "week" }),
                "2026-11-17T00:00:00Z",
                "2026-11-24T00:00:00Z",
                3600,
            ),
            (
                json!({ "window": "month", "end": "2026-03-01T00:00:00Z" }),
                "2026-02-01T00:00:00Z",
                "2026-03-01T00:00:00Z",
                3600,
            ),
            (
                json!({ "window": "PT6H" }),
                "2026-11-24T05:00:00Z",
                "2026-11-24T11:00:00Z",
                300,
            ),
            (
                json!({ "window": "PT6H", "end": "2026-01-01T10:20:00Z" }),
                "2026-01-01T04:00:00Z",
                "2026-01-01T10:00:00Z",
                3600,
            ),
            (
                json!({ "window": "P2D" }),
                "2026-11-22T11:00:00Z",
                "2026-11-24T11:00:00Z",
                3600,
            ),
        ] {
            assert_eq!(
                window(&event),
                Ok((start.into(), end.into(), period)),
                "{event}"
            );
        }
    }

    #[test]
    fn what_cannot_be_reported_is_refused() {
        for (event, words) in [
            (
                json!({ "end": "2026-11-25T00:00:00Z" }),
                "lies in the future",
            ),
            (json!({ "end": "2025-01-01T00:00:00Z" }), "455 days only"),
            (json!({ "window": "year" }), "is not day, week, month"),
            (json!({ "window": "PT90M" }), "whole hours"),
            (json!({ "window": "PT0H" }), "whole hours"),
            (json!({ "window": "P40D" }), "up to 31 days"),
            (json!({ "end": "yesterday" }), "cannot be read"),
            (json!([1]), "cannot be read"),
        ] {
            let error = window(&event).unwrap_err();
            assert!(error.contains(words), "{event}: {error}");
        }
    }

    #[test]
    fn the_window_before_is_as_long_or_the_month_before() {
        let of = |event: Value| Window::of(&event, NOW.parse().unwrap()).unwrap();
        let before = of(json!({ "window": "month" })).previous().unwrap();
        assert_eq!(before.start.to_string(), "2026-09-01T00:00:00Z");
        assert_eq!(before.end.to_string(), "2026-10-01T00:00:00Z");
        let before = of(json!({ "window": "PT6H" })).previous().unwrap();
        assert_eq!(before.start.to_string(), "2026-11-23T23:00:00Z");
        assert_eq!(of(json!({})).key(), "2026-11-23T000000Z_2026-11-24T000000Z");
    }
}
