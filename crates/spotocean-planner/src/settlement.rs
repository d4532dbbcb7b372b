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
//! [`settle`] is for the answer at hand; [`reconcile()`] finds the same out from
//! the objects alone, so that a crash in between costs time only.

mod reconcile;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spotocean_api::ocean_launch::{
    AllocationStrategy as ApiAllocationStrategy, LaunchError, LaunchErrorScope, LaunchPhase,
    LaunchedInstance, OceanLaunch, OceanLaunchStatus,
};
use spotocean_api::ocean_node::{OceanNode, OceanNodeReason, OceanNodeStatus, Phase};
use spotocean_core::id::{LaunchName, OceanNodeName};
use spotocean_core::launch::{
    AllocationStrategy, FleetAnswer, FleetConfig, FleetError, FleetInstance, FleetOverride, FleetRequest,
};
use spotocean_core::money::PricePerHour;
use spotocean_core::port::{CloudError, CloudErrorKind};

use crate::command::Command;
use crate::provisioning::in_flight::overrides;
use crate::vocabulary;

pub use reconcile::{reconcile, replays};

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
/// say so; [`reconcile()`] deletes them, and their pods are planned for again.
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
                once_clear: None,
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

#[cfg(test)]
mod tests;
