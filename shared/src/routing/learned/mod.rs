//! The learned router: from a prompt to the quality that each class of models would give, in microseconds and without allocation.
//!
//! [`features`] is what it sees, [`words`] the lists of words behind some of it, `model` the trees, whose file `train/train.py` writes.
//! What it was trained on, and what it is worth, is in `train/README.md`.

use calibration::Calibration;
use features::{COUNT, Feature, MEANINGS, Values};
use model::{Head, Model};
use words::{LISTS, OPEN};

use super::facts::Budget;
use crate::catalog::Tier;

pub mod calibration;
pub mod features;
mod model;
#[cfg(test)]
mod tests;
pub mod words;

/// The trees.
static TRAINED: &[u8] = include_bytes!("../../../router.bin");

/// Bytes of the pressures, one of each budget, before the trees.
const PRESSURES: usize = 12;

/// What the router foretells of a prompt. Qualities are millionths, from 0 to 1,000,000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foretold {
    /// The quality that a small model would give, that a medium one would, and a large one.
    pub quality: [i32; 3],
    /// What a large model would give more than a small one; what decides.
    pub gain: i32,
    /// The tokens of the answer.
    pub output_tokens: u32,
    /// How much of the gain is the doing of the turn before.
    pub context: i32,
}

/// By how much a feature has moved the gain, in millionths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The feature, in words, with its value.
    pub feature: String,
    /// By how much.
    pub by: i32,
}

/// The features of a prompt, for training.
#[must_use]
pub fn seen(prompt: &str) -> Vec<i32> {
    features::read(prompt).to_vec()
}

/// More of a prompt in other scripts than this, per thousand bytes, and nothing alike was learned from.
const FOREIGN: i32 = 200;
/// With fewer words there is nothing to go by.
const FEWEST: i32 = 3;

/// What is to be expected of a prompt, by the trees alone.
#[must_use]
pub fn foretell(prompt: &str) -> Foretold {
    of(&features::read(prompt), None)
}

/// What is to be expected of a user turn, corrected by what an operator's own prompts have shown; `None` where nothing alike was
/// learned from.
///
/// The turn before it counts as context, by a fourth; a turn of a word or two ("and why?") is judged by the turn before alone.
/// No labelled conversations are to be had, so this share is a choice and not fitted.
#[must_use]
pub fn foretell_by(
    calibration: Option<&Calibration>,
    prompt: &str,
    earlier: Option<&str>,
) -> Option<Foretold> {
    let values = features::read(prompt);
    let share = match is_alike(&values) {
        true => 4,
        false if is_scant(&values) => 1,
        false => return None,
    };
    let earlier = earlier.map(features::read).filter(is_alike);
    match earlier {
        Some(earlier) => Some(of(&values, calibration).after(&of(&earlier, calibration), share)),
        None => (share > 1).then(|| of(&values, calibration)),
    }
}

impl Foretold {
    /// The same with a share of what an earlier turn foretells.
    fn after(self, earlier: &Self, share: i32) -> Self {
        let moved = |own: i32, other: i32| own + (other - own) / share;
        let [small, medium, large] = self.quality;
        let [earlier_small, earlier_medium, earlier_large] = earlier.quality;
        let gain = moved(self.gain, earlier.gain);
        Self {
            quality: [
                moved(small, earlier_small),
                moved(medium, earlier_medium),
                moved(large, earlier_large),
            ],
            gain,
            context: gain - self.gain,
            ..self
        }
    }
}

/// Whether there is too little to go by.
fn is_scant(values: &Values) -> bool {
    value(values, Feature::Words) < FEWEST
}

fn value(values: &Values, feature: Feature) -> i32 {
    values.get(feature as usize).copied().unwrap_or(0)
}

/// Whether anything alike was learned from: questions with an answer that can be checked, in a script that was there.
fn is_alike(values: &Values) -> bool {
    let first = usize::try_from(value(values, Feature::FirstWord));
    let is_open = OPEN.iter().any(|class| first == Ok(class + 1));
    !is_scant(values) && value(values, Feature::Foreign) <= FOREIGN && !is_open
}

fn of(values: &Values, calibration: Option<&Calibration>) -> Foretold {
    let [small, medium, gain, tokens] = trees().foretell(values, |_, _, _| {});
    let gain = calibration.map_or(gain, |calibration| calibration.correct(values, gain));
    let small = small.clamp(0, 1_000_000);
    let better = |by: i32| small.saturating_add(by).clamp(0, 1_000_000);
    let large = better(gain);
    // A medium model stands between the two, or the trees have seen too little of it.
    let medium = better(medium).clamp(small.min(large), small.max(large));
    Foretold {
        quality: [small, medium, large],
        gain,
        output_tokens: exponential(tokens),
        context: 0,
    }
}

/// Why the gain is what it is: the features that moved it most, either way.
#[must_use]
pub fn pushes(prompt: &str, most: usize) -> Vec<Push> {
    let values = features::read(prompt);
    let mut moved = [0_i32; COUNT];
    trees().foretell(&values, |head, feature, by| {
        if let Some(sum) = moved.get_mut(feature).filter(|_| head == Head::Large) {
            *sum += by;
        }
    });
    let mut all: Vec<_> = moved
        .into_iter()
        .enumerate()
        .filter(|(_, by)| *by != 0)
        .collect();
    all.sort_by_key(|(feature, by)| (std::cmp::Reverse(by.unsigned_abs()), *feature));
    let named = all.into_iter().take(most);
    named
        .map(|(feature, by)| Push {
            feature: format!(
                "{}: {}",
                meaning(feature),
                values.get(feature).unwrap_or(&0)
            ),
            by,
        })
        .collect()
}

/// A feature in words.
fn meaning(feature: usize) -> String {
    let class = |at: usize| LISTS.get(at).map_or("", |(name, _)| name);
    match (MEANINGS.get(feature), feature.checked_sub(MEANINGS.len())) {
        (Some(meaning), _) => (*meaning).to_owned(),
        (None, Some(at)) if at < LISTS.len() => class(at).to_owned(),
        (None, at) => format!("{}, per thousand", class(at.unwrap_or(0) - LISTS.len())),
    }
}

/// The tier whose quality, less the pressure of its price, is highest. `prices` are what each tier costs, as parts of a thousand of the
/// dearest; `pressure` is what a budget gives up, in millionths of quality, for the whole price of a large model; `evidence` is what else speaks for a large model, in millionths of quality.
#[must_use]
pub fn choose(foretold: &Foretold, prices: [u16; 3], pressure: i32, evidence: i32) -> Tier {
    let pressure = i64::from(pressure);
    let [small, medium, large] = foretold.quality.map(i64::from);
    let evidence = i64::from(evidence);
    let worth = |quality: i64, price: u16| quality * 1000 - pressure * i64::from(price);
    let [small_price, medium_price, large_price] = prices;
    let tiers = [
        (Tier::Simple, worth(small, small_price)),
        (Tier::Medium, worth(medium + evidence / 2, medium_price)),
        (Tier::Complex, worth(large + evidence, large_price)),
    ];
    // Of two that are worth the same, the cheaper one.
    let best = tiers
        .into_iter()
        .reduce(|best, tier| if tier.1 > best.1 { tier } else { best });
    best.map_or(Tier::Medium, |(tier, _)| tier)
}

/// What a budget gives up, in millionths of quality, for the whole price of a large model.
#[must_use]
pub fn pressure(calibration: Option<&Calibration>, budget: Budget) -> i32 {
    if let Some(calibration) = calibration {
        return calibration.pressure(budget);
    }
    let at = match budget {
        Budget::LowerCost => 0,
        Budget::Balanced => 4,
        Budget::BestQuality => 8,
    };
    let bytes = TRAINED
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, i32::from_le_bytes)
}

fn trees() -> Model<'static> {
    Model(TRAINED.get(PRESSURES..).unwrap_or_default())
}

/// `e` to a power in millionths, rounded: by squares of whole numbers, which are the same everywhere.
fn exponential(power: i32) -> u32 {
    // 40 bits behind the point.
    const ONE: u128 = 1 << 40;
    let mut result = ONE;
    // e to a millionth.
    let mut base = ONE + (ONE * 2_000_001).div_ceil(2_000_000_000_000);
    let mut left = power.clamp(0, 14_000_000);
    while left > 0 {
        if left & 1 == 1 {
            result = (result * base) >> 40;
        }
        base = (base * base) >> 40;
        left >>= 1;
    }
    u32::try_from((result + ONE / 2) >> 40).unwrap_or(u32::MAX)
}
