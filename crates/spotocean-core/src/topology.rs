//! Constraints between pods: topology spread, pod affinity and anti-affinity.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::Namespace;
use crate::selector::LabelSelector;

/// What happens when a spread cannot be kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum WhenUnsatisfiable {
    /// The pod stays pending.
    DoNotSchedule,
    /// The pod is placed anyway.
    ScheduleAnyway,
}

/// Whether nodes a pod could not use count in a spread.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum NodeInclusion {
    /// Only nodes that the pod's constraint allows count.
    Honor,
    /// All nodes count.
    Ignore,
}

/// One `topologySpreadConstraints` entry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TopologySpread {
    /// The largest allowed difference between domains.
    pub max_skew: i64,
    /// The node label whose values are the domains.
    pub topology_key: Arc<str>,
    /// What happens when it cannot be kept.
    pub when_unsatisfiable: WhenUnsatisfiable,
    /// Which pods count (in the pod's own namespace); `matchLabelKeys` are already merged in.
    /// `None` selects nothing.
    pub selector: Option<LabelSelector>,
    /// With fewer domains than this, the minimum counts as zero.
    pub min_domains: Option<i64>,
    /// Whether node selector and affinity decide which nodes count (default Honor).
    pub node_affinity_policy: NodeInclusion,
    /// Whether taints decide which nodes count (default Ignore).
    pub node_taints_policy: NodeInclusion,
}

/// One required term of pod affinity or anti-affinity.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PodAffinityTerm {
    /// The node label whose values are the domains.
    pub topology_key: Arc<str>,
    /// Which pods are meant; `None` selects nothing. `matchLabelKeys` and
    /// `mismatchLabelKeys` are already merged in by the apiserver.
    pub selector: Option<LabelSelector>,
    /// Namespaces named in the term; the pod's own when both this and
    /// `namespace_selector` are unset in the manifest.
    pub namespaces: BTreeSet<Namespace>,
    /// Namespaces selected by label, in addition; the empty selector means all.
    pub namespace_selector: Option<LabelSelector>,
}

/// A preferred term with its weight (1–100).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Weighted<T> {
    /// The weight, 1 to 100.
    pub weight: i64,
    /// The term.
    pub term: T,
}
