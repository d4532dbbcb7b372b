//! `cargo xtask verify-aws`, its very body, against the simulator: what it would find on an account that behaves as
//! EC2 is known to, and that it leaves nothing behind even where a step fails.

use std::time::Duration;

use aws_sim::state::instance::InstanceState;
use aws_sim::{Running, Scenario};
use spotocean_aws::verify::{Budget, Finding, verify};
use spotocean_core::money::PricePerHour;
use spotocean_core::port::Cloud;

use crate::arm::Arm;
use crate::ground::profile;
use crate::simulator::{prompt, start};

/// Runs the checks on an account of this scenario; the simulator is kept for a look at what is left.
async fn findings(scenario: Scenario, dollars_max: &str) -> (Vec<Finding>, Running) {
    let running = start(scenario).await;
    let arm = Arm::simulator(&running.url).await;
    let profile = profile(&arm, "verify", &arm.role, "uid-1");
    arm.cloud
        .ensure_instance_profile(&profile)
        .await
        .expect("the profile is made");
    let budget = Budget {
        cluster: arm.cluster.clone(),
        subnets: arm.subnets.clone(),
        security_groups: arm.security_groups.clone(),
        instance_profile: profile.name,
        kubernetes_version: "1.36".into(),
        dollars_max: PricePerHour::parse_usd(dollars_max).expect("an amount"),
        run: "1".into(),
        visible_within: Duration::from_secs(20),
    };
    (verify(&arm.cloud, &budget).await, running)
}

fn failed(findings: &[Finding]) -> Vec<&'static str> {
    let fails = findings.iter().filter(|finding| finding.found.is_err());
    fails.map(|finding| finding.fact).collect()
}

/// Instances that cost money, and launch templates.
fn left(running: &Running) -> (usize, usize) {
    running.with_world(|world| {
        let alive = world
            .instances
            .values()
            .filter(|instance| matches!(instance.state, InstanceState::Pending | InstanceState::Running))
            .count();
        (alive, world.launch_templates.len())
    })
}

#[tokio::test]
async fn every_fact_holds_on_an_account_that_behaves_and_nothing_is_left() {
    let (found, running) = findings(prompt(), "0.10").await;
    assert_eq!(failed(&found), Vec::<&str>::new(), "{found:#?}");
    assert_eq!(found.len(), 21, "{found:#?}");
    assert_eq!(left(&running), (0, 0), "instances and templates left");
}

#[tokio::test]
async fn a_cap_that_no_market_meets_buys_nothing() {
    let (found, running) = findings(prompt(), "0.0001").await;
    assert_eq!(failed(&found), ["a small market is below the cap"], "{found:#?}");
    assert_eq!(left(&running), (0, 0), "instances and templates left");
    let bought = running.with_world(|world| world.instances.len());
    assert_eq!(bought, 0, "instances ever launched");
}

#[tokio::test]
async fn a_refused_launch_is_a_finding_and_its_template_goes() {
    let scenario = Scenario {
        deny: vec!["ec2:CreateFleet".to_owned()],
        ..prompt()
    };
    let (found, running) = findings(scenario, "0.10").await;
    assert_eq!(
        failed(&found),
        ["CreateFleet launches one spot instance"],
        "{found:#?}"
    );
    assert_eq!(left(&running), (0, 0), "instances and templates left");
}
