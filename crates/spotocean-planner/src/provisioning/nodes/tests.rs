//! What a starting node counts as.

use spotocean_api::capacity_type::CapacityType as ApiCapacityType;
use spotocean_api::ocean_launch::{
    AllocationStrategy, FleetOverride, FleetRequest, LaunchTemplateConfig, OceanLaunchSpec,
};
use spotocean_api::ocean_node::PodReference;
use spotocean_api::taint::{Taint as ApiTaint, TaintEffect as ApiTaintEffect};
use spotocean_core::node::Readiness;
use spotocean_core::taint::TaintEffect;

use super::*;
use crate::answers::{answered, selecting};
use crate::fixtures::{self, SnapshotBuilder, ago, daemon, now, pod, running, snapshot};
use crate::pool::pools_of;
use crate::provisioning::cooldown::Cooldowns;
use crate::provisioning::supply::supply;

fn world() -> SnapshotBuilder {
    answered(snapshot().ocean(selecting("shop", &["main"])))
}

fn seen(world: SnapshotBuilder) -> Landscape {
    let snapshot = world.build();
    let cooldowns = Cooldowns::default();
    let supplies: Vec<Supply> = pools_of(&snapshot.oceans[0])
        .into_iter()
        .map(|view| supply(&snapshot, &cooldowns, view))
        .collect();
    landscape(&snapshot, &supplies)
}

fn only(world: SnapshotBuilder) -> PlacementNode {
    let mut nodes = seen(world).nodes;
    assert_eq!(nodes.len(), 1);
    nodes.remove(0)
}

/// An OceanNode for pod `web` in `phase`.
fn own(phase: Phase) -> OceanNode {
    let mut own = fixtures::ocean_node("a", "shop", phase);
    own.spec.for_pods = vec![PodReference {
        namespace: "default".into(),
        name: "web".into(),
    }];
    own.spec.startup_taints = vec![ApiTaint {
        key: "cni/agent-not-ready".into(),
        value: None,
        effect: ApiTaintEffect::NoSchedule,
    }];
    own
}

fn taint(key: &str) -> Taint {
    Taint {
        key: key.into(),
        value: "".into(),
        effect: TaintEffect::NoSchedule,
    }
}

/// Node `a`, just registered: not ready, with all that passes and one taint that stays.
fn young_node() -> Node {
    let keys = [
        label::NOT_READY_TAINT,
        UNREGISTERED_TAINT,
        "cni/agent-not-ready",
        "dedicated",
    ];
    Node {
        taints: keys.into_iter().map(taint).collect(),
        readiness: Readiness::NotReady { since: ago(5) },
        labels: Arc::default(),
        ..fixtures::node("a", "shop")
    }
}

#[test]
fn a_starting_node_is_what_it_will_be() {
    let starting = only(
        world()
            .ocean_node(own(Phase::Registered))
            .node(young_node())
            .pod(pod("web")),
    );
    assert!(starting.accepts_pods);
    assert_eq!(starting.taints, [taint("dedicated")]);
    assert_eq!(
        starting.labels.get(label::ZONE).map(AsRef::as_ref),
        Some("us-east-1a")
    );
    assert_eq!(
        starting.labels.get(label::INSTANCE_TYPE).map(AsRef::as_ref),
        Some("m5.large")
    );
    assert_eq!(starting.pods.len(), 1, "the pod it is for is on it already");
    let ready = only(world().ocean_node(own(Phase::Initialized)).node(young_node()));
    assert!(
        !ready.accepts_pods,
        "in service a node that is not ready takes no pods"
    );
    assert_eq!(ready.taints.len(), 4);
}

#[test]
fn nodes_that_leave_take_no_pods() {
    let cordoned = Node {
        is_cordoned: true,
        ..fixtures::node("a", "shop")
    };
    let mut deleted = own(Phase::Initialized);
    deleted.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    let rows = [
        (
            world()
                .ocean_node(own(Phase::Initialized))
                .node(fixtures::node("a", "shop")),
            true,
        ),
        (
            world()
                .ocean_node(own(Phase::Draining))
                .node(fixtures::node("a", "shop")),
            false,
        ),
        (
            world().ocean_node(deleted).node(fixtures::node("a", "shop")),
            false,
        ),
        (world().ocean_node(own(Phase::Initialized)).node(cordoned), false),
        (world().node(fixtures::node("a", "shop")), true),
    ];
    for (index, (world, expected)) in rows.into_iter().enumerate() {
        assert_eq!(only(world).accepts_pods, expected, "row {index}");
    }
}

#[test]
fn pods_stay_nominated_until_the_scheduler_had_its_moment() {
    let initialized = |seconds| {
        let mut own = own(Phase::Initialized);
        own.status.as_mut().unwrap().initialized_at =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(ago(seconds)));
        world()
            .ocean_node(own)
            .node(fixtures::node("a", "shop"))
            .pod(pod("web"))
    };
    assert_eq!(seen(initialized(29)).nominated.len(), 1);
    assert_eq!(seen(initialized(31)).nominated.len(), 0);
    let coming = world().ocean_node(own(Phase::Launched)).pod(pod("web"));
    assert_eq!(seen(coming).nominated.len(), 1);
}

/// The launch of OceanNode `a`, over m5.large in zone a and m5.xlarge in zones a and b.
fn launch() -> OceanLaunch {
    let places = [
        ("m5.large", "us-east-1a"),
        ("m5.xlarge", "us-east-1a"),
        ("m5.xlarge", "us-east-1b"),
    ];
    let overrides = places.map(|(instance_type, zone)| FleetOverride {
        instance_type: instance_type.into(),
        zone: zone.into(),
        ..FleetOverride::default()
    });
    let spec = OceanLaunchSpec {
        ocean_name: "shop".into(),
        ocean_uid: "uid-shop".into(),
        pool_name: "main".into(),
        attempt: 1,
        client_token: "token".into(),
        request: FleetRequest {
            capacity_type: ApiCapacityType::Spot,
            allocation_strategy: AllocationStrategy::PriceCapacityOptimized,
            target_capacity: 1,
            launch_templates: vec![LaunchTemplateConfig {
                overrides: overrides.to_vec(),
                ..LaunchTemplateConfig::default()
            }],
            tags: Vec::new(),
        },
        members: vec!["a".into()],
    };
    OceanLaunch::new("launch-a", spec)
}

#[test]
fn what_ec2_has_not_decided_is_left_open() {
    let pending = only(
        world()
            .ocean_node(own(Phase::Pending))
            .with(|snapshot| snapshot.launches.push(Arc::new(launch()))),
    );
    assert_eq!(pending.labels.get(label::ZONE), None, "two zones");
    assert_eq!(pending.labels.get(label::INSTANCE_TYPE), None, "two types");
    assert_eq!(
        pending.labels.get(label::INSTANCE_CATEGORY).map(AsRef::as_ref),
        Some("m")
    );
    assert_eq!(pending.allocatable.cpu_millis, 1930, "the smaller type's");
    let launched = only(world().ocean_node(own(Phase::Launched)));
    assert_eq!(
        launched.labels.get(label::ZONE).map(AsRef::as_ref),
        Some("us-east-1a")
    );
    assert_eq!(launched.allocatable.cpu_millis, 1930);
}

#[test]
fn daemons_that_will_come_are_kept_room_for() {
    let agent = |tolerated: bool| DaemonSet {
        key: ObjectKey::new("kube-system", "agent"),
        uid: "uid-agent".into(),
        labels: Arc::default(),
        shape: Arc::new(spotocean_core::pod::PodShape {
            requests: Resources {
                cpu_millis: 100,
                ..Resources::default()
            },
            node_selector: if tolerated {
                Vec::new()
            } else {
                vec![spotocean_core::requirement::Requirement::new(
                    "gpu",
                    spotocean_core::requirement::Operator::Exists,
                    [],
                )]
            },
            ..spotocean_core::pod::PodShape::default()
        }),
    };
    let with = |tolerated| world().with(|snapshot| snapshot.daemon_sets.push(Arc::new(agent(tolerated))));
    let reserved = |world: SnapshotBuilder| only(world).reserved.cpu_millis;
    let coming = own(Phase::Launched);
    assert_eq!(reserved(with(true).ocean_node(coming.clone())), 100);
    assert_eq!(
        reserved(with(false).ocean_node(coming)),
        0,
        "it selects other nodes"
    );
    let there = with(true)
        .ocean_node(own(Phase::Registered))
        .node(fixtures::node("a", "shop"));
    assert_eq!(reserved(there.clone()), 100);
    assert_eq!(
        reserved(there.pod(daemon("agent-a", "a")).pod(running("b", "a"))),
        0,
        "it is there"
    );
}

#[test]
fn a_nominated_pod_is_on_its_node_once_and_waits_again_when_that_is_gone() {
    let nominated = |node: &str| {
        let mut pod = pod("web");
        pod.nominated_node = Some(node.into());
        pod
    };
    let leaving = {
        let mut own = own(Phase::Initialized);
        own.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
        own
    };
    let there = || fixtures::node("a", "shop");
    let ready_for = |seconds: i64| {
        let mut own = own(Phase::Initialized);
        let since = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(ago(seconds));
        own.status.get_or_insert_default().initialized_at = Some(since);
        own
    };
    let others = {
        let mut own = own(Phase::Initialized);
        own.spec.for_pods.clear();
        own
    };
    let rows = [
        ("a node that starts", own(Phase::Registered), "a", true, 1),
        ("its node, ready for 29 s", ready_for(29), "a", true, 1),
        ("its node, ready for 30 s", ready_for(30), "a", false, 0),
        ("preempts on a node in service", others, "a", true, 1),
        ("a node that leaves", leaving, "a", false, 0),
        ("a node that is gone", ready_for(600), "z", false, 0),
        ("bought for again", own(Phase::Registered), "z", true, 1),
    ];
    for (title, own, node, holds, on_node) in rows {
        let landscape = seen(world().ocean_node(own).node(there()).pod(nominated(node)));
        assert_eq!(landscape.nominated.len(), usize::from(holds), "{title}");
        assert_eq!(landscape.nodes[0].pods.len(), on_node, "{title}");
    }
}
