//! Pools whose nodes do not join: after three launches in a row that brought none, the pool is left alone for a while.
//!
//! What keeps instances from joining (a role that is not admitted, a route that
//! is missing) is the pool's, not the pods': each class of pods would pay for
//! three launches of its own before it gave up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use spotocean_api::condition::Reason;
use spotocean_api::ocean_node::{OceanNode, OceanNodeReason};
use spotocean_core::id::PoolKey;
use spotocean_solver::problem::PoolClosed;

use super::{GaveUp, LAUNCHES_MAX};
use crate::pool::pools_of;
use crate::provisioning::in_flight::pool_of;
use crate::snapshot::{FutileLaunches, Snapshot};

/// Under which name a pool's failures are remembered beside those of classes, which are digests.
fn memory_key(pool: &PoolKey) -> Arc<str> {
    format!("pool {pool}").into()
}

/// Adds what this look shows of pools, and forgets pools that are gone or have brought a node since.
pub(super) fn remember(snapshot: &Snapshot, remembered: &mut BTreeMap<Arc<str>, FutileLaunches>) {
    let mut joined: BTreeMap<Arc<str>, Timestamp> = BTreeMap::new();
    for own in &snapshot.ocean_nodes {
        let ready = own
            .status
            .as_ref()
            .and_then(|status| status.initialized_at.as_ref());
        if let Some(at) = ready {
            let last = joined.entry(memory_key(&pool_of(own))).or_insert(at.0);
            *last = at.0.max(*last);
        }
    }
    remembered.retain(|key, futile| joined.get(key).is_none_or(|at| futile.last > Some(*at)));
    for own in snapshot.ocean_nodes.iter().filter(|own| never_joined(own)) {
        let futile = remembered.entry(memory_key(&pool_of(own))).or_default();
        let is_new = futile.launches.len() < LAUNCHES_MAX
            && futile.launches.insert(own.spec.launch_name.as_str().into());
        if is_new {
            futile.last = Some(snapshot.now);
        }
    }
}

/// The names under which pools that exist are remembered.
pub(super) fn keys(snapshot: &Snapshot) -> BTreeSet<Arc<str>> {
    let pools = snapshot.oceans.iter().flat_map(pools_of);
    pools.map(|view| memory_key(&view.key)).collect()
}

fn never_joined(own: &OceanNode) -> bool {
    own.status
        .as_ref()
        .is_some_and(|status| status.reason == Some(OceanNodeReason::RegistrationTimeout))
}

impl GaveUp {
    /// Why a pool buys nothing, if its nodes have not joined again and again.
    #[must_use]
    pub fn pool(&self, pool: &PoolKey) -> Option<PoolClosed> {
        let (count, until) = self.until.get(&memory_key(pool))?;
        Some(PoolClosed {
            reason: Reason::NodesNotJoining.as_str().into(),
            message: format!(
                "{count} launches in a row brought no node that joined in time; the events of its OceanNodes name the \
                 cause, and the pool tries again at {}",
                until.strftime("%H:%M:%SZ")
            )
            .into(),
        })
    }
}
