//! OceanLaunch: one CreateFleet call, written before the call with the exact request and after it with the answer.

use crate::{capacity_type::CapacityType, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One CreateFleet call. Immutable, so that a crash can be followed by the very same request.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "spotocean.dev",
    version = "v1alpha1",
    kind = "OceanLaunch",
    plural = "oceanlaunches",
    shortname = "olaunch",
    category = "spotocean",
    status = "OceanLaunchStatus",
    derive = "PartialEq",
    doc = "OceanLaunch is one CreateFleet call: the exact request before it, EC2's answer after it. Internal; kept for a day.",
    printcolumn(name = "Ocean", type_ = "string", json_path = ".spec.oceanName"),
    printcolumn(name = "Pool", type_ = "string", json_path = ".spec.poolName"),
    printcolumn(name = "Capacity", type_ = "string", json_path = ".spec.request.capacityType"),
    printcolumn(
        name = "Wanted",
        type_ = "integer",
        json_path = ".spec.request.targetCapacity"
    ),
    printcolumn(name = "Attempt", type_ = "integer", json_path = ".spec.attempt"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Fleet", type_ = "string", priority = 1, json_path = ".status.fleetID"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self == oldSelf", "spec is immutable: it is the request that EC2 may already have seen, so a changed one is a new OceanLaunch")
)]
pub struct OceanLaunchSpec {
    /// Name of the ocean.
    #[schemars(length(min = 1, max = 253))]
    pub ocean_name: String,

    /// UID of the ocean.
    #[serde(rename = "oceanUID")]
    #[schemars(length(min = 1, max = 64))]
    pub ocean_uid: String,

    /// Name of the pool.
    #[schemars(length(min = 1, max = 40))]
    pub pool_name: String,

    /// Number of the attempt, from 1. A new attempt follows only once the old one's outcome is known.
    #[schemars(range(min = 1))]
    pub attempt: u32,

    /// EC2 client token: the same token never buys twice.
    #[schemars(length(min = 1, max = 64))]
    pub client_token: String,

    /// The request, exactly as it is sent.
    pub request: FleetRequest,

    /// Names of the OceanNodes that the instances are for, sorted.
    #[schemars(schema_with = "schema::strings::<1000, 253>")]
    pub members: Vec<String>,
}

/// A CreateFleet request of type instant.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetRequest {
    /// spot or on-demand.
    pub capacity_type: CapacityType,

    /// How EC2 chooses among the overrides.
    pub allocation_strategy: AllocationStrategy,

    /// Number of instances.
    #[schemars(range(min = 1, max = 1000))]
    pub target_capacity: u32,

    /// Launch templates with their overrides.
    #[schemars(length(min = 1, max = 50))]
    pub launch_templates: Vec<LaunchTemplateConfig>,

    /// Tags for the fleet and what it makes, by resource type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub tags: Vec<ResourceTags>,
}

/// How EC2 chooses among the overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AllocationStrategy {
    /// Spot: deep pools first, cheap ones among those.
    #[serde(rename = "price-capacity-optimized")]
    PriceCapacityOptimized,
    /// Spot: deep pools first, by priority among those.
    #[serde(rename = "capacity-optimized-prioritized")]
    CapacityOptimizedPrioritized,
    /// On-demand: cheapest first.
    #[serde(rename = "lowest-price")]
    LowestPrice,
    /// On-demand: by priority.
    #[serde(rename = "prioritized")]
    Prioritized,
}

/// A launch template and the places where it may be launched.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchTemplateConfig {
    /// Launch template id. Given: EC2 is asked by id.
    #[serde(default, rename = "launchTemplateID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub launch_template_id: Option<String>,

    /// Launch template name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub launch_template_name: Option<String>,

    /// Launch template version.
    #[schemars(length(max = 32))]
    pub version: String,

    /// Places, in order.
    #[schemars(length(min = 1, max = 300))]
    pub overrides: Vec<FleetOverride>,
}

/// One place: an instance type in a subnet.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetOverride {
    /// Instance type.
    #[schemars(length(max = 64))]
    pub instance_type: String,

    /// Subnet id.
    #[serde(rename = "subnetID")]
    #[schemars(length(max = 32))]
    pub subnet_id: String,

    /// Zone name of the subnet; not sent, EC2 knows it from the subnet.
    #[schemars(length(max = 32))]
    pub zone: String,

    /// Image id, where it is not the launch template's.
    #[serde(default, rename = "imageID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub image_id: Option<String>,

    /// Rank for the prioritized strategies, 0 first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,

    /// Most to pay an hour, US dollars. Unset: the on-demand price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub max_price: Option<String>,
}

/// Tags for one type of resource.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceTags {
    /// EC2's word for the type: fleet, instance, volume, network-interface, spot-instances-request.
    #[schemars(length(max = 64))]
    pub resource_type: String,

    /// Tags.
    #[schemars(schema_with = "schema::launch_tag_map")]
    pub tags: BTreeMap<String, String>,
}

/// Where a launch is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum LaunchPhase {
    /// Written; EC2 may or may not have been asked.
    #[default]
    Pending,
    /// EC2 has answered; instances and errors are in status.
    Answered,
    /// EC2 was asked and no answer came; the request is replayed with its token.
    Unknown,
    /// A later attempt took its place.
    Superseded,
}

/// What EC2 answered.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OceanLaunchStatus {
    /// Pending, Answered, Unknown or Superseded.
    #[serde(default)]
    pub phase: LaunchPhase,

    /// When EC2 answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Time>,

    /// Fleet id.
    #[serde(default, rename = "fleetID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub fleet_id: Option<String>,

    /// Instances that were launched, each with the member it was assigned to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub instances: Vec<LaunchedInstance>,

    /// Errors that EC2 reported, per place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub errors: Vec<LaunchError>,
}

/// An instance that was launched.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchedInstance {
    /// Instance id.
    #[serde(rename = "instanceID")]
    #[schemars(length(max = 32))]
    pub instance_id: String,

    /// Instance type.
    #[schemars(length(max = 64))]
    pub instance_type: String,

    /// Zone name.
    #[schemars(length(max = 32))]
    pub zone: String,

    /// Name of the OceanNode that it was assigned to.
    #[schemars(length(max = 253))]
    pub member: String,
}

/// An error that EC2 reported.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchError {
    /// EC2's error code.
    #[schemars(length(max = 128))]
    pub code: String,

    /// EC2's message.
    #[schemars(length(max = 2048))]
    pub message: String,

    /// Instance type of the override that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub instance_type: Option<String>,

    /// Zone of the override that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub zone: Option<String>,

    /// Subnet of the override that it is about.
    #[serde(default, rename = "subnetID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub subnet_id: Option<String>,

    /// What it speaks about, and so what is left alone for a while.
    pub scope: LaunchErrorScope,
}

/// What an error speaks about.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum LaunchErrorScope {
    /// This instance type in this zone.
    Market,
    /// The instance type is not sold in that zone.
    Offering,
    /// A vCPU quota of the instance type's family group.
    Quota,
    /// The subnet has no free addresses.
    Subnet,
    /// The request itself: the ocean has to be changed.
    Request,
    /// The account or its permissions.
    Account,
    /// A rate limit: the same again later.
    Throttle,
    /// Nothing at all: EC2 did not try this place.
    #[default]
    Nothing,
}
