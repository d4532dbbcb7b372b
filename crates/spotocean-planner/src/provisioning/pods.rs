//! Pods that wait: whose pools serve them, and what their volumes demand. Headroom waits with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::claim::ClaimState;
use spotocean_core::id::{ObjectKey, OceanName, PoolKey};
use spotocean_core::pod::Pod;
use spotocean_core::requirement::Labels;
use spotocean_core::selector::LabelSelector;
use spotocean_solver::problem::{PendingPod, VolumeDemand};
use spotocean_solver::solution::{PoolReason, Reason, Unplaced};

use super::exclusive::Holders;
use super::futile::GaveUp;
use super::headroom;
use super::supply::Supply;
use crate::pool::ocean_name;
use crate::snapshot::Snapshot;
use crate::vocabulary;

/// The pods of one pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    /// Pods for the solver.
    pub(super) pods: Vec<PendingPod>,
    /// Pods that nothing is bought for, with why.
    pub(super) refused: Vec<Unplaced>,
    /// Pods that wait for each ocean, those on their way to a node included.
    pub(super) by_ocean: BTreeMap<OceanName, BTreeSet<ObjectKey>>,
}

/// Whom an ocean serves.
struct Served<'a> {
    pools: BTreeSet<PoolKey>,
    ocean: OceanName,
    namespaces: Option<LabelSelector>,
    pods: Option<LabelSelector>,
    snapshot: &'a Snapshot,
}

impl<'a> Served<'a> {
    fn of(snapshot: &'a Snapshot, ocean: &SpotOcean, supplies: &[&Supply]) -> Self {
        let name = ocean_name(ocean);
        let keys = supplies.iter().map(|supply| &supply.view.key);
        Self {
            pools: keys.filter(|key| key.ocean == name).cloned().collect(),
            ocean: name,
            namespaces: ocean
                .spec
                .pods
                .namespace_selector
                .as_ref()
                .map(vocabulary::label_selector),
            pods: ocean.spec.pods.selector.as_ref().map(vocabulary::label_selector),
            snapshot,
        }
    }

    fn serves(&self, pod: &Pod) -> bool {
        let empty = Labels::new();
        let of_namespace = self.snapshot.namespaces.get(pod.namespace());
        let of_namespace = of_namespace.map_or(&empty, AsRef::as_ref);
        self.namespaces
            .as_ref()
            .is_none_or(|own| own.matches(of_namespace))
            && self.pods.as_ref().is_none_or(|own| own.matches(&pod.labels))
    }
}

/// Whom the oceans behind `supplies` serve.
fn served<'a>(snapshot: &'a Snapshot, supplies: &[&Supply]) -> Vec<Served<'a>> {
    let names: BTreeSet<&OceanName> = supplies.iter().map(|supply| &supply.view.key.ocean).collect();
    snapshot
        .oceans
        .iter()
        .filter(|ocean| names.contains(&ocean_name(ocean)))
        .map(|ocean| Served::of(snapshot, ocean, supplies))
        .collect()
}

/// The pools that may buy for pods, bound ones included.
pub(super) struct Servers<'a>(Vec<Served<'a>>);

impl<'a> Servers<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, supplies: &[&Supply]) -> Self {
        Self(served(snapshot, supplies))
    }

    /// Those that may buy for this pod.
    pub(super) fn pools(&self, pod: &Pod) -> BTreeSet<PoolKey> {
        let serving = self.0.iter().filter(|own| own.serves(pod));
        serving.flat_map(|own| own.pools.iter().cloned()).collect()
    }
}

/// Reads the pods that wait for the oceans behind `supplies`.
#[must_use]
pub(super) fn waiting(
    snapshot: &Snapshot,
    supplies: &[&Supply],
    nominated: &BTreeSet<ObjectKey>,
    gave_up: &GaveUp,
) -> Waiting {
    let served = served(snapshot, supplies);
    let holders = Holders::of(snapshot);
    let mut waiting = Waiting::default();
    for pod in snapshot.pods.iter().filter(|pod| pod.waits_for_capacity()) {
        let mut pools = BTreeSet::new();
        for own in served.iter().filter(|own| own.serves(pod)) {
            pools.extend(own.pools.iter().cloned());
            waiting
                .by_ocean
                .entry(own.ocean.clone())
                .or_default()
                .insert(pod.key.clone());
        }
        if pools.is_empty() || nominated.contains(&pod.key) {
            continue;
        }
        match demand(snapshot, pod, &holders, gave_up) {
            Ok(volumes) => waiting.pods.push(PendingPod {
                pod: pod.clone(),
                volumes,
                served_by: pools,
            }),
            Err((reason, message)) => waiting.refused.push(refused(pod, &pools, reason, &message)),
        }
    }
    waiting.pods.extend(headroom::units(snapshot, supplies));
    waiting
}

fn refused(pod: &Pod, pools: &BTreeSet<PoolKey>, reason: Reason, message: &Arc<str>) -> Unplaced {
    Unplaced {
        pod: pod.key.clone(),
        reasons: pools
            .iter()
            .map(|pool| PoolReason {
                pool: pool.clone(),
                reason,
                message: message.clone(),
            })
            .collect(),
    }
}

/// What a pod's volumes demand.
fn demand(
    snapshot: &Snapshot,
    pod: &Pod,
    holders: &Holders<'_>,
    gave_up: &GaveUp,
) -> Result<Vec<VolumeDemand>, (Reason, Arc<str>)> {
    if let Some(message) = gave_up.sentence(pod) {
        return Err((Reason::PoolClosed, message));
    }
    if let Some(message) = holders.refusal(pod) {
        return Err((Reason::VolumeNotReachable, message));
    }
    let demands = demands(snapshot, pod).into_iter();
    demands
        .map(|demand| demand.map_err(|message| (Reason::VolumeNotReachable, message)))
        .collect()
}

/// What each claim of a pod demands, or who must act first.
#[must_use]
pub(super) fn demands(snapshot: &Snapshot, pod: &Pod) -> Vec<Result<VolumeDemand, Arc<str>>> {
    let demand = |name: &Arc<str>| {
        let key = ObjectKey {
            namespace: pod.key.namespace.clone(),
            name: name.clone(),
        };
        let Some(claim) = snapshot.claims.get(&key) else {
            return Err(format!("there is no PersistentVolumeClaim {key}: create it").into());
        };
        match &claim.state {
            ClaimState::Usable { terms, driver } => Ok(VolumeDemand {
                volume: claim.volume.clone().unwrap_or_else(|| key.to_string().into()),
                terms: terms.clone(),
                driver: driver.clone(),
            }),
            ClaimState::Blocked(message) => Err(message.clone()),
        }
    };
    pod.claims.iter().map(demand).collect()
}
