//! Launches that bound nothing: after three of them a class of pods is left alone for a while.
//!
//! A launch is futile for a pod's class when a node it bought for such a pod
//! has been ready for a minute (or never became a node) and holds none of the
//! pods it was for, while the pod still waits. Something that is not modelled
//! keeps them apart, and buying more would only cost more.

mod joins;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use spotocean_api::ocean_node::{OceanNode, OceanNodeReason, Phase};
use spotocean_core::id::ObjectKey;
use spotocean_core::pod::Pod;

use super::in_flight::pods_of;
use crate::digest::hexadecimal;
use crate::snapshot::{FutileLaunches, Memory, Snapshot};

/// Futile launches after which a class is left alone.
const GIVE_UP_LAUNCHES: usize = 3;
/// The first pause; each further futile launch doubles it.
const FIRST_PAUSE_SECONDS: i64 = 600;
const LONGEST_PAUSE_SECONDS: i64 = 7_200;
/// How long a ready node may stand without its pods.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);
/// Classes and launches remembered, at most.
const CLASSES_MAX: usize = 256;
const LAUNCHES_MAX: usize = 16;

/// Names a pod's class: pods alike to the scheduler, and their `spotocean.dev/retry`.
#[must_use]
pub fn pod_class(pod: &Pod) -> Arc<str> {
    hexadecimal(&(pod.namespace(), &pod.shape, &pod.retry), 16).into()
}

/// Classes that are left alone now.
#[derive(Clone, Debug, Default)]
pub struct GaveUp {
    until: BTreeMap<Arc<str>, (usize, Timestamp)>,
}

impl GaveUp {
    /// Reads the memory.
    #[must_use]
    pub fn of(memory: &Memory, now: Timestamp) -> Self {
        let paused = |futile: &FutileLaunches| {
            let count = futile.launches.len();
            let beyond = count.checked_sub(GIVE_UP_LAUNCHES)?;
            let doublings = u32::try_from(beyond.min(10)).unwrap_or(10);
            let seconds = FIRST_PAUSE_SECONDS
                .saturating_mul(1 << doublings)
                .min(LONGEST_PAUSE_SECONDS);
            let until = futile
                .last?
                .saturating_add(SignedDuration::from_secs(seconds))
                .ok()?;
            (now < until).then_some((count, until))
        };
        Self {
            until: memory
                .futile_launches
                .iter()
                .filter_map(|(class, futile)| Some((class.clone(), paused(futile)?)))
                .collect(),
        }
    }

    /// Why nothing is bought for a pod, if its class is left alone.
    #[must_use]
    pub fn sentence(&self, pod: &Pod) -> Option<Arc<str>> {
        if self.until.is_empty() {
            return None;
        }
        let (count, until) = self.until.get(&pod_class(pod))?;
        Some(
            format!(
                "gave up until {}: {count} launches for pods like this one bound none of them; look at the nodes' \
                 labels, taints and resources, then set the annotation spotocean.dev/retry on the pod to try at once",
                until.strftime("%H:%M:%SZ")
            )
            .into(),
        )
    }

    /// The next time at which a class is tried again.
    #[must_use]
    pub fn next_end(&self) -> Option<Timestamp> {
        self.until.values().map(|(_, until)| *until).min()
    }
}

/// The memory of futile launches after this look.
#[must_use]
pub fn remember(snapshot: &Snapshot) -> BTreeMap<Arc<str>, FutileLaunches> {
    let waiting: BTreeMap<&ObjectKey, &Arc<Pod>> = snapshot
        .pods
        .iter()
        .filter(|pod| pod.waits_for_capacity())
        .map(|pod| (&pod.key, pod))
        .collect();
    let mut remembered = snapshot.memory.futile_launches.clone();
    if !remembered.is_empty() {
        let mut known = joins::keys(snapshot);
        known.extend(waiting.values().map(|pod| pod_class(pod)));
        remembered.retain(|key, _| known.contains(key));
    }
    joins::remember(snapshot, &mut remembered);
    let bound: BTreeSet<(&ObjectKey, &str)> = snapshot
        .pods
        .iter()
        .filter_map(|pod| Some((&pod.key, pod.node.as_ref()?.as_str())))
        .collect();
    let busy: BTreeSet<&str> = snapshot
        .pods
        .iter()
        .filter(|pod| !pod.is_daemon() && !pod.is_mirror)
        .filter_map(|pod| Some(pod.node.as_ref()?.as_str()))
        .collect();
    for own in snapshot
        .ocean_nodes
        .iter()
        .filter(|own| is_futile(own, &bound, &busy, snapshot.now))
    {
        for pod in pods_of(own).filter_map(|key| waiting.get(&key).copied()) {
            let class = pod_class(pod);
            if remembered.len() >= CLASSES_MAX && !remembered.contains_key(&class) {
                continue;
            }
            let futile: &mut FutileLaunches = remembered.entry(class).or_default();
            let is_new = futile.launches.len() < LAUNCHES_MAX
                && futile.launches.insert(own.spec.launch_name.as_str().into());
            if is_new {
                futile.last = Some(snapshot.now);
            }
        }
    }
    remembered
}

fn is_futile(
    own: &OceanNode,
    bound: &BTreeSet<(&ObjectKey, &str)>,
    busy: &BTreeSet<&str>,
    now: Timestamp,
) -> bool {
    let Some(status) = &own.status else {
        return false;
    };
    if status.reason == Some(OceanNodeReason::RegistrationTimeout) {
        return true;
    }
    let ready_for_long = status
        .initialized_at
        .as_ref()
        .is_some_and(|at| at.0 + PATIENCE < now);
    let node = status.node_name.as_deref().unwrap_or_default();
    let is_in_service = status.phase == Phase::Initialized && own.metadata.deletion_timestamp.is_none();
    let came = pods_of(own).any(|key| bound.contains(&(&key, node)));
    is_in_service && ready_for_long && !came && !busy.contains(node)
}

#[cfg(test)]
mod tests;
