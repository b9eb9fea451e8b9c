//! What somebody should look at.
//!
//! Few and sure: a rule that cries wolf is not read. Each one's limits are constants here.

use std::collections::BTreeSet;

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

/// More than so many in a hundred calls that fail are worth a look, where there are so many calls; and half of a few.
const SHARE: u64 = 1;
const CALLS: u64 = 100;
const FEW: u64 = 10;
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
    let regions: BTreeSet<&String> = rows.iter().map(|row| &row.region).collect();
    for row in rows {
        let mut add = |kind, message| {
            let (id, region) = (row.model_id.clone(), row.region.clone());
            let message = match regions.len() {
                1 => format!("{id}: {message}"),
                _ => format!("{id} in {region}: {message}"),
            };
            findings.push(Finding {
                kind,
                model_id: Some(id),
                region: Some(region),
                message,
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
    } else if let Some(forecast) = month.forecast_usd.filter(|forecast| *forecast > budget) {
        let forecast = money(forecast);
        Some(format!("{spent}, and the forecast is {forecast} USD"))
    } else {
        // A threshold that was reached before is no news.
        (month.reached_percent > month.reached_before).then_some(spent)
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
        let many = all >= CALLS && count * 100 > all * SHARE;
        let most = all >= FEW && count * 2 >= all;
        if many || most {
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
/// - more than the median of the days with use in the four weeks before and five times the spread around it (the median absolute
///   deviation times 1.4826, which is the standard deviation of normal noise, and a tenth of the median at least), and
/// - three quarters more than the second dearest of them, so that neither a job that runs every week nor the echo of one bad day
///   counts, and
/// - a dollar more than the median, where there are two weeks of use to judge by.
///
/// Where days vary by a third, this raises one to four false alarms in ten years of a model, and sees nine in ten days of five times
/// the median, or all where weekends are no different. What is dear once a month is unusual each time.
fn is_unusual(cost: Usd, usual: &[Usd]) -> Option<Usd> {
    let usual: Vec<Usd> = usual
        .iter()
        .copied()
        .filter(|cost| *cost > Usd::ZERO)
        .collect();
    if usual.len() < MIN_USUAL {
        return None;
    }
    let middle = median(&usual);
    let deviations: Vec<Usd> = usual
        .iter()
        .map(|cost| Usd::from_pico((cost.pico() - middle.pico()).abs()))
        .collect();
    let spread = (median(&deviations).pico() * 14_826 / 10_000).max(middle.pico() / 10);
    let mut sorted = usual;
    sorted.sort_unstable();
    let second = sorted.iter().rev().nth(1).copied().unwrap_or_default();
    let over = cost.pico() - middle.pico();
    (over > SPREADS * spread && cost.pico() * 4 > second.pico() * 7 && over >= ONE_USD)
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

    /// What a day costs without its noise.
    type Base<'a> = &'a dyn Fn(u64) -> f64;

    /// Ten years of days that vary by the e^0.3 fold around what a day of the week costs.
    fn ten_years(base: Base<'_>, seed: u64) -> Vec<Usd> {
        let days = (0..3650u64).map(|day| {
            let parts = (0..12).map(|part| chance(seed + day * 12 + part));
            let normal: f64 = parts.sum::<f64>() - 6.0;
            let usd = base(day) * (0.3 * normal).exp();
            Usd::parse(&format!("{usd:.6}")).unwrap()
        });
        days.collect()
    }

    #[test]
    fn ten_years_of_noise_raise_few_alarms_and_a_day_of_five_times_as_much_is_seen() {
        let weekends = |day: u64| if day % 7 >= 5 { 20.0 } else { 100.0 };
        let with_job =
            move |day: u64| weekends(day) + if day.is_multiple_of(7) { 80.0 } else { 0.0 };
        let one_in_three = |day: u64| if chance(day) < 0.3 { 100.0 } else { 0.0 };
        let growing = |day: u64| 100.0 * 1.003f64.powi(i32::try_from(day % 700).unwrap());
        let kinds: [(&str, Base<'_>, usize); 5] = [
            ("all days alike", &|_| 100.0, 95),
            ("quiet weekends", &weekends, 80),
            ("quiet weekends and a job on Mondays", &with_job, 50),
            ("used on every third day", &one_in_three, 0),
            ("growing", &growing, 90),
        ];
        for (kind, base, percent) in kinds {
            let days = ten_years(base, 1 << 20);
            let (mut alarms, mut seen, mut all) = (0, 0, 0);
            for (at, cost) in days.iter().enumerate().skip(28) {
                let usual = &days[at - 28..at];
                alarms += usize::from(is_unusual(*cost, usual).is_some());
                let used: Vec<Usd> = usual
                    .iter()
                    .copied()
                    .filter(|cost| *cost > Usd::ZERO)
                    .collect();
                all += 1;
                seen += usize::from(is_unusual(median(&used) * 5, usual).is_some());
            }
            assert!(alarms <= 6, "{kind}: {alarms} false alarms in ten years");
            assert!(seen * 100 >= all * percent, "{kind}: {seen} of {all}");
        }
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
