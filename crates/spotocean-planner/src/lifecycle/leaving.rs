//! Whether an OceanNode leaves, why, and whether that is forced.
//!
//! The causes are asked in order, from forced to optional. Only forced causes
//! carry a deadline, and only a deadline may override a PodDisruptionBudget. A
//! voluntary drain that takes too long is abandoned and tried again later.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spotocean_api::ocean_node::{OceanNodeReason, OceanNodeStatus, Phase};
use spotocean_api::spot_ocean::DeletionPolicy;

use super::agenda::Agenda;
use super::view::{Member, Standing, View, span};
use super::{drain, emptiness, interruption, registration};

/// What becomes of a member in this look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It stays, or comes into service.
    Stays,
    /// Its instance is left running and is no longer ours.
    HandedOver,
    /// It leaves.
    Leaves(Leaving),
}

/// Why and how a member leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaving {
    /// The cause.
    pub(super) reason: OceanNodeReason,
    /// The cause in one sentence.
    pub(super) message: String,
    /// When it ends at the latest; `None` for a voluntary drain.
    pub(super) deadline: Option<Timestamp>,
}

impl Leaving {
    fn voluntary(reason: OceanNodeReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            deadline: None,
        }
    }
}

/// Decides, and puts an abandoned drain on record.
pub(super) fn decide(
    view: &View<'_>,
    member: &Member<'_>,
    status: &mut OceanNodeStatus,
    agenda: &mut Agenda,
) -> Decision {
    if let Some(leaving) = forced(view, member) {
        return Decision::Leaves(leaving);
    }
    // What the rest rests on is absence: no pods, no Node, no pool.
    if !view.snapshot.sources.kubernetes.is_complete {
        return Decision::Stays;
    }
    if is_handed_over(member) {
        return Decision::HandedOver;
    }
    if let Some(leaving) = impaired(view, member, agenda) {
        return Decision::Leaves(leaving);
    }
    let Some(leaving) = wanted(member) else {
        return emptiness::decide(view, member, status, agenda);
    };
    if rests(view, member, status, agenda) {
        return Decision::Stays;
    }
    Decision::Leaves(leaving)
}

/// Causes that come from EC2, and what has been decided for good.
fn forced(view: &View<'_>, member: &Member<'_>) -> Option<Leaving> {
    let status = &member.status;
    let notice = member
        .instance_id
        .as_ref()
        .and_then(|id| interruption::notice(view, id));
    let is_interrupted = notice.is_some()
        || status.reason == Some(OceanNodeReason::SpotInterruption)
        || member
            .instance
            .is_some_and(|instance| instance.state_reason.contains("SpotInstanceTermination"));
    let recorded = status.deadline.as_ref().map(|time| time.0);
    let deadline = notice.into_iter().chain(recorded).min();
    if member.fate.is_lost() && status.phase != Phase::Terminating {
        let (reason, message) = if is_interrupted {
            (OceanNodeReason::SpotInterruption, INTERRUPTED)
        } else {
            (
                OceanNodeReason::InstanceGone,
                "the instance was stopped or terminated by EC2 or by someone else",
            )
        };
        return Some(Leaving {
            reason,
            message: message.to_owned(),
            deadline: Some(deadline.unwrap_or(view.now())),
        });
    }
    if status.phase == Phase::Terminating || recorded.is_some() {
        return Some(Leaving {
            reason: status.reason.unwrap_or(OceanNodeReason::Requested),
            message: status.message.clone().unwrap_or_default(),
            deadline,
        });
    }
    notice.map(|_| Leaving {
        reason: OceanNodeReason::SpotInterruption,
        message: INTERRUPTED.to_owned(),
        deadline,
    })
}

const INTERRUPTED: &str = "EC2 takes the spot instance back two minutes after its warning";

/// Whether its pool or ocean goes without its nodes. One still joining joins first: nobody else would remove the
/// taint it starts with.
fn is_handed_over(member: &Member<'_>) -> bool {
    let is_orphan = matches!(
        member.standing,
        Standing::OceanDeleted(DeletionPolicy::Orphan) | Standing::PoolRemoved(DeletionPolicy::Orphan)
    );
    let has_joined = !matches!(member.status.phase, Phase::Pending | Phase::Launched)
        && !member.node.is_some_and(registration::is_unregistered);
    is_orphan && has_joined
}

/// Nodes that cannot serve: their pods get the drain timeout, and no longer.
fn impaired(view: &View<'_>, member: &Member<'_>, agenda: &mut Agenda) -> Option<Leaving> {
    let cause = registration::failure(view, member, agenda).or_else(|| node_deleted(view, member, agenda))?;
    let drain_timeout = span(member.disruption.drain_timeout);
    Some(Leaving {
        deadline: Some(view.now() + drain_timeout),
        ..cause
    })
}

/// How long a Node must stay away before its instance is given up: a kubelet that restarts registers anew.
const NODE_ABSENCE: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

fn node_deleted(view: &View<'_>, member: &Member<'_>, agenda: &mut Agenda) -> Option<Leaving> {
    let had_node = !matches!(member.status.phase, Phase::Pending | Phase::Launched);
    match member.node {
        Some(node) if node.deleted_at.is_some() => Some(Leaving::voluntary(
            OceanNodeReason::NodeDeleted,
            "someone deleted the Node",
        )),
        Some(_) => None,
        None if !had_node => None,
        None => {
            let since = view
                .snapshot
                .memory
                .nodeless
                .get(member.name.as_str())
                .copied()
                .unwrap_or(view.now());
            agenda.look_at(since + NODE_ABSENCE);
            (since + NODE_ABSENCE <= view.now()).then(|| {
                Leaving::voluntary(
                    OceanNodeReason::NodeDeleted,
                    "the Node is gone, the instance is not",
                )
            })
        }
    }
}

/// Causes that a user's wish brings about.
fn wanted(member: &Member<'_>) -> Option<Leaving> {
    match member.standing {
        Standing::OceanDeleted(DeletionPolicy::Drain) => {
            return Some(Leaving::voluntary(
                OceanNodeReason::OceanDeleted,
                "its ocean is being deleted",
            ));
        }
        Standing::PoolRemoved(DeletionPolicy::Drain) => {
            return Some(Leaving::voluntary(
                OceanNodeReason::PoolRemoved,
                "its pool was removed from the ocean",
            ));
        }
        _ => {}
    }
    member
        .is_deleted()
        .then(|| Leaving::voluntary(OceanNodeReason::Requested, "someone deleted the OceanNode"))
}

/// Whether a voluntary drain is abandoned now, or was and is not due again.
fn rests(view: &View<'_>, member: &Member<'_>, status: &mut OceanNodeStatus, agenda: &mut Agenda) -> bool {
    let Some(since) = status.draining_since.as_ref().map(|time| time.0) else {
        return false;
    };
    let timeout = span(member.disruption.drain_timeout);
    if status.phase == Phase::Draining {
        agenda.look_at(since + timeout);
        if view.now() < since + timeout || member.movable_pods().next().is_none() {
            return false;
        }
        status.phase = service_phase(status);
        status.reason = Some(OceanNodeReason::DrainAbandoned);
        status.message = Some(format!(
            "the drain took longer than drainTimeout ({}) and was abandoned, to be tried again after as long: {}",
            member.disruption.drain_timeout,
            drain::obstacle(view, member).unwrap_or_else(|| "pods are still ending".to_owned())
        ));
        return true;
    }
    let is_resting =
        status.reason == Some(OceanNodeReason::DrainAbandoned) && view.now() < since + timeout * 2;
    if is_resting {
        agenda.look_at(since + timeout * 2);
    } else {
        status.draining_since = None;
    }
    is_resting
}

/// The phase of a node that is not leaving any more.
pub(super) fn service_phase(status: &OceanNodeStatus) -> Phase {
    if status.initialized_at.is_some() {
        Phase::Initialized
    } else {
        Phase::Registered
    }
}

/// A time for a status field.
pub(super) fn time(at: Timestamp) -> Time {
    Time(at)
}
