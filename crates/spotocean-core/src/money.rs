//! Money as integers: millionths of a US dollar, and the same per hour.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// Millionths of a dollar in one dollar.
const MICRO_PER_USD: i64 = 1_000_000;

/// A price in millionths of a US dollar per hour.
///
/// EC2 states spot prices with six decimals (DescribeSpotPriceHistory), so a
/// micro-dollar holds every price exactly. Arithmetic saturates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PricePerHour(pub i64);

impl PricePerHour {
    /// Nothing per hour.
    pub const ZERO: Self = Self(0);

    /// The price in millionths of a dollar per hour.
    #[must_use]
    pub fn micro_usd(self) -> i64 {
        self.0
    }

    /// Reads a decimal number of dollars such as `0.0416` or `12`.
    ///
    /// Digits past the sixth decimal are dropped. Returns `None` for signs,
    /// exponents and anything else that is not a plain decimal number.
    #[must_use]
    pub fn parse_usd(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let dollars: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let six: String = fraction.chars().chain("000000".chars()).take(6).collect();
        let micro: i64 = six.parse().ok()?;
        dollars.checked_mul(MICRO_PER_USD)?.checked_add(micro).map(Self)
    }

    /// This price times a count of equal things.
    #[must_use]
    pub fn times(self, count: i64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// The whole percent by which `self` is below `reference`; zero when it is not.
    #[must_use]
    pub fn percent_below(self, reference: Self) -> i64 {
        if reference.0 <= 0 || self.0 >= reference.0 {
            return 0;
        }
        let saved = i128::from(reference.0 - self.0) * 100 / i128::from(reference.0);
        i64::try_from(saved).unwrap_or(100)
    }
}

impl Add for PricePerHour {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for PricePerHour {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for PricePerHour {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for PricePerHour {
    fn sum<I: Iterator<Item = Self>>(prices: I) -> Self {
        prices.fold(Self::ZERO, Add::add)
    }
}

/// Dollars with four decimals, rounded half up: `0.0416`.
impl fmt::Display for PricePerHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let tenths_of_milli = self.0.unsigned_abs().saturating_add(50) / 100;
        write!(
            f,
            "{sign}{}.{:04}",
            tenths_of_milli / 10_000,
            tenths_of_milli % 10_000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_exactly() {
        let rows = [
            ("0.0416", Some(41_600)),
            ("12", Some(12_000_000)),
            (".5", Some(500_000)),
            ("0.123456789", Some(123_456)),
            ("", None),
            (".", None),
            ("-1", None),
            ("1e3", None),
            ("99999999999999999999", None),
        ];
        for (text, expected) in rows {
            assert_eq!(
                PricePerHour::parse_usd(text).map(PricePerHour::micro_usd),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn prices_print_with_four_decimals() {
        let rows = [
            (41_600, "0.0416"),
            (12_000_000, "12.0000"),
            (49, "0.0000"),
            (50, "0.0001"),
            (-41_600, "-0.0416"),
        ];
        for (micro, expected) in rows {
            assert_eq!(PricePerHour(micro).to_string(), expected);
        }
    }

    #[test]
    fn savings_are_whole_percent() {
        assert_eq!(PricePerHour(30).percent_below(PricePerHour(100)), 70);
        assert_eq!(PricePerHour(100).percent_below(PricePerHour(100)), 0);
        assert_eq!(PricePerHour(100).percent_below(PricePerHour(0)), 0);
    }
}
