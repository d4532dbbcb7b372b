//! Pods planned once more, where caps leave the nodes planned for them only dearer places.
//!
//! Without the markets that are full another size or family may be cheaper
//! than the same nodes a few places further down. Each pod stays with the pool
//! of its node, and with spot: caps change what is bought, not from whom.

use std::collections::{BTreeMap, BTreeSet};

use spotocean_core::id::{ObjectKey, PoolKey};
use spotocean_core::offering::Market;
use spotocean_core::pod::PodShape;
use spotocean_solver::problem::PendingPod;
use spotocean_solver::solution::{NewNode, Solution};
use spotocean_solver::solve::solve;

use super::Pass;
use super::fallback::{Offers, Round, settle};
use super::limits::Ledger;
use super::supply::Supply;

/// Parts from nodes those whose pods' places depend on where others are: these stay as they are planned.
pub(super) fn parted(pods: &[PendingPod], nodes: Vec<NewNode>) -> (Vec<NewNode>, Vec<NewNode>) {
    let tied = pods.iter().filter(|pending| is_tied(&pending.pod.shape));
    let tied: BTreeSet<&ObjectKey> = tied.map(|pending| &pending.pod.key).collect();
    nodes
        .into_iter()
        .partition(|node| node.pods.iter().all(|pod| !tied.contains(pod)))
}

fn is_tied(shape: &PodShape) -> bool {
    !(shape.spread.is_empty() && shape.affinity.is_empty() && shape.anti_affinity.is_empty())
}

impl Pass<'_> {
    /// The pods of `nodes` planned once more, each for the pool of its node and without the spot markets that are
    /// full, beside a solution that stands. `None` where not all of them find a place.
    pub(super) fn anew(
        &self,
        supplies: &[&Supply],
        pods: &[PendingPod],
        stands: &Solution,
        nodes: &[NewNode],
        is_full: &impl Fn(&PoolKey, &Market) -> bool,
    ) -> Option<Solution> {
        let offers = Offers::of(supplies);
        let mut ledger = Ledger::of(self.snapshot);
        self.keep_within(&mut stands.clone(), &offers, &mut ledger);
        let pool_of: BTreeMap<&ObjectKey, &PoolKey> = nodes
            .iter()
            .flat_map(|node| node.pods.iter().map(|pod| (pod, &node.pool)))
            .collect();
        let again = pods.iter().filter_map(|pending| {
            let pool = *pool_of.get(&pending.pod.key)?;
            Some(PendingPod {
                served_by: BTreeSet::from([pool.clone()]),
                ..pending.clone()
            })
        });
        let again: Vec<PendingPod> = again.collect();
        if again.len() < pool_of.len() {
            return None;
        }
        let mut problem = self.problem(supplies, again, Round::First, &ledger);
        for pool in &mut problem.pools {
            let key = &pool.key;
            pool.offers.retain(|offer| !is_full(key, offer.market()));
        }
        settle(&mut problem, &felt(stands, pods), pods, &offers);
        let mut found = solve(&problem);
        self.keep_within(&mut found, &offers, &mut ledger);
        found.unplaced.is_empty().then_some(found)
    }
}

/// What pods that are not tied feel of a solution that stands: what it puts on nodes that are there, and of its new
/// nodes those with pods that keep others away.
fn felt(stands: &Solution, pods: &[PendingPod]) -> Solution {
    let repels = |pending: &&PendingPod| !pending.pod.shape.anti_affinity.is_empty();
    let repelling = pods.iter().filter(repels);
    let repelling: BTreeSet<&ObjectKey> = repelling.map(|pending| &pending.pod.key).collect();
    let new_nodes = stands.new_nodes.iter();
    Solution {
        existing: stands.existing.clone(),
        new_nodes: new_nodes
            .filter(|node| node.pods.iter().any(|pod| repelling.contains(pod)))
            .cloned()
            .collect(),
        ..Solution::default()
    }
}
