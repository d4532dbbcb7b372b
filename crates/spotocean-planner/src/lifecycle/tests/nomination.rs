//! Pods are nominated to the node that was bought for them, and the node waits for that, but not for long.

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
            change_own(s, "n1", |own| own.spec.for_pods = pods);
            change_node(s, "n1", |node| {
                node.created_at = ago(age);
                node.taints = vec![taint(UNREGISTERED_TAINT, TaintEffect::NoExecute)];
            });
        })
}

/// Pods nominated to n1 in this look, and whether pods are let in.
fn step(snapshot: &Snapshot) -> (Vec<String>, bool) {
    let commands = plan(snapshot).commands;
    let nominated = commands.iter().filter_map(|planned| match &planned.command {
        Command::NominatePod { pod, node, .. } => {
            assert_eq!(node.as_str(), "n1");
            Some(pod.name.to_string())
        }
        _ => None,
    });
    let is_open = commands
        .iter()
        .any(|planned| matches!(planned.command, Command::PatchNode(_)));
    (nominated.collect(), is_open)
}

#[test]
fn a_node_opens_once_its_pods_are_nominated() {
    let mut snapshot = starting(0, &["a", "b"])
        .pod(pod("a"))
        .pod(pod("b"))
        .pod(pod("stranger"))
        .build();
    assert_eq!(step(&snapshot), (vec!["a".to_owned(), "b".to_owned()], false));
    play(&mut snapshot, 1);
    assert_eq!(step(&snapshot), (vec![], true));
    let bound: Vec<_> = snapshot
        .pods
        .iter()
        .map(|pod| pod.nominated_node.clone())
        .collect();
    assert_eq!(bound, [Some("n1".into()), Some("n1".into()), None]);
}

#[test]
fn what_cannot_be_nominated_holds_up_nothing() {
    let elsewhere = |name: &str| {
        let mut pod = pod(name);
        pod.nominated_node = Some("n2".into());
        pod
    };
    let other = node("n2", "shop");
    let (none, its_own) = (Vec::<String>::new(), vec!["a".to_owned()]);
    let rows = [
        ("its pods are gone", starting(0, &["a"]), none.clone(), true),
        (
            "bound already",
            starting(0, &["a"]).pod(running("a", "n2")),
            none.clone(),
            true,
        ),
        (
            "preempts elsewhere",
            starting(0, &["a"]).pod(elsewhere("a")).node(other),
            none.clone(),
            true,
        ),
        (
            "refused for five seconds",
            starting(5, &["a"]).pod(pod("a")),
            its_own,
            true,
        ),
        (
            "only observed",
            starting(0, &["a"])
                .pod(pod("a"))
                .with(|s| change_ocean(s, |ocean| ocean.spec.mode = Mode::Observe)),
            none.clone(),
            false,
        ),
    ];
    for (title, world, nominated, is_open) in rows {
        assert_eq!(step(&world.build()), (nominated, is_open), "{title}");
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
