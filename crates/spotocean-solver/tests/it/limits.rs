//! Limits that do not suffice for all: how many are served, and who goes first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use spotocean_core::money::PricePerHour;
use spotocean_solver::problem::{Problem, RemainingLimits};
use spotocean_solver::solution::Solution;
use spotocean_solver::solve::solve;

use crate::checker;
use crate::fixtures::*;
use crate::generator;

/// Types by cores, and what each costs in micro-dollars.
const TYPES: [(i64, i64); 3] = [(2, 20_000), (4, 38_000), (8, 90_000)];

/// What is short.
#[derive(Clone, Copy, Debug)]
enum Short {
    Nodes(i64),
    Cpu(i64),
    Cost(i64),
}

impl Short {
    fn limits(self) -> RemainingLimits {
        let mut limits = RemainingLimits::default();
        match self {
            Self::Nodes(left) => limits.nodes = Some(left),
            Self::Cpu(left) => limits.resources = BTreeMap::from([("cpu".into(), left * 1000)]),
            Self::Cost(left) => limits.hourly_cost = Some(PricePerHour(left)),
        }
        limits
    }

    fn left(self) -> i64 {
        match self {
            Self::Nodes(left) | Self::Cpu(left) | Self::Cost(left) => left,
        }
    }

    fn taken(self, (cores, price): (i64, i64)) -> i64 {
        match self {
            Self::Nodes(_) => 1,
            Self::Cpu(_) => cores,
            Self::Cost(_) => price,
        }
    }
}

fn asked(pods: &[(i64, i32)], short: Short) -> Problem {
    let pods = pods.iter().enumerate().map(|(number, (cpu, priority))| {
        let mut built = pod(&format!("p-{number}")).cpu(*cpu).memory(0);
        built.pod.priority = *priority;
        built.times(1)
    });
    let mut general = pool("general").limited(short.limits());
    for (cores, price) in TYPES {
        general = general.offer(&format!("m5.{cores}"), "a", cores, 64, price);
    }
    problem(pods.collect(), vec![general])
}

fn served(solution: &Solution) -> usize {
    solution.new_nodes.iter().map(|node| node.pods.len()).sum()
}

/// Whether pods of these sizes, the largest first, go into nodes with this room.
fn go_into(sizes: &[i64], room: &mut [i64]) -> bool {
    let Some((size, rest)) = sizes.split_first() else {
        return true;
    };
    for node in 0..room.len() {
        let is_first_alike = !room[..node].contains(&room[node]);
        if room[node] >= *size && is_first_alike {
            room[node] -= size;
            let fits = go_into(rest, room);
            room[node] += size;
            if fits {
                return true;
            }
        }
    }
    false
}

/// Whether some nodes within the limit hold pods of these sizes.
fn can_serve(sizes: &[i64], short: Short, left: i64, types: &[(i64, i64)], room: &mut Vec<i64>) -> bool {
    if go_into(sizes, room) {
        return true;
    }
    (0..types.len()).any(|kind| {
        let taken = short.taken(types[kind]);
        if taken > left || room.len() >= sizes.len() {
            return false;
        }
        room.push(types[kind].0 * 1000);
        let can = can_serve(sizes, short, left - taken, &types[kind..], room);
        room.pop();
        can
    })
}

/// The most pods that any plan serves: the smallest ones.
fn most_served(pods: &[(i64, i32)], short: Short) -> usize {
    let mut sizes: Vec<i64> = pods.iter().map(|(cpu, _)| *cpu).collect();
    sizes.sort_unstable();
    let can = |count: &usize| {
        let mut smallest = sizes[..*count].to_vec();
        smallest.reverse();
        can_serve(&smallest, short, short.left(), &TYPES, &mut Vec::new())
    };
    (0..=sizes.len()).rev().find(can).unwrap_or(0)
}

fn shorts() -> impl Strategy<Value = Short> {
    prop_oneof![
        (0_i64..4).prop_map(Short::Nodes),
        (0_i64..20).prop_map(Short::Cpu),
        (0_i64..200_000).prop_map(Short::Cost),
    ]
}

#[test]
fn limits_serve_the_most_pods() {
    let mixed = [
        (7_000, 0),
        (7_000, 0),
        (1_000, 0),
        (1_000, 0),
        (1_000, 0),
        (1_000, 0),
    ];
    let rows = [
        ("one node: the small ones", &mixed[..], Short::Nodes(1), 4),
        ("two nodes: a large one beside them", &mixed, Short::Nodes(2), 5),
        ("four cores for the small ones", &mixed, Short::Cpu(4), 4),
        ("dollars for the small ones", &mixed, Short::Cost(40_000), 4),
        ("enough for all", &mixed, Short::Nodes(3), 6),
        ("nothing", &mixed, Short::Nodes(0), 0),
        (
            "the large one is first",
            &[(7_000, 9), (1_000, 0), (1_000, 0)],
            Short::Cost(90_000),
            2,
        ),
    ];
    for (name, pods, short, expected) in rows {
        let problem = asked(pods, short);
        let solution = solve(&problem);
        assert_eq!(served(&solution), expected, "{name}: {solution:#?}");
        let important = Arc::<str>::from("p-0-0");
        let is_served = solution
            .new_nodes
            .iter()
            .any(|node| node.pods.iter().any(|key| key.name == important));
        assert!(pods[0].1 == 0 || is_served, "{name}: {solution:#?}");
    }
}

proptest! {
    #![proptest_config(generator::fixed_cases(400))]

    #[test]
    fn at_most_one_pod_less_is_served_than_could_be(
        cpus in prop::collection::vec(prop_oneof![Just(500_i64), Just(1_000), Just(1_900), Just(3_000), Just(7_000)], 1..8),
        short in shorts(),
    ) {
        let pods: Vec<(i64, i32)> = cpus.into_iter().map(|cpu| (cpu, 0)).collect();
        let problem = asked(&pods, short);
        let solution = solve(&problem);
        let faults = checker::faults(&problem, &solution);
        prop_assert!(faults.is_empty(), "{faults:#?}\n{solution:#?}");
        let most = most_served(&pods, short);
        prop_assert!(served(&solution) + 1 >= most, "{} of {most}: {solution:#?}", served(&solution));
    }

    #[test]
    fn the_important_are_served_as_if_alone(
        pods in prop::collection::vec((prop_oneof![Just(500_i64), Just(1_000), Just(1_900), Just(3_000), Just(7_000)], 0..3_i32), 1..12),
        short in shorts(),
    ) {
        let solution = solve(&asked(&pods, short));
        let highest = pods.iter().map(|(_, priority)| *priority).max().unwrap_or(0);
        let important: Vec<(i64, i32)> = pods.iter().copied().filter(|(_, priority)| *priority == highest).collect();
        let names: BTreeSet<String> = (0..pods.len())
            .filter(|number| pods[*number].1 == highest)
            .map(|number| format!("p-{number}-0"))
            .collect();
        let keys = solution.new_nodes.iter().flat_map(|node| &node.pods);
        let own = keys.filter(|key| names.contains(key.name.as_ref())).count();
        let alone = served(&solve(&asked(&important, short)));
        prop_assert!(own + 1 >= alone, "{own} of {alone}: {solution:#?}");
    }
}

#[test]
fn not_many_miss_the_most_pods() {
    let mut misses = 0;
    for seed in 0..300_i64 {
        let sizes = [500, 1_000, 1_900, 3_000, 7_000];
        let size =
            |place: i64| sizes[((seed * 7919 + place * place * 104_729) / 13 % 5).unsigned_abs() as usize];
        let pods: Vec<(i64, i32)> = (0..2 + seed % 6).map(|place| (size(place), 0)).collect();
        let short = match seed % 3 {
            0 => Short::Nodes(1 + seed % 2),
            1 => Short::Cpu(2 + seed % 11),
            _ => Short::Cost(20_000 + seed * 997 % 130_000),
        };
        misses += most_served(&pods, short) - served(&solve(&asked(&pods, short)));
    }
    assert!(misses <= 6, "{misses} pods of 300 questions");
}
