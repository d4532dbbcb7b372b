//! One instance type as a catalogue file describes it, and what of it cannot be meant.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use spotocean_core::id::ZoneId;
use spotocean_core::instance_type::{Accelerator, Architecture, InstanceType};
use spotocean_core::kubelet::MIB;
use spotocean_core::money::PricePerHour;
use spotocean_core::resources::Resources;

/// What most Nitro types attach in all (EC2 User Guide, "Amazon EBS volume limits").
const NITRO_SHARED_SLOTS: i64 = 28;
/// EBS volumes on Xen (the same page).
const XEN_VOLUMES: i64 = 40;
/// No machine is larger than this in any of its figures; beyond it is a slip of the pen.
const FIGURE_MAX: i64 = 1 << 30;
/// No machine costs more than this an hour.
const USD_MAX: f64 = 1e6;

/// Fields as in `data/ec2_catalogue.json`; the ones of no use here are left out.
#[derive(Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "type")]
    pub(super) name: String,
    vcpu: i64,
    mem_mib: i64,
    #[serde(default = "x86")]
    arch: Vec<String>,
    eni: Option<i64>,
    ipv4: Option<i64>,
    #[serde(default)]
    net_gbps: Option<(f64, f64)>,
    #[serde(default)]
    gpu: Vec<Gpu>,
    #[serde(default)]
    neuron: Vec<Neuron>,
    nvme_gb: Option<i64>,
    disks: Option<(i64, String)>,
    #[serde(default = "nitro")]
    hyp: Option<String>,
    #[serde(default)]
    metal: bool,
    #[serde(default)]
    burst: bool,
    #[serde(default = "hvm")]
    virt: Vec<String>,
    /// Zone numbers by zone-id prefix.
    pub(super) az: Option<BTreeMap<String, Vec<u32>>>,
    usd: Option<f64>,
    spot: Option<Value>,
    allocatable: Option<Allocatable>,
}

#[derive(Deserialize)]
struct Gpu {
    mfr: String,
    name: String,
    count: i64,
}

#[derive(Deserialize)]
struct Neuron {
    name: String,
    count: i64,
    cores: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Allocatable {
    cpu_millis: i64,
    #[serde(rename = "memoryMiB")]
    memory_mib: i64,
    pods: i64,
}

fn x86() -> Vec<String> {
    vec!["x86_64".to_owned()]
}

#[expect(clippy::unnecessary_wraps, reason = "null is a value of its own: bare metal")]
fn nitro() -> Option<String> {
    Some("nitro".to_owned())
}

fn hvm() -> Vec<String> {
    vec!["hvm".to_owned()]
}

/// What an entry says of its spot market.
pub(super) enum Spot {
    /// Not sold there.
    None,
    /// Nothing about its price.
    Unstated,
    /// One price in all zones.
    Price(PricePerHour),
    /// A price by zone; no market in the others.
    ByZone(BTreeMap<ZoneId, PricePerHour>),
}

fn price(field: &str, usd: f64) -> Result<PricePerHour, String> {
    if !(0.0..=USD_MAX).contains(&usd) {
        return Err(format!(
            "field {field} is {usd}: a price in USD an hour from 0 to {USD_MAX} is needed"
        ));
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most 1e12")]
    let micro_usd = (usd * 1e6).round() as i64;
    Ok(PricePerHour(micro_usd))
}

fn figure(field: &str, value: i64, least: i64) -> Result<i64, String> {
    if (least..=FIGURE_MAX).contains(&value) {
        Ok(value)
    } else {
        Err(format!(
            "field {field} is {value}: a number from {least} to {FIGURE_MAX} is needed"
        ))
    }
}

impl Entry {
    /// Its on-demand price, where it is sold.
    pub(super) fn on_demand(&self) -> Result<Option<PricePerHour>, String> {
        self.usd.map(|usd| price("usd", usd)).transpose()
    }

    /// Its spot market.
    pub(super) fn spot(&self) -> Result<Spot, String> {
        let needed = |found: &Value| {
            format!(
                "field spot is {found}: a number of USD an hour, a map from zone id to USD, true or false is needed"
            )
        };
        match &self.spot {
            None | Some(Value::Null | Value::Bool(true)) => Ok(Spot::Unstated),
            Some(Value::Bool(false)) => Ok(Spot::None),
            Some(found @ Value::Number(number)) => {
                let usd = number.as_f64().ok_or_else(|| needed(found))?;
                price("spot", usd).map(Spot::Price)
            }
            Some(Value::Object(by_zone)) => {
                let one = |(id, found): (&String, &Value)| {
                    let usd = found.as_f64().ok_or_else(|| needed(found))?;
                    Ok((ZoneId::from(id.as_str()), price(&format!("spot.{id}"), usd)?))
                };
                by_zone
                    .iter()
                    .map(one)
                    .collect::<Result<_, _>>()
                    .map(Spot::ByZone)
            }
            Some(found) => Err(needed(found)),
        }
    }

    /// What it offers to pods, where that is stated.
    pub(super) fn stated_allocatable(&self) -> Result<Option<Resources>, String> {
        let Some(stated) = &self.allocatable else {
            return Ok(None);
        };
        Ok(Some(Resources {
            cpu_millis: figure("allocatable.cpuMillis", stated.cpu_millis, 0)?,
            memory_bytes: figure("allocatable.memoryMiB", stated.memory_mib, 0)? * MIB,
            pods: figure("allocatable.pods", stated.pods, 0)?,
            ..Resources::default()
        }))
    }

    /// Whether the zone offers it; one that names no zones is offered in all.
    pub(super) fn is_offered_in(&self, id: &ZoneId) -> bool {
        let Some(zones) = &self.az else {
            return true;
        };
        id.as_str()
            .rsplit_once("-az")
            .and_then(|(prefix, number)| Some(zones.get(prefix)?.contains(&number.parse().ok()?)))
            .unwrap_or(false)
    }

    /// The type in the planner's words; `None` where Linux nodes cannot run on it (Mac, paravirtual).
    pub(super) fn described(&self) -> Result<Option<InstanceType>, String> {
        let architecture = self.arch.iter().find_map(|word| Architecture::parse(word));
        let Some(architecture) = architecture.filter(|_| self.virt.iter().any(|word| word == "hvm")) else {
            return Ok(None);
        };
        let (eni, ipv4) = match (self.eni, self.ipv4, &self.allocatable) {
            (Some(eni), Some(ipv4), _) => (figure("eni", eni, 1)?, figure("ipv4", ipv4, 1)?),
            (_, _, Some(_)) => (0, 1),
            _ => {
                return Err("eni and ipv4 are missing: without them and without allocatable nobody knows how many pods it takes".to_owned());
            }
        };
        let nvme_gb = figure("nvme_gb", self.nvme_gb.unwrap_or(0), 0)?;
        let disks = self.disks.as_ref().map_or(0, |(count, _)| *count);
        let nvme_disks = if nvme_gb > 0 {
            figure("disks", disks, 0)?
        } else {
            0
        };
        let is_xen = self.hyp.as_deref() == Some("xen");
        Ok(Some(InstanceType {
            name: self.name.as_str().into(),
            architecture,
            vcpus: figure("vcpu", self.vcpu, 1)?,
            memory_mib: figure("mem_mib", self.mem_mib, 1)?,
            network_interfaces: eni,
            ipv4_per_interface: ipv4,
            network_gbps: self.peak_gbps(),
            local_nvme_gb: nvme_gb,
            local_nvme_disks: nvme_disks,
            accelerators: self.accelerators(),
            hypervisor: self.hyp.as_deref().unwrap_or_default().into(),
            is_bare_metal: self.metal,
            is_burstable: self.burst,
            supports_spot: true,
            attachment_slots: if is_xen {
                XEN_VOLUMES + eni + nvme_disks
            } else {
                NITRO_SHARED_SLOTS
            },
        }))
    }

    fn peak_gbps(&self) -> i64 {
        let peak = self.net_gbps.map_or(0.0, |(_, peak)| peak);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "bandwidths are small, and rounded down on purpose"
        )]
        let whole = peak.clamp(0.0, 1e9) as i64;
        whole
    }

    /// The resources that the makers' device plugins register, as the operator reads them from EC2.
    fn accelerators(&self) -> Vec<Accelerator> {
        let accelerator = |resource: &str, name: &str, count: i64| Accelerator {
            resource: resource.into(),
            name: name.to_ascii_lowercase().replace(' ', "-").into(),
            count: count.clamp(0, FIGURE_MAX),
        };
        let gpus = self.gpu.iter().filter_map(|gpu| {
            let resource = match gpu.mfr.to_ascii_lowercase().as_str() {
                "nvidia" => "nvidia.com/gpu",
                "amd" => "amd.com/gpu",
                "habana" => "habana.ai/gaudi",
                _ => return None,
            };
            Some(accelerator(resource, &gpu.name, gpu.count))
        });
        let neurons = self.neuron.iter().flat_map(|device| {
            let cores = device.count.saturating_mul(device.cores);
            [
                accelerator("aws.amazon.com/neuron", &device.name, device.count),
                accelerator("aws.amazon.com/neuroncore", &device.name, cores),
            ]
        });
        gpus.chain(neurons).collect()
    }
}
