//! AL2023: a MIME document with a nodeadm NodeConfig (`node.eks.aws/v1alpha1`).
//!
//! nodeadm merges all NodeConfig parts in order, later ones over earlier ones
//! (amazon-eks-ami `doc/usage`), so the user's come first and ours last. Ours
//! is written as JSON, which is YAML, because YAML 1.1 readers take a bare
//! `yes` for a boolean.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use spotocean_api::kubelet::Kubelet;
use spotocean_api::template::InstanceStore;

use super::mime::{Part, document, is_document, parts};
use super::node_label::settable;
use super::{Bootstrap, BootstrapError};

const NODE_CONFIG: &str = "application/node.eks.aws";
const SHELL_SCRIPT: &str = "text/x-shellscript; charset=\"us-ascii\"";
const CLOUD_CONFIG: &str = "text/cloud-config; charset=\"us-ascii\"";

pub(super) fn user_data(bootstrap: &Bootstrap<'_>) -> Result<String, BootstrapError> {
    let mut all = Vec::new();
    for text in bootstrap.own.iter().filter(|text| !text.trim().is_empty()) {
        all.extend(own_parts(text)?);
    }
    let config = serde_json::to_string_pretty(&node_config(bootstrap)).expect("a NodeConfig is plain data");
    all.push(Part::new(NODE_CONFIG, &config));
    Ok(document(&all))
}

fn own_parts(text: &str) -> Result<Vec<Part>, BootstrapError> {
    let text = text.trim_start();
    if is_document(text) {
        return parts(text);
    }
    if text.starts_with("#!") {
        return Ok(vec![Part::new(SHELL_SCRIPT, text)]);
    }
    if text.starts_with("#cloud-config") {
        return Ok(vec![Part::new(CLOUD_CONFIG, text)]);
    }
    if is_node_config(text) {
        return Ok(vec![Part::new(NODE_CONFIG, text)]);
    }
    Err(BootstrapError::UnknownForm)
}

fn is_node_config(text: &str) -> bool {
    let field = |value: &serde_yaml::Value, name: &str| {
        value
            .get(name)
            .and_then(serde_yaml::Value::as_str)
            .map(str::to_owned)
    };
    serde_yaml::from_str::<serde_yaml::Value>(text).is_ok_and(|value| {
        field(&value, "apiVersion").is_some_and(|version| version.starts_with("node.eks.aws/"))
            && field(&value, "kind").is_some_and(|kind| kind == "NodeConfig")
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeConfig {
    api_version: &'static str,
    kind: &'static str,
    spec: NodeConfigSpec,
}

#[derive(Serialize)]
struct NodeConfigSpec {
    cluster: ClusterDetails,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<Value>,
    kubelet: KubeletOptions,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterDetails {
    name: String,
    api_server_endpoint: String,
    certificate_authority: String,
    cidr: String,
}

#[derive(Serialize)]
struct KubeletOptions {
    config: BTreeMap<&'static str, Value>,
    flags: Vec<String>,
}

fn node_config(bootstrap: &Bootstrap<'_>) -> NodeConfig {
    let cluster = bootstrap.cluster;
    NodeConfig {
        api_version: "node.eks.aws/v1alpha1",
        kind: "NodeConfig",
        spec: NodeConfigSpec {
            cluster: ClusterDetails {
                name: cluster.name.to_string(),
                api_server_endpoint: cluster.endpoint.to_string(),
                certificate_authority: cluster.certificate_authority.to_string(),
                cidr: cluster.service_cidr.to_string(),
            },
            instance: bootstrap
                .instance_store
                .map(|InstanceStore::RAID0| json!({"localStorage": {"strategy": "RAID0"}})),
            kubelet: KubeletOptions {
                config: kubelet_config(bootstrap),
                flags: vec![node_labels_flag(bootstrap)],
            },
        },
    }
}

fn node_labels_flag(bootstrap: &Bootstrap<'_>) -> String {
    let pairs: Vec<String> = settable(bootstrap.labels)
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    format!("--node-labels={}", pairs.join(","))
}

fn kubelet_config(bootstrap: &Bootstrap<'_>) -> BTreeMap<&'static str, Value> {
    let Kubelet {
        max_pods: _,
        pods_per_core,
        kube_reserved,
        system_reserved,
        eviction_hard,
        eviction_soft,
        eviction_soft_grace_period,
        image_gc_high_threshold_percent,
        image_gc_low_threshold_percent,
        cpu_cfs_quota,
        cluster_dns,
    } = bootstrap.kubelet;
    let mut config = BTreeMap::from([
        ("maxPods", json!(bootstrap.max_pods)),
        ("registerWithTaints", taints(bootstrap)),
        (
            "clusterDNS",
            cluster_dns
                .as_ref()
                .map_or_else(|| json!([bootstrap.cluster.dns]), |own| json!(own)),
        ),
    ]);
    let maps = [
        ("kubeReserved", json!(kube_reserved)),
        ("systemReserved", json!(system_reserved)),
        ("evictionHard", json!(eviction_hard)),
        ("evictionSoft", json!(eviction_soft)),
        ("evictionSoftGracePeriod", json!(eviction_soft_grace_period)),
    ];
    let scalars = [
        ("podsPerCore", json!(pods_per_core)),
        (
            "imageGCHighThresholdPercent",
            json!(image_gc_high_threshold_percent),
        ),
        (
            "imageGCLowThresholdPercent",
            json!(image_gc_low_threshold_percent),
        ),
        ("cpuCFSQuota", json!(cpu_cfs_quota)),
    ];
    let is_set = |value: &Value| !value.is_null() && value.as_object().is_none_or(|map| !map.is_empty());
    config.extend(maps.into_iter().chain(scalars).filter(|(_, value)| is_set(value)));
    config
}

fn taints(bootstrap: &Bootstrap<'_>) -> Value {
    bootstrap
        .taints
        .iter()
        .map(|taint| json!({"effect": taint.effect.as_str(), "key": taint.key, "value": taint.value}))
        .collect()
}
