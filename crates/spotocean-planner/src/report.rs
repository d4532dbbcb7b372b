//! What users are told: the status of each ocean, and events on transitions.
//!
//! Every pass says everything anew; what a pass does not compute is not said.
//! Conditions come from one table ([`condition`]), counts and money from the
//! OceanNodes ([`tally`]). Whether to write it is the shell's business.

mod cause;
mod condition;
mod event;
mod purchase;
mod resolved;
mod summary;
mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use spotocean_api::condition::conditions;
use spotocean_api::ocean_status::{HeadroomStatus, PoolStatus, STATUS_POOLS_MAX, SpotOceanStatus};
use spotocean_api::spot_ocean::{Mode, SpotOcean};
use spotocean_core::id::{OceanName, PoolKey};
use spotocean_core::money::PricePerHour;

use crate::command::Planned;
use crate::plan::{EventToPublish, Provision, SpareRoom};
use crate::pool::ocean_name;
use crate::snapshot::Snapshot;
use condition::Subject;
use tally::Tally;

/// A pool's message in status is at most this long.
const MESSAGE_CHARACTERS_MAX: usize = 1024;

/// What to tell users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Status by ocean.
    pub statuses: BTreeMap<OceanName, SpotOceanStatus>,
    /// Events.
    pub events: Vec<EventToPublish>,
}

/// Says how each ocean is.
#[must_use]
pub fn report(snapshot: &Snapshot, provision: &Provision, commands: &[Planned]) -> Report {
    let mut report = Report::default();
    for ocean in &snapshot.oceans {
        let status = status(snapshot, provision, commands, ocean);
        report.events.extend(event::of_conditions(ocean, &status));
        report.statuses.insert(ocean_name(ocean), status);
    }
    report
        .events
        .extend(event::of_pods(snapshot, &provision.solution));
    report.events.extend(event::of_nodes(snapshot, commands));
    report
}

fn status(
    snapshot: &Snapshot,
    provision: &Provision,
    commands: &[Planned],
    ocean: &Arc<SpotOcean>,
) -> SpotOceanStatus {
    let name = ocean_name(ocean);
    let tally = Tally::of(snapshot, ocean);
    let pending = provision.waiting.get(&name).map_or(0, |pods| count(pods.len()));
    let subject = Subject {
        snapshot,
        provision,
        commands,
        ocean,
        tally: &tally,
        pending_pods: pending,
    };
    let previous: &[Condition] = ocean.status.as_ref().map_or(&[], |status| &status.conditions);
    let generation = ocean.metadata.generation.unwrap_or(0);
    let is_observed = ocean.spec.mode == Mode::Observe;
    SpotOceanStatus {
        observed_generation: Some(generation),
        conditions: conditions(&condition::findings(&subject), previous, generation, snapshot.now),
        nodes: Some(tally.whole.nodes()),
        spot_nodes: Some(tally.whole.spot),
        on_demand_nodes: Some(tally.whole.on_demand),
        pending_pods: Some(pending),
        hourly_cost_usd: Some(dollars(tally.whole.cost)),
        saved: tally.whole.saved(),
        gap: purchase::gap(provision, ocean),
        last_purchase: purchase::summary(provision, ocean),
        headroom: provision.spare.get(&name).map(headroom),
        resolved: resolved::resolved(snapshot, ocean),
        pools: pools(provision, ocean, &tally),
        plan: is_observed.then(|| summary::summary(provision, &name)),
    }
}

fn headroom(room: &SpareRoom) -> HeadroomStatus {
    let message = room.message.as_ref();
    HeadroomStatus {
        units: room.units,
        ready: room.ready,
        message: message.map(|message| message.chars().take(MESSAGE_CHARACTERS_MAX).collect()),
    }
}

/// The pools that cost most, with why they buy nothing.
fn pools(provision: &Provision, ocean: &SpotOcean, tally: &Tally) -> Vec<PoolStatus> {
    let name = ocean_name(ocean);
    let mut rows: Vec<(PricePerHour, PoolStatus)> = tally
        .pools
        .iter()
        .map(|(pool, share)| {
            let key = PoolKey {
                ocean: name.clone(),
                pool: pool.clone(),
            };
            let closed = provision.closed.get(&key);
            let row = PoolStatus {
                name: pool.to_string(),
                nodes: share.nodes(),
                spot_nodes: share.spot,
                on_demand_nodes: share.on_demand,
                hourly_cost_usd: dollars(share.cost),
                reason: closed.map(|closed| closed.reason.to_string()),
                message: closed.map(|closed| closed.message.chars().take(MESSAGE_CHARACTERS_MAX).collect()),
            };
            (share.cost, row)
        })
        .collect();
    rows.sort_by(|(cost_a, a), (cost_b, b)| cost_b.cmp(cost_a).then_with(|| a.name.cmp(&b.name)));
    rows.into_iter()
        .take(STATUS_POOLS_MAX)
        .map(|(_, row)| row)
        .collect()
}

/// Dollars an hour with two decimals, rounded half up: what a column has room for, and what does not wiggle.
fn dollars(price: PricePerHour) -> String {
    let cents = (price.micro_usd().max(0) + 5_000) / 10_000;
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// A count for a status field.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// `1 node`, `2 nodes`.
fn counted(number: u32, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests;
