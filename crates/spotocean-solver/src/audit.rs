//! The last look at a plan: affinities and spreads counted anew from where pods
//! really ended up. Pods that would not be bound there are taken out again.
//!
//! Needed because buying can fall short of the assignment (limits, `minValues`):
//! a domain that got less than its share may leave others too full, and a pod
//! that was to be joined may be missing.

use crate::census::{Census, Spot};
use crate::grounding::Grounding;
use crate::model::Model;
use crate::plan::{Facts, Plan};
use crate::solution::Reason;
use crate::topology::{Counter, Policy};

/// Takes out what would not be bound, until everything left would be.
pub(crate) fn audit<'p>(model: &Model<'p>, plan: &mut Plan<'p>) {
    let census = Census::of(model, plan);
    let mut audit = Audit {
        model,
        census,
        is_unsure: true,
        doubtful: vec![true; model.topology.counters.len()],
    };
    while audit.drop_unsupported(plan) || audit.drop_skewed(plan) {}
    plan.drop_empty_nodes();
    for node in 0..plan.nodes.len() {
        let classes = plan.nodes[node].load.classes.clone();
        let planned: i64 = classes.iter().map(|(_, count)| count).sum();
        if plan.nodes[node].pods_bought_for > planned {
            plan.choose_again(model, node, &classes);
        }
    }
}

/// Domains that planned nodes may bring and that the assignment did not reckon with.
pub(crate) fn surprising_domains(model: &Model<'_>, plan: &Plan<'_>) -> Facts {
    let mut facts = Facts::default();
    let census = Census::of(model, plan);
    for (index, counter) in model.topology.counters.iter().enumerate() {
        let is_held = plan.ledger.holders[index].iter().any(|count| *count > 0);
        if !is_held || !matches!(counter.policy, Policy::Spread { .. }) {
            continue;
        }
        let stocks = census.stocks.iter();
        let values = stocks.flat_map(|stock| stock.possible_values(model, counter));
        let known = &plan.ledger.domains[index];
        facts
            .domains
            .extend(values.filter(|value| !known[*value]).map(|value| (index, value)));
    }
    facts
}

/// A plan being looked at.
struct Audit<'m, 'p> {
    model: &'m Model<'p>,
    /// Where its pods are.
    census: Census,
    /// Whether affinities must be looked at (again).
    is_unsure: bool,
    /// Counters that must be.
    doubtful: Vec<bool>,
}

impl<'p> Audit<'_, 'p> {
    fn take_out(&mut self, plan: &mut Plan<'p>, spot: usize, (class, count): (usize, i64), reason: Reason) {
        match spot.checked_sub(plan.nodes.len()) {
            None => plan.nodes[spot].load.remove(self.model, class, count),
            Some(site) => plan.sites[site].remove(self.model, class, count),
        }
        plan.waiting[class] += count;
        plan.dropped.insert(class, reason);
        self.census.take(spot, class, count);
        self.is_unsure = true;
        let topology = &self.model.topology;
        for index in topology.held[class].iter().chain(&topology.counted[class]) {
            self.doubtful[*index] = true;
        }
    }

    /// Takes out pods whose affinity no placed pod satisfies in an order that can happen.
    fn drop_unsupported(&mut self, plan: &mut Plan<'p>) -> bool {
        if !std::mem::take(&mut self.is_unsure) {
            return false;
        }
        let orphans = self.orphans();
        for (class, spot, count) in &orphans {
            self.take_out(plan, *spot, (*class, *count), Reason::PodAffinity);
        }
        !orphans.is_empty()
    }

    /// Class, spot and pods of those that no order would bind, or none that puts them last.
    fn orphans(&self) -> Vec<(usize, usize, i64)> {
        let groups = &self.model.topology.groups;
        if groups.iter().all(Option::is_none) {
            return Vec::new();
        }
        let (mut grounding, waiting) = Grounding::whole(self.model, &self.census);
        let mut orphans = Vec::new();
        for (class, holders) in self.census.by_class.iter().enumerate() {
            for (spot, count) in holders.iter().filter(|_| groups[class].is_some()) {
                let is_bound = waiting.binary_search(&(class, *spot)).is_err();
                if !is_bound || (*count <= 1 && !grounding.holds_as_last((class, *spot))) {
                    orphans.push((class, *spot, *count));
                }
            }
        }
        orphans
    }

    /// Takes out one pod that a spread would not admit if it came last.
    fn drop_skewed(&mut self, plan: &mut Plan<'p>) -> bool {
        let model = self.model;
        for (index, counter) in model.topology.counters.iter().enumerate() {
            let is_held = || plan.ledger.holders[index].iter().any(|count| *count > 0);
            if !self.doubtful[index] || !is_held() {
                continue;
            }
            if let Some((spot, count)) = self.skewed(counter) {
                self.take_out(plan, spot, (counter.holder, count), Reason::TopologySpread);
                return true;
            }
            self.doubtful[index] = false;
        }
        false
    }

    fn skewed(&self, counter: &Counter) -> Option<(usize, i64)> {
        let Policy::Spread {
            max_skew,
            min_domains,
        } = counter.policy
        else {
            return None;
        };
        let (fullest, emptiest) = self.extremes(counter, min_domains);
        let holders = self.census.by_class[counter.holder].iter();
        holders.copied().find_map(|(spot, held)| {
            let value = self.census.value(self.model, spot, counter.key)?;
            let excess = fullest[value] - emptiest - max_skew;
            let taken = if counter.members[counter.holder] {
                excess.min(held)
            } else {
                held
            };
            (excess > 0).then_some((spot, taken))
        })
    }

    /// The most members that each domain may come to have, and the fewest that any will.
    ///
    /// Which candidate EC2 takes may decide whether a node counts: the domain
    /// judged is taken as full, and the emptiest as empty, as either can make it.
    fn extremes(&self, counter: &Counter, min_domains: i64) -> (Vec<i64>, i64) {
        let (model, census) = (self.model, &self.census);
        let mut fullest = counter.residents.clone();
        let mut least = counter.residents.clone();
        let mut possible = counter.domains.clone();
        let mut certain = counter.domains.clone();
        let counts = census.counts(counter);
        for (stock, standing) in census.stocks.iter().zip(&counts) {
            for value in stock.possible_values(model, counter) {
                possible[value] = true;
            }
            if let Some(value) = stock.value(counter.key) {
                certain[value] |= standing.always;
            }
        }
        for class in (0..counter.members.len()).filter(|class| counter.members[*class]) {
            for (spot, members) in &census.by_class[class] {
                let Some(value) = census.value(model, *spot, counter.key) else {
                    continue;
                };
                let (always, sometimes) = match census.spots[*spot] {
                    Spot::Site(site) => (counter.counts_site[site], counter.counts_site[site]),
                    Spot::Node(stock) => (counts[stock].always, counts[stock].sometimes),
                };
                fullest[value] += if sometimes { *members } else { 0 };
                least[value] += if always { *members } else { 0 };
            }
        }
        let number = i64::try_from(certain.iter().filter(|is_domain| **is_domain).count());
        let present = possible.iter().zip(&least).filter(|(is_domain, _)| **is_domain);
        let emptiest = if number.unwrap_or(i64::MAX) < min_domains {
            0
        } else {
            present.map(|(_, count)| *count).min().unwrap_or(0)
        };
        (fullest, emptiest)
    }
}
