//! The report as text, for an e-mail or a terminal.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use comfy_table::{CellAlignment, Table, presets::NOTHING};

use crate::report::{Report, Row, Total};

/// The report in lines that a mail program leaves alone.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing into a text does not fail.
    let _ = write(report, &mut text);
    text
}

/// The report in one line.
#[must_use]
pub fn headline(report: &Report) -> String {
    let total = &report.total;
    format!(
        "{} to {}: {} calls, about {} USD{}, {} findings",
        plain(report.window.start),
        plain(report.window.end),
        grouped(total.invocations),
        cents(total.cost_usd),
        change(total),
        report.findings.len()
    )
}

fn write(report: &Report, to: &mut String) -> fmt::Result {
    summary(report, to)?;
    writeln!(to, "\n{}", models(&report.models))?;
    totals(to, "By provider", &report.providers)?;
    totals(to, "By Region", &report.regions)?;
    let unpriced = report.unpriced.iter();
    let unpriced = unpriced.map(|id| format!("{id}: its price is not known"));
    let findings = report.findings.iter().cloned();
    list(to, "To look at", findings.chain(unpriced))?;
    let missing = report.missing.iter().cloned();
    list(to, "Missing from this report", missing)?;
    let notes = report.notes.iter().map(|note| (*note).to_owned());
    list(to, "How to read it", notes)
}

fn summary(report: &Report, to: &mut String) -> fmt::Result {
    let (window, total) = (&report.window, &report.total);
    let (start, end) = (plain(window.start), plain(window.end));
    writeln!(to, "Bedrock usage, {start} to {end} UTC\n")?;
    let (calls, cost) = (grouped(total.invocations), cents(total.cost_usd));
    let (input, output) = (grouped(total.input_tokens), grouped(total.output_tokens));
    let change = change(total);
    writeln!(
        to,
        "{calls} calls, {input} tokens in, {output} out, about {cost} USD{change}"
    )?;
    let thirty_days = cents(report.thirty_days_usd);
    writeln!(to, "At this rate thirty days cost {thirty_days} USD.")?;
    let baseline = report.baseline.as_ref();
    if let Some(baseline) = baseline.filter(|baseline| baseline.saved_usd.pico() > 0) {
        let (there, saved) = (cents(baseline.cost_usd), cents(baseline.saved_usd));
        let model = &baseline.model;
        writeln!(
            to,
            "The same prompts would cost {there} USD with {model} alone: {saved} USD are saved."
        )?;
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

fn models(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "No model was called.".into();
    }
    let ms = |value: Option<u64>| value.map_or("-".into(), grouped);
    let shown = rows.iter().map(|row| {
        [
            row.model_id.clone(),
            row.region.clone(),
            grouped(row.invocations),
            grouped(row.input_tokens + row.cache_read_input_tokens + row.cache_write_input_tokens),
            grouped(row.output_tokens),
            ms(row.latency_ms),
            ms(row.latency_p99_ms),
            grouped(row.client_errors + row.server_errors),
            grouped(row.throttles),
            row.cost_usd.map_or("unknown".into(), cents),
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

fn change(total: &Total) -> String {
    let before = total.previous_cost_usd.pico();
    if before <= 0 {
        return String::new();
    }
    let percent = (total.cost_usd.pico() - before) * 100 / before;
    format!(" ({percent:+} % on the window before)")
}

fn plain(time: jiff::Timestamp) -> String {
    let text = time.to_string();
    text.replace('T', " ").replace(":00Z", "")
}

/// To a hundredth of a cent, which is enough to read.
fn cents(amount: shared::usd::Usd) -> String {
    let hundredths = (amount.pico() + 50_000_000) / 100_000_000;
    format!(
        "{}.{:04}",
        grouped(u64::try_from(hundredths / 10_000).unwrap_or(0)),
        hundredths % 10_000
    )
}

/// A number with a comma after every third digit.
fn grouped(number: u64) -> String {
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
        let usd = |text| shared::usd::Usd::parse(text).unwrap();
        assert_eq!(cents(usd("1234.56789")), "1,234.5679");
        assert_eq!(cents(usd("0.00001")), "0.0000");
    }
}
