//! The stack itself: what it starts really is a cluster, and nothing of it stays.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;
use spotocean_e2e::eventually::eventually;
use spotocean_e2e::stack::{Shape, Stack, StackPlan};

#[tokio::test]
async fn pods_of_a_deployment_bind_and_run_on_a_node_that_appears() -> Result<()> {
    let stack = Stack::start(&StackPlan::new(Shape::Cluster)).await?;
    let client = stack.client().await?;
    stack.kubectl().apply(DEPLOYMENT)?;
    let nodes: Api<Node> = Api::all(client.clone());
    nodes.create(&PostParams::default(), &node("node-a")?).await?;

    let pods: Api<Pod> = Api::namespaced(client, "default");
    eventually(Duration::from_secs(60), "three pods run on node-a", || async {
        let listed = pods.list(&ListParams::default()).await?;
        let placed: Vec<String> = listed.items.iter().map(placement).collect();
        ensure!(
            placed == ["node-a Running", "node-a Running", "node-a Running"],
            "{placed:?}"
        );
        Ok(())
    })
    .await?;
    stack.check_running()
}

#[tokio::test]
async fn a_stopped_node_gets_no_heartbeat_and_its_pods_stay_unfinished() -> Result<()> {
    let stack = Stack::start(&StackPlan::new(Shape::Cluster)).await?;
    let nodes: Api<Node> = Api::all(stack.client().await?);
    let mut stopped = node("node-b")?;
    let labels = stopped.metadata.labels.get_or_insert_default();
    labels.insert("sim.spotocean.dev/stopped".to_owned(), "true".to_owned());
    nodes.create(&PostParams::default(), &stopped).await?;
    nodes.create(&PostParams::default(), &node("node-c")?).await?;

    eventually(Duration::from_secs(30), "node-c is ready", || async {
        let ready = readiness(&nodes.get("node-c").await?);
        ensure!(ready == "True", "Ready is {ready}");
        Ok(())
    })
    .await?;
    let ready = readiness(&nodes.get("node-b").await?);
    ensure!(ready != "True", "a node without a kubelet became ready");
    Ok(())
}

#[tokio::test]
async fn a_service_account_s_kubeconfig_has_its_permissions_alone() -> Result<()> {
    let stack = Stack::start(&StackPlan::new(Shape::Schemas)).await?;
    stack
        .kubectl()
        .run(&["create", "serviceaccount", "nobody", "--namespace=kube-system"])?;
    let kubeconfig = stack.kubeconfig_of("kube-system", "nobody").await?;
    let program = spotocean_e2e::toolchain::control_plane()?.program("kubectl");
    let kubectl = spotocean_e2e::kubectl::Kubectl::new(&program, &kubeconfig);
    let who = kubectl.run(&["auth", "whoami", "--output=jsonpath={.status.userInfo.username}"])?;
    ensure!(who == "system:serviceaccount:kube-system:nobody", "{who}");
    let refused = kubectl.ask(&["get", "pods"], "")?;
    ensure!(
        !refused.success && refused.error.contains("forbidden"),
        "{refused:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_apiserver_can_be_restarted_and_keeps_its_objects() -> Result<()> {
    let stack = Stack::start(&StackPlan::new(Shape::Schemas)).await?;
    stack
        .kubectl()
        .run(&["create", "configmap", "kept", "--from-literal=a=b"])?;
    stack.restart("kube-apiserver")?;
    stack.await_api_server().await?;
    stack.kubectl().run(&["get", "configmap", "kept"]).map(drop)
}

fn node(name: &str) -> Result<Node> {
    let node = json!({
        "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": "us-east-1a"}},
        "spec": {"providerID": format!("aws:///us-east-1a/{name}")},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "20"}},
    });
    serde_json::from_value(node).context("a node of this shape is valid")
}

fn placement(pod: &Pod) -> String {
    let node = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.node_name.clone())
        .unwrap_or_default();
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.clone())
        .unwrap_or_default();
    format!("{node} {phase}")
}

fn readiness(node: &Node) -> String {
    let conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    ready
        .next_back()
        .map(|condition| condition.status.clone())
        .unwrap_or_default()
}

const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: registry.example/web:1
          resources: {requests: {cpu: 500m, memory: 256Mi}}
"#;
