//! Pods come to lie as they were planned, though kube-scheduler by itself would spread them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use serde_json::json;
use spotocean_e2e::world::{self, World};

use crate::scene::{BOUGHT, Scene, deployment, ocean};

/// Pod shapes that fill nodes only when the right ones come together.
const SHAPES: [(&str, u32, &str, &str); 4] = [
    ("small", 8, "300m", "2Gi"),
    ("lean", 8, "700m", "512Mi"),
    ("fat", 6, "1100m", "7Gi"),
    ("large", 4, "1900m", "3Gi"),
];

#[tokio::test]
async fn each_pod_is_bought_for_once_and_comes_to_its_place() -> Result<()> {
    let mut scene = Scene::open().await?;
    // Without share caps, so that all goes out in one look: pods that wait for a later round of a
    // purchase may still take places in the nodes of an earlier one (docs/design/0005).
    let spec = json!({
        "strategy": {"maxShare": {"market": 100, "type": 100, "zone": 100}},
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
    ensure!(
        world.ocean_nodes.len() > 3,
        "{} nodes are too few to choose wrongly",
        world.ocean_nodes.len()
    );
    // A pod may come to free room that was ready before its own node; it must not take another's place.
    let places = planned(&world)?;
    let strays = places.values().filter(|(planned, bound)| planned != bound);
    let strays: Vec<_> = strays.collect();
    ensure!(
        strays.len() * 4 <= places.len(),
        "{} of {} pods are not where they were planned: {strays:?}",
        strays.len(),
        places.len()
    );
    Ok(())
}

/// Of every pod that a node was bought for: that node, and the one it is on.
fn planned(world: &World) -> Result<BTreeMap<String, (String, String)>> {
    let bound: BTreeMap<String, String> = world
        .pods
        .iter()
        .filter_map(|pod| Some((pod.name_any(), world::node_of(pod)?.to_owned())))
        .collect();
    let mut planned = BTreeMap::new();
    for own in &world.ocean_nodes {
        let node = own.status.as_ref().and_then(|status| status.node_name.clone());
        let node = node.with_context(|| format!("{} has a Node", own.name_any()))?;
        for pod in &own.spec.for_pods {
            let bound = bound
                .get(&pod.name)
                .with_context(|| format!("{} is bound", pod.name))?;
            let earlier = planned.insert(pod.name.clone(), (node.clone(), bound.clone()));
            ensure!(
                earlier.is_none(),
                "{} and {node} were both bought for {}",
                earlier.map(|(node, _)| node).unwrap_or_default(),
                pod.name
            );
        }
    }
    ensure!(!planned.is_empty(), "no node names its pods");
    Ok(planned)
}
