//! Nodes, with what their CSI drivers can attach.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node as ApiNode, NodeSpec, NodeStatus, Taint as ApiTaint};
use k8s_openapi::api::storage::v1::CSINode;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use spotocean_api::annotation;
use spotocean_core::id::NodeName;
use spotocean_core::node::{Node, Readiness, instance_of_provider_id};
use spotocean_core::resources::Resources;
use spotocean_core::taint::{Taint, TaintEffect};

use super::interner::Interner;
use super::request;

/// Translates one Node; `drivers` is the CSINode of the same name.
pub fn node(node: &ApiNode, drivers: Option<&CSINode>, interner: &mut Interner) -> Node {
    let metadata = &node.metadata;
    let (no_spec, no_status) = (NodeSpec::default(), NodeStatus::default());
    let spec = node.spec.as_ref().unwrap_or(&no_spec);
    let status = node.status.as_ref().unwrap_or(&no_status);
    let created_at = metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    Node {
        name: NodeName(interner.text(metadata.name.as_deref().unwrap_or_default())),
        uid: metadata.uid.as_deref().unwrap_or_default().into(),
        resource_version: metadata.resource_version.as_deref().unwrap_or_default().into(),
        labels: interner.labels(metadata.labels.as_ref()),
        taints: spec.taints.iter().flatten().filter_map(taint).collect(),
        is_cordoned: spec.unschedulable.unwrap_or(false),
        instance: spec.provider_id.as_deref().and_then(instance_of_provider_id),
        capacity: resources(status.capacity.as_ref()),
        allocatable: resources(status.allocatable.as_ref()),
        attach_limits: drivers.map(attach_limits).unwrap_or_default(),
        readiness: readiness(status, created_at),
        created_at,
        deleted_at: metadata.deletion_timestamp.as_ref().map(|time| time.0),
        do_not_disrupt: asks_to_stay(metadata),
    }
}

/// An amount that cannot be read is an amount that is not there: the node then holds less, never more.
fn resources(quantities: Option<&BTreeMap<String, Quantity>>) -> Resources {
    let readable = quantities.into_iter().flatten().filter_map(|(name, quantity)| {
        let one = BTreeMap::from([(name.clone(), quantity.clone())]);
        let amount = request::read(Some(&one)).ok()?.amount(name);
        Some((name, amount))
    });
    let mut resources = Resources::default();
    for (name, amount) in readable {
        resources.set(name, amount);
    }
    resources
}

fn taint(taint: &ApiTaint) -> Option<Taint> {
    Some(Taint {
        key: taint.key.as_str().into(),
        value: taint.value.as_deref().unwrap_or_default().into(),
        effect: TaintEffect::parse(&taint.effect)?,
    })
}

fn readiness(status: &NodeStatus, created_at: Timestamp) -> Readiness {
    let condition = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "Ready");
    match condition {
        Some(condition) if condition.status == "True" => Readiness::Ready,
        condition => Readiness::NotReady {
            since: condition
                .and_then(|condition| condition.last_transition_time.as_ref())
                .map_or(created_at, |time| time.0),
        },
    }
}

fn attach_limits(drivers: &CSINode) -> BTreeMap<Arc<str>, i64> {
    drivers
        .spec
        .drivers
        .iter()
        .filter_map(|driver| {
            let count = driver.allocatable.as_ref()?.count?;
            Some((driver.name.as_str().into(), i64::from(count)))
        })
        .collect()
}

fn asks_to_stay(metadata: &ObjectMeta) -> bool {
    [
        annotation::DO_NOT_DISRUPT,
        annotation::KARPENTER_DO_NOT_DISRUPT,
        annotation::SCALE_DOWN_DISABLED,
    ]
    .into_iter()
    .any(|key| {
        let value = metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(key));
        value.is_some_and(|value| value != "false")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn from(object: Value) -> Node {
        node(
            &serde_json::from_value(object).unwrap(),
            None,
            &mut Interner::default(),
        )
    }

    #[test]
    fn a_node_is_read_whole() {
        let object = json!({
            "metadata": {"name": "n1", "uid": "u", "resourceVersion": "7", "labels": {"a": "b"},
                "annotations": {"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}},
            "spec": {"providerID": "aws:///us-east-1a/i-1", "unschedulable": true,
                "taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}, {"key": "x", "effect": "Odd"}]},
            "status": {"allocatable": {"cpu": "1930m", "memory": "7Gi", "pods": "29", "nvidia.com/gpu": "1", "bad": "?"},
                "conditions": [{"type": "Ready", "status": "True"}]}});
        let drivers = json!({"metadata": {"name": "n1"}, "spec": {"drivers": [
            {"name": "ebs.csi.aws.com", "nodeID": "i-1", "allocatable": {"count": 25}}, {"name": "efs", "nodeID": "i-1"}]}});
        let read = node(
            &serde_json::from_value(object).unwrap(),
            Some(&serde_json::from_value(drivers).unwrap()),
            &mut Interner::default(),
        );
        assert_eq!(read.instance, Some("i-1".into()));
        assert_eq!(read.taints.len(), 1);
        assert!(read.is_cordoned && read.is_ready() && read.do_not_disrupt);
        assert_eq!((read.allocatable.cpu_millis, read.allocatable.pods), (1930, 29));
        assert_eq!(
            (
                read.allocatable.extended("nvidia.com/gpu"),
                read.allocatable.extended("bad")
            ),
            (1, 0)
        );
        assert_eq!(
            read.attach_limits,
            BTreeMap::from([("ebs.csi.aws.com".into(), 25)])
        );
    }

    #[test]
    fn readiness_knows_since_when() {
        let created: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let later: Timestamp = "2026-01-01T00:05:00Z".parse().unwrap();
        let rows = [
            (json!([]), created),
            (json!([{"type": "Ready", "status": "False"}]), created),
            (
                json!([{"type": "Ready", "status": "Unknown", "lastTransitionTime": "2026-01-01T00:05:00Z"}]),
                later,
            ),
        ];
        for (conditions, since) in rows {
            let read = from(
                json!({"metadata": {"name": "n", "creationTimestamp": "2026-01-01T00:00:00Z"},
                "status": {"conditions": conditions}}),
            );
            assert_eq!(read.readiness, Readiness::NotReady { since });
        }
    }
}
