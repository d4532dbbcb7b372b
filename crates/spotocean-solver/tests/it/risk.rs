//! What interruptions cost on average is planned with like the price, and said apart from it.

use spotocean_core::money::PricePerHour;
use spotocean_solver::problem::{BuyablePool, Problem, RemainingLimits};

use crate::fixtures::*;
use crate::predicates::{check, zones};

/// Zone a is cheaper by 2 millidollars and, so many millidollars, riskier.
fn risky(risk: i64) -> BuyablePool {
    pool("general")
        .offer("m5.xlarge", "a", 4, 16, 40_000)
        .offer("m5.xlarge", "b", 4, 16, 42_000)
        .each_offer(|offer| {
            if &*offer.zone().0 == "a" {
                offer.risk = PricePerHour(risk * 1000);
            }
        })
}

fn ask(pool: BuyablePool) -> Problem {
    problem(vec![pod("web").times(8)], vec![pool])
}

#[test]
fn the_sum_of_price_and_risk_decides() {
    for (risk, zone, price) in [
        (0, "a", 40_000),
        (1, "a", 40_000),
        (3, "b", 42_000),
        (i64::MIN / 1000, "a", 40_000),
    ] {
        let solution = check("risk", &ask(risky(risk)), (0, 2, 0));
        assert_eq!(zones(&solution), [zone, zone], "risk {risk}");
        assert_eq!(solution.cost().micro_usd(), 2 * price, "the price alone is said");
        // The bound is about prices: two nodes at the cheaper one.
        assert_eq!(solution.lower_bound, Some(PricePerHour(80_000)), "risk {risk}");
    }
}

#[test]
fn the_first_candidate_is_the_one_of_least_price_and_risk() {
    let solution = check("order", &ask(risky(5)), (0, 2, 0));
    let node = &solution.new_nodes[0];
    let places: Vec<String> = node
        .candidates
        .iter()
        .map(|market| market.zone.to_string())
        .collect();
    assert_eq!(places, ["b", "a"]);
    assert_eq!(node.price, PricePerHour(42_000));
}

#[test]
fn limits_are_about_the_price() {
    let limits = RemainingLimits {
        hourly_cost: Some(PricePerHour(84_000)),
        ..RemainingLimits::default()
    };
    check(
        "twice the dearer, 84 of 84",
        &ask(risky(5).limited(limits)),
        (0, 2, 0),
    );
}
