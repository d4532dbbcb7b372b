//! The most that a node's pods can be worth: an upper bound, by integers alone.
//!
//! Problem: max Σ value·a subject to sizes, a ≤ cap: a bounded knapsack in a few
//! dimensions, NP-hard. Bound: for any prices M ≥ 0 of the dimensions,
//! K ≤ M·free + Σ max(0, value − M·size)·cap (Lagrange); the best M is looked for
//! in floating point, the bound is then counted in i128 and holds for whatever M
//! it is. Where that exceeds what is to be shown, a depth-first search over rows,
//! densest first, keeps to patterns whose loss against the bound is small enough,
//! and whose rest could still be worth enough for any one dimension alone. A row
//! that another one beats in value and size is not used before that one is used
//! up. The search ends with a better pattern, with proof that there is none, or
//! without work left. Source: Martello and Toth, Knapsack Problems, 1990, chapters 2 and 3.

use crate::fill::Picks;
use crate::packing::{Packing, admits};
use crate::params::{DOMINATORS_ASKED, DOMINATORS_MAX};
use crate::relaxed_knapsack::{Kind, RelaxedKnapsack};

/// Fixed point of dimension prices, so that a byte has a price.
pub(crate) const FRACTION_BITS: u32 = 24;

/// The knapsack of one bin.
#[derive(Clone, Debug)]
pub(crate) struct Knapsack<'a> {
    packing: &'a Packing,
    bin: usize,
    counts: &'a [i64],
    /// Rows with a value that fit, with value and cap.
    rows: Vec<(usize, i64, i64)>,
    /// Dimension prices, fixed point.
    prices: Vec<i64>,
    /// How many of each the relaxation takes.
    amounts: Vec<f64>,
    /// The bound under them, fixed point.
    bound: i128,
}

/// What a search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No pattern is worth more than the target.
    Holds,
    /// This one is.
    Exceeds(Picks),
    /// Not known.
    Open,
}

impl<'a> Knapsack<'a> {
    /// The knapsack of `bin` where a pod of each row is worth `values` (fixed point).
    pub(crate) fn new(
        packing: &'a Packing,
        bin: usize,
        values: &[i64],
        counts: &'a [i64],
        relaxed: &mut RelaxedKnapsack,
    ) -> Self {
        let menu = packing.menu(bin);
        let rows = (0..packing.rows.len())
            .filter(|row| values[*row] > 0 && counts[*row] > 0 && admits(menu, *row))
            .map(|row| (row, values[row], packing.copies(row, bin, counts[row])))
            .filter(|(.., cap)| *cap > 0)
            .collect();
        let mut knapsack = Self {
            packing,
            bin,
            counts,
            rows,
            prices: vec![0; packing.dims],
            amounts: Vec::new(),
            bound: 0,
        };
        knapsack.choose_prices(relaxed);
        knapsack
    }

    /// An upper bound of the pods' worth.
    pub(crate) fn bound(&self) -> i128 {
        // Rounded up: whole values are worth whole amounts.
        self.bound >> FRACTION_BITS
    }

    /// The dimensions whose room is worth most to this bin's pods, dearest first.
    pub(crate) fn dearest(&self) -> Vec<usize> {
        let mut dims: Vec<usize> = (0..self.packing.dims).collect();
        let worth = |dim: &usize| i128::from(self.prices[*dim]) * i128::from(self.free()[*dim]);
        dims.sort_by_key(|dim| std::cmp::Reverse(worth(dim)));
        dims
    }

    /// What so much of some dimensions costs at this bin's prices, fixed point.
    pub(crate) fn charge(&self, amounts: &[i64], dims: &[usize]) -> i128 {
        let each = dims.iter();
        each.map(|dim| i128::from(self.prices[*dim]) * i128::from(amounts[*dim]))
            .sum()
    }

    fn free(&self) -> &'a [i64] {
        self.packing.free(self.bin)
    }

    /// The dual prices of the relaxation, in fixed point.
    fn choose_prices(&mut self, relaxed: &mut RelaxedKnapsack) {
        let free: Vec<f64> = self.free().iter().map(|free| *free as f64).collect();
        relaxed.clear(free.len());
        for (row, value, cap) in &self.rows {
            let size: Vec<f64> = self.packing.size(*row).iter().map(|size| *size as f64).collect();
            let kind = Kind {
                row: *row,
                value: *value as f64,
                cap: *cap as f64,
            };
            relaxed.add(kind, &size, &free);
        }
        relaxed.solve();
        self.amounts.clone_from(&relaxed.amounts);
        let fixed = |price: f64| (price * f64::from(1_u32 << FRACTION_BITS)) as i64;
        self.prices = relaxed.unit_prices(&free).into_iter().map(fixed).collect();
        let excess = self
            .rows
            .iter()
            .map(|each| self.excess(each).max(0) * i128::from(each.2));
        self.bound = self.base() + excess.sum::<i128>();
    }

    fn base(&self) -> i128 {
        weigh(&self.prices, self.free())
    }

    /// What one pod of a row is worth beyond what it takes, fixed point.
    fn excess(&self, (row, value, _): &(usize, i64, i64)) -> i128 {
        (i128::from(*value) << FRACTION_BITS) - weigh(&self.prices, self.packing.size(*row))
    }

    /// Densest first, so that what dominates comes before what it dominates.
    fn rank(&self, rows: &mut [Candidate]) {
        let weight = |each: &Candidate| weigh(&self.prices, self.packing.size(each.row)).max(1);
        rows.sort_by(|a, b| {
            let (dense, other) = (i128::from(a.value) * weight(b), i128::from(b.value) * weight(a));
            other
                .cmp(&dense)
                .then_with(|| self.packing.size(a.row).cmp(self.packing.size(b.row)))
                .then(a.row.cmp(&b.row))
        });
        for later in 1..rows.len() {
            let dominates = |other: &usize| {
                let (a, b) = (&rows[*other], &rows[later]);
                let sizes = self.packing.size(a.row).iter().zip(self.packing.size(b.row));
                a.value >= b.value && sizes.into_iter().all(|(a, b)| a <= b)
            };
            let asked = (0..later).rev().take(DOMINATORS_ASKED);
            rows[later].dominators = asked.filter(dominates).take(DOMINATORS_MAX).collect();
        }
    }

    /// Looks for a pattern worth more than `target`, in at most `steps` steps.
    pub(crate) fn exceeds(&self, target: i128, steps: &mut u64) -> Verdict {
        let allowance = self.bound - (target << FRACTION_BITS);
        if allowance <= 0 || self.bound() <= target {
            return Verdict::Holds;
        }
        let each = self.rows.iter().zip(&self.amounts);
        let mut rows: Vec<Candidate> = each
            .map(|(each, amount)| Candidate {
                row: each.0,
                value: each.1,
                cap: each.2,
                available: self.counts[each.0].min(self.packing.most(each.0)),
                excess: self.excess(each),
                likely: amount.floor() as i64,
                dominators: Vec::new(),
            })
            .collect();
        // Rows that do not pay at all are out.
        rows.retain(|each| -each.excess < allowance);
        self.rank(&mut rows);
        let mut search = Search {
            knapsack: self,
            needs: needs(&rows, self.packing),
            densities: densities(&rows, self.packing),
            rows,
            free: self.free().to_vec(),
            counts: Vec::new(),
            steps,
        };
        search.counts = vec![0; search.rows.len()];
        match search.descend(0, allowance, target + 1) {
            Some(true) => {
                let counts = search.rows.iter().zip(&search.counts);
                let mut picks: Picks = counts
                    .filter(|(_, count)| **count > 0)
                    .map(|(each, count)| (each.row, *count))
                    .collect();
                picks.sort_unstable();
                Verdict::Exceeds(picks)
            }
            Some(false) => Verdict::Holds,
            None => Verdict::Open,
        }
    }
}

/// Fixed point of values per unit of a dimension.
const DENSITY_BITS: u32 = 20;

/// By position and dimension, the most that a unit is worth to any row from there
/// on, rounded up; `None` where a row needs none of it.
fn densities(rows: &[Candidate], packing: &Packing) -> Vec<Vec<Option<i128>>> {
    let mut densities = vec![vec![Some(0); packing.dims]; rows.len() + 1];
    for (position, each) in rows.iter().enumerate().rev() {
        let (head, tail) = densities.split_at_mut(position + 1);
        let sizes = packing.size(each.row).iter().zip(&tail[0]);
        for (to, (size, after)) in head[position].iter_mut().zip(sizes) {
            let own = (*size > 0).then(|| {
                let size = i128::from(*size);
                ((i128::from(each.value) << DENSITY_BITS) + size - 1) / size
            });
            *to = own.zip(*after).map(|(own, after)| own.max(after));
        }
    }
    densities
}

fn weigh(prices: &[i64], size: &[i64]) -> i128 {
    let each = prices.iter().zip(size);
    each.map(|(price, size)| i128::from(*price) * i128::from(*size))
        .sum()
}

/// By position, the most of each dimension that rows from there on can take.
fn needs(rows: &[Candidate], packing: &Packing) -> Vec<Vec<i128>> {
    let mut needs = vec![vec![0_i128; packing.dims]; rows.len() + 1];
    for (position, each) in rows.iter().enumerate().rev() {
        let (head, tail) = needs.split_at_mut(position + 1);
        let sizes = packing.size(each.row).iter().zip(&tail[0]);
        for (to, (size, after)) in head[position].iter_mut().zip(sizes) {
            *to = after + i128::from(*size) * i128::from(each.cap);
        }
    }
    needs
}

/// A row in the search.
#[derive(Clone, Debug)]
struct Candidate {
    row: usize,
    value: i64,
    /// The most that fit.
    cap: i64,
    /// How many there are for one node.
    available: i64,
    /// Worth of one beyond what it takes, fixed point.
    excess: i128,
    /// How many the relaxation takes, rounded down.
    likely: i64,
    /// Positions of rows that are worth no less and take no more.
    dominators: Vec<usize>,
}

impl Candidate {
    /// What is lost against the bound with so many of it: a row that pays loses by
    /// each pod left out, one that does not by each pod taken.
    fn lost(&self, count: i64) -> i128 {
        if self.excess > 0 {
            self.excess * i128::from(self.cap - count)
        } else {
            -self.excess * i128::from(count)
        }
    }
}

/// The depth-first search: what is lost against the bound may not reach the allowance.
struct Search<'k, 'a> {
    knapsack: &'k Knapsack<'a>,
    rows: Vec<Candidate>,
    needs: Vec<Vec<i128>>,
    densities: Vec<Vec<Option<i128>>>,
    free: Vec<i64>,
    counts: Vec<i64>,
    steps: &'k mut u64,
}

impl Search<'_, '_> {
    /// Whether rows from `position` on can be chosen so that less than `allowance` is
    /// lost and `wanted` more is won; `None` without steps left.
    fn descend(&mut self, position: usize, allowance: i128, wanted: i128) -> Option<bool> {
        *self.steps = self.steps.checked_sub(1)?;
        if self.least_slack(position) >= allowance || self.is_out_of_reach(position, wanted) {
            return Some(false);
        }
        if position == self.rows.len() {
            return Some(true);
        }
        let each = &self.rows[position];
        let (value, likely, pays) = (i128::from(each.value), each.likely, each.excess > 0);
        let size = self.knapsack.packing.size(each.row);
        let is_held_back = |other: &usize| self.counts[*other] < self.rows[*other].available;
        let most = if each.dominators.iter().any(is_held_back) {
            0
        } else {
            crate::dimension::copies(size, &self.free, each.cap)
        };
        let likely = likely.min(most);
        // As many as the relaxation takes first, then fewer, then more.
        for count in (0..=likely).rev().chain(likely + 1..=most) {
            let lost = self.rows[position].lost(count);
            if lost >= allowance {
                if !pays && count > likely {
                    break;
                }
                *self.steps = self.steps.checked_sub(1)?;
                continue;
            }
            crate::dimension::subtract(&mut self.free, size, count);
            self.counts[position] = count;
            let found = self.descend(position + 1, allowance - lost, wanted - value * i128::from(count));
            crate::dimension::subtract(&mut self.free, size, -count);
            if found != Some(false) {
                return found;
            }
        }
        self.counts[position] = 0;
        Some(false)
    }

    /// Whether what is free of some dimension is too little for so much worth.
    fn is_out_of_reach(&self, position: usize, wanted: i128) -> bool {
        let mut dims = self.free.iter().zip(&self.densities[position]);
        dims.any(|(free, density)| {
            density.is_some_and(|density| (density * i128::from((*free).max(0))) >> DENSITY_BITS < wanted)
        })
    }

    /// What stays free whatever the rows still to come take, at its price.
    fn least_slack(&self, position: usize) -> i128 {
        let free = self
            .free
            .iter()
            .zip(&self.needs[position])
            .zip(&self.knapsack.prices);
        free.map(|((free, needed), price)| (i128::from(*free) - needed).max(0) * i128::from(*price))
            .sum()
    }
}
