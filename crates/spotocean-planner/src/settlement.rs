//! What EC2's answer to a launch means for the launch and its members, and what
//! to do about launches whose outcome is not known.
//!
//! The rule that keeps purchases single: a launch that EC2 may have carried
//! out is only ever sent again as it stands, with its token; another attempt
//! is another launch, planned after this one has an outcome. Instances go to
//! members in sorted order, so the same answer always means the same. Where
//! the request can no longer be replayed (EC2 refuses it though it may have
//! carried it out, its ocean no longer buys, or a day has passed), the
//! launch's tag on instances tells the outcome.
//!
//! [`settle`] is for the answer at hand; [`reconcile`] finds the same out from
//! the objects alone, so that a crash in between costs time only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spotocean_api::ocean_launch::{
    AllocationStrategy as ApiAllocationStrategy, LaunchError, LaunchErrorScope, LaunchPhase,
    LaunchedInstance, OceanLaunch, OceanLaunchStatus,
};
use spotocean_api::ocean_node::{OceanNode, OceanNodeReason, OceanNodeStatus, Phase};
use spotocean_core::id::{LaunchName, OceanNodeName};
use spotocean_core::instance::TAG_LAUNCH;
use spotocean_core::launch::{
    AllocationStrategy, FleetAnswer, FleetConfig, FleetError, FleetInstance, FleetOverride, FleetRequest,
};
use spotocean_core::money::PricePerHour;
use spotocean_core::port::{CloudError, CloudErrorKind};

use crate::command::{Command, CommandKey, Lane, Planned};
use crate::pool::{created_at, may_act, ocean_name};
use crate::provisioning::cooldown::Cooldowns;
use crate::provisioning::in_flight::{is_open, launches_by_name, overrides};
use crate::provisioning::launch::templates_of;
use crate::provisioning::supply::supply;
use crate::snapshot::Snapshot;
use crate::vocabulary;

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
/// Errors and characters of a message on record, as the schema bounds them.
const ERRORS_MAX: usize = 1000;
const MESSAGE_CHARACTERS_MAX: usize = 2048;

/// The request of a launch, exactly as it is sent.
#[must_use]
pub fn request(launch: &OceanLaunch) -> FleetRequest {
    let spec = &launch.spec;
    let request = &spec.request;
    let configs = request.launch_templates.iter().map(|config| FleetConfig {
        launch_template: config.launch_template_name.as_deref().unwrap_or_default().into(),
        overrides: config
            .overrides
            .iter()
            .map(|place| FleetOverride {
                instance_type: place.instance_type.as_str().into(),
                subnet: place.subnet_id.as_str().into(),
                zone: place.zone.as_str().into(),
                priority: place.priority,
                max_price: place.max_price.as_deref().and_then(PricePerHour::parse_usd),
            })
            .collect(),
    });
    FleetRequest {
        client_token: spec.client_token.as_str().into(),
        capacity_type: vocabulary::capacity_type(request.capacity_type),
        allocation_strategy: match request.allocation_strategy {
            ApiAllocationStrategy::PriceCapacityOptimized => AllocationStrategy::PriceCapacityOptimized,
            ApiAllocationStrategy::CapacityOptimizedPrioritized => {
                AllocationStrategy::CapacityOptimizedPrioritized
            }
            ApiAllocationStrategy::LowestPrice => AllocationStrategy::LowestPrice,
            ApiAllocationStrategy::Prioritized => AllocationStrategy::Prioritized,
        },
        target_capacity: i64::from(request.target_capacity),
        configs: configs.collect(),
        tags: request
            .tags
            .first()
            .map(|own| vocabulary::labels(&own.tags))
            .unwrap_or_default(),
    }
}

/// Commands that put an answer on record: the launch's status and its members'. Members left without an instance
/// say so; [`reconcile`] deletes them, and their pods are planned for again.
#[must_use]
pub fn settle(
    launch: &OceanLaunch,
    members: &[Arc<OceanNode>],
    result: &Result<FleetAnswer, CloudError>,
    now: Timestamp,
) -> Vec<Command> {
    let status = status_after(launch, result, now);
    let mut commands = member_commands(launch, members, &status);
    if launch.status.as_ref() != Some(&status) {
        commands.push(set_launch_status(launch, status));
    }
    commands
}

fn status_after(
    launch: &OceanLaunch,
    result: &Result<FleetAnswer, CloudError>,
    now: Timestamp,
) -> OceanLaunchStatus {
    match result {
        Ok(answer) => OceanLaunchStatus {
            phase: LaunchPhase::Answered,
            answered_at: Some(Time(now)),
            fleet_id: Some(answer.fleet.to_string()).filter(|id| !id.is_empty()),
            instances: assigned(launch, &answer.instances),
            errors: answer.errors.iter().take(ERRORS_MAX).map(launch_error).collect(),
        },
        Err(error) => {
            let was_unknown = phase_of(launch) == LaunchPhase::Unknown;
            let may_have_happened = match error.kind {
                CloudErrorKind::Unknown | CloudErrorKind::TokenMismatch => true,
                // A refusal of the replay says nothing about the call that got no answer.
                _ => was_unknown,
            };
            // Only a lasting refusal ends the replays; see `outcome_by_tag`.
            let is_lasting = !matches!(error.kind, CloudErrorKind::Unknown | CloudErrorKind::Throttled);
            OceanLaunchStatus {
                phase: if may_have_happened {
                    LaunchPhase::Unknown
                } else {
                    LaunchPhase::Answered
                },
                answered_at: (is_lasting || !may_have_happened).then_some(Time(now)),
                errors: vec![whole_error(error)],
                ..OceanLaunchStatus::default()
            }
        }
    }
}

fn phase_of(launch: &OceanLaunch) -> LaunchPhase {
    launch
        .status
        .as_ref()
        .map_or(LaunchPhase::Pending, |status| status.phase)
}

/// Instances in order of their ids to members in order of their names.
fn assigned(launch: &OceanLaunch, instances: &[FleetInstance]) -> Vec<LaunchedInstance> {
    let mut instances: Vec<&FleetInstance> = instances.iter().collect();
    instances.sort_by(|a, b| a.id.cmp(&b.id));
    let mut members: Vec<&String> = launch.spec.members.iter().collect();
    members.sort();
    instances
        .into_iter()
        .zip(members)
        .map(|(instance, member)| LaunchedInstance {
            instance_id: instance.id.to_string(),
            instance_type: instance.instance_type.to_string(),
            zone: instance.zone.to_string(),
            member: member.clone(),
        })
        .collect()
}

fn launch_error(error: &FleetError) -> LaunchError {
    LaunchError {
        code: error.code.to_string(),
        message: cut(&error.message),
        instance_type: error.instance_type.as_ref().map(ToString::to_string),
        zone: error.zone.as_ref().map(ToString::to_string),
        subnet_id: error.subnet.as_ref().map(ToString::to_string),
        scope: vocabulary::api_error_scope(error.scope),
    }
}

/// An error of the call as a whole.
fn whole_error(error: &CloudError) -> LaunchError {
    // A launch template that is gone is made again by the next purchase.
    let is_template_gone = error.code.starts_with("InvalidLaunchTemplate") && error.code.contains("NotFound");
    let scope = match error.kind {
        CloudErrorKind::Throttled | CloudErrorKind::Unknown => LaunchErrorScope::Throttle,
        CloudErrorKind::NotFound if is_template_gone => LaunchErrorScope::Throttle,
        CloudErrorKind::Unauthorized => LaunchErrorScope::Account,
        CloudErrorKind::NotFound
        | CloudErrorKind::Invalid
        | CloudErrorKind::TokenMismatch
        | CloudErrorKind::AlreadyExists => LaunchErrorScope::Request,
    };
    LaunchError {
        code: error.code.to_string(),
        message: cut(&error.message),
        scope,
        ..LaunchError::default()
    }
}

fn cut(message: &str) -> String {
    message.chars().take(MESSAGE_CHARACTERS_MAX).collect()
}

fn set_launch_status(launch: &OceanLaunch, status: OceanLaunchStatus) -> Command {
    Command::SetLaunchStatus {
        name: LaunchName::from(launch.metadata.name.as_deref().unwrap_or_default()),
        uid: launch.metadata.uid.as_deref().unwrap_or_default().into(),
        status: Box::new(status),
    }
}

/// What a launch's status means for its members, where they do not say so yet.
fn member_commands(
    launch: &OceanLaunch,
    members: &[Arc<OceanNode>],
    status: &OceanLaunchStatus,
) -> Vec<Command> {
    let by_member: BTreeMap<&str, &LaunchedInstance> = status
        .instances
        .iter()
        .map(|instance| (instance.member.as_str(), instance))
        .collect();
    let mut commands = Vec::new();
    for own in members {
        let name = own.metadata.name.as_deref().unwrap_or_default();
        if own
            .status
            .as_ref()
            .is_some_and(|status| status.instance_id.is_some())
        {
            continue;
        }
        let wanted = match (by_member.get(name), status.phase) {
            (Some(instance), _) => launched(launch, own, instance, status),
            (None, LaunchPhase::Answered | LaunchPhase::Superseded) => without_instance(own, status),
            (None, LaunchPhase::Unknown) => waiting(own, OceanNodeReason::LaunchOutcomeUnknown),
            (None, LaunchPhase::Pending) => continue,
        };
        if own.status.as_ref() != Some(&wanted) {
            commands.push(Command::SetOceanNodeStatus {
                name: OceanNodeName::from(name),
                uid: own.metadata.uid.as_deref().unwrap_or_default().into(),
                status: Box::new(wanted),
            });
        }
    }
    commands
}

fn launched(
    launch: &OceanLaunch,
    own: &OceanNode,
    instance: &LaunchedInstance,
    status: &OceanLaunchStatus,
) -> OceanNodeStatus {
    let subnet = overrides(launch)
        .find(|place| place.zone == instance.zone && place.instance_type == instance.instance_type)
        .map(|place| place.subnet_id.clone());
    OceanNodeStatus {
        phase: Phase::Launched,
        reason: Some(OceanNodeReason::Booting),
        message: None,
        instance_id: Some(instance.instance_id.clone()),
        provider_id: Some(format!("aws:///{}/{}", instance.zone, instance.instance_id)),
        instance_type: Some(instance.instance_type.clone()),
        zone: Some(instance.zone.clone()),
        capacity_type: Some(own.spec.capacity_type),
        subnet_id: subnet,
        launched_at: status.answered_at.clone(),
        ..own.status.clone().unwrap_or_default()
    }
}

fn waiting(own: &OceanNode, reason: OceanNodeReason) -> OceanNodeStatus {
    OceanNodeStatus {
        phase: Phase::Pending,
        reason: Some(reason),
        ..own.status.clone().unwrap_or_default()
    }
}

fn without_instance(own: &OceanNode, status: &OceanLaunchStatus) -> OceanNodeStatus {
    let refusal = status
        .errors
        .iter()
        .find(|error| matches!(error.scope, LaunchErrorScope::Request | LaunchErrorScope::Account));
    let (reason, message) = match (refusal, status.errors.first()) {
        (Some(error), _) => (
            OceanNodeReason::LaunchFailed,
            format!("EC2 refused the launch: {}: {}", error.code, error.message),
        ),
        (None, Some(error)) => (
            OceanNodeReason::NoCapacity,
            format!(
                "none of the places had room for this one; the first of {} errors is {}: {}",
                status.errors.len(),
                error.code,
                error.message
            ),
        ),
        (None, None) => (
            OceanNodeReason::NoCapacity,
            "EC2 launched fewer instances than were asked for, and did not say why".to_owned(),
        ),
    };
    OceanNodeStatus {
        message: Some(message.chars().take(1024).collect()),
        ..waiting(own, reason)
    }
}

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
fn keys(launch: &str) -> [CommandKey; 2] {
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
    open.map(|launch| {
        let command = Command::Replay {
            launch: launch.clone(),
            templates: missing_templates(snapshot, &cooldowns, launch),
        };
        ordinary(
            command,
            "the outcome of the launch is not known; the same token never buys twice",
        )
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

/// Templates of a launch that EC2 no longer has and that can be made again, to the same name.
fn missing_templates(
    snapshot: &Snapshot,
    cooldowns: &Cooldowns,
    launch: &OceanLaunch,
) -> Vec<spotocean_core::launch::LaunchTemplate> {
    let names: BTreeSet<&str> = launch
        .spec
        .request
        .launch_templates
        .iter()
        .filter_map(|config| config.launch_template_name.as_deref())
        .filter(|name| !snapshot.launch_templates.contains_key(*name))
        .collect();
    if names.is_empty() {
        return Vec::new();
    }
    let views = snapshot.oceans.iter().flat_map(crate::pool::pools_of);
    views
        .filter(|view| {
            view.key.ocean.as_str() == launch.spec.ocean_name
                && view.key.pool.as_str() == launch.spec.pool_name
        })
        .flat_map(|view| templates_of(snapshot, &supply(snapshot, cooldowns, view), launch))
        .filter(|template| names.contains(template.name.as_ref()))
        .collect()
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

#[cfg(test)]
mod tests;
