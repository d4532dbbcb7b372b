//! What the whole cluster cannot cost less than, proved by integers.
//!
//! Give each pod that may move a value such that no node on offer can hold pods
//! worth more than it costs ([`crate::bound`]). Whatever is kept and bought then,
//! the nodes bought cost at least what their pods are worth; a node that stays
//! costs its price and takes pods worth at most its free room's knapsack; one that
//! may go is given back, or costs its price and holds at most its own knapsack. So
//! Σ staying prices + Σ values − Σ room worths − Σ max(0, worth − price) is a bound
//! for any values, and for all of them scaled down alike: that is done to where it
//! is highest, which is at a node whose worth then equals its price.

use std::collections::BTreeMap;

use spotocean_core::money::PricePerHour;

use super::ground::{Ground, count};
use super::worth::{Reach, Worth};
use crate::bound;
use crate::column_generation;
use crate::dimension;
use crate::knapsack::Knapsack;
use crate::packing::{self, Measure, Packing, admits};
use crate::params::{BOUND_SEARCH_WORK, VALUE_SCALE};
use crate::relaxed_knapsack::RelaxedKnapsack;

/// What values come to.
struct Proof {
    /// All pods that may move, in fixed point.
    pods: i128,
    /// The most that fits the free room of nodes that stay.
    room: i128,
    /// By node that may go: the most that it holds, and its price in fixed point.
    nodes: Vec<(i128, i128)>,
}

/// The bound.
pub(super) fn lower_bound(ground: &Ground<'_>) -> PricePerHour {
    let staying = ground
        .lots
        .iter()
        .filter(|lot| !lot.is_removable)
        .map(|lot| i128::from(lot.price()));
    let staying: i128 = staying.sum();
    // A plan may have to leave the first level of preference; the bound is to hold then too.
    let worth = Worth::of(&ground.model, &ground.lots, Reach::Anywhere, Measure::Price);
    let mut steps = BOUND_SEARCH_WORK;
    let proved = worth.hints.iter().map(|hint| {
        let hint = column_generation::fixed(hint);
        let values = bound::scaled(&worth.packing, &worth.counts, &hint, &mut steps);
        proof(ground, &worth, &values).bound() / i128::from(VALUE_SCALE)
    });
    let bound = staying + proved.max().unwrap_or(0).max(0);
    PricePerHour(i64::try_from(bound).unwrap_or(i64::MAX))
}

impl Proof {
    /// The best bound among all ways to scale the values down, in fixed point.
    fn bound(&self) -> i128 {
        let scales = self.nodes.iter().filter(|(worth, price)| worth > price).copied();
        let mut scales: Vec<(i128, i128)> = scales.chain([(1, 1)]).collect();
        // Few differ; the largest scale first.
        scales.sort_by(|a, b| (b.1 * a.0).cmp(&(a.1 * b.0)));
        scales.dedup_by(|a, b| a.1 * b.0 == b.1 * a.0);
        // Concave along the scales: past the top it only falls.
        let mut best = i128::MIN;
        for (worth, price) in scales {
            let bound = self.scaled(price, worth);
            if bound < best {
                break;
            }
            best = bound;
        }
        best
    }

    /// The bound with all values times `above / below`.
    fn scaled(&self, above: i128, below: i128) -> i128 {
        let excess = self
            .nodes
            .iter()
            .map(|(worth, price)| (worth * above - price * below).max(0));
        let sum = (self.pods - self.room) * above - excess.sum::<i128>();
        sum.div_euclid(below)
    }
}

fn proof(ground: &Ground<'_>, worth: &Worth, values: &[i64]) -> Proof {
    let mut sites = packing::on_sites(&ground.model, &worth.packing, &worth.items);
    let bins: BTreeMap<usize, usize> = sites
        .bins
        .iter()
        .enumerate()
        .map(|(bin, site)| (site.offer, bin))
        .collect();
    let row_of = row_of(ground, worth);
    let pods = values.iter().zip(&worth.counts);
    let mut proof = Proof {
        pods: pods
            .map(|(value, count)| i128::from(*value) * i128::from(*count))
            .sum(),
        room: 0,
        nodes: Vec::new(),
    };
    let mut known: BTreeMap<(Vec<i64>, Vec<u64>), i128> = BTreeMap::new();
    for (site, lot) in ground.lots.iter().enumerate() {
        let bin = bins.get(&site).copied();
        let own: Vec<(usize, i64)> = lot
            .tenants
            .iter()
            .map(|(class, own)| (*class, count(own.len())))
            .collect();
        if lot.is_removable {
            let price = i128::from(lot.price()) * i128::from(VALUE_SCALE);
            let mut most = bin.map_or(0, |bin| most(&sites, bin, values, &worth.counts, &mut known));
            if !bin.is_some_and(|bin| holds(&sites, bin, &own, &row_of)) {
                most += own_worth(&own, &row_of, values);
            }
            proof.nodes.push((most, price));
        } else if let Some(bin) = bin {
            occupy(ground, &mut sites, bin, &own);
            proof.room += most(&sites, bin, values, &worth.counts, &mut known);
        }
    }
    proof
}

/// By class, its row.
fn row_of(ground: &Ground<'_>, worth: &Worth) -> Vec<Option<usize>> {
    let mut row_of = vec![None; ground.model.classes.len()];
    for (row, described) in worth.packing.rows.iter().enumerate() {
        for item in &described.items {
            row_of[worth.items[*item].class] = Some(row);
        }
    }
    row_of
}

/// The most that a node's pods can be worth; nodes alike are asked once.
fn most(
    sites: &Packing,
    bin: usize,
    values: &[i64],
    counts: &[i64],
    known: &mut BTreeMap<(Vec<i64>, Vec<u64>), i128>,
) -> i128 {
    let key = (sites.free(bin).to_vec(), sites.menu(bin).to_vec());
    *known
        .entry(key)
        .or_insert_with(|| Knapsack::new(sites, bin, values, counts, &mut RelaxedKnapsack::default()).bound())
}

/// Whether the node's own pods are among those that its knapsack could choose.
fn holds(sites: &Packing, bin: usize, own: &[(usize, i64)], row_of: &[Option<usize>]) -> bool {
    let mut free = sites.free(bin).to_vec();
    let mut by_row: BTreeMap<usize, i64> = BTreeMap::new();
    for (class, count) in own {
        // A pod without a row has no value, and takes room from others at most.
        if let Some(row) = row_of[*class] {
            *by_row.entry(row).or_default() += count;
        }
    }
    by_row.into_iter().all(|(row, count)| {
        let size = sites.size(row);
        let fits = dimension::copies(size, &free, count) >= count;
        dimension::subtract(&mut free, size, count);
        fits && admits(sites.menu(bin), row) && sites.most(row) >= count
    })
}

fn own_worth(own: &[(usize, i64)], row_of: &[Option<usize>], values: &[i64]) -> i128 {
    let each = own
        .iter()
        .filter_map(|(class, count)| Some((row_of[*class]?, *count)));
    each.map(|(row, count)| i128::from(values[row]) * i128::from(count))
        .sum()
}

/// Takes the room of pods that stay where they are.
fn occupy(ground: &Ground<'_>, sites: &mut Packing, bin: usize, own: &[(usize, i64)]) {
    let dims = sites.dims;
    let free = &mut sites.frees[bin * dims..(bin + 1) * dims];
    for (class, count) in own {
        // Resources come first among a packing's dimensions.
        dimension::subtract(free, &ground.model.requests[*class], *count);
    }
    free.iter_mut().for_each(|free| *free = (*free).max(0));
}
