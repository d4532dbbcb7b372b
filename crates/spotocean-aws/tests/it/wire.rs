//! What leaves us, and what becomes of answers that no well-behaved server gives.

use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::InstanceId;
use spotocean_core::launch::{AllocationStrategy, FleetConfig, FleetOverride, FleetRequest};
use spotocean_core::money::PricePerHour;
use spotocean_core::port::{Cloud, CloudErrorKind, SelectorTerm};

use crate::canned::{Answer, Canned, Form};
use crate::cloud::{REGION, cloud};

fn ids(names: &[&str]) -> Vec<InstanceId> {
    names.iter().map(|name| (*name).into()).collect()
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>r</RequestID></Response>"
    );
    (status, body)
}

fn answer(action: &str, content: &str) -> Answer {
    let body = format!(
        r#"<{action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>{content}</{action}Response>"#
    );
    (200, body)
}

fn values(form: &Form, prefix: &str) -> Vec<String> {
    form.iter()
        .filter(|(key, _)| key.starts_with(prefix))
        .map(|(_, value)| value.clone())
        .collect()
}

fn fleet() -> FleetRequest {
    FleetRequest {
        client_token: "token-1".into(),
        capacity_type: CapacityType::Spot,
        allocation_strategy: AllocationStrategy::CapacityOptimizedPrioritized,
        target_capacity: 2,
        configs: vec![FleetConfig {
            launch_template: "spotocean-demo-1".into(),
            overrides: vec![FleetOverride {
                instance_type: "m5.large".into(),
                subnet: "subnet-a".into(),
                zone: "us-east-1a".into(),
                priority: Some(1),
                max_price: Some(PricePerHour(50_000)),
            }],
        }],
        tags: [("spotocean.dev/launch".into(), "launch-1".into())].into(),
    }
}

#[tokio::test]
async fn a_fleet_is_sent_as_ec2_reads_it() {
    let server = Canned::start(vec![answer("CreateFleet", "<fleetId>fleet-1</fleetId>")]).await;
    let read = cloud(&server.url)
        .await
        .create_fleet(&fleet())
        .await
        .expect("a fleet that launched nothing is an answer");
    assert_eq!(
        (&*read.fleet, read.instances.len(), read.errors.len()),
        ("fleet-1", 0, 0)
    );
    let sent: Vec<String> = server.asked()[0]
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let expected = [
        "Action=CreateFleet",
        "ClientToken=token-1",
        "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName=spotocean-demo-1",
        "LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version=1",
        "LaunchTemplateConfigs.1.Overrides.1.AvailabilityZone=us-east-1a",
        "LaunchTemplateConfigs.1.Overrides.1.InstanceType=m5.large",
        "LaunchTemplateConfigs.1.Overrides.1.MaxPrice=0.050000",
        "LaunchTemplateConfigs.1.Overrides.1.Priority=1.0",
        "LaunchTemplateConfigs.1.Overrides.1.SubnetId=subnet-a",
        "SpotOptions.AllocationStrategy=capacity-optimized-prioritized",
        "TagSpecification.1.ResourceType=fleet",
        "TagSpecification.1.Tag.1.Key=spotocean.dev/launch",
        "TagSpecification.1.Tag.1.Value=launch-1",
        "TagSpecification.2.ResourceType=instance",
        "TagSpecification.2.Tag.1.Key=spotocean.dev/launch",
        "TagSpecification.2.Tag.1.Value=launch-1",
        "TagSpecification.3.ResourceType=volume",
        "TagSpecification.3.Tag.1.Key=spotocean.dev/launch",
        "TagSpecification.3.Tag.1.Value=launch-1",
        "TargetCapacitySpecification.DefaultTargetCapacityType=spot",
        "TargetCapacitySpecification.TotalTargetCapacity=2",
        "Type=instant",
        "Version=2016-11-15",
    ];
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn a_retried_fleet_carries_the_same_token() {
    let server = Canned::start(vec![
        error(503, "RequestLimitExceeded", "Request limit exceeded."),
        answer("CreateFleet", "<fleetId>fleet-1</fleetId>"),
    ])
    .await;
    cloud(&server.url)
        .await
        .create_fleet(&fleet())
        .await
        .expect("the second attempt succeeds");
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0], asked[1], "byte for byte the same request");
}

#[tokio::test]
async fn failures_say_whether_the_effect_is_open() {
    let rows = [
        (
            error(503, "RequestLimitExceeded", "slow down"),
            CloudErrorKind::Throttled,
            "RequestLimitExceeded",
        ),
        (
            error(400, "IdempotentParameterMismatch", "used"),
            CloudErrorKind::TokenMismatch,
            "IdempotentParameterMismatch",
        ),
        (
            error(403, "UnauthorizedOperation", "no"),
            CloudErrorKind::Unauthorized,
            "UnauthorizedOperation",
        ),
        (
            error(500, "InternalError", "oops"),
            CloudErrorKind::Unknown,
            "InternalError",
        ),
        (
            (500, "<html>Internal Server Error</html>".to_owned()),
            CloudErrorKind::Unknown,
            "Http500",
        ),
        (
            (200, "this is no XML".to_owned()),
            CloudErrorKind::Unknown,
            "Http200",
        ),
    ];
    for (answer, kind, code) in rows {
        let server = Canned::start(vec![answer]).await;
        let failed = cloud(&server.url)
            .await
            .create_fleet(&fleet())
            .await
            .expect_err("it is no good answer");
        assert_eq!(
            (failed.kind, &*failed.code, &*failed.action),
            (kind, code, "CreateFleet"),
            "{failed}"
        );
    }
}

#[tokio::test]
async fn nobody_there_is_an_unknown_outcome() {
    let failed = cloud("http://127.0.0.1:1")
        .await
        .create_fleet(&fleet())
        .await
        .expect_err("nobody listens there");
    assert_eq!(
        (failed.kind, &*failed.code),
        (CloudErrorKind::Unknown, spotocean_aws::NO_ANSWER)
    );
    assert!(
        failed.message.contains("refused"),
        "the cause is told: {}",
        failed.message
    );
}

#[tokio::test]
async fn missing_credentials_are_a_matter_of_authorization() {
    let nobody = aws_config::profile::ProfileFileCredentialsProvider::builder()
        .profile_name("spotocean-test-no-such-profile")
        .build();
    let sdk = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::from_static(REGION))
        .endpoint_url("http://127.0.0.1:1")
        .credentials_provider(nobody)
        .load()
        .await;
    let failed = spotocean_aws::AwsCloud::new(&sdk)
        .expect("a region is set")
        .zones()
        .await
        .expect_err("there is no such profile");
    assert_eq!(failed.kind, CloudErrorKind::Unauthorized, "{failed}");
}

#[tokio::test]
async fn one_bad_id_does_not_hide_the_others() {
    let server = Canned::start(vec![
        error(
            400,
            "InvalidInstanceID.NotFound",
            "The instance ID 'i-2' does not exist",
        ),
        answer("DescribeInstances", "<reservationSet/>"),
    ])
    .await;
    let found = cloud(&server.url)
        .await
        .instances_by_id(&ids(&["i-1", "i-2", "i-3"]))
        .await;
    assert_eq!(found, Ok(Vec::new()));
    let asked = server.asked();
    assert_eq!(values(&asked[0], "InstanceId."), ["i-1", "i-2", "i-3"]);
    assert_eq!(values(&asked[1], "InstanceId."), ["i-1", "i-3"]);
    assert!(
        asked.iter().all(|form| !form.contains_key("MaxResults")),
        "EC2 refuses it together with ids"
    );
}

#[tokio::test]
async fn one_protected_instance_does_not_keep_the_others_alive() {
    let protected = || {
        error(
            400,
            "OperationNotPermitted",
            "The instance 'i-1' may not be terminated.",
        )
    };
    let done = || answer("TerminateInstances", "<instancesSet/>");
    // i-1..i-4: refused; i-3 and i-4: done; i-1 and i-2: refused; i-2: done; i-1: refused.
    let server = Canned::start(vec![protected(), done(), protected(), done(), protected()]).await;
    let failed = cloud(&server.url)
        .await
        .terminate(&ids(&["i-1", "i-2", "i-3", "i-4"]))
        .await
        .expect_err("one of them stays");
    assert_eq!(&*failed.code, "OperationNotPermitted");
    let asked: Vec<_> = server
        .asked()
        .iter()
        .map(|form| values(form, "InstanceId.").join(" "))
        .collect();
    assert_eq!(asked, ["i-1 i-2 i-3 i-4", "i-3 i-4", "i-1 i-2", "i-2", "i-1"]);
}

#[tokio::test]
async fn every_page_of_launch_templates_is_read_and_filtered_again() {
    let template = |name: &str, team: &str| {
        format!(
            "<item><launchTemplateName>{name}</launchTemplateName><createTime>2026-01-01T00:00:00.000Z</createTime>\
             <tagSet><item><key>team</key><value>{team}</value></item></tagSet></item>"
        )
    };
    let page = |content: String, token: &str| {
        answer(
            "DescribeLaunchTemplates",
            &format!("<launchTemplates>{content}</launchTemplates><nextToken>{token}</nextToken>"),
        )
    };
    let server = Canned::start(vec![
        page(template("one", "dev") + &template("two", "ops"), "more"),
        page(template("three", "dev"), ""),
    ])
    .await;
    let tags = [("team".into(), "dev".into())].into();
    let found = cloud(&server.url)
        .await
        .launch_templates(&tags)
        .await
        .expect("both pages are there");
    assert_eq!(
        found.keys().map(AsRef::as_ref).collect::<Vec<&str>>(),
        ["one", "three"]
    );
    let asked = server.asked();
    assert_eq!(asked[0]["MaxResults"], "200");
    assert_eq!(
        (&*asked[0]["Filter.1.Name"], &*asked[0]["Filter.1.Value.1"]),
        ("tag:team", "dev")
    );
    assert_eq!(asked[1]["NextToken"], "more");
}

#[tokio::test]
async fn a_failed_page_fails_the_listing() {
    let server = Canned::start(vec![
        answer(
            "DescribeInstances",
            "<reservationSet/><nextToken>more</nextToken>",
        ),
        error(400, "InvalidNextToken", "The token has expired"),
    ])
    .await;
    let listed = cloud(&server.url)
        .await
        .instances(&[("team".into(), "dev".into())].into())
        .await;
    let failed = listed.expect_err("half a listing is no answer");
    assert_eq!(failed.kind, CloudErrorKind::Invalid);
}

#[tokio::test]
async fn an_empty_selector_is_not_sent() {
    let server = Canned::start(vec![answer("DescribeSubnets", "<subnetSet/>")]).await;
    let refused = cloud(&server.url).await.subnets(&[SelectorTerm::default()]).await;
    assert_eq!(
        &*refused.expect_err("it would match everything").code,
        "EmptySelector"
    );
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn no_keys_removes_no_tags() {
    let server = Canned::start(vec![answer("DeleteTags", "<return>true</return>")]).await;
    let done = cloud(&server.url)
        .await
        .untag_instances(&ids(&["i-1"]), &[])
        .await;
    assert_eq!(done, Ok(()));
    assert!(
        server.asked().is_empty(),
        "DeleteTags without keys removes all of them"
    );
}
