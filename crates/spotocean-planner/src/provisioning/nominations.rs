//! Which nominations hold: the others are void, and their pods wait as if they had none.
//!
//! A nomination names a Node that is there and stays. One of ours holds only
//! until the node has had its time to be filled: what the scheduler has not
//! bound by then does not fit, and nothing would ever tell it to look again.
//! The scheduler's own (preemption) are for it to drop.

use std::collections::BTreeMap;

use jiff::Timestamp;
use spotocean_api::ocean_node::OceanNode;
use spotocean_core::id::{InstanceId, NodeName};
use spotocean_core::pod::Pod;

use super::in_flight::is_for;
use super::nodes::{awaits_binding, instance_of, is_leaving};
use crate::snapshot::Snapshot;

/// The Nodes that pods may be nominated to.
#[derive(Debug)]
pub struct Nominations<'a> {
    /// Nodes that stay, with what is on record of those of ours.
    staying: BTreeMap<&'a NodeName, Option<&'a OceanNode>>,
    now: Timestamp,
}

impl<'a> Nominations<'a> {
    /// Reads a snapshot.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let own: BTreeMap<InstanceId, &OceanNode> = snapshot
            .ocean_nodes
            .iter()
            .filter_map(|own| Some((instance_of(own)?, own.as_ref())))
            .collect();
        let nodes = snapshot.nodes.iter().map(|node| {
            let own = node.instance.as_ref().and_then(|id| own.get(id)).copied();
            (node, own)
        });
        Self {
            staying: nodes
                .filter(|(node, own)| node.deleted_at.is_none() && !own.is_some_and(is_leaving))
                .map(|(node, own)| (&node.name, own))
                .collect(),
            now: snapshot.now,
        }
    }

    /// The node that a pod is to be bound to.
    #[must_use]
    pub fn node<'p>(&self, pod: &'p Pod) -> Option<&'p NodeName> {
        let node = pod.nominated_node.as_ref()?;
        let holds = match self.staying.get(node)? {
            Some(own) if is_for(own, &pod.key) => awaits_binding(own, self.now),
            _ => true,
        };
        holds.then_some(node)
    }
}
