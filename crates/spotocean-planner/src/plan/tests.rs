//! Laws every plan keeps, whatever the world.

use super::*;
use crate::fixtures::play::play;
use crate::fixtures::{
    SnapshotBuilder, ago, daemon, instance, node, now, ocean, ocean_node, pod, running, snapshot,
};
use crate::guard::guard;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use spotocean_api::headroom::{AutomaticHeadroom, Headroom, HeadroomUnit};
use spotocean_api::quantity::Quantity;
use spotocean_core::instance::InstanceState;
use spotocean_core::node::Readiness;
use spotocean_core::port::CloudEventKind;

/// How one node of a random world is.
#[derive(Clone, Copy, Debug)]
struct Cast {
    phase: Phase,
    /// `None`: the instance is not listed.
    state: Option<InstanceState>,
    has_node: bool,
    is_ready: bool,
    pods: usize,
    is_deleted: bool,
    is_interrupted: bool,
    has_record: bool,
}

fn cast() -> impl Strategy<Value = Cast> {
    let phase = prop_oneof![
        Just(Phase::Launched),
        Just(Phase::Registered),
        Just(Phase::Initialized),
        Just(Phase::Draining),
        Just(Phase::Terminating),
    ];
    let state = prop_oneof![
        3 => Just(Some(InstanceState::Running)),
        1 => Just(Some(InstanceState::Pending)),
        1 => Just(Some(InstanceState::ShuttingDown)),
        1 => Just(Some(InstanceState::Terminated)),
        1 => Just(Some(InstanceState::Stopped)),
        1 => Just(None),
    ];
    let flags = (
        any::<bool>(),
        any::<bool>(),
        0..3_usize,
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.8),
    );
    (phase, state, flags).prop_map(
        |(phase, state, (has_node, is_ready, pods, is_deleted, is_interrupted, has_record))| Cast {
            phase,
            state,
            has_node,
            is_ready,
            pods,
            is_deleted,
            is_interrupted,
            has_record,
        },
    )
}

fn add(mut world: SnapshotBuilder, name: &str, cast: Cast) -> SnapshotBuilder {
    if cast.has_record {
        let mut own = ocean_node(name, "shop", cast.phase);
        own.metadata.deletion_timestamp = cast.is_deleted.then(|| Time(now()));
        world = world.ocean_node(own);
    }
    if let Some(state) = cast.state {
        world = world.instance(instance(name, "shop", state));
    }
    if cast.has_node {
        let mut node = node(name, "shop");
        if !cast.is_ready {
            node.readiness = Readiness::NotReady { since: ago(60) };
        }
        world = world.node(node).pod(daemon(&format!("agent-{name}"), name));
        for number in 0..cast.pods {
            world = world.pod(running(&format!("web-{name}-{number}"), name));
        }
    }
    if cast.is_interrupted {
        world = world.event(name, CloudEventKind::SpotInterruption, ago(10));
    }
    world
}

/// Room for so many pods of half a CPU, and for half of what runs.
fn headroom(count: u32) -> Headroom {
    Headroom {
        automatic: Some(AutomaticHeadroom { percentage: 50 }),
        manual: vec![HeadroomUnit {
            name: "spare".into(),
            cpu: Some(Quantity("500m".into())),
            count,
            ..HeadroomUnit::default()
        }],
    }
}

fn world() -> impl Strategy<Value = Snapshot> {
    let casts = prop::collection::vec(cast(), 0..5);
    (casts, any::<bool>(), 0..3_usize, 0..3_u32).prop_map(|(casts, is_ocean_deleted, waiting, spare)| {
        let mut own = ocean("shop", &["main"]);
        own.metadata.deletion_timestamp = is_ocean_deleted.then(|| Time(now()));
        own.spec.headroom = (spare > 0).then(|| headroom(spare));
        let mut world = snapshot().ocean(own);
        for (number, cast) in casts.into_iter().enumerate() {
            world = add(world, &format!("n{number}"), cast);
        }
        for number in 0..waiting {
            world = world.pod(pod(&format!("waiting-{number}")));
        }
        world.build()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn the_same_look_gives_the_same_plan(snapshot in world()) {
        prop_assert_eq!(plan(&snapshot), plan(&snapshot));
    }

    #[test]
    fn order_of_objects_means_nothing(snapshot in world()) {
        let mut turned = snapshot.clone();
        turned.pods.reverse();
        turned.nodes.reverse();
        let (a, b) = (plan(&snapshot), plan(&turned));
        prop_assert_eq!(a.statuses, b.statuses);
        prop_assert_eq!(a.memory, b.memory);
    }

    #[test]
    fn the_guard_accepts_what_is_planned(snapshot in world()) {
        let approved = guard(&snapshot, plan(&snapshot));
        prop_assert_eq!(approved.plan.stripped, Vec::new());
    }

    #[test]
    fn what_is_forced_is_planned_alike_without_a_solve(snapshot in world()) {
        let whole = plan(&snapshot).commands.into_iter();
        let forced: Vec<Planned> = whole.filter(|planned| planned.lane == Lane::Forced).collect();
        prop_assert_eq!(plan_forced(&snapshot).commands, forced);
    }

    #[test]
    fn incomplete_sources_remove_nothing(snapshot in world(), lacks_kubernetes in any::<bool>()) {
        let mut snapshot = snapshot;
        let source = if lacks_kubernetes { &mut snapshot.sources.kubernetes } else { &mut snapshot.sources.instances };
        source.is_complete = false;
        let planned = plan(&snapshot);
        let removal = planned.commands.iter().find(|planned| removes(&planned.command));
        prop_assert_eq!(removal, None);
    }

    #[test]
    fn every_command_is_planned_once(snapshot in world()) {
        let keys: Vec<CommandKey> = plan(&snapshot).commands.iter().map(|planned| planned.command.key()).collect();
        let distinct: BTreeSet<&CommandKey> = keys.iter().collect();
        prop_assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn a_reached_state_plans_nothing(snapshot in world()) {
        let mut snapshot = snapshot;
        for _ in 0..3 {
            play(&mut snapshot, 20);
            crate::fixtures::play::pass_time(&mut snapshot, 1200);
        }
        play(&mut snapshot, 40);
        let left: Vec<_> = plan(&snapshot).commands.iter().map(|planned| planned.command.kind()).collect();
        let waits_for_capacity = snapshot.pods.iter().any(|pod| pod.waits_for_capacity());
        prop_assert!(left.is_empty() || waits_for_capacity, "{left:?}");
        // Nothing half-way stays: what is left serves.
        let is_listed = |own: &OceanNode| {
            let id = own.status.as_ref().and_then(|status| status.instance_id.as_deref());
            snapshot.instances.iter().any(|instance| Some(instance.id.as_str()) == id)
        };
        // What EC2 does not list while its Node is Ready is nobody's to end: a user decides.
        for own in snapshot.ocean_nodes.iter().filter(|own| is_listed(own)) {
            let phase = own.status.as_ref().map(|status| status.phase);
            prop_assert!(!matches!(phase, Some(Phase::Draining | Phase::Terminating)), "{own:?}");
        }
    }

    #[test]
    fn the_next_look_is_ahead(snapshot in world()) {
        let next = plan(&snapshot).next_look;
        prop_assert!(next > snapshot.now && next <= snapshot.now + IDLE_LOOK);
    }
}

#[test]
fn failures_wait_ever_longer_up_to_a_bound() {
    let rows = [(1, 1), (2, 2), (4, 8), (5, 10), (30, 10)];
    for (failures, expected) in rows {
        assert_eq!(backoff_seconds(failures, 10), expected, "{failures}");
    }
}

#[test]
fn what_is_under_way_is_not_planned_again() {
    let mut snapshot = snapshot()
        .ocean(ocean("shop", &["main"]))
        .member("n1", "shop", Phase::Launched)
        .build();
    for planned in plan(&snapshot).commands {
        snapshot.running.insert(planned.command.key());
    }
    assert_eq!(plan(&snapshot).commands, Vec::new());
}
