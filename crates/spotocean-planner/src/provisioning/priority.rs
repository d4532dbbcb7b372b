//! Who goes first where limits are short.
//!
//! Limits leave pods out that fit together only in part. All pods are asked
//! for at once, which is the cheapest; only where limits leave out a pod while
//! one of lower priority is bought for, the higher priorities are planned
//! first and stand, and the lower ones are planned with what limits then
//! leave. As many priorities as agree with each other are planned together,
//! found by bisection. Headroom is below all pods.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::id::{ObjectKey, OceanName, PoolKey};
use spotocean_solver::problem::PendingPod;
use spotocean_solver::solution::{NewNode, Reason, Solution, Unplaced};

use super::Pass;
use super::fallback::Standing;
use super::headroom::is_unit;
use super::supply::Supply;
use super::ties::Tie;

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

    /// All ranks, the highest first.
    fn ladder(&self) -> Vec<Rank> {
        let distinct: BTreeSet<Rank> = self.by_key.values().copied().collect();
        distinct.into_iter().rev().collect()
    }

    fn shares_limits(&self, a: &PoolKey, b: &PoolKey) -> bool {
        a == b || (a.ocean == b.ocean && self.limited.contains(&a.ocean))
    }

    /// Whether limits leave out what goes before something that is bought for within the same limits.
    fn is_inverted(&self, solution: &Solution) -> bool {
        let over = over_limits(&solution.unplaced);
        let over: BTreeMap<&PoolKey, Rank> = over
            .filter_map(|(unplaced, pool)| Some((pool, *self.by_key.get(&unplaced.pod)?)))
            .fold(BTreeMap::new(), |mut highest, (pool, rank)| {
                let own = highest.entry(pool).or_insert(rank);
                *own = rank.max(*own);
                highest
            });
        solution.new_nodes.iter().any(|node| {
            self.last_of(node).is_some_and(|last| {
                let mut left_out = over.iter();
                left_out.any(|(pool, rank)| *rank > last && self.shares_limits(pool, &node.pool))
            })
        })
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
        let ladder = ranks.ladder();
        let mut ladder = ladder.as_slice();
        while ladder.len() > 1 {
            let whole = self.solve_beside(supplies, pods.clone(), &standing);
            if !ranks.is_inverted(&whole) {
                standing.add(whole, std::mem::take(&mut pods));
                break;
            }
            let (count, solution) = self.agreeing(supplies, &pods, &standing, (ranks, ladder));
            let (first, rest) = parted(pods, ladder[count - 1]);
            standing.add(solution, first);
            (pods, ladder) = (rest, &ladder[count..]);
        }
        if !pods.is_empty() {
            let last = self.solve_beside(supplies, std::mem::take(&mut pods), &standing);
            standing.add(last, Vec::new());
        }
        let mut solution = standing.solution;
        ranks.explain(&mut solution);
        solution
    }

    /// The most of the highest ranks that can be planned together, and their plan. All of `ladder` cannot; one can.
    fn agreeing(
        &self,
        supplies: &[&Supply],
        pods: &[PendingPod],
        standing: &Standing,
        (ranks, ladder): (&Ranks, &[Rank]),
    ) -> (usize, Solution) {
        let plan = |count: usize| {
            let down_to = ladder[count - 1];
            let own = pods.iter().filter(|pending| Rank::of(pending) >= down_to);
            self.solve_beside(supplies, own.cloned().collect(), standing)
        };
        let (mut agree, mut clash, mut best) = (1, ladder.len(), None);
        while clash - agree > 1 {
            let middle = usize::midpoint(agree, clash);
            let solution = plan(middle);
            match ranks.is_inverted(&solution) {
                true => clash = middle,
                false => (agree, best) = (middle, Some(solution)),
            }
        }
        (agree, best.unwrap_or_else(|| plan(agree)))
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
    nodes.sort_by_key(|node| Reverse((ranks.first_of(node), ranks.tie_of(node))));
}

#[cfg(test)]
mod tests;
