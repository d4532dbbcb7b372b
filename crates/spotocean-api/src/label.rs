//! Label and taint keys on our nodes, and the key domains that a pool may not claim.
//!
//! Knows the words only; values are computed where nodes are built.

/// Name of the ocean that a node belongs to.
pub const OCEAN: &str = "spotocean.dev/ocean";
/// Name of the pool that a node belongs to.
pub const POOL: &str = "spotocean.dev/pool";
/// `spot` or `on-demand`.
pub const CAPACITY_TYPE: &str = "spotocean.dev/capacity-type";
/// Name of the OceanNode behind a node; on OceanNodes, the name of their launch is in `spec`.
pub const OCEAN_NODE: &str = "spotocean.dev/ocean-node";
/// Instance category: the letters before the generation (`c` of `c7g.large`).
pub const INSTANCE_CATEGORY: &str = "spotocean.dev/instance-category";
/// Instance family: all before the dot (`c7g`).
pub const INSTANCE_FAMILY: &str = "spotocean.dev/instance-family";
/// Instance generation: the digit in the family (`7`).
pub const INSTANCE_GENERATION: &str = "spotocean.dev/instance-generation";
/// Instance size: all after the dot (`large`).
pub const INSTANCE_SIZE: &str = "spotocean.dev/instance-size";
/// Number of vCPUs.
pub const INSTANCE_CPU: &str = "spotocean.dev/instance-cpu";
/// Memory in MiB.
pub const INSTANCE_MEMORY: &str = "spotocean.dev/instance-memory";
/// Name of the accelerator (`t4`).
pub const INSTANCE_GPU_NAME: &str = "spotocean.dev/instance-gpu-name";
/// Number of accelerators.
pub const INSTANCE_GPU_COUNT: &str = "spotocean.dev/instance-gpu-count";
/// Local NVMe storage in GB.
pub const INSTANCE_LOCAL_STORAGE: &str = "spotocean.dev/instance-local-storage";
/// Baseline network bandwidth in Gbit/s.
pub const INSTANCE_NETWORK_GBPS: &str = "spotocean.dev/instance-network-gbps";
/// `nitro`, `xen` or empty for metal.
pub const INSTANCE_HYPERVISOR: &str = "spotocean.dev/instance-hypervisor";

/// Well-known: availability zone name.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// Well-known: region name.
pub const REGION: &str = "topology.kubernetes.io/region";
/// AWS: zone id, the same place in every account.
pub const ZONE_ID: &str = "topology.k8s.aws/zone-id";
/// Well-known: instance type name.
pub const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";
/// Well-known: CPU architecture.
pub const ARCH: &str = "kubernetes.io/arch";
/// Well-known: operating system.
pub const OS: &str = "kubernetes.io/os";
/// Well-known: host name; one per node, so no pool may require it.
pub const HOSTNAME: &str = "kubernetes.io/hostname";

/// Karpenter's capacity type label, set when `compatibilityLabels` holds `Karpenter`.
pub const KARPENTER_CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";
/// EKS managed node groups' capacity type label, set when `compatibilityLabels` holds `ManagedNodeGroup`.
pub const EKS_CAPACITY_TYPE: &str = "eks.amazonaws.com/capacityType";
/// Spot Ocean's life cycle label, set when `compatibilityLabels` holds `Ocean`.
pub const SPOTINST_NODE_LIFECYCLE: &str = "spotinst.io/node-lifecycle";

/// Taint key that keeps pods off a node until the operator has labelled it.
pub const UNREGISTERED_TAINT: &str = "spotocean.dev/unregistered";
/// Taint key on a node that is being drained.
pub const DISRUPTED_TAINT: &str = "spotocean.dev/disrupted";

/// EC2 tag keys under this prefix carry ownership and are written by the operator alone.
pub const TAG_PREFIX: &str = "spotocean.dev/";
