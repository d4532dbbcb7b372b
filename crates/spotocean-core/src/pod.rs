//! Pods as planning sees them.
//!
//! A [`Pod`] is split in two: what makes pods alike to the scheduler
//! ([`PodShape`], shared between equal pods) and what is its own.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{Namespace, NodeName, ObjectKey, Uid};
use crate::requirement::{Labels, Requirement};
use crate::resources::Resources;
use crate::taint::Toleration;
use crate::topology::{PodAffinityTerm, TopologySpread, Weighted};

/// One term of required node affinity: all its requirements must hold. Terms are alternatives.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct NodeTerm {
    /// `matchExpressions`.
    pub expressions: Vec<Requirement>,
    /// `matchFields` on `metadata.name`: operator and node names, as a requirement with key `metadata.name`.
    pub fields: Vec<Requirement>,
}

/// A port bound on the node itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct HostPort {
    /// The port number.
    pub port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
    /// The address; empty or `0.0.0.0` means all.
    pub host_ip: Arc<str>,
}

impl HostPort {
    /// Whether both cannot be bound on one node (kube-scheduler's NodePorts plugin).
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        let is_any = |ip: &str| matches!(ip, "" | "0.0.0.0" | "::");
        let same_address = is_any(&self.host_ip) || is_any(&other.host_ip) || self.host_ip == other.host_ip;
        self.port == other.port && self.protocol == other.protocol && same_address
    }
}

/// Something a pod asks for that this planner does not model: the pod is refused with this reason, never misplaced.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Unmodelled {
    /// `spec.os.name: windows` or a Windows node selector.
    Windows,
    /// `spec.resourceClaims` (dynamic resource allocation).
    ResourceClaims,
    /// `spec.workloadRef` or another gang-scheduling field.
    Gang,
    /// A scheduler other than `default-scheduler` places this pod.
    OtherScheduler(Arc<str>),
    /// A field this planner could not read; the text names field and value.
    Unreadable(Arc<str>),
}

impl fmt::Display for Unmodelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Windows => write!(f, "it needs Windows; SpotOcean buys Linux nodes only"),
            Self::ResourceClaims => write!(
                f,
                "it uses dynamic resource allocation (spec.resourceClaims), which is not modelled"
            ),
            Self::Gang => write!(
                f,
                "it belongs to a gang-scheduled workload, which is not modelled"
            ),
            Self::OtherScheduler(name) => {
                write!(f, "it is placed by scheduler {name:?}, not by default-scheduler")
            }
            Self::Unreadable(what) => write!(f, "{what}"),
        }
    }
}

/// Everything about a pod that decides where it may run. Equal shapes in one
/// namespace with equal labels are interchangeable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PodShape {
    /// Effective requests: containers, init containers, sidecars, overhead; `pods` is 1.
    pub requests: Resources,
    /// `nodeSelector` as requirements.
    pub node_selector: Vec<Requirement>,
    /// Required node affinity: alternatives; `None` when the pod has none, an empty list matches nothing.
    pub node_terms: Option<Vec<NodeTerm>>,
    /// Preferred node affinity.
    pub preferred_node_terms: Vec<Weighted<NodeTerm>>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// Topology spread constraints, both kinds.
    pub spread: Vec<TopologySpread>,
    /// Required pod affinity.
    pub affinity: Vec<PodAffinityTerm>,
    /// Required pod anti-affinity.
    pub anti_affinity: Vec<PodAffinityTerm>,
    /// Preferred pod affinity.
    pub preferred_affinity: Vec<Weighted<PodAffinityTerm>>,
    /// Preferred pod anti-affinity.
    pub preferred_anti_affinity: Vec<Weighted<PodAffinityTerm>>,
    /// Ports bound on the node.
    pub host_ports: BTreeSet<HostPort>,
    /// What this planner cannot model; non-empty means: never placed.
    pub unmodelled: Vec<Unmodelled>,
}

/// Where a pod is in its life, as far as planning cares.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum PodPhase {
    /// Not yet running.
    Pending,
    /// Running on its node.
    Running,
    /// Ended; holds no resources.
    Finished,
}

/// The object that controls a pod.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Owner {
    /// Its kind, such as `ReplicaSet`.
    pub kind: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its uid.
    pub uid: Uid,
}

/// Whether and how long a pod asks not to be moved.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum DoNotDisrupt {
    /// For as long as it runs.
    Always,
    /// Until this time.
    Until(Timestamp),
}

/// One pod.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pod {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: Uid,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// What decides where it may run.
    pub shape: Arc<PodShape>,
    /// Persistent volume claims it mounts, by name in its namespace.
    pub claims: Vec<Arc<str>>,
    /// `spec.priority`.
    pub priority: i32,
    /// The node it is bound to.
    pub node: Option<NodeName>,
    /// The node that preemption or we nominated for it: the scheduler tries that one first, and keeps room there.
    pub nominated_node: Option<NodeName>,
    /// Its phase.
    pub phase: PodPhase,
    /// Whether the scheduler has looked and found no node (`PodScheduled=False`, reason `Unschedulable`).
    pub is_unschedulable: bool,
    /// Whether scheduling gates hold it back.
    pub is_gated: bool,
    /// The object that controls it.
    pub owner: Option<Owner>,
    /// Whether it is a static pod's mirror.
    pub is_mirror: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its deletion was asked for.
    pub deleted_at: Option<Timestamp>,
    /// `spec.terminationGracePeriodSeconds`.
    pub termination_grace_seconds: i64,
    /// Whether it asks not to be moved (ours or a peer's annotation).
    pub do_not_disrupt: Option<DoNotDisrupt>,
    /// The annotation `spotocean.dev/retry`: any new value starts purchases for its class anew.
    #[serde(default)]
    pub retry: Option<Arc<str>>,
    /// The annotation `spotocean.dev/spot-percentage`: how many percent of the pods with the same owner may run on spot.
    #[serde(default)]
    pub spot_percentage: Option<u8>,
}

impl Pod {
    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.key.namespace
    }

    /// Whether a DaemonSet controls it.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.owner
            .as_ref()
            .is_some_and(|owner| owner.kind.as_ref() == "DaemonSet")
    }

    /// Whether it holds resources on its node.
    #[must_use]
    pub fn holds_resources(&self) -> bool {
        self.phase != PodPhase::Finished
    }

    /// Whether it waits for a node that only new capacity can give: looked at
    /// by the scheduler, not gated, not bound, not ending, not a daemon's.
    /// Whether a nomination holds (its node may be gone) is not judged here.
    #[must_use]
    pub fn waits_for_capacity(&self) -> bool {
        self.is_unschedulable
            && self.node.is_none()
            && !self.is_gated
            && self.deleted_at.is_none()
            && self.phase == PodPhase::Pending
            && !self.is_daemon()
            && !self.is_mirror
    }

    /// Whether kube-scheduler has still to say where it goes: not bound, not gated, not ending, no verdict yet.
    #[must_use]
    pub fn awaits_scheduler(&self) -> bool {
        !self.is_unschedulable
            && self.node.is_none()
            && self.nominated_node.is_none()
            && !self.is_gated
            && self.deleted_at.is_none()
            && self.phase == PodPhase::Pending
    }

    /// Whether the pod asks not to be moved at time `now`.
    #[must_use]
    pub fn blocks_disruption(&self, now: Timestamp) -> bool {
        match self.do_not_disrupt {
            None => false,
            Some(DoNotDisrupt::Always) => true,
            Some(DoNotDisrupt::Until(end)) => now < end,
        }
    }
}

/// A DaemonSet: what each matching new node will carry first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DaemonSet {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: Uid,
    /// The template's labels.
    pub labels: Arc<Labels>,
    /// The shape of its pods; the tolerations the DaemonSet controller adds are included.
    pub shape: Arc<PodShape>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_ports_conflict_as_kubernetes_decides() {
        let port = |ip: &str, protocol: &str, port| HostPort {
            port,
            protocol: protocol.into(),
            host_ip: ip.into(),
        };
        let rows = [
            (port("", "TCP", 80), port("10.0.0.1", "TCP", 80), true),
            (port("10.0.0.2", "TCP", 80), port("10.0.0.1", "TCP", 80), false),
            (port("0.0.0.0", "TCP", 80), port("", "UDP", 80), false),
            (port("", "TCP", 80), port("", "TCP", 81), false),
        ];
        for (a, b, expected) in rows {
            assert_eq!(a.conflicts(&b), expected, "{a:?} {b:?}");
            assert_eq!(b.conflicts(&a), expected, "{b:?} {a:?}");
        }
    }
}
