//! Instances after their launch: states over time, what is visible when, ids good and bad.

use aws_sim::Options;

use crate::client::{Sim, prompt};

async fn launched(sim: &Sim) -> String {
    let (template, subnet) = (sim.template("abc", &[]).await, sim.subnet("us-east-1a").await);
    let pairs = [
        ("LaunchTemplate.LaunchTemplateId", template.as_str()),
        ("InstanceType", "m5.large"),
        ("SubnetId", &subnet),
        ("MinCount", "1"),
        ("MaxCount", "1"),
    ];
    let answer = sim.ec2("RunInstances", &pairs).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.first("instanceId")
}

async fn state(sim: &Sim, id: &str) -> String {
    let answer = sim.ec2("DescribeInstances", &[("InstanceId.1", id)]).await;
    if answer.status == 200 {
        answer.first("instanceState")
    } else {
        answer.first("Code")
    }
}

#[tokio::test]
async fn an_instance_runs_shuts_down_ends_and_is_forgotten() {
    let sim = Sim::prompt().await;
    let id = launched(&sim).await;
    assert!(state(&sim, &id).await.contains("pending"));
    sim.advance(6.0).await;
    assert!(state(&sim, &id).await.contains("running"));
    let answer = sim.ec2("TerminateInstances", &[("InstanceId.1", &id)]).await;
    assert!(answer.first("currentState").contains("shutting-down"));
    assert!(answer.first("previousState").contains("running"));
    sim.advance(31.0).await;
    assert!(state(&sim, &id).await.contains("terminated"));
    let again = sim.ec2("TerminateInstances", &[("InstanceId.1", &id)]).await;
    assert!(
        again.first("currentState").contains("terminated"),
        "terminating twice is fine"
    );
    sim.advance(3601.0).await;
    assert_eq!(state(&sim, &id).await, "InvalidInstanceID.NotFound");
}

#[tokio::test]
async fn a_new_instance_is_seen_by_id_and_in_lists_only_after_a_while() {
    let mut options: Options = prompt();
    options.scenario.visibility.by_id_seconds = 500.0;
    options.scenario.visibility.by_filter_seconds = 5000.0;
    let sim = Sim::start(options).await;
    let id = launched(&sim).await;
    assert_eq!(state(&sim, &id).await, "InvalidInstanceID.NotFound");
    sim.advance(500.0).await;
    assert!(state(&sim, &id).await.contains("running"));
    let listed = |answer: crate::client::Answer| answer.all("instanceId").len();
    assert_eq!(listed(sim.ec2("DescribeInstances", &[]).await), 0);
    sim.advance(4500.0).await;
    assert_eq!(listed(sim.ec2("DescribeInstances", &[]).await), 1);
}

#[tokio::test]
async fn one_bad_id_fails_all() {
    let sim = Sim::prompt().await;
    let id = launched(&sim).await;
    for (bad, expected) in [
        ("i-0123456789abcdef0", "InvalidInstanceID.NotFound"),
        ("i-xyz", "InvalidInstanceID.Malformed"),
    ] {
        for action in ["DescribeInstances", "TerminateInstances"] {
            let answer = sim
                .ec2(action, &[("InstanceId.1", &id), ("InstanceId.2", bad)])
                .await;
            assert_eq!(answer.first("Code"), expected, "{action} {bad}");
        }
    }
    assert!(
        state(&sim, &id).await.contains("pending"),
        "nothing was terminated"
    );
}

#[tokio::test]
async fn filters_find_by_tag_state_and_zone_and_refuse_what_they_do_not_know() {
    let sim = Sim::prompt().await;
    let id = launched(&sim).await;
    sim.ec2(
        "CreateTags",
        &[("ResourceId.1", &id), ("Tag.1.Key", "a"), ("Tag.1.Value", "b")],
    )
    .await;
    for (name, value, expected) in [
        ("tag:a", "b", 1),
        ("tag:a", "c", 0),
        ("tag-key", "a", 1),
        ("instance-state-name", "pending", 1),
        ("instance-state-name", "running", 0),
        ("availability-zone", "us-east-1a", 1),
        ("instance-type", "m5.*", 1),
        ("instance-lifecycle", "spot", 0),
    ] {
        let answer = sim
            .ec2(
                "DescribeInstances",
                &[("Filter.1.Name", name), ("Filter.1.Value.1", value)],
            )
            .await;
        assert_eq!(answer.all("instanceId").len(), expected, "{name}={value}");
    }
    let unknown = sim
        .ec2(
            "DescribeInstances",
            &[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "red")],
        )
        .await;
    assert_eq!(unknown.first("Code"), "InvalidParameterValue");
    let both = sim
        .ec2("DescribeInstances", &[("InstanceId.1", &id), ("MaxResults", "5")])
        .await;
    assert_eq!(both.first("Code"), "InvalidParameterCombination");
}

#[tokio::test]
async fn a_zone_that_is_out_fails_calls_that_touch_it() {
    let sim = Sim::prompt().await;
    let id = launched(&sim).await;
    sim.order("outage", &serde_json::json!({"zone": "us-east-1a", "on": true}))
        .await;
    assert_eq!(sim.ec2("DescribeInstances", &[]).await.status, 503);
    assert_eq!(
        sim.ec2("DescribeInstances", &[("InstanceId.1", &id)])
            .await
            .status,
        503
    );
    sim.order("outage", &serde_json::json!({"zone": "us-east-1a", "on": false}))
        .await;
    assert_eq!(sim.ec2("DescribeInstances", &[]).await.status, 200);
}

#[tokio::test]
async fn status_lists_running_instances_and_announces_maintenance() {
    let sim = Sim::prompt().await;
    let id = launched(&sim).await;
    assert!(
        sim.ec2("DescribeInstanceStatus", &[])
            .await
            .all("instanceId")
            .is_empty()
    );
    sim.advance(6.0).await;
    sim.order(
        "impair",
        &serde_json::json!({"instanceId": id, "eventCode": "instance-retirement"}),
    )
    .await;
    let filter = [
        ("Filter.1.Name", "event.code"),
        ("Filter.1.Value.1", "instance-retirement"),
    ];
    assert_eq!(
        sim.ec2("DescribeInstanceStatus", &filter).await.all("instanceId"),
        [id]
    );
}

#[tokio::test]
async fn a_failed_launch_ends_with_its_reason() {
    let sim = Sim::prompt().await;
    sim.order(
        "launch-outcome",
        &serde_json::json!({"outcome": "clientInternalError", "count": 1}),
    )
    .await;
    let id = launched(&sim).await;
    sim.advance(6.0).await;
    let answer = sim.ec2("DescribeInstances", &[("InstanceId.1", &id)]).await;
    assert!(answer.first("instanceState").contains("terminated"));
    assert!(answer.first("stateReason").contains("Client.InternalError"));
}
