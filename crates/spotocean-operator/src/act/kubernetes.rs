//! Writes to the apiserver, each under the uid and resource version of what it rests on.
//!
//! A write that finds its object changed or gone is stale, not failed. What the apiserver answers is laid over
//! the stores at once, so that the next look does not ask for the same again.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::DeserializeGuard;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use spotocean_api::annotation::TERMINATION_FINALIZER;
use spotocean_api::ocean_launch::{OceanLaunch, OceanLaunchStatus};
use spotocean_api::ocean_node::{OceanNode, OceanNodeStatus};
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::id::{NodeName, ObjectKey};
use spotocean_planner::command::{NodePatch, Outcome};
use spotocean_planner::lifecycle::holds_up_drain;
use spotocean_planner::snapshot::AttemptError;

use super::merge::difference;
use super::nomination::nominate;
use crate::store::kind::{Kind, Readable};
use crate::store::table::Entry;
use crate::store::{Objects, Store, entry};

/// The longest a write may take before its effect counts as unknown.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Writes to the apiserver.
#[derive(Clone)]
pub struct Writer {
    /// The apiserver; it must not repeat calls by itself.
    pub client: Client,
    /// The stores that answers are laid over.
    pub store: Arc<Store>,
}

/// A refusal in the planner's words.
pub fn failure(error: &kube::Error) -> AttemptError {
    match error {
        kube::Error::Api(status) => AttemptError::Kubernetes {
            status: status.code,
            message: status.message.as_str().into(),
        },
        other => AttemptError::Kubernetes {
            status: 0,
            message: other.to_string().into(),
        },
    }
}

/// Whether a refusal says that the object is not the one, or not as, it was thought to be.
fn is_stale(error: &kube::Error) -> bool {
    match error {
        // A patch that names another uid is refused as an attempt to change it.
        kube::Error::Api(status) => {
            matches!(status.code, 404 | 409)
                || (status.code == 422 && status.message.contains("metadata.uid"))
        }
        _ => false,
    }
}

/// Waits for an answer; `None` is stale.
async fn answered<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<Option<T>, AttemptError> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(Ok(value)) => Ok(Some(value)),
        Ok(Err(error)) if is_stale(&error) => Ok(None),
        Ok(Err(error)) => Err(failure(&error)),
        Err(_) => Err(AttemptError::Kubernetes {
            status: 0,
            message: format!("no answer within {} s", TIMEOUT.as_secs()).into(),
        }),
    }
}

/// The patch's head: it applies to this very object as it was seen.
fn head(object: &impl Resource) -> Map<String, Value> {
    let meta = object.meta();
    let head = json!({ "uid": meta.uid, "resourceVersion": meta.resource_version });
    head.as_object().cloned().unwrap_or_default()
}

/// The finalizers with or without ours; `None` when they are so already.
fn finalizers(object: &impl Resource, present: bool) -> Option<Vec<String>> {
    let mut list = object.meta().finalizers.clone().unwrap_or_default();
    let is_present = list.iter().any(|finalizer| finalizer == TERMINATION_FINALIZER);
    if is_present == present {
        return None;
    }
    if present {
        list.push(TERMINATION_FINALIZER.to_owned());
    } else {
        list.retain(|finalizer| finalizer != TERMINATION_FINALIZER);
    }
    Some(list)
}

/// The merge patch of a Node.
fn node_patch(patch: &NodePatch) -> Value {
    let mut metadata = json!({ "uid": patch.uid });
    let removed = patch
        .remove_labels
        .iter()
        .map(|key| (key.to_string(), Value::Null));
    let set = patch
        .labels
        .iter()
        .map(|(key, value)| (key.to_string(), json!(value)));
    let labels: Map<String, Value> = removed.chain(set).collect();
    if !labels.is_empty() {
        metadata["labels"] = Value::Object(labels);
    }
    if !patch.annotations.is_empty() {
        metadata["annotations"] = json!(patch.annotations);
    }
    let mut spec = Map::new();
    if let Some(taints) = &patch.taints {
        // A list is replaced whole: only on the version it was decided on.
        metadata["resourceVersion"] = json!(patch.resource_version);
        let rows = taints.iter().map(|taint| {
            let mut row = json!({ "key": taint.key, "effect": taint.effect.as_str() });
            if !taint.value.is_empty() {
                row["value"] = json!(taint.value);
            }
            row
        });
        spec.insert("taints".to_owned(), rows.collect());
    }
    if let Some(unschedulable) = patch.unschedulable {
        // `false` is the absent value; a merge patch removes it.
        let value = if unschedulable { json!(true) } else { Value::Null };
        spec.insert("unschedulable".to_owned(), value);
    }
    let mut body = json!({ "metadata": metadata });
    if !spec.is_empty() {
        body["spec"] = Value::Object(spec);
    }
    body
}

fn only_if(uid: &str) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    }
}

impl Writer {
    /// Puts our finalizer on an ocean or takes it off.
    pub async fn set_ocean_finalizer(
        &self,
        name: &Arc<str>,
        uid: &str,
        present: bool,
    ) -> Result<Outcome, AttemptError> {
        let ocean = self.seen(uid, |objects| objects.oceans.entry(name));
        self.set_finalizer::<SpotOcean>(name, ocean, present).await
    }

    /// Takes our finalizer off an OceanNode.
    pub async fn release_ocean_node(&self, name: &Arc<str>, uid: &str) -> Result<Outcome, AttemptError> {
        let node = self.seen(uid, |objects| objects.ocean_nodes.entry(name));
        self.set_finalizer::<OceanNode>(name, node, false).await
    }

    async fn set_finalizer<K>(
        &self,
        name: &str,
        seen: Option<Arc<K>>,
        present: bool,
    ) -> Result<Outcome, AttemptError>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
        DeserializeGuard<K>: Kind,
    {
        let Some(object) = seen else {
            return Ok(Outcome::Stale);
        };
        let Some(list) = finalizers(&*object, present) else {
            return Ok(Outcome::Done);
        };
        let mut metadata = head(&*object);
        metadata.insert("finalizers".to_owned(), json!(list));
        let body = json!({ "metadata": metadata });
        let api: Api<K> = Api::all(self.client.clone());
        let parameters = PatchParams::default();
        let answer = answered(api.patch(name, &parameters, &Patch::Merge(&body))).await?;
        Ok(self.recorded(answer))
    }

    /// Writes an OceanNode's status.
    pub async fn set_ocean_node_status(
        &self,
        name: &Arc<str>,
        uid: &str,
        status: &OceanNodeStatus,
    ) -> Result<Outcome, AttemptError> {
        let seen = self.seen(uid, |objects| objects.ocean_nodes.entry(name));
        self.set_status::<OceanNode, _>(name, seen, status).await
    }

    /// Writes a launch's status.
    pub async fn set_launch_status(
        &self,
        name: &Arc<str>,
        uid: &str,
        status: &OceanLaunchStatus,
    ) -> Result<Outcome, AttemptError> {
        let seen = self.seen(uid, |objects| objects.launches.entry(name));
        self.set_status::<OceanLaunch, _>(name, seen, status).await
    }

    async fn set_status<K, S: Serialize>(
        &self,
        name: &str,
        seen: Option<Arc<K>>,
        status: &S,
    ) -> Result<Outcome, AttemptError>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
        DeserializeGuard<K>: Kind,
    {
        let Some(object) = seen else {
            return Ok(Outcome::Stale);
        };
        let plain = "our own kinds are plain data";
        let before = serde_json::to_value(&*object).expect(plain);
        let after = serde_json::to_value(status).expect(plain);
        let change = difference(before.get("status").unwrap_or(&Value::Null), &after);
        let is_same = change.as_object().is_some_and(Map::is_empty) && before.get("status").is_some();
        if is_same {
            return Ok(Outcome::Done);
        }
        let body = json!({ "metadata": head(&*object), "status": change });
        let api: Api<K> = Api::all(self.client.clone());
        let parameters = PatchParams::default();
        let answer = answered(api.patch_status(name, &parameters, &Patch::Merge(&body))).await?;
        Ok(self.recorded(answer))
    }

    /// Creates an object of ours; `None` when one of its name exists.
    pub async fn create<K>(&self, object: &K) -> Result<Option<K>, AttemptError>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
        DeserializeGuard<K>: Kind,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let created = answered(api.create(&PostParams::default(), object)).await?;
        if let Some(created) = &created {
            self.record(DeserializeGuard(Ok(created.clone())));
        }
        Ok(created)
    }

    /// Creates an OceanNode and writes its status.
    pub async fn create_ocean_node(
        &self,
        node: &OceanNode,
        status: &OceanNodeStatus,
    ) -> Result<Outcome, AttemptError> {
        let Some(created) = self.create(node).await? else {
            return Ok(Outcome::Stale);
        };
        let name = entry::name(&created.metadata);
        self.set_status::<OceanNode, _>(&name, Some(Arc::new(created)), status)
            .await
    }

    /// Deletes a launch.
    pub async fn delete_launch(&self, name: &Arc<str>, uid: &str) -> Result<Outcome, AttemptError> {
        let api: Api<OceanLaunch> = Api::all(self.client.clone());
        let answer = answered(api.delete(name, &only_if(uid))).await?;
        let left = match answer {
            Some(answer) => answer.left(),
            None => None,
        };
        match left {
            Some(object) if has_finalizers(&object) => self.record(DeserializeGuard(Ok(object))),
            _ => self.store.with(|objects| objects.launches.erase(name, uid)),
        }
        Ok(Outcome::Done)
    }

    /// Asks for an OceanNode's deletion.
    pub async fn delete_ocean_node(&self, name: &Arc<str>, uid: &str) -> Result<Outcome, AttemptError> {
        let api: Api<OceanNode> = Api::all(self.client.clone());
        let Some(answer) = answered(api.delete(name, &only_if(uid))).await? else {
            return Ok(Outcome::Stale);
        };
        match answer.left() {
            Some(object) if has_finalizers(&object) => self.record(DeserializeGuard(Ok(object))),
            _ => self.store.with(|objects| objects.ocean_nodes.erase(name, uid)),
        }
        Ok(Outcome::Done)
    }

    /// Changes labels, annotations and taints of a Node, once its nominees are nominated.
    pub async fn patch_node(&self, patch: &NodePatch) -> Result<Outcome, AttemptError> {
        nominate(self, patch).await;
        let api: Api<Node> = Api::all(self.client.clone());
        let body = node_patch(patch);
        let parameters = PatchParams::default();
        let answer = answered(api.patch(patch.name.as_str(), &parameters, &Patch::Merge(&body))).await?;
        match answer {
            Some(node) => {
                self.record(node);
                Ok(Outcome::Done)
            }
            None => Ok(Outcome::Stale),
        }
    }

    /// Deletes a Node object.
    pub async fn delete_node(&self, name: &Arc<str>, uid: &str) -> Result<Outcome, AttemptError> {
        let api: Api<Node> = Api::all(self.client.clone());
        let Some(answer) = answered(api.delete(name, &only_if(uid))).await? else {
            return Ok(Outcome::Stale);
        };
        match answer.left() {
            Some(object) if has_finalizers(&object) => self.record(object),
            _ => self.store.with(|objects| objects.nodes.erase(name, uid)),
        }
        Ok(Outcome::Done)
    }

    /// Whether no pod that a drain would have to move is on a Node, as the apiserver has it now, not as the watches
    /// have shown it so far. What is found is laid over the stores.
    pub async fn is_clear(&self, node: &NodeName) -> Result<bool, AttemptError> {
        let api: Api<Pod> = Api::all(self.client.clone());
        let on_node = ListParams::default().fields(&format!("spec.nodeName={node}"));
        let Some(pods) = answered(api.list(&on_node)).await? else {
            return Ok(false);
        };
        let mut is_clear = true;
        for pod in pods {
            let key = entry::key(&pod.metadata);
            self.record(pod);
            let holds_up = self.store.with(|objects| {
                let row = objects.pods.entry(&key);
                row.is_some_and(|row| holds_up_drain(&row.value))
            });
            is_clear &= !holds_up;
        }
        Ok(is_clear)
    }

    /// Evicts a pod. 429 is a disruption budget's no and comes back as a failure at once.
    pub async fn evict_pod(&self, pod: &ObjectKey, uid: &str) -> Result<Outcome, AttemptError> {
        let api: Api<Pod> = self.namespaced(pod);
        let parameters = EvictParams {
            delete_options: Some(only_if(uid)),
            post_options: PostParams::default(),
        };
        let answer = answered(api.evict(&pod.name, &parameters)).await?;
        Ok(self.leaving(pod, uid, answer.is_some()))
    }

    /// Deletes a pod outright.
    pub async fn delete_pod(
        &self,
        pod: &ObjectKey,
        uid: &str,
        grace_seconds: Option<i64>,
    ) -> Result<Outcome, AttemptError> {
        let api: Api<Pod> = self.namespaced(pod);
        let parameters = DeleteParams {
            grace_period_seconds: grace_seconds
                .map(|seconds| u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)),
            ..only_if(uid)
        };
        let answer = answered(api.delete(&pod.name, &parameters)).await?;
        Ok(self.leaving(pod, uid, answer.is_some()))
    }

    /// Says which Node a pod is to be bound to.
    pub async fn nominate_pod(
        &self,
        pod: &ObjectKey,
        uid: &str,
        node: &NodeName,
    ) -> Result<Outcome, AttemptError> {
        let api: Api<Pod> = self.namespaced(pod);
        let body = json!({ "metadata": { "uid": uid }, "status": { "nominatedNodeName": node } });
        let parameters = PatchParams::default();
        let answer = answered(api.patch_status(&pod.name, &parameters, &Patch::Merge(&body))).await?;
        match answer {
            Some(pod) => {
                self.record(pod);
                Ok(Outcome::Done)
            }
            None => Ok(Outcome::Stale),
        }
    }

    /// A pod's deletion was asked for: shown at once, as the watch will show it.
    fn leaving(&self, pod: &ObjectKey, uid: &str, is_asked: bool) -> Outcome {
        if !is_asked {
            return Outcome::Stale;
        }
        self.store.with(|objects| {
            objects.pods.amend(pod, uid, |pod| {
                if pod.deleted_at.is_none() {
                    Arc::make_mut(pod).deleted_at = Some(Timestamp::now());
                }
            });
        });
        Outcome::Done
    }

    fn namespaced<K>(&self, key: &ObjectKey) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), key.namespace.as_str())
    }

    /// The object as last seen, if it is the one meant.
    fn seen<T>(
        &self,
        uid: &str,
        find: impl FnOnce(&Objects) -> Option<&Entry<Readable<T>>>,
    ) -> Option<Arc<T>> {
        self.store.with(|objects| {
            let row = find(objects).filter(|row| &*row.uid == uid)?;
            row.value.object().cloned()
        })
    }

    fn recorded<K>(&self, answer: Option<K>) -> Outcome
    where
        K: Resource,
        DeserializeGuard<K>: Kind,
    {
        match answer {
            Some(object) => {
                self.record(DeserializeGuard(Ok(object)));
                Outcome::Done
            }
            None => Outcome::Stale,
        }
    }

    /// Lays an answer over the store.
    pub fn record<K: Kind>(&self, object: K) {
        self.store.with(|objects| {
            let key = K::key(object.meta());
            let (uid, version) = entry::identity(object.meta());
            let value = K::translate(object, objects);
            K::table(objects).write(key.clone(), Entry { uid, version, value });
            K::settle(objects, Some(&key));
        });
    }
}

fn has_finalizers(object: &impl Resource) -> bool {
    object
        .meta()
        .finalizers
        .as_ref()
        .is_some_and(|list| !list.is_empty())
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use spotocean_core::taint::{Taint, TaintEffect};

    use super::*;

    fn refusal(code: u16, message: &str) -> kube::Error {
        let mut status = Status::failure(message, "Reason");
        status.code = code;
        kube::Error::Api(status.boxed())
    }

    #[test]
    fn a_changed_world_is_stale_and_a_budget_is_not() {
        let rows = [
            (404, "pods \"a\" not found", true),
            (409, "the object has been modified", true),
            (422, "metadata.uid: Invalid value: field is immutable", true),
            (422, "spec.taints: Invalid value", false),
            (
                429,
                "Cannot evict pod as it would violate the pod's disruption budget.",
                false,
            ),
            (500, "etcdserver: request timed out", false),
        ];
        for (code, message, expected) in rows {
            assert_eq!(is_stale(&refusal(code, message)), expected, "{code} {message}");
        }
    }

    #[test]
    fn a_node_patch_names_versions_only_where_a_list_is_replaced() {
        let mut patch = NodePatch {
            name: "n".into(),
            uid: "u".into(),
            resource_version: "7".into(),
            labels: [(Arc::from("a"), Arc::from("1"))].into(),
            remove_labels: vec!["b".into()],
            annotations: [].into(),
            taints: None,
            unschedulable: Some(false),
            nominees: Vec::new(),
        };
        assert_eq!(
            node_patch(&patch),
            json!({"metadata": {"uid": "u", "labels": {"a": "1", "b": null}}, "spec": {"unschedulable": null}})
        );
        patch.taints = Some(vec![Taint {
            key: "k".into(),
            value: "".into(),
            effect: TaintEffect::NoSchedule,
        }]);
        patch.unschedulable = None;
        assert_eq!(
            node_patch(&patch),
            json!({
                "metadata": {"uid": "u", "resourceVersion": "7", "labels": {"a": "1", "b": null}},
                "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}
            })
        );
    }

    #[test]
    fn our_finalizer_is_added_and_removed_beside_others() {
        let mut ocean = SpotOcean::new("o", spotocean_api::spot_ocean::SpotOceanSpec::default());
        ocean.metadata.finalizers = Some(vec!["other".to_owned()]);
        let ours = TERMINATION_FINALIZER.to_owned();
        assert_eq!(finalizers(&ocean, false), None);
        assert_eq!(
            finalizers(&ocean, true),
            Some(vec!["other".to_owned(), ours.clone()])
        );
        ocean.metadata.finalizers = Some(vec!["other".to_owned(), ours]);
        assert_eq!(finalizers(&ocean, true), None);
        assert_eq!(finalizers(&ocean, false), Some(vec!["other".to_owned()]));
    }
}
