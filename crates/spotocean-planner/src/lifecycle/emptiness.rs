//! Nodes without pods: how long they have been so, and when they go.
//!
//! A node is first tainted and then removed one look later, so that a pod the
//! scheduler was just placing there calls the removal off.

use spotocean_api::disruption::Consolidate;
use spotocean_api::ocean_node::{OceanNodeReason, OceanNodeStatus, Phase};
use spotocean_core::node::Node;
use spotocean_core::pod::{Pod, PodPhase};
use spotocean_core::requirement::all_match;
use spotocean_core::taint::untolerated;

use super::agenda::Agenda;
use super::drain::is_for_empty_nodes;
use super::fate::Fate;
use super::leaving::{Decision, Leaving, time};
use super::view::{Member, Standing, View, span};
use crate::provisioning::in_flight::is_for;

/// Whether only daemons and mirrors are on the node.
fn is_empty(member: &Member<'_>) -> bool {
    member.pods.iter().all(|pod| pod.is_daemon() || pod.is_mirror)
}

/// Records since when the node has been empty.
pub(super) fn observe(view: &View<'_>, member: &Member<'_>, status: &mut OceanNodeStatus) {
    if status.phase != Phase::Initialized || !view.snapshot.sources.kubernetes.is_complete {
        return;
    }
    if is_empty(member) != status.empty_since.is_some() {
        status.last_pod_event_at = Some(time(view.now()));
        status.empty_since = is_empty(member).then(|| time(view.now()));
    }
}

/// Whether an otherwise unneeded member goes because it is empty.
pub(super) fn decide(
    view: &View<'_>,
    member: &Member<'_>,
    status: &mut OceanNodeStatus,
    agenda: &mut Agenda,
) -> Decision {
    if member.standing != Standing::Kept || member.disruption.consolidate == Consolidate::Never {
        return Decision::Stays;
    }
    let Some(node) = member.node.filter(|node| node.is_ready()) else {
        return Decision::Stays;
    };
    // An instance that is not listed cannot be shown to be ours, and could not be terminated.
    let is_ours = member.fate == Fate::Alive;
    if !is_ours || !is_empty(member) || is_awaited(view, member, node) {
        return Decision::Stays;
    }
    let leaves = Decision::Leaves(Leaving {
        reason: OceanNodeReason::Empty,
        message: format!(
            "no pods but those of DaemonSets for longer than consolidateAfter ({})",
            member.disruption.consolidate_after
        ),
        deadline: None,
    });
    match status.phase {
        Phase::Draining if is_for_empty_nodes(status.reason) => leaves,
        Phase::Initialized => {
            let since = [&status.empty_since, &status.initialized_at]
                .into_iter()
                .flatten()
                .map(|time| time.0)
                .max();
            let Some(since) = since.filter(|_| status.empty_since.is_some()) else {
                return Decision::Stays;
            };
            let due = since + span(member.disruption.consolidate_after);
            if due <= view.now() {
                return leaves;
            }
            agenda.look_at(due);
            Decision::Stays
        }
        _ => Decision::Stays,
    }
}

/// Whether somebody counts on the node: an annotation, headroom, or a pod that is about to be bound there.
fn is_awaited(view: &View<'_>, member: &Member<'_>, node: &Node) -> bool {
    node.do_not_disrupt
        || view.spare.contains(&node.name)
        || view
            .snapshot
            .pods
            .iter()
            .filter(|pod| pod.node.is_none())
            .any(|pod| {
                let is_coming = pod.phase == PodPhase::Pending && pod.deleted_at.is_none() && !pod.is_gated;
                let is_nominated = pod.nominated_node.as_ref() == Some(&node.name);
                // A pod that the scheduler has looked at and found no node for does not fit here either.
                is_coming
                    && (is_nominated
                        || is_for(member.own, &pod.key)
                        || (!pod.is_unschedulable && may_fit(pod, member, node)))
            })
}

/// Whether a pod could be bound to the node as far as room, labels and taints say; other constraints are taken as kept.
fn may_fit(pod: &Pod, member: &Member<'_>, node: &Node) -> bool {
    let shape = &pod.shape;
    let matches_terms = shape.node_terms.as_ref().is_none_or(|terms| {
        terms
            .iter()
            .any(|term| all_match(&term.expressions, &node.labels))
    });
    let standing_taints = node
        .taints
        .iter()
        .filter(|taint| **taint != super::drain::disrupted_taint());
    shape.unmodelled.is_empty()
        && shape.requests.fits(&member.room(node))
        && all_match(&shape.node_selector, &node.labels)
        && matches_terms
        && untolerated(standing_taints, &shape.tolerations).is_none()
}
