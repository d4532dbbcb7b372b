//! Which DaemonSets a node of some labels and taints will carry, and what they take.

use std::sync::Arc;

use spotocean_core::pod::DaemonSet;
use spotocean_core::resources::Resources;

use crate::feasible::{self, NodeView};

/// The DaemonSets, by position in `daemon_sets`, whose pods such a node gets
/// (the DaemonSet controller asks node affinity and taints, nothing else).
pub(crate) fn carried(daemon_sets: &[&Arc<DaemonSet>], node: NodeView<'_>) -> Vec<usize> {
    daemon_sets
        .iter()
        .enumerate()
        .filter(|(_, daemon)| feasible::selector_admits(&daemon.shape, node))
        .filter(|(_, daemon)| feasible::taints_admit(&daemon.shape, node.taints))
        .map(|(index, _)| index)
        .collect()
}

/// What they ask for together, pods counted.
pub(crate) fn overhead(daemon_sets: &[&Arc<DaemonSet>], carried: &[usize]) -> Resources {
    carried.iter().fold(Resources::default(), |sum, index| {
        let request = &daemon_sets[*index].shape.requests;
        let pods = request.pods.max(1);
        sum.plus(&Resources {
            pods,
            ..request.clone()
        })
    })
}
