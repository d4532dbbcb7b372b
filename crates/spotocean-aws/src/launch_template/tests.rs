//! The template's form.

use super::*;

fn template(capacity_type: CapacityType) -> LaunchTemplate {
    LaunchTemplate {
        name: "spotocean-demo-1".into(),
        capacity_type,
        image: "ami-1".into(),
        instance_profile: "profile".into(),
        security_groups: vec!["sg-1".into(), "sg-2".into()],
        user_data: "#!/bin/sh".into(),
        block_devices: vec![BlockDevice {
            device_name: "/dev/xvda".into(),
            size_gib: Some(40),
            volume_type: Some("gp3".into()),
            encrypted: Some(true),
            delete_on_termination: Some(true),
            ..BlockDevice::default()
        }],
        metadata: MetadataOptions {
            http_tokens: "required".into(),
            http_put_response_hop_limit: 1,
            http_endpoint: "enabled".into(),
            http_protocol_ipv6: "disabled".into(),
        },
        detailed_monitoring: false,
        public_ip: None,
        key_pair: None,
        tags: [("team".into(), "dev".into())].into(),
    }
}

#[test]
fn only_a_spot_template_tags_spot_requests() {
    let tagged = |capacity_type| -> Vec<String> {
        data(&template(capacity_type))
            .tag_specifications()
            .iter()
            .filter(|tagged| tagged.tags()[0].key() == Some("team"))
            .filter_map(|tagged| Some(tagged.resource_type()?.as_str().to_owned()))
            .collect()
    };
    let on_demand = ["instance", "volume", "network-interface"];
    assert_eq!(tagged(CapacityType::OnDemand), on_demand);
    assert_eq!(
        tagged(CapacityType::Spot),
        [
            "instance",
            "volume",
            "network-interface",
            "spot-instances-request"
        ]
    );
}

#[test]
fn groups_move_onto_the_interface_when_an_address_is_asked_for() {
    for public_ip in [None, Some(true), Some(false)] {
        let sent = data(&LaunchTemplate {
            public_ip,
            ..template(CapacityType::Spot)
        });
        let interfaces: Vec<_> = sent
            .network_interfaces()
            .iter()
            .map(|interface| (interface.associate_public_ip_address(), interface.groups().len()))
            .collect();
        let expected: &[_] = if public_ip.is_some() {
            &[(public_ip, 2)]
        } else {
            &[]
        };
        assert_eq!(interfaces, expected);
        assert_eq!(
            sent.security_group_ids().len(),
            if public_ip.is_some() { 0 } else { 2 }
        );
    }
}

#[test]
fn the_content_is_all_there() {
    let input = input(&template(CapacityType::Spot)).expect("it is within the limits");
    assert_eq!(
        input.get_client_token(),
        &None,
        "a token would outlive the template"
    );
    let sent = data(&template(CapacityType::Spot));
    assert_eq!(sent.image_id(), Some("ami-1"));
    assert_eq!(sent.user_data(), Some("IyEvYmluL3No"));
    assert_eq!(
        sent.iam_instance_profile().and_then(|profile| profile.name()),
        Some("profile")
    );
    let metadata = sent.metadata_options().expect("it has metadata options");
    assert_eq!(
        metadata.http_tokens(),
        Some(&LaunchTemplateHttpTokensState::Required)
    );
    assert_eq!(metadata.http_put_response_hop_limit(), Some(1));
    let device = &sent.block_device_mappings()[0];
    assert_eq!(device.device_name(), Some("/dev/xvda"));
    let volume = device.ebs().expect("it is a volume");
    assert_eq!(
        (volume.volume_size(), volume.volume_type()),
        (Some(40), Some(&VolumeType::Gp3))
    );
    assert_eq!((volume.encrypted(), volume.iops()), (Some(true), None));
}

#[test]
fn user_data_beyond_the_limit_is_refused_with_both_sizes() {
    let of_size = |bytes: usize| LaunchTemplate {
        user_data: "x".repeat(bytes).into(),
        ..template(CapacityType::Spot)
    };
    assert!(input(&of_size(16_384)).is_ok());
    let refused = input(&of_size(16_385)).expect_err("it is one byte too long");
    assert_eq!(refused.kind, CloudErrorKind::Invalid);
    assert!(
        refused.message.contains("16385") && refused.message.contains("16384"),
        "{}",
        refused.message
    );
}
