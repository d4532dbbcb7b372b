//! A cluster as clusters come to waste: nodes bought for a load and full of it, of which a part is gone.

use serde_json::{Value, json};

use super::catalogue::Catalogue;
use super::pods::{HOSTNAME, Size, ZONE, karpenter_size, pod};
use super::random::Random;
use super::world::Standing;

/// Nodes have as many vCPUs as these, both included.
const VCPUS: (i64, i64) = (16, 32);
/// Of the markets that sell those, one of so many is among the cheapest, and bought in.
const CHEAP_ONE_OF: usize = 10;
/// One node of so many is on demand, bought when no spot market had room.
const ON_DEMAND_ONE_OF: i64 = 10;
/// One pod of so many is tied to its zone, as by a volume.
const ZONAL_ONE_OF: i64 = 5;

/// So many nodes in the ocean's pool, each filled until a pod did not fit, with so many pods left on them in all.
pub(super) fn wasteful(
    catalogue: &Catalogue,
    nodes: usize,
    pods: usize,
    seed: u64,
) -> (Vec<Value>, Standing) {
    let mut random = Random(seed);
    let markets = cheapest(catalogue);
    let (mut objects, mut load, mut hourly_cost) = (Vec::new(), Vec::new(), 0.0);
    for index in 0..nodes {
        let name = format!("node-{index}");
        let (node, price) = node(&name, random.of(&markets), &mut random);
        hourly_cost += price;
        fill(&node, &name, &mut load, &mut random);
        objects.push(node);
    }
    while load.len() > pods {
        let gone = random.below(i64::try_from(load.len()).unwrap_or(i64::MAX));
        load.swap_remove(usize::try_from(gone).unwrap_or(0));
    }
    let standing = Standing {
        nodes,
        hourly_cost,
        pods: load.len(),
    };
    objects.extend(load);
    (objects, standing)
}

/// A type in a zone, and what spot costs there an hour.
struct Market<'a> {
    entry: &'a Value,
    zone: &'a str,
    price: f64,
}

fn sold(entry: &Value) -> impl Iterator<Item = Market<'_>> {
    let zones = entry["spot"].as_object().into_iter().flatten();
    zones.filter_map(move |(zone, price)| {
        let price = price.as_f64()?;
        Some(Market { entry, zone, price })
    })
}

/// The markets that are cheapest for what they hold, with a GiB worth an eighth of a vCPU.
fn cheapest(catalogue: &Catalogue) -> Vec<Market<'_>> {
    let of_size = |entry: &&Value| {
        let vcpus = entry["vcpu"].as_i64().unwrap_or(0);
        (VCPUS.0..=VCPUS.1).contains(&vcpus)
    };
    let types = catalogue.types().iter().filter(of_size);
    let mut markets: Vec<Market<'_>> = types.flat_map(sold).collect();
    let worth = |market: &Market<'_>| {
        let stated = |field: &str| market.entry["allocatable"][field].as_f64().unwrap_or(0.0);
        market.price / (stated("cpuMillis") / 1000.0 + stated("memoryMiB") / 8192.0)
    };
    markets.sort_by(|a, b| worth(a).total_cmp(&worth(b)));
    markets.truncate(markets.len().div_ceil(CHEAP_ONE_OF));
    markets
}

/// A node in a market, and what it costs an hour.
fn node(name: &str, market: &Market<'_>, random: &mut Random) -> (Value, f64) {
    let Market { entry, zone, price } = market;
    let (capacity_type, price) = match random.below(ON_DEMAND_ONE_OF) {
        0 => ("on-demand", entry["usd"].as_f64().unwrap_or(*price)),
        _ => ("spot", *price),
    };
    let stated = |field: &str| entry["allocatable"][field].as_i64().unwrap_or(0);
    let offers = json!({
        "cpu": format!("{}m", stated("cpuMillis")),
        "memory": format!("{}Mi", stated("memoryMiB")),
        "pods": stated("pods").to_string(),
    });
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {
            ZONE: zone, "topology.k8s.aws/zone-id": zone, HOSTNAME: name,
            "node.kubernetes.io/instance-type": entry["type"],
            "kubernetes.io/arch": if entry["arch"][0] == "arm64" { "arm64" } else { "amd64" }, "kubernetes.io/os": "linux",
            "spotocean.dev/ocean": "bench", "spotocean.dev/pool": "general",
            "spotocean.dev/capacity-type": capacity_type,
        }},
        "status": {
            "capacity": offers, "allocatable": offers,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    });
    (node, price)
}

/// Adds running pods of Karpenter's sizes until one does not fit.
fn fill(node: &Value, name: &str, load: &mut Vec<Value>, random: &mut Random) {
    let offers = &node["status"]["allocatable"];
    let amount = |field: &str| -> i64 {
        let text = offers[field].as_str().unwrap_or_default();
        text.trim_end_matches(char::is_alphabetic).parse().unwrap_or(0)
    };
    let (mut cpu, mut memory) = (amount("cpu"), amount("memory"));
    for number in 0..amount("pods") {
        let size: Size = karpenter_size(random);
        (cpu, memory) = (cpu - size.cpu_millis, memory - size.memory_mib);
        if cpu < 0 || memory < 0 {
            return;
        }
        let mut bound = pod(&format!("{name}-{number}"), size);
        bound["spec"]["nodeName"] = json!(name);
        bound["status"]["phase"] = json!("Running");
        bound["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "load", "uid": "load", "controller": true}]);
        if random.below(ZONAL_ONE_OF) == 0 {
            bound["spec"]["nodeSelector"] = json!({ZONE: node["metadata"]["labels"][ZONE]});
        }
        load.push(bound);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::catalogue::{Choice, Families, Prices};

    #[test]
    fn what_is_left_is_what_was_asked_for() {
        let choice = Choice {
            vcpus_max: 192,
            families: Families::General,
            prices: Prices::ByZone,
        };
        let catalogue = Catalogue::us_east_1(choice).unwrap();
        let (objects, standing) = wasteful(&catalogue, 20, 300, 1);
        assert_eq!(
            (&objects, standing),
            (&wasteful(&catalogue, 20, 300, 1).0, standing)
        );
        assert_eq!((standing.nodes, standing.pods, objects.len()), (20, 300, 320));
        assert!(standing.hourly_cost > 1.0);
        let nodes = objects.iter().filter(|object| object["kind"] == "Node").count();
        assert_eq!(nodes, 20);
    }
}
