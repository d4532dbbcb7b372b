//! Nodes that exist or are on their way, as places for pods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::id::Namespace;
use spotocean_core::label;
use spotocean_core::pod::{HostPort, Pod, PodShape};
use spotocean_core::requirement::Labels;
use spotocean_core::resources::Resources;

use crate::dimension::{Dimensions, Vector};
use crate::feasible::{self, Certainty, NodeView};
use crate::problem::{NodeRef, PlacementNode};
use crate::queue;

/// Pods already placed that no selector tells apart.
#[derive(Clone, Debug)]
pub(crate) struct Kind<'p> {
    /// Their namespace.
    pub(crate) namespace: &'p Namespace,
    /// The labels of one of them.
    pub(crate) labels: &'p Labels,
    /// Whether they are being deleted: a spread does not count them, affinity does.
    pub(crate) is_ending: bool,
}

/// A node there or on its way.
#[derive(Clone, Debug)]
pub(crate) struct Site<'p> {
    /// Its description.
    pub(crate) node: &'p PlacementNode,
    /// What is free.
    pub(crate) free: Vector,
    /// Ports bound.
    pub(crate) ports: Vec<&'p HostPort>,
    /// Its pods: kind and count.
    pub(crate) residents: Vec<(usize, i64)>,
    /// Value index by topology key.
    pub(crate) values: Vec<Option<usize>>,
}

impl<'p> Site<'p> {
    /// The node, as node predicates see it.
    pub(crate) fn view(&self) -> NodeView<'p> {
        let (name, certainty) = match &self.node.name {
            NodeRef::Node(name) => (Some(name.as_str()), Certainty::Complete),
            NodeRef::OnItsWay(_) => (None, Certainty::MachineUnknown),
        };
        NodeView {
            labels: &self.node.labels,
            taints: &self.node.taints,
            name,
            certainty,
        }
    }

    /// Whether the node has this topology key for certain. One on its way will
    /// have a host name of its own.
    pub(crate) fn has_key(&self, key: &str) -> bool {
        let gets_host_name = key == label::HOSTNAME && matches!(self.node.name, NodeRef::OnItsWay(_));
        gets_host_name || self.node.labels.contains_key(key)
    }

    /// Whether the node may turn out to have a value of `key` that is not known yet.
    pub(crate) fn is_open(&self, key: &str) -> bool {
        self.view().certainty == Certainty::MachineUnknown
            && !self.node.labels.contains_key(key)
            && feasible::is_decided_by_machine(key)
    }
}

/// Sites with the kinds of pods on them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sites<'p> {
    /// Sites, by name unless another order was asked for.
    pub(crate) sites: Vec<Site<'p>>,
    /// Kinds of their pods.
    pub(crate) kinds: Vec<Kind<'p>>,
}

type KindKey<'p> = (&'p Namespace, Vec<Option<&'p str>>, bool);

/// Reads the nodes, in this order.
pub(crate) fn sites<'p>(
    nodes: &[&'p PlacementNode],
    dimensions: &Dimensions<'p>,
    selected_keys: &BTreeSet<&'p str>,
) -> Sites<'p> {
    let mut kinds: BTreeMap<KindKey<'p>, usize> = BTreeMap::new();
    let mut found = Sites::default();
    for node in nodes.iter().copied() {
        let mut counts: BTreeMap<usize, i64> = BTreeMap::new();
        for pod in holding(node) {
            let labels = queue::restricted(&pod.labels, selected_keys);
            let key = (pod.namespace(), labels, pod.deleted_at.is_some());
            let kind = *kinds.entry(key).or_insert_with(|| {
                found.kinds.push(kind(pod));
                found.kinds.len() - 1
            });
            *counts.entry(kind).or_insert(0) += 1;
        }
        found
            .sites
            .push(site(node, dimensions, counts.into_iter().collect()));
    }
    found
}

fn holding(node: &PlacementNode) -> impl Iterator<Item = &Arc<Pod>> {
    node.pods.iter().filter(|pod| pod.holds_resources())
}

fn kind(pod: &Pod) -> Kind<'_> {
    Kind {
        namespace: pod.namespace(),
        labels: &pod.labels,
        is_ending: pod.deleted_at.is_some(),
    }
}

fn site<'p>(node: &'p PlacementNode, dimensions: &Dimensions<'p>, residents: Vec<(usize, i64)>) -> Site<'p> {
    let used = holding(node).fold(node.reserved.clone(), |sum, pod| sum.plus(&footprint(&pod.shape)));
    Site {
        node,
        free: dimensions.room(&node.allocatable.minus(&used)),
        ports: holding(node).flat_map(|pod| &pod.shape.host_ports).collect(),
        residents,
        values: Vec::new(),
    }
}

/// What one pod takes; every pod takes one place whatever its shape says.
fn footprint(shape: &PodShape) -> Resources {
    Resources {
        pods: shape.requests.pods.max(1),
        ..shape.requests.clone()
    }
}
