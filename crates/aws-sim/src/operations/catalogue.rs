//! DescribeInstanceTypes and DescribeInstanceTypeOfferings.

use crate::catalogue::InstanceType;
use crate::filter::Filters;
use crate::operations::{Answer, listed, paging};
use crate::state::World;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::{Element, item};

const TYPES_PER_CALL_MAX: usize = 100;

/// DescribeInstanceTypes: pages of 5 to 100, or up to 100 named types.
pub fn describe_instance_types(world: &mut World, params: &Params) -> Answer {
    let names = params.texts("InstanceType");
    let filters = Filters::parse(params)?;
    filters.check(&[
        "auto-recovery-supported",
        "bare-metal",
        "burstable-performance-supported",
        "current-generation",
        "ebs-info.ebs-optimized-support",
        "hypervisor",
        "instance-storage-supported",
        "instance-type",
        "memory-info.size-in-mib",
        "network-info.efa-supported",
        "network-info.maximum-network-interfaces",
        "network-info.ipv4-addresses-per-interface",
        "processor-info.supported-architecture",
        "supported-root-device-type",
        "supported-usage-class",
        "supported-virtualization-type",
        "vcpu-info.default-vcpus",
    ])?;
    if names.len() > TYPES_PER_CALL_MAX {
        return Err(ApiError::invalid_value(format!(
            "At most {TYPES_PER_CALL_MAX} instance types can be named per call."
        )));
    }
    let unknown: Vec<&str> = names
        .iter()
        .filter(|name| !world.catalogue.types.contains_key(*name))
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        return Err(ApiError::client(
            "InvalidInstanceType",
            format!(
                "The following supplied instance types do not exist: [{}]",
                unknown.join(", ")
            ),
        ));
    }
    if !names.is_empty() && params.text("MaxResults").is_some() {
        return Err(ApiError::invalid_combination(
            "You can't specify the parameter MaxResults together with InstanceTypes.",
        ));
    }
    let paging = paging(params, (5, 100))?.or_size(100);
    let keyed = world
        .catalogue
        .types
        .values()
        .filter(|found| !paging.is_past(&found.name))
        .filter(|found| names.is_empty() || names.contains(&found.name))
        .filter(|found| filters.accept(None, |filter| values(found, filter)))
        .map(|found| (found.name.clone(), described(found)));
    let (page, next) = paging.page(keyed);
    Ok(listed("instanceTypeSet", page, next))
}

fn usage_classes(found: &InstanceType) -> Vec<String> {
    let mut classes = vec!["on-demand".to_owned()];
    if found.spot {
        classes.push("spot".to_owned());
    }
    if found.cap_block {
        classes.push("capacity-block".to_owned());
    }
    classes
}

fn values(found: &InstanceType, filter: &str) -> Vec<String> {
    let value = match filter {
        "bare-metal" => found.metal.to_string(),
        "burstable-performance-supported" => found.burst.to_string(),
        "current-generation" => found.cur.to_string(),
        "hypervisor" => return found.hyp.clone().into_iter().collect(),
        "instance-storage-supported" => (found.local_storage_gb() > 0).to_string(),
        "instance-type" => found.name.clone(),
        "memory-info.size-in-mib" => found.mem_mib.to_string(),
        "network-info.efa-supported" => found.efa.is_some().to_string(),
        "network-info.maximum-network-interfaces" => found.eni_all.unwrap_or(found.eni).to_string(),
        "network-info.ipv4-addresses-per-interface" => found.ipv4.to_string(),
        "processor-info.supported-architecture" => return found.arch.clone(),
        "supported-root-device-type" => "ebs".to_owned(),
        "supported-usage-class" => return usage_classes(found),
        "supported-virtualization-type" => return found.virt.clone(),
        "vcpu-info.default-vcpus" => found.vcpu.to_string(),
        "auto-recovery-supported" => (found.local_storage_gb() == 0).to_string(),
        _ => "default".to_owned(),
    };
    vec![value]
}

fn described(found: &InstanceType) -> Element {
    let element = Element::new("item")
        .field("instanceType", &found.name)
        .field("currentGeneration", found.cur)
        .field("freeTierEligible", false)
        .with(Element::list(
            "supportedUsageClasses",
            usage_classes(found).iter().map(item),
        ))
        .with(Element::list("supportedRootDeviceTypes", [item("ebs")]))
        .with(Element::list(
            "supportedVirtualizationTypes",
            found.virt.iter().map(item),
        ))
        .field("bareMetal", found.metal)
        .maybe("hypervisor", found.hyp.as_ref())
        .with(processor(found))
        .with(vcpus(found))
        .with(Element::new("memoryInfo").field("sizeInMiB", found.mem_mib))
        .field("instanceStorageSupported", found.local_storage_gb() > 0);
    accelerators(storage(element, found), found)
        .with(network(found))
        .field("hibernationSupported", false)
        .field("burstablePerformanceSupported", found.burst)
        .field("dedicatedHostsSupported", true)
        .field("autoRecoverySupported", found.local_storage_gb() == 0)
}

fn processor(found: &InstanceType) -> Element {
    Element::new("processorInfo")
        .with(Element::list(
            "supportedArchitectures",
            found.arch.iter().map(item),
        ))
        .field("manufacturer", &found.cpu)
}

fn vcpus(found: &InstanceType) -> Element {
    // Graviton and the 7th AMD generation have one thread per core.
    let one_thread = found.cpu == "AWS" || (found.cpu == "AMD" && found.family().contains(['7', '8']));
    let threads = if one_thread || found.vcpu == 1 { 1 } else { 2 };
    Element::new("vCpuInfo")
        .field("defaultVCpus", found.vcpu)
        .field("defaultCores", found.vcpu / threads)
        .field("defaultThreadsPerCore", threads)
}

fn storage(element: Element, found: &InstanceType) -> Element {
    let element = match &found.disks {
        Some((count, kind)) => {
            let size_gb = found.local_storage_gb() / u64::from((*count).max(1));
            let disk = Element::new("item")
                .field("sizeInGB", size_gb)
                .field("count", count)
                .field("type", kind);
            let info = Element::new("instanceStorageInfo")
                .field("totalSizeInGB", found.local_storage_gb())
                .with(Element::list("disks", [disk]))
                .field(
                    "nvmeSupport",
                    if found.nvme_gb.is_some() {
                        "required"
                    } else {
                        "unsupported"
                    },
                )
                .field(
                    "encryptionSupport",
                    if found.nvme_gb.is_some() {
                        "required"
                    } else {
                        "unsupported"
                    },
                );
            element.with(info)
        }
        None => element,
    };
    let mut ebs = Element::new("ebsInfo")
        .field("ebsOptimizedSupport", "default")
        .field("encryptionSupport", "supported");
    if let Some((baseline, maximum)) = found.ebs_mbps {
        ebs = ebs.with(
            Element::new("ebsOptimizedInfo")
                .field("baselineBandwidthInMbps", baseline)
                .field("baselineThroughputInMBps", f64::from(baseline) / 8.0)
                .field("maximumBandwidthInMbps", maximum)
                .field("maximumThroughputInMBps", f64::from(maximum) / 8.0),
        );
    }
    element.with(ebs.field(
        "nvmeSupport",
        if found.hyp.as_deref() == Some("xen") {
            "unsupported"
        } else {
            "required"
        },
    ))
}

fn accelerators(element: Element, found: &InstanceType) -> Element {
    let memory = |mib: u64| Element::new("memoryInfo").field("sizeInMiB", mib);
    let mut element = element;
    if !found.gpu.is_empty() {
        let gpus = found.gpu.iter().map(|gpu| {
            Element::new("item")
                .field("name", &gpu.name)
                .field("manufacturer", &gpu.manufacturer)
                .field("count", gpu.count)
                .with(memory(gpu.mem_mib))
        });
        let total: u64 = found
            .gpu
            .iter()
            .map(|gpu| gpu.mem_mib * u64::from(gpu.count.max(1)))
            .sum();
        element = element.with(
            Element::new("gpuInfo")
                .with(Element::list("gpus", gpus))
                .field("totalGpuMemoryInMiB", total),
        );
    }
    if !found.neuron.is_empty() {
        let devices = found.neuron.iter().map(|device| {
            Element::new("item")
                .field("name", &device.name)
                .field("count", device.count)
                .with(
                    Element::new("coreInfo")
                        .field("count", device.cores)
                        .field("version", 2),
                )
                .with(memory(device.mem_mib))
        });
        let total: u64 = found
            .neuron
            .iter()
            .map(|device| device.mem_mib * u64::from(device.count))
            .sum();
        element = element.with(
            Element::new("neuronInfo")
                .with(Element::list("neuronDevices", devices))
                .field("totalNeuronDeviceMemoryInMiB", total),
        );
    }
    element
}

fn network(found: &InstanceType) -> Element {
    let cards = found.net_cards.unwrap_or(1);
    let (baseline, peak) = found.net_gbps;
    let rest = found.eni_all.unwrap_or(found.eni).saturating_sub(found.eni);
    let described_cards = (0..cards).map(|index| {
        let interfaces = if index == 0 {
            found.eni
        } else {
            rest / (cards - 1).max(1)
        };
        Element::new("item")
            .field("networkCardIndex", index)
            .field(
                "networkPerformance",
                format!("{} Gigabit", peak / f64::from(cards)),
            )
            .field("maximumNetworkInterfaces", interfaces)
            .field("baselineBandwidthInGbps", baseline / f64::from(cards))
            .field("peakBandwidthInGbps", peak / f64::from(cards))
    });
    let info = Element::new("networkInfo")
        .field("networkPerformance", format!("{peak} Gigabit"))
        .field("maximumNetworkInterfaces", found.eni_all.unwrap_or(found.eni))
        .field("maximumNetworkCards", cards)
        .field("defaultNetworkCardIndex", 0)
        .with(Element::list("networkCards", described_cards))
        .field("ipv4AddressesPerInterface", found.ipv4)
        .field("ipv6AddressesPerInterface", found.ipv4)
        .field("ipv6Supported", true)
        .field(
            "enaSupport",
            if found.hyp.as_deref() == Some("xen") {
                "supported"
            } else {
                "required"
            },
        )
        .field("efaSupported", found.efa.is_some());
    match found.efa {
        Some(count) => info.with(Element::new("efaInfo").field("maximumEfaInterfaces", count)),
        None => info,
    }
}

/// DescribeInstanceTypeOfferings by region, availability-zone or availability-zone-id.
pub fn describe_offerings(world: &mut World, params: &Params) -> Answer {
    let location_type = params.text("LocationType").unwrap_or("region").to_owned();
    let filters = Filters::parse(params)?;
    filters.check(&["location", "instance-type"])?;
    let locations: Vec<(String, Option<String>)> = match location_type.as_str() {
        "region" => vec![(world.options.region.clone(), None)],
        "availability-zone" => world
            .catalogue
            .zones
            .iter()
            .map(|zone| (zone.name.clone(), Some(zone.id.clone())))
            .collect(),
        "availability-zone-id" => world
            .catalogue
            .zones
            .iter()
            .map(|zone| (zone.id.clone(), Some(zone.id.clone())))
            .collect(),
        other => {
            return Err(ApiError::invalid_value(format!(
                "Invalid value '{other}' for LocationType."
            )));
        }
    };
    let mut keyed = Vec::new();
    for found in world.catalogue.types.values() {
        for (location, zone_id) in &locations {
            let is_offered = zone_id.as_ref().is_none_or(|zone_id| found.offered_in(zone_id));
            let is_wanted = filters.accept(None, |filter| {
                vec![if filter == "location" {
                    location.clone()
                } else {
                    found.name.clone()
                }]
            });
            if is_offered && is_wanted {
                let element = Element::new("item")
                    .field("instanceType", &found.name)
                    .field("locationType", &location_type)
                    .field("location", location);
                keyed.push((format!("{}/{location}", found.name), element));
            }
        }
    }
    keyed.sort_by(|left, right| left.0.cmp(&right.0));
    let (page, next) = paging(params, (5, 1000))?.or_size(1000).page(keyed);
    Ok(listed("instanceTypeOfferingSet", page, next))
}
