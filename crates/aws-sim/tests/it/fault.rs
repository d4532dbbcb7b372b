//! Faults on order, throttles, denials.

use serde_json::json;

use crate::client::{Sim, eventually};

#[tokio::test]
async fn a_fault_strikes_the_nth_call_and_wears_out() {
    let sim = Sim::prompt().await;
    let error = json!({"error": {"code": "InternalError", "status": 500, "message": "sorry"}});
    sim.order(
        "fault",
        &json!({"action": "DescribeSubnets", "nth": 2, "count": 1, "fault": error}),
    )
    .await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = sim.ec2("DescribeSubnets", &[]).await;
        seen.push((answer.status, answer.first("Code")));
    }
    assert_eq!(
        seen,
        [
            (200, String::new()),
            (500, "InternalError".into()),
            (200, String::new())
        ]
    );
    let calls = sim.look("calls?action=DescribeSubnets").await;
    assert_eq!(calls["calls"][1]["error"], "InternalError");
    assert_eq!(calls["calls"][1]["faultRule"], 1);
}

#[tokio::test]
async fn a_lost_answer_leaves_the_effect() {
    let sim = Sim::prompt().await;
    for (when, expected) in [("before", 0), ("after", 1)] {
        sim.order(
            "fault",
            &json!({"action": "CreateLaunchTemplate", "count": 1, "when": when, "fault": "drop"}),
        )
        .await;
        let pairs = [
            ("LaunchTemplateName", "abc"),
            ("LaunchTemplateData.ImageId", "ami-1"),
        ];
        let lost = sim.try_query("ec2", "CreateLaunchTemplate", &pairs).await;
        assert!(lost.is_err(), "the connection is closed: {lost:?}");
        let found = sim
            .ec2("DescribeLaunchTemplates", &[])
            .await
            .all("launchTemplateId")
            .len();
        assert_eq!(found, expected, "{when}");
    }
}

#[tokio::test]
async fn an_empty_answer_has_the_shape_of_the_real_one() {
    let sim = Sim::prompt().await;
    sim.order(
        "fault",
        &json!({"action": "DescribeSubnets", "count": 1, "fault": "empty"}),
    )
    .await;
    let answer = sim.ec2("DescribeSubnets", &[]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("<subnetSet></subnetSet>"), "{}", answer.body);
    assert_eq!(sim.ec2("DescribeSubnets", &[]).await.all("subnetId").len(), 6);
}

#[tokio::test]
async fn a_held_call_waits_for_its_release() {
    let sim = Sim::prompt().await;
    sim.order(
        "fault",
        &json!({"action": "DescribeVpcs", "when": "after", "fault": {"hold": "gate"}}),
    )
    .await;
    let held = sim.ec2("DescribeVpcs", &[]);
    let release = async {
        eventually("the call is held", || async {
            (sim.look("state").await["heldCalls"] == json!(["gate"])).then_some(())
        })
        .await;
        sim.order("release", &json!({"name": "gate"})).await
    };
    let (answer, released) = tokio::join!(held, release);
    assert_eq!((answer.status, &released["released"]), (200, &json!(1)));
    assert_eq!(sim.ec2("DescribeVpcs", &[]).await.status, 200, "the rule is gone");
}

#[tokio::test]
async fn buckets_empty_and_can_be_switched_off() {
    let sim = Sim::prompt().await;
    let mut throttled = 0;
    for _ in 0..70 {
        let answer = sim
            .ec2(
                "DeleteLaunchTemplate",
                &[("LaunchTemplateId", "lt-0123456789abcdef0")],
            )
            .await;
        throttled += usize::from(answer.status == 503 && answer.first("Code") == "RequestLimitExceeded");
    }
    assert!(
        (1..=20).contains(&throttled),
        "{throttled} of 70 over a bucket of 50"
    );
    sim.order("throttle", &json!({"on": false})).await;
    let answer = sim
        .ec2(
            "DeleteLaunchTemplate",
            &[("LaunchTemplateId", "lt-0123456789abcdef0")],
        )
        .await;
    assert_eq!(answer.first("Code"), "InvalidLaunchTemplateId.NotFound");
}

#[tokio::test]
async fn denied_actions_are_refused_in_each_protocol() {
    let sim = Sim::prompt().await;
    for action in [
        "ec2:DescribeSubnets",
        "iam:*",
        "sqs:ReceiveMessage",
        "DescribeCluster",
    ] {
        sim.order("deny", &json!({"action": action})).await;
    }
    let ec2 = sim.ec2("DescribeSubnets", &[]).await;
    assert_eq!(
        (ec2.status, ec2.first("Code").as_str()),
        (403, "UnauthorizedOperation")
    );
    let iam = sim.query("iam", "GetRole", &[("RoleName", "x")]).await;
    assert_eq!((iam.status, iam.first("Code").as_str()), (403, "AccessDenied"));
    let sqs = sim
        .json("sqs", "AmazonSQS.ReceiveMessage", &json!({"QueueUrl": "x"}))
        .await;
    assert!(
        sqs.json()["__type"]
            .as_str()
            .expect("a type")
            .contains("AccessDenied")
    );
    assert_eq!(sim.rest("GET", "/clusters/demo", &json!(null)).await.status, 403);
    assert_eq!(sim.ec2("DescribeVpcs", &[]).await.status, 200);
}

#[tokio::test]
async fn a_request_without_credentials_is_refused() {
    let sim = Sim::prompt().await;
    let answer = sim.unsigned().await;
    assert_eq!(
        (answer.status, answer.first("Code").as_str()),
        (403, "MissingAuthenticationToken")
    );
    let unknown = sim.ec2("MakeCoffee", &[]).await;
    assert_eq!(unknown.first("Code"), "InvalidAction");
}
