//! Purchases round after round: EC2 answers, the next look buys on.

use spotocean_api::ocean_node::{OceanNode, OceanNodeStatus};
use spotocean_core::offering::Market;

use super::*;
use crate::provisioning::in_flight::markets;

/// Puts what a look buys on record, as it is before EC2 answers.
fn intend(snapshot: &mut Snapshot, bought: &Provision) {
    for purchase in purchases(bought) {
        let stamped = |mut node: OceanNode| {
            node.metadata.creation_timestamp = Some(Time(snapshot.now));
            Arc::new(node)
        };
        let nodes: Vec<_> = purchase.nodes.iter().cloned().map(stamped).collect();
        let mut launch = purchase.launch.clone();
        launch.metadata.creation_timestamp = Some(Time(snapshot.now));
        snapshot.ocean_nodes.extend(nodes);
        snapshot.launches.push(Arc::new(launch));
    }
}

/// EC2 puts each open launch into one of its places, the one with the next of `picks`.
fn answer<'a>(snapshot: &mut Snapshot, picks: &mut impl Iterator<Item = &'a usize>) {
    let (now, mut placed) = (snapshot.now, BTreeMap::<String, Market>::new());
    for launch in &mut snapshot.launches {
        let places: Vec<Market> = markets(launch).collect();
        let launch = Arc::make_mut(launch);
        if launch.status.is_none() {
            launch.status = Some(OceanLaunchStatus {
                phase: LaunchPhase::Answered,
                answered_at: Some(Time(now)),
                ..OceanLaunchStatus::default()
            });
            let pick = picks.next().unwrap() % places.len();
            placed.insert(launch.metadata.name.clone().unwrap(), places[pick].clone());
        }
    }
    for node in &mut snapshot.ocean_nodes {
        let Some(place) = placed.get(&node.spec.launch_name) else {
            continue;
        };
        let node = Arc::make_mut(node);
        node.status = Some(OceanNodeStatus {
            phase: Phase::Launched,
            instance_id: node.metadata.name.clone(),
            instance_type: Some(place.instance_type.to_string()),
            zone: Some(place.zone.to_string()),
            ..OceanNodeStatus::default()
        });
    }
}

#[test]
fn what_waits_for_an_answer_goes_on_as_soon_as_it_is_there() {
    let mut snapshot = world(20).build();
    let first = provision(&snapshot);
    assert_eq!(first.solution.unplaced, [], "pods that follow are not left over");
    let planned: usize = first.solution.new_nodes.iter().map(|node| node.pods.len()).sum();
    assert_eq!(planned, 20, "the plan is whole");
    let following: u32 = first.following.values().sum();
    assert_eq!(
        bought(&first) + usize::try_from(following).unwrap(),
        first.solution.new_nodes.len()
    );
    assert!(following > 0 && bought(&first) > 0);
    intend(&mut snapshot, &first);
    let meanwhile = provision(&snapshot);
    assert_eq!(bought(&meanwhile), 0, "nothing is known yet");
    assert_eq!(meanwhile.solution.unplaced, []);
    assert!(meanwhile.next_look.is_some());
    let mut stuck = snapshot.clone();
    stuck.now += SignedDuration::from_secs(30);
    assert!(
        bought(&provision(&stuck)) > 0,
        "an answer is not waited for without end"
    );
    answer(&mut snapshot, &mut [0].iter().cycle());
    assert!(bought(&provision(&snapshot)) > 0);
}

#[test]
fn another_size_takes_what_the_cheapest_type_may_not_hold() {
    let mut world = world(0);
    for number in 0..60 {
        let mut one = pod(&format!("web-{number:03}"));
        Arc::make_mut(&mut one.shape).requests.cpu_millis = 600;
        world = world.pod(one);
    }
    let snapshot = world.with(|snapshot| {
        for (market, price) in &mut Arc::make_mut(&mut snapshot.catalogue).spot_prices {
            price.0 = match market.instance_type.as_str() {
                "m5.large" => 30_000,
                "m5.xlarge" => 62_000,
                "m5.4xlarge" => 300_000,
                _ => 65_000,
            };
        }
    });
    let snapshot = snapshot.build();
    let types = |nodes: &[spotocean_solver::solution::NewNode]| -> BTreeSet<String> {
        let first = nodes.iter().map(|node| &node.candidates[0].instance_type);
        first.map(ToString::to_string).collect()
    };
    let mut uncapped = snapshot.clone();
    let strategy = &mut Arc::make_mut(&mut uncapped.oceans[0]).spec.strategy;
    strategy.max_share.market = 100;
    strategy.max_share.instance_type = 100;
    strategy.max_share.zone = 100;
    let plan = |snapshot: &Snapshot| Prepared::of(snapshot).rehearse().solution;
    let cheapest = plan(&uncapped);
    assert_eq!(
        types(&cheapest.new_nodes),
        BTreeSet::from(["m5.large".to_owned()])
    );
    let capped = plan(&snapshot);
    assert_eq!(capped.unplaced, []);
    assert!(types(&capped.new_nodes).contains("m5.xlarge"));
    // All in m5.large nodes of which 35 % have room there and the rest the next price: 7 × 0.03 + 13 × 0.062.
    assert!(capped.cost().0 < 7 * 30_000 + 13 * 62_000, "{}", capped.cost());
}

#[test]
fn who_sees_only_the_whole_plan_sees_no_rounds() {
    let snapshot = world(20).build();
    let rehearsed = Prepared::of(&snapshot).rehearse();
    assert_eq!(rehearsed.solution, provision(&snapshot).solution);
    assert!(rehearsed.following.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever EC2 picks: each pod is bought for once, the guard agrees, and it ends.
    #[test]
    fn rounds_end_with_a_place_for_each_pod(
        cpus in prop::collection::vec(100_i64..3_000, 1..40),
        picks in prop::collection::vec(any::<usize>(), 40),
    ) {
        let mut world = world(0);
        for (number, cpu_millis) in cpus.iter().enumerate() {
            let mut one = pod(&format!("web-{number:03}"));
            Arc::make_mut(&mut one.shape).requests.cpu_millis = *cpu_millis;
            world = world.pod(one);
        }
        let mut snapshot = world.build();
        let template = crate::plan::plan(&snapshot);
        let (mut picks, mut served) = (picks.iter().cycle(), BTreeSet::new());
        for round in 0.. {
            prop_assert!(round < 30, "{} of {} pods after 30 rounds", served.len(), cpus.len());
            let look = provision(&snapshot);
            prop_assert_eq!(&look.solution.unplaced, &[]);
            let plan = Plan {
                commands: look.commands.clone(),
                ..template.clone()
            };
            prop_assert_eq!(guard(&snapshot, plan).plan.stripped, []);
            let now_served = pods_of(&look);
            prop_assert!(now_served.is_disjoint(&served));
            served.extend(now_served);
            if look.solution.new_nodes.is_empty() {
                served.extend(look.solution.existing.into_values().flatten());
                break;
            }
            intend(&mut snapshot, &look);
            answer(&mut snapshot, &mut picks);
            // The launch brake lets twenty nodes start in a minute.
            snapshot.now += SignedDuration::from_secs(if look.held.is_empty() { 2 } else { 61 });
        }
        prop_assert_eq!(served.len(), cpus.len());
    }
}
