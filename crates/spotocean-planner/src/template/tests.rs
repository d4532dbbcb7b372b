//! Names follow from content; ownership tags and disks.

use spotocean_api::quantity::Quantity;
use spotocean_api::template::{EbsVolume, InstanceStore};

use super::*;
use crate::answers::{answered, images, selecting};
use crate::fixtures::snapshot;
use crate::pool::pools_of;
use crate::world::resolve::resolve;

fn made(change: impl FnOnce(&mut Template), max_pods: i64, capacity_type: CapacityType) -> LaunchTemplate {
    let mut ocean = selecting("shop", &["main"]);
    change(&mut ocean.spec.template);
    let snapshot = answered(snapshot().ocean(ocean)).build();
    let view = pools_of(&snapshot.oceans[0]).remove(0);
    let resolved = resolve(&snapshot, &view).unwrap();
    launch_template(&snapshot, &view, &resolved, &images()[0], capacity_type, max_pods).unwrap()
}

#[test]
fn other_content_is_another_name() {
    let plain = made(|_| {}, 29, CapacityType::Spot);
    assert_eq!(plain.name, made(|_| {}, 29, CapacityType::Spot).name);
    assert!(plain.name.starts_with("spotocean-shop-") && plain.name.len() == "spotocean-shop-".len() + 16);
    let others = [
        made(|_| {}, 30, CapacityType::Spot),
        made(|_| {}, 29, CapacityType::OnDemand),
        made(
            |own| own.user_data = Some("#!/bin/sh".into()),
            29,
            CapacityType::Spot,
        ),
        made(
            |own| own.tags = BTreeMap::from([("a".into(), "b".into())]),
            29,
            CapacityType::Spot,
        ),
        made(
            |own| own.monitoring = Monitoring::Detailed,
            29,
            CapacityType::Spot,
        ),
        made(
            |own| own.instance_store = Some(InstanceStore::RAID0),
            29,
            CapacityType::Spot,
        ),
    ];
    let names: std::collections::BTreeSet<_> = others
        .iter()
        .chain([&plain])
        .map(|own| own.name.clone())
        .collect();
    assert_eq!(names.len(), others.len() + 1);
}

#[test]
fn ownership_tags_cannot_be_replaced() {
    let tags = BTreeMap::from([
        ("Name".to_owned(), "mine".to_owned()),
        (TAG_CLUSTER_UID.to_owned(), "forged".to_owned()),
    ]);
    let made = made(|own| own.tags = tags, 29, CapacityType::Spot);
    assert_eq!(made.tags.get("Name").map(AsRef::as_ref), Some("mine"));
    assert_eq!(
        made.tags.get(TAG_CLUSTER_UID).map(AsRef::as_ref),
        Some("cluster-uid")
    );
    assert_eq!(
        made.tags.get("kubernetes.io/cluster/shop").map(AsRef::as_ref),
        Some("owned")
    );
}

#[test]
fn tag_keys_that_differ_only_in_case_are_found() {
    let rows = [
        ("", None),
        ("team teams", None),
        ("Team a team", Some(("Team", "team"))),
        ("name", None),
    ];
    for (keys, expected) in rows {
        let own = |template: &mut Template| {
            template.tags = keys
                .split_whitespace()
                .map(|key| (key.to_owned(), "x".to_owned()))
                .collect();
        };
        assert_eq!(
            keys_alike(&made(own, 29, CapacityType::Spot).tags),
            expected,
            "{keys:?}"
        );
    }
}

#[test]
fn disks_are_the_familys_unless_given() {
    let image = &images()[0];
    let check = |change: fn(&mut Template), expected: &[(&str, i32)], pod_gib: i64| {
        let mut template = Template::default();
        change(&mut template);
        let devices = block_devices(&template, image);
        let found: Vec<_> = devices
            .iter()
            .map(|own| (own.device_name.as_ref(), own.size_gib.unwrap()))
            .collect();
        assert_eq!(found, expected);
        assert!(devices.iter().all(|own| own.encrypted == Some(true)));
        assert_eq!(pod_storage_bytes(&template, image) / GIB, pod_gib);
    };
    check(|_| {}, &[("/dev/xvda", 20)], 20);
    check(
        |own| own.image.family = ImageFamily::Bottlerocket,
        &[("/dev/xvda", 20), ("/dev/xvdb", 20)],
        20,
    );
    check(
        |own| {
            own.block_devices = vec![ApiBlockDevice {
                device_name: "/dev/xvda".into(),
                ebs: EbsVolume {
                    volume_size: Some(Quantity("50G".into())),
                    ..EbsVolume::default()
                },
                root_volume: None,
            }];
        },
        &[("/dev/xvda", 47)],
        47,
    );
}

#[test]
fn the_kubelet_gets_the_planners_pod_density() {
    let data = made(|_| {}, 29, CapacityType::Spot).user_data;
    assert!(data.contains("\"maxPods\": 29"), "{data}");
}
