//! The learned router, fitted to an operator's own labelled prompts: a ridge on what the trees get wrong, judged by cross-validation.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use std::collections::BTreeMap;

use shared::catalog::{Catalog, Named};
use shared::routing::learned::calibration::{Calibration, log2};
use shared::routing::learned::{foretell, seen};
use shared::telemetry;

/// The fewest and the most prompts that make sense.
const FEWEST: usize = 50;
const MOST: usize = 5000;
/// How strongly corrections are held back; the strongest that does as well as any other is taken.
const RIDGES: [f64; 5] = [3000.0, 1000.0, 300.0, 100.0, 30.0];
const FOLDS: usize = 5;
/// In so many of the samples that are drawn again the correction must be better.
const SURELY: f64 = 0.9;
const SAMPLES: u32 = 400;
/// Parts of the large model's quality that the budgets keep.
const KEPT: [f64; 3] = [0.90, 0.95, 0.98];

/// Labelled prompts, and where the correction goes.
#[derive(Debug, clap::Args)]
pub struct Labels {
    /// JSON lines `{"prompt": ..., "models": {"name": quality from 0 to 1}}`, 50 to 5,000 of them.
    file: PathBuf,
    /// The small model's name; the cheapest of those in the file if absent.
    #[arg(long)]
    small: Option<String>,
    /// The large model's name; the dearest of those in the file if absent.
    #[arg(long)]
    large: Option<String>,
    /// The file that is written, for `ROUTER_FILE`.
    #[arg(long, default_value = "router.json")]
    out: PathBuf,
}

#[derive(Deserialize)]
struct Line {
    prompt: String,
    models: BTreeMap<String, f64>,
}

/// A prompt as the fit sees it.
struct Row {
    /// Constant, gain, and the logarithms of the features, each on about the same scale.
    columns: Vec<f64>,
    /// What the trees foretell, and what was.
    gain: f64,
    small: f64,
    large: f64,
}

/// Fits, judges, and writes the file if it does better than the trees alone.
///
/// # Errors
/// A sentence that says what is wrong, or that nothing was gained.
pub fn calibrate(labels: &Labels) -> Result<String, String> {
    let lines = read(&labels.file)?;
    let (small, large) = pair(&lines, labels)?;
    let rows: Vec<_> = lines
        .iter()
        .filter_map(|line| Row::of(line, &small, &large))
        .collect();
    if !(FEWEST..=MOST).contains(&rows.len()) {
        let count = rows.len();
        return Err(format!(
            "{count} prompts have a quality of both {small} and {large}; {FEWEST} to {MOST} are wanted"
        ));
    }
    let scale = Scale::of(&rows);
    let before: Vec<_> = rows.iter().map(|row| row.gain).collect();
    let (mut best, mut strength) = (Vec::new(), None);
    for ridge in RIDGES {
        let tried = cross_validated(&rows, &scale, ridge);
        if strength.is_none() || worth(&rows, &tried) > worth(&rows, &best) + 0.002 {
            (best, strength) = (tried, Some(ridge));
        }
    }
    let (was, is) = (worth(&rows, &before), worth(&rows, &best));
    let judged = judgement(&rows, &small, &large, (was, &before), (is, &best));
    let surely = sureness(&rows, &before, &best);
    let judged = format!(
        "{judged}\nbetter in {:.0} % of samples drawn again",
        surely * 100.0
    );
    let Some(ridge) = strength.filter(|_| is > was && surely >= SURELY) else {
        return Err(format!(
            "{judged}\n\nOn prompts that it was not fitted to, the correction is not surely better than the trees alone: nothing was written. \
             More, or more varied, prompts may help."
        ));
    };
    let weights = fit(&rows.iter().collect::<Vec<_>>(), &scale, ridge);
    let about = format!(
        "{} prompts, {small} and {large}, {}; APGR {was:.3} before, {is:.3} after, by {FOLDS}-fold cross-validation",
        rows.len(),
        telemetry::today()
    );
    let calibration = scale.unscaled(&weights, about, pressures(&rows, &best));
    let json = serde_json::to_string(&calibration).map_err(|error| error.to_string())?;
    fs::write(&labels.out, json + "\n")
        .map_err(|error| format!("{}: {error}", labels.out.display()))?;
    Ok(format!(
        "{judged}\n\nwritten to {out}; set ROUTER=learned and ROUTER_FILE={out}, and bundle the file with the function or put it into a layer",
        out = labels.out.display()
    ))
}

fn read(file: &Path) -> Result<Vec<Line>, String> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    let read = |(number, line): (usize, &str)| {
        let line: Line = serde_json::from_str(line)
            .map_err(|error| format!("{name}: line {}: {error}", number + 1))?;
        match line
            .models
            .values()
            .all(|quality| (0.0..=1.0).contains(quality))
        {
            true => Ok(line),
            false => Err(format!(
                "{name}: line {}: a quality is from 0 to 1",
                number + 1
            )),
        }
    };
    lines.map(read).collect()
}

/// The cheapest and the dearest model, or those that are named.
fn pair(lines: &[Line], labels: &Labels) -> Result<(String, String), String> {
    if let (Some(small), Some(large)) = (&labels.small, &labels.large) {
        return Ok((small.clone(), large.clone()));
    }
    let mut names: Vec<_> = lines.iter().flat_map(|line| line.models.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let price = |name: &&String| match Catalog::built_in().named(name) {
        Named::Model(reference) => {
            let prices = reference
                .model
                .prices
                .iter()
                .find_map(|prices| prices.standard.as_ref())?;
            Some(prices.output?.pico())
        }
        Named::Opaque | Named::Unknown(_) => None,
    };
    let mut priced: Vec<_> = names
        .iter()
        .filter_map(|name| Some((price(name)?, (*name).clone())))
        .collect();
    priced.sort();
    match (priced.first(), priced.last()) {
        (Some((low, small)), Some((high, large))) if low < high => Ok((
            labels.small.clone().unwrap_or_else(|| small.clone()),
            labels.large.clone().unwrap_or_else(|| large.clone()),
        )),
        _ => Err("say which is the small and which the large model, with --small and --large: the names in the file are not two priced models of the catalog".into()),
    }
}

impl Row {
    fn of(line: &Line, small: &str, large: &str) -> Option<Self> {
        let gain = f64::from(foretell(&line.prompt).gain) / 1e6;
        let logs = seen(&line.prompt)
            .into_iter()
            .map(|value| f64::from(log2(value)) / 256.0);
        Some(Self {
            columns: [1.0, gain].into_iter().chain(logs).collect(),
            gain,
            small: *line.models.get(small)?,
            large: *line.models.get(large)?,
        })
    }

    fn missed(&self) -> f64 {
        self.large - self.small - self.gain
    }
}

/// What brings the columns to one scale: their means, and what they are multiplied by.
struct Scale {
    means: Vec<f64>,
    factors: Vec<f64>,
}

impl Scale {
    fn of(rows: &[Row]) -> Self {
        let count = f64::from(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        let width = rows.first().map_or(0, |row| row.columns.len());
        let mut scale = Self {
            means: Vec::new(),
            factors: Vec::new(),
        };
        for column in 0..width {
            let values = || rows.iter().filter_map(|row| row.columns.get(column));
            let mean = values().sum::<f64>() / count;
            let spread = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
            // The constant is hardly held back, and the slope less than the features.
            let (mean, factor) = match column {
                0 => (0.0, 3.0),
                1 => (mean, 3.0 / (spread + 0.01)),
                _ => (mean, 1.0 / (spread + 0.2)),
            };
            scale.means.push(mean);
            scale.factors.push(factor);
        }
        scale
    }

    fn scaled(&self, row: &Row) -> Vec<f64> {
        let columns = row.columns.iter().zip(&self.means).zip(&self.factors);
        columns
            .map(|((value, mean), factor)| (value - mean) * factor)
            .collect()
    }

    fn unscaled(&self, weights: &[f64], about: String, pressures: [i32; 3]) -> Calibration {
        let plain: Vec<_> = weights
            .iter()
            .zip(&self.factors)
            .map(|(weight, factor)| weight * factor)
            .collect();
        let shift: f64 = plain
            .iter()
            .zip(&self.means)
            .map(|(weight, mean)| weight * mean)
            .sum();
        let [constant, slope, features @ ..] = plain.as_slice() else {
            return Calibration {
                about,
                offset: 0,
                slope: 0,
                weights: Vec::new(),
                pressures,
            };
        };
        Calibration {
            about,
            offset: whole((constant - shift) * 1e6),
            slope: whole(slope * 1e6),
            weights: features.iter().map(|weight| whole(weight * 1e9)).collect(),
            pressures,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "it is rounded, and `as` keeps to the bounds"
)]
fn whole(value: f64) -> i32 {
    value.round() as i32
}

/// The ridge on what the trees have missed, by coordinate descent: each weight in turn is set to what is best beside the others.
fn fit(rows: &[&Row], scale: &Scale, ridge: f64) -> Vec<f64> {
    let columns: Vec<_> = rows.iter().map(|row| scale.scaled(row)).collect();
    let width = scale.means.len();
    let mut weights = vec![0.0; width];
    let mut left: Vec<_> = rows.iter().map(|row| row.missed()).collect();
    for _ in 0..200 {
        let mut moved: f64 = 0.0;
        for (at, weight) in weights.iter_mut().enumerate() {
            let column = || columns.iter().filter_map(|row| row.get(at));
            let along: f64 = column().zip(&left).map(|(value, left)| value * left).sum();
            let square: f64 = column().map(|value| value * value).sum();
            let step = (along - ridge * *weight) / (square + ridge);
            for (left, value) in left.iter_mut().zip(column()) {
                *left -= step * value;
            }
            *weight += step;
            moved = moved.max(step.abs());
        }
        if moved < 1e-7 {
            break;
        }
    }
    weights
}

/// What is foretold of each prompt by a fit to the others.
fn cross_validated(rows: &[Row], scale: &Scale, ridge: f64) -> Vec<f64> {
    let mut foretold = vec![0.0; rows.len()];
    for fold in 0..FOLDS {
        let others: Vec<_> = rows
            .iter()
            .enumerate()
            .filter(|(at, _)| at % FOLDS != fold)
            .map(|(_, row)| row)
            .collect();
        let weights = fit(&others, scale, ridge);
        for (place, row) in foretold.iter_mut().zip(rows).skip(fold).step_by(FOLDS) {
            let added: f64 = scale
                .scaled(row)
                .iter()
                .zip(&weights)
                .map(|(value, weight)| value * weight)
                .sum();
            *place = row.gain + added;
        }
    }
    foretold
}

/// Quality from all small to all large, by falling score, with the score of each step.
fn path(rows: &[Row], scores: &[f64]) -> Vec<(f64, f64)> {
    let mut order: Vec<_> = rows.iter().zip(scores).collect();
    order.sort_by(|a, b| b.1.total_cmp(a.1));
    let count = f64::from(u32::try_from(rows.len()).unwrap_or(u32::MAX));
    let mut quality: f64 = rows.iter().map(|row| row.small).sum();
    let steps = order.into_iter().map(|(row, score)| {
        quality += row.large - row.small;
        (quality / count, *score)
    });
    steps.collect()
}

/// APGR: the part of the gap in quality that is recovered, on average over all shares of calls to the large model.
fn worth(rows: &[Row], scores: &[f64]) -> f64 {
    let steps = path(rows, scores);
    let count = f64::from(u32::try_from(rows.len()).unwrap_or(u32::MAX));
    let small = rows.iter().map(|row| row.small).sum::<f64>() / count;
    let large = steps.last().map_or(small, |(quality, _)| *quality);
    let mean = steps
        .iter()
        .map(|(quality, _)| quality - small)
        .sum::<f64>()
        / count;
    // Of a step, its middle.
    (mean - (large - small) / (2.0 * count)) / (large - small)
}

/// In how many samples of as many prompts, drawn with repetition, the second scores are worth more than the first.
fn sureness(rows: &[Row], before: &[f64], after: &[f64]) -> f64 {
    // Marsaglia's xorshift: the same samples each time.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % rows.len() as u64).unwrap_or(0)
    };
    let mut better = 0;
    for _ in 0..SAMPLES {
        let drawn: Vec<_> = (0..rows.len()).map(|_| draw()).collect();
        let sample = |scores: &[f64]| {
            let mut steps: Vec<_> = drawn
                .iter()
                .filter_map(|at| Some((rows.get(*at)?, *scores.get(*at)?)))
                .collect();
            steps.sort_by(|a, b| b.1.total_cmp(&a.1));
            let mut gained = 0.0;
            let mut area = 0.0;
            for (row, _) in steps {
                gained += row.large - row.small;
                area += gained;
            }
            area
        };
        better += u32::from(sample(after) > sample(before));
    }
    f64::from(better) / f64::from(SAMPLES)
}

/// Share of calls to the large model that keeps a part of its quality.
fn share(rows: &[Row], scores: &[f64], kept: f64) -> f64 {
    let steps = path(rows, scores);
    let wanted = steps.last().map_or(0.0, |(quality, _)| quality * kept);
    let needed = steps
        .iter()
        .position(|(quality, _)| *quality >= wanted)
        .unwrap_or(steps.len());
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    count(needed + 1) / count(steps.len())
}

/// The pressures that keep the budgets' parts of quality, where a small model costs next to nothing.
fn pressures(rows: &[Row], scores: &[f64]) -> [i32; 3] {
    let steps = path(rows, scores);
    let large = steps.last().map_or(0.0, |(quality, _)| *quality);
    let mut least = i32::MAX;
    KEPT.map(|kept| {
        let step = steps.iter().find(|(quality, _)| *quality >= kept * large);
        // A dearer budget never has more pressure than a cheaper one.
        least = least.min(whole(step.map_or(0.0, |(_, score)| *score) * 1e6).max(0));
        least
    })
}

fn judgement(
    rows: &[Row],
    small: &str,
    large: &str,
    before: (f64, &[f64]),
    after: (f64, &[f64]),
) -> String {
    let count = f64::from(u32::try_from(rows.len()).unwrap_or(u32::MAX));
    let mean = |quality: fn(&Row) -> f64| rows.iter().map(quality).sum::<f64>() / count;
    let percent = |scores: &[f64], kept| share(rows, scores, kept) * 100.0;
    let mut lines = vec![
        format!(
            "{} prompts; {small}: {:.3}, {large}: {:.3}",
            rows.len(),
            mean(|row| row.small),
            mean(|row| row.large)
        ),
        format!("{:44} {:>8} {:>8}", "", "before", "after"),
        format!(
            "{:44} {:8.3} {:8.3}",
            "APGR (0.5 is chance)", before.0, after.0
        ),
    ];
    lines.extend(KEPT.map(|kept| {
        let what = format!(
            "calls to the large model, {:.0} % of its quality",
            kept * 100.0
        );
        format!(
            "{what:44} {:6.0} % {:6.0} %",
            percent(before.1, kept),
            percent(after.1, kept)
        )
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prompts of two kinds; `large` says what the large model makes of the first and of the second.
    fn labelled(name: &str, large: impl Fn(usize) -> f64) -> Labels {
        let lines = (0..200).map(|at| {
            let prompt = match at % 4 < 2 {
                true => format!("What is the name of river number {at} in the table below, if there is any?"),
                false => format!("How many of the {at} apples are left when {} friends take half of them each hour?", at % 7),
            };
            let models = serde_json::json!({ "haiku": 0.5, "opus": large(at) });
            serde_json::json!({ "prompt": prompt, "models": models }).to_string() + "\n"
        });
        let file =
            std::env::temp_dir().join(format!("calibrate-{name}-{}.jsonl", std::process::id()));
        fs::write(&file, lines.collect::<String>()).unwrap();
        Labels {
            out: file.with_extension("json"),
            file,
            small: None,
            large: None,
        }
    }

    #[test]
    fn what_the_labels_show_is_learned() {
        // The large model is better at rivers and worse at apples, whatever the trees think.
        let labels = labelled("clear", |at| if at % 4 < 2 { 1.0 } else { 0.4 });
        let told = calibrate(&labels).unwrap();
        assert!(told.contains("haiku: 0.500, opus: 0.700"), "{told}");
        let made = Calibration::parse(&fs::read_to_string(&labels.out).unwrap()).unwrap();
        let gain = |prompt: &str| {
            shared::routing::learned::foretell_by(Some(&made), prompt, None)
                .unwrap()
                .gain
        };
        let (river, apples) = (
            gain("What is the name of river number 900 in the table below, if there is any?"),
            gain("How many of the 900 apples are left when 3 friends take half of them each hour?"),
        );
        assert!(river > apples + 200_000, "{river} {apples}");
        assert!(made.pressures.is_sorted_by(|a, b| a >= b));
        for file in [&labels.file, &labels.out] {
            fs::remove_file(file).unwrap();
        }
    }

    #[test]
    fn what_they_do_not_show_is_refused() {
        // Whether the large model is right has nothing to do with the prompt.
        let labels = labelled("noise", |at| {
            f64::from(u8::try_from(at * 7919 % 97 % 2).unwrap())
        });
        let told = calibrate(&labels).unwrap_err();
        assert!(
            told.contains("nothing was written") && !labels.out.exists(),
            "{told}"
        );
        fs::remove_file(&labels.file).unwrap();
        let missing = calibrate(&labels).unwrap_err();
        assert!(missing.contains("No such file"), "{missing}");
    }

    #[test]
    fn wrong_files_are_told() {
        let file =
            std::env::temp_dir().join(format!("calibrate-wrong-{}.jsonl", std::process::id()));
        for (text, words) in [
            ("{\"prompt\": 1}", "line 1"),
            ("{\"prompt\": \"x\", \"models\": {\"a\": 2}}", "from 0 to 1"),
            (
                "{\"prompt\": \"x\", \"models\": {\"a\": 1, \"b\": 1}}",
                "--small",
            ),
            (
                "{\"prompt\": \"x\", \"models\": {\"haiku\": 1, \"opus\": 1}}",
                "50 to 5000",
            ),
        ] {
            fs::write(&file, text).unwrap();
            let labels = Labels {
                file: file.clone(),
                small: None,
                large: None,
                out: file.with_extension("out"),
            };
            let told = calibrate(&labels).unwrap_err();
            assert!(told.contains(words), "{told}");
        }
        fs::remove_file(&file).unwrap();
    }
}
