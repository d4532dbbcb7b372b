//! Bases, percentages and workloads: how much is on demand then, and that nobody waits for it.

use proptest::prelude::*;
use spotocean_api::capacity_type::CapacityType as ApiCapacityType;
use spotocean_api::ocean_node::Phase;
use spotocean_api::price::PriceUsd;
use spotocean_api::quantity::Quantity;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_api::strategy::MaxPrice;
use spotocean_core::pod::Owner;
use spotocean_core::requirement::{Operator, Requirement};
use spotocean_core::selector::LabelSelector;
use spotocean_core::topology::{NodeInclusion, TopologySpread, WhenUnsatisfiable};

use super::*;
use crate::answers::{answered, selecting};
use crate::fixtures::{SnapshotBuilder, ocean_node, pod, running, snapshot};
use crate::plan::Provision;
use crate::provisioning::Prepared;
use spotocean_core::label;

/// A pod that fills a node of 16 vCPUs.
fn big(number: usize) -> Pod {
    sized(number, 14_000)
}

fn sized(number: usize, cpu_millis: i64) -> Pod {
    let mut own = pod(&format!("web-{number:02}"));
    Arc::make_mut(&mut own.shape).requests.cpu_millis = cpu_millis;
    own
}

fn sharing(base: u32, spot_percentage: u32) -> SpotOcean {
    let mut ocean = selecting("shop", &["main"]);
    ocean.spec.strategy.on_demand_base = base;
    ocean.spec.strategy.spot_percentage = spot_percentage;
    ocean
}

fn planned(ocean: SpotOcean, pods: impl IntoIterator<Item = Pod>) -> Provision {
    rehearsed(snapshot(), ocean, pods)
}

fn rehearsed(world: SnapshotBuilder, ocean: SpotOcean, pods: impl IntoIterator<Item = Pod>) -> Provision {
    let world = pods.into_iter().fold(world.ocean(ocean), SnapshotBuilder::pod);
    let provision = Prepared::of(&answered(world).build()).rehearse();
    let (cost, bound) = (provision.solution.cost(), provision.solution.lower_bound);
    assert!(bound.is_none_or(|bound| bound <= cost), "{bound:?} {cost:?}");
    provision
}

fn vcpus_of(provision: &Provision) -> Vcpus {
    let mut vcpus = Vcpus::default();
    let types = crate::fixtures::catalogue().types;
    for node in &provision.solution.new_nodes {
        vcpus.add(node.capacity_type, types[&node.candidates[0].instance_type].vcpus);
    }
    vcpus
}

fn count(provision: &Provision, capacity_type: CapacityType) -> usize {
    let nodes = provision.solution.new_nodes.iter();
    nodes.filter(|node| node.capacity_type == capacity_type).count()
}

fn in_even_zones(mut own: Pod) -> Pod {
    Arc::make_mut(&mut own.shape).spread.push(TopologySpread {
        max_skew: 1,
        topology_key: label::ZONE.into(),
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: Some(LabelSelector {
            match_labels: own.labels.as_ref().clone(),
            ..LabelSelector::default()
        }),
        min_domains: None,
        node_affinity_policy: NodeInclusion::Honor,
        node_taints_policy: NodeInclusion::Ignore,
    });
    own
}

fn on_spot_only(mut own: Pod) -> Pod {
    let spot = Requirement::new(label::CAPACITY_TYPE, Operator::In, ["spot"]);
    Arc::make_mut(&mut own.shape).node_selector.push(spot);
    own
}

#[test]
fn so_many_vcpus_are_short() {
    let rows = [
        // base, percent, spot, on demand, short
        (0, 100, 64, 0, 0),
        (8, 100, 64, 0, 8),
        (8, 100, 64, 16, 0),
        (100, 100, 64, 0, 64),
        (0, 50, 64, 0, 32),
        (0, 50, 63, 0, 32),
        (16, 50, 64, 16, 32),
        (16, 75, 64, 0, 28),
        (0, 1, 100, 0, 99),
        (0, 50, 0, 0, 0),
    ];
    for (base, spot_percentage, spot, on_demand, expected) in rows {
        let share = Share {
            base,
            spot_percentage,
            held: Vcpus::default(),
        };
        let row = (base, spot_percentage, spot, on_demand);
        assert_eq!(share.short(Vcpus { spot, on_demand }), expected, "{row:?}");
    }
}

#[test]
fn as_many_nodes_are_on_demand_as_a_pool_wants() {
    let rows = [
        (0, 100, 4, 0),
        (8, 100, 4, 1),
        (17, 100, 4, 2),
        (1_000, 100, 3, 3),
        (0, 50, 4, 2),
        (16, 50, 5, 3),
        (0, 0, 3, 3),
    ];
    for (base, spot_percentage, pods, expected) in rows {
        for spreads in [false, true] {
            let wanting = (0..pods).map(big);
            let wanting = wanting.map(|own| if spreads { in_even_zones(own) } else { own });
            let provision = planned(sharing(base, spot_percentage), wanting);
            let row = (base, spot_percentage, pods, spreads);
            assert_eq!(provision.solution.unplaced, [], "{row:?}");
            assert_eq!(count(&provision, CapacityType::OnDemand), expected, "{row:?}");
            assert_eq!(count(&provision, CapacityType::Spot), pods - expected, "{row:?}");
        }
    }
}

#[test]
fn what_is_on_demand_already_counts() {
    let mut own = ocean_node("there", "shop", Phase::Launched);
    own.spec.capacity_type = ApiCapacityType::OnDemand;
    let status = own.status.as_mut().unwrap();
    status.instance_type = Some("m5.4xlarge".into());
    let provision = rehearsed(snapshot().ocean_node(own), sharing(16, 100), (0..3).map(big));
    // It takes one of the pods.
    assert_eq!(count(&provision, CapacityType::OnDemand), 0);
    assert_eq!(count(&provision, CapacityType::Spot), 2);
}

#[test]
fn consolidation_leaves_a_pool_what_it_wants_on_demand() {
    let node = |name: &str, capacity_type| {
        let mut own = ocean_node(name, "shop", Phase::Initialized);
        own.spec.capacity_type = capacity_type;
        own
    };
    let on_demand = node("a", ApiCapacityType::OnDemand);
    let rows = [(0, 100, false), (1, 100, true), (2, 100, true), (0, 90, true)];
    for (base, spot_percentage, expected) in rows {
        let world = snapshot()
            .ocean(sharing(base, spot_percentage))
            .ocean_node(on_demand.clone())
            .ocean_node(node("b", ApiCapacityType::Spot));
        let snapshot = answered(world).build();
        let prepared = Prepared::of(&snapshot);
        let supplies: Vec<&Supply> = prepared.supplies.iter().collect();
        let shares = Shares::of(&snapshot, &supplies);
        assert_eq!(shares.needs(&on_demand), expected, "{base} {spot_percentage}");
        assert!(!shares.needs(&node("b", ApiCapacityType::Spot)), "it is spot");
    }
}

#[test]
fn nothing_waits_for_the_sake_of_a_share() {
    let without_offers = || {
        let mut ocean = sharing(1_000, 50);
        let per_vcpu_hour = Some(PriceUsd { micro_usd: 30_000 });
        ocean.spec.strategy.max_price = Some(MaxPrice {
            per_vcpu_hour,
            on_demand_percentage: None,
        });
        ocean
    };
    // Four nodes of 0.3072 on spot; on demand each is 0.768.
    let limited = || {
        let mut ocean = sharing(0, 50);
        let limit = ("hourlyCost".to_owned(), Quantity("1.8".to_owned()));
        ocean.spec.limits = [limit].into_iter().collect();
        ocean
    };
    let plain = || (0..4).map(big).collect();
    let rows: [(&str, SpotOcean, Vec<Pod>, usize); 4] = [
        (
            "spot only",
            sharing(1_000, 50),
            (0..4).map(big).map(on_spot_only).collect(),
            0,
        ),
        (
            "one of them",
            sharing(0, 50),
            vec![on_spot_only(big(0)), big(1)],
            1,
        ),
        ("no offers", without_offers(), plain(), 0),
        ("a limit", limited(), plain(), 1),
    ];
    for (name, ocean, pods, expected) in rows {
        let all = pods.len();
        let provision = planned(ocean, pods);
        assert_eq!(provision.solution.unplaced, [], "{name}");
        assert_eq!(count(&provision, CapacityType::OnDemand), expected, "{name}");
        assert_eq!(count(&provision, CapacityType::Spot), all - expected, "{name}");
    }
}

#[test]
fn a_workload_has_no_more_on_spot_than_it_may() {
    let of_workload = |mut own: Pod, percentage| {
        own.owner = Some(Owner {
            kind: "ReplicaSet".into(),
            name: "db".into(),
            uid: "uid-db".into(),
        });
        own.spot_percentage = percentage;
        own
    };
    let there = |world: SnapshotBuilder, capacity_type: CapacityType, number: usize| {
        let name = format!("old-{number}");
        let mut node = crate::fixtures::node(&name, "shop");
        let labels = Arc::make_mut(&mut node.labels);
        labels.insert(label::CAPACITY_TYPE.into(), capacity_type.as_str().into());
        let pod = of_workload(running(&format!("db-{number}"), &name), Some(50));
        world.node(node).pod(pod)
    };
    let rows = [
        // on spot already, on demand already, waiting, percent, on demand then
        (0, 0, 4, Some(50), 2),
        (0, 0, 3, Some(50), 2),
        (0, 0, 3, Some(0), 3),
        (0, 0, 3, Some(100), 0),
        (0, 0, 3, None, 0),
        (2, 0, 2, Some(50), 2),
        (0, 2, 2, Some(50), 0),
        (3, 0, 1, Some(50), 1),
    ];
    for (spot, on_demand, waiting, percentage, expected) in rows {
        let world = (0..spot).fold(snapshot(), |world, number| {
            there(world, CapacityType::Spot, number)
        });
        let world = (spot..spot + on_demand).fold(world, |world, number| {
            there(world, CapacityType::OnDemand, number)
        });
        let pods = (0..waiting).map(|number| of_workload(big(number), percentage));
        let provision = rehearsed(world, sharing(0, 100), pods.chain([big(90)]));
        let row = (spot, on_demand, waiting, percentage);
        assert_eq!(provision.solution.unplaced, [], "{row:?}");
        assert_eq!(count(&provision, CapacityType::OnDemand), expected, "{row:?}");
        assert_eq!(
            count(&provision, CapacityType::Spot),
            waiting + 1 - expected,
            "{row:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every pod has its place as without a share, and no pool is short of what it wants.
    #[test]
    fn shares_are_met_and_all_are_served(
        sizes in prop::collection::vec((200_i64..15_000, prop::bool::ANY), 1..14),
        base in 0_u32..40,
        spot_percentage in 1_u32..=100,
    ) {
        let pods = sizes.iter().enumerate().map(|(number, (cpu_millis, spreads))| {
            let own = sized(number, *cpu_millis);
            if *spreads { in_even_zones(own) } else { own }
        });
        let provision = planned(sharing(base, spot_percentage), pods);
        prop_assert_eq!(&provision.solution.unplaced, &[]);
        let share = Share {
            base: i64::from(base),
            spot_percentage: i64::from(spot_percentage),
            held: Vcpus::default(),
        };
        let vcpus = vcpus_of(&provision);
        prop_assert_eq!(share.short(vcpus), 0, "{:?}", vcpus);
    }
}
