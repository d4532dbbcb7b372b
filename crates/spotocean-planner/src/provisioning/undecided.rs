//! Pods that wait until EC2 has decided where nodes on their way are.
//!
//! A node whose zone is open may turn out in any: its pods may count in a
//! spread, or its zone may be one more domain, and an empty one. A pod planned
//! beside it now may then be refused by the scheduler. The answer comes within
//! seconds, so such a pod waits for the next look.

use std::sync::Arc;

use spotocean_core::label;
use spotocean_core::pod::{Pod, PodShape};
use spotocean_core::topology::{NodeInclusion, TopologySpread, WhenUnsatisfiable};
use spotocean_solver::problem::{NodeRef, PendingPod, PlacementNode};
use spotocean_solver::solution::{PoolReason, Reason, Unplaced};

/// Parts from `pods` those that have to wait.
pub(super) fn set_apart(pods: Vec<PendingPod>, nodes: &[PlacementNode]) -> (Vec<PendingPod>, Vec<Unplaced>) {
    let on_their_way: Vec<&PlacementNode> = nodes
        .iter()
        .filter(|node| matches!(node.name, NodeRef::OnItsWay(_)))
        .collect();
    if on_their_way.is_empty() {
        return (pods, Vec::new());
    }
    let mut waiting = Vec::new();
    let mut ready = Vec::new();
    for pending in pods {
        match open_constraint(&pending.pod, &on_their_way) {
            Some((reason, key)) => waiting.push(unplaced(&pending, reason, key)),
            None => ready.push(pending),
        }
    }
    (ready, waiting)
}

/// Whether the pod's own constraints depend on which place other nodes turn out in.
pub(super) fn counts_places(shape: &PodShape) -> bool {
    let apart = shape.anti_affinity.iter().map(|term| &term.topology_key);
    hard_spreads(shape)
        .map(|spread| &spread.topology_key)
        .chain(apart)
        .any(|key| key.as_ref() != label::HOSTNAME)
}

/// Hard spreads over anything but nodes.
fn hard_spreads(shape: &PodShape) -> impl Iterator<Item = &TopologySpread> {
    shape.spread.iter().filter(|spread| {
        spread.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule
            && spread.topology_key.as_ref() != label::HOSTNAME
    })
}

/// The first label that decides whether the pod's own constraints hold and that some node on its way has yet to get.
fn open_constraint<'a>(pod: &'a Pod, on_their_way: &[&PlacementNode]) -> Option<(Reason, &'a Arc<str>)> {
    let spread = hard_spreads(&pod.shape).flat_map(|spread| {
        let honoured = spread.node_affinity_policy == NodeInclusion::Honor;
        let own = own_keys(&pod.shape).filter(move |_| honoured);
        own.chain([&spread.topology_key])
            .map(|key| (Reason::TopologySpread, key))
    });
    let apart = pod.shape.anti_affinity.iter();
    let apart = apart.map(|term| (Reason::PodAntiAffinity, &term.topology_key));
    spread
        .chain(apart)
        .find(|(_, key)| on_their_way.iter().any(|node| is_open(node, key)))
}

/// The labels that decide whether the pod may use a node, and so whether a spread counts that node.
fn own_keys(shape: &PodShape) -> impl Iterator<Item = &Arc<str>> {
    let terms = shape.node_terms.iter().flatten();
    let expressions = terms.flat_map(|term| &term.expressions);
    let requirements = shape.node_selector.iter().chain(expressions);
    requirements.map(|requirement| &requirement.key)
}

fn is_open(node: &PlacementNode, key: &str) -> bool {
    const DECIDED_BY_EC2: [&str; 4] = [label::ZONE, label::ZONE_ID, label::INSTANCE_TYPE, label::ARCH];
    let is_decided_by_ec2 = DECIDED_BY_EC2.contains(&key) || key.starts_with("spotocean.dev/instance-");
    is_decided_by_ec2 && !node.labels.contains_key(key)
}

fn unplaced(pending: &PendingPod, reason: Reason, key: &str) -> Unplaced {
    let message: Arc<str> = format!(
        "its constraint over {key} waits for EC2 to say which {key} nodes on their way have: nothing to do but wait"
    )
    .into();
    Unplaced {
        pod: pending.pod.key.clone(),
        reasons: pending
            .served_by
            .iter()
            .map(|pool| PoolReason {
                pool: pool.clone(),
                reason,
                message: message.clone(),
            })
            .collect(),
    }
}
