//! The end of a life: terminate the instance, delete the Node, release the OceanNode, in this order.

use jiff::SignedDuration;
use spotocean_core::node::Node;

use super::agenda::Agenda;
use super::drain::lane;
use super::fate::Fate;
use super::leaving::Leaving;
use super::view::{Member, View};
use crate::command::{Command, TerminationReason};

/// How long a Node with pods that do not go is kept for them after its instance has ended.
const PODS_KEPT: SignedDuration = SignedDuration::from_mins(5);

/// The next step towards the end.
pub(super) fn finish(view: &View<'_>, member: &Member<'_>, leaving: &Leaving, agenda: &mut Agenda) {
    if !view.may_remove() {
        return;
    }
    let lane = lane(leaving);
    if !member.is_deleted() {
        agenda.add(member.delete(), lane, leaving.message.as_str());
    }
    // One that is not listed cannot be shown to be ours: it is terminated once it is listed, or found gone.
    let is_there = matches!(member.fate, Fate::Alive | Fate::Stopped);
    if let Some(instance) = member.instance_id.clone().filter(|_| is_there) {
        let command = Command::Terminate {
            instance,
            reason: TerminationReason::Released,
        };
        agenda.add(
            command,
            lane,
            format!("{} is drained: {}", member.name, leaving.message),
        );
    }
    if !member.fate.is_over() {
        return;
    }
    match member.node {
        Some(node) => delete_node(view, member, node, agenda),
        None if member.is_deleted() => {
            agenda.ordinary(member.release(), "its instance and its Node are gone");
        }
        None => {}
    }
}

fn delete_node(view: &View<'_>, member: &Member<'_>, node: &Node, agenda: &mut Agenda) {
    let is_clear = member.pods.iter().all(|pod| pod.is_daemon() || pod.is_mirror);
    let kept_until = member
        .status
        .draining_since
        .as_ref()
        .map_or(view.now(), |since| since.0)
        + PODS_KEPT;
    if node.deleted_at.is_some() {
        return;
    }
    if is_clear || kept_until <= view.now() {
        let command = Command::DeleteNode {
            name: node.name.clone(),
            uid: node.uid.clone(),
        };
        agenda.ordinary(command, "its instance is gone");
    } else {
        agenda.look_at(kept_until);
    }
}
