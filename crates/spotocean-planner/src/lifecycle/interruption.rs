//! Messages of the interruption queue: which node must leave by when, and which messages have done their work.
//!
//! A message only wakes the loop and sets a deadline; losing one costs time,
//! for the instance's state says the same later.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use spotocean_api::ocean_node::Phase;
use spotocean_core::id::InstanceId;
use spotocean_core::port::{CloudEvent, CloudEventKind};

use super::agenda::Agenda;
use super::view::{Member, Standing, View};
use crate::command::{Command, Lane};
use crate::provisioning::in_flight::is_open;
use crate::provisioning::nodes::instance_of;

/// EC2 takes a spot instance back this long after the warning (EC2 User Guide, "Spot Instance interruption notices").
pub(super) const NOTICE: SignedDuration = SignedDuration::from_secs(120);
/// Kept back from the notice, so that the last pod has ended before the plug is pulled.
pub(super) const SAFETY: SignedDuration = SignedDuration::from_secs(5);
/// A message this old speaks of an instance that has long been dealt with.
const STALE: SignedDuration = SignedDuration::from_mins(10);

/// When the instance of a member is taken back, if a warning says so.
pub(super) fn notice(view: &View<'_>, instance: &InstanceId) -> Option<Timestamp> {
    let warnings = view
        .snapshot
        .events
        .iter()
        .map(|received| &received.event)
        .filter(|event| event.kind == CloudEventKind::SpotInterruption && event.instances.contains(instance));
    warnings.map(|event| event.time + NOTICE - SAFETY).min()
}

/// Acknowledges the messages whose effect is on record.
pub(super) fn acknowledge(view: &View<'_>, agenda: &mut Agenda) {
    let done: Vec<Arc<str>> = view
        .snapshot
        .events
        .iter()
        .filter(|received| is_done(view, &received.event))
        .map(|received| received.receipt.clone())
        .collect();
    if !done.is_empty() {
        let count = done.len();
        agenda.add(
            Command::Acknowledge { receipts: done },
            Lane::Ordinary,
            format!("the effect of {count} messages is on record"),
        );
    }
}

fn is_done(view: &View<'_>, event: &CloudEvent) -> bool {
    if event.time + STALE <= view.now() {
        return true;
    }
    match &event.kind {
        CloudEventKind::SpotInterruption => event.instances.iter().all(|id| is_on_record(view, id)),
        CloudEventKind::StateChange(state) if state.is_ending() => {
            let read_at = view.snapshot.sources.instances.as_of;
            read_at.is_some_and(|read_at| read_at >= event.time)
                || event.instances.iter().all(|id| is_on_record(view, id))
        }
        CloudEventKind::StateChange(_)
        | CloudEventKind::RebalanceRecommendation
        | CloudEventKind::ScheduledChange(_)
        | CloudEventKind::ReservationInterruption => true,
    }
}

/// Whether nothing more can come of a warning about this instance: its OceanNode leaves already, or it has none
/// and no launch is open that may yet explain it.
fn is_on_record(view: &View<'_>, id: &InstanceId) -> bool {
    let mine = view
        .snapshot
        .ocean_nodes
        .iter()
        .find(|own| instance_of(own).as_ref() == Some(id));
    let Some(own) = mine else {
        let may_be_explained = view.snapshot.launches.iter().any(|launch| is_open(launch));
        return !may_be_explained;
    };
    let status = own.status.as_ref();
    let leaves = status.is_some_and(|status| {
        status.phase == Phase::Terminating || (status.phase == Phase::Draining && status.deadline.is_some())
    });
    let is_frozen = view.members().any(|member: Member<'_>| {
        member.instance_id.as_ref() == Some(id) && member.standing == Standing::Frozen
    });
    leaves || is_frozen
}
