//! Annotation keys and finalizers that users or the operator put on objects.
//!
//! Knows the words only; what each one does is decided by the planner.

/// On a SpotOcean: `"true"` stops every activity of that ocean. Survives a Git sync because it is not in `spec`.
pub const PAUSE: &str = "spotocean.dev/pause";

/// On a pod or node: `"true"` or a duration since creation during which the node is not removed voluntarily.
pub const DO_NOT_DISRUPT: &str = "spotocean.dev/do-not-disrupt";

/// On the pods of a workload: how many percent of them may run on spot, 0 to 100.
pub const SPOT_PERCENTAGE: &str = "spotocean.dev/spot-percentage";

/// On a pod: any new value resets the back-off of its class after launches that bound nothing.
pub const RETRY: &str = "spotocean.dev/retry";

/// On a Node: the OceanNode that it belongs to.
pub const OCEAN_NODE: &str = "spotocean.dev/ocean-node";

/// On an OceanNode: skip the drain and the instance, release the object. The way out when nothing else works.
pub const FORCE_RELEASE: &str = "spotocean.dev/force-release";

/// Karpenter's word for [`DO_NOT_DISRUPT`], honoured on pods and nodes as it stands.
pub const KARPENTER_DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";

/// Cluster Autoscaler's word: `"false"` on a pod keeps its node.
pub const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";

/// Cluster Autoscaler's word on a node: `"true"` keeps it.
pub const SCALE_DOWN_DISABLED: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";

/// Spot Ocean's word: `"true"` on a pod keeps its node. Spot Ocean reads it as a label; both places are honoured.
pub const SPOTINST_RESTRICT_SCALE_DOWN: &str = "spotinst.io/restrict-scale-down";

/// Finalizer on OceanNode and SpotOcean: the object goes once its instances are gone or handed over.
pub const TERMINATION_FINALIZER: &str = "spotocean.dev/termination";
