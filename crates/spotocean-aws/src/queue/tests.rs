//! Bodies as EventBridge puts them into SQS (the forms of AWS's event reference and of aws-node-termination-handler).

use super::*;

fn body(source: &str, detail_type: &str, resources: &str, detail: &str) -> String {
    format!(
        r#"{{"version":"0","id":"12345678-1234-1234-1234-123456789012","detail-type":"{detail_type}",
            "source":"{source}","account":"123456789012","time":"2024-01-01T00:00:00Z","region":"us-east-1",
            "resources":[{resources}],"detail":{detail}}}"#
    )
}

fn health_detail(category: &str, status: &str, entities: &[&str]) -> String {
    let entities: Vec<_> = entities
        .iter()
        .map(|entity| format!(r#"{{"entityValue":"{entity}","tags":{{"stage":"prod"}}}}"#))
        .collect();
    format!(
        r#"{{"eventArn":"arn:aws:health:us-east-1::event/EC2/C/C_1","service":"EC2",
            "eventTypeCode":"AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED","eventTypeCategory":"{category}","statusCode":"{status}",
            "startTime":"Sat, 05 Jun 2016 15:10:09 GMT","endTime":"Sat, 05 Jun 2016 15:10:09 GMT",
            "eventDescription":[{{"language":"en_US","latestDescription":"It will be retired."}}],
            "affectedEntities":[{}]}}"#,
        entities.join(",")
    )
}

#[test]
fn each_kind_of_event_is_read() {
    let retirement = CloudEventKind::ScheduledChange("AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED".into());
    let state = |word: &str| {
        body(
            "aws.ec2",
            "EC2 Instance State-change Notification",
            r#""arn:aws:ec2:us-east-1:123456789012:instance/i-1""#,
            &format!(r#"{{"instance-id":"i-1","state":"{word}"}}"#),
        )
    };
    let rows = [
        (
            body(
                "aws.ec2",
                "EC2 Spot Instance Interruption Warning",
                r#""arn:aws:ec2:us-east-1b:instance/i-wrong""#,
                r#"{"instance-id":"i-1","instance-action":"terminate"}"#,
            ),
            CloudEventKind::SpotInterruption,
            vec!["i-1"],
        ),
        (
            body(
                "aws.ec2",
                "EC2 Instance Rebalance Recommendation",
                "",
                r#"{"instance-id":"i-1"}"#,
            ),
            CloudEventKind::RebalanceRecommendation,
            vec!["i-1"],
        ),
        (
            state("shutting-down"),
            CloudEventKind::StateChange(InstanceState::ShuttingDown),
            vec!["i-1"],
        ),
        (
            state("running"),
            CloudEventKind::StateChange(InstanceState::Running),
            vec!["i-1"],
        ),
        (
            body(
                "aws.ec2",
                "EC2 Capacity Reservation Instance Interruption Warning",
                "",
                r#"{"instance-id":"i-1","instance-action":"terminate"}"#,
            ),
            CloudEventKind::ReservationInterruption,
            vec!["i-1"],
        ),
        (
            body(
                "aws.health",
                "AWS Health Event",
                r#""i-2","i-1""#,
                &health_detail("scheduledChange", "upcoming", &["i-2", "i-1", "i-2", "vol-1"]),
            ),
            retirement,
            vec!["i-1", "i-2"],
        ),
    ];
    for (body, kind, instances) in rows {
        let event = event(&body).unwrap_or_else(|| panic!("unread: {body}"));
        assert_eq!(event.kind, kind);
        assert_eq!(
            event.instances.iter().map(InstanceId::as_str).collect::<Vec<_>>(),
            instances
        );
        assert_eq!(&*event.id, "12345678-1234-1234-1234-123456789012");
        assert_eq!(event.time.to_string(), "2024-01-01T00:00:00Z");
    }
}

#[test]
fn what_is_not_ours_or_unreadable_has_no_event() {
    let warning = body(
        "aws.ec2",
        "EC2 Spot Instance Interruption Warning",
        "",
        r#"{"instance-id":"i-1"}"#,
    );
    let rows = [
        (
            "request fulfilled",
            body(
                "aws.ec2",
                "EC2 Spot Instance Request Fulfillment",
                "",
                r#"{"spot-instance-request-id":"sir-1","instance-id":"i-1"}"#,
            ),
        ),
        (
            "lifecycle hook",
            body(
                "aws.autoscaling",
                "EC2 Instance-terminate Lifecycle Action",
                "",
                r#"{"EC2InstanceId":"i-1"}"#,
            ),
        ),
        (
            "another source",
            body(
                "com.example",
                "EC2 Spot Instance Interruption Warning",
                "",
                r#"{"instance-id":"i-1"}"#,
            ),
        ),
        (
            "an unknown state",
            body(
                "aws.ec2",
                "EC2 Instance State-change Notification",
                "",
                r#"{"instance-id":"i-1","state":"dreaming"}"#,
            ),
        ),
        (
            "no instance id",
            body("aws.ec2", "EC2 Instance Rebalance Recommendation", "", "{}"),
        ),
        (
            "health issue",
            body(
                "aws.health",
                "AWS Health Event",
                "",
                &health_detail("issue", "open", &["i-1"]),
            ),
        ),
        (
            "health closed",
            body(
                "aws.health",
                "AWS Health Event",
                "",
                &health_detail("scheduledChange", "closed", &["i-1"]),
            ),
        ),
        (
            "health of no instance",
            body(
                "aws.health",
                "AWS Health Event",
                "",
                &health_detail("scheduledChange", "upcoming", &["vol-1"]),
            ),
        ),
        (
            "another version",
            warning.replace(r#""version":"0""#, r#""version":"1""#),
        ),
        ("a bad time", warning.replace("2024-01-01T00:00:00Z", "yesterday")),
        (
            "test notification",
            r#"{"Event":"autoscaling:TEST_NOTIFICATION"}"#.to_owned(),
        ),
        ("no JSON", "hello".to_owned()),
        ("nothing", String::new()),
    ];
    for (what, body) in rows {
        assert_eq!(event(&body), None, "{what}");
    }
}

#[test]
fn a_message_keeps_its_receipt_so_that_it_can_be_deleted() {
    let message = Message::builder().receipt_handle("r-1").body("hello").build();
    let expected = QueueMessage {
        receipt: "r-1".into(),
        event: None,
    };
    assert_eq!(read(&message), Some(expected));
}

#[test]
fn entries_that_failed_inside_a_200_are_a_failure() {
    use aws_sdk_sqs::types::BatchResultErrorEntry;
    let failed = BatchResultErrorEntry::builder()
        .id("0")
        .sender_fault(true)
        .code("ReceiptHandleIsInvalid")
        .build()
        .expect("it is whole");
    let answer = DeleteMessageBatchOutput::builder()
        .set_successful(Some(Vec::new()))
        .failed(failed)
        .build()
        .expect("it is whole");
    let refused = refusal(&answer).expect_err("one entry failed");
    assert_eq!(&*refused.code, "ReceiptHandleIsInvalid");
}
