//! Figures, and the table that they come to.

use std::time::Duration;

use serde_json::{Value, json};

/// Times of each contender.
#[derive(Debug)]
pub(crate) struct Figures(Vec<Vec<Duration>>);

impl Figures {
    /// For so many contenders.
    pub(crate) fn of(contenders: usize) -> Self {
        Self(vec![Vec::new(); contenders])
    }

    /// Notes a time.
    pub(crate) fn add(&mut self, contender: usize, time: Duration) {
        self.0[contender].push(time);
    }

    /// The time below which so many in a thousand are.
    pub(crate) fn at(&self, contender: usize, per_mille: usize) -> Duration {
        let mut times = self.0[contender].clone();
        times.sort_unstable();
        times[times.len() * per_mille / 1000]
    }
}

/// Rows of figures, one for each contender; the first of them is the floor.
#[derive(Debug)]
pub(crate) struct Table {
    contenders: Vec<String>,
    rows: Vec<(String, Vec<Option<f64>>)>,
}

impl Table {
    /// An empty one.
    pub(crate) fn new(contenders: impl Iterator<Item = String>) -> Self {
        Self {
            contenders: contenders.collect(),
            rows: Vec::new(),
        }
    }

    /// Notes a figure, and shows it.
    pub(crate) fn set(&mut self, what: &str, contender: usize, figure: f64) {
        println!(
            "{:>12.3}  {:<12} {what}",
            figure, self.contenders[contender]
        );
        let row = match self.rows.iter_mut().position(|(name, _)| name == what) {
            Some(row) => row,
            None => {
                self.rows
                    .push((what.to_owned(), vec![None; self.contenders.len()]));
                self.rows.len() - 1
            }
        };
        self.rows[row].1[contender] = Some(figure);
    }

    /// Notes one percentile of the times, in parts of a second.
    pub(crate) fn times(&mut self, what: &str, figures: &Figures, per_mille: usize, unit: f64) {
        for contender in 0..self.contenders.len() {
            self.set(
                what,
                contender,
                figures.at(contender, per_mille).as_secs_f64() * unit,
            );
        }
    }

    /// As Markdown, with each figure's ratio to the floor's.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "| | {} |\n|---|{}\n",
            self.contenders.join(" | "),
            "---|".repeat(self.contenders.len())
        );
        for (what, figures) in &self.rows {
            let floor = figures[0];
            let cells: Vec<String> = figures
                .iter()
                .enumerate()
                .map(|(at, figure)| cell(*figure, floor.filter(|_| at > 0)))
                .collect();
            text += &format!("| {what} | {} |\n", cells.join(" | "));
        }
        text
    }

    /// As JSON: figures by what and whose they are.
    pub(crate) fn json(&self) -> Value {
        let row = |(what, figures): &(String, Vec<Option<f64>>)| {
            let named: serde_json::Map<_, _> = self
                .contenders
                .iter()
                .cloned()
                .zip(figures.iter().map(|figure| json!(figure)))
                .collect();
            (what.clone(), Value::Object(named))
        };
        Value::Object(self.rows.iter().map(row).collect())
    }
}

fn cell(figure: Option<f64>, floor: Option<f64>) -> String {
    let Some(figure) = figure else {
        return String::new();
    };
    let digits = match figure {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    match floor {
        Some(floor) => format!("{figure:.digits$} ({:.2} x)", figure / floor),
        None => format!("{figure:.digits$}"),
    }
}
