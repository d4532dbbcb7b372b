//! What a rehearsal answers: nodes, prices, places, reasons.

use serde_json::{Value, json};

use crate::plugin::{CATALOGUE, Folder, OCEAN, documents, pod, run, simulate};

fn strings(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|each| each.as_str().unwrap())
        .collect()
}

#[test]
fn pods_get_the_cheapest_node_that_holds_them() {
    let run = simulate(
        OCEAN,
        &documents(&[pod("a", "1", "1Gi"), pod("b", "800m", "1Gi")]),
    );
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(
        run.json()["newNodes"],
        json!([{"pool": "general", "instanceType": "m5.large", "zone": "use1-az1", "capacityType": "spot",
            "pricePerHour": 0.04, "pods": ["shop/a", "shop/b"], "alternatives": 4}])
    );
    assert_eq!(run.json()["hourlyCost"], json!(0.04));
}

#[test]
fn the_answer_says_how_far_it_can_be_from_the_cheapest() {
    // Both fit the cheapest node there is.
    let two = simulate(
        OCEAN,
        &documents(&[pod("a", "900m", "1Gi"), pod("b", "900m", "1Gi")]),
    )
    .json();
    assert_eq!(two["hourlyCost"], json!(0.04));
    let bound = two["lowerBound"].as_f64().unwrap();
    assert!(bound > 0.039 && bound <= 0.04, "{two}");
    let gap = two["gap"].as_f64().unwrap();
    assert!((gap - (0.04 / bound - 1.0)).abs() < 1e-5, "{two}");
    let none = simulate(OCEAN, &pod("a", "100", "1Gi")).json();
    assert_eq!(
        (&none["lowerBound"], &none["gap"]),
        (&json!(0.0), &json!(0.0)),
        "nothing is bought"
    );
}

#[test]
fn the_answer_has_the_published_form() {
    let run = simulate(OCEAN, &pod("a", "1", "1Gi"));
    let answer: Value = serde_json::from_str(&run.out).unwrap();
    let fields: Vec<&String> = answer.as_object().unwrap().keys().collect();
    let mut expected = vec![
        "newNodes",
        "existing",
        "removed",
        "unschedulable",
        "hourlyCost",
        "lowerBound",
        "gap",
        "solveMillis",
    ];
    expected.sort_unstable();
    assert_eq!(fields, expected);
    assert!(answer["solveMillis"].as_f64().unwrap() >= 0.0);
}

#[test]
fn a_stated_allocatable_holds_as_it_stands() {
    // 1900m are stated: twice 950m fit one node, twice 951m do not.
    for (cpu, nodes) in [("950m", 1), ("951m", 2)] {
        let narrow = OCEAN.replace(
            "{name: general}",
            "{name: general, requirements: [{key: node.kubernetes.io/instance-type, operator: In, values: [m5.large]}]}",
        );
        let run = simulate(&narrow, &documents(&[pod("a", cpu, "1Gi"), pod("b", cpu, "1Gi")]));
        assert_eq!(run.json()["newNodes"].as_array().unwrap().len(), nodes, "{cpu}");
    }
}

#[test]
fn room_on_nodes_that_are_there_is_used_first() {
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {topology.kubernetes.io/zone: use1-az1}}\nstatus:\n  allocatable: {cpu: '2', memory: 8Gi, pods: '10'}\n  conditions: [{type: Ready, status: 'True'}]\n";
    let bound = pod("bound", "1500m", "1Gi").replace("spec:\n", "spec:\n  nodeName: n1\n");
    let cluster = documents(&[
        node.into(),
        bound,
        pod("fits", "500m", "1Gi"),
        pod("does-not", "501m", "1Gi"),
    ]);
    let run = simulate(OCEAN, &cluster);
    assert_eq!(
        run.json()["existing"],
        json!([{"node": "n1", "pods": ["shop/fits"]}])
    );
    assert_eq!(strings(&run.json()["newNodes"][0]["pods"]), ["shop/does-not"]);
}

#[test]
fn a_pod_that_is_to_be_bound_to_a_node_that_is_there_is_left_alone() {
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus:\n  allocatable: {cpu: '2', memory: 8Gi, pods: '10'}\n  conditions: [{type: Ready, status: 'True'}]\n";
    let nominated = |node: &str| {
        let status = format!("status: {{phase: Pending, nominatedNodeName: {node}}}");
        pod("preempts", "1", "1Gi").replace("status: {phase: Pending}", &status)
    };
    let answer = |node_name: &str| simulate(OCEAN, &documents(&[node.into(), nominated(node_name)])).json();
    let there = answer("n1");
    assert_eq!(there["unschedulable"], json!([]), "its node is there");
    assert_eq!(there["newNodes"], json!([]));
    assert_eq!(
        answer("gone")["existing"][0]["pods"],
        json!(["shop/preempts"]),
        "a void nomination"
    );
}

#[test]
fn a_pod_that_fits_nothing_is_told_why() {
    let run = simulate(
        OCEAN,
        &documents(&[pod("huge", "100", "1Gi"), pod("small", "1", "1Gi")]),
    );
    assert_eq!(run.code, 2, "some pods stay pending");
    let left = &run.json()["unschedulable"];
    assert_eq!(left[0]["pod"], json!("shop/huge"));
    assert_eq!(left[0]["reasons"][0]["pool"], json!("general"));
    assert_eq!(left[0]["reasons"][0]["reason"], json!("NoInstanceTypeFits"));
    assert!(
        left[0]["reasons"][0]["message"]
            .as_str()
            .unwrap()
            .contains("m5.xlarge")
    );
    assert_eq!(run.json()["newNodes"].as_array().unwrap().len(), 1);
}

#[test]
fn pods_that_the_ocean_does_not_serve_are_told_so() {
    let narrow = OCEAN.replace(
        "  pools:",
        "  pods: {selector: {matchLabels: {app: other}}}\n  pools:",
    );
    let run = simulate(&narrow, &pod("a", "1", "1Gi"));
    assert_eq!(run.code, 2);
    assert_eq!(
        run.json()["unschedulable"][0]["reasons"][0]["reason"],
        json!("NotServed")
    );
}

#[test]
fn daemons_take_their_share_of_each_new_node() {
    let daemon = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent, namespace: kube-system}\nspec:\n  selector: {matchLabels: {app: agent}}\n  template:\n    metadata: {labels: {app: agent}}\n    spec:\n      tolerations: [{operator: Exists}]\n      containers: [{name: c, resources: {requests: {cpu: 200m, memory: 100Mi}}}]\n";
    let alone = simulate(OCEAN, &pod("a", "1800m", "1Gi"));
    let beside = simulate(OCEAN, &documents(&[daemon.into(), pod("a", "1800m", "1Gi")]));
    assert_eq!(alone.json()["newNodes"][0]["instanceType"], json!("m5.large"));
    assert_eq!(beside.json()["newNodes"][0]["instanceType"], json!("m5.xlarge"));
}

#[test]
fn a_volume_ties_its_pod_to_a_zone_by_id_or_by_name() {
    let rows = [
        ("use1-az2", "use1-az2", false),
        // The catalogue's account calls use1-az2 us-east-1c.
        ("us-east-1c", "use1-az2", true),
    ];
    for (zone, expected, is_told) in rows {
        let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: disk, namespace: shop}\nspec: {volumeName: pv-1}\n";
        let volume = format!(
            "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: pv-1}}\nspec:\n  csi: {{driver: ebs.csi.aws.com, volumeHandle: vol-1}}\n  nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: [{{key: topology.kubernetes.io/zone, operator: In, values: [{zone}]}}]}}]}}}}\n"
        );
        let pod = pod("db", "1", "1Gi").replace(
            "spec:\n",
            "spec:\n  volumes: [{name: d, persistentVolumeClaim: {claimName: disk}}]\n",
        );
        let run = simulate(OCEAN, &documents(&[claim.into(), volume, pod]));
        assert_eq!(
            run.json()["newNodes"][0]["zone"],
            json!(expected),
            "{zone}: {}",
            run.err
        );
        assert_eq!(
            run.err
                .contains("zone names are taken as in the catalogue's account"),
            is_told,
            "{}",
            run.err
        );
    }
}

#[test]
fn a_node_says_how_its_account_names_zones() {
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {topology.kubernetes.io/zone: us-east-1a, topology.k8s.aws/zone-id: use1-az2}}\nspec: {unschedulable: true}\n";
    let pod = pod("a", "1", "1Gi").replace(
        "spec:\n",
        "spec:\n  nodeSelector: {topology.kubernetes.io/zone: us-east-1a}\n",
    );
    let run = simulate(OCEAN, &documents(&[node.into(), pod]));
    assert_eq!(run.json()["newNodes"][0]["zone"], json!("use1-az2"));
    assert_eq!(run.err, "");
}

#[test]
fn on_demand_serves_where_no_spot_market_does() {
    let folder = Folder::new();
    let no_spot = CATALOGUE.replace(
        r#""spot": {"use1-az1": 0.04, "use1-az2": 0.05}"#,
        r#""spot": false"#,
    );
    let narrow = OCEAN.replace(
        "{name: general}",
        "{name: general, requirements: [{key: node.kubernetes.io/instance-type, operator: In, values: [m5.large]}]}",
    );
    let run = run(
        &[
            "simulate",
            "--ocean",
            &folder.file("o.yaml", &narrow),
            "--cluster",
            "-",
            "--catalogue",
            &folder.file("c.json", &no_spot),
            "-ojson",
        ],
        &pod("a", "1", "1Gi"),
    );
    let node = &run.json()["newNodes"][0];
    assert_eq!(
        (&node["capacityType"], &node["pricePerHour"]),
        (&json!("on-demand"), &json!(0.1))
    );
}

#[test]
fn limits_count_the_nodes_that_carry_the_pools_labels() {
    let node = "apiVersion: v1\nkind: Node\nmetadata:\n  name: n1\n  labels: {spotocean.dev/ocean: shop, spotocean.dev/pool: general, spotocean.dev/capacity-type: spot, node.kubernetes.io/instance-type: m5.large, topology.kubernetes.io/zone: use1-az1}\nstatus:\n  capacity: {cpu: '2', memory: 8Gi, pods: '29'}\n  allocatable: {cpu: 10m, memory: 8Gi, pods: '29'}\n";
    for (limit, code) in [(2, 0), (1, 2)] {
        let limited = OCEAN.replace("  pools:", &format!("  limits: {{nodes: {limit}}}\n  pools:"));
        let run = simulate(&limited, &documents(&[node.into(), pod("a", "1", "1Gi")]));
        assert_eq!(run.code, code, "limit {limit}: {}", run.out);
    }
}

#[test]
fn more_nodes_than_the_launch_brake_allows_are_planned_at_once() {
    let pods: Vec<String> = (0..50)
        .map(|number| pod(&format!("p{number}"), "1800m", "1Gi"))
        .collect();
    let run = simulate(OCEAN, &documents(&pods));
    assert_eq!(run.code, 0, "{}", run.out);
    let planned = run.json();
    let pods: usize = planned["newNodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["pods"].as_array().unwrap().len())
        .sum();
    assert_eq!(pods, 50);
}

#[test]
fn built_in_figures_serve_without_a_catalogue() {
    let folder = Folder::new();
    let (ocean, cluster) = (
        folder.file("o.yaml", OCEAN),
        folder.file("c.yaml", &pod("a", "3", "6Gi")),
    );
    for region in ["us-east-1", "us-west-2"] {
        let run = run(
            &[
                "simulate",
                "--ocean",
                &ocean,
                "--cluster",
                &cluster,
                "--region",
                region,
                "-ojson",
            ],
            "",
        );
        assert_eq!(run.code, 0, "{}", run.err);
        let node = &run.json()["newNodes"][0];
        let prefix = if region == "us-east-1" {
            "use1-az"
        } else {
            "usw2-az"
        };
        assert!(node["zone"].as_str().unwrap().starts_with(prefix), "{node}");
        assert!(node["pricePerHour"].as_f64().unwrap() > 0.01, "{node}");
        assert!(node["alternatives"].as_u64().unwrap() >= 15, "{node}");
    }
}

#[test]
fn no_market_is_planned_beyond_its_share() {
    let folder = Folder::new();
    let pods: Vec<String> = (0..120)
        .map(|number| pod(&format!("p{number}"), "1500m", "3Gi"))
        .collect();
    let (ocean, cluster) = (
        folder.file("o.yaml", OCEAN),
        folder.file("c.yaml", &documents(&pods)),
    );
    let planned = run(
        &["simulate", "--ocean", &ocean, "--cluster", &cluster, "-ojson"],
        "",
    )
    .json();
    let catalogue = include_str!("../../data/ec2_catalogue.json");
    let catalogue: Value = serde_json::from_str(catalogue).unwrap();
    let vcpus = |name: &Value| {
        let types = catalogue["types"].as_array().unwrap();
        types.iter().find(|each| each["type"] == *name).unwrap()["vcpu"]
            .as_i64()
            .unwrap()
    };
    let mut held = std::collections::BTreeMap::<String, i64>::new();
    let mut largest = 0;
    for node in planned["newNodes"].as_array().unwrap() {
        let size = vcpus(&node["instanceType"]);
        largest = largest.max(size);
        *held
            .entry(format!("{} in {}", node["instanceType"], node["zone"]))
            .or_default() += size;
    }
    let total: i64 = held.values().sum();
    for (market, vcpus) in held {
        // The default of strategy.maxShare.market; a market may always hold one node.
        assert!(
            vcpus * 100 <= total * 15 || vcpus <= largest,
            "{market} holds {vcpus} of {total}"
        );
    }
}
