//! From a packing's nodes to purchases of real pods.
//!
//! A packing knows rows; a purchase names classes in their domains. Pods of a
//! row's items are handed out one item after the other, so that equal nodes stay
//! equal and are bought together. A node with delicate rows is filled pod by pod
//! as [`crate::load`] allows; what it does not take stays an item.

use crate::assign::Item;
use crate::load::Load;
use crate::model::Model;
use crate::pack;
use crate::packing::Packing;
use crate::plan::Plan;
use crate::rounding::Lot;

/// Buys the lots for the items; what could not be bought stays in `items`.
pub(crate) fn realise<'p>(
    model: &Model<'p>,
    plan: &mut Plan<'p>,
    items: &mut [Item],
    packing: &Packing,
    lots: &[Lot],
) {
    let mut cursors = vec![0; packing.rows.len()];
    for lot in lots {
        let offer = packing.bins[lot.pattern.bin].offer;
        let cell = &model.market.cells[model.market.offers[offer].cell];
        let mut copies = lot.copies;
        while copies > 0 {
            let picks = picks(model, items, packing, lot, &mut cursors);
            let repeats = picks.iter().map(|(item, count)| items[*item].left / count).min();
            let Some(repeats) = repeats.map(|repeats| repeats.min(copies)) else {
                break;
            };
            let source = (cell.pool, cell.capacity_type);
            let bought = pack::buy(model, plan, items, source, &picks, repeats);
            if bought == 0 {
                break;
            }
            copies -= bought;
        }
    }
}

/// Pods for one node of a lot.
fn picks(
    model: &Model<'_>,
    items: &[Item],
    packing: &Packing,
    lot: &Lot,
    cursors: &mut [usize],
) -> Vec<(usize, i64)> {
    let rows = &lot.pattern.picks;
    let is_delicate = rows.iter().any(|(row, _)| packing.rows[*row].is_delicate);
    let mut load = is_delicate.then(|| Load::of_offer(model, packing.bins[lot.pattern.bin].offer));
    let mut picks = Vec::new();
    for (row, count) in rows {
        let mut wanted = *count;
        let row_items = &packing.rows[*row].items;
        let cursor = &mut cursors[*row];
        while row_items.get(*cursor).is_some_and(|item| items[*item].left <= 0) {
            *cursor += 1;
        }
        for item in &row_items[*cursor..] {
            if wanted <= 0 {
                break;
            }
            let class = items[*item].class;
            let mut taken = wanted.min(items[*item].left).min(packing.rows[*row].most);
            if let Some(load) = &mut load {
                taken = load.room(model, class, taken);
                if taken > 0 {
                    load.add(model, class, taken);
                }
            }
            if taken > 0 {
                picks.push((*item, taken));
                wanted -= taken;
            }
        }
    }
    picks
}
