//! A cluster as its objects, and what the planner makes of it.
//!
//! The same JSON goes two ways: through `translate` into a snapshot that the
//! planner plans for, and unread to the oracle. Nothing here decides whether a
//! plan is right.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use serde_json::{Value, json};
use spotocean_api::annotation::TERMINATION_FINALIZER;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::claim::Claim;
use spotocean_core::id::PoolKey;
use spotocean_core::offering::Market;
use spotocean_core::taint::Taint;
use spotocean_planner::plan::Provision;
use spotocean_planner::pool::pools_of;
use spotocean_planner::provisioning::cooldown::Cooldowns;
use spotocean_planner::provisioning::provision;
use spotocean_planner::provisioning::supply::supply;
use spotocean_planner::snapshot::Snapshot;
use spotocean_planner::translate::{self, Interner};
use spotocean_planner::vocabulary;
use spotocean_solver::problem::Offer;
use spotocean_solver::solution::Solution;

use crate::account;

/// A cluster with an ocean and pods that wait.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// Namespaces, nodes, bound pods, volumes, claims, classes.
    pub(crate) objects: Vec<Value>,
    /// DaemonSets.
    pub(crate) daemon_sets: Vec<Value>,
    /// Pods that wait, in the order of their creation.
    pub(crate) pending: Vec<Value>,
    /// The ocean's pools.
    pub(crate) pools: Vec<Value>,
    /// Attachment slots of the smaller instance types.
    pub(crate) attachment_slots: i64,
}

/// What the planner decided, with what it takes to carry that out.
#[derive(Debug)]
pub(crate) struct Decision {
    /// The answer.
    pub(crate) solution: Solution,
    /// What it chose from.
    pub(crate) on_sale: OnSale,
}

/// What could be bought.
#[derive(Debug, Default)]
pub(crate) struct OnSale {
    /// All that could be bought.
    pub(crate) offers: BTreeMap<(PoolKey, CapacityType, Market), Offer>,
    /// Taints of each pool's nodes.
    pub(crate) taints: BTreeMap<PoolKey, Vec<Taint>>,
}

/// The kind of an object.
pub(crate) fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

/// `namespace/name` of an object.
pub(crate) fn key(object: &Value) -> String {
    let metadata = &object["metadata"];
    format!(
        "{}/{}",
        metadata["namespace"].as_str().unwrap_or_default(),
        metadata["name"].as_str().unwrap_or_default()
    )
}

fn read<T: serde::de::DeserializeOwned>(object: &Value) -> T {
    serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object}"))
}

impl World {
    /// Objects of one kind.
    pub(crate) fn of_kind<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |object| kind(object) == wanted)
    }

    /// Every pod specification in it, with its metadata: waiting, bound and of DaemonSets.
    pub(crate) fn pods_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        let bound = self.objects.iter_mut().filter(|object| kind(object) == "Pod");
        let templates = self
            .daemon_sets
            .iter_mut()
            .map(|set| &mut set["spec"]["template"]);
        self.pending.iter_mut().chain(bound).chain(templates)
    }

    /// What the operator would see.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut interner = Interner::default();
        let ocean = json!({"apiVersion": "spotocean.dev/v1alpha1", "kind": "SpotOcean",
            "metadata": {"name": "shop", "uid": "uid-shop", "generation": 1, "resourceVersion": "1",
                "creationTimestamp": "2026-01-01T00:00:00Z", "finalizers": [TERMINATION_FINALIZER]},
            "spec": {"cluster": {"name": "shop"}, "pools": self.pools, "template": {"role": "node-role",
                "subnets": [{"tags": {"cluster": "shop"}}], "securityGroups": [{"tags": {"cluster": "shop"}}]}}});
        let mut snapshot = account::snapshot(self.attachment_slots);
        snapshot.oceans = vec![Arc::new(read(&ocean))];
        snapshot.namespaces = self
            .of_kind("Namespace")
            .map(|object| {
                let labels = translate::namespace_labels(&read::<Namespace>(object), &mut interner);
                (
                    object["metadata"]["name"].as_str().unwrap_or_default().into(),
                    labels,
                )
            })
            .collect();
        snapshot.nodes = self
            .of_kind("Node")
            .map(|object| {
                Arc::new(translate::node(
                    &read::<Node>(object),
                    self.csi_node(object).as_ref(),
                    &mut interner,
                ))
            })
            .collect();
        let waiting = self.pending.iter().map(looked_at);
        snapshot.pods = self
            .of_kind("Pod")
            .cloned()
            .chain(waiting)
            .map(|object| Arc::new(translate::pod(&read::<Pod>(&object), &mut interner)))
            .collect();
        snapshot.daemon_sets = self
            .daemon_sets
            .iter()
            .map(|object| Arc::new(translate::daemon_set(&read::<DaemonSet>(object), &mut interner)))
            .collect();
        snapshot.claims = self
            .of_kind("PersistentVolumeClaim")
            .map(|object| self.claim(object))
            .map(|claim| (claim.key.clone(), Arc::new(claim)))
            .collect();
        snapshot.nodes.sort_by(|a, b| a.name.cmp(&b.name));
        snapshot.pods.sort_by(|a, b| a.key.cmp(&b.key));
        account::answer_questions(&mut snapshot);
        snapshot
    }

    fn csi_node(&self, node: &Value) -> Option<CSINode> {
        self.of_kind("CSINode")
            .find(|own| own["metadata"]["name"] == node["metadata"]["name"])
            .map(read)
    }

    fn claim(&self, object: &Value) -> Claim {
        let named = |kind, name: &Value| {
            self.of_kind(kind)
                .find(|other| other["metadata"]["name"] == *name)
        };
        let volume: Option<PersistentVolume> =
            named("PersistentVolume", &object["spec"]["volumeName"]).map(read);
        let class: Option<StorageClass> =
            named("StorageClass", &object["spec"]["storageClassName"]).map(read);
        translate::claim(
            &read::<PersistentVolumeClaim>(object),
            volume.as_ref(),
            class.as_ref(),
        )
    }

    /// Plans.
    pub(crate) fn decide(&self) -> Decision {
        let snapshot = self.snapshot();
        let Provision { solution, closed, .. } = provision(&snapshot);
        assert!(closed.is_empty(), "a pool buys nothing: {closed:?}");
        Decision {
            solution,
            on_sale: OnSale::of(&snapshot),
        }
    }
}

impl OnSale {
    /// Everything that the ocean's pools could buy.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let cooldowns = Cooldowns::of(snapshot);
        let mut on_sale = Self::default();
        for view in pools_of(&snapshot.oceans[0]) {
            let key = view.key.clone();
            let taints = view.pool.taints.iter().map(vocabulary::taint).collect();
            on_sale.taints.insert(key.clone(), taints);
            let stock = supply(snapshot, &cooldowns, view)
                .state
                .expect("the pool is open");
            for offer in stock.spot.into_iter().chain(stock.on_demand) {
                let name = (key.clone(), offer.offering.capacity_type, offer.market().clone());
                on_sale.offers.insert(name, offer);
            }
        }
        on_sale
    }
}

/// A waiting pod as the scheduler leaves it after a look in vain.
fn looked_at(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let is_gated = pod["spec"].get("schedulingGates").is_some();
    let reason = if is_gated {
        "SchedulingGated"
    } else {
        "Unschedulable"
    };
    pod["status"]["phase"] = json!("Pending");
    pod["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "False", "reason": reason}]);
    pod
}
