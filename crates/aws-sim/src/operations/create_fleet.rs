//! CreateFleet of type `instant`: the request judged as a whole, its pools in the strategy's order,
//! what each gave, and the errors of the others (aws.md 2.2 to 2.5).

mod pool;
mod request;

use crate::allocation::{self, Candidate, Strategy};
use crate::market::{Lifecycle, Quote};
use crate::operations::launch::{self, LaunchSpec};
use crate::operations::{Answer, refuse_dry_run};
use crate::quota::Group;
use crate::state::{Fleet, SpentToken, World};
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::{Element, item};

pub use self::pool::over_quota;
use self::request::{FleetRequest, Offer, Side};

const UNFULFILLABLE: &str =
    "Unable to fulfill capacity due to your request configuration. Please adjust your request and try again.";

/// What one pool came to.
struct Outcome {
    offer: Offer,
    lifecycle: Lifecycle,
    instance_ids: Vec<String>,
    error: Option<ApiError>,
}

/// An offer that may be tried, with its quote.
struct Pool {
    offer: Offer,
    spec: LaunchSpec,
    candidate: Candidate,
}

/// Launches instances at once, by a fleet request.
pub fn create_fleet(world: &mut World, params: &Params) -> Answer {
    let token = params.text("ClientToken");
    let key = token.map(|token| ("CreateFleet".to_owned(), token.to_owned()));
    let fingerprint = request::fingerprint(params);
    if let Some(spent) = key.as_ref().and_then(|key| world.tokens.get(key)) {
        return spent.replay(&fingerprint);
    }
    let request = FleetRequest::parse(world, params)?;
    refuse_dry_run(params)?;
    let fleet_id = world.new_fleet_id();
    let mut outcomes = Vec::new();
    let mut units = 0.0;
    for lifecycle in [Lifecycle::OnDemand, Lifecycle::Spot] {
        if request.side(lifecycle).target > 0 {
            units += launch_side(world, &request, lifecycle, &fleet_id, &mut outcomes);
        }
    }
    let children = answer(&fleet_id, &outcomes);
    remember(world, &request, &fleet_id, units, &outcomes, &children);
    // A token is spent even by a fleet that launched nothing (runs-on #251).
    if let Some(key) = key {
        world.tokens.insert(
            key,
            SpentToken {
                request: fingerprint,
                answer: children.clone(),
            },
        );
    }
    Ok(children)
}

impl World {
    /// Fleet ids look like `fleet-` and a UUID.
    fn new_fleet_id(&mut self) -> String {
        format!("fleet-{}", self.new_uuid())
    }
}

/// Launches one side (spot or on-demand) of a fleet; answers with the units it filled.
fn launch_side(
    world: &mut World,
    request: &FleetRequest,
    lifecycle: Lifecycle,
    fleet_id: &str,
    outcomes: &mut Vec<Outcome>,
) -> f64 {
    let side = request.side(lifecycle);
    let (pools, mut failures) = judged(world, request, lifecycle, fleet_id);
    outcomes.append(&mut failures);
    let pools = restricted(side, pools);
    let target = side.target as f64;
    if let Some(least) = side
        .min_target
        .filter(|least| available_units(world, &pools, lifecycle) < *least as f64)
    {
        // Unmet MinTargetCapacity: nothing launches.
        outcomes.extend(
            pools
                .into_iter()
                .map(|pool| failed(pool.offer, lifecycle, no_capacity_for(least))),
        );
        return 0.0;
    }
    let candidates: Vec<Candidate> = pools.iter().map(|pool| pool.candidate.clone()).collect();
    let order = allocation::order(side.strategy, &candidates, target, world.options.seed);
    let tries = allocation::tries(
        side.strategy,
        world.options.scenario.pools_tried,
        side.pools_to_use,
        order.len(),
    );
    let mut units = 0.0;
    let mut pools: Vec<Option<Pool>> = pools.into_iter().map(Some).collect();
    for (place, index) in order.iter().enumerate() {
        if units >= target {
            break;
        }
        let Some(pool) = pools[*index].take() else {
            continue;
        };
        if place >= tries {
            outcomes.push(failed(
                pool.offer,
                lifecycle,
                ApiError::client("UnfulfillableCapacity", UNFULFILLABLE),
            ));
            continue;
        }
        let left = tries.min(order.len()) - place;
        let wanted = allocation::wanted(side.strategy, &pool.candidate, target - units, left);
        let weight = pool.candidate.weight;
        let outcome = pool::launch(world, pool, lifecycle, wanted);
        units += outcome.instance_ids.len() as f64 * weight;
        outcomes.push(outcome);
    }
    units
}

/// Splits the offers into pools that may be tried and failures that are settled before any try.
fn judged(
    world: &World,
    request: &FleetRequest,
    lifecycle: Lifecycle,
    fleet_id: &str,
) -> (Vec<Pool>, Vec<Outcome>) {
    let (mut pools, mut failures) = (Vec::new(), Vec::new());
    for offer in &request.offers {
        match judged_offer(world, request, offer, lifecycle) {
            Ok((mut spec, candidate)) => {
                spec.fleet_id = Some(fleet_id.to_owned());
                spec.client_token = request.client_token.clone().unwrap_or_default();
                pools.push(Pool {
                    offer: offer.clone(),
                    spec,
                    candidate,
                });
            }
            Err(error) => failures.push(failed(offer.clone(), lifecycle, error)),
        }
    }
    (pools, failures)
}

fn judged_offer(
    world: &World,
    request: &FleetRequest,
    offer: &Offer,
    lifecycle: Lifecycle,
) -> Result<(LaunchSpec, Candidate), ApiError> {
    refuse_if_denied(world, lifecycle)?;
    let found = world
        .catalogue
        .types
        .get(&offer.instance_type)
        .ok_or_else(|| launch::unknown_type(&offer.instance_type))?;
    let pool = world.pool(&offer.instance_type, &offer.zone_id);
    if !found.offered_in(&offer.zone_id) {
        return Err(ApiError::client(
            "InvalidFleetConfiguration",
            format!(
                "Your requested instance type ({}) is not supported in your requested Availability Zone ({}).",
                offer.instance_type, offer.zone
            ),
        ));
    }
    let spec = launch::judge(
        world,
        &offer.data,
        (&offer.instance_type, &offer.subnet_id),
        lifecycle,
        &request.tags,
    )?;
    let quote: Quote = world.market.quote(&pool, lifecycle, world.now()).ok_or_else(|| {
        ApiError::client(
            "InvalidFleetConfiguration",
            format!(
                "Your requested instance type ({}) is not supported for Spot requests.",
                offer.instance_type
            ),
        )
    })?;
    let candidate = Candidate {
        key: format!("{}/{}", offer.instance_type, offer.zone_id),
        quote,
        weight: offer.weight,
        priority: offer.priority,
        on_demand_micro_usd_per_hour: found.on_demand_micro_usd_per_hour().unwrap_or(u64::MAX),
    };
    Ok((spec, candidate))
}

fn refuse_if_denied(world: &World, lifecycle: Lifecycle) -> Result<(), ApiError> {
    if world.denied.contains("ec2:RunInstances") || world.denied.contains("RunInstances") {
        return Err(ApiError::new(
            403,
            "UnauthorizedOperation",
            "You are not authorized to perform this operation. User is not authorized to perform: ec2:RunInstances.",
        ));
    }
    let slr = ["iam:CreateServiceLinkedRole", "CreateServiceLinkedRole"];
    if lifecycle == Lifecycle::Spot && slr.iter().any(|action| world.denied.contains(*action)) {
        return Err(ApiError::new(
            403,
            "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
            "The provided credentials do not have permission to create the service-linked role for EC2 Spot Instances.",
        ));
    }
    Ok(())
}

/// SingleInstanceType and SingleAvailabilityZone leave one type or one zone: the one with most capacity.
fn restricted(side: &Side, pools: Vec<Pool>) -> Vec<Pool> {
    let deepest = |key: &dyn Fn(&Pool) -> String| {
        let mut depth_by_key = std::collections::BTreeMap::<String, u64>::new();
        for pool in &pools {
            *depth_by_key.entry(key(pool)).or_default() += pool.candidate.quote.depth;
        }
        depth_by_key
            .into_iter()
            .max_by_key(|(_, depth)| *depth)
            .map(|(key, _)| key)
    };
    let zone = side
        .single_zone
        .then(|| deepest(&|pool| pool.offer.zone.clone()))
        .flatten();
    let instance_type = side
        .single_type
        .then(|| deepest(&|pool| pool.offer.instance_type.clone()))
        .flatten();
    pools
        .into_iter()
        .filter(|pool| zone.as_ref().is_none_or(|zone| *zone == pool.offer.zone))
        .filter(|pool| {
            instance_type
                .as_ref()
                .is_none_or(|found| *found == pool.offer.instance_type)
        })
        .collect()
}

fn available_units(world: &World, pools: &[Pool], lifecycle: Lifecycle) -> f64 {
    let mut by_group = std::collections::BTreeMap::<Group, u64>::new();
    pools
        .iter()
        .map(|pool| {
            let vcpu = world
                .catalogue
                .types
                .get(&pool.offer.instance_type)
                .map_or(1, |found| u64::from(found.vcpu));
            let group = Group::of(&pool.offer.instance_type);
            let limit = world.quotas.limit_vcpus(lifecycle, group);
            let used = by_group
                .entry(group)
                .or_insert_with(|| world.used_vcpus(lifecycle, group));
            let by_quota = limit.saturating_sub(*used) / vcpu.max(1);
            let free = world
                .network
                .subnets
                .get(&pool.offer.subnet_id)
                .map_or(0, crate::state::network::Subnet::free_addresses);
            let count = pool.candidate.quote.depth.min(free).min(by_quota);
            *used += count * vcpu;
            count as f64 * pool.candidate.weight
        })
        .sum()
}

fn no_capacity_for(least: i64) -> ApiError {
    ApiError::client(
        "InsufficientInstanceCapacity",
        format!("There is not enough capacity to fulfill the minimum target capacity of {least}."),
    )
}

fn failed(offer: Offer, lifecycle: Lifecycle, error: ApiError) -> Outcome {
    Outcome {
        offer,
        lifecycle,
        instance_ids: Vec::new(),
        error: Some(error),
    }
}

fn answer(fleet_id: &str, outcomes: &[Outcome]) -> Vec<Element> {
    let errors = outcomes.iter().filter_map(|outcome| {
        let error = outcome.error.as_ref()?;
        Some(
            described(outcome)
                .field("errorCode", &error.code)
                .field("errorMessage", &error.message),
        )
    });
    let instances = outcomes
        .iter()
        .filter(|outcome| !outcome.instance_ids.is_empty())
        .map(|outcome| {
            described(outcome)
                .with(Element::list(
                    "instanceIds",
                    outcome.instance_ids.iter().map(item),
                ))
                .field("instanceType", &outcome.offer.instance_type)
        });
    vec![
        Element::text("fleetId", fleet_id),
        Element::list("errorSet", errors),
        Element::list("fleetInstanceSet", instances),
    ]
}

fn described(outcome: &Outcome) -> Element {
    let offer = &outcome.offer;
    let template = Element::new("launchTemplateSpecification")
        .field("launchTemplateId", &offer.template_id)
        .field("version", offer.template_version);
    let both = Element::new("launchTemplateAndOverrides")
        .with(template)
        .with(offer.echo());
    Element::new("item")
        .with(both)
        .field("lifecycle", outcome.lifecycle.name())
}

fn remember(
    world: &mut World,
    request: &FleetRequest,
    fleet_id: &str,
    units: f64,
    outcomes: &[Outcome],
    children: &[Element],
) {
    let mut tags = request.tags.fleet.clone();
    tags.retain(|key, _| !key.starts_with("aws:"));
    let fleet = Fleet {
        id: fleet_id.to_owned(),
        created: world.now(),
        client_token: request.client_token.clone(),
        target_capacity: request.spot.target + request.on_demand.target,
        fulfilled: units,
        tags,
        answer: children[1..].to_vec(),
        instance_ids: outcomes
            .iter()
            .flat_map(|outcome| outcome.instance_ids.clone())
            .collect(),
    };
    world.fleets.insert(fleet_id.to_owned(), fleet);
}

/// The strategy EC2 uses where the request names none.
pub const DEFAULT_STRATEGY: Strategy = Strategy::LowestPrice;
