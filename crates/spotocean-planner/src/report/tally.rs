//! Nodes and money, per ocean and pool.

use std::collections::BTreeMap;
use std::sync::Arc;

use spotocean_api::capacity_type::CapacityType;
use spotocean_api::ocean_node::{OceanNode, OceanNodeReason, Phase};
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::id::PoolName;
use spotocean_core::money::PricePerHour;

use crate::lifecycle::CONSOLE_QUOTE;
use crate::provisioning::in_flight::phase;
use crate::snapshot::Snapshot;

/// Nodes and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    /// On spot capacity.
    pub(super) spot: u32,
    /// On on-demand capacity.
    pub(super) on_demand: u32,
    /// On their way: launched or to be launched, not yet in service.
    pub(super) coming: u32,
    /// Leaving.
    pub(super) leaving: u32,
    /// Launched instances that fail to join.
    pub(super) failing: u32,
    /// What the launched ones cost.
    pub(super) cost: PricePerHour,
    /// What the same would cost on demand.
    on_demand_cost: PricePerHour,
}

impl Share {
    /// All nodes, on their way or there.
    pub(super) fn nodes(&self) -> u32 {
        self.spot + self.on_demand
    }

    /// Saved against on demand, in whole percent.
    pub(super) fn saved(&self) -> Option<String> {
        (self.on_demand_cost > PricePerHour::ZERO)
            .then(|| format!("{}%", self.cost.percent_below(self.on_demand_cost)))
    }
}

/// An ocean's nodes, in whole and by pool; pools without nodes included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// The ocean.
    pub(super) whole: Share,
    /// Why the first of the failing instances does not join, without what changes from one to the next.
    pub(super) join_failure: Option<String>,
    /// Its pools.
    pub(super) pools: BTreeMap<PoolName, Share>,
}

impl Tally {
    /// Counts an ocean's nodes.
    pub(super) fn of(snapshot: &Snapshot, ocean: &Arc<SpotOcean>) -> Self {
        let declared = ocean.spec.pools.iter();
        let mut tally = Self {
            pools: declared
                .map(|pool| (pool.name.as_str().into(), Share::default()))
                .collect(),
            ..Self::default()
        };
        let uid = ocean.metadata.uid.as_deref();
        for own in snapshot
            .ocean_nodes
            .iter()
            .filter(|own| Some(own.spec.ocean_uid.as_str()) == uid)
        {
            add(&mut tally.whole, snapshot, own);
            if tally.join_failure.is_none() && is_failing(own) {
                tally.join_failure = own
                    .status
                    .as_ref()
                    .and_then(|status| cause(status.message.as_deref()?));
            }
            let pool = tally.pools.entry(own.spec.pool_name.as_str().into()).or_default();
            add(pool, snapshot, own);
        }
        tally
    }
}

fn is_failing(own: &OceanNode) -> bool {
    let reason = own.status.as_ref().and_then(|status| status.reason);
    reason == Some(OceanNodeReason::RegistrationTimeout)
}

/// The cause in an OceanNode's message: after the time-out it names, before what its console shows.
fn cause(message: &str) -> Option<String> {
    let (_, cause) = message.split_once(": ")?;
    cause.split(CONSOLE_QUOTE).next().map(ToOwned::to_owned)
}

fn add(share: &mut Share, snapshot: &Snapshot, own: &OceanNode) {
    let status = own.status.as_ref();
    share.failing += u32::from(is_failing(own));
    match phase(own) {
        Phase::Pending | Phase::Launched | Phase::Registered => share.coming += 1,
        Phase::Draining => share.leaving += 1,
        Phase::Terminating => {
            share.leaving += 1;
            return;
        }
        Phase::Initialized => {}
    }
    match status
        .and_then(|status| status.capacity_type)
        .unwrap_or(own.spec.capacity_type)
    {
        CapacityType::Spot => share.spot += 1,
        CapacityType::OnDemand => share.on_demand += 1,
    }
    let Some(status) = status else { return };
    let price = status
        .price_micro_usd_per_hour
        .and_then(|price| i64::try_from(price).ok());
    let Some(price) = price.map(PricePerHour) else {
        return;
    };
    let instance_type = status.instance_type.as_deref().unwrap_or_default();
    let on_demand = snapshot.catalogue.on_demand_prices.get(instance_type).copied();
    share.cost += price;
    share.on_demand_cost += on_demand.unwrap_or(price);
}
