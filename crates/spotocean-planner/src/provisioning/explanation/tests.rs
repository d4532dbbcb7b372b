//! Rows: a pod or node and the constraint, or the block, that is told.

use std::sync::Arc;

use spotocean_api::disruption::Consolidate;
use spotocean_api::ocean_node::Phase;
use spotocean_api::requirement::{Requirement as PoolRequirement, RequirementOperator};
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::id::ObjectKey;
use spotocean_core::money::PricePerHour;
use spotocean_core::pod::{DoNotDisrupt, Pod, PodShape};
use spotocean_core::requirement::{Operator, Requirement};
use spotocean_core::selector::LabelSelector;

use super::funnel::{Constraint, Funnel};
use super::removal::{Block, explain_node};
use super::room::Refusal;
use super::{Outcome, explain_pod};
use crate::answers::{answered, selecting, serving};
use crate::fixtures::{self, SnapshotBuilder, ago, daemon, pod, running, snapshot};
use crate::snapshot::{DisruptionBudget, Snapshot};

fn shaped(name: &str, change: impl FnOnce(&mut PodShape)) -> Pod {
    let mut pod = pod(name);
    change(Arc::make_mut(&mut pod.shape));
    pod
}

fn requiring(key: &str, operator: RequirementOperator, value: &str) -> SpotOcean {
    let mut ocean = selecting("shop", &["main"]);
    ocean.spec.pools[0].requirements = vec![PoolRequirement {
        key: key.into(),
        operator,
        values: vec![value.into()],
        min_values: None,
    }];
    ocean
}

fn world(ocean: SpotOcean, pod: Pod) -> Snapshot {
    answered(snapshot().ocean(ocean).pod(pod)).build()
}

fn funnel(ocean: SpotOcean, pod: Pod) -> Funnel {
    let key = pod.key.clone();
    let explained = explain_pod(&world(ocean, pod), &key).unwrap();
    explained.pools.into_iter().next().unwrap()
}

/// A pod and an ocean, which constraint binds, and what the first change says.
type Row = (
    &'static str,
    SpotOcean,
    Pod,
    fn(&Constraint) -> bool,
    &'static str,
);

fn check(rows: Vec<Row>) {
    for (title, ocean, pod, is_binding, change) in rows {
        let found = funnel(ocean, pod);
        let binding = &found.steps[found.binding.expect(title)];
        assert!(is_binding(&binding.constraint), "{title}: {binding:?}");
        assert_eq!(binding.offerings, 0, "{title}");
        let told = found.changes.first().map_or("", |change| &change.steps[0]);
        assert!(told.contains(change), "{title}: {:?}", found.changes);
        let counts: Vec<usize> = found.steps.iter().map(|step| step.offerings).collect();
        assert!(counts.is_sorted_by(|a, b| a >= b), "{title}: {counts:?}");
    }
}

fn is_cpu(constraint: &Constraint) -> bool {
    matches!(constraint, Constraint::Resource(name) if &**name == "cpu")
}

#[test]
fn what_the_pod_asks_for_binds_and_the_smallest_change_is_told() {
    let plain = || selecting("shop", &["main"]);
    let selects = |key: &'static str, value: &'static str| {
        shaped("a", |shape| {
            shape.node_selector = vec![Requirement::new(key, Operator::In, [value])];
        })
    };
    let claiming = Pod {
        claims: vec!["disk".into()],
        ..pod("a")
    };
    let is_selector = |own: &Constraint| matches!(own, Constraint::NodeSelector(_));
    check(vec![
        (
            "a label that no type has",
            plain(),
            selects("team", "blue"),
            is_selector,
            "node selector wants (team In [blue])",
        ),
        (
            "a type that the defaults leave out",
            plain(),
            selects("kubernetes.io/arch", "arm64"),
            is_selector,
            "names what it leaves out by default (such as m6g.xlarge)",
        ),
        (
            "a pod larger than all types",
            plain(),
            shaped("a", |shape| shape.requests.cpu_millis = 40_000),
            is_cpu,
            "lower the pod's cpu request from 40 to 15890m or less (such as m5.4xlarge)",
        ),
        (
            "a claim that is not there",
            plain(),
            claiming,
            |own| matches!(own, Constraint::Claim(_)),
            "there is no PersistentVolumeClaim default/disk: create it",
        ),
    ]);
}

#[test]
fn what_the_pool_leaves_out_binds_and_the_smallest_change_is_told() {
    let plain = || selecting("shop", &["main"]);
    let mut dear = plain();
    dear.spec.strategy.max_price = Some(serde_json::from_str(r#"{"perVCPUHour": "0.0001"}"#).unwrap());
    let mut tainted = plain();
    tainted.spec.pools[0].taints =
        serde_json::from_str(r#"[{"key": "gpu", "effect": "NoSchedule"}]"#).unwrap();
    check(vec![
        (
            "a requirement of the pool",
            requiring("spotocean.dev/instance-cpu", RequirementOperator::Lte, "2"),
            shaped("a", |shape| shape.requests.cpu_millis = 3000),
            is_cpu,
            "loosen the pool's requirement spotocean.dev/instance-cpu Lte [2]",
        ),
        (
            "a price ceiling below everything closes the pool",
            dear,
            pod("a"),
            |own| matches!(own, Constraint::Open(_)),
            "",
        ),
        (
            "a taint",
            tainted,
            pod("a"),
            |own| matches!(own, Constraint::Taint(taint) if &**taint == "gpu:NoSchedule"),
            "add a toleration of gpu:NoSchedule",
        ),
        (
            "an ocean that serves others",
            serving(plain(), "app", "other"),
            pod("a"),
            |own| *own == Constraint::Served,
            "widen the ocean's spec.pods",
        ),
    ]);
}

#[test]
fn two_constraints_give_way_together_where_one_is_not_enough() {
    let pod = shaped("a", |shape| {
        shape.requests.cpu_millis = 40_000;
        shape.node_selector = vec![Requirement::new("team", Operator::In, ["blue"])];
    });
    let found = funnel(selecting("shop", &["main"]), pod);
    assert_eq!(found.changes[0].steps.len(), 2, "{:?}", found.changes);
}

#[test]
fn a_change_that_is_made_admits_the_pod() {
    let pod = shaped("a", |shape| shape.requests.cpu_millis = 40_000);
    let found = funnel(selecting("shop", &["main"]), pod);
    let told = found.changes[0].clone();
    let pod = shaped("a", |shape| shape.requests.cpu_millis = 15_890);
    let after = funnel(selecting("shop", &["main"]), pod);
    assert_eq!(after.binding, None);
    assert_eq!(after.steps.last().unwrap().offerings, told.admits);
}

#[test]
fn a_pod_with_a_place_is_told_where() {
    let key = ObjectKey::new("default", "a");
    let outcome = |world: SnapshotBuilder| {
        let world = answered(world.ocean(selecting("shop", &["main"]))).build();
        explain_pod(&world, &key).unwrap().outcome
    };
    assert!(matches!(outcome(snapshot().pod(pod("a"))), Outcome::New(node) if node.pods == [key.clone()]));
    let there = snapshot().member("n1", "shop", Phase::Initialized);
    assert!(matches!(
        outcome(there.clone().pod(pod("a"))),
        Outcome::Existing(_)
    ));
    assert_eq!(
        outcome(there.pod(running("a", "n1"))),
        Outcome::Bound("n1".into())
    );
    let gated = Pod {
        is_gated: true,
        ..pod("a")
    };
    assert_eq!(outcome(snapshot().pod(gated)), Outcome::NotWaiting);
}

#[test]
fn nodes_that_are_there_say_why_they_do_not_take_it() {
    let mut cordoned = fixtures::node("closed", "shop");
    cordoned.is_cordoned = true;
    let world = snapshot()
        .ocean(selecting("shop", &["main"]))
        .node(cordoned)
        .member("full", "shop", Phase::Initialized)
        .pod(running("big", "full"))
        .pod(shaped("a", |shape| shape.requests.cpu_millis = 1500));
    let world = answered(world).build();
    let explained = explain_pod(&world, &ObjectKey::new("default", "a")).unwrap();
    let found: Vec<Option<Refusal>> = explained.nodes.into_iter().map(|(_, refusal)| refusal).collect();
    assert_eq!(
        found,
        [Some(Refusal::Closed), Some(Refusal::Resource("cpu".into()))]
    );
}

fn node_world(change: impl FnOnce(&mut Snapshot)) -> Snapshot {
    let world = snapshot()
        .ocean(selecting("shop", &["main"]))
        .member("n1", "shop", Phase::Initialized)
        .pod(running("a", "n1"))
        .pod(daemon("d", "n1"))
        .with(change);
    answered(world).build()
}

fn blocks(change: impl FnOnce(&mut Snapshot)) -> Vec<Block> {
    explain_node(&node_world(change), &"n1".into()).unwrap().blocks
}

#[test]
fn what_blocks_a_removal_is_told() {
    let key = ObjectKey::new("default", "a");
    let on_pod = |snapshot: &mut Snapshot, change: fn(&mut Pod)| {
        let at = snapshot
            .pods
            .iter()
            .position(|pod| &*pod.key.name == "a")
            .unwrap();
        change(Arc::make_mut(&mut snapshot.pods[at]));
    };
    assert_eq!(blocks(|_| ()), [Block::HoldsPods(1)]);
    assert!(
        blocks(|all| Arc::make_mut(&mut all.nodes[0]).do_not_disrupt = true).contains(&Block::NodeAsksToStay)
    );
    assert!(
        blocks(|all| on_pod(all, |pod| pod.do_not_disrupt = Some(DoNotDisrupt::Always)))
            .contains(&Block::PodAsksToStay(key.clone()))
    );
    let past = |all: &mut Snapshot| on_pod(all, |pod| pod.do_not_disrupt = Some(DoNotDisrupt::Until(ago(5))));
    assert_eq!(
        blocks(past),
        [Block::HoldsPods(1)],
        "a protection that is over blocks nothing"
    );
    assert!(blocks(|all| on_pod(all, |pod| pod.owner = None)).contains(&Block::NoController(key.clone())));
    let never = |all: &mut Snapshot| {
        Arc::make_mut(&mut all.oceans[0]).spec.disruption.consolidate = Consolidate::Never;
    };
    assert_eq!(blocks(never), [Block::ConsolidationOff]);
    assert_eq!(blocks(|all| all.ocean_nodes.clear()), [Block::NotOurs]);
    for (allowed, is_told) in [(0, true), (1, false)] {
        let budget = DisruptionBudget {
            key: ObjectKey::new("default", "web"),
            selector: Some(LabelSelector::default()),
            disruptions_allowed: allowed,
        };
        let found = blocks(|all| all.disruption_budgets.push(Arc::new(budget)));
        let told = Block::Budget(ObjectKey::new("default", "web"), key.clone());
        assert_eq!(found.contains(&told), is_told, "{found:?}");
    }
}

#[test]
fn removing_a_node_is_weighed_against_what_its_pods_would_cost() {
    // Alone, its pod needs as good a node again.
    let alone = explain_node(&node_world(|_| ()), &"n1".into()).unwrap();
    assert_eq!((alone.what_if.onto_existing, alone.what_if.new_nodes), (0, 1));
    assert!(alone.what_if.added_cost > PricePerHour::ZERO);
    // Beside a node with room, it needs nothing.
    let other = fixtures::node("n2", "shop");
    let beside = node_world(|all| all.nodes.push(Arc::new(other)));
    let beside = explain_node(&beside, &"n1".into()).unwrap();
    assert_eq!((beside.what_if.onto_existing, beside.what_if.new_nodes), (1, 0));
    assert_eq!(beside.what_if.added_cost, PricePerHour::ZERO);
    assert!(beside.verdict.contains("saves"), "{}", beside.verdict);
    assert_eq!(explain_node(&node_world(|_| ()), &"absent".into()), None);
}
