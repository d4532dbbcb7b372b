//! Size: a region's worth of offers and many pods. The bounds are far above what
//! is measured; they catch work that grows with pods × offers.

use std::time::{Duration, Instant};

use spotocean_core::label;
use spotocean_solver::problem::{BuyablePool, PendingPod, Problem};
use spotocean_solver::solve::solve;

use crate::fixtures::*;

/// A number that looks random and is always the same.
fn noise(seed: i64, below: i64) -> i64 {
    let mixed = (seed.wrapping_mul(6_364_136_223_846_793_005)).wrapping_add(1_442_695_040_888_963_407);
    ((mixed >> 33) % below + below) % below
}

/// About 560 types in six zones, spot and on demand.
fn region() -> BuyablePool {
    let mut region = pool("general");
    let zones = ["a", "b", "c", "d", "e", "f"];
    for family in 0..70_i64 {
        let ratio = [2, 4, 8][usize::try_from(family % 3).unwrap_or(0)];
        for (step, cpu) in [2, 4, 8, 16, 32, 48, 64, 96_i64].into_iter().enumerate() {
            let name = format!("f{family}.s{step}");
            let list = cpu * (8_000 + ratio * 3_000) + noise(family, 4_000);
            for (index, zone) in (0..).zip(zones) {
                let discount = 30 + noise(family * 100 + cpu * 7 + index, 30);
                region = region
                    .offer(&name, zone, cpu, cpu * ratio, list * discount / 100)
                    .on_demand(&name, zone, cpu, cpu * ratio, list);
            }
        }
    }
    region
}

fn shapes(pods: usize, kinds: usize, is_spread: bool) -> Vec<Vec<PendingPod>> {
    (0..kinds)
        .map(|kind| {
            let seed = i64::try_from(kind).unwrap_or(0);
            let name = format!("app{kind}");
            let mut shape = pod(&name)
                .cpu(100 + noise(seed, 40) * 100)
                .memory(1 + noise(seed + 50, 12))
                .tolerates(&format!("t{kind}"));
            if is_spread {
                shape = shape.spread(spread(label::ZONE, &name));
            }
            shape.times(pods / kinds)
        })
        .collect()
}

fn measure(name: &str, problem: &Problem, most: Duration) {
    let start = Instant::now();
    let solution = solve(problem);
    let taken = start.elapsed();
    println!(
        "{name}: {taken:?}, {} nodes, {}/h, {} left",
        solution.new_nodes.len(),
        solution.cost(),
        solution.unplaced.len()
    );
    assert!(solution.unplaced.is_empty());
    assert!(taken < most, "{name} took {taken:?}");
}

#[test]
fn many_pods_and_a_region_of_offers() {
    let rows = [
        ("1,000 free pods of 20 shapes", 1_000, 20, false),
        ("1,000 spread pods of 20 shapes", 1_000, 20, true),
        ("20,000 free pods of 60 shapes", 20_000, 60, false),
        ("20,000 spread pods of 60 shapes", 20_000, 60, true),
    ];
    let region = region();
    for (name, pods, kinds, is_spread) in rows {
        let problem = problem(shapes(pods, kinds, is_spread), vec![region.clone()]);
        measure(name, &problem, Duration::from_secs(4));
    }
}
