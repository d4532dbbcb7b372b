//! Rounds against an EC2 that picks as it likes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use spotocean_api::strategy::MaxShare;

use super::*;
use crate::provisioning::share::tests::{CAPS, grid, market};

type Always = fn(&[Market]) -> bool;

fn dealer<'a, V, P>(total: i64, vcpus: &'a V, price: &'a P) -> Dealer<'a, V, P, Always>
where
    V: Fn(&InstanceTypeName) -> i64,
    P: Fn(&Market) -> i64,
{
    const ALWAYS: Always = |_| true;
    Dealer {
        caps: Caps::of(CAPS, total),
        flexibility: 15,
        vcpus,
        price,
        suffices: &ALWAYS,
    }
}

/// The first type costs 100, each further one 10 more.
fn rising(place: &Market) -> i64 {
    let number: i64 = place.instance_type.as_str()[1..]
        .trim_end_matches(".large")
        .parse()
        .unwrap();
    100 + 10 * (number - 3)
}

fn nodes(portions: &[Portion]) -> usize {
    portions.iter().map(|portion| portion.nodes).sum()
}

#[test]
fn one_node_goes_at_once() {
    let deal = dealer(2, &|_| 2, &rising).deal(&mut Books::default(), &grid(20, 3), 1, i64::MAX);
    assert_eq!((nodes(&deal.now), nodes(&deal.later), deal.left), (1, 0, 0));
    assert_eq!(deal.now[0].markets.len(), 15);
}

#[test]
fn a_purchase_starts_in_cheap_markets_and_the_rest_follows() {
    let deal = dealer(400, &|_| 4, &rising).deal(&mut Books::default(), &grid(20, 3), 100, i64::MAX);
    assert_eq!(deal.left, 0);
    assert_eq!(
        deal.now.len(),
        1,
        "every further launch would cost half as much again"
    );
    assert_eq!(deal.now[0].nodes, 15);
    let dearest = deal.later.iter().map(|portion| rising(&portion.markets[0])).max();
    assert_eq!(dearest, Some(120), "three types at 35 % hold all");
}

#[test]
fn equal_prices_let_several_launches_go_at_once() {
    let deal = dealer(400, &|_| 4, &|_| 100).deal(&mut Books::default(), &grid(20, 3), 100, i64::MAX);
    assert_eq!(deal.now.len(), 4, "sixty places, fifteen each");
    assert_eq!(nodes(&deal.now), 60);
    assert_eq!(nodes(&deal.later), 40);
}

#[test]
fn nodes_wait_for_an_answer_and_for_nothing_else() {
    let candidates = grid(1, 1);
    let full = |is_answer_due: bool| {
        let mut books = Books::default();
        let launch = Portion {
            nodes: 3,
            markets: candidates.clone(),
        };
        books.worst.book(&launch.markets, 3, |_| 2);
        books.is_answer_due = is_answer_due;
        dealer(20, &|_| 2, &rising).deal(&mut books, &candidates, 1, i64::MAX)
    };
    let waits = full(true);
    assert_eq!((nodes(&waits.later), waits.left), (1, 0));
    let does_not = full(false);
    assert_eq!(
        (nodes(&does_not.now), nodes(&does_not.later), does_not.left),
        (0, 0, 1)
    );
}

#[test]
fn a_small_start_does_not_hold_up_the_others() {
    // The cheapest place but one bears a single node more; all of them are offered in the first launch.
    let candidates = grid(8, 1);
    let mut books = Books::default();
    let held = [market("m4.large", "zone-0")];
    books.worst.book(&held, 29, |_| 2);
    books.expected.book(&held, 29, |_| 2);
    let vcpus = |_: &InstanceTypeName| 2;
    let wide = MaxShare { zone: 100, ..CAPS };
    let dealer = Dealer {
        caps: Caps::of(wide, 400),
        ..dealer(400, &vcpus, &rising)
    };
    let deal = dealer.deal(&mut books, &candidates, 60, i64::MAX);
    let counts: Vec<_> = deal.now.iter().map(|portion| portion.nodes).collect();
    assert_eq!(counts, [1, 29], "{:?}", deal.now);
}

#[test]
fn what_is_too_dear_is_left() {
    let deal = dealer(400, &|_| 4, &rising).deal(&mut Books::default(), &grid(20, 3), 100, 110);
    assert_eq!(nodes(&deal.now) + nodes(&deal.later), 70);
    assert_eq!(deal.left, 30, "two types of 35 % each cost no more");
}

#[test]
fn a_look_that_sends_little_pays_more_but_never_too_much() {
    let candidates = grid(20, 2);
    let two_nodes = |ceiling: i64| {
        let mut books = Books::default();
        for place in &candidates[..2] {
            books.worst.book(std::slice::from_ref(place), 14, |_| 4);
            books.expected.book(std::slice::from_ref(place), 14, |_| 4);
        }
        let deal = dealer(400, &|_| 4, &rising).deal(&mut books, &candidates, 2, ceiling);
        (nodes(&deal.now), nodes(&deal.later))
    };
    // The cheapest type has room for a node in each zone, and EC2 may pick either for the first.
    assert_eq!(two_nodes(i64::MAX), (2, 0));
    assert_eq!(two_nodes(100), (1, 1));
}

/// What a place may hold: its share of all there is, or one node.
fn may_hold(percent: u32, total: i64, node: i64) -> i64 {
    (total * i64::from(percent) / 100).max(node)
}

/// What is held by market, type and zone.
#[derive(Clone, Default)]
struct Held {
    markets: BTreeMap<Market, i64>,
    types: BTreeMap<String, i64>,
    zones: BTreeMap<String, i64>,
}

impl Held {
    fn add(&mut self, place: &Market, vcpus: i64) {
        *self.markets.entry(place.clone()).or_default() += vcpus;
        *self.types.entry(place.instance_type.to_string()).or_default() += vcpus;
        *self.zones.entry(place.zone.to_string()).or_default() += vcpus;
    }

    fn is_within(&self, total: i64, vcpus: &impl Fn(&InstanceTypeName) -> i64, largest: i64) -> bool {
        let node = |name: &str| vcpus(&InstanceTypeName::from(name));
        self.markets
            .iter()
            .all(|(place, held)| *held <= may_hold(CAPS.market, total, node(place.instance_type.as_str())))
            && self
                .types
                .iter()
                .all(|(name, held)| *held <= may_hold(CAPS.instance_type, total, node(name)))
            && self
                .zones
                .values()
                .all(|held| *held <= may_hold(CAPS.zone, total, largest))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// EC2 plays the adversary: in every round each launch goes in full to a place of its choice.
    #[test]
    fn caps_hold_in_every_round_and_rounds_are_few(
        types in 6_usize..25,
        zones in 2_usize..5,
        count in 1_usize..150,
        sizes in prop::collection::vec(1_i64..5, 25),
        prices in prop::collection::vec(1_i64..100, 100),
        picks in prop::collection::vec(any::<u32>(), 200),
    ) {
        let mut candidates = grid(types, zones);
        let index = |name: &str| -> usize { name[1..].trim_end_matches(".large").parse::<usize>().unwrap() - 3 };
        let vcpus = |name: &InstanceTypeName| 2 * sizes[index(name.as_str())];
        let price = |place: &Market| {
            let zone: usize = place.zone.as_str()[5..].parse().unwrap();
            prices[index(place.instance_type.as_str()) * 4 + zone]
        };
        candidates.sort_by_key(price);
        let smallest = candidates.iter().map(|place| vcpus(&place.instance_type)).min().unwrap();
        let total = i64::try_from(count).unwrap() * smallest;
        let dealer = dealer(total, &vcpus, &price);
        let (mut held, mut left, mut rounds) = (Held::default(), count, 0);
        let mut known = Holdings::default();
        let mut picks = picks.iter().cycle();
        while left > 0 {
            let mut books = Books { worst: known.clone(), expected: known.clone(), ..Books::default() };
            let deal = dealer.deal(&mut books, &candidates, left, i64::MAX);
            prop_assert_eq!(nodes(&deal.now) + nodes(&deal.later) + deal.left, left);
            if deal.now.is_empty() {
                // Only where nothing bears one more does nothing go.
                prop_assert!(candidates.iter().all(|place| dealer.caps.room(&known, &[place], 1, &vcpus) == 0));
                break;
            }
            rounds += 1;
            for portion in deal.now {
                let pick = usize::try_from(*picks.next().unwrap()).unwrap() % portion.markets.len();
                let place = &portion.markets[pick];
                let nodes = i64::try_from(portion.nodes).unwrap();
                held.add(place, nodes * vcpus(&place.instance_type));
                known.book(std::slice::from_ref(place), nodes, vcpus);
                left -= portion.nodes;
            }
            prop_assert!(held.is_within(total, &vcpus, 8));
        }
        prop_assert!(rounds <= 20, "{} rounds for {} nodes over {} places", rounds, count, candidates.len());
    }
}
