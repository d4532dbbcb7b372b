//! Half-open markets, and lots that stay within the pool's shares.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spotocean_api::ocean_launch::{
    FleetOverride, LaunchError, LaunchErrorScope, LaunchPhase, LaunchTemplateConfig, OceanLaunch,
    OceanLaunchSpec, OceanLaunchStatus,
};
use spotocean_core::id::ObjectKey;
use spotocean_core::money::PricePerHour;
use spotocean_core::resources::Resources;

use super::*;
use crate::answers::{answered, selecting};
use crate::fixtures::{SnapshotBuilder, ago, snapshot};
use crate::pool::pools_of;
use crate::provisioning::cooldown::Cooldowns;
use crate::provisioning::futile::GaveUp;
use crate::provisioning::nodes::Landscape;
use crate::provisioning::supply::supply;

/// A launch for m5.large in zone a that failed so many seconds ago; still open without a number.
fn launch(failed_seconds_ago: Option<i64>) -> OceanLaunch {
    let place = FleetOverride {
        instance_type: "m5.large".into(),
        zone: "us-east-1a".into(),
        ..FleetOverride::default()
    };
    let spec = OceanLaunchSpec {
        ocean_name: "shop".into(),
        ocean_uid: "uid-shop".into(),
        pool_name: "main".into(),
        attempt: 1,
        client_token: "token".into(),
        request: spotocean_api::ocean_launch::FleetRequest {
            capacity_type: spotocean_api::capacity_type::CapacityType::Spot,
            allocation_strategy: spotocean_api::ocean_launch::AllocationStrategy::PriceCapacityOptimized,
            target_capacity: 1,
            launch_templates: vec![LaunchTemplateConfig {
                overrides: vec![place],
                ..LaunchTemplateConfig::default()
            }],
            tags: Vec::new(),
        },
        members: Vec::new(),
    };
    let mut launch = OceanLaunch::new(&format!("launch-{failed_seconds_ago:?}"), spec);
    launch.status = failed_seconds_ago.map(|seconds| OceanLaunchStatus {
        phase: LaunchPhase::Answered,
        answered_at: Some(Time(ago(seconds))),
        errors: vec![LaunchError {
            instance_type: Some("m5.large".into()),
            zone: Some("us-east-1a".into()),
            scope: LaunchErrorScope::Market,
            ..LaunchError::default()
        }],
        ..OceanLaunchStatus::default()
    });
    launch
}

fn world(launches: Vec<OceanLaunch>) -> SnapshotBuilder {
    answered(snapshot().ocean(selecting("shop", &["main"])))
        .with(|snapshot| snapshot.launches = launches.into_iter().map(Arc::new).collect())
}

fn market(instance_type: &str, zone: &str) -> Market {
    Market {
        instance_type: instance_type.into(),
        zone: zone.into(),
    }
}

fn node(number: usize, candidates: &[Market]) -> NewNode {
    NewNode {
        pool: PoolKey {
            ocean: "shop".into(),
            pool: "main".into(),
        },
        capacity_type: CapacityType::Spot,
        candidates: candidates.to_vec(),
        price: PricePerHour(1),
        requests: Resources::default(),
        pods: vec![ObjectKey::new("default", &format!("web-{number}"))],
    }
}

/// Lots for so many equal nodes, and how many pods have to wait.
fn made(world: SnapshotBuilder, nodes: usize, candidates: &[Market]) -> (Lots, Solution) {
    let snapshot = world.build();
    let cooldowns = Cooldowns::of(&snapshot);
    let supplies: Vec<Supply> = pools_of(&snapshot.oceans[0])
        .into_iter()
        .map(|view| supply(&snapshot, &cooldowns, view))
        .collect();
    let pass = Pass {
        reserved: crate::provisioning::reserved::Reserved::default(),
        snapshot: &snapshot,
        cooldowns,
        gave_up: GaveUp::default(),
        landscape: Landscape::default(),
    };
    let mut solution = Solution {
        new_nodes: (0..nodes).map(|number| node(number, candidates)).collect(),
        ..Solution::default()
    };
    let lots = pass.lots(&supplies.iter().collect::<Vec<_>>(), &mut solution, usize::MAX);
    (lots, solution)
}

#[test]
fn a_half_open_market_is_tried_by_one_small_launch() {
    let (dry, other) = (
        market("m5.large", "us-east-1a"),
        market("m5.xlarge", "us-east-1b"),
    );
    let only = std::slice::from_ref(&dry);
    let offers = |lots: &Lots, place: &Market| {
        lots.lots
            .iter()
            .filter(|(_, lot)| lot.markets.contains(place))
            .map(|(_, lot)| lot.nodes.len())
            .sum::<usize>()
    };
    let half_open = || world(vec![launch(Some(200))]);
    let (lots, solution) = made(half_open(), 5, only);
    assert_eq!(
        (offers(&lots, &dry), solution.unplaced.len()),
        (1, 4),
        "one goes ahead, four wait"
    );
    assert!(lots.is_probing);
    let (lots, solution) = made(half_open(), 5, &[dry.clone(), other.clone()]);
    assert_eq!(
        (offers(&lots, &dry), solution.unplaced.len()),
        (0, 0),
        "the others take the place"
    );
    let (lots, _) = made(half_open(), 2, &[dry.clone(), other]);
    assert!(offers(&lots, &dry) > 0, "a small launch may try");
    let (lots, solution) = made(world(vec![launch(Some(200)), launch(None)]), 2, only);
    assert_eq!(
        (offers(&lots, &dry), solution.unplaced.len()),
        (0, 2),
        "it is being tried already"
    );
    let (lots, solution) = made(world(Vec::new()), 5, only);
    assert_eq!(
        (offers(&lots, &dry), solution.unplaced.len()),
        (5, 0),
        "nothing has happened"
    );
}

#[test]
fn equal_nodes_are_one_lot_until_caps_speak() {
    let zones = ["us-east-1a", "us-east-1b", "us-east-1c"];
    let grid: Vec<Market> = ["m5.large", "m5.xlarge", "c5.xlarge", "r5.large", "m5.4xlarge"]
        .iter()
        .flat_map(|name| zones.map(|zone| market(name, zone)))
        .collect();
    let (lots, _) = made(world(Vec::new()), 1, &grid);
    assert_eq!(lots.lots.len(), 1);
    assert!(lots.few_markets.is_empty());
    let nodes = |lots: &Lots| lots.lots.iter().map(|(_, lot)| lot.nodes.len()).sum::<usize>();
    let following = |lots: &Lots| lots.following.values().sum::<u32>();
    let (lots, solution) = made(world(Vec::new()), 30, &grid);
    assert_eq!((solution.new_nodes.len(), solution.unplaced.len()), (30, 0));
    assert_eq!(
        (nodes(&lots), following(&lots)),
        (4, 26),
        "all fifteen places bear fifteen percent of thirty at once, and the others follow"
    );
    let (lots, solution) = made(world(Vec::new()), 30, &grid[..2]);
    assert!(lots.few_markets.values().next().unwrap().contains("2 markets"));
    assert_eq!(
        (nodes(&lots), following(&lots), solution.new_nodes.len()),
        (30, 0, 30),
        "no answer could help"
    );
}

#[test]
fn dear_candidates_are_drawn_on_only_where_caps_cut_launches_apart() {
    let world = || {
        world(Vec::new()).with(|snapshot| {
            Arc::make_mut(&mut snapshot.oceans[0])
                .spec
                .strategy
                .minimum_flexibility = 4;
        })
    };
    let prices = world().build().catalogue.spot_prices.clone();
    let mut all: Vec<Market> = prices.keys().cloned().collect();
    all.sort_by_key(|market| (prices[market], market.clone()));
    let offered = |nodes: usize| -> BTreeSet<Market> {
        let (_, solution) = made(world(), nodes, &all);
        let nodes = solution.new_nodes.into_iter();
        nodes.flat_map(|node| node.candidates).collect()
    };
    assert_eq!(all.len(), 18);
    assert_eq!(
        offered(1).len(),
        6,
        "m5.large and r5.large are within half as much again"
    );
    let types: BTreeSet<_> = offered(4)
        .into_iter()
        .map(|market| market.instance_type.to_string())
        .collect();
    assert_eq!(
        types.iter().map(String::as_str).collect::<Vec<_>>(),
        ["c5.xlarge", "m5.large", "m5.xlarge", "m6g.xlarge", "r5.large"],
        "m5.4xlarge costs more than m5.large on demand"
    );
}

#[test]
fn nodes_with_few_places_take_theirs_before_others_spread_over_them() {
    let mut all: Vec<Market> = world(Vec::new())
        .build()
        .catalogue
        .spot_prices
        .keys()
        .cloned()
        .collect();
    all.sort();
    let few: Vec<Market> = all
        .iter()
        .filter(|place| place.instance_type.as_str() == "r5.large")
        .cloned()
        .collect();
    let snapshot = world(Vec::new()).build();
    let supplies: Vec<Supply> = pools_of(&snapshot.oceans[0])
        .into_iter()
        .map(|view| supply(&snapshot, &Cooldowns::default(), view))
        .collect();
    let pass = Pass {
        reserved: crate::provisioning::reserved::Reserved::default(),
        snapshot: &snapshot,
        cooldowns: Cooldowns::default(),
        gave_up: GaveUp::default(),
        landscape: Landscape::default(),
    };
    let mut solution = Solution {
        new_nodes: vec![node(0, &all), node(1, &few)],
        ..Solution::default()
    };
    let made = pass.lots(&supplies.iter().collect::<Vec<_>>(), &mut solution, usize::MAX);
    let (_, first) = &made.lots[0];
    assert_eq!(
        first.markets, few,
        "the many places of the other are not in its way"
    );
    assert_eq!(
        (made.lots.len(), solution.new_nodes.len()),
        (1, 2),
        "EC2 may pick any zone for it, so the other follows"
    );
}
