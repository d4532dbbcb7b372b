//! Pods that will wait soon: on nodes that leave, and to be created anew by their controllers.
//!
//! Buying for them before they are evicted is what puts the replacement
//! first. [`crate::plan`] shows provisioning the world as it will be
//! ([`foreseen`]); provisioning itself knows nothing of this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_api::ocean_node::{OceanNodeReason, Phase};
use spotocean_core::id::ObjectKey;
use spotocean_core::pod::{Pod, PodPhase};

use super::agenda::Agenda;
use super::leaving::{self, Decision};
use super::view::{Member, View};
use crate::snapshot::Snapshot;

/// Pods on leaving nodes, as they will wait: unbound and looked at by the scheduler in vain.
#[must_use]
pub fn displaced_pods(snapshot: &Snapshot) -> BTreeMap<ObjectKey, Arc<Pod>> {
    let view = View::of(snapshot);
    let mut displaced = BTreeMap::new();
    for member in view.members().filter(|member| is_leaving(&view, member)) {
        let will_return = member
            .movable_pods()
            .filter(|pod| pod.owner.is_some() && pod.deleted_at.is_none());
        displaced.extend(will_return.map(|pod| (pod.key.clone(), Arc::new(unbound(pod)))));
    }
    displaced
}

/// The snapshot as it will be once those pods wait and their nodes are on record as leaving, or `None` when
/// there are none. Without the second half the pods would be planned back onto the nodes they leave.
#[must_use]
pub fn foreseen(snapshot: &Snapshot) -> Option<Snapshot> {
    let displaced = displaced_pods(snapshot);
    if displaced.is_empty() {
        return None;
    }
    let view = View::of(snapshot);
    let leaving: BTreeSet<_> = view
        .members()
        .filter(|member| is_leaving(&view, member))
        .map(|member| member.name)
        .collect();
    let mut foreseen = snapshot.clone();
    for pod in &mut foreseen.pods {
        if let Some(unbound) = displaced.get(&pod.key) {
            *pod = unbound.clone();
        }
    }
    for own in &mut foreseen.ocean_nodes {
        let name = own.metadata.name.as_deref().unwrap_or_default();
        if leaving.contains(name) {
            let mut leaves = own.as_ref().clone();
            leaves.status.get_or_insert_default().phase = Phase::Draining;
            *own = Arc::new(leaves);
        }
    }
    Some(foreseen)
}

fn is_leaving(view: &View<'_>, member: &Member<'_>) -> bool {
    let is_touched = member.standing != super::Standing::Frozen && member.instance_id.is_some();
    let mut status = member.status.clone();
    is_touched
        && matches!(
            leaving::decide(view, member, &mut status, &mut Agenda::default()),
            // An empty node may still be kept for headroom, or taken by a pod.
            Decision::Leaves(leaving)
                if !matches!(leaving.reason, OceanNodeReason::OceanDeleted | OceanNodeReason::Empty)
        )
}

fn unbound(pod: &Pod) -> Pod {
    Pod {
        node: None,
        nominated_node: None,
        phase: PodPhase::Pending,
        is_unschedulable: true,
        ..pod.clone()
    }
}
