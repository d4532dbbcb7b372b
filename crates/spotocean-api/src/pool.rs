//! A pool: a set of instance types and zones from which nodes of one kind are bought.

use crate::validation;
use crate::{
    disruption::PoolDisruption, headroom::Headroom, pool_template::PoolTemplate, quantity::Quantity,
    requirement::Requirement, schema, spot_ocean::DeletionPolicy, strategy::PoolStrategy, taint::Taint,
};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A set of instance types and zones from which nodes of one kind are bought. With no requirement on them a
/// pool offers linux/amd64, categories c, m and r, generation above 2, at least 2 vCPUs, and nothing burstable,
/// bare metal or accelerated.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = validation::limit_names(),
    validation = validation::limit_nodes(),
    validation = validation::limit_hourly_cost(),
    validation = validation::limit_memory_unit(),
    validation = validation::node_labels(),
    validation = validation::peer_labels(),
    validation = validation::node_taints(),
    validation = validation::unique_taints()
)]
pub struct Pool {
    /// Name of the pool, unique in its ocean: lower-case letters, digits and dashes.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// Pools of higher weight are tried first; price decides among equals. Unset: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub weight: Option<u32>,

    /// Conditions on node labels that instance types and zones must meet, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 30))]
    pub requirements: Vec<Requirement>,

    /// Labels of the nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::label_map")]
    pub labels: BTreeMap<String, String>,

    /// Annotations of the nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotation_map")]
    pub annotations: BTreeMap<String, String>,

    /// Taints of the nodes; only pods that tolerate them are bought for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub taints: Vec<Taint>,

    /// Taints that nodes start with and someone else removes, such as a CNI's agent-not-ready. Pods need not
    /// tolerate them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub startup_taints: Vec<Taint>,

    /// Most that the pool may hold, by resource name, plus nodes and hourlyCost (US dollars). Stops purchases,
    /// never removes nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantity_map")]
    pub limits: BTreeMap<String, Quantity>,

    /// What removing the pool does to its nodes: Drain or Orphan. Unset: as the ocean has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,

    /// The pool's own launch settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<PoolTemplate>,

    /// The pool's own strategy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<PoolStrategy>,

    /// The pool's own disruption settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disruption: Option<PoolDisruption>,

    /// Spare room that is kept ready on the pool's nodes, beside the ocean's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headroom: Option<Headroom>,
}
