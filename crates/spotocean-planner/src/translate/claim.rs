//! Persistent volume claims: what each demands of the node, or who must act first.
//!
//! Source: kube-scheduler's VolumeBinding and VolumeZone plugins.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use spotocean_core::claim::{Claim, ClaimState};
use spotocean_core::id::ObjectKey;
use spotocean_core::label;
use spotocean_core::pod::NodeTerm;
use spotocean_core::requirement::{Operator, Requirement};

use super::constraint;

/// The EBS CSI driver, which has taken over the in-tree plugin's volumes (KEP-625).
const EBS_DRIVER: &str = "ebs.csi.aws.com";
/// The name under which classes of the in-tree plugin ask for it.
const EBS_IN_TREE: &str = "kubernetes.io/aws-ebs";
/// The provisioner of classes whose volumes somebody makes by hand, such as local disks.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// Translates one claim. `volume` is the PersistentVolume named in its `volumeName`; `class` is the
/// StorageClass it names, or the cluster's default class where it names none.
#[must_use]
pub fn claim(
    claim: &PersistentVolumeClaim,
    volume: Option<&PersistentVolume>,
    class: Option<&StorageClass>,
) -> Claim {
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let spec = claim.spec.as_ref();
    let volume_name = spec
        .and_then(|spec| spec.volume_name.as_deref())
        .filter(|name| !name.is_empty());
    let state = if claim.metadata.deletion_timestamp.is_some() {
        blocked(format!(
            "claim {name:?} is being deleted: create it anew once it is gone"
        ))
    } else if let Some(volume_name) = volume_name {
        bound(name, volume_name, volume)
    } else {
        let class_name = spec.and_then(|spec| spec.storage_class_name.as_deref());
        unbound(name, class_name, class)
    };
    Claim {
        key: ObjectKey::new(claim.metadata.namespace.as_deref().unwrap_or("default"), name),
        volume: volume_name.map(Arc::from),
        state,
        is_exclusive: is_exclusive(claim),
    }
}

/// Whether the scheduler lets one pod in the cluster use it (its VolumeRestrictions plugin, KEP-2485).
fn is_exclusive(claim: &PersistentVolumeClaim) -> bool {
    let modes = claim
        .spec
        .iter()
        .flat_map(|spec| spec.access_modes.iter().flatten());
    modes.into_iter().any(|mode| mode == "ReadWriteOncePod")
}

/// Whether a class is the one for claims that name none.
#[must_use]
pub fn is_default_class(class: &StorageClass) -> bool {
    let annotations = class.metadata.annotations.as_ref();
    annotations
        .and_then(|annotations| annotations.get("storageclass.kubernetes.io/is-default-class"))
        .is_some_and(|value| value == "true")
}

fn blocked(sentence: String) -> ClaimState {
    ClaimState::Blocked(sentence.into())
}

fn bound(name: &str, volume_name: &str, volume: Option<&PersistentVolume>) -> ClaimState {
    let Some(volume) = volume else {
        return blocked(format!(
            "claim {name:?} is bound to volume {volume_name:?}, which does not exist: restore the volume or recreate the claim"
        ));
    };
    match volume_terms(volume) {
        Ok(terms) => ClaimState::Usable {
            terms,
            driver: volume_driver(volume),
        },
        Err(what) => blocked(format!(
            "volume {volume_name:?} of claim {name:?} cannot be read: {what}"
        )),
    }
}

/// Node affinity of a volume; old volumes say their zone in a label, several joined by `__`.
fn volume_terms(volume: &PersistentVolume) -> Result<Option<Vec<NodeTerm>>, Arc<str>> {
    let affinity = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.node_affinity.as_ref())
        .and_then(|affinity| affinity.required.as_ref());
    if let Some(affinity) = affinity {
        return constraint::node_terms(affinity).map(Some);
    }
    let zones = [label::ZONE, label::LEGACY_ZONE].into_iter().find_map(|key| {
        let labels = volume.metadata.labels.as_ref()?;
        labels.get(key)
    });
    Ok(zones.map(|zones| {
        vec![NodeTerm {
            expressions: vec![Requirement::new(label::ZONE, Operator::In, zones.split("__"))],
            fields: Vec::new(),
        }]
    }))
}

fn volume_driver(volume: &PersistentVolume) -> Option<Arc<str>> {
    let spec = volume.spec.as_ref()?;
    let csi = spec.csi.as_ref().map(|csi| csi.driver.as_str());
    csi.or(spec.aws_elastic_block_store.as_ref().map(|_| EBS_DRIVER))
        .map(Arc::from)
}

fn unbound(name: &str, class_name: Option<&str>, class: Option<&StorageClass>) -> ClaimState {
    let Some(class) = class else {
        return blocked(match class_name {
            None | Some("") => format!(
                "claim {name:?} has no StorageClass and no volume is bound to it: create a volume for it or give it a class"
            ),
            Some(class) => format!(
                "claim {name:?} names StorageClass {class:?}, which does not exist: create it or name another"
            ),
        });
    };
    let class_title = class.metadata.name.as_deref().unwrap_or_default();
    if class.provisioner == NO_PROVISIONER {
        return blocked(format!(
            "claim {name:?} waits for a volume that somebody makes by hand (StorageClass {class_title:?} has no provisioner): create one"
        ));
    }
    if class.volume_binding_mode.as_deref() != Some("WaitForFirstConsumer") {
        return blocked(format!(
            "claim {name:?} is not bound yet (StorageClass {class_title:?} binds at once): its provisioner {:?} must act first",
            class.provisioner
        ));
    }
    ClaimState::Usable {
        terms: allowed_topologies(class),
        driver: Some(driver_of_provisioner(&class.provisioner).into()),
    }
}

fn driver_of_provisioner(provisioner: &str) -> &str {
    if provisioner == EBS_IN_TREE {
        EBS_DRIVER
    } else {
        provisioner
    }
}

fn allowed_topologies(class: &StorageClass) -> Option<Vec<NodeTerm>> {
    let terms = class
        .allowed_topologies
        .as_ref()
        .filter(|terms| !terms.is_empty())?;
    let term = |term: &k8s_openapi::api::core::v1::TopologySelectorTerm| NodeTerm {
        expressions: term
            .match_label_expressions
            .iter()
            .flatten()
            .map(|one| Requirement::new(&one.key, Operator::In, one.values.iter().map(String::as_str)))
            .collect(),
        fields: Vec::new(),
    };
    Some(terms.iter().map(term).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(spec: Value, volume: Option<Value>, class: Option<Value>) -> ClaimState {
        let mut object = json!({"metadata": {"name": "disk", "namespace": "shop"}});
        object["spec"] = spec;
        let volume = volume.map(|volume| serde_json::from_value(volume).unwrap());
        let class = class.map(|class| serde_json::from_value(class).unwrap());
        claim(
            &serde_json::from_value(object).unwrap(),
            volume.as_ref(),
            class.as_ref(),
        )
        .state
    }

    fn zones(state: &ClaimState) -> Vec<&str> {
        match state {
            ClaimState::Usable {
                terms: Some(terms), ..
            } => {
                assert_eq!(terms[0].expressions[0].key.as_ref(), label::ZONE);
                terms[0].expressions[0].values.iter().map(AsRef::as_ref).collect()
            }
            other => panic!("not tied to zones: {other:?}"),
        }
    }

    #[test]
    fn a_bound_volume_ties_the_pod_to_its_zone() {
        let bound = json!({"volumeName": "pv-1"});
        let csi = json!({"metadata": {"name": "pv-1"}, "spec": {"csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions":
                [{"key": "topology.ebs.csi.aws.com/zone", "operator": "In", "values": ["us-east-1a"]}]}]}}}});
        let state = check(bound.clone(), Some(csi), None);
        assert_eq!(zones(&state), ["us-east-1a"]);
        assert!(
            matches!(&state, ClaimState::Usable { driver: Some(driver), .. } if driver.as_ref() == EBS_DRIVER)
        );
        let in_tree = json!({"metadata": {"name": "pv-1", "labels": {"failure-domain.beta.kubernetes.io/zone": "a__b"}},
            "spec": {"awsElasticBlockStore": {"volumeID": "vol-1"}}});
        assert_eq!(zones(&check(bound.clone(), Some(in_tree), None)), ["a", "b"]);
        assert!(matches!(check(bound, None, None), ClaimState::Blocked(text) if text.contains("pv-1")));
    }

    #[test]
    fn an_unbound_claim_follows_its_class() {
        let class = |mode: &str, provisioner: &str| {
            json!({"metadata": {"name": "fast"}, "provisioner": provisioner, "volumeBindingMode": mode,
                "allowedTopologies": [{"matchLabelExpressions": [{"key": "topology.kubernetes.io/zone", "values": ["us-east-1b"]}]}]})
        };
        let wants = json!({"storageClassName": "fast"});
        let waiting = check(
            wants.clone(),
            None,
            Some(class("WaitForFirstConsumer", EBS_IN_TREE)),
        );
        assert_eq!(zones(&waiting), ["us-east-1b"]);
        assert!(
            matches!(&waiting, ClaimState::Usable { driver: Some(driver), .. } if driver.as_ref() == EBS_DRIVER)
        );
        let rows = [
            (
                wants.clone(),
                Some(class("Immediate", EBS_DRIVER)),
                "must act first",
            ),
            (
                wants.clone(),
                Some(class("WaitForFirstConsumer", NO_PROVISIONER)),
                "by hand",
            ),
            (wants, None, "does not exist"),
            (json!({}), None, "has no StorageClass"),
        ];
        for (spec, class, expected) in rows {
            let state = check(spec, None, class);
            assert!(
                matches!(&state, ClaimState::Blocked(text) if text.contains(expected)),
                "{expected}: {state:?}"
            );
        }
    }
}
