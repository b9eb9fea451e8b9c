//! Money, exact: whole pico-dollars inside, a decimal number only in JSON and in print.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, Mul, Sub},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Decimal places of a pico-dollar.
const PLACES: u32 = 12;

/// An amount in US dollars, exact to a pico-dollar (10⁻¹² USD). Sums saturate.
///
/// In JSON it is a number, written from the integer and read from the digits as they stand: no float is involved.
/// It therefore goes through `serde_json` text only, never through `serde_json::Value`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = f64, description = "US dollars, exact to a pico-dollar; read it as a decimal.", example = 0.00001551)]
pub struct Usd(i128);

impl Usd {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// The amount of so many pico-dollars.
    #[must_use]
    pub const fn from_pico(pico: i128) -> Self {
        Self(pico)
    }

    /// The amount in pico-dollars.
    #[must_use]
    pub const fn pico(self) -> i128 {
        self.0
    }

    /// Reads a decimal number such as `0.25`, `3` or `1e-4`.
    ///
    /// # Errors
    /// When the text is not a decimal number, is out of range, or is finer than a pico-dollar.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse_decimal(text, PLACES).map(Self)
    }
}

impl Mul<u64> for Usd {
    type Output = Self;

    fn mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(i128::from(times)))
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Usd {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Usd {
    /// Writes the exact decimal, without trailing zeros: `0.00011`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.digits(&mut [0; MOST_DIGITS]))
    }
}

/// Room for the longest amount: 39 digits, a sign and a point.
const MOST_DIGITS: usize = 48;

impl Usd {
    /// The exact decimal. An answer holds dozens of amounts, so that the digits are made by hand, the last one first.
    fn digits<'a>(&self, buffer: &'a mut [u8; MOST_DIGITS]) -> &'a str {
        let mut rest = self.0.unsigned_abs();
        let mut at = buffer.len();
        let mut put = |byte: u8| {
            at -= 1;
            if let Some(place) = buffer.get_mut(at) {
                *place = byte;
            }
        };
        let mut is_nothing_yet = true;
        for place in 0.. {
            if place == PLACES {
                if !is_nothing_yet {
                    put(b'.');
                }
                is_nothing_yet = false;
            }
            if place > PLACES && rest == 0 {
                break;
            }
            let digit;
            (rest, digit) = divided(rest);
            // Zeros at the end say nothing.
            if digit != 0 || !is_nothing_yet {
                put(b'0' + digit);
                is_nothing_yet = false;
            }
        }
        if self.0 < 0 {
            put(b'-');
        }
        let digits = buffer.get(at..).unwrap_or_default();
        std::str::from_utf8(digits).unwrap_or_default()
    }
}

/// A tenth, and the last digit. Amounts of models fit into one machine word, whose division is much quicker.
fn divided(amount: u128) -> (u128, u8) {
    let (tenth, digit) = match u64::try_from(amount) {
        Ok(small) => (u128::from(small / 10), small % 10),
        Err(_) => (amount / 10, u64::try_from(amount % 10).unwrap_or(0)),
    };
    (tenth, u8::try_from(digit).unwrap_or(0))
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = [0; MOST_DIGITS];
        let number: &RawValue =
            serde_json::from_str(self.digits(&mut buffer)).map_err(ser::Error::custom)?;
        number.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(number.get()).map_err(de::Error::custom)
    }
}

/// The price of one token, in whole pico-dollars; every published Bedrock price is one.
///
/// In JSON it is USD per million tokens, as price lists print it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = f64, description = "US dollars per million tokens.", example = 2.2)]
pub struct Rate(u64);

impl Rate {
    /// Pico-dollars per token that a USD-per-million-tokens figure is shifted by: 10¹² / 10⁶.
    const PLACES: u32 = PLACES - 6;

    /// A price of so many pico-dollars per token.
    #[must_use]
    pub const fn from_pico(pico: u64) -> Self {
        Self(pico)
    }

    /// Pico-dollars per token.
    #[must_use]
    pub const fn pico(self) -> u64 {
        self.0
    }

    /// What so many tokens cost.
    #[must_use]
    pub const fn times(self, tokens: u64) -> Usd {
        Usd(self.0 as i128 * tokens as i128)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.times(1_000_000).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Box::<RawValue>::deserialize(deserializer)?;
        let pico = parse_decimal(number.get(), Self::PLACES).map_err(de::Error::custom)?;
        u64::try_from(pico)
            .map(Self)
            .map_err(|_| de::Error::custom("a price is not negative"))
    }
}

/// Reads a JSON number as an integer of 10^-places units, exactly.
fn parse_decimal(text: &str, places: u32) -> Result<i128, String> {
    let wrong = || format!("{text} is not a decimal number");
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| wrong())?),
        None => (text, 0),
    };
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || !(whole.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let significant = format!("{whole}{fraction}");
    let significant = significant.trim_start_matches('0');
    let value: i128 = match significant {
        "" => return Ok(0),
        digits => digits
            .parse()
            .map_err(|_| format!("{text} is out of range"))?,
    };
    let shift = i64::from(places) + i64::from(exponent) - fraction.len() as i64;
    let power = u32::try_from(shift.unsigned_abs())
        .ok()
        .and_then(|p| 10i128.checked_pow(p));
    let shifted = match (power, shift >= 0) {
        (Some(power), true) => value.checked_mul(power),
        (Some(power), false) if value % power == 0 => Some(value / power),
        (_, false) => return Err(format!("{text} has more than {places} decimal places")),
        (None, true) => None,
    };
    shifted
        .map(|value| sign * value)
        .ok_or_else(|| format!("{text} is out of range"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prints_the_exact_decimal() {
        for (pico, text) in [
            (0, "0"),
            (110, "0.00000000011"),
            (3_000_000_000_000, "3"),
            (-1_500_000_000_000, "-1.5"),
            (i128::MIN, "-170141183460469231731687303.715884105728"),
        ] {
            assert_eq!(Usd::from_pico(pico).to_string(), text);
            assert_eq!(serde_json::to_string(&Usd::from_pico(pico)).unwrap(), text);
        }
    }

    #[test]
    fn reads_the_digits_as_they_stand() {
        assert_eq!(Usd::parse("0.1"), Ok(Usd::from_pico(100_000_000_000)));
        assert_eq!(Usd::parse("1e-4"), Ok(Usd::from_pico(100_000_000)));
        assert_eq!(Usd::parse("25E-2"), Ok(Usd::from_pico(250_000_000_000)));
        assert_eq!(Usd::parse("0e99999"), Ok(Usd::ZERO));
    }

    #[test]
    fn refuses_what_is_not_an_exact_amount() {
        for text in [
            "",
            "-",
            ".5",
            "1.2.3",
            "ten",
            "\"1\"",
            "1e",
            "1e-13",
            "0.0000000000001",
            "1e40",
            "1e-999999999999",
            "null",
        ] {
            assert!(Usd::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_is_written_per_million_tokens() {
        let rate: Rate = serde_json::from_str("0.1375").unwrap();
        assert_eq!(rate.pico(), 137_500);
        assert_eq!(serde_json::to_string(&rate).unwrap(), "0.1375");
        assert_eq!(rate.times(1_000_000), Usd::parse("0.1375").unwrap());
        assert!(serde_json::from_str::<Rate>("-1").is_err());
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(pico in -(10i128.pow(30))..10i128.pow(30)) {
            prop_assert_eq!(Usd::parse(&Usd::from_pico(pico).to_string()), Ok(Usd::from_pico(pico)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9eE.]{0,24}") {
            let _ = Usd::parse(&text);
        }
    }
}
