//! A pool's own launch settings, every field optional: what is unset is inherited from the ocean's template.

use crate::{
    kubelet::Kubelet,
    schema,
    template::{
        Access, BlockDevice, HttpTokens, ImageFamily, ImageTerm, InstanceStore, MetadataEndpoint, Monitoring,
        SelectorTerm,
    },
    validation,
};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A pool's own launch settings: what is unset is inherited, scalars and lists replace, tags merge by key,
/// user data is appended.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!has(self.role) || !has(self.instanceProfile)", "the pool has both role and instanceProfile: keep one, it replaces what the ocean has"),
    validation = validation::identity_names(),
    validation = validation::subnet_ids(),
    validation = validation::security_group_ids(),
    validation = validation::unique_devices(),
    validation = validation::one_root_volume(),
    validation = validation::reserved_tags(),
    validation = validation::tag_key_length(),
    validation = validation::tag_key_case()
)]
pub struct PoolTemplate {
    /// Machine image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<PoolImage>,

    /// Name of the IAM role of nodes; replaces the ocean's role or instanceProfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[\w+=,.@-]+$"))]
    pub role: Option<String>,

    /// Name of an existing instance profile; replaces the ocean's role or instanceProfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[\w+=,.@-]+$"))]
    pub instance_profile: Option<String>,

    /// How the role is admitted to the cluster: Auto, AccessEntry, AwsAuth or Unmanaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,

    /// Subnets for nodes; replaces the ocean's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    pub subnets: Option<Vec<SelectorTerm>>,

    /// Security groups of nodes; replaces the ocean's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    pub security_groups: Option<Vec<SelectorTerm>>,

    /// Disks; replaces the ocean's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10))]
    pub block_devices: Option<Vec<BlockDevice>>,

    /// What to do with local NVMe disks: RAID0 makes them the node's ephemeral storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_store: Option<InstanceStore>,

    /// Instance metadata service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PoolMetadataOptions>,

    /// User data, appended to the ocean's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub user_data: Option<String>,

    /// EC2 tags, merged over the ocean's by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::tag_map")]
    pub tags: BTreeMap<String, String>,

    /// Settings of the kubelet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubelet: Option<Kubelet>,

    /// CloudWatch monitoring of instances: Basic or Detailed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Monitoring>,

    /// Give nodes a public IPv4 address.
    #[serde(default, rename = "publicIP", skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<bool>,

    /// Name of the EC2 key pair for SSH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^\S(.*\S)?$"))]
    pub key_pair: Option<String>,
}

/// A pool's own image: what is unset is inherited.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!has(self.family) || self.family != 'Custom' || !has(self.version) || self.version == 'latest'", "image.version is for AL2023 and Bottlerocket: choose Custom images by image.selector alone"),
    validation = ("!has(self.version) || self.version == 'latest' || !has(self.selector) || self.selector.size() == 0", "image.version pins a public release, and image.selector names images of yours: remove one of them"),
    validation = ("!has(self.family) || !has(self.version) || self.family != 'AL2023' || self.version == 'latest' || self.version.matches('^v[0-9]{8}$')", "image.version of AL2023 is latest or a release such as v20260915"),
    validation = ("!has(self.family) || !has(self.version) || self.family != 'Bottlerocket' || self.version == 'latest' || self.version.matches('^v?[0-9]+[.][0-9]+[.][0-9]+$')", "image.version of Bottlerocket is latest or a release such as 1.46.0")
)]
pub struct PoolImage {
    /// AL2023, Bottlerocket or Custom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<ImageFamily>,

    /// Release to pin, or latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9.+_-]*$"))]
    pub version: Option<String>,

    /// Your own images; replaces the ocean's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub selector: Option<Vec<ImageTerm>>,
}

/// A pool's own metadata settings: what is unset is inherited.
#[derive(KubeSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolMetadataOptions {
    /// required (IMDSv2 only) or optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_tokens: Option<HttpTokens>,

    /// Network hops that an answer survives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub http_put_response_hop_limit: Option<u32>,

    /// enabled or disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_endpoint: Option<MetadataEndpoint>,

    /// IPv6 endpoint: enabled or disabled.
    #[serde(default, rename = "httpProtocolIPv6", skip_serializing_if = "Option::is_none")]
    pub http_protocol_ipv6: Option<MetadataEndpoint>,
}
