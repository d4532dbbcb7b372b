//! Everything that kube-scheduler looks at, one feature each: how to put it into
//! a cluster so that it matters, and how to take it out again.
//!
//! Preferences (preferred terms, `ScheduleAnyway`, `PreferNoSchedule`) are no
//! features here: they decide where a pod goes, not whether.

mod put;
mod take;

macro_rules! features {
    ($($(#[$text:meta])* $name:ident),* $(,)?) => {
        /// One thing that decides where pods may go.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Feature { $($(#[$text])* $name),* }

        /// All of them.
        pub(crate) const ALL: &[Feature] = &[$(Feature::$name),*];
    };
}

features! {
    /// An extended resource: only one pool's types have it.
    ExtendedResource,
    /// Ephemeral storage, of which a node has 20 GiB.
    EphemeralStorage,
    /// An init container larger than the rest.
    InitContainer,
    /// An init container that stays.
    Sidecar,
    /// What the sandbox takes.
    Overhead,
    /// Requests of the pod as a whole.
    PodLevelRequests,
    /// `nodeSelector`.
    NodeSelector,
    /// Node affinity, operator `In`.
    AffinityIn,
    /// Operator `NotIn`.
    AffinityNotIn,
    /// Operator `Exists`.
    AffinityExists,
    /// Operator `DoesNotExist`.
    AffinityDoesNotExist,
    /// Operator `Gt`.
    AffinityGt,
    /// Operator `Lt`.
    AffinityLt,
    /// `matchFields` on a node's name.
    AffinityFields,
    /// Terms as alternatives.
    AffinityAlternatives,
    /// Taints of a pool.
    PoolTaint,
    /// Taints of a node that is there.
    NodeTaint,
    /// Tolerations.
    Toleration,
    /// A node that is cordoned.
    Cordon,
    /// Spread over zones.
    ZoneSpread,
    /// Spread over hosts.
    HostSpread,
    /// Spread over values of a label that pools give.
    LabelSpread,
    /// `minDomains`.
    MinDomains,
    /// `nodeAffinityPolicy: Ignore`.
    AffinityPolicy,
    /// `nodeTaintsPolicy: Honor`.
    TaintsPolicy,
    /// `matchLabelKeys` of a spread.
    SpreadKeys,
    /// A spread that counts others' pods.
    SpreadOfOthers,
    /// Pods that are ending, which a spread does not count.
    Ending,
    /// Affinity to pods in the zone.
    ZoneAffinity,
    /// Affinity to pods on the host.
    HostAffinity,
    /// Anti-affinity in the zone.
    ZoneAntiAffinity,
    /// Anti-affinity on the host.
    HostAntiAffinity,
    /// Anti-affinity of pods already there.
    ResidentAntiAffinity,
    /// `namespaces` of a term.
    Namespaces,
    /// `namespaceSelector` of a term.
    NamespaceSelector,
    /// `matchLabelKeys` of a term.
    TermKeys,
    /// `mismatchLabelKeys` of a term.
    TermMismatchKeys,
    /// Ports on the host.
    HostPort,
    /// Addresses of those ports.
    HostIp,
    /// Volumes in a zone.
    VolumeZone,
    /// Classes with allowed topologies.
    VolumeClass,
    /// Volumes a node can attach.
    AttachLimit,
    /// Volumes that pods share.
    SharedVolume,
    /// Volumes that one pod may use at a time.
    ExclusiveVolume,
    /// DaemonSets everywhere.
    DaemonSet,
    /// DaemonSets on some nodes.
    DaemonSetSelector,
    /// Ports that daemons bind.
    DaemonPort,
    /// Requirements of a pool.
    PoolRequirement,
    /// Pools of different weight.
    PoolWeight,
    /// Most pods per node.
    PodDensity,
    /// Scheduling gates.
    Gate,
}

const SPREAD: &str = "topologySpreadConstraints";
const NODE_TERMS: &str =
    "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
const TOGETHER: &str = "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution";
const APART: &str = "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution";
const TAINT: &str = "dedicated";
const TIER: &str = "example.com/tier";
const RACK: &str = "example.com/rack";
const GPU: &str = "nvidia.com/gpu";
/// The driver of all volumes.
pub(crate) const EBS: &str = "ebs.csi.aws.com";
