//! A span of time as users write it: `30s`, `5m`, `1h30m`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt};

/// A span of whole seconds, written with the units h, m and s in that order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    /// Length in seconds.
    pub seconds: u64,
}

/// One pattern for every duration; a subset of what Go's `time.ParseDuration` and CEL's `duration()` read.
pub(crate) const DURATION_PATTERN: &str = "^([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?$";

impl Duration {
    /// So many seconds.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self { seconds }
    }

    /// So many minutes.
    pub const fn from_minutes(minutes: u64) -> Self {
        Self {
            seconds: minutes * 60,
        }
    }

    /// The same span as the standard library has it.
    pub const fn as_std(self) -> std::time::Duration {
        std::time::Duration::from_secs(self.seconds)
    }

    /// Reads `30s`, `5m`, `1h30m`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut seconds: u64 = 0;
        for (unit, unit_seconds) in [('h', 3600), ('m', 60), ('s', 1)] {
            if let Some((digits, after)) = rest.split_once(unit) {
                let number: u64 = digits
                    .bytes()
                    .all(|byte| byte.is_ascii_digit())
                    .then(|| digits.parse().ok())??;
                seconds = seconds.checked_add(number.checked_mul(unit_seconds)?)?;
                rest = after;
            }
        }
        (rest.is_empty() && !text.is_empty()).then_some(Self { seconds })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.seconds / 3600, 'h'),
            (self.seconds / 60 % 60, 'm'),
            (self.seconds % 60, 's'),
        ];
        if self.seconds == 0 {
            return formatter.write_str("0s");
        }
        parts
            .iter()
            .filter(|(number, _)| *number > 0)
            .try_for_each(|(number, unit)| write!(formatter, "{number}{unit}"))
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom(format!("'{text}' is not a duration such as 90s, 5m or 1h30m")))
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 2, "maxLength": 16, "pattern": DURATION_PATTERN})
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn durations_are_read_and_printed() {
        for (text, seconds, printed) in [
            ("30s", 30, "30s"),
            ("5m", 300, "5m"),
            ("1h30m", 5400, "1h30m"),
            ("90s", 90, "1m30s"),
            ("0s", 0, "0s"),
        ] {
            let duration = Duration::parse(text).unwrap();
            assert_eq!(
                (duration.seconds, duration.to_string().as_str()),
                (seconds, printed)
            );
        }
        for text in [
            "",
            "5",
            "m",
            "5d",
            "5m5h",
            "-5m",
            "1.5h",
            "5 m",
            "99999999999999999999h",
        ] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
    }
}
