//! Kubernetes quantities (`250m`, `1.5Gi`, `2e3`) as integers.
//!
//! Source of the grammar: k8s.io/apimachinery `resource.Quantity`. Values are
//! rounded up to the asked unit, as Kubernetes rounds requests.

use thiserror::Error;

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// The text does not follow the grammar.
    #[error("{0:?} is not a quantity: expected a number such as 250m, 1.5Gi or 2e3")]
    Malformed(String),
    /// The value does not fit 63 bits in the asked unit.
    #[error("{0:?} is too large")]
    TooLarge(String),
}

/// The quantity in thousandths, rounded up: `250m` is 250, `2` is 2000.
///
/// # Errors
/// See [`Error`].
pub fn parse_milli(text: &str) -> Result<i64, Error> {
    parse_scaled(text, 1000)
}

/// The quantity in whole units, rounded up: `1Ki` is 1024, `1500m` is 2.
///
/// # Errors
/// See [`Error`].
pub fn parse_units(text: &str) -> Result<i64, Error> {
    parse_scaled(text, 1)
}

/// A number as `digits / 10^decimals`.
struct Decimal {
    digits: i128,
    decimals: u32,
    is_negative: bool,
}

fn parse_scaled(text: &str, scale: i128) -> Result<i64, Error> {
    let malformed = || Error::Malformed(text.to_owned());
    let too_large = || Error::TooLarge(text.to_owned());
    let split = text
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '+' | '-'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let number = parse_decimal(number, text)?;
    let (numerator, denominator) = suffix_ratio(suffix).ok_or_else(malformed)?;
    let denominator = 10_i128
        .checked_pow(number.decimals)
        .and_then(|power| power.checked_mul(denominator))
        .ok_or_else(too_large)?;
    let scaled = number
        .digits
        .checked_mul(numerator)
        .and_then(|value| value.checked_mul(scale))
        .ok_or_else(too_large)?;
    let magnitude = if number.is_negative {
        -(scaled / denominator)
    } else {
        scaled / denominator + i128::from(scaled % denominator != 0)
    };
    i64::try_from(magnitude).map_err(|_| too_large())
}

fn parse_decimal(number: &str, text: &str) -> Result<Decimal, Error> {
    let malformed = || Error::Malformed(text.to_owned());
    let unsigned = number.strip_prefix(['+', '-']).unwrap_or(number);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all_digits = [whole, fraction]
        .iter()
        .all(|part| part.bytes().all(|b| b.is_ascii_digit()));
    if (whole.is_empty() && fraction.is_empty()) || !all_digits {
        return Err(malformed());
    }
    // Beyond 18 decimals nothing can change a rounded-up milli value but by one.
    let fraction = &fraction[..fraction.len().min(18)];
    let digits = format!("{whole}{fraction}");
    let decimals = u32::try_from(fraction.len()).map_err(|_| malformed())?;
    let digits = digits.parse().map_err(|_| Error::TooLarge(text.to_owned()))?;
    Ok(Decimal {
        digits,
        decimals,
        is_negative: number.starts_with('-'),
    })
}

/// The factor of a suffix as a fraction: `m` is 1/1000, `Ki` is 1024/1.
fn suffix_ratio(suffix: &str) -> Option<(i128, i128)> {
    let ratio = match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => return exponent_ratio(exponent),
    };
    Some(ratio)
}

fn exponent_ratio(suffix: &str) -> Option<(i128, i128)> {
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    Some(if exponent < 0 { (1, power) } else { (power, 1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let rows = [
            ("250m", 250),
            ("2", 2000),
            ("1.5", 1500),
            ("0.1", 100),
            ("1e3", 1_000_000),
            ("1Ki", 1_024_000),
            ("100n", 1),
            ("-1", -1000),
            (".5", 500),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_milli(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn units_round_up() {
        for (text, expected) in [
            ("1500m", 2),
            ("1.5Gi", 1_610_612_736),
            ("20Gi", 21_474_836_480),
            ("1E", 1_000_000_000_000_000_000),
        ] {
            assert_eq!(parse_units(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "abc", "1.2.3", "1Kib", "--1", "1 Gi", "Gi", "1e", "e3"] {
            assert!(matches!(parse_milli(text), Err(Error::Malformed(_))), "{text:?}");
        }
        for text in ["99999999999999999999", "10E", "1e300", "999999999E"] {
            assert!(parse_milli(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+.0-9a-zA-Z]{0,24}") {
            let _ = parse_milli(&text);
            let _ = parse_units(&text);
        }

        #[test]
        fn milli_round_trips(value in 0_i64..1_000_000_000) {
            prop_assert_eq!(parse_milli(&format!("{value}m")), Ok(value));
        }
    }
}
