//! The life of oceans: the finalizer first and last, and nodes handed over where deletion leaves them running.

use std::collections::BTreeSet;
use std::sync::Arc;

use spotocean_api::annotation::TERMINATION_FINALIZER;
use spotocean_api::spot_ocean::{Mode, SpotOcean};

use super::agenda::Agenda;
use super::fate::{Fate, MISSING_FOR};
use super::view::{Member, View};
use crate::command::{Command, CommandKey};
use crate::pool::{is_deleted, is_paused, ocean_name, ocean_uid, pools_of};
use crate::provisioning::in_flight::is_open;
use crate::world::instance_profile_name;
use spotocean_core::instance::TAG_OCEAN_UID;

/// Failures after which an instance profile is left behind: it costs nothing and holds no capacity.
const PROFILE_FAILURES_MAX: u32 = 3;

/// What each ocean's own object calls for.
pub(super) fn oceans(view: &View<'_>, agenda: &mut Agenda) {
    for ocean in view.snapshot.oceans.iter().filter(|ocean| !is_paused(ocean)) {
        let is_held = ocean
            .metadata
            .finalizers
            .iter()
            .flatten()
            .any(|name| name == TERMINATION_FINALIZER);
        if is_deleted(ocean) {
            if is_held && view.may_remove() && !has_remains(view, ocean) {
                let is_clean = clean_up(view, ocean, agenda);
                if is_clean {
                    set_finalizer(ocean, false, "the ocean holds nothing any more", agenda);
                }
            }
        } else if !is_held && ocean.spec.mode == Mode::Manage {
            set_finalizer(
                ocean,
                true,
                "the ocean is to stay until its instances are gone",
                agenda,
            );
        }
    }
}

fn set_finalizer(ocean: &SpotOcean, present: bool, because: &str, agenda: &mut Agenda) {
    let command = Command::SetOceanFinalizer {
        ocean: ocean_name(ocean),
        uid: ocean_uid(ocean),
        present,
    };
    agenda.ordinary(command, because);
}

/// Whether anything of the ocean is left: OceanNodes, launches without an outcome, instances.
fn has_remains(view: &View<'_>, ocean: &SpotOcean) -> bool {
    let uid = ocean_uid(ocean);
    let snapshot = view.snapshot;
    snapshot
        .ocean_nodes
        .iter()
        .any(|own| own.spec.ocean_uid == uid.as_str())
        || snapshot
            .launches
            .iter()
            .any(|launch| launch.spec.ocean_uid == uid.as_str() && is_open(launch))
        || snapshot
            .instances
            .iter()
            .any(|instance| instance.tag(TAG_OCEAN_UID) == Some(uid.as_str()) && !instance.state.is_ending())
}

/// Deletes instance profiles that no other ocean uses; says whether that is done.
fn clean_up(view: &View<'_>, ocean: &Arc<SpotOcean>, agenda: &mut Agenda) -> bool {
    let profiles = |ocean: &Arc<SpotOcean>| -> BTreeSet<String> {
        let roles = pools_of(ocean)
            .into_iter()
            .filter_map(|pool| pool.effective.template.role);
        let cluster = &ocean.spec.cluster.name;
        roles
            .map(|role| instance_profile_name(cluster, &view.snapshot.cluster_uid, &role))
            .collect()
    };
    if ocean.spec.mode == Mode::Observe {
        return true;
    }
    let others = view.snapshot.oceans.iter().filter(|other| !is_deleted(other));
    let used: BTreeSet<String> = others.flat_map(profiles).collect();
    let mut is_done = true;
    for name in profiles(ocean).difference(&used) {
        let command = Command::DeleteInstanceProfile {
            name: name.as_str().into(),
        };
        if !is_settled(view, &command.key()) {
            is_done = false;
            agenda.ordinary(command, "no ocean uses it any more");
        }
    }
    is_done
}

fn is_settled(view: &View<'_>, key: &CommandKey) -> bool {
    let attempt = view.snapshot.attempts.get(key);
    attempt.is_some_and(|attempt| attempt.failures == 0 || attempt.failures >= PROFILE_FAILURES_MAX)
}

/// Hands a node over: first the instance stops being ours, then the objects go.
pub(super) fn hand_over(view: &View<'_>, member: &Member<'_>, agenda: &mut Agenda) {
    if !view.may_remove() {
        return;
    }
    let Some(instance) = member.instance_id.clone() else {
        return;
    };
    let because = "its ocean or pool goes and leaves its nodes running";
    let orphan = Command::Orphan { instance };
    let attempt = view.snapshot.attempts.get(&orphan.key());
    let is_off = attempt.is_some_and(|attempt| attempt.failures == 0) || has_been_missing(view, member);
    if !is_off && member.fate == Fate::Missing {
        return;
    }
    if !is_off {
        agenda.ordinary(orphan, because);
    } else if member.is_deleted() {
        agenda.ordinary(member.release(), because);
    } else {
        agenda.ordinary(member.delete(), because);
    }
}

/// Whether the tags have been off for so long that the lists agree: the way on after a restart.
fn has_been_missing(view: &View<'_>, member: &Member<'_>) -> bool {
    let since = member
        .instance_id
        .as_ref()
        .and_then(|id| view.snapshot.memory.missing_instances.get(id));
    let read_at = view.snapshot.sources.instances.as_of;
    since
        .zip(read_at)
        .is_some_and(|(since, read_at)| *since + MISSING_FOR <= read_at)
}
