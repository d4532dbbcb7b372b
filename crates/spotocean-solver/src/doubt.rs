//! Which bins may hold pods worth more than they cost, and how that is settled.
//!
//! What fractions of pods tell ([`crate::knapsack`]) settles most bins. The others
//! are asked in groups, bins of like size that admit the same rows, with one table
//! over the states of their room ([`crate::grid`]); where its units are too coarse,
//! by search ([`Knapsack::exceeds`]), which is at its best with few large pods.

use crate::grid::{Question, Rounding, Table};
use crate::knapsack::{Knapsack, Verdict};
use crate::packing::Packing;
use crate::params::{BOUND_STEPS, BOUND_TARGETS, GROUP_RATIO, STEP_WORK, VALUE_SCALE};
use crate::relaxed_knapsack::RelaxedKnapsack;

/// A bin and what its pods can be worth at most, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Doubt {
    /// The bin.
    pub(crate) bin: usize,
    /// What it costs, in the fixed point of values.
    pub(crate) price: i128,
    /// What its pods are worth at most.
    pub(crate) bound: i128,
}

impl Doubt {
    /// Whether its pods may be worth more, for its price, than `most` for `price`.
    pub(crate) fn exceeds(&self, most: i128, price: i128) -> bool {
        self.bound * price > most * self.price
    }
}

/// All bins, those first whose pods may be worth most of their price.
pub(crate) struct Doubts<'a> {
    packing: &'a Packing,
    values: &'a [i64],
    counts: &'a [i64],
    /// The bins.
    pub(crate) bins: Vec<Doubt>,
}

impl<'a> Doubts<'a> {
    /// What fractions of pods tell, where a pod of each row is worth `values` (fixed point).
    pub(crate) fn of(packing: &'a Packing, values: &'a [i64], counts: &'a [i64]) -> Self {
        let mut relaxed = RelaxedKnapsack::default();
        let mut bins: Vec<Doubt> = (0..packing.bins.len())
            .map(|bin| Doubt {
                bin,
                price: i128::from(packing.bins[bin].price) * i128::from(VALUE_SCALE),
                bound: Knapsack::new(packing, bin, values, counts, &mut relaxed).bound(),
            })
            .collect();
        bins.sort_by(|a, b| {
            (b.bound * a.price)
                .cmp(&(a.bound * b.price))
                .then(a.bin.cmp(&b.bin))
        });
        Self {
            packing,
            values,
            counts,
            bins,
        }
    }

    /// Bins (by position) that are not much larger than this one, admit the same rows, and are as
    /// doubtful as `most` for `price`; this one included.
    pub(crate) fn group(&self, position: usize, most: i128, price: i128) -> Vec<usize> {
        let own = self.bins[position].bin;
        let is_near = |doubt: &Doubt| {
            let frees = self.packing.free(doubt.bin).iter().zip(self.packing.free(own));
            self.packing.bins[doubt.bin].menu == self.packing.bins[own].menu
                && doubt.exceeds(most, price)
                && frees
                    .into_iter()
                    .all(|(free, own)| *free <= own.saturating_mul(GROUP_RATIO))
        };
        let later = (position + 1..self.bins.len()).filter(|other| is_near(&self.bins[*other]));
        std::iter::once(position).chain(later).collect()
    }

    /// The table that tells of all bins of a group.
    pub(crate) fn table(&self, group: &[usize], rounding: Rounding, work: u64) -> Option<Table<'a>> {
        let mut free = vec![0; self.packing.dims];
        for position in group {
            let own = self.packing.free(self.bins[*position].bin);
            free.iter_mut()
                .zip(own)
                .for_each(|(most, own)| *most = (*most).max(*own));
        }
        let question = Question {
            packing: self.packing,
            menu: self.packing.bins[self.bins[*group.first()?].bin].menu,
            values: self.values,
            counts: self.counts,
            free: &free,
        };
        Table::of(&question, rounding, work)
    }

    /// Lowers the bounds of a group to what a table of rounded-down requests tells.
    pub(crate) fn lower(&mut self, group: &[usize], table: &Table<'_>) {
        for position in group {
            let doubt = &mut self.bins[*position];
            doubt.bound = doubt.bound.min(table.worth(self.packing.free(doubt.bin)));
        }
    }

    /// Asks a group with a table of no more than `most` work, while some is left.
    pub(crate) fn ask(&mut self, group: &[usize], most: u64, work: &mut u64) {
        if *work == 0 {
            return;
        }
        if let Some(table) = self.table(group, Rounding::Down, most.min(*work)) {
            self.lower(group, &table);
            *work = work.saturating_sub(table.work.max(1));
        }
    }

    /// Looks for the least that a bin's pods can be shown to be worth at most: targets are halved
    /// between what is shown and what is not.
    pub(crate) fn search(&mut self, position: usize, work: &mut u64) {
        let Doubt { bin, price, bound } = self.bins[position];
        let mut relaxed = RelaxedKnapsack::default();
        let knapsack = Knapsack::new(self.packing, bin, self.values, self.counts, &mut relaxed);
        let targets = BOUND_TARGETS.map(|per_million| price + price * per_million / 1_000_000);
        let (mut low, mut high) = (0, targets.partition_point(|target| *target < bound));
        while low < high && *work > 0 {
            let middle = usize::midpoint(low, high);
            let steps = (*work / STEP_WORK / 4).min(BOUND_STEPS);
            let mut left = steps;
            let verdict = knapsack.exceeds(targets[middle], &mut left);
            *work = work.saturating_sub((steps - left).max(1) * STEP_WORK);
            if verdict == Verdict::Holds {
                (self.bins[position].bound, high) = (targets[middle], middle);
            } else {
                low = middle + 1;
            }
        }
    }

    /// A pattern of this bin worth more than the target, found in a few steps.
    pub(crate) fn pattern(&self, position: usize, target: i128, steps: &mut u64) -> Verdict {
        let mut relaxed = RelaxedKnapsack::default();
        let bin = self.bins[position].bin;
        Knapsack::new(self.packing, bin, self.values, self.counts, &mut relaxed).exceeds(target, steps)
    }
}
