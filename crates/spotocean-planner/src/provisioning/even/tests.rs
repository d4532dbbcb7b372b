//! Even splits.

use super::*;
use crate::provisioning::share::tests::{CAPS, grid};

fn run(nodes: usize, candidates: &[Market]) -> Vec<Portion> {
    let wanted = Wanted {
        nodes,
        candidates,
        total_vcpus: i64::try_from(nodes).unwrap() * 2,
        caps: CAPS,
        flexibility: 15,
    };
    split_evenly(&Holdings::default(), &wanted, &|_| 2, &|_| true)
}

#[test]
fn nothing_is_left_over() {
    for (types, zones, nodes) in [(1, 1, 5), (1, 3, 10), (2, 1, 7), (3, 2, 50)] {
        let portions = run(nodes, &grid(types, zones));
        let taken: usize = portions.iter().map(|portion| portion.nodes).sum();
        assert_eq!(taken, nodes, "{types} types, {zones} zones");
    }
}

#[test]
fn no_place_gets_more_than_the_others() {
    let counts: Vec<_> = run(9, &grid(1, 3)).iter().map(|portion| portion.nodes).collect();
    assert_eq!(counts, [3, 3, 3]);
}

#[test]
fn a_launch_keeps_the_values_it_needs() {
    let candidates = grid(6, 1);
    let wanted = Wanted {
        nodes: 20,
        candidates: &candidates,
        total_vcpus: 40,
        caps: CAPS,
        flexibility: 15,
    };
    let suffices = |places: &[Market]| places.len() >= 2;
    let portions = split_evenly(&Holdings::default(), &wanted, &|_| 2, &suffices);
    assert!(portions.iter().all(|portion| suffices(&portion.markets)));
    assert_eq!(portions.iter().map(|portion| portion.nodes).sum::<usize>(), 20);
}
