//! Which bins may hold pods worth more than they cost, and how that is settled.
//!
//! What fractions of pods tell ([`crate::knapsack`]) settles most bins. The others
//! are asked in groups, bins of like size that admit the same rows, with one table
//! over the states of their room ([`crate::grid`]): first over the two dimensions that
//! decide most, the others at their price, then over all; where units are too coarse even so,
//! by search ([`Knapsack::exceeds`]), which is at its best with few large pods.

use crate::grid::{Question, Rounding, Table};
use crate::knapsack::{FRACTION_BITS, Knapsack, Verdict};
use crate::packing::Packing;
use crate::params::{
    BOUND_STEPS, BOUND_TARGETS, CELLS_KEPT, DIMENSIONS_KEPT, GROUP_RATIO, STEP_WORK, VALUE_SCALE,
};
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

    /// The same with a table of fewer dimensions, whose units can be finer for that. Of the others pods
    /// may take what they like at the prices of the group's first bin, which bounds for any prices
    /// (Lagrange), and loses little where those dimensions hardly decide.
    pub(crate) fn ask_priced(&mut self, group: &[usize], most: u64, work: &mut u64) {
        let Some(first) = group.first().map(|position| self.bins[*position].bin) else {
            return;
        };
        let packing = self.packing;
        let mut relaxed = RelaxedKnapsack::default();
        let knapsack = Knapsack::new(packing, first, self.values, self.counts, &mut relaxed);
        let dearest = knapsack.dearest();
        let is_kept = |dim: &usize| {
            dearest[..DIMENSIONS_KEPT.min(dearest.len())].contains(dim)
                || packing.free(first)[*dim] <= CELLS_KEPT
        };
        let (kept, priced): (Vec<usize>, Vec<usize>) = dearest.iter().partition(|dim| is_kept(dim));
        if priced.is_empty() || *work == 0 {
            return;
        }
        let room = |bin: usize| kept.iter().map(|dim| packing.free(bin)[*dim]).collect::<Vec<_>>();
        let projected = packing.projected(&kept);
        // Both rounded up, so that the bound stays one.
        let beyond = |(row, value): (usize, &i64)| {
            let worth = (i128::from(*value) << FRACTION_BITS) - knapsack.charge(packing.size(row), &priced);
            i64::try_from(-(-worth >> FRACTION_BITS)).unwrap_or(i64::MAX)
        };
        let values: Vec<i64> = self.values.iter().enumerate().map(beyond).collect();
        let mut free = vec![0; kept.len()];
        for position in group {
            let own = room(self.bins[*position].bin);
            free.iter_mut()
                .zip(own)
                .for_each(|(most, own)| *most = own.max(*most));
        }
        let question = Question {
            packing: &projected,
            menu: packing.bins[first].menu,
            values: &values,
            counts: self.counts,
            free: &free,
        };
        let Some(table) = Table::of(&question, Rounding::Down, most.min(*work)) else {
            return;
        };
        *work = work.saturating_sub(table.work.max(1));
        for position in group {
            let doubt = &mut self.bins[*position];
            let charge = -(-knapsack.charge(packing.free(doubt.bin), &priced) >> FRACTION_BITS);
            doubt.bound = doubt.bound.min(table.worth(&room(doubt.bin)) + charge);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packing::{Bin, Row};

    /// Bins of these rooms that all admit all rows of these sizes and counts.
    fn packing(frees: &[[i64; 3]], rows: &[([i64; 3], i64)]) -> Packing {
        let row = |(item, (_, count)): (usize, &([i64; 3], i64))| Row {
            items: vec![item],
            count: *count,
            most: i64::MAX,
            is_delicate: false,
        };
        let bin = |offer| Bin {
            offer,
            price: 1,
            menu: 0,
        };
        Packing {
            dims: 3,
            rows: rows.iter().enumerate().map(row).collect(),
            sizes: rows.iter().flat_map(|(size, _)| *size).collect(),
            bins: (0..frees.len()).map(bin).collect(),
            frees: frees.concat(),
            menus: vec![vec![(1 << rows.len()) - 1]],
        }
    }

    fn exact(doubts: &Doubts<'_>, position: usize) -> i128 {
        let table = doubts.table(&[position], Rounding::Down, u64::MAX).unwrap();
        table.worth(doubts.packing.free(doubts.bins[position].bin))
    }

    #[test]
    fn a_dimension_that_hardly_decides_costs_no_states() {
        let rows = [([3, 2, 1], 99), ([2, 5, 1], 99), ([7, 3, 1], 99), ([1, 1, 1], 99)];
        let packing = packing(&[[40, 40, 30]], &rows);
        let (values, counts) = ([30, 36, 55, 9], [99; 4]);
        let most = exact(&Doubts::of(&packing, &values, &counts), 0);
        let mut doubts = Doubts::of(&packing, &values, &counts);
        doubts.ask(&[0], 10_000, &mut { u64::MAX });
        assert!(doubts.bins[0].bound > most);
        doubts.ask_priced(&[0], 10_000, &mut { u64::MAX });
        assert_eq!(doubts.bins[0].bound, most);
    }

    #[test]
    fn what_is_priced_out_never_makes_a_bound_too_low() {
        let mut state = 7_u64;
        let mut below = |most: i64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            i64::try_from(state >> 40).unwrap() % most
        };
        for case in 0..300 {
            let mut size = |most: i64| [below(most), below(most), 1 + below(most)];
            let frees = [0; 3].map(|_: i64| size(30).map(|free| free + 6));
            let rows = [0; 4].map(|_: i64| size(9));
            let rows = rows.map(|size| (size, 1 + below(8)));
            let values = [0; 4].map(|_: i64| below(1_000));
            let counts = rows.map(|(_, count)| count);
            let packing = packing(&frees, &rows);
            let mut doubts = Doubts::of(&packing, &values, &counts);
            let group: Vec<usize> = (0..frees.len()).collect();
            doubts.ask_priced(&group, [50, u64::MAX][case % 2], &mut { u64::MAX });
            for position in group {
                let most = exact(&doubts, position);
                let told = doubts.bins[position].bound;
                assert!(told >= most, "{case}: {told} < {most}");
            }
        }
    }
}
