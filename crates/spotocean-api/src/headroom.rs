//! Spare room that is kept ready for pods to come.

use crate::quantity::Quantity;
use crate::validation;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Spare room that is kept ready for pods to come. Both kinds add up, and so do those of an ocean and its pools.
/// Room counts where a pod of the shape could be bound; what is missing is bought.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Headroom {
    /// A share of what runs, in the shapes of the five biggest workloads with all their constraints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic: Option<AutomaticHeadroom>,

    /// Room of given shapes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub manual: Vec<HeadroomUnit>,
}

/// Spare room as a share of what runs.
#[derive(KubeSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutomaticHeadroom {
    /// Percent of the CPU and of the memory that pods on the nodes request, those of DaemonSets left out. 0 is none.
    #[schemars(range(min = 0, max = 200))]
    pub percentage: u32,
}

/// Room for some equal pods.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = validation::headroom_asks(),
    validation = validation::headroom_memory_unit()
)]
pub struct HeadroomUnit {
    /// Name of the unit, unique in its list: lower-case letters, digits and dashes.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// CPU of one pod, such as 500m or 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,

    /// Memory of one pod, such as 2Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,

    /// GPUs of one pod (nvidia.com/gpu).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub gpu: Option<u32>,

    /// For so many pods there is room.
    #[schemars(range(min = 0, max = 1000))]
    pub count: u32,
}
