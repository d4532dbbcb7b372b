//! What pools and oceans may still add, counted at the worst that EC2 may choose.
//!
//! A node's candidates differ in size, and a limit must hold whichever EC2
//! picks. Each new node therefore keeps only the candidates that leave room
//! for what the nodes after it are planned to take, and is booked at the
//! largest of them; with none left it is not bought.

use std::collections::BTreeMap;
use std::sync::Arc;

use spotocean_api::ocean_node::OceanNode;
use spotocean_api::quantity::Quantity;
use spotocean_api::spot_ocean::{LIMIT_HOURLY_COST, LIMIT_NODES};
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{OceanName, PoolKey};
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::Market;
use spotocean_core::resources::Resources;
use spotocean_solver::problem::{Offer, RemainingLimits};
use spotocean_solver::solution::NewNode;

use super::in_flight::{launches_by_name, places_of, pool_of};
use crate::snapshot::Snapshot;
use crate::vocabulary;

/// What something counts against limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Capacity.
    pub resources: Resources,
    /// Nodes.
    pub nodes: i64,
    /// Dollars per hour.
    pub hourly_cost: PricePerHour,
}

impl Use {
    fn plus(&self, other: &Self) -> Self {
        Self {
            resources: self.resources.plus(&other.resources),
            nodes: self.nodes + other.nodes,
            hourly_cost: self.hourly_cost + other.hourly_cost,
        }
    }

    fn maximum(&self, other: &Self) -> Self {
        Self {
            resources: self.resources.maximum(&other.resources),
            nodes: self.nodes.max(other.nodes),
            hourly_cost: self.hourly_cost.max(other.hourly_cost),
        }
    }

    fn of_offer(offer: &Offer) -> Self {
        Self {
            resources: offer.capacity.clone(),
            nodes: 1,
            hourly_cost: offer.offering.price,
        }
    }
}

/// Reads a limits map.
#[must_use]
pub fn limits(map: &BTreeMap<String, Quantity>) -> RemainingLimits {
    let mut limits = RemainingLimits::default();
    for (name, text) in map {
        match name.as_str() {
            LIMIT_NODES => limits.nodes = vocabulary::amount(name, text),
            LIMIT_HOURLY_COST => limits.hourly_cost = PricePerHour::parse_usd(&text.0),
            other => {
                if let Some(amount) = vocabulary::amount(other, text) {
                    limits.resources.insert(other.into(), amount);
                }
            }
        }
    }
    limits
}

/// Limits less a use.
#[must_use]
pub fn less(limits: &RemainingLimits, used: &Use) -> RemainingLimits {
    RemainingLimits {
        resources: limits
            .resources
            .iter()
            .map(|(name, amount)| (name.clone(), amount - used.resources.amount(name)))
            .collect(),
        nodes: limits.nodes.map(|nodes| nodes - used.nodes),
        hourly_cost: limits.hourly_cost.map(|cost| cost - used.hourly_cost),
    }
}

/// Whether a use is within what remains.
#[must_use]
pub fn allows(remaining: &RemainingLimits, wanted: &Use) -> bool {
    let amounts = remaining
        .resources
        .iter()
        .all(|(name, amount)| wanted.resources.amount(name) <= *amount);
    amounts
        && remaining.nodes.is_none_or(|nodes| wanted.nodes <= nodes)
        && remaining
            .hourly_cost
            .is_none_or(|cost| wanted.hourly_cost <= cost)
}

fn is_unlimited(limits: &RemainingLimits) -> bool {
    limits.resources.is_empty() && limits.nodes.is_none() && limits.hourly_cost.is_none()
}

/// The tighter of two.
fn tighter(a: &RemainingLimits, b: &RemainingLimits) -> RemainingLimits {
    let mut resources = a.resources.clone();
    for (name, amount) in &b.resources {
        let own = resources.entry(name.clone()).or_insert(*amount);
        *own = (*own).min(*amount);
    }
    RemainingLimits {
        resources,
        nodes: a.nodes.into_iter().chain(b.nodes).min(),
        hourly_cost: a.hourly_cost.into_iter().chain(b.hourly_cost).min(),
    }
}

/// What remains, by ocean and by pool.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    oceans: BTreeMap<OceanName, RemainingLimits>,
    pools: BTreeMap<PoolKey, RemainingLimits>,
}

impl Ledger {
    /// The limits of all oceans less what their nodes use: there, on their way, or leaving but not gone.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut ledger = Self::default();
        for ocean in &snapshot.oceans {
            let name = crate::pool::ocean_name(ocean);
            for pool in &ocean.spec.pools {
                let key = PoolKey {
                    ocean: name.clone(),
                    pool: pool.name.as_str().into(),
                };
                ledger.pools.insert(key, limits(&pool.limits));
            }
            ledger.oceans.insert(name, limits(&ocean.spec.limits));
        }
        for (key, used) in uses(snapshot) {
            ledger.book(&key, &used);
        }
        ledger
    }

    /// What a pool may still add, its ocean's limits included.
    #[must_use]
    pub fn remaining(&self, pool: &PoolKey) -> RemainingLimits {
        let own = self.pools.get(pool).cloned().unwrap_or_default();
        let of_ocean = self.oceans.get(&pool.ocean).cloned().unwrap_or_default();
        tighter(&own, &of_ocean)
    }

    /// Takes a use off.
    pub fn book(&mut self, pool: &PoolKey, used: &Use) {
        if let Some(limits) = self.pools.get_mut(pool) {
            *limits = less(limits, used);
        }
        if let Some(limits) = self.oceans.get_mut(&pool.ocean) {
            *limits = less(limits, used);
        }
    }

    /// Keeps of each node's candidates what limits allow, in order; nodes with none left come back separately.
    pub fn admit(
        &mut self,
        nodes: Vec<NewNode>,
        offer: impl Fn(&PoolKey, CapacityType, &Market) -> Option<Offer>,
    ) -> (Vec<NewNode>, Vec<NewNode>) {
        let mut planned: BTreeMap<OceanName, BTreeMap<PoolKey, Use>> = BTreeMap::new();
        let use_of = |node: &NewNode, market: &Market| {
            offer(&node.pool, node.capacity_type, market).map(|offer| Use::of_offer(&offer))
        };
        let first_use = |node: &NewNode| {
            node.candidates
                .first()
                .and_then(|market| use_of(node, market))
                .unwrap_or_default()
        };
        for node in &nodes {
            let of_pool = planned
                .entry(node.pool.ocean.clone())
                .or_default()
                .entry(node.pool.clone())
                .or_default();
            *of_pool = of_pool.plus(&first_use(node));
        }
        let (mut admitted, mut refused) = (Vec::new(), Vec::new());
        for mut node in nodes {
            if is_unlimited(&self.remaining(&node.pool)) {
                admitted.push(node);
                continue;
            }
            if let Some(of_pool) = planned
                .get_mut(&node.pool.ocean)
                .and_then(|pools| pools.get_mut(&node.pool))
            {
                *of_pool = minus(of_pool, &first_use(&node));
            }
            let room = self.room(&node.pool, &planned);
            let strict = self.remaining(&node.pool);
            let mut kept = Vec::new();
            let mut worst = Use::default();
            for (rank, market) in node.candidates.iter().enumerate() {
                let Some(used) = use_of(&node, market) else {
                    continue;
                };
                // The planned candidate needs room for itself only; the others must leave the rest of the plan its room.
                let limit = if rank == 0 { &strict } else { &room };
                if allows(limit, &used) {
                    worst = worst.maximum(&used);
                    kept.push(market.clone());
                }
            }
            if kept.is_empty() {
                refused.push(node);
                continue;
            }
            self.book(&node.pool, &worst);
            node.candidates = kept;
            admitted.push(node);
        }
        (admitted, refused)
    }

    /// What a pool may add beyond what the rest of the plan takes.
    fn room(&self, pool: &PoolKey, planned: &BTreeMap<OceanName, BTreeMap<PoolKey, Use>>) -> RemainingLimits {
        let empty = BTreeMap::new();
        let pools = planned.get(&pool.ocean).unwrap_or(&empty);
        let of_pool = pools.get(pool).cloned().unwrap_or_default();
        let of_ocean = pools.values().fold(Use::default(), |sum, used| sum.plus(used));
        let own = self
            .pools
            .get(pool)
            .map(|limits| less(limits, &of_pool))
            .unwrap_or_default();
        let ocean = self
            .oceans
            .get(&pool.ocean)
            .map(|limits| less(limits, &of_ocean))
            .unwrap_or_default();
        tighter(&own, &ocean)
    }
}

fn minus(a: &Use, b: &Use) -> Use {
    Use {
        resources: a.resources.minus(&b.resources),
        nodes: a.nodes - b.nodes,
        hourly_cost: a.hourly_cost - b.hourly_cost,
    }
}

/// What each OceanNode uses, by pool.
fn uses(snapshot: &Snapshot) -> Vec<(PoolKey, Use)> {
    let launches = launches_by_name(snapshot);
    let reported: BTreeMap<_, _> = snapshot
        .nodes
        .iter()
        .filter_map(|node| Some((node.instance.clone()?, &node.capacity)))
        .collect();
    let one = |own: &Arc<OceanNode>| {
        let pool = pool_of(own);
        let capacity_type = vocabulary::capacity_type(own.spec.capacity_type);
        let mut used = Use {
            nodes: 1,
            ..Use::default()
        };
        for market in &places_of(own, &launches) {
            used = used.maximum(&of_market(snapshot, market, capacity_type));
        }
        let instance = super::nodes::instance_of(own);
        if let Some(capacity) = instance.and_then(|id| reported.get(&id).copied()) {
            used.resources = capacity.clone();
        }
        let price = own
            .status
            .as_ref()
            .and_then(|status| status.price_micro_usd_per_hour);
        if let Some(price) = price.and_then(|price| i64::try_from(price).ok()) {
            used.hourly_cost = PricePerHour(price);
        }
        (pool, used)
    };
    snapshot.ocean_nodes.iter().map(one).collect()
}

/// A market's node by what EC2 states of the type.
fn of_market(snapshot: &Snapshot, market: &Market, capacity_type: CapacityType) -> Use {
    let resources = snapshot
        .catalogue
        .types
        .get(&market.instance_type)
        .map(|described| Resources {
            cpu_millis: described.vcpus * 1000,
            memory_bytes: described.memory_mib * spotocean_core::kubelet::MIB,
            extended: described
                .accelerators
                .iter()
                .map(|accelerator| (accelerator.resource.clone(), accelerator.count))
                .collect(),
            ..Resources::default()
        });
    Use {
        resources: resources.unwrap_or_default(),
        nodes: 1,
        hourly_cost: snapshot
            .catalogue
            .price(market, capacity_type)
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
