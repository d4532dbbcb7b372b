//! What a node of a type will report as allocatable, before it exists.
//!
//! Sources: kubelet's node allocatable (capacity − kube-reserved −
//! system-reserved − hard eviction); nodeadm's defaults (amazon-eks-ami 81fec2e:
//! memory 11 MiB × maxPods + 255 MiB; CPU 6 % of the first core, 1 % of the
//! second, 0.5 % of the third and fourth, 0.25 % of the rest; ephemeral 1 Gi;
//! evictionHard memory 100Mi, nodefs 10 %).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::instance_type::InstanceType;
use crate::quantity;
use crate::resources::Resources;

/// Bytes in a MiB.
pub const MIB: i64 = 1 << 20;
/// Bytes in a GiB.
pub const GIB: i64 = 1 << 30;
/// Pods per node where no address limit applies (kubelet's default).
pub const DEFAULT_MAX_PODS: i64 = 110;
/// Share of stated memory assumed lost to the hypervisor and kernel where
/// nothing was measured, in thousandths (Karpenter's VM_MEMORY_OVERHEAD_PERCENT is 0.075).
const UNMEASURED_OVERHEAD_PER_MILLE: i64 = 75;

/// The kubelet settings that change allocatable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KubeletSettings {
    /// Pods per node, where the user fixed it.
    pub max_pods: Option<i64>,
    /// At most this many pods per vCPU.
    pub pods_per_core: Option<i64>,
    /// kube-reserved by resource name, quantities as written; unset names take the family's default.
    pub kube_reserved: BTreeMap<Arc<str>, Arc<str>>,
    /// system-reserved by resource name.
    pub system_reserved: BTreeMap<Arc<str>, Arc<str>>,
    /// Hard eviction thresholds by signal, quantities or percentages.
    pub eviction_hard: BTreeMap<Arc<str>, Arc<str>>,
}

/// How pods get their addresses, as read from the CNI in use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum PodDensity {
    /// aws-node, secondary addresses: interfaces × (addresses − 1) + 2.
    SecondaryAddresses {
        /// Interfaces that pods cannot use: 1 with custom networking.
        reserved_interfaces: i64,
    },
    /// aws-node with prefix delegation: 16 addresses per slot, then AWS's
    /// recommended ceiling of 110 below 30 vCPUs and 250 from there.
    PrefixDelegation {
        /// Interfaces that pods cannot use.
        reserved_interfaces: i64,
    },
    /// Another CNI, or IPv6: kubelet's default.
    Unlimited,
}

/// Pods a node of this type takes.
#[must_use]
pub fn max_pods(instance_type: &InstanceType, settings: &KubeletSettings, density: PodDensity) -> i64 {
    let by_address = match density {
        PodDensity::Unlimited => DEFAULT_MAX_PODS,
        PodDensity::SecondaryAddresses { reserved_interfaces } => {
            (instance_type.network_interfaces - reserved_interfaces).max(0)
                * (instance_type.ipv4_per_interface - 1)
                + 2
        }
        PodDensity::PrefixDelegation { reserved_interfaces } => {
            let interfaces = (instance_type.network_interfaces - reserved_interfaces).max(0);
            let addresses = interfaces * (instance_type.ipv4_per_interface - 1) * 16 + 2;
            addresses.min(if instance_type.vcpus < 30 { 110 } else { 250 })
        }
    };
    let wanted = settings.max_pods.unwrap_or(by_address);
    settings
        .pods_per_core
        .map_or(wanted, |per_core| {
            wanted.min(per_core.saturating_mul(instance_type.vcpus))
        })
        .max(0)
}

/// The memory Linux is expected to see on a type, in bytes: what was measured
/// (`measured_bytes`), else the stated size less 7.5 %.
#[must_use]
pub fn memory_seen_bytes(instance_type: &InstanceType, measured_bytes: Option<i64>) -> i64 {
    let stated = instance_type.memory_mib.saturating_mul(MIB);
    measured_bytes.unwrap_or(stated - stated / 1000 * UNMEASURED_OVERHEAD_PER_MILLE)
}

/// CPU that nodeadm reserves for Kubernetes, in milli-CPU.
#[must_use]
pub fn default_cpu_reserved_millis(vcpus: i64) -> i64 {
    // In hundredths of a milli-CPU, so that 0.25 % of a core stays whole.
    let first = 6_000 * vcpus.clamp(0, 1);
    let second = 1_000 * (vcpus - 1).clamp(0, 1);
    let next_two = 500 * (vcpus - 2).clamp(0, 2);
    let rest = 250 * (vcpus - 4).max(0);
    (first + second + next_two + rest) / 100
}

/// What the machine itself offers.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// Its type.
    pub instance_type: &'a InstanceType,
    /// Memory that Linux sees, in bytes; see [`memory_seen_bytes`].
    pub memory_bytes: i64,
    /// The file system that holds pods' ephemeral storage, in bytes.
    pub storage_bytes: i64,
    /// Pods it takes; see [`max_pods`].
    pub max_pods: i64,
}

/// The node's capacity.
#[must_use]
pub fn capacity(machine: Machine<'_>) -> Resources {
    let extended = machine
        .instance_type
        .accelerators
        .iter()
        .filter(|accelerator| accelerator.count > 0)
        .map(|accelerator| (accelerator.resource.clone(), accelerator.count))
        .collect();
    Resources {
        cpu_millis: machine.instance_type.vcpus.saturating_mul(1000),
        memory_bytes: machine.memory_bytes,
        ephemeral_storage_bytes: machine.storage_bytes,
        pods: machine.max_pods,
        extended,
    }
}

/// The node's allocatable: capacity less reservations and hard eviction thresholds, never below zero.
#[must_use]
pub fn allocatable(machine: Machine<'_>, settings: &KubeletSettings) -> Resources {
    let capacity = capacity(machine);
    let reserved = |name: &str, default: i64| {
        let kube = settings
            .kube_reserved
            .get(name)
            .and_then(|text| amount(name, text))
            .unwrap_or(default);
        let system = settings
            .system_reserved
            .get(name)
            .and_then(|text| amount(name, text))
            .unwrap_or(0);
        kube.saturating_add(system)
    };
    let cpu_reserved = reserved("cpu", default_cpu_reserved_millis(machine.instance_type.vcpus));
    let memory_reserved = reserved("memory", (11 * machine.max_pods + 255) * MIB);
    let storage_reserved = reserved("ephemeral-storage", GIB);
    let memory_evicted = threshold(settings, "memory.available", capacity.memory_bytes, 100 * MIB);
    let storage_evicted = threshold(
        settings,
        "nodefs.available",
        capacity.ephemeral_storage_bytes,
        capacity.ephemeral_storage_bytes / 10,
    );
    Resources {
        cpu_millis: (capacity.cpu_millis - cpu_reserved).max(0),
        memory_bytes: (capacity.memory_bytes - memory_reserved - memory_evicted).max(0),
        ephemeral_storage_bytes: (capacity.ephemeral_storage_bytes - storage_reserved - storage_evicted)
            .max(0),
        ..capacity
    }
}

fn amount(name: &str, text: &str) -> Option<i64> {
    if name == "cpu" {
        quantity::parse_milli(text).ok()
    } else {
        quantity::parse_units(text).ok()
    }
}

fn threshold(settings: &KubeletSettings, signal: &str, capacity: i64, default: i64) -> i64 {
    let Some(text) = settings.eviction_hard.get(signal) else {
        return default;
    };
    match text.strip_suffix('%') {
        // Kubelet multiplies a percentage with capacity and keeps whole bytes.
        Some(percent) => percent
            .parse::<i64>()
            .map_or(default, |percent| capacity / 100 * percent.clamp(0, 100)),
        None => quantity::parse_units(text).unwrap_or(default),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance_type::Architecture;

    fn m5_large() -> InstanceType {
        InstanceType {
            name: "m5.large".into(),
            architecture: Architecture::Amd64,
            vcpus: 2,
            memory_mib: 8192,
            network_interfaces: 3,
            ipv4_per_interface: 10,
            network_gbps: 10,
            local_nvme_gb: 0,
            local_nvme_disks: 0,
            accelerators: vec![],
            hypervisor: "nitro".into(),
            is_bare_metal: false,
            is_burstable: false,
            supports_spot: true,
            attachment_slots: 28,
        }
    }

    #[test]
    fn pod_density_follows_the_cni() {
        let settings = KubeletSettings::default();
        let rows = [
            (
                PodDensity::SecondaryAddresses {
                    reserved_interfaces: 0,
                },
                29,
            ),
            (
                PodDensity::SecondaryAddresses {
                    reserved_interfaces: 1,
                },
                20,
            ),
            (
                PodDensity::PrefixDelegation {
                    reserved_interfaces: 0,
                },
                110,
            ),
            (PodDensity::Unlimited, 110),
        ];
        for (density, expected) in rows {
            assert_eq!(max_pods(&m5_large(), &settings, density), expected, "{density:?}");
        }
        let fixed = KubeletSettings {
            max_pods: Some(58),
            pods_per_core: Some(20),
            ..settings
        };
        assert_eq!(
            max_pods(&m5_large(), &fixed, PodDensity::Unlimited),
            40,
            "podsPerCore × vCPU is a ceiling"
        );
    }

    #[test]
    fn reserved_cpu_is_nodeadms_table() {
        for (vcpus, expected) in [(1, 60), (2, 70), (4, 80), (8, 90), (16, 110), (0, 0)] {
            assert_eq!(default_cpu_reserved_millis(vcpus), expected, "{vcpus} vCPU");
        }
    }

    #[test]
    fn allocatable_of_an_m5_large() {
        let machine = Machine {
            instance_type: &m5_large(),
            memory_bytes: 7600 * MIB,
            storage_bytes: 20 * GIB,
            max_pods: 29,
        };
        let allocatable = allocatable(machine, &KubeletSettings::default());
        assert_eq!(allocatable.cpu_millis, 1930);
        assert_eq!(allocatable.memory_bytes, (7600 - (11 * 29 + 255) - 100) * MIB);
        assert_eq!(allocatable.ephemeral_storage_bytes, 20 * GIB - GIB - 2 * GIB);
        assert_eq!(allocatable.pods, 29);
    }

    #[test]
    fn the_users_reservations_replace_the_defaults() {
        let settings = KubeletSettings {
            kube_reserved: BTreeMap::from([("memory".into(), "1Gi".into()), ("cpu".into(), "100m".into())]),
            system_reserved: BTreeMap::from([("cpu".into(), "50m".into())]),
            eviction_hard: BTreeMap::from([("memory.available".into(), "5%".into())]),
            ..KubeletSettings::default()
        };
        let machine = Machine {
            instance_type: &m5_large(),
            memory_bytes: 8000 * MIB,
            storage_bytes: 20 * GIB,
            max_pods: 29,
        };
        let allocatable = allocatable(machine, &settings);
        assert_eq!(allocatable.cpu_millis, 2000 - 150);
        assert_eq!(allocatable.memory_bytes, 8000 * MIB - GIB - 400 * MIB);
    }
}
