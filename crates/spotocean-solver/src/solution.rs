//! The answer: where each pod goes, what to buy, and per pool why not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{ObjectKey, PoolKey};
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::Market;
use spotocean_core::resources::Resources;

use crate::problem::NodeRef;

/// What the solver decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Solution {
    /// Pods that fit nodes already there or on their way.
    pub existing: BTreeMap<NodeRef, Vec<ObjectKey>>,
    /// Nodes to buy, in a stable order.
    pub new_nodes: Vec<NewNode>,
    /// Pods left over, with a reason per pool.
    pub unplaced: Vec<Unplaced>,
    /// What no plan for the same pods can be cheaper than.
    pub lower_bound: Option<PricePerHour>,
    /// The proofs of that, one for each question asked: their bounds add up.
    pub certificates: Vec<Certificate>,
}

impl Solution {
    /// What the new nodes cost per hour at the price planned.
    #[must_use]
    pub fn cost(&self) -> PricePerHour {
        self.new_nodes.iter().map(|node| node.price).sum()
    }

    /// Counts another answer's bound in, whose pods are others; before its nodes are added.
    pub fn add_bound(&mut self, other: &Self) {
        let is_first = self.new_nodes.is_empty() && self.lower_bound.is_none();
        let own = self.lower_bound.or(is_first.then_some(PricePerHour::ZERO));
        let is_idle = other.new_nodes.is_empty();
        let others = other.lower_bound.or(is_idle.then_some(PricePerHour::ZERO));
        self.lower_bound = own.zip(others).map(|(own, others)| own + others);
        self.certificates.extend(other.certificates.iter().cloned());
    }

    /// Takes pods that are not served after all out of the bound: what they were worth is proved no more.
    pub fn forgo<'a>(&mut self, pods: impl Iterator<Item = &'a ObjectKey>) {
        let pods: BTreeSet<&ObjectKey> = pods.collect();
        if pods.is_empty() {
            return;
        }
        for certificate in &mut self.certificates {
            certificate.forgo(&pods);
        }
        let left = self.certificates.iter().map(|each| each.lower_bound).sum();
        self.lower_bound = self.lower_bound.map(|known| known.min(left));
    }

    /// By how many millionths of the bound the new nodes may at most be above the
    /// cheapest; `None` without a bound, or where it is zero and the cost is not.
    #[must_use]
    pub fn gap_per_million(&self) -> Option<i64> {
        let (cost, bound) = (self.cost().micro_usd(), self.lower_bound?.micro_usd());
        match (cost - bound, bound) {
            (over, _) if over <= 0 => Some(0),
            (_, 0) => None,
            (over, bound) => i64::try_from(i128::from(over) * 1_000_000 / i128::from(bound)).ok(),
        }
    }
}

/// Why no plan for the same pods is cheaper than `lower_bound`: give each pod its
/// value; then on no offer that counts for them can one node's pods be worth more
/// than the node costs, so that all nodes bought cost at least what all pods are
/// worth, less what those on nodes already there are worth at most.
///
/// Which offers count for a pod: those of its first pool weight that serves it,
/// and there spot where the pool has spot that serves it; all that admit it where
/// `is_anywhere`. Anyone can check it without knowing how it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Certificate {
    /// The bound.
    pub lower_bound: PricePerHour,
    /// Units of value in one micro-dollar per hour.
    pub scale: i64,
    /// Values.
    pub classes: Vec<ClassValue>,
}

impl Certificate {
    /// Leaves pods out; with fewer pods to serve, the values of the others prove what they did.
    fn forgo(&mut self, pods: &BTreeSet<&ObjectKey>) {
        let mut worth = 0;
        for class in &mut self.classes {
            let before = class.pods.len();
            class.pods.retain(|pod| !pods.contains(pod));
            worth += (before - class.pods.len()) as i128 * i128::from(class.value);
        }
        self.classes.retain(|class| !class.pods.is_empty());
        let scale = i128::from(self.scale.max(1));
        let left = (i128::from(self.lower_bound.micro_usd()) * scale - worth).div_euclid(scale);
        self.lower_bound = PricePerHour(i64::try_from(left.max(0)).unwrap_or(i64::MAX));
    }
}

/// What each of some pods is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassValue {
    /// The pods, all of which the plan serves.
    pub pods: Vec<ObjectKey>,
    /// Whether all offers that admit them count, and not their first level alone.
    pub is_anywhere: bool,
    /// What one of them is worth, in units of the certificate's scale.
    pub value: i64,
}

/// One node to buy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewNode {
    /// The pool that buys it.
    pub pool: PoolKey,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// Any of these serves all its pods; best first. At least one.
    pub candidates: Vec<Market>,
    /// The price of the first candidate, which the plan counts with.
    pub price: PricePerHour,
    /// What its pods and daemons ask for in all.
    pub requests: Resources,
    /// The pods it is for.
    pub pods: Vec<ObjectKey>,
}

/// A pod that nothing serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unplaced {
    /// The pod.
    pub pod: ObjectKey,
    /// One per pool that was asked; with no pools at all, empty.
    pub reasons: Vec<PoolReason>,
}

/// Why one pool does not serve one pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PoolReason {
    /// The pool.
    pub pool: PoolKey,
    /// The binding constraint.
    pub reason: Reason,
    /// One sentence: found, needed, what to change.
    pub message: Arc<str>,
}

/// The constraint that left a pod without an offer; the variant's name is the metric label and event reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The pod uses something that is not modelled.
    NotModelled,
    /// The pool's ocean does not serve this pod (`spec.pods`).
    NotServed,
    /// The pool buys nothing now (suspended, network or image unresolved, cooling down, asleep).
    PoolClosed,
    /// A taint of the pool is not tolerated.
    TaintNotTolerated,
    /// A node selector or affinity term names a label that the pool does not offer.
    LabelNotOffered,
    /// A volume is in a zone the pool has no subnet in, or its claim is not usable.
    VolumeNotReachable,
    /// No type is large enough with its daemons on it.
    NoInstanceTypeFits,
    /// A topology spread cannot be kept.
    TopologySpread,
    /// Pod affinity cannot be kept.
    PodAffinity,
    /// Pod anti-affinity (its own or another pod's) cannot be kept.
    PodAntiAffinity,
    /// A limit of the pool or ocean is reached.
    LimitReached,
    /// Fewer distinct values than `minValues` asks for are left.
    MinValues,
    /// Everything that would fit is cooling down or has no price.
    NoOffering,
}

impl Reason {
    /// The variant's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotModelled => "NotModelled",
            Self::NotServed => "NotServed",
            Self::PoolClosed => "PoolClosed",
            Self::TaintNotTolerated => "TaintNotTolerated",
            Self::LabelNotOffered => "LabelNotOffered",
            Self::VolumeNotReachable => "VolumeNotReachable",
            Self::NoInstanceTypeFits => "NoInstanceTypeFits",
            Self::TopologySpread => "TopologySpread",
            Self::PodAffinity => "PodAffinity",
            Self::PodAntiAffinity => "PodAntiAffinity",
            Self::LimitReached => "LimitReached",
            Self::MinValues => "MinValues",
            Self::NoOffering => "NoOffering",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
