//! What planning needs of the cloud, as plain requests and answers.
//!
//! `spotocean-aws` implements [`Cloud`]. Every method is one question or one
//! effect; none of them decides anything, waits for its own effect to become
//! visible, or retries beyond what the SDK does for transport faults.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::catalogue::CapacityReservation;
use crate::id::{ImageId, InstanceId, InstanceTypeName, SecurityGroupId, SubnetId, Zone, ZoneId};
use crate::instance::Instance;
use crate::instance_type::{Architecture, InstanceType};
use crate::launch::{FleetAnswer, FleetRequest, LaunchTemplate};
use crate::money::PricePerHour;
use crate::offering::Market;

/// What a caller can do about a failed call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum CloudErrorKind {
    /// A rate limit: the same call may succeed later.
    Throttled,
    /// Credentials, IAM or an SCP said no.
    Unauthorized,
    /// What the call names does not exist.
    NotFound,
    /// The request is wrong as it stands.
    Invalid,
    /// A used client token came with other parameters: the stored request and the token do not belong together.
    TokenMismatch,
    /// It exists already.
    AlreadyExists,
    /// No answer, or a 5xx: the effect may or may not have happened.
    Unknown,
}

/// A failed call to the cloud.
#[derive(Clone, PartialEq, Eq, Debug, Error, Serialize, Deserialize)]
#[error("{action}: {code}: {message}")]
pub struct CloudError {
    /// What a caller can do about it.
    pub kind: CloudErrorKind,
    /// The API action, such as `CreateFleet`.
    pub action: Arc<str>,
    /// The service's error code; `NoAnswer` when none came.
    pub code: Arc<str>,
    /// The service's message.
    pub message: Arc<str>,
}

/// Tags or an id that name resources; tag value `*` means any. All parts of one term must hold; terms are alternatives.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SelectorTerm {
    /// The resource's id.
    pub id: Option<Arc<str>>,
    /// The resource's name (security groups: group name; images: name, `*` allowed).
    pub name: Option<Arc<str>>,
    /// Tags.
    pub tags: BTreeMap<Arc<str>, Arc<str>>,
    /// Images only: the owner's account id or alias.
    pub owner: Option<Arc<str>>,
    /// Images only: a Systems Manager parameter holding the image id.
    pub ssm_parameter: Option<Arc<str>>,
}

/// A subnet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// Its zone.
    pub zone: Zone,
    /// Its zone's id.
    pub zone_id: ZoneId,
    /// Free IPv4 addresses when it was described.
    pub free_addresses: i64,
    /// Its VPC.
    pub vpc: Arc<str>,
}

/// A security group.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Its id.
    pub id: SecurityGroupId,
    /// Its name.
    pub name: Arc<str>,
    /// Its VPC.
    pub vpc: Arc<str>,
}

/// An image.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its name.
    pub name: Arc<str>,
    /// Its architecture.
    pub architecture: Architecture,
    /// When it was made.
    pub created_at: Timestamp,
    /// Size of its root volume in GiB.
    pub root_volume_gib: Option<i32>,
    /// Its root device's name.
    pub root_device: Arc<str>,
}

/// Which images a pool wants.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ImageQuery {
    /// Amazon's EKS-optimised AL2023 image: by public SSM parameter.
    Al2023 {
        /// The control plane's `major.minor`.
        kubernetes_version: Arc<str>,
        /// `latest`, or the AMI release such as `v20260801`.
        version: Arc<str>,
    },
    /// Bottlerocket for EKS: by public SSM parameter.
    Bottlerocket {
        /// The control plane's `major.minor`.
        kubernetes_version: Arc<str>,
        /// `latest`, or a release such as `1.50.0`.
        version: Arc<str>,
    },
    /// The user's own terms; per architecture the newest match counts.
    Selector(Vec<SelectorTerm>),
}

/// The EKS cluster as DescribeCluster shows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Its name.
    pub name: Arc<str>,
    /// The apiserver's URL.
    pub endpoint: Arc<str>,
    /// The apiserver's CA, PEM in base64 as EKS gives it.
    pub certificate_authority: Arc<str>,
    /// The service CIDR.
    pub service_cidr: Arc<str>,
    /// `major.minor`.
    pub version: Arc<str>,
    /// `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`.
    pub authentication_mode: Arc<str>,
    /// Whether pods get IPv6 addresses.
    pub is_ipv6: bool,
}

/// An instance profile that must hold a role.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceProfileRequest {
    /// The profile's name, ours by construction.
    pub name: Arc<str>,
    /// The role it must hold.
    pub role: Arc<str>,
    /// Tags that mark it as ours.
    pub tags: BTreeMap<Arc<str>, Arc<str>>,
}

/// What admitting a role found or did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum AccessEntryOutcome {
    /// It was there already, of the right type.
    Present,
    /// It was created, tagged as ours.
    Created,
    /// It is there with another type (such as STANDARD), which lets no node join.
    WrongType,
}

/// One message of the interruption queue, read. The raw receipt is kept to delete it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueMessage {
    /// The handle to delete it with.
    pub receipt: Arc<str>,
    /// What it says; `None` for messages that are not ours to act on or cannot be read.
    pub event: Option<CloudEvent>,
}

/// What a message of the interruption queue says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudEvent {
    /// EventBridge's id, the same in duplicates.
    pub id: Arc<str>,
    /// When EventBridge says it happened.
    pub time: Timestamp,
    /// The instances it is about.
    pub instances: Vec<InstanceId>,
    /// Its kind.
    pub kind: CloudEventKind,
}

/// Kinds of events.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum CloudEventKind {
    /// EC2 takes the spot instance back two minutes after `time`.
    SpotInterruption,
    /// The spot instance is at elevated risk.
    RebalanceRecommendation,
    /// The instance changed to this state.
    StateChange(crate::instance::InstanceState),
    /// AWS Health scheduled maintenance (the event type code).
    ScheduledChange(Arc<str>),
    /// A capacity reservation is being taken back.
    ReservationInterruption,
}

/// The cloud. Implementations are cheap to clone and safe to call concurrently.
pub trait Cloud: Send + Sync + 'static {
    /// Every instance type of the region.
    fn instance_types(&self) -> impl Future<Output = Result<Vec<InstanceType>, CloudError>> + Send;
    /// Zones of the region with their ids.
    fn zones(&self) -> impl Future<Output = Result<BTreeMap<Zone, ZoneId>, CloudError>> + Send;
    /// Which type is offered in which zone.
    fn offered(&self) -> impl Future<Output = Result<Vec<Market>, CloudError>> + Send;
    /// Effective Linux spot price per market.
    fn spot_prices(&self) -> impl Future<Output = Result<BTreeMap<Market, PricePerHour>, CloudError>> + Send;
    /// On-demand Linux prices per type.
    fn on_demand_prices(
        &self,
    ) -> impl Future<Output = Result<BTreeMap<InstanceTypeName, PricePerHour>, CloudError>> + Send;

    /// Open capacity reservations for Linux with default tenancy that have room, sorted by id.
    fn capacity_reservations(
        &self,
    ) -> impl Future<Output = Result<Vec<CapacityReservation>, CloudError>> + Send;

    /// The cluster by name.
    fn cluster(&self, name: &str) -> impl Future<Output = Result<Cluster, CloudError>> + Send;
    /// Subnets that match any term, sorted by id.
    fn subnets(&self, terms: &[SelectorTerm])
    -> impl Future<Output = Result<Vec<Subnet>, CloudError>> + Send;
    /// Security groups that match any term, sorted by id.
    fn security_groups(
        &self,
        terms: &[SelectorTerm],
    ) -> impl Future<Output = Result<Vec<SecurityGroup>, CloudError>> + Send;
    /// The image per architecture, newest where several match.
    fn images(&self, query: &ImageQuery) -> impl Future<Output = Result<Vec<Image>, CloudError>> + Send;

    /// Makes the profile and puts the role in it, unless that is so already. Never touches a profile without our tags.
    fn ensure_instance_profile(
        &self,
        request: &InstanceProfileRequest,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;
    /// Deletes a profile that carries our tags; absent is fine.
    fn delete_instance_profile(&self, name: &str) -> impl Future<Output = Result<(), CloudError>> + Send;
    /// Admits the role as EC2_LINUX access entry of the cluster, unless an entry exists.
    fn ensure_access_entry(
        &self,
        cluster: &str,
        role_arn: &str,
        tags: &BTreeMap<Arc<str>, Arc<str>>,
    ) -> impl Future<Output = Result<AccessEntryOutcome, CloudError>> + Send;
    /// The ARN of an IAM role.
    fn role_arn(&self, role: &str) -> impl Future<Output = Result<Arc<str>, CloudError>> + Send;
    /// Whether an instance profile of that name exists, and the role in it.
    fn instance_profile_role(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Arc<str>>, CloudError>> + Send;

    /// Creates the template unless one of that name exists (the name is the content's hash).
    fn ensure_launch_template(
        &self,
        template: &LaunchTemplate,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;
    /// Names of launch templates that carry these tags, with their creation time; every page is read.
    fn launch_templates(
        &self,
        tags: &BTreeMap<Arc<str>, Arc<str>>,
    ) -> impl Future<Output = Result<BTreeMap<Arc<str>, Timestamp>, CloudError>> + Send;
    /// Deletes a template; absent is fine.
    fn delete_launch_template(&self, name: &str) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Sends one instant fleet.
    fn create_fleet(
        &self,
        request: &FleetRequest,
    ) -> impl Future<Output = Result<FleetAnswer, CloudError>> + Send;
    /// All instances with these tags, in any state, every page; sorted by id.
    fn instances(
        &self,
        tags: &BTreeMap<Arc<str>, Arc<str>>,
    ) -> impl Future<Output = Result<Vec<Instance>, CloudError>> + Send;
    /// Instances by id; ids EC2 does not know are left out.
    fn instances_by_id(
        &self,
        ids: &[InstanceId],
    ) -> impl Future<Output = Result<Vec<Instance>, CloudError>> + Send;
    /// Terminates instances; ids EC2 does not know are fine. One bad id does not keep the others alive.
    fn terminate(&self, ids: &[InstanceId]) -> impl Future<Output = Result<(), CloudError>> + Send;
    /// Sets tags on instances.
    fn tag_instances(
        &self,
        ids: &[InstanceId],
        tags: &BTreeMap<Arc<str>, Arc<str>>,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;
    /// Removes tags from instances.
    fn untag_instances(
        &self,
        ids: &[InstanceId],
        keys: &[Arc<str>],
    ) -> impl Future<Output = Result<(), CloudError>> + Send;
    /// The end of the instance's console output.
    fn console_output(&self, id: &InstanceId) -> impl Future<Output = Result<Arc<str>, CloudError>> + Send;

    /// Waits up to 20 s for messages of the interruption queue; at most 10.
    fn receive_messages(
        &self,
        queue: &str,
    ) -> impl Future<Output = Result<Vec<QueueMessage>, CloudError>> + Send;
    /// Deletes messages that were acted on.
    fn delete_messages(
        &self,
        queue: &str,
        receipts: &[Arc<str>],
    ) -> impl Future<Output = Result<(), CloudError>> + Send;
}
