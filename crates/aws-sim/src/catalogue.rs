//! The facts about instance types that AWS publishes: sizes, zones, on-demand prices, advisor
//! figures and the memory Linux was measured to see. It does not know what is free or what spot costs.

use std::collections::BTreeMap;

use serde::Deserialize;

const TYPES: &str = include_str!("../data/ec2_catalogue.json");
const ADVISOR: &str = include_str!("../data/spot_advisor.json");
const PERFORMANCE: &str = include_str!("../data/instance_performance.json");

/// A GPU model in an instance type.
#[derive(Debug, Clone, Deserialize)]
pub struct Gpu {
    /// Manufacturer, as EC2 names it.
    #[serde(rename = "mfr")]
    pub manufacturer: String,
    /// Model name.
    pub name: String,
    /// How many; 0 for types with a fraction of one (g6f).
    pub count: u32,
    /// Memory of one, in MiB.
    #[serde(default)]
    pub mem_mib: u64,
}

/// A Neuron device (Inferentia, Trainium) in an instance type.
#[derive(Debug, Clone, Deserialize)]
pub struct Neuron {
    /// Model name.
    pub name: String,
    /// How many.
    pub count: u32,
    /// Cores of one.
    pub cores: u32,
    /// Memory of one, in MiB.
    #[serde(default)]
    pub mem_mib: u64,
}

/// One instance type, fields as in `data/ec2_catalogue.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct InstanceType {
    /// Its name, such as `m5.large`.
    #[serde(rename = "type")]
    pub name: String,
    /// Virtual CPUs.
    pub vcpu: u32,
    /// Nominal memory, in MiB.
    pub mem_mib: u64,
    /// Architectures, as EC2 names them.
    pub arch: Vec<String>,
    /// CPU manufacturer.
    pub cpu: String,
    /// Network interfaces on the default card.
    pub eni: u32,
    /// Network interfaces over all cards, where there is more than one card.
    pub eni_all: Option<u32>,
    /// Network cards, where there is more than one.
    pub net_cards: Option<u32>,
    /// IPv4 addresses per interface.
    pub ipv4: u32,
    /// Pods that nodeadm allows by default.
    pub max_pods: u32,
    /// Baseline and peak bandwidth, in Gbit/s, over all cards.
    pub net_gbps: (f64, f64),
    /// Baseline and maximum EBS bandwidth, in Mbit/s.
    pub ebs_mbps: Option<(u32, u32)>,
    /// GPUs.
    #[serde(default)]
    pub gpu: Vec<Gpu>,
    /// Neuron devices.
    #[serde(default)]
    pub neuron: Vec<Neuron>,
    /// EFA interfaces.
    pub efa: Option<u32>,
    /// Local NVMe storage, in GB.
    pub nvme_gb: Option<u64>,
    /// Local storage that is not NVMe, in GB.
    pub disk_gb: Option<u64>,
    /// Number and kind of local disks.
    pub disks: Option<(u32, String)>,
    /// `nitro` or `xen`; none for bare metal.
    pub hyp: Option<String>,
    /// Bare metal.
    #[serde(default)]
    pub metal: bool,
    /// Burstable.
    #[serde(default)]
    pub burst: bool,
    /// Current generation.
    #[serde(default = "yes")]
    pub cur: bool,
    /// Sold on the spot market.
    #[serde(default = "yes")]
    pub spot: bool,
    /// Sold as capacity blocks.
    #[serde(default)]
    pub cap_block: bool,
    /// Virtualisation types.
    #[serde(default = "hvm")]
    pub virt: Vec<String>,
    /// Zone numbers by zone-id prefix: `{"use1": [1, 2]}`.
    az: BTreeMap<String, Vec<u32>>,
    /// On-demand price, in USD per hour, where known.
    usd: Option<f64>,
}

fn yes() -> bool {
    true
}

fn hvm() -> Vec<String> {
    vec!["hvm".to_owned()]
}

impl InstanceType {
    /// The on-demand price, in millionths of a USD per hour, where one is published.
    pub fn on_demand_micro_usd_per_hour(&self) -> Option<u64> {
        self.usd.map(|usd| (usd * 1e6).round() as u64)
    }

    /// Whether the zone with this id offers it.
    pub fn offered_in(&self, zone_id: &str) -> bool {
        zone_id
            .rsplit_once("-az")
            .and_then(|(prefix, number)| Some((prefix, number.parse::<u32>().ok()?)))
            .and_then(|(prefix, number)| Some(self.az.get(prefix)?.contains(&number)))
            .unwrap_or(false)
    }

    /// The part of the name before the dot.
    pub fn family(&self) -> &str {
        self.name.split('.').next().unwrap_or(&self.name)
    }

    /// GB of local storage of either kind.
    pub fn local_storage_gb(&self) -> u64 {
        self.nvme_gb.unwrap_or(0) + self.disk_gb.unwrap_or(0)
    }
}

/// What the Spot Instance Advisor says about a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// Interruption-frequency bucket: 0 (<5 % a month) to 4 (>20 %).
    pub interruption_bucket: u32,
    /// Mean saving against on-demand, in percent.
    pub saving_percent: u32,
}

/// A zone of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Name, such as `us-east-1a`.
    pub name: String,
    /// Id, such as `use1-az6`.
    pub id: String,
}

/// All types of one region.
#[derive(Debug)]
pub struct Catalogue {
    /// The region.
    pub region: String,
    /// Its zones, by name.
    pub zones: Vec<Zone>,
    /// Types offered in at least one of the zones.
    pub types: BTreeMap<String, InstanceType>,
    advice: BTreeMap<String, Advice>,
    os_memory_mib: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct TypesFile {
    meta: Meta,
    types: Vec<InstanceType>,
}

#[derive(Deserialize)]
struct Meta {
    regions: BTreeMap<String, Region>,
}

#[derive(Deserialize)]
struct Region {
    zones: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct AdvisorFile {
    regions: BTreeMap<String, BTreeMap<String, (u32, u32)>>,
}

#[derive(Deserialize)]
struct PerformanceFile {
    types: BTreeMap<String, (f64, u32, u64)>,
}

/// Why there is no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The built-in data name no such region.
    #[error("the built-in catalogue has no region {found}; it has {known}: name one of those")]
    UnknownRegion {
        /// The region asked for.
        found: String,
        /// The regions there are.
        known: String,
    },
    /// The embedded file is damaged.
    #[error("the built-in catalogue cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl Catalogue {
    /// The built-in catalogue of a region.
    pub fn of_region(region: &str) -> Result<Catalogue, CatalogueError> {
        let file: TypesFile = serde_json::from_str(TYPES)?;
        let zones = zones(&file.meta, region)?;
        let mut advisor: AdvisorFile = serde_json::from_str(ADVISOR)?;
        let performance: PerformanceFile = serde_json::from_str(PERFORMANCE)?;
        let types = file
            .types
            .into_iter()
            .filter(|each| zones.iter().any(|zone| each.offered_in(&zone.id)))
            .map(|each| (each.name.clone(), each))
            .collect();
        Ok(Catalogue {
            region: region.to_owned(),
            zones,
            types,
            advice: advisor
                .regions
                .remove(region)
                .unwrap_or_default()
                .into_iter()
                .map(|(name, (interruption_bucket, saving_percent))| {
                    (
                        name,
                        Advice {
                            interruption_bucket,
                            saving_percent,
                        },
                    )
                })
                .collect(),
            os_memory_mib: performance
                .types
                .into_iter()
                .map(|(name, (_, _, memory))| (name, memory))
                .collect(),
        })
    }

    /// The advisor's figures for a type, where it has any.
    pub fn advice(&self, instance_type: &str) -> Option<Advice> {
        self.advice.get(instance_type).copied()
    }

    /// The memory Linux sees on a type, in MiB: measured, else nominal less the median loss (3.4 %).
    pub fn os_memory_mib(&self, instance_type: &InstanceType) -> u64 {
        self.os_memory_mib
            .get(&instance_type.name)
            .copied()
            .unwrap_or(instance_type.mem_mib * 966 / 1000)
    }

    /// The zone with this name or this id.
    pub fn zone(&self, name_or_id: &str) -> Option<&Zone> {
        self.zones
            .iter()
            .find(|zone| zone.name == name_or_id || zone.id == name_or_id)
    }
}

fn zones(meta: &Meta, region: &str) -> Result<Vec<Zone>, CatalogueError> {
    let found = meta
        .regions
        .get(region)
        .ok_or_else(|| CatalogueError::UnknownRegion {
            found: region.to_owned(),
            known: meta.regions.keys().cloned().collect::<Vec<_>>().join(", "),
        })?;
    let mut zones: Vec<Zone> = found
        .zones
        .iter()
        .map(|(id, name)| Zone {
            name: name.clone(),
            id: id.clone(),
        })
        .collect();
    zones.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(zones)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_their_types_and_zones() {
        for (region, types, zones) in [("us-east-1", 1243, 6), ("us-west-2", 1237, 4)] {
            let catalogue = Catalogue::of_region(region).expect("a known region");
            assert_eq!(
                (catalogue.types.len(), catalogue.zones.len()),
                (types, zones),
                "{region}"
            );
        }
        assert!(Catalogue::of_region("mars-north-1").is_err());
    }

    #[test]
    fn facts_of_a_type() {
        let catalogue = Catalogue::of_region("us-east-1").expect("a known region");
        let found = &catalogue.types["m6a.large"];
        assert!(found.offered_in("use1-az6"));
        assert!(!found.offered_in("use1-az3"), "us-east-1e has few types");
        assert_eq!(found.on_demand_micro_usd_per_hour(), Some(86_400));
        assert!(catalogue.os_memory_mib(found) < found.mem_mib);
    }
}
