//! Whether pods' rules about domains are kept no worse than they were.
//!
//! A pod that moves is held to its rules where it is put ([`crate::ledger`]). This
//! looks at everybody else: a pod that stays may find its domain too full once the
//! emptiest one has lost a pod, or its only mate gone. What was broken before may
//! stay so, but no further.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::Ledger;
use crate::load::Load;
use crate::model::Model;
use crate::plan::Plan;
use crate::topology::{Counter, Policy};

/// A rule of a class in a domain, or about the node itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Rule {
    /// Counter and value.
    Domain(usize, usize),
    /// Class and site: it seeks a node mate.
    Site(usize, usize),
    /// Class and planned node: the same.
    Planned(usize, usize),
}

impl Rule {
    /// The class whose rule it is.
    pub(super) fn holder(self, model: &Model<'_>) -> usize {
        match self {
            Self::Domain(counter, _) => model.topology.counters[counter].holder,
            Self::Site(class, _) | Self::Planned(class, _) => class,
        }
    }
}

/// By how much each rule is broken; only broken ones are listed.
pub(super) type Breaches = BTreeMap<Rule, i64>;

/// What pods of some classes may change for others.
pub(super) struct Touched {
    counters: BTreeSet<usize>,
    /// Classes that seek a node mate.
    companions: Vec<usize>,
}

impl Touched {
    pub(super) fn by(model: &Model<'_>, classes: &BTreeSet<usize>) -> Self {
        let topology = &model.topology;
        let counters = classes
            .iter()
            .flat_map(|class| topology.held[*class].iter().chain(&topology.counted[*class]));
        let concerns = |companion: &usize| {
            let group = topology.groups[*companion].as_ref();
            let seeks = |class: &usize| group.is_some_and(|group| group.members[*class]);
            classes.contains(companion) || classes.iter().any(seeks)
        };
        Self {
            counters: counters.copied().collect(),
            companions: (0..model.classes.len())
                .filter(|class| topology.is_companion(*class))
                .filter(concerns)
                .collect(),
        }
    }

    /// What domains may change for others that `after` has and `before` had not: pods
    /// that stay find a new one empty.
    pub(super) fn by_domains(before: &Plan<'_>, after: &Plan<'_>) -> Self {
        let domains = before.ledger.domains.iter().zip(&after.ledger.domains);
        let is_new = |(before, after): (&Vec<bool>, &Vec<bool>)| before != after;
        Self {
            counters: domains
                .enumerate()
                .filter(|(_, pair)| is_new(*pair))
                .map(|(index, _)| index)
                .collect(),
            companions: Vec::new(),
        }
    }

    /// How many holders of each rule about a domain are there.
    pub(super) fn holders(&self, plan: &Plan<'_>) -> BTreeMap<Rule, i64> {
        let counters = self.counters.iter();
        let holders = counters.flat_map(|index| {
            let values = plan.ledger.holders[*index].iter().enumerate();
            values.map(|(value, holders)| (Rule::Domain(*index, value), *holders))
        });
        holders.collect()
    }

    /// Rules that are kept worse than `before`; where pods have come in since
    /// `without`, all that are broken.
    pub(super) fn worse(
        &self,
        model: &Model<'_>,
        plan: &Plan<'_>,
        before: &Breaches,
        without: &BTreeMap<Rule, i64>,
    ) -> Vec<Rule> {
        let after = self.breaches(model, plan);
        let holders = self.holders(plan);
        let allowed = |rule: &Rule| {
            let has_newcomers = holders.get(rule) > without.get(rule);
            before.get(rule).copied().filter(|_| !has_newcomers).unwrap_or(0)
        };
        let worse = after.into_iter().filter(|(rule, breach)| *breach > allowed(rule));
        worse.map(|(rule, _)| rule).collect()
    }

    /// The rules among these that are broken.
    pub(super) fn breaches(&self, model: &Model<'_>, plan: &Plan<'_>) -> Breaches {
        let ledger = &plan.ledger;
        let mut found = Breaches::new();
        for index in &self.counters {
            let emptiest = ledger.emptiest(&model.topology.counters[*index], *index);
            for (value, holders) in ledger.holders[*index].iter().enumerate() {
                let breach = breach(model, ledger, *index, value, emptiest);
                if *holders > 0 && breach > 0 {
                    found.insert(Rule::Domain(*index, value), breach);
                }
            }
        }
        for class in &self.companions {
            let is_lonely =
                |load: &Load<'_>| load.count(*class) > 0 && !has_mate(model, ledger, load, *class);
            let sites = plan.sites.iter().enumerate().filter(|(_, load)| is_lonely(load));
            found.extend(sites.map(|(site, _)| (Rule::Site(*class, site), 1)));
            let nodes = plan
                .nodes
                .iter()
                .enumerate()
                .filter(|(_, node)| is_lonely(&node.load));
            found.extend(nodes.map(|(node, _)| (Rule::Planned(*class, node), 1)));
        }
        found
    }
}

fn breach(model: &Model<'_>, ledger: &Ledger, index: usize, value: usize, emptiest: i64) -> i64 {
    let counter: &Counter = &model.topology.counters[index];
    let members = ledger.members[index][value];
    let own = i64::from(counter.members[counter.holder]);
    match counter.policy {
        Policy::Spread { max_skew, .. } => members - emptiest - max_skew,
        Policy::Apart => members - own,
        Policy::Together => {
            let is_met = members > own || is_alone(model, ledger, counter.holder);
            i64::from(!is_met)
        }
    }
}

/// Whether a pod of `class` on this node has another pod there that it seeks.
fn has_mate(model: &Model<'_>, ledger: &Ledger, load: &Load<'_>, class: usize) -> bool {
    model.topology.groups[class].as_ref().is_none_or(|group| {
        let own = i64::from(group.is_own_member);
        load.members(&group.members, &group.residents) > own || is_alone(model, ledger, class)
    })
}

/// Whether a pod of `class` is the only one anywhere that would satisfy its affinity.
fn is_alone(model: &Model<'_>, ledger: &Ledger, class: usize) -> bool {
    model.topology.groups[class].as_ref().is_some_and(|group| {
        let planned = group.members.iter().zip(&ledger.placed);
        let planned: i64 = planned
            .filter(|(is_member, _)| **is_member)
            .map(|(_, count)| count)
            .sum();
        group.is_own_member && group.residents_in_domains == 0 && planned <= 1
    })
}
