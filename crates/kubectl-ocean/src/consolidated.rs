//! A consolidation laid over an answer: pods that move stand where they go, and the figures are about the whole
//! cluster.

use std::collections::{BTreeMap, BTreeSet};

use spotocean_planner::snapshot::Snapshot;
use spotocean_solver::consolidation::{Consolidation, Target};
use spotocean_solver::problem::NodeRef;

use crate::answer::{Answer, Filled, PoolNames, Removed, bought, usd};

/// Adds what consolidation comes to.
pub(crate) fn add(answer: &mut Answer, snapshot: &Snapshot, found: &Consolidation) {
    let names = PoolNames::of(snapshot);
    let nodes = found.new_nodes.iter();
    answer
        .new_nodes
        .extend(nodes.map(|node| bought(snapshot, &names, node)));
    answer.existing = existing(std::mem::take(&mut answer.existing), found);
    answer.removed = removed(found);
    answer.hourly_cost = usd(found.cost_after);
    answer.lower_bound = Some(usd(found.lower_bound));
    answer.gap = found.gap_per_million().map(millionths);
}

#[expect(clippy::cast_precision_loss, reason = "a gap is a small number of millionths")]
fn millionths(gap: i64) -> f64 {
    gap as f64 / 1e6
}

fn existing(before: Vec<Filled>, found: &Consolidation) -> Vec<Filled> {
    let moved: BTreeSet<String> = found.moves.iter().map(|each| each.pod.to_string()).collect();
    let mut filled: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in before {
        let stay = node.pods.into_iter().filter(|pod| !moved.contains(pod));
        filled.entry(node.node).or_default().extend(stay);
    }
    for each in &found.moves {
        if let Target::Node(node) = &each.to {
            filled.entry(name(node)).or_default().insert(each.pod.to_string());
        }
    }
    let filled = filled.into_iter().filter(|(_, pods)| !pods.is_empty());
    filled
        .map(|(node, pods)| Filled {
            node,
            pods: pods.into_iter().collect(),
        })
        .collect()
}

fn removed(found: &Consolidation) -> Vec<Removed> {
    let occupied: BTreeSet<&NodeRef> = found.moves.iter().map(|each| &each.from).collect();
    let gone = found.removed().into_iter();
    gone.map(|node| Removed {
        node: name(node),
        reason: if occupied.contains(node) {
            "Underutilized".to_owned()
        } else {
            "Empty".to_owned()
        },
    })
    .collect()
}

fn name(node: &NodeRef) -> String {
    match node {
        NodeRef::Node(name) => name.to_string(),
        NodeRef::OnItsWay(name) => name.to_string(),
    }
}
