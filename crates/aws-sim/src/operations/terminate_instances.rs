//! TerminateInstances, and StopInstances as far as one-time instances know it.

use std::collections::BTreeSet;

use crate::operations::describe_instances::{check_ids, state};
use crate::operations::{Answer, refuse_dry_run};
use crate::state::World;
use crate::throttle::TERMINATE_RESOURCES;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Element;

const IDS_MAX: usize = 1000;

/// One bad id fails all; a protected instance keeps its own zone's instances only (EC2 API reference).
pub fn terminate_instances(world: &mut World, params: &Params) -> Answer {
    let ids = params.texts("InstanceId");
    if ids.is_empty() {
        return Err(ApiError::missing("InstanceId"));
    }
    if ids.len() > IDS_MAX {
        return Err(ApiError::invalid_value(format!(
            "At most {IDS_MAX} instances can be terminated per call."
        )));
    }
    check_ids(world, &ids)?;
    refuse_dry_run(params)?;
    take_tokens(world, ids.len() as u64)?;
    let protected: BTreeSet<String> = ids
        .iter()
        .filter_map(|id| world.instances.get(id))
        .filter(|instance| instance.is_protected && instance.holds_capacity())
        .map(|instance| instance.zone.clone())
        .collect();
    let mut changes = Vec::new();
    for id in &ids {
        if !protected.contains(&world.instances[id].zone) {
            changes.push(terminated(world, id));
        }
    }
    if let Some(id) = ids
        .iter()
        .find(|id| world.instances[*id].is_protected && world.instances[*id].holds_capacity())
    {
        return Err(ApiError::client(
            "OperationNotPermitted",
            format!(
                "The instance '{id}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again."
            ),
        ));
    }
    Ok(vec![Element::list("instancesSet", changes)])
}

fn take_tokens(world: &mut World, wanted: u64) -> Result<(), ApiError> {
    if !world.options.scenario.throttle {
        return Ok(());
    }
    let now_ms = world.clock.real_ms();
    if world
        .buckets
        .take("terminate resources", TERMINATE_RESOURCES, wanted, now_ms)
        < wanted
    {
        return Err(ApiError::new(
            503,
            "RequestLimitExceeded",
            "Request limit exceeded.",
        ));
    }
    Ok(())
}

fn terminated(world: &mut World, id: &str) -> Element {
    let before = world.instances[id].state;
    world.shut_down(
        id,
        "Client.UserInitiatedShutdown",
        "Client.UserInitiatedShutdown: User initiated shutdown",
    );
    Element::new("item")
        .field("instanceId", id)
        .with(state("currentState", world.instances[id].state))
        .with(state("previousState", before))
}

/// Instances of instant fleets on spot are one-time and cannot be stopped; others this simulator does not stop.
pub fn stop_instances(world: &mut World, params: &Params) -> Answer {
    let ids = params.texts("InstanceId");
    check_ids(world, &ids)?;
    refuse_dry_run(params)?;
    let what = ids.first().map_or("", String::as_str);
    Err(ApiError::client(
        "UnsupportedOperation",
        format!(
            "You can't stop the Spot Instance '{what}' because it is associated with a one-time Spot Instance request. You can only stop Spot Instances associated with persistent Spot Instance requests."
        ),
    ))
}
