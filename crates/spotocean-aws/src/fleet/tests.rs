//! The request's form and every shape of answer.

use aws_sdk_ec2::types::{LaunchTemplateAndOverridesResponse, Tag};
use spotocean_core::launch::{AllocationStrategy, ErrorScope};

use super::*;

fn pool(instance_type: &str, subnet: &str, zone: &str) -> FleetOverride {
    FleetOverride {
        instance_type: instance_type.into(),
        subnet: subnet.into(),
        zone: zone.into(),
        priority: None,
        max_price: None,
    }
}

fn request(capacity_type: CapacityType) -> FleetRequest {
    FleetRequest {
        client_token: "token-1".into(),
        capacity_type,
        allocation_strategy: match capacity_type {
            CapacityType::Spot => AllocationStrategy::PriceCapacityOptimized,
            CapacityType::OnDemand => AllocationStrategy::LowestPrice,
        },
        target_capacity: 2,
        configs: vec![FleetConfig {
            launch_template: "spotocean-demo-1".into(),
            overrides: vec![
                pool("m5.large", "subnet-a", "us-east-1a"),
                pool("m6i.large", "subnet-b", "us-east-1b"),
            ],
        }],
        tags: [("team".into(), "dev".into())].into(),
    }
}

fn echo(
    instance_type: Option<&str>,
    subnet: Option<&str>,
    zone: Option<&str>,
) -> LaunchTemplateAndOverridesResponse {
    LaunchTemplateAndOverridesResponse::builder()
        .overrides(
            FleetLaunchTemplateOverrides::builder()
                .set_instance_type(instance_type.map(InstanceType::from))
                .set_subnet_id(subnet.map(str::to_owned))
                .set_availability_zone(zone.map(str::to_owned))
                .build(),
        )
        .build()
}

#[test]
fn every_override_names_type_subnet_and_zone() {
    let input = input(&request(CapacityType::Spot)).and_then(|input| {
        input
            .build()
            .map_err(|error| invalid("CreateFleet", "Build", error.to_string()))
    });
    let input = input.expect("it is a whole request");
    assert_eq!(input.r#type(), Some(&FleetType::Instant));
    assert_eq!(input.client_token(), Some("token-1"));
    let target = input.target_capacity_specification().expect("it has a target");
    assert_eq!(target.total_target_capacity(), Some(2));
    assert_eq!(
        target.default_target_capacity_type(),
        Some(&DefaultTargetCapacityType::Spot)
    );
    let config = &input.launch_template_configs()[0];
    let template = config
        .launch_template_specification()
        .expect("it names a template");
    assert_eq!(
        (template.launch_template_name(), template.version()),
        (Some("spotocean-demo-1"), Some("1"))
    );
    let pools: Vec<_> = config
        .overrides()
        .iter()
        .map(|pool| {
            (
                pool.instance_type().map(InstanceType::as_str),
                pool.subnet_id(),
                pool.availability_zone(),
            )
        })
        .collect();
    assert_eq!(
        pools,
        [
            (Some("m5.large"), Some("subnet-a"), Some("us-east-1a")),
            (Some("m6i.large"), Some("subnet-b"), Some("us-east-1b")),
        ]
    );
}

#[test]
fn the_strategy_belongs_to_the_capacity_type_and_spot_requests_are_never_tagged_here() {
    for capacity_type in [CapacityType::Spot, CapacityType::OnDemand] {
        let built = input(&request(capacity_type)).expect("it is a whole request");
        let spot = built
            .get_spot_options()
            .as_ref()
            .and_then(|options| options.allocation_strategy());
        let on_demand = built
            .get_on_demand_options()
            .as_ref()
            .and_then(|options| options.allocation_strategy());
        match capacity_type {
            CapacityType::Spot => assert_eq!(
                (spot, on_demand),
                (Some(&SpotAllocationStrategy::PriceCapacityOptimized), None)
            ),
            CapacityType::OnDemand => assert_eq!(
                (spot, on_demand),
                (None, Some(&FleetOnDemandAllocationStrategy::LowestPrice))
            ),
        }
        let tagged: Vec<_> = built
            .get_tag_specifications()
            .iter()
            .flatten()
            .map(|tagged| {
                (
                    tagged.resource_type().map(ResourceType::as_str),
                    tagged.tags().to_vec(),
                )
            })
            .collect();
        let tags = vec![Tag::builder().key("team").value("dev").build()];
        assert_eq!(
            tagged,
            ["fleet", "instance", "volume"].map(|resource| (Some(resource), tags.clone()))
        );
    }
}

#[test]
fn the_same_request_is_the_same_call() {
    let fleet = request(CapacityType::Spot);
    assert_eq!(input(&fleet), input(&fleet.clone()));
}

#[test]
fn priorities_and_ceilings_are_written_as_ec2_reads_them() {
    let rows = [
        (41_600, "0.041600"),
        (12_000_000, "12.000000"),
        (1, "0.000001"),
        (-5, "0.000000"),
    ];
    for (micro_usd, expected) in rows {
        assert_eq!(dollars(PricePerHour(micro_usd)), expected);
    }
    let ranked = FleetOverride {
        priority: Some(3),
        max_price: Some(PricePerHour(50_000)),
        ..pool("m5.large", "subnet-a", "us-east-1a")
    };
    let sent = super::pool(&ranked);
    assert_eq!((sent.priority(), sent.max_price()), (Some(3.0), Some("0.050000")));
}

#[test]
fn a_token_that_ec2_would_refuse_is_not_sent() {
    let long = "x".repeat(65);
    for token in ["", "ünïcode", long.as_str()] {
        let fleet = FleetRequest {
            client_token: token.into(),
            ..request(CapacityType::Spot)
        };
        let refused = input(&fleet).expect_err("it breaks the limit");
        assert_eq!(&*refused.code, "InvalidClientToken", "{token}");
    }
}

#[test]
fn instances_are_read_from_every_group_sorted_with_their_zone() {
    let group = |ids: &[&str], instance_type: &str| {
        CreateFleetInstance::builder()
            .instance_type(InstanceType::from(instance_type))
            .set_instance_ids(Some(ids.iter().map(|id| (*id).to_owned()).collect()))
    };
    let output = CreateFleetOutput::builder()
        .fleet_id("fleet-1")
        .instances(
            group(&["i-3", "i-1"], "m5.large")
                .lifecycle(InstanceLifecycle::Spot)
                .launch_template_and_overrides(echo(Some("m5.large"), Some("subnet-a"), Some("us-east-1a")))
                .build(),
        )
        .instances(
            group(&["i-2"], "m6i.large")
                .launch_template_and_overrides(echo(None, Some("subnet-b"), None))
                .build(),
        )
        .instances(
            group(&["i-0"], "m6i.large")
                .lifecycle(InstanceLifecycle::OnDemand)
                .build(),
        )
        .instances(group(&["i-4"], "x9.unknown").build())
        .build();
    let read = answer(&request(CapacityType::Spot), &output);
    let instances: Vec<_> = read
        .instances
        .iter()
        .map(|found| (found.id.as_str(), found.zone.as_str(), found.capacity_type))
        .collect();
    assert_eq!(
        instances,
        [
            ("i-0", "us-east-1b", CapacityType::OnDemand),
            ("i-1", "us-east-1a", CapacityType::Spot),
            ("i-2", "us-east-1b", CapacityType::Spot),
            ("i-3", "us-east-1a", CapacityType::Spot),
            ("i-4", "", CapacityType::Spot),
        ],
        "the zone is EC2's, else the subnet's, else the only one asked for that type, else unknown"
    );
    assert_eq!((&*read.fleet, read.errors.len()), ("fleet-1", 0));
}

#[test]
fn errors_keep_their_order_and_name_their_pool() {
    let error = |code: &str, echo: Option<LaunchTemplateAndOverridesResponse>| {
        CreateFleetError::builder()
            .error_code(code)
            .error_message("message")
            .set_launch_template_and_overrides(echo)
            .build()
    };
    let output = CreateFleetOutput::builder()
        .errors(error(
            "InsufficientInstanceCapacity",
            Some(echo(Some("m5.large"), Some("subnet-a"), Some("us-east-1a"))),
        ))
        .errors(error(
            "UnfulfillableCapacity",
            Some(echo(Some("m6i.large"), Some("subnet-b"), None)),
        ))
        .errors(error("SomethingNew", None))
        .build();
    let errors = answer(&request(CapacityType::Spot), &output).errors;
    let read: Vec<_> = errors
        .iter()
        .map(|error| (&*error.code, error.scope, error.zone.as_ref().map(Zone::as_str)))
        .collect();
    assert_eq!(
        read,
        [
            (
                "InsufficientInstanceCapacity",
                ErrorScope::Market,
                Some("us-east-1a")
            ),
            ("UnfulfillableCapacity", ErrorScope::Nothing, Some("us-east-1b")),
            ("SomethingNew", ErrorScope::Request, None),
        ]
    );
    assert_eq!(errors[0].subnet, Some("subnet-a".into()));
}
