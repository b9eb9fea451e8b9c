//! What an operator's own labelled prompts add to the trees: a correction of the gain, and pressures of its own.
//!
//! `cargo run -- calibrate` writes the file, `ROUTER_FILE` names it. The correction is linear in the gain and in the logarithms of the
//! features, in whole numbers.

use serde::{Deserialize, Serialize};

use super::features::{COUNT, Values};
use crate::routing::Budget;

/// A correction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Calibration {
    /// Of what, when, and what it is worth.
    pub about: String,
    /// What is always added, in millionths.
    pub offset: i32,
    /// What is added for each whole gain, in millionths.
    pub slope: i32,
    /// What is added for each doubling of a feature, in billionths; one of each feature.
    pub weights: Vec<i32>,
    /// What a budget gives up for the whole price of a large model, in millionths of quality: lower-cost, balanced, best-quality.
    pub pressures: [i32; 3],
}

impl Calibration {
    /// Reads a file.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(json: &str) -> Result<Self, String> {
        let read: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        match read.weights.len() == COUNT {
            true => Ok(read),
            false => Err(format!(
                "it has {} weights and not {COUNT}: it was made for another version; run `cargo run -- calibrate` again",
                read.weights.len()
            )),
        }
    }

    /// The gain, corrected.
    pub(super) fn correct(&self, values: &Values, gain: i32) -> i32 {
        let slope = i64::from(self.slope) * i64::from(gain) / 1_000_000;
        let doublings = self.weights.iter().zip(values);
        let added: i64 = doublings
            .map(|(weight, value)| i64::from(*weight) * i64::from(log2(*value)))
            .sum();
        let all = i64::from(gain) + i64::from(self.offset) + slope + added / (UNIT * 1000);
        i32::try_from(all.clamp(-1_000_000, 1_000_000)).unwrap_or(gain)
    }

    pub(super) fn pressure(&self, budget: Budget) -> i32 {
        let [lower_cost, balanced, best_quality] = self.pressures;
        match budget {
            Budget::LowerCost => lower_cost,
            Budget::Balanced => balanced,
            Budget::BestQuality => best_quality,
        }
    }
}

/// Parts of a doubling.
const UNIT: i64 = 256;

/// The logarithm of one more than a value, to the base of two, in 256ths: exact at powers of two, straight between them.
#[must_use]
pub fn log2(value: i32) -> i32 {
    let value = value.max(0).unsigned_abs() + 1;
    let whole = value.ilog2();
    let rest = (u64::from(value) << 8 >> whole) & 0xFF;
    i32::try_from(u64::from(whole) * 256 + rest).unwrap_or(i32::MAX)
}
