//! From a fractional solution to whole nodes.
//!
//! The whole part of each amount is bought as it is: in large problems nearly
//! everything. The rest is dived for: solve again for what is left, with patterns
//! made for it, and round the largest fraction up, until nothing is left. Where
//! work runs out, a greedy cover by price per value ends it. Method: diving with
//! column generation (Sadykov et al. 2019). Cost: a few rounds of column
//! generation a dive, as many dives as fractional patterns at most.

use std::collections::BTreeMap;

use crate::assemble::assemble;
use crate::budget::Budget;
use crate::column_generation::{Pattern, Relaxation};
use crate::fill::{Fill, Filler, Picks};
use crate::packing::{Packing, admits};
use crate::params::{
    ASSEMBLE_MAX, COVER_CLEARED_EVERY, DIVE_ROUNDS, LP_TOLERANCE, PIVOTS_MAX, ROUND_UP_FRACTION,
    ROUND_UP_FROM, ROUND_UP_TRIES, ROWS_OPTIMISED_MAX, WHOLE_WORTH,
};

/// So many nodes of one pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Lot {
    /// The pattern.
    pub(crate) pattern: Pattern,
    /// Nodes.
    pub(crate) copies: i64,
}

/// What lots cost per hour.
pub(crate) fn cost(packing: &Packing, lots: &[Lot]) -> i64 {
    let prices = lots
        .iter()
        .map(|lot| packing.bins[lot.pattern.bin].price.saturating_mul(lot.copies));
    prices.sum()
}

/// Covers `counts` with whole nodes: the cheapest of what there is already
/// (`first`), the whole part and a greedy cover, and a dive.
pub(crate) fn round(
    relaxation: &mut Relaxation,
    filler: &mut Filler<'_>,
    counts: &[i64],
    first: Vec<Lot>,
    budget: &mut Budget,
) -> Vec<Lot> {
    let mut left = counts.to_vec();
    let values = relaxation.prices.clone();
    let bins = relaxation.active.clone();
    let mut plans = vec![first];
    let nodes: i64 = whole_bins(relaxation, 1.0).iter().map(|(_, nodes)| nodes).sum();
    let is_small = counts.iter().sum::<i64>().saturating_mul(nodes) <= ASSEMBLE_MAX;
    for share in [1.0, 0.97].into_iter().filter(|_| is_small) {
        let mut rest = counts.to_vec();
        let nodes = whole_bins(relaxation, share);
        let mut plan = assemble(filler, &nodes, &values, &mut rest);
        plan.extend(cover(filler, &bins, &values, &mut rest));
        plans.push(plan);
    }
    let whole = take_whole(relaxation, filler, &values, &mut left);
    plans.push(
        whole
            .iter()
            .cloned()
            .chain(cover(filler, &bins, &values, &mut left.clone()))
            .collect(),
    );
    if let Some((dived, mut rest)) = dive(relaxation, filler, left, budget) {
        let covered = cover(filler, &bins, &values, &mut rest);
        plans.push(whole.into_iter().chain(dived).chain(covered).collect());
    }
    for plan in &mut plans {
        downsize(filler.packing, plan);
    }
    let cheapest = plans.into_iter().min_by_key(|plan| cost(filler.packing, plan));
    cheapest.unwrap_or_default()
}

/// How many nodes of each bin the program has, rounded.
fn whole_bins(relaxation: &Relaxation, share: f64) -> Vec<(usize, i64)> {
    let mut by_bin: BTreeMap<usize, f64> = BTreeMap::new();
    for (column, amount) in relaxation.master.amounts() {
        if let Some(pattern) = &relaxation.patterns[column] {
            *by_bin.entry(pattern.bin).or_insert(0.0) += amount;
        }
    }
    let bins = by_bin.into_iter();
    bins.map(|(bin, amount)| (bin, (amount * share).round() as i64))
        .collect()
}

/// Takes the whole part of each amount. Where pods of a pattern have run out
/// (rows of a cluster stand for one another), what is missing is filled up; a
/// node that is not worth its price then is left for later.
fn take_whole(
    relaxation: &Relaxation,
    filler: &mut Filler<'_>,
    values: &[f64],
    left: &mut [i64],
) -> Vec<Lot> {
    let mut lots = Vec::new();
    for (column, amount) in relaxation.master.amounts() {
        let mut copies = (amount + LP_TOLERANCE * 10.0).floor() as i64;
        let Some(pattern) = &relaxation.patterns[column] else {
            continue;
        };
        copies -= take(pattern, copies, left, &mut lots);
        while copies > 0 {
            let (ratio, repaired) = repaired(relaxation, filler, pattern, values, left);
            if ratio < WHOLE_WORTH {
                break;
            }
            let taken = take(&repaired, copies, left, &mut lots);
            if taken == 0 {
                break;
            }
            copies -= taken;
        }
    }
    lots
}

/// The pattern with what is left of its pods, rows of a cluster for one another, filled up; and its
/// worth relative to its price.
fn repaired(
    relaxation: &Relaxation,
    filler: &mut Filler<'_>,
    pattern: &Pattern,
    values: &[f64],
    left: &[i64],
) -> (f64, Pattern) {
    let mut picks = exchanged(relaxation, filler.packing, pattern, left);
    if !filler.packing.holds(pattern.bin, &picks) {
        picks = clipped(pattern, left);
    }
    let (_, fill) = filler.relaxed(pattern.bin, &picks, values, left, -1.0);
    let fill = fill.unwrap_or_default();
    let ratio = fill.value / filler.packing.bins[pattern.bin].price.max(1) as f64;
    let pattern = Pattern {
        bin: pattern.bin,
        picks: fill.picks,
    };
    (ratio, pattern)
}

/// What is left of a pattern's pods.
fn clipped(pattern: &Pattern, left: &[i64]) -> Picks {
    let picks = pattern
        .picks
        .iter()
        .map(|(row, count)| (*row, (*count).min(left[*row])));
    picks.filter(|(_, count)| *count > 0).collect()
}

/// The same, and for those that have run out pods of their cluster's other rows, of which most are left.
fn exchanged(relaxation: &Relaxation, packing: &Packing, pattern: &Pattern, left: &[i64]) -> Picks {
    let mut picks: BTreeMap<usize, i64> = clipped(pattern, left).into_iter().collect();
    for (row, count) in &pattern.picks {
        let mut missing = count - (*count).min(left[*row]);
        if missing == 0 {
            continue;
        }
        let mut others = relaxation.clusters.alike(*row);
        others.retain(|other| admits(packing.menu(pattern.bin), *other));
        others.sort_by_key(|other| (std::cmp::Reverse(left[*other]), *other));
        for other in others {
            let known = picks.get(&other).copied().unwrap_or(0);
            let more = missing.min(left[other].min(packing.most(other)) - known);
            if more > 0 {
                picks.insert(other, known + more);
                missing -= more;
            }
        }
    }
    picks.into_iter().collect()
}

/// Takes up to `copies` nodes of a pattern, as far as all its pods are left; returns how many.
fn take(pattern: &Pattern, copies: i64, left: &mut [i64], lots: &mut Vec<Lot>) -> i64 {
    let repeats = pattern.picks.iter().map(|(row, count)| left[*row] / count).min();
    let repeats = repeats.unwrap_or(0).min(copies);
    if repeats > 0 {
        for (row, count) in &pattern.picks {
            left[*row] -= count * repeats;
        }
        lots.push(Lot {
            pattern: pattern.clone(),
            copies: repeats,
        });
    }
    repeats
}

/// Rounds what is left step by step, as far as work goes, and says what remains; `None` where the program fails.
fn dive(
    relaxation: &mut Relaxation,
    filler: &mut Filler<'_>,
    mut left: Vec<i64>,
    budget: &mut Budget,
) -> Option<(Vec<Lot>, Vec<i64>)> {
    let mut lots = Vec::new();
    while left.iter().any(|count| *count > 0) && !budget.is_spent() {
        let demand = relaxation.clusters.demand(&left);
        let work = relaxation.master.work + filler.work;
        if !relaxation.master.recover(&demand, PIVOTS_MAX) {
            return None;
        }
        relaxation.generate(filler, &left, &mut Budget::of(u64::MAX), DIVE_ROUNDS, true);
        let values = relaxation.clusters.spread(&relaxation.master.prices);
        let whole = take_whole(relaxation, filler, &values, &mut left);
        if whole.is_empty() {
            lots.extend(round_up(relaxation, filler, &values, &mut left)?);
        }
        lots.extend(whole);
        budget.spend(relaxation.master.work + filler.work - work);
    }
    Some((lots, left))
}

/// One node more of the patterns nearest to a whole: all that are nearly so, or the best one.
fn round_up(
    relaxation: &Relaxation,
    filler: &mut Filler<'_>,
    values: &[f64],
    left: &mut [i64],
) -> Option<Vec<Lot>> {
    let mut amounts = relaxation.master.amounts();
    amounts.retain(|(column, _)| relaxation.patterns[*column].is_some());
    amounts.sort_by(|a, b| b.1.fract().total_cmp(&a.1.fract()).then(a.0.cmp(&b.0)));
    let mut lots = Vec::new();
    let mut best: Option<(f64, Pattern)> = None;
    let tries = (amounts.len() / 4).max(ROUND_UP_TRIES);
    for (column, amount) in amounts.into_iter().take(tries) {
        let pattern = relaxation.patterns[column].as_ref()?;
        let (ratio, repaired) = repaired(relaxation, filler, pattern, values, left);
        if ratio > WHOLE_WORTH && amount.fract() > ROUND_UP_FROM && lots.len() < tries / 2 + 1 {
            take(&repaired, 1, left, &mut lots);
        }
        let score = ratio + ROUND_UP_FRACTION * amount.fract();
        if best.as_ref().is_none_or(|(known, _)| score > *known) {
            best = Some((score, repaired));
        }
    }
    if lots.is_empty() {
        let (_, pattern) = best?;
        take(&pattern, 1, left, &mut lots);
    }
    (!lots.is_empty()).then_some(lots)
}

/// Greedy cover: the fill of least price per value, as often as it repeats. A
/// fill stays as good as it was until one of its rows runs short. With very many
/// rows only orders are walked, and rows that have run out are cleared from them.
pub(crate) fn cover(filler: &mut Filler<'_>, bins: &[usize], values: &[f64], left: &mut [i64]) -> Vec<Lot> {
    let mut lots = Vec::new();
    let mut values = values.to_vec();
    // Every row must be worth something, or it is never taken.
    for (row, value) in values.iter_mut().enumerate() {
        *value = value.max(filler.weight(row) * 0.5).max(1e-3);
    }
    let is_huge = left.len() > ROWS_OPTIMISED_MAX;
    let all: Vec<usize> = (0..filler.packing.bins.len()).collect();
    for bins in [bins, &all] {
        let mut orders = filler.orders(&values, left);
        let mut fills: Vec<Option<Fill>> = vec![None; bins.len()];
        let mut bought = 0;
        while left.iter().any(|count| *count > 0) {
            for (bin, fill) in bins.iter().zip(&mut fills) {
                let is_fresh = fill.as_ref().is_some_and(|fill| is_there(fill, left));
                if !is_fresh && is_huge {
                    *fill = Some(filler.best_walked(*bin, &orders, &values, left));
                } else if !is_fresh {
                    *fill = Some(filler.best(*bin, &orders, &values, left));
                }
            }
            let ratio = |(bin, fill): (&usize, &Option<Fill>)| {
                let value = fill.as_ref().map_or(0.0, |fill| fill.value);
                (value / filler.packing.bins[*bin].price.max(1) as f64, *bin)
            };
            let ratios = bins.iter().zip(&fills).map(ratio).enumerate();
            let best = ratios.max_by(|a, b| a.1.0.total_cmp(&b.1.0).then(b.0.cmp(&a.0)));
            let Some((position, (_, bin))) = best.filter(|(_, (ratio, _))| *ratio > 0.0) else {
                break;
            };
            let picks = fills[position].clone().unwrap_or_default().picks;
            if take(&Pattern { bin, picks }, i64::MAX, left, &mut lots) == 0 {
                break;
            }
            bought += 1;
            if is_huge && bought % COVER_CLEARED_EVERY == 0 {
                orders
                    .iter_mut()
                    .flatten()
                    .for_each(|order| order.retain(|row| left[*row] > 0));
            }
        }
    }
    lots
}

fn is_there(fill: &Fill, left: &[i64]) -> bool {
    fill.picks.iter().all(|(row, count)| left[*row] >= *count)
}

/// For each lot the cheapest bin that carries it.
pub(crate) fn downsize(packing: &Packing, lots: &mut [Lot]) {
    for lot in lots {
        if let Some(bin) = cheapest(packing, &lot.pattern.picks, packing.bins[lot.pattern.bin].price) {
            lot.pattern.bin = bin;
        }
    }
}

/// The cheapest bin below `price` that carries these pods. Bins are in order of price.
pub(crate) fn cheapest(packing: &Packing, picks: &[(usize, i64)], price: i64) -> Option<usize> {
    let need = packing.need(picks);
    (0..packing.bins.len())
        .take_while(|bin| packing.bins[*bin].price < price)
        .find(|bin| {
            crate::dimension::fits(&need, packing.free(*bin))
                && picks.iter().all(|(row, _)| admits(packing.menu(*bin), *row))
        })
}
