//! Consolidation: the whole cluster bought again, where moving pays.
//!
//! Problem: of the nodes that may go, choose some to give back, and places for
//! their pods on nodes that stay or on nodes to buy, so that what is saved per
//! hour, less what moving costs, is most. A pod moves only when its node goes.
//! Method: (1) compile the cluster so that every pod is one the solver plans
//! ([`Ground`](ground::Ground)) and price pods by the linear relaxation of buying
//! everything anew; (2) empty nodes into free room, dearest for their pods first
//! ([`room`]); (3) take sets of nodes that cost more than their pods are worth and
//! buy anew for them with the packing solver ([`rebuy`]), which covers deleting,
//! splitting, merging and changes of type, zone and capacity type alike;
//! (4) carry that out in thought and ask again, until nothing is found: the plan
//! carried out leaves nothing to do, so that there is no way back either.
//! Every step keeps to the hysteresis, and so does their sum: what a later step
//! undoes of an earlier one was never bought. Each step leaves every pod's
//! constraints no worse kept than it found them ([`standing`]), and moves no pod that
//! seeks others to where none could be bound before it ([`Ground::stranded`](ground::Ground::stranded)).
//! The bound on the whole cluster is in [`bound`]. Counted in work, not in time.
//! Sources: move cost against saving as in Eva (EuroSys 2025), choosing by dual
//! prices after Gilmore and Gomory (1961).

mod bound;
mod carried_out;
mod changes;
mod ground;
mod params;
mod rebuy;
mod room;
mod standing;
mod worth;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spotocean_core::id::{Namespace, ObjectKey};
use spotocean_core::money::PricePerHour;
use spotocean_core::pod::DaemonSet;
use spotocean_core::requirement::Labels;

use crate::problem::{BuyablePool, NodeRef, PendingPod, PlacementNode};
use crate::solution::NewNode;
use carried_out::Progress;
use ground::Ground;
use params::STEPS_MAX;

/// A cluster as it stands, and what may be done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Estate {
    /// Its nodes. The order carries no meaning.
    pub holdings: Vec<Holding>,
    /// Pools that may buy, with what they may add while nothing has been given back yet.
    pub pools: Vec<BuyablePool>,
    /// DaemonSets: each new node carries the ones that match it.
    pub daemon_sets: Vec<Arc<DaemonSet>>,
    /// Labels of namespaces, for `namespaceSelector`.
    pub namespaces: BTreeMap<Namespace, Arc<Labels>>,
    /// What a change must bring.
    pub hysteresis: Hysteresis,
}

/// A node that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The node with the pods that would go with it (daemons, static pods), without its tenants and their volumes.
    pub node: PlacementNode,
    /// What it costs.
    pub price: PricePerHour,
    /// What its interruptions cost per hour on average.
    #[serde(default)]
    pub risk: PricePerHour,
    /// Why it may not be removed, as a sentence; `None` where it may.
    pub stays: Option<Arc<str>>,
    /// Pods that need another place when it goes.
    pub tenants: Vec<Tenant>,
}

/// A pod that stays when its node goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// The pod, with what its volumes demand and who may buy for it.
    pub pod: PendingPod,
    /// What moving it costs once, in micro-dollars.
    pub move_cost: i64,
}

/// What a change must bring to be worth its trouble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hysteresis {
    /// The saving, after move costs, must be at least this share of what the removed nodes cost.
    pub min_savings_percent: u32,
    /// How long things are expected to stay as they are then: what moving costs must be earned back by that time.
    pub horizon_seconds: u32,
    /// How long a removed node is paid for beside what replaces it: its own share of the move costs.
    pub overlap_seconds: u32,
}

impl Default for Hysteresis {
    fn default() -> Self {
        Self {
            min_savings_percent: 2,
            horizon_seconds: 4 * 3600,
            overlap_seconds: 180,
        }
    }
}

/// Where a pod goes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Target {
    /// A node that stays.
    Node(NodeRef),
    /// A node to buy, by position in [`Consolidation::new_nodes`].
    New(usize),
}

/// One pod that moves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Move {
    /// The pod.
    pub pod: ObjectKey,
    /// Its node, which goes.
    pub from: NodeRef,
    /// Where it goes.
    pub to: Target,
}

/// Removals and purchases that depend on one another and on nothing else: each pays for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Nodes that go.
    pub removed: Vec<NodeRef>,
    /// Nodes to buy, by position in [`Consolidation::new_nodes`].
    pub bought: Vec<usize>,
    /// What is saved per hour before move costs.
    pub saving: PricePerHour,
    /// What moving costs once, in micro-dollars.
    pub move_cost: i64,
}

/// What consolidation comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Consolidation {
    /// Nodes to buy, in a stable order, with all pods that are to run there.
    pub new_nodes: Vec<NewNode>,
    /// Pods that move, by name.
    pub moves: Vec<Move>,
    /// The changes, by what they remove. Every node that goes is in exactly one.
    pub changes: Vec<Change>,
    /// What the nodes cost before.
    pub cost_before: PricePerHour,
    /// What they cost after.
    pub cost_after: PricePerHour,
    /// What moving costs once, in micro-dollars.
    pub move_cost: i64,
    /// What is saved per hour, with the move costs spread over the horizon.
    pub saving: PricePerHour,
    /// What no choice among these nodes and offers for these pods can cost less than.
    pub lower_bound: PricePerHour,
}

impl Consolidation {
    /// Nodes that go, by name.
    #[must_use]
    pub fn removed(&self) -> Vec<&NodeRef> {
        let mut removed: Vec<&NodeRef> = self.changes.iter().flat_map(|change| &change.removed).collect();
        removed.sort();
        removed
    }

    /// By how many millionths of the bound the cluster may at most be above the
    /// cheapest; `None` where the bound is zero and the cost is not.
    #[must_use]
    pub fn gap_per_million(&self) -> Option<i64> {
        let (cost, bound) = (self.cost_after.micro_usd(), self.lower_bound.micro_usd());
        match (cost - bound, bound) {
            (over, _) if over <= 0 => Some(0),
            (_, 0) => None,
            (over, bound) => i64::try_from(i128::from(over) * 1_000_000 / i128::from(bound)).ok(),
        }
    }
}

impl Hysteresis {
    /// Whether a change that saves so much per hour, and costs so much once, is
    /// worth its trouble where it removes nodes at this price.
    fn is_kept_by(&self, saving: i64, move_cost: i64, removed: i64) -> bool {
        let net = i128::from(saving - self.hourly(move_cost));
        net > 0 && net * 100 >= i128::from(removed) * i128::from(self.min_savings_percent)
    }

    /// A cost that is paid once, spread over the horizon, per hour and rounded up.
    fn hourly(&self, once: i64) -> i64 {
        let horizon = i128::from(self.horizon_seconds.max(1));
        let hourly = (i128::from(once) * 3600 + horizon - 1) / horizon;
        i64::try_from(hourly).unwrap_or(i64::MAX)
    }

    /// What removing a node of this price costs once, its pods apart.
    fn overlap(&self, price: PricePerHour) -> i64 {
        let cost = i128::from(price.micro_usd().max(0)) * i128::from(self.overlap_seconds) / 3600;
        i64::try_from(cost).unwrap_or(i64::MAX)
    }
}

/// What to remove, to move and to buy. Pure and total; the order of the parts
/// carries no meaning, and what is answered, carried out, leaves nothing to answer.
#[must_use]
pub fn solve(estate: &Estate) -> Consolidation {
    let mut progress = Progress::of(estate);
    let mut lower_bound = PricePerHour::ZERO;
    for number in 0..STEPS_MAX {
        let (problem, is_restricted) = ground::problem(&progress.current);
        let ground = Ground::of(&progress.current, &problem);
        lower_bound = match (number, is_restricted) {
            (0, false) => bound::lower_bound(&ground),
            (0, true) => bound::lower_bound(&Ground::of(estate, &ground::unrestricted(estate))),
            _ => lower_bound,
        };
        let Some(step) = step(&ground) else {
            break;
        };
        progress.carry_out(&step);
    }
    progress.written(lower_bound)
}

/// One round over the whole cluster; `None` where nothing pays.
fn step(ground: &Ground<'_>) -> Option<changes::Step> {
    let mut state = ground.start();
    room::empty_into_room(ground, &mut state);
    rebuy::buy_anew(ground, &mut state);
    changes::written(ground, &state)
}
