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
    let of_ec2 = |detail_type: &str, detail: &str| {
        // The ARN in the wild names another place than documented, and nothing is read from it.
        body(
            "aws.ec2",
            detail_type,
            r#""arn:aws:ec2:us-east-1b:instance/i-wrong""#,
            detail,
        )
    };
    let state = |word: &str| {
        let detail = format!(r#"{{"instance-id":"i-1","state":"{word}"}}"#);
        of_ec2("EC2 Instance State-change Notification", &detail)
    };
    let ending = r#"{"instance-id":"i-1","instance-action":"terminate"}"#;
    let health = health_detail("scheduledChange", "upcoming", &["i-2", "i-1", "i-2", "vol-1"]);
    let rows = [
        (
            of_ec2("EC2 Spot Instance Interruption Warning", ending),
            CloudEventKind::SpotInterruption,
            vec!["i-1"],
        ),
        (
            of_ec2(
                "EC2 Instance Rebalance Recommendation",
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
            of_ec2("EC2 Capacity Reservation Instance Interruption Warning", ending),
            CloudEventKind::ReservationInterruption,
            vec!["i-1"],
        ),
        (
            body("aws.health", "AWS Health Event", r#""i-2","i-1""#, &health),
            CloudEventKind::ScheduledChange("AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED".into()),
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
fn what_is_not_ours_has_no_event() {
    let of_ec2 = |detail_type: &str, detail: &str| body("aws.ec2", detail_type, "", detail);
    let of_health = |category: &str, status: &str, entity: &str| {
        body(
            "aws.health",
            "AWS Health Event",
            "",
            &health_detail(category, status, &[entity]),
        )
    };
    let instance = r#"{"instance-id":"i-1"}"#;
    let rows = [
        (
            "request fulfilled",
            of_ec2(
                "EC2 Spot Instance Request Fulfillment",
                r#"{"spot-instance-request-id":"sir-1","instance-id":"i-1"}"#,
            ),
        ),
        (
            "an unknown state",
            of_ec2(
                "EC2 Instance State-change Notification",
                r#"{"instance-id":"i-1","state":"dreaming"}"#,
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
                instance,
            ),
        ),
        ("health issue", of_health("issue", "open", "i-1")),
        ("health closed", of_health("scheduledChange", "closed", "i-1")),
        (
            "health of no instance",
            of_health("scheduledChange", "upcoming", "vol-1"),
        ),
    ];
    for (what, body) in rows {
        assert_eq!(event(&body), None, "{what}");
    }
}

#[test]
fn what_cannot_be_read_has_no_event() {
    let warning = body(
        "aws.ec2",
        "EC2 Spot Instance Interruption Warning",
        "",
        r#"{"instance-id":"i-1"}"#,
    );
    assert!(event(&warning).is_some(), "the rows below spoil one thing each");
    let rows = [
        ("no instance id", warning.replace("instance-id", "id-of-instance")),
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
