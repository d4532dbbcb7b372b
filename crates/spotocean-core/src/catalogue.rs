//! Everything on sale: types, where they are offered, and what they cost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::capacity_type::CapacityType;
use crate::id::{InstanceTypeName, Zone, ZoneId};
use crate::instance_type::InstanceType;
use crate::money::PricePerHour;
use crate::offering::Market;
use crate::resources::Resources;

/// Types, zones and prices of one region, as of the times stated.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Catalogue {
    /// The region's name.
    pub region: Arc<str>,
    /// Types by name.
    pub types: BTreeMap<InstanceTypeName, Arc<InstanceType>>,
    /// Zone ids by zone name.
    pub zone_ids: BTreeMap<Zone, ZoneId>,
    /// Which zones offer each type.
    pub zones: BTreeMap<InstanceTypeName, BTreeSet<Zone>>,
    /// Spot price per market (Linux). A market without a price is not for sale.
    #[serde(with = "market_prices")]
    pub spot_prices: BTreeMap<Market, PricePerHour>,
    /// On-demand price per type.
    pub on_demand_prices: BTreeMap<InstanceTypeName, PricePerHour>,
    /// When spot prices were read; `None` before the first read.
    pub spot_prices_as_of: Option<Timestamp>,
    /// Whether on-demand prices come from the built-in table because the Pricing API did not answer.
    pub on_demand_prices_are_built_in: bool,
    /// How often EC2 takes spot instances of a type back: 0 is less than 5 % of them a month, then steps of 5 %, 4 is
    /// more than 20 % (Spot Instance Advisor). Empty where nothing is known.
    pub interruption_buckets: BTreeMap<InstanceTypeName, u8>,
    /// Unused open capacity reservations for Linux with default tenancy: they take any on-demand instance of their market.
    pub reservations: Vec<CapacityReservation>,
    /// When reservations were read; `None` before the first read.
    pub reservations_as_of: Option<Timestamp>,
    /// Allocatable that is stated outright, by type: CPU, memory and pods hold as they stand, before any estimate.
    pub stated_allocatable: BTreeMap<InstanceTypeName, Resources>,
}

/// An open capacity reservation (On-Demand Capacity Reservation): paid for whether instances use it or not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapacityReservation {
    /// Its id.
    pub id: Arc<str>,
    /// The instance type and zone it is for.
    pub market: Market,
    /// Instances that it has room for.
    pub available: i64,
}

impl Catalogue {
    /// The price of a market under a capacity type, `None` when it is not offered or has no price.
    #[must_use]
    pub fn price(&self, market: &Market, capacity_type: CapacityType) -> Option<PricePerHour> {
        let price = match capacity_type {
            CapacityType::Spot => self.spot_prices.get(market),
            CapacityType::OnDemand => self.on_demand_prices.get(&market.instance_type),
        };
        let is_offered = self
            .zones
            .get(&market.instance_type)
            .is_some_and(|zones| zones.contains(&market.zone));
        price.copied().filter(|price| is_offered && price.micro_usd() > 0)
    }
}

/// JSON has no structured map keys: prices are written as a list of pairs.
mod market_prices {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Market, PricePerHour};

    pub(super) fn serialize<S: Serializer>(
        prices: &BTreeMap<Market, PricePerHour>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        prices.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<Market, PricePerHour>, D::Error> {
        Ok(Vec::<(Market, PricePerHour)>::deserialize(from)?
            .into_iter()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_counts_only_where_the_type_is_offered() {
        let market = |zone: &str| Market {
            instance_type: "m5.large".into(),
            zone: zone.into(),
        };
        let catalogue = Catalogue {
            zones: BTreeMap::from([("m5.large".into(), BTreeSet::from(["a".into(), "b".into()]))]),
            spot_prices: BTreeMap::from([
                (market("a"), PricePerHour(40_000)),
                (market("c"), PricePerHour(1)),
                (market("b"), PricePerHour(0)),
            ]),
            on_demand_prices: BTreeMap::from([("m5.large".into(), PricePerHour(96_000))]),
            ..Catalogue::default()
        };
        assert_eq!(
            catalogue.price(&market("a"), CapacityType::Spot),
            Some(PricePerHour(40_000))
        );
        assert_eq!(
            catalogue.price(&market("b"), CapacityType::Spot),
            None,
            "a price of zero is no price"
        );
        assert_eq!(
            catalogue.price(&market("c"), CapacityType::Spot),
            None,
            "not offered there"
        );
        assert_eq!(
            catalogue.price(&market("b"), CapacityType::OnDemand),
            Some(PricePerHour(96_000))
        );
        let json = serde_json::to_string(&catalogue).expect("a catalogue is JSON");
        assert_eq!(
            serde_json::from_str::<Catalogue>(&json).expect("it reads back"),
            catalogue
        );
    }
}
