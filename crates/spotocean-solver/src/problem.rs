//! The question: which pods wait, which nodes are there or on their way, and
//! what may be bought.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spotocean_core::id::{Namespace, NodeName, OceanNodeName, PoolKey, Zone};
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::{Market, Offering};
use spotocean_core::pod::{DaemonSet, NodeTerm, Pod};
use spotocean_core::requirement::{Labels, Requirement};
use spotocean_core::resources::Resources;
use spotocean_core::taint::Taint;

/// One question to the solver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// Pods to place. The order carries no meaning.
    pub pods: Vec<PendingPod>,
    /// Nodes that exist or are on their way. All of them count as topology
    /// domains and hold pods that affinity terms look at; only those that
    /// accept pods are candidates.
    pub nodes: Vec<PlacementNode>,
    /// Pools that may buy. Higher weight strictly first; price decides among equals.
    pub pools: Vec<BuyablePool>,
    /// DaemonSets: each new node carries the ones that match it.
    pub daemon_sets: Vec<Arc<DaemonSet>>,
    /// Labels of namespaces, for `namespaceSelector`.
    pub namespaces: BTreeMap<Namespace, Arc<Labels>>,
}

/// A pod that waits, with what its volumes demand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingPod {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Its volumes.
    pub volumes: Vec<VolumeDemand>,
    /// Pools (by index-free key) whose ocean serves this pod; no other pool may buy for it.
    pub served_by: BTreeSet<PoolKey>,
}

/// What one persistent volume demands of the node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VolumeDemand {
    /// What makes two pods share one attachment: the volume's or the claim's name.
    pub volume: Arc<str>,
    /// Alternatives the node must match; `None` is anywhere.
    pub terms: Option<Vec<NodeTerm>>,
    /// The CSI driver whose attach limit it counts against.
    pub driver: Option<Arc<str>>,
}

/// Names a node in placements.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum NodeRef {
    /// A Node in the cluster.
    Node(NodeName),
    /// An `OceanNode` whose Node has not registered yet.
    OnItsWay(OceanNodeName),
}

/// A node that exists or is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementNode {
    /// Its name.
    pub name: NodeRef,
    /// Its labels; for one on its way those that are certain (a zone that EC2 has not chosen yet is absent).
    pub labels: Arc<Labels>,
    /// Taints that count: ephemeral and startup taints of a node still starting are left out.
    pub taints: Vec<Taint>,
    /// Its allocatable.
    pub allocatable: Resources,
    /// Pods on it, daemons included, and pods nominated to it earlier.
    pub pods: Vec<Arc<Pod>>,
    /// Requests to keep free beside `pods`: daemons not there yet.
    pub reserved: Resources,
    /// Volumes attached per driver, by [`VolumeDemand::volume`].
    pub attached: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Attach limit per driver; a driver without one is unlimited.
    pub attach_limits: BTreeMap<Arc<str>, i64>,
    /// Whether new pods may go there: not cordoned, not being given back.
    pub accepts_pods: bool,
}

/// A pool requirement with Karpenter's `minValues`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PoolRequirement {
    /// The requirement on node labels.
    pub requirement: Requirement,
    /// A launch must keep at least this many distinct values of the key among its candidates.
    pub min_values: Option<usize>,
}

/// A pool that may buy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuyablePool {
    /// Its name.
    pub key: PoolKey,
    /// Higher is strictly preferred.
    pub weight: i32,
    /// Requirements; every offer already satisfies them, they are here for `minValues` and for custom label keys.
    pub requirements: Vec<PoolRequirement>,
    /// Labels its nodes carry beside those of type, zone and capacity type.
    pub labels: Arc<Labels>,
    /// Taints its nodes keep (startup taints are not among them).
    pub taints: Vec<Taint>,
    /// What it may buy now: not cooling down, priced, under its price ceiling.
    pub offers: Vec<Offer>,
    /// What it may still add.
    pub limits: RemainingLimits,
    /// How many markets a spot launch should offer EC2, where constraints allow.
    pub minimum_flexibility: usize,
    /// Why it buys nothing at all, if so: a sentence for each pod it might have served.
    pub closed: Option<PoolClosed>,
}

/// Why a pool buys nothing now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PoolClosed {
    /// The reason's name, as in a condition.
    pub reason: Arc<str>,
    /// One sentence: found, needed, what to change.
    pub message: Arc<str>,
}

/// What a pool and its ocean may still add; `None` is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RemainingLimits {
    /// By resource name, in core units (milli-CPU, bytes, counts).
    pub resources: BTreeMap<Arc<str>, i64>,
    /// Nodes.
    pub nodes: Option<i64>,
    /// Dollars per hour.
    pub hourly_cost: Option<PricePerHour>,
}

/// One offering as this pool would use it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Offer {
    /// Type, zone, capacity type and price.
    pub offering: Offering,
    /// Labels of its nodes, complete: type, zone, capacity type and the pool's.
    pub labels: Arc<Labels>,
    /// What a node will report as capacity (limits count this).
    pub capacity: Resources,
    /// What a node will report as allocatable.
    pub allocatable: Resources,
    /// Volumes a node can attach, per CSI driver.
    pub attach_limits: Arc<BTreeMap<Arc<str>, i64>>,
    /// What interruptions of such a node cost per hour on average, beside its price. Plans are made for the least sum
    /// of both; limits, and what a plan is said to cost, are about the price.
    #[serde(default)]
    pub risk: PricePerHour,
}

impl Offer {
    /// The market behind it.
    #[must_use]
    pub fn market(&self) -> &Market {
        &self.offering.market
    }

    /// The zone it is in.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.offering.market.zone
    }
}
