//! Consolidation through its boundary: rows per kind of change, laws over random
//! clusters, and an exhaustive search that shares no code with it.

mod checker;
mod estates;
mod exhaustive;
mod laws;

use spotocean_core::label;
use spotocean_core::money::PricePerHour;
use spotocean_solver::consolidation::{Consolidation, Estate, Holding, Hysteresis, Tenant, solve};
use spotocean_solver::problem::{BuyablePool, NodeRef, PendingPod, RemainingLimits};

use crate::fixtures::*;

/// A node of 4 CPU and 16 GiB at 40 millidollars with these tenants.
fn holding(name: &str, zone: &str, tenants: Vec<PendingPod>) -> Holding {
    Holding {
        node: node(name, zone),
        price: PricePerHour(40_000),
        risk: PricePerHour::ZERO,
        stays: None,
        tenants: tenants
            .into_iter()
            .map(|pod| Tenant { pod, move_cost: 0 })
            .collect(),
    }
}

fn estate(holdings: Vec<Holding>, pools: Vec<BuyablePool>) -> Estate {
    Estate {
        holdings,
        pools,
        hysteresis: Hysteresis {
            min_savings_percent: 2,
            horizon_seconds: 3600,
            overlap_seconds: 0,
        },
        ..Estate::default()
    }
}

fn removed(found: &Consolidation) -> Vec<&str> {
    let names = found.removed().into_iter();
    names
        .map(|node| match node {
            NodeRef::Node(name) => name.as_str(),
            NodeRef::OnItsWay(name) => name.as_str(),
        })
        .collect()
}

/// Types bought, cheapest first.
fn bought(found: &Consolidation) -> Vec<&str> {
    let nodes = found.new_nodes.iter();
    nodes
        .map(|node| node.candidates[0].instance_type.as_str())
        .collect()
}

/// Asks, and has the answer checked.
fn asked(estate: &Estate) -> Consolidation {
    let found = solve(estate);
    let faults = checker::faults(estate, &found);
    assert!(faults.is_empty(), "{faults:#?}\n{found:#?}");
    found
}

#[test]
fn each_kind_of_change_is_found_where_it_pays() {
    let small = || pool("general").offer("m5.large", "a", 2, 8, 15_000);
    let pods = |name: &str, count: usize| pod(name).cpu(1000).times(count);
    let dear = |mut holding: Holding, price: i64| {
        holding.price = PricePerHour(price);
        holding
    };
    let rows: Vec<(&str, Estate, Vec<&str>, Vec<&str>)> = vec![
        (
            "an empty node is deleted",
            estate(vec![holding("a", "a", vec![])], vec![small()]),
            vec!["a"],
            vec![],
        ),
        (
            "a node whose pods fit beside others is deleted",
            estate(
                vec![
                    holding("a", "a", pods("one", 1)),
                    holding("b", "a", pods("two", 2)),
                ],
                vec![],
            ),
            vec!["a"],
            vec![],
        ),
        (
            "a full node stays",
            estate(
                vec![holding("a", "a", pods("one", 4))],
                vec![pool("general").offer("m5.large", "a", 2, 8, 20_000)],
            ),
            vec![],
            vec![],
        ),
        (
            "a node too large is replaced by a smaller one",
            estate(vec![holding("a", "a", pods("one", 2))], vec![small()]),
            vec!["a"],
            vec!["m5.large"],
        ),
        (
            "a dear node is split in two",
            estate(
                vec![dear(holding("a", "a", pods("one", 4)), 60_000)],
                vec![small()],
            ),
            vec!["a"],
            vec!["m5.large", "m5.large"],
        ),
        (
            "two nodes are merged into one",
            estate(
                vec![
                    dear(holding("a", "a", pods("one", 3)), 40_000),
                    dear(holding("b", "a", pods("two", 3)), 40_000),
                ],
                vec![pool("general").offer("m5.2xlarge", "a", 8, 32, 60_000)],
            ),
            vec!["a", "b"],
            vec!["m5.2xlarge"],
        ),
        (
            "three nodes become two",
            estate(
                ["a", "b", "c"]
                    .map(|name| holding(name, "a", pods(name, 4)))
                    .into(),
                vec![pool("general").offer("c5.xlarge", "a", 6, 16, 45_000)],
            ),
            vec!["a", "b", "c"],
            vec!["c5.xlarge", "c5.xlarge"],
        ),
        (
            "on-demand goes back to spot, also in another zone",
            estate(
                vec![dear(holding("a", "a", pods("one", 4)), 120_000)],
                vec![pool("general").offer("m5.xlarge", "b", 4, 16, 40_000).on_demand(
                    "m5.xlarge",
                    "a",
                    4,
                    16,
                    120_000,
                )],
            ),
            vec!["a"],
            vec!["m5.xlarge"],
        ),
    ];
    for (name, estate, gone, new) in rows {
        let found = asked(&estate);
        assert_eq!(removed(&found), gone, "{name}: {found:#?}");
        assert_eq!(bought(&found), new, "{name}");
    }
}

#[test]
fn nothing_happens_for_less_than_the_hysteresis_demands() {
    let full = || pod("one").times(4);
    let cheaper = |price| vec![pool("general").offer("m5.xlarge", "a", 4, 16, price)];
    // 2 % of 40,000 are 800.
    for (price, is_replaced) in [(39_201, false), (39_200, true)] {
        let found = asked(&estate(vec![holding("a", "a", full())], cheaper(price)));
        assert_eq!(!found.changes.is_empty(), is_replaced, "{price}");
    }
    // Four pods that cost 2,000 each to move must earn 8,000 within the hour.
    for (price, horizon_seconds, is_replaced) in
        [(31_201, 3600, false), (31_200, 3600, true), (31_201, 7200, true)]
    {
        let mut estate = estate(vec![holding("a", "a", full())], cheaper(price));
        estate.hysteresis.horizon_seconds = horizon_seconds;
        estate.holdings[0]
            .tenants
            .iter_mut()
            .for_each(|tenant| tenant.move_cost = 2_000);
        let found = asked(&estate);
        assert_eq!(
            !found.changes.is_empty(),
            is_replaced,
            "{price} {horizon_seconds}"
        );
    }
    // A removed node is paid for a while beside what replaces it: 40,000 for half an hour.
    for (price, is_replaced) in [(19_201, false), (19_200, true)] {
        let mut estate = estate(vec![holding("a", "a", full())], cheaper(price));
        estate.hysteresis.overlap_seconds = 1800;
        assert_eq!(!asked(&estate).changes.is_empty(), is_replaced, "{price}");
    }
}

#[test]
fn what_may_not_go_stays_and_still_takes_pods() {
    let mut estate = estate(
        vec![
            holding("a", "a", pod("one").times(1)),
            holding("b", "a", pod("two").times(2)),
        ],
        vec![],
    );
    assert_eq!(removed(&asked(&estate)), ["a"]);
    estate.holdings[0].stays = Some("a pod on it asks not to be disturbed".into());
    assert_eq!(removed(&asked(&estate)), ["b"]);
    estate.holdings[1].stays = estate.holdings[0].stays.clone();
    assert!(asked(&estate).changes.is_empty());
}

#[test]
fn pods_that_stay_keep_what_they_asked_for() {
    let spread_over_zones = || pod("web").spread(spread(label::ZONE, "web"));
    let named = |name: &str| spread_over_zones().named(name).pending();
    // Two zones hold one each: neither pod may join the other's zone.
    let two = |with: Vec<Holding>| {
        let mut holdings = vec![
            holding("a", "a", vec![named("web-1")]),
            holding("b", "b", vec![named("web-2")]),
        ];
        holdings.extend(with);
        estate(holdings, vec![])
    };
    assert!(asked(&two(vec![])).changes.is_empty());
    // With room in the same zone one of that zone's nodes goes.
    assert_eq!(
        removed(&asked(&two(vec![holding("c", "b", pod("x").times(1))]))).len(),
        1
    );
    // A pod that stays keeps others off its node.
    let alone = pod("db").without(term(label::HOSTNAME, "web"));
    let beside = estate(
        vec![
            holding("a", "a", vec![alone.pending()]),
            holding("b", "a", vec![pod("web-1").pending()]),
        ],
        vec![],
    );
    assert!(asked(&beside).changes.is_empty());
    // A pod that stays keeps its only mate in the zone.
    let seeker = pod("api").with(term(label::ZONE, "db"));
    let mut apart = estate(
        vec![
            holding("a", "a", vec![seeker.pending()]),
            holding("b", "a", vec![pod("db-1").pending()]),
            holding("c", "b", vec![pod("x").pending()]),
        ],
        vec![],
    );
    apart.holdings[0].stays = Some("kept".into());
    apart.holdings[0].node.accepts_pods = false;
    let found = asked(&apart);
    assert_eq!(removed(&found), ["c"], "only towards the mate");
}

#[test]
fn a_pool_at_its_limit_still_gives_back() {
    let pools = || {
        let pool = pool("general").offer("m5.large", "a", 2, 8, 15_000);
        vec![pool.limited(RemainingLimits {
            nodes: Some(0),
            ..RemainingLimits::default()
        })]
    };
    let holdings = || {
        vec![
            holding("a", "a", pod("one").times(1)),
            holding("b", "a", pod("two").times(2)),
        ]
    };
    let found = asked(&estate(holdings(), pools()));
    assert_eq!(removed(&found), ["a"]);
    assert!(found.new_nodes.is_empty());
}

#[test]
fn the_bound_knows_what_must_stay() {
    let mut estate = estate(
        vec![
            holding("a", "a", pod("one").times(4)),
            holding("b", "a", pod("two").times(4)),
        ],
        vec![pool("general").offer("m5.xlarge", "a", 4, 16, 40_000)],
    );
    let found = asked(&estate);
    assert_eq!(
        (found.lower_bound, found.cost_after),
        (PricePerHour(80_000), PricePerHour(80_000))
    );
    assert_eq!(found.gap_per_million(), Some(0));
    estate.holdings[0].stays = Some("kept".into());
    estate.holdings[0].price = PricePerHour(500_000);
    assert_eq!(asked(&estate).lower_bound, PricePerHour(540_000));
}

#[test]
fn an_empty_estate_has_an_empty_answer() {
    let found = asked(&Estate::default());
    assert_eq!(found, Consolidation::default());
}
