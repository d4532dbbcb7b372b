//! The label, taint and tag keys that decisions read or write: their one home,
//! which `spotocean-api` passes on to users of the kinds.

/// `topology.kubernetes.io/zone`: the availability zone's name.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// `topology.kubernetes.io/region`.
pub const REGION: &str = "topology.kubernetes.io/region";
/// `node.kubernetes.io/instance-type`.
pub const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";
/// `kubernetes.io/arch`: `amd64` or `arm64`.
pub const ARCH: &str = "kubernetes.io/arch";
/// `kubernetes.io/os`: always `linux` here.
pub const OS: &str = "kubernetes.io/os";
/// `kubernetes.io/hostname`: the topology key of a single node.
pub const HOSTNAME: &str = "kubernetes.io/hostname";
/// `topology.k8s.aws/zone-id`: the zone's account-independent id.
pub const ZONE_ID: &str = "topology.k8s.aws/zone-id";
/// The zone key of the EBS CSI driver, found in PersistentVolumes' node affinity.
pub const EBS_ZONE: &str = "topology.ebs.csi.aws.com/zone";
/// The deprecated zone key that old PersistentVolumes and selectors still carry.
pub const LEGACY_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";
/// The deprecated region key.
pub const LEGACY_REGION: &str = "failure-domain.beta.kubernetes.io/region";
/// The deprecated instance-type key.
pub const LEGACY_INSTANCE_TYPE: &str = "beta.kubernetes.io/instance-type";
/// The deprecated architecture key.
pub const LEGACY_ARCH: &str = "beta.kubernetes.io/arch";
/// The deprecated operating-system key.
pub const LEGACY_OS: &str = "beta.kubernetes.io/os";

/// The ocean a node belongs to.
pub const OCEAN: &str = "spotocean.dev/ocean";
/// The pool a node belongs to.
pub const POOL: &str = "spotocean.dev/pool";
/// `spot` or `on-demand`.
pub const CAPACITY_TYPE: &str = "spotocean.dev/capacity-type";
/// The instance family's first letters, such as `m` or `r`.
pub const INSTANCE_CATEGORY: &str = "spotocean.dev/instance-category";
/// The instance family, such as `m7g`.
pub const INSTANCE_FAMILY: &str = "spotocean.dev/instance-family";
/// The generation number, such as `7`.
pub const INSTANCE_GENERATION: &str = "spotocean.dev/instance-generation";
/// The size, such as `2xlarge`.
pub const INSTANCE_SIZE: &str = "spotocean.dev/instance-size";
/// The number of vCPUs.
pub const INSTANCE_CPU: &str = "spotocean.dev/instance-cpu";
/// Memory in MiB, as EC2 states it.
pub const INSTANCE_MEMORY: &str = "spotocean.dev/instance-memory";
/// The accelerator's name, such as `t4`.
pub const INSTANCE_GPU_NAME: &str = "spotocean.dev/instance-gpu-name";
/// The number of accelerators.
pub const INSTANCE_GPU_COUNT: &str = "spotocean.dev/instance-gpu-count";
/// Local NVMe storage in GB.
pub const INSTANCE_LOCAL_STORAGE: &str = "spotocean.dev/instance-local-storage";
/// Peak network bandwidth in Gbit/s.
pub const INSTANCE_NETWORK_GBPS: &str = "spotocean.dev/instance-network-gbps";
/// `nitro`, `xen` or empty for metal.
pub const INSTANCE_HYPERVISOR: &str = "spotocean.dev/instance-hypervisor";

/// Karpenter's capacity-type key, written where `compatibilityLabels` asks for it.
pub const KARPENTER_CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";
/// The managed node group's capacity-type key (values `SPOT`, `ON_DEMAND`).
pub const EKS_CAPACITY_TYPE: &str = "eks.amazonaws.com/capacityType";
/// Spot Ocean's life-cycle key (values `spot`, `od`).
pub const OCEAN_NODE_LIFECYCLE: &str = "spotinst.io/node-lifecycle";

/// The taint that keeps pods off a node until the operator has labelled it (NoExecute).
pub const UNREGISTERED_TAINT: &str = "spotocean.dev/unregistered";
/// The taint that marks a node about to be given back (NoSchedule).
pub const DISRUPTED_TAINT: &str = "spotocean.dev/disrupted";
/// kubelet's and the node controller's taint for a node that is not Ready.
pub const NOT_READY_TAINT: &str = "node.kubernetes.io/not-ready";
/// The node controller's taint for a node that went silent.
pub const UNREACHABLE_TAINT: &str = "node.kubernetes.io/unreachable";
/// The scheduler's taint for a cordoned node.
pub const UNSCHEDULABLE_TAINT: &str = "node.kubernetes.io/unschedulable";
/// The cloud controller's taint on a node it has not initialised yet.
pub const CLOUD_UNINITIALIZED_TAINT: &str = "node.cloudprovider.kubernetes.io/uninitialized";
/// Frees the pods and volumes of a node whose machine is gone (Kubernetes' non-graceful node shutdown).
pub const OUT_OF_SERVICE_TAINT: &str = "node.kubernetes.io/out-of-service";
/// Takes a node out of cloud load balancers.
pub const EXCLUDE_FROM_LOAD_BALANCERS: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// EC2 tag keys under this prefix carry ownership and are written by the operator alone.
pub const TAG_PREFIX: &str = "spotocean.dev/";

/// Taints that a node carries only for a while after it starts: they never
/// speak against a node that is still on its way.
pub const EPHEMERAL_TAINTS: [&str; 4] = [
    NOT_READY_TAINT,
    UNREACHABLE_TAINT,
    UNSCHEDULABLE_TAINT,
    CLOUD_UNINITIALIZED_TAINT,
];

/// The key that replaced a deprecated well-known label key, or the key itself.
///
/// Source: Kubernetes "Well-Known Labels, Annotations and Taints".
#[must_use]
pub fn normalized(key: &str) -> &str {
    match key {
        LEGACY_ZONE | EBS_ZONE => ZONE,
        LEGACY_REGION => REGION,
        LEGACY_INSTANCE_TYPE => INSTANCE_TYPE,
        LEGACY_ARCH => ARCH,
        LEGACY_OS => OS,
        other => other,
    }
}
