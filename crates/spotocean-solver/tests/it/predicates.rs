//! Rows per predicate: what kube-scheduler would refuse is not planned, what it would accept is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::label;
use spotocean_core::pod::NodeTerm;
use spotocean_core::requirement::Operator;
use spotocean_core::selector::LabelSelector;
use spotocean_core::topology::{NodeInclusion, TopologySpread};
use spotocean_solver::problem::{PendingPod, Problem};
use spotocean_solver::solution::Solution;
use spotocean_solver::solve::solve;

use crate::checker;
use crate::fixtures::*;

/// Pods on nodes there, nodes bought, pods left over.
pub(crate) type Counts = (usize, usize, usize);

pub(crate) fn check(name: &str, problem: &Problem, expected: Counts) -> Solution {
    let solution = solve(problem);
    let faults = checker::faults(problem, &solution);
    assert!(faults.is_empty(), "{name}: {faults:#?}\n{solution:#?}");
    let existing = solution.existing.values().map(Vec::len).sum();
    let found = (existing, solution.new_nodes.len(), solution.unplaced.len());
    assert_eq!(
        found, expected,
        "{name}: (existing, new nodes, unplaced)\n{solution:#?}"
    );
    solution
}

pub(crate) fn check_all<const N: usize>(rows: [(&str, Problem, Counts); N]) {
    for (name, problem, expected) in rows {
        check(name, &problem, expected);
    }
}

pub(crate) fn with_nodes(
    mut problem: Problem,
    nodes: Vec<spotocean_solver::problem::PlacementNode>,
) -> Problem {
    problem.nodes = nodes;
    problem
}

pub(crate) fn zones(solution: &Solution) -> Vec<String> {
    let first = |node: &spotocean_solver::solution::NewNode| node.candidates[0].zone.to_string();
    let mut zones: Vec<String> = solution.new_nodes.iter().map(first).collect();
    zones.sort();
    zones
}

#[test]
fn resources() {
    let gpu = |pool: spotocean_solver::problem::BuyablePool| {
        pool.each_offer(|offer| offer.allocatable.set("nvidia.com/gpu", 1))
    };
    check_all([
        (
            "nothing waits",
            problem(vec![], vec![three_zones("general")]),
            (0, 0, 0),
        ),
        (
            "four fill a node",
            problem(vec![pod("web").times(4)], vec![three_zones("general")]),
            (0, 1, 0),
        ),
        (
            "five need two",
            problem(vec![pod("web").times(5)], vec![three_zones("general")]),
            (0, 2, 0),
        ),
        (
            "memory counts",
            problem(vec![pod("web").memory(9).times(2)], vec![three_zones("general")]),
            (0, 2, 0),
        ),
        (
            "too large",
            problem(vec![pod("web").cpu(4001).times(1)], vec![three_zones("general")]),
            (0, 0, 1),
        ),
        (
            "no accelerator",
            problem(
                vec![pod("ml").asks("nvidia.com/gpu", 1).times(1)],
                vec![three_zones("general")],
            ),
            (0, 0, 1),
        ),
        (
            "one accelerator a node",
            problem(
                vec![pod("ml").asks("nvidia.com/gpu", 1).times(2)],
                vec![gpu(three_zones("general"))],
            ),
            (0, 2, 0),
        ),
        (
            "ephemeral storage",
            problem(
                vec![pod("web").asks("ephemeral-storage", 1).times(1)],
                vec![three_zones("general")],
            ),
            (0, 0, 1),
        ),
        (
            "places for pods",
            problem(
                vec![pod("web").cpu(1).times(3)],
                vec![three_zones("general").each_offer(|offer| offer.allocatable.pods = 2)],
            ),
            (0, 2, 0),
        ),
    ]);
}

#[test]
fn nodes_there_come_first() {
    let busy = |mut node: spotocean_solver::problem::PlacementNode| {
        node.pods.push(pod("old").cpu(3500).resident());
        node
    };
    let cordoned = |mut node: spotocean_solver::problem::PlacementNode| {
        node.accepts_pods = false;
        node
    };
    let reserved = |mut node: spotocean_solver::problem::PlacementNode| {
        node.reserved = crate::fixtures::resources(3500, 0);
        node
    };
    let tainted = |mut node: spotocean_solver::problem::PlacementNode| {
        node.taints.push(taint("dedicated"));
        node
    };
    let ask = || problem(vec![pod("web").times(4)], vec![three_zones("general")]);
    let tolerant = || {
        problem(
            vec![pod("web").tolerates("dedicated").times(4)],
            vec![three_zones("general")],
        )
    };
    check_all([
        ("empty node", with_nodes(ask(), vec![node("n", "a")]), (4, 0, 0)),
        ("on its way", with_nodes(ask(), vec![on_its_way("n")]), (4, 0, 0)),
        ("busy", with_nodes(ask(), vec![busy(node("n", "a"))]), (0, 1, 0)),
        (
            "cordoned",
            with_nodes(ask(), vec![cordoned(node("n", "a"))]),
            (0, 1, 0),
        ),
        (
            "reserved for daemons",
            with_nodes(ask(), vec![reserved(node("n", "a"))]),
            (0, 1, 0),
        ),
        (
            "tainted",
            with_nodes(ask(), vec![tainted(node("n", "a"))]),
            (0, 1, 0),
        ),
        (
            "tolerated",
            with_nodes(tolerant(), vec![tainted(node("n", "a"))]),
            (4, 0, 0),
        ),
        (
            "no pool at all",
            with_nodes(problem(vec![pod("web").times(5)], vec![]), vec![node("n", "a")]),
            (4, 0, 1),
        ),
    ]);
}

#[test]
fn node_selector_and_affinity() {
    let expression = |key, operator, values: [&str; 1]| NodeTerm {
        expressions: vec![requirement(key, operator, values)],
        fields: vec![],
    };
    let ask = |terms: Vec<NodeTerm>| {
        problem(
            vec![pod("web").affine(terms).times(1)],
            vec![three_zones("general")],
        )
    };
    let field = |operator, name| NodeTerm {
        expressions: vec![],
        fields: vec![requirement("metadata.name", operator, [name])],
    };
    check_all([
        (
            "zone offered",
            problem(
                vec![pod("web").selects(label::ZONE, "c").times(1)],
                vec![three_zones("general")],
            ),
            (0, 1, 0),
        ),
        (
            "zone not offered",
            problem(
                vec![pod("web").selects(label::ZONE, "d").times(1)],
                vec![three_zones("general")],
            ),
            (0, 0, 1),
        ),
        (
            "not in",
            ask(vec![expression(label::ZONE, Operator::NotIn, ["a"])]),
            (0, 1, 0),
        ),
        (
            "greater than",
            ask(vec![expression(label::INSTANCE_CPU, Operator::Gt, ["3"])]),
            (0, 1, 0),
        ),
        (
            "not greater",
            ask(vec![expression(label::INSTANCE_CPU, Operator::Gt, ["4"])]),
            (0, 0, 1),
        ),
        (
            "less than",
            ask(vec![expression(label::INSTANCE_CPU, Operator::Lt, ["4"])]),
            (0, 0, 1),
        ),
        (
            "does not exist",
            ask(vec![NodeTerm {
                expressions: vec![requirement("team", Operator::DoesNotExist, [])],
                fields: vec![],
            }]),
            (0, 1, 0),
        ),
        (
            "exists",
            ask(vec![NodeTerm {
                expressions: vec![requirement("team", Operator::Exists, [])],
                fields: vec![],
            }]),
            (0, 0, 1),
        ),
        (
            "alternatives",
            ask(vec![
                expression(label::ZONE, Operator::In, ["d"]),
                expression(label::ZONE, Operator::In, ["b"]),
            ]),
            (0, 1, 0),
        ),
        ("no terms match nothing", ask(vec![]), (0, 0, 1)),
        (
            "a named node",
            with_nodes(
                ask(vec![field(Operator::In, "n2")]),
                vec![node("n1", "a"), node("n2", "a")],
            ),
            (1, 0, 0),
        ),
        (
            "a named node that is gone",
            with_nodes(ask(vec![field(Operator::In, "n3")]), vec![node("n1", "a")]),
            (0, 0, 1),
        ),
        (
            "any node but one",
            with_nodes(ask(vec![field(Operator::NotIn, "n1")]), vec![node("n1", "a")]),
            (0, 1, 0),
        ),
        (
            "zone still unknown",
            with_nodes(
                ask(vec![expression(label::ZONE, Operator::NotIn, ["a"])]),
                vec![on_its_way("n")],
            ),
            (0, 1, 0),
        ),
    ]);
}

#[test]
fn taints_of_pools() {
    let ask = |pod: PodBuilder| problem(vec![pod.times(1)], vec![three_zones("general").tainted("gpu")]);
    check_all([
        ("not tolerated", ask(pod("web")), (0, 0, 1)),
        ("tolerated", ask(pod("web").tolerates("gpu")), (0, 1, 0)),
    ]);
}

#[test]
fn topology_spread_over_zones() {
    let web = || pod("web").spread(spread(label::ZONE, "web"));
    let ask = |count| problem(vec![web().times(count)], vec![three_zones("general")]);
    let solution = check("one each", &ask(3), (0, 3, 0));
    assert_eq!(zones(&solution), ["a", "b", "c"]);
    for node in &solution.new_nodes {
        assert_eq!(node.candidates.len(), 1, "the zone is fixed");
    }
    let wide = TopologySpread {
        max_skew: 4,
        ..spread(label::ZONE, "web")
    };
    let four_domains = TopologySpread {
        min_domains: Some(4),
        ..spread(label::ZONE, "web")
    };
    let resident_in = |zone: &str| {
        let mut node = node(&format!("n-{zone}"), zone);
        node.pods.push(pod("web").cpu(4000).resident());
        node
    };
    let bare_d = || {
        let mut node = node("control", "d");
        node.taints.push(taint("control"));
        node
    };
    let honours_taints = TopologySpread {
        node_taints_policy: NodeInclusion::Honor,
        ..spread(label::ZONE, "web")
    };
    check_all([
        ("twelve fill three nodes", ask(12), (0, 3, 0)),
        (
            "soft spread does not bind",
            problem(
                vec![pod("web").spread(soft(spread(label::ZONE, "web"))).times(4)],
                vec![three_zones("general")],
            ),
            (0, 1, 0),
        ),
        (
            "a wide skew still balances",
            problem(
                vec![pod("web").spread(wide).times(3)],
                vec![three_zones("general")],
            ),
            (0, 3, 0),
        ),
        (
            "too few domains count as empty",
            problem(
                vec![pod("web").spread(four_domains).times(6)],
                vec![three_zones("general")],
            ),
            (0, 3, 3),
        ),
        (
            "existing pods count",
            with_nodes(ask(1), vec![resident_in("a"), resident_in("b")]),
            (0, 1, 0),
        ),
        (
            "a domain out of reach holds back",
            with_nodes(ask(6), vec![bare_d()]),
            (0, 3, 3),
        ),
        (
            "unless taints are honoured",
            with_nodes(
                problem(
                    vec![pod("web").spread(honours_taints).times(6)],
                    vec![three_zones("general")],
                ),
                vec![bare_d()],
            ),
            (0, 3, 0),
        ),
        (
            "zone still unknown",
            with_nodes(ask(3), vec![on_its_way("n")]),
            (0, 3, 0),
        ),
    ]);
    let solution = check(
        "the emptiest is filled",
        &with_nodes(ask(1), vec![resident_in("a"), resident_in("b")]),
        (0, 1, 0),
    );
    assert_eq!(zones(&solution), ["c"]);
}

#[test]
fn a_spread_honours_the_pods_own_selector() {
    let mut far = node("far", "d");
    far.labels = Arc::new(labels(&[
        (label::ZONE, "d"),
        (label::HOSTNAME, "far"),
        ("team", "x"),
    ]));
    let general = |policy| {
        let web = TopologySpread {
            node_affinity_policy: policy,
            ..spread(label::ZONE, "web")
        };
        let pods = pod("web").selects(label::POOL, "general").spread(web).times(6);
        with_nodes(
            problem(vec![pods], vec![three_zones("general")]),
            vec![far.clone()],
        )
    };
    check_all([
        ("honoured", general(NodeInclusion::Honor), (0, 3, 0)),
        ("ignored", general(NodeInclusion::Ignore), (0, 3, 3)),
    ]);
}

#[test]
fn topology_spread_over_hosts() {
    let web = || pod("web").cpu(100).spread(spread(label::HOSTNAME, "web"));
    let two = TopologySpread {
        max_skew: 2,
        ..spread(label::HOSTNAME, "web")
    };
    let by_pool = spread(label::POOL, "web");
    check_all([
        (
            "one a node",
            problem(vec![web().times(3)], vec![three_zones("general")]),
            (0, 3, 0),
        ),
        (
            "two a node",
            problem(
                vec![pod("web").cpu(100).spread(two).times(4)],
                vec![three_zones("general")],
            ),
            (0, 2, 0),
        ),
        (
            "any label is a topology",
            problem(
                vec![pod("web").spread(by_pool).times(4)],
                vec![three_zones("general"), three_zones("second")],
            ),
            (0, 2, 0),
        ),
    ]);
}

#[test]
fn pod_anti_affinity() {
    let apart = |key: &str| pod("web").cpu(100).without(term(key, "web"));
    let hermit = || {
        let mut node = node("n", "a");
        node.pods
            .push(pod("hermit").without(term(label::HOSTNAME, "web")).resident());
        node
    };
    let hermit_zone = || {
        let mut node = node("n", "a");
        node.pods
            .push(pod("hermit").without(term(label::ZONE, "web")).resident());
        node
    };
    let resident = || {
        let mut node = node("n", "a");
        node.pods.push(pod("web").resident());
        node
    };
    check_all([
        (
            "one a host",
            problem(
                vec![apart(label::HOSTNAME).times(3)],
                vec![three_zones("general")],
            ),
            (0, 3, 0),
        ),
        (
            "one a zone",
            problem(vec![apart(label::ZONE).times(4)], vec![three_zones("general")]),
            (0, 3, 1),
        ),
        (
            "between classes",
            problem(
                vec![
                    pod("db").cpu(100).without(term(label::HOSTNAME, "web")).times(1),
                    pod("web").cpu(100).times(1),
                ],
                vec![three_zones("general")],
            ),
            (0, 2, 0),
        ),
        (
            "between classes by zone",
            problem(
                vec![
                    pod("db").cpu(100).without(term(label::ZONE, "web")).times(2),
                    pod("web").cpu(100).times(2),
                ],
                vec![three_zones("general")],
            ),
            (0, 2, 0),
        ),
        (
            "a resident is avoided",
            with_nodes(
                problem(
                    vec![apart(label::HOSTNAME).times(1)],
                    vec![three_zones("general")],
                ),
                vec![resident()],
            ),
            (0, 1, 0),
        ),
        (
            "a resident's own anti-affinity holds",
            with_nodes(
                problem(vec![pod("web").times(1)], vec![three_zones("general")]),
                vec![hermit()],
            ),
            (0, 1, 0),
        ),
        (
            "in its zone too",
            with_nodes(
                problem(
                    vec![pod("web").times(1)],
                    vec![pool("general").offer("m5.large", "a", 2, 8, 9)],
                ),
                vec![hermit_zone()],
            ),
            (0, 0, 1),
        ),
        (
            "but not elsewhere",
            with_nodes(
                problem(vec![pod("web").times(1)], vec![three_zones("general")]),
                vec![hermit_zone()],
            ),
            (0, 1, 0),
        ),
    ]);
}

#[test]
fn pod_affinity_by_zone() {
    let web_with = |app: &str| pod("web").with(term(label::ZONE, app));
    let db_in_c = || pod("db").selects(label::ZONE, "c").times(1);
    let solution = check(
        "follows its target",
        &problem(
            vec![web_with("db").times(8), db_in_c()],
            vec![three_zones("general")],
        ),
        (0, 3, 0),
    );
    assert_eq!(zones(&solution), ["c", "c", "c"]);
    let solution = check(
        "the target goes where its followers can",
        &problem(
            vec![
                pod("web")
                    .with(term(label::ZONE, "db"))
                    .selects(label::ZONE, "b")
                    .times(1),
                pod("db").times(1),
            ],
            vec![three_zones("general")],
        ),
        (0, 1, 0),
    );
    assert_eq!(zones(&solution), ["b"]);
    let solution = check(
        "the first of a group goes anywhere, the rest with it",
        &problem(vec![web_with("web").times(8)], vec![three_zones("general")]),
        (0, 2, 0),
    );
    assert_eq!(zones(&solution), ["a", "a"]);
    let in_b = || {
        let mut node = node("n", "b");
        node.pods.push(pod("db").cpu(4000).resident());
        node
    };
    let solution = check(
        "a resident is followed",
        &with_nodes(
            problem(vec![web_with("db").times(1)], vec![three_zones("general")]),
            vec![in_b()],
        ),
        (0, 1, 0),
    );
    assert_eq!(zones(&solution), ["b"]);
    check(
        "nobody there",
        &problem(vec![web_with("db").times(1)], vec![three_zones("general")]),
        (0, 0, 1),
    );
}

#[test]
fn pod_affinity_by_host() {
    let web = || pod("web").cpu(500).with(term(label::HOSTNAME, "db"));
    let group = || pod("web").with(term(label::HOSTNAME, "web"));
    let with_db = || {
        let mut node = node("n", "b");
        node.pods.push(pod("db").cpu(3500).resident());
        node
    };
    let sizes = || three_zones("general").offer("m5.4xlarge", "a", 16, 64, 160_000);
    check_all([
        (
            "beside a resident",
            with_nodes(
                problem(vec![web().times(1)], vec![three_zones("general")]),
                vec![with_db()],
            ),
            (1, 0, 0),
        ),
        (
            "no room beside it",
            with_nodes(
                problem(vec![web().times(2)], vec![three_zones("general")]),
                vec![with_db()],
            ),
            (1, 0, 1),
        ),
        (
            "beside one bought",
            problem(
                vec![web().times(2), pod("db").times(1)],
                vec![three_zones("general")],
            ),
            (0, 1, 0),
        ),
        (
            "a larger type is taken",
            problem(vec![web().times(8), pod("db").times(1)], vec![sizes()]),
            (0, 1, 0),
        ),
        (
            "a group shares one node",
            problem(vec![group().times(9)], vec![sizes()]),
            (0, 1, 0),
        ),
        (
            "what does not fit stays",
            problem(vec![group().times(17)], vec![sizes()]),
            (0, 1, 1),
        ),
    ]);
}

#[test]
fn a_pod_that_is_counted_avoids_an_unknown_zone() {
    let pods = vec![
        pod("db").cpu(100).without(term(label::ZONE, "web")).times(1),
        pod("web").cpu(100).times(1),
    ];
    let ask = with_nodes(problem(pods, vec![three_zones("general")]), vec![on_its_way("n")]);
    check("both are bought for", &ask, (0, 2, 0));
}

#[test]
fn namespaces_of_affinity() {
    let everywhere = spotocean_core::topology::PodAffinityTerm {
        namespaces: BTreeSet::new(),
        namespace_selector: Some(LabelSelector::default()),
        ..term(label::HOSTNAME, "web")
    };
    let team = spotocean_core::topology::PodAffinityTerm {
        namespace_selector: Some(selector(&[("team", "x")])),
        ..everywhere.clone()
    };
    let ask = |term: &spotocean_core::topology::PodAffinityTerm| Problem {
        namespaces: BTreeMap::from([("other".into(), Arc::new(labels(&[("team", "y")])))]),
        ..problem(
            vec![
                pod("db").cpu(100).without(term.clone()).times(1),
                pod("web").cpu(100).namespace("other").times(1),
            ],
            vec![three_zones("general")],
        )
    };
    check_all([
        (
            "another namespace is not meant",
            ask(&term(label::HOSTNAME, "web")),
            (0, 1, 0),
        ),
        ("all are", ask(&everywhere), (0, 2, 0)),
        ("only those with the label", ask(&team), (0, 1, 0)),
    ]);
}

/// Pods of one size, by sevens: those of each name are spread over hosts among those of another.
fn entangled(each: usize) -> Vec<Vec<PendingPod>> {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let pairs = names
        .iter()
        .flat_map(|own| names.iter().map(move |other| (own, other)));
    let pods = pairs.map(|(own, other)| {
        let pod = pod(&format!("{own}-{other}"));
        pod.spread(spread(label::HOSTNAME, other)).times(each)
    });
    pods.collect()
}

#[test]
fn pods_change_places_for_those_left_over() {
    // So many types that the packing is all there is: only small nodes are cheap.
    let small = pool("general").offer("small", "a", 4, 64, 4_000);
    let types = (5..500).fold(small, |pool, cpu| {
        pool.offer(&format!("large-{cpu}"), "a", cpu, 64 * cpu, 1_100 * cpu)
    });
    for each in [4, 6] {
        let pods = entangled(each);
        let pods_in_all: usize = pods.iter().map(Vec::len).sum();
        let full = problem(pods, vec![types.clone()]);
        check(&format!("{each} of each"), &full, (0, pods_in_all.div_ceil(4), 0));
    }
}
