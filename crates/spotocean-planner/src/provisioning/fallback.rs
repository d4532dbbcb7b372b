//! Spot first, then on demand for the pods that no spot market could take.
//!
//! Two questions to the solver instead of one: were both kinds offered at
//! once, a small on-demand node could beat a large spot one on price, and pods
//! would land on demand while spot capacity is there. In the second question
//! the spot nodes of the first stand as nodes that take no more pods, so that
//! spreads and affinities count their pods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{ObjectKey, PoolKey};
use spotocean_core::label;
use spotocean_core::offering::Market;
use spotocean_core::requirement::Labels;
use spotocean_core::resources::Resources;
use spotocean_solver::problem::{
    BuyablePool, NodeRef, Offer, PendingPod, PlacementNode, PoolRequirement, Problem, RemainingLimits,
};
use spotocean_solver::solution::{NewNode, PoolReason, Reason, Solution, Unplaced};
use spotocean_solver::solve::solve;

use super::Pass;
use super::limits::Ledger;
use super::share::candidates_wanted;
use super::supply::Supply;
use super::undecided;
use crate::pool::PoolView;
use crate::vocabulary;

/// Names of nodes that an answer has planned: this and a number.
const PLANNED: &str = "planned-";

/// Offers by pool, capacity type and market.
pub(super) struct Offers<'a>(BTreeMap<(&'a PoolKey, CapacityType, &'a Market), &'a Offer>);

impl<'a> Offers<'a> {
    pub(super) fn of(supplies: &[&'a Supply]) -> Self {
        let stocks = supplies
            .iter()
            .filter_map(|supply| Some((&supply.view.key, supply.state.as_ref().ok()?)));
        let offers = stocks.flat_map(|(key, stock)| {
            stock
                .spot
                .iter()
                .chain(&stock.on_demand)
                .map(move |offer| ((key, offer.offering.capacity_type, offer.market()), offer))
        });
        Self(offers.collect())
    }

    pub(super) fn get(
        &self,
        pool: &PoolKey,
        capacity_type: CapacityType,
        market: &Market,
    ) -> Option<&'a Offer> {
        self.0.get(&(pool, capacity_type, market)).copied()
    }
}

/// Which offers a question holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// Spot; on demand only in pools that ask for nothing else.
    First,
    /// On demand, where pools fall back to it.
    Fallback,
    /// On demand, for pods that are not to be on spot.
    OnDemand,
}

/// What earlier questions of one look have settled.
#[derive(Default)]
pub(super) struct Standing {
    /// Their answers.
    pub(super) solution: Solution,
    pods: Vec<PendingPod>,
    /// Whether a wave of pods has counted for the bound.
    is_bounded: bool,
}

impl Standing {
    /// An answer about pods that share no node with those that follow: its bound adds up with theirs.
    pub(super) fn apart(solution: Solution, pods: Vec<PendingPod>) -> Self {
        Self {
            solution,
            pods,
            is_bounded: false,
        }
    }

    /// Lets an answer about some pods stand. The bound stays that of the first: it holds for its pods and so for all;
    /// those of later answers do not add up with it, since one node could have served both.
    pub(super) fn add(&mut self, answer: Solution, pods: Vec<PendingPod>) {
        if !self.is_bounded {
            self.solution.add_bound(&answer);
            self.is_bounded = true;
        }
        add(&mut self.solution, answer);
        self.pods.extend(pods);
    }
}

/// Adds another answer, of which the bound has been counted.
pub(super) fn add(into: &mut Solution, other: Solution) {
    for (node, pods) in other.existing {
        into.existing.entry(node).or_default().extend(pods);
    }
    into.new_nodes.extend(other.new_nodes);
    into.unplaced.extend(other.unplaced);
}

impl Pass<'_> {
    /// Asks the solver, twice where needed, beside what stands already, and keeps what limits allow.
    pub(super) fn solve_beside(
        &self,
        supplies: &[&Supply],
        pods: Vec<PendingPod>,
        standing: &Standing,
    ) -> Solution {
        if pods.is_empty() {
            return Solution::default();
        }
        let offers = Offers::of(supplies);
        let (mut problem, mut ledger) = self.beside(supplies, standing, &offers);
        let (pods, held) = undecided::set_apart(pods, &problem.nodes);
        problem.pods = pods;
        let mut solution = self.solve_twice(supplies, problem, &offers, &mut ledger);
        solution.unplaced.extend(held);
        solution
    }

    /// Asks the solver for pods that are not to be on spot.
    pub(super) fn solve_on_demand(&self, supplies: &[&Supply], pods: Vec<PendingPod>) -> Solution {
        let offers = Offers::of(supplies);
        let mut ledger = Ledger::of(self.snapshot);
        let mut problem = self.problem(supplies, Vec::new(), Round::OnDemand, &ledger);
        for node in &mut problem.nodes {
            node.accepts_pods &= !is_spot(node);
        }
        let (ready, held) = undecided::set_apart(pods, &problem.nodes);
        problem.pods = ready;
        let mut solution = solve(&problem);
        self.keep_within(&mut solution, &offers, &mut ledger);
        solution.unplaced.extend(held);
        solution
    }

    /// A question without pods, about the cluster as what stands leaves it.
    fn beside(&self, supplies: &[&Supply], standing: &Standing, offers: &Offers<'_>) -> (Problem, Ledger) {
        let mut ledger = Ledger::of(self.snapshot);
        self.keep_within(&mut standing.solution.clone(), offers, &mut ledger);
        let mut problem = self.problem(supplies, Vec::new(), Round::First, &ledger);
        settle(&mut problem, &standing.solution, &standing.pods, offers);
        (problem, ledger)
    }

    fn solve_twice(
        &self,
        supplies: &[&Supply],
        mut problem: Problem,
        offers: &Offers<'_>,
        ledger: &mut Ledger,
    ) -> Solution {
        let dry;
        (dry, problem.pods) = self.dry(supplies, problem.pods);
        let mut first = solve(&problem);
        self.keep_within(&mut first, offers, ledger);
        let left: BTreeSet<&ObjectKey> = first
            .unplaced
            .iter()
            .map(|unplaced| &unplaced.pod)
            .chain(dry.iter().map(|pending| &pending.pod.key))
            .collect();
        let pools = self.pools(supplies, Round::Fallback, ledger);
        if left.is_empty() || pools.iter().all(|pool| pool.offers.is_empty()) {
            return first;
        }
        let (again, settled): (Vec<PendingPod>, Vec<PendingPod>) = std::mem::take(&mut problem.pods)
            .into_iter()
            .partition(|pending| left.contains(&pending.pod.key));
        problem.pools = pools;
        settle(&mut problem, &first, &settled, offers);
        let again = again.into_iter().chain(dry).collect();
        let (ready, held) = undecided::set_apart(again, &problem.nodes);
        problem.pods = ready;
        let mut second = solve(&problem);
        second.unplaced.extend(held);
        self.keep_within(&mut second, offers, ledger);
        joined(first, second, &problem.pools)
    }

    /// Sets pods apart for which spot has run dry and a pool sells on demand instead: spot is not asked again and again.
    fn dry(&self, supplies: &[&Supply], pods: Vec<PendingPod>) -> (Vec<PendingPod>, Vec<PendingPod>) {
        let falls_back = |supply: &&&Supply| {
            let sells_on_demand = supply
                .state
                .as_ref()
                .is_ok_and(|stock| !stock.on_demand.is_empty());
            supply.view.sells_spot()
                && supply.view.effective.strategy.fallback_to_on_demand
                && sells_on_demand
        };
        let fallbacks: BTreeSet<&PoolKey> = supplies
            .iter()
            .filter(falls_back)
            .map(|supply| &supply.view.key)
            .collect();
        pods.into_iter().partition(|pending| {
            pending.served_by.iter().any(|pool| fallbacks.contains(pool))
                && self.cooldowns.is_dry(&pending.pod, self.snapshot.now)
        })
    }

    pub(super) fn problem(
        &self,
        supplies: &[&Supply],
        pods: Vec<PendingPod>,
        round: Round,
        ledger: &Ledger,
    ) -> Problem {
        Problem {
            pods,
            nodes: self.landscape.nodes.clone(),
            pools: self.pools(supplies, round, ledger),
            daemon_sets: self.snapshot.daemon_sets.clone(),
            namespaces: self.snapshot.namespaces.clone(),
        }
    }

    fn pools(&self, supplies: &[&Supply], round: Round, ledger: &Ledger) -> Vec<BuyablePool> {
        supplies
            .iter()
            .map(|supply| buyable(supply, round, ledger))
            .collect()
    }

    /// The cluster as a solution leaves it, with everything on sale that is still within limits. `pods` are those
    /// that the solution was about.
    pub(super) fn settled(&self, supplies: &[&Supply], pods: &[PendingPod], solution: &Solution) -> Problem {
        let offers = Offers::of(supplies);
        let mut ledger = Ledger::of(self.snapshot);
        self.keep_within(&mut solution.clone(), &offers, &mut ledger);
        let mut problem = self.problem(supplies, Vec::new(), Round::First, &ledger);
        let fallbacks = self.pools(supplies, Round::Fallback, &ledger);
        for (pool, fallback) in problem.pools.iter_mut().zip(fallbacks) {
            pool.offers.extend(fallback.offers);
        }
        settle(&mut problem, solution, pods, &offers);
        problem
    }

    /// Keeps of the new nodes what limits allow; pods of the others are left over.
    pub(super) fn keep_within(&self, solution: &mut Solution, offers: &Offers<'_>, ledger: &mut Ledger) {
        let nodes = std::mem::take(&mut solution.new_nodes);
        let (admitted, refused) = ledger.admit(nodes, |pool, capacity_type, market| {
            offers.get(pool, capacity_type, market).cloned()
        });
        solution.new_nodes = admitted;
        solution.forgo(refused.iter().flat_map(|node| &node.pods));
        solution.unplaced.extend(refused.iter().flat_map(over_limit));
    }
}

/// Whether a node is known to be a spot instance.
pub(super) fn is_spot(node: &PlacementNode) -> bool {
    let capacity_type = node.labels.get(label::CAPACITY_TYPE);
    capacity_type.map(AsRef::as_ref) == Some(CapacityType::Spot.as_str())
}

/// The pods of a node that is beyond limits.
pub(super) fn over_limit(node: &NewNode) -> impl Iterator<Item = Unplaced> {
    left_over(
        node,
        Reason::LimitReached,
        &format!(
            "another node would pass a limit of pool {} or its ocean: raise limits, or make room",
            node.pool
        ),
    )
}

/// The pods of a node that is not bought after all.
pub(super) fn left_over<'a>(
    node: &'a NewNode,
    reason: Reason,
    message: &str,
) -> impl Iterator<Item = Unplaced> + use<'a> {
    let reason = PoolReason {
        pool: node.pool.clone(),
        reason,
        message: message.into(),
    };
    node.pods.iter().map(move |pod| Unplaced {
        pod: pod.clone(),
        reasons: vec![reason.clone()],
    })
}

fn buyable(supply: &Supply, round: Round, ledger: &Ledger) -> BuyablePool {
    let view = &supply.view;
    let requirements: Vec<PoolRequirement> = view
        .pool
        .requirements
        .iter()
        .map(|own| PoolRequirement {
            requirement: vocabulary::requirement(own),
            min_values: own.min_values.and_then(|count| usize::try_from(count).ok()),
        })
        .collect();
    let sells_spot = view.sells_spot();
    let falls_back = view.effective.strategy.fallback_to_on_demand;
    let offers = supply.state.as_ref().map_or_else(
        |_| Vec::new(),
        |stock| match (round, sells_spot) {
            (Round::First, true) => stock.spot.clone(),
            (Round::First, false) | (Round::OnDemand, _) => stock.on_demand.clone(),
            (Round::Fallback, true) if falls_back => stock.on_demand.clone(),
            (Round::Fallback, _) => Vec::new(),
        },
    );
    let capacity_type = if sells_spot && round == Round::First {
        CapacityType::Spot
    } else {
        CapacityType::OnDemand
    };
    let limits = ledger.remaining(&view.key);
    BuyablePool {
        key: view.key.clone(),
        weight: i32::try_from(view.pool.weight.unwrap_or(0)).unwrap_or(i32::MAX),
        requirements,
        labels: Arc::new(view.labels(capacity_type)),
        taints: view.pool.taints.iter().map(vocabulary::taint).collect(),
        offers,
        minimum_flexibility: flexibility(view, &limits),
        limits,
        closed: supply.state.as_ref().err().cloned(),
    }
}

/// How many candidates the solver should hand over: enough for launches that share caps cut apart. Where a limit on
/// resources or cost holds, no more than one launch needs: every node is counted at its largest candidate.
fn flexibility(view: &PoolView, limits: &RemainingLimits) -> usize {
    let strategy = &view.effective.strategy;
    let of_launch = usize::try_from(strategy.minimum_flexibility).unwrap_or(1);
    if limits.resources.is_empty() && limits.hourly_cost.is_none() {
        candidates_wanted(of_launch, strategy.max_share)
    } else {
        of_launch
    }
}

/// Puts the first answer into the second question: pods on nodes that exist, and new nodes with theirs.
pub(super) fn settle(problem: &mut Problem, first: &Solution, settled: &[PendingPod], offers: &Offers<'_>) {
    let pods: BTreeMap<&ObjectKey, &PendingPod> = settled
        .iter()
        .map(|pending| (&pending.pod.key, pending))
        .collect();
    let found = |keys: &[ObjectKey]| -> Vec<&PendingPod> {
        keys.iter().filter_map(|key| pods.get(key).copied()).collect()
    };
    for node in &mut problem.nodes {
        for pending in found(first.existing.get(&node.name).map_or(&[], Vec::as_slice)) {
            node.pods.push(pending.pod.clone());
            for demand in &pending.volumes {
                if let Some(driver) = &demand.driver {
                    let attached = node.attached.entry(driver.clone()).or_default();
                    attached.insert(demand.volume.clone());
                }
            }
        }
    }
    let earlier = problem.nodes.iter();
    let earlier = earlier.filter_map(|node| planned_number(&node.name)).count();
    for (number, node) in (earlier..).zip(&first.new_nodes) {
        problem.nodes.push(PlacementNode {
            name: NodeRef::OnItsWay(format!("{PLANNED}{number}").into()),
            labels: Arc::new(shared_labels(node, offers)),
            taints: Vec::new(),
            allocatable: node.requests.clone(),
            pods: found(&node.pods)
                .into_iter()
                .map(|pending| pending.pod.clone())
                .collect(),
            reserved: Resources::default(),
            attached: BTreeMap::new(),
            attach_limits: BTreeMap::new(),
            accepts_pods: false,
        });
    }
}

/// Where a node stands among those that answers have planned; `None` for one that was there before.
pub(super) fn planned_number(name: &NodeRef) -> Option<usize> {
    match name {
        NodeRef::OnItsWay(name) => name.as_str().strip_prefix(PLANNED)?.parse().ok(),
        NodeRef::Node(_) => None,
    }
}

/// Labels that all candidates of a node would give it.
fn shared_labels(node: &NewNode, offers: &Offers<'_>) -> Labels {
    let mut all = node
        .candidates
        .iter()
        .filter_map(|market| offers.get(&node.pool, node.capacity_type, market));
    let mut shared = all
        .next()
        .map(|offer| offer.labels.as_ref().clone())
        .unwrap_or_default();
    for offer in all {
        shared.retain(|key, value| offer.labels.get(key) == Some(value));
    }
    shared
}

/// Both answers as one. Of a pod left over twice, the second answer's reasons count for pools that were asked again.
fn joined(mut first: Solution, mut second: Solution, asked_again: &[BuyablePool]) -> Solution {
    let asked: BTreeSet<&PoolKey> = asked_again
        .iter()
        .filter(|pool| !pool.offers.is_empty())
        .map(|pool| &pool.key)
        .collect();
    let mut before: BTreeMap<ObjectKey, Vec<PoolReason>> = first
        .unplaced
        .drain(..)
        .map(|unplaced| (unplaced.pod, unplaced.reasons))
        .collect();
    for mut unplaced in std::mem::take(&mut second.unplaced) {
        unplaced.reasons.retain(|reason| asked.contains(&reason.pool));
        let kept = before.remove(&unplaced.pod).unwrap_or_default();
        unplaced
            .reasons
            .extend(kept.into_iter().filter(|reason| !asked.contains(&reason.pool)));
        unplaced.reasons.sort();
        first.unplaced.push(unplaced);
    }
    first.add_bound(&second);
    add(&mut first, second);
    first
}
