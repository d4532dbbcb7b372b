//! When nodes are removed, and how long a removal or a start may take.

use crate::duration::Duration;
use crate::validation;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which nodes consolidation may remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Consolidate {
    /// Nodes that hold no pods but those of DaemonSets.
    #[default]
    WhenEmpty,
    /// None.
    Never,
}

/// When nodes are removed. Pools inherit it and may override each field.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = validation::within("consolidateAfter", "0s", "24h"),
    validation = validation::within("drainTimeout", "10s", "24h"),
    validation = validation::within("registrationTimeout", "10s", "2h")
)]
pub struct Disruption {
    /// Which nodes consolidation may remove: WhenEmpty or Never. Default WhenEmpty.
    #[serde(default)]
    pub consolidate: Consolidate,

    /// How long a node must have been empty before it is removed. Default 5m.
    #[serde(default = "default_consolidate_after")]
    pub consolidate_after: Duration,

    /// How long a drain may take. A voluntary drain that takes longer is abandoned and its node uncordoned.
    /// Default 15m.
    #[serde(default = "default_drain_timeout")]
    pub drain_timeout: Duration,

    /// How long an instance may take from launch to a Ready node before it is replaced. Default 10m.
    #[serde(default = "default_registration_timeout")]
    pub registration_timeout: Duration,
}

const fn default_consolidate_after() -> Duration {
    Duration::from_minutes(5)
}

const fn default_drain_timeout() -> Duration {
    Duration::from_minutes(15)
}

const fn default_registration_timeout() -> Duration {
    Duration::from_minutes(10)
}

impl Default for Disruption {
    fn default() -> Self {
        Self {
            consolidate: Consolidate::default(),
            consolidate_after: default_consolidate_after(),
            drain_timeout: default_drain_timeout(),
            registration_timeout: default_registration_timeout(),
        }
    }
}

/// A pool's own disruption settings: what is unset is inherited.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = validation::within("consolidateAfter", "0s", "24h"),
    validation = validation::within("drainTimeout", "10s", "24h"),
    validation = validation::within("registrationTimeout", "10s", "2h")
)]
pub struct PoolDisruption {
    /// Which nodes consolidation may remove: WhenEmpty or Never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consolidate: Option<Consolidate>,

    /// How long a node must have been empty before it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consolidate_after: Option<Duration>,

    /// How long a drain may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<Duration>,

    /// How long an instance may take from launch to a Ready node before it is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_timeout: Option<Duration>,
}
