//! Which nominations hold: the others are void, and their pods wait as if they had none.
//!
//! A nomination names a Node that is there and stays. That of a pod one of our
//! nodes was bought for holds on our nodes where the pod has its place
//! ([`Places`]), which ends when the node has had its time to be filled: what
//! the scheduler has not bound by then does not fit, and nothing would ever
//! tell it to look again. The scheduler's own (preemption) are for it to drop.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use spotocean_api::ocean_node::OceanNode;
use spotocean_core::id::{InstanceId, NodeName, ObjectKey};
use spotocean_core::pod::Pod;

use super::in_flight::pods_of;
use super::nodes::{instance_of, is_leaving};
use super::places::Places;
use crate::snapshot::Snapshot;

/// The Nodes that pods may be nominated to.
#[derive(Debug)]
pub struct Nominations<'a> {
    /// Where the pods that our nodes were bought for have their places.
    pub places: Places<'a>,
    /// Nodes that stay, with what is on record of those of ours.
    staying: BTreeMap<&'a NodeName, Option<&'a OceanNode>>,
    snapshot: &'a Snapshot,
    bought_for: OnceCell<BTreeSet<ObjectKey>>,
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
            places: Places::of(snapshot),
            staying: nodes
                .filter(|(node, own)| node.deleted_at.is_none() && !own.is_some_and(is_leaving))
                .map(|(node, own)| (&node.name, own))
                .collect(),
            snapshot,
            bought_for: OnceCell::new(),
        }
    }

    /// The node that a pod is to be bound to.
    #[must_use]
    pub fn node<'p>(&self, pod: &'p Pod) -> Option<&'p NodeName> {
        let node = pod.nominated_node.as_ref()?;
        let holds = match self.staying.get(node)? {
            Some(own) if self.was_bought_for(&pod.key) => {
                let place = self.places.of_pod(&pod.key);
                place.is_some_and(|place| std::ptr::eq(place, *own))
            }
            _ => true,
        };
        holds.then_some(node)
    }

    /// Whether any node of ours was bought for a pod.
    fn was_bought_for(&self, pod: &ObjectKey) -> bool {
        let nodes = &self.snapshot.ocean_nodes;
        let bought_for = || nodes.iter().flat_map(|own| pods_of(own)).collect();
        self.bought_for.get_or_init(bought_for).contains(pod)
    }
}
