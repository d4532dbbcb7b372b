//! The running count of pods per domain while a plan is made.
//!
//! A pod may go where its own constraints allow it and where it breaks none of
//! those of pods placed before. Because the emptiest domain only ever fills up
//! while a plan grows, a plan made so holds at its end too: each pod would still
//! be admitted if it came last, whatever the order in which kube-scheduler binds.

use crate::model::Model;
use crate::topology::{Counter, Policy};

/// Where a pod is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// A node there or on its way.
    Site(usize),
    /// A node to buy, of this cell.
    Cell(usize),
}

/// The counts.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    /// Members by counter and value, residents included.
    pub(crate) members: Vec<Vec<i64>>,
    /// Planned pods of the holder by counter and value.
    pub(crate) holders: Vec<Vec<i64>>,
    /// Domains by counter and value: nodes there, and what the plan may create.
    pub(crate) domains: Vec<Vec<bool>>,
    /// Planned pods by class.
    pub(crate) placed: Vec<i64>,
    /// Pods that are meant by leaning and value, residents included.
    meant: Vec<Vec<i64>>,
}

impl Ledger {
    pub(crate) fn of(model: &Model<'_>) -> Self {
        let counters = &model.topology.counters;
        let leanings = model.topology.leanings.iter();
        Self {
            members: counters.iter().map(|counter| counter.residents.clone()).collect(),
            holders: counters
                .iter()
                .map(|counter| vec![0; counter.residents.len()])
                .collect(),
            domains: counters.iter().map(|counter| counter.domains.clone()).collect(),
            placed: vec![0; model.classes.len()],
            meant: leanings.map(|leaning| leaning.residents.clone()).collect(),
        }
    }

    /// The constraint that keeps one more pod of `class` from this place; `None` when none does.
    pub(crate) fn blocked_by(&self, model: &Model<'_>, class: usize, place: Place) -> Option<Policy> {
        let topology = &model.topology;
        let values = values(model, place);
        let held = topology.held[class].iter().find(|index| {
            let counter = &topology.counters[**index];
            let own = i64::from(counter.members[class]);
            match (counter.policy, values[counter.key]) {
                (Policy::Apart, value) => value.is_some_and(|value| self.members[**index][value] > 0),
                (_, None) => true,
                (Policy::Together, Some(value)) => {
                    self.members[**index][value] == 0 && !self.may_come_first(model, class)
                }
                (Policy::Spread { .. }, Some(value)) => !self.keeps_skew(counter, **index, value, own),
            }
        });
        let others = || {
            topology.counted[class].iter().find(|index| {
                let counter = &topology.counters[**index];
                let Some(value) = values[counter.key].filter(|_| counter.holder != class) else {
                    return false;
                };
                self.holders[**index][value] > 0
                    && match counter.policy {
                        Policy::Apart => true,
                        Policy::Together => false,
                        Policy::Spread { .. } => !self.keeps_skew(counter, **index, value, 1),
                    }
            })
        };
        held.or_else(others).map(|index| topology.counters[*index].policy)
    }

    /// No pod anywhere satisfies the class's affinity, but its own first pod does.
    pub(crate) fn may_come_first(&self, model: &Model<'_>, class: usize) -> bool {
        model.topology.groups[class].as_ref().is_some_and(|group| {
            let planned = group.members.iter().zip(&self.placed);
            let planned: i64 = planned
                .filter(|(is_member, _)| **is_member)
                .map(|(_, count)| count)
                .sum();
            group.is_own_member && group.residents_in_domains == 0 && planned == 0
        })
    }

    fn keeps_skew(&self, counter: &Counter, index: usize, value: usize, added: i64) -> bool {
        let Policy::Spread { max_skew, .. } = counter.policy else {
            return true;
        };
        self.members[index][value] + added - self.emptiest(counter, index) <= max_skew
    }

    /// Members in the emptiest domain; zero while there are fewer than `minDomains`.
    pub(crate) fn emptiest(&self, counter: &Counter, index: usize) -> i64 {
        let domains = self.domains[index].iter().zip(&self.members[index]);
        let counts = domains
            .filter(|(is_domain, _)| **is_domain)
            .map(|(_, count)| *count);
        let Policy::Spread { min_domains, .. } = counter.policy else {
            return 0;
        };
        let number = i64::try_from(counts.clone().count()).unwrap_or(i64::MAX);
        if number < min_domains {
            0
        } else {
            counts.min().unwrap_or(0)
        }
    }

    /// How full this place already is for the spreads of `class`; lower is better.
    pub(crate) fn fullness(&self, model: &Model<'_>, class: usize, place: Place) -> i64 {
        let topology = &model.topology;
        let values = values(model, place);
        let involved = topology.held[class].iter().chain(&topology.counted[class]);
        involved
            .filter_map(|index| {
                let counter = &topology.counters[*index];
                let is_spread = matches!(counter.policy, Policy::Spread { .. });
                let value = values[counter.key].filter(|_| is_spread)?;
                Some(self.members[*index][value])
            })
            .sum()
    }

    /// How little `class` would like to be in this place for the pods there; lower is better. As kube-scheduler
    /// scores, each pod counts.
    pub(crate) fn reluctance(&self, model: &Model<'_>, class: usize, place: Place) -> i64 {
        let values = values(model, place);
        let leanings = model.topology.leans[class].iter().map(|index| {
            let leaning = &model.topology.leanings[*index];
            let meant = values[leaning.key].map_or(0, |value| self.meant[*index][value]);
            meant.saturating_mul(leaning.weight)
        });
        leanings.fold(0, i64::saturating_add)
    }

    /// Counts `count` pods of `class` there; negative takes them back.
    pub(crate) fn count(&mut self, model: &Model<'_>, class: usize, place: Place, count: i64) {
        let topology = &model.topology;
        let values = values(model, place);
        self.placed[class] += count;
        for index in &topology.counted[class] {
            let counter = &topology.counters[*index];
            let counts = match place {
                Place::Site(site) => counter.counts_site[site],
                Place::Cell(cell) => counter.counts_cell[cell],
            };
            if let (true, Some(value)) = (counts, values[counter.key]) {
                self.members[*index][value] += count;
            }
        }
        for index in &topology.held[class] {
            if let Some(value) = values[topology.counters[*index].key] {
                self.holders[*index][value] += count;
            }
        }
        for index in &topology.leant_on[class] {
            if let Some(value) = values[topology.leanings[*index].key] {
                self.meant[*index][value] += count;
            }
        }
    }
}

/// The topology values of a place, by key.
pub(crate) fn values<'m>(model: &'m Model<'_>, place: Place) -> &'m [Option<usize>] {
    match place {
        Place::Site(site) => &model.sites.sites[site].values,
        Place::Cell(cell) => &model.market.cells[cell].values,
    }
}
