//! How an instance is paid for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How an instance is paid for; the value of `spotocean.dev/capacity-type`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityType {
    /// Spare capacity that EC2 may take back with two minutes' notice.
    Spot,
    /// Capacity at the list price, kept until it is given back.
    OnDemand,
}

impl CapacityType {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        }
    }

    /// Reads a label value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "spot" => Some(Self::Spot),
            "on-demand" => Some(Self::OnDemand),
            _ => None,
        }
    }
}

impl fmt::Display for CapacityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
