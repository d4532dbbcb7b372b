//! User data of each family, as files, and what is refused.

use std::collections::BTreeMap;

use spotocean_api::quantity::Quantity;

use super::*;
use crate::fixtures::labels;

fn cluster() -> ClusterFacts {
    ClusterFacts {
        name: "shop".into(),
        endpoint: "https://shop.eks.example".into(),
        certificate_authority: "Q0E=".into(),
        service_cidr: "10.100.0.0/16".into(),
        dns: "10.100.0.10".into(),
        version: "1.36".into(),
        authentication_mode: Some("API".into()),
    }
}

fn kubelet() -> Kubelet {
    Kubelet {
        kube_reserved: BTreeMap::from([("cpu".to_owned(), Quantity("100m".to_owned()))]),
        eviction_hard: BTreeMap::from([("memory.available".to_owned(), "5%".to_owned())]),
        image_gc_high_threshold_percent: Some(80),
        ..Kubelet::default()
    }
}

/// The user data of a pool with a little of everything.
fn made(family: ImageFamily, store: Option<InstanceStore>, own: &[&str]) -> Result<String, BootstrapError> {
    let dedicated = Taint {
        key: "dedicated".into(),
        value: "yes".into(),
        effect: TaintEffect::NoSchedule,
    };
    user_data(&Bootstrap {
        family,
        cluster: &cluster(),
        kubelet: &kubelet(),
        max_pods: 29,
        labels: &labels(&[
            ("spotocean.dev/pool", "main"),
            ("team", "a"),
            ("node-role.kubernetes.io/worker", ""),
        ]),
        taints: &[dedicated, unregistered_taint()],
        instance_store: store,
        own,
    })
}

#[test]
fn al2023_reads_a_node_config_in_mime() {
    insta::assert_snapshot!(made(ImageFamily::AL2023, Some(InstanceStore::RAID0), &[]).unwrap());
}

#[test]
fn al2023_keeps_the_users_parts_in_order_before_ours() {
    let script = "#!/bin/sh\necho ocean\n";
    let config = "apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec:\n  kubelet:\n    config:\n      maxPods: 7\n";
    insta::assert_snapshot!(made(ImageFamily::AL2023, None, &[script, config]).unwrap());
}

#[test]
fn al2023_takes_a_users_mime_document_apart() {
    let own = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"//\"\n\n--//\nContent-Type: text/x-shellscript\n\n#!/bin/sh\necho hi\n--//--\n";
    let text = made(ImageFamily::AL2023, None, &[own]).unwrap();
    assert_eq!(text.matches("echo hi").count(), 1, "{text}");
    assert_eq!(
        text.matches("multipart/mixed").count(),
        1,
        "no document inside the document: {text}"
    );
}

#[test]
fn bottlerocket_reads_toml_with_ours_on_top() {
    let ocean = "[settings.host-containers.admin]\nenabled = true\n[settings.kubernetes]\nmax-pods = 7\n";
    let pool = "[settings.host-containers.admin]\nsuperpowered = true\n[settings.kubernetes.node-labels]\n\"x/y\" = \"z\"\n";
    insta::assert_snapshot!(
        made(
            ImageFamily::Bottlerocket,
            Some(InstanceStore::RAID0),
            &[ocean, pool]
        )
        .unwrap()
    );
}

#[test]
fn custom_images_read_the_users_text_alone() {
    let text = made(ImageFamily::Custom, None, &["first", "second"]).unwrap();
    assert_eq!(text, "first\nsecond");
}

#[test]
fn the_same_pool_gives_the_same_bytes() {
    for family in [ImageFamily::AL2023, ImageFamily::Bottlerocket] {
        assert_eq!(made(family, None, &[]), made(family, None, &[]));
    }
}

#[test]
fn what_cannot_be_read_or_is_too_large_is_refused_with_the_fix() {
    let large = format!("#!/bin/sh\n{}", "x".repeat(USER_DATA_BYTES_MAX));
    let rows = [
        (ImageFamily::AL2023, "hello", "neither a NodeConfig"),
        (
            ImageFamily::AL2023,
            "apiVersion: v1\nkind: Pod",
            "neither a NodeConfig",
        ),
        (ImageFamily::AL2023, "MIME-Version: 1.0\n\n", "boundary"),
        (
            ImageFamily::AL2023,
            large.as_str(),
            "EC2 takes 16384: shorten template.userData by",
        ),
        (
            ImageFamily::Custom,
            large.as_str(),
            "shorten template.userData by 10,",
        ),
        (ImageFamily::Bottlerocket, "[settings", "not TOML"),
    ];
    for (family, own, expected) in rows {
        let error = made(family, None, &[own]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
