//! Settings of the kubelet on new nodes.

use crate::validation;
use crate::{duration::Duration, quantity::Quantity, schema};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Settings of the kubelet. What is unset follows the image family's own defaults. In a pool, what is set
/// replaces the ocean's, and maps merge by key.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = validation::eviction_signals(),
    validation = validation::reserved_resources(),
    validation = ("(has(self.evictionSoft) ? self.evictionSoft.all(k, has(self.evictionSoftGracePeriod) && k in self.evictionSoftGracePeriod) : true)", "each signal in evictionSoft needs a grace period: add it to evictionSoftGracePeriod, such as memory.available: 2m"),
    validation = ("(has(self.evictionSoftGracePeriod) ? self.evictionSoftGracePeriod.all(k, has(self.evictionSoft) && k in self.evictionSoft) : true)", "evictionSoftGracePeriod has a signal without a threshold: add it to evictionSoft, or remove the grace period"),
    validation = ("!has(self.imageGCHighThresholdPercent) || !has(self.imageGCLowThresholdPercent) || self.imageGCHighThresholdPercent > self.imageGCLowThresholdPercent", "imageGCHighThresholdPercent is not above imageGCLowThresholdPercent: raise the high one, or lower the low one"),
    validation = ("!has(self.clusterDNS) || self.clusterDNS.all(a, a.matches('^[0-9a-fA-F.:]{2,45}$'))", "clusterDNS holds IP addresses: write addresses such as 10.100.0.10, not names")
)]
pub struct Kubelet {
    /// Most pods on a node. Unset: by the CNI in use and the instance type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_pods: Option<u32>,

    /// Most pods per vCPU; maxPods still holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub pods_per_core: Option<u32>,

    /// Resources kept for Kubernetes daemons: cpu, memory, ephemeral-storage, pid.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantity_map")]
    pub kube_reserved: BTreeMap<String, Quantity>,

    /// Resources kept for the operating system: cpu, memory, ephemeral-storage, pid.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantity_map")]
    pub system_reserved: BTreeMap<String, Quantity>,

    /// Eviction at once, by signal: memory.available, nodefs.available, nodefs.inodesFree,
    /// imagefs.available, imagefs.inodesFree, pid.available. A quantity or a percentage.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::threshold_map")]
    pub eviction_hard: BTreeMap<String, String>,

    /// Eviction after a grace period, by the same signals. Each needs an evictionSoftGracePeriod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::threshold_map")]
    pub eviction_soft: BTreeMap<String, String>,

    /// How long each soft threshold must be crossed before pods are evicted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::duration_map")]
    pub eviction_soft_grace_period: BTreeMap<String, Duration>,

    /// Disk use that starts image collection, percent.
    #[serde(
        default,
        rename = "imageGCHighThresholdPercent",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(min = 1, max = 100))]
    pub image_gc_high_threshold_percent: Option<u32>,

    /// Disk use at which image collection stops, percent.
    #[serde(
        default,
        rename = "imageGCLowThresholdPercent",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(min = 0, max = 99))]
    pub image_gc_low_threshold_percent: Option<u32>,

    /// Enforce CPU limits by CFS quota.
    #[serde(default, rename = "cpuCFSQuota", skip_serializing_if = "Option::is_none")]
    pub cpu_cfs_quota: Option<bool>,

    /// Addresses of cluster DNS. Unset: the cluster's.
    #[serde(default, rename = "clusterDNS", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::strings::<3, 45>")]
    pub cluster_dns: Option<Vec<String>>,
}
