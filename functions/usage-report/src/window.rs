//! What a report is about: from the event that asks for it, in UTC, aligned to what CloudWatch keeps.
//!
//! No clock is read where the event says when it was made: the same event asks for the same report, however often it is delivered.

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Span, Timestamp, ToSpan, Unit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::figures::{COURSE, METRICS, Metric};

/// CloudWatch keeps hourly figures for so long, and five-minute ones.
const HOURLY_DAYS: i64 = 455;
const FIVE_MINUTES_DAYS: i64 = 63;
/// A window ends so long before its report is made: metrics arrive late.
const LATE: i64 = 3600;
/// Clocks differ by so much.
const SKEW: i64 = 600;
/// No report is older: 2020-01-01.
const EARLIEST: i64 = 1_577_836_800;
/// The longest window, in hours.
const LONGEST_HOURS: i64 = 31 * 24;
/// So many days before a window show what is usual.
pub const USUAL_DAYS: i64 = 28;

const DAY: i64 = 86_400;

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

/// What an event asks for.
#[derive(Clone, Debug)]
pub struct Order {
    /// The hours.
    pub window: Window,
    /// One model by any of its names, or one id; all if absent. Such a report is only answered.
    pub model: Option<String>,
    /// Deliver it; otherwise it is only answered. So it is where figures may still arrive.
    pub deliver: bool,
    /// Deliver once more what has been delivered.
    pub again: bool,
    /// The time, which says what CloudWatch still has.
    pub now: Timestamp,
}

/// Figures to ask for: which, over which time, by which period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The figures.
    pub metrics: &'static [Metric],
    /// The first moment.
    pub start: Timestamp,
    /// The first moment that is not in it.
    pub end: Timestamp,
    /// Seconds of one figure.
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
    model: Option<String>,
    deliver: Option<bool>,
    again: Option<bool>,
    /// An object in a rule's event, and a text that holds one in Scheduler's.
    detail: Option<Value>,
}

impl Order {
    /// What an event asks for. `now` counts only where the event does not say when it was made.
    ///
    /// # Errors
    /// What is wrong with it, and what was wanted.
    pub fn of(event: &Value, now: Timestamp) -> Result<Self, String> {
        let asked = Asked::of(event)?;
        let (model, deliver) = (asked.model.clone(), asked.deliver.unwrap_or(true));
        let again = asked.again.unwrap_or(false);
        let window = Window::of(asked, now)?;
        let is_settled = window.end <= window.made - LATE.seconds();
        Ok(Self {
            deliver: deliver && model.is_none() && is_settled,
            again,
            model,
            window,
            now,
        })
    }
}

impl Window {
    fn of(asked: Asked, now: Timestamp) -> Result<Self, String> {
        let made = asked.scheduled.or(asked.time).unwrap_or(now);
        if made.as_second() < EARLIEST || made.as_second() > now.as_second() + SKEW {
            return Err(format!(
                "{made}, when the event was due, is not a time that was"
            ));
        }
        let settled = made - LATE.seconds();
        if let Some(end) = asked.end.filter(|end| *end > made) {
            return Err(format!("end {end} lies in the future"));
        }
        if let Some(end) = asked.end.filter(|end| end.as_second() < EARLIEST) {
            return Err(format!(
                "end {end} lies before CloudWatch had figures of Bedrock"
            ));
        }
        let mut name = asked.window.unwrap_or_else(|| "day".into());
        let last = asked.end.unwrap_or(settled);
        let (start, end) = match name.as_str() {
            "day" => back(midnight(last), 1.day())?,
            "week" => back(midnight(last), 7.days())?,
            "month" => back(first_of_month(last)?, 1.month())?,
            duration => {
                let hours = whole_hours(duration)?;
                name = format!("PT{hours}H");
                let end = Timestamp::from_second(last.as_second().div_euclid(3600) * 3600);
                let end = end.map_err(|error| error.to_string())?;
                (end - (hours * 3600).seconds(), end)
            }
        };
        let window = Self {
            period: course_period(start, end, now),
            name,
            start,
            end,
            made,
        };
        let oldest = window.oldest();
        if window.start < oldest {
            return Err(format!(
                "{} lies before {oldest}, and CloudWatch keeps figures for {HOURLY_DAYS} days only",
                window.start
            ));
        }
        Ok(window)
    }

    /// Before this CloudWatch has nothing.
    fn oldest(&self) -> Timestamp {
        self.made - (HOURLY_DAYS * DAY).seconds()
    }

    /// Whether it is made of whole days.
    #[must_use]
    pub fn is_days(&self) -> bool {
        let at_midnight = |time: Timestamp| time.as_second() % DAY == 0;
        at_midnight(self.start) && at_midnight(self.end)
    }

    /// Its last day.
    #[must_use]
    pub fn last_day(&self) -> Date {
        day(self.end - 1.second())
    }

    /// Whether a moment is in it.
    #[must_use]
    pub fn holds(&self, time: Timestamp) -> bool {
        (self.start..self.end).contains(&time)
    }

    /// What to ask CloudWatch for. First everything by sum: of the window, of the one before it and, where it is of days, of what
    /// shows what is usual and of its month. Then what is drawn over time, of the window alone.
    ///
    /// Sums of days are a twenty-fourth of those of hours, and the percentiles of a day are exact.
    ///
    /// # Errors
    /// Beyond the calendar.
    pub fn plans(&self) -> Result<[Plan; 2], String> {
        let mut start = self.previous()?.start;
        let mut period = self.period;
        if self.is_days() {
            period = 86_400;
            let month = at(self.last_day().first_of_month())?;
            let usual = self.start - (USUAL_DAYS * DAY).seconds();
            let oldest = at(day(self.oldest() + (DAY - 1).seconds()))?;
            start = start.min(month).min(usual).max(oldest);
        }
        let end = self.end;
        Ok([
            Plan {
                metrics: &METRICS,
                start,
                end,
                period,
            },
            Plan {
                metrics: &COURSE,
                start: self.start,
                end,
                period: self.period,
            },
        ])
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

    /// A path that is the same for the same window, such as `day/2026-11-23` or `PT6H/2026-11-24T0500Z`.
    #[must_use]
    pub fn key(&self) -> String {
        let start = Offset::UTC.to_datetime(self.start);
        let start = if self.is_days() {
            start.date().to_string()
        } else {
            start.strftime("%Y-%m-%dT%H%MZ").to_string()
        };
        format!("{}/{start}", self.name)
    }
}

impl Asked {
    fn of(event: &Value) -> Result<Self, String> {
        let read = |value: &Value| {
            serde_json::from_value::<Self>(value.clone())
                .map_err(|error| format!("the event cannot be read: {error}"))
        };
        check_fields(event)?;
        let outer = if event.is_null() {
            Self::default()
        } else {
            read(event)?
        };
        let inner = match &outer.detail {
            Some(Value::String(text)) => serde_json::from_str(text)
                .map_err(|error| format!("the event's detail cannot be read: {error}"))?,
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
            model: outer.model.or(inner.model),
            deliver: outer.deliver.or(inner.deliver),
            again: outer.again.or(inner.again),
            detail: None,
        })
    }
}

/// An event by hand has no fields but those that are known; a scheduler's and a rule's have more.
fn check_fields(event: &Value) -> Result<(), String> {
    let fields = event.as_object().into_iter().flat_map(|event| event.keys());
    let by_hand = ["source", "scheduled"]
        .iter()
        .all(|field| event.get(field).is_none());
    let mut unknown = fields.filter(|field| !FIELDS.contains(&field.as_str()));
    match unknown.next().filter(|_| by_hand) {
        Some(field) => Err(format!(
            "{field:?} is not known; an event may have {}",
            FIELDS.join(", ")
        )),
        None => Ok(()),
    }
}

const FIELDS: [&str; 6] = ["window", "end", "model", "deliver", "again", "scheduled"];

/// The day of a moment, in UTC.
#[must_use]
pub fn day(time: Timestamp) -> Date {
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
fn course_period(start: Timestamp, end: Timestamp, now: Timestamp) -> i32 {
    let hours = (end.as_second() - start.as_second()) / 3600;
    // The window before it is asked for in the same way.
    let oldest = 2 * start.as_second() - end.as_second();
    let has_fine = now.as_second() - oldest < FIVE_MINUTES_DAYS * 86_400;
    if hours <= 6 && has_fine { 300 } else { 3600 }
}

#[cfg(test)]
mod tests;
