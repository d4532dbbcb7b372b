//! A thousand nodes and twenty thousand pods in the stores: what that costs in memory.
//!
//! Copies of what a burst has left, so that each object is as large as a real
//! one. Nothing else may touch them meanwhile: the controllers and KWOK stand still, and the ocean is paused.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use spotocean_api::annotation::PAUSE;
use spotocean_api::ocean_node::OceanNode;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_e2e::eventually::eventually;
use spotocean_e2e::operator::Operator;
use spotocean_e2e::process::Signal;
use spotocean_e2e::stack::Stack;
use spotocean_e2e::world::World;

use super::{AT_ONCE, Figure, create, figure, pod};

const NODES: usize = 1_000;
const PODS: usize = 20_000;
const WITHIN: Duration = Duration::from_secs(600);
const MIB: u64 = 1024 * 1024;

/// Fills the stores and reads the operator's resident set before and after.
pub(super) async fn measure(stack: &Stack, operator: &Operator, client: &Client) -> Result<Vec<Figure>> {
    let before = operator.memory_bytes()? / MIB;
    for name in ["kube-scheduler", "kube-controller-manager", "kwok"] {
        stack.signal(name, Signal::Stop)?;
    }
    let oceans: Api<SpotOcean> = Api::all(client.clone());
    let pause = json!({"metadata": {"annotations": {PAUSE: "true"}}});
    oceans
        .patch("demo", &PatchParams::default(), &Patch::Merge(&pause))
        .await?;
    let world = World::look(client).await?;
    let node = world.nodes.first().context("the burst has left a Node")?;
    let own = world
        .ocean_nodes
        .first()
        .context("the burst has left an OceanNode")?;
    let missing: Vec<usize> = (world.nodes.len()..NODES).collect();
    stream::iter(missing)
        .map(|number| copy(client, number, node, own))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    let pods = (world.pods.len()..PODS).map(|number| {
        let mut pod = pod(&format!("crowd-{number}"), 50, 64);
        pod["spec"]["nodeName"] = json!(format!(
            "crowd-{}",
            number % (NODES - world.nodes.len()) + world.nodes.len()
        ));
        pod
    });
    create(client, pods.collect()).await?;
    eventually(WITHIN, "the stores hold the crowd", || async {
        for (kind, wanted) in [("Node", NODES), ("Pod", PODS), ("OceanNode", NODES)] {
            let name = format!("spotocean_objects{{kind=\"{kind}\"}}");
            let found = operator.metric(&name).await?;
            ensure!(found >= wanted as f64, "{found} of {wanted} {kind}s");
        }
        Ok(())
    })
    .await?;
    let after = operator.memory_bytes()? / MIB;
    Ok(vec![
        figure("crowd: nodes, pods", format!("{NODES}, {PODS}")),
        figure(
            "crowd: operator's resident memory before",
            format!("{before} MiB"),
        ),
        figure("crowd: operator's resident memory", format!("{after} MiB")),
    ])
}

/// One more Node with its OceanNode, as the burst's but for their names.
async fn copy(client: &Client, number: usize, node: &Node, own: &OceanNode) -> Result<()> {
    let name = format!("crowd-{number}");
    let instance = format!("i-{number:017x}");
    let mut node = serde_json::to_value(node)?;
    node["metadata"] = fresh(&node["metadata"], &name);
    node["metadata"]["labels"]["kubernetes.io/hostname"] = json!(name);
    node["spec"]["providerID"] = json!(format!("aws:///us-east-1a/{instance}"));
    let node: Node = serde_json::from_value(node)?;
    let nodes: Api<Node> = Api::all(client.clone());
    let status = json!({"status": node.status});
    nodes.create(&PostParams::default(), &node).await?;
    nodes
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    let mut own = serde_json::to_value(own)?;
    own["metadata"] = fresh(&own["metadata"], &name);
    own["status"]["instanceId"] = json!(instance);
    own["status"]["nodeName"] = json!(name);
    let status = json!({"status": own["status"]});
    let own: OceanNode = serde_json::from_value(own)?;
    let all: Api<OceanNode> = Api::all(client.clone());
    all.create(&PostParams::default(), &own).await?;
    all.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    Ok(())
}

/// Metadata of a copy: what the apiserver gives is its own.
fn fresh(metadata: &Value, name: &str) -> Value {
    let kept = |field: &str| metadata.get(field).cloned().unwrap_or_else(|| json!({}));
    json!({"name": name, "labels": kept("labels"), "annotations": kept("annotations")})
}
