//! The life of a node, row by row: one small world and one expected next step each.

mod evidence;
mod joining;
mod nomination;

use super::*;
use crate::command::{Planned, TerminationReason};
use crate::fixtures::play::{carry_out, pass_time, play};
use crate::fixtures::{
    SnapshotBuilder, ago, daemon, instance, labels, node, now, ocean, ocean_node, pod, running, snapshot,
};
use crate::plan::plan;
use crate::snapshot::{Attempt, AttemptError, DisruptionBudget};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spotocean_api::annotation::{FORCE_RELEASE, PAUSE};
use spotocean_api::disruption::Consolidate;
use spotocean_api::ocean_node::{OceanNodeReason, OceanNodeStatus, PodReference};
use spotocean_api::spot_ocean::{DeletionPolicy, Mode};
use spotocean_api::taint::{Taint as ApiTaint, TaintEffect as ApiTaintEffect};
use spotocean_core::id::ObjectKey;
use spotocean_core::instance::InstanceState;
use spotocean_core::label::{DISRUPTED_TAINT, UNREGISTERED_TAINT};
use spotocean_core::node::Readiness;
use spotocean_core::pod::DoNotDisrupt;
use spotocean_core::port::CloudEventKind;
use spotocean_core::selector::LabelSelector;
use spotocean_core::taint::{Taint, TaintEffect};

type NodeChange = fn(&mut spotocean_core::node::Node);
type WorldChange<'a> = &'a dyn Fn(SnapshotBuilder) -> SnapshotBuilder;
type SnapshotChange<'a> = &'a dyn Fn(&mut Snapshot);

fn world() -> SnapshotBuilder {
    snapshot().ocean(ocean("shop", &["main"]))
}

fn kinds(snapshot: &Snapshot) -> Vec<&'static str> {
    plan(snapshot)
        .commands
        .iter()
        .map(|planned| planned.command.kind())
        .collect()
}

fn status_of(snapshot: &Snapshot, name: &str) -> OceanNodeStatus {
    let own = snapshot
        .ocean_nodes
        .iter()
        .find(|own| own.metadata.name.as_deref() == Some(name));
    own.unwrap().status.clone().unwrap()
}

fn find<T>(commands: &[Planned], pick: impl Fn(&Command) -> Option<T>) -> Option<T> {
    commands.iter().find_map(|planned| pick(&planned.command))
}

fn change_node(snapshot: &mut Snapshot, name: &str, change: impl FnOnce(&mut spotocean_core::node::Node)) {
    let node = snapshot
        .nodes
        .iter_mut()
        .find(|node| node.name.as_str() == name)
        .unwrap();
    change(Arc::make_mut(node));
}

fn change_own(
    snapshot: &mut Snapshot,
    name: &str,
    change: impl FnOnce(&mut spotocean_api::ocean_node::OceanNode),
) {
    let own = snapshot
        .ocean_nodes
        .iter_mut()
        .find(|own| own.metadata.name.as_deref() == Some(name))
        .unwrap();
    change(Arc::make_mut(own));
}

fn change_ocean(snapshot: &mut Snapshot, change: impl FnOnce(&mut spotocean_api::spot_ocean::SpotOcean)) {
    change(Arc::make_mut(&mut snapshot.oceans[0]));
}

fn not_ready(node: &mut spotocean_core::node::Node) {
    node.readiness = Readiness::NotReady { since: ago(60) };
}

fn taint(key: &str, effect: TaintEffect) -> Taint {
    Taint {
        key: key.into(),
        value: "".into(),
        effect,
    }
}

/// Everything is gone without a trace: no OceanNode, no Node, no live instance.
fn is_given_back(snapshot: &Snapshot, name: &str) -> bool {
    let id = format!("i-{name}");
    snapshot
        .ocean_nodes
        .iter()
        .all(|own| own.metadata.name.as_deref() != Some(name))
        && snapshot.nodes.iter().all(|node| node.name.as_str() != name)
        && snapshot
            .instances
            .iter()
            .all(|instance| instance.id.as_str() != id || instance.state.is_ending())
}

#[test]
fn a_new_node_is_labelled_before_pods_may_come_and_then_in_service() {
    let mut snapshot = world()
        .member("n1", "shop", Phase::Launched)
        .node(node("n1", "shop"))
        .with(|s| {
            change_own(s, "n1", |own| {
                own.spec
                    .labels
                    .insert("node-role.kubernetes.io/shop".into(), "x".into());
                own.spec.taints.push(ApiTaint {
                    key: "dedicated".into(),
                    value: None,
                    effect: ApiTaintEffect::NoSchedule,
                });
            });
            change_node(s, "n1", |node| {
                node.taints = vec![taint(UNREGISTERED_TAINT, TaintEffect::NoExecute)];
            });
        })
        .build();
    let commands = plan(&snapshot).commands;
    let patch = find(&commands, |command| match command {
        Command::PatchNode(patch) => Some(patch.clone()),
        _ => None,
    })
    .unwrap();
    assert_eq!(
        patch
            .labels
            .get("node-role.kubernetes.io/shop")
            .map(AsRef::as_ref),
        Some("x")
    );
    assert_eq!(
        patch.labels.get("topology.k8s.aws/zone-id").map(AsRef::as_ref),
        Some("use1-az1")
    );
    assert_eq!(
        patch
            .annotations
            .get("spotocean.dev/ocean-node")
            .map(AsRef::as_ref),
        Some("n1")
    );
    assert_eq!(
        patch.taints,
        Some(vec![taint("dedicated", TaintEffect::NoSchedule)])
    );
    play(&mut snapshot, 3);
    let status = status_of(&snapshot, "n1");
    assert_eq!((status.phase, status.reason), (Phase::Initialized, None));
    assert_eq!(status.hourly_cost_usd.as_deref(), Some("0.0384"));
    assert!(
        status.registered_at.is_some() && status.initialized_at.is_some() && !status.allocatable.is_empty()
    );
    assert_eq!(
        kinds(&snapshot),
        Vec::<&str>::new(),
        "a reached state plans nothing"
    );
}

#[test]
fn what_keeps_a_node_from_service_is_named() {
    let cilium = || ApiTaint {
        key: "agent-not-ready".into(),
        value: None,
        effect: ApiTaintEffect::NoSchedule,
    };
    let rows: [(&str, NodeChange, OceanNodeReason); 3] = [
        ("not ready", not_ready, OceanNodeReason::NotReady),
        (
            "startup taint",
            |node| {
                node.taints
                    .push(taint("agent-not-ready", TaintEffect::NoSchedule));
            },
            OceanNodeReason::StartupTaints,
        ),
        ("no device", |_| {}, OceanNodeReason::AwaitingResources),
    ];
    for (title, change, expected) in rows {
        let mut snapshot = world()
            .member("n1", "shop", Phase::Registered)
            .with(|s| {
                change_own(s, "n1", |own| {
                    own.spec.startup_taints.push(cilium());
                    own.status.as_mut().unwrap().launched_at = Some(Time(ago(30)));
                    if title == "no device" {
                        own.spec.resources.insert("nvidia.com/gpu".into(), "1".into());
                    }
                });
                change_node(s, "n1", change);
            })
            .build();
        play(&mut snapshot, 2);
        let status = status_of(&snapshot, "n1");
        assert_eq!(
            (status.phase, status.reason),
            (Phase::Registered, Some(expected)),
            "{title}"
        );
    }
}

#[test]
fn an_instance_that_never_joins_is_given_back_with_a_cause() {
    let mut snapshot = world().member("n1", "shop", Phase::Launched).build();
    play(&mut snapshot, 1);
    let status = status_of(&snapshot, "n1");
    assert_eq!(
        (status.phase, status.reason),
        (Phase::Terminating, Some(OceanNodeReason::RegistrationTimeout))
    );
    assert!(status.message.unwrap().contains("security groups"));
    play(&mut snapshot, 6);
    assert!(is_given_back(&snapshot, "n1"));
}

#[test]
fn a_young_instance_may_take_its_time() {
    let mut snapshot = world()
        .member("n1", "shop", Phase::Launched)
        .with(|s| {
            change_own(s, "n1", |own| {
                own.status.as_mut().unwrap().launched_at = Some(Time(ago(599)));
            });
        })
        .build();
    play(&mut snapshot, 1);
    assert_eq!(status_of(&snapshot, "n1").phase, Phase::Launched);
}

#[test]
fn an_empty_node_goes_after_a_while() {
    let mut snapshot = world()
        .member("n1", "shop", Phase::Initialized)
        .pod(daemon("agent", "n1"))
        .build();
    play(&mut snapshot, 1);
    assert_eq!(status_of(&snapshot, "n1").empty_since, Some(Time(now())));
    pass_time(&mut snapshot, 240);
    assert_eq!(kinds(&snapshot), Vec::<&str>::new(), "not for five minutes yet");
    pass_time(&mut snapshot, 60);
    let story = play(&mut snapshot, 6);
    assert_eq!(
        story[0],
        ["SetOceanNodeStatus", "PatchNode"],
        "tainted before it is removed"
    );
    assert_eq!(
        story[1],
        ["SetOceanNodeStatus"],
        "on record before anything is given back"
    );
    assert_eq!(story[2], ["DeleteOceanNode", "Terminate"]);
    assert!(is_given_back(&snapshot, "n1"), "{story:?}");
    assert_eq!(kinds(&snapshot), Vec::<&str>::new());
}

#[test]
fn a_drain_is_over_once_a_read_of_the_node_says_so_unless_it_is_forced() {
    let clear_of = |snapshot: &Snapshot| {
        let commands = plan(snapshot).commands;
        commands.into_iter().find_map(|planned| match planned.command {
            Command::SetOceanNodeStatus {
                status, once_clear, ..
            } => Some((status.phase, once_clear)),
            _ => None,
        })
    };
    let idle = world().member("n1", "shop", Phase::Initialized).build();
    let mut voluntary = idle.clone();
    play(&mut voluntary, 1);
    pass_time(&mut voluntary, 300);
    play(&mut voluntary, 1);
    assert_eq!(
        clear_of(&voluntary),
        Some((Phase::Terminating, Some("n1".into()))),
        "it may have got a pod that no watch has shown"
    );
    let mut lost = idle;
    Arc::make_mut(&mut lost.instances)[0].state = InstanceState::Terminated;
    assert_eq!(
        clear_of(&lost),
        Some((Phase::Terminating, None)),
        "its pods are lost already"
    );
}

#[test]
fn an_empty_node_stays_when_somebody_wants_it() {
    let idle = |s: &mut Snapshot| {
        change_own(s, "n1", |own| {
            own.status.as_mut().unwrap().empty_since = Some(Time(ago(3000)));
        });
    };
    let rows: [(&str, bool, WorldChange<'_>); 9] = [
        ("empty", true, &|world| world),
        ("a running pod", false, &|world| world.pod(running("p", "n1"))),
        ("a daemon", true, &|world| world.pod(daemon("d", "n1"))),
        ("consolidate Never", false, &|world| {
            world.with(|s| change_ocean(s, |ocean| ocean.spec.disruption.consolidate = Consolidate::Never))
        }),
        ("do not disrupt", false, &|world| {
            world.with(|s| change_node(s, "n1", |node| node.do_not_disrupt = true))
        }),
        ("a nominated pod", false, &|world| {
            let mut pod = pod("p");
            pod.nominated_node = Some("n1".into());
            world.pod(pod)
        }),
        ("a pod the scheduler has not seen", false, &|world| {
            let mut pod = pod("p");
            pod.is_unschedulable = false;
            world.pod(pod)
        }),
        ("a pod it was bought for", false, &|world| {
            world.pod(pod("p")).with(|s| {
                change_own(s, "n1", |own| {
                    own.spec.for_pods.push(PodReference {
                        namespace: "default".into(),
                        name: "p".into(),
                    });
                });
            })
        }),
        ("not ready", false, &|world| {
            world.with(|s| change_node(s, "n1", not_ready))
        }),
    ];
    for (title, goes, change) in rows {
        let world = change(world().member("n1", "shop", Phase::Initialized));
        let mut snapshot = world.with(idle).build();
        play(&mut snapshot, 1);
        let leaves = status_of(&snapshot, "n1").reason == Some(OceanNodeReason::Empty);
        assert_eq!(leaves, goes, "{title}");
    }
}

#[test]
fn a_pod_that_slips_in_calls_the_removal_off() {
    let mut snapshot = world()
        .member("n1", "shop", Phase::Initialized)
        .with(|s| {
            change_own(s, "n1", |own| {
                own.status.as_mut().unwrap().empty_since = Some(Time(ago(3000)));
            });
        })
        .build();
    play(&mut snapshot, 1);
    assert_eq!(status_of(&snapshot, "n1").phase, Phase::Draining);
    snapshot.pods.push(Arc::new(running("late", "n1")));
    play(&mut snapshot, 2);
    assert_eq!(status_of(&snapshot, "n1").phase, Phase::Initialized);
    assert!(snapshot.nodes[0].taints.is_empty() && snapshot.pods.len() == 1);
}

fn interrupted() -> SnapshotBuilder {
    world()
        .member("n1", "shop", Phase::Initialized)
        .pod(running("web", "n1"))
        .pod(daemon("agent", "n1"))
        .event("n1", CloudEventKind::SpotInterruption, ago(2))
}

#[test]
fn a_notice_starts_a_forced_drain_at_once() {
    let mut snapshot = interrupted().build();
    let commands = plan(&snapshot).commands;
    let forced: Vec<_> = commands
        .iter()
        .filter(|planned| planned.lane == Lane::Forced)
        .map(|planned| planned.command.kind())
        .collect();
    assert_eq!(forced, ["SetOceanNodeStatus", "PatchNode", "EvictPod"]);
    assert_eq!(
        displaced::displaced_pods(&snapshot).len(),
        1,
        "its pod is bought for at once"
    );
    assert!(
        !kinds(&snapshot).contains(&"Acknowledge"),
        "not before the deadline is on record"
    );
    let story = play(&mut snapshot, 8);
    assert!(story[1].contains(&"Acknowledge"), "{story:?}");
    assert!(is_given_back(&snapshot, "n1"), "{story:?}");
    let market = &snapshot.memory.interruptions;
    assert_eq!(
        market.keys().map(AsRef::as_ref).collect::<Vec<_>>(),
        ["m5.large/us-east-1a"]
    );
}

#[test]
fn a_doubled_or_late_notice_does_not_move_the_deadline() {
    let mut snapshot = interrupted().build();
    play(&mut snapshot, 1);
    let deadline = status_of(&snapshot, "n1").deadline;
    assert_eq!(deadline, Some(Time(ago(2) + SignedDuration::from_secs(115))));
    snapshot = SnapshotBuilder::from(snapshot)
        .event("n1", CloudEventKind::SpotInterruption, now())
        .build();
    play(&mut snapshot, 1);
    assert_eq!(status_of(&snapshot, "n1").deadline, deadline);
}

#[test]
fn near_the_deadline_pods_are_deleted_with_the_grace_that_is_left() {
    for (grace_seconds, notice_seconds_ago, expected) in
        [(30, 2, None), (30, 85, Some(30)), (600, 2, Some(113))]
    {
        let mut web = running("web", "n1");
        web.termination_grace_seconds = grace_seconds;
        let snapshot = world()
            .member("n1", "shop", Phase::Initialized)
            .pod(web)
            .event("n1", CloudEventKind::SpotInterruption, ago(notice_seconds_ago))
            .build();
        let grace = find(&plan(&snapshot).commands, |command| match command {
            Command::DeletePod { grace_seconds, .. } => *grace_seconds,
            _ => None,
        });
        assert_eq!(
            grace, expected,
            "grace {grace_seconds}, notice {notice_seconds_ago} s ago"
        );
    }
}

#[test]
fn critical_pods_go_last() {
    let mut critical = running("dns", "n1");
    critical.priority = 2_000_001_000;
    let mut snapshot = interrupted().pod(critical).build();
    let evicted = |snapshot: &Snapshot| {
        find(&plan(snapshot).commands, |command| match command {
            Command::EvictPod { pod, .. } => Some(pod.name.to_string()),
            _ => None,
        })
    };
    assert_eq!(evicted(&snapshot).as_deref(), Some("web"));
    play(&mut snapshot, 1);
    assert_eq!(evicted(&snapshot).as_deref(), Some("dns"));
}

fn requested() -> SnapshotBuilder {
    world()
        .member("n1", "shop", Phase::Initialized)
        .pod(running("web", "n1"))
        .with(|s| {
            change_own(s, "n1", |own| own.metadata.deletion_timestamp = Some(Time(now())));
        })
}

#[test]
fn a_deleted_ocean_node_is_drained_then_terminated_then_released() {
    let mut snapshot = requested().build();
    let story = play(&mut snapshot, 8);
    assert_eq!(story[0], ["SetOceanNodeStatus", "PatchNode"]);
    assert_eq!(story[1], ["EvictPod"]);
    assert_eq!(story[2], ["SetOceanNodeStatus"]);
    assert_eq!(story[3], ["Terminate"]);
    assert_eq!(story[4], ["DeleteNode"]);
    assert_eq!(story[5], ["ReleaseOceanNode"]);
    assert!(is_given_back(&snapshot, "n1"));
}

#[test]
fn a_budget_that_says_no_is_named_and_the_drain_abandoned_in_time() {
    let mut snapshot = requested().build();
    play(&mut snapshot, 1);
    snapshot.disruption_budgets.push(Arc::new(DisruptionBudget {
        key: ObjectKey::new("default", "web"),
        selector: Some(LabelSelector {
            match_labels: labels(&[("app", "web")]),
            ..LabelSelector::default()
        }),
        disruptions_allowed: 0,
    }));
    let pod = snapshot.pods[0].clone();
    let evict = Command::EvictPod {
        pod: pod.key.clone(),
        uid: pod.uid.clone(),
        node: "n1".into(),
    };
    let refused = Attempt {
        ended_at: snapshot.now,
        failures: 3,
        error: Some(AttemptError::Kubernetes {
            status: 429,
            message: "no".into(),
        }),
    };
    snapshot.attempts.insert(evict.key(), refused);
    assert!(!kinds(&snapshot).contains(&"EvictPod"), "it waits after a no");
    assert_eq!(
        plan(&snapshot).next_look,
        snapshot.now + SignedDuration::from_secs(4)
    );
    pass_time(&mut snapshot, 4);
    assert!(kinds(&snapshot).contains(&"EvictPod"), "and asks again");
    for planned in plan(&snapshot).commands {
        if !matches!(planned.command, Command::EvictPod { .. }) {
            carry_out(&mut snapshot, planned.command);
        }
    }
    assert!(
        status_of(&snapshot, "n1")
            .message
            .unwrap()
            .contains("PodDisruptionBudget default/web")
    );
    pass_time(&mut snapshot, 900);
    for planned in plan(&snapshot).commands {
        carry_out(&mut snapshot, planned.command);
    }
    let status = status_of(&snapshot, "n1");
    assert_eq!(
        (status.phase, status.reason),
        (Phase::Initialized, Some(OceanNodeReason::DrainAbandoned))
    );
    pass_time(&mut snapshot, 5);
    play(&mut snapshot, 2);
    assert!(snapshot.nodes[0].taints.is_empty(), "uncordoned");
    assert_eq!(snapshot.pods.len(), 1, "its pod has never been touched");
    pass_time(&mut snapshot, 900);
    play(&mut snapshot, 1);
    assert_eq!(
        status_of(&snapshot, "n1").reason,
        Some(OceanNodeReason::Requested),
        "tried again later"
    );
}

#[test]
fn a_pod_that_asks_to_stay_holds_a_voluntary_drain_only() {
    let mut stays = running("db", "n1");
    stays.do_not_disrupt = Some(DoNotDisrupt::Always);
    let mut snapshot = requested().pod(stays.clone()).build();
    play(&mut snapshot, 4);
    assert_eq!(snapshot.pods.len(), 1);
    assert!(
        status_of(&snapshot, "n1")
            .message
            .unwrap()
            .contains("default/db asks not to be disrupted")
    );
    let mut snapshot = interrupted().pod(stays).build();
    play(&mut snapshot, 8);
    assert!(is_given_back(&snapshot, "n1"));
}

#[test]
fn pods_of_a_terminated_instance_are_freed() {
    let mut snapshot = world()
        .ocean_node(ocean_node("n1", "shop", Phase::Initialized))
        .instance(instance("n1", "shop", InstanceState::Terminated))
        .node(node("n1", "shop"))
        .pod(running("web", "n1"))
        .with(|s| change_node(s, "n1", not_ready))
        .build();
    let commands = plan(&snapshot).commands;
    let taints = find(&commands, |command| match command {
        Command::PatchNode(patch) => patch.taints.clone(),
        _ => None,
    });
    assert!(
        taints
            .unwrap()
            .iter()
            .any(|taint| taint.key.as_ref() == "node.kubernetes.io/out-of-service")
    );
    let grace = find(&commands, |command| match command {
        Command::DeletePod { grace_seconds, .. } => *grace_seconds,
        _ => None,
    });
    assert_eq!(grace, Some(0));
    assert!(
        find(&commands, |command| matches!(command, Command::Terminate { .. })
            .then_some(()))
        .is_none()
    );
    play(&mut snapshot, 5);
    assert!(is_given_back(&snapshot, "n1"));
}

#[test]
fn a_state_change_is_believed_before_the_list_shows_it() {
    let mut snapshot = world()
        .member("n1", "shop", Phase::Initialized)
        .event(
            "n1",
            CloudEventKind::StateChange(InstanceState::ShuttingDown),
            now() + SignedDuration::from_secs(1),
        )
        .build();
    let commands = plan(&snapshot).commands;
    let reason = find(&commands, |command| match command {
        Command::SetOceanNodeStatus { status, .. } => status.reason,
        _ => None,
    });
    assert_eq!(reason, Some(OceanNodeReason::InstanceGone));
    snapshot.sources.instances.as_of = Some(now() + SignedDuration::from_secs(2));
    assert_eq!(
        kinds(&snapshot),
        ["SetOceanNodeStatus", "Acknowledge"],
        "a later list says it runs"
    );
}
