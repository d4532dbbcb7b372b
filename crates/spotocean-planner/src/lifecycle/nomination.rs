//! Which pods a new node is kept for, until the scheduler has bound them.
//!
//! kube-scheduler spreads where a plan packs: left alone it puts a pod of one
//! node on another, and a third one finds no room. So each waiting pod is
//! nominated to the node that was bought for it (`status.nominatedNodeName`,
//! KEP-5278; a hint that every supported version tries first, holding the room
//! against pods of the same or lower priority). The Node keeps the taint it
//! starts with until its pods are nominated, or for [`HOLD`].

use jiff::SignedDuration;
use spotocean_core::node::Node;

use super::agenda::Agenda;
use super::registration::is_unregistered;
use super::view::{Member, View};
use crate::command::Command;
use crate::provisioning::in_flight::pods_of;
use crate::provisioning::nodes::awaits_binding;

/// How long nominations may hold up a node: they are a hint, and a node without them is as good as any other.
const HOLD: SignedDuration = SignedDuration::from_secs(5);

/// Nominates the pods that a node was bought for and that no nomination names yet; says whether the node is held for
/// them meanwhile.
pub(super) fn nominate(view: &View<'_>, member: &Member<'_>, agenda: &mut Agenda) -> bool {
    let Some(node) = member.node.filter(|node| node.deleted_at.is_none()) else {
        return false;
    };
    if !awaits_binding(member.own, view.now()) || member.fate.is_lost() {
        return false;
    }
    let commands = nominations(view, member, node);
    let is_complete = commands.is_empty();
    for command in commands {
        agenda.ordinary(command, format!("{} was bought for it", node.name));
    }
    let due = node.created_at + HOLD;
    let is_held = !is_complete && is_unregistered(node) && view.now() < due;
    if is_held {
        agenda.look_at(due);
    }
    is_held
}

fn nominations(view: &View<'_>, member: &Member<'_>, node: &Node) -> Vec<Command> {
    pods_of(member.own)
        .filter_map(|key| view.waiting_pod(&key))
        .filter(|pod| view.nominations.node(pod).is_none())
        .map(|pod| Command::NominatePod {
            pod: pod.key.clone(),
            uid: pod.uid.clone(),
            node: node.name.clone(),
        })
        .collect()
}
