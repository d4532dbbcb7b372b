//! Local search over whole nodes: take a few wasteful ones apart, pack anew.
//!
//! A node's waste is its price less what its pods are worth under the dual
//! prices; the sum of all waste is all that can be won. Destroy two to six nodes
//! with much waste, then repair: greedy covers with the values shaken a little,
//! and small sets of bins with room enough, cheapest first, packed by first fit.
//! What is cheaper stays. Method: large neighbourhood search (Shaw 1998). The
//! shaking is a fixed sequence: the same problem, the same answer.

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::column_generation::Pattern;
use crate::fill::{Filler, Picks};
use crate::params::{IMPROVE_NODES_MAX, IMPROVE_STALE_MAX, REPACK_BINS, REPACK_TRIES, SHAKE};
use crate::rounding::{self, Lot};

/// One node of the plan.
#[derive(Clone, Debug)]
struct Node {
    bin: usize,
    picks: Picks,
    waste: f64,
}

/// A fixed sequence that looks random.
struct Sequence(u64);

impl Sequence {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Betters a plan until work or hope runs out.
pub(crate) fn improve(
    filler: &mut Filler<'_>,
    bins: &[usize],
    values: &[f64],
    lots: Vec<Lot>,
    budget: &mut Budget,
) -> Vec<Lot> {
    let (mut nodes, rest) = wasteful(filler, values, lots);
    let mut sequence = Sequence(0x9e37_79b9_7f4a_7c15);
    let mut stale = 0;
    while nodes.len() > 1 && stale < IMPROVE_STALE_MAX && !budget.is_spent() {
        let work = filler.work;
        let chosen = neighbourhood(&nodes, &mut sequence);
        let hope: f64 = chosen.iter().map(|node| nodes[*node].waste).sum();
        let is_better = hope > 1.0 && repack(filler, bins, values, &mut nodes, &chosen, &mut sequence);
        stale = if is_better { 0 } else { stale + 1 };
        budget.spend(filler.work - work + 50);
    }
    let improved = nodes.into_iter().map(|node| Lot {
        pattern: Pattern {
            bin: node.bin,
            picks: node.picks,
        },
        copies: 1,
    });
    rest.into_iter().chain(gathered(improved.collect())).collect()
}

/// Equal nodes together.
fn gathered(lots: Vec<Lot>) -> Vec<Lot> {
    let mut copies: BTreeMap<(usize, Picks), i64> = BTreeMap::new();
    for mut lot in lots {
        lot.pattern.picks.sort_unstable();
        *copies.entry((lot.pattern.bin, lot.pattern.picks)).or_insert(0) += lot.copies;
    }
    let lots = copies.into_iter().map(|((bin, picks), copies)| Lot {
        pattern: Pattern { bin, picks },
        copies,
    });
    lots.collect()
}

/// Nodes one by one, the most wasteful first, and lots left as they are.
fn wasteful(filler: &Filler<'_>, values: &[f64], lots: Vec<Lot>) -> (Vec<Node>, Vec<Lot>) {
    let mut scored: Vec<(f64, Lot)> = lots
        .into_iter()
        .map(|lot| (waste(filler, values, lot.pattern.bin, &lot.pattern.picks), lot))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut nodes, mut rest) = (Vec::new(), Vec::new());
    for (waste, mut lot) in scored {
        while lot.copies > 0 && nodes.len() < IMPROVE_NODES_MAX {
            lot.copies -= 1;
            nodes.push(Node {
                bin: lot.pattern.bin,
                picks: lot.pattern.picks.clone(),
                waste,
            });
        }
        if lot.copies > 0 {
            rest.push(lot);
        }
    }
    (nodes, rest)
}

fn waste(filler: &Filler<'_>, values: &[f64], bin: usize, picks: &Picks) -> f64 {
    let worth: f64 = picks
        .iter()
        .map(|(row, count)| values[*row] * *count as f64)
        .sum();
    filler.packing.bins[bin].price as f64 - worth
}

/// Two to six nodes, mostly wasteful ones, ascending.
fn neighbourhood(nodes: &[Node], sequence: &mut Sequence) -> Vec<usize> {
    let most = (2 + sequence.below(5)).min(nodes.len());
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < most {
        // The best of two draws by waste: wasteful nodes come more often, none never.
        let (a, b) = (sequence.below(nodes.len()), sequence.below(nodes.len()));
        let node = if nodes[a].waste >= nodes[b].waste { a } else { b };
        let node = if chosen.contains(&node) {
            sequence.below(nodes.len())
        } else {
            node
        };
        if !chosen.contains(&node) {
            chosen.push(node);
        }
    }
    chosen.sort_unstable();
    chosen
}

/// Packs the chosen nodes' pods anew; says whether that is cheaper, and then keeps it.
fn repack(
    filler: &mut Filler<'_>,
    bins: &[usize],
    values: &[f64],
    nodes: &mut Vec<Node>,
    chosen: &[usize],
    sequence: &mut Sequence,
) -> bool {
    let mut left = vec![0_i64; values.len()];
    let mut price = 0;
    for node in chosen {
        price += filler.packing.bins[nodes[*node].bin].price;
        for (row, count) in &nodes[*node].picks {
            left[*row] += count;
        }
    }
    let found = by_sets(filler, bins, &left, price, chosen.len())
        .or_else(|| by_greed(filler, bins, values, &left, price, sequence));
    let Some(mut lots) = found else {
        return false;
    };
    rounding::downsize(filler.packing, &mut lots);
    for node in chosen.iter().rev() {
        nodes.swap_remove(*node);
    }
    for lot in lots {
        let waste = waste(filler, values, lot.pattern.bin, &lot.pattern.picks);
        nodes.extend((0..lot.copies).map(|_| Node {
            bin: lot.pattern.bin,
            picks: lot.pattern.picks.clone(),
            waste,
        }));
    }
    true
}

/// Greedy covers under shaken values.
fn by_greed(
    filler: &mut Filler<'_>,
    bins: &[usize],
    values: &[f64],
    left: &[i64],
    price: i64,
    sequence: &mut Sequence,
) -> Option<Vec<Lot>> {
    let shaken: Vec<f64> = values
        .iter()
        .map(|value| value * (1.0 + SHAKE * (sequence.unit() - 0.5)))
        .collect();
    let mut rest = left.to_vec();
    let mut lots = rounding::cover(filler, bins, &shaken, &mut rest);
    rounding::downsize(filler.packing, &mut lots);
    (rest.iter().all(|count| *count == 0) && rounding::cost(filler.packing, &lots) < price).then_some(lots)
}

/// Up to three bins with room enough in sum and a lower price, cheapest first.
fn by_sets(
    filler: &mut Filler<'_>,
    bins: &[usize],
    left: &[i64],
    price: i64,
    nodes: usize,
) -> Option<Vec<Lot>> {
    let packing = filler.packing;
    let need: Vec<i64> = (0..packing.dims)
        .map(|dim| {
            left.iter()
                .enumerate()
                .map(|(row, count)| packing.size(row)[dim] * count)
                .sum()
        })
        .collect();
    let admitted: Vec<usize> = bins
        .iter()
        .copied()
        .filter(|bin| packing.bins[*bin].price < price)
        .collect();
    let mut sets: Vec<(i64, Vec<usize>)> = Vec::new();
    let fits = |set: &[usize]| {
        (0..packing.dims).all(|dim| set.iter().map(|bin| packing.free(*bin)[dim]).sum::<i64>() >= need[dim])
    };
    let price_of = |set: &[usize]| set.iter().map(|bin| packing.bins[*bin].price).sum::<i64>();
    let mut consider = |set: &[usize]| {
        let sum = price_of(set);
        if sum < price && fits(set) {
            sets.push((sum, set.to_vec()));
        }
    };
    for (first, a) in admitted.iter().enumerate() {
        consider(&[*a]);
        for (second, b) in admitted.iter().enumerate().skip(first) {
            if price_of(&[*a, *b]) >= price {
                continue;
            }
            consider(&[*a, *b]);
            if nodes <= 3 && admitted.len() <= REPACK_BINS {
                for c in &admitted[second..] {
                    consider(&[*a, *b, *c]);
                }
            }
        }
    }
    filler.work += (admitted.len() * admitted.len()) as u64;
    sets.sort_unstable();
    sets.into_iter()
        .take(REPACK_TRIES)
        .find_map(|(_, set)| packed(filler, set, left))
}

/// First fit into these bins, the largest first, in a few orders; `None` unless everything fits.
fn packed(filler: &mut Filler<'_>, mut set: Vec<usize>, left: &[i64]) -> Option<Vec<Lot>> {
    let packing = filler.packing;
    set.sort_by_key(|bin| (std::cmp::Reverse(packing.bins[*bin].price), *bin));
    let weights: Vec<f64> = (0..left.len()).map(|row| filler.weight(row).max(1e-9)).collect();
    let orders = filler.orders(&weights, left);
    for order in (0..orders.first().map_or(0, Vec::len)).rev() {
        let mut rest = left.to_vec();
        let mut lots = Vec::new();
        for bin in &set {
            let order = &orders[packing.bins[*bin].menu][order];
            let fill = filler.fill(*bin, order, &weights, &rest);
            for (row, count) in &fill.picks {
                rest[*row] -= count;
            }
            lots.push(Lot {
                pattern: Pattern {
                    bin: *bin,
                    picks: fill.picks,
                },
                copies: 1,
            });
        }
        if rest.iter().all(|count| *count == 0) {
            lots.retain(|lot| !lot.pattern.picks.is_empty());
            return Some(lots);
        }
    }
    None
}
