//! Which pods a new node is kept for, until the scheduler has bound them.
//!
//! kube-scheduler spreads where a plan packs: left alone it puts a pod of one
//! node on another, and a third one finds no room. So each waiting pod is
//! nominated to the node that was bought for it (`status.nominatedNodeName`,
//! KEP-5278; a hint that every supported version tries first, holding the room
//! against pods of the same or lower priority).
//!
//! The scheduler drops a nomination when it has tried the pod in vain, and then
//! another pod may take the place. So pods are nominated at the very moment
//! their node can take them: the Node keeps the taint it starts with until
//! nothing else keeps pods out, or for [`HOLD`], and loses it right after its
//! pods are nominated. Nodes bought together open together where their pods
//! depend on one another ([`super::company`]). A nomination that is dropped all
//! the same is renewed.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use spotocean_core::node::Node;
use spotocean_core::pod::Pod;

use super::agenda::Agenda;
use super::registration::{is_closed, is_unregistered};
use super::view::{Member, View};
use crate::command::{Command, Nominee};
use crate::provisioning::nodes::awaits_binding;

/// How long a node that is not ready stays closed to pods that it could not run yet. A network plugin that does not
/// tolerate our taint would wait for the end of it, and the node for the plugin.
const HOLD: SignedDuration = SignedDuration::from_secs(30);

/// Whether a new node stays closed, because the scheduler would try its pods in vain or bind others there that belong
/// elsewhere.
pub(super) fn is_held(view: &View<'_>, member: &Member<'_>, agenda: &mut Agenda) -> bool {
    let Some(node) = member.node.filter(|node| may_be_held(node, view.now())) else {
        return false;
    };
    let is_awaited = unnamed(view, member, node).next().is_some();
    let is_held = is_awaited && (is_closed(node) || view.company().waits(member));
    if is_held {
        agenda.look_at(node.created_at + HOLD);
    }
    is_held
}

/// Whether a node has the taint it starts with, and not had its time.
pub(super) fn may_be_held(node: &Node, now: Timestamp) -> bool {
    is_unregistered(node) && now < node.created_at + HOLD
}

/// Whether a node is on its way and cannot take its pods yet.
pub(super) fn is_late(view: &View<'_>, member: &Member<'_>) -> bool {
    let is_closed = |node: &Node| may_be_held(node, view.now()) && is_closed(node);
    awaits_binding(member.own, view.now()) && !member.fate.is_lost() && member.node.is_none_or(is_closed)
}

/// The pods that a node opens for.
pub(super) fn nominees(view: &View<'_>, member: &Member<'_>, node: &Node) -> Vec<Nominee> {
    let nominee = |pod: &Arc<Pod>| Nominee {
        pod: pod.key.clone(),
        uid: pod.uid.clone(),
    };
    unnamed(view, member, node).map(nominee).collect()
}

/// Nominates again the pods of an open node whose nominations were dropped, as far as it has room for them: with each
/// nomination that it drops the scheduler tries every pod again, and drops others.
pub(super) fn renew(view: &View<'_>, member: &Member<'_>, agenda: &mut Agenda) {
    let Some(node) = member.node.filter(|node| !is_unregistered(node)) else {
        return;
    };
    let room = member.room(node);
    for pod in unnamed(view, member, node).filter(|pod| pod.shape.requests.fits(&room)) {
        let command = Command::NominatePod {
            pod: pod.key.clone(),
            uid: pod.uid.clone(),
            node: node.name.clone(),
        };
        agenda.ordinary(command, format!("{} was bought for it", node.name));
    }
}

/// The waiting pods that have a place on a node and that no nomination names yet.
fn unnamed<'v>(view: &'v View<'_>, member: &Member<'_>, node: &Node) -> impl Iterator<Item = &'v Arc<Pod>> {
    let takes_pods = !member.fate.is_lost() && node.deleted_at.is_none();
    let pods = view.nominations.places.on(member.own).iter().copied();
    pods.filter(move |pod| takes_pods && view.nominations.node(pod).is_none())
}
