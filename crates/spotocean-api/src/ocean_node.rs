//! OceanNode: one instance, from the intent that precedes EC2 until its termination. Written by the operator.

use crate::{
    capacity_type::CapacityType, quantity::Quantity, requirement::Requirement, schema, taint::Taint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Pods named in `spec.forPods`; a node may be for more than these.
pub const FOR_PODS_MAX: usize = 250;

/// One instance that is wanted. Immutable: another wish is another OceanNode.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "spotocean.dev",
    version = "v1alpha1",
    kind = "OceanNode",
    plural = "oceannodes",
    shortname = "onode",
    category = "spotocean",
    status = "OceanNodeStatus",
    derive = "PartialEq",
    doc = "OceanNode is one instance of a SpotOcean. The operator writes it; deleting one replaces that node gracefully.",
    printcolumn(name = "Pool", type_ = "string", json_path = ".spec.poolName"),
    printcolumn(name = "Type", type_ = "string", json_path = ".status.instanceType"),
    printcolumn(name = "Zone", type_ = "string", json_path = ".status.zone"),
    printcolumn(name = "Capacity", type_ = "string", json_path = ".spec.capacityType"),
    printcolumn(name = "$/Hour", type_ = "string", json_path = ".status.hourlyCostUSD"),
    printcolumn(name = "Node", type_ = "string", json_path = ".status.nodeName"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Ocean", type_ = "string", priority = 1, json_path = ".spec.oceanName"),
    printcolumn(
        name = "Instance",
        type_ = "string",
        priority = 1,
        json_path = ".status.instanceID"
    ),
    printcolumn(
        name = "Launch",
        type_ = "string",
        priority = 1,
        json_path = ".spec.launchName"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self == oldSelf", "spec is immutable: delete this OceanNode to replace its node, and change the SpotOcean to change what replaces it")
)]
pub struct OceanNodeSpec {
    /// Name of the ocean.
    #[schemars(length(min = 1, max = 253))]
    pub ocean_name: String,

    /// UID of the ocean: an ocean of the same name that was made later is another one.
    #[serde(rename = "oceanUID")]
    #[schemars(length(min = 1, max = 64))]
    pub ocean_uid: String,

    /// Name of the pool.
    #[schemars(length(min = 1, max = 40))]
    pub pool_name: String,

    /// Name of the OceanLaunch that buys it.
    #[schemars(length(min = 1, max = 253))]
    pub launch_name: String,

    /// Place among the members of the launch, from 0.
    pub launch_index: u32,

    /// spot or on-demand.
    pub capacity_type: CapacityType,

    /// Conditions that the instance must meet: the pool's and those of the pods it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::node_requirements")]
    pub requirements: Vec<Requirement>,

    /// Resources that the pods it is for request together.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantity_map")]
    pub resources: BTreeMap<String, Quantity>,

    /// Labels that the node will carry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::label_map")]
    pub labels: BTreeMap<String, String>,

    /// Annotations that the node will carry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotation_map")]
    pub annotations: BTreeMap<String, String>,

    /// Taints that the node will carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub taints: Vec<Taint>,

    /// Taints that the node starts with and someone else removes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub startup_taints: Vec<Taint>,

    /// Most pods on the node, where the pool fixes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_pods: Option<u32>,

    /// Hash of the merged template that it is launched from.
    #[schemars(length(max = 64))]
    pub template_hash: String,

    /// Pods that it is bought for, the first 250.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 250))]
    pub for_pods: Vec<PodReference>,
}

/// Names one pod.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodReference {
    /// Namespace.
    #[schemars(length(max = 63))]
    pub namespace: String,

    /// Name.
    #[schemars(length(max = 253))]
    pub name: String,
}

/// Where an OceanNode is in its life.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Phase {
    /// Wanted; EC2 has not answered yet.
    #[default]
    Pending,
    /// EC2 has launched the instance.
    Launched,
    /// The instance has joined as a Node.
    Registered,
    /// The node is ready and free of startup taints.
    Initialized,
    /// Pods are being moved away.
    Draining,
    /// The instance is being terminated.
    Terminating,
}

impl Phase {
    /// The word in the PHASE column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Launched => "Launched",
            Self::Registered => "Registered",
            Self::Initialized => "Initialized",
            Self::Draining => "Draining",
            Self::Terminating => "Terminating",
        }
    }
}

/// Why an OceanNode is in its phase, or why it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OceanNodeReason {
    /// The launch has been written and not been answered.
    AwaitingLaunch,
    /// The launch's outcome is not known; it is being found out.
    LaunchOutcomeUnknown,
    /// No market had capacity.
    NoCapacity,
    /// EC2 refused the launch.
    LaunchFailed,
    /// The instance boots.
    Booting,
    /// The node has joined and is not ready yet.
    NotReady,
    /// The node waits for startup taints to go.
    StartupTaints,
    /// The node waits for extended resources, such as GPUs, to appear.
    AwaitingResources,
    /// EC2 takes the spot instance back within two minutes.
    SpotInterruption,
    /// The instance is gone: terminated or stopped by someone else or by EC2.
    InstanceGone,
    /// The instance did not become a Ready node in time.
    RegistrationTimeout,
    /// No pods but those of DaemonSets, for longer than consolidateAfter.
    Empty,
    /// Its pool was removed.
    PoolRemoved,
    /// Its ocean is being deleted.
    OceanDeleted,
    /// Someone deleted the OceanNode.
    Requested,
    /// Someone deleted the Node.
    NodeDeleted,
    /// A drain reached its timeout and was abandoned.
    DrainAbandoned,
    /// A PodDisruptionBudget holds up the drain.
    DrainBlocked,
    /// Adopted: an instance of ours whose OceanNode had been lost.
    Adopted,
}

/// What the operator knows of the instance.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OceanNodeStatus {
    /// Pending, Launched, Registered, Initialized, Draining or Terminating.
    #[serde(default)]
    pub phase: Phase,

    /// Why it is in its phase, or why it leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<OceanNodeReason>,

    /// The same in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,

    /// Instance id.
    #[serde(default, rename = "instanceID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub instance_id: Option<String>,

    /// Provider id of the Node: aws:///zone/instance-id.
    #[serde(default, rename = "providerID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub provider_id: Option<String>,

    /// Instance type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub instance_type: Option<String>,

    /// Zone name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub zone: Option<String>,

    /// Zone id.
    #[serde(default, rename = "zoneID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub zone_id: Option<String>,

    /// spot or on-demand, as EC2 has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_type: Option<CapacityType>,

    /// Price when it was last looked at, millionths of a US dollar an hour.
    #[serde(
        default,
        rename = "priceMicroUSDPerHour",
        skip_serializing_if = "Option::is_none"
    )]
    pub price_micro_usd_per_hour: Option<u64>,

    /// The same in US dollars an hour, to read.
    #[serde(default, rename = "hourlyCostUSD", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub hourly_cost_usd: Option<String>,

    /// Image id.
    #[serde(default, rename = "imageID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub image_id: Option<String>,

    /// Subnet id.
    #[serde(default, rename = "subnetID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub subnet_id: Option<String>,

    /// Name of the Node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node_name: Option<String>,

    /// Resources for pods: estimated until the node has reported them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantity_map")]
    pub allocatable: BTreeMap<String, Quantity>,

    /// Conditions, by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// When EC2 launched the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launched_at: Option<Time>,

    /// When it joined as a Node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<Time>,

    /// When it was first ready for pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialized_at: Option<Time>,

    /// When the drain began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining_since: Option<Time>,

    /// When it is terminated at the latest, whatever still runs: set for forced removals only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,

    /// Since when it holds no pods but those of DaemonSets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_since: Option<Time>,

    /// When a pod was last bound to it or left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pod_event_at: Option<Time>,
}
