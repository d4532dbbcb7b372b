//! SpotOcean: what the user declares. The operator never writes its `spec`.

use crate::validation;
use crate::{
    cluster::Cluster, disruption::Disruption, headroom::Headroom, label_selector::LabelSelector,
    ocean_status::SpotOceanStatus, pool::Pool, quantity::Quantity, schema, strategy::Strategy,
    template::Template,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Limit key that counts nodes.
pub const LIMIT_NODES: &str = "nodes";
/// Limit key in US dollars an hour.
pub const LIMIT_HOURLY_COST: &str = "hourlyCost";

/// What the user declares: how nodes join, how capacity is chosen, and the pools it comes from.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "spotocean.dev",
    version = "v1alpha1",
    kind = "SpotOcean",
    plural = "spotoceans",
    shortname = "ocean",
    shortname = "oceans",
    category = "spotocean",
    status = "SpotOceanStatus",
    derive = "PartialEq",
    validation = ("self.metadata.name.size() <= 40", "the name of an ocean is part of labels and of AWS names: shorten it to 40 characters"),
    doc = "SpotOcean declares pools of compute that the operator buys from EC2, on spot capacity where it can.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Nodes", type_ = "integer", json_path = ".status.nodes"),
    printcolumn(name = "Spot", type_ = "integer", json_path = ".status.spotNodes"),
    printcolumn(name = "On-Demand", type_ = "integer", json_path = ".status.onDemandNodes"),
    printcolumn(
        name = "Pending",
        type_ = "integer",
        json_path = ".status.pendingPods",
        description = "Pods that wait for this ocean"
    ),
    printcolumn(name = "$/Hour", type_ = "string", json_path = ".status.hourlyCostUSD"),
    printcolumn(
        name = "Saved",
        type_ = "string",
        json_path = ".status.saved",
        description = "Against the same nodes on demand"
    ),
    printcolumn(
        name = "Gap",
        type_ = "string",
        json_path = ".status.gap",
        description = "Distance of the plan's cost to its proven lower bound"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type==\"Ready\")].message"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = validation::limit_names(),
    validation = validation::limit_nodes(),
    validation = validation::limit_hourly_cost(),
    validation = validation::limit_memory_unit(),
    validation = validation::some_pool_for_plain_pods(),
    validation = validation::pool_custom_image(),
    validation = validation::pool_max_share_order(),
    validation = validation::pool_user_data_form(),
    validation = validation::user_data_across_families(),
    validation = validation::pool_metadata_endpoint(),
    validation = ("!has(self.compatibilityLabels) || self.compatibilityLabels.all(a, self.compatibilityLabels.exists_one(b, b == a))", "compatibilityLabels lists a peer twice: remove one")
)]
pub struct SpotOceanSpec {
    /// The cluster that new instances join.
    pub cluster: Cluster,

    /// Launch settings that every pool inherits and may override field by field.
    pub template: Template,

    /// How capacity is chosen: spot or on-demand, and how far it is spread over markets.
    #[serde(default)]
    pub strategy: Strategy,

    /// When nodes are removed, and how long a removal or a start may take.
    #[serde(default)]
    pub disruption: Disruption,

    /// Spare room that is kept ready for pods to come, on whichever of the ocean's nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headroom: Option<Headroom>,

    /// Most that the ocean may hold, by resource name (cpu, memory, nvidia.com/gpu, …), plus nodes and
    /// hourlyCost (US dollars). Stops purchases, never removes nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantity_map")]
    pub limits: BTreeMap<String, Quantity>,

    /// Whose pending pods this ocean serves. Default: all.
    #[serde(default)]
    pub pods: PodSelection,

    /// Buy even while another autoscaler (Karpenter, Cluster Autoscaler, EKS Auto Mode) could serve the same
    /// pods. Default false: wait, with condition OtherAutoscalerActive.
    #[serde(default)]
    pub allow_overlap: bool,

    /// Peers whose node labels for the capacity type our nodes carry too, so that existing selectors bind:
    /// Karpenter, ManagedNodeGroup, Ocean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub compatibility_labels: Vec<CompatibilityLabels>,

    /// Manage: buy and remove nodes. Observe: decide and publish the plan with its cost, touch nothing.
    /// Default Manage.
    #[serde(default)]
    pub mode: Mode,

    /// What deleting the ocean does to its nodes: Drain (remove them) or Orphan (leave them running, no longer
    /// ours). Default Drain.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,

    /// The pools that nodes come from.
    #[schemars(length(min = 1, max = 50), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pools: Vec<Pool>,
}

/// Whose pending pods an ocean serves; both selectors must hold.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSelection {
    /// Labels of the pods' namespace. Unset: all namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,

    /// Labels of the pods. Unset: all pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// A peer whose capacity type labels our nodes carry too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CompatibilityLabels {
    /// karpenter.sh/capacity-type.
    Karpenter,
    /// eks.amazonaws.com/capacityType.
    ManagedNodeGroup,
    /// spotinst.io/node-lifecycle.
    Ocean,
}

/// Whether the operator acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Buy and remove nodes.
    #[default]
    Manage,
    /// Decide and publish the plan with its cost; touch nothing.
    Observe,
}

/// What a deletion does to nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Drain and terminate them.
    #[default]
    Drain,
    /// Leave them running, tagged as no longer ours.
    Orphan,
}
