//! What no object explains: instances to adopt or terminate, launch templates nobody uses.
//!
//! An instance behind a Ready Node is adopted, never terminated. Any other
//! must have been unexplained in complete reads a minute apart, and if there
//! are implausibly many of them at once, nothing is collected: then it is more
//! likely that our own records are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use spotocean_api::annotation::TERMINATION_FINALIZER;
use spotocean_api::ocean_node::{OceanNode, OceanNodeReason, OceanNodeSpec, OceanNodeStatus, Phase};
use spotocean_api::spot_ocean::{Mode, SpotOcean};
use spotocean_core::id::{InstanceId, PoolName};
use spotocean_core::instance::{Instance, TAG_CLUSTER_UID, TAG_LAUNCH, TAG_OCEAN, TAG_OCEAN_UID, TAG_POOL};
use spotocean_core::node::Node;

use super::agenda::Agenda;
use super::fate::plausible;
use super::leaving::time;
use super::view::View;
use crate::command::{Command, TerminationReason};
use crate::pool::{PoolView, is_paused, may_act, ocean_name, ocean_uid, pools_of};
use crate::provisioning::in_flight::{is_open, launches_by_name};
use crate::provisioning::nodes::instance_of;
use crate::snapshot::Snapshot;
use crate::vocabulary;

/// How long an instance must stay unexplained, from complete read to complete read.
const UNEXPLAINED_FOR: SignedDuration = SignedDuration::from_secs(60);
/// How long an unused launch template is kept.
const TEMPLATE_KEPT: SignedDuration = SignedDuration::from_hours(1);

/// Live instances of this cluster that no OceanNode and no launch explains.
#[must_use]
pub fn unexplained(snapshot: &Snapshot) -> Vec<&Instance> {
    let mut known: BTreeSet<InstanceId> = snapshot
        .ocean_nodes
        .iter()
        .filter_map(|own| instance_of(own))
        .collect();
    let answered = snapshot
        .launches
        .iter()
        .filter_map(|launch| launch.status.as_ref());
    known.extend(
        answered
            .flat_map(|status| &status.instances)
            .map(|instance| InstanceId::from(instance.instance_id.as_str())),
    );
    let launches = launches_by_name(snapshot);
    let may_be_explained = |instance: &Instance| {
        let name = instance.tag(TAG_LAUNCH).unwrap_or_default();
        let is_under_way = snapshot
            .running
            .iter()
            .any(|key| matches!(key.kind.as_ref(), "Purchase" | "Replay") && key.subject.as_ref() == name);
        is_under_way || launches.get(name).is_some_and(|launch| is_open(launch))
    };
    snapshot
        .instances
        .iter()
        .filter(|instance| instance.tag(TAG_CLUSTER_UID) == Some(snapshot.cluster_uid.as_str()))
        .filter(|instance| !instance.state.is_ending() && !known.contains(&instance.id))
        .filter(|instance| !may_be_explained(instance))
        .collect()
}

/// Whether so many instances are unexplained, or so many on record missing, that collection has stopped.
#[must_use]
pub fn is_collection_stopped(snapshot: &Snapshot) -> bool {
    let view = View::of(snapshot);
    let live = snapshot
        .instances
        .iter()
        .filter(|instance| !instance.state.is_ending())
        .count();
    super::fate::is_implausible(&view) || candidates(&view).len() > plausible(live)
}

/// Unexplained instances without a Ready Node.
fn candidates<'a>(view: &View<'a>) -> Vec<&'a Instance> {
    let is_in_service = |id: &InstanceId| view.node_of(id).is_some_and(Node::is_ready);
    unexplained(view.snapshot)
        .into_iter()
        .filter(|instance| !is_in_service(&instance.id))
        .collect()
}

/// Adopts, terminates and deletes what is left over.
pub(super) fn collect(view: &View<'_>, agenda: &mut Agenda) {
    if !view.may_remove() {
        return;
    }
    for instance in unexplained(view.snapshot) {
        adopt(view, instance, agenda);
    }
    if !is_collection_stopped(view.snapshot) {
        for instance in candidates(view) {
            terminate(view, instance, agenda);
        }
    }
    delete_templates(view, agenda);
}

fn terminate(view: &View<'_>, instance: &Instance, agenda: &mut Agenda) {
    // A paused, observed or unreadable ocean's instances are left alone, explained or not.
    let owner = owner(view.snapshot, instance);
    let name = instance.tag(TAG_OCEAN).unwrap_or_default();
    if view.snapshot.unreadable_oceans.contains(name)
        || owner.is_some_and(|ocean| is_paused(ocean) || ocean.spec.mode == Mode::Observe)
    {
        return;
    }
    let Some(since) = view.snapshot.memory.unexplained_instances.get(&instance.id) else {
        agenda.look_at(view.now() + UNEXPLAINED_FOR);
        return;
    };
    let read_at = view.snapshot.sources.instances.as_of;
    if read_at.is_some_and(|read_at| *since + UNEXPLAINED_FOR <= read_at) {
        let command = Command::Terminate {
            instance: instance.id.clone(),
            reason: TerminationReason::Unexplained,
        };
        agenda.ordinary(
            command,
            "no OceanNode and no launch explains it, and no Ready Node uses it",
        );
    } else {
        agenda.look_at(*since + UNEXPLAINED_FOR);
    }
}

/// The ocean an instance belongs to: by uid, else by name, for an ocean that was applied anew.
fn owner<'a>(snapshot: &'a Snapshot, instance: &Instance) -> Option<&'a Arc<SpotOcean>> {
    let by_uid = |ocean: &&Arc<SpotOcean>| instance.tag(TAG_OCEAN_UID) == Some(ocean_uid(ocean).as_str());
    let by_name = |ocean: &&Arc<SpotOcean>| instance.tag(TAG_OCEAN) == Some(ocean_name(ocean).as_str());
    snapshot
        .oceans
        .iter()
        .find(by_uid)
        .or_else(|| snapshot.oceans.iter().find(by_name))
}

/// Writes the OceanNode that an instance in service has lost.
fn adopt(view: &View<'_>, instance: &Instance, agenda: &mut Agenda) {
    let is_in_service = view.node_of(&instance.id).is_some_and(Node::is_ready);
    let owner = owner(view.snapshot, instance).filter(|ocean| may_act(ocean));
    let (true, Some(ocean), Some(pool)) = (is_in_service, owner, instance.tag(TAG_POOL)) else {
        return;
    };
    let pool_view = pools_of(ocean)
        .into_iter()
        .find(|view| view.key.pool == PoolName::from(pool));
    let command = Command::CreateOceanNode {
        node: Box::new(adopted(ocean, pool, pool_view.as_ref(), instance)),
        status: Box::new(OceanNodeStatus {
            phase: Phase::Launched,
            reason: Some(OceanNodeReason::Adopted),
            message: Some("an instance of ours in service whose OceanNode had been lost".to_owned()),
            instance_id: Some(instance.id.to_string()),
            provider_id: Some(instance.provider_id()),
            instance_type: Some(instance.instance_type.to_string()),
            zone: Some(instance.zone.to_string()),
            capacity_type: Some(vocabulary::api_capacity_type(instance.capacity_type)),
            image_id: Some(instance.image.to_string()),
            launched_at: Some(time(instance.launched_at)),
            ..OceanNodeStatus::default()
        }),
    };
    agenda.ordinary(command, "an instance of ours is in service and has no OceanNode");
}

fn adopted(ocean: &SpotOcean, pool: &str, view: Option<&PoolView>, instance: &Instance) -> OceanNode {
    let labels = view
        .map(|view| view.labels(instance.capacity_type))
        .unwrap_or_default();
    let spec = OceanNodeSpec {
        ocean_name: ocean_name(ocean).to_string(),
        ocean_uid: ocean_uid(ocean).to_string(),
        pool_name: pool.to_owned(),
        launch_name: instance.tag(TAG_LAUNCH).unwrap_or("adopted").to_owned(),
        launch_index: 0,
        capacity_type: vocabulary::api_capacity_type(instance.capacity_type),
        requirements: view
            .map(|view| view.pool.requirements.clone())
            .unwrap_or_default(),
        resources: BTreeMap::new(),
        labels: vocabulary::api_labels(&labels),
        annotations: view.map(|view| view.pool.annotations.clone()).unwrap_or_default(),
        taints: view.map(|view| view.pool.taints.clone()).unwrap_or_default(),
        startup_taints: view
            .map(|view| view.pool.startup_taints.clone())
            .unwrap_or_default(),
        max_pods: None,
        template_hash: view.map(PoolView::template_hash).unwrap_or_default(),
        for_pods: Vec::new(),
    };
    let mut own = OceanNode::new(&format!("{}-{pool}-{}", ocean_name(ocean), instance.id), spec);
    own.metadata = ObjectMeta {
        finalizers: Some(vec![TERMINATION_FINALIZER.to_owned()]),
        ..own.metadata
    };
    own
}

/// Templates that no launch on record names. Launches are kept for a day, so what a pool still buys with is named.
fn delete_templates(view: &View<'_>, agenda: &mut Agenda) {
    let snapshot = view.snapshot;
    let is_buying = snapshot
        .running
        .iter()
        .any(|key| matches!(key.kind.as_ref(), "Purchase" | "Replay"));
    if is_buying {
        return;
    }
    let named: BTreeSet<&str> = snapshot
        .launches
        .iter()
        .flat_map(|launch| &launch.spec.request.launch_templates)
        .filter_map(|config| config.launch_template_name.as_deref())
        .collect();
    for (name, created_at) in snapshot.launch_templates.iter() {
        if !named.contains(name.as_ref()) && *created_at + TEMPLATE_KEPT <= view.now() {
            let command = Command::DeleteLaunchTemplate { name: name.clone() };
            agenda.ordinary(command, "no launch uses it");
        }
    }
}
