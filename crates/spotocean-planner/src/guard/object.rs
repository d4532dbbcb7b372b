//! Whether the objects a command rests on are still there, and still the same ones.

use std::sync::Arc;

use spotocean_api::annotation::PAUSE;
use spotocean_api::ocean_launch::OceanLaunch;
use spotocean_api::ocean_node::OceanNode;
use spotocean_api::spot_ocean::{Mode, SpotOcean};
use spotocean_core::id::{InstanceId, LaunchName, NodeName, ObjectKey, OceanName, OceanNodeName, Uid};
use spotocean_core::instance::{Instance, TAG_CLUSTER_UID};
use spotocean_core::node::Node;

use super::{Breach, Verdict, breach, check};
use crate::plan::GuardRule;
use crate::snapshot::Snapshot;

fn stale(what: &str, name: impl std::fmt::Display) -> Breach {
    breach(
        GuardRule::Stale,
        format!("{what} {name} is gone, or another one has its name"),
    )
}

pub(super) fn ocean<'a>(
    snapshot: &'a Snapshot,
    name: &OceanName,
    uid: &Uid,
) -> Result<&'a Arc<SpotOcean>, Breach> {
    snapshot
        .oceans
        .iter()
        .find(|ocean| {
            ocean.metadata.name.as_deref() == Some(name.as_str())
                && ocean.metadata.uid.as_deref() == Some(uid.as_str())
        })
        .ok_or_else(|| stale("ocean", name))
}

pub(super) fn launch<'a>(
    snapshot: &'a Snapshot,
    name: &LaunchName,
    uid: &Uid,
) -> Result<&'a Arc<OceanLaunch>, Breach> {
    snapshot
        .launches
        .iter()
        .find(|launch| {
            launch.metadata.name.as_deref() == Some(name.as_str())
                && launch.metadata.uid.as_deref() == Some(uid.as_str())
        })
        .ok_or_else(|| stale("launch", name))
}

pub(super) fn ocean_node<'a>(
    snapshot: &'a Snapshot,
    name: &OceanNodeName,
    uid: &Uid,
) -> Result<&'a Arc<OceanNode>, Breach> {
    snapshot
        .ocean_nodes
        .iter()
        .find(|own| {
            own.metadata.name.as_deref() == Some(name.as_str())
                && own.metadata.uid.as_deref() == Some(uid.as_str())
        })
        .ok_or_else(|| stale("OceanNode", name))
}

pub(super) fn node<'a>(snapshot: &'a Snapshot, name: &NodeName, uid: &Uid) -> Result<&'a Arc<Node>, Breach> {
    snapshot
        .nodes
        .iter()
        .find(|node| node.name == *name && node.uid == *uid)
        .ok_or_else(|| stale("Node", name))
}

/// An instance that carries our cluster's tag.
pub(super) fn instance<'a>(snapshot: &'a Snapshot, id: &InstanceId) -> Result<&'a Instance, Breach> {
    let found = snapshot.instances.iter().find(|instance| instance.id == *id);
    let instance = found.ok_or_else(|| stale("instance", id))?;
    check(
        instance.tag(TAG_CLUSTER_UID) == Some(snapshot.cluster_uid.as_str()),
        GuardRule::Ownership,
        || format!("instance {id} does not carry this cluster's tag {TAG_CLUSTER_UID}"),
    )?;
    Ok(instance)
}

/// An OceanNode is created for an instance of ours that has none.
pub(super) fn adoption(snapshot: &Snapshot, node: &OceanNode) -> Verdict {
    let name = node.metadata.name.as_deref();
    let exists = snapshot
        .ocean_nodes
        .iter()
        .any(|own| own.metadata.name.as_deref() == name);
    check(!exists, GuardRule::Stale, || {
        format!("OceanNode {} exists already", name.unwrap_or_default())
    })
}

/// A pod that waits is nominated to a Node of ours that stays.
pub(super) fn nomination(snapshot: &Snapshot, key: &ObjectKey, uid: &Uid, node: &NodeName) -> Verdict {
    let found = snapshot
        .pods
        .iter()
        .find(|pod| pod.key == *key && pod.uid == *uid);
    let is_free = found.is_some_and(|pod| {
        pod.node.is_none() && pod.nominated_node.as_ref() != Some(node) && pod.deleted_at.is_none()
    });
    check(is_free, GuardRule::Stale, || {
        format!("pod {key} does not wait for {node} any more")
    })?;
    let target = snapshot.nodes.iter().find(|own| own.name == *node);
    let target = target.filter(|own| own.deleted_at.is_none());
    let target = target.ok_or_else(|| stale("Node", node))?;
    let own = snapshot.ocean_nodes.iter().find(|own| {
        let status = own.status.as_ref();
        let instance = status.and_then(|status| status.instance_id.as_deref());
        instance.is_some() && instance == target.instance.as_ref().map(InstanceId::as_str)
    });
    let own = own.ok_or_else(|| {
        breach(
            GuardRule::Ownership,
            format!("no OceanNode speaks for Node {node}"),
        )
    })?;
    is_managed(snapshot, &own.spec.ocean_name)
}

/// Whether an ocean lets itself be touched. One that is gone cannot object; one that cannot be read does.
pub(super) fn is_managed(snapshot: &Snapshot, name: &str) -> Verdict {
    check(
        !snapshot.unreadable_oceans.contains(name),
        GuardRule::NotManaged,
        || format!("ocean {name} cannot be read: its nodes are left alone"),
    )?;
    let found = snapshot
        .oceans
        .iter()
        .find(|ocean| ocean.metadata.name.as_deref() == Some(name));
    let Some(ocean) = found else { return Ok(()) };
    check(ocean.spec.mode == Mode::Manage, GuardRule::NotManaged, || {
        format!("ocean {name} is only observed")
    })?;
    let paused = ocean
        .metadata
        .annotations
        .iter()
        .any(|own| own.get(PAUSE).is_some_and(|value| value == "true"));
    check(!paused, GuardRule::NotManaged, || {
        format!("ocean {name} is paused")
    })
}
