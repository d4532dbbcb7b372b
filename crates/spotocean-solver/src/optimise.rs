//! Near-optimal purchases for one level of preference.
//!
//! Compile the level into a packing, relax it ([`crate::column_generation`]),
//! round ([`crate::rounding`]), improve ([`crate::improve`]), and buy
//! ([`crate::realise`]). Leaves in `items` what it could not buy.

use crate::assign::Item;
use crate::budget::Budget;
use crate::column_generation::{self, Relaxation};
use crate::exact;
use crate::fill::{Filler, Picks};
use crate::improve;
use crate::model::Model;
use crate::packing::{self, Measure, Packing};
use crate::params::{
    COVER_BINS, EXACT_PODS_MAX, GUESS_LEAST, ROUNDS_MAX, ROWS_OPTIMISED_MAX, SIZE_ROUNDS, SIZES_WORTH_IT,
};
use crate::plan::{Duals, Plan};
use crate::realise;
use crate::rounding::{self, Lot};

/// Buys for the items what is near the cheapest; says whether the packing was all
/// there is to it: no limits, nothing that only a look at each node decides.
pub(crate) fn optimise<'p>(
    model: &Model<'p>,
    plan: &mut Plan<'p>,
    items: &mut [Item],
    items_of_cell: &[Vec<usize>],
    budget: &mut Budget,
) -> bool {
    let packing = packing::packing(model, items, items_of_cell, Measure::Weight);
    if packing.rows.is_empty() {
        return true;
    }
    let counts: Vec<i64> = packing.rows.iter().map(|row| row.count).collect();
    let prices = column_generation::dimension_prices(&packing);
    let mut filler = Filler::new(&packing, &prices);
    let Some((lots, duals)) = lots(&packing, &mut filler, &counts, budget) else {
        return false;
    };
    for (row, dual) in packing.rows.iter().zip(duals) {
        for item in &row.items {
            let share = (items[*item].class, items[*item].tuple.clone());
            plan.duals.entry(share).or_insert(dual);
        }
    }
    realise::realise(model, plan, items, &packing, &lots);
    let mut rows = packing.rows.iter();
    let mut bins = packing.bins.iter();
    !rows.any(|row| row.is_delicate) && !bins.any(|bin| is_limited(model, bin.offer))
}

fn is_limited(model: &Model<'_>, offer: usize) -> bool {
    let pool = model.market.cells[model.market.offers[offer].cell].pool;
    let limits = &model.market.pools[pool].spec.limits;
    !limits.resources.is_empty() || limits.nodes.is_some() || limits.hourly_cost.is_some()
}

/// The bins that would be worth most of their price if pods could be cut, best first.
fn likely(filler: &mut Filler<'_>, weights: &[f64], counts: &[i64]) -> Vec<usize> {
    let packing = filler.packing;
    let mut scored: Vec<(f64, usize)> = (0..packing.bins.len())
        .map(|bin| {
            let (bound, _) = filler.relaxed(bin, &Picks::new(), weights, counts, f64::INFINITY);
            (bound / packing.bins[bin].price.max(1) as f64, bin)
        })
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.truncate(COVER_BINS);
    scored.into_iter().map(|(_, bin)| bin).collect()
}

/// A relaxation to begin with: where many rows are of one size, from what each size is worth.
fn started(
    packing: &Packing,
    filler: &mut Filler<'_>,
    counts: &[i64],
    guess: &[f64],
    first: &[Lot],
    budget: &mut Budget,
) -> Option<Relaxation> {
    let by_size = Relaxation::by_size(packing, guess);
    let is_worth_it = |sizes: usize| sizes * SIZES_WORTH_IT <= packing.rows.len();
    let Some(mut by_size) = by_size.filter(|by_size| is_worth_it(by_size.clusters.count)) else {
        return Relaxation::new(packing, guess);
    };
    for lot in first {
        by_size.add(packing, lot.pattern.clone());
    }
    by_size.generate(filler, counts, budget, SIZE_ROUNDS, false);
    let pairs = guess.iter().zip(&by_size.prices);
    let guess: Vec<f64> = pairs
        .map(|(guess, price)| price.max(guess * GUESS_LEAST))
        .collect();
    let mut relaxation = Relaxation::new(packing, &guess)?;
    for pattern in by_size.patterns_used() {
        relaxation.add(packing, pattern);
    }
    Some(relaxation)
}

fn lots(
    packing: &Packing,
    filler: &mut Filler<'_>,
    counts: &[i64],
    budget: &mut Budget,
) -> Option<(Vec<Lot>, Vec<Duals>)> {
    let weights: Vec<f64> = (0..packing.rows.len())
        .map(|row| filler.weight(row).max(1.0))
        .collect();
    let likely = likely(filler, &weights, counts);
    let first = rounding::cover(filler, &likely, &weights, &mut counts.to_vec());
    let worth: f64 = weights
        .iter()
        .zip(counts)
        .map(|(weight, count)| weight * *count as f64)
        .sum();
    let scale = rounding::cost(packing, &first) as f64 / worth.max(1.0);
    let guess: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
    if packing.rows.len() > ROWS_OPTIMISED_MAX {
        let duals = guess.iter().map(|worth| (*worth, *worth)).collect();
        return Some((first, duals));
    }
    let mut part = budget.share(60);
    let mut relaxation = started(packing, filler, counts, &guess, &first, &mut part)?;
    for lot in &first {
        relaxation.add(packing, lot.pattern.clone());
    }
    relaxation.generate(filler, counts, &mut part, ROUNDS_MAX, false);
    budget.give_back(part);
    let values = relaxation.prices.clone();
    let duals = values.iter().copied().zip(relaxation.row_prices()).collect();
    let bins = relaxation.active.clone();
    let last = relaxation.row_prices();
    let mut part = budget.share(50);
    let lots = rounding::round(&mut relaxation, filler, counts, first, &mut part);
    budget.give_back(part);
    let mut lots = improve::improve(filler, &bins, &values, lots, budget);
    if counts.iter().sum::<i64>() <= EXACT_PODS_MAX
        && !budget.is_spent()
        && let Some(mut better) = exact::better(filler, &last, counts, &lots)
    {
        rounding::downsize(packing, &mut better);
        lots = better;
    }
    Some((lots, duals))
}
