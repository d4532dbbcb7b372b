//! `explain`: the constraint that binds, and what a change would do.

use serde_json::json;

use crate::plugin::{CATALOGUE, Folder, OCEAN, Run, documents, pod, run, simulate};

fn explain(what: &str, name: &str, ocean: &str, cluster: &str, output: &str) -> Run {
    let folder = Folder::new();
    run(
        &[
            "explain",
            what,
            name,
            "--ocean",
            &folder.file("ocean.yaml", ocean),
            "--cluster",
            &folder.file("cluster.yaml", cluster),
            "--catalogue",
            &folder.file("catalogue.json", CATALOGUE),
            "-o",
            output,
        ],
        "",
    )
}

#[test]
fn the_funnel_of_a_pod_that_fits_nothing_ends_at_its_binding_constraint() {
    let cluster = pod("huge", "10", "1Gi");
    let run = explain("pod", "shop/huge", OCEAN, &cluster, "json");
    assert_eq!(run.code, 2, "{}", run.err);
    let answer = run.json();
    assert_eq!(answer["outcome"], "Pending");
    assert_eq!(answer["reasons"][0]["reason"], "NoInstanceTypeFits");
    let pool = &answer["pools"][0];
    // Five markets, each on spot and on demand.
    assert_eq!(pool["offerings"], 10);
    assert_eq!(pool["binding"], "enough cpu beside the DaemonSets");
    assert_eq!(
        pool["changes"],
        json!([{"do": ["lower the pod's cpu request from 10 to 3900m or less (such as m5.xlarge)"], "admits": 4,
            "cheapest": "m5.xlarge in use1-az1"}])
    );
    let text = explain("pod", "shop/huge", OCEAN, &cluster, "table").out;
    assert!(
        text.contains("enough cpu beside the DaemonSets  <- leaves none"),
        "{text}"
    );
    assert!(
        text.contains("- lower the pod's cpu request from 10 to 3900m"),
        "{text}"
    );
}

#[test]
fn the_change_that_is_told_is_the_change_that_helps() {
    let (before, after) = (pod("huge", "10", "1Gi"), pod("huge", "3900m", "1Gi"));
    assert_eq!(simulate(OCEAN, &before).code, 2);
    assert_eq!(simulate(OCEAN, &after).code, 0);
    let run = explain("pod", "shop/huge", OCEAN, &after, "json");
    assert_eq!((run.code, run.json()["outcome"].clone()), (0, json!("NewNode")));
    assert_eq!(run.json()["pools"][0]["binding"], json!(null));
}

fn node(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n  labels: {{spotocean.dev/ocean: shop, spotocean.dev/pool: general, spotocean.dev/capacity-type: spot, node.kubernetes.io/instance-type: m5.large, topology.kubernetes.io/zone: use1-az1}}\nstatus:\n  capacity: {{cpu: '2', memory: 8Gi, pods: '29'}}\n  allocatable: {{cpu: 1900m, memory: 7000Mi, pods: '29'}}\n"
    )
}

fn bound(name: &str, node: &str) -> String {
    pod(name, "1", "1Gi")
        .replace("spec:\n", &format!("spec:\n  nodeName: {node}\n"))
        .replace("Pending", "Running")
}

#[test]
fn a_node_says_what_blocks_its_removal_and_what_that_would_cost() {
    let run = explain(
        "node",
        "n1",
        OCEAN,
        &documents(&[node("n1"), bound("a", "n1")]),
        "json",
    );
    assert_eq!(run.code, 0, "{}", run.err);
    let answer = run.json();
    assert_eq!(
        (&answer["pool"], &answer["pricePerHour"]),
        (&json!("general"), &json!(0.04))
    );
    let blocks = answer["blocks"].to_string();
    assert!(
        blocks.contains("empty nodes only") && blocks.contains("no controller"),
        "{blocks}"
    );
    assert_eq!(answer["withoutIt"]["pods"], json!(["shop/a"]));
    assert_eq!(answer["withoutIt"]["moreNewNodes"], 1);
    assert_eq!(answer["withoutIt"]["addedHourlyCost"], 0.04);
    let two = documents(&[node("n1"), node("n2"), bound("a", "n1")]);
    let text = explain("node", "n1", OCEAN, &two, "table").out;
    assert!(text.contains("saves 0.0400 USD an hour"), "{text}");
}

#[test]
fn what_is_not_in_the_dump_cannot_be_explained() {
    for (what, name) in [("pod", "shop/absent"), ("node", "absent")] {
        let run = explain(what, name, OCEAN, &pod("a", "1", "1Gi"), "json");
        assert_eq!(run.code, 1);
        assert!(
            run.err.contains("there is no") && run.err.contains("absent"),
            "{}",
            run.err
        );
    }
}
