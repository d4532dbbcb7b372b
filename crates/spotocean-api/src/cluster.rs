//! The cluster that new instances join.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The EKS cluster that new instances join. All oceans of a cluster name the same one.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self.name == oldSelf.name", "cluster.name is immutable, because an ocean cannot move to another cluster: delete this one and apply it under another name"),
    validation = ("has(self.endpoint) == has(self.certificateAuthority)", "cluster.endpoint and cluster.certificateAuthority go together: give both for a self-managed cluster, or neither to have them read from EKS"),
    validation = ("!has(self.endpoint) || has(self.serviceCIDR)", "cluster.endpoint without cluster.serviceCIDR: nodes of a self-managed cluster need the address range of Services too, so add serviceCIDR")
)]
pub struct Cluster {
    /// Name of the EKS cluster, or any name for a self-managed one. Immutable.
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[0-9A-Za-z][A-Za-z0-9\-_]*$"))]
    pub name: String,

    /// URL of the apiserver. Unset: read from EKS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), regex(pattern = r"^https://[^\s]+$"))]
    pub endpoint: Option<String>,

    /// The apiserver's CA certificate, base64 of PEM. Unset: read from EKS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192), regex(pattern = r"^[A-Za-z0-9+/]+={0,2}$"))]
    pub certificate_authority: Option<String>,

    /// Address range of Services, IPv4 or IPv6. Unset: read from EKS.
    #[serde(default, rename = "serviceCIDR", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"))]
    pub service_cidr: Option<String>,

    /// Address of cluster DNS. Unset: the tenth address of the service range.
    #[serde(default, rename = "dnsClusterIP", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = r"^[0-9a-fA-F.:]+$"))]
    pub dns_cluster_ip: Option<String>,

    /// Kubernetes version of the control plane, such as 1.36. Unset: read from the apiserver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^1\.[0-9]{1,3}$"))]
    pub version: Option<String>,
}
