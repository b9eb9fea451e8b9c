//! What somebody should look at.
//!
//! Few and sure: a rule that cries wolf is not read. Each one's limits are constants here.

use serde::Serialize;
use shared::config::Config;
use shared::usd::Usd;

use crate::counts::reference;
use crate::report::{Month, Row};
use crate::text::money;
use crate::window::{Window, day};

/// What kind of thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A threshold of the month's budget is reached, or the forecast is beyond it.
    Budget,
    /// A day that cost far more than is usual for the model.
    UnusualCost,
    /// Calls beyond a quota.
    Throttles,
    /// Calls that failed on Bedrock's side.
    ServerErrors,
    /// Calls that were refused.
    ClientErrors,
    /// Answers take longer than in the window before.
    Latency,
    /// The model ends soon, or has ended.
    EndOfLife,
    /// Bedrock counts the calls as those of a legacy model.
    LegacyUse,
    /// What was used has no known price.
    UnknownPrice,
}

/// Something that somebody should look at.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What kind of thing it is.
    pub kind: Kind,
    /// The id, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The Region, where it is about an id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A sentence for people.
    pub message: String,
}

/// More than so many in a hundred calls that fail are worth a look, where there are so many calls.
const SHARE: u64 = 1;
const CALLS: u64 = 100;
/// So many days before its end a model is worth a look.
const DAYS: i32 = 90;
/// Answers that take half as long again, and so much longer.
const SLOWER: (u64, u64) = (150, 200);

/// Everything that was found, the most pressing first.
#[must_use]
pub fn findings(
    config: &Config,
    window: &Window,
    rows: &[Row],
    month: Option<&Month>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(message) = month.and_then(budget) {
        findings.push(Finding {
            kind: Kind::Budget,
            model_id: None,
            region: None,
            message,
        });
    }
    for row in rows {
        let mut add = |kind, message| {
            findings.push(Finding {
                kind,
                model_id: Some(row.model_id.clone()),
                region: Some(row.region.clone()),
                message: format!("{}: {message}", row.model_id),
            });
        };
        unusual(row, window, &mut add);
        failures(row, &mut add);
        if let Some(message) = slower(row) {
            add(Kind::Latency, message);
        }
        if row.counts.invocations == 0 {
            continue;
        }
        if let Some(message) = ending(config, row, window) {
            add(Kind::EndOfLife, message);
        }
        let legacy = row.counts.legacy_invocations;
        if legacy > 0 {
            let message = format!(
                "{legacy} calls count as use of a legacy model; after weeks without a call its access ends"
            );
            add(Kind::LegacyUse, message);
        }
        if row.counts.cost_usd.is_none() {
            add(Kind::UnknownPrice, "its price is not known".into());
        }
    }
    findings.sort_by_key(|finding| finding.kind);
    findings
}

fn budget(month: &Month) -> Option<String> {
    let (budget, used) = (month.budget_usd?, month.used_percent?);
    let spent = format!(
        "{} of the month's {} USD are used up ({used} %)",
        money(month.to_date_usd),
        money(budget)
    );
    if month.to_date_usd > budget {
        Some(format!("over budget: {spent}"))
    } else if month.forecast_usd > budget {
        let forecast = money(month.forecast_usd);
        Some(format!("{spent}, and the forecast is {forecast} USD"))
    } else {
        month.reached_percent.map(|_| spent)
    }
}

fn failures(row: &Row, add: &mut impl FnMut(Kind, String)) {
    let counts = &row.counts;
    let all = counts.calls();
    for (kind, count, words) in [
        (
            Kind::Throttles,
            counts.throttles,
            "throttled: ask for more quota, or spread the load",
        ),
        (
            Kind::ServerErrors,
            counts.server_errors,
            "failed on Bedrock's side",
        ),
        (
            Kind::ClientErrors,
            counts.client_errors,
            "refused: the callers' log says why",
        ),
    ] {
        if all >= CALLS && count * 100 > all * SHARE {
            add(kind, format!("{count} of {all} calls were {words}"));
        }
    }
}

fn slower(row: &Row) -> Option<String> {
    let (now, before) = (row.latency_ms?, row.previous_latency_ms?);
    let enough = row.counts.invocations >= CALLS && row.previous_invocations >= CALLS;
    let is_slower = now * 100 > before * SLOWER.0 && now > before + SLOWER.1;
    (enough && is_slower)
        .then(|| format!("answers take {now} ms on average, {before} ms in the window before"))
}

fn ending(config: &Config, row: &Row, window: &Window) -> Option<String> {
    let known = reference(config, &row.model_id)?;
    let today = day(window.made);
    let days = known.model.days_left(today).filter(|days| *days <= DAYS)?;
    let end = known.model.lifecycle.end_of_life?;
    let next = config.catalog.successor(known.model, today);
    let next = next.map_or(String::new(), |next| {
        format!("; {} takes its place", next.name)
    });
    Some(if days < 0 {
        format!("reached its end of life on {end}{next}")
    } else {
        format!("reaches its end of life on {end}, in {days} days{next}")
    })
}

/// A day is unusual where it costs
/// - more than its median of the four weeks before and five times the spread around it (the median absolute deviation times 1.4826,
///   which is the standard deviation of normal noise, and a tenth of the median at least), and
/// - a quarter more than the second dearest of those days, so that neither a job that runs every week nor the echo of one bad day
///   counts, and
/// - a dollar more than the median, where there are two weeks to judge by.
///
/// Where days vary by a third, this raises about one false alarm in ten years of a model's days.
fn is_unusual(cost: Usd, usual: &[Usd]) -> Option<Usd> {
    if usual.len() < MIN_USUAL {
        return None;
    }
    let middle = median(usual);
    let deviations: Vec<Usd> = usual
        .iter()
        .map(|cost| Usd::from_pico((cost.pico() - middle.pico()).abs()))
        .collect();
    let spread = (median(&deviations).pico() * 14_826 / 10_000).max(middle.pico() / 10);
    let mut sorted = usual.to_vec();
    sorted.sort_unstable();
    let second = sorted.iter().rev().nth(1).copied().unwrap_or_default();
    let over = cost.pico() - middle.pico();
    (over > SPREADS * spread && cost.pico() * 4 > second.pico() * 5 && over >= ONE_USD)
        .then_some(middle)
}

const MIN_USUAL: usize = 14;
const SPREADS: i128 = 5;
const ONE_USD: i128 = 1_000_000_000_000;

/// The middle one, the lower of two.
fn median(values: &[Usd]) -> Usd {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len().saturating_sub(1) / 2;
    sorted.get(middle).copied().unwrap_or_default()
}

fn unusual(row: &Row, window: &Window, add: &mut impl FnMut(Kind, String)) {
    if !window.is_days() {
        return;
    }
    let in_window = row.costs.iter().filter(|(time, _)| window.holds(**time));
    for (start, cost) in in_window {
        if let Some(usual) = is_unusual(*cost, &row.usual(*start)) {
            let (cost, usual, date) = (money(*cost), money(usual), day(*start));
            let message = format!("cost {cost} USD on {date}, where {usual} is usual");
            add(Kind::UnusualCost, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between 0 and 1 that look like chance.
    fn chance(seed: u64) -> f64 {
        let mixed = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        #[expect(clippy::cast_precision_loss, reason = "a fraction")]
        let fraction = (mixed >> 11) as f64 / (1u64 << 53) as f64;
        fraction
    }

    /// Ten years of a team's days: weekends are quiet, a day varies by the e^0.3 fold, and every Monday a job runs.
    fn ten_years() -> Vec<Usd> {
        let days = (0..3650u64).map(|day| {
            let base = if day % 7 >= 5 { 20.0 } else { 100.0 };
            let job = if day % 7 == 0 { 80.0 } else { 0.0 };
            let normal: f64 = (0..12).map(|part| chance(day * 12 + part)).sum::<f64>() - 6.0;
            let usd = base * (0.3 * normal).exp() + job;
            Usd::parse(&format!("{usd:.6}")).unwrap()
        });
        days.collect()
    }

    #[test]
    fn ten_years_of_noise_raise_few_alarms_and_a_day_of_five_times_as_much_is_seen() {
        let days = ten_years();
        let (mut alarms, mut seen, mut all) = (0, 0, 0);
        for (at, cost) in days.iter().enumerate().skip(28) {
            let usual = &days[at - 28..at];
            alarms += usize::from(is_unusual(*cost, usual).is_some());
            // Five times the middle of a weekday.
            let incident = Usd::parse("500").unwrap();
            all += 1;
            seen += usize::from(is_unusual(incident, usual).is_some());
        }
        assert!(alarms <= 2, "{alarms} false alarms in ten years");
        assert!(seen * 100 >= all * 85, "{seen} of {all}");
    }

    #[test]
    fn little_money_and_a_short_past_raise_none() {
        let cents = Usd::parse("0.01").unwrap();
        let usd = |text| Usd::parse(text).unwrap();
        assert_eq!(is_unusual(usd("0.90"), &[cents; 28]), None);
        assert_eq!(is_unusual(usd("9"), &[cents; 28]), Some(cents));
        assert_eq!(is_unusual(usd("9"), &[cents; 13]), None);
    }
}
