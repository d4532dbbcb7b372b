//! What a pool holds on spot as a look begins: what is known, and what EC2 has yet to say.

use std::sync::Arc;

use jiff::SignedDuration;
use spotocean_api::ocean_launch::OceanLaunch;
use spotocean_api::ocean_node::OceanNode;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{InstanceTypeName, PoolKey};
use spotocean_core::offering::Market;

use super::in_flight::{is_open, launches_by_name, market_of, places_of, pool_of};
use super::rounds::Books;
use super::share::Holdings;
use crate::snapshot::Snapshot;
use crate::vocabulary;

/// How long EC2's answer is waited for; it takes two seconds. What takes longer counts as held and is not waited for.
const ANSWERS_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// vCPUs of a type.
pub(super) fn vcpus(snapshot: &Snapshot, name: &InstanceTypeName) -> i64 {
    let types = &snapshot.catalogue.types;
    types.get(name).map_or(0, |described| described.vcpus)
}

/// vCPUs of the smallest node that may come of so many places.
pub(super) fn least_vcpus(snapshot: &Snapshot, places: &[Market]) -> i64 {
    let types = places.iter().map(|place| &place.instance_type);
    types.map(|name| vcpus(snapshot, name)).min().unwrap_or(0)
}

/// The books of a pool, and its vCPUs in all, counted low.
pub(super) fn books(snapshot: &Snapshot, pool: &PoolKey) -> (Books, i64) {
    let vcpus = |name: &InstanceTypeName| vcpus(snapshot, name);
    let price = |market: &Market| snapshot.catalogue.price(market, CapacityType::Spot);
    let mut books = Books::default();
    let mut total = 0;
    let launches = launches_by_name(snapshot);
    for node in on_spot(snapshot, pool) {
        let places = places_of(node, &launches);
        if market_of(node).is_none() {
            let launch = launches.get(node.spec.launch_name.as_str());
            books.is_answer_due |= launch.is_none_or(|launch| is_answer_due(snapshot, launch));
        }
        total += least_vcpus(snapshot, &places);
        books.worst.book(&places, 1, vcpus);
        let cheapest = places.iter().min_by_key(|place| (price(place), *place));
        books
            .expected
            .book(&cheapest.cloned().into_iter().collect::<Vec<_>>(), 1, vcpus);
    }
    (books, total)
}

/// What a pool holds for certain: places that EC2 has picked, and the bounds of its vCPUs in all.
#[derive(Default)]
pub(super) struct Held {
    pub(super) places: Holdings,
    pub(super) least: i64,
    pub(super) most: i64,
}

/// What a pool holds for certain.
pub(super) fn held(snapshot: &Snapshot, pool: &PoolKey) -> Held {
    let vcpus = |name: &InstanceTypeName| vcpus(snapshot, name);
    let launches = launches_by_name(snapshot);
    let mut held = Held::default();
    for node in on_spot(snapshot, pool) {
        let places = places_of(node, &launches);
        let sizes = places.iter().map(|place| vcpus(&place.instance_type));
        held.least += least_vcpus(snapshot, &places);
        held.most += sizes.max().unwrap_or(0);
        held.places.book(&Vec::from_iter(market_of(node)), 1, vcpus);
    }
    held
}

/// A pool's spot nodes that stay.
fn on_spot<'s>(snapshot: &'s Snapshot, pool: &'s PoolKey) -> impl Iterator<Item = &'s Arc<OceanNode>> {
    snapshot.ocean_nodes.iter().filter(move |own| {
        pool_of(own) == *pool
            && own.metadata.deletion_timestamp.is_none()
            && vocabulary::capacity_type(own.spec.capacity_type) == CapacityType::Spot
    })
}

/// A launch whose creation the apiserver has not told yet is about to be sent.
fn is_answer_due(snapshot: &Snapshot, launch: &Arc<OceanLaunch>) -> bool {
    let created = launch.metadata.creation_timestamp.as_ref();
    is_open(launch) && created.is_none_or(|created| snapshot.now < created.0 + ANSWERS_WITHIN)
}
