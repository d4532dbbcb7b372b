//! Who goes first where limits are short.
//!
//! Limits leave pods out that fit together only in part. All pods are asked
//! for at once, which is the cheapest, and the solver spends limits by priority.
//! Where even so limits leave out a pod while one of lower priority is bought
//! for, the priorities down to the one left out are planned alone. If that serves
//! more of them, it stands, and the lower ones are planned with what limits then
//! leave; if not, they were in nobody's way. Headroom is below all pods.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::id::{ObjectKey, OceanName, PoolKey};
use spotocean_solver::problem::PendingPod;
use spotocean_solver::solution::{NewNode, Reason, Solution, Unplaced};

use super::Pass;
use super::fallback::{Standing, over_limit};
use super::headroom::is_unit;
use super::supply::Supply;
use super::ties::Tie;

/// Questions to the solver after which nodes are given up instead of asking again.
const SOLVES_MAX: usize = 8;

/// What goes first: a pod by its priority, headroom after all pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Headroom.
    Spare,
    /// A pod of this priority.
    Pod(i32),
}

impl Rank {
    fn of(pending: &PendingPod) -> Self {
        match is_unit(&pending.pod.key) {
            true => Self::Spare,
            false => Self::Pod(pending.pod.priority),
        }
    }
}

/// The ranks of what waits, and which pools share limits.
pub(super) struct Ranks {
    by_key: BTreeMap<ObjectKey, Rank>,
    /// Pods that depend on where others are.
    ties: BTreeMap<ObjectKey, Tie>,
    /// Oceans with limits of their own: what one of their pools buys, another may not.
    limited: BTreeSet<OceanName>,
}

impl Ranks {
    pub(super) fn of(supplies: &[&Supply], pods: &[PendingPod]) -> Self {
        let oceans = supplies.iter().map(|supply| &supply.view);
        let limited = oceans.filter(|view| !view.ocean.spec.limits.is_empty());
        Self {
            by_key: pods
                .iter()
                .map(|pending| (pending.pod.key.clone(), Rank::of(pending)))
                .collect(),
            ties: pods.iter().filter_map(tie).collect(),
            limited: limited.map(|view| view.key.ocean.clone()).collect(),
        }
    }

    /// The rank of the first pod that a node is for; a node for nobody known is spare.
    pub(super) fn first_of(&self, node: &NewNode) -> Rank {
        let ranks = node.pods.iter().filter_map(|key| self.by_key.get(key));
        ranks.max().copied().unwrap_or(Rank::Spare)
    }

    /// How much it matters that the pods of a node come to it.
    fn tie_of(&self, node: &NewNode) -> Tie {
        let ties = node.pods.iter().filter_map(|key| self.ties.get(key));
        ties.max().copied().unwrap_or(Tie::Loose)
    }

    fn last_of(&self, node: &NewNode) -> Option<Rank> {
        let ranks = node.pods.iter().filter_map(|key| self.by_key.get(key));
        ranks.min().copied()
    }

    fn shares_limits(&self, a: &PoolKey, b: &PoolKey) -> bool {
        a == b || (a.ocean == b.ocean && self.limited.contains(&a.ocean))
    }

    /// The highest rank of which limits leave something out, by pool.
    fn left_out<'s>(&self, solution: &'s Solution) -> BTreeMap<&'s PoolKey, Rank> {
        let over = over_limits(&solution.unplaced);
        over.filter_map(|(unplaced, pool)| Some((pool, *self.by_key.get(&unplaced.pod)?)))
            .fold(BTreeMap::new(), |mut highest, (pool, rank)| {
                let own = highest.entry(pool).or_insert(rank);
                *own = rank.max(*own);
                highest
            })
    }

    /// The highest rank of which limits leave something out while something is bought for what comes after it: with
    /// other pods to serve, those of that rank may be spread over pools in another way.
    fn doubt(&self, solution: &Solution) -> Option<Rank> {
        let over = self.left_out(solution).into_values();
        let doubts = over.filter(|rank| solution.new_nodes.iter().any(|node| self.is_after(node, *rank)));
        doubts.max()
    }

    /// The highest rank of which limits leave something out while within the same limits something is bought for
    /// what comes after it.
    fn clash(&self, solution: &Solution) -> Option<Rank> {
        let clashes = self.left_out(solution).into_iter().filter(|(pool, rank)| {
            let mut nodes = solution.new_nodes.iter();
            nodes.any(|node| self.is_after(node, *rank) && self.shares_limits(pool, &node.pool))
        });
        clashes.map(|(_, rank)| rank).max()
    }

    /// Whether some of a node's pods come after this rank.
    fn is_after(&self, node: &NewNode, rank: Rank) -> bool {
        self.last_of(node).is_some_and(|last| last < rank)
    }

    /// Gives up nodes until limits leave nothing out for the sake of what comes after it.
    fn give_up(&self, solution: &mut Solution) {
        while let Some(rank) = self.clash(solution) {
            let over = over_limits(&solution.unplaced);
            let pools: BTreeSet<PoolKey> = over
                .filter(|(unplaced, _)| self.by_key.get(&unplaced.pod) == Some(&rank))
                .map(|(_, pool)| pool.clone())
                .collect();
            let nodes = std::mem::take(&mut solution.new_nodes);
            let (given_up, kept): (Vec<NewNode>, Vec<NewNode>) = nodes.into_iter().partition(|node| {
                let mut pools = pools.iter();
                self.is_after(node, rank) && pools.any(|pool| self.shares_limits(pool, &node.pool))
            });
            solution.new_nodes = kept;
            solution.forgo(given_up.iter().flat_map(|node| &node.pods));
            solution.unplaced.extend(given_up.iter().flat_map(over_limit));
        }
    }

    /// Whether an answer leaves out no more than another down to this rank, and nothing higher.
    fn serves_as_many(&self, own: &Solution, other: &Solution, down_to: Rank) -> bool {
        let left = |solution: &Solution| {
            let unplaced = solution.unplaced.iter();
            let ranks = unplaced.filter_map(|unplaced| self.by_key.get(&unplaced.pod));
            let mut ranks: Vec<Rank> = ranks.copied().filter(|rank| *rank >= down_to).collect();
            ranks.sort_unstable_by_key(|rank| Reverse(*rank));
            ranks
        };
        let (own, other) = (left(own), left(other));
        own.len() <= other.len() && own.iter().zip(&other).all(|(own, other)| own <= other)
    }

    /// Says of what limits leave out that others went first, where they did.
    fn explain(&self, solution: &mut Solution) {
        let bought = solution.new_nodes.iter();
        let bought: BTreeSet<(&PoolKey, Rank)> =
            bought.map(|node| (&node.pool, self.first_of(node))).collect();
        for unplaced in &mut solution.unplaced {
            let Some(rank) = self.by_key.get(&unplaced.pod) else {
                continue;
            };
            let others = match rank {
                Rank::Spare => "pods that wait",
                Rank::Pod(_) => "pods of higher priority",
            };
            for reason in &mut unplaced.reasons {
                let mut ahead = bought.iter().filter(|(_, other)| other > rank);
                if reason.reason == Reason::LimitReached
                    && ahead.any(|(pool, _)| self.shares_limits(pool, &reason.pool))
                {
                    reason.message = Arc::from(format!("{others} go first: {}", reason.message));
                }
            }
        }
    }
}

/// The pools whose limits leave a pod out.
fn over_limits(unplaced: &[Unplaced]) -> impl Iterator<Item = (&Unplaced, &PoolKey)> {
    unplaced.iter().flat_map(|own| {
        let reasons = own.reasons.iter();
        let limits = reasons.filter(|reason| reason.reason == Reason::LimitReached);
        limits.map(move |reason| (own, &reason.pool))
    })
}

impl Pass<'_> {
    /// Asks the solver, beside what stands already, so that limits leave nothing out for the sake of what comes after it.
    pub(super) fn solve_by_priority(
        &self,
        supplies: &[&Supply],
        mut pods: Vec<PendingPod>,
        ranks: &Ranks,
        mut standing: Standing,
    ) -> Solution {
        let mut solves = 0;
        while !pods.is_empty() {
            let mut whole = self.solve_beside(supplies, pods.clone(), &standing);
            solves += 1;
            let mut doubt = ranks.doubt(&whole);
            if doubt.is_some() && solves >= SOLVES_MAX {
                ranks.give_up(&mut whole);
                doubt = None;
            }
            let mut part = None;
            while let Some(down_to) = doubt {
                let own = pods.iter().filter(|pending| Rank::of(pending) >= down_to);
                let mut solution = self.solve_beside(supplies, own.cloned().collect(), &standing);
                solves += 1;
                doubt = ranks.doubt(&solution);
                if solves >= SOLVES_MAX {
                    ranks.give_up(&mut solution);
                    doubt = None;
                }
                part = Some((down_to, solution));
            }
            match part {
                Some((down_to, part)) if !ranks.serves_as_many(&whole, &part, down_to) => {
                    let (first, rest) = parted(pods, down_to);
                    standing.add(part, first);
                    pods = rest;
                }
                // Pods of lower ranks are where they are in nobody's way.
                _ => standing.add(whole, std::mem::take(&mut pods)),
            }
        }
        let mut solution = standing.solution;
        ranks.explain(&mut solution);
        solution
    }
}

/// Pods of a rank or a higher one, and the others.
fn parted(pods: Vec<PendingPod>, down_to: Rank) -> (Vec<PendingPod>, Vec<PendingPod>) {
    pods.into_iter().partition(|pending| Rank::of(pending) >= down_to)
}

fn tie(pending: &PendingPod) -> Option<(ObjectKey, Tie)> {
    let tie = Tie::of(&pending.pod.shape);
    (tie != Tie::Loose).then(|| (pending.pod.key.clone(), tie))
}

/// Puts nodes first that are for what goes first, and among those whose pods depend on where others are: bought in
/// parts, such pods are bound where the rest finds no room.
pub(super) fn sort(nodes: &mut [NewNode], ranks: &Ranks) {
    nodes.sort_by_cached_key(|node| Reverse((ranks.first_of(node), ranks.tie_of(node))));
}

#[cfg(test)]
mod tests;
