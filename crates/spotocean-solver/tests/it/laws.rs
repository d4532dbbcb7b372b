//! Laws over random problems. Cost monotonicity is not among them: a heuristic does not have it.

use proptest::prelude::*;
use spotocean_solver::problem::Problem;
use spotocean_solver::solve::solve;

use crate::checker;
use crate::generator;

fn reversed(problem: &Problem) -> Problem {
    let mut problem = problem.clone();
    problem.pods.reverse();
    problem.nodes.reverse();
    problem.pools.reverse();
    problem.daemon_sets.reverse();
    for pool in &mut problem.pools {
        pool.offers.reverse();
    }
    for node in &mut problem.nodes {
        node.pods.reverse();
    }
    problem
}

proptest! {
    #![proptest_config(generator::fixed_cases(1500))]

    #[test]
    fn the_checker_accepts_every_solution(problem in generator::rich()) {
        let solution = solve(&problem);
        let faults = checker::faults(&problem, &solution);
        prop_assert!(faults.is_empty(), "{faults:#?}\n{solution:#?}");
    }
}

proptest! {
    #![proptest_config(generator::fixed_cases(600))]

    #[test]
    fn every_bound_is_proved(problem in generator::rich()) {
        let solution = solve(&problem);
        let faults = checker::certificate_faults(&problem, &solution);
        prop_assert!(faults.is_empty(), "{faults:#?}\n{solution:#?}");
    }
}

proptest! {
    #![proptest_config(generator::fixed_cases(300))]

    #[test]
    fn the_same_question_has_the_same_answer_in_any_order(problem in generator::rich()) {
        let solution = solve(&problem);
        prop_assert_eq!(&solve(&problem), &solution);
        prop_assert_eq!(&solve(&reversed(&problem)), &solution);
    }

    #[test]
    fn a_solution_carried_out_leaves_nothing_to_do(problem in generator::plain(4, 4, 6)) {
        let solution = solve(&problem);
        let mut after = problem.clone();
        after.pods.retain(|pending| solution.unplaced.iter().any(|left| left.pod == pending.pod.key));
        let again = solve(&after);
        prop_assert!(again.new_nodes.is_empty());
        prop_assert_eq!(again.unplaced.len(), solution.unplaced.len());
    }

    #[test]
    fn a_problem_survives_being_written_down(problem in generator::rich()) {
        let json = serde_json::to_string(&problem).expect("a problem is JSON");
        let read: Problem = serde_json::from_str(&json).expect("it reads back");
        prop_assert_eq!(solve(&read), solve(&problem));
    }
}

#[test]
fn the_generator_uses_its_vocabulary() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = [0_usize; 5];
    for _ in 0..200 {
        let problem = generator::rich()
            .new_tree(&mut runner)
            .expect("a problem")
            .current();
        let solution = solve(&problem);
        let shapes = || problem.pods.iter().map(|pending| &pending.pod.shape);
        let flags = [
            !solution.existing.is_empty(),
            !solution.new_nodes.is_empty(),
            !solution.unplaced.is_empty(),
            shapes().any(|shape| !shape.spread.is_empty()),
            shapes().any(|shape| !shape.affinity.is_empty()),
        ];
        for (count, flag) in seen.iter_mut().zip(flags) {
            *count += usize::from(flag);
        }
    }
    assert!(
        seen.iter().all(|count| *count >= 20),
        "of 200 problems each feature in too few: {seen:?}"
    );
}
