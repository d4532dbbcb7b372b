//! Nodes as the solver sees them: those in the cluster, and OceanNodes on their way.
//!
//! A node of ours that still starts is taken as what it will be: its labels
//! are those it is about to carry, its ephemeral and startup taints do not
//! count, and the pods it was bought for are already on it. What EC2 has not
//! decided yet is left open: a launch's labels are those that all its places
//! share, its allocatable the smallest of each resource.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use spotocean_api::ocean_launch::OceanLaunch;
use spotocean_api::ocean_node::{OceanNode, Phase};
use spotocean_core::claim::ClaimState;
use spotocean_core::id::{InstanceId, NodeName, ObjectKey, PoolKey};
use spotocean_core::label::{self, UNREGISTERED_TAINT};
use spotocean_core::node::Node;
use spotocean_core::pod::{DaemonSet, Pod};
use spotocean_core::requirement::{Labels, all_match};
use spotocean_core::resources::Resources;
use spotocean_core::taint::{Taint, untolerated};
use spotocean_solver::problem::{NodeRef, PlacementNode};

use super::in_flight::{launches_by_name, market_of, markets, phase, pool_of};
use super::nominations::Nominations;
use super::supply::{Stock, Supply, zone_labels};
use crate::snapshot::Snapshot;
use crate::vocabulary;

/// How long after a node is ready its pods are still counted on it: the scheduler needs a moment.
const BINDING: SignedDuration = SignedDuration::from_secs(30);

/// Nodes, and the pods that are on their way to them.
#[derive(Clone, Debug, Default)]
pub struct Landscape {
    /// Nodes for the solver, sorted by name.
    pub nodes: Vec<PlacementNode>,
    /// Pending pods that a node on its way is for, or that are nominated to one: nothing more is bought for them.
    pub nominated: BTreeSet<ObjectKey>,
}

/// Everything about the snapshot that nodes are built from.
struct Survey<'a> {
    snapshot: &'a Snapshot,
    stocks: BTreeMap<&'a PoolKey, &'a Stock>,
    by_instance: BTreeMap<InstanceId, &'a OceanNode>,
    bound: BTreeMap<&'a NodeName, Vec<Arc<Pod>>>,
    nominations: Nominations<'a>,
}

/// Reads a snapshot.
#[must_use]
pub fn landscape(snapshot: &Snapshot, supplies: &[Supply]) -> Landscape {
    let survey = Survey::of(snapshot, supplies);
    let waiting = snapshot.pods.iter().filter(|pod| pod.waits_for_capacity());
    let nominated = waiting.filter(|pod| survey.nominations.node(pod).is_some());
    let mut landscape = Landscape {
        nodes: Vec::new(),
        nominated: nominated.map(|pod| pod.key.clone()).collect(),
    };
    let mut seen = BTreeSet::new();
    for node in &snapshot.nodes {
        let own = node
            .instance
            .as_ref()
            .and_then(|id| survey.by_instance.get(id))
            .copied();
        if own.is_some() {
            seen.extend(node.instance.clone());
        }
        survey.add_node(node, own, &mut landscape);
    }
    let launches = launches_by_name(snapshot);
    for own in &snapshot.ocean_nodes {
        let instance = instance_of(own);
        let has_node = instance.as_ref().is_some_and(|id| seen.contains(id));
        let is_coming = matches!(phase(own), Phase::Pending | Phase::Launched)
            && own.metadata.deletion_timestamp.is_none();
        let launch = launches.get(own.spec.launch_name.as_str());
        if !has_node && is_coming {
            survey.add_coming(own, launch.map(AsRef::as_ref), &mut landscape);
        }
    }
    landscape.nodes.sort_by(|a, b| a.name.cmp(&b.name));
    landscape
}

/// The instance behind an OceanNode.
#[must_use]
pub fn instance_of(own: &OceanNode) -> Option<InstanceId> {
    own.status.as_ref()?.instance_id.as_deref().map(InstanceId::from)
}

/// Whether a node still starts: its pods are counted on it, its passing taints are not.
fn is_starting(own: &OceanNode) -> bool {
    own.metadata.deletion_timestamp.is_none()
        && matches!(phase(own), Phase::Pending | Phase::Launched | Phase::Registered)
}

/// Whether a node is being given back.
pub(super) fn is_leaving(own: &OceanNode) -> bool {
    own.metadata.deletion_timestamp.is_some() || matches!(phase(own), Phase::Draining | Phase::Terminating)
}

/// Whether the pods a node was bought for are still to be bound there.
pub fn awaits_binding(own: &OceanNode, now: Timestamp) -> bool {
    let ready = own
        .status
        .as_ref()
        .and_then(|status| status.initialized_at.as_ref());
    !is_leaving(own) && (is_starting(own) || ready.is_some_and(|at| now < at.0 + BINDING))
}

impl<'a> Survey<'a> {
    fn of(snapshot: &'a Snapshot, supplies: &'a [Supply]) -> Self {
        let mut bound: BTreeMap<&NodeName, Vec<Arc<Pod>>> = BTreeMap::new();
        let nominations = Nominations::of(snapshot);
        for pod in snapshot.pods.iter().filter(|pod| pod.holds_resources()) {
            if let Some(node) = pod.node.as_ref().or_else(|| nominations.node(pod)) {
                bound.entry(node).or_default().push(pod.clone());
            }
        }
        let by_instance = snapshot
            .ocean_nodes
            .iter()
            .filter_map(|own| Some((instance_of(own)?, own.as_ref())))
            .collect();
        Self {
            snapshot,
            stocks: supplies
                .iter()
                .filter_map(|supply| Some((&supply.view.key, supply.state.as_ref().ok()?)))
                .collect(),
            by_instance,
            bound,
            nominations,
        }
    }

    fn add_node(&self, node: &Arc<Node>, own: Option<&OceanNode>, landscape: &mut Landscape) {
        let starting = own.filter(|own| is_starting(own));
        let mut pods = self.bound.get(&node.name).cloned().unwrap_or_default();
        if let Some(own) = own {
            pods.extend(self.nominate(own, landscape));
        }
        let labels = match starting {
            Some(own) => Arc::new(self.coming_labels(own, &node.labels)),
            None => node.labels.clone(),
        };
        let taints = taints(node, starting);
        let mut placed = PlacementNode {
            name: NodeRef::Node(node.name.clone()),
            accepts_pods: self.accepts_pods(node, own),
            reserved: Resources::default(),
            allocatable: self.allocatable(node, starting),
            attached: self.attached(&pods),
            attach_limits: node.attach_limits.clone(),
            labels,
            taints,
            pods,
        };
        if starting.is_some() {
            placed.reserved = missing_daemons(self.snapshot, &placed);
        }
        landscape.nodes.push(placed);
    }

    fn accepts_pods(&self, node: &Node, own: Option<&OceanNode>) -> bool {
        let stays = node.deleted_at.is_none() && !own.is_some_and(is_leaving);
        let starts = own.is_some_and(is_starting);
        stays && (starts || (!node.is_cordoned && node.is_ready()))
    }

    /// What the node reports; before it has reported, what is expected of it.
    fn allocatable(&self, node: &Node, starting: Option<&OceanNode>) -> Resources {
        match starting {
            Some(own) if node.allocatable.cpu_millis == 0 => self.coming_resources(own, None),
            _ => node.allocatable.clone(),
        }
    }

    fn add_coming(&self, own: &OceanNode, launch: Option<&OceanLaunch>, landscape: &mut Landscape) {
        let pods = self.nominate(own, landscape);
        let name = own.metadata.name.as_deref().unwrap_or_default().into();
        let (labels, allocatable) = match market_of(own) {
            Some(_) => (
                self.coming_labels(own, &Labels::new()),
                self.coming_resources(own, None),
            ),
            None => (
                self.undecided_labels(own, launch),
                self.coming_resources(own, launch),
            ),
        };
        let mut node = PlacementNode {
            name: NodeRef::OnItsWay(name),
            labels: Arc::new(labels),
            taints: own.spec.taints.iter().map(vocabulary::taint).collect(),
            allocatable,
            attached: self.attached(&pods),
            pods,
            reserved: Resources::default(),
            attach_limits: BTreeMap::new(),
            accepts_pods: true,
        };
        node.reserved = missing_daemons(self.snapshot, &node);
        landscape.nodes.push(node);
    }

    /// The waiting pods that have a place on an OceanNode and are not nominated yet.
    fn nominate(&self, own: &OceanNode, landscape: &mut Landscape) -> Vec<Arc<Pod>> {
        let pods = self.nominations.places.on(own).iter();
        pods.filter(|pod| landscape.nominated.insert(pod.key.clone()))
            .map(|pod| (*pod).clone())
            .collect()
    }

    /// Labels of a node whose instance is known: of its type and zone, of its pool, and those it reports.
    fn coming_labels(&self, own: &OceanNode, reported: &Labels) -> Labels {
        let mut labels = Labels::new();
        if let Some(market) = market_of(own) {
            if let Some(described) = self.snapshot.catalogue.types.get(&market.instance_type) {
                labels.extend(described.labels());
            }
            labels.extend(zone_labels(self.snapshot, &market.zone));
        }
        labels.extend(vocabulary::labels(&own.spec.labels));
        labels.extend(reported.clone());
        labels
            .entry(label::HOSTNAME.into())
            .or_insert_with(|| own.metadata.name.as_deref().unwrap_or_default().into());
        labels
    }

    /// Labels that every place of the launch would give.
    fn undecided_labels(&self, own: &OceanNode, launch: Option<&OceanLaunch>) -> Labels {
        let mut shared: Option<Labels> = None;
        for market in launch.into_iter().flat_map(markets) {
            let described = self.snapshot.catalogue.types.get(&market.instance_type);
            let mut labels = described.map(|described| described.labels()).unwrap_or_default();
            labels.extend(zone_labels(self.snapshot, &market.zone));
            match &mut shared {
                None => shared = Some(labels),
                Some(shared) => shared.retain(|key, value| labels.get(key) == Some(value)),
            }
        }
        let mut labels = shared.unwrap_or_default();
        labels.extend(self.coming_labels(own, &Labels::new()));
        labels
    }

    /// Allocatable as expected of its type; before EC2's answer the least of each resource over the launch's types,
    /// and never less than what it was bought for.
    fn coming_resources(&self, own: &OceanNode, launch: Option<&OceanLaunch>) -> Resources {
        let estimated = own
            .status
            .iter()
            .map(|status| vocabulary::resources(&status.allocatable))
            .next();
        if let Some(estimated) = estimated.filter(|estimated| estimated.cpu_millis > 0) {
            return estimated;
        }
        let stock = self.stocks.get(&pool_of(own));
        let types: BTreeSet<_> = match market_of(own) {
            Some(market) => BTreeSet::from([market.instance_type]),
            None => launch
                .into_iter()
                .flat_map(markets)
                .map(|market| market.instance_type)
                .collect(),
        };
        let known = types.iter().filter_map(|name| stock?.estimates.get(name));
        let least = known
            .map(|figures| figures.allocatable.clone())
            .reduce(|a, b| least(&a, &b));
        let wanted = vocabulary::resources(&own.spec.resources);
        least.map_or_else(|| wanted.clone(), |least| least.maximum(&wanted))
    }

    fn attached(&self, pods: &[Arc<Pod>]) -> BTreeMap<Arc<str>, BTreeSet<Arc<str>>> {
        let mut attached: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
        for pod in pods {
            for name in &pod.claims {
                let key = ObjectKey {
                    namespace: pod.key.namespace.clone(),
                    name: name.clone(),
                };
                let Some(claim) = self.snapshot.claims.get(&key) else {
                    continue;
                };
                if let ClaimState::Usable {
                    driver: Some(driver), ..
                } = &claim.state
                {
                    let volume = claim.volume.clone().unwrap_or_else(|| key.to_string().into());
                    attached.entry(driver.clone()).or_default().insert(volume);
                }
            }
        }
        attached
    }
}

/// Requests of DaemonSets that will come to a node and are not there yet.
pub(super) fn missing_daemons(snapshot: &Snapshot, node: &PlacementNode) -> Resources {
    let present: BTreeSet<_> = node
        .pods
        .iter()
        .filter(|pod| pod.is_daemon())
        .filter_map(|pod| pod.owner.as_ref().map(|owner| owner.uid.clone()))
        .collect();
    let missing = snapshot
        .daemon_sets
        .iter()
        .filter(|daemon| !present.contains(&daemon.uid) && runs_on(daemon, &node.labels, &node.taints));
    missing.fold(Resources::default(), |sum, daemon| {
        sum.plus(&daemon.shape.requests)
    })
}

/// Taints that count: those that pass by themselves are left out of a node that still starts.
fn taints(node: &Node, starting: Option<&OceanNode>) -> Vec<Taint> {
    let Some(own) = starting else {
        return node.taints.clone();
    };
    let startup: Vec<Taint> = own.spec.startup_taints.iter().map(vocabulary::taint).collect();
    let passes = |taint: &Taint| {
        label::EPHEMERAL_TAINTS.contains(&taint.key.as_ref())
            || taint.key.as_ref() == UNREGISTERED_TAINT
            || startup
                .iter()
                .any(|own| own.key == taint.key && own.effect == taint.effect)
    };
    node.taints
        .iter()
        .filter(|taint| !passes(taint))
        .cloned()
        .collect()
}

/// Whether a DaemonSet has a pod on a node with these labels and taints.
pub(super) fn runs_on(daemon: &DaemonSet, labels: &Labels, taints: &[Taint]) -> bool {
    let shape = &daemon.shape;
    let terms = shape.node_terms.as_ref();
    all_match(&shape.node_selector, labels)
        && terms.is_none_or(|terms| {
            terms
                .iter()
                .any(|term| term.fields.is_empty() && all_match(&term.expressions, labels))
        })
        && untolerated(taints, &shape.tolerations).is_none()
}

/// The smaller amount of each resource that both name.
fn least(a: &Resources, b: &Resources) -> Resources {
    Resources {
        cpu_millis: a.cpu_millis.min(b.cpu_millis),
        memory_bytes: a.memory_bytes.min(b.memory_bytes),
        ephemeral_storage_bytes: a.ephemeral_storage_bytes.min(b.ephemeral_storage_bytes),
        pods: a.pods.min(b.pods),
        extended: a
            .extended
            .iter()
            .filter_map(|(name, amount)| Some((name.clone(), (*amount).min(*b.extended.get(name)?))))
            .collect(),
    }
}

#[cfg(test)]
mod tests;
