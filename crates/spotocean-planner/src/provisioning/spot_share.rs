//! What is bought on demand though spot could serve it.
//!
//! Two wishes, neither of which leaves a pod pending: `strategy.onDemandBase`
//! and `strategy.spotPercentage` want so many of a pool's vCPUs on demand, and
//! the annotation `spotocean.dev/spot-percentage` wants so many pods of a
//! workload off spot.
//!
//! All pods are planned as if there were no such wishes. Of the spot nodes
//! which that comes to, those whose vCPUs cost least more on demand are taken
//! until a pool has what it wants; their pods are planned on demand, and after
//! that all others beside them. Planning anew moves the figures a little, so
//! it is done again until nothing is short. What on-demand offers do not serve,
//! or would leave others without a node, stays on spot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_api::ocean_launch::OceanLaunch;
use spotocean_api::ocean_node::OceanNode;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{ObjectKey, PoolKey, Uid};
use spotocean_core::pod::Pod;
use spotocean_solver::problem::{PendingPod, PlacementNode};
use spotocean_solver::solution::{NewNode, Solution};

use super::Pass;
use super::books::{least_vcpus, vcpus};
use super::fallback::{Standing, is_spot};
use super::in_flight::{launches_by_name, places_of, pool_of};
use super::priority::Ranks;
use super::supply::Supply;
use super::undecided;
use crate::snapshot::Snapshot;
use crate::vocabulary;

/// How often one look plans anew.
const ROUNDS_MAX: usize = 6;

/// vCPUs of a pool, by how they are paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Vcpus {
    spot: i64,
    on_demand: i64,
}

impl Vcpus {
    fn add(&mut self, capacity_type: CapacityType, vcpus: i64) {
        match capacity_type {
            CapacityType::Spot => self.spot += vcpus,
            CapacityType::OnDemand => self.on_demand += vcpus,
        }
    }
}

/// What a pool wants on demand, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    base: i64,
    spot_percentage: i64,
    held: Vcpus,
}

impl Share {
    /// How many more vCPUs should be on demand when the pool comes to so many.
    fn short(&self, vcpus: Vcpus) -> i64 {
        let above = (vcpus.spot + vcpus.on_demand - self.base).max(0);
        let of_rest = (above * (100 - self.spot_percentage) + 99) / 100;
        // What is short is taken from what is on spot.
        (self.base + of_rest - vcpus.on_demand).clamp(0, vcpus.spot)
    }
}

/// The pools that want something on demand beside spot.
pub(super) struct Shares<'a> {
    snapshot: &'a Snapshot,
    launches: BTreeMap<&'a str, &'a Arc<OceanLaunch>>,
    pools: BTreeMap<PoolKey, Share>,
}

impl<'a> Shares<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, supplies: &[&Supply]) -> Self {
        let wanting = supplies.iter().filter_map(|supply| share(supply));
        let mut shares = Self {
            snapshot,
            launches: launches_by_name(snapshot),
            pools: wanting.collect(),
        };
        let stays = |own: &&Arc<OceanNode>| own.metadata.deletion_timestamp.is_none();
        for own in snapshot.ocean_nodes.iter().filter(stays) {
            let (capacity_type, vcpus) = shares.node(own);
            if let Some(share) = shares.pools.get_mut(&pool_of(own)) {
                share.held.add(capacity_type, vcpus);
            }
        }
        shares
    }

    /// Whether a pool would be short of what it wants on demand without this node.
    pub(super) fn needs(&self, own: &OceanNode) -> bool {
        let (capacity_type, vcpus) = self.node(own);
        let share = self.pools.get(&pool_of(own));
        let is_short = |share: &Share| {
            let mut left = share.held;
            left.add(capacity_type, -vcpus);
            share.short(left) > 0
        };
        capacity_type == CapacityType::OnDemand && share.is_some_and(is_short)
    }

    fn node(&self, own: &OceanNode) -> (CapacityType, i64) {
        let vcpus = least_vcpus(self.snapshot, &places_of(own, &self.launches));
        (vocabulary::capacity_type(own.spec.capacity_type), vcpus)
    }

    /// The planned spot nodes that should be on demand, those first that cost least more so. None of them holds a
    /// pod that is among `refused`.
    fn to_turn<'s>(&self, solution: &'s Solution, refused: &BTreeSet<ObjectKey>) -> Vec<&'s NewNode> {
        let own = |key: &PoolKey, share: &Share| self.of_pool(key, share, &solution.new_nodes, refused);
        self.pools
            .iter()
            .flat_map(|(key, share)| own(key, share))
            .collect()
    }

    fn of_pool<'s>(
        &self,
        key: &PoolKey,
        share: &Share,
        nodes: &'s [NewNode],
        refused: &BTreeSet<ObjectKey>,
    ) -> Vec<&'s NewNode> {
        let mut vcpus = share.held;
        let own = nodes.iter().filter(|node| node.pool == *key);
        for node in own.clone() {
            vcpus.add(node.capacity_type, self.vcpus(node));
        }
        let mut short = share.short(vcpus);
        let turns = own.filter(|node| {
            node.capacity_type == CapacityType::Spot && node.pods.iter().all(|pod| !refused.contains(pod))
        });
        let mut turns: Vec<&NewNode> = turns.collect();
        turns.sort_by_key(|node| self.premium(node));
        let mut taken = Vec::new();
        for node in turns {
            if short > 0 {
                short -= self.vcpus(node);
                taken.push(node);
            }
        }
        // The last one may be large enough to do without some before it.
        let mut spare = -short;
        taken.retain(|node| {
            let is_spare = self.vcpus(node) <= spare;
            spare -= if is_spare { self.vcpus(node) } else { 0 };
            !is_spare
        });
        taken
    }

    fn vcpus(&self, node: &NewNode) -> i64 {
        let first = node.candidates.first();
        first.map_or(0, |market| vcpus(self.snapshot, &market.instance_type))
    }

    /// How much more one vCPU of a planned spot node costs on demand, in millionths of a micro-dollar per hour.
    fn premium(&self, node: &NewNode) -> i128 {
        let prices = &self.snapshot.catalogue.on_demand_prices;
        let first = node.candidates.first();
        let Some(on_demand) = first.and_then(|market| prices.get(&market.instance_type)) else {
            return i128::MAX;
        };
        let more = i128::from(on_demand.micro_usd() - node.price.micro_usd());
        more * 1_000_000 / i128::from(self.vcpus(node).max(1))
    }
}

/// What a pool wants; `None` where it is content with spot, or has nothing else to sell.
fn share(supply: &Supply) -> Option<(PoolKey, Share)> {
    let strategy = &supply.view.effective.strategy;
    let stock = supply.state.as_ref().ok()?;
    let is_content = strategy.spot_percentage >= 100 && strategy.on_demand_base == 0;
    if is_content || !supply.view.sells_spot() || stock.on_demand.is_empty() {
        return None;
    }
    let share = Share {
        base: i64::from(strategy.on_demand_base),
        spot_percentage: i64::from(strategy.spot_percentage.min(100)),
        held: Vcpus::default(),
    };
    Some((supply.view.key.clone(), share))
}

/// Pods that are to be on demand, and the pool that is to buy for them where it is the one that wants so.
type OffSpot = BTreeMap<ObjectKey, Option<PoolKey>>;

impl Pass<'_> {
    /// Asks the solver, and has as much on demand as is wanted.
    pub(super) fn solve_in_shares(
        &self,
        supplies: &[&Supply],
        pods: Vec<PendingPod>,
        ranks: &Ranks,
    ) -> Solution {
        let shares = Shares::of(self.snapshot, supplies);
        let mut off_spot = off_spot(&pods, &self.landscape.nodes, &self.snapshot.pods);
        if shares.pools.is_empty() && off_spot.is_empty() {
            return self.solve_by_priority(supplies, pods, ranks, Standing::default());
        }
        let (mut best, mut refused) = self.solve_apart(supplies, &pods, &off_spot, ranks);
        let mut most = usize::MAX;
        for _ in 0..ROUNDS_MAX {
            let mut turned = shares.to_turn(&best, &refused);
            turned.truncate(most);
            if turned.is_empty() {
                break;
            }
            let mut more = off_spot.clone();
            for node in &turned {
                let pods = node.pods.iter().cloned();
                more.extend(pods.map(|pod| (pod, Some(node.pool.clone()))));
            }
            let (next, left) = self.solve_apart(supplies, &pods, &more, ranks);
            if next.unplaced.len() > best.unplaced.len() {
                most = turned.len() / 2;
                continue;
            }
            refused.extend(left);
            (best, off_spot) = (next, more);
        }
        best
    }

    /// Plans some pods on demand, and the others beside them. Comes with the pods for which there was nothing on demand.
    fn solve_apart(
        &self,
        supplies: &[&Supply],
        pods: &[PendingPod],
        off_spot: &OffSpot,
        ranks: &Ranks,
    ) -> (Solution, BTreeSet<ObjectKey>) {
        let (apart, mut others): (Vec<PendingPod>, Vec<PendingPod>) = pods
            .iter()
            .cloned()
            .partition(|pending| off_spot.contains_key(&pending.pod.key));
        let bound_to_pool = apart.iter().cloned().map(|mut pending| {
            if let Some(Some(pool)) = off_spot.get(&pending.pod.key) {
                pending.served_by = BTreeSet::from([pool.clone()]);
            }
            pending
        });
        let mut first = match apart.is_empty() {
            true => Solution::default(),
            false => self.solve_on_demand(supplies, bound_to_pool.collect()),
        };
        let left: BTreeSet<ObjectKey> = first.unplaced.drain(..).map(|unplaced| unplaced.pod).collect();
        let (again, settled): (Vec<_>, Vec<_>) = apart
            .into_iter()
            .partition(|pending| left.contains(&pending.pod.key));
        others.extend(again);
        if others
            .iter()
            .any(|pending| undecided::counts_places(&pending.pod.shape))
        {
            first.new_nodes.iter_mut().for_each(in_one_zone);
        }
        let standing = Standing::apart(first, settled);
        (self.solve_by_priority(supplies, others, ranks, standing), left)
    }
}

/// Leaves a node the zone of its best candidate: pods that count zones need not wait for EC2's answer.
fn in_one_zone(node: &mut NewNode) {
    if let Some(zone) = node.candidates.first().map(|market| market.zone.clone()) {
        node.candidates.retain(|market| market.zone == zone);
    }
}

/// Waiting pods of workloads that have as many on spot as they may; by name, the first ones are off spot.
fn off_spot(waiting: &[PendingPod], nodes: &[PlacementNode], all: &[Arc<Pod>]) -> OffSpot {
    let mut asking: BTreeMap<&Uid, (i64, Vec<&ObjectKey>)> = BTreeMap::new();
    for pending in waiting {
        if let Some((owner, percentage)) = spot_percentage(&pending.pod) {
            let (_, pods) = asking.entry(owner).or_insert_with(|| (percentage, Vec::new()));
            pods.push(&pending.pod.key);
        }
    }
    if asking.is_empty() {
        return OffSpot::new();
    }
    let off: BTreeMap<&Uid, i64> = counted(
        nodes
            .iter()
            .filter(|node| !is_spot(node))
            .flat_map(|node| &node.pods),
    );
    let live = all
        .iter()
        .filter(|pod| pod.holds_resources() && pod.deleted_at.is_none());
    let replicas = counted(live);
    let mut chosen = OffSpot::new();
    for (owner, (percentage, mut pods)) in asking {
        let count = |of: &BTreeMap<&Uid, i64>| of.get(owner).copied().unwrap_or(0);
        let may_be_spot = count(&replicas) * percentage / 100;
        let wanted = count(&replicas) - may_be_spot - count(&off);
        pods.sort();
        let wanted = usize::try_from(wanted).unwrap_or(0);
        chosen.extend(pods.into_iter().take(wanted).map(|pod| (pod.clone(), None)));
    }
    chosen
}

/// The workload of a pod that says how much of it may be on spot.
fn spot_percentage(pod: &Pod) -> Option<(&Uid, i64)> {
    let percentage = pod.spot_percentage?;
    Some((&pod.owner.as_ref()?.uid, i64::from(percentage)))
}

/// Pods by owner, of owners that say how much may be on spot.
fn counted<'p>(pods: impl Iterator<Item = &'p Arc<Pod>>) -> BTreeMap<&'p Uid, i64> {
    let mut counts = BTreeMap::new();
    for (owner, _) in pods.filter_map(|pod| spot_percentage(pod)) {
        *counts.entry(owner).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests;
