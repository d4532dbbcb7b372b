//! Amounts that nobody should have written: the solver answers all the same.
//!
//! Nothing panics or overflows, every pod has a place or a reason, nothing is
//! bought without a price, and the bound is no more than the cost.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use spotocean_core::id::ObjectKey;
use spotocean_core::money::PricePerHour;
use spotocean_core::resources::Resources;
use spotocean_solver::problem::Problem;
use spotocean_solver::solution::Solution;
use spotocean_solver::solve::solve;

use crate::fixtures::*;
use crate::generator;

/// Amounts at the edges of what a quantity can be.
const AMOUNTS: [i64; 9] = [
    i64::MIN,
    -1 << 40,
    -1,
    0,
    1,
    1 << 40,
    1 << 53,
    i64::MAX / 2,
    i64::MAX,
];

/// What is spoiled.
#[derive(Clone, Copy, Debug)]
enum Spoil {
    PodCpu,
    PodMemory,
    PodCount,
    PodExtended,
    Skew,
    OfferCpu,
    OfferMemory,
    OfferPods,
    OfferCapacity,
    Price,
    AttachLimit,
    NodeCpu,
    NodeReserved,
    ResidentCpu,
    DaemonCpu,
    LimitCpu,
    LimitNodes,
    LimitCost,
    Flexibility,
    Weight,
}

const SPOILS: [Spoil; 20] = [
    Spoil::PodCpu,
    Spoil::PodMemory,
    Spoil::PodCount,
    Spoil::PodExtended,
    Spoil::Skew,
    Spoil::OfferCpu,
    Spoil::OfferMemory,
    Spoil::OfferPods,
    Spoil::OfferCapacity,
    Spoil::Price,
    Spoil::AttachLimit,
    Spoil::NodeCpu,
    Spoil::NodeReserved,
    Spoil::ResidentCpu,
    Spoil::DaemonCpu,
    Spoil::LimitCpu,
    Spoil::LimitNodes,
    Spoil::LimitCost,
    Spoil::Flexibility,
    Spoil::Weight,
];

fn spoil(problem: &mut Problem, (what, index, amount): (Spoil, usize, i64)) {
    let of_pod = |requests: &mut Resources| match what {
        Spoil::PodMemory => requests.memory_bytes = amount,
        Spoil::PodCount => requests.pods = amount,
        Spoil::PodExtended => requests.set("example.com/thing", amount),
        _ => requests.cpu_millis = amount,
    };
    let pods = problem.pods.len();
    let pod = problem.pods.get_mut(index % pods.max(1));
    let pools = problem.pools.len();
    let pool = problem.pools.get_mut(index % pools.max(1)).expect("a pool");
    let offers = pool.offers.len();
    let offer = pool.offers.get_mut(index % offers.max(1)).expect("an offer");
    let nodes = problem.nodes.len();
    let node = problem.nodes.get_mut(index % nodes.max(1));
    match what {
        Spoil::PodCpu | Spoil::PodMemory | Spoil::PodCount | Spoil::PodExtended | Spoil::Skew => {
            let pod = Arc::make_mut(&mut pod.expect("a pod").pod);
            let shape = Arc::make_mut(&mut pod.shape);
            match (what, shape.spread.first_mut()) {
                (Spoil::Skew, Some(spread)) => spread.max_skew = amount,
                (Spoil::Skew, None) => {}
                _ => of_pod(&mut shape.requests),
            }
        }
        Spoil::OfferCpu => offer.allocatable.cpu_millis = amount,
        Spoil::OfferMemory => offer.allocatable.memory_bytes = amount,
        Spoil::OfferPods => offer.allocatable.pods = amount,
        Spoil::OfferCapacity => offer.capacity.cpu_millis = amount,
        Spoil::Price => offer.offering.price = PricePerHour(amount),
        Spoil::AttachLimit => {
            Arc::make_mut(&mut offer.attach_limits).insert("ebs".into(), amount);
        }
        Spoil::NodeCpu => node
            .into_iter()
            .for_each(|node| node.allocatable.cpu_millis = amount),
        Spoil::NodeReserved => node
            .into_iter()
            .for_each(|node| node.reserved.memory_bytes = amount),
        Spoil::ResidentCpu => {
            for resident in node.into_iter().flat_map(|node| &mut node.pods) {
                let resident = Arc::make_mut(resident);
                Arc::make_mut(&mut resident.shape).requests.cpu_millis = amount;
            }
        }
        Spoil::DaemonCpu => {
            for daemon in &mut problem.daemon_sets {
                let daemon = Arc::make_mut(daemon);
                Arc::make_mut(&mut daemon.shape).requests.cpu_millis = amount;
            }
        }
        Spoil::LimitCpu => {
            pool.limits.resources.insert("cpu".into(), amount);
        }
        Spoil::LimitNodes => pool.limits.nodes = Some(amount),
        Spoil::LimitCost => pool.limits.hourly_cost = Some(PricePerHour(amount)),
        Spoil::Flexibility => pool.minimum_flexibility = usize::try_from(amount).unwrap_or(usize::MAX),
        Spoil::Weight => pool.weight = i32::try_from(amount >> 32).unwrap_or(i32::MIN),
    }
}

/// What is wrong with an answer, whatever was asked.
fn faults(problem: &Problem, solution: &Solution) -> Vec<String> {
    let mut faults = Vec::new();
    let there = solution.existing.values().flatten();
    let bought = solution.new_nodes.iter().flat_map(|node| &node.pods);
    let left = solution.unplaced.iter().map(|left| &left.pod);
    let answered: Vec<&ObjectKey> = there.chain(bought).chain(left).collect();
    let asked: BTreeSet<&ObjectKey> = problem.pods.iter().map(|pending| &pending.pod.key).collect();
    if answered.len() != asked.len() || answered.into_iter().collect::<BTreeSet<_>>() != asked {
        faults.push("not every pod is answered once".to_owned());
    }
    if solution.unplaced.iter().any(|left| left.reasons.is_empty()) {
        faults.push("a pod is left over without a reason".to_owned());
    }
    if solution
        .new_nodes
        .iter()
        .any(|node| node.price <= PricePerHour::ZERO)
    {
        faults.push("something is bought that has no price".to_owned());
    }
    if solution.lower_bound.is_none_or(|bound| bound > solution.cost()) {
        faults.push(format!("{:?} bounds {}", solution.lower_bound, solution.cost()));
    }
    faults
}

fn check(problem: &Problem) {
    let solution = solve(problem);
    assert_eq!(faults(problem, &solution), [""; 0], "{solution:#?}");
}

proptest! {
    #![proptest_config(generator::fixed_cases(1500))]

    #[test]
    fn odd_amounts_are_answered(
        problem in generator::rich(),
        spoils in proptest::collection::vec(
            (proptest::sample::select(SPOILS.to_vec()), 0..8_usize, proptest::sample::select(AMOUNTS.to_vec())),
            1..5,
        ),
    ) {
        let mut problem = problem;
        for each in spoils {
            spoil(&mut problem, each);
        }
        let solution = solve(&problem);
        prop_assert_eq!(faults(&problem, &solution), [""; 0], "{:#?}", solution);
    }
}

#[test]
fn an_empty_catalogue_leaves_every_pod_a_reason() {
    let waiting = || vec![pod("web").times(3)];
    check(&problem(waiting(), vec![pool("general")]));
    let mut closed = pool("general").offer("m.2", "a", 2, 8, 40_000);
    closed.closed = Some(spotocean_solver::problem::PoolClosed {
        reason: "Paused".into(),
        message: "it is paused".into(),
    });
    check(&problem(waiting(), vec![closed]));
    let nothing = solve(&problem(waiting(), vec![]));
    assert_eq!((nothing.new_nodes.len(), nothing.unplaced.len()), (0, 3));
}

#[test]
fn a_price_that_nobody_meant_is_no_price() {
    let waiting = || vec![pod("web").times(3)];
    let odd = || pool("general").offer("m.2", "a", 2, 8, i64::MAX / 2);
    let solution = solve(&problem(waiting(), vec![odd()]));
    assert_eq!((solution.new_nodes.len(), solution.unplaced.len()), (0, 3));
    let solution = solve(&problem(waiting(), vec![odd().offer("m.4", "a", 4, 16, 80_000)]));
    assert_eq!(solution.cost(), PricePerHour(80_000));
}

/// As many shapes as pods: clustering, budgets and step counts keep the work in proportion to them.
#[test]
fn a_hundred_thousand_shapes_are_answered() {
    let shapes = (0..100_000_i64).map(|number| {
        pod(&format!("p-{number}"))
            .cpu(10 + number % 977)
            .asks("memory", (number / 977 + 1) << 22)
            .pending()
    });
    let general = pool("general")
        .offer("c.8", "a", 8, 16, 120_000)
        .offer("m.16", "a", 16, 64, 300_000)
        .offer("r.32", "b", 32, 256, 800_000);
    let problem = problem(vec![shapes.collect()], vec![general]);
    let solution = solve(&problem);
    assert_eq!(faults(&problem, &solution), [""; 0]);
    assert_eq!(solution.unplaced.len(), 0);
}
