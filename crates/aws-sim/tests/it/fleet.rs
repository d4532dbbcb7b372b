//! CreateFleet: what it launches, what it reports, what it refuses.

use serde_json::json;

use crate::client::{Answer, Sim, prompt};

/// A fleet request over (type, zone) pools.
async fn fleet(sim: &Sim, template: &str, pools: &[(&str, &str)], more: &[(&str, &str)]) -> Answer {
    let mut pairs: Vec<(String, String)> = vec![
        (
            "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId".into(),
            template.into(),
        ),
        (
            "LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version".into(),
            "$Latest".into(),
        ),
    ];
    for (index, (instance_type, zone)) in pools.iter().enumerate() {
        let prefix = format!("LaunchTemplateConfigs.1.Overrides.{}", index + 1);
        pairs.push((format!("{prefix}.InstanceType"), (*instance_type).into()));
        pairs.push((format!("{prefix}.SubnetId"), sim.subnet(zone).await));
        pairs.push((format!("{prefix}.AvailabilityZone"), (*zone).into()));
    }
    for (name, default) in [
        ("Type", "instant"),
        ("TargetCapacitySpecification.TotalTargetCapacity", "1"),
        ("TargetCapacitySpecification.DefaultTargetCapacityType", "spot"),
        ("SpotOptions.AllocationStrategy", "price-capacity-optimized"),
    ] {
        if !more.iter().any(|(given, _)| *given == name) {
            pairs.push((name.into(), default.into()));
        }
    }
    pairs.extend(
        more.iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| ((*name).into(), (*value).into())),
    );
    let borrowed: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    sim.ec2("CreateFleet", &borrowed).await
}

const TARGET: &str = "TargetCapacitySpecification.TotalTargetCapacity";
const KIND: &str = "TargetCapacitySpecification.DefaultTargetCapacityType";

async fn depth(sim: &Sim, instance_type: &str, zone: &str, depth: u64) {
    sim.order(
        "market",
        &json!({"type": instance_type, "zone": zone, "depth": depth}),
    )
    .await;
}

#[tokio::test]
async fn a_full_launch_groups_instances_by_pool_and_echoes_the_override() {
    let sim = Sim::prompt().await;
    let template = sim.template("abc", &[]).await;
    depth(&sim, "m5.large", "us-east-1a", 100).await;
    let answer = fleet(&sim, &template, &[("m5.large", "us-east-1a")], &[(TARGET, "3")]).await;
    assert_eq!(answer.instance_ids().len(), 3, "{}", answer.body);
    assert_eq!(answer.all("instanceIds").len(), 1);
    assert_eq!(answer.first("availabilityZone"), "us-east-1a");
    assert_eq!(answer.first("version"), "1", "$Latest is answered as a number");
    assert_eq!(answer.first("errorSet"), "");
    assert_eq!(answer.first("lifecycle"), "spot");
}

#[tokio::test]
async fn a_pool_gives_no_more_than_it_has_and_the_next_gives_the_rest() {
    let sim = Sim::prompt().await;
    let template = sim.template("abc", &[]).await;
    depth(&sim, "m5.large", "us-east-1a", 2).await;
    depth(&sim, "m5.large", "us-east-1b", 1).await;
    let pools = [("m5.large", "us-east-1a"), ("m5.large", "us-east-1b")];
    let answer = fleet(&sim, &template, &pools, &[(TARGET, "5")]).await;
    assert_eq!(answer.instance_ids().len(), 3);
    assert_eq!(answer.all("errorCode"), ["InsufficientInstanceCapacity"; 2]);
    let again = fleet(&sim, &template, &pools, &[(TARGET, "1")]).await;
    assert_eq!(again.instance_ids().len(), 0, "what was taken is gone");
}

#[tokio::test]
async fn only_three_pools_are_tried_and_the_others_say_nothing_about_themselves() {
    let sim = Sim::prompt().await;
    let template = sim.template("abc", &[]).await;
    depth(&sim, "*", "*", 0).await;
    depth(&sim, "m5.*", "us-east-1b", 50).await;
    sim.order("market", &json!({"type": "*", "price": 0.5})).await;
    let zones = [
        "us-east-1a",
        "us-east-1b",
        "us-east-1c",
        "us-east-1d",
        "us-east-1f",
    ];
    let pools: Vec<(&str, &str)> = zones.iter().map(|zone| ("m5.large", *zone)).collect();
    let first = fleet(&sim, &template, &pools, &[]).await;
    assert_eq!(first.instance_ids().len(), 1, "the deep pool comes first");
    depth(&sim, "m5.*", "us-east-1b", 0).await;
    let second = fleet(&sim, &template, &pools, &[]).await;
    let mut codes = second.all("errorCode");
    codes.sort();
    let expected = [
        vec!["InsufficientInstanceCapacity"; 3],
        vec!["UnfulfillableCapacity"; 2],
    ]
    .concat();
    assert_eq!(codes, expected);
}

#[tokio::test]
async fn what_stands_in_the_way_has_a_code_of_its_own() {
    let rows = [
        ("addresses", "spot", "InsufficientFreeAddressesInSubnet", 2),
        ("spot quota", "spot", "MaxSpotInstanceCountExceeded", 1),
        ("on-demand quota", "on-demand", "VcpuLimitExceeded", 1),
    ];
    for (what, kind, expected, launched) in rows {
        let sim = Sim::prompt().await;
        let template = sim.template("abc", &[]).await;
        depth(&sim, "m5.large", "us-east-1a", 100).await;
        match what {
            "addresses" => {
                sim.order("subnet", &json!({"subnet": "us-east-1a", "freeAddresses": 2}))
                    .await
            }
            _ => {
                sim.order(
                    "quota",
                    &json!({"lifecycle": kind, "group": "standard", "vcpus": 3}),
                )
                .await
            }
        };
        let more = [(TARGET, "4"), (KIND, kind)];
        let answer = fleet(&sim, &template, &[("m5.large", "us-east-1a")], &more).await;
        assert_eq!(answer.all("errorCode"), [expected], "{what}");
        assert_eq!(answer.instance_ids().len(), launched, "{what}");
    }
}

#[tokio::test]
async fn mistakes_in_one_pool_are_errors_of_that_pool() {
    let sim = Sim::prompt().await;
    let template = sim.template("abc", &[]).await;
    let rows = [
        (("m6a.large", "us-east-1e"), "InvalidFleetConfiguration"),
        (("m7g.large", "us-east-1a"), "InvalidParameterValue"),
        (("zz9.large", "us-east-1a"), "InvalidParameterValue"),
    ];
    for (pool, expected) in rows {
        let answer = fleet(&sim, &template, &[pool], &[]).await;
        assert_eq!(
            (answer.status, answer.all("errorCode")),
            (200, vec![expected.to_owned()]),
            "{pool:?}"
        );
    }
}

#[tokio::test]
async fn mistakes_in_the_request_refuse_it_whole() {
    let sim = Sim::prompt().await;
    let template = sim.template("abc", &[]).await;
    let override_price = "LaunchTemplateConfigs.1.Overrides.1.MaxPrice";
    let rows: &[(&str, &str, &str)] = &[
        (TARGET, "", "MissingParameter"),
        (TARGET, "10001", "TargetCapacityLimitExceeded"),
        ("Type", "maintain", "UnsupportedOperation"),
        (
            "SpotOptions.AllocationStrategy",
            "cheapest",
            "InvalidParameterValue",
        ),
        (
            "SpotOptions.InstanceInterruptionBehavior",
            "stop",
            "InvalidParameterValue",
        ),
        (
            "SpotOptions.MinTargetCapacity",
            "1",
            "InvalidParameterCombination",
        ),
        (override_price, "0.001", "InvalidParameterValue"),
        (
            "TagSpecification.1.ResourceType",
            "kitchen",
            "InvalidParameterValue",
        ),
        (
            "LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version",
            "9",
            "InvalidLaunchTemplateId.VersionNotFound",
        ),
        ("DryRun", "true", "DryRunOperation"),
    ];
    for (name, value, expected) in rows {
        let answer = fleet(&sim, &template, &[("m5.large", "us-east-1a")], &[(name, value)]).await;
        assert_eq!(answer.first("Code"), *expected, "{name}={value}: {}", answer.body);
    }
    let twice = [("m5.large", "us-east-1a"), ("m5.large", "us-east-1a")];
    let answer = fleet(&sim, &template, &twice, &[]).await;
    assert!(answer.first("Message").contains("duplicate instance pools"));
    assert!(
        sim.look("state").await["instances"]
            .as_array()
            .expect("a list")
            .is_empty()
    );
}

#[tokio::test]
async fn a_token_stands_for_one_request_even_when_nothing_was_launched() {
    let sim = Sim::prompt().await;
    let template = sim.template("abc", &[]).await;
    let pools = [("m5.large", "us-east-1a")];
    depth(&sim, "m5.large", "us-east-1a", 0).await;
    let none = fleet(&sim, &template, &pools, &[("ClientToken", "t")]).await;
    assert_eq!(none.instance_ids().len(), 0);
    depth(&sim, "m5.large", "us-east-1a", 10).await;
    let same = fleet(&sim, &template, &pools, &[("ClientToken", "t")]).await;
    assert_eq!(same.first("fleetId"), none.first("fleetId"));
    assert_eq!(same.instance_ids().len(), 0);
    let other = fleet(&sim, &template, &pools, &[("ClientToken", "t"), (TARGET, "2")]).await;
    assert_eq!(other.first("Code"), "IdempotentParameterMismatch");
}

#[tokio::test]
async fn a_price_limit_below_the_market_says_the_market_price() {
    let sim = Sim::prompt().await;
    let template = sim.template("abc", &[]).await;
    sim.order(
        "market",
        &json!({"type": "m5.large", "depth": 9, "price": 0.0218}),
    )
    .await;
    let limit = ("LaunchTemplateConfigs.1.Overrides.1.MaxPrice", "0.002");
    let answer = fleet(&sim, &template, &[("m5.large", "us-east-1a")], &[limit]).await;
    assert_eq!(answer.first("errorCode"), "SpotMaxPriceTooLow");
    assert!(answer.first("errorMessage").contains("0.021800"));
}

#[tokio::test]
async fn the_resource_bucket_empties_inside_a_success() {
    let sim = Sim::prompt().await;
    let template = sim.template("abc", &[]).await;
    depth(&sim, "t3.nano", "us-east-1a", 5000).await;
    let pools = [("t3.nano", "us-east-1a")];
    let first = fleet(&sim, &template, &pools, &[(TARGET, "990")]).await;
    assert_eq!(first.instance_ids().len(), 990);
    let second = fleet(&sim, &template, &pools, &[(TARGET, "500")]).await;
    assert_eq!(
        (second.status, second.first("errorCode").as_str()),
        (200, "RequestLimitExceeded")
    );
    let launched = second.instance_ids().len();
    assert!((10..100).contains(&launched), "{launched}");
}

#[tokio::test]
async fn tags_reach_fleet_instances_and_volumes() {
    let sim = Sim::prompt().await;
    let from_template = [
        ("LaunchTemplateData.TagSpecification.1.ResourceType", "instance"),
        ("LaunchTemplateData.TagSpecification.1.Tag.1.Key", "from"),
        ("LaunchTemplateData.TagSpecification.1.Tag.1.Value", "template"),
    ];
    let template = sim.template("abc", &from_template).await;
    depth(&sim, "m5.large", "us-east-1a", 9).await;
    let tags = [
        ("TagSpecification.1.ResourceType", "instance"),
        ("TagSpecification.1.Tag.1.Key", "who"),
        ("TagSpecification.1.Tag.1.Value", "me"),
        ("TagSpecification.2.ResourceType", "volume"),
        ("TagSpecification.2.Tag.1.Key", "disk"),
        ("TagSpecification.2.Tag.1.Value", "yes"),
        ("TagSpecification.3.ResourceType", "fleet"),
        ("TagSpecification.3.Tag.1.Key", "fleet"),
        ("TagSpecification.3.Tag.1.Value", "yes"),
    ];
    let answer = fleet(&sim, &template, &[("m5.large", "us-east-1a")], &tags).await;
    let id = &answer.instance_ids()[0];
    let found = sim
        .ec2(
            "DescribeTags",
            &[("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", id)],
        )
        .await;
    let mut keys = found.all("key");
    keys.sort();
    assert_eq!(
        keys,
        [
            "aws:ec2:fleet-id",
            "aws:ec2launchtemplate:id",
            "aws:ec2launchtemplate:version",
            "from",
            "who"
        ]
    );
    assert!(
        sim.ec2("DescribeVolumes", &[])
            .await
            .body
            .contains("<key>disk</key>")
    );
    let described = sim
        .ec2("DescribeFleets", &[("FleetId.1", &answer.first("fleetId"))])
        .await;
    assert!(described.body.contains("<key>fleet</key>") && described.body.contains(id.as_str()));
}

#[tokio::test]
async fn the_same_seed_launches_the_same_instances() {
    let mut launches = Vec::new();
    for seed in [5, 5, 6] {
        let sim = Sim::start(aws_sim::Options { seed, ..prompt() }).await;
        let template = sim.template("abc", &[]).await;
        let pools = [
            ("m5.large", "us-east-1a"),
            ("m5.xlarge", "us-east-1b"),
            ("c5.large", "us-east-1c"),
        ];
        let answer = fleet(&sim, &template, &pools, &[(TARGET, "4")]).await;
        launches.push((answer.instance_ids(), answer.all("instanceType")));
    }
    assert_eq!(launches[0], launches[1]);
    assert_ne!(launches[0].0, launches[2].0);
}

#[tokio::test]
async fn unmet_minimum_launches_nothing() {
    let sim = Sim::prompt().await;
    let template = sim.template("abc", &[]).await;
    depth(&sim, "m5.large", "us-east-1a", 2).await;
    let more = [
        (TARGET, "5"),
        ("SpotOptions.MinTargetCapacity", "3"),
        ("SpotOptions.SingleAvailabilityZone", "true"),
    ];
    let answer = fleet(&sim, &template, &[("m5.large", "us-east-1a")], &more).await;
    assert_eq!((answer.status, answer.instance_ids().len()), (200, 0));
    assert_eq!(answer.first("errorCode"), "InsufficientInstanceCapacity");
}
