//! Booting instances against a stand-in for the apiserver: who becomes a Node, and what the others say.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aws_sim::Options;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{Sim, eventually, prompt};

type Nodes = Arc<Mutex<Vec<Value>>>;

/// Keeps what is created and patched; that is all a kubelet needs here.
struct Apiserver {
    nodes: Nodes,
    kubeconfig: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Apiserver {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.kubeconfig);
    }
}

fn not_found() -> (StatusCode, Json<Value>) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found"});
    (StatusCode::NOT_FOUND, Json(status))
}

async fn create(State(nodes): State<Nodes>, Json(node): Json<Value>) -> Json<Value> {
    nodes.lock().expect("unpoisoned").push(node.clone());
    Json(node)
}

async fn read(
    State(nodes): State<Nodes>,
    Path(name): Path<String>,
) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let nodes = nodes.lock().expect("unpoisoned");
    nodes
        .iter()
        .find(|node| node["metadata"]["name"] == name.as_str())
        .cloned()
        .map(Json)
        .ok_or_else(not_found)
}

async fn change(State(nodes): State<Nodes>, Path(name): Path<String>, body: String) -> Json<Value> {
    let change: Value = serde_json::from_str(&body).expect("JSON");
    let mut nodes = nodes.lock().expect("unpoisoned");
    let node = nodes
        .iter_mut()
        .find(|node| node["metadata"]["name"] == name.as_str())
        .expect("a Node");
    if let Some(labels) = change["metadata"]["labels"].as_object() {
        for (key, value) in labels {
            node["metadata"]["labels"][key] = value.clone();
        }
    }
    if let Some(conditions) = change["status"].get("conditions") {
        node["status"]["conditions"] = conditions.clone();
    }
    Json(node.clone())
}

async fn apiserver(name: &str) -> Apiserver {
    let nodes = Nodes::default();
    let router = Router::new()
        .route("/api/v1/nodes", post(create))
        .route("/api/v1/nodes/{name}", get(read).patch(change))
        .route("/api/v1/nodes/{name}/status", patch(change))
        .fallback(|| async { not_found() })
        .with_state(nodes.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
    let kubeconfig = std::env::temp_dir().join(format!("aws-sim-{name}-{}.yaml", std::process::id()));
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nclusters: [{{name: c, cluster: {{server: '{url}'}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n"
    );
    std::fs::write(&kubeconfig, text).expect("writable");
    Apiserver {
        nodes,
        kubeconfig,
        task,
    }
}

async fn sim_with(apiserver: &Apiserver) -> Sim {
    // kube's client is built for TLS even when it is not used; a second install is refused and harmless.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kubeconfig = Some(apiserver.kubeconfig.clone());
    let mut options = Options {
        kubeconfig,
        ..prompt()
    };
    // RunInstances may be called five times in a row, and these tests are not about that.
    options.scenario.throttle = false;
    let sim = Sim::start(options).await;
    sim.order("market", &json!({"type": "m5.large", "onDemandDepth": 50}))
        .await;
    sim.query("iam", "CreateInstanceProfile", &[("InstanceProfileName", "p")])
        .await;
    let role = [
        ("InstanceProfileName", "p"),
        ("RoleName", "SpotOceanNodeRole-demo"),
    ];
    sim.query("iam", "AddRoleToInstanceProfile", &role).await;
    sim
}

async fn admit(sim: &Sim) {
    let body =
        json!({"principalArn": "arn:aws:iam::123456789012:role/SpotOceanNodeRole-demo", "type": "EC2_LINUX"});
    assert_eq!(
        sim.rest("POST", "/clusters/demo/access-entries", &body)
            .await
            .status,
        200
    );
}

async fn user_data(sim: &Sim, cluster: &str) -> String {
    let found = sim.rest("GET", "/clusters/demo", &json!(null)).await.json()["cluster"].clone();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    format!(
        "apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec:\n  cluster:\n    name: {cluster}\n    apiServerEndpoint: {}\n    certificateAuthority: {}\n    cidr: {}\n  kubelet:\n    flags: [--node-labels=pool=a]\n",
        text(&found["endpoint"]),
        text(&found["certificateAuthority"]["data"]),
        text(&found["kubernetesNetworkConfig"]["serviceIpv4Cidr"]),
    )
}

async fn launch(sim: &Sim, user_data: &str, group_name: &str) -> String {
    let filter = [("Filter.1.Name", "group-name"), ("Filter.1.Value.1", group_name)];
    let group = sim.ec2("DescribeSecurityGroups", &filter).await.first("groupId");
    let (image, subnet) = (sim.image("x86_64").await, sim.subnet("us-east-1a").await);
    let encoded = STANDARD.encode(user_data);
    let pairs = [
        ("ImageId", image.as_str()),
        ("InstanceType", "m5.large"),
        ("SubnetId", &subnet),
        ("SecurityGroupId.1", &group),
        ("IamInstanceProfile.Name", "p"),
        ("UserData", &encoded),
        ("MinCount", "1"),
        ("MaxCount", "1"),
    ];
    let answer = sim.ec2("RunInstances", &pairs).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    sim.advance(60.0).await;
    answer.first("instanceId")
}

/// What an instance's console shows once it shows something.
async fn console(sim: &Sim, id: &str) -> String {
    eventually("the console speaks", || async {
        let output = sim
            .ec2("GetConsoleOutput", &[("InstanceId", id)])
            .await
            .first("output");
        let text = String::from_utf8(STANDARD.decode(output).expect("base64")).expect("text");
        (!text.is_empty()).then_some(text)
    })
    .await
}

#[tokio::test]
async fn an_admitted_instance_becomes_a_node_and_falls_silent_when_it_ends() {
    let apiserver = apiserver("joins").await;
    let sim = sim_with(&apiserver).await;
    admit(&sim).await;
    let id = launch(&sim, &user_data(&sim, "demo").await, "demo-nodes").await;
    let node = eventually("the Node appears", || async {
        apiserver.nodes.lock().expect("unpoisoned").first().cloned()
    })
    .await;
    assert_eq!(node["spec"]["providerID"], format!("aws:///us-east-1a/{id}"));
    assert_eq!(node["metadata"]["labels"]["pool"], "a");
    assert_eq!(
        node["metadata"]["labels"]["topology.kubernetes.io/zone"],
        "us-east-1a"
    );
    assert_eq!(node["status"]["allocatable"]["cpu"], "1930m");
    eventually("the kubelet has registered", || async {
        console(&sim, &id)
            .await
            .contains("Successfully registered")
            .then_some(())
    })
    .await;
    sim.ec2("TerminateInstances", &[("InstanceId.1", &id)]).await;
    eventually("the Node is silent", || async {
        let nodes = apiserver.nodes.lock().expect("unpoisoned");
        let is_unknown = nodes[0]["status"]["conditions"][0]["status"] == "Unknown";
        (is_unknown && nodes[0]["metadata"]["labels"]["sim.spotocean.dev/stopped"] == "true").then_some(())
    })
    .await;
}

#[tokio::test]
async fn instances_that_would_not_join_say_why() {
    let apiserver = apiserver("refused").await;
    let sim = sim_with(&apiserver).await;
    admit(&sim).await;
    let good = user_data(&sim, "demo").await;
    let forbidden = good.replace("pool=a", "node-role.kubernetes.io/worker=");
    let rows = [
        (
            user_data(&sim, "other").await,
            "demo-nodes",
            "the token is for cluster 'other'",
        ),
        (good.clone(), "database", "not let in by the cluster"),
        (
            good.replace("http://", "http://elsewhere."),
            "demo-nodes",
            "i/o timeout",
        ),
        (
            good.replace("10.0.0.0/24", "10.9.0.0/24"),
            "demo-nodes",
            "service CIDR 10.9.0.0/24",
        ),
        (
            good.replace("certificateAuthority: ", "certificateAuthority: AAAA"),
            "demo-nodes",
            "unknown authority",
        ),
        ("#!/bin/sh\n".to_owned(), "demo-nodes", "no config in chain"),
        (
            forbidden,
            "demo-nodes",
            "unknown 'kubernetes.io' or 'k8s.io' labels",
        ),
    ];
    for (user_data, group, expected) in rows {
        let id = launch(&sim, &user_data, group).await;
        let shown = console(&sim, &id).await;
        assert!(
            shown.contains(expected),
            "expected {expected}, the console shows {shown}"
        );
    }
    assert!(apiserver.nodes.lock().expect("unpoisoned").is_empty());
}

#[tokio::test]
async fn a_refused_role_joins_once_it_is_admitted() {
    let apiserver = apiserver("late").await;
    let sim = sim_with(&apiserver).await;
    let id = launch(&sim, &user_data(&sim, "demo").await, "demo-nodes").await;
    assert!(
        console(&sim, &id)
            .await
            .contains("neither an access entry nor a row in the aws-auth ConfigMap")
    );
    admit(&sim).await;
    sim.advance(10.0).await;
    eventually("the Node appears", || async {
        apiserver.nodes.lock().expect("unpoisoned").first().cloned()
    })
    .await;
}
