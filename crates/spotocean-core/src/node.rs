//! Kubernetes Nodes as planning sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, NodeName, Uid};
use crate::requirement::Labels;
use crate::resources::Resources;
use crate::taint::Taint;

/// The Ready condition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Readiness {
    /// Ready=True.
    Ready,
    /// Ready=False, absent, or Unknown, since this time (creation time where the node never reported).
    NotReady {
        /// Since when.
        since: Timestamp,
    },
}

/// One Node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// Its uid.
    pub uid: Uid,
    /// `metadata.resourceVersion`, for preconditions.
    pub resource_version: Arc<str>,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// `spec.unschedulable`.
    pub is_cordoned: bool,
    /// The instance behind it, from `aws:///<zone>/<instance-id>`.
    pub instance: Option<InstanceId>,
    /// `status.capacity`.
    pub capacity: Resources,
    /// `status.allocatable`.
    pub allocatable: Resources,
    /// How many more volumes each CSI driver can attach in all (CSINode `allocatable.count`).
    pub attach_limits: BTreeMap<Arc<str>, i64>,
    /// Its readiness.
    pub readiness: Readiness,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its deletion was asked for.
    pub deleted_at: Option<Timestamp>,
    /// Whether an annotation on it asks not to be disrupted.
    pub do_not_disrupt: bool,
}

impl Node {
    /// Whether it reports Ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.readiness == Readiness::Ready
    }
}

/// The instance id in a provider id of the form `aws:///<zone>/<instance-id>`.
///
/// Source: cloud-provider-aws `KubernetesInstanceID`; two-slash and
/// zone-less forms are found on old clusters and read as well.
#[must_use]
pub fn instance_of_provider_id(provider_id: &str) -> Option<InstanceId> {
    let rest = provider_id.strip_prefix("aws://")?;
    let id = rest.rsplit('/').next()?;
    id.starts_with("i-").then(|| id.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_ids_name_the_instance() {
        let rows = [
            ("aws:///us-east-1a/i-0abc", Some("i-0abc")),
            ("aws:///i-0abc", Some("i-0abc")),
            ("gce://project/zone/name", None),
            ("aws:///us-east-1a/fargate-ip-10-0-0-1", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(
                instance_of_provider_id(text).as_ref().map(InstanceId::as_str),
                expected,
                "{text:?}"
            );
        }
    }
}
