//! What can be bought: a type in a zone under a capacity type, at a price.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::capacity_type::CapacityType;
use crate::id::{InstanceTypeName, Zone};
use crate::money::PricePerHour;

/// A spot market: one instance type in one zone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Market {
    /// The instance type.
    pub instance_type: InstanceTypeName,
    /// The zone.
    pub zone: Zone,
}

impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.instance_type, self.zone)
    }
}

/// One thing that can be bought.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offering {
    /// The type and zone.
    pub market: Market,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// Its price now.
    pub price: PricePerHour,
}
