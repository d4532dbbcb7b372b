//! Removals: nothing goes that is not ours, and nothing on a partial view.

use spotocean_core::id::{InstanceId, NodeName, ObjectKey, OceanNodeName, Uid};
use spotocean_core::instance::{InstanceState, TAG_OCEAN};
use spotocean_core::label;

use super::{Verdict, check, object};
use crate::command::{Command, NodePatch, Nominee, TerminationReason};
use crate::plan::{GuardRule, Plan};
use crate::snapshot::{Snapshot, Source};

/// Terminations of unexplained instances in a plan.
pub(super) fn unexplained_in(plan: &Plan) -> usize {
    let is_unexplained = |command: &Command| {
        matches!(
            command,
            Command::Terminate {
                reason: TerminationReason::Unexplained,
                ..
            }
        )
    };
    plan.commands
        .iter()
        .filter(|planned| is_unexplained(&planned.command))
        .count()
}

fn is_complete(source: &Source, name: &str) -> Verdict {
    check(source.is_complete, GuardRule::IncompleteSource, || {
        format!("{name} is not read whole, and absence in it is no evidence")
    })
}

pub(super) fn complete_kubernetes(snapshot: &Snapshot) -> Verdict {
    is_complete(&snapshot.sources.kubernetes, "the cluster's state")
}

pub(super) fn ocean_node(snapshot: &Snapshot, name: &OceanNodeName, uid: &Uid) -> Verdict {
    complete_kubernetes(snapshot)?;
    let own = object::ocean_node(snapshot, name, uid)?;
    object::is_managed(snapshot, &own.spec.ocean_name)
}

/// The ocean a Node belongs to, by its label or by the OceanNode that names it.
fn ocean_of_node(snapshot: &Snapshot, name: &NodeName) -> Result<String, super::Breach> {
    let by_label = snapshot
        .nodes
        .iter()
        .find(|node| node.name == *name)
        .and_then(|node| node.labels.get(label::OCEAN))
        .map(ToString::to_string);
    let by_record = || {
        let instance = snapshot
            .nodes
            .iter()
            .find(|node| node.name == *name)?
            .instance
            .as_ref()?;
        let own = snapshot.ocean_nodes.iter().find(|own| {
            own.status
                .as_ref()
                .and_then(|status| status.instance_id.as_deref())
                == Some(instance.as_str())
        })?;
        Some(own.spec.ocean_name.clone())
    };
    by_label.or_else(by_record).ok_or_else(|| {
        super::breach(
            GuardRule::Ownership,
            format!("Node {name} carries no ocean's label, and no OceanNode names its instance"),
        )
    })
}

pub(super) fn patch(snapshot: &Snapshot, patch: &NodePatch) -> Verdict {
    let node = object::node(snapshot, &patch.name, &patch.uid)?;
    let ocean = ocean_of_node(snapshot, &patch.name)?;
    object::is_managed(snapshot, &ocean)?;
    let is_current = patch.taints.is_none() || node.resource_version == patch.resource_version;
    check(is_current, GuardRule::Stale, || {
        format!("Node {} has changed since its taints were read", patch.name)
    })?;
    let mut nominees = patch.nominees.iter();
    nominees.try_for_each(|Nominee { pod, uid }| object::nomination(snapshot, pod, uid, &patch.name))
}

pub(super) fn node(snapshot: &Snapshot, name: &NodeName, uid: &Uid) -> Verdict {
    complete_kubernetes(snapshot)?;
    object::node(snapshot, name, uid)?;
    let ocean = ocean_of_node(snapshot, name)?;
    object::is_managed(snapshot, &ocean)
}

pub(super) fn pod(snapshot: &Snapshot, key: &ObjectKey, uid: &Uid, node: &NodeName) -> Verdict {
    let found = snapshot
        .pods
        .iter()
        .find(|pod| pod.key == *key && pod.uid == *uid);
    let is_there = found.is_some_and(|pod| pod.node.as_ref() == Some(node));
    check(is_there, GuardRule::Stale, || {
        format!("pod {key} is not on {node} any more")
    })?;
    // A pod whose Node object is already gone can only be freed, not moved.
    if snapshot.nodes.iter().all(|own| own.name != *node) {
        return complete_kubernetes(snapshot);
    }
    let ocean = ocean_of_node(snapshot, node)?;
    object::is_managed(snapshot, &ocean)
}

pub(super) fn terminate(
    snapshot: &Snapshot,
    id: &InstanceId,
    reason: TerminationReason,
    unexplained: usize,
) -> Verdict {
    let found = object::instance(snapshot, id);
    if found.is_err() && snapshot.instances.iter().all(|own| own.id != *id) {
        // Not listed: gone where the list is whole, unknown where it is not.
        is_complete(&snapshot.sources.instances, "the list of instances")?;
    }
    let instance = found?;
    let ocean = instance.tag(TAG_OCEAN).unwrap_or_default();
    object::is_managed(snapshot, ocean)?;
    let mut records = snapshot.ocean_nodes.iter().filter(|own| {
        own.status
            .as_ref()
            .and_then(|status| status.instance_id.as_deref())
            == Some(id.as_str())
    });
    match reason {
        TerminationReason::Released => check(records.next().is_some(), GuardRule::Stale, || {
            format!("no OceanNode speaks for instance {id} any more")
        }),
        TerminationReason::Unexplained => {
            is_complete(&snapshot.sources.instances, "the list of instances")?;
            complete_kubernetes(snapshot)?;
            let is_explained = records.next().is_some()
                || snapshot
                    .nodes
                    .iter()
                    .any(|node| node.instance.as_ref() == Some(id) && node.is_ready());
            check(!is_explained, GuardRule::Stale, || {
                format!("instance {id} has an OceanNode or a Ready node by now")
            })?;
            let living = snapshot
                .instances
                .iter()
                .filter(|own| matches!(own.state, InstanceState::Pending | InstanceState::Running))
                .count();
            // max(3, 5 %): more at once is a sign that the view is wrong, not the cloud.
            let most = 3.max(living * 5 / 100);
            check(unexplained <= most, GuardRule::TooManyUnexplained, || {
                format!(
                    "{unexplained} instances at once are unexplained, and more than {most} is not plausible"
                )
            })
        }
    }
}

pub(super) fn launch_template(snapshot: &Snapshot, name: &str) -> Verdict {
    complete_kubernetes(snapshot)?;
    check(
        snapshot.launch_templates.contains_key(name),
        GuardRule::Ownership,
        || format!("launch template {name} is not among ours"),
    )?;
    let is_used = snapshot.launches.iter().any(|launch| {
        launch
            .status
            .as_ref()
            .is_none_or(|status| status.answered_at.is_none())
            && launch
                .spec
                .request
                .launch_templates
                .iter()
                .any(|config| config.launch_template_name.as_deref() == Some(name))
    });
    check(!is_used, GuardRule::Stale, || {
        format!("launch template {name} is named by a launch that has no answer yet")
    })
}
