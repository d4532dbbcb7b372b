//! What no plan can be cheaper than, proved by integers.
//!
//! Weak duality: give each pod a value such that, on every offer, no set of pods
//! that one node holds is worth more than the node costs. Then any plan costs at
//! least the sum of all values, less what nodes that are there already hold at
//! most. Values come from the relaxation ([`crate::column_generation`]) and are
//! hints; each offer's most is counted anew in integers ([`crate::doubt`]),
//! and all values are scaled down by the worst offer's excess (Farley 1990), so
//! that the bound holds at whatever point the relaxation was left.
//! What is not modelled (affinity, spreads between zones, ports, shared volumes,
//! limits, `minValues`) is left out, which can only lower the bound. Each class
//! is taken to keep to its first tier, and there to spot where spot serves it;
//! where the plan itself did not (limits, domains to balance), the class may be
//! anywhere.

use std::collections::{BTreeMap, BTreeSet};

use spotocean_core::money::PricePerHour;

use crate::assign::Item;
use crate::budget::Budget;
use crate::column_generation::{self, Pattern, Relaxation};
use crate::doubt::Doubts;
use crate::fill::{Filler, Picks};
use crate::knapsack::Knapsack;
use crate::model::Model;
use crate::packing::{self, Measure, Packing};
use crate::params::{
    BOUND_SEARCH_WORK, BOUND_WORK, GRID_WORK, GUESS_LEAST, ROUNDS_MAX, ROWS_OPTIMISED_MAX, SLACK_PER_MILLION,
    VALUE_SCALE,
};
use crate::plan::Plan;
use crate::relaxed_knapsack::RelaxedKnapsack;
use crate::rounding;
use crate::solution::{Certificate, ClassValue};

/// The bound with its proof, for the pods that a plan serves.
pub(crate) fn certificate(model: &Model<'_>, plan: &Plan<'_>) -> Certificate {
    let reach = Reach::of(model, plan);
    let (items, items_of_cell) = reach.items(model, plan);
    let packing = packing::packing(model, &items, &items_of_cell, Measure::Price);
    let counts: Vec<i64> = packing.rows.iter().map(|row| row.count).collect();
    let is_searched = packing.rows.len() <= ROWS_OPTIMISED_MAX;
    let mut work = if is_searched { BOUND_SEARCH_WORK } else { 0 };
    let mut best: (i128, Vec<i64>) = (0, Vec::new());
    for hint in hints(model, plan, &packing, &items, &counts) {
        let values = column_generation::fixed(&hint);
        // Scaling only lowers, and work spent on what can hardly win is lost to what can.
        let hoped = worth(&values, &counts) / i128::from(VALUE_SCALE);
        if !best.1.is_empty() && hoped * 1_000_000 <= best.0 * (1_000_000 + SLACK_PER_MILLION) {
            continue;
        }
        let values = scaled(&packing, &counts, &values, &mut work);
        let there = on_sites(model, &packing, &items, &counts, &values);
        let bound = (worth(&values, &counts) - there) / i128::from(VALUE_SCALE);
        if best.1.is_empty() || bound >= best.0 {
            best = (bound, values);
        }
    }
    let (bound, values) = best;
    Certificate {
        lower_bound: PricePerHour(i64::try_from(bound.max(0)).unwrap_or(i64::MAX)),
        scale: VALUE_SCALE,
        classes: class_values(model, &reach, &packing, &items, &values),
    }
}

/// What all pods are worth together.
fn worth(values: &[i64], counts: &[i64]) -> i128 {
    let each = values.iter().zip(counts);
    each.map(|(value, count)| i128::from(*value) * i128::from(*count))
        .sum()
}

/// Which cells each class is taken to keep to, and how many of its pods are served.
struct Reach {
    /// By class, its cells.
    cells: Vec<Vec<usize>>,
    /// By class, whether all that serve it count.
    is_anywhere: Vec<bool>,
    /// By class, pods with a place.
    served: Vec<i64>,
}

impl Reach {
    fn of(model: &Model<'_>, plan: &Plan<'_>) -> Self {
        let classes = 0..model.classes.len();
        let mut reach = Self {
            cells: classes.clone().map(|class| first_cells(model, class)).collect(),
            is_anywhere: vec![false; model.classes.len()],
            served: classes
                .clone()
                .map(|class| {
                    i64::try_from(model.classes[class].pods.len()).unwrap_or(i64::MAX) - plan.waiting[class]
                })
                .collect(),
        };
        for node in &plan.nodes {
            let cell = model.market.offers[node.candidates[0]].cell;
            for (class, _) in &node.load.classes {
                reach.is_anywhere[*class] |= !reach.cells[*class].contains(&cell);
            }
        }
        for class in classes.filter(|class| reach.is_anywhere[*class]) {
            let cells = 0..model.market.cells.len();
            reach.cells[class] = cells.filter(|cell| model.admits_cell[class][*cell]).collect();
        }
        reach
    }

    /// The pods served, as items without domains, and the items of each cell.
    fn items(&self, model: &Model<'_>, plan: &Plan<'_>) -> (Vec<Item>, Vec<Vec<usize>>) {
        let mut items = Vec::new();
        let mut items_of_cell = vec![Vec::new(); model.market.cells.len()];
        for class in 0..model.classes.len() {
            let is_worth_it = self.served[class] > 0 && !plan.nodes.is_empty();
            let Some(cell) = self.cells[class].first().filter(|_| is_worth_it) else {
                continue;
            };
            for each in &self.cells[class] {
                items_of_cell[*each].push(items.len());
            }
            items.push(Item {
                class,
                cell: *cell,
                tuple: Vec::new(),
                left: self.served[class],
            });
        }
        (items, items_of_cell)
    }
}

/// The cells of a class at its first level of preference.
pub(crate) fn first_cells(model: &Model<'_>, class: usize) -> Vec<usize> {
    let spot: Vec<bool> = (0..model.market.pools.len())
        .map(|pool| model.spot_serves(class, None, pool))
        .collect();
    let serving = model.serving(class);
    let level = |cell: usize| model.service_level(cell, spot[model.market.cells[cell].pool]);
    let first = serving.clone().map(level).min();
    serving.filter(|cell| Some(level(*cell)) == first).collect()
}

/// What pods of each row are worth, as the plan's relaxations had it; solved anew
/// where classes had been dealt out over domains, which a bound does not.
pub(crate) fn hints(
    model: &Model<'_>,
    plan: &Plan<'_>,
    packing: &Packing,
    items: &[Item],
    counts: &[i64],
) -> Vec<Vec<f64>> {
    let mut known: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for ((class, _), (smooth, last)) in &plan.duals {
        known.entry(*class).or_default().push((*smooth, *last));
    }
    let of_row = |row: &packing::Row| {
        let mut duals = row.items.iter().map(|item| known.get(&items[*item].class));
        let least = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.min(b.1));
        duals.try_fold((f64::INFINITY, f64::INFINITY), |known, duals| {
            Some(duals?.iter().copied().fold(known, least))
        })
    };
    let duals: Vec<Option<(f64, f64)>> = packing.rows.iter().map(of_row).collect();
    let prices = column_generation::dimension_prices(packing);
    let mut filler = Filler::new(packing, &prices);
    // What is known to be worth next to nothing weighs so little that the noise on its demand would swamp it.
    let guess: Vec<f64> = duals
        .iter()
        .enumerate()
        .map(|(row, dual)| {
            let weight = filler.weight(row);
            dual.map_or(weight, |dual| dual.0.max(weight * GUESS_LEAST))
                .max(1e-3)
        })
        .collect();
    let is_dealt_out = items
        .iter()
        .any(|item| !model.topology.tracked[item.class].is_empty() || model.is_choosy(item.class));
    // Such duals price pods by what plans count with.
    let is_risky = model.market.has_risk();
    if !is_dealt_out && !is_risky && duals.iter().all(Option::is_some) {
        let last = duals.into_iter().flatten().map(|dual| dual.1).collect();
        return vec![guess, last];
    }
    if packing.rows.len() > ROWS_OPTIMISED_MAX {
        return vec![guess];
    }
    let Some(mut relaxation) = Relaxation::new(packing, &guess) else {
        return vec![guess];
    };
    for pattern in bought(model, plan, packing, items) {
        relaxation.add(packing, pattern);
    }
    relaxation.generate(
        &mut filler,
        counts,
        &mut Budget::of(BOUND_WORK),
        ROUNDS_MAX,
        false,
    );
    vec![relaxation.row_prices(), relaxation.prices]
}

/// What the plan's nodes hold, each on the cheapest bin that carries it: good patterns to begin with.
fn bought(model: &Model<'_>, plan: &Plan<'_>, packing: &Packing, items: &[Item]) -> Vec<Pattern> {
    let mut row_of_class = vec![None; model.classes.len()];
    for (row, described) in packing.rows.iter().enumerate() {
        for item in &described.items {
            row_of_class[items[*item].class] = Some(row);
        }
    }
    let mut loads: BTreeSet<Picks> = BTreeSet::new();
    for node in &plan.nodes {
        let mut picks: BTreeMap<usize, i64> = BTreeMap::new();
        for (class, count) in &node.load.classes {
            if let Some(row) = row_of_class[*class] {
                *picks.entry(row).or_insert(0) += count;
            }
        }
        loads.insert(picks.into_iter().collect());
    }
    let patterns = loads.into_iter().filter_map(|picks| {
        let bin = rounding::cheapest(packing, &picks, i64::MAX)?;
        Some(Pattern { bin, picks })
    });
    patterns.collect()
}

/// Values scaled down until no bin's pods are worth more than the bin costs.
pub(crate) fn scaled(packing: &Packing, counts: &[i64], values: &[i64], work: &mut u64) -> Vec<i64> {
    let mut doubts = Doubts::of(packing, values, counts);
    // A little excess is first taken for granted, so that work goes to the bins that exceed by much.
    let slack = (1_000_000 + SLACK_PER_MILLION, 1_000_000);
    let (mut most, mut price) = worst(&mut doubts, slack, work);
    if (most, price) == slack && *work > 0 {
        (most, price) = worst(&mut doubts, (1, 1), work);
    }
    values
        .iter()
        .map(|value| i64::try_from(i128::from(*value) * price / most).unwrap_or(i64::MAX))
        .collect()
}

/// The most that a bin's pods may be worth, and what it costs, where that is more, relative to it, than `floor`.
fn worst(doubts: &mut Doubts<'_>, floor: (i128, i128), work: &mut u64) -> (i128, i128) {
    let (mut most, mut price) = floor;
    for position in 0..doubts.bins.len() {
        if !doubts.bins[position].exceeds(most, price) {
            continue;
        }
        let group = doubts.group(position, most, price);
        doubts.ask_priced(&group, GRID_WORK, work);
        if !doubts.bins[position].exceeds(most, price) {
            continue;
        }
        doubts.ask(&group, GRID_WORK, work);
        if group.len() > 1 && doubts.bins[position].exceeds(most, price) {
            doubts.ask(&[position], GRID_WORK, work);
        }
        if doubts.bins[position].exceeds(most, price) {
            doubts.search(position, work);
        }
        let doubt = doubts.bins[position];
        if doubt.exceeds(most, price) {
            (most, price) = (doubt.bound, doubt.price);
        }
    }
    (most, price)
}

/// The most that pods on nodes that are there can be worth together.
fn on_sites(model: &Model<'_>, packing: &Packing, items: &[Item], counts: &[i64], values: &[i64]) -> i128 {
    let sites = packing::on_sites(model, packing, items);
    let mut relaxed = RelaxedKnapsack::default();
    (0..sites.bins.len())
        .map(|site| Knapsack::new(&sites, site, values, counts, &mut relaxed).bound())
        .sum()
}

fn class_values(
    model: &Model<'_>,
    reach: &Reach,
    packing: &Packing,
    items: &[Item],
    values: &[i64],
) -> Vec<ClassValue> {
    let mut found = Vec::new();
    for (row, value) in packing.rows.iter().zip(values) {
        for item in &row.items {
            let class = items[*item].class;
            let served = usize::try_from(reach.served[class]).unwrap_or(0);
            let pods = model.classes[class].pods.iter().take(served);
            found.push(ClassValue {
                pods: pods.map(|pending| pending.pod.key.clone()).collect(),
                is_anywhere: reach.is_anywhere[class],
                value: *value,
            });
        }
    }
    found
}
