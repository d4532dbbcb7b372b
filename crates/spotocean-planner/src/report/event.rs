//! Events: on pods that nothing serves, on nodes that change, on oceans whose conditions flip.
//!
//! Only transitions are told; repeats of the same sentence are the shell's to leave out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_api::condition::ConditionType;
use spotocean_api::ocean_node::{OceanNode, OceanNodeReason, OceanNodeStatus};
use spotocean_api::ocean_status::SpotOceanStatus;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::id::ObjectKey;
use spotocean_solver::solution::{Solution, Unplaced};

use crate::command::{Command, Planned};
use crate::plan::{EventSubject, EventToPublish};
use crate::snapshot::Snapshot;

/// Pods told in one pass; the next pass tells the others once these are served or known.
const PODS_MAX: usize = 500;
/// Kubernetes' own limit for an event's note.
const MESSAGE_BYTES_MAX: usize = 1024;
/// Conditions whose flips are told, with the status that is good.
const TOLD: [(ConditionType, &str); 7] = [
    (ConditionType::Ready, "True"),
    (ConditionType::CloudAccess, "True"),
    (ConditionType::ImagesResolved, "True"),
    (ConditionType::NetworkResolved, "True"),
    (ConditionType::CapacityAvailable, "True"),
    (ConditionType::WithinLimits, "True"),
    (ConditionType::OtherAutoscalerActive, "False"),
];

fn cut(mut message: String) -> Arc<str> {
    while message.len() > MESSAGE_BYTES_MAX {
        message.pop();
    }
    message.into()
}

/// One event for each pod left over, with the reason per pool.
pub(super) fn of_pods(snapshot: &Snapshot, solution: &Solution) -> Vec<EventToPublish> {
    let uids: BTreeMap<&ObjectKey, &Arc<str>> =
        snapshot.pods.iter().map(|pod| (&pod.key, &pod.uid.0)).collect();
    let with_reasons = solution
        .unplaced
        .iter()
        .filter(|unplaced| !unplaced.reasons.is_empty());
    let mut seen = BTreeSet::new();
    with_reasons
        .filter(|unplaced| seen.insert(&unplaced.pod))
        .take(PODS_MAX)
        .filter_map(|unplaced| {
            let uid = uids.get(&unplaced.pod)?;
            Some(EventToPublish {
                subject: EventSubject::Pod {
                    key: unplaced.pod.clone(),
                    uid: (*uid).clone(),
                },
                related: None,
                is_warning: true,
                reason: "NotServed".into(),
                message: cut(sentence(unplaced)),
            })
        })
        .collect()
}

fn sentence(unplaced: &Unplaced) -> String {
    let mut by_message: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for reason in &unplaced.reasons {
        by_message
            .entry(&reason.message)
            .or_default()
            .push(reason.pool.to_string());
    }
    let parts: Vec<String> = by_message
        .into_iter()
        .map(|(message, pools)| format!("{}: {message}", pools.join(", ")))
        .collect();
    format!("no pool serves this pod: {}", parts.join("; "))
}

/// Phases and reasons that change with this plan.
pub(super) fn of_nodes(snapshot: &Snapshot, commands: &[Planned]) -> Vec<EventToPublish> {
    let by_uid: BTreeMap<&str, &Arc<OceanNode>> = snapshot
        .ocean_nodes
        .iter()
        .filter_map(|own| Some((own.metadata.uid.as_deref()?, own)))
        .collect();
    let nodes: BTreeMap<&str, &Arc<str>> = snapshot
        .nodes
        .iter()
        .map(|node| (node.name.as_str(), &node.uid.0))
        .collect();
    let mut events = Vec::new();
    for planned in commands {
        let Command::SetOceanNodeStatus { uid, status, .. } = &planned.command else {
            continue;
        };
        let Some(own) = by_uid.get(uid.as_str()) else {
            continue;
        };
        let before = own.status.clone().unwrap_or_default();
        if (before.phase, before.reason) == (status.phase, status.reason) {
            continue;
        }
        let node = status
            .node_name
            .as_deref()
            .and_then(|name| Some((name, *nodes.get(name)?)));
        let node = node.map(|(name, uid)| EventSubject::Node {
            name: name.into(),
            uid: uid.clone(),
        });
        events.push(of_node(own, status, node.clone()));
        if let Some(node) = node.filter(|_| is_departure(status.reason)) {
            let told = of_node(own, status, None);
            events.push(EventToPublish {
                related: Some(told.subject),
                subject: node,
                ..told
            });
        }
    }
    events
}

fn of_node(own: &OceanNode, status: &OceanNodeStatus, related: Option<EventSubject>) -> EventToPublish {
    let reason = status
        .reason
        .filter(|reason| is_departure(Some(*reason)))
        .map(word);
    let phase = status.phase.as_str();
    let message = match &status.message {
        Some(message) => format!("{phase}: {message}"),
        None => format!(
            "{phase}: {} in {}",
            or_dash(status.instance_type.as_deref()),
            or_dash(status.zone.as_deref())
        ),
    };
    EventToPublish {
        subject: EventSubject::OceanNode {
            name: own.metadata.name.as_deref().unwrap_or_default().into(),
            uid: own.metadata.uid.as_deref().unwrap_or_default().into(),
        },
        related,
        is_warning: is_trouble(status.reason),
        reason: reason.unwrap_or_else(|| phase.into()),
        message: cut(message),
    }
}

fn or_dash(text: Option<&str>) -> &str {
    text.unwrap_or("-")
}

/// The reason's word, as the schema has it.
fn word(reason: OceanNodeReason) -> Arc<str> {
    let value = serde_json::to_value(reason).unwrap_or_default();
    value.as_str().unwrap_or_default().into()
}

fn is_departure(reason: Option<OceanNodeReason>) -> bool {
    use OceanNodeReason as R;
    reason.is_some_and(|reason| {
        matches!(
            reason,
            R::NoCapacity
                | R::LaunchFailed
                | R::SpotInterruption
                | R::InstanceGone
                | R::RegistrationTimeout
                | R::Empty
                | R::PoolRemoved
                | R::OceanDeleted
                | R::Requested
                | R::NodeDeleted
                | R::DrainAbandoned
                | R::Adopted
        )
    })
}

fn is_trouble(reason: Option<OceanNodeReason>) -> bool {
    use OceanNodeReason as R;
    reason.is_some_and(|reason| {
        matches!(
            reason,
            R::NoCapacity
                | R::LaunchFailed
                | R::SpotInterruption
                | R::InstanceGone
                | R::RegistrationTimeout
                | R::NodeDeleted
                | R::DrainAbandoned
        )
    })
}

/// Conditions of an ocean whose status flips with this report.
pub(super) fn of_conditions(ocean: &SpotOcean, status: &SpotOceanStatus) -> Vec<EventToPublish> {
    let before = ocean
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    TOLD.into_iter()
        .filter_map(|(condition_type, good)| {
            let is_it = |name: &str| name == condition_type.as_str();
            let now = status
                .conditions
                .iter()
                .find(|condition| is_it(&condition.type_))?;
            let old = before.iter().find(|condition| is_it(&condition.type_))?;
            (old.status != now.status && now.status != "Unknown").then(|| EventToPublish {
                subject: EventSubject::Ocean {
                    name: ocean.metadata.name.as_deref().unwrap_or_default().into(),
                    uid: ocean.metadata.uid.as_deref().unwrap_or_default().into(),
                },
                related: None,
                is_warning: now.status != good,
                reason: now.reason.as_str().into(),
                message: cut(format!("{}={}: {}", now.type_, now.status, now.message)),
            })
        })
        .collect()
}
