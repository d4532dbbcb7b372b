//! Clusters in which plan and scheduler once disagreed, as small as they could be made.

use serde_json::{Value, json};

use crate::minimise::from_json;
use crate::oracle::{Case, ask};
use crate::plans::unsound;
use crate::purchase::{Choice, carried_out, planned_pods};
use crate::world::World;

/// A waiting pod of an application, its specification given beside its container.
fn pod(name: &str, app: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    if spec.get("containers").is_none() {
        spec["containers"] = json!([{"name": "main", "image": "app"}]);
    }
    json!({"apiVersion": "v1", "kind": "Pod", "spec": spec,
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}"), "labels": {"app": app}}})
}

fn zone_spread(app: &str) -> Value {
    json!({"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": app}}})
}

fn cluster(objects: &Value, pending: &Value, pools: &Value) -> World {
    from_json(&json!({"objects": objects, "pending": pending, "pools": pools}))
}

/// Each cluster with the number of its pods that are planned.
fn rows() -> Vec<(&'static str, World, usize)> {
    vec![
        (
            "a spot node of any type, which may count in a spread over nodes of one type",
            cluster(&json!([]), &spread_over_one_type(), &json!([{"name": "main"}])),
            1,
        ),
        (
            "a spot node of any zone, which may be an empty domain of a spread that counts all nodes",
            cluster(&json!([]), &spread_over_all_nodes(), &json!([in_zones_b_and_c()])),
            4,
        ),
        (
            "a volume that one pod may use at a time",
            cluster(
                &exclusive_volume(),
                &exclusive_users(),
                &json!([{"name": "main"}]),
            ),
            1,
        ),
        (
            "an attachment that spot's answer used up, asked for again on demand",
            cluster(&node_with_one_attachment(), &disk_users(), &json!([guarded()])),
            1,
        ),
    ]
}

/// Nobody tolerates its taint.
fn guarded() -> Value {
    json!({"name": "main", "taints": [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]})
}

fn node_with_one_attachment() -> Value {
    let amounts = json!({"cpu": "2", "memory": "8Gi", "pods": "30"});
    let claim = |name: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
            "spec": {"storageClassName": "fast", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
    };
    json!([
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "old-0", "labels": {"topology.kubernetes.io/zone": "us-east-1a"}},
            "spec": {}, "status": {"allocatable": amounts, "capacity": amounts, "conditions": [{"type": "Ready", "status": "True"}]}},
        {"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": "old-0"}, "spec": {"drivers": [
            {"name": "ebs.csi.aws.com", "nodeID": "old-0", "topologyKeys": [], "allocatable": {"count": 1}}]}},
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"},
            "provisioner": "ebs.csi.aws.com", "volumeBindingMode": "WaitForFirstConsumer"},
        claim("disk-0"),
        claim("disk-1"),
    ])
}

fn disk_users() -> Value {
    let spec = |claim| json!({"volumes": [{"name": "disk", "persistentVolumeClaim": {"claimName": claim}}]});
    json!([
        pod("db-0", "db", &spec("disk-0")),
        pod("db-1", "db", &spec("disk-1")),
    ])
}

fn in_zones_b_and_c() -> Value {
    json!({"name": "main", "requirements": [{"key": "topology.kubernetes.io/zone", "operator": "In",
        "values": ["us-east-1b", "us-east-1c"]}]})
}

/// The second pod has no room beside the first on spot, and on demand it must know of which type the first's node is.
fn spread_over_one_type() -> Value {
    let mut spread = zone_spread("web");
    spread["minDomains"] = json!(5);
    let terms = json!([{"matchExpressions": [
        {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["r5.large"]}]}]);
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
    json!([
        pod(
            "web-1",
            "web",
            &json!({"affinity": affinity, "topologySpreadConstraints": [spread]})
        ),
        pod("web-5", "web", &json!({})),
    ])
}

/// Three pods that stay together on a node in zone b or c, and two that are spread over b and c, one of them tied to b.
fn spread_over_all_nodes() -> Value {
    let mut spread = zone_spread("db");
    spread["nodeAffinityPolicy"] = json!("Ignore");
    let together = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "job"}}}]}});
    let large = json!([{"name": "main", "image": "app", "resources": {"requests": {"memory": "3000Mi"}}}]);
    let job = |name, app| pod(name, app, &json!({"affinity": together, "containers": large}));
    json!([
        job("job-0", "job"),
        job("job-3", "other"),
        pod("db-2", "db", &json!({})),
        pod(
            "db-1",
            "db",
            &json!({"nodeSelector": {"topology.kubernetes.io/zone": "us-east-1b"}, "topologySpreadConstraints": [spread]})
        ),
        job("job-1", "other"),
    ])
}

fn exclusive_volume() -> Value {
    json!([
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"},
            "provisioner": "ebs.csi.aws.com", "volumeBindingMode": "WaitForFirstConsumer"},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "disk", "namespace": "default"},
            "spec": {"storageClassName": "fast", "accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Gi"}}}},
    ])
}

fn exclusive_users() -> Value {
    let spec = json!({"volumes": [{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}]});
    json!([pod("web-0", "web", &spec), pod("web-1", "web", &spec),])
}

#[test]
fn plans_and_scheduler_agree_where_they_once_did_not() {
    let mut faults = Vec::new();
    for (name, world, expected) in rows() {
        let decision = world.decide();
        let planned = planned_pods(&decision).len();
        if planned != expected {
            faults.push(format!(
                "{name}: {planned} pods planned, not {expected}: {:#?}",
                decision.solution
            ));
        }
        let mut cases = Vec::new();
        for (number, choice) in [Choice::Best, Choice::Any(1), Choice::Any(2)]
            .into_iter()
            .enumerate()
        {
            let forward = carried_out(&world, &decision, choice, &format!("{name} {number}"));
            let mut backward = Case {
                id: format!("{name} {number} backward"),
                ..forward.clone()
            };
            backward.pending.reverse();
            cases.extend([forward, backward]);
        }
        for (case, answer) in cases.iter().zip(ask(&cases)) {
            let found = unsound(case, &answer);
            if !found.is_empty() {
                faults.push(format!("{}: {found:?}: {:#?}", case.id, decision.solution));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
