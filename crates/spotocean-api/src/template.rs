//! What an instance is made of: image, identity, network, disks, metadata, user data.

use crate::validation;
use crate::{kubelet::Kubelet, quantity::Quantity, schema};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Launch settings that every pool inherits and may override field by field.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.role) || has(self.instanceProfile)", "template has no node identity: give role (the operator makes the instance profile) or instanceProfile"),
    validation = ("!has(self.role) || !has(self.instanceProfile)", "template has both role and instanceProfile: keep role to let the operator make the instance profile, or instanceProfile to use yours"),
    validation = ("!has(self.userData) || self.image.family != 'Bottlerocket' || !(self.userData.startsWith('#!') || self.userData.startsWith('MIME-Version'))", "userData is a script or a MIME document, and Bottlerocket reads TOML settings: write it as [settings…], or choose image.family AL2023"),
    validation = ("!has(self.userData) || self.image.family != 'AL2023' || !self.userData.startsWith('[settings')", "userData is TOML, and AL2023 reads a NodeConfig, a shell script or a MIME document: rewrite it, or choose image.family Bottlerocket"),
    validation = ("self.metadata.httpEndpoint == 'enabled' || self.image.family == 'Custom'", "AL2023 and Bottlerocket need the metadata service to join: set metadata.httpEndpoint to enabled, or use a Custom image"),
    validation = validation::identity_names(),
    validation = validation::subnet_ids(),
    validation = validation::security_group_ids(),
    validation = validation::unique_devices(),
    validation = validation::one_root_volume(),
    validation = validation::reserved_tags(),
    validation = validation::tag_key_length(),
    validation = validation::tag_key_case()
)]
pub struct Template {
    /// Machine image: what nodes boot.
    #[serde(default)]
    pub image: Image,

    /// Name of the IAM role of nodes, without a path; the operator makes the instance profile. Give either
    /// role or instanceProfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[\w+=,.@-]+$"))]
    pub role: Option<String>,

    /// Name of an existing instance profile, not its ARN. Give either role or instanceProfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[\w+=,.@-]+$"))]
    pub instance_profile: Option<String>,

    /// How the role is admitted to the cluster: Auto, AccessEntry, AwsAuth or Unmanaged. Default Auto:
    /// AccessEntry where the cluster's authentication mode allows it, else AwsAuth.
    #[serde(default)]
    pub access: Access,

    /// Subnets for nodes; a subnet is taken when any term selects it.
    #[schemars(length(min = 1, max = 20))]
    pub subnets: Vec<SelectorTerm>,

    /// Security groups of nodes; a group is taken when any term selects it.
    #[schemars(length(min = 1, max = 20))]
    pub security_groups: Vec<SelectorTerm>,

    /// Disks. Unset: those of the image family, with a 20Gi encrypted gp3 root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub block_devices: Vec<BlockDevice>,

    /// What to do with local NVMe disks: RAID0 makes them the node's ephemeral storage. Unset: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_store: Option<InstanceStore>,

    /// Instance metadata service.
    #[serde(default)]
    pub metadata: MetadataOptions,

    /// User data merged with what joining the cluster needs: a nodeadm NodeConfig, shell script or MIME
    /// document for AL2023, TOML for Bottlerocket, anything for Custom. No place for secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub user_data: Option<String>,

    /// EC2 tags for instances, volumes, network interfaces and launch templates, beside the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::tag_map")]
    pub tags: BTreeMap<String, String>,

    /// Settings of the kubelet.
    #[serde(default)]
    pub kubelet: Kubelet,

    /// CloudWatch monitoring of instances: Basic (5 minutes) or Detailed (1 minute, charged). Default Basic.
    #[serde(default)]
    pub monitoring: Monitoring,

    /// Give nodes a public IPv4 address. Unset: as each subnet has it.
    #[serde(default, rename = "publicIP", skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<bool>,

    /// Name of the EC2 key pair for SSH. Unset: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^\S(.*\S)?$"))]
    pub key_pair: Option<String>,
}

/// Image family: decides how a node is told to join.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum ImageFamily {
    /// Amazon Linux 2023 for EKS, joined by nodeadm.
    #[default]
    AL2023,
    /// Bottlerocket, joined by its TOML settings.
    Bottlerocket,
    /// An image of yours that joins by your own user data.
    Custom,
}

/// Machine image of nodes.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!has(self.family) || self.family != 'Custom' || (has(self.selector) && self.selector.size() > 0)", "image.family Custom needs image.selector: say which images (id, tags, name or ssmParameter)"),
    validation = ("!has(self.version) || self.version == 'latest' || !has(self.selector) || self.selector.size() == 0", "image.version pins a public release, and image.selector names images of yours: remove one of them"),
    validation = ("!has(self.version) || self.version == 'latest' || !has(self.family) || self.family != 'Custom'", "image.version is for AL2023 and Bottlerocket: choose Custom images by image.selector alone"),
    validation = ("!has(self.family) || !has(self.version) || self.family != 'AL2023' || self.version == 'latest' || self.version.matches('^v[0-9]{8}$')", "image.version of AL2023 is latest or a release such as v20260915"),
    validation = ("!has(self.family) || !has(self.version) || self.family != 'Bottlerocket' || self.version == 'latest' || self.version.matches('^v?[0-9]+[.][0-9]+[.][0-9]+$')", "image.version of Bottlerocket is latest or a release such as 1.46.0")
)]
pub struct Image {
    /// AL2023, Bottlerocket or Custom. Default AL2023.
    #[serde(default)]
    pub family: ImageFamily,

    /// Release to pin, such as v20260915 for AL2023 or 1.46.0 for Bottlerocket, or latest. Default latest.
    #[serde(default = "default_image_version")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9.+_-]*$"))]
    pub version: String,

    /// Your own images instead of the family's public ones; an image is taken when any term selects it, the
    /// newest for each architecture. Required for Custom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub selector: Vec<ImageTerm>,
}

/// The version that follows the newest release of the family.
pub const IMAGE_VERSION_LATEST: &str = "latest";

fn default_image_version() -> String {
    IMAGE_VERSION_LATEST.to_owned()
}

impl Default for Image {
    fn default() -> Self {
        Self {
            family: ImageFamily::default(),
            version: default_image_version(),
            selector: Vec::new(),
        }
    }
}

/// Selects images; all that is set in one term must hold.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.id) || has(self.tags) || has(self.name) || has(self.ssmParameter)", "an image selector term selects nothing in particular: give id, ssmParameter, name or tags"),
    validation = ("!has(self.id) || !(has(self.tags) || has(self.name) || has(self.owner) || has(self.ssmParameter))", "an image id says it all: remove tags, name, owner and ssmParameter from its term, or use two terms"),
    validation = ("!has(self.ssmParameter) || !(has(self.tags) || has(self.name) || has(self.owner))", "an ssmParameter says it all: remove tags, name and owner from its term, or use two terms")
)]
pub struct ImageTerm {
    /// Image id. Alone in its term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^ami-[0-9a-z]+$"))]
    pub id: Option<String>,

    /// Tags of the image; "*" as value: any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::tag_selector")]
    pub tags: BTreeMap<String, String>,

    /// Name of the image; * and ? are wildcards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub name: Option<String>,

    /// Owner: an account id, self, amazon or aws-marketplace. Unset with a name or tags: self and amazon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = "^([0-9]{12}|self|amazon|aws-marketplace)$")
    )]
    pub owner: Option<String>,

    /// Name or ARN of the SSM parameter that holds the image id. Alone in its term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub ssm_parameter: Option<String>,
}

/// Selects subnets or security groups, by tags or by id.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.tags) || has(self.id)", "a selector term selects nothing: give tags or id"),
    validation = ("!has(self.tags) || !has(self.id)", "a selector term has both tags and id: use two terms, one of them is enough to be selected")
)]
pub struct SelectorTerm {
    /// Tags, all of which must be present; "*" as value: any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::tag_selector")]
    pub tags: BTreeMap<String, String>,

    /// Id, such as subnet-0123 or sg-0123.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^(subnet|sg)-[0-9a-z]+$"))]
    pub id: Option<String>,
}

/// How the role of nodes is admitted to the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Access {
    /// AccessEntry where the cluster's authentication mode allows it, else AwsAuth.
    #[default]
    Auto,
    /// An EKS access entry of type EC2_LINUX.
    AccessEntry,
    /// One row in the aws-auth ConfigMap.
    AwsAuth,
    /// The operator does nothing; someone else admits the role.
    Unmanaged,
}

/// What to do with local NVMe disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum InstanceStore {
    /// One striped volume that holds the kubelet's and the container runtime's data.
    RAID0,
}

/// CloudWatch monitoring of instances.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Monitoring {
    /// Every five minutes, free of charge.
    #[default]
    Basic,
    /// Every minute, charged.
    Detailed,
}

/// One disk.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!has(self.ebs.snapshotID) || !(has(self.rootVolume) ? self.rootVolume : self.deviceName == '/dev/xvda')", "snapshotID on the root volume, which comes from the image: remove it, or put the snapshot on another device")
)]
pub struct BlockDevice {
    /// Device name as the image has it, such as /dev/xvda.
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^(/dev/[a-z0-9/]+|xvd[a-z0-9]+)$")
    )]
    pub device_name: String,

    /// The EBS volume.
    pub ebs: EbsVolume,

    /// Whether the device is the root volume. Unset: whether deviceName is the image's root device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_volume: Option<bool>,
}

/// One EBS volume. What is unset is as the image or EC2 has it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!has(self.volumeSize) || (type(self.volumeSize) == string && (self.volumeSize.endsWith('Gi') || self.volumeSize.endsWith('Ti')))",
        "volumeSize is in whole Gi or Ti, from 1Gi to 64Ti: write 20Gi, not 20"),
    validation = ("!has(self.iops) || !has(self.volumeType) || self.volumeType in ['gp3', 'io1', 'io2']", "iops can be set for gp3, io1 and io2 only: remove it, or change volumeType"),
    validation = ("!has(self.volumeType) || !(self.volumeType in ['io1', 'io2']) || has(self.iops)", "io1 and io2 need iops: add it, or use gp3"),
    validation = ("!has(self.throughput) || !has(self.volumeType) || self.volumeType == 'gp3'", "throughput can be set for gp3 only: remove it, or change volumeType"),
    validation = ("!has(self.kmsKeyID) || !has(self.encrypted) || self.encrypted", "kmsKeyID with encrypted: false: remove one of them")
)]
pub struct EbsVolume {
    /// Size in whole Gi or Ti, such as 20Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::volume_size")]
    pub volume_size: Option<Quantity>,

    /// gp2, gp3, io1, io2, st1, sc1 or standard. Unset: gp3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_type: Option<VolumeType>,

    /// Provisioned operations a second, for gp3, io1 and io2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 256_000))]
    pub iops: Option<u32>,

    /// Provisioned throughput in MiB a second, for gp3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 125, max = 2000))]
    pub throughput: Option<u32>,

    /// Encrypt the volume. Unset: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,

    /// Id, alias or ARN of the KMS key. Unset: the account's default key.
    #[serde(default, rename = "kmsKeyID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub kms_key_id: Option<String>,

    /// Delete the volume with its instance. Unset: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_on_termination: Option<bool>,

    /// Snapshot to start from. Not on the root volume: that comes from the image.
    #[serde(default, rename = "snapshotID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^snap-[0-9a-z]+$"))]
    pub snapshot_id: Option<String>,
}

/// EBS volume type, in EC2's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VolumeType {
    /// General purpose SSD, second generation.
    Gp2,
    /// General purpose SSD, third generation.
    Gp3,
    /// Provisioned IOPS SSD.
    Io1,
    /// Provisioned IOPS SSD, second generation.
    Io2,
    /// Throughput optimised HDD.
    St1,
    /// Cold HDD.
    Sc1,
    /// Magnetic.
    Standard,
}

impl VolumeType {
    /// EC2's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gp2 => "gp2",
            Self::Gp3 => "gp3",
            Self::Io1 => "io1",
            Self::Io2 => "io2",
            Self::St1 => "st1",
            Self::Sc1 => "sc1",
            Self::Standard => "standard",
        }
    }
}

/// Whether metadata requests need a session token, in EC2's words.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum HttpTokens {
    /// IMDSv2 only.
    #[default]
    Required,
    /// IMDSv1 as well.
    Optional,
}

/// Whether a metadata endpoint is on, in EC2's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetadataEndpoint {
    /// On.
    Enabled,
    /// Off.
    Disabled,
}

/// Instance metadata service.
#[derive(KubeSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataOptions {
    /// required (IMDSv2 only) or optional. Default required.
    #[serde(default)]
    pub http_tokens: HttpTokens,

    /// Network hops that an answer survives; 1 keeps pods without host network from the node's role. Default 1.
    #[serde(default = "default_hop_limit")]
    #[schemars(range(min = 1, max = 64))]
    pub http_put_response_hop_limit: u32,

    /// enabled or disabled. Default enabled.
    #[serde(default = "default_http_endpoint")]
    pub http_endpoint: MetadataEndpoint,

    /// IPv6 endpoint: enabled or disabled. Default disabled.
    #[serde(default = "default_http_protocol_ipv6", rename = "httpProtocolIPv6")]
    pub http_protocol_ipv6: MetadataEndpoint,
}

const fn default_hop_limit() -> u32 {
    1
}

const fn default_http_endpoint() -> MetadataEndpoint {
    MetadataEndpoint::Enabled
}

const fn default_http_protocol_ipv6() -> MetadataEndpoint {
    MetadataEndpoint::Disabled
}

impl Default for MetadataOptions {
    fn default() -> Self {
        Self {
            http_tokens: HttpTokens::default(),
            http_put_response_hop_limit: default_hop_limit(),
            http_endpoint: default_http_endpoint(),
            http_protocol_ipv6: default_http_protocol_ipv6(),
        }
    }
}
