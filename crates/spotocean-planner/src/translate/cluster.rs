//! The rest of the cluster: disruption budgets, namespaces, the CNI's settings, other autoscalers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Container, Namespace, PodSpec};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use spotocean_core::id::ObjectKey;
use spotocean_core::kubelet::PodDensity;
use spotocean_core::requirement::Labels;

use super::constraint;
use super::interner::Interner;
use crate::snapshot::{DisruptionBudget, OtherAutoscaler};

/// The VPC CNI's DaemonSet and container.
const VPC_CNI: &str = "aws-node";

/// Translates one PodDisruptionBudget. A selector that cannot be read selects nothing here; the Eviction API still enforces it.
#[must_use]
pub fn disruption_budget(budget: &PodDisruptionBudget) -> DisruptionBudget {
    let metadata = &budget.metadata;
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    DisruptionBudget {
        key: ObjectKey::new(
            metadata.namespace.as_deref().unwrap_or("default"),
            metadata.name.as_deref().unwrap_or_default(),
        ),
        selector: selector.and_then(|selector| constraint::label_selector(selector).ok()),
        disruptions_allowed: budget
            .status
            .as_ref()
            .and_then(|status| status.disruptions_allowed)
            .unwrap_or(0),
    }
}

/// The labels of one namespace.
pub fn namespace_labels(namespace: &Namespace, interner: &mut Interner) -> Arc<Labels> {
    interner.labels(namespace.metadata.labels.as_ref())
}

/// How pods get addresses, from the environment of the VPC CNI (`kube-system/aws-node`); without it another CNI is at work.
#[must_use]
pub fn pod_density(aws_node: Option<&DaemonSet>) -> PodDensity {
    let Some(environment) = aws_node.and_then(environment) else {
        return PodDensity::Unlimited;
    };
    let is_on = |name: &str| {
        environment
            .get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    };
    let reserved_interfaces = i64::from(is_on("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"));
    if is_on("ENABLE_IPv6") {
        PodDensity::Unlimited
    } else if is_on("ENABLE_PREFIX_DELEGATION") {
        PodDensity::PrefixDelegation { reserved_interfaces }
    } else {
        PodDensity::SecondaryAddresses { reserved_interfaces }
    }
}

fn environment(daemon_set: &DaemonSet) -> Option<BTreeMap<&str, &str>> {
    let spec = daemon_set.spec.as_ref()?.template.spec.as_ref()?;
    let container = spec
        .containers
        .iter()
        .find(|container| container.name == VPC_CNI)?;
    let pairs = container.env.iter().flatten();
    Some(
        pairs
            .map(|variable| {
                (
                    variable.name.as_str(),
                    variable.value.as_deref().unwrap_or_default(),
                )
            })
            .collect(),
    )
}

/// Autoscalers that could serve the same pods; `karpenter_node_pools` counts NodePools of Karpenter and EKS Auto Mode.
pub fn other_autoscalers<'a>(
    deployments: impl IntoIterator<Item = &'a Deployment>,
    karpenter_node_pools: usize,
) -> BTreeSet<OtherAutoscaler> {
    let cluster_autoscaler = deployments
        .into_iter()
        .any(cluster_autoscaler_runs)
        .then_some(OtherAutoscaler::ClusterAutoscaler);
    let karpenter = (karpenter_node_pools > 0).then_some(OtherAutoscaler::Karpenter);
    cluster_autoscaler.into_iter().chain(karpenter).collect()
}

/// Whether a Deployment is a Cluster Autoscaler that is not scaled to zero. Its image says so under every chart and name.
#[must_use]
pub fn cluster_autoscaler_runs(deployment: &Deployment) -> bool {
    let Some(spec) = &deployment.spec else {
        return false;
    };
    let is_autoscaler = |container: &Container| {
        let image = container.image.as_deref().unwrap_or_default();
        let repository = image.split(['@', ':']).next().unwrap_or_default();
        repository.rsplit('/').next() == Some("cluster-autoscaler")
    };
    let runs_it = |pod: &PodSpec| pod.containers.iter().any(is_autoscaler);
    spec.replicas.unwrap_or(1) > 0 && spec.template.spec.as_ref().is_some_and(runs_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn aws_node(environment: &Value) -> DaemonSet {
        serde_json::from_value(
            json!({"metadata": {"name": "aws-node"}, "spec": {"selector": {}, "template": {"spec":
            {"containers": [{"name": "aws-eks-nodeagent"}, {"name": "aws-node", "env": environment}]}}}}),
        )
        .unwrap()
    }

    #[test]
    fn pod_density_follows_the_cni() {
        let on = |name: &str| json!({"name": name, "value": "true"});
        let prefix = on("ENABLE_PREFIX_DELEGATION");
        let custom = on("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG");
        let off = json!({"name": "ENABLE_PREFIX_DELEGATION", "value": "false"});
        let rows = [
            (
                json!([]),
                PodDensity::SecondaryAddresses {
                    reserved_interfaces: 0,
                },
            ),
            (
                json!([off]),
                PodDensity::SecondaryAddresses {
                    reserved_interfaces: 0,
                },
            ),
            (
                json!([custom]),
                PodDensity::SecondaryAddresses {
                    reserved_interfaces: 1,
                },
            ),
            (
                json!([prefix]),
                PodDensity::PrefixDelegation {
                    reserved_interfaces: 0,
                },
            ),
            (
                json!([prefix, custom]),
                PodDensity::PrefixDelegation {
                    reserved_interfaces: 1,
                },
            ),
            (json!([prefix, on("ENABLE_IPv6")]), PodDensity::Unlimited),
        ];
        for (environment, expected) in rows {
            assert_eq!(
                pod_density(Some(&aws_node(&environment))),
                expected,
                "{environment}"
            );
        }
        assert_eq!(pod_density(None), PodDensity::Unlimited);
    }

    #[test]
    fn a_running_cluster_autoscaler_is_seen() {
        let rows = [
            ("registry.k8s.io/autoscaling/cluster-autoscaler:v1.33.0", 1, true),
            ("registry.k8s.io/autoscaling/cluster-autoscaler:v1.33.0", 0, false),
            ("example.com/cluster-autoscaler-exporter:1", 1, false),
            ("nginx", 1, false),
        ];
        for (image, replicas, expected) in rows {
            let deployment: Deployment =
                serde_json::from_value(json!({"metadata": {}, "spec": {"replicas": replicas,
                "selector": {}, "template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}))
                .unwrap();
            let found = other_autoscalers([&deployment], 0).contains(&OtherAutoscaler::ClusterAutoscaler);
            assert_eq!(found, expected, "{image} × {replicas}");
        }
        assert_eq!(
            other_autoscalers([], 2),
            BTreeSet::from([OtherAutoscaler::Karpenter])
        );
    }

    #[test]
    fn budgets_keep_null_and_empty_selectors_apart() {
        for (spec, expected) in [(json!({}), None), (json!({"selector": {}}), Some(true))] {
            let budget = json!({"metadata": {"name": "b", "namespace": "shop"}, "spec": spec, "status":
                {"disruptionsAllowed": 2, "currentHealthy": 3, "desiredHealthy": 1, "expectedPods": 3}});
            let read = disruption_budget(&serde_json::from_value(budget).unwrap());
            let matches_all = read.selector.map(|selector| selector.matches(&Labels::new()));
            assert_eq!((matches_all, read.disruptions_allowed), (expected, 2));
        }
    }
}
