//! Plans that spread as share caps ask, and what none within the caps can cost less than.
//!
//! Problem: the solver knows nothing of caps. What it plans is dealt to other
//! places afterwards, which costs more than to plan for it, and its bound makes
//! that look worse than it is. Method: Lagrangian relaxation (Geoffrion 1974). A
//! cap says that what a place holds is at most its percentage of the pool's spot
//! vCPUs, those planned included. Give each cap a premium per vCPU of its place
//! beyond its share ([`super::premium`]): a plan within the caps pays no more
//! premiums than the caps leave room for. So the bound at prices that include
//! premiums, less premiums times room, bounds every plan within the caps,
//! whatever the premiums are; the solver proves it with a certificate as any
//! other. The plan at those prices is another way to spread, kept where it comes
//! out cheaper. Cost: a few more questions to the solver, asked only where caps
//! cost something.

use std::collections::{BTreeMap, BTreeSet};

use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{InstanceTypeName, ObjectKey, PoolKey, Zone};
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::Market;
use spotocean_solver::problem::{Offer, PendingPod, Problem};
use spotocean_solver::solution::{NewNode, Solution};
use spotocean_solver::solve::solve;

use super::Pass;
use super::books::{Held, held, vcpus};
use super::fallback::{Offers, Round};
use super::limits::Ledger;
use super::lots::Lots;
use super::premium::{Cap, Group, Place, ascend, float};
use super::supply::Supply;
use crate::snapshot::Snapshot;

/// Questions with premiums in one look, at most.
const ROUNDS_MAX: usize = 4;
/// Pods in all of them together, from the second question on.
const PODS_MAX: usize = 20_000;
/// A plan so near to its bound is good enough.
const NEAR_PERCENT: i128 = 1;

/// The caps of all pools, and which of them a market is under.
#[derive(Default)]
struct Caps {
    caps: Vec<Cap>,
    of_market: BTreeMap<(usize, Market), Vec<usize>>,
}

/// What caps of one pool are made from.
struct Shelf {
    pool: usize,
    held: Held,
    /// The least that any plan brings the pool to, in vCPUs.
    least_total: i64,
}

/// What a look buys once caps are heeded.
pub(super) struct Dealt {
    /// With its lots' nodes, of which EC2 may choose the places.
    pub(super) solution: Solution,
    pub(super) lots: Lots,
}

/// What caps come to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PriceOfCaps {
    /// What they add to the cost.
    pub(super) added: PricePerHour,
    /// What no plan within them can cost less than, where it is proved.
    pub(super) bound: Option<PricePerHour>,
}

/// All that questions with premiums need.
struct Relaxed<'a> {
    pass: &'a Pass<'a>,
    supplies: &'a [&'a Supply],
    problem: Problem,
    caps: Caps,
    plans: Vec<Vec<Group>>,
}

impl Pass<'_> {
    /// Deals the nodes of a solution to launches within the caps, planned anew with premiums where that is cheaper.
    pub(super) fn deal_within_caps(
        &self,
        supplies: &[&Supply],
        solution: &Solution,
        allowance: usize,
    ) -> (Dealt, PriceOfCaps) {
        let uncapped = solution.cost();
        let deal = |mut solution: Solution| {
            let lots = self.lots(supplies, &mut solution, allowance);
            Dealt { solution, lots }
        };
        let mut best = deal(solution.clone());
        let mut caps = PriceOfCaps::default();
        let proved = solution.lower_bound.unwrap_or_default();
        if best.solution.cost() > uncapped && best.lots.few_markets.is_empty() {
            let mut relaxed = Relaxed::of(self, supplies, solution);
            for _ in 0..relaxed.rounds() {
                if is_near(best.solution.cost(), caps.bound.unwrap_or_default().max(proved)) {
                    break;
                }
                let Some((bound, found)) = relaxed.ask() else {
                    break;
                };
                caps.bound = caps.bound.max(Some(bound));
                if let Some(other) = relaxed.instead_of(solution, found).map(deal)
                    && other.lots.few_markets.is_empty()
                    && other.solution.cost() < best.solution.cost()
                {
                    best = other;
                }
            }
        }
        caps.added = PricePerHour::ZERO.max(best.solution.cost() - uncapped);
        (best, caps)
    }

    /// The pods that a solution serves, but for those it serves on demand.
    fn on_spot(&self, supplies: &[&Supply], solution: &Solution) -> Vec<PendingPod> {
        let spot = solution.new_nodes.iter().filter(|node| is_spot(node));
        let served: BTreeSet<&ObjectKey> = spot
            .flat_map(|node| &node.pods)
            .chain(solution.existing.values().flatten())
            .collect();
        let mut pods = self.waiting(supplies);
        pods.retain(|pending| served.contains(&pending.pod.key));
        pods
    }
}

fn is_spot(node: &NewNode) -> bool {
    node.capacity_type == CapacityType::Spot
}

/// Whether a cost is so near to its bound that more questions are not worth their time.
fn is_near(cost: PricePerHour, bound: PricePerHour) -> bool {
    i128::from(cost.micro_usd()) * 100 <= i128::from(bound.micro_usd()) * (100 + NEAR_PERCENT)
}

impl<'a> Relaxed<'a> {
    fn of(pass: &'a Pass<'a>, supplies: &'a [&'a Supply], solution: &Solution) -> Self {
        let pods = pass.on_spot(supplies, solution);
        let mut problem = pass.problem(supplies, pods, Round::First, &Ledger::default());
        for pool in &mut problem.pools {
            pool.offers
                .retain(|offer| offer.offering.capacity_type == CapacityType::Spot);
        }
        let caps = Caps::of(pass.snapshot, supplies, &problem);
        let plans = vec![groups(pass.snapshot, &problem, &solution.new_nodes, &caps)];
        Self {
            pass,
            supplies,
            problem,
            caps,
            plans,
        }
    }

    /// How many questions are worth their time: fewer where each takes long.
    fn rounds(&self) -> usize {
        (PODS_MAX / self.problem.pods.len().max(1)).clamp(1, ROUNDS_MAX)
    }

    /// Asks the solver at prices with the best premiums known: the bound of plans within the caps, and the plan.
    fn ask(&mut self) -> Option<(PricePerHour, Solution)> {
        let premiums = ascend(&self.caps.caps, &self.plans, self.supplies.len());
        let mut problem = self.problem.clone();
        for (pool, buyable) in problem.pools.iter_mut().enumerate() {
            let rebate = self.caps.rebate(pool, &premiums);
            for offer in &mut buyable.offers {
                let size = vcpus(self.pass.snapshot, &offer.market().instance_type);
                self.caps.charge((pool, size), offer, &premiums, rebate)?;
            }
        }
        let found = solve(&problem);
        let proved = found.lower_bound.filter(|_| found.unplaced.is_empty())?;
        let groups = groups(self.pass.snapshot, &self.problem, &found.new_nodes, &self.caps);
        self.plans.push(groups);
        Some((proved - self.caps.most_paid(&premiums), found))
    }

    /// A plan with premiums in the place of one without: at true prices, with the other's proof. `None` where the
    /// other has more to it than spot nodes, or limits do not allow this one.
    fn instead_of(&self, other: &Solution, found: Solution) -> Option<Solution> {
        if !other.unplaced.is_empty() || !other.new_nodes.iter().all(is_spot) {
            return None;
        }
        let offers = Offers::of(self.supplies);
        let mut instead = Solution {
            existing: found.existing,
            new_nodes: found.new_nodes,
            ..other.clone()
        };
        for node in &mut instead.new_nodes {
            let cost = |market: &Market| {
                let offer = offers.get(&node.pool, node.capacity_type, market)?;
                Some((offer.offering.price + offer.risk, offer.offering.price))
            };
            let mut places: Vec<_> = node
                .candidates
                .iter()
                .filter_map(|market| Some((cost(market)?, market)))
                .collect();
            places.sort();
            node.price = places.first()?.0.1;
            node.candidates = places.into_iter().map(|(_, market)| market.clone()).collect();
        }
        self.pass
            .keep_within(&mut instead, &offers, &mut Ledger::of(self.pass.snapshot));
        instead.unplaced.is_empty().then_some(instead)
    }
}

impl Caps {
    fn of(snapshot: &Snapshot, supplies: &[&Supply], problem: &Problem) -> Self {
        let mut caps = Self::default();
        for (pool, supply) in supplies.iter().enumerate() {
            let buyable = &problem.pools[pool];
            let held = held(snapshot, &buyable.key);
            let shelf = Shelf {
                pool,
                least_total: held.least + least_planned(problem, &buyable.key),
                held,
            };
            caps.add_pool(snapshot, supply, &shelf, &buyable.offers);
        }
        caps
    }

    fn add_pool(&mut self, snapshot: &Snapshot, supply: &Supply, shelf: &Shelf, offers: &[Offer]) {
        let share = supply.view.effective.strategy.max_share;
        let size = |market: &Market| vcpus(snapshot, &market.instance_type);
        let places = &shelf.held.places;
        let mut types: BTreeMap<&InstanceTypeName, Option<usize>> = BTreeMap::new();
        let mut zones: BTreeMap<&Zone, i64> = BTreeMap::new();
        for market in offers.iter().map(Offer::market) {
            let largest = zones.entry(&market.zone).or_default();
            *largest = size(market).max(*largest);
        }
        let zones: BTreeMap<&Zone, Option<usize>> = zones
            .into_iter()
            .map(|(zone, largest)| (zone, self.add(shelf, share.zone, places.zone(zone), largest)))
            .collect();
        for market in offers.iter().map(Offer::market) {
            let (name, one) = (&market.instance_type, size(market));
            let own = self.add(shelf, share.market, places.market(market), one);
            let of_type = *types
                .entry(name)
                .or_insert_with(|| self.add(shelf, share.instance_type, places.of_type(name), one));
            let caps = [own, of_type, zones[&market.zone]]
                .into_iter()
                .flatten()
                .collect();
            self.of_market.insert((shelf.pool, market.clone()), caps);
        }
    }

    /// Adds the cap of a place that holds so many vCPUs and has nodes of at most `largest`. All of the pool is no cap.
    fn add(&mut self, shelf: &Shelf, percent: u32, held: i64, largest: i64) -> Option<usize> {
        let percent = i64::from(percent);
        // One node is always allowed, which matters where a share may be less.
        let is_small = percent * shelf.least_total < 100 * largest;
        let one = if is_small { 100 * largest } else { 0 };
        self.caps.push(Cap {
            pool: shelf.pool,
            percent,
            room: percent * shelf.held.most - 100 * held + one,
        });
        (percent < 100).then_some(self.caps.len() - 1)
    }

    /// What a vCPU of a pool is given back for premiums on shares of it, in hundredths of micro-dollars.
    fn rebate(&self, pool: usize, premiums: &[i64]) -> i64 {
        let own = self.caps.iter().zip(premiums).filter(|(cap, _)| cap.pool == pool);
        own.map(|(cap, premium)| cap.percent * premium).sum()
    }

    /// Adds premiums to an offer's price, rounded down; `None` where nothing is left of it.
    fn charge(
        &self,
        (pool, vcpus): (usize, i64),
        offer: &mut Offer,
        premiums: &[i64],
        rebate: i64,
    ) -> Option<()> {
        let caps = self.of_market.get(&(pool, offer.market().clone()))?;
        let due: i64 = caps.iter().map(|cap| premiums[*cap]).sum();
        let per_vcpu = 100 * due - rebate;
        let price = offer.offering.price.micro_usd() + (vcpus * per_vcpu).div_euclid(100);
        offer.offering.price = PricePerHour(price);
        offer.risk = PricePerHour::ZERO;
        (price > 0).then_some(())
    }

    /// The most premiums that a plan within the caps pays beyond what it is given back, rounded up.
    fn most_paid(&self, premiums: &[i64]) -> PricePerHour {
        let paid = self
            .caps
            .iter()
            .zip(premiums)
            .map(|(cap, premium)| cap.room * premium);
        PricePerHour(paid.sum::<i64>().div_euclid(100) + 1)
    }
}

/// The least vCPUs that any plan buys of a pool: those of pods that no other pool serves, less what is free already.
fn least_planned(problem: &Problem, pool: &PoolKey) -> i64 {
    let bound = problem
        .pods
        .iter()
        .filter(|pending| pending.served_by.iter().all(|other| other == pool));
    let wanted: i64 = bound.map(|pending| pending.pod.shape.requests.cpu_millis).sum();
    let open = problem.nodes.iter().filter(|node| node.accepts_pods);
    let free: i64 = open
        .map(|node| {
            let taken = node.pods.iter().map(|pod| pod.shape.requests.cpu_millis);
            (node.allocatable.cpu_millis - taken.sum::<i64>()).max(0)
        })
        .sum();
    (wanted - free).max(0) / 1000
}

/// Planned spot nodes with the same places, as often as there are.
fn groups(snapshot: &Snapshot, problem: &Problem, planned: &[NewNode], caps: &Caps) -> Vec<Group> {
    let mut counts: BTreeMap<(usize, &[Market]), f64> = BTreeMap::new();
    let index: BTreeMap<&PoolKey, usize> = problem
        .pools
        .iter()
        .enumerate()
        .map(|(index, pool)| (&pool.key, index))
        .collect();
    for node in planned
        .iter()
        .filter(|node| node.capacity_type == CapacityType::Spot)
    {
        if let Some(pool) = index.get(&node.pool) {
            *counts.entry((*pool, &node.candidates)).or_default() += 1.0;
        }
    }
    let place = |pool: usize, market: &Market| {
        let price = snapshot.catalogue.price(market, CapacityType::Spot)?;
        Some(Place {
            price: float(price.micro_usd()),
            vcpus: float(vcpus(snapshot, &market.instance_type)),
            caps: caps.of_market.get(&(pool, market.clone()))?.clone(),
        })
    };
    let groups = counts.into_iter().map(|((pool, markets), nodes)| Group {
        pool,
        nodes,
        places: markets.iter().filter_map(|market| place(pool, market)).collect(),
    });
    groups.filter(|group| !group.places.is_empty()).collect()
}

#[cfg(test)]
mod tests;
