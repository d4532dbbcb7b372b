//! What users read of one look: counts, conditions and events.

use super::*;
use crate::answers::{answered, selecting};
use crate::fixtures::{SnapshotBuilder, ago, now, ocean, ocean_node, pod, snapshot};
use crate::plan::{EventSubject, plan};
use crate::snapshot::{OtherAutoscaler, Source};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spotocean_api::annotation::PAUSE;
use spotocean_api::ocean_node::Phase;
use spotocean_api::strategy::MaxShare;
use spotocean_core::port::{CloudError, CloudErrorKind};

fn world() -> SnapshotBuilder {
    snapshot().ocean(ocean("shop", &["main"]))
}

fn status(snapshot: &Snapshot) -> SpotOceanStatus {
    plan(snapshot).statuses.remove("shop").unwrap()
}

fn condition(status: &SpotOceanStatus, name: &str) -> (String, String) {
    let found = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == name)
        .unwrap();
    (found.status.clone(), found.reason.clone())
}

fn check(snapshot: &Snapshot, expected: &[(&str, &str, &str)]) {
    let status = status(snapshot);
    for (name, value, reason) in expected {
        let (found, why) = condition(&status, name);
        assert_eq!(
            (found.as_str(), why.as_str()),
            (*value, *reason),
            "{name}: {:?}",
            status.conditions
        );
    }
}

fn change_ocean(snapshot: &mut Snapshot, change: impl FnOnce(&mut SpotOcean)) {
    change(Arc::make_mut(&mut snapshot.oceans[0]));
}

#[test]
fn every_condition_is_said_every_time() {
    let said: Vec<String> = status(&world().build())
        .conditions
        .into_iter()
        .map(|condition| condition.type_)
        .collect();
    let all: Vec<&str> = spotocean_api::condition::CONDITION_TYPES
        .iter()
        .map(|condition| condition.as_str())
        .collect();
    assert_eq!(said, all);
}

#[test]
fn an_ocean_nobody_has_looked_at_is_in_progress() {
    let unresolved = world().build();
    check(
        &unresolved,
        &[
            ("Ready", "Unknown", "SourcesIncomplete"),
            ("Reconciling", "True", "SourcesIncomplete"),
            ("Stalled", "False", "Healthy"),
        ],
    );
    let unread = world().with(|s| s.sources.instances = Source::unread()).build();
    check(
        &unread,
        &[
            ("CloudAccess", "Unknown", "SourcesIncomplete"),
            ("Ready", "Unknown", "SourcesIncomplete"),
        ],
    );
}

#[test]
fn what_stands_in_the_way_is_said() {
    let error = |kind| {
        Some(CloudError {
            kind,
            action: "DescribeInstances".into(),
            code: "UnauthorizedOperation".into(),
            message: "no".into(),
        })
    };
    let denied = world()
        .with(|s| s.sources.instances.error = error(CloudErrorKind::Unauthorized))
        .build();
    check(
        &denied,
        &[
            ("CloudAccess", "False", "AccessDenied"),
            ("Ready", "False", "AccessDenied"),
            ("Stalled", "True", "AccessDenied"),
        ],
    );
    let throttled = world()
        .with(|s| s.sources.instances.error = error(CloudErrorKind::Throttled))
        .build();
    check(
        &throttled,
        &[
            ("CloudAccess", "False", "Throttled"),
            ("Stalled", "False", "Healthy"),
        ],
    );
    let karpenter = world()
        .with(|s| {
            s.other_autoscalers.insert(OtherAutoscaler::Karpenter);
        })
        .build();
    check(
        &karpenter,
        &[
            ("OtherAutoscalerActive", "True", "KarpenterFound"),
            ("Ready", "False", "KarpenterFound"),
            ("Stalled", "True", "KarpenterFound"),
        ],
    );
    let overlap = SnapshotBuilder::from(karpenter)
        .with(|s| change_ocean(s, |ocean| ocean.spec.allow_overlap = true))
        .build();
    check(&overlap, &[("OtherAutoscalerActive", "False", "OverlapAllowed")]);
    let stale = world()
        .with(|s| Arc::make_mut(&mut s.catalogue).spot_prices_as_of = Some(ago(3600)))
        .build();
    check(&stale, &[("PricesFresh", "False", "SpotPricesStale")]);
    let paused = world()
        .with(|s| {
            change_ocean(s, |ocean| {
                ocean.metadata.annotations = Some([(PAUSE.to_owned(), "true".to_owned())].into());
            });
        })
        .build();
    check(&paused, &[("Ready", "False", "Paused")]);
    let deleted = world()
        .with(|s| change_ocean(s, |ocean| ocean.metadata.deletion_timestamp = Some(Time(now()))))
        .build();
    check(
        &deleted,
        &[
            ("Ready", "False", "Deleting"),
            ("Reconciling", "True", "Deleting"),
        ],
    );
}

#[test]
fn what_the_launch_brake_holds_back_is_said_without_calling_it_trouble() {
    let mut world = snapshot().ocean(selecting("shop", &["main"]));
    for number in 0..20 {
        let mut own = ocean_node(&format!("n{number}"), "other", Phase::Pending);
        own.metadata.creation_timestamp = Some(Time(ago(1)));
        world = world.ocean_node(own);
    }
    let held = answered(world.pod(pod("p"))).build();
    check(
        &held,
        &[
            ("Reconciling", "True", "LaunchBrake"),
            ("CapacityAvailable", "True", "Available"),
            ("Ready", "True", "Healthy"),
        ],
    );
    let message = status(&held)
        .conditions
        .into_iter()
        .find(|condition| condition.type_ == "Reconciling")
        .unwrap()
        .message;
    assert_eq!(
        message,
        "0 nodes on their way, and 1 more wait for the launch brake: 20 nodes may start in a minute (20, or half of those there), so the next start within a minute"
    );
    let later = SnapshotBuilder::from(held).with(|s| s.now += SignedDuration::from_secs(61));
    check(&later.build(), &[("Reconciling", "True", "Launching")]);
}

#[test]
fn what_follows_an_answer_is_said_without_calling_it_trouble() {
    let mut world = snapshot().ocean(selecting("shop", &["main"]));
    for number in 0..20 {
        world = world.pod(pod(&format!("p{number}")));
    }
    let snapshot = answered(world).build();
    check(
        &snapshot,
        &[
            ("Reconciling", "True", "Launching"),
            ("CapacityAvailable", "True", "Available"),
            ("DiversificationReduced", "False", "Diversified"),
        ],
    );
    let conditions = status(&snapshot).conditions.into_iter();
    let message = conditions
        .filter(|condition| condition.type_ == "Reconciling")
        .map(|condition| condition.message)
        .next()
        .unwrap();
    assert!(message.contains("more follow within seconds"), "{message}");
}

#[test]
fn nodes_and_money_are_counted() {
    let mut snapshot = world()
        .member("a", "shop", Phase::Initialized)
        .member("b", "shop", Phase::Launched)
        .member("gone", "shop", Phase::Terminating)
        .member("foreign", "other", Phase::Initialized)
        .pod(pod("p"))
        .build();
    for own in &mut snapshot.ocean_nodes {
        let status = Arc::make_mut(own).status.as_mut().unwrap();
        status.price_micro_usd_per_hour = Some(38_400);
    }
    let status = status(&snapshot);
    assert_eq!(
        (status.nodes, status.spot_nodes, status.on_demand_nodes),
        (Some(2), Some(2), Some(0))
    );
    assert_eq!(status.hourly_cost_usd.as_deref(), Some("0.08"));
    assert_eq!(status.saved.as_deref(), Some("60%"));
    assert_eq!(status.pools.len(), 1);
    assert_eq!(
        (status.pools[0].name.as_str(), status.pools[0].nodes),
        ("main", 2)
    );
    assert_eq!(condition(&status, "Reconciling").0, "True");
}

#[test]
fn a_second_report_of_the_same_world_is_the_same() {
    let mut snapshot = world().member("a", "shop", Phase::Initialized).build();
    let first = status(&snapshot);
    change_ocean(&mut snapshot, |ocean| ocean.status = Some(first.clone()));
    snapshot.now += SignedDuration::from_secs(60);
    assert_eq!(status(&snapshot), first, "no times that churn");
}

#[test]
fn flips_are_told_once_with_their_direction() {
    let mut snapshot = world().build();
    let first = status(&snapshot);
    change_ocean(&mut snapshot, |ocean| ocean.status = Some(first));
    let told = |snapshot: &Snapshot| -> Vec<(String, bool)> {
        let events = plan(snapshot).events.into_iter();
        let of_ocean = events.filter(|event| matches!(event.subject, EventSubject::Ocean { .. }));
        of_ocean
            .map(|event| (event.reason.to_string(), event.is_warning))
            .collect()
    };
    assert_eq!(told(&snapshot), []);
    snapshot.other_autoscalers.insert(OtherAutoscaler::Karpenter);
    assert_eq!(
        told(&snapshot),
        [
            ("KarpenterFound".to_owned(), true),
            ("KarpenterFound".to_owned(), true)
        ]
    );
}

#[test]
fn a_node_that_leaves_is_told_on_both_objects() {
    let snapshot = world().member("a", "shop", Phase::Initialized).with(|s| {
        let own = Arc::make_mut(&mut s.ocean_nodes[0]);
        own.metadata.deletion_timestamp = Some(Time(now()));
    });
    let events = plan(&snapshot.build()).events;
    let subjects: Vec<bool> = events
        .iter()
        .map(|event| matches!(event.subject, EventSubject::Node { .. }))
        .collect();
    assert_eq!(subjects, [false, true]);
    assert!(events.iter().all(|event| event.reason.as_ref() == "Requested"));
}

#[test]
fn the_gap_of_the_last_purchase_stays_until_the_next() {
    let mut buys = answered(
        snapshot()
            .ocean(selecting("shop", &["main"]))
            .pod(pod("p"))
            .pod(pod("q")),
    )
    .build();
    let first = status(&buys);
    let gap = first.gap.clone().expect("something was bought");
    let tenths: u32 = gap.trim_end_matches('%').replace('.', "").parse().unwrap();
    assert!(tenths <= 1_000, "{gap}");
    let purchase = first.last_purchase.clone().unwrap();
    let usd = |text: &str| PricePerHour::parse_usd(text).unwrap();
    let bound = usd(&purchase.lower_bound_usd.unwrap());
    assert!(purchase.nodes > 0 && bound > PricePerHour::ZERO && bound <= usd(&purchase.hourly_cost_usd));
    change_ocean(&mut buys, |ocean| ocean.status = Some(first.clone()));
    buys.pods.clear();
    let later = status(&buys);
    assert_eq!((later.gap, later.last_purchase), (first.gap, first.last_purchase));
}

#[test]
fn a_pod_left_over_hears_why() {
    let snapshot = world().pod(pod("p")).build();
    let events = plan(&snapshot).events;
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(matches!(&event.subject, EventSubject::Pod { key, .. } if key.name.as_ref() == "p"));
    assert!(
        event.message.starts_with("no pool serves this pod: shop/main: "),
        "{}",
        event.message
    );
    assert_eq!(status(&snapshot).pending_pods, Some(1));
}

#[test]
fn money_is_rounded_half_up() {
    for (micro_usd, expected) in [
        (0, "0.00"),
        (4_999, "0.00"),
        (5_000, "0.01"),
        (12_345_678, "12.35"),
    ] {
        assert_eq!(dollars(PricePerHour(micro_usd)), expected);
    }
}

#[test]
fn what_share_caps_add_is_told() {
    let world = |share: u32| {
        let mut ocean = selecting("shop", &["main"]);
        ocean.spec.strategy.max_share = MaxShare {
            market: share,
            instance_type: share,
            zone: share,
        };
        let mut world = snapshot().ocean(ocean);
        for number in 0..60 {
            world = world.pod(pod(&format!("web-{number:02}")));
        }
        answered(world).build()
    };
    let purchase = |share: u32| status(&world(share)).last_purchase.expect("something was bought");
    let usd = |text: &str| PricePerHour::parse_usd(text).unwrap();
    assert_eq!(purchase(100).share_caps_usd, None);
    let (free, capped) = (purchase(100), purchase(40));
    let added = usd(&capped.hourly_cost_usd) - usd(&free.hourly_cost_usd);
    assert!(added > PricePerHour::ZERO);
    assert_eq!(capped.share_caps_usd, Some(added.to_string()));
}
