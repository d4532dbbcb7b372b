//! Takes features out of a cluster.

use serde_json::{Value, json};

use super::{APART, Feature, NODE_TERMS, TAINT, TIER, TOGETHER};
use crate::draft::{HOST, ZONE};
use crate::world::{World, kind};

const INIT: &str = "spec.initContainers";
const SPREAD: &str = "spec.topologySpreadConstraints";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// What a feature consists of. Paths are keys joined by dots.
enum Part {
    /// A field of each pod.
    Pod(&'static str),
    /// A field of each container.
    Container(&'static str),
    /// Node affinity terms with this operator.
    Operator(&'static str),
    /// Spreads over this key.
    Spread(&'static str),
    /// A field of each spread.
    OfSpread(&'static str),
    /// Terms of this side with this topology key.
    Term(&'static str, &'static str),
    /// A field of each term.
    OfTerm(&'static str),
    /// A field of each object of a kind.
    Object(&'static str, &'static str),
    /// A field of each pool but the one for GPUs, which is nothing without.
    Pool(&'static str),
    /// A field of each DaemonSet's pods.
    Daemon(&'static str),
    /// None of these.
    Other,
}

impl Feature {
    /// Takes it out of a cluster.
    pub(crate) fn strip(self, world: &mut World) {
        match self.part() {
            Part::Pod(path) => each_pod(world, |pod| without(pod, path)),
            Part::Container(path) => each_container(world, |own| without(own, path)),
            Part::Operator(operator) => each_pod(world, |pod| {
                keep_terms(pod, |term| term["matchExpressions"][0]["operator"] != operator);
            }),
            Part::Spread(key) => each_pod(world, |pod| {
                keep(at(pod, SPREAD), |own| own["topologyKey"] != key);
            }),
            Part::OfSpread(field) => each_spread(world, |own| without(own, field)),
            Part::Term(side, key) => each_pod(world, |pod| {
                keep(at(&mut pod["spec"], side), |one| one["topologyKey"] != key);
            }),
            Part::OfTerm(field) => each_term(world, |one| without(one, field)),
            Part::Object(wanted, path) => each_object(world, wanted, |object| without(object, path)),
            Part::Pool(field) => {
                let pools = world.pools.iter_mut();
                pools
                    .filter(|pool| pool["name"] != "gpu")
                    .for_each(|pool| without(pool, field));
            }
            Part::Daemon(path) => {
                for set in &mut world.daemon_sets {
                    without(&mut set["spec"]["template"]["spec"], path);
                }
            }
            Part::Other => self.strip_otherwise(world),
        }
    }

    fn part(self) -> Part {
        match self {
            Self::ExtendedResource => Part::Container("resources.limits"),
            Self::EphemeralStorage => Part::Container("resources.requests.ephemeral-storage"),
            Self::Overhead => Part::Pod("spec.overhead"),
            Self::PodLevelRequests => Part::Pod("spec.resources"),
            Self::NodeSelector => Part::Pod("spec.nodeSelector"),
            Self::AffinityIn => Part::Operator("In"),
            Self::AffinityNotIn => Part::Operator("NotIn"),
            Self::AffinityExists => Part::Operator("Exists"),
            Self::AffinityDoesNotExist => Part::Operator("DoesNotExist"),
            Self::AffinityGt => Part::Operator("Gt"),
            Self::AffinityLt => Part::Operator("Lt"),
            Self::PoolTaint => Part::Pool("taints"),
            Self::Toleration => Part::Pod("spec.tolerations"),
            Self::ZoneSpread => Part::Spread(ZONE),
            Self::HostSpread => Part::Spread(HOST),
            Self::LabelSpread => Part::Spread(TIER),
            Self::MinDomains => Part::OfSpread("minDomains"),
            Self::AffinityPolicy => Part::OfSpread("nodeAffinityPolicy"),
            Self::TaintsPolicy => Part::OfSpread("nodeTaintsPolicy"),
            Self::SpreadKeys => Part::OfSpread("matchLabelKeys"),
            Self::Ending => Part::Object("Pod", "metadata.deletionTimestamp"),
            Self::ZoneAffinity => Part::Term(TOGETHER, ZONE),
            Self::HostAffinity => Part::Term(TOGETHER, HOST),
            Self::ZoneAntiAffinity => Part::Term(APART, ZONE),
            Self::HostAntiAffinity => Part::Term(APART, HOST),
            Self::ResidentAntiAffinity => Part::Object("Pod", "spec.affinity"),
            Self::Namespaces => Part::OfTerm("namespaces"),
            Self::NamespaceSelector => Part::OfTerm("namespaceSelector"),
            Self::TermKeys => Part::OfTerm("matchLabelKeys"),
            Self::TermMismatchKeys => Part::OfTerm("mismatchLabelKeys"),
            Self::HostPort => Part::Container("ports"),
            Self::VolumeZone => Part::Object("PersistentVolume", "spec.nodeAffinity"),
            Self::VolumeClass => Part::Object("StorageClass", "allowedTopologies"),
            Self::DaemonSetSelector => Part::Daemon("nodeSelector"),
            Self::PoolRequirement => Part::Pool("requirements"),
            Self::PoolWeight => Part::Pool("weight"),
            Self::PodDensity => Part::Pool("template"),
            Self::Gate => Part::Pod("spec.schedulingGates"),
            Self::InitContainer
            | Self::Sidecar
            | Self::AffinityFields
            | Self::AffinityAlternatives
            | Self::NodeTaint
            | Self::Cordon
            | Self::SpreadOfOthers
            | Self::HostIp
            | Self::AttachLimit
            | Self::SharedVolume
            | Self::ExclusiveVolume
            | Self::DaemonPort
            | Self::DaemonSet => Part::Other,
        }
    }

    fn strip_otherwise(self, world: &mut World) {
        let is_sidecar = |one: &Value| one.get("restartPolicy").is_some();
        match self {
            Self::InitContainer => each_pod(world, |pod| keep(at(pod, INIT), is_sidecar)),
            Self::Sidecar => each_pod(world, |pod| keep(at(pod, INIT), |one| !is_sidecar(one))),
            Self::AffinityFields => each_pod(world, |pod| {
                keep_terms(pod, |term| term.get("matchFields").is_none());
            }),
            Self::AffinityAlternatives => each_pod(world, |pod| {
                let terms = at(&mut pod["spec"], NODE_TERMS);
                if let Some(list) = terms.and_then(Value::as_array_mut) {
                    list.truncate(1);
                }
            }),
            Self::NodeTaint => each_object(world, "Node", |node| {
                keep(at(node, "spec.taints"), |taint| taint["key"] != TAINT);
            }),
            Self::Cordon => each_object(world, "Node", |node| {
                without(node, "spec.unschedulable");
                keep(at(node, "spec.taints"), |taint| taint["key"] != UNSCHEDULABLE);
            }),
            Self::SpreadOfOthers => each_pod(world, |pod| {
                let app = pod["metadata"]["labels"]["app"].clone();
                keep(at(pod, SPREAD), |own| {
                    own["labelSelector"]["matchLabels"]["app"] == app
                });
            }),
            Self::HostIp => each_container(world, |own| {
                for port in own["ports"].as_array_mut().into_iter().flatten() {
                    without(port, "hostIP");
                }
            }),
            Self::AttachLimit => {
                world.attachment_slots = 27;
                world.objects.retain(|object| kind(object) != "CSINode");
            }
            Self::SharedVolume => apart(world),
            Self::ExclusiveVolume => each_object(world, "PersistentVolumeClaim", |claim| {
                if claim["spec"]["accessModes"][0] == "ReadWriteOncePod" {
                    claim["spec"]["accessModes"] = json!(["ReadWriteOnce"]);
                }
            }),
            Self::DaemonPort => {
                for set in &mut world.daemon_sets {
                    without(&mut set["spec"]["template"]["spec"]["containers"][0], "ports");
                }
            }
            _ => world.daemon_sets.clear(),
        }
    }
}

/// The value at a path of keys joined by dots, if it is there.
fn at<'a>(object: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.')
        .try_fold(object, |object, key| object.get_mut(key))
}

/// Removes the field at a path, if it is there.
fn without(object: &mut Value, path: &str) {
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    let parent = if parent.is_empty() {
        Some(object)
    } else {
        at(object, parent)
    };
    if let Some(map) = parent.and_then(Value::as_object_mut) {
        map.remove(key);
    }
}

/// Keeps some items of a list.
fn keep(list: Option<&mut Value>, wanted: impl Fn(&Value) -> bool) {
    if let Some(items) = list.and_then(Value::as_array_mut) {
        items.retain(|item| wanted(item));
    }
}

fn each_pod(world: &mut World, change: impl FnMut(&mut Value)) {
    world.pods_mut().for_each(change);
}

fn each_object(world: &mut World, wanted: &str, change: impl FnMut(&mut Value)) {
    world
        .objects
        .iter_mut()
        .filter(|object| kind(object) == wanted)
        .for_each(change);
}

fn each_container(world: &mut World, mut change: impl FnMut(&mut Value)) {
    each_pod(world, |pod| {
        for own in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
            change(own);
        }
    });
}

fn each_spread(world: &mut World, mut change: impl FnMut(&mut Value)) {
    each_pod(world, |pod| {
        for own in at(pod, SPREAD)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            change(own);
        }
    });
}

fn each_term(world: &mut World, mut change: impl FnMut(&mut Value)) {
    each_pod(world, |pod| {
        for side in [TOGETHER, APART] {
            for one in at(&mut pod["spec"], side)
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                change(one);
            }
        }
    });
}

/// Keeps node affinity terms; without any the pod has no node affinity.
fn keep_terms(pod: &mut Value, wanted: impl Fn(&Value) -> bool) {
    keep(at(&mut pod["spec"], NODE_TERMS), wanted);
    let terms = at(&mut pod["spec"], NODE_TERMS);
    if terms
        .and_then(|terms| terms.as_array())
        .is_some_and(Vec::is_empty)
    {
        without(pod, "spec.affinity.nodeAffinity");
    }
}

/// Gives each pod volumes of its own instead of shared ones.
fn apart(world: &mut World) {
    let shared: Vec<Value> = world
        .of_kind("PersistentVolumeClaim")
        .filter(|claim| claim["spec"]["accessModes"][0] == "ReadWriteMany")
        .cloned()
        .collect();
    for (number, pod) in world.pending.iter_mut().enumerate() {
        for volume in pod["spec"]["volumes"].as_array_mut().into_iter().flatten() {
            let name = &mut volume["persistentVolumeClaim"]["claimName"];
            let Some(claim) = shared.iter().find(|claim| claim["metadata"]["name"] == *name) else {
                continue;
            };
            let own = format!("{}-own{number}", name.as_str().unwrap_or_default());
            let mut claim = claim.clone();
            let volume = claim["spec"]["volumeName"].clone();
            let mut persistent = world
                .objects
                .iter()
                .find(|object| object["metadata"]["name"] == volume)
                .cloned()
                .unwrap_or_default();
            claim["metadata"]["name"] = json!(own);
            claim["spec"]["volumeName"] = json!(format!("pv-{own}"));
            persistent["metadata"]["name"] = json!(format!("pv-{own}"));
            *name = json!(own);
            world.objects.push(claim);
            world.objects.push(persistent);
        }
    }
}
