//! Launches that bound nothing.

use spotocean_api::ocean_node::{OceanNodeReason, Phase, PodReference};

use super::*;
use crate::answers::{answered, selecting};
use crate::fixtures::{self, SnapshotBuilder, now, pod, running, snapshot};

/// A node of `phase` that was bought for pod `web`.
fn bought_for_web(world: SnapshotBuilder, name: &str, phase: Phase) -> SnapshotBuilder {
    let mut own = fixtures::ocean_node(name, "shop", phase);
    own.spec.for_pods = vec![PodReference {
        namespace: "default".into(),
        name: "web".into(),
    }];
    world.ocean_node(own).node(fixtures::node(name, "shop"))
}

fn launches(snapshot: &Snapshot) -> usize {
    remember(snapshot)
        .get(&pod_class(&pod("web")))
        .map_or(0, |futile| futile.launches.len())
}

#[test]
fn a_ready_node_without_its_pods_is_futile() {
    let world = || snapshot().pod(pod("web"));
    let rows = [
        (bought_for_web(world(), "a", Phase::Initialized), 1),
        (bought_for_web(world(), "a", Phase::Registered), 0),
        (
            bought_for_web(world(), "a", Phase::Initialized).pod(running("other", "a")),
            0,
        ),
        (bought_for_web(snapshot(), "a", Phase::Initialized), 0),
        (bought_for_web(world(), "a", Phase::Draining), 0),
        (
            bought_for_web(
                bought_for_web(world(), "a", Phase::Initialized),
                "b",
                Phase::Initialized,
            ),
            2,
        ),
    ];
    for (index, (world, expected)) in rows.into_iter().enumerate() {
        assert_eq!(launches(&world.build()), expected, "row {index}");
    }
}

#[test]
fn three_futile_launches_end_in_a_pause_that_grows() {
    let class = pod_class(&pod("web"));
    let memory = |count: usize, seconds_ago| Memory {
        futile_launches: BTreeMap::from([(
            class.clone(),
            FutileLaunches {
                launches: (0..count)
                    .map(|number| Arc::from(format!("launch-{number}")))
                    .collect(),
                last: Some(fixtures::ago(seconds_ago)),
            },
        )]),
        ..Memory::default()
    };
    let rows = [
        (2, 1, false),
        (3, 1, true),
        (3, 601, false),
        (4, 601, true),
        (4, 1_201, false),
        (16, 7_201, false),
    ];
    for (count, seconds_ago, expected) in rows {
        let gave_up = GaveUp::of(&memory(count, seconds_ago), now());
        assert_eq!(
            gave_up.sentence(&pod("web")).is_some(),
            expected,
            "{count} launches, {seconds_ago} s ago"
        );
    }
    let asked = Pod {
        retry: Some("1".into()),
        ..pod("web")
    };
    assert_eq!(
        GaveUp::of(&memory(3, 1), now()).sentence(&asked),
        None,
        "the annotation starts anew"
    );
}

#[test]
fn classes_that_wait_no_more_are_forgotten() {
    let world = snapshot().with(|snapshot| {
        snapshot
            .memory
            .futile_launches
            .insert("gone".into(), FutileLaunches::default());
    });
    assert!(remember(&world.build()).is_empty());
}

#[test]
fn a_pool_whose_nodes_do_not_join_is_left_alone_whatever_pods_wait() {
    let failed = |world: SnapshotBuilder, name: &str| {
        let mut own = fixtures::ocean_node(name, "shop", Phase::Terminating);
        own.spec.launch_name = format!("launch-{name}");
        own.status.as_mut().unwrap().reason = Some(OceanNodeReason::RegistrationTimeout);
        world.ocean_node(own)
    };
    let joined = |world: SnapshotBuilder| {
        let mut own = fixtures::ocean_node("z", "shop", Phase::Initialized);
        own.status.as_mut().unwrap().initialized_at =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
        world.ocean_node(own)
    };
    let world = || answered(snapshot().ocean(selecting("shop", &["main"])).pod(pod("web")));
    let reason = |world: SnapshotBuilder, memory: BTreeMap<Arc<str>, FutileLaunches>| {
        let world = world.with(|snapshot| snapshot.memory.futile_launches = memory);
        let provision = crate::provisioning::provision(&world.build());
        let reason = provision
            .closed
            .values()
            .next()
            .map(|closed| closed.reason.to_string());
        (reason, provision.memory.futile_launches)
    };
    let (none, two) = reason(failed(failed(world(), "a"), "b"), BTreeMap::new());
    assert_eq!(none, None, "two are bad luck");
    let (closed, three) = reason(failed(world(), "c"), two);
    assert_eq!(closed.as_deref(), Some("NodesNotJoining"));
    let (closed, _) = reason(world(), three.clone());
    assert_eq!(closed.as_deref(), Some("NodesNotJoining"), "remembered");
    let later = |snapshot: &mut Snapshot| snapshot.now += jiff::SignedDuration::from_secs(601);
    assert_eq!(
        reason(world().with(later), three.clone()).0,
        None,
        "ten minutes are over"
    );
    let (closed, forgotten) = reason(joined(world()).with(later), three);
    assert_eq!((closed, forgotten.len()), (None, 0), "a node has joined since");
}
