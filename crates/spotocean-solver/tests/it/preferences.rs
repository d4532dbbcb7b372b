//! What pods would rather have: followed where it costs no more than it is worth, and never in the way.

use std::sync::Arc;

use spotocean_core::label;
use spotocean_core::requirement::Labels;
use spotocean_core::taint::{Taint, TaintEffect};
use spotocean_solver::problem::{BuyablePool, Problem, RemainingLimits};
use spotocean_solver::solution::Solution;

use crate::fixtures::*;
use crate::predicates::{check, with_nodes, zones};

/// Four pods fill an `m5.xlarge`. One wish of 100 is worth a fifth of what a pod costs: 2 millidollars each.
fn alone(pod: PodBuilder, pools: Vec<BuyablePool>) -> Problem {
    problem(vec![pod.times(4)], pools)
}

/// Zones of the nodes bought, with what each costs in millidollars.
fn bought(name: &str, problem: &Problem, nodes: usize) -> (Vec<String>, i64) {
    let there = problem.pods.len();
    let solution = check_served(name, problem, nodes);
    assert_eq!(
        solution
            .new_nodes
            .iter()
            .map(|node| node.pods.len())
            .sum::<usize>(),
        there
    );
    (zones(&solution), solution.cost().micro_usd() / 1000)
}

fn check_served(name: &str, problem: &Problem, nodes: usize) -> Solution {
    check(name, problem, (0, nodes, 0))
}

fn dear_c() -> BuyablePool {
    pool("general")
        .offer("m5.xlarge", "a", 4, 16, 40_000)
        .offer("m5.xlarge", "b", 4, 16, 45_000)
        .offer("m5.xlarge", "c", 4, 16, 50_000)
}

#[test]
fn a_preferred_node_is_bought_while_it_is_worth_it() {
    let rows = [
        ("worth 8, 5 more", pod("web").likes(label::ZONE, "b", 100), "b"),
        ("worth 8, 10 more", pod("web").likes(label::ZONE, "c", 100), "a"),
        ("worth 4, 5 more", pod("web").likes(label::ZONE, "b", 50), "a"),
        (
            "the better of two wishes",
            pod("web")
                .likes(label::ZONE, "c", 100)
                .likes(label::ZONE, "b", 90),
            "b",
        ),
        (
            "a zone that nobody sells",
            pod("web").likes(label::ZONE, "x", 100),
            "a",
        ),
        ("the cheapest anyway", pod("web").likes(label::ZONE, "a", 1), "a"),
    ];
    for (name, pod, zone) in rows {
        assert_eq!(bought(name, &alone(pod, vec![dear_c()]), 1).0, [zone], "{name}");
    }
}

#[test]
fn a_soft_taint_is_kept_away_from_at_its_worth() {
    let avoided = |second: i64| {
        let mut first = pool("general").offer("m5.xlarge", "a", 4, 16, 40_000);
        first.taints.push(Taint {
            effect: TaintEffect::PreferNoSchedule,
            ..taint("slow")
        });
        vec![first, pool("second").offer("m5.xlarge", "b", 4, 16, second)]
    };
    let rows = [
        ("a little dearer elsewhere", pod("web"), 47_000, "b"),
        ("much dearer elsewhere", pod("web"), 49_000, "a"),
        ("tolerated", pod("web").tolerates("slow"), 41_000, "a"),
    ];
    for (name, pod, second, zone) in rows {
        assert_eq!(bought(name, &alone(pod, avoided(second)), 1).0, [zone], "{name}");
    }
}

#[test]
fn only_what_is_liked_is_offered_to_ec2() {
    let pool = pool("general")
        .offer("m5.xlarge", "a", 4, 16, 40_000)
        .offer("m6g.xlarge", "a", 4, 16, 41_000)
        .offer("m6g.xlarge", "b", 4, 16, 42_000);
    let liking = pod("web").likes(label::INSTANCE_FAMILY, "m6g", 60);
    let solution = check_served("liked family", &alone(liking, vec![pool]), 1);
    let types: Vec<&str> = solution.new_nodes[0]
        .candidates
        .iter()
        .map(|market| market.instance_type.as_str())
        .collect();
    assert_eq!(types, ["m6g.xlarge", "m6g.xlarge"]);
}

#[test]
fn a_wish_keeps_no_pod_waiting() {
    let preferred = pool("second")
        .offer("m5.xlarge", "b", 4, 16, 41_000)
        .limited(RemainingLimits {
            nodes: Some(1),
            ..RemainingLimits::default()
        });
    let general = pool("general").offer("m5.xlarge", "a", 4, 16, 40_000);
    let pods = pod("web").likes(label::POOL, "second", 100).times(8);
    let all = problem(vec![pods], vec![general, preferred]);
    assert_eq!(
        bought("one is all there may be", &all, 2),
        (vec!["a".into(), "b".into()], 81)
    );
}

#[test]
fn pods_are_spread_if_they_can_where_it_costs_little() {
    let web = |count| pod("web").spread(soft(spread(label::ZONE, "web"))).times(count);
    let ask = |count, pool| problem(vec![web(count)], vec![pool]);
    let rows = [
        ("full nodes", ask(12, three_zones("general")), vec!["a", "b", "c"]),
        (
            "three would each have a node of their own",
            ask(3, three_zones("general")),
            vec!["a"],
        ),
        ("c is dearer than that", ask(8, dear_c()), vec!["a", "b"]),
    ];
    for (name, problem, expected) in rows {
        assert_eq!(bought(name, &problem, expected.len()).0, expected, "{name}");
    }
}

#[test]
fn pods_are_joined_and_parted_by_zone() {
    let beside = |app: &str| {
        let mut node = node("n1", "b");
        node.pods.push(pod(app).cpu(4000).resident());
        vec![node]
    };
    let all_but_c = || {
        let mut nodes = beside("db");
        let mut other = node("n2", "a");
        other.pods.push(pod("db").cpu(4000).resident());
        nodes.push(other);
        nodes
    };
    let with = pod("web").would_be_with(term(label::ZONE, "db"), 100);
    let without = pod("web").would_be_without(term(label::ZONE, "db"), 100);
    let rows = [
        ("towards", with.clone(), beside("db"), "b"),
        ("towards nobody", with, beside("job"), "a"),
        ("away", without, all_but_c(), "c"),
    ];
    for (name, pod, nodes, zone) in rows {
        let asked = with_nodes(alone(pod, vec![three_zones("general")]), nodes);
        assert_eq!(bought(name, &asked, 1).0, [zone], "{name}");
    }
}

#[test]
fn nothing_is_bought_for_a_wish_while_there_is_room() {
    let wishing = pod("web")
        .spread(soft(spread(label::ZONE, "web")))
        .likes(label::ZONE, "c", 100);
    let rows = [
        ("there", node("n1", "a")),
        ("on its way, anywhere", on_its_way("n1")),
    ];
    for (name, node) in rows {
        let asked = problem(vec![wishing.clone().times(3)], vec![three_zones("general")]);
        check(name, &with_nodes(asked, vec![node]), (3, 0, 0));
    }
}

#[test]
fn of_nodes_there_the_liked_one_is_filled_first() {
    let nodes = vec![node("n1", "a"), node("n2", "b")];
    let asked = alone(pod("web").likes(label::ZONE, "b", 10), vec![]);
    let solution = check("liked", &with_nodes(asked, nodes), (4, 0, 0));
    let names: Vec<_> = solution.existing.keys().collect();
    assert_eq!(format!("{names:?}"), r#"[Node("n2")]"#);
}

#[test]
fn pool_weight_is_stronger_than_a_wish() {
    let labelled = |pool: BuyablePool, disk: &str| {
        let mut own: Labels = (*pool.labels).clone();
        own.insert("disk".into(), disk.into());
        BuyablePool {
            labels: Arc::new(own),
            ..pool
        }
    };
    let first = labelled(pool("general"), "hdd")
        .weight(1)
        .offer("m5.xlarge", "a", 4, 16, 40_000);
    let second = labelled(pool("second"), "ssd").offer("m5.xlarge", "b", 4, 16, 40_000);
    let asked = alone(pod("web").likes("disk", "ssd", 100), vec![first, second]);
    assert_eq!(bought("weight", &asked, 1).0, ["a"]);
}
