//! DescribeFleets and DeleteFleets for instant fleets.

use crate::operations::{Answer, listed, refuse_dry_run};
use crate::state::World;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::{Element, tag_set};

const DELETIONS_MAX: usize = 25;

/// DescribeFleets lists an instant fleet only if its id is named (EC2 API reference).
pub fn describe_fleets(world: &mut World, params: &Params) -> Answer {
    let mut items = Vec::new();
    for id in params.texts("FleetId") {
        let fleet = world.fleets.get(&id).ok_or_else(|| not_found(&id))?;
        let capacity =
            Element::new("targetCapacitySpecification").field("totalTargetCapacity", fleet.target_capacity);
        let item = Element::new("item")
            .field("fleetId", &fleet.id)
            .field("fleetState", "active")
            .field("createTime", world.timestamp(fleet.created))
            .maybe("clientToken", fleet.client_token.as_ref())
            .field("fulfilledCapacity", fleet.fulfilled)
            .field("type", "instant")
            .with(capacity)
            .with(tag_set(&fleet.tags))
            .extended(fleet.answer.clone());
        items.push(item);
    }
    Ok(listed("fleetSet", items, None))
}

fn not_found(id: &str) -> ApiError {
    ApiError::client(
        "InvalidFleetId.NotFound",
        format!("The fleet ID '{id}' does not exist"),
    )
}

/// DeleteFleets: instant fleets go only together with their instances, at most 25 per call.
pub fn delete_fleets(world: &mut World, params: &Params) -> Answer {
    let ids = params.texts("FleetId");
    let terminate = params.flag("TerminateInstances")?;
    refuse_dry_run(params)?;
    let refusal = match (terminate, ids.len() > DELETIONS_MAX) {
        (false, _) => Some((
            "NoTerminateInstancesNotSupported",
            "An instant fleet cannot be deleted without terminating its instances: set TerminateInstances.",
        )),
        (true, true) => Some((
            "ExceededInstantFleetNumForDeletion",
            "At most 25 instant fleets can be deleted per call.",
        )),
        (true, false) => None,
    };
    let (mut deleted, mut kept) = (Vec::new(), Vec::new());
    for id in &ids {
        let refusal = refusal
            .or((!world.fleets.contains_key(id))
                .then_some(("fleetIdDoesNotExist", "The fleet does not exist.")));
        if let Some((code, message)) = refusal {
            let error = Element::new("error")
                .field("code", code)
                .field("message", message);
            kept.push(Element::new("item").with(error).field("fleetId", id));
            continue;
        }
        let fleet = world.fleets.remove(id).ok_or_else(|| not_found(id))?;
        for instance_id in &fleet.instance_ids {
            world.shut_down(
                instance_id,
                "Client.UserInitiatedShutdown",
                "Client.UserInitiatedShutdown: User initiated shutdown",
            );
        }
        deleted.push(
            Element::new("item")
                .field("currentFleetState", "deleted_terminating")
                .field("previousFleetState", "active")
                .field("fleetId", id),
        );
    }
    Ok(vec![
        Element::list("successfulFleetDeletionSet", deleted),
        Element::list("unsuccessfulFleetDeletionSet", kept),
    ])
}
