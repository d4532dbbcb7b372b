//! Caps under an EC2 that picks the worst place each time.

use proptest::prelude::*;

use super::*;

const CAPS: MaxShare = MaxShare {
    market: 15,
    instance_type: 35,
    zone: 60,
};

fn market(instance_type: &str, zone: &str) -> Market {
    Market {
        instance_type: instance_type.into(),
        zone: zone.into(),
    }
}

/// `types` × `zones`, cheapest type first.
fn grid(types: usize, zones: usize) -> Vec<Market> {
    let place = |index: usize| {
        market(
            &format!("m{}.large", index / zones + 3),
            &format!("zone-{}", index % zones),
        )
    };
    (0..types * zones).map(place).collect()
}

fn run(holdings: &mut Holdings, nodes: usize, candidates: &[Market], held: i64, vcpus: i64) -> Split {
    let wanted = Wanted {
        nodes,
        candidates,
        total_vcpus: held + i64::try_from(nodes).unwrap() * vcpus,
        caps: CAPS,
        flexibility: 15,
    };
    split(holdings, &wanted, &|_| vcpus, &|_| true)
}

#[test]
fn one_node_goes_anywhere_in_one_launch() {
    let candidates = grid(20, 3);
    let split = run(&mut Holdings::default(), 1, &candidates, 0, 2);
    assert_eq!(split.portions.len(), 1);
    assert_eq!(split.portions[0].markets.len(), 60, "all places stay open to EC2");
    assert!(!split.is_reduced);
}

#[test]
fn a_hundred_nodes_are_few_launches_with_many_places() {
    let split = run(&mut Holdings::default(), 100, &grid(30, 3), 0, 4);
    assert!(!split.is_reduced);
    assert!(split.portions.len() <= 9, "{} launches", split.portions.len());
    assert!(split.portions.iter().all(|portion| portion.markets.len() >= 9));
    assert_eq!(
        split.portions.iter().map(|portion| portion.nodes).sum::<usize>(),
        100
    );
}

#[test]
fn enough_candidates_keep_launches_flexible_under_caps() {
    let wanted = candidates_wanted(15, CAPS);
    assert_eq!(wanted, 150);
    // So many nodes over so many zones, and the places of the narrowest launch at least.
    let rows = [
        (1, 6, 150),
        (3, 6, 16),
        (4, 6, 18),
        (10, 6, 15),
        (20, 6, 18),
        (60, 6, 18),
        (10, 3, 12),
        (20, 3, 16),
        (60, 3, 16),
    ];
    for (nodes, zones, least) in rows {
        let candidates = grid(wanted / zones, zones);
        let split = run(&mut Holdings::default(), nodes, &candidates, 0, 4);
        assert!(!split.is_reduced, "{nodes} nodes in {zones} zones");
        assert!(
            split.narrowest() >= least,
            "{nodes} nodes in {zones} zones: {}",
            split.narrowest()
        );
    }
    let few = run(&mut Holdings::default(), 10, &grid(5, 3), 0, 4);
    assert_eq!(few.narrowest(), 1, "fifteen are far too few for ten launches");
}

#[test]
fn what_the_pool_holds_counts() {
    let mut holdings = Holdings::default();
    holdings.book(&[market("m3.large", "zone-0")], 10, |_| 2);
    let split = run(&mut holdings, 2, &grid(10, 3), 20, 2);
    let offered = split.portions.iter().flat_map(|portion| &portion.markets);
    assert!(
        offered.clone().all(|place| place.zone.as_str() != "zone-0"),
        "zone-0 holds all"
    );
    assert!(!split.is_reduced);
}

#[test]
fn few_markets_relax_the_caps_and_leave_nothing_pending() {
    for (types, zones, nodes) in [(1, 1, 5), (1, 3, 10), (2, 1, 7), (3, 2, 50)] {
        let split = run(&mut Holdings::default(), nodes, &grid(types, zones), 0, 2);
        assert!(split.is_reduced, "{types} types, {zones} zones");
        assert_eq!(
            split.portions.iter().map(|portion| portion.nodes).sum::<usize>(),
            nodes
        );
    }
}

#[test]
fn a_relaxed_split_is_even() {
    let split = run(&mut Holdings::default(), 9, &grid(1, 3), 0, 2);
    let counts: Vec<_> = split.portions.iter().map(|portion| portion.nodes).collect();
    assert_eq!(counts, [3, 3, 3]);
}

#[test]
fn a_launch_keeps_the_values_it_needs() {
    let candidates = grid(6, 3);
    let wanted = Wanted {
        nodes: 20,
        candidates: &candidates,
        total_vcpus: 40,
        caps: CAPS,
        flexibility: 15,
    };
    let suffices = |places: &[Market]| {
        places
            .iter()
            .map(|place| &place.instance_type)
            .collect::<BTreeSet<_>>()
            .len()
            >= 4
    };
    let split = split(&mut Holdings::default(), &wanted, &|_| 2, &suffices);
    assert!(split.portions.iter().all(|portion| suffices(&portion.markets)));
    assert_eq!(
        split.portions.iter().map(|portion| portion.nodes).sum::<usize>(),
        20
    );
}

/// What a place may hold: its share of all there is, or one node.
fn may_hold(percent: u32, total: i64, node: i64) -> i64 {
    (total * i64::from(percent) / 100).max(node)
}

proptest! {
    /// EC2 plays the adversary: every launch goes in full to a place of its choice.
    #[test]
    fn caps_hold_for_any_allocation(
        types in 4_usize..25,
        zones in 2_usize..5,
        groups in prop::collection::vec((1_usize..40, 0_usize..8), 1..5),
        sizes in prop::collection::vec(1_i64..5, 25),
        picks in prop::collection::vec(any::<u32>(), 200),
    ) {
        let candidates = grid(types, zones);
        let vcpus = |name: &InstanceTypeName| {
            let index: usize = name.as_str().trim_start_matches('m').trim_end_matches(".large").parse().unwrap();
            2 * sizes[index - 3]
        };
        let smallest = |places: &[Market]| places.iter().map(|place| vcpus(&place.instance_type)).min().unwrap();
        let groups: Vec<(usize, &[Market])> =
            groups.iter().map(|(nodes, skip)| (*nodes, &candidates[(skip % candidates.len())..])).collect();
        let total: i64 =
            groups.iter().map(|(nodes, places)| i64::try_from(*nodes).unwrap() * smallest(places)).sum();
        let mut holdings = Holdings::default();
        let (mut markets, mut by_type, mut by_zone) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (mut picks, mut is_reduced, mut launched, mut wanted_nodes) = (picks.iter().cycle(), false, 0, 0);
        for (nodes, places) in groups {
            let wanted = Wanted { nodes, candidates: places, total_vcpus: total, caps: CAPS, flexibility: 15 };
            let split = split(&mut holdings, &wanted, &vcpus, &|_| true);
            is_reduced |= split.is_reduced;
            wanted_nodes += nodes;
            for portion in split.portions {
                prop_assert!(portion.markets.iter().all(|place| places.contains(place)));
                launched += portion.nodes;
                let pick = usize::try_from(*picks.next().unwrap()).unwrap() % portion.markets.len();
                let place = &portion.markets[pick];
                let vcpus = vcpus(&place.instance_type) * i64::try_from(portion.nodes).unwrap();
                *markets.entry(place.clone()).or_insert(0) += vcpus;
                *by_type.entry(place.instance_type.clone()).or_insert(0) += vcpus;
                *by_zone.entry(place.zone.clone()).or_insert(0) += vcpus;
            }
        }
        prop_assert_eq!(launched, wanted_nodes, "no pod waits for a cap");
        if !is_reduced {
            let largest = 8;
            for (place, held) in markets {
                prop_assert!(held <= may_hold(CAPS.market, total, vcpus(&place.instance_type)), "{place}: {held} of {total}");
            }
            for (name, held) in by_type {
                prop_assert!(held <= may_hold(CAPS.instance_type, total, vcpus(&name)), "{name}: {held} of {total}");
            }
            for (zone, held) in by_zone {
                prop_assert!(held <= may_hold(CAPS.zone, total, largest), "{zone}: {held} of {total}");
            }
        }
    }
}
