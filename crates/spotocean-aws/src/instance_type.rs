//! Instance types as DescribeInstanceTypes states them.
//!
//! Types that Linux nodes cannot run on (Mac, 32-bit only, paravirtual) are left out.

use aws_sdk_ec2::operation::describe_instance_types::builders::DescribeInstanceTypesInputBuilder;
use aws_sdk_ec2::types::{
    AttachmentLimitType, DiskInfo, EbsInfo, EphemeralNvmeSupport, GpuInfo, InstanceStorageInfo,
    InstanceTypeHypervisor, InstanceTypeInfo, NetworkCardInfo, NetworkInfo, NeuronDeviceCoreInfo, NeuronInfo,
    UsageClassType, VirtualizationType,
};
use spotocean_core::instance_type::{Accelerator, Architecture, InstanceType};
use spotocean_core::port::CloudError;

use crate::client::AwsCloud;
use crate::page::{self, Page};
use crate::throttle::Action;

const DESCRIBE: Action = Action::read("DescribeInstanceTypes");
/// EC2's largest page of instance types.
const PAGE_SIZE: i32 = 100;
/// What most Nitro types attach in all: EBS volumes, network interfaces and
/// NVMe disks together (EC2 User Guide, "Amazon EBS volume limits").
const NITRO_SHARED_SLOTS: i64 = 28;
/// EBS volumes on Xen, where more than 40 can keep Linux from booting (the same page).
const XEN_VOLUMES: i64 = 40;

/// Every instance type of the region, sorted by name.
pub(crate) async fn all(cloud: &AwsCloud) -> Result<Vec<InstanceType>, CloudError> {
    let described = page::every(|token| async move {
        let request = DescribeInstanceTypesInputBuilder::default()
            .max_results(PAGE_SIZE)
            .set_next_token(token);
        let answer = cloud.call(DESCRIBE, request.send_with(&cloud.ec2)).await?;
        Ok(Page {
            items: answer.instance_types.unwrap_or_default(),
            next: answer.next_token,
        })
    });
    let mut types: Vec<_> = described.await?.iter().filter_map(read).collect();
    types.sort();
    Ok(types)
}

fn read(info: &InstanceTypeInfo) -> Option<InstanceType> {
    let network = info.network_info()?;
    let (local_nvme_gb, local_nvme_disks) = info.instance_storage_info().map_or((0, 0), local_nvme);
    let network_interfaces = default_card_interfaces(network)?;
    let is_hvm = info.supported_virtualization_types().is_empty()
        || info
            .supported_virtualization_types()
            .contains(&VirtualizationType::Hvm);
    Some(InstanceType {
        name: info.instance_type().filter(|_| is_hvm)?.as_str().into(),
        architecture: architecture(info)?,
        vcpus: i64::from(info.v_cpu_info()?.default_v_cpus()?),
        memory_mib: info.memory_info()?.size_in_mib()?,
        network_interfaces,
        ipv4_per_interface: i64::from(network.ipv4_addresses_per_interface()?),
        network_gbps: peak_gbps(network),
        local_nvme_gb,
        local_nvme_disks,
        accelerators: accelerators(info),
        hypervisor: info
            .hypervisor()
            .map(InstanceTypeHypervisor::as_str)
            .unwrap_or_default()
            .into(),
        is_bare_metal: info.bare_metal().unwrap_or_default(),
        is_burstable: info.burstable_performance_supported().unwrap_or_default(),
        supports_spot: info.supported_usage_classes().contains(&UsageClassType::Spot),
        attachment_slots: attachment_slots(info, network_interfaces, local_nvme_disks),
    })
}

/// The architecture that our images are made for; old types list i386 beside x86_64, Macs have words of their own.
fn architecture(info: &InstanceTypeInfo) -> Option<Architecture> {
    info.processor_info()?
        .supported_architectures()
        .iter()
        .find_map(|name| Architecture::parse(name.as_str()))
}

/// The VPC CNI uses the default card alone.
fn default_card_interfaces(network: &NetworkInfo) -> Option<i64> {
    let default_card = network.default_network_card_index().unwrap_or(0);
    network
        .network_cards()
        .iter()
        .find(|card| card.network_card_index() == Some(default_card))
        .and_then(NetworkCardInfo::maximum_network_interfaces)
        .or(network.maximum_network_interfaces())
        .map(i64::from)
}

/// Peak bandwidth over all cards; old types have only a phrase such as `Up to 10 Gigabit`.
fn peak_gbps(network: &NetworkInfo) -> i64 {
    let peaks: Vec<f64> = network
        .network_cards()
        .iter()
        .filter_map(NetworkCardInfo::peak_bandwidth_in_gbps)
        .collect();
    let stated = || {
        let words = network.network_performance().unwrap_or_default();
        words
            .split(' ')
            .find_map(|word| word.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    let gbps = if peaks.is_empty() {
        stated()
    } else {
        peaks.iter().sum()
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "bandwidths are small, and rounded down on purpose"
    )]
    let whole = gbps as i64;
    whole
}

/// Size in GB and number of local NVMe disks; Xen's other disks do not count.
fn local_nvme(storage: &InstanceStorageInfo) -> (i64, i64) {
    let is_nvme = storage
        .nvme_support()
        .is_some_and(|support| *support != EphemeralNvmeSupport::Unsupported);
    if !is_nvme {
        return (0, 0);
    }
    let disks = storage
        .disks()
        .iter()
        .filter_map(DiskInfo::count)
        .map(i64::from)
        .sum();
    (storage.total_size_in_gb().unwrap_or(0), disks)
}

fn accelerators(info: &InstanceTypeInfo) -> Vec<Accelerator> {
    let gpus = info.gpu_info().map(gpus).unwrap_or_default();
    let neurons = info.neuron_info().map(neurons).unwrap_or_default();
    gpus.into_iter().chain(neurons).collect()
}

/// The resource is the one the maker's device plugin registers; a maker without a known plugin gives no resource.
fn gpus(info: &GpuInfo) -> Vec<Accelerator> {
    info.gpus()
        .iter()
        .filter_map(|gpu| {
            let resource = match gpu.manufacturer()?.to_ascii_lowercase().as_str() {
                "nvidia" => "nvidia.com/gpu",
                "amd" => "amd.com/gpu",
                "habana" => "habana.ai/gaudi",
                _ => return None,
            };
            Some(Accelerator {
                resource: resource.into(),
                name: gpu
                    .name()
                    .unwrap_or_default()
                    .to_ascii_lowercase()
                    .replace(' ', "-")
                    .into(),
                count: i64::from(gpu.count().unwrap_or(0)),
            })
        })
        .collect()
}

/// The Neuron device plugin registers devices and their cores.
fn neurons(info: &NeuronInfo) -> Vec<Accelerator> {
    info.neuron_devices()
        .iter()
        .flat_map(|device| {
            let devices = i64::from(device.count().unwrap_or(0));
            let cores = device
                .core_info()
                .and_then(NeuronDeviceCoreInfo::count)
                .unwrap_or(0);
            let accelerator = |resource: &str, count| Accelerator {
                resource: resource.into(),
                name: device.name().unwrap_or_default().to_ascii_lowercase().into(),
                count,
            };
            [
                accelerator("aws.amazon.com/neuron", devices),
                accelerator("aws.amazon.com/neuroncore", devices * i64::from(cores)),
            ]
        })
        .collect()
}

/// Attachments in all, such that what is left after interfaces and NVMe disks
/// is what EBS volumes (the root one included) may take.
///
/// EC2 states the limit per type (EbsInfo); where it does not, Nitro's shared
/// 28 holds for every Nitro type and bare metal, or is below what they have.
fn attachment_slots(info: &InstanceTypeInfo, network_interfaces: i64, local_nvme_disks: i64) -> i64 {
    let ebs = info.ebs_info();
    let stated = ebs.and_then(EbsInfo::maximum_ebs_attachments).map(i64::from);
    let is_dedicated =
        ebs.and_then(|ebs| ebs.attachment_limit_type()) == Some(&AttachmentLimitType::Dedicated);
    let is_xen = info.hypervisor().is_some_and(|name| name.as_str() == "xen");
    let beside_others = network_interfaces + local_nvme_disks;
    match stated {
        Some(volumes) if is_dedicated => volumes + beside_others,
        _ if is_xen => stated.unwrap_or(XEN_VOLUMES) + beside_others,
        Some(shared) => shared.min(NITRO_SHARED_SLOTS),
        None => NITRO_SHARED_SLOTS,
    }
}

#[cfg(test)]
mod tests;
