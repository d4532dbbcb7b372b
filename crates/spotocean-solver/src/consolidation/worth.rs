//! What pods are worth: the dual prices of buying everything anew.
//!
//! All pods that may move are one packing over all offers of their first level of
//! preference; the linear relaxation of covering it gives each row of pods a price.
//! A node whose pods are worth less than it costs is one to get rid of, as far as
//! that pays; one whose pods are worth more could hardly be replaced for less.

use super::ground::{Lot, count};
use crate::assign::Item;
use crate::bound;
use crate::model::Model;
use crate::packing::{self, Measure, Packing};
use crate::plan::Plan;

/// Which offers count for a pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// Those of its first level of preference.
    First,
    /// All that admit it.
    Anywhere,
}

/// Pods that may move, priced.
pub(super) struct Worth {
    /// The packing of all of them.
    pub(super) packing: Packing,
    /// Its items, one per class.
    pub(super) items: Vec<Item>,
    /// Pods by row.
    pub(super) counts: Vec<i64>,
    /// Prices by row that the relaxation proposed.
    pub(super) hints: Vec<Vec<f64>>,
    /// By class, what one pod is worth in micro-dollars per hour; `None` where nothing on sale would do for it.
    pub(super) of_class: Vec<Option<f64>>,
}

impl Worth {
    pub(super) fn of(model: &Model<'_>, lots: &[Lot<'_>], reach: Reach, measure: Measure) -> Self {
        let (items, items_of_cell) = items(model, lots, reach);
        let packing = packing::packing(model, &items, &items_of_cell, measure);
        let counts: Vec<i64> = packing.rows.iter().map(|row| row.count).collect();
        let hints = if packing.rows.is_empty() {
            Vec::new()
        } else {
            bound::hints(model, &Plan::empty(model), &packing, &items, &counts)
        };
        let mut of_class = vec![None; model.classes.len()];
        for (row, described) in packing.rows.iter().enumerate() {
            for item in &described.items {
                of_class[items[*item].class] = hints.first().map(|hint| hint[row].max(0.0));
            }
        }
        Self {
            packing,
            items,
            counts,
            hints,
            of_class,
        }
    }

    /// What these pods are worth; `None` where something among them cannot be bought for.
    pub(super) fn of_pods(&self, pods: &[(usize, i64)]) -> Option<f64> {
        let worth = pods
            .iter()
            .map(|(class, count)| Some(self.of_class[*class]? * *count as f64));
        worth.sum()
    }
}

/// The pods of nodes that may go, as items without domains, and the items of each cell.
fn items(model: &Model<'_>, lots: &[Lot<'_>], reach: Reach) -> (Vec<Item>, Vec<Vec<usize>>) {
    let mut left = vec![0_i64; model.classes.len()];
    for lot in lots.iter().filter(|lot| lot.is_removable) {
        for (class, tenants) in &lot.tenants {
            left[*class] += count(tenants.len());
        }
    }
    let mut items = Vec::new();
    let mut items_of_cell = vec![Vec::new(); model.market.cells.len()];
    for (class, left) in left.into_iter().enumerate().filter(|(_, left)| *left > 0) {
        let cells = match reach {
            Reach::First => bound::first_cells(model, class),
            Reach::Anywhere => {
                let cells = 0..model.market.cells.len();
                cells.filter(|cell| model.admits_cell[class][*cell]).collect()
            }
        };
        let Some(cell) = cells.first().copied() else {
            continue;
        };
        for each in cells {
            items_of_cell[each].push(items.len());
        }
        items.push(Item {
            class,
            cell,
            tuple: Vec::new(),
            left,
        });
    }
    (items, items_of_cell)
}
