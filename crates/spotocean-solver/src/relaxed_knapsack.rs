//! The knapsack of one bin with fractions allowed.
//!
//! max value·a subject to Σ size a ≤ free, 0 ≤ a ≤ cap: a linear program with as
//! many rows as there are dimensions, however many kinds of pods. Method: primal
//! simplex with bounded variables (Dantzig 1955; Chvátal 1983, chapter 8) from
//! the empty node. Its dual prices the dimensions and with that bounds the whole
//! knapsack; its solution is whole but for as many rows as dimensions, which is
//! where good patterns are found. Cost: some ten steps of kinds × dimensions.

use crate::params::{KNAPSACK_PIVOTS, PIVOT_MIN};

/// A kind of pod that may go in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Its row.
    pub(crate) row: usize,
    /// What one is worth.
    pub(crate) value: f64,
    /// The most that fit or are there.
    pub(crate) cap: f64,
}

/// The program, kept to be used again for the next bin.
#[derive(Clone, Debug, Default)]
pub(crate) struct RelaxedKnapsack {
    dims: usize,
    /// What may go in.
    pub(crate) kinds: Vec<Kind>,
    /// Sizes relative to what is free, kind after kind.
    sizes: Vec<f64>,
    /// Amount of each kind.
    pub(crate) amounts: Vec<f64>,
    is_full: Vec<bool>,
    is_basic: Vec<bool>,
    /// By position: a kind, or kinds + dimension for what stays free.
    basis: Vec<usize>,
    inverse: Vec<f64>,
    levels: Vec<f64>,
    /// Price of the whole of each dimension.
    prices: Vec<f64>,
    /// Elementary operations so far.
    pub(crate) work: u64,
}

/// A step: who enters, up or down, and along which direction.
struct Step {
    entering: usize,
    sign: f64,
    direction: Vec<f64>,
}

impl RelaxedKnapsack {
    /// Starts anew with an empty node.
    pub(crate) fn clear(&mut self, dims: usize) {
        self.dims = dims;
        self.kinds.clear();
        self.sizes.clear();
    }

    /// Adds a kind.
    pub(crate) fn add(&mut self, kind: Kind, size: &[f64], free: &[f64]) {
        self.kinds.push(kind);
        let shares = size.iter().zip(free);
        self.sizes
            .extend(shares.map(|(size, free)| if *free > 0.0 { size / free } else { 0.0 }));
    }

    /// Solves, and returns the bound that the dual prices give.
    pub(crate) fn solve(&mut self) -> f64 {
        let (dims, kinds) = (self.dims, self.kinds.len());
        self.amounts.clear();
        self.amounts.resize(kinds, 0.0);
        self.is_full.clear();
        self.is_full.resize(kinds, false);
        self.is_basic.clear();
        self.is_basic.resize(kinds + dims, false);
        self.is_basic[kinds..].fill(true);
        self.basis.clear();
        self.basis.extend(kinds..kinds + dims);
        self.levels.clear();
        self.levels.resize(dims, 1.0);
        self.prices.clear();
        self.prices.resize(dims, 0.0);
        self.inverse.clear();
        self.inverse.resize(dims * dims, 0.0);
        (0..dims).for_each(|dim| self.inverse[dim * dims + dim] = 1.0);
        for _ in 0..KNAPSACK_PIVOTS {
            let Some(step) = self.entering() else { break };
            self.advance(&step);
        }
        for position in 0..dims {
            if let Some(amount) = self.amounts.get_mut(self.basis[position]) {
                *amount = self.levels[position];
            }
        }
        self.bound()
    }

    /// Dual prices by dimension, per unit.
    pub(crate) fn unit_prices(&self, free: &[f64]) -> Vec<f64> {
        let prices = self.prices.iter().zip(free);
        prices
            .map(|(price, free)| if *free > 0.0 { price.max(0.0) / free } else { 0.0 })
            .collect()
    }

    fn size(&self, kind: usize) -> &[f64] {
        &self.sizes[kind * self.dims..(kind + 1) * self.dims]
    }

    fn bound(&self) -> f64 {
        let base: f64 = self.prices.iter().map(|price| price.max(0.0)).sum();
        let excess = self.kinds.iter().enumerate().map(|(index, kind)| {
            let size = self.size(index).iter().zip(&self.prices);
            let weight: f64 = size.map(|(size, price)| size * price.max(0.0)).sum();
            (kind.value - weight).max(0.0) * kind.cap
        });
        base + excess.sum::<f64>()
    }

    /// The kind (or slack) by which most is won, if any.
    fn entering(&mut self) -> Option<Step> {
        let (dims, kinds) = (self.dims, self.kinds.len());
        self.work += (kinds * dims) as u64 + 20;
        let mut best = (1e-9, None);
        for (index, kind) in self.kinds.iter().enumerate() {
            if self.is_basic[index] {
                continue;
            }
            let size = self.size(index).iter().zip(&self.prices);
            let weight: f64 = size.map(|(size, price)| size * price).sum();
            let gain = if self.is_full[index] {
                weight - kind.value
            } else {
                kind.value - weight
            };
            let relative = gain / kind.value.max(1e-12);
            if relative > 1e-9 && gain * kind.cap > best.0 {
                let sign = if self.is_full[index] { -1.0 } else { 1.0 };
                best = (gain * kind.cap, Some((index, sign)));
            }
        }
        for dim in (0..dims).filter(|dim| !self.is_basic[kinds + *dim]) {
            if -self.prices[dim] > best.0 {
                best = (-self.prices[dim], Some((kinds + dim, 1.0)));
            }
        }
        let (entering, sign) = best.1?;
        let column = |dim: usize| match entering.checked_sub(kinds) {
            Some(slack) => f64::from(u8::from(slack == dim)),
            None => self.sizes[entering * dims + dim],
        };
        let direction = self
            .inverse
            .chunks_exact(dims.max(1))
            .map(|line| (0..dims).map(|dim| line[dim] * column(dim)).sum())
            .collect();
        Some(Step {
            entering,
            sign,
            direction,
        })
    }

    fn cap(&self, variable: usize) -> f64 {
        self.kinds.get(variable).map_or(f64::INFINITY, |kind| kind.cap)
    }

    /// Moves along a step until something is at its bound.
    fn advance(&mut self, step: &Step) {
        let mut length = self.cap(step.entering);
        let mut leaving = None;
        for (position, along) in step.direction.iter().enumerate() {
            let fall = along * step.sign;
            let room = if fall > PIVOT_MIN {
                self.levels[position].max(0.0) / fall
            } else if fall < -PIVOT_MIN {
                (self.cap(self.basis[position]) - self.levels[position]).max(0.0) / -fall
            } else {
                continue;
            };
            if room < length {
                (length, leaving) = (room, Some((position, fall < 0.0)));
            }
        }
        if !length.is_finite() {
            return;
        }
        for (level, along) in self.levels.iter_mut().zip(&step.direction) {
            *level -= along * step.sign * length;
        }
        let Some((position, at_cap)) = leaving else {
            let flips = &mut self.is_full[step.entering];
            *flips = !*flips;
            self.amounts[step.entering] = if *flips { length } else { 0.0 };
            return;
        };
        let start = if step.sign < 0.0 {
            self.cap(step.entering)
        } else {
            0.0
        };
        let left = self.basis[position];
        if let Some(full) = self.is_full.get_mut(left) {
            *full = at_cap;
            self.amounts[left] = if at_cap { self.kinds[left].cap } else { 0.0 };
        }
        if let Some(full) = self.is_full.get_mut(step.entering) {
            *full = false;
        }
        self.is_basic[left] = false;
        self.is_basic[step.entering] = true;
        self.basis[position] = step.entering;
        self.levels[position] = start + step.sign * length;
        self.eliminate(position, &step.direction);
    }

    fn eliminate(&mut self, position: usize, direction: &[f64]) {
        let dims = self.dims;
        let scale = 1.0 / direction[position];
        let line: Vec<f64> = self.inverse[position * dims..(position + 1) * dims]
            .iter()
            .map(|each| each * scale)
            .collect();
        for (row, much) in direction.iter().enumerate().filter(|(row, _)| *row != position) {
            for (to, from) in self.inverse[row * dims..(row + 1) * dims].iter_mut().zip(&line) {
                *to -= much * from;
            }
        }
        self.inverse[position * dims..(position + 1) * dims].copy_from_slice(&line);
        self.prices.fill(0.0);
        for (row, variable) in self.basis.iter().enumerate() {
            let value = self.kinds.get(*variable).map_or(0.0, |kind| kind.value);
            let line = &self.inverse[row * dims..(row + 1) * dims];
            for (price, each) in self.prices.iter_mut().zip(line) {
                *price += value * each;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dual_bound_is_the_fractional_optimum() {
        // Values, sizes in a node of 10 and 10, caps, and the optimum.
        type Row = (&'static [(f64, [f64; 2], f64)], f64);
        let rows: [Row; 4] = [
            (&[(5.0, [2.0, 1.0], 9.0)], 25.0),
            (&[(5.0, [2.0, 1.0], 9.0), (5.0, [1.0, 2.0], 9.0)], 100.0 / 3.0),
            (&[(5.0, [2.0, 1.0], 2.0), (1.0, [1.0, 1.0], 99.0)], 16.0),
            (&[(3.0, [0.0, 1.0], 4.0), (1.0, [5.0, 5.0], 99.0)], 13.2),
        ];
        for (kinds, expected) in rows {
            let mut knapsack = RelaxedKnapsack::default();
            knapsack.clear(2);
            for (row, (value, size, cap)) in kinds.iter().enumerate() {
                let kind = Kind {
                    row,
                    value: *value,
                    cap: *cap,
                };
                knapsack.add(kind, size, &[10.0, 10.0]);
            }
            let bound = knapsack.solve();
            assert!(
                (bound - expected).abs() < 1e-6,
                "{kinds:?}: {bound}, not {expected}"
            );
            let amounts = kinds.iter().zip(&knapsack.amounts);
            let value: f64 = amounts.map(|((value, ..), amount)| value * amount).sum();
            assert!(
                (value - expected).abs() < 1e-6,
                "{kinds:?}: worth {value}, not {expected}"
            );
        }
    }
}
