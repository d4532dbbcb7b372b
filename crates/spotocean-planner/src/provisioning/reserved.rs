//! Capacity that is paid for already: open capacity reservations, filled before anything is bought.
//!
//! An on-demand instance falls into an open reservation of its type and zone by
//! itself, and costs nothing beyond what is paid anyway. To the solver each place
//! in a reservation is a node on its way that holds no pods: pods go there first,
//! at no cost, and the bound counts them as on nodes that are there. What has
//! pods in the end is bought on demand, one market a launch.
//!
//! Reservations are seen a minute late at most; what was launched into one since
//! then counts as filled. Places are made for the first pool by weight that sells
//! the type on demand, and only where one ocean alone is managed and serves all
//! pods: a place takes any pod, and whose it is would not be known.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;
use spotocean_api::ocean_launch::OceanLaunch;
use spotocean_api::spot_ocean::{Mode, SpotOcean};
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::catalogue::CapacityReservation;
use spotocean_core::id::{ObjectKey, PoolKey};
use spotocean_core::label;
use spotocean_core::money::PricePerHour;
use spotocean_core::pod::Pod;
use spotocean_core::resources::Resources;
use spotocean_solver::problem::{NodeRef, Offer, PlacementNode};
use spotocean_solver::solution::{NewNode, Solution};

use super::Pass;
use super::fallback::Offers;
use super::in_flight::{launches_by_name, places_of};
use super::launch::Lot;
use super::limits::Ledger;
use super::nodes::missing_daemons;
use super::supply::Supply;
use crate::pool::{created_at, is_deleted};
use crate::snapshot::Snapshot;
use crate::vocabulary;

/// Names of places: this, the reservation's id and a number.
const RESERVED: &str = "reserved-";
/// Places in all.
const PLACES_MAX: usize = 500;
/// What was read longer ago says nothing: the place may be somebody else's by now, and would cost its price.
const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// Places in reservations by name, with whose they would be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reserved(BTreeMap<NodeRef, (PoolKey, Offer)>);

impl Reserved {
    /// The places that are free, as nodes too.
    pub(super) fn of(snapshot: &Snapshot, supplies: &[Supply]) -> (Self, Vec<PlacementNode>) {
        let (mut reserved, mut nodes) = (Self::default(), Vec::new());
        let as_of = snapshot.catalogue.reservations_as_of;
        let is_fresh = as_of.is_some_and(|as_of| snapshot.now < as_of + FRESH);
        if !is_fresh || snapshot.catalogue.reservations.is_empty() || !has_one_master(snapshot) {
            return (reserved, nodes);
        }
        let launches = launches_by_name(snapshot);
        for reservation in &snapshot.catalogue.reservations {
            let Some((supply, offer)) = taker(supplies, reservation) else {
                continue;
            };
            for number in 0..free(snapshot, &launches, reservation) {
                if nodes.len() == PLACES_MAX {
                    break;
                }
                let node = place(
                    snapshot,
                    supply,
                    offer,
                    &format!("{RESERVED}{}-{number}", reservation.id),
                );
                let key = supply.view.key.clone();
                reserved.0.insert(node.name.clone(), (key, offer.clone()));
                nodes.push(node);
            }
        }
        (reserved, nodes)
    }

    /// Whether a node is a place in a reservation, and not there.
    pub(super) fn has(&self, name: &NodeRef) -> bool {
        self.0.contains_key(name)
    }

    /// How many places a solution uses.
    pub(super) fn used(&self, solution: &Solution) -> usize {
        let used = solution.existing.iter();
        used.filter(|(name, pods)| !pods.is_empty() && self.has(name))
            .count()
    }

    /// Takes the places out of a solution, and comes with those that have pods as nodes to buy at no cost.
    pub(super) fn take(&self, solution: &mut Solution, pods: &[Arc<Pod>]) -> Vec<NewNode> {
        let nodes = self.nodes(solution, pods);
        solution.existing.retain(|name, _| !self.has(name));
        nodes
    }

    /// The places of a solution that have pods, as nodes to buy at no cost.
    fn nodes(&self, solution: &Solution, pods: &[Arc<Pod>]) -> Vec<NewNode> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let used: BTreeSet<&ObjectKey> = solution
            .existing
            .iter()
            .filter(|(name, _)| self.has(name))
            .flat_map(|(_, pods)| pods)
            .collect();
        let requests: BTreeMap<ObjectKey, Resources> = pods
            .iter()
            .filter(|pod| used.contains(&pod.key))
            .map(|pod| (pod.key.clone(), pod.shape.requests.clone()))
            .collect();
        let mut nodes = Vec::new();
        for (name, (pool, offer)) in &self.0 {
            let Some(pods) = solution.existing.get(name).filter(|pods| !pods.is_empty()) else {
                continue;
            };
            let wanted = pods.iter().filter_map(|pod| requests.get(pod));
            nodes.push(NewNode {
                pool: pool.clone(),
                capacity_type: CapacityType::OnDemand,
                candidates: vec![offer.market().clone()],
                price: PricePerHour::ZERO,
                requests: wanted.fold(Resources::default(), |sum, one| sum.plus(one)),
                pods: pods.clone(),
            });
        }
        nodes
    }
}

/// Whether one ocean alone is managed, and serves every pod.
fn has_one_master(snapshot: &Snapshot) -> bool {
    let is_managed = |ocean: &&Arc<SpotOcean>| ocean.spec.mode == Mode::Manage && !is_deleted(ocean);
    let mut managed = snapshot.oceans.iter().filter(is_managed);
    let serves_all = |ocean: &Arc<SpotOcean>| {
        ocean.spec.pods.selector.is_none() && ocean.spec.pods.namespace_selector.is_none()
    };
    managed.next().is_some_and(serves_all) && managed.next().is_none()
}

/// The first pool by weight that uses reservations and sells this one's market on demand.
fn taker<'s>(supplies: &'s [Supply], reservation: &CapacityReservation) -> Option<(&'s Supply, &'s Offer)> {
    let selling = supplies.iter().filter_map(|supply| {
        let uses = supply.view.effective.strategy.use_reservations;
        let is_managed = supply.view.ocean.spec.mode == Mode::Manage;
        let stock = supply.state.as_ref().ok().filter(|_| uses && is_managed)?;
        let offer = stock
            .on_demand
            .iter()
            .find(|offer| *offer.market() == reservation.market)?;
        Some((supply, offer))
    });
    let weight = |supply: &Supply| supply.view.pool.weight.unwrap_or(0);
    selling.min_by_key(|(supply, _)| (Reverse(weight(supply)), &supply.view.key))
}

/// Room that is left after what we launched since reservations were read.
fn free(
    snapshot: &Snapshot,
    launches: &BTreeMap<&str, &Arc<OceanLaunch>>,
    reservation: &CapacityReservation,
) -> usize {
    let as_of = snapshot.catalogue.reservations_as_of;
    let since = snapshot.ocean_nodes.iter().filter(|own| {
        vocabulary::capacity_type(own.spec.capacity_type) == CapacityType::OnDemand
            && as_of.is_none_or(|as_of| created_at(&own.metadata) >= as_of)
            && places_of(own, launches).contains(&reservation.market)
    });
    let since = i64::try_from(since.count()).unwrap_or(i64::MAX);
    usize::try_from(reservation.available - since).unwrap_or(0)
}

fn place(snapshot: &Snapshot, supply: &Supply, offer: &Offer, name: &str) -> PlacementNode {
    let mut labels = offer.labels.as_ref().clone();
    labels.insert(label::HOSTNAME.into(), name.into());
    let mut node = PlacementNode {
        name: NodeRef::OnItsWay(name.into()),
        labels: Arc::new(labels),
        taints: supply.view.pool.taints.iter().map(vocabulary::taint).collect(),
        allocatable: offer.allocatable.clone(),
        pods: Vec::new(),
        reserved: Resources::default(),
        attached: BTreeMap::new(),
        attach_limits: offer.attach_limits.as_ref().clone(),
        accepts_pods: true,
    };
    node.reserved = missing_daemons(snapshot, &node);
    node
}

impl Pass<'_> {
    /// Keeps of a solution what limits allow, places in reservations first: the solver took them for nodes that are there.
    pub(super) fn keep_reserved_within(&self, supplies: &[&Supply], solution: &mut Solution) {
        let reserved = self.reserved.nodes(solution, &self.snapshot.pods);
        if reserved.is_empty() {
            return;
        }
        let mut whole = Solution {
            new_nodes: reserved,
            ..Solution::default()
        };
        whole.new_nodes.append(&mut solution.new_nodes);
        self.keep_within(&mut whole, &Offers::of(supplies), &mut Ledger::of(self.snapshot));
        let refused: BTreeSet<&ObjectKey> = whole.unplaced.iter().map(|unplaced| &unplaced.pod).collect();
        let is_kept = |name: &NodeRef, pods: &[ObjectKey]| {
            !self.reserved.has(name) || pods.iter().all(|pod| !refused.contains(pod))
        };
        solution.existing.retain(|name, pods| is_kept(name, pods));
        solution.forgo(refused.into_iter());
        solution.unplaced.append(&mut whole.unplaced);
        solution.new_nodes = whole
            .new_nodes
            .into_iter()
            .filter(|node| node.price > PricePerHour::ZERO)
            .collect();
    }
}

/// Lots for nodes in reservations: one market each, since elsewhere they would cost.
pub(super) fn lots(nodes: &[NewNode]) -> Vec<(PoolKey, Lot)> {
    let mut lots: BTreeMap<(&PoolKey, &[_]), Vec<NewNode>> = BTreeMap::new();
    for node in nodes {
        lots.entry((&node.pool, &node.candidates))
            .or_default()
            .push(node.clone());
    }
    let lots = lots.into_iter().map(|((pool, markets), nodes)| {
        let lot = Lot {
            capacity_type: CapacityType::OnDemand,
            markets: markets.to_vec(),
            nodes,
        };
        (pool.clone(), lot)
    });
    lots.collect()
}

#[cfg(test)]
mod tests;
