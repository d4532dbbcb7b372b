//! The snapshot by OceanNode: each with its ocean, instance, Node and pods.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use spotocean_api::annotation::FORCE_RELEASE;
use spotocean_api::disruption::Disruption;
use spotocean_api::duration::Duration;
use spotocean_api::effective::effective_pool;
use spotocean_api::ocean_node::{OceanNode, OceanNodeStatus};
use spotocean_api::spot_ocean::{DeletionPolicy, Mode, SpotOcean};
use spotocean_core::id::{InstanceId, NodeName, OceanNodeName, Uid};
use spotocean_core::instance::Instance;
use spotocean_core::node::Node;
use spotocean_core::pod::Pod;
use spotocean_core::resources::Resources;

use super::company::Company;
use super::fate::{self, Fate};
use crate::command::Command;
use crate::pool::{is_deleted, is_paused};
use crate::provisioning::nodes::instance_of;
use crate::provisioning::nominations::Nominations;
use crate::snapshot::Snapshot;

/// What an OceanNode's ocean and pool mean for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its pool is there and managed.
    Kept,
    /// Its ocean is paused, observed or cannot be read: nothing is touched.
    Frozen,
    /// Its ocean object is gone without a trace: it is served, but never removed by our own decision.
    Ownerless,
    /// Its pool was removed from the ocean.
    PoolRemoved(DeletionPolicy),
    /// Its ocean is being deleted.
    OceanDeleted(DeletionPolicy),
}

/// One OceanNode with everything around it.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// The object.
    pub own: &'a OceanNode,
    /// Its name.
    pub name: OceanNodeName,
    /// Its uid.
    pub uid: Uid,
    /// Its status as it stands.
    pub status: OceanNodeStatus,
    /// What its ocean and pool mean for it.
    pub standing: Standing,
    /// Its ocean.
    pub ocean: Option<&'a Arc<SpotOcean>>,
    /// The disruption settings of its pool.
    pub disruption: Disruption,
    /// The instance on record.
    pub instance_id: Option<InstanceId>,
    /// The instance as listed.
    pub instance: Option<&'a Instance>,
    /// What became of the instance.
    pub fate: Fate,
    /// The Node, by provider id.
    pub node: Option<&'a Node>,
    /// Pods bound to the Node that have not finished.
    pub pods: Vec<&'a Arc<Pod>>,
}

/// The snapshot, indexed.
#[derive(Debug)]
pub struct View<'a> {
    /// The snapshot itself.
    pub snapshot: &'a Snapshot,
    nodes: BTreeMap<&'a InstanceId, &'a Node>,
    pods: BTreeMap<&'a NodeName, Vec<&'a Arc<Pod>>>,
    /// Nodes whose free room is kept for pods to come.
    pub(super) spare: BTreeSet<&'a NodeName>,
    /// Which nominations hold.
    pub(super) nominations: Nominations<'a>,
    company: OnceCell<Company<'a>>,
    instances: BTreeMap<&'a InstanceId, &'a Instance>,
    /// Instances on record that are not listed.
    pub(super) missing: BTreeSet<InstanceId>,
}

/// A user's duration.
#[must_use]
pub fn span(duration: Duration) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(duration.seconds).unwrap_or(i64::MAX))
}

impl<'a> View<'a> {
    /// Indexes a snapshot.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let mut pods: BTreeMap<&NodeName, Vec<&Arc<Pod>>> = BTreeMap::new();
        for pod in snapshot.pods.iter().filter(|pod| pod.holds_resources()) {
            if let Some(node) = &pod.node {
                pods.entry(node).or_default().push(pod);
            }
        }
        let instances: BTreeMap<_, _> = snapshot
            .instances
            .iter()
            .map(|instance| (&instance.id, instance))
            .collect();
        Self {
            nodes: snapshot
                .nodes
                .iter()
                .filter_map(|node| Some((node.instance.as_ref()?, node.as_ref())))
                .collect(),
            pods,
            spare: BTreeSet::new(),
            nominations: Nominations::of(snapshot),
            company: OnceCell::new(),
            missing: snapshot
                .ocean_nodes
                .iter()
                .filter_map(|own| instance_of(own))
                .filter(|id| !instances.contains_key(id))
                .collect(),
            instances,
            snapshot,
        }
    }

    /// The time of the look.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.snapshot.now
    }

    /// Which nodes wait for others.
    pub(super) fn company(&self) -> &Company<'a> {
        self.company.get_or_init(|| Company::of(self))
    }

    /// Whether both sources a removal rests on are whole.
    #[must_use]
    pub fn may_remove(&self) -> bool {
        self.snapshot.sources.kubernetes.is_complete && self.snapshot.sources.instances.is_complete
    }

    /// Every OceanNode.
    pub fn members(&self) -> impl Iterator<Item = Member<'a>> {
        self.snapshot.ocean_nodes.iter().map(|own| self.member(own))
    }

    /// The Node of an instance.
    #[must_use]
    pub fn node_of(&self, instance: &InstanceId) -> Option<&'a Node> {
        self.nodes.get(instance).copied()
    }

    /// Instances on record that are not listed.
    pub fn missing_instances(&self) -> impl Iterator<Item = &InstanceId> {
        self.missing.iter()
    }

    /// An instance as listed.
    #[must_use]
    pub fn instance(&self, id: &InstanceId) -> Option<&'a Instance> {
        self.instances.get(id).copied()
    }

    fn member(&self, own: &'a OceanNode) -> Member<'a> {
        let ocean = self.ocean_of(own);
        let instance_id = instance_of(own);
        let instance = instance_id.as_ref().and_then(|id| self.instance(id));
        let node = instance_id.as_ref().and_then(|id| self.node_of(id));
        let pods = node
            .and_then(|node| self.pods.get(&node.name))
            .cloned()
            .unwrap_or_default();
        Member {
            own,
            name: own.metadata.name.as_deref().unwrap_or_default().into(),
            uid: own.metadata.uid.as_deref().unwrap_or_default().into(),
            status: own.status.clone().unwrap_or_default(),
            standing: self.standing(own, ocean),
            ocean,
            disruption: disruption(own, ocean),
            fate: instance_id
                .as_ref()
                .map_or(Fate::NotLaunched, |id| fate::fate(self, id, node)),
            instance_id,
            instance,
            node,
            pods,
        }
    }

    /// The ocean an OceanNode was bought for: an ocean of the same name made later is another one.
    fn ocean_of(&self, own: &OceanNode) -> Option<&'a Arc<SpotOcean>> {
        self.snapshot
            .oceans
            .iter()
            .find(|ocean| ocean.metadata.uid.as_deref() == Some(own.spec.ocean_uid.as_str()))
    }

    fn standing(&self, own: &OceanNode, ocean: Option<&'a Arc<SpotOcean>>) -> Standing {
        let Some(ocean) = ocean else {
            let is_unreadable = self
                .snapshot
                .unreadable_oceans
                .contains(own.spec.ocean_name.as_str());
            return if is_unreadable {
                Standing::Frozen
            } else {
                Standing::Ownerless
            };
        };
        let pool = ocean
            .spec
            .pools
            .iter()
            .find(|pool| pool.name == own.spec.pool_name);
        if is_paused(ocean) || ocean.spec.mode == Mode::Observe {
            Standing::Frozen
        } else if is_deleted(ocean) {
            Standing::OceanDeleted(
                pool.and_then(|pool| pool.deletion_policy)
                    .unwrap_or(ocean.spec.deletion_policy),
            )
        } else if pool.is_none() {
            Standing::PoolRemoved(ocean.spec.deletion_policy)
        } else {
            Standing::Kept
        }
    }
}

fn disruption(own: &OceanNode, ocean: Option<&Arc<SpotOcean>>) -> Disruption {
    let Some(ocean) = ocean else {
        return Disruption::default();
    };
    let pool = ocean
        .spec
        .pools
        .iter()
        .find(|pool| pool.name == own.spec.pool_name);
    pool.map_or_else(
        || ocean.spec.disruption.clone(),
        |pool| effective_pool(&ocean.spec, pool).disruption,
    )
}

impl Member<'_> {
    /// Whether its deletion has been asked for.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.own.metadata.deletion_timestamp.is_some()
    }

    /// Whether a user takes the way out: release the object and nothing else.
    #[must_use]
    pub fn is_force_released(&self) -> bool {
        let annotations = self.own.metadata.annotations.as_ref();
        self.is_deleted()
            && annotations
                .and_then(|all| all.get(FORCE_RELEASE))
                .is_some_and(|value| value == "true")
    }

    /// What the Node has beside the requests of its pods.
    #[must_use]
    pub fn room(&self, node: &Node) -> Resources {
        let requests = self.pods.iter().map(|pod| &pod.shape.requests);
        requests.fold(node.allocatable.clone(), |room, own| room.minus(own))
    }

    /// Pods that a drain has to move: not a DaemonSet's, not a mirror, not at home on a disrupted node.
    pub fn movable_pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods
            .iter()
            .copied()
            .filter(|pod| super::drain::is_movable(pod))
    }

    /// The command that takes our finalizer off.
    #[must_use]
    pub fn release(&self) -> Command {
        Command::ReleaseOceanNode {
            name: self.name.clone(),
            uid: self.uid.clone(),
        }
    }

    /// The command that asks for its deletion.
    #[must_use]
    pub fn delete(&self) -> Command {
        Command::DeleteOceanNode {
            name: self.name.clone(),
            uid: self.uid.clone(),
        }
    }
}
