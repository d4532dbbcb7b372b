//! Sets of nodes given back and bought for anew.
//!
//! A set's pods fill free room first, then the packing solver buys for the rest
//! ([`crate::solve::complete`]); the set goes if that saves what the hysteresis
//! demands. Large sets are all nodes that are dearer than their pods' worth by a
//! share, for a ladder of shares: where much is wrong, one of them sets most of it
//! right. Small sets are taken along the order of waste; of a few nodes every set
//! is tried. Cost: tries × (nodes + one small packing), bounded by work counted.

use std::collections::BTreeSet;

use super::ground::{Ground, State};
use super::params::{
    EXHAUSTIVE_MAX, HOPE, LADDER, LARGE_ENOUGH, LARGE_WORK, NODE_WORK, RETRIES_MAX, RUNG_STEP, SMALL_WORK,
    STALE_MAX, WINDOW_WORK, WINDOWS,
};
use super::room;
use super::standing::Touched;
use crate::budget::Budget;
use crate::candidates;
use crate::ledger::{Ledger, Place};
use crate::model::Model;
use crate::plan::{Facts, Plan};
use crate::solve;
use crate::topology::Policy;

/// What a state has come to since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Balance {
    /// What is saved per hour.
    saving: i64,
    /// What moving costs once.
    move_cost: i64,
    /// What the nodes that go cost per hour.
    removed: i64,
}

impl Balance {
    pub(super) fn of(ground: &Ground<'_>, state: &State<'_>) -> Self {
        let gone = ground
            .lots
            .iter()
            .zip(&state.is_gone)
            .filter(|(_, is_gone)| **is_gone);
        let mut balance = Self::default();
        for (lot, _) in gone {
            balance.removed += lot.cost;
            balance.move_cost = balance.move_cost.saturating_add(lot.move_cost);
        }
        let offers = &ground.model.market.offers;
        let bought: i64 = state
            .plan
            .nodes
            .iter()
            .map(|node| offers[node.candidates[0]].cost)
            .sum();
        balance.saving = balance.removed - bought;
        balance
    }

    fn net(self, ground: &Ground<'_>) -> i64 {
        self.saving - ground.estate.hysteresis.hourly(self.move_cost)
    }

    /// Whether going on from `before` to here is worth it.
    fn is_worth_it(self, ground: &Ground<'_>, before: Self) -> bool {
        ground.estate.hysteresis.is_kept_by(
            self.saving - before.saving,
            self.move_cost - before.move_cost,
            self.removed - before.removed,
        )
    }
}

/// Takes what sets pay.
pub(super) fn buy_anew<'e>(ground: &Ground<'e>, state: &mut State<'e>) {
    let removable = ground.lots.iter().filter(|lot| lot.is_removable).count();
    if removable <= EXHAUSTIVE_MAX {
        every_set(ground, state);
        return;
    }
    large_sets(ground, state);
    small_sets(ground, state);
}

/// All sets from the start; the best one, if it beats what has been found.
fn every_set<'e>(ground: &Ground<'e>, state: &mut State<'e>) {
    let start = ground.start();
    let sites: Vec<usize> = (0..ground.lots.len())
        .filter(|site| ground.lots[*site].is_removable)
        .collect();
    let mut best = Balance::of(ground, state).net(ground);
    for mask in 1..(1_usize << sites.len()) {
        let set: Vec<usize> = (0..sites.len())
            .filter(|bit| mask >> bit & 1 == 1)
            .map(|bit| sites[bit])
            .collect();
        let Ok(next) = without(ground, &start, &set) else {
            continue;
        };
        let balance = Balance::of(ground, &next);
        if balance.is_worth_it(ground, Balance::default()) && balance.net(ground) > best {
            best = balance.net(ground);
            *state = next;
        }
    }
}

/// For each rung of the ladder, all nodes that are so much dearer than their pods' worth.
fn large_sets<'e>(ground: &Ground<'e>, state: &mut State<'e>) {
    let before = Balance::of(ground, state);
    let mut last = usize::MAX;
    let mut best: Option<(i64, State<'e>)> = None;
    let mut is_enough = false;
    state.plan.work = LARGE_WORK;
    for percent in LADDER {
        if is_enough {
            break;
        }
        let mut set = wasteful(ground, state, percent);
        if set.is_empty() || set.len() > last - last / 100 * RUNG_STEP {
            continue;
        }
        last = set.len();
        for _ in 0..RETRIES_MAX {
            if set.is_empty() {
                break;
            }
            match without(ground, state, &set) {
                Ok(next) => {
                    let balance = Balance::of(ground, &next);
                    let net = balance.net(ground);
                    let gained = (net - before.net(ground)) as f64;
                    is_enough = gained * 100.0 >= waste(ground, state, &set) * LARGE_ENOUGH;
                    let is_best = best.as_ref().is_none_or(|(known, _)| net > *known);
                    if is_best && balance.is_worth_it(ground, before) {
                        best = Some((net, next));
                    }
                    break;
                }
                Err(stuck) => set.retain(|site| {
                    let mut pods = state.plan.sites[*site].classes.iter();
                    !pods.any(|(class, _)| stuck.contains(class))
                }),
            }
        }
    }
    if let Some((_, next)) = best {
        *state = next;
    }
}

/// Nodes dearer than what their pods are worth, after move costs, by this share of their price.
fn wasteful(ground: &Ground<'_>, state: &State<'_>, percent: f64) -> Vec<usize> {
    let least = percent.max(f64::from(ground.estate.hysteresis.min_savings_percent)) / 100.0;
    let mut set: Vec<usize> = room::by_waste(ground, state)
        .into_iter()
        .filter(|site| {
            let lot = &ground.lots[*site];
            let moving = ground.estate.hysteresis.hourly(lot.move_cost);
            let worth = ground.worth.of_pods(&state.plan.sites[*site].classes);
            worth.is_some_and(|worth| {
                let waste = (lot.cost - moving) as f64 - worth;
                waste > 0.0 && waste >= least * lot.cost as f64
            })
        })
        .collect();
    set.sort_unstable();
    set
}

/// Neighbours in the order of waste.
fn small_sets<'e>(ground: &Ground<'e>, state: &mut State<'e>) {
    let mut budget = Budget::of(WINDOW_WORK);
    state.plan.work = SMALL_WORK;
    for size in WINDOWS {
        let mut order = room::by_waste(ground, state);
        let (mut from, mut stale) = (0, 0);
        while from + size <= order.len() && stale < STALE_MAX && !budget.is_spent() {
            let mut set = order[from..from + size].to_vec();
            if !is_hopeful(ground, state, &set) {
                break;
            }
            set.sort_unstable();
            budget.spend(SMALL_WORK + NODE_WORK * ground.lots.len() as u64);
            let before = Balance::of(ground, state);
            let next = without(ground, state, &set).ok();
            let next = next.filter(|next| Balance::of(ground, next).is_worth_it(ground, before));
            if let Some(next) = next {
                *state = next;
                order.drain(from..from + size);
                stale = 0;
            } else {
                from += size.div_ceil(2);
                stale += 1;
            }
        }
    }
}

/// Whether the pods of a set could have another place for less.
fn is_hopeful(ground: &Ground<'_>, state: &State<'_>, set: &[usize]) -> bool {
    let price: i64 = set.iter().map(|site| ground.lots[*site].cost).sum();
    waste(ground, state, set) >= price as f64 * (1.0 - HOPE / 100.0)
}

/// What these nodes cost beyond what their pods are worth, after move costs.
fn waste(ground: &Ground<'_>, state: &State<'_>, set: &[usize]) -> f64 {
    let each = set.iter().map(|site| {
        let lot = &ground.lots[*site];
        let worth = ground.worth.of_pods(&state.plan.sites[*site].classes);
        (lot.cost - ground.estate.hysteresis.hourly(lot.move_cost)) as f64 - worth.unwrap_or(0.0)
    });
    each.sum()
}

/// The cluster without these nodes, their pods elsewhere; or the classes that find no place.
fn without<'e>(ground: &Ground<'e>, state: &State<'e>, set: &[usize]) -> Result<State<'e>, BTreeSet<usize>> {
    let model = &ground.model;
    let mut next = state.clone();
    next.plan.learned.clear();
    let mut classes: BTreeSet<usize> = BTreeSet::new();
    for site in set {
        let pods = ground.vacate(&mut next, *site);
        classes.extend(pods.into_iter().map(|(class, _)| class));
    }
    let touched = Touched::by(model, &classes);
    let before = touched.breaches(model, &state.plan);
    let vacated = touched.holders(&next.plan);
    room::fill(ground, &mut next);
    if next.plan.waiting.iter().any(|count| *count > 0) {
        solve::complete(model, &Facts::default(), &mut next.plan);
    }
    let waiting = next.plan.waiting.iter().enumerate();
    let stuck: BTreeSet<usize> = waiting
        .filter(|(_, count)| **count > 0)
        .map(|(class, _)| class)
        .collect();
    if !stuck.is_empty() {
        return Err(stuck);
    }
    if !recount(model, &mut next.plan, state.plan.nodes.len()) {
        return Err(classes);
    }
    let stranded = ground.stranded(&next, classes);
    if !stranded.is_empty() {
        return Err(stranded);
    }
    let mut worse = touched.worse(model, &next.plan, &before, &vacated);
    let opened = Touched::by_domains(&state.plan, &next.plan);
    let before = opened.breaches(model, &state.plan);
    worse.extend(opened.worse(model, &next.plan, &before, &opened.holders(&state.plan)));
    if worse.is_empty() {
        Ok(next)
    } else {
        Err(worse.into_iter().map(|rule| rule.holder(model)).collect())
    }
}

/// Counts pods anew from where they ended up: while nodes were bought, pods were
/// counted where they were to go, and of two pools in one domain a spread may count
/// the nodes of one alone. The candidates of nodes from `first` on are cut to those
/// that count alike; says whether their pools' `minValues` allow that.
fn recount<'e>(model: &Model<'e>, plan: &mut Plan<'e>, first: usize) -> bool {
    let cell_of = |offer: usize| model.market.offers[offer].cell;
    let spreads = || {
        let counters = model.topology.counters.iter();
        counters.filter(|counter| matches!(counter.policy, Policy::Spread { .. }))
    };
    for node in &mut plan.nodes[first..] {
        let cell = cell_of(node.candidates[0]);
        let before = node.candidates.len();
        node.candidates.retain(|offer| {
            let other = cell_of(*offer);
            other == cell || spreads().all(|counter| counter.counts_cell[other] == counter.counts_cell[cell])
        });
        let pool = &model.market.pools[node.pool];
        if node.candidates.len() < before && candidates::min_values(pool).next().is_some() {
            return false;
        }
    }
    let mut ledger = Ledger::of(model);
    ledger.domains = std::mem::take(&mut plan.ledger.domains);
    for (site, load) in plan.sites.iter().enumerate() {
        for (class, count) in &load.classes {
            ledger.count(model, *class, Place::Site(site), *count);
        }
    }
    for node in &plan.nodes {
        let cell = cell_of(node.candidates[0]);
        for (class, count) in &node.load.classes {
            ledger.count(model, *class, Place::Cell(cell), *count);
        }
        for (index, counter) in model.topology.counters.iter().enumerate() {
            let value = model.market.cells[cell].values[counter.key];
            if let Some(value) = value.filter(|_| counter.counts_cell[cell]) {
                ledger.domains[index][value] = true;
            }
        }
    }
    plan.ledger = ledger;
    true
}
