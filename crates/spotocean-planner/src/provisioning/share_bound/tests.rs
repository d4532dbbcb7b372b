//! The bound within caps against every plan that keeps them, and what premiums save.

use proptest::prelude::*;
use spotocean_api::strategy::MaxShare;
use spotocean_core::id::{InstanceTypeName, Zone};
use spotocean_core::money::PricePerHour;

use crate::answers::{answered, selecting};
use crate::fixtures::{SnapshotBuilder, catalogue, pod, snapshot};
use crate::provisioning::Prepared;
use spotocean_core::catalogue::Catalogue;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A kind of node: type, zone, vCPUs, price, and how many of the pods it holds.
type Kind = (InstanceTypeName, Zone, i64, i64, usize);

/// Pods of three cores and five gibibytes: one goes on a node of 4 vCPUs, five on one of 16.
const CORES: i64 = 3_000;

/// Spot in zone b costs a quarter more than it does in the fixtures, in zone c half more.
fn dear_zones() -> Catalogue {
    let mut catalogue = catalogue();
    for (market, price) in &mut catalogue.spot_prices {
        let percent = match market.zone.as_str() {
            "us-east-1b" => 125,
            "us-east-1c" => 150,
            _ => 100,
        };
        *price = PricePerHour(price.micro_usd() * percent / 100);
    }
    catalogue
}

fn kinds() -> Vec<Kind> {
    let catalogue = dear_zones();
    let holds = [("m5.xlarge", 1), ("c5.xlarge", 1), ("m5.4xlarge", 5)];
    let of_type = |(name, count): (&'static str, usize)| {
        let prices = catalogue.spot_prices.iter();
        let own = prices.filter(move |(market, _)| *market.instance_type.as_str() == *name);
        let vcpus = catalogue.types[&InstanceTypeName::from(name)].vcpus;
        own.map(move |(market, price)| (name.into(), market.zone.clone(), vcpus, price.micro_usd(), count))
    };
    holds.into_iter().flat_map(of_type).collect()
}

/// The least that nodes for so many pods cost within caps: every set of nodes tried.
fn cheapest(kinds: &[Kind], pods: usize, caps: MaxShare) -> Option<i64> {
    fn extend<'k>(
        kinds: &'k [Kind],
        left: usize,
        from: usize,
        taken: &mut Vec<&'k Kind>,
        judge: &mut impl FnMut(&[&'k Kind]),
    ) {
        if left == 0 {
            judge(taken);
            return;
        }
        for (index, kind) in kinds.iter().enumerate().skip(from) {
            taken.push(kind);
            extend(kinds, left.saturating_sub(kind.4), index, taken, judge);
            taken.pop();
        }
    }
    let mut best: Option<i64> = None;
    extend(kinds, pods, 0, &mut Vec::new(), &mut |nodes| {
        if keeps(nodes, caps) {
            let cost = nodes.iter().map(|kind| kind.3).sum();
            best = Some(best.map_or(cost, |best| best.min(cost)));
        }
    });
    best
}

/// A type, a zone, or one in the other.
type Place<'k> = (Option<&'k InstanceTypeName>, Option<&'k Zone>);

fn keeps(nodes: &[&Kind], caps: MaxShare) -> bool {
    let total: i64 = nodes.iter().map(|kind| kind.2).sum();
    let mut places: BTreeMap<Place<'_>, (u32, i64, i64)> = BTreeMap::new();
    for (name, zone, vcpus, ..) in nodes {
        let of = [
            ((Some(name), Some(zone)), caps.market),
            ((Some(name), None), caps.instance_type),
            ((None, Some(zone)), caps.zone),
        ];
        for (place, percent) in of {
            let (_, held, largest) = places.entry(place).or_insert((percent, 0, 0));
            *held += vcpus;
            *largest = (*largest).max(*vcpus);
        }
    }
    let mut places = places.into_values();
    places.all(|(percent, held, largest)| held <= largest || 100 * held <= i64::from(percent) * total)
}

fn world(pods: usize, caps: MaxShare) -> SnapshotBuilder {
    let mut ocean = selecting("shop", &["main"]);
    ocean.spec.strategy.max_share = caps;
    ocean.spec.strategy.minimum_flexibility = 1;
    let wanting = (0..pods).map(|number| {
        let mut own = pod(&format!("web-{number:02}"));
        let requests = &mut Arc::make_mut(&mut own.shape).requests;
        requests.cpu_millis = CORES;
        requests.memory_bytes = 5 << 30;
        own
    });
    let world = wanting.fold(snapshot().ocean(ocean), SnapshotBuilder::pod);
    answered(world.with(|snapshot| snapshot.catalogue = dear_zones().into()))
}

/// Cost, bound and bound within caps of a look.
fn look(pods: usize, caps: MaxShare) -> (i64, i64, Option<i64>) {
    let provision = Prepared::of(&world(pods, caps).build()).rehearse();
    assert_eq!(provision.solution.unplaced, []);
    let bought = provision
        .bought
        .into_values()
        .next()
        .expect("something is bought");
    let bound = bought.lower_bound.expect("there is a bound");
    let capped = bought.capped_bound.map(PricePerHour::micro_usd);
    (bought.cost.micro_usd(), bound.micro_usd(), capped)
}

fn caps(market: u32, instance_type: u32, zone: u32) -> MaxShare {
    MaxShare {
        market,
        instance_type,
        zone,
    }
}

#[test]
fn caps_that_cost_something_raise_the_bound() {
    let (cost, bound, capped) = look(40, caps(50, 100, 50));
    let capped = capped.expect("more is proved than without caps");
    assert!(bound < capped && capped <= cost, "{bound} {capped} {cost}");
    assert!(cost - capped < (cost - bound) / 2, "{bound} {capped} {cost}");
}

#[test]
fn without_caps_there_is_nothing_more_to_prove() {
    let (_, _, capped) = look(40, caps(100, 100, 100));
    assert_eq!(capped, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the shares, no plan that keeps them is cheaper than the bound.
    #[test]
    fn no_plan_within_the_caps_is_below_the_bound(
        pods in 2_usize..7,
        market in 10_u32..=100,
        more in (0_u32..=90, 0_u32..=90),
    ) {
        let caps = caps(market, (market + more.0).min(100), (market + more.1).min(100));
        let (_, _, capped) = look(pods, caps);
        if let (Some(capped), Some(least)) = (capped, cheapest(&kinds(), pods, caps)) {
            prop_assert!(capped <= least, "{} {}", capped, least);
        }
    }
}
