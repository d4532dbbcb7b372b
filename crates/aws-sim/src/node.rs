//! The Node a kubelet registers: identity, labels, taints, capacity and allocatable by the kubelet's
//! and nodeadm's formulas from the memory Linux really sees on the type.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo, Taint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::boot::settings::NodeSettings;
use crate::catalogue::InstanceType;
use crate::state::image::{Family, Image};
use crate::state::instance::Instance;
use crate::state::{LaunchOutcome, World};

/// KWOK leaves Nodes with this label alone, so that they fall silent (or never become Ready).
pub const STOPPED_LABEL: &str = "sim.spotocean.dev/stopped";

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The Node an instance registers with these settings.
pub fn registered(world: &World, instance: &Instance, settings: &NodeSettings) -> Result<Node, String> {
    let found = world
        .catalogue
        .types
        .get(&instance.instance_type)
        .ok_or_else(|| format!("kubelet: unknown machine type {}", instance.instance_type))?;
    let image = world
        .images
        .get(&instance.image_id)
        .ok_or("kubelet: the image is gone")?;
    let max_pods = settings.max_pods.unwrap_or(found.max_pods);
    let capacity = capacity(world, instance, (found, image), settings, max_pods);
    let allocatable = allocatable(&capacity, settings, max_pods)?;
    let is_stopped = instance.outcome == LaunchOutcome::JoinsNotReady;
    let mut labels = labels(world, instance, found, settings);
    if is_stopped {
        labels.insert(STOPPED_LABEL.to_owned(), "true".to_owned());
    }
    Ok(Node {
        metadata: ObjectMeta {
            name: Some(instance.private_dns_name.clone()),
            labels: Some(labels),
            annotations: Some(BTreeMap::from([(
                "kwok.x-k8s.io/node".to_owned(),
                "fake".to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            provider_id: Some(instance.provider_id()),
            taints: Some(taints(settings)),
            ..NodeSpec::default()
        }),
        status: Some(NodeStatus {
            addresses: Some(addresses(instance)),
            capacity: Some(quantities(&capacity)),
            allocatable: Some(quantities(&allocatable)),
            conditions: Some(vec![ready(
                "False",
                "KubeletNotReady",
                "container runtime network not ready",
            )]),
            node_info: Some(system_info(world, instance, image)),
            ..NodeStatus::default()
        }),
    })
}

/// The Ready condition.
pub fn ready(status: &str, reason: &str, message: &str) -> NodeCondition {
    let now = Time(k8s_openapi::jiff::Timestamp::now());
    NodeCondition {
        type_: "Ready".to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_heartbeat_time: Some(now.clone()),
        last_transition_time: Some(now),
    }
}

fn labels(
    world: &World,
    instance: &Instance,
    found: &InstanceType,
    settings: &NodeSettings,
) -> BTreeMap<String, String> {
    let arch = if instance.architecture == "arm64" {
        "arm64"
    } else {
        "amd64"
    };
    let region = world.options.region.as_str();
    let mut labels = settings.labels.clone();
    for (key, value) in [
        ("kubernetes.io/arch", arch),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/hostname", &instance.private_dns_name),
        ("beta.kubernetes.io/arch", arch),
        ("beta.kubernetes.io/os", "linux"),
        ("node.kubernetes.io/instance-type", &found.name),
        ("beta.kubernetes.io/instance-type", &found.name),
        ("topology.kubernetes.io/zone", &instance.zone),
        ("topology.kubernetes.io/region", region),
        ("failure-domain.beta.kubernetes.io/zone", &instance.zone),
        ("failure-domain.beta.kubernetes.io/region", region),
        ("topology.k8s.aws/zone-id", &instance.zone_id),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    labels
}

fn taints(settings: &NodeSettings) -> Vec<Taint> {
    settings
        .taints
        .iter()
        .map(|taint| Taint {
            key: taint.key.clone(),
            value: Some(taint.value.clone()).filter(|value| !value.is_empty()),
            effect: taint.effect.clone(),
            time_added: None,
        })
        .collect()
}

fn addresses(instance: &Instance) -> Vec<NodeAddress> {
    [
        ("InternalIP", instance.address.to_string()),
        ("InternalDNS", instance.private_dns_name.clone()),
        ("Hostname", instance.private_dns_name.clone()),
    ]
    .into_iter()
    .map(|(kind, address)| NodeAddress {
        type_: kind.to_owned(),
        address,
    })
    .collect()
}

fn system_info(world: &World, instance: &Instance, image: &Image) -> NodeSystemInfo {
    let version = image
        .kubernetes_version
        .clone()
        .unwrap_or_else(|| world.eks.version.clone());
    let os_image = match image.family {
        Family::Bottlerocket => "Bottlerocket OS (aws-k8s)",
        Family::Al2023 | Family::Plain => "Amazon Linux 2023",
    };
    NodeSystemInfo {
        architecture: if instance.architecture == "arm64" {
            "arm64"
        } else {
            "amd64"
        }
        .to_owned(),
        operating_system: "linux".to_owned(),
        os_image: os_image.to_owned(),
        kernel_version: "6.12.40".to_owned(),
        container_runtime_version: "containerd://2.1.4".to_owned(),
        kubelet_version: format!("v{version}.0-eks-simulated"),
        machine_id: instance.id.clone(),
        system_uuid: instance.id.clone(),
        boot_id: instance.id.clone(),
        ..NodeSystemInfo::default()
    }
}

/// Resources in their smallest units: cpu in thousandths, the rest in bytes or pieces.
type Amounts = BTreeMap<String, u64>;

fn capacity(
    world: &World,
    instance: &Instance,
    (found, image): (&InstanceType, &Image),
    settings: &NodeSettings,
    max_pods: u32,
) -> Amounts {
    let mut amounts = Amounts::from([
        ("cpu".to_owned(), u64::from(found.vcpu) * 1000),
        ("memory".to_owned(), world.catalogue.os_memory_mib(found) * MIB),
        ("pods".to_owned(), u64::from(max_pods)),
        (
            "ephemeral-storage".to_owned(),
            storage_bytes(instance, found, image, settings),
        ),
    ]);
    // The device plugins are taken to run where the image variant brings the drivers.
    let gpus: u64 = found.gpu.iter().map(|gpu| u64::from(gpu.count)).sum();
    if image.variant == "nvidia" && gpus > 0 {
        amounts.insert("nvidia.com/gpu".to_owned(), gpus);
    }
    let devices: u64 = found.neuron.iter().map(|device| u64::from(device.count)).sum();
    if image.variant == "neuron" && devices > 0 {
        let cores: u64 = found
            .neuron
            .iter()
            .map(|device| u64::from(device.count * device.cores))
            .sum();
        amounts.insert("aws.amazon.com/neuron".to_owned(), devices);
        amounts.insert("aws.amazon.com/neuroncore".to_owned(), cores);
    }
    amounts
}

/// Bottlerocket keeps pods on its second volume, AL2023 on the root, either on bound instance storage if told so.
fn storage_bytes(instance: &Instance, found: &InstanceType, image: &Image, settings: &NodeSettings) -> u64 {
    if settings.uses_instance_storage && found.local_storage_gb() > 0 {
        return found.local_storage_gb() * 1_000_000_000;
    }
    let device = match image.family {
        Family::Bottlerocket => "/dev/xvdb",
        Family::Al2023 | Family::Plain => image.root_device.as_str(),
    };
    let size_gib = instance
        .volumes
        .iter()
        .find(|volume| volume.device == device)
        .map_or(20, |volume| volume.size_gib);
    size_gib * GIB
}

/// Capacity less kube-reserved, system-reserved and hard eviction thresholds (kubelet, node allocatable).
fn allocatable(capacity: &Amounts, settings: &NodeSettings, max_pods: u32) -> Result<Amounts, String> {
    let vcpu = capacity["cpu"] / 1000;
    let kube_reserved = match &settings.kube_reserved {
        Some(given) => reserved(given)?,
        None => default_kube_reserved(vcpu, max_pods),
    };
    let system_reserved = reserved(&settings.system_reserved)?;
    let mut left = capacity.clone();
    for (resource, amount) in &mut left {
        for taken in [&kube_reserved, &system_reserved] {
            *amount = amount.saturating_sub(taken.get(resource).copied().unwrap_or(0));
        }
    }
    for (resource, signal, default) in [
        ("memory", "memory.available", "100Mi"),
        ("ephemeral-storage", "nodefs.available", "10%"),
    ] {
        let threshold = settings
            .eviction_hard
            .as_ref()
            .map_or(Some(default), |given| given.get(signal).map(String::as_str));
        if let (Some(threshold), Some(amount)) = (threshold, left.get_mut(resource)) {
            *amount = amount.saturating_sub(threshold_of(threshold, capacity[resource])?);
        }
    }
    Ok(left)
}

/// nodeadm's and Bottlerocket's reservation: 11 MiB per pod and 255; CPU in falling steps (aws.md 3).
fn default_kube_reserved(vcpu: u64, max_pods: u32) -> Amounts {
    let steps = [(1, 600), (1, 100), (2, 50), (u64::MAX, 25)];
    let mut left = vcpu;
    let mut reserved = 0;
    for (cores, ten_thousandths) in steps {
        let counted = left.min(cores);
        reserved += counted * ten_thousandths;
        left -= counted;
    }
    Amounts::from([
        ("cpu".to_owned(), reserved / 10),
        ("memory".to_owned(), (11 * u64::from(max_pods) + 255) * MIB),
        ("ephemeral-storage".to_owned(), GIB),
    ])
}

fn reserved(given: &BTreeMap<String, String>) -> Result<Amounts, String> {
    given
        .iter()
        .map(|(resource, text)| {
            let unit = if resource == "cpu" { 1000.0 } else { 1.0 };
            let amount = parsed(text)
                .ok_or_else(|| format!("kubelet: invalid quantity '{text}' reserved for {resource}"))?;
            Ok((resource.clone(), (amount * unit) as u64))
        })
        .collect()
}

fn threshold_of(text: &str, capacity: u64) -> Result<u64, String> {
    let invalid = || format!("kubelet: invalid eviction threshold '{text}'");
    match text.strip_suffix('%') {
        Some(percent) => {
            let percent: f64 = percent.parse().map_err(|_| invalid())?;
            Ok((capacity as f64 * percent / 100.0) as u64)
        }
        None => parsed(text).map(|amount| amount as u64).ok_or_else(invalid),
    }
}

/// A Kubernetes quantity as a number.
fn parsed(text: &str) -> Option<f64> {
    let text = text.trim();
    let split = text
        .find(|letter: char| !(letter.is_ascii_digit() || ".-+".contains(letter)))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let factor = match suffix {
        "" => 1.0,
        "m" => 0.001,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => MIB as f64,
        "Gi" => GIB as f64,
        "Ti" => (GIB * 1024) as f64,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

fn quantities(amounts: &Amounts) -> BTreeMap<String, Quantity> {
    amounts
        .iter()
        .map(|(resource, amount)| {
            let text = match resource.as_str() {
                "cpu" if amount % 1000 == 0 => (amount / 1000).to_string(),
                "cpu" => format!("{amount}m"),
                "memory" => format!("{}Ki", amount / 1024),
                _ => amount.to_string(),
            };
            (resource.clone(), Quantity(text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(vcpu: u64, memory_mib: u64) -> Amounts {
        Amounts::from([
            ("cpu".into(), vcpu * 1000),
            ("memory".into(), memory_mib * MIB),
            ("pods".into(), 29),
            ("ephemeral-storage".into(), 20 * GIB),
        ])
    }

    #[test]
    fn cpu_is_reserved_in_falling_steps() {
        for (vcpu, expected_milli) in [(1, 60), (2, 70), (4, 80), (8, 90), (16, 110)] {
            assert_eq!(default_kube_reserved(vcpu, 29)["cpu"], expected_milli, "{vcpu}");
        }
    }

    #[test]
    fn allocatable_by_default_and_as_told() {
        let by_default = allocatable(&amounts(2, 7600), &NodeSettings::default(), 29).expect("valid");
        assert_eq!(by_default["cpu"], 1930);
        assert_eq!(by_default["memory"], (7600 - 255 - 11 * 29 - 100) * MIB);
        assert_eq!(by_default["ephemeral-storage"], 17 * GIB);
        let told = NodeSettings {
            kube_reserved: Some(BTreeMap::from([
                ("cpu".into(), "100m".into()),
                ("memory".into(), "1Gi".into()),
            ])),
            system_reserved: BTreeMap::from([("memory".into(), "512Mi".into())]),
            eviction_hard: Some(BTreeMap::from([("memory.available".into(), "5%".into())])),
            ..NodeSettings::default()
        };
        let found = allocatable(&amounts(2, 8000), &told, 29).expect("valid");
        assert_eq!(
            (found["cpu"], found["memory"]),
            (1900, (8000 - 1024 - 512 - 400) * MIB)
        );
        assert_eq!(found["ephemeral-storage"], 20 * GIB);
    }
}
