//! Bins that cannot have a pattern worth asking for, told without looking at their pods.
//!
//! For any prices M ≥ 0 of the dimensions, what a bin's pods are worth is at most
//! M·free + Σ cap × max(0, value − M·size) (Lagrange). The sum is the same for all
//! bins with one menu, so a price vector that was found for one bin bounds every
//! other one for a few multiplications. Bins that are alike in prices and sizes,
//! as most are, are screened by what their neighbours were asked with.
//! Cost: a bin is a price vector × dimensions; a price vector is rows × menus.

use std::collections::VecDeque;

use crate::fill::Filler;
use crate::packing::{Packing, admits};
use crate::params::SCREENS_MAX;

/// Bounds of bins under values of rows.
pub(crate) struct Screens<'a> {
    values: &'a [f64],
    caps: Vec<f64>,
    screens: VecDeque<Screen>,
}

struct Screen {
    prices: Vec<f64>,
    /// By menu, what its rows are worth beyond the prices, all of them taken.
    excess: Vec<f64>,
}

impl<'a> Screens<'a> {
    /// No screens yet, for these values of so many pods.
    pub(crate) fn new(packing: &Packing, values: &'a [f64], left: &[i64]) -> Self {
        let rows = left.iter().enumerate();
        Self {
            values,
            caps: rows
                .map(|(row, left)| packing.most(row).min(*left) as f64)
                .collect(),
            screens: VecDeque::new(),
        }
    }

    /// Takes a price vector in, and the oldest out where there are many.
    pub(crate) fn add(&mut self, filler: &Filler<'_>, prices: &[f64]) {
        let packing = filler.packing;
        let mut excess = vec![0.0; packing.menus.len()];
        for (row, value) in self.values.iter().enumerate() {
            let sizes = filler.size(row).iter().zip(prices);
            let beyond = (value - sizes.map(|(size, price)| size * price).sum::<f64>()) * self.caps[row];
            if beyond > 0.0 {
                let menus = packing.menus.iter().zip(&mut excess);
                menus
                    .filter(|(menu, _)| admits(menu, row))
                    .for_each(|(_, excess)| *excess += beyond);
            }
        }
        if self.screens.len() >= SCREENS_MAX {
            self.screens.pop_front();
        }
        self.screens.push_back(Screen {
            prices: prices.to_vec(),
            excess,
        });
    }

    /// The most that a bin's pods can be worth, as far as the screens tell.
    pub(crate) fn bound(&self, filler: &Filler<'_>, bin: usize) -> f64 {
        let (free, menu) = (filler.capacity(bin), filler.packing.bins[bin].menu);
        let bounds = self.screens.iter().map(|screen| {
            let priced = screen.prices.iter().zip(free);
            priced.map(|(price, free)| price * free).sum::<f64>() + screen.excess[menu]
        });
        bounds.fold(f64::INFINITY, f64::min)
    }
}
