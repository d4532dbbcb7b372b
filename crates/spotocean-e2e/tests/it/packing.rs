//! Pods come to lie as they were planned, though kube-scheduler by itself would spread them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;
use spotocean_e2e::stack::{Shape, StackPlan};
use spotocean_e2e::world::{self, World};

use crate::scene::{BOUGHT, Scene, deployment, ocean};

/// Pod shapes that fill nodes only when the right ones come together.
const SHAPES: [(&str, u32, &str, &str); 4] = [
    ("small", 8, "300m", "2Gi"),
    ("lean", 8, "700m", "512Mi"),
    ("fat", 6, "1100m", "7Gi"),
    ("large", 4, "1900m", "3Gi"),
];

/// So many pods may be bought for again: between a nomination and the end of its node's taint the scheduler may try the
/// pod in vain, and give its place to another one (docs/design/0004). None are, as a rule.
const AGAIN_MAX: usize = 3;

#[tokio::test]
async fn each_pod_comes_to_the_place_that_was_bought_for_it() -> Result<()> {
    let mut plan = StackPlan::new(Shape::Cloud);
    // Boots as far apart as on EC2: a node that joins makes the scheduler try all pods.
    plan.scenario["timing"]["bootSeconds"] = json!(9.0);
    plan.scenario["timing"]["bootSpreadSeconds"] = json!(8.0);
    let mut scene = Scene::open_with(&plan).await?;
    let spec = json!({
        "pools": [{"name": "general", "requirements": [
            {"key": "spotocean.dev/instance-cpu", "operator": "Lte", "values": ["4"]},
        ]}],
    });
    scene.ocean(&ocean("demo", spec)).await?;
    let workloads = SHAPES.map(|(name, count, cpu, memory)| deployment(name, count, cpu, memory, json!({})));
    scene
        .apply(&workloads.map(|workload| workload.to_string()).join("\n---\n"))
        .await?;
    let pods: usize = SHAPES.iter().map(|(_, count, ..)| *count as usize).sum();
    scene
        .until(BOUGHT, "every pod runs", |world| {
            let running = world.running_pods();
            ensure!(running == pods, "{running} of {pods} pods run");
            Ok(())
        })
        .await?;
    let world = scene.look().await?;
    let nodes = world.ocean_nodes.len();
    ensure!(nodes > 3, "{nodes} nodes are too few to choose wrongly");
    let bought = bought(&world)?;
    let again: Vec<_> = bought.iter().filter(|(_, nodes)| nodes.len() > 1).collect();
    ensure!(
        again.len() <= AGAIN_MAX,
        "{} of {pods} pods were bought for again: {again:?}",
        again.len()
    );
    // Equal pods may change places, and one may come to free room that was ready before its own node. Left alone,
    // kube-scheduler puts about 20 of these elsewhere.
    let places = places(&world);
    let strays = bought
        .iter()
        .filter(|(pod, nodes)| !nodes.contains(&places[*pod]));
    let strays: Vec<_> = strays.collect();
    ensure!(
        strays.len() * 2 <= pods,
        "{} of {pods} pods are not where they were planned: {strays:?}",
        strays.len(),
    );
    Ok(())
}

/// The nodes that were bought for each pod.
fn bought(world: &World) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut bought: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for own in &world.ocean_nodes {
        let node = own.status.as_ref().and_then(|status| status.node_name.clone());
        let node = node.with_context(|| format!("{} has a Node", own.name_any()))?;
        for pod in &own.spec.for_pods {
            bought.entry(pod.name.clone()).or_default().insert(node.clone());
        }
    }
    ensure!(!bought.is_empty(), "no node names its pods");
    Ok(bought)
}

/// The node of each pod that is bound.
fn places(world: &World) -> BTreeMap<String, String> {
    let place = |pod: &Pod| Some((pod.name_any(), world::node_of(pod)?.to_owned()));
    world.pods.iter().filter_map(place).collect()
}
