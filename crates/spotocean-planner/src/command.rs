//! The closed list of what the shell may be told to do.
//!
//! One arm, one effect, no policy: everything a command needs is in it, with
//! the uid and resource version of what it rests on. A command that finds the
//! world changed does nothing and reports it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spotocean_api::ocean_launch::{OceanLaunch, OceanLaunchStatus};
use spotocean_api::ocean_node::{OceanNode, OceanNodeStatus};
use spotocean_core::id::{InstanceId, LaunchName, NodeName, ObjectKey, OceanName, OceanNodeName, Uid};
use spotocean_core::launch::{FleetAnswer, LaunchTemplate};
use spotocean_core::port::CloudError;
use spotocean_core::requirement::Labels;
use spotocean_core::taint::Taint;

/// Names a command, so that the same one is never carried out twice at once
/// and its failures are counted: the kind and the object it is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct CommandKey {
    /// The command's kind, as [`Command::kind`] gives it.
    pub kind: Arc<str>,
    /// The object: a uid, an instance id or a name.
    pub subject: Arc<str>,
}

/// Whether a command may wait.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Lane {
    /// Against a deadline: runs at once, whatever else is under way.
    Forced,
    /// In its turn.
    Ordinary,
}

/// A planned purchase: objects to write, templates to make, then one `CreateFleet`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Purchase {
    /// OceanNodes to create first, in the order of the launch's members.
    pub nodes: Vec<OceanNode>,
    /// The OceanLaunch to create next, with the exact request.
    pub launch: OceanLaunch,
    /// Launch templates the request names; made if absent, before the call.
    pub templates: Vec<LaunchTemplate>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Put our finalizer on an ocean (its first command) or take it off (its last).
    SetOceanFinalizer {
        /// The ocean.
        ocean: OceanName,
        /// Its uid.
        uid: Uid,
        /// Whether the finalizer is wanted.
        present: bool,
    },
    /// Write the intent, then buy.
    Purchase(Box<Purchase>),
    /// Send a launch's stored request again with its token: its outcome is not known.
    Replay {
        /// The launch as it stands.
        launch: Arc<OceanLaunch>,
        /// Its templates, in case one is gone; empty when they cannot be made again.
        templates: Vec<LaunchTemplate>,
    },
    /// Write a launch's status.
    SetLaunchStatus {
        /// The launch.
        name: LaunchName,
        /// Its uid.
        uid: Uid,
        /// The status.
        status: Box<OceanLaunchStatus>,
    },
    /// Delete a launch that is a day old, or one that was never sent.
    DeleteLaunch {
        /// The launch.
        name: LaunchName,
        /// Its uid.
        uid: Uid,
    },
    /// Create an OceanNode for an instance that has none (adoption).
    CreateOceanNode {
        /// The node, complete but for its status.
        node: Box<OceanNode>,
        /// Its status, written right after.
        status: Box<OceanNodeStatus>,
    },
    /// Write an OceanNode's status.
    SetOceanNodeStatus {
        /// The OceanNode.
        name: OceanNodeName,
        /// Its uid.
        uid: Uid,
        /// The status.
        status: Box<OceanNodeStatus>,
        /// A Node that must be clear of pods by a read of its own, else nothing is written: watches may be late.
        once_clear: Option<NodeName>,
    },
    /// Ask for an OceanNode's deletion; its finalizer keeps it until its instance is gone.
    DeleteOceanNode {
        /// The OceanNode.
        name: OceanNodeName,
        /// Its uid.
        uid: Uid,
    },
    /// Take our finalizer off an OceanNode: its instance is gone or handed over.
    ReleaseOceanNode {
        /// The OceanNode.
        name: OceanNodeName,
        /// Its uid.
        uid: Uid,
    },
    /// Merge labels, annotations and taints into a Node of ours.
    PatchNode(Box<NodePatch>),
    /// Delete a Node object.
    DeleteNode {
        /// The Node.
        name: NodeName,
        /// Its uid.
        uid: Uid,
    },
    /// Evict a pod through the Eviction API.
    EvictPod {
        /// The pod.
        pod: ObjectKey,
        /// Its uid.
        uid: Uid,
        /// The node it is evicted from.
        node: NodeName,
    },
    /// Say in a pod's status which Node it is to be bound to: the scheduler tries that one first and keeps the room.
    NominatePod {
        /// The pod.
        pod: ObjectKey,
        /// Its uid.
        uid: Uid,
        /// The Node.
        node: NodeName,
    },
    /// Delete a pod outright, overriding disruption budgets: forced drains near their deadline, and pods of lost nodes.
    DeletePod {
        /// The pod.
        pod: ObjectKey,
        /// Its uid.
        uid: Uid,
        /// The node it is on.
        node: NodeName,
        /// Seconds of grace; `None` is the pod's own.
        grace_seconds: Option<i64>,
    },
    /// Terminate one instance.
    Terminate {
        /// The instance.
        instance: InstanceId,
        /// Why, for the log.
        reason: TerminationReason,
    },
    /// Take our tags off instances that are to live on without us.
    Orphan {
        /// The instance.
        instance: InstanceId,
    },
    /// Delete a launch template nothing uses.
    DeleteLaunchTemplate {
        /// Its name.
        name: Arc<str>,
    },
    /// Delete an instance profile of ours.
    DeleteInstanceProfile {
        /// Its name.
        name: Arc<str>,
    },
    /// Acknowledge queue messages whose effect is on record.
    Acknowledge {
        /// Their receipts.
        receipts: Vec<Arc<str>>,
    },
}

/// Why an instance is terminated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum TerminationReason {
    /// Its OceanNode is at the end of its life.
    Released,
    /// Nothing explains it: two complete reads and a read by id agree.
    Unexplained,
}

/// A change to a Node: strategic for labels and annotations, by key and effect for taints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePatch {
    /// The Node.
    pub name: NodeName,
    /// Its uid.
    pub uid: Uid,
    /// The resource version it was decided on; taints are a list, so a newer one must be looked at again.
    pub resource_version: Arc<str>,
    /// Labels to set.
    pub labels: Labels,
    /// Labels to remove.
    pub remove_labels: Vec<Arc<str>>,
    /// Annotations to set.
    pub annotations: Labels,
    /// The complete list of taints after the change, `None` to leave them.
    pub taints: Option<Vec<Taint>>,
    /// `spec.unschedulable` after the change, `None` to leave it.
    pub unschedulable: Option<bool>,
    /// Pods that are nominated to the Node right before the change, so that one that lets pods in finds their places
    /// taken. The change does not depend on it.
    pub nominees: Vec<Nominee>,
}

/// A pod that waits for a place on a Node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nominee {
    /// The pod.
    pub pod: ObjectKey,
    /// Its uid.
    pub uid: Uid,
}

/// A command with why it is given and whether it may wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// The command.
    pub command: Command,
    /// The lane it runs in.
    pub lane: Lane,
    /// One sentence for the log.
    pub because: Arc<str>,
}

/// What a command came to, beyond success or failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done.
    Done,
    /// The world had changed; nothing was done.
    Stale,
    /// EC2 answered a purchase or replay.
    Fleet(FleetAnswer),
    /// EC2 refused a purchase or replay as a whole, or gave no answer.
    FleetFailed(CloudError),
}

impl Command {
    /// The variant's name; the metric label.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SetOceanFinalizer { .. } => "SetOceanFinalizer",
            Self::Purchase(_) => "Purchase",
            Self::Replay { .. } => "Replay",
            Self::SetLaunchStatus { .. } => "SetLaunchStatus",
            Self::DeleteLaunch { .. } => "DeleteLaunch",
            Self::CreateOceanNode { .. } => "CreateOceanNode",
            Self::SetOceanNodeStatus { .. } => "SetOceanNodeStatus",
            Self::DeleteOceanNode { .. } => "DeleteOceanNode",
            Self::ReleaseOceanNode { .. } => "ReleaseOceanNode",
            Self::PatchNode(_) => "PatchNode",
            Self::DeleteNode { .. } => "DeleteNode",
            Self::EvictPod { .. } => "EvictPod",
            Self::NominatePod { .. } => "NominatePod",
            Self::DeletePod { .. } => "DeletePod",
            Self::Terminate { .. } => "Terminate",
            Self::Orphan { .. } => "Orphan",
            Self::DeleteLaunchTemplate { .. } => "DeleteLaunchTemplate",
            Self::DeleteInstanceProfile { .. } => "DeleteInstanceProfile",
            Self::Acknowledge { .. } => "Acknowledge",
        }
    }

    /// The key under which runs of this command are counted.
    #[must_use]
    pub fn key(&self) -> CommandKey {
        CommandKey {
            kind: self.kind().into(),
            subject: self.subject(),
        }
    }

    fn subject(&self) -> Arc<str> {
        match self {
            Self::SetOceanFinalizer { uid, .. }
            | Self::SetLaunchStatus { uid, .. }
            | Self::DeleteLaunch { uid, .. }
            | Self::SetOceanNodeStatus { uid, .. }
            | Self::DeleteOceanNode { uid, .. }
            | Self::ReleaseOceanNode { uid, .. }
            | Self::DeleteNode { uid, .. }
            | Self::EvictPod { uid, .. }
            | Self::NominatePod { uid, .. }
            | Self::DeletePod { uid, .. } => uid.0.clone(),
            // A purchase and the replay of its launch are the same call to EC2.
            Self::Purchase(purchase) => purchase
                .launch
                .metadata
                .name
                .as_deref()
                .unwrap_or_default()
                .into(),
            Self::Replay { launch, .. } => launch.metadata.name.as_deref().unwrap_or_default().into(),
            Self::CreateOceanNode { node, .. } => node.metadata.name.as_deref().unwrap_or_default().into(),
            Self::PatchNode(patch) => patch.uid.0.clone(),
            Self::Terminate { instance, .. } | Self::Orphan { instance } => instance.0.clone(),
            Self::DeleteLaunchTemplate { name } | Self::DeleteInstanceProfile { name } => name.clone(),
            Self::Acknowledge { receipts } => receipts.first().cloned().unwrap_or_else(|| "".into()),
        }
    }
}

/// Labels and annotations by name, as Kubernetes writes them.
pub type StringMap = BTreeMap<String, String>;
