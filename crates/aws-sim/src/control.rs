//! The control API under `/_sim/`: what tests and demos look at, and what they order to go wrong.
//! Documented in README.md.

mod look;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::fault::Rule;
use crate::market::Lifecycle;
use crate::options::MarketOrder;
use crate::quota::Group;
use crate::server::Shared;
use crate::state::instance::ScheduledEvent;
use crate::state::{LaunchOutcome, Reservation};

type Reply = Result<Json<Value>, (StatusCode, Json<Value>)>;
type Account = State<Arc<Shared>>;

/// The routes, below `/_sim`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/state", get(look::state))
        .route("/calls", get(look::calls).delete(clear_calls))
        .route("/market", get(look::market).post(change_market))
        .route("/interrupt", post(interrupt))
        .route("/rebalance", post(rebalance))
        .route("/terminate", post(terminate))
        .route("/impair", post(impair))
        .route("/event", post(event))
        .route("/fault", get(faults).post(add_fault).delete(remove_faults))
        .route("/fault/{id}", delete(remove_fault))
        .route("/release", post(release))
        .route("/quota", post(quota))
        .route("/subnet", post(subnet))
        .route("/deny", post(deny).delete(allow_all))
        .route("/throttle", post(throttle))
        .route("/outage", post(outage))
        .route("/reservation", post(reservation))
        .route("/cluster", post(cluster))
        .route("/launch-outcome", post(launch_outcome))
        .route("/advance", post(advance))
}

fn refused(status: StatusCode, message: impl Into<String>) -> (StatusCode, Json<Value>) {
    (status, Json(json!({"error": message.into()})))
}

fn no_instance(id: &str) -> (StatusCode, Json<Value>) {
    refused(
        StatusCode::NOT_FOUND,
        format!("there is no instance '{id}'; GET /_sim/state lists them"),
    )
}

async fn clear_calls(State(shared): Account) -> Json<Value> {
    shared.world().calls.clear();
    Json(json!({}))
}

async fn change_market(State(shared): Account, Json(order): Json<MarketOrder>) -> Reply {
    let pools = shared.world().order_market(&order);
    if pools == 0 {
        let message = format!(
            "no pool matches type '{}' in zone '{}'",
            order.instance_type, order.zone
        );
        return Err(refused(StatusCode::NOT_FOUND, message));
    }
    Ok(Json(json!({"pools": pools})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InstanceOrder {
    instance_id: String,
    notice_seconds: Option<f64>,
    event_code: Option<String>,
}

async fn interrupt(State(shared): Account, Json(order): Json<InstanceOrder>) -> Reply {
    let mut world = shared.world();
    let instance = world
        .instances
        .get(&order.instance_id)
        .ok_or_else(|| no_instance(&order.instance_id))?;
    if instance.lifecycle() != Lifecycle::Spot || !instance.holds_capacity() {
        return Err(refused(
            StatusCode::CONFLICT,
            format!(
                "'{}' is {} and {}: only a living spot instance is interrupted",
                instance.id,
                instance.lifecycle().name(),
                instance.state.name()
            ),
        ));
    }
    world.interrupt(&order.instance_id, order.notice_seconds);
    drop(world);
    shared.wake();
    Ok(Json(json!({})))
}

async fn rebalance(State(shared): Account, Json(order): Json<InstanceOrder>) -> Reply {
    let mut world = shared.world();
    if !world.instances.contains_key(&order.instance_id) {
        return Err(no_instance(&order.instance_id));
    }
    world.recommend_rebalance(&order.instance_id);
    drop(world);
    shared.wake();
    Ok(Json(json!({})))
}

/// The instance is gone without a warning, as when its host fails.
async fn terminate(State(shared): Account, Json(order): Json<InstanceOrder>) -> Reply {
    let mut world = shared.world();
    if !world.instances.contains_key(&order.instance_id) {
        return Err(no_instance(&order.instance_id));
    }
    world.shut_down(
        &order.instance_id,
        "Server.InternalError",
        "Server.InternalError: Internal error on termination",
    );
    drop(world);
    shared.wake();
    Ok(Json(json!({})))
}

/// Status checks fail from now on; with `eventCode`, maintenance is announced instead.
async fn impair(State(shared): Account, Json(order): Json<InstanceOrder>) -> Reply {
    let mut world = shared.world();
    let not_before = world.now().plus_seconds(order.notice_seconds.unwrap_or(86_400.0));
    let event_id = format!("instance-event-{}", world.new_uuid());
    let instance = world
        .instances
        .get_mut(&order.instance_id)
        .ok_or_else(|| no_instance(&order.instance_id))?;
    match order.event_code {
        Some(code) => instance.events.push(ScheduledEvent {
            id: event_id,
            code,
            not_before,
        }),
        None => instance.is_impaired = true,
    }
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventOrder {
    detail_type: String,
    #[serde(default = "ec2_source")]
    source: String,
    #[serde(default)]
    resources: Vec<String>,
    detail: Value,
}

fn ec2_source() -> String {
    "aws.ec2".to_owned()
}

/// Any EventBridge event, such as an AWS Health one.
async fn event(State(shared): Account, Json(order): Json<EventOrder>) -> Json<Value> {
    shared.world().emit_event(
        &order.detail_type,
        &order.source,
        &json!(order.resources),
        &order.detail,
    );
    shared.wake();
    Json(json!({}))
}

async fn faults(State(shared): Account) -> Json<Value> {
    Json(json!({"faults": shared.world().rules.rules()}))
}

async fn add_fault(State(shared): Account, Json(rule): Json<Rule>) -> Json<Value> {
    Json(json!({"id": shared.world().rules.add(rule)}))
}

async fn remove_faults(State(shared): Account) -> Json<Value> {
    shared.world().rules.remove(None);
    Json(json!({"released": shared.holds.release(None)}))
}

async fn remove_fault(State(shared): Account, Path(id): Path<u64>) -> Json<Value> {
    shared.world().rules.remove(Some(id));
    Json(json!({}))
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct ReleaseOrder {
    name: Option<String>,
    /// Whether the rule that held the calls stays, to hold the next ones.
    keep_rule: bool,
}

async fn release(State(shared): Account, body: String) -> Reply {
    let order: ReleaseOrder = if body.trim().is_empty() {
        ReleaseOrder::default()
    } else {
        serde_json::from_str(&body).map_err(|error| refused(StatusCode::BAD_REQUEST, error.to_string()))?
    };
    if !order.keep_rule {
        shared.world().rules.remove_holds(order.name.as_deref());
    }
    Ok(Json(
        json!({"released": shared.holds.release(order.name.as_deref())}),
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct QuotaOrder {
    lifecycle: String,
    group: Group,
    vcpus: u64,
}

async fn quota(State(shared): Account, Json(order): Json<QuotaOrder>) -> Reply {
    let lifecycle = match order.lifecycle.as_str() {
        "spot" => Lifecycle::Spot,
        "on-demand" => Lifecycle::OnDemand,
        other => {
            return Err(refused(
                StatusCode::BAD_REQUEST,
                format!("lifecycle is '{other}'; it must be spot or on-demand"),
            ));
        }
    };
    shared.world().quotas.set(lifecycle, order.group, order.vcpus);
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SubnetOrder {
    subnet: String,
    free_addresses: u64,
}

async fn subnet(State(shared): Account, Json(order): Json<SubnetOrder>) -> Reply {
    let mut world = shared.world();
    let mut count = 0;
    for subnet in world.network.subnets.values_mut() {
        if [&subnet.id, &subnet.zone, &subnet.zone_id]
            .into_iter()
            .any(|name| crate::filter::wildcard(&order.subnet, name))
        {
            subnet.set_free_addresses(order.free_addresses);
            count += 1;
        }
    }
    if count == 0 {
        return Err(refused(
            StatusCode::NOT_FOUND,
            format!("no subnet matches '{}' by id, zone name or zone id", order.subnet),
        ));
    }
    Ok(Json(json!({"subnets": count})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DenyOrder {
    action: String,
    #[serde(default = "yes")]
    denied: bool,
}

fn yes() -> bool {
    true
}

async fn deny(State(shared): Account, Json(order): Json<DenyOrder>) -> Json<Value> {
    let mut world = shared.world();
    if order.denied {
        world.denied.insert(order.action);
    } else {
        world.denied.remove(&order.action);
    }
    Json(json!({"denied": world.denied}))
}

async fn allow_all(State(shared): Account) -> Json<Value> {
    shared.world().denied.clear();
    Json(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    on: bool,
}

async fn throttle(State(shared): Account, Json(order): Json<Switch>) -> Json<Value> {
    shared.world().options.scenario.throttle = order.on;
    Json(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutageOrder {
    zone: String,
    on: bool,
}

async fn outage(State(shared): Account, Json(order): Json<OutageOrder>) -> Reply {
    let mut world = shared.world();
    let zone = world
        .catalogue
        .zone(&order.zone)
        .map(|zone| zone.id.clone())
        .ok_or_else(|| {
            refused(
                StatusCode::NOT_FOUND,
                format!("there is no zone '{}'", order.zone),
            )
        })?;
    if order.on {
        world.outages.insert(zone);
    } else {
        world.outages.remove(&zone);
    }
    Ok(Json(json!({"outages": world.outages})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReservationOrder {
    instance_type: String,
    zone: String,
    total: u64,
}

/// Makes the open capacity reservation of a type and zone, or changes how many instances it is for.
async fn reservation(State(shared): Account, Json(order): Json<ReservationOrder>) -> Reply {
    let mut world = shared.world();
    let Some(zone) = world.catalogue.zone(&order.zone).map(|zone| zone.name.clone()) else {
        let message = format!("there is no zone '{}'", order.zone);
        return Err(refused(StatusCode::NOT_FOUND, message));
    };
    let known = world
        .reservations
        .iter()
        .find(|(_, known)| known.instance_type == order.instance_type && known.zone == zone);
    let id = known.map(|(id, _)| id.clone());
    let id = id.unwrap_or_else(|| world.new_id("cr"));
    let made = Reservation {
        instance_type: order.instance_type,
        zone,
        total: order.total,
    };
    world.reservations.insert(id.clone(), made);
    Ok(Json(json!({"id": id})))
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[derive(Default)]
struct ClusterOrder {
    authentication_mode: Option<String>,
    status: Option<String>,
    version: Option<String>,
}

async fn cluster(State(shared): Account, Json(order): Json<ClusterOrder>) -> Reply {
    let modes = ["API", "API_AND_CONFIG_MAP", "CONFIG_MAP"];
    if let Some(mode) = order
        .authentication_mode
        .as_deref()
        .filter(|mode| !modes.contains(mode))
    {
        return Err(refused(
            StatusCode::BAD_REQUEST,
            format!("authenticationMode is '{mode}'; it must be one of {modes:?}"),
        ));
    }
    let mut world = shared.world();
    let eks = &mut world.eks;
    for (field, value) in [
        (&mut eks.authentication_mode, order.authentication_mode),
        (&mut eks.status, order.status),
        (&mut eks.version, order.version),
    ] {
        if let Some(value) = value {
            *field = value;
        }
    }
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OutcomeOrder {
    outcome: LaunchOutcome,
    count: Option<u64>,
}

async fn launch_outcome(State(shared): Account, Json(order): Json<OutcomeOrder>) -> Json<Value> {
    let mut world = shared.world();
    match order.count {
        Some(0) => {}
        Some(count) => world.launch_outcomes.push_back((order.outcome, count)),
        None => {
            world.launch_outcomes.clear();
            world.default_outcome = order.outcome;
        }
    }
    Json(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdvanceOrder {
    seconds: f64,
}

async fn advance(State(shared): Account, Json(order): Json<AdvanceOrder>) -> Json<Value> {
    let mut world = shared.world();
    world.clock.skip_seconds(order.seconds);
    world.advance();
    let seconds = world.now().seconds();
    drop(world);
    shared.wake();
    Json(json!({"seconds": seconds}))
}
