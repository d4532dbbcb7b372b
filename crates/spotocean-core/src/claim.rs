//! Persistent volume claims, resolved to what they demand of a node.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::ObjectKey;
use crate::pod::NodeTerm;

/// What a claim demands of the node its pod runs on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ClaimState {
    /// Bound to a volume, or to be provisioned where the pod lands
    /// (`WaitForFirstConsumer`). The terms are alternatives (a volume's node
    /// affinity, or the class's allowed topologies); `None` is anywhere.
    Usable {
        /// Alternatives the node must match.
        terms: Option<Vec<NodeTerm>>,
        /// The CSI driver whose attach limit the volume counts against.
        driver: Option<Arc<str>>,
    },
    /// The pod cannot be placed until somebody acts; the sentence says who and how.
    Blocked(Arc<str>),
}

/// A persistent volume claim.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// Namespace and name.
    pub key: ObjectKey,
    /// The bound volume's name; distinguishes volumes when counting attachments.
    pub volume: Option<Arc<str>>,
    /// What it demands.
    pub state: ClaimState,
    /// Whether one pod in the whole cluster may use it at a time (access mode `ReadWriteOncePod`).
    #[serde(default)]
    pub is_exclusive: bool,
}
