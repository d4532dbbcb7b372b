//! Pending pods in, purchases out.

mod drought;
mod rounds;

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use spotocean_api::ocean_launch::{LaunchPhase, OceanLaunchStatus};
use spotocean_api::ocean_node::Phase;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_api::strategy::{MaxShare, Orientation};
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::ObjectKey;
use spotocean_core::pod::{Pod, PodShape};
use spotocean_core::port::{CloudError, CloudErrorKind};
use spotocean_core::requirement::{Operator, Requirement};
use spotocean_core::{kubelet::PodDensity, label};

use super::*;
use crate::answers::{answered, selecting, serving};
use crate::fixtures::{self, SnapshotBuilder, ago, pod, snapshot};
use crate::guard::guard;
use crate::plan::Plan;
use crate::snapshot::{OtherAutoscaler, Source};

/// Ocean `shop` with pool `main`, its questions answered, and so many pending pods.
fn world(pods: usize) -> SnapshotBuilder {
    with_ocean(selecting("shop", &["main"]), pods)
}

fn with_ocean(ocean: SpotOcean, pods: usize) -> SnapshotBuilder {
    let mut world = snapshot().ocean(ocean);
    for number in 0..pods {
        world = world.pod(pod(&format!("web-{number:03}")));
    }
    answered(world)
}

fn purchases(provision: &Provision) -> Vec<&Purchase> {
    provision
        .commands
        .iter()
        .filter_map(|planned| match &planned.command {
            Command::Purchase(purchase) => Some(purchase.as_ref()),
            _ => None,
        })
        .collect()
}

fn bought(provision: &Provision) -> usize {
    purchases(provision)
        .iter()
        .map(|purchase| purchase.nodes.len())
        .sum()
}

fn pods_of(provision: &Provision) -> BTreeSet<ObjectKey> {
    purchases(provision)
        .into_iter()
        .flat_map(|purchase| &purchase.nodes)
        .flat_map(|node| &node.spec.for_pods)
        .map(|pod| ObjectKey::new(&pod.namespace, &pod.name))
        .collect()
}

fn closed_reason(world: SnapshotBuilder) -> String {
    let provision = provision(&world.build());
    assert_eq!(bought(&provision), 0);
    let (_, closed) = provision.closed.first_key_value().expect("the pool is closed");
    closed.reason.to_string()
}

#[test]
fn pending_pods_become_launches_that_the_guard_approves() {
    let snapshot = world(5).build();
    let provision = provision(&snapshot);
    assert_eq!(
        pods_of(&provision).len(),
        5,
        "each pod has its node: {:?}",
        provision.solution.unplaced
    );
    assert_eq!(provision.solution.unplaced, []);
    for purchase in purchases(&provision) {
        let spec = &purchase.launch.spec;
        assert_eq!(spec.client_token.len(), 64);
        assert_eq!(spec.members.len(), purchase.nodes.len());
        assert!(spec.members.is_sorted());
        let named: BTreeSet<_> = spec
            .request
            .launch_templates
            .iter()
            .filter_map(|config| config.launch_template_name.as_deref())
            .collect();
        let made: BTreeSet<_> = purchase
            .templates
            .iter()
            .map(|template| template.name.as_ref())
            .collect();
        assert_eq!(named, made);
        let places = spec
            .request
            .launch_templates
            .iter()
            .flat_map(|config| &config.overrides);
        assert!(
            places.clone().all(|place| place.subnet_id != "subnet-a1"),
            "subnet-a2 has more addresses"
        );
        assert!(
            places.clone().all(|place| place.instance_type != "m6g.xlarge"),
            "arm64 is not asked for"
        );
    }
    let plan = Plan {
        commands: provision.commands.clone(),
        ..crate::plan::plan(&snapshot)
    };
    let approved = guard(&snapshot, plan).plan;
    assert_eq!(approved.stripped, []);
    assert_eq!(approved.commands, provision.commands);
}

#[test]
fn the_same_look_plans_the_same_purchases() {
    let snapshot = world(7).build();
    assert_eq!(provision(&snapshot), provision(&snapshot));
    let later = world(7)
        .with(|snapshot| snapshot.now += SignedDuration::from_millis(1))
        .build();
    let tokens = |provision: &Provision| -> BTreeSet<String> {
        purchases(provision)
            .iter()
            .map(|purchase| purchase.launch.spec.client_token.clone())
            .collect()
    };
    assert!(
        tokens(&provision(&snapshot)).is_disjoint(&tokens(&provision(&later))),
        "no token is used twice"
    );
}

#[test]
fn what_is_on_its_way_is_not_bought_again() {
    let first = world(8).build();
    let provision_first = provision(&first);
    let mut nodes = Vec::new();
    let mut launches = Vec::new();
    for purchase in purchases(&provision_first) {
        launches.push(Arc::new(purchase.launch.clone()));
        nodes.extend(purchase.nodes.iter().cloned().map(Arc::new));
    }
    assert!(!nodes.is_empty());
    let second = world(8).with(|snapshot| {
        snapshot.ocean_nodes = nodes;
        snapshot.launches = launches;
    });
    let second = provision(&second.build());
    assert_eq!(bought(&second), 0);
    assert_eq!(
        second.waiting.values().map(BTreeSet::len).sum::<usize>(),
        8,
        "they wait all the same"
    );
}

#[test]
fn a_replacement_is_bought_in_the_look_that_hears_the_notice() {
    let world = world(0)
        .member("a", "shop", Phase::Initialized)
        .pod(fixtures::running("web", "a"));
    let bought_for = |snapshot: &Snapshot| -> usize {
        let commands = crate::plan::plan(snapshot).commands;
        let purchases = commands.iter().filter_map(|planned| match &planned.command {
            Command::Purchase(purchase) => Some(&purchase.nodes),
            _ => None,
        });
        purchases.flatten().map(|node| node.spec.for_pods.len()).sum()
    };
    assert_eq!(bought_for(&world.clone().build()), 0);
    let warned = world.event(
        "a",
        spotocean_core::port::CloudEventKind::SpotInterruption,
        fixtures::now(),
    );
    assert_eq!(bought_for(&warned.build()), 1);
}

#[test]
fn pools_that_cannot_buy_say_so() {
    let change = |change: fn(&mut SpotOcean)| {
        let mut ocean = selecting("shop", &["main"]);
        change(&mut ocean);
        with_ocean(ocean, 1)
    };
    let pause = |ocean: &mut SpotOcean| {
        ocean.metadata.annotations = Some(
            [("spotocean.dev/pause".to_owned(), "true".to_owned())]
                .into_iter()
                .collect(),
        );
    };
    // Each map is fine by the schema; merged they are not.
    let tags_alike = |ocean: &mut SpotOcean| {
        let tag = |key: &str| [(key.to_owned(), "a".to_owned())].into_iter().collect();
        ocean.spec.template.tags = tag("Team");
        ocean.spec.pools[0].template.get_or_insert_default().tags = tag("team");
    };
    let karpenter = |world: SnapshotBuilder| {
        world.with(|snapshot| {
            snapshot.other_autoscalers.insert(OtherAutoscaler::Karpenter);
        })
    };
    let rows = [
        (change(pause), "Paused"),
        (
            change(|ocean| ocean.metadata.finalizers = None),
            "SourcesIncomplete",
        ),
        (
            world(1).with(|snapshot| snapshot.sources.kubernetes.is_complete = false),
            "SourcesIncomplete",
        ),
        (
            world(1).with(|snapshot| snapshot.world = Arc::default()),
            "SourcesIncomplete",
        ),
        (
            change(|ocean| ocean.spec.template.user_data = Some("hello".into())),
            "SpecInvalid",
        ),
        (change(tags_alike), "SpecInvalid"),
        (karpenter(world(1)), "KarpenterFound"),
    ];
    for (index, (world, expected)) in rows.into_iter().enumerate() {
        assert_eq!(closed_reason(world), expected, "row {index}");
    }
    let narrowed = karpenter(with_ocean(serving(selecting("shop", &["main"]), "app", "web"), 1));
    assert!(bought(&provision(&narrowed.build())) > 0, "spec.pods narrows it");
}

#[test]
fn oceans_serve_the_pods_they_select() {
    let other = with_ocean(serving(selecting("shop", &["main"]), "app", "db"), 3);
    let provision = provision(&other.build());
    assert_eq!(bought(&provision), 0);
    assert!(provision.waiting.is_empty());
}

#[test]
fn an_observed_ocean_plans_and_buys_nothing() {
    let mut ocean = selecting("shop", &["main"]);
    ocean.spec.mode = Mode::Observe;
    let provision = provision(&with_ocean(ocean, 4).build());
    assert!(provision.commands.is_empty());
    assert!(!provision.solution.new_nodes.is_empty());
}

/// A pod that runs on demand only.
fn on_demand_pod(name: &str) -> Pod {
    let shape = PodShape {
        node_selector: vec![Requirement::new(
            label::CAPACITY_TYPE,
            Operator::In,
            ["on-demand"],
        )],
        ..pod(name).shape.as_ref().clone()
    };
    Pod {
        shape: Arc::new(shape),
        ..pod(name)
    }
}

#[test]
fn on_demand_is_bought_only_where_spot_cannot_serve() {
    let capacity_types = |provision: &Provision| -> BTreeSet<CapacityType> {
        provision
            .solution
            .new_nodes
            .iter()
            .map(|node| node.capacity_type)
            .collect()
    };
    let without_spot = |mut ocean: SpotOcean, fallback: bool| {
        ocean.spec.strategy.fallback_to_on_demand = fallback;
        with_ocean(ocean, 3).with(|snapshot| {
            Arc::make_mut(&mut snapshot.catalogue).spot_prices.clear();
        })
    };
    let ocean = || selecting("shop", &["main"]);
    let spot = provision(&world(3).build());
    assert_eq!(capacity_types(&spot), BTreeSet::from([CapacityType::Spot]));
    let fallen = provision(&without_spot(ocean(), true).build());
    assert_eq!(capacity_types(&fallen), BTreeSet::from([CapacityType::OnDemand]));
    assert_eq!(fallen.solution.unplaced, []);
    let refused = provision(&without_spot(ocean(), false).build());
    assert_eq!(refused.solution.unplaced.len(), 3);
    let both = provision(&world(3).pod(on_demand_pod("db")).build());
    assert_eq!(both.solution.unplaced, []);
    let on_demand = both
        .solution
        .new_nodes
        .iter()
        .filter(|node| node.capacity_type == CapacityType::OnDemand);
    assert_eq!(on_demand.flat_map(|node| &node.pods).count(), 1);
}

#[test]
fn spot_prices_not_read_yet_are_waited_for_and_an_error_is_not() {
    let unread = |error: Option<CloudError>| {
        world(3).with(move |snapshot| {
            Arc::make_mut(&mut snapshot.catalogue).spot_prices.clear();
            snapshot.sources.prices = Source {
                error,
                ..Source::unread()
            };
        })
    };
    let waits = provision(&unread(None).build());
    assert_eq!(
        (waits.solution.new_nodes.len(), waits.solution.unplaced.len()),
        (0, 3)
    );
    let denied = CloudError {
        kind: CloudErrorKind::Unauthorized,
        action: "DescribeSpotPriceHistory".into(),
        code: "UnauthorizedOperation".into(),
        message: "You are not authorized".into(),
    };
    let falls_back = provision(&unread(Some(denied)).build());
    let nodes = &falls_back.solution.new_nodes;
    assert!(
        !nodes.is_empty()
            && nodes
                .iter()
                .all(|node| node.capacity_type == CapacityType::OnDemand)
    );
}

#[test]
fn the_brake_and_limits_hold_purchases_back() {
    let recent = |count: usize| {
        let mut world = world(3);
        for number in 0..count {
            let mut own = fixtures::ocean_node(&format!("n{number}"), "other", Phase::Launched);
            own.metadata.creation_timestamp = Some(Time(ago(1)));
            world = world.ocean_node(own);
        }
        provision(&world.build())
    };
    assert!(bought(&recent(0)) > 0);
    let held = recent(20);
    assert_eq!(bought(&held), 0);
    assert!(held.next_look.is_some(), "it looks again soon");
    let mut ocean = selecting("shop", &["main"]);
    ocean.spec.limits.insert("nodes".into(), "0".into());
    let limited = provision(&with_ocean(ocean, 3).build());
    assert_eq!(bought(&limited), 0);
    assert_eq!(limited.solution.unplaced.len(), 3);
}

#[test]
fn dense_pods_get_templates_of_their_own() {
    let world = world(3).with(|snapshot| {
        snapshot.pod_density = PodDensity::SecondaryAddresses {
            reserved_interfaces: 0,
        };
        let catalogue = Arc::make_mut(&mut snapshot.catalogue);
        let large = catalogue.types.get_mut("m5.4xlarge").unwrap();
        Arc::make_mut(large).network_interfaces = 8;
    });
    let provision = provision(&world.build());
    for purchase in purchases(&provision) {
        for template in &purchase.templates {
            assert!(
                ["\"maxPods\": 29", "\"maxPods\": 74"]
                    .iter()
                    .any(|text| template.user_data.contains(text))
            );
        }
    }
}

#[test]
fn a_request_that_ec2_left_untried_rests() {
    let first = world(1).build();
    let provision_first = provision(&first);
    let mut launch = purchases(&provision_first)[0].launch.clone();
    launch.status = Some(OceanLaunchStatus {
        phase: LaunchPhase::Answered,
        answered_at: Some(Time(ago(5))),
        errors: vec![spotocean_api::ocean_launch::LaunchError::default()],
        ..OceanLaunchStatus::default()
    });
    let again = world(1).with(|snapshot| snapshot.launches.push(Arc::new(launch)));
    let again = provision(&again.build());
    assert_eq!(bought(&again), 0);
    assert_eq!(again.solution.unplaced.len(), 1);
    assert!(
        again.solution.unplaced[0].reasons[0]
            .message
            .contains("very request")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever waits and whatever limits there are: the guard, which counts with its own code, takes nothing out.
    #[test]
    fn purchases_stay_within_limits_and_brake(
        cpus in prop::collection::vec(100_i64..6_000, 0..60),
        recent in 0_usize..25,
        nodes in prop::option::of(0_i64..30),
        cpu in prop::option::of(0_i64..200),
        dollars in prop::option::of(0_i64..10),
    ) {
        let mut ocean = selecting("shop", &["main", "more"]);
        let limits = [("nodes", nodes), ("cpu", cpu), ("hourlyCost", dollars)];
        for (key, amount) in limits {
            if let Some(amount) = amount {
                ocean.spec.limits.insert(key.into(), amount.to_string().as_str().into());
            }
        }
        let mut world = with_ocean(ocean, 0);
        for (number, cpu_millis) in cpus.iter().enumerate() {
            let mut one = pod(&format!("web-{number:03}"));
            Arc::make_mut(&mut one.shape).requests.cpu_millis = *cpu_millis;
            world = world.pod(one);
        }
        for number in 0..recent {
            let mut own = fixtures::ocean_node(&format!("n{number}"), "shop", Phase::Launched);
            own.metadata.creation_timestamp = Some(Time(ago(1)));
            world = world.ocean_node(own);
        }
        let snapshot = world.build();
        let provision = provision(&snapshot);
        prop_assert!(bought(&provision) <= 20_usize.saturating_sub(recent));
        prop_assert!(provision.solution.lower_bound.is_some_and(|bound| bound <= provision.solution.cost()));
        let tokens: BTreeSet<_> =
            purchases(&provision).iter().map(|purchase| &purchase.launch.spec.client_token).collect();
        prop_assert_eq!(tokens.len(), purchases(&provision).len());
        let plan = Plan {
            commands: provision.commands.clone(),
            ..crate::plan::plan(&snapshot)
        };
        prop_assert_eq!(guard(&snapshot, plan).plan.stripped, []);
    }
}

/// Two hours after an interruption in the cheapest zone, its cooldown is over and its risk remains.
#[test]
fn an_interrupted_market_is_avoided_as_far_as_orientation_says() {
    let first_zone = |orientation: Orientation, warned: bool| {
        let mut ocean = selecting("shop", &["main"]);
        ocean.spec.strategy.orientation = orientation;
        ocean.spec.strategy.max_share = MaxShare {
            market: 100,
            instance_type: 100,
            zone: 100,
        };
        let mut world = with_ocean(ocean, 3).build();
        if warned {
            for name in world.catalogue.types.keys() {
                let key = format!("{name}/us-east-1a").into();
                world.memory.interruptions.insert(key, ago(7200));
            }
        }
        let provision = provision(&world);
        let node = &provision.solution.new_nodes[0];
        node.candidates[0].zone.to_string()
    };
    assert_eq!(first_zone(Orientation::Availability, false), "us-east-1a");
    assert_eq!(first_zone(Orientation::Availability, true), "us-east-1b");
    assert_eq!(first_zone(Orientation::Balanced, true), "us-east-1a");
    assert_eq!(first_zone(Orientation::Cost, true), "us-east-1a");
}
