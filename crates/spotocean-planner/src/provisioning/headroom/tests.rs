//! Headroom from an ocean's spec to purchases, status and nodes that stay.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spotocean_api::headroom::AutomaticHeadroom;
use spotocean_api::ocean_node::Phase;
use spotocean_api::ocean_status::HeadroomStatus;
use spotocean_api::quantity::Quantity;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_api::taint::{Taint as ApiTaint, TaintEffect as ApiTaintEffect};
use spotocean_core::pod::Owner;

use super::*;
use crate::answers::{answered, selecting};
use crate::command::{Command, Purchase};
use crate::fixtures::{SnapshotBuilder, ago, pod, resources, running, snapshot};
use crate::plan::{Plan, plan};
use crate::provisioning::cooldown::Cooldowns;
use crate::provisioning::futile::GaveUp;
use crate::provisioning::supplies;

/// Room for so many pods of 1 CPU and 2 GiB.
fn room(count: u32) -> Headroom {
    Headroom {
        automatic: None,
        manual: vec![HeadroomUnit {
            name: "spare".into(),
            cpu: Some(Quantity("1".into())),
            memory: Some(Quantity("2Gi".into())),
            gpu: None,
            count,
        }],
    }
}

fn wanting(headroom: Option<Headroom>) -> SpotOcean {
    let mut ocean = selecting("shop", &["main"]);
    ocean.spec.headroom = headroom;
    ocean
}

fn world(ocean: SpotOcean) -> SnapshotBuilder {
    answered(snapshot().ocean(ocean))
}

/// An m5.large that has been empty for ten minutes.
fn with_an_empty_node(world: SnapshotBuilder) -> SnapshotBuilder {
    world.member("a", "shop", Phase::Initialized).with(|snapshot| {
        let own = Arc::make_mut(&mut snapshot.ocean_nodes[0]);
        own.status.get_or_insert_default().empty_since = Some(Time(ago(600)));
    })
}

fn purchases(plan: &Plan) -> Vec<&Purchase> {
    let commands = plan.commands.iter();
    commands
        .filter_map(|planned| match &planned.command {
            Command::Purchase(purchase) => Some(purchase.as_ref()),
            _ => None,
        })
        .collect()
}

fn status(plan: &Plan) -> Option<HeadroomStatus> {
    plan.statuses[&OceanName::from("shop")].headroom.clone()
}

fn spare(units: u32, ready: u32) -> Option<HeadroomStatus> {
    Some(HeadroomStatus {
        units,
        ready,
        message: None,
    })
}

#[test]
fn missing_room_is_bought_once_and_for_nobody() {
    let first = world(wanting(Some(room(3)))).build();
    let plan_first = plan(&first);
    let bought = purchases(&plan_first);
    assert!(!bought.is_empty());
    assert!(
        bought
            .iter()
            .all(|purchase| purchase.nodes.iter().all(|node| node.spec.for_pods.is_empty()))
    );
    assert_eq!(status(&plan_first), spare(3, 0));
    assert_eq!(
        plan_first.statuses[&OceanName::from("shop")].pending_pods,
        Some(0)
    );
    assert_eq!(
        plan_first.events,
        plan(&world(wanting(None)).build()).events,
        "no pod is told of"
    );
    let second = world(wanting(Some(room(3)))).with(|snapshot| {
        for purchase in &bought {
            snapshot.launches.push(Arc::new(purchase.launch.clone()));
            snapshot
                .ocean_nodes
                .extend(purchase.nodes.iter().cloned().map(Arc::new));
        }
    });
    let second = plan(&second.build());
    assert_eq!(purchases(&second).len(), 0, "it is on its way");
    assert_eq!(status(&second), spare(3, 0));
}

#[test]
fn free_room_counts_and_an_empty_node_stays_for_it() {
    let leaves = |plan: &Plan| {
        plan.commands
            .iter()
            .any(|planned| matches!(planned.command, Command::PatchNode(_)))
    };
    let unwanted = plan(&with_an_empty_node(world(wanting(None))).build());
    assert!(leaves(&unwanted));
    assert_eq!(status(&unwanted), None);
    let kept = plan(&with_an_empty_node(world(wanting(Some(room(1))))).build());
    assert!(!leaves(&kept));
    assert_eq!(status(&kept), spare(1, 1));
    assert_eq!(purchases(&kept).len(), 0);
    let filled = with_an_empty_node(world(wanting(Some(room(1)))));
    let filled = filled.pod(running("web-1", "a")).pod(running("web-2", "a"));
    let filled = plan(&filled.build());
    assert_eq!(status(&filled), spare(1, 0));
    assert_eq!(
        purchases(&filled).len(),
        1,
        "a pod of 1 CPU does not fit beside two of half a CPU in 1.93"
    );
}

#[test]
fn a_pool_s_room_is_on_its_own_nodes_and_an_ocean_s_is_for_ordinary_pods() {
    let tainted = |of_ocean: Option<Headroom>, of_pool: Option<Headroom>| {
        let mut ocean = selecting("shop", &["main", "special"]);
        ocean.spec.headroom = of_ocean;
        ocean.spec.pools[1].headroom = of_pool;
        ocean.spec.pools[1].taints = vec![ApiTaint {
            key: "special".into(),
            value: Some("yes".into()),
            effect: ApiTaintEffect::NoSchedule,
        }];
        ocean
    };
    let pools = |ocean: SpotOcean| -> Vec<String> {
        let plan = plan(&with_an_empty_node(world(ocean)).build());
        purchases(&plan)
            .iter()
            .map(|purchase| purchase.launch.spec.pool_name.clone())
            .collect()
    };
    assert_eq!(
        pools(tainted(None, Some(room(1)))),
        ["special"],
        "room in main is none"
    );
    assert_eq!(
        pools(tainted(Some(room(1)), None)),
        [""; 0],
        "there is room in main"
    );
    assert_eq!(
        pools(tainted(Some(room(1)), Some(room(1)))),
        ["special"],
        "both add up"
    );
    let mut only_special = tainted(Some(room(1)), None);
    only_special.spec.pools.remove(0);
    let refused = plan(&world(only_special).build());
    assert_eq!(purchases(&refused).len(), 0);
    let said = status(&refused).and_then(|status| status.message);
    assert!(said.is_some_and(|said| said.contains("special")), "it says why");
}

#[test]
fn automatic_room_has_the_shapes_of_the_biggest_workloads() {
    let of = |workload: &str, name: &str, cpu_millis: i64, memory_gib: i64| {
        let mut pod = running(name, "a");
        pod.owner = Some(Owner {
            kind: "ReplicaSet".into(),
            name: workload.into(),
            uid: format!("uid-{workload}").into(),
        });
        Arc::make_mut(&mut pod.shape).requests = resources(cpu_millis, memory_gib, 1);
        pod
    };
    let units_at = |percentage: u32| -> Vec<(i64, i64)> {
        let ocean = wanting(Some(Headroom {
            automatic: Some(AutomaticHeadroom { percentage }),
            manual: Vec::new(),
        }));
        let elsewhere = Pod {
            node: Some("other".into()),
            ..of("huge", "huge", 8000, 32)
        };
        // Together 3 CPUs and 8 GiB: web has 2/3 of the CPU, db half of the memory.
        let snapshot = with_an_empty_node(world(ocean))
            .pod(of("web", "web-1", 1000, 2))
            .pod(of("web", "web-2", 1000, 2))
            .pod(of("db", "db-1", 1000, 4))
            .pod(elsewhere)
            .build();
        let gave_up = GaveUp::of(&snapshot.memory, snapshot.now);
        let supplies = supplies(&snapshot, &Cooldowns::of(&snapshot), &gave_up);
        let supplies: Vec<&Supply> = supplies.iter().collect();
        let requests = |unit: &PendingPod| {
            let requests = &unit.pod.shape.requests;
            (requests.cpu_millis, requests.memory_bytes >> 30)
        };
        units(&snapshot, &supplies).iter().map(requests).collect()
    };
    let (web, db) = ((1000, 2), (1000, 4));
    assert_eq!(units_at(0), []);
    assert_eq!(units_at(1), [web], "never less than one, the biggest");
    assert_eq!(
        units_at(33),
        [web, db],
        "1 of 3 CPUs comes with one, 2.64 of 8 GiB with two"
    );
    assert_eq!(units_at(100), [web, db, web]);
}

#[test]
fn where_limits_are_short_pods_that_wait_come_first() {
    let mut ocean = wanting(Some(room(1)));
    ocean.spec.limits = [("nodes".to_owned(), Quantity("1".into()))].into();
    let mut huge = pod("huge");
    Arc::make_mut(&mut huge.shape).requests.cpu_millis = 15_000;
    let plan = plan(&world(ocean).pod(huge).build());
    let pods = purchases(&plan)
        .iter()
        .map(|purchase| purchase.nodes[0].spec.for_pods.len())
        .sum::<usize>();
    assert_eq!((purchases(&plan).len(), pods), (1, 1));
    let said = status(&plan).and_then(|status| status.message);
    assert!(said.is_some_and(|said| said.starts_with("pods that wait go first: ")));
}
