//! Each pod left over gets, for each pool, the binding constraint and a sentence to act on.

use spotocean_core::label;
use spotocean_solver::problem::{Problem, RemainingLimits};
use spotocean_solver::solution::Reason;
use spotocean_solver::solve::solve;
use std::sync::Arc;

use crate::fixtures::*;

fn check(problem: &Problem, expected: Reason, sentence: &str) {
    let solution = solve(problem);
    let reasons = &solution.unplaced.first().expect("a pod left over").reasons;
    assert_eq!(reasons[0].reason, expected, "{reasons:?}");
    assert_eq!(&*reasons[0].message, sentence);
}

#[test]
fn the_sentence_says_found_needed_and_what_to_change() {
    let general = || three_zones("general");
    let one = |pod: PodBuilder| problem(vec![pod.times(1)], vec![general()]);
    check(
        &Problem {
            daemon_sets: vec![Arc::new(daemon("agent", 2000))],
            ..one(pod("web").cpu(16_000))
        },
        Reason::NoInstanceTypeFits,
        "needs 18 cpu (16 + 2 daemons); the largest type of pool general is m5.xlarge with 4; allow larger types in the pool's requirements",
    );
    check(
        &one(pod("web").selects("team", "x")),
        Reason::LabelNotOffered,
        "needs team In [x]; none of the 3 offerings of pool general has it; change the pool's requirements or labels, or the pod's node selector",
    );
    check(
        &problem(vec![pod("web").times(1)], vec![general().tainted("gpu")]),
        Reason::TaintNotTolerated,
        "pool general has taint gpu:NoSchedule, which the pod does not tolerate; add a toleration or a pool without the taint",
    );
    check(
        &one(pod("web").volume("v1", Some(&["d"]), "ebs")),
        Reason::VolumeNotReachable,
        "volume v1 needs (topology.kubernetes.io/zone In [d]); pool general offers no node there that the pod could use; add a subnet in that zone to the pool",
    );
    let limits = RemainingLimits {
        resources: [("cpu".into(), 2000)].into(),
        ..RemainingLimits::default()
    };
    check(
        &problem(vec![pod("web").times(1)], vec![general().limited(limits)]),
        Reason::LimitReached,
        "limit cpu of pool general has 2 left, and the cheapest type that would serve (m5.xlarge) takes 4; raise the limit",
    );
}

#[test]
fn constraints_between_pods_name_themselves() {
    let reason = |problem: &Problem| solve(problem).unplaced[0].reasons[0].reason;
    let general = || vec![three_zones("general")];
    let mut control = node("control", "d");
    control.accepts_pods = false;
    let spread_out = Problem {
        nodes: vec![control],
        ..problem(
            vec![pod("web").spread(spread(label::ZONE, "web")).times(4)],
            general(),
        )
    };
    let rows = [
        (spread_out, Reason::TopologySpread),
        (
            problem(
                vec![pod("web").without(term(label::ZONE, "web")).times(4)],
                general(),
            ),
            Reason::PodAntiAffinity,
        ),
        (
            problem(vec![pod("web").with(term(label::ZONE, "db")).times(1)], general()),
            Reason::PodAffinity,
        ),
        (
            problem(
                vec![pod("web").with(term(label::HOSTNAME, "db")).times(1)],
                general(),
            ),
            Reason::PodAffinity,
        ),
        (
            problem(
                vec![pod("web").times(1)],
                vec![three_zones("general").keeps(label::INSTANCE_TYPE, 2)],
            ),
            Reason::MinValues,
        ),
    ];
    for (problem, expected) in rows {
        assert_eq!(reason(&problem), expected);
    }
}

#[test]
fn every_pool_answers_for_itself() {
    let pools = vec![
        three_zones("general").tainted("gpu"),
        pool("second"),
        three_zones("third"),
    ];
    let solution = solve(&problem(vec![pod("web").cpu(9000).times(1)], pools));
    let reasons: Vec<_> = solution.unplaced[0]
        .reasons
        .iter()
        .map(|each| each.reason)
        .collect();
    assert_eq!(
        reasons,
        [
            Reason::TaintNotTolerated,
            Reason::NoOffering,
            Reason::NoInstanceTypeFits
        ]
    );
}
