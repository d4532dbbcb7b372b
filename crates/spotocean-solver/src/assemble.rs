//! Pods into a given set of nodes, pod by pod, each where it leaves the best rest.
//!
//! The relaxation says how many nodes of which bins are needed; filling one after
//! the other leaves a poor rest at the end, where one resource has run out. Here
//! all nodes are open at once: pods go by worth, dearest first, to the node whose
//! free resources point most in the pod's direction (the dot product of
//! Panigrahy et al. 2011, over all nodes), so that all of them run out together.
//! Cost: pods × nodes × dimensions.

use crate::column_generation::Pattern;
use crate::fill::{Filler, Picks};
use crate::packing::admits;
use crate::rounding::Lot;

/// Nodes being filled.
struct Nodes {
    bins: Vec<usize>,
    free: Vec<f64>,
    picks: Vec<Picks>,
}

/// Puts pods into `bins` (bin and how many); takes those placed out of `left`.
pub(crate) fn assemble(
    filler: &mut Filler<'_>,
    bins: &[(usize, i64)],
    values: &[f64],
    left: &mut [i64],
) -> Vec<Lot> {
    let dims = filler.packing.dims;
    let mut nodes = Nodes {
        bins: Vec::new(),
        free: Vec::new(),
        picks: Vec::new(),
    };
    for (bin, copies) in bins {
        for _ in 0..*copies {
            nodes.bins.push(*bin);
            nodes.free.extend(filler.capacity(*bin));
            nodes.picks.push(Picks::new());
        }
    }
    let weights = weights(filler, &nodes, left);
    let mut order: Vec<usize> = (0..left.len()).filter(|row| left[*row] > 0).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
    for row in order {
        place(filler, &mut nodes, row, &weights, &mut left[row]);
    }
    filler.work += (dims * nodes.bins.len()) as u64;
    let filled = nodes.bins.into_iter().zip(nodes.picks);
    let lots = filled
        .filter(|(_, picks)| !picks.is_empty())
        .map(|(bin, picks)| Lot {
            pattern: Pattern { bin, picks },
            copies: 1,
        });
    lots.collect()
}

/// A dimension weighs by how full it will be, relative to a node's share.
fn weights(filler: &Filler<'_>, nodes: &Nodes, left: &[i64]) -> Vec<f64> {
    let dims = filler.packing.dims;
    let weight = |dim: usize| {
        let there: f64 = nodes.free.chunks_exact(dims).map(|free| free[dim]).sum();
        let wanted: f64 = (0..left.len())
            .map(|row| filler.size(row)[dim] * left[row] as f64)
            .sum();
        if there > 0.0 {
            wanted / there * nodes.bins.len() as f64 / there
        } else {
            0.0
        }
    };
    (0..dims).map(weight).collect()
}

/// Places the pods of one row.
fn place(filler: &mut Filler<'_>, nodes: &mut Nodes, row: usize, weights: &[f64], left: &mut i64) {
    let dims = filler.packing.dims;
    let size: Vec<f64> = filler.size(row).to_vec();
    let most = filler.packing.most(row);
    let mut scores: Vec<f64> = (0..nodes.bins.len())
        .map(|node| {
            let is_admitted = admits(filler.packing.menu(nodes.bins[node]), row);
            let free = &nodes.free[node * dims..(node + 1) * dims];
            if is_admitted {
                score(&size, free, weights)
            } else {
                -1.0
            }
        })
        .collect();
    while *left > 0 {
        filler.work += nodes.bins.len() as u64 / 2 + 4;
        let best = scores
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
        let Some((node, _)) = best.filter(|(_, score)| **score >= 0.0) else {
            return;
        };
        *left -= 1;
        let free = &mut nodes.free[node * dims..(node + 1) * dims];
        free.iter_mut()
            .zip(&size)
            .for_each(|(free, wanted)| *free -= wanted);
        let count = match nodes.picks[node].last_mut() {
            Some((known, count)) if *known == row => {
                *count += 1;
                *count
            }
            _ => {
                nodes.picks[node].push((row, 1));
                1
            }
        };
        scores[node] = if count < most {
            score(&size, free, weights)
        } else {
            -1.0
        };
    }
}

/// The cosine of what is asked for and what is free, weighted; negative where it does not fit.
fn score(size: &[f64], free: &[f64], weights: &[f64]) -> f64 {
    let (mut along, mut length) = (0.0, 0.0);
    for ((wanted, there), weight) in size.iter().zip(free).zip(weights) {
        if *wanted > *there {
            return -1.0;
        }
        along += wanted * weight * there * weight;
        length += there * weight * there * weight;
    }
    if length > 0.0 { along / length.sqrt() } else { 0.0 }
}
