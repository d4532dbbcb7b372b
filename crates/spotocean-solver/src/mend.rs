//! Pods change places so that those left over find one.
//!
//! Problem: a row's pods are equal in size but not in what they keep off their
//! node. Handed out one after the other, some are left over though nodes are short
//! of their row: all of those keep them off. Method: a pod of the row that such a
//! node takes gives its own place on another node to the one left over. Sizes stay
//! as they were, so every node still fits its bin. Cost: pods left over × short
//! nodes × nodes, counted in steps.

use crate::assign::Item;
use crate::load::Load;
use crate::model::Model;
use crate::packing::Packing;
use crate::params::MEND_STEPS;
use crate::realise::Draft;

/// Finds places for what is left of `items`.
pub(crate) fn mend(model: &Model<'_>, packing: &Packing, items: &mut [Item], drafts: &mut [Draft]) {
    let is_left = |row: &usize| packing.rows[*row].items.iter().any(|item| items[*item].left > 0);
    let rows: Vec<usize> = (0..packing.rows.len()).filter(is_left).collect();
    if rows.is_empty() {
        return;
    }

    let loads = drafts.iter().map(|draft| loaded(model, packing, items, draft));
    let mut mending = Mending {
        model,
        classes: items.iter().map(|item| item.class).collect(),
        loads: loads.collect(),
        drafts,
        steps: MEND_STEPS,
    };
    // Rows are in order of size.
    for row in rows.into_iter().rev() {
        let members = &packing.rows[row].items;
        for item in members {
            while items[*item].left > 0 && mending.finds_place(row, members, *item) {
                items[*item].left -= 1;
            }
        }
    }
}

fn loaded<'p>(model: &Model<'p>, packing: &Packing, items: &[Item], draft: &Draft) -> Load<'p> {
    let mut load = Load::of_offer(model, packing.bins[draft.bin].offer);
    for (item, count) in &draft.picks {
        load.add(model, items[*item].class, *count);
    }
    load
}

struct Mending<'a, 'p> {
    model: &'a Model<'p>,
    /// By item.
    classes: Vec<usize>,
    /// By draft.
    loads: Vec<Load<'p>>,
    drafts: &'a mut [Draft],
    steps: u64,
}

impl Mending<'_, '_> {
    /// Puts one more pod of an item somewhere; `members` are its row's items.
    fn finds_place(&mut self, row: usize, members: &[usize], item: usize) -> bool {
        for short in 0..self.drafts.len() {
            if !self.drafts[short]
                .missing
                .iter()
                .any(|(missing, _)| *missing == row)
            {
                continue;
            }
            let takes = |other: &usize| self.loads[short].room(self.model, self.classes[*other], 1) > 0;
            let taken: Vec<usize> = members.iter().copied().filter(takes).collect();
            let moved = if taken.contains(&item) {
                Some(item)
            } else {
                self.makes_way(short, &taken, item)
            };
            if let Some(moved) = moved {
                self.put(short, moved);
                self.fulfil(short, row);
                return true;
            }
        }
        false
    }

    /// Puts a pod of `item` in the place of one of `others`, not on `short`; says which that was.
    fn makes_way(&mut self, short: usize, others: &[usize], item: usize) -> Option<usize> {
        for node in (0..self.drafts.len()).filter(|node| *node != short) {
            for other in others {
                if self.steps == 0 {
                    return None;
                }
                self.steps -= 1;
                if !self.drafts[node]
                    .picks
                    .iter()
                    .any(|(present, _)| present == other)
                {
                    continue;
                }
                let mut load = self.loads[node].clone();
                load.remove(self.model, self.classes[*other], 1);
                if load.room(self.model, self.classes[item], 1) > 0 {
                    self.loads[node] = load;
                    self.take_off(node, *other);
                    self.put(node, item);
                    return Some(*other);
                }
            }
        }
        None
    }

    fn put(&mut self, node: usize, item: usize) {
        self.loads[node].add(self.model, self.classes[item], 1);
        let picks = &mut self.drafts[node].picks;
        match picks.iter_mut().find(|(present, _)| *present == item) {
            Some((_, count)) => *count += 1,
            None => picks.push((item, 1)),
        }
    }

    /// Only off the draft: the load has been changed already.
    fn take_off(&mut self, node: usize, item: usize) {
        let picks = &mut self.drafts[node].picks;
        for (_, count) in picks.iter_mut().filter(|(present, _)| *present == item) {
            *count -= 1;
        }
        picks.retain(|(_, count)| *count > 0);
    }

    /// One pod of the row fewer is missing.
    fn fulfil(&mut self, node: usize, row: usize) {
        let missing = &mut self.drafts[node].missing;
        for (_, count) in missing.iter_mut().filter(|(missing, _)| *missing == row) {
            *count -= 1;
        }
        missing.retain(|(_, count)| *count > 0);
    }
}
