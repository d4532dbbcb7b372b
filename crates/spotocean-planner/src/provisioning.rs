//! From pending pods to purchases.
//!
//! Reads what each pool could buy ([`supply`]), what there is and what is on
//! its way ([`nodes`]), asks the solver, and turns its answer into launches:
//! limits are counted at the worst that EC2 may choose ([`limits`]), equal
//! nodes are dealt to launches of this look or of one that follows EC2's
//! answers, so that share caps hold ([`rounds`]), pods that caps leave dear
//! places only are planned anew, and the brake cuts the rest. Spot comes first;
//! on-demand offers enter only for pods that no spot market could take and for
//! what is not to be spot ([`spot_share`]). Knows nothing of removing nodes.

mod anew;
mod books;
pub mod brake;
pub mod consolidation;
pub mod cooldown;
mod counter;
mod defaults;
pub mod estimate;
mod even;
mod exclusive;
pub mod explanation;
mod fallback;
pub mod futile;
pub mod hazard;
pub mod headroom;
pub mod in_flight;
pub mod launch;
pub mod limits;
mod lots;
pub mod nodes;
pub mod nominations;
pub mod places;
mod pods;
mod premium;
mod priority;
mod reserved;
pub mod rounds;
pub mod share;
mod share_bound;
mod spot_share;
pub mod supply;
pub mod ties;
mod undecided;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use spotocean_api::condition::Reason as ConditionReason;
use spotocean_api::spot_ocean::Mode;
use spotocean_core::id::{ObjectKey, OceanName, PoolKey};
use spotocean_core::pod::Pod;
use spotocean_solver::problem::{PendingPod, PoolClosed};
use spotocean_solver::solution::Solution;

use crate::command::{Command, Lane, Planned, Purchase};
use crate::plan::{Bought, Provision};
use crate::pool::{is_deleted, pools_of};
use crate::snapshot::{Memory, Snapshot};
use cooldown::Cooldowns;
use futile::GaveUp;
use nodes::Landscape;
use priority::Ranks;
use reserved::Reserved;
use supply::{Supply, supply};

/// When to look again at the latest while something is held back by the brake, a probe or an answer.
const SOON: SignedDuration = SignedDuration::from_secs(5);

/// Everything one pass works on.
pub(crate) struct Pass<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) cooldowns: Cooldowns,
    pub(crate) gave_up: GaveUp,
    pub(crate) landscape: Landscape,
    /// Places in capacity reservations; each is a node of the landscape.
    pub(crate) reserved: Reserved,
}

/// What buying comes to in this look.
#[must_use]
pub fn provision(snapshot: &Snapshot) -> Provision {
    Prepared::of(snapshot).decide(false)
}

/// A look at what there is and what could be bought, before anything is decided.
pub struct Prepared<'a> {
    pass: Pass<'a>,
    memory: Memory,
    supplies: Vec<Supply>,
}

impl<'a> Prepared<'a> {
    /// Looks.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let memory = Memory {
            futile_launches: futile::remember(snapshot),
            ..snapshot.memory.clone()
        };
        let cooldowns = Cooldowns::of(snapshot);
        let gave_up = GaveUp::of(&memory, snapshot.now);
        let supplies = supplies(snapshot, &cooldowns, &gave_up);
        let mut landscape = nodes::landscape(snapshot, &supplies);
        let (reserved, places) = Reserved::of(snapshot, &supplies);
        landscape.nodes.extend(places);
        let pass = Pass {
            landscape,
            reserved,
            snapshot,
            cooldowns,
            gave_up,
        };
        Self {
            pass,
            memory,
            supplies,
        }
    }

    /// What would be decided if nothing were bought: all pods at once, without the launch brake and without purchases.
    #[must_use]
    pub fn rehearse(&self) -> Provision {
        self.decide(true)
    }

    fn decide(&self, is_rehearsal: bool) -> Provision {
        let (pass, supplies) = (&self.pass, &self.supplies);
        let mut provision = Provision {
            closed: closed(supplies),
            memory: self.memory.clone(),
            next_look: next_look(pass),
            ..Provision::default()
        };
        let (observed, managed): (Vec<&Supply>, Vec<&Supply>) = supplies
            .iter()
            .partition(|supply| supply.view.ocean.spec.mode == Mode::Observe);
        pass.run(&managed, !is_rehearsal, &mut provision);
        let names: BTreeSet<OceanName> = observed
            .iter()
            .map(|supply| supply.view.key.ocean.clone())
            .collect();
        for name in names {
            let own: Vec<&Supply> = observed
                .iter()
                .copied()
                .filter(|supply| supply.view.key.ocean == name)
                .collect();
            pass.run(&own, false, &mut provision);
        }
        provision
    }
}

/// What each pool of each ocean could buy; oceans being deleted buy nothing and are left out.
fn supplies(snapshot: &Snapshot, cooldowns: &Cooldowns, gave_up: &GaveUp) -> Vec<Supply> {
    let living = snapshot.oceans.iter().filter(|ocean| !is_deleted(ocean));
    living
        .flat_map(pools_of)
        .map(|view| {
            if !snapshot.sources.kubernetes.is_complete {
                unsynced(view)
            } else if let Some(closed) = gave_up.pool(&view.key) {
                Supply {
                    view,
                    state: Err(closed),
                }
            } else {
                supply(snapshot, cooldowns, view)
            }
        })
        .collect()
}

/// Before all watches have synced, what runs already is not known, and buying would double it.
fn unsynced(view: crate::pool::PoolView) -> Supply {
    Supply {
        view,
        state: Err(PoolClosed {
            reason: ConditionReason::SourcesIncomplete.as_str().into(),
            message: "the cluster's objects have not all been read yet: nothing to do but wait".into(),
        }),
    }
}

fn closed(supplies: &[Supply]) -> BTreeMap<PoolKey, PoolClosed> {
    supplies
        .iter()
        .filter_map(|supply| Some((supply.view.key.clone(), supply.state.as_ref().err()?.clone())))
        .collect()
}

fn next_look(pass: &Pass<'_>) -> Option<Timestamp> {
    pass.cooldowns
        .next_end(pass.snapshot.now)
        .into_iter()
        .chain(pass.gave_up.next_end())
        .min()
}

impl Pass<'_> {
    /// Plans for some pools together, and adds to `provision` what came of it.
    fn run(&self, supplies: &[&Supply], acts: bool, provision: &mut Provision) {
        if supplies.is_empty() {
            return;
        }
        let waiting = pods::waiting(self.snapshot, supplies, &self.landscape.nominated, &self.gave_up);
        for (ocean, pods) in waiting.by_ocean {
            provision.waiting.entry(ocean).or_default().extend(pods);
        }
        let ranks = Ranks::of(supplies, &waiting.pods);
        let mut solution = self.solve_in_shares(supplies, waiting.pods, &ranks);
        solution.unplaced.extend(waiting.refused);
        // What the brake holds back is headroom before it is pods, and pods of low priority before others.
        priority::sort(&mut solution.new_nodes, &ranks);
        let allowance = match acts {
            true => brake::allowance(self.snapshot),
            false => usize::MAX,
        };
        // Before lots are made: a share of what is bought now must not be of what is bought later.
        self.keep_reserved_within(supplies, &mut solution);
        let in_reservations = self.reserved.used(&solution);
        let allowance = allowance.saturating_sub(in_reservations);
        let held = solution
            .new_nodes
            .split_off(allowance.min(solution.new_nodes.len()));
        let (dealt, caps) = self.deal_within_caps(supplies, &solution, allowance);
        let (mut solution, mut made) = (dealt.solution, dealt.lots);
        let reserved = self.reserved.take(&mut solution, &self.snapshot.pods);
        made.lots.extend(reserved::lots(&reserved));
        solution.new_nodes.extend(reserved);
        provision.few_markets.extend(made.few_markets);
        if acts {
            let purchases = self.purchases(supplies, made.lots, &mut provision.closed);
            provision.commands.extend(purchases.into_iter().map(planned));
        }
        for node in &held {
            *provision.held.entry(node.pool.ocean.clone()).or_default() += 1;
        }
        let is_held = !held.is_empty();
        solution.new_nodes.extend(held);
        let bought = Bought::of(&solution, caps.added, caps.bound.filter(|_| !is_held));
        let buying = solution.new_nodes.iter().map(|node| node.pool.ocean.clone());
        provision.bought.extend(buying.map(|ocean| (ocean, bought)));
        let is_following = acts && !made.following.is_empty();
        if acts {
            provision.following.extend(made.following);
        }
        if is_held || is_following || made.is_probing {
            let soon = self.snapshot.now + SOON;
            provision.next_look = Some(provision.next_look.map_or(soon, |next| next.min(soon)));
        }
        for (ocean, room) in headroom::settle(self.snapshot, &mut solution) {
            provision.spare.insert(ocean, room);
        }
        merge(&mut provision.solution, solution);
    }

    /// The pods that wait for pools with these supplies.
    fn waiting(&self, supplies: &[&Supply]) -> Vec<PendingPod> {
        pods::waiting(self.snapshot, supplies, &self.landscape.nominated, &self.gave_up).pods
    }

    /// The purchases of lots.
    fn purchases(
        &self,
        supplies: &[&Supply],
        lots: Vec<(PoolKey, launch::Lot)>,
        closed: &mut BTreeMap<PoolKey, PoolClosed>,
    ) -> Vec<Purchase> {
        let by_key: BTreeMap<&PoolKey, &Supply> = supplies
            .iter()
            .map(|supply| (&supply.view.key, *supply))
            .collect();
        let pods: BTreeMap<&ObjectKey, &Arc<Pod>> = match lots.is_empty() {
            true => BTreeMap::new(),
            false => self.snapshot.pods.iter().map(|pod| (&pod.key, pod)).collect(),
        };
        let mut purchases = Vec::new();
        for (number, (pool, lot)) in lots.into_iter().enumerate() {
            let Some((view, stock)) = by_key
                .get(&pool)
                .and_then(|supply| Some((&supply.view, supply.state.as_ref().ok()?)))
            else {
                continue;
            };
            match launch::purchase(self.snapshot, view, stock, &lot, number) {
                Ok(mut purchase) => {
                    let keys = lot.nodes.iter().flat_map(|node| &node.pods);
                    let pods = keys.filter_map(|key| pods.get(key)).map(|pod| &***pod);
                    cooldown::name_classes(&mut purchase.launch, pods);
                    purchases.push(purchase);
                }
                Err(error) => {
                    let reason = PoolClosed {
                        reason: ConditionReason::SpecInvalid.as_str().into(),
                        message: error.to_string().into(),
                    };
                    closed.insert(pool, reason);
                }
            }
        }
        purchases
    }
}

fn planned(purchase: Purchase) -> Planned {
    let spec = &purchase.launch.spec;
    let pods: usize = purchase.nodes.iter().map(|node| node.spec.for_pods.len()).sum();
    let who = match pods {
        0 => "headroom waits".to_owned(),
        pods => format!("{pods} pods wait"),
    };
    let because = format!(
        "{who} for {} more {} nodes of {}/{}",
        purchase.nodes.len(),
        spec.request.capacity_type,
        spec.ocean_name,
        spec.pool_name
    );
    Planned {
        command: Command::Purchase(Box::new(purchase)),
        lane: Lane::Ordinary,
        because: Arc::from(because),
    }
}

fn merge(into: &mut Solution, from: Solution) {
    into.add_bound(&from);
    fallback::add(into, from);
    into.unplaced.sort_by(|a, b| a.pod.cmp(&b.pod));
}

#[cfg(test)]
mod tests;
