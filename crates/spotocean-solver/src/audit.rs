//! The last look at a plan: affinities and spreads counted anew from where pods
//! really ended up. Pods that would not be bound there are taken out again.
//!
//! Needed because buying can fall short of the assignment (limits, `minValues`):
//! a domain that got less than its share may leave others too full, and a pod
//! that was to be joined may be missing.

use std::collections::BTreeSet;

use crate::load::Load;
use crate::model::Model;
use crate::plan::{Facts, Plan, PlannedNode};
use crate::solution::Reason;
use crate::topology::{Counter, Policy};

/// Takes out what would not be bound, until everything left would be.
pub(crate) fn audit<'p>(model: &Model<'p>, plan: &mut Plan<'p>) {
    while drop_unsupported(model, plan) || drop_skewed(model, plan) {}
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
    for (index, counter) in model.topology.counters.iter().enumerate() {
        let is_held = plan.ledger.holders[index].iter().any(|count| *count > 0);
        if !is_held || !matches!(counter.policy, Policy::Spread { .. }) {
            continue;
        }
        let values = plan
            .nodes
            .iter()
            .flat_map(|node| possible_values(model, counter, node));
        let known = &plan.ledger.domains[index];
        facts
            .domains
            .extend(values.filter(|value| !known[*value]).map(|value| (index, value)));
    }
    facts
}

/// The domains of a counter that a node may turn out to be in.
fn possible_values(model: &Model<'_>, counter: &Counter, node: &PlannedNode<'_>) -> BTreeSet<usize> {
    let cells = node
        .candidates
        .iter()
        .map(|offer| model.market.offers[*offer].cell);
    cells
        .filter(|cell| counter.counts_cell[*cell])
        .filter_map(|cell| model.market.cells[cell].values[counter.key])
        .collect()
}

/// The value that a node is sure to have: every candidate has it.
fn value_of(model: &Model<'_>, key: usize, node: &PlannedNode<'_>) -> Option<usize> {
    node.pins
        .iter()
        .find(|(pinned, _)| *pinned == key)
        .map_or_else(|| model.market.cells[node.cell].values[key], |(_, value)| *value)
}

/// A place's pods with its values.
struct Spot<'a, 'p> {
    load: &'a Load<'p>,
    site: Option<usize>,
    node: Option<&'a PlannedNode<'p>>,
}

impl Spot<'_, '_> {
    fn value(&self, model: &Model<'_>, key: usize) -> Option<usize> {
        match (self.site, self.node) {
            (Some(site), _) => model.sites.sites[site].values[key],
            (None, Some(node)) => value_of(model, key, node),
            (None, None) => None,
        }
    }

    /// Whether its pods count for certain, and whether they may.
    fn counts(&self, model: &Model<'_>, counter: &Counter) -> (bool, bool) {
        if let Some(site) = self.site {
            return (counter.counts_site[site], counter.counts_site[site]);
        }
        let candidates = self.node.iter().flat_map(|node| &node.candidates);
        let mut counts = candidates.map(|offer| counter.counts_cell[model.market.offers[*offer].cell]);
        (counts.clone().all(|each| each), counts.any(|each| each))
    }
}

/// Planned nodes first: a pod is taken from a node to buy before one that is there.
fn spots<'a, 'p>(plan: &'a Plan<'p>) -> Vec<Spot<'a, 'p>> {
    let nodes = plan.nodes.iter().map(|node| Spot {
        load: &node.load,
        site: None,
        node: Some(node),
    });
    let sites = plan.sites.iter().enumerate().map(|(site, load)| Spot {
        load,
        site: Some(site),
        node: None,
    });
    nodes.chain(sites).collect()
}

fn take_out<'p>(
    model: &Model<'p>,
    plan: &mut Plan<'p>,
    spot: usize,
    (class, count): (usize, i64),
    reason: Reason,
) {
    let nodes = plan.nodes.len();
    match spot.checked_sub(nodes) {
        None => plan.nodes[spot].load.remove(model, class, count),
        Some(site) => plan.sites[site].remove(model, class, count),
    }
    plan.waiting[class] += count;
    plan.dropped.insert(class, reason);
}

/// Takes out pods whose affinity no placed pod satisfies in an order that can happen.
fn drop_unsupported<'p>(model: &Model<'p>, plan: &mut Plan<'p>) -> bool {
    let seekers: Vec<usize> = (0..model.classes.len())
        .filter(|class| model.topology.groups[*class].is_some())
        .collect();
    if seekers.is_empty() {
        return false;
    }
    let orphans: Vec<(usize, (usize, i64))> = {
        let spots = spots(plan);
        let grounded = grounded(model, &spots, &seekers);
        let loads = spots.iter().enumerate();
        loads
            .flat_map(|(index, spot)| spot.load.classes.iter().map(move |entry| (index, *entry)))
            .filter(|(index, (class, _))| {
                !grounded.contains(&(*class, *index))
                    || !holds_as_last(model, &spots, &grounded, *class, *index)
            })
            .collect()
    };
    for (spot, entry) in &orphans {
        take_out(model, plan, *spot, *entry, Reason::PodAffinity);
    }
    !orphans.is_empty()
}

/// Class and spot pairs that can be bound in some order: those that seek
/// nothing, then whatever finds a mate among these, again and again.
fn grounded(model: &Model<'_>, spots: &[Spot<'_, '_>], seekers: &[usize]) -> BTreeSet<(usize, usize)> {
    let all = spots.iter().enumerate();
    let all = all.flat_map(|(index, spot)| spot.load.classes.iter().map(move |(class, _)| (*class, index)));
    let (mut waiting, mut grounded): (BTreeSet<_>, BTreeSet<_>) =
        all.partition(|(class, _)| seekers.contains(class));
    loop {
        let next: Vec<(usize, usize)> = waiting
            .iter()
            .copied()
            .filter(|(class, spot)| finds_mate(model, spots, &grounded, *class, *spot))
            .collect();
        let first = waiting
            .iter()
            .copied()
            .find(|(class, _)| next.is_empty() && may_be_first(model, &grounded, *class));
        if next.is_empty() && first.is_none() {
            return grounded;
        }
        for pair in next.into_iter().chain(first) {
            waiting.remove(&pair);
            grounded.insert(pair);
        }
    }
}

fn may_be_first(model: &Model<'_>, grounded: &BTreeSet<(usize, usize)>, class: usize) -> bool {
    model.topology.groups[class].as_ref().is_some_and(|group| {
        let is_met = grounded.iter().any(|(other, _)| group.members[*other]);
        group.is_own_member && group.residents_in_domains == 0 && !is_met
    })
}

/// A pod bound first because it had no mate must not find, when bound last,
/// that its mates went elsewhere.
fn holds_as_last(
    model: &Model<'_>,
    spots: &[Spot<'_, '_>],
    grounded: &BTreeSet<(usize, usize)>,
    class: usize,
    spot: usize,
) -> bool {
    if model.topology.groups[class].is_none() || spots[spot].load.count(class) > 1 {
        return true;
    }
    let mut others = grounded.clone();
    others.remove(&(class, spot));
    finds_mate(model, spots, &others, class, spot) || may_be_first(model, &others, class)
}

/// In the domain of each of the class's terms there is a mate.
fn finds_mate(
    model: &Model<'_>,
    spots: &[Spot<'_, '_>],
    grounded: &BTreeSet<(usize, usize)>,
    class: usize,
    spot: usize,
) -> bool {
    let topology = &model.topology;
    let Some(group) = topology.groups[class].as_ref() else {
        return true;
    };
    let mates = || {
        grounded
            .iter()
            .filter(|(other, _)| group.members[*other])
            .map(|(_, at)| *at)
    };
    let on_host = || {
        let resident = spots[spot].site.is_some_and(|site| group.residents[site] > 0);
        resident || mates().any(|at| at == spot)
    };
    let in_domain = |index: &usize| {
        let counter = &topology.counters[*index];
        let Some(value) = spots[spot].value(model, counter.key) else {
            return false;
        };
        counter.residents[value] > 0 || mates().any(|at| spots[at].value(model, counter.key) == Some(value))
    };
    let is_affinity = |index: &&usize| topology.counters[**index].policy == Policy::Together;
    (!group.is_on_host || on_host()) && topology.held[class].iter().filter(is_affinity).all(in_domain)
}

/// Takes out one pod that a spread would not admit if it came last.
fn drop_skewed<'p>(model: &Model<'p>, plan: &mut Plan<'p>) -> bool {
    for (index, counter) in model.topology.counters.iter().enumerate() {
        if plan.ledger.holders[index].iter().all(|count| *count == 0) {
            continue;
        }
        if let Some((spot, count)) = skewed(model, plan, counter) {
            take_out(model, plan, spot, (counter.holder, count), Reason::TopologySpread);
            return true;
        }
    }
    false
}

fn skewed(model: &Model<'_>, plan: &Plan<'_>, counter: &Counter) -> Option<(usize, i64)> {
    let Policy::Spread {
        max_skew,
        min_domains,
    } = counter.policy
    else {
        return None;
    };
    let spots = spots(plan);
    // Which candidate EC2 takes may decide whether a node counts: the domain
    // judged is taken as full, and the emptiest as empty, as either can make it.
    let mut fullest = counter.residents.clone();
    let mut least = counter.residents.clone();
    let mut possible = counter.domains.clone();
    let mut certain = counter.domains.clone();
    for spot in &spots {
        let members = spot.load.planned_members(&counter.members);
        let Some(value) = spot.value(model, counter.key) else {
            continue;
        };
        let (always, sometimes) = spot.counts(model, counter);
        fullest[value] += if sometimes { members } else { 0 };
        least[value] += if always { members } else { 0 };
        certain[value] |= always;
    }
    for node in spots.iter().filter_map(|spot| spot.node) {
        for value in possible_values(model, counter, node) {
            possible[value] = true;
        }
    }
    let number = i64::try_from(certain.iter().filter(|is_domain| **is_domain).count()).unwrap_or(i64::MAX);
    let present = possible.iter().zip(&least).filter(|(is_domain, _)| **is_domain);
    let emptiest = if number < min_domains {
        0
    } else {
        present.map(|(_, count)| *count).min().unwrap_or(0)
    };
    spots.iter().enumerate().find_map(|(index, spot)| {
        let held = spot.load.count(counter.holder);
        let value = spot.value(model, counter.key)?;
        let excess = fullest[value] - emptiest - max_skew;
        let taken = if counter.members[counter.holder] {
            excess.min(held)
        } else {
            held
        };
        (held > 0 && excess > 0).then_some((index, taken))
    })
}
