//! The kubelets' side of the real cluster: Nodes appear, fall silent and are deleted as the account's
//! instances do. It decides nothing about who may join but what only the cluster knows: `aws-auth`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};

use crate::boot::{self, Refusal};
use crate::node::{STOPPED_LABEL, ready};
use crate::server::Shared;
use crate::state::Effect;
use crate::state::eks::ClusterFacts;
use crate::state::instance::Membership;

/// The real cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// Endpoint and certificate authority, as its kubeconfig has them.
    pub facts: ClusterFacts,
}

impl Cluster {
    /// Reads a kubeconfig's current context.
    pub async fn from_kubeconfig(path: &Path) -> anyhow::Result<Cluster> {
        let kubeconfig = Kubeconfig::read_from(path)
            .with_context(|| format!("{} is no readable kubeconfig", path.display()))?;
        let facts = facts(&kubeconfig, path)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .with_context(|| format!("{} names no usable cluster", path.display()))?;
        let client = Client::try_from(config).context("no client for the cluster")?;
        Ok(Cluster { client, facts })
    }

    fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    /// Whether the `aws-auth` ConfigMap lets a role in as a node.
    async fn aws_auth_admits(&self, role_arn: &str) -> anyhow::Result<bool> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), "kube-system");
        let Some(map) = maps.get_opt("aws-auth").await? else {
            return Ok(false);
        };
        let rows = map
            .data
            .unwrap_or_default()
            .remove("mapRoles")
            .unwrap_or_default();
        Ok(admits(&rows, role_arn))
    }

    /// Creates a Node with its status; a Node of the same name and instance is the same kubelet back again.
    async fn register(&self, node: &Node) -> anyhow::Result<()> {
        let name = node.metadata.name.clone().unwrap_or_default();
        match self.nodes().create(&PostParams::default(), node).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
                let existing = self.nodes().get(&name).await?;
                let provider = |node: &Node| node.spec.as_ref().and_then(|spec| spec.provider_id.clone());
                if provider(&existing) != provider(node) {
                    anyhow::bail!("a Node {name} of another instance is still there");
                }
            }
            Err(error) => return Err(error.into()),
        }
        let status = json!({"status": node.status});
        self.nodes()
            .patch_status(&name, &PatchParams::default(), &Patch::Merge(&status))
            .await?;
        Ok(())
    }

    /// Takes a Node out of KWOK's hands, and marks it as the node life-cycle controller would.
    async fn silence(&self, name: &str, instance_id: &str) -> anyhow::Result<()> {
        if self.find(name, instance_id).await?.is_none() {
            return Ok(());
        }
        let label = json!({"metadata": {"labels": {STOPPED_LABEL: "true"}}});
        ignore_missing(
            self.nodes()
                .patch(name, &PatchParams::default(), &Patch::Merge(&label))
                .await,
        )?;
        let unknown = ready(
            "Unknown",
            "NodeStatusUnknown",
            "Kubelet stopped posting node status.",
        );
        let status = json!({"status": {"conditions": [unknown]}});
        ignore_missing(
            self.nodes()
                .patch_status(name, &PatchParams::default(), &Patch::Strategic(&status))
                .await,
        )?;
        Ok(())
    }

    async fn delete(&self, name: &str, instance_id: &str) -> anyhow::Result<()> {
        let Some(node) = self.find(name, instance_id).await? else {
            return Ok(());
        };
        let preconditions = Preconditions {
            uid: node.metadata.uid,
            resource_version: None,
        };
        let parameters = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        match self.nodes().delete(name, &parameters).await {
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            other => other.map(drop).map_err(Into::into),
        }
    }

    /// The Node of this name, if it is still this instance's.
    async fn find(&self, name: &str, instance_id: &str) -> anyhow::Result<Option<Node>> {
        let node = self.nodes().get_opt(name).await?;
        Ok(node.filter(|node| {
            let provider = node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref());
            provider.is_some_and(|provider| provider.ends_with(&format!("/{instance_id}")))
        }))
    }
}

fn ignore_missing(result: kube::Result<Node>) -> anyhow::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop).map_err(Into::into),
    }
}

fn facts(kubeconfig: &Kubeconfig, path: &Path) -> anyhow::Result<ClusterFacts> {
    let context = kubeconfig
        .current_context
        .as_ref()
        .and_then(|current| kubeconfig.contexts.iter().find(|each| each.name == *current))
        .and_then(|each| each.context.as_ref())
        .with_context(|| format!("{} has no current context", path.display()))?;
    let cluster = kubeconfig
        .clusters
        .iter()
        .find(|each| each.name == context.cluster)
        .and_then(|each| each.cluster.as_ref())
        .with_context(|| format!("{} has no cluster '{}'", path.display(), context.cluster))?;
    let certificate_authority = match (
        &cluster.certificate_authority_data,
        &cluster.certificate_authority,
    ) {
        (Some(data), _) => data.clone(),
        (None, Some(file)) => {
            STANDARD.encode(std::fs::read(file).with_context(|| format!("{file} cannot be read"))?)
        }
        (None, None) => ClusterFacts::default().certificate_authority,
    };
    let endpoint = cluster
        .server
        .clone()
        .context("the cluster has no server address")?;
    Ok(ClusterFacts {
        endpoint,
        certificate_authority,
    })
}

/// Whether `mapRoles` has a row that makes the role a node (aws-iam-authenticator).
fn admits(map_roles: &str, role_arn: &str) -> bool {
    let rows: Value = serde_yaml::from_str(map_roles).unwrap_or(Value::Null);
    rows.as_array().into_iter().flatten().any(|row| {
        let groups: Vec<&str> = row["groups"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        row["rolearn"] == role_arn
            && row["username"] == "system:node:{{EC2PrivateDNSName}}"
            && ["system:bootstrappers", "system:nodes"]
                .iter()
                .all(|group| groups.contains(group))
    })
}

/// Carries out one effect, trying again until it is done or pointless.
pub async fn carry_out(shared: Arc<Shared>, effect: Effect) {
    let Some(cluster) = shared.cluster.clone() else {
        if let Effect::Join { instance_id } = effect {
            note(
                &shared,
                &instance_id,
                "kubelet: this simulator was started without a cluster to join",
            );
        }
        return;
    };
    match effect {
        Effect::Join { instance_id } => join(&shared, &cluster, &instance_id).await,
        Effect::Silence { node, instance_id } => {
            until_done(|| cluster.silence(&node, &instance_id)).await;
        }
        Effect::DeleteNode { node, instance_id } => {
            until_done(|| cluster.delete(&node, &instance_id)).await;
        }
    }
}

/// The apiserver may be restarting: an effect on a Node is repeated for some minutes.
async fn until_done<Attempt, Work>(mut attempt: Attempt)
where
    Attempt: FnMut() -> Work,
    Work: Future<Output = anyhow::Result<()>>,
{
    for _ in 0..600 {
        match attempt().await {
            Ok(()) => return,
            Err(error) => tracing::warn!("the cluster refused, trying again: {error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn join(shared: &Shared, cluster: &Cluster, instance_id: &str) {
    let judged = {
        let world = shared.world();
        let Some(instance) = world
            .instances
            .get(instance_id)
            .filter(|found| found.holds_capacity())
        else {
            return;
        };
        boot::admit(&world, instance)
    };
    let outcome = match judged {
        Err(refusal) => Err(refusal),
        Ok(admission) => enter(cluster, &admission).await.map(|()| admission.node),
    };
    settle(shared, instance_id, outcome);
}

async fn enter(cluster: &Cluster, admission: &boot::Admission) -> Result<(), Refusal> {
    let failed =
        |error: anyhow::Error| Refusal::ForNow(format!("kubelet: unable to register node: {error:#}"));
    if let Some(role) = &admission.needs_aws_auth_for
        && !cluster.aws_auth_admits(role).await.map_err(failed)?
    {
        return Err(Refusal::ForNow(format!(
            "kubelet: Unauthorized: role {role} has neither an access entry nor a row in the aws-auth ConfigMap with username system:node:{{{{EC2PrivateDNSName}}}} and groups system:bootstrappers, system:nodes"
        )));
    }
    cluster.register(&admission.node).await.map_err(failed)
}

/// Writes down how an attempt to join went; an instance that ended meanwhile leaves a silent Node.
fn settle(shared: &Shared, instance_id: &str, outcome: Result<Node, Refusal>) {
    let mut world = shared.world();
    let retries = matches!(outcome, Err(Refusal::ForNow(_)));
    let Some(instance) = world.instances.get_mut(instance_id) else {
        return;
    };
    match outcome {
        Ok(node) => {
            let name = node.metadata.name.unwrap_or_default();
            instance.log(format!("kubelet: Successfully registered node {name}"));
            instance.membership = Membership::Joined { node: name.clone() };
            if !instance.holds_capacity() {
                let effect = Effect::Silence {
                    node: name,
                    instance_id: instance_id.to_owned(),
                };
                world.effects.push(effect);
                shared.wake();
            }
        }
        Err(refusal) => {
            instance.log(refusal.line());
            instance.membership = Membership::Refused(refusal.line().to_owned());
        }
    }
    if retries {
        world.retry_boot(instance_id);
        shared.wake();
    }
}

fn note(shared: &Shared, instance_id: &str, line: &str) {
    if let Some(instance) = shared.world().instances.get_mut(instance_id) {
        instance.log(line);
        instance.membership = Membership::Refused(line.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_auth_rows_must_be_whole() {
        let row = |username: &str, groups: &str| {
            format!("- rolearn: arn:x\n  username: {username}\n  groups: {groups}\n")
        };
        let node = "system:node:{{EC2PrivateDNSName}}";
        for (rows, expected) in [
            (row(node, "[system:bootstrappers, system:nodes]"), true),
            (row(node, "[system:nodes]"), false),
            (row("admin", "[system:bootstrappers, system:nodes]"), false),
            (
                row(node, "[system:bootstrappers, system:nodes]").replace("arn:x", "arn:y"),
                false,
            ),
            ("not: [yaml".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(admits(&rows, "arn:x"), expected, "{rows}");
        }
    }
}
