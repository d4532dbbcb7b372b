//! What is on sale in a benchmark: us-east-1 as kubectl-ocean's built-in files have it, or Karpenter's fake types.
//!
//! Everything that the two sides could judge differently is stated: spot prices zone by zone, and what a node offers
//! to pods. Real types are stated as Karpenter estimates them: 7.5 % of memory lost to the hypervisor, nodeadm's
//! reservations, pods by the VPC CNI's addresses.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use spotocean_core::kubelet::default_cpu_reserved_millis;
use spotocean_e2e::repository;

use super::pods::Size;

/// What Karpenter keeps for the hypervisor where nothing was measured, in thousandths of a type's memory.
const MEMORY_OVERHEAD_PER_MILLE: i64 = 75;
/// Nodeadm's reservation of memory: a part that is fixed and one per pod, in MiB, and kubelet's eviction threshold.
const MEMORY_RESERVED_MIB: i64 = 255 + 100;
const MEMORY_RESERVED_PER_POD_MIB: i64 = 11;

/// Which of the region's offerings are on sale.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    /// The largest size.
    pub(super) vcpus_max: i64,
    /// Which families.
    pub(super) families: Families,
    /// How spot prices differ.
    pub(super) prices: Prices,
}

/// Which families are on sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Families {
    /// c, m and r of generation 3 and later.
    General,
    /// All without accelerators.
    All,
}

/// How spot prices differ from zone to zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prices {
    /// Not at all: the on-demand price less the Spot Instance Advisor's mean saving.
    ByType,
    /// By up to a fifth either way, drawn from type and zone.
    ByZone,
}

/// A catalogue file's content.
#[derive(Debug, Clone)]
pub(super) struct Catalogue(pub(super) Value);

impl Catalogue {
    /// us-east-1, with stated allocatable.
    pub(super) fn us_east_1(choice: Choice) -> Result<Self> {
        let all = built_in("ec2_catalogue.json")?;
        let advisor = built_in("spot_advisor.json")?;
        let savings = &advisor["regions"]["us-east-1"];
        let types = all["types"].as_array().context("the catalogue has types")?;
        let sold = types
            .iter()
            .filter(|entry| admits(entry, choice))
            .filter_map(|entry| priced(entry, savings, choice.prices));
        Ok(Self(json!({"types": sold.collect::<Vec<_>>()})))
    }

    /// Karpenter's fake types: i CPUs, 2 i GiB, 10 i pods at a tenth of a dollar per CPU and GB; spot in two zones,
    /// on demand in three, at one price.
    pub(super) fn fake(count: i64) -> Self {
        let types: Vec<Value> = (1..=count)
            .map(|size| {
                let gigabytes = (2 * size * (1 << 30)) as f64 / 1e9;
                let price = rounded(0.1 * (size as f64 + gigabytes));
                json!({
                    "type": format!("fake-it-{}", size - 1), "vcpu": size, "mem_mib": 2048 * size,
                    "az": {"test": [1, 2, 3]}, "usd": price,
                    "spot": {"test-az1": price, "test-az2": price},
                    "allocatable": {"cpuMillis": 1000 * size - 100, "memoryMiB": 2048 * size - 10, "pods": 10 * size},
                })
            })
            .collect();
        Self(json!({"types": types}))
    }

    /// The same, leaving it to the planner what nodes offer.
    pub(super) fn without_allocatable(mut self) -> Self {
        for entry in self.0["types"].as_array_mut().into_iter().flatten() {
            if let Some(entry) = entry.as_object_mut() {
                entry.remove("allocatable");
            }
        }
        self
    }

    /// The types.
    pub(super) fn types(&self) -> &[Value] {
        self.0["types"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Whether some type takes a pod of that size.
    pub(super) fn holds(&self, size: Size) -> bool {
        self.types().iter().any(|entry| {
            let stated = |field: &str| entry["allocatable"][field].as_i64().unwrap_or(0);
            size.cpu_millis <= stated("cpuMillis") && size.memory_mib <= stated("memoryMiB")
        })
    }

    /// Their categories: the letters before the generation.
    pub(super) fn categories(&self) -> Vec<String> {
        let names = self.types().iter().map(|entry| text(entry, "type"));
        let category =
            |name: &str| -> String { name.chars().take_while(char::is_ascii_alphabetic).collect() };
        let found: std::collections::BTreeSet<String> = names.map(category).collect();
        found.into_iter().collect()
    }
}

fn built_in(name: &str) -> Result<Value> {
    let path = repository::path("crates/kubectl-ocean/data").join(name);
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

fn text<'a>(entry: &'a Value, field: &str) -> &'a str {
    entry[field].as_str().unwrap_or_default()
}

fn admits(entry: &Value, choice: Choice) -> bool {
    let family = text(entry, "type").split('.').next().unwrap_or_default();
    let mut letters = family.chars();
    let is_general = matches!(letters.next(), Some('c' | 'm' | 'r'))
        && matches!(letters.next(), Some(generation) if ('3'..='9').contains(&generation));
    entry["vcpu"]
        .as_i64()
        .is_some_and(|vcpus| vcpus <= choice.vcpus_max)
        && entry["gpu"].is_null()
        && entry["neuron"].is_null()
        && entry["metal"] != true
        && (is_general || choice.families == Families::All)
}

/// The entry with its zones in us-east-1, their spot prices and its allocatable; nothing without a price or saving.
fn priced(entry: &Value, savings: &Value, prices: Prices) -> Option<Value> {
    let name = text(entry, "type");
    let usd = entry["usd"].as_f64()?;
    let saving = savings[name][1].as_f64()?;
    let zones = entry["az"]["use1"].as_array().filter(|zones| !zones.is_empty())?;
    let spot = zones.iter().filter_map(Value::as_u64).map(|zone| {
        let factor = match prices {
            Prices::ByType => 1.0,
            Prices::ByZone => zone_factor(name, zone),
        };
        let price = (usd * (100.0 - saving) / 100.0 * factor).min(usd);
        (format!("use1-az{zone}"), json!(rounded(price)))
    });
    let mut sold = entry.clone();
    sold["spot"] = Value::Object(spot.collect());
    sold["az"] = json!({"use1": zones});
    sold["allocatable"] = allocatable(entry)?;
    Some(sold)
}

fn allocatable(entry: &Value) -> Option<Value> {
    let figure = |field: &str| entry[field].as_i64();
    let vcpus = figure("vcpu")?;
    let pods = figure("eni")? * (figure("ipv4")? - 1) + 2;
    let seen = figure("mem_mib")? * (1000 - MEMORY_OVERHEAD_PER_MILLE) / 1000;
    let memory = seen - MEMORY_RESERVED_MIB - MEMORY_RESERVED_PER_POD_MIB * pods;
    Some(json!({
        "cpuMillis": vcpus * 1000 - default_cpu_reserved_millis(vcpus),
        "memoryMiB": memory.max(0),
        "pods": pods,
    }))
}

/// By what a market's price differs from its type's: some 0.8 to 1.2, the same on every machine.
fn zone_factor(name: &str, zone: u64) -> f64 {
    // FNV-1a, summed in four parts so that most factors are near one.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in name.bytes().chain(zone.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let parts: u64 = (0..4).map(|part| hash >> (part * 16) & 0xffff).sum();
    1.0 + (parts as f64 / f64::from(4 * 0xffff) - 0.5) * 0.8
}

/// To whole micro-dollars, as prices are counted.
fn rounded(price: f64) -> f64 {
    (price * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOICE: Choice = Choice {
        vcpus_max: 192,
        families: Families::General,
        prices: Prices::ByZone,
    };

    #[test]
    fn the_region_is_the_same_twice_and_states_everything() {
        let catalogue = Catalogue::us_east_1(CHOICE).unwrap();
        assert_eq!(catalogue.0, Catalogue::us_east_1(CHOICE).unwrap().0);
        assert!(catalogue.types().len() > 500, "{}", catalogue.types().len());
        assert_eq!(catalogue.categories(), ["c", "m", "r"]);
        for entry in catalogue.types() {
            let zones = entry["az"]["use1"].as_array().unwrap().len();
            let spot = entry["spot"].as_object().unwrap();
            assert_eq!(spot.len(), zones, "{entry}");
            let usd = entry["usd"].as_f64().unwrap();
            assert!(
                spot.values()
                    .all(|price| (0.0001..=usd).contains(&price.as_f64().unwrap()))
            );
            assert!(entry["allocatable"]["pods"].as_i64().unwrap() > 0);
        }
    }

    #[test]
    fn a_type_offers_what_karpenter_would_estimate() {
        let catalogue = Catalogue::us_east_1(CHOICE).unwrap();
        let large = catalogue
            .types()
            .iter()
            .find(|entry| text(entry, "type") == "m5.large")
            .unwrap();
        // 8192 × 0.925 = 7577, less 255 + 100 + 11 × 29; 2000 less 60 and 10.
        assert_eq!(
            large["allocatable"],
            json!({"cpuMillis": 1930, "memoryMiB": 6903, "pods": 29})
        );
    }

    #[test]
    fn fake_types_cost_what_karpenter_s_cost() {
        let fake = Catalogue::fake(400);
        let last = fake.types().last().unwrap();
        // PriceFromResources: 0.1 × 400 CPUs + 0.1 × 800 GiB in GB.
        assert_eq!(
            (text(last, "type"), last["usd"].as_f64()),
            ("fake-it-399", Some(125.899_346))
        );
        assert!(fake.holds(Size {
            cpu_millis: 399_900,
            memory_mib: 819_190
        }));
        assert!(!fake.holds(Size {
            cpu_millis: 399_901,
            memory_mib: 1
        }));
    }
}
