//! From a packing's nodes to purchases of real pods.
//!
//! A packing knows rows; a purchase names classes in their domains. Pods of a
//! row's items are handed out one item after the other, so that equal nodes stay
//! equal and are bought together. Where some row is delicate, which of a row's
//! pods go together decides whether all of them find a place: a pod that keeps
//! others off its node costs least beside pods that keep the same ones off. So
//! small nodes come first, each takes up pods of one such rule (the one with most
//! pods left), then pods that rules are about, then those that no rule concerns.
//! Each is put where [`crate::load`] allows. Whom all nodes short of its row keep
//! off may change places ([`crate::mend`]). At the end nodes are filled up with what
//! is left over, those first that got fewer pods than the packing has them hold;
//! what finds no place even so stays an item.

use crate::assign::Item;
use crate::load::Load;
use crate::mend;
use crate::model::Model;
use crate::pack;
use crate::packing::{self, Packing};
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
    let mut drafts = handed_out(model, items, packing, lots);
    mend::mend(model, packing, items, &mut drafts);
    for draft in &drafts {
        for (item, count) in &draft.picks {
            items[*item].left += count;
        }
    }
    let mut nodes = Vec::new();
    for equal in drafts.chunk_by(|a, b| (a.bin, &a.picks) == (b.bin, &b.picks)) {
        let draft = &equal[0];
        let cell = &model.market.cells[model.market.offers[packing.bins[draft.bin].offer].cell];
        let source = (cell.pool, cell.capacity_type);
        let first = plan.nodes.len();
        let copies = i64::try_from(equal.len()).unwrap_or(i64::MAX);
        pack::buy(model, plan, items, source, &draft.picks, copies);
        nodes.extend((first..plan.nodes.len()).map(|node| Bought {
            node,
            bin: draft.bin,
            is_short: !draft.missing.is_empty(),
        }));
    }
    nodes.sort_by_key(|bought| !bought.is_short);
    fill_up(model, plan, items, packing, &nodes);
}

/// The lots' nodes with pods of `items`, which are taken off them.
fn handed_out(model: &Model<'_>, items: &mut [Item], packing: &Packing, lots: &[Lot]) -> Vec<Draft> {
    let mut handing = Handing::of(model, items, packing);
    let mut drafts = Vec::new();
    for lot in handing.in_order(lots) {
        let mut copies = lot.copies;
        while copies > 0 {
            let draft = handing.draft(model, items, packing, lot);
            let repeats = draft
                .picks
                .iter()
                .map(|(item, count)| items[*item].left / count)
                .min();
            let Some(repeats) = repeats.map(|repeats| repeats.min(copies)) else {
                break;
            };
            for (item, count) in &draft.picks {
                items[*item].left -= count * repeats;
            }
            drafts.extend((0..repeats).map(|_| draft.clone()));
            copies -= repeats;
        }
    }
    drafts
}

/// A node to buy for a pattern.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// The pattern's.
    pub(crate) bin: usize,
    /// Items and how many pods of each.
    pub(crate) picks: Vec<(usize, i64)>,
    /// Rows of which the pattern has so many pods more.
    pub(crate) missing: Vec<(usize, i64)>,
}

/// A node bought for a pattern.
struct Bought {
    node: usize,
    /// The pattern's.
    bin: usize,
    /// Whether it got fewer pods than the pattern has.
    is_short: bool,
}

/// Fills up nodes with what is left, the largest first: one that is short to what
/// its bin holds, any other as it is.
fn fill_up<'p>(
    model: &Model<'p>,
    plan: &mut Plan<'p>,
    items: &mut [Item],
    packing: &Packing,
    nodes: &[Bought],
) {
    // Rows are in order of size.
    let rows = packing.rows.iter().enumerate().rev();
    let mut left: Vec<(usize, usize)> = rows
        .flat_map(|(row, described)| described.items.iter().map(move |item| (row, *item)))
        .collect();
    for bought in nodes {
        left.retain(|(_, item)| items[*item].left > 0);
        if left.is_empty() {
            return;
        }
        let mut load = plan.nodes[bought.node].load.clone();
        if bought.is_short {
            load = Load::of_offer(model, packing.bins[bought.bin].offer);
            for (class, count) in &plan.nodes[bought.node].load.classes {
                load.add(model, *class, *count);
            }
        }
        let mut node = Node {
            model,
            items,
            load: Some(load),
            picks: Vec::new(),
        };
        let menu = packing.menu(bought.bin);
        for (row, item) in left.iter().filter(|(row, _)| packing::admits(menu, *row)) {
            node.take(&[*item], &mut { i64::MAX }, packing.rows[*row].most);
        }
        let picks = node.picks;
        if !picks.is_empty() {
            pack::add(model, plan, items, bought.node, &picks);
        }
    }
}

/// Items of one row that are handed out in this order.
#[derive(Clone, Debug, Default)]
struct Queue {
    items: Vec<usize>,
    next: usize,
}

impl Queue {
    /// Those with pods left, the first of them remembered.
    fn left(&mut self, items: &[Item]) -> &[usize] {
        while self
            .items
            .get(self.next)
            .is_some_and(|item| items[*item].left <= 0)
        {
            self.next += 1;
        }
        &self.items[self.next..]
    }
}

/// How each row's pods are handed out.
struct Handing {
    /// By row, its items: those that rules are about first, holders of rules last.
    rows: Vec<Queue>,
    /// By row and rule, the items that hold it.
    holders: Vec<Vec<(usize, Queue)>>,
    has_delicate: bool,
}

impl Handing {
    fn of(model: &Model<'_>, items: &[Item], packing: &Packing) -> Self {
        let topology = &model.topology;
        let rank = |item: &usize| {
            let class = items[*item].class;
            let is_counted = !topology.rules_counted[class].is_empty();
            (!topology.rules_held[class].is_empty(), !is_counted)
        };
        let mut handing = Self {
            rows: Vec::new(),
            holders: Vec::new(),
            has_delicate: packing.rows.iter().any(|row| row.is_delicate),
        };
        for row in &packing.rows {
            let mut own = row.items.clone();
            let mut holders: Vec<(usize, Queue)> = Vec::new();
            if row.is_delicate {
                own.sort_by_key(rank);
                for item in &own {
                    for rule in &topology.rules_held[items[*item].class] {
                        match holders.iter_mut().find(|(known, _)| known == rule) {
                            Some((_, queue)) => queue.items.push(*item),
                            None => holders.push((
                                *rule,
                                Queue {
                                    items: vec![*item],
                                    next: 0,
                                },
                            )),
                        }
                    }
                }
            }
            handing.rows.push(Queue { items: own, next: 0 });
            handing.holders.push(holders);
        }
        handing
    }

    /// Small nodes first where that matters.
    fn in_order<'l>(&self, lots: &'l [Lot]) -> Vec<&'l Lot> {
        let mut ordered: Vec<&Lot> = lots.iter().collect();
        if self.has_delicate {
            ordered.sort_by_key(|lot| lot.pattern.picks.iter().map(|(_, count)| count).sum::<i64>());
        }
        ordered
    }

    /// One node of a lot, as far as there are pods for it.
    fn draft(&mut self, model: &Model<'_>, items: &[Item], packing: &Packing, lot: &Lot) -> Draft {
        let rows = &lot.pattern.picks;
        let is_delicate = rows.iter().any(|(row, _)| packing.rows[*row].is_delicate);
        let mut node = Node {
            model,
            items,
            load: is_delicate.then(|| Load::of_offer(model, packing.bins[lot.pattern.bin].offer)),
            picks: Vec::new(),
        };
        let mut wanted: Vec<i64> = rows.iter().map(|(_, count)| *count).collect();
        if let Some(rule) = self.busiest(items, rows) {
            for ((row, _), wanted) in rows.iter().zip(&mut wanted) {
                let queue = self.holders[*row].iter_mut().find(|(known, _)| *known == rule);
                if let Some((_, queue)) = queue {
                    node.take(queue.left(items), wanted, packing.rows[*row].most);
                }
            }
        }
        for ((row, _), wanted) in rows.iter().zip(&mut wanted) {
            node.take(self.rows[*row].left(items), wanted, packing.rows[*row].most);
        }
        let missing = rows.iter().zip(wanted).map(|((row, _), wanted)| (*row, wanted));
        Draft {
            bin: lot.pattern.bin,
            picks: node.picks,
            missing: missing.filter(|(_, wanted)| *wanted > 0).collect(),
        }
    }

    /// The rule of which most pods are left among these rows.
    fn busiest(&mut self, items: &[Item], rows: &[(usize, i64)]) -> Option<usize> {
        let mut left: Vec<(usize, i64)> = Vec::new();
        for (row, _) in rows {
            for (rule, queue) in &mut self.holders[*row] {
                let pods: i64 = queue.left(items).iter().map(|item| items[*item].left).sum();
                match left.iter_mut().find(|(known, _)| known == rule) {
                    Some((_, sum)) => *sum += pods,
                    None => left.push((*rule, pods)),
                }
            }
        }
        let most = left.into_iter().filter(|(_, pods)| *pods > 0);
        most.max_by_key(|(rule, pods)| (*pods, std::cmp::Reverse(*rule)))
            .map(|(rule, _)| rule)
    }
}

/// A node being filled.
struct Node<'a, 'p> {
    model: &'a Model<'p>,
    items: &'a [Item],
    /// Its pods so far, where that matters.
    load: Option<Load<'p>>,
    picks: Vec<(usize, i64)>,
}

impl Node<'_, '_> {
    /// Takes up to `wanted` pods of these items, of each at most `most`.
    fn take(&mut self, items: &[usize], wanted: &mut i64, most: i64) {
        for item in items {
            if *wanted <= 0 {
                return;
            }
            let class = self.items[*item].class;
            let known = self.picks.iter().position(|(known, _)| known == item);
            let already = known.map_or(0, |position| self.picks[position].1);
            let mut taken = (*wanted).min(self.items[*item].left.min(most) - already);
            if let Some(load) = &mut self.load {
                taken = load.room(self.model, class, taken);
                if taken > 0 {
                    load.add(self.model, class, taken);
                }
            }
            if taken > 0 {
                *wanted -= taken;
                match known {
                    Some(position) => self.picks[position].1 += taken,
                    None => self.picks.push((*item, taken)),
                }
            }
        }
    }
}
