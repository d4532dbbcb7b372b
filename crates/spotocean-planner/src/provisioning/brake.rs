//! The launch brake: so many new nodes a minute, whatever is asked for.
//!
//! Counted by the creation times of OceanNodes, so that a restart does not release it.

use jiff::SignedDuration;

use crate::pool::created_at;
use crate::snapshot::Snapshot;

const MINUTE: SignedDuration = SignedDuration::from_secs(60);
/// New nodes a minute that are always allowed.
const FLOOR: usize = 20;

/// The brake as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brake {
    /// Nodes that may start in a minute: max(20, half of the nodes).
    pub limit: usize,
    /// How many of them may still start in this one.
    pub allowance: usize,
}

/// Reads the brake.
#[must_use]
pub fn brake(snapshot: &Snapshot) -> Brake {
    let (new, old): (Vec<_>, Vec<_>) = snapshot
        .ocean_nodes
        .iter()
        .partition(|own| created_at(&own.metadata) + MINUTE > snapshot.now);
    let limit = FLOOR.max(old.len().div_ceil(2));
    Brake {
        limit,
        allowance: limit.saturating_sub(new.len()),
    }
}

/// How many nodes may still be started in this minute.
#[must_use]
pub fn allowance(snapshot: &Snapshot) -> usize {
    brake(snapshot).allowance
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use spotocean_api::ocean_node::Phase;

    use super::allowance;
    use crate::fixtures::{SnapshotBuilder, ago, now, ocean_node, snapshot};

    fn with_nodes(mut world: SnapshotBuilder, count: usize, created: Timestamp) -> SnapshotBuilder {
        for index in 0..count {
            let mut own = ocean_node(&format!("{created}-{index}"), "shop", Phase::Initialized);
            own.metadata.creation_timestamp = Some(Time(created));
            world = world.ocean_node(own);
        }
        world
    }

    #[test]
    fn the_brake_follows_the_nodes() {
        let rows = [
            (0, 0, 20),
            (0, 20, 0),
            (10, 5, 15),
            (100, 0, 50),
            (101, 1, 50),
            (100, 70, 0),
        ];
        for (old, new, expected) in rows {
            let world = with_nodes(with_nodes(snapshot(), old, ago(61)), new, now());
            assert_eq!(allowance(&world.build()), expected, "{old} old, {new} new");
        }
    }
}
