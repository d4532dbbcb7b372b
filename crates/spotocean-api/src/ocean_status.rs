//! What the operator reports on a SpotOcean.

use crate::{capacity_type::CapacityType, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Pools listed in status; the rest are in the counts only.
pub const STATUS_POOLS_MAX: usize = 50;

/// What the operator reports on a SpotOcean. Written at most every 15 seconds, and only when it changed.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpotOceanStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Conditions, by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// Nodes, on their way or there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u32>,

    /// Nodes on spot capacity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot_nodes: Option<u32>,

    /// Nodes on on-demand capacity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand_nodes: Option<u32>,

    /// Pods that wait for this ocean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_pods: Option<u32>,

    /// What the nodes cost, US dollars an hour.
    #[serde(default, rename = "hourlyCostUSD", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub hourly_cost_usd: Option<String>,

    /// Saved against the same nodes on demand, such as 71%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub saved: Option<String>,

    /// Distance of the last purchase's cost to its proven lower bound, such as 0.7%. Absent: no bound was proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub gap: Option<String>,

    /// The last plan that bought something for this ocean, or would have in mode Observe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_purchase: Option<PurchaseSummary>,

    /// The spare room that is wanted and how much of it is ready. Absent: none is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headroom: Option<HeadroomStatus>,

    /// What the ocean's own template came to in AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,

    /// The 50 pools that cost most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub pools: Vec<PoolStatus>,

    /// Mode Observe: what would be bought and removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanSummary>,
}

/// Spare room for pods to come.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeadroomStatus {
    /// Pods for which room is wanted.
    pub units: u32,

    /// Pods for which there is room on nodes that are ready.
    pub ready: u32,

    /// Why nothing is bought for the rest, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// What the ocean's template came to in AWS.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// Images, one for each architecture.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub images: Vec<ResolvedImage>,

    /// Subnets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub subnets: Vec<ResolvedSubnet>,

    /// Ids of security groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::strings::<50, 32>")]
    pub security_groups: Vec<String>,

    /// Name of the instance profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub instance_profile: Option<String>,

    /// How nodes are admitted: AccessEntry, AwsAuth or Unmanaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub access: Option<String>,

    /// Kubernetes version of the control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub kubernetes_version: Option<String>,

    /// Where the number of pods on a node comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_density: Option<PodDensity>,

    /// Most pods on a node, where it is the same for every instance type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_pods: Option<u32>,
}

/// Where the number of pods on a node comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PodDensity {
    /// `template.kubelet.maxPods`.
    Fixed,
    /// Secondary addresses of the instance type's network interfaces (AWS VPC CNI).
    NetworkInterfaces,
    /// Address prefixes on the instance type's network interfaces (AWS VPC CNI).
    PrefixDelegation,
    /// Another CNI: Kubernetes' default of 110.
    Default,
}

/// An image that was found.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedImage {
    /// Image id.
    #[schemars(length(max = 32))]
    pub id: String,

    /// Architecture, in Kubernetes' words: amd64 or arm64.
    #[schemars(length(max = 16))]
    pub architecture: String,

    /// Name of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub name: Option<String>,
}

/// A subnet that was found.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedSubnet {
    /// Subnet id.
    #[schemars(length(max = 32))]
    pub id: String,

    /// Zone name.
    #[schemars(length(max = 32))]
    pub zone: String,

    /// Zone id.
    #[serde(default, rename = "zoneID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub zone_id: Option<String>,
}

/// One pool.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolStatus {
    /// Name of the pool.
    #[schemars(length(max = 40))]
    pub name: String,

    /// Nodes, on their way or there.
    pub nodes: u32,

    /// Nodes on spot capacity.
    pub spot_nodes: u32,

    /// Nodes on on-demand capacity.
    pub on_demand_nodes: u32,

    /// What the pool's nodes cost, US dollars an hour.
    #[serde(rename = "hourlyCostUSD")]
    #[schemars(length(max = 32))]
    pub hourly_cost_usd: String,

    /// Why the pool buys nothing, where it is stuck: the reason of a condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,

    /// The same in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// What a plan would buy and remove.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanSummary {
    /// Nodes that would be bought.
    pub nodes: u32,

    /// What those nodes would cost, US dollars an hour.
    #[serde(rename = "hourlyCostUSD")]
    #[schemars(length(max = 32))]
    pub hourly_cost_usd: String,

    /// Nodes that would be removed.
    pub removed_nodes: u32,

    /// Pending pods that no pool could serve.
    pub unschedulable_pods: u32,

    /// What would be bought, dearest first, at most 50 rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub launches: Vec<PlannedLaunch>,
}

/// A purchase, and what is proved of it. Oceans that bought together share its figures.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurchaseSummary {
    /// Nodes.
    pub nodes: u32,

    /// What they cost as planned, US dollars an hour.
    #[serde(rename = "hourlyCostUSD")]
    #[schemars(length(max = 32))]
    pub hourly_cost_usd: String,

    /// What no plan for the same pods can cost less than, US dollars an hour. Absent: no bound was proven.
    #[serde(default, rename = "lowerBoundUSD", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub lower_bound_usd: Option<String>,

    /// What no plan for the same pods that keeps the share caps can cost less than, US dollars an hour. Absent: no more is
    /// proven than without caps.
    #[serde(
        default,
        rename = "cappedLowerBoundUSD",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 32))]
    pub capped_lower_bound_usd: Option<String>,

    /// What share caps add to the cost: the same pods without them would cost so much less, US dollars an hour. Absent: nothing.
    #[serde(default, rename = "shareCapsUSD", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub share_caps_usd: Option<String>,
}

/// Equal nodes that a plan would buy.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedLaunch {
    /// Name of the pool.
    #[schemars(length(max = 40))]
    pub pool: String,

    /// spot or on-demand.
    pub capacity_type: CapacityType,

    /// Number of nodes.
    pub nodes: u32,

    /// Cheapest instance type.
    #[schemars(length(max = 64))]
    pub instance_type: String,

    /// Number of markets that EC2 could choose from.
    pub alternatives: u32,

    /// Pods that these nodes are for.
    pub pods: u32,

    /// What they would cost together, US dollars an hour.
    #[serde(rename = "hourlyCostUSD")]
    #[schemars(length(max = 32))]
    pub hourly_cost_usd: String,
}
