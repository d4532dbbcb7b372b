//! Everything of a workload that is not a pending pod: the ocean with its pools, nodes that are there, DaemonSets.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::catalogue::Catalogue;
use super::pods::{HOSTNAME, Size, ZONE, karpenter_size, pod};
use super::random::Random;

/// Room that a node which is there may have left, so that some pending pods fit and others do not.
const ROOM_MAX_MILLIS: i64 = 1000;
/// Teams that have a pool of their own.
const TEAMS: usize = 10;

/// What one market, type or zone may hold of a pool, and how many markets a launch offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Caps {
    /// Nothing holds back: Karpenter has no such caps.
    Off,
    /// As an ocean has them that says nothing of them.
    Default,
}

/// A workload's question, in files that both sides read.
#[derive(Debug, Clone)]
pub(super) struct World {
    /// `spec.pools`.
    pub(super) pools: Vec<Value>,
    /// Pods, Nodes, DaemonSets.
    pub(super) objects: Vec<Value>,
    /// What is on sale.
    pub(super) catalogue: Catalogue,
    /// Nodes of ours that are there.
    pub(super) standing: Option<Standing>,
}

/// Nodes of ours that are there before anything is decided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Standing {
    /// How many.
    pub(super) nodes: usize,
    /// USD an hour.
    pub(super) hourly_cost: f64,
    /// Pods on them.
    pub(super) pods: usize,
}

impl World {
    /// Pending pods and one pool that offers the whole catalogue.
    pub(super) fn of(catalogue: Catalogue, pods: Vec<Value>) -> Self {
        Self {
            pools: vec![json!({"name": "general", "requirements": everything(&catalogue)})],
            objects: pods,
            catalogue,
            standing: None,
        }
    }

    /// The manifest of its ocean.
    pub(super) fn ocean(&self, caps: Caps) -> Value {
        let strategy = match caps {
            Caps::Default => json!({}),
            Caps::Off => json!({
                "maxShare": {"market": 100, "type": 100, "zone": 100},
                "minimumFlexibility": 1,
            }),
        };
        json!({
            "apiVersion": "spotocean.dev/v1alpha1", "kind": "SpotOcean", "metadata": {"name": "bench"},
            "spec": {
                "cluster": {"name": "bench"},
                "template": {
                    "role": "bench",
                    "subnets": [{"tags": {"spotocean.dev/discovery": "bench"}}],
                    "securityGroups": [{"tags": {"spotocean.dev/discovery": "bench"}}],
                },
                "strategy": strategy,
                "pools": self.pools,
            },
        })
    }

    /// How many pods wait.
    pub(super) fn pending(&self) -> usize {
        let waits = |object: &&Value| object["kind"] == "Pod" && object["spec"]["nodeName"].is_null();
        self.objects.iter().filter(waits).count()
    }
}

/// Requirements that lift a pool's defaults, so that it offers all that the catalogue holds.
fn everything(catalogue: &Catalogue) -> Value {
    json!([
        {"key": "spotocean.dev/instance-category", "operator": "In", "values": catalogue.categories()},
        {"key": "spotocean.dev/instance-generation", "operator": "NotIn", "values": ["0"]},
        {"key": "spotocean.dev/instance-cpu", "operator": "Exists"},
        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"]},
    ])
}

/// Nodes of 4, 8 or 16 CPUs, each with pods of Karpenter's sizes up to less than a CPU of room.
pub(super) fn running(nodes: usize, seed: u64) -> Vec<Value> {
    let mut random = Random(seed);
    let mut objects = Vec::new();
    for index in 0..nodes {
        let name = format!("node-{index}");
        let cpus = *random.of(&[4, 8, 16]);
        objects.push(node(&name, cpus, &mut random));
        let room = random.below(ROOM_MAX_MILLIS);
        let (mut cpu, mut memory, mut count) = (cpus * 1000, cpus * 4096, 0);
        while cpu > room {
            let size = karpenter_size(&mut random);
            let size = Size {
                cpu_millis: size.cpu_millis.min(cpu - room),
                memory_mib: size.memory_mib.min(memory / 2),
            };
            (cpu, memory, count) = (cpu - size.cpu_millis, memory - size.memory_mib, count + 1);
            let mut bound = pod(&format!("{name}-{count}"), size);
            bound["spec"]["nodeName"] = json!(name);
            bound["status"]["phase"] = json!("Running");
            objects.push(bound);
        }
    }
    objects
}

fn node(name: &str, cpus: i64, random: &mut Random) -> Value {
    let zone = *random.of(&["use1-az1", "use1-az2", "use1-az4"]);
    let offers = json!({"cpu": cpus.to_string(), "memory": format!("{}Mi", cpus * 4096), "pods": "110"});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {
            ZONE: zone, "topology.k8s.aws/zone-id": zone, HOSTNAME: name,
            "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
        }},
        "spec": {"providerID": format!("aws:///{zone}/i-{name}")},
        "status": {
            "capacity": offers, "allocatable": offers,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

/// Twenty pools: ten that anyone may use, each without one zone, and ten that belong to a team each, tainted.
pub(super) fn twenty_pools(catalogue: &Catalogue) -> Vec<Value> {
    let open = (0..TEAMS).map(|index| {
        let mut requirements = everything(catalogue);
        if let Some(list) = requirements.as_array_mut() {
            let zone = format!("use1-az{}", 1 + index % 6);
            list.push(json!({"key": ZONE, "operator": "NotIn", "values": [zone]}));
        }
        json!({"name": format!("open-{index}"), "requirements": requirements})
    });
    let owned = (0..TEAMS).map(|index| {
        let team = format!("team-{index}");
        json!({
            "name": team, "requirements": everything(catalogue), "labels": {"example.com/team": team},
            "taints": [{"key": "example.com/team", "value": team, "effect": "NoSchedule"}],
        })
    });
    open.chain(owned).collect()
}

/// Pods of Karpenter's sizes, a third of them of some team and at home in its pool.
pub(super) fn pods_of_teams(count: usize, seed: u64) -> Vec<Value> {
    let mut random = Random(seed);
    (0..count)
        .map(|index| {
            let mut pod = pod(&format!("pod-{index}"), karpenter_size(&mut random));
            if index % 3 == 0 {
                let team = format!("team-{}", index / 3 % TEAMS);
                pod["spec"]["nodeSelector"] = json!({"example.com/team": team});
                pod["spec"]["tolerations"] =
                    json!([{"key": "example.com/team", "operator": "Equal", "value": team, "effect": "NoSchedule"}]);
            }
            pod
        })
        .collect()
}

/// DaemonSets of growing size; two thirds tolerate every taint, of the others half want amd64.
pub(super) fn daemon_sets(count: i64) -> Vec<Value> {
    (0..count)
        .map(|index| {
            let size = Size {
                cpu_millis: 10 + 5 * index,
                memory_mib: 20 + 10 * index,
            };
            let mut spec = json!({"containers": [{"name": "main", "resources": size.requests()}]});
            match index % 6 {
                0 => spec["nodeSelector"] = json!({"kubernetes.io/arch": "amd64"}),
                3 => {}
                _ => spec["tolerations"] = json!([{"operator": "Exists"}]),
            }
            daemon_set(&format!("daemon-{index}"), &spec)
        })
        .collect()
}

/// The VPC CNI, which says that pods get secondary addresses.
pub(super) fn vpc_cni() -> Value {
    let size = Size {
        cpu_millis: 50,
        memory_mib: 0,
    };
    daemon_set(
        "aws-node",
        &json!({
            "containers": [{"name": "aws-node", "resources": size.requests()}],
            "tolerations": [{"operator": "Exists"}],
        }),
    )
}

fn daemon_set(name: &str, spec: &Value) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"namespace": "kube-system", "name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_are_there_hold_what_they_offer_at_most() {
        let objects = running(50, 1);
        assert_eq!(objects, running(50, 1));
        for node in objects.iter().filter(|object| object["kind"] == "Node") {
            let of_node = |object: &&Value| object["spec"]["nodeName"] == node["metadata"]["name"];
            let number = |text: &Value| -> i64 {
                text.as_str()
                    .unwrap()
                    .trim_end_matches(|unit: char| !unit.is_ascii_digit())
                    .parse()
                    .unwrap()
            };
            let sum = |field: &str| -> i64 {
                let pods = objects.iter().filter(of_node);
                pods.map(|pod| number(&pod["spec"]["containers"][0]["resources"]["requests"][field]))
                    .sum()
            };
            let offers = &node["status"]["allocatable"];
            let room = number(&offers["cpu"]) * 1000 - sum("cpu");
            assert!((0..ROOM_MAX_MILLIS).contains(&room), "{room} left on {node}");
            assert!(sum("memory") <= number(&offers["memory"]), "{node}");
        }
    }

    #[test]
    fn bound_pods_do_not_wait() {
        let mut world = World::of(Catalogue::fake(3), running(2, 1));
        world.objects.extend(pods_of_teams(7, 1));
        assert_eq!(world.pending(), 7);
    }

    #[test]
    fn without_caps_nothing_holds_back() {
        let world = World::of(Catalogue::fake(3), vec![]);
        assert_eq!(
            world.ocean(Caps::Off)["spec"]["strategy"]["maxShare"]["type"],
            100
        );
        assert_eq!(world.ocean(Caps::Default)["spec"]["strategy"], json!({}));
    }
}
