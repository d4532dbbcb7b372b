//! What each watched kind is made of: its key, its translation, its table, and which changes are news.
//!
//! Adding a kind is one `impl` here, one table in [`Objects`] and one line in `cluster.rs`.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::DaemonSet as ApiDaemonSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, Namespace, Node as ApiNode, PersistentVolume, PersistentVolumeClaim, Pod as ApiPod,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DeserializeGuard;
use serde::de::DeserializeOwned;
use spotocean_api::ocean_launch::OceanLaunch;
use spotocean_api::ocean_node::OceanNode;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::id::ObjectKey;
use spotocean_core::kubelet::PodDensity;
use spotocean_core::node::Node;
use spotocean_core::pod::{DaemonSet, Pod};
use spotocean_core::requirement::Labels;
use spotocean_planner::snapshot::{AwsAuth, DisruptionBudget};
use spotocean_planner::translate;

use super::table::Table;
use super::{AttachLimits, Objects, entry};
use crate::batch::News;

/// A kind that is watched.
pub trait Kind:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// Its name in Kubernetes.
    const NAME: &'static str;
    /// What objects are found by.
    type Key: Ord + Clone + Send;
    /// What is kept of an object.
    type Value: Clone + PartialEq + Send;

    /// An object's key.
    fn key(meta: &ObjectMeta) -> Self::Key;
    /// What is kept of it.
    fn translate(object: Self, objects: &mut Objects) -> Self::Value;
    /// Where it is kept.
    fn table(objects: &mut Objects) -> &mut Table<Self::Key, Self::Value>;
    /// Whether planning would see a difference.
    fn differs(before: &Self::Value, after: &Self::Value) -> bool {
        before != after
    }
    /// The news that a new or different object is; `before` is what was known of it.
    fn news(_before: Option<&Self::Value>, _after: &Self::Value) -> News {
        News::Change
    }
    /// Brings what depends on this kind up to date: after one object changed, or, for `None`, after a list.
    fn settle(_: &mut Objects, _: Option<&Self::Key>) {}
}

/// An object of ours that may not be readable: an older operator, or a schema that was loosened by hand.
#[derive(Clone, Debug, PartialEq)]
pub enum Readable<T> {
    /// It could be read.
    Yes(Arc<T>),
    /// It could not, and why.
    No(Arc<str>),
}

impl<T> Readable<T> {
    /// The object, if it could be read.
    pub fn object(&self) -> Option<&Arc<T>> {
        match self {
            Self::Yes(object) => Some(object),
            Self::No(_) => None,
        }
    }

    /// A sentence about an unreadable object.
    pub fn problem(&self, kind: &str, name: &str) -> Option<Arc<str>> {
        match self {
            Self::Yes(_) => None,
            Self::No(error) => Some(format!("{kind} {name} cannot be read: {error}").into()),
        }
    }
}

fn readable<T: Resource>(guard: DeserializeGuard<T>) -> Readable<T> {
    match guard.0 {
        Ok(mut object) => {
            entry::trim(object.meta_mut());
            Readable::Yes(Arc::new(object))
        }
        Err(invalid) => Readable::No(invalid.error.into()),
    }
}

fn is_going<T: Resource>(row: Option<&Readable<T>>) -> bool {
    row.and_then(Readable::object)
        .is_some_and(|object| object.meta().deletion_timestamp.is_some())
}

/// A user who deletes one object and a definition that is taken away look alike; see [`super::definition`].
fn heed_deletion<T: Resource>(
    table: fn(&mut Objects) -> &mut Table<Arc<str>, Readable<T>>,
    objects: &mut Objects,
    key: Option<&Arc<str>>,
) where
    Readable<T>: Clone + PartialEq,
{
    let goes = match key {
        None => true,
        Some(key) => {
            let row = table(objects).entry(key).map(|entry| &entry.value);
            row.is_none() || is_going(row)
        }
    };
    if goes {
        objects.definitions.deletion_seen();
    }
}

impl Kind for DeserializeGuard<SpotOcean> {
    const NAME: &'static str = "SpotOcean";
    type Key = Arc<str>;
    type Value = Readable<SpotOcean>;

    fn key(meta: &ObjectMeta) -> Arc<str> {
        entry::name(meta)
    }

    fn translate(object: Self, _: &mut Objects) -> Self::Value {
        readable(object)
    }

    fn table(objects: &mut Objects) -> &mut Table<Arc<str>, Self::Value> {
        &mut objects.oceans
    }

    /// Status is ours: reading it back is no news.
    fn differs(before: &Self::Value, after: &Self::Value) -> bool {
        match (before, after) {
            (Readable::Yes(before), Readable::Yes(after)) => {
                let meta = |ocean: &SpotOcean| {
                    let meta = &ocean.metadata;
                    (
                        meta.uid.clone(),
                        meta.annotations.clone(),
                        meta.deletion_timestamp.clone(),
                        meta.finalizers.clone(),
                    )
                };
                before.spec != after.spec || meta(before) != meta(after)
            }
            _ => before != after,
        }
    }

    fn settle(objects: &mut Objects, key: Option<&Arc<str>>) {
        heed_deletion(Self::table, objects, key);
    }
}

impl Kind for DeserializeGuard<OceanNode> {
    const NAME: &'static str = "OceanNode";
    type Key = Arc<str>;
    type Value = Readable<OceanNode>;

    fn key(meta: &ObjectMeta) -> Arc<str> {
        entry::name(meta)
    }

    fn translate(object: Self, _: &mut Objects) -> Self::Value {
        readable(object)
    }

    fn table(objects: &mut Objects) -> &mut Table<Arc<str>, Self::Value> {
        &mut objects.ocean_nodes
    }

    fn settle(objects: &mut Objects, key: Option<&Arc<str>>) {
        heed_deletion(Self::table, objects, key);
    }
}

impl Kind for DeserializeGuard<OceanLaunch> {
    const NAME: &'static str = "OceanLaunch";
    type Key = Arc<str>;
    type Value = Readable<OceanLaunch>;

    fn key(meta: &ObjectMeta) -> Arc<str> {
        entry::name(meta)
    }

    fn translate(object: Self, _: &mut Objects) -> Self::Value {
        readable(object)
    }

    fn table(objects: &mut Objects) -> &mut Table<Arc<str>, Self::Value> {
        &mut objects.launches
    }
}

impl Kind for ApiPod {
    const NAME: &'static str = "Pod";
    type Key = ObjectKey;
    type Value = Arc<Pod>;

    fn key(meta: &ObjectMeta) -> ObjectKey {
        entry::key(meta)
    }

    fn translate(object: Self, objects: &mut Objects) -> Arc<Pod> {
        Arc::new(translate::pod(&object, &mut objects.interner))
    }

    fn table(objects: &mut Objects) -> &mut Table<ObjectKey, Arc<Pod>> {
        &mut objects.pods
    }

    fn news(before: Option<&Arc<Pod>>, after: &Arc<Pod>) -> News {
        let has_waited = before.is_some_and(|pod| pod.waits_for_capacity());
        if after.waits_for_capacity() && !has_waited {
            News::PendingPod
        } else {
            News::Change
        }
    }
}

impl Kind for ApiNode {
    const NAME: &'static str = "Node";
    type Key = Arc<str>;
    type Value = Arc<Node>;

    fn key(meta: &ObjectMeta) -> Arc<str> {
        entry::name(meta)
    }

    fn translate(object: Self, objects: &mut Objects) -> Arc<Node> {
        let mut node = translate::node(&object, None, &mut objects.interner);
        if let Some(row) = objects.attach_limits.entry(&node.name.0) {
            node.attach_limits = row.value.clone();
        }
        Arc::new(node)
    }

    fn table(objects: &mut Objects) -> &mut Table<Arc<str>, Arc<Node>> {
        &mut objects.nodes
    }

    /// Heartbeats change the resource version alone.
    fn differs(before: &Arc<Node>, after: &Arc<Node>) -> bool {
        let mut same_version = before.as_ref().clone();
        same_version.resource_version = after.resource_version.clone();
        same_version != **after
    }
}

impl Kind for CSINode {
    const NAME: &'static str = "CSINode";
    type Key = Arc<str>;
    type Value = AttachLimits;

    fn key(meta: &ObjectMeta) -> Arc<str> {
        entry::name(meta)
    }

    fn translate(object: Self, objects: &mut Objects) -> AttachLimits {
        let limits = object.spec.drivers.iter().filter_map(|driver| {
            let count = driver.allocatable.as_ref()?.count?;
            Some((objects.interner.text(&driver.name), i64::from(count)))
        });
        limits.collect()
    }

    fn table(objects: &mut Objects) -> &mut Table<Arc<str>, AttachLimits> {
        &mut objects.attach_limits
    }

    fn settle(objects: &mut Objects, key: Option<&Arc<str>>) {
        let names = match key {
            Some(name) => vec![name.clone()],
            None => objects.nodes.iter().map(|(name, _)| name.clone()).collect(),
        };
        for name in names {
            let limits = objects.attach_limits.entry(&name).map(|row| row.value.clone());
            let Some(uid) = objects.nodes.entry(&name).map(|row| row.uid.clone()) else {
                continue;
            };
            objects.nodes.amend(&name, &uid, |node| {
                Arc::make_mut(node).attach_limits = limits.unwrap_or_default();
            });
        }
    }
}

/// A DaemonSet, and how pods get addresses where it is the VPC CNI.
#[derive(Clone, Debug, PartialEq)]
pub struct DaemonSetRow {
    /// What each new node will carry.
    pub daemon_set: Arc<DaemonSet>,
    /// Set for `kube-system/aws-node`.
    pub pod_density: Option<PodDensity>,
}

impl Kind for ApiDaemonSet {
    const NAME: &'static str = "DaemonSet";
    type Key = ObjectKey;
    type Value = DaemonSetRow;

    fn key(meta: &ObjectMeta) -> ObjectKey {
        entry::key(meta)
    }

    fn translate(object: Self, objects: &mut Objects) -> DaemonSetRow {
        let key = entry::key(&object.metadata);
        let is_cni = key.namespace.as_str() == "kube-system" && &*key.name == "aws-node";
        DaemonSetRow {
            pod_density: is_cni.then(|| translate::pod_density(Some(&object))),
            daemon_set: Arc::new(translate::daemon_set(&object, &mut objects.interner)),
        }
    }

    fn table(objects: &mut Objects) -> &mut Table<ObjectKey, DaemonSetRow> {
        &mut objects.daemon_sets
    }
}

impl Kind for PersistentVolumeClaim {
    const NAME: &'static str = "PersistentVolumeClaim";
    type Key = ObjectKey;
    type Value = Arc<PersistentVolumeClaim>;

    fn key(meta: &ObjectMeta) -> ObjectKey {
        entry::key(meta)
    }

    fn translate(mut object: Self, _: &mut Objects) -> Self::Value {
        entry::trim(&mut object.metadata);
        Arc::new(object)
    }

    fn table(objects: &mut Objects) -> &mut Table<ObjectKey, Self::Value> {
        &mut objects.volumes.claims
    }

    fn settle(objects: &mut Objects, _: Option<&ObjectKey>) {
        objects.volumes.outdate();
    }
}

impl Kind for PersistentVolume {
    const NAME: &'static str = "PersistentVolume";
    type Key = Arc<str>;
    type Value = Arc<PersistentVolume>;

    fn key(meta: &ObjectMeta) -> Arc<str> {
        entry::name(meta)
    }

    fn translate(mut object: Self, _: &mut Objects) -> Self::Value {
        entry::trim(&mut object.metadata);
        Arc::new(object)
    }

    fn table(objects: &mut Objects) -> &mut Table<Arc<str>, Self::Value> {
        &mut objects.volumes.volumes
    }

    fn settle(objects: &mut Objects, _: Option<&Arc<str>>) {
        objects.volumes.outdate();
    }
}

impl Kind for StorageClass {
    const NAME: &'static str = "StorageClass";
    type Key = Arc<str>;
    type Value = Arc<StorageClass>;

    fn key(meta: &ObjectMeta) -> Arc<str> {
        entry::name(meta)
    }

    fn translate(mut object: Self, _: &mut Objects) -> Self::Value {
        entry::trim(&mut object.metadata);
        Arc::new(object)
    }

    fn table(objects: &mut Objects) -> &mut Table<Arc<str>, Self::Value> {
        &mut objects.volumes.classes
    }

    fn settle(objects: &mut Objects, _: Option<&Arc<str>>) {
        objects.volumes.outdate();
    }
}

impl Kind for PodDisruptionBudget {
    const NAME: &'static str = "PodDisruptionBudget";
    type Key = ObjectKey;
    type Value = Arc<DisruptionBudget>;

    fn key(meta: &ObjectMeta) -> ObjectKey {
        entry::key(meta)
    }

    fn translate(object: Self, _: &mut Objects) -> Self::Value {
        Arc::new(translate::disruption_budget(&object))
    }

    fn table(objects: &mut Objects) -> &mut Table<ObjectKey, Self::Value> {
        &mut objects.disruption_budgets
    }
}

impl Kind for Namespace {
    const NAME: &'static str = "Namespace";
    type Key = Arc<str>;
    type Value = Arc<Labels>;

    fn key(meta: &ObjectMeta) -> Arc<str> {
        entry::name(meta)
    }

    fn translate(object: Self, objects: &mut Objects) -> Arc<Labels> {
        translate::namespace_labels(&object, &mut objects.interner)
    }

    fn table(objects: &mut Objects) -> &mut Table<Arc<str>, Arc<Labels>> {
        &mut objects.namespaces
    }
}

impl Kind for ConfigMap {
    const NAME: &'static str = "ConfigMap";
    type Key = ObjectKey;
    type Value = AwsAuth;

    fn key(meta: &ObjectMeta) -> ObjectKey {
        entry::key(meta)
    }

    fn translate(object: Self, _: &mut Objects) -> AwsAuth {
        let rows = object.data.as_ref().and_then(|data| data.get("mapRoles"));
        AwsAuth {
            resource_version: object.metadata.resource_version.unwrap_or_default().into(),
            map_roles: rows.map(String::as_str).unwrap_or_default().into(),
        }
    }

    fn table(objects: &mut Objects) -> &mut Table<ObjectKey, AwsAuth> {
        &mut objects.aws_auth
    }
}
