//! Which domain each pod goes to, before anything is packed.
//!
//! A class whose domain matters to some constraint (spread, affinity,
//! anti-affinity; its own or another's) is dealt out pod by pod over nodes there
//! and the domains that offers could create: the emptiest first (water filling),
//! a node that is there before one to buy, then the cheaper. What cannot go to a
//! node there becomes an [`Item`]: so many pods, pinned to these domains. All
//! other classes fill nodes there and become one item without pins.
//! Cost: pods × domains × constraints, integers only.

use std::collections::BTreeMap;

use crate::candidates::Pin;
use crate::dimension;
use crate::ledger::Place;
use crate::model::Model;
use crate::params::VALUE_SCALE;
use crate::plan::{Facts, Plan};
use crate::preference;
use crate::topology::Policy;

/// Pods of one class to buy nodes for, in fixed domains.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// The class.
    pub(crate) class: usize,
    /// A cell in those domains, for counting.
    pub(crate) cell: usize,
    /// The values of the class's tracked keys.
    pub(crate) tuple: Vec<Option<usize>>,
    /// Pods left.
    pub(crate) left: i64,
}

impl Item {
    /// What it demands of its nodes' domains.
    pub(crate) fn pins(&self, model: &Model<'_>) -> Vec<Pin> {
        let keys = model.topology.tracked[self.class].iter().copied();
        keys.zip(self.tuple.iter().copied()).collect()
    }
}

/// Places what fits on nodes there and says what to buy for.
pub(crate) fn assign<'p>(model: &Model<'p>, facts: &Facts, plan: &mut Plan<'p>) -> Vec<Item> {
    let mut items = Vec::new();
    for class in order(model) {
        if plan.waiting[class] <= 0 || model.topology.is_companion(class) {
            continue;
        }
        if model.topology.tracked[class].is_empty() {
            fill_sites(model, plan, class);
            items.extend(free_item(model, plan, class));
        } else {
            items.extend(deal_out(model, facts, plan, class));
        }
    }
    items
}

/// Targets of affinity before those that seek them; among those, classes that
/// are only counted before classes that must keep a balance, classes tied to
/// domains before free ones, large pods before small ones.
pub(crate) fn order(model: &Model<'_>) -> Vec<usize> {
    let classes = model.classes.len();
    let depths = depths(model);
    let reference = largest_free(model);
    let size = |class: usize| -> i64 {
        let request = model.requests[class].iter().zip(&reference);
        let shares = request.map(|(wanted, there)| wanted.saturating_mul(1000) / there.max(&1));
        shares.max().unwrap_or(0)
    };
    let mut order: Vec<usize> = (0..classes).collect();
    order.sort_by_key(|class| {
        let topology = &model.topology;
        let rank = match (
            topology.tracked[*class].is_empty(),
            topology.held[*class].is_empty(),
        ) {
            (false, true) => 0,
            (false, false) => 1,
            (true, _) => 2,
        };
        (depths[*class], rank, std::cmp::Reverse(size(*class)), *class)
    });
    order
}

/// The length of the longest chain of affinities from each class, cycles cut.
fn depths(model: &Model<'_>) -> Vec<usize> {
    let groups = &model.topology.groups;
    let mut depths = vec![0; groups.len()];
    for _ in 0..groups.len().min(8) {
        for (class, group) in groups.iter().enumerate() {
            let Some(group) = group else { continue };
            let targets = (0..groups.len()).filter(|other| *other != class && group.members[*other]);
            let deepest = targets.map(|other| depths[other] + 1).max().unwrap_or(0);
            let is_cycle = deepest > groups.len();
            if !is_cycle {
                depths[class] = deepest.max(depths[class]);
            }
        }
    }
    depths
}

fn largest_free(model: &Model<'_>) -> Vec<i64> {
    let offers = model.market.offers.iter().map(|offer| &offer.free);
    let free = offers.chain(model.sites.sites.iter().map(|site| &site.free));
    let mut largest = model
        .dimensions
        .vector(&spotocean_core::resources::Resources::default());
    for vector in free {
        for (most, amount) in largest.iter_mut().zip(vector) {
            *most = (*most).max(*amount);
        }
    }
    largest
}

fn fill_sites<'p>(model: &Model<'p>, plan: &mut Plan<'p>, class: usize) {
    for site in best_liked(model, class) {
        if plan.waiting[class] <= 0 {
            break;
        }
        if model.admits_site[class][site] {
            let room = plan.sites[site].room(model, class, plan.waiting[class]);
            if room > 0 {
                plan.place(model, class, site, room);
            }
        }
    }
}

/// Sites, the most liked first.
fn best_liked(model: &Model<'_>, class: usize) -> Vec<usize> {
    let shape = model.classes[class].shape();
    let mut sites: Vec<usize> = (0..model.sites.sites.len()).collect();
    sites.sort_by_cached_key(|site| -preference::liking(shape, model.sites.sites[*site].view()));
    sites
}

fn free_item(model: &Model<'_>, plan: &mut Plan<'_>, class: usize) -> Option<Item> {
    let left = plan.waiting[class];
    let cell = model.serves[class].iter().position(|serves| *serves)?;
    if left <= 0 {
        return None;
    }
    plan.ledger.count(model, class, Place::Cell(cell), left);
    Some(Item {
        class,
        cell,
        tuple: Vec::new(),
        left,
    })
}

/// A combination of domains that offers could create.
#[derive(Clone, Debug)]
struct Choice {
    cell: usize,
    tuple: Vec<Option<usize>>,
    level: usize,
    price: i64,
    ceiling: i64,
    count: i64,
}

/// Nodes there that share their domains.
#[derive(Clone, Debug)]
pub(crate) struct Neighbourhood {
    sites: Vec<usize>,
    /// The first that may have room.
    pub(crate) next: usize,
}

fn deal_out<'p>(model: &Model<'p>, facts: &Facts, plan: &mut Plan<'p>, class: usize) -> Vec<Item> {
    let mut neighbourhoods = neighbourhoods(model, class);
    let mut choices = choices(model, facts, plan, class);
    open_domains(model, facts, plan, class, &choices);
    while plan.waiting[class] > counted(&choices) {
        let left = plan.waiting[class] - counted(&choices);
        if let Some(site) = best_site(model, plan, class, &mut neighbourhoods) {
            let room = plan.sites[site].room(model, class, batch(model, class, left));
            plan.place(model, class, site, room);
            continue;
        }
        let Some(index) = best_choice(model, plan, class, &choices) else {
            break;
        };
        let choice = &mut choices[index];
        let count = batch(model, class, left).min(choice.ceiling - choice.count);
        choice.count += count;
        plan.ledger.count(model, class, Place::Cell(choice.cell), count);
    }
    let bought = choices.into_iter().filter(|choice| choice.count > 0);
    bought
        .map(|choice| Item {
            class,
            cell: choice.cell,
            tuple: choice.tuple,
            left: choice.count,
        })
        .collect()
}

fn counted(choices: &[Choice]) -> i64 {
    choices.iter().map(|choice| choice.count).sum()
}

/// How many pods may go to one domain at once without asking again.
pub(crate) fn batch(model: &Model<'_>, class: usize, left: i64) -> i64 {
    let topology = &model.topology;
    let mut leanings = topology.leans[class].iter();
    if leanings.any(|index| topology.leanings[*index].shifts()) {
        return 1;
    }
    let involved = topology.held[class].iter().chain(&topology.counted[class]);
    let needs_care = |index: &usize| {
        let counter = &topology.counters[*index];
        match counter.policy {
            Policy::Spread { .. } => true,
            Policy::Apart => counter.holder == class && counter.members[class],
            Policy::Together => false,
        }
    };
    if involved.into_iter().any(needs_care) {
        1
    } else {
        left
    }
}

pub(crate) fn neighbourhoods(model: &Model<'_>, class: usize) -> Vec<Neighbourhood> {
    let mut by_tuple: BTreeMap<Vec<Option<usize>>, Vec<usize>> = BTreeMap::new();
    for (index, site) in model.sites.sites.iter().enumerate() {
        if model.admits_site[class][index] {
            let tuple = model.topology.tuple(class, &site.values);
            by_tuple.entry(tuple).or_default().push(index);
        }
    }
    let sites = by_tuple.into_values();
    sites.map(|sites| Neighbourhood { sites, next: 0 }).collect()
}

/// The node there in the emptiest allowed domain.
pub(crate) fn best_site(
    model: &Model<'_>,
    plan: &Plan<'_>,
    class: usize,
    neighbourhoods: &mut [Neighbourhood],
) -> Option<usize> {
    let mut best: Option<(i64, i64, usize)> = None;
    for neighbourhood in neighbourhoods {
        let sites = &neighbourhood.sites;
        let is_full = |site: usize| plan.sites[site].room(model, class, 1) == 0;
        while sites.get(neighbourhood.next).is_some_and(|site| is_full(*site)) {
            neighbourhood.next += 1;
        }
        let Some(site) = sites.get(neighbourhood.next) else {
            continue;
        };
        let place = Place::Site(*site);
        if plan.ledger.blocked_by(model, class, place).is_none() {
            let fullness = plan.ledger.fullness(model, class, place);
            let reluctance = plan.ledger.reluctance(model, class, place);
            best = best.into_iter().chain([(fullness, reluctance, *site)]).min();
        }
    }
    best.map(|(_, _, site)| site)
}

/// Every combination of domains that offers for this class could create.
fn choices(model: &Model<'_>, facts: &Facts, plan: &Plan<'_>, class: usize) -> Vec<Choice> {
    let waits_for_spot: Vec<bool> = (0..model.market.pools.len())
        .map(|pool| model.spot_serves(class, None, pool))
        .collect();
    let open = plan.open_cells(model);
    let mut by_tuple: BTreeMap<Vec<Option<usize>>, Choice> = BTreeMap::new();
    for (cell, home) in model.market.cells.iter().enumerate() {
        if !open[class][cell] {
            continue;
        }
        let tuple = model.topology.tuple(class, &home.values);
        let level = model.service_level(cell, waits_for_spot[home.pool]);
        let share = (class, tuple.clone());
        let ceiling = [facts.ceilings.get(&share), plan.learned.get(&share)];
        let ceiling = ceiling.into_iter().flatten().min().copied().unwrap_or(i64::MAX);
        let choice = Choice {
            cell,
            level,
            price: unit_price(model, class, cell),
            ceiling: ceiling - plan.bought.get(&share).copied().unwrap_or(0),
            count: 0,
            tuple: tuple.clone(),
        };
        let known = by_tuple.entry(tuple).or_insert_with(|| choice.clone());
        if (choice.level, choice.price) < (known.level, known.price) {
            *known = choice;
        }
    }
    let mut choices: Vec<Choice> = by_tuple.into_values().collect();
    add_unmet_wishes(model, class, &mut choices);
    choices
}

/// Adds to each price what wishes about nodes are worth that stay unmet there.
fn add_unmet_wishes(model: &Model<'_>, class: usize, choices: &mut [Choice]) {
    let likings: Vec<i64> = choices
        .iter()
        .map(|choice| model.liking(class, choice.cell))
        .collect();
    let top = likings.iter().copied().max().unwrap_or(0);
    let cheapest = choices.iter().map(|choice| choice.price).min().unwrap_or(0);
    for (choice, liking) in choices.iter_mut().zip(likings) {
        let unmet = preference::worth(cheapest, top - liking);
        choice.price = choice.price.saturating_add(unmet);
    }
}

/// The least one pod of the class costs there, nodes filled with nothing else.
pub(crate) fn unit_price(model: &Model<'_>, class: usize, cell: usize) -> i64 {
    let offers = model.market.cells[cell].shelf.iter();
    let prices = offers.filter_map(|index| {
        let offer = &model.market.offers[*index];
        let copies = dimension::copies(&model.requests[class], &offer.free, i64::MAX);
        (copies > 0).then(|| offer.cost.saturating_mul(VALUE_SCALE) / copies)
    });
    prices.min().unwrap_or(i64::MAX)
}

/// Marks the domains that the class's spreads must keep in balance: those of
/// nodes there, those offers could create, and those that nodes of others bring.
fn open_domains(model: &Model<'_>, facts: &Facts, plan: &mut Plan<'_>, class: usize, choices: &[Choice]) {
    for index in &model.topology.held[class] {
        let counter = &model.topology.counters[*index];
        let domains = &mut plan.ledger.domains[*index];
        for choice in usable(choices) {
            if let Some(value) = model.market.cells[choice.cell].values[counter.key] {
                domains[value] = true;
            }
        }
        for (_, value) in facts.domains.iter().filter(|(counter, _)| counter == index) {
            domains[*value] = true;
        }
    }
}

/// The choices of the best level that is not used up.
fn usable(choices: &[Choice]) -> impl Iterator<Item = &Choice> {
    let open = |choice: &&Choice| choice.count < choice.ceiling;
    let level = choices.iter().filter(open).map(|choice| choice.level).min();
    choices
        .iter()
        .filter(move |choice| level.is_some_and(|level| choice.level <= level))
        .filter(|choice| choice.ceiling > 0)
}

fn best_choice(model: &Model<'_>, plan: &Plan<'_>, class: usize, choices: &[Choice]) -> Option<usize> {
    let level = choices
        .iter()
        .filter(|choice| choice.count < choice.ceiling)
        .map(|choice| choice.level)
        .min()?;
    let near = near(model, class, choices);
    let candidates = choices.iter().enumerate().filter(|(_, choice)| {
        let place = Place::Cell(choice.cell);
        choice.count < choice.ceiling
            && (choice.level <= level || is_domain_there(model, class, choice.cell))
            && plan.ledger.blocked_by(model, class, place).is_none()
    });
    candidates
        .min_by_key(|(index, choice)| {
            let place = Place::Cell(choice.cell);
            let fullness = plan.ledger.fullness(model, class, place);
            let left_out = left_out(model, plan, class, choice.cell);
            let reluctance = match choice.price <= near {
                true => plan.ledger.reluctance(model, class, place),
                false => i64::MAX,
            };
            (fullness, left_out, choice.level, reluctance, choice.price, *index)
        })
        .map(|(index, _)| index)
}

/// The most that a pod may cost in a domain for its leanings to be followed there: so much above the cheapest as
/// they are worth.
fn near(model: &Model<'_>, class: usize, choices: &[Choice]) -> i64 {
    let leanings = model.topology.leans[class].iter();
    let weight: i64 = leanings
        .map(|index| model.topology.leanings[*index].weight.abs())
        .sum();
    let cheapest = usable(choices).map(|choice| choice.price).min().unwrap_or(0);
    cheapest.saturating_add(preference::worth(cheapest, weight))
}

/// Whether nodes there already make this a domain of the class's spreads: then
/// it holds all others back, and even a less preferred pool should serve it.
fn is_domain_there(model: &Model<'_>, class: usize, cell: usize) -> bool {
    model.topology.held[class].iter().any(|index| {
        let counter = &model.topology.counters[*index];
        model.market.cells[cell].values[counter.key].is_some_and(|value| counter.domains[value])
    })
}

/// How many waiting classes that seek this one could not follow it there.
fn left_out(model: &Model<'_>, plan: &Plan<'_>, class: usize, cell: usize) -> usize {
    let counters = model.topology.counted[class].iter();
    let seekers = counters
        .map(|index| &model.topology.counters[*index])
        .filter(|counter| {
            let seeks = counter.policy == Policy::Together && counter.holder != class;
            seeks && plan.waiting[counter.holder] > 0
        });
    let here = &model.market.cells[cell].values;
    seekers
        .filter(|counter| {
            let follows = |(cell, serves): (usize, &bool)| {
                *serves && model.market.cells[cell].values[counter.key] == here[counter.key]
            };
            !model.serves[counter.holder].iter().enumerate().any(follows)
        })
        .count()
}
