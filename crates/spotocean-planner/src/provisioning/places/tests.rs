//! Places, row by row: who was bought for which node, who came where, and who has a place then.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spotocean_api::ocean_node::{Phase, PodReference};
use spotocean_core::id::NodeName;

use super::*;
use crate::fixtures::{SnapshotBuilder, labels, now, ocean, ocean_node, pod, running, snapshot};
use crate::provisioning::nominations::Nominations;

/// An OceanNode in a phase, bought for some pods, with the Node of its name once it has one.
fn own(name: &str, phase: Phase, pods: &[&str]) -> OceanNode {
    let mut own = ocean_node(name, "shop", phase);
    let reference = |pod: &&str| PodReference {
        namespace: "default".into(),
        name: (*pod).to_owned(),
    };
    own.spec.for_pods = pods.iter().map(reference).collect();
    let status = own.status.get_or_insert_default();
    status.node_name = (phase > Phase::Launched).then(|| name.to_owned());
    status.initialized_at = (phase == Phase::Initialized).then(|| Time(now()));
    own
}

/// Nodes n1 and n2 bought for a and b, for c and d; n1 is filled now, n2 boots.
fn world() -> SnapshotBuilder {
    snapshot()
        .ocean(ocean("shop", &["main"]))
        .ocean_node(own("n1", Phase::Initialized, &["a", "b"]))
        .ocean_node(own("n2", Phase::Launched, &["c", "d"]))
}

fn other(name: &str) -> Pod {
    let mut pod = pod(name);
    pod.labels = Arc::new(labels(&[("app", "other")]));
    pod
}

/// Pods with their places.
fn places(world: SnapshotBuilder) -> Vec<(String, String)> {
    let snapshot = world.build();
    let places = Places::of(&snapshot);
    let place = |pod: &Arc<Pod>| {
        let own = places.of_pod(&pod.key)?;
        assert!(places.on(own).contains(&pod), "{} both ways", pod.key);
        Some((pod.key.name.to_string(), name(own).to_owned()))
    };
    snapshot.pods.iter().filter_map(place).collect()
}

/// A title, the world, and pods with their places.
type Row<'a> = (&'a str, SnapshotBuilder, &'a [(&'a str, &'a str)]);

#[test]
fn equal_pods_stand_in_for_one_another() {
    let moved = |name: &str, node: &str| {
        let mut pod = other(name);
        pod.node = Some(node.into());
        pod
    };
    let rows: [Row<'_>; 7] = [
        (
            "all at home",
            world().pod(pod("a")).pod(pod("b")).pod(pod("c")).pod(pod("d")),
            &[("a", "n1"), ("b", "n1"), ("c", "n2"), ("d", "n2")],
        ),
        (
            "one came home",
            world().pod(running("a", "n1")).pod(pod("b")).pod(pod("c")),
            &[("b", "n1"), ("c", "n2")],
        ),
        (
            "c took the place of b, which takes c's",
            world()
                .pod(running("a", "n1"))
                .pod(pod("b"))
                .pod(running("c", "n1"))
                .pod(pod("d")),
            &[("b", "n2"), ("d", "n2")],
        ),
        (
            "c and d took both places",
            world()
                .pod(pod("a"))
                .pod(pod("b"))
                .pod(running("c", "n1"))
                .pod(running("d", "n1")),
            &[("a", "n2"), ("b", "n2")],
        ),
        (
            "another pod's place is no place for b",
            world()
                .pod(running("a", "n1"))
                .pod(pod("b"))
                .pod(moved("c", "n1"))
                .pod(pod("d")),
            &[("b", "n1"), ("d", "n2")],
        ),
        (
            "c went where nothing was bought: its place is free, and nobody needs it",
            world()
                .pod(pod("a"))
                .pod(pod("b"))
                .pod(running("c", "old"))
                .pod(pod("d")),
            &[("a", "n1"), ("b", "n1"), ("d", "n2")],
        ),
        (
            "nobody was bought for the stranger",
            world().pod(pod("a")).pod(pod("stranger")),
            &[("a", "n1")],
        ),
    ];
    for (title, world, expected) in rows {
        let expected = expected
            .iter()
            .map(|(pod, node)| ((*pod).to_owned(), (*node).to_owned()));
        assert_eq!(places(world), expected.collect::<Vec<_>>(), "{title}");
    }
}

/// As admission plugin PodTopologyLabels leaves it.
#[test]
fn labels_that_binding_adds_make_no_other_pod() {
    let mut bound = running("c", "n1");
    bound.labels = Arc::new(labels(&[
        ("app", "web"),
        (ZONE, "us-east-1a"),
        (REGION, "us-east-1"),
    ]));
    let world = world()
        .pod(running("a", "n1"))
        .pod(pod("b"))
        .pod(bound)
        .pod(pod("d"));
    let expected = [("b", "n2"), ("d", "n2")].map(|(pod, node)| (pod.to_owned(), node.to_owned()));
    assert_eq!(places(world), expected);
}

#[test]
fn a_nomination_follows_the_place() {
    let mut displaced = pod("b");
    displaced.nominated_node = Some("n1".into());
    let there = |name: &str| crate::fixtures::node(name, "shop");
    let node = |name: &str| {
        let mut node = there(name);
        node.instance = Some(format!("i-{name}").as_str().into());
        node
    };
    let with = |displaced: &Pod, age: i64| {
        let mut filled = own("n1", Phase::Initialized, &["a", "b"]);
        filled.status.get_or_insert_default().initialized_at =
            Some(Time(now() - SignedDuration::from_secs(age)));
        let world = snapshot()
            .ocean(ocean("shop", &["main"]))
            .ocean_node(filled)
            .ocean_node(own("n2", Phase::Registered, &["c"]));
        let world = world.node(node("n1")).node(node("n2")).pod(running("a", "n1"));
        world.pod(running("c", "n1")).pod(displaced.clone()).build()
    };
    let holds = |displaced: &Pod, age: i64| -> Option<NodeName> {
        let snapshot = with(displaced, age);
        Nominations::of(&snapshot).node(displaced).cloned()
    };
    assert_eq!(holds(&displaced, 0), None, "its place is on n2 now");
    displaced.nominated_node = Some("n2".into());
    assert_eq!(holds(&displaced, 0), Some("n2".into()), "nominated there");
    assert_eq!(holds(&displaced, 30), None, "n1 has had its time, and b with it");
}
