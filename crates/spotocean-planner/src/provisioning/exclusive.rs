//! Volumes that one pod in the cluster may use at a time: who has each, and who waits for it.
//!
//! A node for a pod whose volume another pod uses would stay empty.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use spotocean_core::id::ObjectKey;
use spotocean_core::pod::Pod;

use crate::snapshot::Snapshot;

/// The pod that has, or gets first, each exclusive volume.
#[derive(Clone, Debug, Default)]
pub(super) struct Holders<'a>(BTreeMap<ObjectKey, &'a Pod>);

impl<'a> Holders<'a> {
    /// Reads the pods: a bound one has it, else the one the scheduler tries first.
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let mut holders: BTreeMap<ObjectKey, &Pod> = BTreeMap::new();
        for pod in snapshot.pods.iter().filter(|pod| pod.holds_resources()) {
            for key in claims(pod) {
                let is_exclusive = snapshot.claims.get(&key).is_some_and(|claim| claim.is_exclusive);
                if !is_exclusive {
                    continue;
                }
                let holder = holders.entry(key).or_insert(pod);
                if turn(pod) < turn(holder) {
                    *holder = pod;
                }
            }
        }
        Self(holders)
    }

    /// Why the pod has to wait for another, if it has to.
    pub(super) fn refusal(&self, pod: &Pod) -> Option<Arc<str>> {
        let claimed = claims(pod).find_map(|claim| Some((self.0.get(&claim).copied()?, claim)));
        let (holder, claim) = claimed.filter(|(holder, _)| holder.key != pod.key)?;
        let sentence = format!(
            "claim {claim} may be used by one pod at a time (ReadWriteOncePod) and pod {} comes first: wait for its end, \
             or give each pod a claim of its own",
            holder.key
        );
        Some(sentence.into())
    }
}

fn claims(pod: &Pod) -> impl Iterator<Item = ObjectKey> + '_ {
    pod.claims.iter().map(|name| ObjectKey {
        namespace: pod.key.namespace.clone(),
        name: name.clone(),
    })
}

fn turn(pod: &Pod) -> impl Ord + '_ {
    (
        pod.node.is_none(),
        pod.is_gated,
        Reverse(pod.priority),
        pod.created_at,
        &pod.key,
    )
}
