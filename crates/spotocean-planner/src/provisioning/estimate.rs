//! What a node of a type will offer in a pool, before it exists.

use std::collections::BTreeMap;
use std::sync::Arc;

use spotocean_api::template::InstanceStore;
use spotocean_core::instance_type::InstanceType;
use spotocean_core::kubelet::{self, Machine};
use spotocean_core::port::Image;
use spotocean_core::resources::Resources;

use crate::pool::PoolView;
use crate::snapshot::Snapshot;
use crate::template;
use crate::vocabulary;

/// The EBS CSI driver's name.
const EBS_DRIVER: &str = "ebs.csi.aws.com";
/// Attachment slots where EC2 does not say: Nitro's usual 27, Xen's 39 ("Amazon EBS volume limits", EC2 user guide).
const NITRO_SLOTS: i64 = 27;
const XEN_SLOTS: i64 = 39;

/// A node's resources and attach limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Estimate {
    /// Pods it takes.
    pub max_pods: i64,
    /// Its capacity.
    pub capacity: Resources,
    /// Its allocatable.
    pub allocatable: Resources,
    /// Volumes per CSI driver.
    pub attach_limits: Arc<BTreeMap<Arc<str>, i64>>,
}

/// What a node of `instance_type` with `image` will offer in `pool`.
#[must_use]
pub fn estimate(
    snapshot: &Snapshot,
    pool: &PoolView,
    image: &Image,
    instance_type: &InstanceType,
) -> Estimate {
    let own = &pool.effective.template;
    let settings = vocabulary::kubelet_settings(&own.kubelet);
    let stated = snapshot.catalogue.stated_allocatable.get(&instance_type.name);
    let max_pods = stated.map_or_else(
        || kubelet::max_pods(instance_type, &settings, snapshot.pod_density),
        |stated| stated.pods,
    );
    let local_bytes = instance_type.local_nvme_gb.saturating_mul(1_000_000_000);
    let has_local = own.instance_store == Some(InstanceStore::RAID0) && local_bytes > 0;
    let machine = Machine {
        instance_type,
        memory_bytes: memory_bytes(snapshot, image, instance_type),
        storage_bytes: if has_local {
            local_bytes
        } else {
            template::pod_storage_bytes(own, image)
        },
        max_pods,
    };
    let disks = i64::try_from(template::block_devices(own, image).len()).unwrap_or(1);
    let estimated = kubelet::allocatable(machine, &settings);
    let allocatable = match stated {
        Some(stated) => as_stated(stated, estimated),
        None => estimated,
    };
    Estimate {
        max_pods,
        capacity: kubelet::capacity(machine).maximum(&allocatable),
        allocatable,
        attach_limits: Arc::new(BTreeMap::from([(
            EBS_DRIVER.into(),
            attachable_volumes(instance_type, disks),
        )])),
    }
}

/// CPU, memory and pods as stated; storage and devices as estimated.
fn as_stated(stated: &Resources, estimated: Resources) -> Resources {
    Resources {
        cpu_millis: stated.cpu_millis,
        memory_bytes: stated.memory_bytes,
        pods: stated.pods,
        ..estimated
    }
}

/// What nodes of this type and image reported, else what was measured elsewhere, else the stated size less a share.
fn memory_bytes(snapshot: &Snapshot, image: &Image, instance_type: &InstanceType) -> i64 {
    let learned = snapshot
        .memory
        .learned_memory_bytes
        .get(&instance_type.name)
        .and_then(|by_image| by_image.get(&image.id));
    let measured = learned.or_else(|| snapshot.measured_memory_bytes.get(&instance_type.name));
    kubelet::memory_seen_bytes(instance_type, measured.copied())
}

/// Slots that interfaces, local disks and the node's own volumes leave, at least one. All interfaces count,
/// because the CNI attaches them as pods come.
fn attachable_volumes(instance_type: &InstanceType, own_volumes: i64) -> i64 {
    let slots = match instance_type.attachment_slots {
        0 if instance_type.hypervisor.as_ref() == "xen" => XEN_SLOTS,
        0 => NITRO_SLOTS,
        stated => stated,
    };
    (slots - instance_type.network_interfaces - instance_type.local_nvme_disks - own_volumes).max(1)
}
