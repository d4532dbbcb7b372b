//! Reading instances, and what is asked again after EC2 refused a batch.

use aws_sdk_ec2::types::{
    InstanceState as DescribedState, InstanceStateName, InstanceType, Placement, StateReason,
};
use aws_smithy_types::DateTime;

use super::*;

fn ids(names: &[&str]) -> Vec<InstanceId> {
    names.iter().map(|name| (*name).into()).collect()
}

fn described() -> aws_sdk_ec2::types::builders::InstanceBuilder {
    Described::builder()
        .instance_id("i-1")
        .instance_type(InstanceType::from("m5.large"))
        .placement(Placement::builder().availability_zone("us-east-1a").build())
        .state(DescribedState::builder().name(InstanceStateName::Running).build())
        .launch_time(DateTime::from_secs(1_700_000_000))
        .image_id("ami-1")
}

#[test]
fn an_instance_is_read() {
    let spot = described()
        .instance_lifecycle(InstanceLifecycleType::Spot)
        .private_dns_name("ip-10-0-0-1.ec2.internal")
        .state_reason(
            StateReason::builder()
                .code("Server.SpotInstanceTermination")
                .build(),
        )
        .tags(Tag::builder().key("team").value("dev").build())
        .build();
    let read_spot = read(&spot).expect("it is whole");
    assert_eq!(read_spot.capacity_type, CapacityType::Spot);
    assert_eq!(read_spot.state, InstanceState::Running);
    assert_eq!(&*read_spot.state_reason, "Server.SpotInstanceTermination");
    assert_eq!(&*read_spot.private_dns_name, "ip-10-0-0-1.ec2.internal");
    assert_eq!(read_spot.tag("team"), Some("dev"));
    assert_eq!(read_spot.launched_at.as_second(), 1_700_000_000);
    let on_demand = read(&described().build()).expect("it is whole");
    assert_eq!(
        on_demand.capacity_type,
        CapacityType::OnDemand,
        "EC2 leaves the lifecycle out"
    );
    assert_eq!(read(&Described::builder().build()), None);
}

#[test]
fn a_refused_batch_is_asked_again_without_what_its_message_names() {
    let batch = ids(&["i-1", "i-2", "i-3", "i-12"]);
    let rows: [(&str, Vec<Vec<InstanceId>>); 5] = [
        (
            "The instance ID 'i-1' does not exist",
            vec![ids(&["i-2", "i-3", "i-12"])],
        ),
        (
            "The instance IDs 'i-1, i-12' do not exist",
            vec![ids(&["i-2", "i-3"])],
        ),
        ("Invalid id: \"i-2\"", vec![ids(&["i-1", "i-3", "i-12"])]),
        ("no id in here", vec![ids(&["i-1", "i-2"]), ids(&["i-3", "i-12"])]),
        ("'i-1, i-2, i-3, i-12' do not exist", vec![]),
    ];
    for (message, expected) in rows {
        assert_eq!(without_unknown(&batch, message), expected, "{message}");
    }
    assert!(
        without_unknown(&ids(&["i-9"]), "no id in here").is_empty(),
        "one id refused is done"
    );
}

#[test]
fn batches_hold_each_id_once() {
    let many: Vec<InstanceId> = (0..1200)
        .map(|index| format!("i-{}", index % 1100).into())
        .collect();
    let batches = batches(&many);
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 100]);
}

#[test]
fn the_end_of_the_console_is_kept() {
    let boot = format!("{}login:", "x".repeat(CONSOLE_BYTES_MAX));
    let mut encoded = STANDARD.encode(&boot);
    encoded.insert(76, '\n');
    let text = console_text(&encoded).expect("it is base64 with line breaks");
    assert_eq!(text.len(), CONSOLE_BYTES_MAX);
    assert!(text.ends_with("login:"));
    assert_eq!(console_text("").as_deref(), Ok(""), "nothing was printed yet");
    assert!(console_text("%").is_err());
}
