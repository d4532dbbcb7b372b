//! Interruption notices on the queue, and the end two minutes later.

use aws_sim::Options;
use serde_json::{Value, json};

use crate::client::{Sim, prompt};

async fn spot_instance(sim: &Sim) -> String {
    sim.order("market", &json!({"type": "m5.large", "depth": 9}))
        .await;
    let (template, subnet) = (sim.template("abc", &[]).await, sim.subnet("us-east-1a").await);
    let answer = sim
        .ec2(
            "CreateFleet",
            &[
                ("Type", "instant"),
                (
                    "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId",
                    &template,
                ),
                ("LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version", "1"),
                ("LaunchTemplateConfigs.1.Overrides.1.InstanceType", "m5.large"),
                ("LaunchTemplateConfigs.1.Overrides.1.SubnetId", &subnet),
                ("TargetCapacitySpecification.TotalTargetCapacity", "1"),
                ("TargetCapacitySpecification.DefaultTargetCapacityType", "spot"),
            ],
        )
        .await;
    answer.instance_ids().remove(0)
}

/// Bodies of all messages that can be received, which are deleted.
async fn events(sim: &Sim) -> Vec<Value> {
    let url = &sim.running.queue_url;
    let receive =
        json!({"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1, "VisibilityTimeout": 30});
    let answer = sim.json("sqs", "AmazonSQS.ReceiveMessage", &receive).await.json();
    let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
    let entries: Vec<Value> = messages
        .iter()
        .enumerate()
        .map(|(index, message)| json!({"Id": index.to_string(), "ReceiptHandle": message["ReceiptHandle"]}))
        .collect();
    if !entries.is_empty() {
        let deleted = sim
            .json(
                "sqs",
                "AmazonSQS.DeleteMessageBatch",
                &json!({"QueueUrl": url, "Entries": entries}),
            )
            .await;
        assert_eq!(deleted.json()["Failed"], json!([]));
    }
    messages
        .iter()
        .map(|message| serde_json::from_str(message["Body"].as_str().expect("a body")).expect("JSON"))
        .collect()
}

fn kinds(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .map(|event| {
            let kind = event["detail-type"].as_str().unwrap_or_default();
            event["detail"]["state"].as_str().unwrap_or(kind).to_owned()
        })
        .collect()
}

async fn state(sim: &Sim, id: &str) -> String {
    sim.ec2("DescribeInstances", &[("InstanceId.1", id)])
        .await
        .first("name")
}

#[tokio::test]
async fn a_warning_comes_two_minutes_before_the_end() {
    let sim = Sim::prompt().await;
    let id = spot_instance(&sim).await;
    sim.advance(10.0).await;
    events(&sim).await;
    sim.order("interrupt", &json!({"instanceId": id})).await;
    let seen = events(&sim).await;
    assert_eq!(kinds(&seen), ["EC2 Spot Instance Interruption Warning"]);
    assert_eq!(
        seen[0]["detail"],
        json!({"instance-id": id, "instance-action": "terminate"})
    );
    assert_eq!(seen[0]["source"], "aws.ec2");
    sim.advance(119.0).await;
    assert_eq!(state(&sim, &id).await, "running", "the notice is not over");
    sim.advance(2.0).await;
    assert_eq!(state(&sim, &id).await, "shutting-down");
    let answer = sim.ec2("DescribeInstances", &[("InstanceId.1", &id)]).await;
    assert!(
        answer
            .first("stateReason")
            .contains("Server.SpotInstanceTermination")
    );
    sim.advance(31.0).await;
    assert_eq!(kinds(&events(&sim).await), ["shutting-down", "terminated"]);
}

#[tokio::test]
async fn a_recommendation_may_precede_and_events_may_be_lost_or_doubled() {
    for (loss_per_mille, duplicate_per_mille, expected) in [(0, 0, 1), (1000, 0, 0), (0, 1000, 2)] {
        let mut options: Options = prompt();
        options.scenario.events.loss_per_mille = loss_per_mille;
        options.scenario.events.duplicate_per_mille = duplicate_per_mille;
        options.scenario.events.rebalance_lead_seconds = Some(60.0);
        let sim = Sim::start(options).await;
        let id = spot_instance(&sim).await;
        events(&sim).await;
        sim.order("interrupt", &json!({"instanceId": id})).await;
        let seen = kinds(&events(&sim).await);
        assert_eq!(seen, vec!["EC2 Instance Rebalance Recommendation"; expected]);
    }
}

#[tokio::test]
async fn hazard_interrupts_spot_instances_by_itself() {
    let sim = Sim::start(Options {
        hazard: 1.0,
        ..prompt()
    })
    .await;
    let id = spot_instance(&sim).await;
    sim.order("market", &json!({"type": "m5.large", "hazard": 1000.0}))
        .await;
    sim.advance(10.0).await;
    sim.advance(300.0).await;
    sim.advance(300.0).await;
    assert_ne!(state(&sim, &id).await, "running");
    assert_eq!(sim.look("state").await["hazardInterruptions"], 1);
}

#[tokio::test]
async fn an_unreceived_message_stays_and_a_received_one_hides() {
    let sim = Sim::prompt().await;
    let url = &sim.running.queue_url;
    sim.json(
        "sqs",
        "AmazonSQS.SendMessage",
        &json!({"QueueUrl": url, "MessageBody": "hello"}),
    )
    .await;
    let receive = json!({"QueueUrl": url, "VisibilityTimeout": 600});
    let first = sim.json("sqs", "AmazonSQS.ReceiveMessage", &receive).await.json();
    assert_eq!(first["Messages"][0]["Body"], "hello");
    let second = sim.json("sqs", "AmazonSQS.ReceiveMessage", &receive).await.json();
    assert_eq!(second, json!({}));
    let attributes = sim
        .json(
            "sqs",
            "AmazonSQS.GetQueueAttributes",
            &json!({"QueueUrl": url, "AttributeNames": ["All"]}),
        )
        .await;
    assert_eq!(
        attributes.json()["Attributes"]["ApproximateNumberOfMessagesNotVisible"],
        "1"
    );
    let bad = sim
        .json(
            "sqs",
            "AmazonSQS.DeleteMessage",
            &json!({"QueueUrl": url, "ReceiptHandle": "x"}),
        )
        .await;
    assert_eq!(
        (bad.status, bad.json()["__type"].as_str()),
        (400, Some("com.amazonaws.sqs#ReceiptHandleIsInvalid"))
    );
}
