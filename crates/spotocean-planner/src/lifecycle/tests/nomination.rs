//! Pods are nominated to the node that was bought for them, and the node waits for that, but not for long.

use jiff::Timestamp;
use spotocean_core::label::{CLOUD_UNINITIALIZED_TAINT, HOSTNAME, NOT_READY_TAINT, ZONE};
use spotocean_core::pod::Pod;
use spotocean_core::topology::{NodeInclusion, PodAffinityTerm, TopologySpread, WhenUnsatisfiable};

use super::*;

/// Node n1 with the taint it starts with, created so many seconds ago and bought for `pods`.
fn starting(age: i64, pods: &[&str]) -> SnapshotBuilder {
    let pods: Vec<PodReference> = pods
        .iter()
        .map(|name| PodReference {
            namespace: "default".into(),
            name: (*name).to_owned(),
        })
        .collect();
    world()
        .member("n1", "shop", Phase::Launched)
        .node(node("n1", "shop"))
        .with(|s| {
            change_own(s, "n1", |own| {
                own.spec.for_pods = pods;
                own.status.as_mut().unwrap().launched_at = Some(Time(ago(age)));
            });
            change_node(s, "n1", |node| {
                node.created_at = ago(age);
                node.taints = vec![taint(UNREGISTERED_TAINT, TaintEffect::NoExecute)];
            });
        })
}

/// Pods nominated to n1 in this look, and whether pods are let in.
fn step(snapshot: &Snapshot) -> (Vec<String>, bool) {
    let commands = plan(snapshot).commands;
    let nominated = commands.iter().flat_map(|planned| match &planned.command {
        Command::NominatePod { pod, node, .. } => {
            assert_eq!(node.as_str(), "n1");
            vec![pod.name.to_string()]
        }
        Command::PatchNode(patch) => {
            let names = patch.nominees.iter().map(|nominee| nominee.pod.name.to_string());
            names.collect()
        }
        _ => Vec::new(),
    });
    let is_open = commands
        .iter()
        .any(|planned| matches!(planned.command, Command::PatchNode(_)));
    (nominated.collect(), is_open)
}

#[test]
fn a_node_opens_when_its_pods_are_nominated() {
    let mut snapshot = starting(0, &["a", "b"])
        .pod(pod("a"))
        .pod(pod("b"))
        .pod(pod("stranger"))
        .build();
    assert_eq!(step(&snapshot), (vec!["a".to_owned(), "b".to_owned()], true));
    play(&mut snapshot, 1);
    assert_eq!(step(&snapshot), (vec![], false));
    let bound: Vec<_> = snapshot
        .pods
        .iter()
        .map(|pod| pod.nominated_node.clone())
        .collect();
    assert_eq!(bound, [Some("n1".into()), Some("n1".into()), None]);
}

#[test]
fn a_node_that_cannot_take_its_pods_yet_stays_closed_to_all() {
    let closed = |age: i64, key: &str| {
        starting(age, &["a"]).pod(pod("a")).with(|s| {
            change_node(s, "n1", |node| {
                node.taints.push(taint(key, TaintEffect::NoSchedule));
            });
        })
    };
    let its_own = || vec!["a".to_owned()];
    let unready = starting(29, &["a"])
        .pod(pod("a"))
        .with(|s| change_node(s, "n1", not_ready));
    let rows = [
        ("not ready", unready, (vec![], false)),
        (
            "the taint of a node that is not ready",
            closed(29, NOT_READY_TAINT),
            (vec![], false),
        ),
        (
            "not known to the cloud controller",
            closed(29, CLOUD_UNINITIALIZED_TAINT),
            (vec![], false),
        ),
        (
            "a plugin may wait for the end of our taint",
            closed(30, NOT_READY_TAINT),
            (its_own(), true),
        ),
        (
            "others' taints are not waited for",
            closed(0, "example.com/agent"),
            (its_own(), true),
        ),
    ];
    for (title, world, expected) in rows {
        assert_eq!(step(&world.build()), expected, "{title}");
    }
    let nobody_waits = closed(0, NOT_READY_TAINT).with(|s| s.pods.clear()).build();
    assert_eq!(step(&nobody_waits), (vec![], true), "nobody waits");
}

#[test]
fn who_does_not_wait_is_not_nominated() {
    let elsewhere = |name: &str| {
        let mut pod = pod(name);
        pod.nominated_node = Some("n2".into());
        pod
    };
    let other = node("n2", "shop");
    let rows = [
        ("its pods are gone", starting(0, &["a"]), true),
        ("bound already", starting(0, &["a"]).pod(running("a", "n2")), true),
        (
            "preempts elsewhere",
            starting(0, &["a"]).pod(elsewhere("a")).node(other),
            true,
        ),
        (
            "only observed",
            starting(0, &["a"])
                .pod(pod("a"))
                .with(|s| change_ocean(s, |ocean| ocean.spec.mode = Mode::Observe)),
            false,
        ),
    ];
    for (title, world, is_open) in rows {
        assert_eq!(step(&world.build()), (vec![], is_open), "{title}");
    }
}

#[test]
fn a_nomination_that_the_scheduler_dropped_is_renewed_while_pods_are_awaited() {
    let at = |seconds: i64, nominated: Option<&str>| {
        let mut snapshot = starting(600, &["a"]).pod(pod("a")).build();
        Arc::make_mut(&mut snapshot.pods[0]).nominated_node = nominated.map(Into::into);
        change_node(&mut snapshot, "n1", |node| node.taints.clear());
        change_own(&mut snapshot, "n1", |own| {
            let status = own.status.as_mut().unwrap();
            status.phase = Phase::Initialized;
            status.initialized_at = Some(Time(ago(seconds)));
        });
        step(&snapshot).0
    };
    assert_eq!(at(29, None), ["a"]);
    assert_eq!(at(29, Some("gone")), ["a"], "a nomination to no Node is none");
    assert!(at(29, Some("n1")).is_empty());
    assert!(
        at(30, None).is_empty(),
        "whatever keeps it out stays: it is planned anew"
    );
}

#[test]
fn nothing_is_nominated_to_a_place_that_another_pod_has() {
    let with = |cpu_millis: i64| {
        let mut snapshot = starting(600, &["a"])
            .pod(pod("a"))
            .pod(running("b", "n1"))
            .build();
        change_node(&mut snapshot, "n1", |node| {
            node.taints.clear();
            node.allocatable.cpu_millis = cpu_millis;
        });
        change_own(&mut snapshot, "n1", |own| {
            let status = own.status.as_mut().unwrap();
            status.phase = Phase::Initialized;
            status.initialized_at = Some(Time(now()));
        });
        step(&snapshot).0
    };
    assert_eq!(with(1000), ["a"], "there is room for both");
    assert!(with(999).is_empty(), "b took it");
}

/// Pods of application `name`, of so many thousandths of a core.
fn of_app(name: &str, number: usize, cpu_millis: i64) -> Pod {
    let mut pod = pod(&format!("{name}-{number}"));
    pod.labels = Arc::new(labels(&[("app", name)]));
    Arc::make_mut(&mut pod.shape).requests.cpu_millis = cpu_millis;
    pod
}

fn app(name: &str) -> Option<LabelSelector> {
    Some(LabelSelector {
        match_labels: labels(&[("app", name)]),
        ..LabelSelector::default()
    })
}

fn spread(mut pod: Pod, over: &str, when_unsatisfiable: WhenUnsatisfiable) -> Pod {
    Arc::make_mut(&mut pod.shape).spread.push(TopologySpread {
        max_skew: 1,
        topology_key: ZONE.into(),
        when_unsatisfiable,
        selector: app(over),
        min_domains: None,
        node_affinity_policy: NodeInclusion::Honor,
        node_taints_policy: NodeInclusion::Ignore,
    });
    pod
}

fn beside(mut pod: Pod, other: &str) -> Pod {
    let namespaces = BTreeSet::from([pod.namespace().clone()]);
    Arc::make_mut(&mut pod.shape).affinity.push(PodAffinityTerm {
        topology_key: HOSTNAME.into(),
        selector: app(other),
        namespaces,
        namespace_selector: None,
    });
    pod
}

fn bought_for(snapshot: &mut Snapshot, node: &str, pods: &[String], at: Timestamp) {
    let reference = |name: &String| PodReference {
        namespace: "default".into(),
        name: name.clone(),
    };
    change_own(snapshot, node, |own| {
        own.spec.for_pods = pods.iter().map(reference).collect();
        own.metadata.creation_timestamp = Some(Time(at));
        own.status.as_mut().unwrap().launched_at = Some(Time(at));
    });
}

/// Whether n1, which is ready and was bought for `early`, opens while n2, bought so many seconds later for `late`, has
/// no Node.
fn opens_without(early: &[Pod], late: &[Pod], seconds: i64) -> bool {
    let names = |pods: &[Pod]| -> Vec<String> { pods.iter().map(|pod| pod.key.name.to_string()).collect() };
    let mut world = starting(29, &[]).member("n2", "shop", Phase::Launched);
    for pod in early.iter().chain(late) {
        world = world.pod(pod.clone());
    }
    let mut snapshot = world.build();
    bought_for(&mut snapshot, "n1", &names(early), ago(60));
    bought_for(&mut snapshot, "n2", &names(late), ago(60 - seconds));
    step(&snapshot).1
}

#[test]
fn nodes_open_together_whose_pods_depend_on_one_another() {
    use WhenUnsatisfiable::{DoNotSchedule, ScheduleAnyway};
    let plain = |number| of_app("plain", number, 100);
    let web = |number| spread(of_app("web", number, 100), "web", DoNotSchedule);
    let soft = |number| spread(of_app("web", number, 100), "web", ScheduleAnyway);
    let all_of_n1 = || of_app("plain", 0, 1_900);
    let rows = [
        (
            "pods are at home anywhere",
            vec![plain(0)],
            vec![plain(1)],
            0,
            true,
        ),
        (
            "one zone waits for the other",
            vec![web(0)],
            vec![web(1)],
            0,
            false,
        ),
        ("a wish is not waited for", vec![soft(0)], vec![soft(1)], 0, true),
        (
            "bought in one go, written one by one",
            vec![web(0)],
            vec![web(1)],
            5,
            false,
        ),
        (
            "bought later: it takes its time",
            vec![web(0)],
            vec![web(1)],
            6,
            true,
        ),
        (
            "a mate comes later",
            vec![beside(of_app("db", 0, 100), "web")],
            vec![of_app("web", 0, 1_900)],
            0,
            false,
        ),
        (
            "room left would draw a pod out of balance",
            vec![plain(0)],
            vec![web(1)],
            0,
            false,
        ),
        ("no room is left", vec![all_of_n1()], vec![web(1)], 0, true),
        (
            "room left would draw the first of a group",
            vec![plain(0)],
            vec![of_app("web", 0, 100), beside(of_app("db", 0, 1_900), "web")],
            0,
            false,
        ),
    ];
    for (title, early, late, seconds, expected) in rows {
        assert_eq!(opens_without(&early, &late, seconds), expected, "{title}");
    }
}

/// n1 is spread with n2, which is ready too and spread with n3, which has no Node.
#[test]
fn a_node_that_waits_is_waited_for() {
    let web = |number| {
        spread(
            of_app("web", number, 100),
            "web",
            WhenUnsatisfiable::DoNotSchedule,
        )
    };
    let api = |number| {
        spread(
            of_app("api", number, 100),
            "api",
            WhenUnsatisfiable::DoNotSchedule,
        )
    };
    let is_open = |last: Pod| {
        let mut world = starting(29, &["web-0"])
            .member("n2", "shop", Phase::Launched)
            .member("n3", "shop", Phase::Launched)
            .node(node("n2", "shop"));
        let pods = [web(0), web(1), api(0), last];
        let names: Vec<String> = pods.iter().map(|pod| pod.key.name.to_string()).collect();
        for pod in pods {
            world = world.pod(pod);
        }
        let mut snapshot = world.build();
        for (name, pods) in [("n1", &names[..1]), ("n2", &names[1..3]), ("n3", &names[3..])] {
            bought_for(&mut snapshot, name, pods, ago(60));
        }
        change_node(&mut snapshot, "n2", |node| {
            node.created_at = ago(20);
            node.allocatable.cpu_millis = 200;
            node.taints = vec![taint(UNREGISTERED_TAINT, TaintEffect::NoExecute)];
        });
        change_node(&mut snapshot, "n1", |node| node.allocatable.cpu_millis = 100);
        let commands = plan(&snapshot).commands;
        commands
            .iter()
            .any(|planned| matches!(planned.command, Command::PatchNode(_)))
    };
    assert!(!is_open(api(1)), "n2 waits for n3, and n1 for n2");
    assert!(is_open(of_app("plain", 0, 100)), "nobody waits for n3");
}
