//! What waits: pods grouped into classes that the scheduler cannot tell apart.
//!
//! Two pods are alike when namespace, shape, volumes, the pools that may serve
//! them and those labels that some selector of the problem looks at are equal.
//! Labels nobody selects by (a StatefulSet's pod name, a template hash) would
//! make a class of every pod and are left out. Knows nothing of nodes or offers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::id::{Namespace, PoolKey};
use spotocean_core::pod::{NodeTerm, PodShape};
use spotocean_core::requirement::Labels;
use spotocean_core::selector::LabelSelector;

use crate::problem::{PendingPod, Problem, VolumeDemand};

/// A volume as far as it distinguishes pods: by name only when something else uses it too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Attachment<'p> {
    /// The CSI driver.
    pub(crate) driver: Option<&'p str>,
    /// The volume's name where it is shared, else each pod has one of its own.
    pub(crate) shared: Option<&'p str>,
    terms: Option<&'p [NodeTerm]>,
}

/// Pods that are alike.
#[derive(Clone, Debug)]
pub(crate) struct Class<'p> {
    /// One of them, for everything that they have in common.
    pub(crate) example: &'p PendingPod,
    /// All of them, in the order in which they are served.
    pub(crate) pods: Vec<&'p PendingPod>,
    /// What each attaches.
    pub(crate) attachments: Vec<Attachment<'p>>,
}

impl<'p> Class<'p> {
    pub(crate) fn shape(&self) -> &'p PodShape {
        &self.example.pod.shape
    }

    pub(crate) fn namespace(&self) -> &'p Namespace {
        self.example.pod.namespace()
    }

    pub(crate) fn labels(&self) -> &'p Labels {
        &self.example.pod.labels
    }
}

/// What waits, and what is refused because it is not modelled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue<'p> {
    /// Classes in canonical order.
    pub(crate) classes: Vec<Class<'p>>,
    /// Pods that are never placed.
    pub(crate) refused: Vec<&'p PendingPod>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'p> {
    namespace: &'p Namespace,
    shape: usize,
    labels: Vec<Option<&'p str>>,
    attachments: Vec<Attachment<'p>>,
    served_by: &'p BTreeSet<PoolKey>,
}

/// Groups the waiting pods.
pub(crate) fn queue<'p>(problem: &'p Problem, selected_keys: &BTreeSet<&'p str>) -> Queue<'p> {
    let (modelled, mut refused): (Vec<_>, Vec<_>) = problem
        .pods
        .iter()
        .partition(|pending| pending.pod.shape.unmodelled.is_empty());
    refused.sort_by_key(|pending| &pending.pod.key);
    let ranks = shape_ranks(&modelled);
    let shared = shared_volumes(problem);
    let mut classes: BTreeMap<Key<'p>, Vec<&'p PendingPod>> = BTreeMap::new();
    for pending in modelled {
        let key = Key {
            namespace: pending.pod.namespace(),
            shape: ranks[&Arc::as_ptr(&pending.pod.shape)],
            labels: restricted(&pending.pod.labels, selected_keys),
            attachments: attachments(&pending.volumes, &shared),
            served_by: &pending.served_by,
        };
        classes.entry(key).or_default().push(pending);
    }
    let classes = classes.into_iter().map(|(key, pods)| class(key, pods)).collect();
    Queue { classes, refused }
}

fn class<'p>(key: Key<'p>, mut pods: Vec<&'p PendingPod>) -> Class<'p> {
    pods.sort_by(|a, b| service_order(a).cmp(&service_order(b)));
    Class {
        example: pods[0],
        pods,
        attachments: key.attachments,
    }
}

/// Within a class the most important and the longest waiting go first.
fn service_order(pending: &PendingPod) -> impl Ord + '_ {
    let pod = &pending.pod;
    (std::cmp::Reverse(pod.priority), pod.created_at, &pod.key)
}

/// The values of `keys` among `labels`.
pub(crate) fn restricted<'p>(labels: &'p Labels, keys: &BTreeSet<&str>) -> Vec<Option<&'p str>> {
    keys.iter()
        .map(|key| labels.get(*key).map(AsRef::as_ref))
        .collect()
}

/// The rank of each shape among all, by its address: equal pods share their
/// shape, so that comparing 20,000 of them is comparing numbers.
fn shape_ranks<'p>(pods: &[&'p PendingPod]) -> BTreeMap<*const PodShape, usize> {
    let by_address: BTreeMap<*const PodShape, &'p PodShape> = pods
        .iter()
        .map(|pending| (Arc::as_ptr(&pending.pod.shape), pending.pod.shape.as_ref()))
        .collect();
    let distinct: BTreeSet<&PodShape> = by_address.values().copied().collect();
    let ranks: BTreeMap<&PodShape, usize> = distinct.into_iter().zip(0..).collect();
    by_address
        .into_iter()
        .map(|(address, shape)| (address, ranks[shape]))
        .collect()
}

/// Volumes that more than one pod or a node already uses.
fn shared_volumes(problem: &Problem) -> BTreeSet<&str> {
    let attached = problem
        .nodes
        .iter()
        .flat_map(|node| node.attached.values().flatten());
    let mut shared: BTreeSet<&str> = attached.map(AsRef::as_ref).collect();
    let mut seen = BTreeSet::new();
    for demand in problem.pods.iter().flat_map(|pending| &pending.volumes) {
        if !seen.insert(demand.volume.as_ref()) {
            shared.insert(&demand.volume);
        }
    }
    shared
}

fn attachments<'p>(volumes: &'p [VolumeDemand], shared: &BTreeSet<&str>) -> Vec<Attachment<'p>> {
    let mut attachments: Vec<Attachment<'p>> = volumes
        .iter()
        .map(|demand| Attachment {
            driver: demand.driver.as_deref(),
            shared: shared.contains(demand.volume.as_ref()).then_some(&*demand.volume),
            terms: demand.terms.as_deref(),
        })
        .collect();
    attachments.sort();
    attachments
}

/// The pod labels that some selector in the problem looks at.
pub(crate) fn selected_keys(problem: &Problem) -> BTreeSet<&str> {
    let mut shapes: BTreeMap<*const PodShape, &PodShape> = BTreeMap::new();
    let residents = problem.nodes.iter().flat_map(|node| &node.pods);
    for pod in problem.pods.iter().map(|pending| &pending.pod).chain(residents) {
        shapes.insert(Arc::as_ptr(&pod.shape), &pod.shape);
    }
    let daemons = problem.daemon_sets.iter().map(|daemon| daemon.shape.as_ref());
    let selectors = shapes.into_values().chain(daemons).flat_map(selectors);
    selectors.flat_map(keys).collect()
}

fn selectors(shape: &PodShape) -> impl Iterator<Item = &LabelSelector> {
    let spread = shape.spread.iter().filter_map(|spread| spread.selector.as_ref());
    let wished = shape
        .preferred_affinity
        .iter()
        .chain(&shape.preferred_anti_affinity);
    let terms = shape.affinity.iter().chain(&shape.anti_affinity);
    let terms = terms.chain(wished.map(|wished| &wished.term));
    spread.chain(terms.filter_map(|term| term.selector.as_ref()))
}

fn keys(selector: &LabelSelector) -> impl Iterator<Item = &str> {
    let labels = selector.match_labels.keys().map(AsRef::as_ref);
    let expressions = selector.match_expressions.iter();
    labels.chain(expressions.map(|expression| expression.key.as_ref()))
}
