//! Keeps types, zones and prices fresh, each at the pace at which it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use spotocean_core::catalogue::Catalogue;
use spotocean_core::id::{InstanceTypeName, Zone};
use spotocean_core::offering::Market;
use spotocean_core::port::{Cloud, CloudError};
use tracing::{info, warn};

use super::note;
use crate::batch::News;
use crate::context::Context;

/// New types and zones appear a few times a year.
const TYPES_EVERY: Duration = Duration::from_secs(3600);
/// So that prices are never older than five minutes.
const SPOT_PRICES_EVERY: Duration = Duration::from_secs(240);
/// On-demand prices change a few times a decade.
const ON_DEMAND_PRICES_EVERY: Duration = Duration::from_secs(12 * 3600);
/// Others may fill reservations at any time.
const RESERVATIONS_EVERY: Duration = Duration::from_secs(60);
/// The first pause after an error; it doubles up to the usual pace.
const RETRY_MIN: Duration = Duration::from_secs(5);

/// Keeps the catalogue fresh for as long as it is polled.
pub async fn keep<C: Cloud>(context: Arc<Context<C>>) {
    tokio::join!(
        repeat(TYPES_EVERY, || types(&context)),
        repeat(SPOT_PRICES_EVERY, || spot_prices(&context)),
        repeat(ON_DEMAND_PRICES_EVERY, || on_demand_prices(&context)),
        repeat(RESERVATIONS_EVERY, || reservations(&context)),
    );
}

/// Repeats `work` every `pace`, sooner after a failure.
pub(super) async fn repeat<F: Future<Output = bool>>(pace: Duration, work: impl Fn() -> F) {
    let mut pause = RETRY_MIN;
    loop {
        if work().await {
            pause = RETRY_MIN;
            tokio::time::sleep(pace).await;
        } else {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(pace);
        }
    }
}

async fn types<C: Cloud>(context: &Context<C>) -> bool {
    let read = async {
        tokio::try_join!(
            context.read("DescribeInstanceTypes", context.cloud.instance_types()),
            context.read("DescribeAvailabilityZones", context.cloud.zones()),
            context.read("DescribeInstanceTypeOfferings", context.cloud.offered()),
        )
    };
    let result = read.await.map(|(types, zone_ids, offered)| {
        info!(
            types = types.len(),
            zones = zone_ids.len(),
            offerings = offered.len(),
            "catalogue read"
        );
        update(context, |catalogue| {
            catalogue.types = types
                .into_iter()
                .map(|instance_type| (instance_type.name.clone(), Arc::new(instance_type)))
                .collect();
            catalogue.zone_ids = zone_ids;
            catalogue.zones = zones(offered);
        });
    });
    let error = failure("instance types and zones", result);
    let is_ok = error.is_none();
    context.view.with(|seen| note(&mut seen.catalogue_source, error));
    context.wake.ring(News::Change);
    is_ok
}

fn zones(offered: Vec<Market>) -> BTreeMap<InstanceTypeName, BTreeSet<Zone>> {
    let mut zones: BTreeMap<InstanceTypeName, BTreeSet<Zone>> = BTreeMap::new();
    for market in offered {
        zones.entry(market.instance_type).or_default().insert(market.zone);
    }
    zones
}

async fn spot_prices<C: Cloud>(context: &Context<C>) -> bool {
    let read = context.read("DescribeSpotPriceHistory", context.cloud.spot_prices());
    let result = read.await.map(|prices| {
        update(context, |catalogue| {
            catalogue.spot_prices = prices;
            catalogue.spot_prices_as_of = Some(Timestamp::now());
        });
    });
    let error = failure("spot prices", result);
    let is_ok = error.is_none();
    context.view.with(|seen| note(&mut seen.prices_source, error));
    context.wake.ring(News::Change);
    is_ok
}

async fn on_demand_prices<C: Cloud>(context: &Context<C>) -> bool {
    let read = context.read("GetProducts", context.cloud.on_demand_prices());
    let result = read.await.map(|prices| {
        update(context, |catalogue| {
            catalogue.on_demand_prices = prices;
            catalogue.on_demand_prices_are_built_in = false;
        });
    });
    let is_ok = failure("on-demand prices", result).is_none();
    context.wake.ring(News::Change);
    is_ok
}

/// Without the permission to see them nothing is taken to be reserved.
async fn reservations<C: Cloud>(context: &Context<C>) -> bool {
    let read = context.read(
        "DescribeCapacityReservations",
        context.cloud.capacity_reservations(),
    );
    let result = read.await.map(|reservations| {
        update(context, |catalogue| {
            catalogue.reservations = reservations;
            catalogue.reservations_as_of = Some(Timestamp::now());
        });
    });
    failure("capacity reservations", result).is_none()
}

fn update<C>(context: &Context<C>, change: impl FnOnce(&mut Catalogue)) {
    // Snapshots share the catalogue: the new one is made beside it.
    let mut catalogue = context.view.with(|seen| seen.catalogue.as_ref().clone());
    change(&mut catalogue);
    context.view.with(|seen| seen.catalogue = Arc::new(catalogue));
}

fn failure(what: &str, result: Result<(), CloudError>) -> Option<CloudError> {
    let error = result.err();
    if let Some(error) = &error {
        warn!(%error, "{what} cannot be read");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offerings_are_gathered_by_type() {
        let market = |instance_type: &str, zone: &str| Market {
            instance_type: instance_type.into(),
            zone: zone.into(),
        };
        let found = zones(vec![
            market("m5.large", "b"),
            market("c5.large", "a"),
            market("m5.large", "a"),
        ]);
        assert_eq!(found.len(), 2);
        assert_eq!(found["m5.large"], BTreeSet::from(["a".into(), "b".into()]));
    }
}
