//! What cools, for how long, and what does not.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spotocean_api::ocean_launch::{
    AllocationStrategy, FleetOverride, FleetRequest, LaunchError, LaunchTemplateConfig, LaunchedInstance,
    OceanLaunchSpec, OceanLaunchStatus,
};

use super::*;
use crate::fixtures::{ago, metadata, now, ocean, snapshot};

const SPOT: CapacityType = CapacityType::Spot;

/// A launch in pool `shop/main` over zones a and b of `types`, answered so many seconds ago.
fn launch(
    name: &str,
    seconds_ago: i64,
    types: &[&str],
    bought: &[(&str, &str)],
    errors: Vec<LaunchError>,
) -> OceanLaunch {
    let place = |instance_type: &str, zone: &str| FleetOverride {
        instance_type: instance_type.to_owned(),
        subnet_id: format!("subnet-{zone}"),
        zone: zone.to_owned(),
        ..FleetOverride::default()
    };
    let request = FleetRequest {
        capacity_type: spotocean_api::capacity_type::CapacityType::Spot,
        allocation_strategy: AllocationStrategy::PriceCapacityOptimized,
        target_capacity: 1,
        launch_templates: vec![LaunchTemplateConfig {
            overrides: types
                .iter()
                .flat_map(|name| [place(name, "a"), place(name, "b")])
                .collect(),
            ..LaunchTemplateConfig::default()
        }],
        tags: Vec::new(),
    };
    let spec = OceanLaunchSpec {
        ocean_name: "shop".into(),
        ocean_uid: "uid-shop".into(),
        pool_name: "main".into(),
        attempt: 1,
        client_token: name.into(),
        request,
        members: Vec::new(),
    };
    let mut launch = OceanLaunch::new(name, spec);
    launch.metadata = metadata(name);
    launch.metadata.annotations = Some(BTreeMap::from([(LAUNCH_GENERATION.to_owned(), "1".to_owned())]));
    launch.status = Some(OceanLaunchStatus {
        phase: LaunchPhase::Answered,
        answered_at: Some(Time(ago(seconds_ago))),
        instances: bought
            .iter()
            .map(|(instance_type, zone)| LaunchedInstance {
                instance_type: (*instance_type).to_owned(),
                zone: (*zone).to_owned(),
                ..LaunchedInstance::default()
            })
            .collect(),
        errors,
        ..OceanLaunchStatus::default()
    });
    launch
}

fn error(scope: LaunchErrorScope, instance_type: &str, zone: &str) -> LaunchError {
    LaunchError {
        code: format!("{scope:?}"),
        instance_type: Some(instance_type.to_owned()),
        zone: Some(zone.to_owned()),
        scope,
        ..LaunchError::default()
    }
}

fn cooldowns(launches: Vec<OceanLaunch>) -> Cooldowns {
    let launches = launches.into_iter().map(Arc::new).collect();
    let world = snapshot()
        .ocean(ocean("shop", &["main"]))
        .with(|snapshot| snapshot.launches = launches);
    Cooldowns::of(&world.build())
}

fn market(instance_type: &str, zone: &str) -> Market {
    market_of((instance_type, zone))
}

fn pool() -> PoolKey {
    PoolKey {
        ocean: "shop".into(),
        pool: "main".into(),
    }
}

fn dry(name: &str, seconds_ago: i64) -> OceanLaunch {
    launch(
        name,
        seconds_ago,
        &["m5.large"],
        &[],
        vec![error(LaunchErrorScope::Market, "m5.large", "a")],
    )
}

#[test]
fn a_market_cools_then_is_probed_then_is_open_again() {
    let state = |launches| cooldowns(launches).market(SPOT, &market("m5.large", "a"), now());
    assert_eq!(state(vec![]), State::Open);
    assert_eq!(
        state(vec![dry("a", 60)]),
        State::Cooling(now() + SignedDuration::from_secs(120))
    );
    assert_eq!(state(vec![dry("a", 181)]), State::Probing);
    let success = launch("b", 10, &["m5.large"], &[("m5.large", "a")], vec![]);
    assert_eq!(state(vec![dry("a", 60), success]), State::Open);
}

#[test]
fn only_the_place_named_cools() {
    let found = cooldowns(vec![dry("a", 60)]);
    for (instance_type, zone) in [("m5.large", "b"), ("c5.large", "a")] {
        assert_eq!(
            found.market(SPOT, &market(instance_type, zone), now()),
            State::Open
        );
    }
    assert_eq!(
        found.market(CapacityType::OnDemand, &market("m5.large", "a"), now()),
        State::Open
    );
}

#[test]
fn repeats_grow_and_simultaneous_failures_are_one() {
    let until = |launches| match cooldowns(launches).market(SPOT, &market("m5.large", "a"), now()) {
        State::Cooling(until) => (until - now()).get_seconds(),
        other => panic!("{other:?}"),
    };
    assert_eq!(until(vec![dry("a", 10), dry("b", 10), dry("c", 9)]), 170);
    assert_eq!(
        until(vec![dry("a", 1000), dry("b", 10)]),
        350,
        "twice as long the second time"
    );
    let many = (0..12)
        .map(|number| dry(&format!("n{number:02}"), 50_000 - number * 4_540))
        .collect();
    assert_eq!(until(many), 3_540, "an hour at most");
}

#[test]
fn an_error_beside_an_instance_is_a_note() {
    let noted = launch(
        "a",
        10,
        &["m5.large"],
        &[("m5.large", "a")],
        vec![
            error(LaunchErrorScope::Market, "m5.large", "a"),
            error(LaunchErrorScope::Market, "m5.large", "b"),
        ],
    );
    let found = cooldowns(vec![noted]);
    assert_eq!(found.market(SPOT, &market("m5.large", "a"), now()), State::Open);
    assert!(matches!(
        found.market(SPOT, &market("m5.large", "b"), now()),
        State::Cooling(_)
    ));
}

#[test]
fn a_quota_cools_its_whole_family_group() {
    let found = cooldowns(vec![launch(
        "a",
        10,
        &["m5.large"],
        &[],
        vec![error(LaunchErrorScope::Quota, "m5.large", "a")],
    )]);
    let rows = [
        ("c6i.large", true),
        ("g4dn.xlarge", false),
        ("p4d.24xlarge", false),
        ("x2idn.16xlarge", false),
    ];
    for (name, expected) in rows {
        let state = found.market(SPOT, &market(name, "b"), now());
        assert_eq!(matches!(state, State::Cooling(_)), expected, "{name}");
    }
}

#[test]
fn a_full_subnet_rests_and_its_markets_do_not() {
    let found = cooldowns(vec![launch(
        "a",
        10,
        &["m5.large"],
        &[],
        vec![error(LaunchErrorScope::Subnet, "m5.large", "a")],
    )]);
    assert!(matches!(
        found.subnet(&"subnet-a".into(), now()),
        State::Cooling(_)
    ));
    assert_eq!(found.subnet(&"subnet-b".into(), now()), State::Open);
    assert_eq!(found.market(SPOT, &market("m5.large", "a"), now()), State::Open);
}

#[test]
fn untried_places_do_not_cool_and_the_request_does() {
    let untried = |name: &str, seconds| {
        let errors = ["a", "b"].map(|zone| error(LaunchErrorScope::Nothing, "m5.large", zone));
        launch(name, seconds, &["m5.large"], &[], errors.to_vec())
    };
    let places = BTreeSet::from([market("m5.large", "a"), market("m5.large", "b")]);
    let key = request_key(&pool(), SPOT, &places);
    let once = cooldowns(vec![untried("a", 5)]);
    assert_eq!(once.market(SPOT, &market("m5.large", "a"), now()), State::Open);
    assert!(matches!(once.request(&key, now()), State::Cooling(_)));
    assert_eq!(once.request("another", now()), State::Open);
    let thrice = cooldowns(vec![untried("a", 300), untried("b", 200), untried("c", 10)]);
    assert!(
        matches!(
            thrice.market(SPOT, &market("m5.large", "a"), now()),
            State::Cooling(_)
        ),
        "or fallback would never come"
    );
}

#[test]
fn a_refusal_closes_the_pool_until_the_ocean_changes() {
    let refused = |generation: &str| {
        let mut own = launch(
            "a",
            10,
            &["m5.large"],
            &[],
            vec![error(LaunchErrorScope::Request, "m5.large", "a")],
        );
        own.metadata.annotations = Some(BTreeMap::from([(
            LAUNCH_GENERATION.to_owned(),
            generation.to_owned(),
        )]));
        own
    };
    let refusal = cooldowns(vec![refused("1")]).refusal(&pool(), now()).unwrap();
    assert_eq!(refusal.reason, Reason::LaunchRefused);
    assert_eq!((refusal.until - now()).get_seconds(), 50);
    assert_eq!(
        cooldowns(vec![refused("0")]).refusal(&pool(), now()),
        None,
        "the ocean has changed since"
    );
    let throttled = launch(
        "b",
        1,
        &["m5.large"],
        &[],
        vec![error(LaunchErrorScope::Throttle, "m5.large", "a")],
    );
    assert!(matches!(
        cooldowns(vec![throttled]).throttle(&pool(), now()),
        State::Cooling(_)
    ));
}

#[test]
fn interrupted_markets_cool_too() {
    let world = snapshot().with(|snapshot| {
        snapshot.memory.interruptions.insert("m5.large/a".into(), ago(10));
    });
    let found = Cooldowns::of(&world.build());
    assert!(matches!(
        found.market(SPOT, &market("m5.large", "a"), now()),
        State::Cooling(_)
    ));
}
