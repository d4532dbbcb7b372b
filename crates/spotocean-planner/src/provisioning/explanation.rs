//! Why a pod is where it is, and why not elsewhere, as data.
//!
//! Asks nothing new: the supply, the landscape and the solver's answer are those of a plan. [`funnel`] counts
//! what each constraint leaves of a pool's offerings, [`room`] says why a node that is there does not take the
//! pod, [`removal`] why a node stays. Sentences are made here so that every reader says the same.

pub mod funnel;
pub mod removal;
pub mod room;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spotocean_core::id::{NodeName, ObjectKey, PoolKey};
use spotocean_solver::problem::NodeRef;
use spotocean_solver::solution::{NewNode, PoolReason, Solution};

use super::Prepared;
use super::pods::demands;
use crate::snapshot::Snapshot;
use funnel::Funnel;
use room::Refusal;

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is bound already.
    Bound(NodeName),
    /// It waits for nothing: it has ended, is being deleted, is gated, or is a daemon's or static pod.
    NotWaiting,
    /// A node on its way was bought for it.
    Nominated,
    /// A node that is there takes it.
    Existing(NodeRef),
    /// A node is bought for it.
    New(NewNode),
    /// It stays pending.
    Pending(Vec<PoolReason>),
}

/// Why a pod is where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodExplanation {
    /// The pod.
    pub pod: ObjectKey,
    /// What becomes of it.
    pub outcome: Outcome,
    /// Each node that is there, with what speaks against it; `None` for nothing, seen alone.
    pub nodes: Vec<(NodeRef, Option<Refusal>)>,
    /// Each pool's offerings, constraint by constraint.
    pub pools: Vec<Funnel>,
}

/// Explains one pod; `None` when there is none of that name.
#[must_use]
pub fn explain_pod(snapshot: &Snapshot, key: &ObjectKey) -> Option<PodExplanation> {
    let pod = snapshot.pods.iter().find(|pod| pod.key == *key)?;
    let prepared = Prepared::of(snapshot);
    let provision = prepared.rehearse();
    let landscape = &prepared.pass.landscape;
    let outcome = match &pod.node {
        Some(node) => Outcome::Bound(node.clone()),
        None if !pod.waits_for_capacity() => Outcome::NotWaiting,
        None if landscape.nominated.contains(key) => Outcome::Nominated,
        None => placed(&provision.solution, key),
    };
    let reasons: BTreeMap<PoolKey, PoolReason> = match &outcome {
        Outcome::Pending(reasons) => reasons
            .iter()
            .map(|reason| (reason.pool.clone(), reason.clone()))
            .collect(),
        _ => BTreeMap::new(),
    };
    let volumes: Vec<_> = demands(snapshot, pod)
        .into_iter()
        .filter_map(Result::ok)
        .collect();
    let nodes = landscape
        .nodes
        .iter()
        .filter(|node| !prepared.pass.reserved.has(&node.name))
        .map(|node| (node.name.clone(), room::refusal(pod, &volumes, node)))
        .collect();
    let pools = prepared
        .supplies
        .iter()
        .map(|supply| funnel::funnel(snapshot, supply, pod, &volumes, reasons.get(&supply.view.key)))
        .collect();
    Some(PodExplanation {
        pod: key.clone(),
        outcome,
        nodes,
        pools,
    })
}

fn placed(solution: &Solution, key: &ObjectKey) -> Outcome {
    let there = solution.existing.iter().find(|(_, pods)| pods.contains(key));
    if let Some((node, _)) = there {
        return Outcome::Existing(node.clone());
    }
    if let Some(node) = solution.new_nodes.iter().find(|node| node.pods.contains(key)) {
        return Outcome::New(node.clone());
    }
    let left = solution.unplaced.iter().filter(|unplaced| unplaced.pod == *key);
    Outcome::Pending(left.flat_map(|unplaced| unplaced.reasons.clone()).collect())
}

#[cfg(test)]
mod tests;
