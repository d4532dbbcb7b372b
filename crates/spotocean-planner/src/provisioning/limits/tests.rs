//! Limits under an EC2 that picks the largest type each time.

use proptest::prelude::*;
use spotocean_api::ocean_node::Phase;
use spotocean_core::offering::Offering;
use spotocean_core::requirement::Labels;

use super::*;
use crate::fixtures::{self, ocean, resources, snapshot};

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    pairs
        .iter()
        .map(|(key, text)| ((*key).to_owned(), Quantity((*text).to_owned())))
        .collect()
}

fn pool() -> PoolKey {
    PoolKey {
        ocean: "shop".into(),
        pool: "main".into(),
    }
}

/// An offer of so many vCPUs, four GiB and a dime for each.
fn offer(vcpus: i64) -> Offer {
    let size = resources(vcpus * 1000, vcpus * 4, 110);
    Offer {
        risk: PricePerHour::ZERO,
        offering: Offering {
            market: market(vcpus),
            capacity_type: CapacityType::Spot,
            price: PricePerHour(100_000 * vcpus),
        },
        labels: Arc::new(Labels::new()),
        capacity: size.clone(),
        allocatable: size,
        attach_limits: Arc::default(),
    }
}

fn market(vcpus: i64) -> Market {
    Market {
        instance_type: format!("m5.{vcpus}").into(),
        zone: "us-east-1a".into(),
    }
}

fn node(candidates: &[i64]) -> NewNode {
    NewNode {
        pool: pool(),
        capacity_type: CapacityType::Spot,
        candidates: candidates.iter().map(|vcpus| market(*vcpus)).collect(),
        price: PricePerHour(0),
        requests: Resources::default(),
        pods: Vec::new(),
    }
}

fn size_of(market: &Market) -> i64 {
    market
        .instance_type
        .as_str()
        .trim_start_matches("m5.")
        .parse()
        .unwrap()
}

fn ledger(of_ocean: &[(&str, &str)], of_pool: &[(&str, &str)]) -> Ledger {
    let mut ocean = ocean("shop", &["main"]);
    ocean.spec.limits = map(of_ocean);
    ocean.spec.pools[0].limits = map(of_pool);
    Ledger::of(&snapshot().ocean(ocean).build())
}

fn admit(ledger: &mut Ledger, nodes: Vec<NewNode>) -> (Vec<NewNode>, Vec<NewNode>) {
    ledger.admit(nodes, |_, _, market| Some(offer(size_of(market))))
}

#[test]
fn limits_are_read_in_their_own_units() {
    let read = limits(&map(&[
        ("cpu", "10"),
        ("memory", "1Gi"),
        ("nodes", "3"),
        ("hourlyCost", "1.5"),
        ("nvidia.com/gpu", "2"),
    ]));
    assert_eq!(read.nodes, Some(3));
    assert_eq!(read.hourly_cost, Some(PricePerHour(1_500_000)));
    assert_eq!(read.resources.get("cpu"), Some(&10_000));
    assert_eq!(read.resources.get("memory"), Some(&(1 << 30)));
    assert_eq!(read.resources.get("nvidia.com/gpu"), Some(&2));
}

#[test]
fn nodes_count_in_every_phase() {
    let mut limited = ocean("shop", &["main"]);
    limited.spec.limits = map(&[("nodes", "5"), ("cpu", "20")]);
    let world = snapshot()
        .ocean(limited)
        .member("a", "shop", Phase::Initialized)
        .member("b", "shop", Phase::Launched)
        .member("c", "shop", Phase::Terminating)
        .ocean_node(fixtures::ocean_node("d", "shop", Phase::Pending));
    let left = Ledger::of(&world.build()).remaining(&pool());
    assert_eq!(left.nodes, Some(1));
    assert_eq!(
        left.resources.get("cpu"),
        Some(&(20_000 - 3 * 2_000)),
        "a launch that is not there cannot be sized"
    );
}

#[test]
fn the_tighter_level_decides() {
    let rows = [
        (vec![("cpu", "4")], vec![("cpu", "8")], 2),
        (vec![("cpu", "8")], vec![("cpu", "4")], 2),
        (vec![("nodes", "1")], vec![], 1),
        (vec![], vec![("hourlyCost", "0.65")], 3),
        (vec![], vec![], 5),
    ];
    for (of_ocean, of_pool, expected) in rows {
        let mut ledger = ledger(&of_ocean, &of_pool);
        let (admitted, refused) = admit(&mut ledger, vec![node(&[2]); 5]);
        assert_eq!(admitted.len(), expected, "{of_ocean:?} {of_pool:?}");
        assert_eq!(admitted.len() + refused.len(), 5);
    }
}

#[test]
fn larger_candidates_go_only_where_there_is_room_for_all() {
    let mut ledger = ledger(&[("cpu", "10")], &[]);
    let (admitted, _) = admit(&mut ledger, vec![node(&[2, 4, 8]), node(&[2, 4, 8])]);
    assert_eq!(
        admitted[0].candidates,
        [market(2), market(4), market(8)],
        "8 + 2 is within 10"
    );
    assert_eq!(admitted[1].candidates, [market(2)]);
}

proptest! {
    #[test]
    fn no_choice_of_ec2_passes_a_limit(
        cpu in 0_i64..200,
        count in 0_usize..10,
        nodes in prop::collection::vec(prop::collection::vec(1_i64..40, 1..6), 0..12),
        picks in prop::collection::vec(any::<u32>(), 12),
    ) {
        let (cpu_text, nodes_text) = (cpu.to_string(), count.to_string());
        let mut ledger = ledger(&[("cpu", &cpu_text)], &[("nodes", &nodes_text)]);
        let wanted: Vec<NewNode> = nodes.iter().map(|sizes| node(sizes)).collect();
        let (admitted, refused) = admit(&mut ledger, wanted.clone());
        prop_assert_eq!(admitted.len() + refused.len(), wanted.len());
        prop_assert!(admitted.len() <= count);
        let chosen = admitted.iter().zip(picks).map(|(node, pick)| {
            size_of(&node.candidates[usize::try_from(pick).unwrap() % node.candidates.len()])
        });
        prop_assert!(chosen.sum::<i64>() <= cpu);
    }
}
