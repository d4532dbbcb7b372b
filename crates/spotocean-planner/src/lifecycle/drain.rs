//! Moving pods away: cordon, evict by tier, and near a deadline delete.
//!
//! Disruption budgets are the Eviction API's business; this only asks, and
//! asks again. `DeletePod` overrides them, so it is for deadlines and for
//! pods whose machine is gone.

use std::sync::Arc;

use jiff::SignedDuration;
use spotocean_api::ocean_node::{OceanNodeReason, OceanNodeStatus, Phase};
use spotocean_core::label::{DISRUPTED_TAINT, EXCLUDE_FROM_LOAD_BALANCERS, OUT_OF_SERVICE_TAINT};
use spotocean_core::node::Node;
use spotocean_core::pod::Pod;
use spotocean_core::requirement::Labels;
use spotocean_core::taint::{Taint, TaintEffect, untolerated};

use super::agenda::Agenda;
use super::fate::Fate;
use super::leaving::{Leaving, time};
use super::view::{Member, View};
use crate::command::{Command, CommandKey, Lane, NodePatch};
use crate::snapshot::AttemptError;

/// Priority from which a pod is critical to the cluster (`system-cluster-critical`): such pods go last.
const CRITICAL_PRIORITY: i32 = 2_000_000_000;
/// Between what a member leaves for and what holds it up, in its message.
const HELD_UP: &str = "; held up: ";
/// A message on record is at most this long.
const MESSAGE_CHARACTERS_MAX: usize = 1024;
/// Between asking the kubelet to end a pod and its end being seen here.
const KUBELET_LAG: SignedDuration = SignedDuration::from_secs(5);

/// The taint on a node that is being given back.
#[must_use]
pub(super) fn disrupted_taint() -> Taint {
    Taint {
        key: DISRUPTED_TAINT.into(),
        value: "".into(),
        effect: TaintEffect::NoSchedule,
    }
}

/// Kubernetes' non-graceful node shutdown: frees pods and volumes of a machine that is off.
fn out_of_service_taint() -> Taint {
    Taint {
        key: OUT_OF_SERVICE_TAINT.into(),
        value: "nodeshutdown".into(),
        effect: TaintEffect::NoExecute,
    }
}

/// Whether a drain has to move this pod. One that tolerates the drain's taint would come straight back.
#[must_use]
pub(super) fn is_movable(pod: &Pod) -> bool {
    must_be_freed(pod) && untolerated([&disrupted_taint()], &pod.shape.tolerations).is_some()
}

fn must_be_freed(pod: &Pod) -> bool {
    !pod.is_daemon() && !pod.is_mirror
}

/// Whether the node carries the drain's taint.
pub(super) fn is_marked(node: &Node) -> bool {
    node.taints
        .iter()
        .any(|taint| taint.key.as_ref() == DISRUPTED_TAINT)
}

/// Puts cause, phase and times on record.
pub(super) fn put_on_record(
    view: &View<'_>,
    member: &Member<'_>,
    leaving: &Leaving,
    status: &mut OceanNodeStatus,
) {
    status.draining_since.get_or_insert(time(view.now()));
    status.deadline = leaving.deadline.map(time);
    status.reason = Some(leaving.reason);
    if status.phase == Phase::Terminating || (view.may_remove() && is_drained(view, member, leaving)) {
        status.phase = Phase::Terminating;
    } else {
        status.phase = Phase::Draining;
    }
    let base = leaving.message.split(HELD_UP).next().unwrap_or_default();
    let held_up = obstacle(view, member).filter(|_| status.phase == Phase::Draining);
    let message = held_up.map_or_else(|| base.to_owned(), |what| format!("{base}{HELD_UP}{what}"));
    status.message = Some(message.chars().take(MESSAGE_CHARACTERS_MAX).collect());
}

fn is_drained(view: &View<'_>, member: &Member<'_>, leaving: &Leaving) -> bool {
    let Some(node) = member.node else {
        return true;
    };
    let is_out_of_time = leaving.deadline.is_some_and(|deadline| deadline <= view.now());
    let is_clear = is_marked(node) && member.movable_pods().next().is_none();
    member.fate.is_lost() || is_out_of_time || is_clear
}

/// Marks the Node: no new pods, no load balancer traffic; out of service once the machine is off.
pub(super) fn mark(view: &View<'_>, member: &Member<'_>, leaving: &Leaving, agenda: &mut Agenda) {
    let Some(node) = member.node.filter(|node| node.deleted_at.is_none()) else {
        return;
    };
    let has_pods = member.pods.iter().any(|pod| must_be_freed(pod));
    let is_off = has_pods && matches!(member.fate, Fate::Gone | Fate::Stopped) && view.may_remove();
    let wanted = [Some(disrupted_taint()), is_off.then(out_of_service_taint)];
    let missing: Vec<Taint> = wanted
        .into_iter()
        .flatten()
        .filter(|taint| {
            !node
                .taints
                .iter()
                .any(|own| own.key == taint.key && own.effect == taint.effect)
        })
        .collect();
    if missing.is_empty() && node.labels.contains_key(EXCLUDE_FROM_LOAD_BALANCERS) {
        return;
    }
    let patch = NodePatch {
        name: node.name.clone(),
        uid: node.uid.clone(),
        resource_version: node.resource_version.clone(),
        labels: Labels::from([(EXCLUDE_FROM_LOAD_BALANCERS.into(), "true".into())]),
        remove_labels: Vec::new(),
        annotations: Labels::new(),
        taints: Some(node.taints.iter().cloned().chain(missing).collect()),
        unschedulable: None,
        nominees: Vec::new(),
    };
    let lane = lane(leaving);
    agenda.add(
        Command::PatchNode(Box::new(patch)),
        lane,
        format!("{} leaves: {}", node.name, leaving.message),
    );
}

/// The lane of everything about one departure.
pub(super) fn lane(leaving: &Leaving) -> Lane {
    if leaving.deadline.is_some() {
        Lane::Forced
    } else {
        Lane::Ordinary
    }
}

/// Evicts, deletes or frees pods, as far as it is time for it.
pub(super) fn move_pods(
    view: &View<'_>,
    member: &Member<'_>,
    leaving: &Leaving,
    status: &OceanNodeStatus,
    agenda: &mut Agenda,
) {
    let Some(node) = member.node else {
        return;
    };
    if member.fate.is_lost() {
        free(view, member, node, agenda);
    } else if status.phase == Phase::Draining && (is_marked(node) || leaving.deadline.is_some()) {
        for pod in tier(member) {
            move_pod(view, pod, node, leaving, agenda);
        }
        if let Some(deadline) = leaving.deadline {
            agenda.look_at(deadline);
        }
    }
}

/// Pods that are moved now: the critical ones only once no other is left.
fn tier<'a>(member: &'a Member<'_>) -> Vec<&'a Arc<Pod>> {
    let (critical, others): (Vec<_>, Vec<_>) = member
        .movable_pods()
        .partition(|pod| pod.priority >= CRITICAL_PRIORITY);
    if others.is_empty() { critical } else { others }
}

fn move_pod(view: &View<'_>, pod: &Pod, node: &Node, leaving: &Leaving, agenda: &mut Agenda) {
    if pod.deleted_at.is_some() {
        return;
    }
    let grace = SignedDuration::from_secs(pod.termination_grace_seconds);
    let last_call = leaving.deadline.map(|deadline| deadline - grace - KUBELET_LAG);
    if last_call.is_some_and(|last_call| last_call <= view.now()) {
        let left = leaving
            .deadline
            .map_or(0, |deadline| (deadline - view.now()).get_seconds().max(0));
        let command = delete(pod, node, Some(left.min(pod.termination_grace_seconds)));
        agenda.add(
            command,
            Lane::Forced,
            "its node goes before an eviction could end it in time",
        );
        return;
    }
    if let Some(last_call) = last_call {
        agenda.look_at(last_call);
    }
    if leaving.deadline.is_none() && pod.blocks_disruption(view.now()) {
        return;
    }
    let command = Command::EvictPod {
        pod: pod.key.clone(),
        uid: pod.uid.clone(),
        node: node.name.clone(),
    };
    agenda.add(
        command,
        lane(leaving),
        format!("{} leaves: {}", node.name, leaving.message),
    );
}

fn delete(pod: &Pod, node: &Node, grace_seconds: Option<i64>) -> Command {
    Command::DeletePod {
        pod: pod.key.clone(),
        uid: pod.uid.clone(),
        node: node.name.clone(),
        grace_seconds,
    }
}

/// Frees the pods of a lost machine: asked to end while it still shuts down, removed outright once it is off.
fn free(view: &View<'_>, member: &Member<'_>, node: &Node, agenda: &mut Agenda) {
    let is_off = member.fate != Fate::Ending;
    for pod in member.pods.iter().filter(|pod| must_be_freed(pod)) {
        let is_asked = pod.deleted_at.is_some();
        if is_off && view.may_remove() {
            agenda.add(
                delete(pod, node, Some(0)),
                Lane::Forced,
                "the machine it ran on is off",
            );
        } else if !is_asked {
            agenda.add(
                delete(pod, node, None),
                Lane::Forced,
                "the machine it runs on is shutting down",
            );
        }
    }
}

/// What holds up the drain, in words: a disruption budget, or a pod that asks to stay.
pub(super) fn obstacle(view: &View<'_>, member: &Member<'_>) -> Option<String> {
    let refused = member.movable_pods().find(|pod| is_refused(view, pod));
    if let Some(pod) = refused {
        let budget = view.snapshot.disruption_budgets.iter().find(|budget| {
            budget.key.namespace == *pod.namespace()
                && budget.disruptions_allowed <= 0
                && budget
                    .selector
                    .as_ref()
                    .is_some_and(|selector| selector.matches(&pod.labels))
        });
        return Some(match budget {
            Some(budget) => format!(
                "PodDisruptionBudget {} allows no eviction of {}: make its pods healthy, or loosen it",
                budget.key, pod.key
            ),
            None => format!("the Eviction API refuses {}", pod.key),
        });
    }
    let stays = member
        .movable_pods()
        .find(|pod| pod.blocks_disruption(view.now()))?;
    Some(format!("{} asks not to be disrupted", stays.key))
}

/// Whether the last eviction of a pod was refused by a budget (status 429).
fn is_refused(view: &View<'_>, pod: &Pod) -> bool {
    let key = CommandKey {
        kind: "EvictPod".into(),
        subject: pod.uid.0.clone(),
    };
    let attempt = view.snapshot.attempts.get(&key);
    attempt.is_some_and(|attempt| {
        attempt.failures > 0 && matches!(attempt.error, Some(AttemptError::Kubernetes { status: 429, .. }))
    })
}

/// Whether a cause is only worth it while the node holds no pods.
pub(super) fn is_for_empty_nodes(reason: Option<OceanNodeReason>) -> bool {
    reason == Some(OceanNodeReason::Empty)
}
