//! Volumes as their provisioner makes them.

use serde_json::{Value, json};

use crate::feature::EBS;
use crate::world::{World, kind};

/// Binds a claim that waited for a pod to a volume in the zone of the pod's node, as its provisioner would.
pub(crate) fn bind_claim(world: &mut World, name: &Value, zone: &Value) {
    let mut claims = world.objects.iter_mut();
    let claim = claims.find(|one| kind(one) == "PersistentVolumeClaim" && one["metadata"]["name"] == *name);
    let Some(claim) = claim.filter(|claim| claim["spec"]["volumeName"].is_null()) else {
        return;
    };
    let volume = bound_volume(claim, Some(zone));
    world.objects.push(volume);
}

/// Makes a claim a bound one; its volume.
pub(crate) fn bound_volume(claim: &mut Value, zone: Option<&Value>) -> Value {
    let name = claim["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let volume = format!("pv-{name}");
    claim["spec"]["volumeName"] = json!(volume);
    claim["metadata"]["annotations"] = json!({"pv.kubernetes.io/bind-completed": "yes"});
    claim["status"] = json!({"phase": "Bound"});
    let own = &claim["spec"];
    let mut spec = json!({"capacity": {"storage": "1Gi"}, "accessModes": own["accessModes"],
        "storageClassName": own["storageClassName"],
        "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "default", "name": name, "uid": format!("uid-{name}")},
        "csi": {"driver": EBS, "volumeHandle": volume}});
    if let Some(zone) = zone {
        spec["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [{"matchExpressions":
            [{"key": "topology.ebs.csi.aws.com/zone", "operator": "In", "values": [zone]}]}]}});
    }
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume},
        "spec": spec, "status": {"phase": "Bound"}})
}
