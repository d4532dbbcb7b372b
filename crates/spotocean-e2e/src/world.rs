//! One look at a cluster: its pods, nodes and oceans, and the few questions that
//! tests and the demo ask of them. Judges nothing and changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use spotocean_api::capacity_type::CapacityType;
use spotocean_api::label;
use spotocean_api::ocean_launch::OceanLaunch;
use spotocean_api::ocean_node::{OceanNode, Phase};
use spotocean_api::spot_ocean::SpotOcean;

/// What was there at one moment.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Pods of all namespaces that matter: those of the system are left out.
    pub pods: Vec<Pod>,
    /// All Nodes.
    pub nodes: Vec<Node>,
    /// All oceans.
    pub oceans: Vec<SpotOcean>,
    /// All OceanNodes.
    pub ocean_nodes: Vec<OceanNode>,
    /// All OceanLaunches.
    pub launches: Vec<OceanLaunch>,
}

impl World {
    /// Looks.
    pub async fn look(client: &Client) -> Result<World> {
        let pods: Vec<Pod> = all(client).await?;
        Ok(World {
            pods: pods
                .into_iter()
                .filter(|pod| pod.namespace().is_some_and(|name| !name.starts_with("kube-")))
                .collect(),
            nodes: all(client).await?,
            oceans: all(client).await?,
            ocean_nodes: all(client).await?,
            launches: all(client).await?,
        })
    }

    /// Pods that no node was found for yet.
    pub fn pending_pods(&self) -> usize {
        self.pods
            .iter()
            .filter(|pod| node_of(pod).is_none() && !is_over(pod))
            .count()
    }

    /// Pods that run.
    pub fn running_pods(&self) -> usize {
        self.pods
            .iter()
            .filter(|pod| phase_of(pod) == "Running" && !is_leaving(pod))
            .count()
    }

    /// Pods with `app=<app>` that run.
    pub fn running_of(&self, app: &str) -> Vec<&Pod> {
        let of_app = |pod: &&Pod| pod.labels().get("app").is_some_and(|found| found == app);
        self.pods
            .iter()
            .filter(of_app)
            .filter(|pod| phase_of(pod) == "Running" && !is_leaving(pod))
            .collect()
    }

    /// The zones of the nodes under these pods.
    pub fn zones_of(&self, pods: &[&Pod]) -> BTreeSet<String> {
        let zones: BTreeMap<String, String> = self
            .nodes
            .iter()
            .filter_map(|node| Some((node.name_any(), node.labels().get(label::ZONE)?.clone())))
            .collect();
        pods.iter()
            .filter_map(|pod| zones.get(node_of(pod)?).cloned())
            .collect()
    }

    /// OceanNodes in one of these phases.
    pub fn in_phase(&self, phases: &[Phase]) -> Vec<&OceanNode> {
        self.ocean_nodes
            .iter()
            .filter(|node| phases.contains(&phase(node)))
            .collect()
    }

    /// OceanNodes that are ready and hold pods that run, those with the most first.
    pub fn busy_spot_nodes(&self) -> Vec<&OceanNode> {
        let pods_on = |node: &OceanNode| {
            let name = node
                .status
                .as_ref()
                .and_then(|status| status.node_name.as_deref());
            self.pods
                .iter()
                .filter(|pod| name.is_some() && node_of(pod) == name && phase_of(pod) == "Running")
                .count()
        };
        let mut nodes = self.in_phase(&[Phase::Initialized]);
        nodes.retain(|node| node.spec.capacity_type == CapacityType::Spot && pods_on(node) > 0);
        nodes.sort_by_key(|node| (std::cmp::Reverse(pods_on(node)), node.name_any()));
        nodes
    }

    /// What all instances cost together.
    pub fn price_micro_usd_per_hour(&self) -> u64 {
        let prices = self
            .ocean_nodes
            .iter()
            .filter_map(|node| node.status.as_ref()?.price_micro_usd_per_hour);
        prices.sum()
    }

    /// Fails unless every ocean's instances are as many as `expected`.
    pub fn expect_ocean_nodes(&self, expected: usize) -> Result<()> {
        let found: Vec<String> = self.ocean_nodes.iter().map(describe).collect();
        ensure!(
            found.len() == expected,
            "{} OceanNodes instead of {expected}: {}",
            found.len(),
            found.join(", ")
        );
        Ok(())
    }
}

/// An OceanNode in a few words, for failures and the demo.
pub fn describe(node: &OceanNode) -> String {
    let status = node.status.clone().unwrap_or_default();
    let words = [
        Some(node.name_any()),
        Some(format!("{:?}", status.phase)),
        status.reason.map(|reason| format!("{reason:?}")),
        status.instance_id,
        status.instance_type,
        status.zone,
        status.message,
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The phase of an OceanNode; one without a status was only just written.
pub fn phase(node: &OceanNode) -> Phase {
    node.status.as_ref().map_or(Phase::Pending, |status| status.phase)
}

/// The name of the Node a pod is bound to.
pub fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// A pod's phase, empty when it has none yet.
pub fn phase_of(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

fn is_over(pod: &Pod) -> bool {
    matches!(phase_of(pod), "Succeeded" | "Failed")
}

fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

async fn all<K>(client: &Client) -> Result<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    match Api::<K>::all(client.clone()).list(&ListParams::default()).await {
        Ok(listed) => Ok(listed.items),
        // A kind that is not served has no objects.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("listing {}", K::plural(&()))),
    }
}
