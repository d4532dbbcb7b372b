//! How an instance is paid for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How an instance is paid for: `spot` or `on-demand`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CapacityType {
    /// Spare capacity that EC2 may take back with two minutes' notice.
    #[serde(rename = "spot")]
    Spot,
    /// Full price, kept until given back.
    #[serde(rename = "on-demand")]
    OnDemand,
}

impl CapacityType {
    /// The word used in labels, requirements and columns.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        }
    }
}

impl fmt::Display for CapacityType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
