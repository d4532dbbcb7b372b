//! What the control API shows: the account as it stands, the calls so far, the market.

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::Account;
use crate::market::Lifecycle;
use crate::state::World;
use crate::state::instance::{Instance, Membership, Purchase};

pub(super) async fn state(State(shared): Account) -> Json<Value> {
    let held = shared.holds.names();
    let mut world = shared.world();
    world.advance();
    let (spot, on_demand, all_on_demand) = world.spending();
    let usd = |micro: u64| micro as f64 / 1e6;
    let now_ms = world.clock.real_ms();
    let queues: Vec<Value> = world
        .queues
        .values_mut()
        .map(|queue| {
            let (visible, hidden) = queue.lengths(now_ms);
            json!({"name": queue.name, "visible": visible, "inFlight": hidden})
        })
        .collect();
    Json(json!({
        "seconds": world.now().seconds(),
        "region": world.options.region,
        "seed": world.options.seed,
        "cluster": {
            "name": world.eks.name,
            "endpoint": world.eks.facts.endpoint,
            "authenticationMode": world.eks.authentication_mode,
            "accessEntries": world.eks.access_entries.keys().collect::<Vec<_>>(),
            "vpcId": world.network.vpc_id,
            "securityGroupId": world.network.cluster_security_group_id,
        },
        "instances": world.instances.values().map(|instance| described(&world, instance)).collect::<Vec<_>>(),
        "fleets": fleets(&world),
        "launchTemplates": world.launch_templates.values().map(|found| json!({"id": found.id, "name": found.name, "tags": found.tags})).collect::<Vec<_>>(),
        "instanceProfiles": world.iam.profiles.values().map(|found| json!({"name": found.name, "role": found.role, "tags": found.tags})).collect::<Vec<_>>(),
        "subnets": world.network.subnets.values().map(|found| json!({"id": found.id, "zone": found.zone, "zoneId": found.zone_id, "freeAddresses": found.free_addresses()})).collect::<Vec<_>>(),
        "queues": queues,
        "calls": world.calls.counts(),
        "failedCalls": world.calls.errors(),
        "heldCalls": held,
        "faults": world.rules.rules(),
        "denied": world.denied,
        "usdPerHour": {"spot": usd(spot), "onDemand": usd(on_demand), "total": usd(spot + on_demand), "ifAllOnDemand": usd(all_on_demand)},
        "hazardInterruptions": world.hazard_interruptions(),
    }))
}

fn fleets(world: &World) -> Vec<Value> {
    world
        .fleets
        .values()
        .map(|fleet| {
            json!({
                "id": fleet.id,
                "seconds": fleet.created.seconds(),
                "clientToken": fleet.client_token,
                "targetCapacity": fleet.target_capacity,
                "fulfilledCapacity": fleet.fulfilled,
                "instanceIds": fleet.instance_ids,
                "tags": fleet.tags,
            })
        })
        .collect()
}

fn described(world: &World, instance: &Instance) -> Value {
    let quote = world
        .market
        .quote(&instance.pool(), instance.lifecycle(), world.now());
    let (membership, reason) = match &instance.membership {
        Membership::Outside => ("outside", None),
        Membership::Refused(reason) => ("refused", Some(reason)),
        Membership::Joined { .. } => ("joined", None),
    };
    json!({
        "id": instance.id,
        "fleetId": instance.fleet_id,
        "type": instance.instance_type,
        "zone": instance.zone,
        "zoneId": instance.zone_id,
        "subnetId": instance.subnet_id,
        "imageId": instance.image_id,
        "lifecycle": instance.lifecycle().name(),
        "spotRequestId": match &instance.purchase {
            Purchase::Spot { request_id } => Some(request_id),
            Purchase::OnDemand => None,
        },
        "state": instance.state.name(),
        "stateReason": instance.state_reason.as_ref().map(|(code, _)| code),
        "launchedSeconds": instance.launched.seconds(),
        "stateSinceSeconds": instance.state_since.seconds(),
        "interruptedAtSeconds": instance.interruption.map(crate::clock::Moment::seconds),
        "privateDnsName": instance.private_dns_name,
        "node": instance.node(),
        "membership": membership,
        "refusal": reason,
        "usdPerHour": quote.map(|quote| quote.price_micro_usd_per_hour as f64 / 1e6),
        "securityGroupIds": instance.security_group_ids,
        "instanceProfile": instance.instance_profile,
        "userData": String::from_utf8_lossy(&instance.user_data),
        "console": instance.console,
        "tags": instance.tags,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CallsQuery {
    action: Option<String>,
    service: Option<String>,
    since: Option<u64>,
}

pub(super) async fn calls(State(shared): Account, Query(query): Query<CallsQuery>) -> Json<Value> {
    let world = shared.world();
    let found: Vec<_> = world
        .calls
        .calls()
        .iter()
        .filter(|call| query.action.as_ref().is_none_or(|action| *action == call.action))
        .filter(|call| {
            query
                .service
                .as_ref()
                .is_none_or(|service| *service == call.service)
        })
        .filter(|call| query.since.is_none_or(|since| call.sequence > since))
        .collect();
    Json(json!({"calls": found}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MarketQuery {
    #[serde(rename = "type", default = "any")]
    instance_type: String,
    #[serde(default = "any")]
    zone: String,
}

fn any() -> String {
    "*".to_owned()
}

pub(super) async fn market(State(shared): Account, Query(query): Query<MarketQuery>) -> Json<Value> {
    let world = shared.world();
    let now = world.now();
    let pools: Vec<Value> = world
        .market
        .pools()
        .filter(|pool| crate::filter::wildcard(&query.instance_type, &pool.instance_type))
        .filter_map(|pool| {
            let zone = world.catalogue.zone(&pool.zone_id)?;
            let is_wanted = crate::filter::wildcard(&query.zone, &zone.name)
                || crate::filter::wildcard(&query.zone, &zone.id);
            let quote = |lifecycle| {
                let quote = world.market.quote(pool, lifecycle, now)?;
                Some(json!({
                    "price": quote.price_micro_usd_per_hour as f64 / 1e6,
                    "depth": quote.depth,
                    "hazard": quote.hazard_ppm_per_hour as f64 / 1e6,
                }))
            };
            is_wanted.then(|| {
                json!({
                    "type": pool.instance_type, "zone": zone.name, "zoneId": zone.id,
                    "spot": quote(Lifecycle::Spot), "onDemand": quote(Lifecycle::OnDemand),
                })
            })
        })
        .collect();
    Json(json!({"pools": pools}))
}
