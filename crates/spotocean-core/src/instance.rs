//! EC2 instances as DescribeInstances shows them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::capacity_type::CapacityType;
use crate::id::{ImageId, InstanceId, InstanceTypeName, LaunchName, Zone};

/// Tag: the kube-system namespace's UID, which names the cluster for good.
pub const TAG_CLUSTER_UID: &str = "spotocean.dev/cluster-uid";
/// Tag: the ocean's UID.
pub const TAG_OCEAN_UID: &str = "spotocean.dev/ocean-uid";
/// Tag: the ocean's name.
pub const TAG_OCEAN: &str = "spotocean.dev/ocean";
/// Tag: the pool's name.
pub const TAG_POOL: &str = "spotocean.dev/pool";
/// Tag: the `OceanLaunch` that bought the instance.
pub const TAG_LAUNCH: &str = "spotocean.dev/launch";

/// An instance's state (EC2's `instance-state-name`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Being started.
    Pending,
    /// Running; from here on it is billed.
    Running,
    /// Being terminated.
    ShuttingDown,
    /// Gone; still listed for about an hour.
    Terminated,
    /// Being stopped.
    Stopping,
    /// Stopped.
    Stopped,
}

impl InstanceState {
    /// Reads EC2's word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "pending" => Self::Pending,
            "running" => Self::Running,
            "shutting-down" => Self::ShuttingDown,
            "terminated" => Self::Terminated,
            "stopping" => Self::Stopping,
            "stopped" => Self::Stopped,
            _ => return None,
        })
    }

    /// Whether the instance is lost for its node: an instant fleet's instance never comes back from these.
    #[must_use]
    pub fn is_ending(self) -> bool {
        matches!(
            self,
            Self::ShuttingDown | Self::Terminated | Self::Stopping | Self::Stopped
        )
    }
}

/// One instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its type.
    pub instance_type: InstanceTypeName,
    /// Its zone.
    pub zone: Zone,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// Its state.
    pub state: InstanceState,
    /// EC2's reason for the state, such as `Server.SpotInstanceTermination`; empty for none.
    pub state_reason: Arc<str>,
    /// Its image.
    pub image: ImageId,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// Its private DNS name.
    pub private_dns_name: Arc<str>,
    /// Its tags.
    pub tags: BTreeMap<Arc<str>, Arc<str>>,
}

impl Instance {
    /// The launch that bought it.
    #[must_use]
    pub fn launch(&self) -> Option<LaunchName> {
        self.tags.get(TAG_LAUNCH).map(|name| LaunchName(name.clone()))
    }

    /// A tag's value.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(AsRef::as_ref)
    }

    /// The provider id its Node carries.
    #[must_use]
    pub fn provider_id(&self) -> String {
        format!("aws:///{}/{}", self.zone, self.id)
    }
}
