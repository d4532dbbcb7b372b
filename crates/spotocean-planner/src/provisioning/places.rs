//! Which waiting pod has a place on which new node.
//!
//! A node is bought for pods by name, but equal pods are interchangeable, and
//! kube-scheduler may bind one of them in the place of another. Then the other
//! one takes the place that was left, as long as there is one: nothing need be
//! bought for it again. A pod for which none is left keeps its own node, which
//! is full, until that node has had its time.

use std::collections::BTreeMap;
use std::sync::Arc;

use spotocean_api::ocean_node::OceanNode;
use spotocean_core::id::{Namespace, ObjectKey};
use spotocean_core::label::{REGION, ZONE};
use spotocean_core::pod::{Pod, PodShape};
use spotocean_core::requirement::Labels;

use super::in_flight::pods_of;
use super::nodes::awaits_binding;
use crate::snapshot::Snapshot;

/// The places of waiting pods.
#[derive(Debug, Default)]
pub struct Places<'a> {
    /// By OceanNode, in the order of pods' keys.
    on: BTreeMap<&'a str, Vec<&'a Arc<Pod>>>,
    by_pod: BTreeMap<&'a ObjectKey, &'a OceanNode>,
}

/// What pods have in common that may stand in for one another.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class<'a> {
    namespace: &'a Namespace,
    priority: i32,
    claims: &'a [Arc<str>],
    /// Without those that come with the node.
    labels: Vec<(&'a str, &'a str)>,
    shape: &'a PodShape,
}

/// The places of one class.
#[derive(Default)]
struct Ledger<'a> {
    /// Places that are free by node: those bought, less the pods of the class that are there.
    free: BTreeMap<usize, i64>,
    /// Waiting pods with the node that was bought for them.
    waiting: BTreeMap<&'a ObjectKey, (&'a Arc<Pod>, usize)>,
}

impl<'a> Places<'a> {
    /// Reads a snapshot.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let awaited = snapshot.ocean_nodes.iter().map(AsRef::as_ref);
        let awaited: Vec<&OceanNode> = awaited.filter(|own| awaits_binding(own, snapshot.now)).collect();
        let mut places = Self::default();
        for (_, ledger) in ledgers(snapshot, &awaited) {
            for (pod, node) in ledger.assign() {
                let own = awaited[node];
                places.by_pod.insert(&pod.key, own);
                places.on.entry(name(own)).or_default().push(pod);
            }
        }
        for pods in places.on.values_mut() {
            pods.sort_by_key(|pod| &pod.key);
        }
        places
    }

    /// The waiting pods that have a place on a node.
    #[must_use]
    pub fn on(&self, node: &OceanNode) -> &[&'a Arc<Pod>] {
        self.on.get(name(node)).map_or(&[], Vec::as_slice)
    }

    /// The node that a waiting pod has a place on.
    #[must_use]
    pub fn of_pod(&self, pod: &ObjectKey) -> Option<&'a OceanNode> {
        self.by_pod.get(pod).copied()
    }
}

fn name(own: &OceanNode) -> &str {
    own.metadata.name.as_deref().unwrap_or_default()
}

/// What was bought for each class of pods, and who has come.
fn ledgers<'a>(snapshot: &'a Snapshot, awaited: &[&'a OceanNode]) -> BTreeMap<Class<'a>, Ledger<'a>> {
    let mut bought_for = BTreeMap::new();
    let mut by_name = BTreeMap::new();
    for (index, own) in awaited.iter().enumerate() {
        for key in pods_of(own) {
            bought_for.entry(key).or_insert(index);
        }
        let node = own.status.as_ref().and_then(|status| status.node_name.as_deref());
        by_name.extend(node.map(|node| (node, index)));
    }
    let mut ledgers: BTreeMap<Class<'_>, Ledger<'_>> = BTreeMap::new();
    if bought_for.is_empty() {
        return ledgers;
    }
    for pod in &snapshot.pods {
        let Some(own) = bought_for.get(&pod.key).copied() else {
            continue;
        };
        let ledger = ledgers.entry(Class::of(pod)).or_default();
        let there = pod.node.as_ref().map(|node| by_name.get(node.as_str()));
        let is_waiting = there.is_none() && pod.waits_for_capacity();
        if is_waiting || there.is_some() {
            *ledger.free.entry(own).or_default() += 1;
        }
        if let Some(there) = there.flatten() {
            *ledger.free.entry(*there).or_default() -= 1;
        }
        if is_waiting {
            ledger.waiting.insert(&pod.key, (pod, own));
        }
    }
    ledgers
}

impl<'a> Class<'a> {
    pub(crate) fn of(pod: &'a Pod) -> Self {
        Self {
            namespace: pod.namespace(),
            priority: pod.priority,
            claims: &pod.claims,
            labels: own_labels(&pod.labels).collect(),
            shape: &pod.shape,
        }
    }
}

/// A pod's labels but those of its node, which Kubernetes copies to it as it is bound (admission plugin
/// PodTopologyLabels, from 1.35 on): they must not tell a bound pod from its equals that wait.
fn own_labels(labels: &Labels) -> impl Iterator<Item = (&str, &str)> {
    let labels = labels.iter().map(|(key, value)| (key.as_ref(), value.as_ref()));
    labels.filter(|(key, _)| ![ZONE, REGION].contains(key))
}

impl<'a> Ledger<'a> {
    /// The place of each waiting pod: its own while that is free, else the first that is.
    fn assign(mut self) -> Vec<(&'a Arc<Pod>, usize)> {
        let (at_home, displaced): (Vec<_>, Vec<_>) = self
            .waiting
            .into_values()
            .partition(|(_, own)| take(&mut self.free, *own));
        let displaced = displaced.into_iter().map(|(pod, own)| {
            let free = self.free.iter().find(|(_, places)| **places > 0);
            let node = free.map_or(own, |(node, _)| *node);
            take(&mut self.free, node);
            (pod, node)
        });
        at_home.into_iter().chain(displaced.collect::<Vec<_>>()).collect()
    }
}

fn take(free: &mut BTreeMap<usize, i64>, node: usize) -> bool {
    let places = free.entry(node).or_default();
    let is_free = *places > 0;
    *places -= i64::from(is_free);
    is_free
}

#[cfg(test)]
mod tests;
