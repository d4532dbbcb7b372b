//! The true optimum of medium problems, which exhaustive search does not reach, by
//! HiGHS: an integer program over all fills of each offer (`optimum.py`). Nothing
//! here is between pods, so that what one node holds is all there is to know.
//!
//! A plan is compared with the cheapest one that keeps to the same offers: which
//! count for a pod is said at [`spotocean_solver::solution::Certificate`]. A few
//! optima are not known: there HiGHS, cut off, leaves a range.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde::Serialize;
use spotocean_core::label;
use spotocean_solver::problem::{BuyablePool, PendingPod, Problem};
use spotocean_solver::solution::Solution;
use spotocean_solver::solve::solve;

use crate::checker;
use crate::fixtures::*;
use crate::generator;

/// Names the Python that has HiGHS; else the cache of `cargo xtask test` is looked into.
const PYTHON_VARIABLE: &str = "SPOTOCEAN_HIGHS";
const CASES: usize = 100;
const ZONES: [&str; 2] = ["a", "b"];

/// A problem as the integer program has it; amounts are milli-CPU, bytes and pods, prices micro-dollars.
#[derive(Serialize)]
struct Case {
    shapes: Vec<Shape>,
    bins: Vec<Bin>,
}

#[derive(Serialize)]
struct Shape {
    pods: usize,
    asks: [i64; 3],
}

#[derive(Serialize)]
struct Bin {
    price: i64,
    room: [i64; 3],
    /// Shapes by index.
    admits: Vec<usize>,
}

/// 20 to 99 pods of 3 to 8 shapes, 7 to 20 offers; some pods may go to some of them only, some nodes take few pods.
fn medium() -> impl Strategy<Value = Problem> {
    let shape = (
        2..=16_i64,
        1..=10_i64,
        1..=24_usize,
        proptest::bool::weighted(0.4),
        proptest::option::weighted(0.2, proptest::sample::select(ZONES.to_vec())),
        proptest::bool::weighted(0.1),
    );
    let shapes = proptest::collection::vec(shape, 3..=8).prop_map(|shapes| {
        let named = shapes.into_iter().enumerate();
        let made = named.map(|(index, (quarters, gib, count, tolerates, zone, is_on_demand))| {
            let mut pod = pod(&format!("s{index}")).cpu(quarters * 250).memory(gib);
            if tolerates {
                pod = pod.tolerates("dedicated");
            }
            if let Some(zone) = zone {
                pod = pod.selects(label::ZONE, zone);
            }
            if is_on_demand {
                pod = pod.selects(label::CAPACITY_TYPE, "on-demand");
            }
            pod.times(count)
        });
        made.collect::<Vec<Vec<PendingPod>>>()
    });
    let offer = (
        proptest::sample::select(vec![2, 4, 4, 8, 8, 16_i64]),
        proptest::sample::select(vec![2, 4, 8_i64]),
        0..ZONES.len(),
        90..110_i64,
        proptest::option::weighted(0.75, 30..60_i64),
        proptest::option::weighted(0.25, 3..10_i64),
        proptest::bool::weighted(0.3),
    );
    (shapes, proptest::collection::vec(offer, 5..=18))
        .prop_map(|(shapes, offers)| {
            // Something carries every pod, wherever it must go.
            let mut general = pool("general")
                .on_demand("big.16", "a", 16, 64, 320_000)
                .on_demand("big.16", "b", 16, 64, 325_000);
            let mut second = pool("second").tainted("dedicated");
            for (index, offer) in offers.into_iter().enumerate() {
                let (cpu, ratio, zone, percent, discount, most_pods, is_dedicated) = offer;
                let into = if is_dedicated { &mut second } else { &mut general };
                let name = format!("r{ratio}n{index}.{cpu}");
                let list = cpu * (8_000 + 3_000 * ratio) * percent / 100 + zone as i64;
                let (zone, memory) = (ZONES[zone], cpu * ratio);
                let stocked = match discount {
                    Some(discount) => into
                        .clone()
                        .offer(&name, zone, cpu, memory, list * discount / 100),
                    None => into.clone().on_demand(&name, zone, cpu, memory, list),
                };
                *into = stocked;
                if let (Some(most), Some(offer)) = (most_pods, into.offers.last_mut()) {
                    offer.allocatable.pods = most;
                }
            }
            problem(shapes, vec![general, second])
        })
        .prop_filter("of medium size", |problem| {
            (20..100).contains(&problem.pods.len())
        })
}

fn case(problem: &Problem, solution: &Solution) -> Case {
    let mut by_shape: BTreeMap<&str, Vec<&PendingPod>> = BTreeMap::new();
    for pending in &problem.pods {
        by_shape
            .entry(&pending.pod.labels["app"])
            .or_default()
            .push(pending);
    }
    let classes = || solution.certificates.iter().flat_map(|each| &each.classes);
    let counting: Vec<_> = by_shape
        .values()
        .map(|pods| {
            let mut own = classes().filter(|class| class.pods.contains(&pods[0].pod.key));
            let is_anywhere = own.any(|class| class.is_anywhere);
            checker::offers_that_count(problem, pods[0], is_anywhere)
        })
        .collect();
    let bin = |place: (usize, usize)| {
        let offer = &problem.pools[place.0].offers[place.1];
        let room = &offer.allocatable;
        let shapes = 0..counting.len();
        Bin {
            price: offer.offering.price.micro_usd(),
            room: [room.cpu_millis, room.memory_bytes, room.pods],
            admits: shapes.filter(|shape| counting[*shape].contains(&place)).collect(),
        }
    };
    let offers = |(index, pool): (usize, &BuyablePool)| {
        let offers = 0..pool.offers.len();
        offers.map(move |offer| (index, offer)).collect::<Vec<_>>()
    };
    Case {
        shapes: by_shape
            .values()
            .map(|pods| {
                let asks = &pods[0].pod.shape.requests;
                Shape {
                    pods: pods.len(),
                    asks: [asks.cpu_millis, asks.memory_bytes, 1],
                }
            })
            .collect(),
        bins: problem
            .pools
            .iter()
            .enumerate()
            .flat_map(offers)
            .map(bin)
            .collect(),
    }
}

/// For each case what every plan costs at least, and a cost that a plan has, in micro-dollars per hour.
fn optima(cases: &[Case]) -> Vec<(i64, i64)> {
    let python = python();
    let mut process = Command::new(&python)
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/optimum.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", python.display()));
    let questions = serde_json::to_vec(cases).expect("cases are JSON");
    let written = process
        .stdin
        .take()
        .expect("its input is piped")
        .write_all(&questions);
    let output = process.wait_with_output().expect("it can be awaited");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        written.is_ok() && output.status.success(),
        "HiGHS gives no answers:\n{said}"
    );
    serde_json::from_slice(&output.stdout).expect("the answers are JSON")
}

fn python() -> PathBuf {
    if let Some(named) = std::env::var_os(PYTHON_VARIABLE) {
        return named.into();
    }
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let own = || {
        std::env::var_os("XDG_CACHE_HOME")
            .map_or_else(home, PathBuf::from)
            .join("spotocean")
    };
    let cache = std::env::var_os("SPOTOCEAN_CACHE").map_or_else(own, PathBuf::from);
    let folders = std::fs::read_dir(cache).into_iter().flatten().flatten();
    let of_highs = folders.filter(|folder| folder.file_name().to_string_lossy().starts_with("highs-"));
    let whole = of_highs.filter_map(|folder| {
        let stamp = folder.path().join("whole").metadata().ok()?;
        Some((stamp.modified().ok()?, folder.path().join("bin/python")))
    });
    let newest = whole.max().map(|(_, python)| python);
    newest.unwrap_or_else(|| {
        panic!("HiGHS is not installed: run `cargo xtask test`, which installs it, or name its Python in {PYTHON_VARIABLE}")
    })
}

#[test]
fn medium_problems_are_solved_to_the_optimum_above_their_bound() {
    let mut runner = TestRunner::new(generator::fixed_cases(1));
    let problems: Vec<Problem> = (0..CASES)
        .map(|_| medium().new_tree(&mut runner).expect("a problem").current())
        .collect();
    let solutions: Vec<Solution> = problems.iter().map(solve).collect();
    let asked = problems.iter().zip(&solutions);
    let cases: Vec<Case> = asked.map(|(problem, solution)| case(problem, solution)).collect();
    let optima = optima(&cases);
    assert_eq!(optima.len(), CASES);
    let (mut known, mut optimal, mut excess) = (0, 0, 0.0);
    for (index, (solution, (least, found))) in solutions.iter().zip(optima).enumerate() {
        let cost = solution.cost().micro_usd();
        let bound = solution.lower_bound.expect("a bound").micro_usd();
        assert!(
            solution.unplaced.is_empty(),
            "case {index}: {:?}",
            solution.unplaced
        );
        assert!(
            bound <= found,
            "case {index}: the bound {bound} is above a plan for {found}"
        );
        assert!(cost >= least, "case {index}: {cost} is below the optimum {least}");
        excess += cost as f64 / least as f64 - 1.0;
        if least == found {
            known += 1;
            optimal += usize::from(cost == least);
        }
    }
    let figures =
        format!("{optimal} of {known} optimal, {known} of {CASES} known, {excess} above in all at most");
    assert!(known * 100 >= CASES * 90, "{figures}");
    assert!(optimal * 100 >= known * 95, "{figures}");
    assert!(excess * 100.0 <= CASES as f64, "{figures}");
}
