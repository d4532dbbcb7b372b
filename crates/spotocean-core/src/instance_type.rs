//! Instance types as EC2 describes them, and the labels nodes of a type carry.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::InstanceTypeName;
use crate::label;
use crate::requirement::Labels;

/// The processor architecture, as `kubernetes.io/arch` names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// x86-64; EC2 says `x86_64`.
    Amd64,
    /// 64-bit ARM; EC2 says `arm64`.
    Arm64,
}

impl Architecture {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Reads EC2's or Kubernetes' word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "x86_64" | "amd64" => Some(Self::Amd64),
            "arm64" => Some(Self::Arm64),
            _ => None,
        }
    }
}

/// An accelerator family on a type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Accelerator {
    /// The extended resource its device plugin registers, such as `nvidia.com/gpu`.
    pub resource: Arc<str>,
    /// The model, lower case with dashes, such as `t4`.
    pub name: Arc<str>,
    /// How many; zero where EC2 sells fractions of one (g6f).
    pub count: i64,
}

/// What EC2 says of one instance type (DescribeInstanceTypes).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceType {
    /// Its name.
    pub name: InstanceTypeName,
    /// Its architecture.
    pub architecture: Architecture,
    /// Virtual CPUs.
    pub vcpus: i64,
    /// Memory in MiB, as EC2 states it; what Linux sees is less (see [`crate::kubelet`]).
    pub memory_mib: i64,
    /// Network interfaces on the default card.
    pub network_interfaces: i64,
    /// IPv4 addresses per interface.
    pub ipv4_per_interface: i64,
    /// Peak network bandwidth in Gbit/s, rounded down.
    pub network_gbps: i64,
    /// Total local NVMe storage in GB; zero for none.
    pub local_nvme_gb: i64,
    /// Number of local NVMe disks.
    pub local_nvme_disks: i64,
    /// Accelerators.
    pub accelerators: Vec<Accelerator>,
    /// `nitro` or `xen`; empty for bare metal.
    pub hypervisor: Arc<str>,
    /// Whether it is bare metal.
    pub is_bare_metal: bool,
    /// Whether its CPU is burstable (t family).
    pub is_burstable: bool,
    /// Whether spot capacity of it is sold.
    pub supports_spot: bool,
    /// EBS volumes and ENIs it can attach in all (Nitro's shared slots); zero when unknown.
    pub attachment_slots: i64,
}

/// The parts of an instance type's name: `m7gd.2xlarge` is category `m`,
/// generation 7, family `m7gd`, size `2xlarge`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameParts<'a> {
    /// Leading letters.
    pub category: &'a str,
    /// The number after them; `None` for names such as `u-6tb1.metal`.
    pub generation: Option<i64>,
    /// Everything before the dot.
    pub family: &'a str,
    /// Everything after the dot.
    pub size: &'a str,
}

/// Splits an instance type's name.
#[must_use]
pub fn name_parts(name: &str) -> NameParts<'_> {
    let (family, size) = name.split_once('.').unwrap_or((name, ""));
    let letters = family
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(family.len());
    let (category, rest) = family.split_at(letters);
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    NameParts {
        category,
        generation: rest[..digits].parse().ok(),
        family,
        size,
    }
}

impl InstanceType {
    /// The labels every node of this type carries, whatever its pool, zone or capacity type.
    #[must_use]
    pub fn labels(&self) -> Labels {
        let parts = name_parts(self.name.as_str());
        let mut labels: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
        let mut put = |key: &str, value: &str| {
            labels.insert(key.into(), value.into());
        };
        put(label::INSTANCE_TYPE, self.name.as_str());
        put(label::ARCH, self.architecture.as_str());
        put(label::OS, "linux");
        put(label::INSTANCE_CATEGORY, parts.category);
        put(label::INSTANCE_FAMILY, parts.family);
        put(label::INSTANCE_SIZE, parts.size);
        put(label::INSTANCE_CPU, &self.vcpus.to_string());
        put(label::INSTANCE_MEMORY, &self.memory_mib.to_string());
        put(label::INSTANCE_NETWORK_GBPS, &self.network_gbps.to_string());
        if let Some(generation) = parts.generation {
            put(label::INSTANCE_GENERATION, &generation.to_string());
        }
        if !self.hypervisor.is_empty() {
            put(label::INSTANCE_HYPERVISOR, &self.hypervisor);
        }
        if self.local_nvme_gb > 0 {
            put(label::INSTANCE_LOCAL_STORAGE, &self.local_nvme_gb.to_string());
        }
        if let Some(accelerator) = self.accelerators.first() {
            put(label::INSTANCE_GPU_NAME, &accelerator.name);
            put(label::INSTANCE_GPU_COUNT, &accelerator.count.to_string());
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_into_their_parts() {
        let rows = [
            ("m7gd.2xlarge", "m", Some(7), "m7gd", "2xlarge"),
            ("c5.large", "c", Some(5), "c5", "large"),
            ("u-6tb1.metal", "u", None, "u-6tb1", "metal"),
            ("x2iezn.metal", "x", Some(2), "x2iezn", "metal"),
            ("trn1n.32xlarge", "trn", Some(1), "trn1n", "32xlarge"),
        ];
        for (name, category, generation, family, size) in rows {
            assert_eq!(
                name_parts(name),
                NameParts {
                    category,
                    generation,
                    family,
                    size
                },
                "{name}"
            );
        }
    }
}
