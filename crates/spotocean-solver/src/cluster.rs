//! Rows of nearly equal size, taken together in the linear program.
//!
//! A pivot costs the square of the program's rows, and many shapes differ by a
//! little only. Rows whose sizes agree within a ratio, and which the same bins
//! admit, become one: what is covered is then their summed weight, a surrogate
//! of the single constraints, so that the program still bounds from below.
//! Patterns keep their real rows. The ratio is the least of a ladder that leaves
//! few enough rows.

use std::collections::BTreeMap;

use crate::packing::{Packing, admits};
use crate::params::{CLUSTER_RATIOS, CLUSTERS_MAX, EQUALS_MAX};

/// Which rows go together.
#[derive(Clone, Debug)]
pub(crate) struct Clusters {
    /// By row, its cluster.
    pub(crate) of_row: Vec<usize>,
    /// By row, what one pod weighs in it.
    pub(crate) weights: Vec<f64>,
    /// How many clusters there are.
    pub(crate) count: usize,
}

impl Clusters {
    /// Rows of one size together, whatever else tells them apart.
    pub(crate) fn by_size(packing: &Packing, guess: &[f64], unit: f64) -> Self {
        let mut known: BTreeMap<&[i64], usize> = BTreeMap::new();
        let of_row = (0..packing.rows.len()).map(|row| {
            let next = known.len();
            *known.entry(packing.size(row)).or_insert(next)
        });
        Self {
            of_row: of_row.collect(),
            weights: guess.iter().map(|worth| worth / unit).collect(),
            count: known.len(),
        }
    }

    /// Groups the rows of a packing; `guess` is what pods are thought to be worth,
    /// and `unit` what a weight of one is.
    pub(crate) fn of(packing: &Packing, guess: &[f64], unit: f64) -> Self {
        let menus: Vec<Vec<usize>> = (0..packing.rows.len())
            .map(|row| {
                (0..packing.menus.len())
                    .filter(|menu| admits(&packing.menus[*menu], row))
                    .collect()
            })
            .collect();
        let mut count = packing.rows.len();
        let mut of_row: Vec<usize> = (0..count).collect();
        let mut most = CLUSTERS_MAX;
        for ratio in CLUSTER_RATIOS {
            if count <= most {
                break;
            }
            // Rows of one size lose nothing by being together: more of them may stay.
            most = if ratio > 1.0 { CLUSTERS_MAX } else { EQUALS_MAX };
            (of_row, count) = grouped(packing, &menus, ratio);
        }
        Self {
            of_row,
            weights: guess.iter().map(|worth| worth / unit).collect(),
            count,
        }
    }

    /// Sums something by row, such as a pattern's pods, to entries by cluster.
    pub(crate) fn entries(&self, rows: impl Iterator<Item = (usize, i64)>) -> Vec<(usize, f64)> {
        let mut entries: Vec<(usize, f64)> = Vec::new();
        for (row, count) in rows {
            let (cluster, much) = (self.of_row[row], self.weights[row] * count as f64);
            match entries.iter_mut().find(|(known, _)| *known == cluster) {
                Some((_, sum)) => *sum += much,
                None => entries.push((cluster, much)),
            }
        }
        entries.sort_unstable_by_key(|(cluster, _)| *cluster);
        entries
    }

    /// The demand of each cluster for so many pods of each row.
    pub(crate) fn demand(&self, counts: &[i64]) -> Vec<f64> {
        let mut demand = vec![0.0; self.count];
        for (row, count) in counts.iter().enumerate() {
            demand[self.of_row[row]] += self.weights[row] * *count as f64;
        }
        demand
    }

    /// The other rows of a row's cluster.
    pub(crate) fn alike(&self, row: usize) -> Vec<usize> {
        let rows = 0..self.of_row.len();
        rows.filter(|other| *other != row && self.of_row[*other] == self.of_row[row])
            .collect()
    }

    /// Prices by row, from prices by cluster.
    pub(crate) fn spread(&self, prices: &[f64]) -> Vec<f64> {
        let rows = self.of_row.iter().zip(&self.weights);
        rows.map(|(cluster, weight)| prices[*cluster] * weight).collect()
    }
}

type Key<'a> = (&'a [usize], i64, bool, Vec<i64>);

fn grouped(packing: &Packing, menus: &[Vec<usize>], ratio: f64) -> (Vec<usize>, usize) {
    let mut clusters: BTreeMap<Key<'_>, usize> = BTreeMap::new();
    let of_row = packing.rows.iter().enumerate().map(|(row, described)| {
        let bucket = |size: &i64| match *size {
            0 => -1,
            size if ratio <= 1.0 => size,
            size => ((size as f64).ln() / ratio.ln()) as i64,
        };
        let buckets = packing.size(row).iter().map(bucket).collect();
        // A cap that binds sets a row apart.
        let cap = if packing.most(row) < described.count {
            packing.most(row)
        } else {
            i64::MAX
        };
        let key = (menus[row].as_slice(), cap, described.is_delicate, buckets);
        let next = clusters.len();
        *clusters.entry(key).or_insert(next)
    });
    let of_row: Vec<usize> = of_row.collect();
    let count = of_row.iter().max().map_or(0, |most| most + 1);
    (of_row, count)
}
