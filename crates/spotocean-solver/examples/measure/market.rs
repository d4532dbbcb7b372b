//! What may be bought: a region of EC2 as the data files say, or Karpenter's fake types.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::PoolKey;
use spotocean_core::instance_type::{Architecture, InstanceType};
use spotocean_core::kubelet::{self, KubeletSettings, Machine, PodDensity};
use spotocean_core::label;
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::{Market as Place, Offering};
use spotocean_core::requirement::Labels;
use spotocean_core::resources::Resources;
use spotocean_solver::problem::{BuyablePool, Offer, RemainingLimits};

/// Which offers a pool has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    /// The largest vCPU count.
    pub(crate) vcpus: i64,
    /// Only c, m and r of generation 3 and later; else everything without accelerators.
    pub(crate) is_general: bool,
    /// Spot prices differ by zone.
    pub(crate) zones_differ: bool,
    /// On-demand offers too.
    pub(crate) has_on_demand: bool,
}

#[derive(Deserialize)]
struct Described {
    #[serde(rename = "type")]
    name: String,
    vcpu: i64,
    mem_mib: i64,
    arch: Vec<String>,
    #[serde(default)]
    max_pods: i64,
    #[serde(default)]
    az: BTreeMap<String, Vec<u32>>,
    usd: Option<f64>,
    #[serde(default)]
    gpu: serde_json::Value,
    #[serde(default)]
    metal: bool,
}

#[derive(Deserialize)]
struct Types {
    types: Vec<Described>,
}

#[derive(Deserialize)]
struct Advisor {
    regions: BTreeMap<String, BTreeMap<String, (i64, i64)>>,
}

/// The name of the pool in all of these.
pub(crate) fn key(name: &str) -> PoolKey {
    PoolKey {
        ocean: "main".into(),
        pool: name.into(),
    }
}

/// A pool without offers.
pub(crate) fn empty(name: &str) -> BuyablePool {
    BuyablePool {
        key: key(name),
        weight: 0,
        requirements: vec![],
        labels: Arc::new(Labels::from([(label::POOL.into(), name.into())])),
        taints: vec![],
        offers: vec![],
        limits: RemainingLimits::default(),
        minimum_flexibility: 5,
        closed: None,
    }
}

/// us-east-1 as the files have it.
pub(crate) fn us_east_1(data: &Path, choice: Choice) -> BuyablePool {
    let text = std::fs::read_to_string(data.join("ec2_catalogue.json")).expect("the catalogue");
    let types: Types = serde_json::from_str(&text).expect("a catalogue");
    let text = std::fs::read_to_string(data.join("spot_advisor.json")).expect("the advisor");
    let advisor: Advisor = serde_json::from_str(&text).expect("an advisor");
    let savings = &advisor.regions["us-east-1"];
    let mut pool = empty("general");
    for described in types.types.iter().filter(|described| admits(described, choice)) {
        let (Some(usd), Some((_, saving))) = (described.usd, savings.get(&described.name)) else {
            continue;
        };
        let list = (usd * 1e6) as i64;
        for zone in described.az.get("use1").into_iter().flatten() {
            let noise = if choice.zones_differ {
                zone_noise(&described.name, *zone)
            } else {
                1000
            };
            let spot = list * (100 - saving) / 100 * noise / 1000;
            pool.offers
                .push(offer(described, *zone, CapacityType::Spot, spot.min(list)));
            if choice.has_on_demand {
                pool.offers
                    .push(offer(described, *zone, CapacityType::OnDemand, list));
            }
        }
    }
    pool
}

fn admits(described: &Described, choice: Choice) -> bool {
    let (family, _) = described.name.split_once('.').unwrap_or((&described.name, ""));
    let generation: u32 = family.chars().find_map(|letter| letter.to_digit(10)).unwrap_or(0);
    let is_general = matches!(family.chars().next(), Some('c' | 'm' | 'r'))
        && !family.starts_with("mac")
        && generation >= 3
        && family
            .chars()
            .nth(1)
            .is_some_and(|letter| letter.is_ascii_digit());
    described.vcpu <= choice.vcpus
        && described.gpu.is_null()
        && !described.metal
        && (is_general || !choice.is_general)
}

/// Thousandths by which a market's price differs, from about 0.8 to 1.25.
fn zone_noise(name: &str, zone: u32) -> i64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in name.bytes().chain(zone.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let centred: i64 = (0..4)
        .map(|part| i64::try_from(hash >> (part * 16) & 0xffff).unwrap_or(0) - 0x8000)
        .sum();
    1000 + centred * 208 / 0x10000
}

fn offer(described: &Described, zone: u32, capacity_type: CapacityType, price: i64) -> Offer {
    let zone = format!(
        "us-east-1{}",
        ['?', 'a', 'b', 'c', 'd', 'e', 'f'][zone as usize % 7]
    );
    let arch = if described.arch.iter().any(|arch| arch == "arm64") {
        "arm64"
    } else {
        "amd64"
    };
    let family = described.name.split('.').next().unwrap_or("");
    let labels = [
        (label::INSTANCE_TYPE, described.name.as_str()),
        (label::INSTANCE_FAMILY, family),
        (label::ZONE, &zone),
        (label::CAPACITY_TYPE, capacity_type.as_str()),
        (label::ARCH, arch),
        (label::POOL, "general"),
    ];
    let instance_type = InstanceType {
        name: described.name.as_str().into(),
        architecture: Architecture::Amd64,
        vcpus: described.vcpu,
        memory_mib: described.mem_mib,
        network_interfaces: 0,
        ipv4_per_interface: 0,
        network_gbps: 0,
        local_nvme_gb: 0,
        local_nvme_disks: 0,
        accelerators: vec![],
        hypervisor: "nitro".into(),
        is_bare_metal: false,
        is_burstable: false,
        supports_spot: true,
        attachment_slots: 28,
    };
    let machine = Machine {
        instance_type: &instance_type,
        memory_bytes: kubelet::memory_seen_bytes(&instance_type, None),
        storage_bytes: 100 * kubelet::GIB,
        max_pods: kubelet::max_pods(
            &instance_type,
            &KubeletSettings {
                max_pods: Some(described.max_pods.max(110)),
                ..KubeletSettings::default()
            },
            PodDensity::Unlimited,
        ),
    };
    Offer {
        offering: Offering {
            market: Place {
                instance_type: described.name.as_str().into(),
                zone: zone.as_str().into(),
            },
            capacity_type,
            price: PricePerHour(price),
        },
        labels: Arc::new(
            labels
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into()))
                .collect(),
        ),
        capacity: kubelet::capacity(machine),
        allocatable: kubelet::allocatable(machine, &KubeletSettings::default()),
        attach_limits: Arc::default(),
        risk: PricePerHour::ZERO,
    }
}

/// Karpenter's benchmark types: `count` of them, i CPUs, 2 i GiB, 10 i pods at
/// 0.1 dollars a CPU and a GB; spot in two zones, on demand in three.
pub(crate) fn fake_types(count: i64) -> BuyablePool {
    let mut pool = empty("general");
    for size in 1..=count {
        let name = format!("fake-it-{}", size - 1);
        let gigabytes = (2 * size * kubelet::GIB) as f64 / 1e9;
        let price = (100_000.0 * (size as f64 + gigabytes)) as i64;
        let capacity = Resources {
            cpu_millis: size * 1000,
            memory_bytes: 2 * size * kubelet::GIB,
            ephemeral_storage_bytes: 20 * kubelet::GIB,
            pods: 10 * size,
            extended: BTreeMap::new(),
        };
        let mut allocatable = capacity.clone();
        allocatable.cpu_millis -= 100;
        allocatable.memory_bytes -= 10 * kubelet::MIB;
        let places = [
            ("z1", CapacityType::Spot),
            ("z2", CapacityType::Spot),
            ("z1", CapacityType::OnDemand),
            ("z2", CapacityType::OnDemand),
            ("z3", CapacityType::OnDemand),
        ];
        for (zone, capacity_type) in places {
            let labels = [
                (label::INSTANCE_TYPE, name.as_str()),
                (label::ZONE, zone),
                (label::CAPACITY_TYPE, capacity_type.as_str()),
                (label::ARCH, "amd64"),
                (label::POOL, "general"),
            ];
            pool.offers.push(Offer {
                offering: Offering {
                    market: Place {
                        instance_type: name.as_str().into(),
                        zone: zone.into(),
                    },
                    capacity_type,
                    price: PricePerHour(price),
                },
                labels: Arc::new(
                    labels
                        .iter()
                        .map(|(key, value)| ((*key).into(), (*value).into()))
                        .collect(),
                ),
                capacity: capacity.clone(),
                allocatable: allocatable.clone(),
                attach_limits: Arc::default(),
                risk: PricePerHour::ZERO,
            });
        }
    }
    pool
}
