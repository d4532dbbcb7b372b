//! An amount of US dollars as the user wrote it (`0.05`), to the millionth of a dollar.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt};

/// US dollars, held in millionths so that no float ever touches money. Written as a decimal string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PriceUsd {
    /// Millionths of a US dollar.
    pub micro_usd: u64,
}

impl PriceUsd {
    /// Reads `0.05`, `12` or `1.234567`; `None` for anything else, including a sign or an exponent.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits_only = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits_only(whole) || !digits_only(fraction) || fraction.len() > 6 {
            return None;
        }
        let whole: u64 = whole.parse().ok()?;
        let fraction: u64 = format!("{fraction:0<6}").parse().ok()?;
        Some(Self {
            micro_usd: whole.checked_mul(1_000_000)?.checked_add(fraction)?,
        })
    }
}

impl fmt::Display for PriceUsd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.micro_usd / 1_000_000;
        let fraction = format!("{:06}", self.micro_usd % 1_000_000);
        match fraction.trim_end_matches('0') {
            "" => write!(formatter, "{whole}"),
            digits => write!(formatter, "{whole}.{digits}"),
        }
    }
}

impl Serialize for PriceUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PriceUsd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("'{text}' is not an amount such as 0.05")))
    }
}

impl JsonSchema for PriceUsd {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PriceUsd".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 16, "pattern": r"^[0-9]{1,9}(\.[0-9]{1,6})?$"})
    }
}

#[cfg(test)]
mod tests {
    use super::PriceUsd;

    #[test]
    fn amounts_round_trip_to_the_millionth() {
        for (text, micro_usd, printed) in [
            ("0.05", 50_000, "0.05"),
            ("12", 12_000_000, "12"),
            ("1.234567", 1_234_567, "1.234567"),
            ("0.50", 500_000, "0.5"),
        ] {
            let price = PriceUsd::parse(text).unwrap();
            assert_eq!(
                (price.micro_usd, price.to_string().as_str()),
                (micro_usd, printed)
            );
        }
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "1e3",
            "1.2345678",
            "99999999999999999999",
        ] {
            assert_eq!(PriceUsd::parse(text), None, "{text}");
        }
    }
}
