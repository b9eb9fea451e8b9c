//! Vectors: read exactly as they stand in a reply, checked, and written out.
//!
//! A component is an `f32`, read from its decimal digits without a detour over `f64`, which would round twice.

use std::fmt::Write;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// What a vector's elements are, and how they are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// A list of numbers.
    #[default]
    Float,
    /// Little-endian `f32`s in base64: a third of the size.
    Base64,
    /// The model's own signed bytes.
    Int8,
    /// The model's own bytes.
    Uint8,
    /// The model's own bits; Cohere packs eight into a signed byte.
    Binary,
    /// The model's own bits, eight in a byte.
    Ubinary,
}

impl Encoding {
    /// The model's word for the elements.
    pub(crate) fn element(self) -> &'static str {
        match self {
            Self::Float | Self::Base64 => "float",
            Self::Int8 => "int8",
            Self::Uint8 => "uint8",
            Self::Binary => "binary",
            Self::Ubinary => "ubinary",
        }
    }

    fn is_bits(self) -> bool {
        matches!(self, Self::Binary | Self::Ubinary)
    }

    /// About so many bytes a vector takes in an answer.
    pub(crate) fn bytes(self, dimensions: u32) -> u64 {
        let dimensions = u64::from(dimensions);
        match self {
            Self::Float => dimensions * 13,
            Self::Base64 => dimensions * 16 / 3 + 4,
            Self::Int8 | Self::Uint8 => dimensions * 5,
            Self::Binary | Self::Ubinary => dimensions * 2,
        }
    }
}

/// A vector.
#[derive(Clone, Debug, PartialEq)]
pub enum Vector {
    /// Floating-point numbers.
    Floats(Vec<f32>),
    /// Whole numbers, or bits, eight in each.
    Integers(Vec<i16>),
}

impl Vector {
    /// Reads a JSON list.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(list: &RawValue, encoding: Encoding) -> Result<Self, String> {
        match encoding {
            Encoding::Float | Encoding::Base64 => numbers(list).map(Self::Floats),
            Encoding::Int8 | Encoding::Uint8 | Encoding::Binary | Encoding::Ubinary => {
                numbers(list).map(Self::Integers)
            }
        }
    }

    /// Checks length and values; a vector that must have unit length and has not is scaled, and `true` says so.
    pub(crate) fn check(
        &mut self,
        dimensions: u32,
        encoding: Encoding,
        unit: bool,
    ) -> Result<bool, String> {
        let dimensions = usize::try_from(dimensions).unwrap_or(usize::MAX);
        match self {
            Self::Integers(values) if values.len() == dimensions => Ok(false),
            // Bits, eight in a byte.
            Self::Integers(values) if encoding.is_bits() && values.len() == dimensions / 8 => {
                Ok(false)
            }
            Self::Floats(values) if values.len() == dimensions => to_unit(values, unit),
            Self::Floats(_) | Self::Integers(_) => Err(format!(
                "a vector of {} elements came, not of {dimensions}",
                self.len()
            )),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Integers(values) => values.len(),
        }
    }

    /// Writes it as JSON.
    pub fn write(&self, encoding: Encoding, to: &mut Vec<u8>) {
        let written = match self {
            Self::Floats(values) if encoding == Encoding::Base64 => {
                let bytes: Vec<u8> = values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                let mut text = String::with_capacity(bytes.len() * 4 / 3 + 8);
                let _ = write!(text, "\"{}\"", STANDARD.encode(bytes));
                to.extend_from_slice(text.as_bytes());
                Ok(())
            }
            Self::Floats(values) => serde_json::to_writer(&mut *to, values),
            Self::Integers(values) => serde_json::to_writer(&mut *to, values),
        };
        // Writing numbers into memory does not fail.
        debug_assert!(written.is_ok());
    }
}

/// How far a length may be from 1 and count as 1: the models' own rounding.
const ROUNDING: f64 = 1e-3;

fn to_unit(values: &mut [f32], unit: bool) -> Result<bool, String> {
    let squares: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
    let norm = squares.sqrt();
    if !norm.is_finite() || norm == 0.0 {
        return Err(format!("a vector of length {norm} came"));
    }
    let is_off = unit && (norm - 1.0).abs() > ROUNDING;
    if is_off {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the nearest f32 is what is wanted"
        )]
        let scaled = |value: f32| (f64::from(value) / norm) as f32;
        values.iter_mut().for_each(|value| *value = scaled(*value));
    }
    Ok(is_off)
}

/// The numbers of a flat JSON list. That it is JSON is known already; what is no number of the kind is an error.
fn numbers<T: FromStr>(list: &RawValue) -> Result<Vec<T>, String> {
    let text = list.get().trim();
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .ok_or("a vector is not a list")?;
    if inner.trim().is_empty() {
        return Err("a vector is empty".into());
    }
    let number = |text: &str| {
        text.trim()
            .parse()
            .map_err(|_| "a vector holds something that is no number of its kind".to_owned())
    };
    inner.split(',').map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn floats_are_read_to_the_last_bit() {
        // Just above the middle between two floats, by less than an f64 can tell: over f64 it would be rounded to the even one.
        let text = "[1.00000005960464477540, -0.02351235, 3e-39]";
        let Ok(Vector::Floats(values)) = Vector::read(&raw(text), Encoding::Float) else {
            panic!("{text}")
        };
        assert_eq!(values, [1.000_000_1_f32, -0.023_512_35, 3e-39]);
        let mut written = Vec::new();
        Vector::Floats(values.clone()).write(Encoding::Float, &mut written);
        let Ok(Vector::Floats(again)) =
            Vector::read(&raw(&String::from_utf8(written).unwrap()), Encoding::Float)
        else {
            panic!("what is written is read")
        };
        assert_eq!(again, values);
    }

    #[test]
    fn base64_is_little_endian() {
        let mut written = Vec::new();
        Vector::Floats(vec![1.0, -2.5]).write(Encoding::Base64, &mut written);
        assert_eq!(written, b"\"AACAPwAAIMA=\"");
    }

    #[test]
    fn what_is_no_vector_is_refused() {
        for text in ["[]", "[null]", "[1, [2]]", "{}", "\"x\"", "[1,\"2\"]"] {
            assert!(Vector::read(&raw(text), Encoding::Float).is_err(), "{text}");
        }
        for text in ["[1.5]", "[99999]"] {
            assert!(Vector::read(&raw(text), Encoding::Int8).is_err(), "{text}");
        }
        let check = |text, dimensions, unit| {
            Vector::read(&raw(text), Encoding::Float).unwrap().check(
                dimensions,
                Encoding::Float,
                unit,
            )
        };
        assert_eq!(
            check("[1, 2]", 3, false).unwrap_err(),
            "a vector of 2 elements came, not of 3"
        );
        assert!(check("[0, 0]", 2, false).unwrap_err().contains("length 0"));
        assert!(check("[1e39, 0]", 2, false).unwrap_err().contains("inf"));
        assert_eq!(check("[1, 0]", 2, true), Ok(false));
        assert_eq!(check("[3, 4]", 2, false), Ok(false));
        let mut scaled = Vector::Floats(vec![3.0, 4.0]);
        assert_eq!(scaled.check(2, Encoding::Float, true), Ok(true));
        assert_eq!(scaled, Vector::Floats(vec![0.6, 0.8]));
    }
}
