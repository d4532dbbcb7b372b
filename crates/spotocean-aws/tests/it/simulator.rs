//! Shortage, quotas, faults and refusals, as the simulated market gives them over the wire.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_sim::fault::{Fault, Injected, Rule, When};
use aws_sim::options::{MarketOrder, Timing, Visibility};
use aws_sim::state::Reservation;
use aws_sim::{Options, Running, Scenario, Simulator};
use spotocean_aws::NO_ANSWER;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::Zone;
use spotocean_core::launch::{ErrorScope, FleetAnswer, FleetOverride};
use spotocean_core::money::PricePerHour;
use spotocean_core::port::{Cloud, CloudErrorKind, CloudEventKind};

use crate::arm::Arm;
use crate::ground::{Ground, fleet, tags};

/// How long the operator may act on one renewal of its lease.
const LEASE: Duration = Duration::from_secs(15);

/// A scenario in which nothing takes time: no delay of calls, nothing unseen.
pub(crate) fn prompt() -> Scenario {
    Scenario {
        timing: Timing {
            launch_call_seconds: 0.0,
            ..Timing::default()
        },
        visibility: Visibility {
            by_id_seconds: 0.0,
            by_filter_seconds: 0.0,
            tags_seconds: 0.0,
            tail_per_mille: 0,
            tail_seconds: 0.0,
        },
        ..Scenario::default()
    }
}

/// A simulator on a free port, without a cluster to join.
pub(crate) async fn start(scenario: Scenario) -> Running {
    let options = Options {
        scenario,
        ..Options::default()
    };
    Simulator::start(options).await.expect("loopback has a free port")
}

fn market(instance_type: &str, depth: u64) -> MarketOrder {
    MarketOrder {
        instance_type: instance_type.to_owned(),
        zone: "*".to_owned(),
        depth: Some(depth),
        on_demand_depth: Some(depth),
        price: None,
        hazard: None,
    }
}

/// What a fleet over these types in us-east-1a comes to under a scenario.
struct Case {
    what: &'static str,
    scenario: Scenario,
    capacity_type: CapacityType,
    types: &'static [&'static str],
    max_price: Option<i64>,
    launched: usize,
    errors: &'static [(&'static str, ErrorScope)],
}

impl Default for Case {
    fn default() -> Case {
        Case {
            what: "",
            scenario: prompt(),
            capacity_type: CapacityType::Spot,
            types: &["m5.large"],
            max_price: None,
            launched: 0,
            errors: &[],
        }
    }
}

impl Case {
    async fn answer(&self) -> FleetAnswer {
        let running = start(self.scenario.clone()).await;
        let arm = Arm::simulator(&running.url).await;
        let ground = Ground::of(&arm).await;
        let template = ground.template(&format!("fleet-{}", self.capacity_type), self.capacity_type);
        arm.cloud
            .ensure_launch_template(&template)
            .await
            .expect("the template is made");
        let mut request = fleet(&ground, "launch-1", self.capacity_type, 2);
        let pool = request.configs[0].overrides[0].clone();
        request.configs[0].overrides = self
            .types
            .iter()
            .map(|name| FleetOverride {
                instance_type: (*name).into(),
                max_price: self.max_price.map(PricePerHour),
                ..pool.clone()
            })
            .collect();
        arm.cloud
            .create_fleet(&request)
            .await
            .expect("shortage is an answer")
    }

    async fn check(self) {
        let answer = self.answer().await;
        assert_eq!(answer.instances.len(), self.launched, "{}: {answer:?}", self.what);
        let mut errors = told(&answer);
        errors.sort_unstable();
        assert_eq!(errors, self.errors, "{}", self.what);
        let zones: Vec<_> = answer.errors.iter().map(|error| error.zone.clone()).collect();
        assert!(
            zones.iter().all(|zone| *zone == Some(Zone::from("us-east-1a"))),
            "{}: every error names its zone",
            self.what
        );
    }
}

fn told(answer: &FleetAnswer) -> Vec<(&str, ErrorScope)> {
    answer
        .errors
        .iter()
        .map(|error| (&*error.code, error.scope))
        .collect()
}

#[tokio::test]
async fn a_shortage_is_about_its_markets_and_only_about_those_that_were_tried() {
    let none = || Scenario {
        market: vec![market("*", 0)],
        ..prompt()
    };
    let rows = [
        Case {
            what: "one of two, on the one market",
            scenario: Scenario {
                market: vec![market("m5.large", 1)],
                ..prompt()
            },
            launched: 1,
            errors: &[("InsufficientInstanceCapacity", ErrorScope::Market)],
            ..Case::default()
        },
        Case {
            what: "nothing on demand",
            scenario: none(),
            capacity_type: CapacityType::OnDemand,
            errors: &[("InsufficientInstanceCapacity", ErrorScope::Market)],
            ..Case::default()
        },
        Case {
            what: "nothing anywhere, and three markets tried",
            scenario: none(),
            types: &["m5.large", "m5a.large", "m6i.large", "m6a.large", "c5.large"],
            errors: &[
                ("InsufficientInstanceCapacity", ErrorScope::Market),
                ("InsufficientInstanceCapacity", ErrorScope::Market),
                ("InsufficientInstanceCapacity", ErrorScope::Market),
                ("UnfulfillableCapacity", ErrorScope::Nothing),
                ("UnfulfillableCapacity", ErrorScope::Nothing),
            ],
            ..Case::default()
        },
    ];
    for case in rows {
        case.check().await;
    }
}

#[tokio::test]
async fn what_stands_in_the_way_has_its_own_scope() {
    let quota = |side: &str, vcpus: u64| Scenario {
        quotas: BTreeMap::from([(side.to_owned(), BTreeMap::from([("standard".to_owned(), vcpus)]))]),
        ..prompt()
    };
    let rows = [
        Case {
            what: "spot quota for one",
            scenario: quota("spot", 2),
            launched: 1,
            errors: &[("MaxSpotInstanceCountExceeded", ErrorScope::Quota)],
            ..Case::default()
        },
        Case {
            what: "on-demand quota for one",
            scenario: quota("on-demand", 2),
            capacity_type: CapacityType::OnDemand,
            launched: 1,
            errors: &[("VcpuLimitExceeded", ErrorScope::Quota)],
            ..Case::default()
        },
        Case {
            what: "one address left",
            scenario: Scenario {
                free_addresses: BTreeMap::from([("us-east-1a".to_owned(), 1)]),
                ..prompt()
            },
            launched: 1,
            errors: &[("InsufficientFreeAddressesInSubnet", ErrorScope::Subnet)],
            ..Case::default()
        },
        Case {
            what: "a price below the market's",
            max_price: Some(2_000),
            errors: &[("SpotMaxPriceTooLow", ErrorScope::Market)],
            ..Case::default()
        },
        Case {
            what: "no right to run instances",
            scenario: Scenario {
                deny: vec!["ec2:RunInstances".to_owned()],
                ..prompt()
            },
            errors: &[("UnauthorizedOperation", ErrorScope::Account)],
            ..Case::default()
        },
        Case {
            what: "a type that the zone does not sell",
            types: &["vt1.3xlarge"],
            errors: &[("InvalidFleetConfiguration", ErrorScope::Offering)],
            ..Case::default()
        },
    ];
    for case in rows {
        case.check().await;
    }
}

#[tokio::test]
async fn a_spot_template_does_not_launch_on_demand() {
    let running = start(prompt()).await;
    let arm = Arm::simulator(&running.url).await;
    let ground = Ground::of(&arm).await;
    let template = ground.template("fleet-on-demand", CapacityType::Spot);
    arm.cloud
        .ensure_launch_template(&template)
        .await
        .expect("the template is made");
    let answer = arm
        .cloud
        .create_fleet(&fleet(&ground, "launch-1", CapacityType::OnDemand, 1))
        .await
        .expect("the refusal is per pool");
    assert_eq!(told(&answer), [("InvalidParameterValue", ErrorScope::Request)]);
}

fn fault(action: &str, when: When, fault: Fault) -> Scenario {
    let rule = Rule {
        id: 0,
        service: None,
        action: action.to_owned(),
        nth: 1,
        count: Some(1),
        when,
        fault,
        seen: 0,
    };
    Scenario {
        faults: vec![rule],
        ..prompt()
    }
}

#[tokio::test]
async fn a_lost_answer_buys_nothing_twice() {
    let running = start(fault("CreateFleet", When::After, Fault::Drop)).await;
    let arm = Arm::simulator(&running.url).await;
    let ground = Ground::of(&arm).await;
    let template = ground.template("fleet-spot", CapacityType::Spot);
    arm.cloud
        .ensure_launch_template(&template)
        .await
        .expect("the template is made");
    let request = fleet(&ground, "launch-1", CapacityType::Spot, 3);
    // Whether the SDK asked again by itself or left that to us: the token makes both the same fleet.
    let first = arm.cloud.create_fleet(&request).await;
    let second = arm
        .cloud
        .create_fleet(&request)
        .await
        .expect("nothing is in the way any more");
    if let Ok(first) = first {
        assert_eq!(first, second);
    }
    let bought = arm
        .cloud
        .instances(&tags(&[("spotocean.dev/launch", "launch-1")]))
        .await
        .expect("they are listed");
    let ids: Vec<_> = bought.iter().map(|instance| &instance.id).collect();
    assert_eq!(
        ids,
        second
            .instances
            .iter()
            .map(|instance| &instance.id)
            .collect::<Vec<_>>()
    );
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn a_write_that_gets_no_answer_ends_within_its_lease() {
    let running = start(fault(
        "CreateFleet",
        When::Before,
        Fault::Hold("for ever".to_owned()),
    ))
    .await;
    let arm = Arm::simulator(&running.url).await;
    let ground = Ground::of(&arm).await;
    let template = ground.template("fleet-spot", CapacityType::Spot);
    arm.cloud
        .ensure_launch_template(&template)
        .await
        .expect("the template is made");
    let begun = Instant::now();
    let failed = arm
        .cloud
        .create_fleet(&fleet(&ground, "launch-1", CapacityType::Spot, 1))
        .await
        .expect_err("it is held");
    assert_eq!(
        (failed.kind, &*failed.code),
        (CloudErrorKind::Unknown, NO_ANSWER),
        "the fleet may have been launched: {failed}"
    );
    assert!(begun.elapsed() < LEASE, "it took {:?}", begun.elapsed());
}

#[tokio::test]
async fn an_interruption_reaches_us_as_an_event() {
    let running = start(prompt()).await;
    let arm = Arm::simulator(&running.url).await;
    let ground = Ground::of(&arm).await;
    let template = ground.template("fleet-spot", CapacityType::Spot);
    arm.cloud
        .ensure_launch_template(&template)
        .await
        .expect("the template is made");
    let answer = arm
        .cloud
        .create_fleet(&fleet(&ground, "launch-1", CapacityType::Spot, 1))
        .await
        .expect("there is room");
    let instance = answer.instances[0].id.clone();
    running.with_world(|world| world.interrupt(instance.as_str(), None));
    let warned = loop {
        let messages = arm
            .cloud
            .receive_messages(&arm.cluster)
            .await
            .expect("the queue is read");
        assert!(
            messages.iter().all(|message| message.event.is_some()),
            "all of its events are of kinds we read: {messages:?}"
        );
        let warning = messages
            .into_iter()
            .filter_map(|message| message.event)
            .find(|event| event.kind == CloudEventKind::SpotInterruption);
        if let Some(warning) = warning {
            break warning;
        }
    };
    assert_eq!(warned.instances, [instance]);
}

#[tokio::test]
async fn a_refused_call_says_what_to_do_about_it() {
    let injected = |code: &str, status| {
        Fault::Error(Injected {
            code: code.to_owned(),
            status,
            message: "injected".to_owned(),
        })
    };
    let denied = Scenario {
        deny: vec!["ec2:DescribeSubnets".to_owned()],
        ..prompt()
    };
    let running = start(denied).await;
    let arm = Arm::simulator(&running.url).await;
    let refused = arm.cloud.subnets(&arm.subnets).await.expect_err("it is denied");
    assert_eq!(
        (refused.kind, &*refused.action),
        (CloudErrorKind::Unauthorized, "DescribeSubnets"),
        "{refused}"
    );
    let running = start(fault(
        "DescribeSecurityGroups",
        When::Before,
        injected("InvalidParameterValue", 400),
    ))
    .await;
    let arm = Arm::simulator(&running.url).await;
    let refused = arm
        .cloud
        .security_groups(&arm.security_groups)
        .await
        .expect_err("it fails once");
    assert_eq!(refused.kind, CloudErrorKind::Invalid);
    arm.cloud
        .security_groups(&arm.security_groups)
        .await
        .expect("and only once");
}

#[tokio::test]
async fn a_reservation_fills_as_instances_are_launched() {
    let running = start(prompt()).await;
    let arm = Arm::simulator(&running.url).await;
    let reservation = Reservation {
        instance_type: "m5.large".to_owned(),
        zone: "us-east-1a".to_owned(),
        total: 3,
    };
    running.with_world(|world| world.reservations.insert("cr-1".to_owned(), reservation));
    let available = async || {
        let found = arm.cloud.capacity_reservations().await;
        let found = found.expect("reservations are listed").into_iter();
        found
            .map(|each| (each.market.to_string(), each.available))
            .collect::<Vec<_>>()
    };
    assert_eq!(available().await, [("m5.large in us-east-1a".to_owned(), 3)]);
    let ground = Ground::of(&arm).await;
    let template = ground.template("fleet-on-demand", CapacityType::OnDemand);
    arm.cloud
        .ensure_launch_template(&template)
        .await
        .expect("the template is made");
    let request = fleet(&ground, "launch-1", CapacityType::OnDemand, 2);
    let answer = arm.cloud.create_fleet(&request).await.expect("there is capacity");
    assert_eq!(answer.instances.len(), 2);
    assert_eq!(available().await, [("m5.large in us-east-1a".to_owned(), 1)]);
}
