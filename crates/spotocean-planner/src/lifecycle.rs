//! Keeping and giving back: from a launched instance to a node in service, and from there to the end.
//!
//! One pass looks at each OceanNode once ([`view`]): it either leaves for a
//! reason ([`leaving`]), and is drained ([`drain`]) and terminated
//! ([`termination`]), or it stays and is brought into service
//! ([`registration`]). Every step is on record in the OceanNode's status before
//! its effect can be lost, and each effect may be asked for twice. What no
//! object explains is collected ([`collection`]). Knows nothing of prices or purchases.

pub mod agenda;
mod collection;
mod company;
mod console;
pub mod displaced;
mod drain;
mod emptiness;
pub mod fate;
mod interruption;
mod leaving;
mod nomination;
mod ocean;
mod registration;
mod termination;
pub mod view;

use std::collections::BTreeSet;
use std::sync::Arc;

use spotocean_api::ocean_node::{OceanNodeStatus, Phase};
use spotocean_core::id::NodeName;
use spotocean_core::pod::Pod;

use crate::command::{Command, Lane, Planned};
use crate::snapshot::Snapshot;
use agenda::Agenda;
use leaving::{Decision, Leaving};
use view::{Member, Standing, View};

pub(crate) use console::wanted as consoles_wanted;

pub(crate) use registration::CONSOLE_QUOTE;

pub use collection::{is_collection_stopped, unexplained as collection_evidence};

/// Everything the life of nodes calls for in this look. `spare` are nodes whose free room is kept for pods to come.
#[must_use]
pub fn lifecycle<'a>(snapshot: &'a Snapshot, spare: &BTreeSet<&'a NodeName>) -> Agenda {
    let mut view = View::of(snapshot);
    view.spare.clone_from(spare);
    let mut agenda = Agenda::default();
    for member in view.members() {
        live(&view, &member, &mut agenda);
    }
    ocean::oceans(&view, &mut agenda);
    collection::collect(&view, &mut agenda);
    interruption::acknowledge(&view, &mut agenda);
    agenda
}

/// One OceanNode's next step.
fn live(view: &View<'_>, member: &Member<'_>, agenda: &mut Agenda) {
    if member.standing == Standing::Frozen || member.instance_id.is_none() {
        return;
    }
    if member.is_force_released() {
        agenda.ordinary(
            member.release(),
            "its annotation asks for release without drain or termination",
        );
        return;
    }
    let mut status = member.status.clone();
    registration::refresh(view, member, &mut status);
    match leaving::decide(view, member, &mut status, agenda) {
        Decision::Stays => stay(view, member, &mut status, agenda),
        Decision::HandedOver => ocean::hand_over(view, member, agenda),
        Decision::Leaves(leaving) => leave(view, member, &leaving, &mut status, agenda),
    }
    record(member, status, agenda);
}

fn stay(view: &View<'_>, member: &Member<'_>, status: &mut OceanNodeStatus, agenda: &mut Agenda) {
    registration::advance(view, member, status);
    if !nomination::is_held(view, member, agenda) {
        registration::patch(view, member, agenda);
        nomination::renew(view, member, agenda);
    }
}

fn leave(
    view: &View<'_>,
    member: &Member<'_>,
    leaving: &Leaving,
    status: &mut OceanNodeStatus,
    agenda: &mut Agenda,
) {
    drain::put_on_record(view, member, leaving, status);
    drain::mark(view, member, leaving, agenda);
    drain::move_pods(view, member, leaving, status, agenda);
    if status.phase == Phase::Terminating && once_clear(member, status).is_none() {
        termination::finish(view, member, leaving, agenda);
    }
}

/// The Node whose pods are read once more before a drain that nothing forces counts as over. A pod may have been bound
/// there that no watch has shown yet; until the read is on record, nothing of the node is given back.
fn once_clear(member: &Member<'_>, status: &OceanNodeStatus) -> Option<NodeName> {
    let is_news = status.phase == Phase::Terminating && member.status.phase != Phase::Terminating;
    let is_voluntary = status.deadline.is_none() && !member.fate.is_lost();
    let node = member.node.filter(|_| is_news && is_voluntary)?;
    Some(node.name.clone())
}

/// Whether a pod keeps a drain from being over.
#[must_use]
pub fn holds_up_drain(pod: &Pod) -> bool {
    pod.holds_resources() && drain::is_movable(pod)
}

/// Writes the status if it says something new.
fn record(member: &Member<'_>, status: OceanNodeStatus, agenda: &mut Agenda) {
    if status == member.status {
        return;
    }
    let because: Arc<str> = match &status.message {
        Some(message) => message.as_str().into(),
        None => format!("{} is {} now", member.name, status.phase.as_str()).into(),
    };
    let lane = if status.deadline.is_some() {
        Lane::Forced
    } else {
        Lane::Ordinary
    };
    let command = Command::SetOceanNodeStatus {
        name: member.name.clone(),
        uid: member.uid.clone(),
        once_clear: once_clear(member, &status),
        status: Box::new(status),
    };
    // Intent before effect: the record goes first among this member's commands.
    agenda.first(Planned {
        command,
        lane,
        because,
    });
}

#[cfg(test)]
mod tests;
