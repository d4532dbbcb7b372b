//! Rows per rule of what is bought: ports and volumes on a node, daemons, tiers, spot, limits and candidates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::label;
use spotocean_core::money::PricePerHour;
use spotocean_core::pod::Unmodelled;
use spotocean_solver::problem::{PoolClosed, Problem, RemainingLimits};
use spotocean_solver::solution::Reason;

use crate::fixtures::*;
use crate::predicates::{check, check_all, with_nodes, zones};

#[test]
fn host_ports() {
    let mut bound = node("n", "a");
    bound.pods.push(pod("old").cpu(1).port(80).resident());
    let mut agent = daemon("agent", 100);
    agent.shape = pod("agent").cpu(100).port(80).pending().pod.shape.clone();
    let with_agent = Problem {
        daemon_sets: vec![Arc::new(agent)],
        ..problem(vec![pod("web").port(80).times(1)], vec![three_zones("general")])
    };
    check_all([
        (
            "one a node",
            problem(
                vec![pod("web").cpu(1).port(80).times(2)],
                vec![three_zones("general")],
            ),
            (0, 2, 0),
        ),
        (
            "other ports share",
            problem(
                vec![
                    pod("web").cpu(1).port(80).times(1),
                    pod("api").cpu(1).port(81).times(1),
                ],
                vec![three_zones("general")],
            ),
            (0, 1, 0),
        ),
        (
            "bound there",
            with_nodes(
                problem(vec![pod("web").port(80).times(1)], vec![three_zones("general")]),
                vec![bound],
            ),
            (0, 1, 0),
        ),
        ("bound by a daemon", with_agent, (0, 0, 1)),
    ]);
}

#[test]
fn volumes() {
    let limited = |limit: i64| {
        three_zones("general").each_offer(move |offer| {
            offer.attach_limits = Arc::new(BTreeMap::from([("ebs".into(), limit)]));
        })
    };
    let with_volume = |name: &str, volume: &str, zones: Option<&[&str]>| {
        vec![pod(name).cpu(1).volume(volume, zones, "ebs").pending()]
    };
    let mut full = node("n", "a");
    full.attach_limits = BTreeMap::from([("ebs".into(), 1)]);
    full.attached = BTreeMap::from([("ebs".into(), BTreeSet::from(["v0".into()]))]);
    let solution = check(
        "zone of a volume",
        &problem(
            vec![with_volume("db", "v1", Some(&["b"]))],
            vec![three_zones("general")],
        ),
        (0, 1, 0),
    );
    assert_eq!(zones(&solution), ["b"]);
    check_all([
        (
            "zone out of reach",
            problem(
                vec![with_volume("db", "v1", Some(&["d"]))],
                vec![three_zones("general")],
            ),
            (0, 0, 1),
        ),
        (
            "attach limit",
            problem(
                vec![
                    with_volume("a", "v1", None),
                    with_volume("b", "v2", None),
                    with_volume("c", "v3", None),
                ],
                vec![limited(2)],
            ),
            (0, 2, 0),
        ),
        (
            "a shared volume counts once",
            problem(
                vec![
                    with_volume("a", "v1", None),
                    with_volume("b", "v1", None),
                    with_volume("c", "v2", None),
                ],
                vec![limited(2)],
            ),
            (0, 1, 0),
        ),
        (
            "full there",
            with_nodes(
                problem(vec![with_volume("a", "v1", None)], vec![three_zones("general")]),
                vec![full.clone()],
            ),
            (0, 1, 0),
        ),
        (
            "already attached there",
            with_nodes(
                problem(vec![with_volume("a", "v0", None)], vec![three_zones("general")]),
                vec![full],
            ),
            (1, 0, 0),
        ),
        (
            "none at all",
            problem(vec![with_volume("a", "v1", None)], vec![limited(0)]),
            (0, 0, 1),
        ),
    ]);
}

#[test]
fn daemons_take_their_share() {
    let with = |daemon: spotocean_core::pod::DaemonSet, pool| Problem {
        daemon_sets: vec![Arc::new(daemon)],
        ..problem(vec![pod("web").times(4)], vec![pool])
    };
    let on_arm = {
        let mut agent = daemon("agent", 100);
        agent.shape = pod("agent")
            .cpu(100)
            .selects(label::ARCH, "arm64")
            .pending()
            .pod
            .shape
            .clone();
        agent
    };
    check_all([
        (
            "everywhere",
            with(daemon("agent", 100), three_zones("general")),
            (0, 2, 0),
        ),
        (
            "not on this architecture",
            with(on_arm, three_zones("general")),
            (0, 1, 0),
        ),
        (
            "not past a taint",
            Problem {
                daemon_sets: vec![Arc::new(daemon("agent", 100))],
                ..problem(
                    vec![pod("web").tolerates("gpu").times(4)],
                    vec![three_zones("general").tainted("gpu")],
                )
            },
            (0, 1, 0),
        ),
    ]);
}

#[test]
fn weights_are_strict_tiers() {
    let dear = || pool("second").weight(10).offer("x1.xlarge", "a", 4, 16, 900_000);
    let solution = check(
        "the heavier pool serves",
        &problem(vec![pod("web").times(4)], vec![three_zones("general"), dear()]),
        (0, 1, 0),
    );
    assert_eq!(solution.new_nodes[0].pool, pool_key("second"));
    let solution = check(
        "unless it cannot",
        &problem(
            vec![pod("web").memory(17).times(1)],
            vec![
                three_zones("general").offer("r5.xlarge", "a", 4, 32, 50_000),
                dear(),
            ],
        ),
        (0, 1, 0),
    );
    assert_eq!(solution.new_nodes[0].pool, pool_key("general"));
    let same = || pool("second").offer("x1.xlarge", "a", 4, 16, 39_999);
    let solution = check(
        "price decides among equals",
        &problem(vec![pod("web").times(4)], vec![three_zones("general"), same()]),
        (0, 1, 0),
    );
    assert_eq!(solution.new_nodes[0].pool, pool_key("second"));
}

#[test]
fn spot_before_on_demand() {
    let both = || {
        three_zones("general")
            .on_demand("m5.xlarge", "a", 4, 16, 10_000)
            .on_demand("m5.4xlarge", "a", 16, 64, 800_000)
    };
    let solution = check(
        "spot while it fits",
        &problem(vec![pod("web").times(4)], vec![both()]),
        (0, 1, 0),
    );
    assert_eq!(solution.new_nodes[0].capacity_type.as_str(), "spot");
    let solution = check(
        "on demand where it does not",
        &problem(vec![pod("web").cpu(5000).times(1)], vec![both()]),
        (0, 1, 0),
    );
    assert_eq!(solution.new_nodes[0].capacity_type.as_str(), "on-demand");
    let by_label = pod("web").selects(label::CAPACITY_TYPE, "on-demand").times(1);
    let solution = check(
        "on demand where asked for",
        &problem(vec![by_label], vec![both()]),
        (0, 1, 0),
    );
    assert_eq!(solution.new_nodes[0].price, PricePerHour(10_000));
}

#[test]
fn limits_hold() {
    let nodes = |left| RemainingLimits {
        nodes: Some(left),
        ..RemainingLimits::default()
    };
    let cpu = |left| RemainingLimits {
        resources: BTreeMap::from([("cpu".into(), left)]),
        ..RemainingLimits::default()
    };
    let cost = |left| RemainingLimits {
        hourly_cost: Some(PricePerHour(left)),
        ..RemainingLimits::default()
    };
    let ask = |limits| {
        problem(
            vec![pod("web").times(12)],
            vec![three_zones("general").limited(limits)],
        )
    };
    let sizes = |limits| {
        three_zones("general")
            .offer("m5.4xlarge", "a", 16, 64, 50_000)
            .limited(limits)
    };
    check_all([
        ("two nodes", ask(nodes(2)), (0, 2, 4)),
        ("none", ask(nodes(0)), (0, 0, 12)),
        ("overdrawn", ask(nodes(-3)), (0, 0, 12)),
        ("eight cpu", ask(cpu(8_000)), (0, 2, 4)),
        ("cost of the dearest candidate", ask(cost(83_000)), (0, 2, 4)),
        (
            "a smaller type fits the limit",
            problem(vec![pod("web").times(4)], vec![sizes(cpu(4_000))]),
            (0, 1, 0),
        ),
    ]);
    let spread_out = problem(
        vec![pod("web").spread(spread(label::ZONE, "web")).times(9)],
        vec![three_zones("general").limited(nodes(2))],
    );
    check("a spread survives a limit", &spread_out, (0, 2, 1));
}

#[test]
fn min_values_are_kept() {
    let types = |min| {
        pool("general")
            .offer("m5.xlarge", "a", 4, 16, 40_000)
            .offer("m6.xlarge", "a", 4, 16, 90_000)
            .offer("m7.4xlarge", "a", 16, 64, 160_000)
            .keeps(label::INSTANCE_FAMILY, min)
    };
    let ask = |cpu, min| problem(vec![pod("web").cpu(cpu).times(1)], vec![types(min)]);
    check_all([
        ("three families", ask(1000, 3), (0, 1, 0)),
        ("four are not there", ask(1000, 4), (0, 0, 1)),
        ("one family carries it", ask(8000, 1), (0, 1, 0)),
        ("two do not", ask(8000, 2), (0, 0, 1)),
        (
            "fuller nodes have fewer",
            problem(vec![pod("web").times(8)], vec![types(3)]),
            (0, 2, 0),
        ),
    ]);
}

#[test]
fn candidates_stay_sane() {
    let general = |flexibility| {
        let mut pool = pool("general")
            .offer("m5.xlarge", "a", 4, 16, 40_000)
            .offer("m6.xlarge", "a", 4, 16, 60_000)
            .offer("m7.xlarge", "a", 4, 16, 60_001)
            .offer("m8.xlarge", "a", 4, 16, 90_000)
            .offer("c5.xlarge", "a", 4, 0, 10_000);
        pool.minimum_flexibility = flexibility;
        pool
    };
    for (flexibility, expected) in [(1, 2), (2, 2), (3, 3), (9, 4)] {
        let ask = problem(vec![pod("web").times(4)], vec![general(flexibility)]);
        let solution = check("candidates", &ask, (0, 1, 0));
        assert_eq!(
            solution.new_nodes[0].candidates.len(),
            expected,
            "flexibility {flexibility}"
        );
    }
}

#[test]
fn pools_that_may_not_serve() {
    let mut closed = three_zones("general");
    closed.closed = Some(PoolClosed {
        reason: "Suspended".into(),
        message: "it is suspended".into(),
    });
    let mut stranger = pod("web");
    stranger.served_by = BTreeSet::from([pool_key("second")]);
    let mut windows = pod("web");
    windows.shape.unmodelled.push(Unmodelled::Windows);
    let rows = [
        (
            problem(vec![pod("web").times(1)], vec![closed]),
            Reason::PoolClosed,
        ),
        (
            problem(vec![stranger.times(1)], vec![three_zones("general")]),
            Reason::NotServed,
        ),
        (
            problem(vec![windows.times(1)], vec![three_zones("general")]),
            Reason::NotModelled,
        ),
        (
            problem(vec![pod("web").times(1)], vec![pool("general")]),
            Reason::NoOffering,
        ),
        (
            problem(
                vec![pod("web").times(1)],
                vec![pool("general").offer("m5.large", "a", 2, 8, 0)],
            ),
            Reason::NoOffering,
        ),
    ];
    for (problem, expected) in rows {
        let solution = check(expected.as_str(), &problem, (0, 0, 1));
        assert_eq!(solution.unplaced[0].reasons[0].reason, expected);
    }
}
