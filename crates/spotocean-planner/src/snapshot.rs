//! Everything one plan may depend on, including the time.
//!
//! Collections are sorted by their objects' names, so that equal worlds are
//! equal snapshots. A snapshot shares the watched objects; it does not copy them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use spotocean_api::ocean_launch::OceanLaunch;
use spotocean_api::ocean_node::OceanNode;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::catalogue::Catalogue;
use spotocean_core::claim::Claim;
use spotocean_core::id::{ImageId, InstanceId, InstanceTypeName, Namespace, ObjectKey, Uid};
use spotocean_core::instance::Instance;
use spotocean_core::kubelet::PodDensity;
use spotocean_core::node::Node;
use spotocean_core::pod::{DaemonSet, Pod};
use spotocean_core::port::{CloudError, CloudEvent};
use spotocean_core::requirement::Labels;
use spotocean_core::selector::LabelSelector;

use crate::command::CommandKey;
use crate::world::World;

/// How far one source can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// When it was last read whole; `None` before the first time.
    pub as_of: Option<Timestamp>,
    /// Whether it is whole: synced, every page read, no error since. Absence in an incomplete source is not evidence.
    pub is_complete: bool,
    /// What went wrong last, if anything.
    pub error: Option<CloudError>,
}

impl Source {
    /// A source that has not been read yet.
    #[must_use]
    pub fn unread() -> Self {
        Self {
            as_of: None,
            is_complete: false,
            error: None,
        }
    }
}

/// The sources of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// The apiserver's watches, all of them.
    pub kubernetes: Source,
    /// DescribeInstances by our tags.
    pub instances: Source,
    /// Types and offerings.
    pub catalogue: Source,
    /// Spot prices.
    pub prices: Source,
    /// The interruption queue; always complete when none is configured.
    pub queue: Source,
}

/// A PodDisruptionBudget, for saying what holds up a drain. The Eviction API enforces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisruptionBudget {
    /// Namespace and name.
    pub key: ObjectKey,
    /// The pods it covers.
    pub selector: Option<LabelSelector>,
    /// `status.disruptionsAllowed`.
    pub disruptions_allowed: i32,
}

/// Another autoscaler seen in the cluster that could serve the same pods.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum OtherAutoscaler {
    /// A NodePool of Karpenter or EKS Auto Mode exists.
    Karpenter,
    /// Cluster Autoscaler's Deployment runs.
    ClusterAutoscaler,
}

/// What happened to the last runs of one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When the last run ended.
    pub ended_at: Timestamp,
    /// Failures in a row.
    pub failures: u32,
    /// The last failure.
    pub error: Option<AttemptError>,
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttemptError {
    /// AWS.
    Cloud(CloudError),
    /// The apiserver: its HTTP status (0 for none) and message. 429 on an eviction is a disruption budget's no.
    Kubernetes {
        /// The status code.
        status: u16,
        /// The message.
        message: Arc<str>,
    },
    /// The lease was too short for the call; nothing was sent.
    LeaseTooShort,
}

/// What is remembered beyond the objects themselves; persisted in the cluster, bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Memory {
    /// Memory that nodes of a type with an image really reported (capacity), in bytes; the smallest seen.
    pub learned_memory_bytes: BTreeMap<InstanceTypeName, BTreeMap<ImageId, i64>>,
    /// Instances of ours that no object explains, with when each was first seen so in a complete read.
    pub unexplained_instances: BTreeMap<InstanceId, Timestamp>,
    /// Instances on record that a complete read did not list, with when that was first so.
    pub missing_instances: BTreeMap<InstanceId, Timestamp>,
    /// OceanNodes that had a Node and have none now, by name, with since when.
    pub nodeless: BTreeMap<Arc<str>, Timestamp>,
    /// Per pod class: launches that bound nothing.
    pub futile_launches: BTreeMap<Arc<str>, FutileLaunches>,
    /// Markets that were interrupted, as `type/zone`, with when.
    pub interruptions: BTreeMap<Arc<str>, Timestamp>,
}

/// How often buying for a class of pods led to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FutileLaunches {
    /// The launches, by name.
    pub launches: BTreeSet<Arc<str>>,
    /// When the last of them turned out futile.
    pub last: Option<Timestamp>,
}

/// The `aws-auth` ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsAuth {
    /// Its resource version, for a careful write.
    pub resource_version: Arc<str>,
    /// `data.mapRoles`, as text.
    pub map_roles: Arc<str>,
}

/// One look at the world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The time of this look.
    pub now: Timestamp,
    /// The UID of the kube-system namespace, which names the cluster in tags.
    pub cluster_uid: Uid,
    /// The apiserver's version as `major.minor`, if it could be read.
    #[serde(default)]
    pub kubernetes_version: Option<Arc<str>>,
    /// How far each source can be trusted.
    pub sources: Sources,
    /// Oceans that could be read.
    pub oceans: Vec<Arc<SpotOcean>>,
    /// Names of oceans that could not be parsed: their nodes freeze.
    pub unreadable_oceans: BTreeSet<Arc<str>>,
    /// OceanNodes.
    pub ocean_nodes: Vec<Arc<OceanNode>>,
    /// OceanLaunches.
    pub launches: Vec<Arc<OceanLaunch>>,
    /// All pods that hold or want resources.
    pub pods: Vec<Arc<Pod>>,
    /// All nodes, ours and others.
    pub nodes: Vec<Arc<Node>>,
    /// DaemonSets.
    pub daemon_sets: Vec<Arc<DaemonSet>>,
    /// Persistent volume claims.
    #[serde(with = "crate::pairs")]
    pub claims: BTreeMap<ObjectKey, Arc<Claim>>,
    /// PodDisruptionBudgets.
    pub disruption_budgets: Vec<Arc<DisruptionBudget>>,
    /// Namespaces with their labels.
    pub namespaces: BTreeMap<Namespace, Arc<Labels>>,
    /// EC2 instances that carry our cluster's tag, every state.
    pub instances: Arc<Vec<Instance>>,
    /// Launch templates of ours by name, with their creation time.
    pub launch_templates: Arc<BTreeMap<Arc<str>, Timestamp>>,
    /// Types and prices.
    pub catalogue: Arc<Catalogue>,
    /// Memory that Linux sees per type, measured elsewhere (bytes).
    pub measured_memory_bytes: Arc<BTreeMap<InstanceTypeName, i64>>,
    /// What AWS answered to the oceans' questions.
    pub world: Arc<World>,
    /// How pods get addresses.
    pub pod_density: PodDensity,
    /// The cluster DNS service's address, if it could be read.
    pub cluster_dns: Option<Arc<str>>,
    /// `aws-auth`, if it exists.
    pub aws_auth: Option<AwsAuth>,
    /// Other autoscalers seen.
    pub other_autoscalers: BTreeSet<OtherAutoscaler>,
    /// Events from the queue not yet acknowledged, with the receipts to acknowledge them by.
    pub events: Vec<ReceivedEvent>,
    /// Commands being carried out now.
    pub running: BTreeSet<CommandKey>,
    /// How the last runs of commands ended. Kept in the shell only: losing it costs a retry too early, nothing else.
    #[serde(with = "crate::pairs")]
    pub attempts: BTreeMap<CommandKey, Attempt>,
    /// What is remembered.
    pub memory: Memory,
}

/// An event with the handle that acknowledges it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedEvent {
    /// The queue's handle.
    pub receipt: Arc<str>,
    /// The event.
    pub event: CloudEvent,
}
