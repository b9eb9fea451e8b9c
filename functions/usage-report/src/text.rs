//! The report as text, for an e-mail or a terminal.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use shared::usd::Usd;

use crate::report::{Month, Report, Total};

/// The report in lines that a mail program leaves alone. `link` is where its page is.
#[must_use]
pub fn text(report: &Report, link: Option<&str>) -> String {
    let mut text = String::new();
    // Writing into a text does not fail.
    let _ = write(report, link, &mut text);
    text
}

/// The report in one line.
#[must_use]
pub fn headline(report: &Report) -> String {
    let total = &report.total;
    format!(
        "{}: {} calls, about {} USD{}, {}{}",
        span(report),
        grouped(total.invocations),
        money(total.cost_usd),
        change(report),
        match report.findings.len() {
            0 => "nothing to look at".to_owned(),
            1 => "1 thing to look at".to_owned(),
            many => format!("{many} things to look at"),
        },
        if report.is_incomplete() {
            "; figures are missing"
        } else {
            ""
        }
    )
}

/// The window in words: its day, its first and last day, or its hours.
#[must_use]
pub fn span(report: &Report) -> String {
    let window = &report.window;
    let first = Offset::UTC.to_datetime(window.start).date();
    if !window.is_days() {
        let end = Offset::UTC.to_datetime(window.end);
        let end = if end.date() == first {
            end.strftime("%H:%M").to_string()
        } else {
            plain(window.end)
        };
        return format!("{} to {end} UTC", plain(window.start));
    }
    let last = window.last_day();
    if first == last {
        first.to_string()
    } else {
        format!("{first} to {last}")
    }
}

fn write(report: &Report, link: Option<&str>, to: &mut String) -> fmt::Result {
    summary(report, to)?;
    if let Some(link) = link {
        writeln!(to, "\nWith charts: {link}")?;
    }
    let findings = report.findings.iter();
    let findings = findings.map(|finding| finding.message.clone());
    list(to, "To look at", findings)?;
    let missing = report.missing.iter().cloned();
    list(
        to,
        "Missing from this report, so that sums are too low",
        missing,
    )?;
    writeln!(to, "\n{}", models(report))?;
    totals(to, "By provider", &report.providers)?;
    totals(to, "By Region", &report.regions)?;
    if report.model.is_some() {
        hours(report, to)?;
    }
    let notes = report.notes.iter().map(|note| (*note).to_owned());
    list(to, "How to read it", notes)
}

fn summary(report: &Report, to: &mut String) -> fmt::Result {
    let total = &report.total;
    let of = report.model.as_ref();
    let of = of.map_or(String::new(), |model| format!(" of {model}"));
    writeln!(to, "Bedrock usage{of}, {}\n", span(report))?;
    let (calls, cost) = (grouped(total.invocations), money(total.cost_usd));
    let (input, output) = (grouped(total.input_tokens), grouped(total.output_tokens));
    let change = change(report);
    writeln!(
        to,
        "{calls} calls, {input} tokens in, {output} out, about {cost} USD{change}"
    )?;
    match &report.month {
        Some(month) => writeln!(to, "{}", month_so_far(month, report.window.last_day()))?,
        None => {
            let thirty_days = money(report.thirty_days_usd);
            writeln!(to, "At this rate thirty days cost {thirty_days} USD.")?;
        }
    }
    let baseline = report.baseline.as_ref();
    if let Some(baseline) = baseline.filter(|baseline| baseline.saved_usd > Usd::ZERO) {
        let (there, saved) = (money(baseline.cost_usd), money(baseline.saved_usd));
        let model = &baseline.model;
        writeln!(
            to,
            "What text models did would cost {there} USD with {model} alone: {saved} USD are saved."
        )?;
    }
    Ok(())
}

fn month_so_far(month: &Month, last_day: Date) -> String {
    let spent = money(month.to_date_usd);
    let budget = match (month.budget_usd, month.used_percent) {
        (Some(budget), Some(used)) => format!(" of a budget of {} ({used} % used)", money(budget)),
        _ => String::new(),
    };
    let name = month_name(month, last_day);
    match month.forecast_usd {
        Some(forecast) => {
            let forecast = money(forecast);
            format!("{name}: {spent} USD; at its end about {forecast}{budget}.")
        }
        None => format!("{name}: {spent} USD{budget}."),
    }
}

/// The month up to the window's end, in words.
#[must_use]
pub fn month_name(month: &Month, last_day: Date) -> String {
    let name = month.first_day.strftime("%B");
    if last_day == last_day.last_of_month() {
        name.to_string()
    } else if month.forecast_usd.is_some() {
        format!("{name} so far")
    } else {
        format!("{name} until {last_day}")
    }
}

/// Calls by hour, or by five minutes of a short window.
fn hours(report: &Report, to: &mut String) -> fmt::Result {
    let mut date = None;
    for hour in &report.hours {
        let time = Offset::UTC.to_datetime(hour.time);
        if date.replace(time.date()) != Some(time.date()) {
            writeln!(to, "\n{}", time.date())?;
        }
        let (hour, invocations) = (time.strftime("%H:%M"), hour.invocations);
        writeln!(to, "{hour}: {invocations} invocations")?;
    }
    Ok(())
}

fn totals(to: &mut String, title: &str, totals: &BTreeMap<String, Total>) -> fmt::Result {
    if totals.len() < 2 {
        return Ok(());
    }
    let rows = totals.iter().map(|(name, total)| {
        let (calls, cost) = (grouped(total.invocations), cents(total.cost_usd));
        [name.clone(), calls, cost]
    });
    writeln!(to, "\n{title}\n{}", table(["", "calls", "USD"], rows))
}

fn list(to: &mut String, title: &str, lines: impl Iterator<Item = String>) -> fmt::Result {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        writeln!(to, "\n{title}")?;
    }
    lines.by_ref().try_for_each(|line| writeln!(to, "- {line}"))
}

fn models(report: &Report) -> String {
    if report.models.is_empty() {
        return nothing(report).into();
    }
    let ms = |value: Option<u64>| value.map_or("-".into(), grouped);
    let shown = report.models.iter().map(|row| {
        [
            row.model_id.clone(),
            row.region.clone(),
            grouped(row.counts.invocations),
            grouped(row.counts.all_input()),
            grouped(row.counts.output_tokens),
            ms(row.latency_ms),
            ms(row.latency_p99_ms),
            grouped(row.counts.client_errors + row.counts.server_errors),
            grouped(row.counts.throttles),
            row.counts.cost_usd.map_or("unknown".into(), cents),
        ]
    });
    let head = [
        "model",
        "Region",
        "calls",
        "tokens in",
        "out",
        "ms",
        "p99",
        "errors",
        "throttled",
        "USD",
    ];
    table(head, shown)
}

fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(head);
    table.add_rows(rows);
    // Names to the left, numbers to the right.
    for column in table.column_iter_mut().skip(if N > 3 { 2 } else { 1 }) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// What to say where there is no model to show.
#[must_use]
pub fn nothing(report: &Report) -> &'static str {
    if report.is_incomplete() {
        "Whether any model was called is not known."
    } else {
        "No model was called."
    }
}

/// How much dearer it is than the window before, in brackets; nothing where that cost nothing.
#[must_use]
pub fn change(report: &Report) -> String {
    let total = &report.total;
    let before = total.previous_cost_usd.pico();
    if before <= 0 {
        return String::new();
    }
    let percent = (total.cost_usd.pico() - before) * 100 / before;
    let before = match report.window.name.as_str() {
        name @ ("day" | "week" | "month") => format!("the {name} before"),
        _ => "as many hours before".to_owned(),
    };
    format!(" ({percent:+} % on {before})")
}

/// A moment in UTC, to the minute.
#[must_use]
pub fn plain(time: Timestamp) -> String {
    let time = Offset::UTC.to_datetime(time);
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

/// To a cent, or to a hundredth of a cent where it is little.
#[must_use]
pub fn money(amount: Usd) -> String {
    let cent = 10_000_000_000;
    if amount.pico() < 1000 * cent {
        return cents(amount);
    }
    let all = (amount.pico() + cent / 2) / cent;
    let dollars = u64::try_from(all / 100).unwrap_or(u64::MAX);
    format!("{}.{:02}", grouped(dollars), all % 100)
}

/// To a hundredth of a cent, which is enough to read.
#[must_use]
pub fn cents(amount: Usd) -> String {
    let hundredths = (amount.pico() + 50_000_000) / 100_000_000;
    format!(
        "{}.{:04}",
        grouped(u64::try_from(hundredths / 10_000).unwrap_or(0)),
        hundredths % 10_000
    )
}

/// A number with a comma after every third digit.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_money_is_rounded() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
        let usd = |text| Usd::parse(text).unwrap();
        assert_eq!(cents(usd("1234.56789")), "1,234.5679");
        assert_eq!(cents(usd("0.00001")), "0.0000");
        assert_eq!(money(usd("9.99999")), "10.0000");
        assert_eq!(money(usd("1234.995")), "1,235.00");
    }
}
