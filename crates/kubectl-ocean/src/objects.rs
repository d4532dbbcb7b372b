//! The cluster in a dump, in the planner's words: every object is translated as it is read, by the operator's
//! own translation, and only that is kept.
//!
//! Decides what a hand-written object means where the apiserver would have filled something in: a Node without
//! any condition is ready, one without allocatable offers its capacity, a namespace carries its name as label.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet as ApiDaemonSet;
use k8s_openapi::api::core::v1::{
    Namespace as ApiNamespace, Node as ApiNode, PersistentVolume, PersistentVolumeClaim, Pod as ApiPod,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use spotocean_api::ocean_launch::OceanLaunch;
use spotocean_api::ocean_node::OceanNode;
use spotocean_core::claim::Claim;
use spotocean_core::id::{Namespace, ObjectKey};
use spotocean_core::kubelet::PodDensity;
use spotocean_core::node::{Node, Readiness};
use spotocean_core::pod::{DaemonSet, Pod};
use spotocean_core::requirement::Labels;
use spotocean_planner::snapshot::DisruptionBudget;
use spotocean_planner::translate::{self, Interner, claim::is_default_class};

use crate::dump::{DumpError, Object, Sink};

/// kubelet's attach limits of one node by CSI driver.
type AttachLimits = BTreeMap<Arc<str>, i64>;

/// Everything read so far.
#[derive(Default)]
pub(crate) struct Objects {
    interner: Interner,
    /// Pods.
    pub(crate) pods: BTreeMap<ObjectKey, Pod>,
    priority_names: BTreeMap<ObjectKey, Arc<str>>,
    priorities: BTreeMap<Arc<str>, i32>,
    /// Nodes by name.
    pub(crate) nodes: BTreeMap<Arc<str>, Node>,
    attach_limits: BTreeMap<Arc<str>, AttachLimits>,
    /// DaemonSets.
    pub(crate) daemon_sets: BTreeMap<ObjectKey, DaemonSet>,
    /// How pods get addresses; known where the VPC CNI's DaemonSet was read.
    pub(crate) pod_density: Option<PodDensity>,
    claims: BTreeMap<ObjectKey, PersistentVolumeClaim>,
    volumes: BTreeMap<Arc<str>, PersistentVolume>,
    classes: BTreeMap<Arc<str>, StorageClass>,
    /// PodDisruptionBudgets.
    pub(crate) disruption_budgets: BTreeMap<ObjectKey, DisruptionBudget>,
    /// Namespaces' labels.
    pub(crate) namespaces: BTreeMap<Namespace, Arc<Labels>>,
    /// The kube-system namespace's UID.
    pub(crate) cluster_uid: Option<Arc<str>>,
    /// OceanNodes by name.
    pub(crate) ocean_nodes: BTreeMap<Arc<str>, OceanNode>,
    /// OceanLaunches by name.
    pub(crate) launches: BTreeMap<Arc<str>, OceanLaunch>,
    /// The newest creation of anything.
    pub(crate) newest: Option<Timestamp>,
}

/// The kinds that are read, each with its API group's versions.
const KINDS: [(&str, &str); 13] = [
    ("Pod", "v1"),
    ("Node", "v1"),
    ("Namespace", "v1"),
    ("PersistentVolume", "v1"),
    ("PersistentVolumeClaim", "v1"),
    ("DaemonSet", "apps/v1"),
    ("StorageClass", "storage.k8s.io/v1"),
    ("CSINode", "storage.k8s.io/v1"),
    ("PodDisruptionBudget", "policy/v1"),
    ("PriorityClass", "scheduling.k8s.io/v1"),
    ("OceanNode", "spotocean.dev/v1alpha1"),
    ("OceanLaunch", "spotocean.dev/v1alpha1"),
    ("SpotOcean", "spotocean.dev/v1alpha1"),
];

impl Sink for Objects {
    fn wants(&self, kind: &str) -> bool {
        KINDS.iter().any(|(known, _)| *known == kind) && kind != "SpotOcean"
    }

    fn take(&mut self, object: &Object) -> Result<(), DumpError> {
        let is_ours = |(kind, version): &(&str, &str)| {
            *kind == object.kind && (object.api_version.is_empty() || object.api_version == *version)
        };
        if !KINDS.iter().any(is_ours) {
            // Another group's kind of the same name.
            return Ok(());
        }
        match object.kind.as_str() {
            "Pod" => self.take_pod(object),
            "Node" => self.take_node(object),
            "Namespace" => self.take_namespace(object),
            "DaemonSet" => self.take_daemon_set(object),
            "CSINode" => self.take_csi_node(object),
            "PodDisruptionBudget" => self.take_budget(object),
            "PriorityClass" => self.take_priority(object),
            "PersistentVolumeClaim" => {
                let claim: PersistentVolumeClaim = object.read()?;
                let key = self.key(object, &claim.metadata)?;
                once(&mut self.claims, key, claim, object)
            }
            "PersistentVolume" => {
                let volume: PersistentVolume = object.read()?;
                let name = self.name(object, &volume.metadata)?;
                once(&mut self.volumes, name, volume, object)
            }
            "StorageClass" => {
                let class: StorageClass = object.read()?;
                let name = self.name(object, &class.metadata)?;
                once(&mut self.classes, name, class, object)
            }
            "OceanNode" => {
                let own: OceanNode = object.read()?;
                let name = self.name(object, &own.metadata)?;
                once(&mut self.ocean_nodes, name, own, object)
            }
            _ => {
                let launch: OceanLaunch = object.read()?;
                let name = self.name(object, &launch.metadata)?;
                once(&mut self.launches, name, launch, object)
            }
        }
    }

    fn restart(&mut self) {
        *self = Self::default();
    }
}

/// Keeps an object; a second one of the same name must be the same.
fn once<K: Ord, V: PartialEq>(
    map: &mut BTreeMap<K, V>,
    key: K,
    value: V,
    object: &Object,
) -> Result<(), DumpError> {
    match map.get(&key) {
        Some(known) if *known != value => Err(object.refuse(
            "another object of this kind and name came before, and they differ: keep the one that is meant",
        )),
        _ => {
            map.insert(key, value);
            Ok(())
        }
    }
}

impl Objects {
    fn name(&mut self, object: &Object, metadata: &ObjectMeta) -> Result<Arc<str>, DumpError> {
        let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
        self.newest = self.newest.max(created);
        match metadata.name.as_deref() {
            Some(name) if !name.is_empty() => Ok(name.into()),
            _ => {
                Err(object.refuse("field metadata.name: a name is needed (generateName alone names nothing)"))
            }
        }
    }

    fn key(&mut self, object: &Object, metadata: &ObjectMeta) -> Result<ObjectKey, DumpError> {
        let name = self.name(object, metadata)?;
        let namespace = metadata.namespace.as_deref().unwrap_or("default");
        Ok(ObjectKey::new(namespace, &name))
    }

    fn take_pod(&mut self, object: &Object) -> Result<(), DumpError> {
        let read: ApiPod = object.read()?;
        let key = self.key(object, &read.metadata)?;
        let spec = read.spec.as_ref();
        let class = spec.and_then(|spec| spec.priority_class_name.as_deref());
        if let (Some(class), None) = (class, spec.and_then(|spec| spec.priority)) {
            self.priority_names.insert(key.clone(), class.into());
        }
        let pod = translate::pod(&read, &mut self.interner);
        once(&mut self.pods, key, pod, object)
    }

    fn take_node(&mut self, object: &Object) -> Result<(), DumpError> {
        let read: ApiNode = object.read()?;
        let name = self.name(object, &read.metadata)?;
        let mut node = translate::node(&read, None, &mut self.interner);
        let status = read.status.as_ref();
        let has_condition =
            status.is_some_and(|status| status.conditions.as_ref().is_some_and(|all| !all.is_empty()));
        if !has_condition {
            node.readiness = Readiness::Ready;
        }
        if status.is_none_or(|status| status.allocatable.is_none()) {
            node.allocatable = node.capacity.clone();
        }
        once(&mut self.nodes, name, node, object)
    }

    fn take_csi_node(&mut self, object: &Object) -> Result<(), DumpError> {
        let read: CSINode = object.read()?;
        let name = self.name(object, &read.metadata)?;
        let limits = read.spec.drivers.iter().filter_map(|driver| {
            let count = driver.allocatable.as_ref()?.count?;
            Some((driver.name.as_str().into(), i64::from(count)))
        });
        let limits: AttachLimits = limits.collect();
        once(&mut self.attach_limits, name, limits, object)
    }

    fn take_namespace(&mut self, object: &Object) -> Result<(), DumpError> {
        let read: ApiNamespace = object.read()?;
        let name = self.name(object, &read.metadata)?;
        if &*name == "kube-system" {
            self.cluster_uid = read.metadata.uid.as_deref().map(Arc::from);
        }
        let mut labels = translate::namespace_labels(&read, &mut self.interner);
        name_as_label(&name, &mut labels);
        once(&mut self.namespaces, Namespace(name), labels, object)
    }

    fn take_daemon_set(&mut self, object: &Object) -> Result<(), DumpError> {
        let read: ApiDaemonSet = object.read()?;
        let key = self.key(object, &read.metadata)?;
        if key == ObjectKey::new("kube-system", "aws-node") {
            self.pod_density = Some(translate::pod_density(Some(&read)));
        }
        let mut daemon_set = translate::daemon_set(&read, &mut self.interner);
        if daemon_set.uid.as_str().is_empty() {
            daemon_set.uid = key.to_string().into();
        }
        once(&mut self.daemon_sets, key, daemon_set, object)
    }

    fn take_budget(&mut self, object: &Object) -> Result<(), DumpError> {
        let read: PodDisruptionBudget = object.read()?;
        let key = self.key(object, &read.metadata)?;
        once(
            &mut self.disruption_budgets,
            key,
            translate::disruption_budget(&read),
            object,
        )
    }

    fn take_priority(&mut self, object: &Object) -> Result<(), DumpError> {
        let read: PriorityClass = object.read()?;
        let name = self.name(object, &read.metadata)?;
        once(&mut self.priorities, name, read.value.unwrap_or_default(), object)
    }

    /// Joins what was read apart; call once, when all is read.
    pub(crate) fn settle(&mut self) {
        for (name, limits) in std::mem::take(&mut self.attach_limits) {
            if let Some(node) = self.nodes.get_mut(&name) {
                node.attach_limits = limits;
            }
        }
        for (key, class) in std::mem::take(&mut self.priority_names) {
            let built_in = match &*class {
                "system-node-critical" => Some(2_000_001_000),
                "system-cluster-critical" => Some(2_000_000_000),
                _ => None,
            };
            let value = self.priorities.get(&class).copied().or(built_in);
            if let (Some(pod), Some(value)) = (self.pods.get_mut(&key), value) {
                pod.priority = value;
            }
        }
        let named: Vec<Namespace> = self.pods.keys().map(|key| key.namespace.clone()).collect();
        for namespace in named {
            self.namespaces.entry(namespace.clone()).or_insert_with(|| {
                let mut labels = Arc::default();
                name_as_label(&namespace.0, &mut labels);
                labels
            });
        }
    }

    /// Every claim, joined with its volume and class.
    pub(crate) fn claims(&self) -> BTreeMap<ObjectKey, Arc<Claim>> {
        let join = |claim: &PersistentVolumeClaim| {
            let spec = claim.spec.as_ref();
            let volume = spec.and_then(|spec| self.volumes.get(spec.volume_name.as_deref()?));
            let class = match spec.and_then(|spec| spec.storage_class_name.as_deref()) {
                Some(name) => self.classes.get(name),
                None => self.classes.values().find(|class| is_default_class(class)),
            };
            translate::claim(claim, volume, class)
        };
        let joined = self.claims.iter();
        joined
            .map(|(key, claim)| (key.clone(), Arc::new(join(claim))))
            .collect()
    }
}

/// The label that the apiserver puts on every namespace.
fn name_as_label(name: &Arc<str>, labels: &mut Arc<Labels>) {
    const NAME: &str = "kubernetes.io/metadata.name";
    if !labels.contains_key(NAME) {
        Arc::make_mut(labels).insert(NAME.into(), name.clone());
    }
}

/// Reads one kind of object alone, such as the oceans of a manifest.
pub(crate) struct Only<T> {
    kind: &'static str,
    /// What was read, with the objects as they stand.
    pub(crate) read: Vec<(T, serde_json::Value)>,
}

impl<T> Only<T> {
    /// Nothing yet.
    pub(crate) fn of(kind: &'static str) -> Self {
        Self {
            kind,
            read: Vec::new(),
        }
    }
}

impl<T: DeserializeOwned> Sink for Only<T> {
    fn wants(&self, kind: &str) -> bool {
        kind == self.kind
    }

    fn take(&mut self, object: &Object) -> Result<(), DumpError> {
        self.read.push((object.read()?, object.value().clone()));
        Ok(())
    }

    fn restart(&mut self) {
        self.read.clear();
    }
}
