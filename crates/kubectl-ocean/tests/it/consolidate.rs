//! What `simulate --consolidate` would give back.

use serde_json::{Value, json};

use crate::plugin::{OCEAN, Run, documents, pod, simulate_with};

/// A node of the pool, of this type and capacity type.
fn node(name: &str, instance_type: &str, capacity_type: &str) -> String {
    let (cpu, memory) = if instance_type == "m5.large" {
        ("1900m", "7000Mi")
    } else {
        ("3900m", "15000Mi")
    };
    format!(
        "apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n  labels: {{spotocean.dev/ocean: shop, spotocean.dev/pool: general, spotocean.dev/capacity-type: {capacity_type}, node.kubernetes.io/instance-type: {instance_type}, topology.kubernetes.io/zone: use1-az1, kubernetes.io/arch: amd64, kubernetes.io/os: linux}}\nstatus:\n  capacity: {{cpu: '4', memory: 16Gi, pods: '29'}}\n  allocatable: {{cpu: {cpu}, memory: {memory}, pods: '29'}}\n"
    )
}

fn bound(name: &str, cpu: &str, node: &str) -> String {
    let owner = "ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web, uid: u, controller: true}], labels";
    pod(name, cpu, "1Gi")
        .replace("labels", owner)
        .replace("spec:\n", &format!("spec:\n  nodeName: {node}\n"))
        .replace("Pending", "Running")
}

fn consolidated(cluster: &[String]) -> Run {
    simulate_with(OCEAN, &documents(cluster), &["--consolidate"])
}

fn removed(run: &Run) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let answer = run.json();
    let removed = answer["removed"].as_array().unwrap();
    removed
        .iter()
        .map(|each| (text(&each["node"]), text(&each["reason"])))
        .collect()
}

fn pair(node: &str, reason: &str) -> (String, String) {
    (node.to_owned(), reason.to_owned())
}

#[test]
fn nothing_is_removed_unless_asked_for() {
    let cluster = [node("n1", "m5.large", "spot")];
    let run = simulate_with(OCEAN, &documents(&cluster), &[]);
    assert_eq!(run.json()["removed"], json!([]));
    assert_eq!(removed(&consolidated(&cluster)), [pair("n1", "Empty")]);
}

#[test]
fn a_node_whose_pods_fit_elsewhere_goes() {
    let run = consolidated(&[
        node("n1", "m5.xlarge", "spot"),
        node("n2", "m5.large", "spot"),
        bound("a", "1", "n1"),
        bound("b", "1500m", "n1"),
        bound("c", "800m", "n2"),
    ]);
    assert_eq!(removed(&run), [pair("n2", "Underutilized")], "{}", run.out);
    assert_eq!(
        run.json()["existing"],
        json!([{"node": "n1", "pods": ["shop/c"]}])
    );
    assert_eq!(run.json()["hourlyCost"], json!(0.08));
    let bound = run.json()["lowerBound"].as_f64().unwrap();
    assert!(bound > 0.0 && bound <= 0.08, "{bound}");
}

#[test]
fn on_demand_is_replaced_by_spot() {
    let run = consolidated(&[node("n1", "m5.large", "on-demand"), bound("a", "1", "n1")]);
    assert_eq!(removed(&run), [pair("n1", "Underutilized")], "{}", run.out);
    let bought = &run.json()["newNodes"][0];
    assert_eq!(
        (&bought["capacityType"], &bought["pods"]),
        (&json!("spot"), &json!(["shop/a"]))
    );
    assert_eq!(
        (&run.json()["hourlyCost"], &run.json()["gap"]),
        (&json!(0.04), &json!(0.0))
    );
}

#[test]
fn what_blocks_a_removal_keeps_the_node() {
    let budget = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web, namespace: shop}\nspec: {selector: {matchLabels: {app: web}}}\nstatus: {disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1}\n";
    let asks = |text: String| {
        text.replace(
            "labels: {app: web}",
            "labels: {app: web}, annotations: {spotocean.dev/do-not-disrupt: 'true'}",
        )
    };
    let base = || [node("n1", "m5.large", "on-demand"), bound("a", "1", "n1")];
    let rows: Vec<(&str, Vec<String>)> = vec![
        ("a budget", [base().to_vec(), vec![budget.to_owned()]].concat()),
        ("an annotation", vec![base()[0].clone(), asks(base()[1].clone())]),
        (
            "no controller",
            vec![
                base()[0].clone(),
                base()[1].replace("controller: true", "controller: false"),
            ],
        ),
        (
            "another's node",
            vec![
                base()[0].replace("spotocean.dev/ocean: shop, ", ""),
                base()[1].clone(),
            ],
        ),
    ];
    for (name, cluster) in rows {
        let run = consolidated(&cluster);
        assert_eq!(removed(&run), [], "{name}: {}", run.out);
    }
    let never = OCEAN.replace("  pools:", "  disruption: {consolidate: Never}\n  pools:");
    let run = simulate_with(&never, &documents(&base()), &["--consolidate"]);
    assert_eq!(removed(&run), [], "{}", run.out);
}

#[test]
fn pending_pods_get_their_places_first() {
    let run = consolidated(&[
        node("n1", "m5.large", "spot"),
        node("n2", "m5.large", "spot"),
        bound("a", "1", "n1"),
        pod("waits", "1500m", "1Gi"),
    ]);
    assert_eq!(removed(&run), [], "{}", run.out);
    assert_eq!(
        run.json()["existing"],
        json!([{"node": "n2", "pods": ["shop/waits"]}])
    );
}
