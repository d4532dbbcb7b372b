//! Parameter paths, what terms ask for, and which image wins.

use aws_sdk_ec2::types::{ArchitectureValues, BlockDeviceMapping, EbsBlockDevice};

use super::*;

fn image(id: &str, architecture: Architecture, created_at: &str) -> Image {
    Image {
        id: id.into(),
        name: "image".into(),
        architecture,
        created_at: created_at.parse().expect("it is a time"),
        root_volume_gib: Some(20),
        root_device: "/dev/xvda".into(),
    }
}

#[test]
fn parameters_are_where_amazon_publishes_them() {
    let al2023 = |version: &str| ImageQuery::Al2023 {
        kubernetes_version: "1.36".into(),
        version: version.into(),
    };
    let bottlerocket = |version: &str| ImageQuery::Bottlerocket {
        kubernetes_version: "1.36".into(),
        version: version.into(),
    };
    let rows = [
        (
            al2023("latest"),
            Architecture::Amd64,
            "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/image_id",
        ),
        (
            al2023("v20260801"),
            Architecture::Arm64,
            "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/arm64/standard/amazon-eks-node-al2023-arm64-standard-1.36-v20260801/image_id",
        ),
        (
            bottlerocket("latest"),
            Architecture::Arm64,
            "/aws/service/bottlerocket/aws-k8s-1.36/arm64/latest/image_id",
        ),
        (
            bottlerocket("v1.50.0"),
            Architecture::Amd64,
            "/aws/service/bottlerocket/aws-k8s-1.36/x86_64/1.50.0/image_id",
        ),
    ];
    for (query, architecture, expected) in rows {
        assert_eq!(parameter(&query, architecture).as_deref(), Some(expected));
    }
}

#[test]
fn a_term_without_an_owner_means_our_own_images_and_amazons() {
    let term = |id: Option<&str>, owner: Option<&str>| SelectorTerm {
        id: id.map(Into::into),
        name: Some("golden-*".into()),
        owner: owner.map(Into::into),
        ..SelectorTerm::default()
    };
    let rows = [
        (term(None, None), vec!["self", "amazon"], false),
        (term(None, Some("111122223333")), vec!["111122223333"], false),
        (term(Some("ami-1"), None), vec![], true),
    ];
    for (term, owners, with_deprecated) in rows {
        let input = images_input(&term).expect("it is not empty");
        assert_eq!(input.get_owners().clone().unwrap_or_default(), owners, "{term:?}");
        assert_eq!(input.get_include_deprecated(), &Some(with_deprecated), "{term:?}");
    }
    let all_of_an_owner = SelectorTerm {
        owner: Some("amazon".into()),
        ..SelectorTerm::default()
    };
    assert!(images_input(&all_of_an_owner).is_err());
}

#[test]
fn the_newest_image_per_architecture_counts_whatever_the_order() {
    let mut images = vec![
        image("ami-old", Architecture::Amd64, "2026-01-01T00:00:00Z"),
        image("ami-new", Architecture::Amd64, "2026-02-01T00:00:00Z"),
        image("ami-arm", Architecture::Arm64, "2025-01-01T00:00:00Z"),
        image("ami-neu", Architecture::Amd64, "2026-02-01T00:00:00Z"),
    ];
    for _ in 0..images.len() {
        images.rotate_left(1);
        let newest = newest_per_architecture(images.clone());
        let ids: Vec<_> = newest.iter().map(|image| image.id.as_str()).collect();
        assert_eq!(ids, ["ami-new", "ami-arm"]);
    }
}

#[test]
fn an_image_is_read_with_its_root_volume() {
    let volume = |name: &str, size| {
        BlockDeviceMapping::builder()
            .device_name(name)
            .ebs(EbsBlockDevice::builder().volume_size(size).build())
            .build()
    };
    let described = Described::builder()
        .image_id("ami-1")
        .name("bottlerocket")
        .architecture(ArchitectureValues::Arm64)
        .creation_date("2026-08-01T10:20:30.000Z")
        .root_device_name("/dev/xvda")
        .block_device_mappings(volume("/dev/xvdb", 20))
        .block_device_mappings(volume("/dev/xvda", 2))
        .state(ImageState::Available)
        .build();
    let read = read(&described).expect("it is whole");
    assert_eq!((read.root_volume_gib, &*read.root_device), (Some(2), "/dev/xvda"));
    assert_eq!(read.created_at.to_string(), "2026-08-01T10:20:30Z");
    assert!(is_match(&term_of("ami-1".into()), &described));
    assert!(!is_match(&term_of("ami-2".into()), &described));
}

#[test]
fn a_pending_image_or_a_strangers_does_not_match() {
    let described = |state: ImageState| {
        Described::builder()
            .image_id("ami-1")
            .owner_id("1")
            .state(state)
            .build()
    };
    let owned_by = |owner: &str| SelectorTerm {
        owner: Some(owner.into()),
        ..term_of("ami-1".into())
    };
    let rows = [
        (owned_by("1"), ImageState::Available, true),
        (owned_by("2"), ImageState::Available, false),
        (owned_by("self"), ImageState::Available, true),
        (owned_by("1"), ImageState::Pending, false),
    ];
    for (term, state, expected) in rows {
        assert_eq!(
            is_match(&term, &described(state.clone())),
            expected,
            "{term:?} {state:?}"
        );
    }
}
