//! Launches whose outcome is not on record: replayed, read from tags, or left behind by a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spotocean_api::ocean_launch::{LaunchPhase, OceanLaunch, OceanLaunchStatus};
use spotocean_api::ocean_node::{OceanNode, Phase};
use spotocean_core::id::{LaunchName, OceanNodeName};
use spotocean_core::instance::TAG_LAUNCH;
use spotocean_core::launch::{FleetInstance, LaunchTemplate};

use super::{assigned, member_commands, set_launch_status};
use crate::command::{Command, CommandKey, Lane, Planned};
use crate::pool::{created_at, may_act, ocean_name, pools_of};
use crate::provisioning::cooldown::Cooldowns;
use crate::provisioning::in_flight::{is_open, launches_by_name};
use crate::provisioning::launch::templates_of;
use crate::provisioning::supply::{Supply, supply};
use crate::snapshot::Snapshot;

/// How long a client token is good for ("at least 24 hours", EC2 API reference on idempotency).
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// How long a launch is kept after its answer.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// EC2's lists lag: what a read this long after the call does not show was not launched.
const CONSISTENCY: SignedDuration = SignedDuration::from_secs(120);
/// How long members may stand without their launch: the launch is written right after them.
const WRITING: SignedDuration = SignedDuration::from_secs(60);
/// Before the outcome of a command that just ended is expected in the watches.
const OVERLAY: SignedDuration = SignedDuration::from_secs(10);
/// Longest pause between replays.
const REPLAY_PAUSE_SECONDS_MAX: i64 = 60;

/// Everything about launches that the objects alone call for: answers not yet on the members' record, members that
/// will never get an instance, outcomes that tags tell, requests to replay, and launches a day old.
#[must_use]
pub fn reconcile(snapshot: &Snapshot) -> Vec<Planned> {
    if !snapshot.sources.kubernetes.is_complete {
        return Vec::new();
    }
    let mut planned = replays(snapshot);
    let mut members: BTreeMap<&str, Vec<Arc<OceanNode>>> = BTreeMap::new();
    for own in &snapshot.ocean_nodes {
        members
            .entry(own.spec.launch_name.as_str())
            .or_default()
            .push(own.clone());
    }
    for launch in &snapshot.launches {
        let name = launch.metadata.name.as_deref().unwrap_or_default();
        if is_running(snapshot, name) {
            continue;
        }
        let own = members.get(name).map(Vec::as_slice).unwrap_or_default();
        let commands = match outcome_by_tag(snapshot, launch) {
            Some(status) => {
                let mut commands = member_commands(launch, own, &status);
                commands.push(set_launch_status(launch, status));
                commands
            }
            None => launch
                .status
                .as_ref()
                .map(|status| member_commands(launch, own, status))
                .unwrap_or_default(),
        };
        planned.extend(
            commands
                .into_iter()
                .map(|command| ordinary(command, "EC2's answer is not on record everywhere")),
        );
    }
    planned.extend(leftovers(snapshot));
    planned.extend(outlived(snapshot));
    planned
}

fn ordinary(command: Command, because: &str) -> Planned {
    Planned {
        command,
        lane: Lane::Ordinary,
        because: because.into(),
    }
}

/// Whether the call behind a launch is under way.
fn is_running(snapshot: &Snapshot, launch: &str) -> bool {
    keys(launch).iter().any(|key| snapshot.running.contains(key))
}

/// A purchase and its replay are the same call.
pub(super) fn keys(launch: &str) -> [CommandKey; 2] {
    ["Purchase", "Replay"].map(|kind| CommandKey {
        kind: kind.into(),
        subject: launch.into(),
    })
}

/// Launches to send again, as they stand: written, not answered, and not being sent now.
#[must_use]
pub fn replays(snapshot: &Snapshot) -> Vec<Planned> {
    let cooldowns = Cooldowns::default();
    let open = snapshot
        .launches
        .iter()
        .filter(|launch| may_replay(snapshot, launch));
    open.filter_map(|launch| {
        let command = Command::Replay {
            launch: launch.clone(),
            templates: missing_templates(snapshot, &cooldowns, launch)?,
        };
        Some(ordinary(
            command,
            "the outcome of the launch is not known; the same token never buys twice",
        ))
    })
    .collect()
}

fn may_replay(snapshot: &Snapshot, launch: &OceanLaunch) -> bool {
    let name = launch.metadata.name.as_deref().unwrap_or_default();
    let is_refused = launch
        .status
        .as_ref()
        .is_some_and(|status| status.answered_at.is_some());
    is_open(launch)
        && !is_refused
        && !is_running(snapshot, name)
        && buys(snapshot, launch)
        && snapshot.now < created_at(&launch.metadata) + TOKEN_LIFE
        && keys(name).iter().all(|key| has_paused(snapshot, key))
}

/// Whether the last run of a command is long enough ago: its effect may not be in the watches yet, and failures
/// make the pause longer.
fn has_paused(snapshot: &Snapshot, key: &CommandKey) -> bool {
    snapshot.attempts.get(key).is_none_or(|attempt| {
        let seconds = 1_i64
            .checked_shl(attempt.failures.min(6))
            .unwrap_or(REPLAY_PAUSE_SECONDS_MAX);
        let pause = SignedDuration::from_secs(seconds.min(REPLAY_PAUSE_SECONDS_MAX)).max(OVERLAY);
        attempt.ended_at + pause <= snapshot.now
    })
}

/// Whether the launch's ocean is there and buys.
fn buys(snapshot: &Snapshot, launch: &OceanLaunch) -> bool {
    snapshot.oceans.iter().any(|ocean| {
        ocean_name(ocean).as_str() == launch.spec.ocean_name
            && ocean.metadata.uid.as_deref() == Some(launch.spec.ocean_uid.as_str())
            && may_act(ocean)
    })
}

/// Templates of a launch that EC2 does not have and that can be made again, to the same name. `None` while that
/// cannot be said: EC2 would refuse a request that names a template we have yet to make, and a launch be lost.
fn missing_templates(
    snapshot: &Snapshot,
    cooldowns: &Cooldowns,
    launch: &OceanLaunch,
) -> Option<Vec<LaunchTemplate>> {
    let names: BTreeSet<&str> = launch
        .spec
        .request
        .launch_templates
        .iter()
        .filter_map(|config| config.launch_template_name.as_deref())
        .filter(|name| !snapshot.launch_templates.contains_key(*name))
        .collect();
    if names.is_empty() {
        return Some(Vec::new());
    }
    let supplies: Vec<Supply> = snapshot
        .oceans
        .iter()
        .flat_map(pools_of)
        .filter(|view| {
            view.key.ocean.as_str() == launch.spec.ocean_name
                && view.key.pool.as_str() == launch.spec.pool_name
        })
        .map(|view| supply(snapshot, cooldowns, view))
        .collect();
    let made: Vec<LaunchTemplate> = supplies
        .iter()
        .flat_map(|supply| templates_of(snapshot, supply, launch))
        .filter(|template| names.contains(template.name.as_ref()))
        .collect();
    let sources = &snapshot.sources;
    let is_unread = !sources.catalogue.is_complete
        || !sources.prices.is_complete
        || supplies.iter().any(Supply::awaits_answers);
    (made.len() == names.len() || !is_unread).then_some(made)
}

/// The outcome of a launch that cannot be replayed, read from its tag on instances.
fn outcome_by_tag(snapshot: &Snapshot, launch: &OceanLaunch) -> Option<OceanLaunchStatus> {
    if !is_open(launch) {
        return None;
    }
    let created = created_at(&launch.metadata);
    let refused_at = launch
        .status
        .as_ref()
        .and_then(|status| status.answered_at.as_ref())
        .map(|time| time.0);
    let is_hopeless = snapshot.now >= created + TOKEN_LIFE || is_abandoned(snapshot, launch);
    let since = refused_at.or(is_hopeless.then_some(created))?;
    let read_at = snapshot
        .sources
        .instances
        .as_of
        .filter(|_| snapshot.sources.instances.is_complete)?;
    if read_at < since + CONSISTENCY {
        return None;
    }
    let name = launch.metadata.name.as_deref()?;
    let instances: Vec<FleetInstance> = snapshot
        .instances
        .iter()
        .filter(|instance| instance.tag(TAG_LAUNCH) == Some(name))
        .map(|instance| FleetInstance {
            id: instance.id.clone(),
            instance_type: instance.instance_type.clone(),
            zone: instance.zone.clone(),
            capacity_type: instance.capacity_type,
        })
        .collect();
    Some(OceanLaunchStatus {
        phase: LaunchPhase::Answered,
        answered_at: Some(Time(refused_at.unwrap_or(snapshot.now))),
        fleet_id: None,
        instances: assigned(launch, &instances),
        errors: launch
            .status
            .as_ref()
            .map(|status| status.errors.clone())
            .unwrap_or_default(),
    })
}

/// Whether the launch's ocean is gone or going: nobody will replay it.
fn is_abandoned(snapshot: &Snapshot, launch: &OceanLaunch) -> bool {
    let spec = &launch.spec;
    if snapshot.unreadable_oceans.contains(spec.ocean_name.as_str()) {
        return false;
    }
    !snapshot.oceans.iter().any(|ocean| {
        ocean.metadata.uid.as_deref() == Some(spec.ocean_uid.as_str())
            && ocean.metadata.deletion_timestamp.is_none()
    })
}

/// OceanNodes that will never get an instance: their launch was answered without one for them, or was never written.
fn leftovers(snapshot: &Snapshot) -> Vec<Planned> {
    let launches = launches_by_name(snapshot);
    let mut planned = Vec::new();
    for own in &snapshot.ocean_nodes {
        let status = own.status.as_ref();
        let is_pending =
            status.is_none_or(|status| status.phase == Phase::Pending && status.instance_id.is_none());
        let launch = own.spec.launch_name.as_str();
        if !is_pending || is_running(snapshot, launch) {
            continue;
        }
        let name = own.metadata.name.as_deref().unwrap_or_default();
        let is_left = match launches.get(launch) {
            Some(launch) => launch.status.as_ref().is_some_and(|status| {
                status.phase == LaunchPhase::Answered
                    && status.instances.iter().all(|instance| instance.member != name)
            }),
            None => created_at(&own.metadata) + WRITING <= snapshot.now,
        };
        if is_left {
            planned.push(removal(own, name));
        }
    }
    planned
}

fn removal(own: &OceanNode, name: &str) -> Planned {
    let name = OceanNodeName::from(name);
    let uid = own.metadata.uid.as_deref().unwrap_or_default().into();
    let command = if own.metadata.deletion_timestamp.is_some() {
        Command::ReleaseOceanNode { name, uid }
    } else {
        Command::DeleteOceanNode { name, uid }
    };
    ordinary(
        command,
        "its launch bought no instance for it; its pods are planned for again",
    )
}

/// Launches whose answer is a day old.
fn outlived(snapshot: &Snapshot) -> impl Iterator<Item = Planned> + '_ {
    let is_old = |launch: &&Arc<OceanLaunch>| {
        let answered = launch
            .status
            .as_ref()
            .and_then(|status| status.answered_at.as_ref());
        !is_open(launch) && answered.is_some_and(|time| time.0 + KEPT <= snapshot.now)
    };
    snapshot.launches.iter().filter(is_old).map(|launch| {
        let command = Command::DeleteLaunch {
            name: LaunchName::from(launch.metadata.name.as_deref().unwrap_or_default()),
            uid: launch.metadata.uid.as_deref().unwrap_or_default().into(),
        };
        ordinary(command, "its answer is a day old")
    })
}
