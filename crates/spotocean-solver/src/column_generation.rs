//! The linear relaxation of a packing, by column generation.
//!
//! Problem: x_k nodes filled by pattern k, min Σ price x, every row covered;
//! there are too many patterns to list. Method (Gilmore and Gomory 1961): solve
//! over the patterns known, ask each bin for the pattern worth most under the
//! dual prices, add those worth more than their price, again until none is.
//! Bins are asked by the greedy fills first ([`crate::fill`]), the likely ones
//! often and all of them when those have nothing more but those that neighbours'
//! prices screen out ([`crate::screen`]), and by search and tables at the end
//! ([`crate::doubt`]). Duals are smoothed towards the best ones so far (Wentges 1997), without which prices swing and rounds double.
//! Cost: rounds × bins asked × orders × rows walked, and rows² a pivot; nothing
//! depends on the number of pods. Stops by work counted, never by time.

use crate::budget::Budget;
use crate::cluster::Clusters;
use crate::doubt::Doubts;
use crate::fill::{Fill, Filler, Orders, Picks};
use crate::grid::Rounding;
use crate::knapsack::Verdict;
use crate::packing::Packing;
use crate::params::{
    ACTIVE_BINS, COLUMNS_PER_ROUND, FULL_ROUNDS, GRID_WORK, GUESS_MARGIN, IMPROVES, PASSES_PER_ROUND,
    PIVOTS_MAX, ROUNDS_MAX, ROWS_MAX, SCREENS_MAX, SEARCH_GRID_WORK, SEARCH_STEPS, SEARCH_WORK,
    SEARCHED_PER_ROUND, SLACK_PER_MILLION, SMOOTHING, STEP_WORK, USED_FADES, VALUE_SCALE,
};
use crate::screen::Screens;
use crate::simplex::{Column, Master};

/// A way to fill a node of a bin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pattern {
    /// The bin.
    pub(crate) bin: usize,
    /// Its pods.
    pub(crate) picks: Picks,
}

/// The relaxation, solved as far as the budget went.
#[derive(Clone, Debug)]
pub(crate) struct Relaxation {
    /// The program; column k is pattern k.
    pub(crate) master: Master,
    /// Patterns; `None` is a single pod at the price guessed.
    pub(crate) patterns: Vec<Option<Pattern>>,
    /// Bins worth looking at.
    pub(crate) active: Vec<usize>,
    /// The best bound so far, as far as greedy fills can tell.
    bound: f64,
    /// The prices that gave it.
    pub(crate) prices: Vec<f64>,
    /// What the program's rows are.
    pub(crate) clusters: Clusters,
    /// What a unit of a cluster costs at most: on nodes of its own kind.
    ceilings: Vec<f64>,
    /// Whether single pods still cost what was guessed.
    singles_are_cheap: bool,
}

/// What the best pattern of a bin is worth under the prices asked with, relative to
/// its price; and the one best under the true prices, if that is worth more than it costs.
fn best_pattern(
    filler: &mut Filler<'_>,
    bin: usize,
    orders: &Orders,
    asked: &[f64],
    prices: &[f64],
    left: &[i64],
) -> (f64, Option<(f64, Picks)>) {
    let price = filler.packing.bins[bin].price as f64;
    let (bound, relaxed) = filler.relaxed(bin, &Picks::new(), asked, left, price * IMPROVES * 0.97);
    let Some(relaxed) = relaxed else {
        return (bound / price, None);
    };
    let mut best = None;
    let mut most: f64 = 0.0;
    let mut consider = |Fill { picks, value }: Fill| {
        most = most.max(value / price);
        let worth: f64 = picks
            .iter()
            .map(|(row, count)| prices[*row] * *count as f64)
            .sum();
        let ratio = worth / price;
        if ratio > best.as_ref().map_or(IMPROVES, |(known, _)| *known) {
            best = Some((ratio, picks));
        }
    };
    consider(relaxed);
    for order in &orders[filler.packing.bins[bin].menu] {
        consider(filler.fill(bin, order, asked, left));
    }
    (most, best)
}

/// What bins had to offer.
#[derive(Default)]
struct Asking {
    /// Patterns worth more than they cost, best first.
    found: Vec<(f64, Pattern)>,
    /// The most that any bin's pods were found to be worth, relative to its price.
    ratio: f64,
}

/// What a unit of each dimension costs where bins could be bought in fractions:
/// the dual of covering the summed sizes. Says which dimension is scarce.
pub(crate) fn dimension_prices(packing: &Packing) -> Vec<f64> {
    let dims = packing.dims;
    let scale: Vec<f64> = (0..dims)
        .map(|dim| {
            let frees = packing.frees.chunks_exact(dims).map(|free| free[dim]);
            frees.max().unwrap_or(0).max(1) as f64
        })
        .collect();
    let demand: Vec<f64> = (0..dims)
        .map(|dim| {
            let rows = packing.rows.iter().enumerate();
            let total: f64 = rows
                .map(|(row, of)| packing.size(row)[dim] as f64 * of.count as f64)
                .sum();
            total / scale[dim]
        })
        .collect();
    let share = |bin: usize, dim: usize| packing.free(bin)[dim] as f64 / scale[dim];
    let cheapest = |dim: usize| {
        let bins = (0..packing.bins.len()).filter(|bin| share(*bin, dim) > 0.0);
        bins.min_by(|a, b| {
            let price = |bin: usize| packing.bins[bin].price as f64 / share(bin, dim);
            price(*a).total_cmp(&price(*b))
        })
    };
    let lone: Option<Vec<Column>> = (0..dims)
        .map(|dim| {
            let bin = cheapest(dim)?;
            Some(Column {
                entries: vec![(dim, share(bin, dim))],
                cost: packing.bins[bin].price as f64,
            })
        })
        .collect();
    let Some(lone) = lone else {
        return vec![1.0; dims];
    };
    let mut master = Master::new(&demand, lone);
    for bin in 0..packing.bins.len() {
        master.add(Column {
            entries: (0..dims)
                .map(|dim| (dim, share(bin, dim)))
                .filter(|(_, share)| *share > 0.0)
                .collect(),
            cost: packing.bins[bin].price as f64,
        });
    }
    master.minimise(PIVOTS_MAX);
    let prices = master.prices.iter().zip(&scale);
    prices.map(|(price, scale)| price.max(0.0) / scale).collect()
}

/// A weight of one in the program. Nodes are the unit, so that amounts and weights are of one size.
fn unit(packing: &Packing) -> f64 {
    let prices = packing.bins.iter().map(|bin| bin.price);
    prices.max().unwrap_or(1).max(1) as f64 / 8.0
}

impl Relaxation {
    /// Starts from a guess of what each pod is worth: until patterns cover a row,
    /// its pods can be had one by one at a little more than that. So prices are
    /// near the truth from the first round, and few rounds are wasted on wild ones.
    /// `None` when some row fits no bin.
    pub(crate) fn new(packing: &Packing, guess: &[f64]) -> Option<Self> {
        let unit = unit(packing);
        Self::over(packing, guess, Clusters::of(packing, guess, unit), unit)
    }

    /// The same with rows of one size together: far smaller, and near the truth where bins differ in
    /// little but which rows they admit.
    pub(crate) fn by_size(packing: &Packing, guess: &[f64]) -> Option<Self> {
        let unit = unit(packing);
        Self::over(packing, guess, Clusters::by_size(packing, guess, unit), unit)
    }

    fn over(packing: &Packing, guess: &[f64], clusters: Clusters, unit: f64) -> Option<Self> {
        if clusters.count > ROWS_MAX {
            return None;
        }
        let counts: Vec<i64> = packing.rows.iter().map(|row| row.count).collect();
        let lone: Option<Vec<Pattern>> = (0..packing.rows.len()).map(|row| lone(packing, row)).collect();
        let lone = lone?;
        let mut ceilings = vec![unit * (1.0 + GUESS_MARGIN); clusters.count];
        for (row, pattern) in lone.iter().enumerate() {
            let ceiling = &mut ceilings[clusters.of_row[row]];
            let price = packing.bins[pattern.bin].price as f64 / pattern.picks[0].1 as f64;
            *ceiling = ceiling.max(price / clusters.weights[row]);
        }
        let single = (0..clusters.count).map(|cluster| Column {
            entries: vec![(cluster, 1.0)],
            cost: unit * (1.0 + GUESS_MARGIN),
        });
        let mut relaxation = Self {
            master: Master::new(&clusters.demand(&counts), single.collect()),
            patterns: vec![None; clusters.count],
            active: Vec::new(),
            bound: 0.0,
            prices: guess.to_vec(),
            ceilings,
            singles_are_cheap: true,
            clusters,
        };
        for pattern in lone {
            relaxation.add(packing, pattern);
        }
        relaxation.renew_active(&[]);
        Some(relaxation)
    }

    /// Adds a pattern.
    pub(crate) fn add(&mut self, packing: &Packing, pattern: Pattern) {
        self.master.add(Column {
            entries: self.clusters.entries(pattern.picks.iter().copied()),
            cost: packing.bins[pattern.bin].price as f64,
        });
        self.patterns.push(Some(pattern));
    }

    /// The patterns in use.
    pub(crate) fn patterns_used(&self) -> Vec<Pattern> {
        let amounts = self.master.amounts().into_iter();
        amounts
            .filter_map(|(column, _)| self.patterns[column].clone())
            .collect()
    }

    /// The program's own prices, by row.
    pub(crate) fn row_prices(&self) -> Vec<f64> {
        self.clusters.spread(&self.master.prices)
    }

    /// Rounds of pricing, patterns holding no more than `left` of a row.
    pub(crate) fn generate(
        &mut self,
        filler: &mut Filler<'_>,
        left: &[i64],
        budget: &mut Budget,
        rounds: usize,
        is_dive: bool,
    ) {
        let packing = filler.packing;
        let all: Vec<usize> = (0..packing.bins.len()).collect();
        let mut smoothing = if is_dive { 0.0 } else { SMOOTHING };
        let mut search = Budget::of(SEARCH_WORK);
        for round in 0..rounds.min(ROUNDS_MAX) {
            let work = self.master.work + filler.work;
            self.master.minimise(4 * self.clusters.count + 100);
            let prices = self.clusters.spread(&self.master.prices);
            let centre = self.prices.iter().zip(&prices);
            let asked: Vec<f64> = centre
                .map(|(centre, price)| (smoothing * centre + (1.0 - smoothing) * price).max(0.0))
                .collect();
            let mut found = Vec::new();
            if round % FULL_ROUNDS != 0 || is_dive {
                found = self
                    .ask(filler, &self.active.clone(), &asked, &prices, left)
                    .found;
            }
            if found.is_empty() && is_dive {
                break;
            }
            if found.is_empty() {
                let asking = self.ask(filler, &all, &asked, &prices, left);
                self.learn(&asked, left, asking.ratio);
                found = asking.found;
                self.renew_active(&found);
            }
            let is_settled = found.is_empty() && smoothing == 0.0;
            smoothing = if found.is_empty() || is_dive {
                0.0
            } else {
                SMOOTHING
            };
            if is_settled && !self.raise_singles() {
                found = self.search(packing, left, &mut search);
            }
            let is_over = is_settled && found.is_empty() && !self.has_singles();
            for (_, pattern) in found {
                self.add(packing, pattern);
            }
            if is_over || !budget.spend(self.master.work + filler.work - work) {
                break;
            }
        }
        // Whoever goes on from here, by rounding, needs prices under which no column pays.
        self.master.minimise(PIVOTS_MAX);
    }

    /// Remembers prices that give a better bound: `ratio` is the most that a bin is worth of its price.
    fn learn(&mut self, asked: &[f64], left: &[i64], ratio: f64) {
        let value: f64 = asked
            .iter()
            .zip(left)
            .map(|(price, count)| price * *count as f64)
            .sum();
        let bound = value / ratio.max(1.0);
        if bound > self.bound {
            self.bound = bound;
            self.prices = asked.iter().map(|price| price / ratio.max(1.0)).collect();
        }
    }

    fn has_singles(&self) -> bool {
        let amounts = self.master.amounts();
        amounts.iter().any(|(column, _)| self.patterns[*column].is_none())
    }

    /// Makes single pods dearer than any node of their own kind, where some are still
    /// in use: by now patterns hold the prices. Says whether it did.
    fn raise_singles(&mut self) -> bool {
        let is_due = self.singles_are_cheap && self.has_singles();
        if is_due {
            self.singles_are_cheap = false;
            for (column, ceiling) in self.ceilings.iter().enumerate() {
                self.master.columns[column].cost = ceiling * 2.0;
            }
            self.master.recompute();
        }
        is_due
    }

    /// Patterns found over the states of room, of the few bins whose relaxed pods are worth most of their price.
    fn search(&mut self, packing: &Packing, left: &[i64], budget: &mut Budget) -> Vec<(f64, Pattern)> {
        let values = fixed(&self.clusters.spread(&self.master.prices));
        let mut doubts = Doubts::of(packing, &values, left);
        budget.spend((packing.rows.len() * packing.bins.len()) as u64 * 20);
        // No more than that is lost.
        let (most, price) = (1_000_000 + SLACK_PER_MILLION, 1_000_000);
        let mut found = Vec::new();
        for position in 0..doubts.bins.len() {
            if budget.is_spent() || found.len() >= SEARCHED_PER_ROUND {
                break;
            }
            if !doubts.bins[position].exceeds(most, price) {
                continue;
            }
            let doubt = doubts.bins[position];
            let mut steps = SEARCH_STEPS;
            let verdict = doubts.pattern(position, doubt.price * most / price, &mut steps);
            budget.spend((SEARCH_STEPS - steps) * STEP_WORK);
            match verdict {
                Verdict::Holds => continue,
                Verdict::Exceeds(picks) => {
                    let worth = packing.worth(&picks, &values);
                    found.push((worth as f64 / doubt.price as f64, pattern(doubt.bin, picks)));
                    continue;
                }
                Verdict::Open => {}
            }
            let group = doubts.group(position, most, price);
            for (rounding, work) in [(Rounding::Up, SEARCH_GRID_WORK), (Rounding::Down, GRID_WORK)] {
                let Some(table) = doubts.table(&group, rounding, work) else {
                    break;
                };
                budget.spend(table.work);
                if rounding == Rounding::Down {
                    doubts.lower(&group, &table);
                }
                let before = found.len();
                found.extend(group.iter().filter_map(|position| {
                    let doubt = &doubts.bins[*position];
                    let picks = table.pattern(packing.free(doubt.bin));
                    let worth = packing.worth(&picks, &values);
                    let is_better = worth * price > most * doubt.price && packing.holds(doubt.bin, &picks);
                    is_better.then(|| (worth as f64 / doubt.price as f64, pattern(doubt.bin, picks)))
                }));
                if found.len() > before {
                    break;
                }
            }
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.bin.cmp(&b.1.bin)));
        found.truncate(SEARCHED_PER_ROUND);
        found
    }

    /// Patterns of these bins that are worth more than they cost, best first.
    fn ask(
        &self,
        filler: &mut Filler<'_>,
        bins: &[usize],
        asked: &[f64],
        prices: &[f64],
        left: &[i64],
    ) -> Asking {
        let packing = filler.packing;
        let mut asked = asked.to_vec();
        let mut bins = bins.to_vec();
        let mut asking = Asking::default();
        let most = (packing.rows.len() / 4).max(COLUMNS_PER_ROUND);
        let start = asked.clone();
        let mut by_asked = Screens::new(packing, &start, left);
        let mut by_price = Screens::new(packing, prices, left);
        for pass in 0..PASSES_PER_ROUND {
            let orders = filler.orders(&asked, left);
            let mut again = Vec::new();
            for bin in bins {
                let price = packing.bins[bin].price as f64;
                filler.work += (SCREENS_MAX * packing.dims) as u64;
                if by_price.bound(filler, bin) <= price * IMPROVES {
                    asking.ratio = asking.ratio.max(by_asked.bound(filler, bin) / price);
                    continue;
                }
                let (ratio, best) = best_pattern(filler, bin, &orders, &asked, prices, left);
                if pass == 0 {
                    let unit_prices = std::mem::take(&mut filler.unit_prices);
                    by_asked.add(filler, &unit_prices);
                    by_price.add(filler, &unit_prices);
                    filler.work += 2 * packing.rows.len() as u64;
                }
                asking.ratio = if pass == 0 {
                    asking.ratio.max(ratio)
                } else {
                    asking.ratio
                };
                let Some((ratio, picks)) = best else { continue };
                // The next pattern is to be of other rows.
                picks.iter().for_each(|(row, _)| asked[*row] *= USED_FADES);
                asking.found.push((ratio, pattern(bin, picks)));
                again.push(bin);
            }
            bins = again;
            if bins.is_empty() || asking.found.len() >= most {
                break;
            }
        }
        asking
            .found
            .sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.bin.cmp(&b.1.bin)));
        asking.found.truncate(most);
        asking
    }

    /// The bins in use and those that had the best patterns.
    fn renew_active(&mut self, found: &[(f64, Pattern)]) {
        let amounts = self.master.amounts();
        let used = amounts
            .iter()
            .filter_map(|(column, _)| Some(self.patterns[*column].as_ref()?.bin));
        let promising = found.iter().map(|(_, pattern)| pattern.bin);
        let mut active: Vec<usize> = used.chain(promising.take(ACTIVE_BINS)).collect();
        active.sort_unstable();
        active.dedup();
        self.active = active;
    }
}

/// Dual prices in integers, rounded down.
pub(crate) fn fixed(prices: &[f64]) -> Vec<i64> {
    let scaled = prices.iter().map(|price| (price * VALUE_SCALE as f64).floor());
    scaled.map(|price| price.max(0.0) as i64).collect()
}

fn pattern(bin: usize, mut picks: Picks) -> Pattern {
    picks.sort_unstable();
    Pattern { bin, picks }
}

/// The cheapest way to serve a row alone.
fn lone(packing: &Packing, row: usize) -> Option<Pattern> {
    let mut best: Option<(i128, i64, usize)> = None;
    for bin in 0..packing.bins.len() {
        let copies = packing.copies(row, bin, i64::MAX);
        if copies < 1 {
            continue;
        }
        let price = i128::from(packing.bins[bin].price);
        let is_better = best.is_none_or(|(known, copies_known, _)| {
            price * i128::from(copies_known) < known * i128::from(copies)
        });
        if is_better {
            best = Some((price, copies, bin));
        }
    }
    let (_, copies, bin) = best?;
    Some(pattern(bin, vec![(row, copies)]))
}
