//! Small problems to the end: all patterns that could be in a cheaper plan, then
//! all ways to cover with them.
//!
//! Let u be dual prices and the gap what the plan costs above Σ u·count. A pattern
//! whose price exceeds what its pods are worth by more than the gap is in no
//! cheaper plan (reduced-cost fixing; Baldacci et al. 2008 enumerate routes so).
//! The rest are few when the gap is: they are listed, and a depth-first search
//! covers the dearest row left with each pattern in turn, keeping to what is
//! cheaper than the best known, and coming to what is left but once for each
//! lower price paid: patterns bought in another order leave the same. Both stop
//! by steps counted; where they do not, the plan is optimal for the packing.

use std::collections::BTreeMap;

use crate::column_generation::Pattern;
use crate::fill::{Filler, Picks};
use crate::packing::Packing;
use crate::params::{EXACT_PATTERNS_MAX, EXACT_STATES_MAX, EXACT_STEPS};
use crate::rounding::{self, Lot};

/// A cheaper plan than `lots`, where there is one and it is found.
pub(crate) fn better(filler: &Filler<'_>, values: &[f64], counts: &[i64], lots: &[Lot]) -> Option<Vec<Lot>> {
    let packing = filler.packing;
    let best = rounding::cost(packing, lots);
    let worth: f64 = values
        .iter()
        .zip(counts)
        .map(|(value, count)| value * *count as f64)
        .sum();
    let gap = best as f64 - worth;
    if gap <= 1.0 {
        return None;
    }
    let mut patterns = enumerate(filler, values, counts, gap);
    for lot in lots {
        patterns.push(lot.pattern.clone());
    }
    let mut search = Cover::new(packing, values, counts, &patterns, best);
    search.descend(0, worth);
    let chosen = search.found?;
    let lots = chosen.into_iter().map(|(pattern, picks)| Lot {
        pattern: Pattern {
            bin: patterns[pattern].bin,
            picks,
        },
        copies: 1,
    });
    Some(lots.collect())
}

/// Maximal patterns of all bins that lose less than `gap`.
fn enumerate(filler: &Filler<'_>, values: &[f64], counts: &[i64], gap: f64) -> Vec<Pattern> {
    let packing = filler.packing;
    let mut found = Vec::new();
    let mut steps = EXACT_STEPS;
    for bin in 0..packing.bins.len() {
        let mut rows: Vec<usize> = (0..counts.len())
            .filter(|row| packing.copies(*row, bin, counts[*row]) > 0)
            .collect();
        rows.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
        let mut listing = Listing {
            packing,
            values,
            counts,
            bin,
            tails: tails(filler, &rows, values, counts),
            rows,
            free: packing.free(bin).to_vec(),
            picks: Picks::new(),
            least: packing.bins[bin].price as f64 - gap,
            steps: &mut steps,
            found: &mut found,
        };
        listing.descend(0, 0.0);
    }
    found
}

/// By position: the most that a unit of each dimension is worth to rows from there on.
fn tails(filler: &Filler<'_>, rows: &[usize], values: &[f64], counts: &[i64]) -> Vec<(Vec<f64>, f64)> {
    let dims = filler.packing.dims;
    let mut tails = vec![(vec![0.0_f64; dims], 0.0); rows.len() + 1];
    for (position, row) in rows.iter().enumerate().rev() {
        let (density, total) = tails[position + 1].clone();
        let sizes = filler.size(*row).iter().zip(density);
        let density = sizes
            .map(|(size, known)| {
                if *size > 0.0 {
                    known.max(values[*row] / size)
                } else {
                    f64::INFINITY
                }
            })
            .collect();
        tails[position] = (density, total + values[*row] * counts[*row] as f64);
    }
    tails
}

/// The depth-first listing of one bin's patterns.
struct Listing<'a> {
    packing: &'a Packing,
    values: &'a [f64],
    counts: &'a [i64],
    bin: usize,
    rows: Vec<usize>,
    tails: Vec<(Vec<f64>, f64)>,
    free: Vec<i64>,
    picks: Picks,
    least: f64,
    steps: &'a mut u64,
    found: &'a mut Vec<Pattern>,
}

impl Listing<'_> {
    fn descend(&mut self, position: usize, worth: f64) {
        if *self.steps == 0 || self.found.len() >= EXACT_PATTERNS_MAX {
            return;
        }
        *self.steps -= 1;
        let (density, total) = &self.tails[position];
        let by_dim = self.free.iter().zip(density).map(|(free, density)| {
            if density.is_finite() {
                *free as f64 * density
            } else {
                f64::INFINITY
            }
        });
        if worth + by_dim.fold(*total, f64::min) < self.least {
            return;
        }
        let Some(row) = self.rows.get(position).copied() else {
            if self.is_maximal() {
                self.found.push(Pattern {
                    bin: self.bin,
                    picks: self.picks.clone(),
                });
            }
            return;
        };
        let size = self.packing.size(row);
        let most = self.packing.most(row).min(self.counts[row]);
        let most = crate::dimension::copies(size, &self.free, most);
        for count in (0..=most).rev() {
            crate::dimension::subtract(&mut self.free, size, count);
            if count > 0 {
                self.picks.push((row, count));
            }
            self.descend(position + 1, worth + self.values[row] * count as f64);
            if count > 0 {
                self.picks.pop();
            }
            crate::dimension::subtract(&mut self.free, size, -count);
        }
    }

    /// Nothing more fits of what there is.
    fn is_maximal(&self) -> bool {
        self.rows.iter().all(|row| {
            let taken = self
                .picks
                .iter()
                .find(|(known, _)| known == row)
                .map_or(0, |(_, count)| *count);
            let most = self.packing.most(*row).min(self.counts[*row]);
            taken >= most || !crate::dimension::fits(self.packing.size(*row), &self.free)
        })
    }
}

/// The covering search.
struct Cover<'a> {
    packing: &'a Packing,
    values: &'a [f64],
    patterns: &'a [Pattern],
    /// By row, the patterns that have it.
    having: Vec<Vec<usize>>,
    /// Rows, dearest first.
    order: Vec<usize>,
    left: Vec<i64>,
    /// The least paid so far, by what was left then.
    paid: BTreeMap<Vec<i64>, i64>,
    chosen: Vec<(usize, Picks)>,
    best: i64,
    found: Option<Vec<(usize, Picks)>>,
    steps: u64,
}

impl<'a> Cover<'a> {
    fn new(
        packing: &'a Packing,
        values: &'a [f64],
        counts: &[i64],
        patterns: &'a [Pattern],
        best: i64,
    ) -> Self {
        let mut having = vec![Vec::new(); counts.len()];
        for (index, pattern) in patterns.iter().enumerate() {
            for (row, _) in &pattern.picks {
                having[*row].push(index);
            }
        }
        let mut order: Vec<usize> = (0..counts.len()).filter(|row| counts[*row] > 0).collect();
        order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
        Self {
            packing,
            values,
            patterns,
            having,
            order,
            left: counts.to_vec(),
            paid: BTreeMap::new(),
            chosen: Vec::new(),
            best,
            found: None,
            steps: EXACT_STEPS,
        }
    }

    /// Covers what is left, worth `worth`, having paid `paid`.
    fn descend(&mut self, paid: i64, worth: f64) {
        let Some(row) = self.order.iter().copied().find(|row| self.left[*row] > 0) else {
            if paid < self.best {
                self.best = paid;
                self.found = Some(self.chosen.clone());
            }
            return;
        };
        if !self.is_news(paid) {
            return;
        }
        let mut ways: Vec<(f64, usize)> = Vec::new();
        for pattern in &self.having[row] {
            let picks = self.patterns[*pattern].picks.iter();
            let won: f64 = picks
                .map(|(row, count)| self.values[*row] * self.left[*row].min(*count) as f64)
                .sum();
            let price = self.packing.bins[self.patterns[*pattern].bin].price;
            if (paid + price) as f64 + worth - won < self.best as f64 - 0.5 {
                ways.push((price as f64 - won, *pattern));
            }
        }
        self.steps = self.steps.saturating_sub(self.having[row].len() as u64 + 1);
        ways.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (lost, pattern) in ways {
            let price = self.packing.bins[self.patterns[pattern].bin].price;
            let rest = worth - (price as f64 - lost);
            if self.steps == 0 {
                return;
            }
            if (paid + price) as f64 + rest >= self.best as f64 - 0.5 {
                break;
            }
            let taken: Picks = self.patterns[pattern]
                .picks
                .iter()
                .map(|(row, count)| (*row, self.left[*row].min(*count)))
                .filter(|(_, count)| *count > 0)
                .collect();
            taken.iter().for_each(|(row, count)| self.left[*row] -= count);
            self.chosen.push((pattern, taken.clone()));
            self.descend(paid + price, rest);
            self.chosen.pop();
            taken.iter().for_each(|(row, count)| self.left[*row] += count);
        }
    }

    /// Whether what is left was not left for this price or less before.
    fn is_news(&mut self, paid: i64) -> bool {
        if let Some(least) = self.paid.get_mut(&self.left) {
            let is_less = paid < *least;
            *least = paid.min(*least);
            return is_less;
        }
        if self.paid.len() < EXACT_STATES_MAX {
            self.paid.insert(self.left.clone(), paid);
        }
        true
    }
}
