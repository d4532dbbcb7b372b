//! Share caps: what a place may hold of a pool.
//!
//! EC2 may put all instances of a launch into any one of the places it is
//! offered. So a launch without an answer is booked in full in each market,
//! type and zone it names (the worst case), beside what the pool holds. A
//! place may hold its percentage of the pool's spot vCPUs after the purchase
//! (counted low: the smallest type each launch could come to), or one node
//! where that is more. All of them is no cap.

use std::collections::{BTreeMap, BTreeSet};

use spotocean_api::strategy::MaxShare;
use spotocean_core::id::{InstanceTypeName, Zone};
use spotocean_core::offering::Market;

/// What one pool holds on spot, in vCPUs, booked at the worst case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    markets: BTreeMap<Market, i64>,
    types: BTreeMap<InstanceTypeName, i64>,
    zones: BTreeMap<Zone, i64>,
}

impl Holdings {
    /// Books `vcpus(type) × nodes` in every place that is offered; fewer than no nodes takes a booking back.
    pub fn book(&mut self, offered: &[Market], nodes: i64, vcpus: impl Fn(&InstanceTypeName) -> i64) {
        let mut types: BTreeMap<&InstanceTypeName, i64> = BTreeMap::new();
        let mut zones: BTreeMap<&Zone, i64> = BTreeMap::new();
        for market in offered.iter().collect::<BTreeSet<_>>() {
            let node = vcpus(&market.instance_type);
            *self.markets.entry(market.clone()).or_default() += node * nodes;
            types.insert(&market.instance_type, node);
            let zone = zones.entry(&market.zone).or_default();
            *zone = (*zone).max(node);
        }
        for (name, node) in types {
            *self.types.entry(name.clone()).or_default() += node * nodes;
        }
        for (zone, node) in zones {
            *self.zones.entry(zone.clone()).or_default() += node * nodes;
        }
    }

    /// What a market holds.
    #[must_use]
    pub fn market(&self, market: &Market) -> i64 {
        self.markets.get(market).copied().unwrap_or(0)
    }

    /// What a type holds in all zones.
    #[must_use]
    pub fn of_type(&self, name: &InstanceTypeName) -> i64 {
        self.types.get(name).copied().unwrap_or(0)
    }

    /// What a zone holds.
    #[must_use]
    pub fn zone(&self, zone: &Zone) -> i64 {
        self.zones.get(zone).copied().unwrap_or(0)
    }
}

/// How many candidates a node needs so that launches may offer `flexibility` places though others are full: as many
/// as a share goes into the whole, and half as many again because full types and zones take several at once.
#[must_use]
pub fn candidates_wanted(flexibility: usize, caps: MaxShare) -> usize {
    let percent = usize::try_from(caps.market.clamp(1, 100)).unwrap_or(100);
    (flexibility + 100_usize.div_ceil(percent)) * 3 / 2
}

/// One launch: so many nodes over these places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    /// How many nodes.
    pub nodes: usize,
    /// The places, best first.
    pub markets: Vec<Market>,
}

/// What each place may hold, in vCPUs.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// One market.
    pub market: i64,
    /// One type in all zones.
    pub instance_type: i64,
    /// One zone.
    pub zone: i64,
}

impl Caps {
    /// Shares of so many vCPUs.
    #[must_use]
    pub fn of(shares: MaxShare, total_vcpus: i64) -> Self {
        Self {
            market: share(shares.market, total_vcpus),
            instance_type: share(shares.instance_type, total_vcpus),
            zone: share(shares.zone, total_vcpus),
        }
    }

    /// How many nodes, `wanted` at most, these places bear together, whichever of them EC2 picks for all.
    #[must_use]
    pub fn room(
        &self,
        holdings: &Holdings,
        places: &[&Market],
        wanted: usize,
        vcpus: &impl Fn(&InstanceTypeName) -> i64,
    ) -> usize {
        let mut zones: BTreeMap<&Zone, i64> = BTreeMap::new();
        let mut least = i64::try_from(wanted).unwrap_or(i64::MAX);
        let nodes = |cap: i64, held: i64, node: i64| cap.max(node).saturating_sub(held) / node;
        for place in places {
            let node = vcpus(&place.instance_type).max(1);
            let largest = zones.entry(&place.zone).or_default();
            *largest = (*largest).max(node);
            let of_type = holdings.of_type(&place.instance_type);
            least = least
                .min(nodes(self.market, holdings.market(place), node))
                .min(nodes(self.instance_type, of_type, node));
        }
        for (zone, node) in zones {
            least = least.min(nodes(self.zone, holdings.zone(zone), node));
        }
        usize::try_from(least).unwrap_or(0)
    }
}

/// A percentage of a total; all of it is no cap at all, however low the total was counted.
pub(super) fn share(percent: u32, total: i64) -> i64 {
    if percent >= 100 {
        return i64::MAX / 2;
    }
    total.saturating_mul(i64::from(percent)) / 100
}

#[cfg(test)]
pub(super) mod tests;
