//! The report, from figures that are known.
#![allow(clippy::too_many_lines, reason = "tables")]

use serde_json::json;
use shared::catalog::Catalog;

use super::*;
use crate::findings::Kind;

fn ordered(event: &serde_json::Value) -> Order {
    Order::of(event, "2026-11-24T12:00:00Z".parse().unwrap()).unwrap()
}

fn figures(id: &str, region: &str, values: &[(Metric, &str, f64)]) -> Figures {
    let mut figures = Figures {
        model_id: id.into(),
        region: region.into(),
        ..Figures::default()
    };
    for (metric, time, value) in values {
        let time: Timestamp = time.parse().unwrap();
        figures
            .sums
            .entry(*metric)
            .or_default()
            .insert(time, *value);
    }
    figures
}

fn made(order: Order, figures: &[Figures], budget: Option<Usd>) -> Report {
    let gathered = Gathered {
        figures: figures.to_vec(),
        ..Gathered::default()
    };
    let region = |name: &str| (name == "AWS_REGION").then(|| "us-east-1".to_owned());
    let config = Config::from_lookup(region).unwrap();
    Report::new(&config, order, gathered, budget).unwrap()
}

fn budgeted(figures: &[Figures], budget: Option<Usd>) -> Report {
    made(ordered(&json!({ "window": "day" })), figures, budget)
}

fn report(figures: &[Figures]) -> Report {
    budgeted(figures, None)
}

const HAIKU: &str = "us.anthropic.claude-haiku-5-5";

#[test]
fn figures_are_summed_priced_by_scope_and_compared() {
    let (day, before) = ("2026-11-23T00:00:00Z", "2026-11-22T00:00:00Z");
    let haiku = [
        (Metric::Invocations, day, 40.0),
        (Metric::InputTokens, day, 3000.0),
        (Metric::InputTokens, before, 500.0),
        (Metric::OutputTokens, day, 700.0),
    ];
    let report = report(&[figures(HAIKU, "us-east-1", &haiku)]);
    let row = &report.models[0];
    let counts = &row.counts;
    assert_eq!(
        (
            counts.invocations,
            counts.input_tokens,
            counts.output_tokens
        ),
        (40, 3000, 700)
    );
    let model = Catalog::built_in().find("claude-haiku-5-5").unwrap();
    let prices = model
        .prices_in(&Scope::parse("us").unwrap(), "us-east-1")
        .unwrap();
    let rates = prices.standard.as_ref().unwrap();
    let input = rates.input.unwrap();
    let wanted = input.times(3000) + rates.output.unwrap().times(700);
    assert_eq!(
        (counts.cost_usd, row.previous_cost_usd),
        (Some(wanted), Some(input.times(500)))
    );
    assert_eq!(
        (report.total.cost_usd, report.thirty_days_usd),
        (wanted, wanted * 30)
    );
    let baseline = report.baseline.as_ref().unwrap();
    assert_eq!(baseline.saved_usd, baseline.cost_usd - wanted);
    assert_eq!((row.days.len(), &row.days[0].counts), (1, counts));
}

#[test]
fn means_are_weighed_and_percentiles_are_of_the_worst() {
    let hour = |hour: u8| format!("2026-11-24T{hour:02}:00:00Z");
    let times = [hour(5), hour(6)];
    let [early, late] = [times[0].as_str(), times[1].as_str()];
    let haiku = [
        (Metric::Invocations, early, 10.0),
        (Metric::Invocations, late, 30.0),
        (Metric::LatencyAverage, early, 100.0),
        (Metric::LatencyAverage, late, 200.0),
        (Metric::LatencyP99, early, 900.0),
        (Metric::LatencyP99, late, 400.0),
    ];
    let six_hours = ordered(&json!({ "window": "PT6H" }));
    let report = made(six_hours, &[figures(HAIKU, "us-east-1", &haiku)], None);
    let row = &report.models[0];
    assert_eq!(
        (row.latency_ms, row.latency_p99_ms, row.first_token_ms),
        (Some(175), Some(900), None)
    );
    assert!(row.days.is_empty() && report.month.is_none());
}

#[test]
fn a_month_ends_as_its_last_week_went_and_its_budget_has_thresholds() {
    // 5.00 USD a day in the last seven days, and 20.00 on one before them.
    let mut haiku = vec![(Metric::InputTokens, "2026-11-10T00:00:00Z".to_owned(), 20.0)];
    haiku
        .extend((17..24).map(|day| (Metric::InputTokens, format!("2026-11-{day}T00:00:00Z"), 5.0)));
    // Another month's.
    haiku.push((
        Metric::InputTokens,
        "2026-10-31T00:00:00Z".to_owned(),
        1000.0,
    ));
    let rate: f64 = 0.11e-6;
    let haiku: Vec<_> = haiku
        .iter()
        .map(|(metric, time, usd)| (*metric, time.as_str(), (usd / rate).round()))
        .collect();
    let haiku = [figures(HAIKU, "us-east-1", &haiku)];
    let usd = |text| Usd::parse(text).unwrap();
    let cents = |amount: Usd| (amount.pico() + 5_000_000_000) / 10_000_000_000;
    for (budget, used, reached, words) in [
        ("200", 27, None, None),
        (
            "105",
            52,
            Some(50),
            Some("55.00 of the month's 105.00 USD are used up (52 %)"),
        ),
        // Reached before, and the forecast is within it.
        ("95", 57, Some(50), None),
        ("60", 91, Some(80), Some("and the forecast is 90.00 USD")),
        (
            "50",
            109,
            Some(100),
            Some("over budget: 55.00 of the month's 50.00 USD are used up (109 %)"),
        ),
    ] {
        let report = budgeted(&haiku, Some(usd(budget)));
        let month = report.month.as_ref().unwrap();
        assert_eq!(
            (cents(month.to_date_usd), cents(month.forecast_usd.unwrap())),
            (5500, 9000),
            "{month:?}"
        );
        assert_eq!(
            (month.used_percent, month.reached_percent),
            (Some(used), reached)
        );
        let found = report
            .findings
            .iter()
            .find(|finding| finding.kind == Kind::Budget);
        match words {
            Some(words) => assert!(found.unwrap().message.contains(words), "{found:?}"),
            None => assert_eq!(found, None),
        }
    }
}

#[test]
fn an_unknown_price_is_listed_and_is_not_zero() {
    let noon = "2026-11-23T00:00:00Z";
    let arn = "arn:aws:bedrock:us-east-1:1:application-inference-profile/x";
    let report = report(&[figures(
        arn,
        "us-east-1",
        &[
            (Metric::Invocations, noon, 5.0),
            (Metric::InputTokens, noon, 9.0),
        ],
    )]);
    assert_eq!(
        (report.models[0].counts.cost_usd, report.unpriced.as_slice()),
        (None, [arn.to_owned()].as_slice())
    );
}

#[test]
fn what_needs_a_look_is_found_and_noise_is_not() {
    let (noon, before) = ("2026-11-23T00:00:00Z", "2026-11-22T00:00:00Z");
    let of = |id: &str, more: &[(Metric, &str, f64)]| {
        let calls = [
            (Metric::Invocations, noon, 1000.0),
            (Metric::Invocations, before, 1000.0),
        ];
        figures(id, "us-east-1", &[&calls, more].concat())
    };
    let few = |id: &str, more| figures(id, "us-east-1", &[(Metric::Invocations, noon, 10.0), more]);
    let report = report(&[
        of(
            "amazon.nova-lite-v1:0",
            &[
                (Metric::Throttles, noon, 50.0),
                (Metric::ServerErrors, noon, 9.0),
            ],
        ),
        few("amazon.nova-micro-v1:0", (Metric::Throttles, noon, 3.0)),
        few(
            "ai21.jamba-1-5-mini-v1:0",
            (Metric::LegacyInvocations, noon, 10.0),
        ),
        of(
            HAIKU,
            &[
                (Metric::LatencyAverage, noon, 1600.0),
                (Metric::LatencyAverage, before, 1000.0),
            ],
        ),
        of(
            "amazon.nova-pro-v1:0",
            &[
                (Metric::LatencyAverage, noon, 1400.0),
                (Metric::LatencyAverage, before, 1000.0),
            ],
        ),
    ]);
    let found = report
        .findings
        .iter()
        .map(|finding| (finding.kind, finding.message.as_str()));
    assert_eq!(
        found.collect::<Vec<_>>(),
        [
            (
                Kind::Throttles,
                "amazon.nova-lite-v1:0: 50 of 1059 calls were throttled: ask for more quota, or spread the load"
            ),
            (
                Kind::Latency,
                "us.anthropic.claude-haiku-5-5: answers take 1600 ms on average, 1000 ms in the window before"
            ),
            (
                Kind::EndOfLife,
                "ai21.jamba-1-5-mini-v1:0: reaches its end of life on 2026-11-26, in 2 days; nova-lite takes its place"
            ),
            (
                Kind::LegacyUse,
                "ai21.jamba-1-5-mini-v1:0: 10 calls count as use of a legacy model; after weeks without a call its access ends"
            ),
        ]
    );
}

#[test]
fn a_month_that_is_over_has_no_forecast_and_few_calls_that_all_fail_are_found() {
    let day = "2026-10-30T00:00:00Z";
    let refused = [
        (Metric::InputTokens, day, 1000.0),
        (Metric::ClientErrors, day, 12.0),
    ];
    let october = ordered(&json!({ "end": "2026-10-31T00:00:00Z" }));
    let here = figures(HAIKU, "us-east-1", &refused);
    let there = figures(HAIKU, "us-west-2", &refused);
    let report = made(october, &[here, there], None);
    assert_eq!(report.month.as_ref().unwrap().forecast_usd, None);
    let text = crate::text::text(&report, None);
    assert!(
        text.contains("October until 2026-10-30: 0.0002 USD.\n"),
        "{text}"
    );
    let messages: Vec<_> = report
        .findings
        .iter()
        .map(|finding| finding.message.as_str())
        .collect();
    let of = |region: &str| {
        format!("{HAIKU} in {region}: 12 of 12 calls were refused: the callers' log says why")
    };
    assert_eq!(messages, [of("us-east-1"), of("us-west-2")]);
}

#[test]
fn images_cost_the_same_by_day_and_together() {
    let core = [
        (Metric::Invocations, "2026-11-21T00:00:00Z", 3.0),
        (Metric::Images, "2026-11-21T00:00:00Z", 6.0),
        // No count of images on this day: one a call.
        (Metric::Invocations, "2026-11-22T00:00:00Z", 3.0),
    ];
    let week = ordered(&json!({ "window": "week" }));
    let report = made(
        week,
        &[figures(
            "stability.stable-image-core-v1:1",
            "us-west-2",
            &core,
        )],
        None,
    );
    let row = &report.models[0];
    let days: Vec<_> = row
        .days
        .iter()
        .map(|day| day.counts.cost_usd.unwrap().to_string())
        .collect();
    assert_eq!(
        (days, row.counts.cost_usd.unwrap().to_string()),
        (vec!["0.24".into(), "0.12".into()], "0.36".into())
    );
    let rows = crate::rows::csv(&report).unwrap();
    assert_eq!(rows.lines().count(), 3, "{rows}");
}
