//! How a node is filled when each pod has a value: greedily, in several orders.
//!
//! The knapsack over a bin asks for the most value; value per weighted size,
//! for a few weightings of the dimensions, is the classical greedy for it
//! (Panigrahy et al. 2011 compare such rules for vector packing), and plain
//! value or size first serves bins that hold few pods. Orders are sorted once
//! for all bins; a bin walks them and stops when nothing is left that fits.
//! Cost: orders × rows walked, no division by pods. Amounts are whole numbers
//! below 2^53 in floating point, so they are exact.

use crate::packing::{Packing, admits};
use crate::params::{FILL_PATIENCE, WEIGHTINGS_MAX};
use crate::relaxed_knapsack::{Kind, RelaxedKnapsack};

/// Pods on one node: row and count.
pub(crate) type Picks = Vec<(usize, i64)>;

/// A packing's sizes as floating point, for the inner loop.
#[derive(Clone, Debug)]
pub(crate) struct Filler<'a> {
    /// The packing.
    pub(crate) packing: &'a Packing,
    sizes: Vec<f64>,
    frees: Vec<f64>,
    most: Vec<f64>,
    least: Vec<f64>,
    menu_rows: Vec<Vec<usize>>,
    /// Weightings of the dimensions.
    weightings: Vec<Vec<f64>>,
    free: Vec<f64>,
    knapsack: RelaxedKnapsack,
    /// Prices of the dimensions in the bin relaxed last.
    pub(crate) unit_prices: Vec<f64>,
    /// Rows walked so far.
    pub(crate) work: u64,
}

/// By menu, orders in which its rows enter, best first.
pub(crate) type Orders = Vec<Vec<Vec<usize>>>;

/// One filled node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fill {
    /// Its pods.
    pub(crate) picks: Picks,
    /// What they are worth together.
    pub(crate) value: f64,
}

impl<'a> Filler<'a> {
    /// Prepares a packing; `prices` say what a unit of each dimension costs.
    pub(crate) fn new(packing: &'a Packing, prices: &[f64]) -> Self {
        let as_float = |whole: &Vec<i64>| whole.iter().map(|each| *each as f64).collect();
        let sizes: Vec<f64> = as_float(&packing.sizes);
        let least = (0..packing.dims)
            .map(|dim| {
                let of_rows = sizes.chunks_exact(packing.dims).map(|size| size[dim]);
                of_rows.fold(f64::INFINITY, f64::min)
            })
            .collect();
        let most = (0..packing.rows.len())
            .map(|row| packing.most(row) as f64)
            .collect();
        Self {
            frees: as_float(&packing.frees),
            weightings: weightings(prices),
            menu_rows: packing.menus.iter().map(|menu| rows_of(packing, menu)).collect(),
            sizes,
            least,
            most,
            free: vec![0.0; packing.dims],
            knapsack: RelaxedKnapsack::default(),
            unit_prices: Vec::new(),
            packing,
            work: 0,
        }
    }

    /// One row's size.
    pub(crate) fn size(&self, row: usize) -> &[f64] {
        &self.sizes[row * self.packing.dims..(row + 1) * self.packing.dims]
    }

    /// What one bin has.
    pub(crate) fn capacity(&self, bin: usize) -> &[f64] {
        &self.frees[bin * self.packing.dims..(bin + 1) * self.packing.dims]
    }

    /// A row's size in the weighting of prices.
    pub(crate) fn weight(&self, row: usize) -> f64 {
        dot(&self.weightings[0], self.size(row))
    }

    /// Orders for rows with these values, those without value or pods left out.
    pub(crate) fn orders(&mut self, values: &[f64], left: &[i64]) -> Orders {
        let worth: Vec<usize> = (0..values.len())
            .filter(|row| values[*row] > 0.0 && left[*row] > 0)
            .collect();
        let by = |score: &dyn Fn(usize) -> f64| -> Vec<usize> {
            let mut scored: Vec<(f64, usize)> = worth.iter().map(|row| (score(*row), *row)).collect();
            scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            scored.into_iter().map(|(_, row)| row).collect()
        };
        let mut orders: Vec<Vec<usize>> = self
            .weightings
            .iter()
            .map(|weighting| by(&|row| values[row] / dot(weighting, self.size(row)).max(1e-9)))
            .collect();
        orders.push(by(&|row| values[row]));
        let menus = self.packing.menus.iter();
        let of_menu = |menu: &Vec<u64>| {
            let admitted =
                |order: &Vec<usize>| order.iter().copied().filter(|row| admits(menu, *row)).collect();
            orders.iter().map(admitted).collect()
        };
        self.work += (worth.len() * orders.len() * (4 + self.packing.menus.len() / 2)) as u64;
        menus.map(of_menu).collect()
    }

    /// Fills a bin in this order of rows that it admits.
    pub(crate) fn fill(&mut self, bin: usize, order: &[usize], values: &[f64], left: &[i64]) -> Fill {
        let dims = self.packing.dims;
        self.free
            .copy_from_slice(&self.frees[bin * dims..(bin + 1) * dims]);
        let mut fill = Fill::default();
        let mut missed = 0;
        for (rank, row) in order.iter().copied().enumerate() {
            let size = &self.sizes[row * dims..(row + 1) * dims];
            let copies = copies(size, &self.free, self.most[row].min(left[row] as f64));
            if copies < 1.0 {
                missed += 1;
                if missed > FILL_PATIENCE {
                    self.work += rank as u64;
                    return fill;
                }
                continue;
            }
            missed = 0;
            for (free, wanted) in self.free.iter_mut().zip(size) {
                *free -= wanted * copies;
            }
            fill.value += values[row] * copies;
            fill.picks.push((row, copies as i64));
            if self
                .free
                .iter()
                .zip(&self.least)
                .any(|(free, least)| free < least)
            {
                self.work += rank as u64;
                return fill;
            }
        }
        self.work += order.len() as u64;
        fill
    }

    /// Solves the bin's knapsack with fractions, some pods being there already, and
    /// completes the whole part of that greedily. Returns the bound for what is
    /// added, and the fill (those there included) where that exceeds `enough`.
    pub(crate) fn relaxed(
        &mut self,
        bin: usize,
        start: &Picks,
        values: &[f64],
        left: &[i64],
        enough: f64,
    ) -> (f64, Option<Fill>) {
        let dims = self.packing.dims;
        self.free
            .copy_from_slice(&self.frees[bin * dims..(bin + 1) * dims]);
        let mut whole = Fill {
            picks: start.clone(),
            value: 0.0,
        };
        for (row, count) in start {
            let size = &self.sizes[row * dims..(row + 1) * dims];
            let pairs = self.free.iter_mut().zip(size);
            pairs.for_each(|(free, wanted)| *free -= wanted * *count as f64);
            whole.value += values[*row] * *count as f64;
        }
        let free = self.free.as_slice();
        let there = |row: usize| {
            start
                .iter()
                .find(|(known, _)| *known == row)
                .map_or(0, |(_, count)| *count)
        };
        let mut relaxed = std::mem::take(&mut self.knapsack);
        let work = relaxed.work;
        relaxed.clear(dims);
        let rows = &self.menu_rows[self.packing.bins[bin].menu];
        for (row, value) in rows.iter().map(|row| (*row, &values[*row])) {
            if *value <= 0.0 || left[row] <= 0 {
                continue;
            }
            let size = &self.sizes[row * dims..(row + 1) * dims];
            let most = self.most[row].min(left[row] as f64) - there(row) as f64;
            let cap = copies(size, free, most);
            if cap >= 1.0 {
                let kind = Kind {
                    row,
                    value: *value,
                    cap,
                };
                relaxed.add(kind, size, free);
            }
        }
        let bound = relaxed.solve();
        self.work += relaxed.work - work + rows.len() as u64;
        let prices = relaxed.unit_prices(free);
        let fill = (bound > enough).then(|| self.completed(whole, &relaxed, &prices));
        self.unit_prices = prices;
        self.knapsack = relaxed;
        (bound, fill)
    }

    /// The whole part of a fractional fill, completed in the better of three orders.
    fn completed(&mut self, mut whole: Fill, relaxed: &RelaxedKnapsack, prices: &[f64]) -> Fill {
        let dims = self.packing.dims;
        let mut rest: Vec<Kind> = Vec::with_capacity(relaxed.kinds.len());
        for (kind, amount) in relaxed.kinds.iter().zip(&relaxed.amounts) {
            let size = &self.sizes[kind.row * dims..(kind.row + 1) * dims];
            let count = copies(size, &self.free, (amount + 1e-9).floor().min(kind.cap));
            if count >= 1.0 {
                self.free
                    .iter_mut()
                    .zip(size)
                    .for_each(|(free, wanted)| *free -= wanted * count);
                add(&mut whole.picks, kind.row, count as i64);
                whole.value += kind.value * count;
            }
            let cap = kind.cap - count.max(0.0);
            if cap >= 1.0 && copies(size, &self.free, 1.0) >= 1.0 {
                rest.push(Kind { cap, ..*kind });
            }
        }
        let density = |kind: &Kind| kind.value / (dot(prices, self.size(kind.row)) + kind.value * 1e-3);
        let mut by_density: Vec<(f64, Kind)> = rest.iter().map(|kind| (density(kind), *kind)).collect();
        by_density.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.row.cmp(&b.1.row)));
        let mut by_value: Vec<(f64, Kind)> = rest.iter().map(|kind| (kind.value, *kind)).collect();
        by_value.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.row.cmp(&b.1.row)));
        self.work += 20 * rest.len() as u64;
        let start = self.free.clone();
        let mut best = whole.clone();
        for order in [by_density, by_value] {
            self.free.copy_from_slice(&start);
            let mut fill = whole.clone();
            for (_, kind) in order {
                let size = &self.sizes[kind.row * dims..(kind.row + 1) * dims];
                let count = copies(size, &self.free, kind.cap);
                if count < 1.0 {
                    continue;
                }
                self.free
                    .iter_mut()
                    .zip(size)
                    .for_each(|(free, wanted)| *free -= wanted * count);
                fill.value += kind.value * count;
                add(&mut fill.picks, kind.row, count as i64);
            }
            if fill.value > best.value {
                best = fill;
            }
        }
        best
    }

    /// The fill of most value among the orders.
    pub(crate) fn best_walked(&mut self, bin: usize, orders: &Orders, values: &[f64], left: &[i64]) -> Fill {
        let mut best = Fill::default();
        for order in &orders[self.packing.bins[bin].menu] {
            let fill = self.fill(bin, order, values, left);
            if fill.value > best.value {
                best = fill;
            }
        }
        best
    }

    /// The fill of most value among the orders, or near the relaxation's.
    pub(crate) fn best(&mut self, bin: usize, orders: &Orders, values: &[f64], left: &[i64]) -> Fill {
        let best = self.best_walked(bin, orders, values, left);
        match self.relaxed(bin, &Picks::new(), values, left, best.value).1 {
            Some(fill) if fill.value > best.value => fill,
            _ => best,
        }
    }
}

fn add(picks: &mut Picks, row: usize, count: i64) {
    match picks.iter_mut().find(|(known, _)| *known == row) {
        Some((_, sum)) => *sum += count,
        None => picks.push((row, count)),
    }
}

/// How many times a size fits, at most `most`; both below 2^53, so that the quotient's floor is exact.
pub(crate) fn copies(size: &[f64], free: &[f64], most: f64) -> f64 {
    let mut copies = most;
    for (wanted, there) in size.iter().zip(free) {
        if *wanted > 0.0 {
            copies = copies.min((there / wanted) as i64 as f64);
        }
    }
    copies
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn rows_of(packing: &Packing, menu: &[u64]) -> Vec<usize> {
    (0..packing.rows.len()).filter(|row| admits(menu, *row)).collect()
}

/// The prices themselves, and each dimension of a price raised.
fn weightings(prices: &[f64]) -> Vec<Vec<f64>> {
    let mut weightings = vec![prices.to_vec()];
    for dim in (0..prices.len())
        .filter(|dim| prices[*dim] > 0.0)
        .take(WEIGHTINGS_MAX)
    {
        let mut weighting = prices.to_vec();
        weighting[dim] *= 4.0;
        weightings.push(weighting);
    }
    weightings
}
