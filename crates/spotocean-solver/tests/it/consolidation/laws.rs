//! Laws over random clusters with everything in them.

use proptest::prelude::*;
use spotocean_core::money::PricePerHour;
use spotocean_solver::consolidation::{Consolidation, Estate, solve};
use spotocean_solver::problem::Problem;

use super::{checker, estates};
use crate::generator;

fn rich() -> impl Strategy<Value = Estate> {
    (generator::rich(), estates::since()).prop_map(|(problem, since)| estates::estate(&problem, &since))
}

/// Clusters of more nodes than are tried set by set.
fn crowded() -> impl Strategy<Value = Estate> {
    crowded_of(generator::rich_of(14, 10))
}

/// The same where many pods seek others.
fn sociable() -> impl Strategy<Value = Estate> {
    let seekers = |problem: &Problem| {
        let shapes = problem.pods.iter().map(|pending| &pending.pod.shape);
        shapes.filter(|shape| !shape.affinity.is_empty()).count()
    };
    crowded_of(
        generator::rich_of(14, 10)
            .prop_filter("many that seek others", move |problem| seekers(problem) >= 20),
    )
}

fn crowded_of(problems: impl Strategy<Value = Problem>) -> impl Strategy<Value = Estate> {
    (problems, estates::since())
        .prop_map(|(problem, since)| estates::estate(&problem, &since))
        .prop_filter("many nodes that may go", |estate| {
            estate
                .holdings
                .iter()
                .filter(|holding| holding.stays.is_none())
                .count()
                > 6
        })
}

/// What is bought under minValues takes no more pods within one plan, and does afterwards.
fn without_min_values() -> impl Strategy<Value = Estate> {
    rich().prop_map(free_of_min_values)
}

fn free_of_min_values(mut estate: Estate) -> Estate {
    for requirement in estate.pools.iter_mut().flat_map(|pool| &mut pool.requirements) {
        requirement.min_values = None;
    }
    estate
}

fn reversed(estate: &Estate) -> Estate {
    let mut estate = estate.clone();
    estate.holdings.reverse();
    estate.pools.reverse();
    estate.daemon_sets.reverse();
    for pool in &mut estate.pools {
        pool.offers.reverse();
    }
    for holding in &mut estate.holdings {
        holding.tenants.reverse();
        holding.node.pods.reverse();
    }
    estate
}

proptest! {
    #![proptest_config(generator::fixed_cases(1000))]

    #[test]
    fn every_consolidation_may_be_carried_out(estate in rich()) {
        let found = solve(&estate);
        let faults = checker::faults(&estate, &found);
        prop_assert!(faults.is_empty(), "{faults:#?}\n{found:#?}");
    }

    #[test]
    fn a_consolidation_carried_out_leaves_nothing_to_do(estate in without_min_values()) {
        let found = solve(&estate);
        let after = estates::carried_out(&estate, &found);
        let again = solve(&after);
        prop_assert!(again.changes.is_empty(), "{found:#?}\nthen {again:#?}");
        prop_assert_eq!(again.cost_after, found.cost_after);
    }
}

proptest! {
    #![proptest_config(generator::fixed_cases(200))]

    #[test]
    fn many_nodes_consolidated_leave_nothing_to_do(estate in crowded()) {
        let estate = free_of_min_values(estate);
        let found = solve(&estate);
        let again = solve(&estates::carried_out(&estate, &found));
        prop_assert!(again.changes.is_empty(), "{found:#?}\nthen {again:#?}");
    }
}

proptest! {
    #![proptest_config(generator::fixed_cases(170))]

    #[test]
    fn many_nodes_are_consolidated_as_soundly_as_few(estate in sociable()) {
        let found = solve(&estate);
        let faults = checker::faults(&estate, &found);
        prop_assert!(faults.is_empty(), "{faults:#?}\n{found:#?}");
    }
}

proptest! {
    #![proptest_config(generator::fixed_cases(300))]

    #[test]
    fn the_same_cluster_has_the_same_answer_in_any_order(estate in rich()) {
        let found = solve(&estate);
        prop_assert_eq!(&solve(&estate), &found);
        prop_assert_eq!(&solve(&reversed(&estate)), &found);
    }
}

/// Looks at prices that keep within five per cent of what they are on average, and what a change must save.
const NOISY_LOOKS: usize = 5;
const NOISE: std::ops::RangeInclusive<i64> = 950..=1050;
const MIN_SAVINGS: u32 = 12;

proptest! {
    #![proptest_config(generator::fixed_cases(200))]

    /// Each change saves more than the noise could pretend, so that it lowers the cost at average prices too: what
    /// always falls never comes back to where it was. A single pod may come back to a market, when nodes merge there.
    #[test]
    fn no_change_is_taken_back_as_prices_tremble(
        estate in without_min_values(),
        noise in proptest::collection::vec(proptest::collection::vec(NOISE, 1..12), NOISY_LOOKS),
    ) {
        let mut average = estate;
        average.hysteresis.min_savings_percent = MIN_SAVINGS;
        // Nothing but the smallest saving holds it.
        average.hysteresis.overlap_seconds = 0;
        for tenant in average.holdings.iter_mut().flat_map(|holding| &mut holding.tenants) {
            tenant.move_cost = 0;
        }
        for thousandths in &noise {
            let found = solve(&estates::repriced(&average, thousandths));
            let after = settled(&average, &found);
            let falls = found.changes.is_empty() || cost(&after) < cost(&average);
            prop_assert!(falls, "{found:#?}");
            average = after;
        }
    }
}

fn cost(estate: &Estate) -> PricePerHour {
    estate.holdings.iter().map(|holding| holding.price).sum()
}

/// The cluster with a change carried out that was found at other prices, at its own.
fn settled(estate: &Estate, found: &Consolidation) -> Estate {
    let mut after = estates::carried_out(estate, found);
    let bought = after.holdings.len() - found.new_nodes.len();
    for (holding, new) in after.holdings[bought..].iter_mut().zip(&found.new_nodes) {
        let pools = estate.pools.iter().filter(|pool| pool.key == new.pool);
        let own = estates::market(&holding.node.labels);
        let offer = pools
            .flat_map(|pool| &pool.offers)
            .find(|offer| estates::market(&offer.labels) == own);
        holding.price = offer.expect("it was on sale").offering.price;
    }
    after
}

#[test]
fn the_generator_makes_clusters_that_change() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = [0_usize; 5];
    for _ in 0..200 {
        let estate = rich().new_tree(&mut runner).expect("a cluster").current();
        let found = solve(&estate);
        let flags = [
            !found.changes.is_empty(),
            found.changes.is_empty() && estate.holdings.iter().any(|holding| holding.stays.is_none()),
            !found.new_nodes.is_empty(),
            found
                .moves
                .iter()
                .any(|each| matches!(each.to, spotocean_solver::consolidation::Target::Node(_))),
            found.changes.iter().any(|change| change.removed.len() > 1),
        ];
        for (count, flag) in seen.iter_mut().zip(flags) {
            *count += usize::from(flag);
        }
    }
    assert!(
        seen.iter().all(|count| *count >= 8),
        "of 200 clusters each kind in too few: {seen:?}"
    );
}
