//! One row for each way in which a command can be wrong.

use std::collections::BTreeSet;

use spotocean_api::ocean_node::Phase;
use spotocean_api::spot_ocean::{Mode, SpotOcean};
use spotocean_core::instance::{InstanceState, TAG_CLUSTER_UID};

use super::*;
use crate::answers::{answered, selecting};
use crate::command::{Lane, NodePatch, Nominee, Purchase, TerminationReason};
use crate::fixtures::{self, SnapshotBuilder, ago, instance, ocean_node, pod, running, snapshot};
use crate::pool::pools_of;
use crate::provisioning::cooldown::Cooldowns;
use crate::provisioning::launch::{Lot, purchase};
use crate::provisioning::supply::supply;

/// The rules that a plan of these commands breaks in a world, in order.
fn broken(world: SnapshotBuilder, commands: Vec<Command>) -> Vec<GuardRule> {
    let snapshot = world.build();
    let plan = Plan {
        commands: commands
            .into_iter()
            .map(|command| Planned {
                command,
                lane: Lane::Ordinary,
                because: "a test".into(),
            })
            .collect(),
        ..crate::plan::plan(&snapshot)
    };
    guard(&snapshot, plan)
        .plan
        .stripped
        .into_iter()
        .map(|stripped| stripped.rule)
        .collect()
}

fn check(world: SnapshotBuilder, command: Command, expected: Option<GuardRule>, why: &str) {
    let found = broken(world, vec![command]);
    assert_eq!(found, Vec::from_iter(expected), "{why}");
}

fn shop() -> SnapshotBuilder {
    answered(snapshot().ocean(selecting("shop", &["main"])))
}

fn change(world: SnapshotBuilder, change: impl FnOnce(&mut SpotOcean)) -> SnapshotBuilder {
    world.with(|snapshot| change(Arc::make_mut(&mut snapshot.oceans[0])))
}

/// A purchase of so many nodes of m5.large, as the planner would make it.
fn buying(nodes: usize, number: usize) -> Purchase {
    let snapshot = shop().build();
    let view = pools_of(&snapshot.oceans[0]).remove(0);
    let supply = supply(&snapshot, &Cooldowns::default(), view);
    let stock = supply.state.expect("everything is answered");
    let offer = stock
        .spot
        .iter()
        .find(|offer| offer.market().instance_type.as_str() == "m5.large")
        .unwrap();
    let node = spotocean_solver::solution::NewNode {
        pool: supply.view.key.clone(),
        capacity_type: spotocean_core::capacity_type::CapacityType::Spot,
        candidates: vec![offer.market().clone()],
        price: offer.offering.price,
        requests: spotocean_core::resources::Resources::default(),
        pods: Vec::new(),
    };
    let lot = Lot {
        capacity_type: node.capacity_type,
        markets: node.candidates.clone(),
        nodes: vec![node; nodes],
    };
    purchase(&snapshot, &supply.view, &stock, &lot, number).unwrap()
}

fn buy(purchase: Purchase) -> Command {
    Command::Purchase(Box::new(purchase))
}

#[test]
fn purchases_are_checked_against_the_ocean() {
    use GuardRule::{AlreadyRunning, NotManaged, Ownership, Stale};
    let ours = || buy(buying(2, 0));
    check(shop(), ours(), None, "all is well");
    check(
        change(shop(), |own| own.spec.mode = Mode::Observe),
        ours(),
        Some(NotManaged),
        "observed",
    );
    check(
        change(shop(), |own| own.metadata.finalizers = None),
        ours(),
        Some(NotManaged),
        "not in care",
    );
    check(
        change(shop(), |own| own.metadata.uid = Some("x".into())),
        ours(),
        Some(Stale),
        "another ocean",
    );
    let paused = [("spotocean.dev/pause".to_owned(), "true".to_owned())]
        .into_iter()
        .collect();
    check(
        change(shop(), |own| own.metadata.annotations = Some(paused)),
        ours(),
        Some(NotManaged),
        "paused",
    );
    let unreadable = shop().with(|snapshot| {
        snapshot.unreadable_oceans.insert("shop".into());
    });
    check(unreadable, ours(), Some(NotManaged), "unreadable");
    let running = shop().with(|snapshot| {
        snapshot.running.insert(CommandKey {
            kind: "Replay".into(),
            subject: ours().key().subject,
        });
    });
    check(running, ours(), Some(AlreadyRunning), "its replay runs");
    let exists = shop().with(|snapshot| snapshot.launches.push(Arc::new(buying(2, 0).launch)));
    check(exists, ours(), Some(Stale), "the launch is there already");
    let mut forged = buying(2, 0);
    forged.launch.spec.request.target_capacity = 3;
    check(
        shop(),
        buy(forged),
        Some(Ownership),
        "more instances than members",
    );
    let mut untagged = buying(2, 0);
    untagged.launch.spec.request.tags.iter_mut().for_each(|own| {
        own.tags.remove(TAG_CLUSTER_UID);
    });
    check(shop(), buy(untagged), Some(Ownership), "no cluster tag");
    let mut reused = buying(2, 0);
    reused.launch.spec.client_token = "another".into();
    check(shop(), buy(reused), Some(Ownership), "a token of another request");
}

#[test]
fn limits_and_rate_count_what_the_same_plan_buys() {
    let limited = |key: &str, text: &str| {
        change(shop(), |own| {
            own.spec.limits.insert(key.into(), text.into());
        })
    };
    let three = || vec![buy(buying(2, 0)), buy(buying(2, 1)), buy(buying(2, 2))];
    let rows = [
        ("nodes", "6", 0),
        ("nodes", "5", 1),
        ("nodes", "1", 3),
        ("cpu", "8", 1),
        ("hourlyCost", "0.08", 2),
        ("memory", "32Gi", 1),
    ];
    for (key, text, expected) in rows {
        let found = broken(limited(key, text), three());
        assert_eq!(found, vec![GuardRule::Limits; expected], "{key}: {text}");
    }
    let rate = broken(
        shop(),
        vec![buy(buying(15, 0)), buy(buying(6, 1)), buy(buying(5, 2))],
    );
    assert_eq!(rate, [GuardRule::LaunchRate], "15 + 5 are 20");
}

fn terminate(id: &str, reason: TerminationReason) -> Command {
    Command::Terminate {
        instance: id.into(),
        reason,
    }
}

#[test]
fn only_our_own_instances_are_terminated() {
    use GuardRule::{IncompleteSource, NotManaged, Ownership, Stale};
    use TerminationReason::{Released, Unexplained};
    let known = || shop().member("a", "shop", Phase::Terminating);
    let unknown = || shop().instance(instance("a", "shop", InstanceState::Running));
    check(
        known(),
        terminate("i-a", Released),
        None,
        "at the end of its life",
    );
    check(
        unknown(),
        terminate("i-a", Released),
        Some(Stale),
        "nobody speaks for it",
    );
    check(
        unknown(),
        terminate("i-a", Unexplained),
        None,
        "nothing explains it",
    );
    check(
        known(),
        terminate("i-a", Unexplained),
        Some(Stale),
        "an OceanNode explains it",
    );
    let adopted = unknown().node(fixtures::node("a", "shop"));
    check(
        adopted,
        terminate("i-a", Unexplained),
        Some(Stale),
        "a Ready node explains it",
    );
    check(shop(), terminate("i-a", Unexplained), Some(Stale), "gone");
    let foreign = |world: SnapshotBuilder| {
        world.with(|snapshot| {
            let instances = Arc::make_mut(&mut snapshot.instances);
            instances[0].tags.insert(TAG_CLUSTER_UID.into(), "other".into());
        })
    };
    check(
        foreign(unknown()),
        terminate("i-a", Unexplained),
        Some(Ownership),
        "another cluster's",
    );
    check(
        foreign(known()),
        terminate("i-a", Released),
        Some(Ownership),
        "another cluster's",
    );
    let partial =
        |world: SnapshotBuilder| world.with(|snapshot| snapshot.sources.instances.is_complete = false);
    check(
        partial(unknown()),
        terminate("i-a", Unexplained),
        Some(IncompleteSource),
        "a partial list",
    );
    check(
        partial(shop()),
        terminate("i-a", Released),
        Some(IncompleteSource),
        "a partial list",
    );
    let observed = change(known(), |own| own.spec.mode = Mode::Observe);
    check(observed, terminate("i-a", Released), Some(NotManaged), "observed");
}

#[test]
fn many_unexplained_instances_are_not_plausible() {
    let many = |unexplained: usize, all: usize| {
        let mut world = shop();
        for number in 0..all {
            world = world.instance(instance(&format!("{number:03}"), "shop", InstanceState::Running));
        }
        let commands = (0..unexplained)
            .map(|number| terminate(&format!("i-{number:03}"), TerminationReason::Unexplained))
            .collect();
        broken(world, commands).len()
    };
    let rows = [(3, 3, 0), (4, 10, 4), (5, 100, 0), (6, 100, 6)];
    for (unexplained, all, expected) in rows {
        assert_eq!(many(unexplained, all), expected, "{unexplained} of {all}");
    }
}

#[test]
fn nodes_and_pods_are_touched_only_where_they_are_ours() {
    use GuardRule::{IncompleteSource, NotManaged, Ownership, Stale};
    let world = || {
        shop()
            .member("a", "shop", Phase::Draining)
            .pod(running("web", "a"))
    };
    let foreign = || {
        world().with(|snapshot| {
            let node = Arc::make_mut(&mut snapshot.nodes[0]);
            node.labels = Arc::default();
            node.instance = None;
        })
    };
    let patch = |resource_version: &str| Command::PatchNode(Box::new(patch(resource_version)));
    let delete = |uid: &str| Command::DeleteNode {
        name: "a".into(),
        uid: uid.into(),
    };
    let evict = |name: &str, node: &str| Command::EvictPod {
        pod: pod(name).key,
        uid: pod(name).uid,
        node: node.into(),
    };
    let partial = || world().with(|snapshot| snapshot.sources.kubernetes.is_complete = false);
    let observed = || change(world(), |own| own.spec.mode = Mode::Observe);
    check(world(), patch("1"), None, "ours");
    check(world(), patch("0"), Some(Stale), "its taints may have changed");
    check(foreign(), patch("1"), Some(Ownership), "not ours");
    check(world(), delete("uid-a"), None, "ours");
    check(world(), delete("uid-b"), Some(Stale), "another node");
    check(
        partial(),
        delete("uid-a"),
        Some(IncompleteSource),
        "a partial view",
    );
    check(observed(), delete("uid-a"), Some(NotManaged), "observed");
    check(world(), evict("web", "a"), None, "ours");
    check(world(), evict("web", "b"), Some(Stale), "it has moved");
    check(world(), evict("gone", "a"), Some(Stale), "it is gone");
    check(foreign(), evict("web", "a"), Some(Ownership), "not our node");
}

#[test]
fn ocean_nodes_go_only_on_a_whole_view() {
    let world = || shop().ocean_node(ocean_node("a", "shop", Phase::Pending));
    let release = |uid: &str| Command::ReleaseOceanNode {
        name: "a".into(),
        uid: uid.into(),
    };
    check(world(), release("uid-a"), None, "ours");
    check(
        world(),
        release("uid-x"),
        Some(GuardRule::Stale),
        "another of that name",
    );
    let partial = world().with(|snapshot| snapshot.sources.kubernetes.is_complete = false);
    check(
        partial,
        release("uid-a"),
        Some(GuardRule::IncompleteSource),
        "a partial view",
    );
    let unreadable = world().with(|snapshot| {
        snapshot.oceans.clear();
        snapshot.unreadable_oceans = BTreeSet::from(["shop".into()]);
    });
    check(
        unreadable,
        release("uid-a"),
        Some(GuardRule::NotManaged),
        "frozen",
    );
}

#[test]
fn templates_in_use_stay() {
    let name = buying(1, 0).templates[0].name.clone();
    let listed = || {
        let name = name.clone();
        shop().with(move |snapshot| {
            Arc::make_mut(&mut snapshot.launch_templates).insert(name, ago(100));
        })
    };
    let delete = || Command::DeleteLaunchTemplate { name: name.clone() };
    check(listed(), delete(), None, "nothing names it");
    check(shop(), delete(), Some(GuardRule::Ownership), "not ours");
    let used = listed().with(|snapshot| snapshot.launches.push(Arc::new(buying(1, 0).launch)));
    check(used, delete(), Some(GuardRule::Stale), "an open launch names it");
}

/// Takes all taints off Node a.
fn patch(resource_version: &str) -> NodePatch {
    NodePatch {
        name: "a".into(),
        uid: "uid-a".into(),
        resource_version: resource_version.into(),
        labels: Default::default(),
        remove_labels: Vec::new(),
        annotations: Default::default(),
        taints: Some(Vec::new()),
        unschedulable: None,
        nominees: Vec::new(),
    }
}

#[test]
fn nominations_are_for_waiting_pods_and_our_nodes() {
    use GuardRule::{NotManaged, Ownership, Stale};
    let waiting = |node: Option<&str>| {
        let mut pod = pod("web");
        pod.nominated_node = node.map(Into::into);
        shop().member("a", "shop", Phase::Registered).pod(pod)
    };
    let bound = shop()
        .member("a", "shop", Phase::Registered)
        .pod(running("web", "a"));
    let foreign = waiting(None).with(|snapshot| {
        Arc::make_mut(&mut snapshot.nodes[0]).instance = Some("i-of-another".into());
    });
    let nominate = |node: &str| Command::NominatePod {
        pod: pod("web").key,
        uid: pod("web").uid,
        node: node.into(),
    };
    check(waiting(None), nominate("a"), None, "it waits, the node is ours");
    check(waiting(Some("gone")), nominate("a"), None, "a void nomination");
    check(
        waiting(Some("a")),
        nominate("a"),
        Some(Stale),
        "nominated already",
    );
    check(bound, nominate("a"), Some(Stale), "bound");
    check(waiting(None), nominate("b"), Some(Stale), "no such Node");
    check(
        foreign,
        nominate("a"),
        Some(Ownership),
        "no OceanNode speaks for it",
    );
    let observed = || change(waiting(None), |own| own.spec.mode = Mode::Observe);
    check(observed(), nominate("a"), Some(NotManaged), "observed");
    let open = |uid: &str| {
        Command::PatchNode(Box::new(NodePatch {
            nominees: vec![Nominee {
                pod: pod("web").key,
                uid: uid.into(),
            }],
            ..patch("1")
        }))
    };
    check(
        waiting(None),
        open(pod("web").uid.as_str()),
        None,
        "with its node",
    );
    check(
        waiting(None),
        open("another"),
        Some(Stale),
        "another pod of that name",
    );
}
