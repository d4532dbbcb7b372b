//! One purchase: the exact `CreateFleet` request and what EC2 answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::capacity_type::CapacityType;
use crate::id::{ImageId, InstanceId, InstanceTypeName, SubnetId, Zone};
use crate::money::PricePerHour;

/// EC2 Fleet's allocation strategies that SpotOcean uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AllocationStrategy {
    /// Spot: the pools with most room for this request, the cheapest of those.
    PriceCapacityOptimized,
    /// Spot: room first, then our own ranking where EC2 can follow it.
    CapacityOptimizedPrioritized,
    /// On demand: the cheapest.
    LowestPrice,
    /// On demand: our own ranking.
    Prioritized,
}

impl AllocationStrategy {
    /// EC2's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PriceCapacityOptimized => "price-capacity-optimized",
            Self::CapacityOptimizedPrioritized => "capacity-optimized-prioritized",
            Self::LowestPrice => "lowest-price",
            Self::Prioritized => "prioritized",
        }
    }
}

/// One type in one subnet that EC2 may choose. Zone and subnet are both sent:
/// only then does an error in the answer name the zone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetOverride {
    /// The instance type.
    pub instance_type: InstanceTypeName,
    /// The subnet.
    pub subnet: SubnetId,
    /// The subnet's zone.
    pub zone: Zone,
    /// The rank under a prioritized strategy; lower is better.
    pub priority: Option<u32>,
    /// The most to pay for it, spot only.
    pub max_price: Option<PricePerHour>,
}

/// One launch template with the overrides it serves (at most 50 of these in a request).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetConfig {
    /// The launch template's name; it is content-addressed, so its version is always 1.
    pub launch_template: Arc<str>,
    /// What EC2 may choose.
    pub overrides: Vec<FleetOverride>,
}

/// An instant `CreateFleet`, complete: replayed with its token it is the same request byte for byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetRequest {
    /// The idempotency token, at most 64 ASCII characters.
    pub client_token: Arc<str>,
    /// How the instances are paid for; one capacity type per fleet.
    pub capacity_type: CapacityType,
    /// How EC2 chooses among the overrides.
    pub allocation_strategy: AllocationStrategy,
    /// How many instances.
    pub target_capacity: i64,
    /// Templates and overrides.
    pub configs: Vec<FleetConfig>,
    /// Tags for fleet, instances and volumes.
    pub tags: BTreeMap<Arc<str>, Arc<str>>,
}

/// What a failed pool's error speaks about, and so what cools down.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum ErrorScope {
    /// This type in this zone under this capacity type.
    Market,
    /// The type is not sold in that zone at all: a catalogue error, long cooldown.
    Offering,
    /// The spot or on-demand vCPU quota of the type's family group.
    Quota,
    /// The subnet has no addresses left.
    Subnet,
    /// The request itself is wrong: nothing cools down, the user must change something.
    Request,
    /// The account, its permissions or its service-linked role.
    Account,
    /// A rate limit: try the same again later.
    Throttle,
    /// Says nothing about anything (`UnfulfillableCapacity`): the pool was not tried.
    Nothing,
}

/// One entry of a fleet answer's `Errors[]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetError {
    /// EC2's code.
    pub code: Arc<str>,
    /// EC2's message.
    pub message: Arc<str>,
    /// What it speaks about.
    pub scope: ErrorScope,
    /// The override's type.
    pub instance_type: Option<InstanceTypeName>,
    /// The override's zone.
    pub zone: Option<Zone>,
    /// The override's subnet.
    pub subnet: Option<SubnetId>,
}

/// One instance in a fleet answer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetInstance {
    /// Its id.
    pub id: InstanceId,
    /// Its type.
    pub instance_type: InstanceTypeName,
    /// Its zone.
    pub zone: Zone,
    /// How it is paid for.
    pub capacity_type: CapacityType,
}

/// What EC2 answered with status 200: full, partial or nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FleetAnswer {
    /// The fleet's id.
    pub fleet: Arc<str>,
    /// Instances, sorted by id.
    pub instances: Vec<FleetInstance>,
    /// Errors, in EC2's order; an error beside an instance is a note, not a failure.
    pub errors: Vec<FleetError>,
}

/// A block device of a launch template.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BlockDevice {
    /// The device's name, such as `/dev/xvda`.
    pub device_name: Arc<str>,
    /// Size in GiB.
    pub size_gib: Option<i32>,
    /// `gp3` and its kin.
    pub volume_type: Option<Arc<str>>,
    /// Provisioned operations per second.
    pub iops: Option<i32>,
    /// Provisioned MiB per second.
    pub throughput_mibps: Option<i32>,
    /// Whether the volume is encrypted.
    pub encrypted: Option<bool>,
    /// The KMS key.
    pub kms_key_id: Option<Arc<str>>,
    /// A snapshot to start from.
    pub snapshot_id: Option<Arc<str>>,
    /// Whether the volume goes with the instance.
    pub delete_on_termination: Option<bool>,
}

/// Access to the instance metadata service.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataOptions {
    /// `required` or `optional`.
    pub http_tokens: Arc<str>,
    /// 1 to 64; pods on the pod network need 2.
    pub http_put_response_hop_limit: i32,
    /// `enabled` or `disabled`.
    pub http_endpoint: Arc<str>,
    /// `enabled` or `disabled`.
    pub http_protocol_ipv6: Arc<str>,
}

/// The content of a launch template. Its name is the hash of this.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchTemplate {
    /// `spotocean-<cluster>-<hash>`: the name is the identity.
    pub name: Arc<str>,
    /// What it launches. Part of the content: EC2 refuses tags for spot requests on an on-demand launch.
    pub capacity_type: CapacityType,
    /// The image.
    pub image: ImageId,
    /// The instance profile's name.
    pub instance_profile: Arc<str>,
    /// Security groups.
    pub security_groups: Vec<Arc<str>>,
    /// User data as text, before base64; at most 16,384 bytes.
    pub user_data: Arc<str>,
    /// Block devices.
    pub block_devices: Vec<BlockDevice>,
    /// Metadata service options.
    pub metadata: MetadataOptions,
    /// Whether one-minute metrics are bought.
    pub detailed_monitoring: bool,
    /// Whether a public address is given; `None` leaves it to the subnet.
    pub public_ip: Option<bool>,
    /// The SSH key pair.
    pub key_pair: Option<Arc<str>>,
    /// Tags for the template and for what is launched from it (instance, volume, network interface; with spot also the spot request).
    pub tags: BTreeMap<Arc<str>, Arc<str>>,
}
