//! Launch templates: their content, and the name that follows from it.
//!
//! A template is never changed. Other content is another name, so a stored
//! request that names a template means the same for ever.

use std::collections::BTreeMap;
use std::sync::Arc;

use spotocean_api::template::{
    BlockDevice as ApiBlockDevice, HttpTokens, ImageFamily, MetadataEndpoint, Monitoring, Template,
    VolumeType,
};
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::ImageId;
use spotocean_core::instance::{TAG_CLUSTER_UID, TAG_OCEAN, TAG_OCEAN_UID, TAG_POOL};
use spotocean_core::kubelet::GIB;
use spotocean_core::label::TAG_PREFIX;
use spotocean_core::launch::{BlockDevice, LaunchTemplate, MetadataOptions};
use spotocean_core::port::Image;
use spotocean_core::quantity::parse_units;
use spotocean_core::taint::Taint;

use crate::bootstrap::{Bootstrap, BootstrapError, unregistered_taint, user_data};
use crate::digest::hexadecimal;
use crate::pool::{PoolView, ocean_uid};
use crate::snapshot::Snapshot;
use crate::vocabulary;
use crate::world::resolve::ResolvedPool;

/// Root volume where nothing else is said, in GiB (EKS AL2023 images and Karpenter's default).
pub const DEFAULT_VOLUME_GIB: i32 = 20;
/// Bottlerocket's own root volume, in GiB; pods' data is on the second one.
const BOTTLEROCKET_ROOT_GIB: i32 = 4;
/// The root device of AL2023 and Bottlerocket.
const ROOT_DEVICE: &str = "/dev/xvda";
/// What EC2's console shows as an instance's name.
const NAME_TAG: &str = "Name";
/// Bottlerocket's data volume.
pub const BOTTLEROCKET_DATA_DEVICE: &str = "/dev/xvdb";

/// The template of a pool for one image, capacity type and pod density.
///
/// # Errors
/// When user data cannot be made.
pub fn launch_template(
    snapshot: &Snapshot,
    pool: &PoolView,
    resolved: &ResolvedPool,
    image: &Image,
    capacity_type: CapacityType,
    max_pods: i64,
) -> Result<LaunchTemplate, BootstrapError> {
    let template = &pool.effective.template;
    let own: Vec<&str> = [&template.user_data, &pool.effective.pool_user_data]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let user_data = user_data(&Bootstrap {
        family: template.image.family,
        cluster: &resolved.cluster,
        kubelet: &template.kubelet,
        max_pods,
        labels: &pool.labels(capacity_type),
        taints: &starting_taints(pool),
        instance_store: template.instance_store,
        own: &own,
    })?;
    let content = LaunchTemplate {
        name: "".into(),
        capacity_type,
        image: ImageId(image.id.0.clone()),
        instance_profile: resolved.instance_profile.clone(),
        security_groups: resolved
            .security_groups
            .iter()
            .map(|group| group.0.clone())
            .collect(),
        user_data: user_data.into(),
        block_devices: block_devices(template, image),
        metadata: metadata(template),
        detailed_monitoring: template.monitoring == Monitoring::Detailed,
        public_ip: template.public_ip,
        key_pair: template.key_pair.as_deref().map(Arc::from),
        tags: tags(snapshot, pool),
    };
    Ok(named(&resolved.cluster.name, content))
}

/// `spotocean-<cluster>-<hash>`: at most 127 characters, EC2 allows 128.
fn named(cluster: &str, content: LaunchTemplate) -> LaunchTemplate {
    LaunchTemplate {
        name: format!("spotocean-{cluster}-{}", hexadecimal(&content, 16)).into(),
        ..content
    }
}

/// Taints a node starts with: the pool's, its startup taints, and ours until the node is labelled.
#[must_use]
pub fn starting_taints(pool: &PoolView) -> Vec<Taint> {
    let own = pool.pool.taints.iter().chain(&pool.pool.startup_taints);
    own.map(vocabulary::taint).chain([unregistered_taint()]).collect()
}

/// Tags of everything the pool makes: the user's, the cluster's and ours.
#[must_use]
pub fn tags(snapshot: &Snapshot, pool: &PoolView) -> BTreeMap<Arc<str>, Arc<str>> {
    let cluster = pool.ocean.spec.cluster.name.as_str();
    let mut tags = vocabulary::labels(&pool.effective.template.tags);
    tags.retain(|key, _| !key.starts_with(TAG_PREFIX));
    if !tags.keys().any(|key| key.eq_ignore_ascii_case(NAME_TAG)) {
        tags.insert(NAME_TAG.into(), format!("{cluster}/{}", pool.key).into());
    }
    let mut put = |key: &str, value: &str| tags.insert(key.into(), value.into());
    put(TAG_CLUSTER_UID, snapshot.cluster_uid.as_str());
    put(TAG_OCEAN_UID, ocean_uid(&pool.ocean).as_str());
    put(TAG_OCEAN, pool.key.ocean.as_str());
    put(TAG_POOL, pool.key.pool.as_str());
    put(&format!("kubernetes.io/cluster/{cluster}"), "owned");
    put("eks:eks-cluster-name", cluster);
    tags
}

/// Two tag keys that differ only in case. EC2 keeps them apart; IAM conditions read them as one (IAM User Guide),
/// so that no policy could tell what it allows.
#[must_use]
pub fn keys_alike(tags: &BTreeMap<Arc<str>, Arc<str>>) -> Option<(&str, &str)> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    tags.keys().find_map(|key| {
        let first = seen.insert(key.to_ascii_lowercase(), key)?;
        Some((first, key.as_ref()))
    })
}

fn metadata(template: &Template) -> MetadataOptions {
    let endpoint = |endpoint| match endpoint {
        MetadataEndpoint::Enabled => "enabled",
        MetadataEndpoint::Disabled => "disabled",
    };
    let options = template.metadata;
    MetadataOptions {
        http_tokens: match options.http_tokens {
            HttpTokens::Required => "required".into(),
            HttpTokens::Optional => "optional".into(),
        },
        http_put_response_hop_limit: i32::try_from(options.http_put_response_hop_limit).unwrap_or(64),
        http_endpoint: endpoint(options.http_endpoint).into(),
        http_protocol_ipv6: endpoint(options.http_protocol_ipv6).into(),
    }
}

/// The disks of a launch: the pool's, else the family's own with an encrypted gp3 root.
#[must_use]
pub fn block_devices(template: &Template, image: &Image) -> Vec<BlockDevice> {
    if !template.block_devices.is_empty() {
        return template.block_devices.iter().map(block_device).collect();
    }
    let disk = |device: &str, gib: i32| BlockDevice {
        device_name: device.into(),
        size_gib: Some(
            gib.max(
                image
                    .root_volume_gib
                    .filter(|_| device == root_device(image))
                    .unwrap_or(0),
            ),
        ),
        volume_type: Some("gp3".into()),
        encrypted: Some(true),
        delete_on_termination: Some(true),
        ..BlockDevice::default()
    };
    match template.image.family {
        ImageFamily::Bottlerocket => vec![
            disk(ROOT_DEVICE, BOTTLEROCKET_ROOT_GIB),
            disk(BOTTLEROCKET_DATA_DEVICE, DEFAULT_VOLUME_GIB),
        ],
        ImageFamily::AL2023 | ImageFamily::Custom => vec![disk(root_device(image), DEFAULT_VOLUME_GIB)],
    }
}

fn root_device(image: &Image) -> &str {
    if image.root_device.is_empty() {
        ROOT_DEVICE
    } else {
        &image.root_device
    }
}

fn block_device(device: &ApiBlockDevice) -> BlockDevice {
    let ebs = &device.ebs;
    let whole = |number: Option<u32>| number.and_then(|number| i32::try_from(number).ok());
    BlockDevice {
        device_name: device.device_name.as_str().into(),
        size_gib: ebs.volume_size.as_ref().and_then(|size| gib(&size.0)),
        volume_type: Some(ebs.volume_type.unwrap_or(VolumeType::Gp3).as_str().into()),
        iops: whole(ebs.iops),
        throughput_mibps: whole(ebs.throughput),
        encrypted: Some(ebs.encrypted.unwrap_or(true)),
        kms_key_id: ebs.kms_key_id.as_deref().map(Arc::from),
        snapshot_id: ebs.snapshot_id.as_deref().map(Arc::from),
        delete_on_termination: Some(ebs.delete_on_termination.unwrap_or(true)),
    }
}

/// Whole GiB, rounded up.
fn gib(text: &str) -> Option<i32> {
    let bytes = parse_units(text).ok()?;
    i32::try_from((bytes + GIB - 1) / GIB).ok()
}

/// Bytes of the disk that holds pods' ephemeral storage, where local disks do not.
#[must_use]
pub fn pod_storage_bytes(template: &Template, image: &Image) -> i64 {
    let devices = block_devices(template, image);
    let data = match template.image.family {
        ImageFamily::Bottlerocket => BOTTLEROCKET_DATA_DEVICE,
        ImageFamily::AL2023 | ImageFamily::Custom => root_device(image),
    };
    let marked = template
        .block_devices
        .iter()
        .find(|device| device.root_volume == Some(true) && template.image.family != ImageFamily::Bottlerocket)
        .map(|device| device.device_name.as_str());
    let wanted = marked.unwrap_or(data);
    let gib = devices
        .iter()
        .find(|device| device.device_name.as_ref() == wanted)
        .and_then(|device| device.size_gib)
        .or(image.root_volume_gib)
        .unwrap_or(DEFAULT_VOLUME_GIB);
    i64::from(gib) * GIB
}

#[cfg(test)]
mod tests;
