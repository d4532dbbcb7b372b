//! Which markets can carry one node's pods: what EC2 is offered to choose from.
//!
//! All of one pool and capacity type, with allocatable (less that type's own
//! DaemonSets) for the pods' requests, in the pinned domains, within the limits.
//! Those of least cost first; substitutes far above the planned cost only where fewer
//! would be left than `minimumFlexibility` or `minValues` ask for.

use std::collections::{BTreeMap, BTreeSet};

use spotocean_core::capacity_type::CapacityType;

use crate::dimension::{self, Vector};
use crate::limits::Limits;
use crate::load::Load;
use crate::model::Model;
use crate::offer::{Offer, Pool};
use crate::params::{CANDIDATE_PRICE_PERCENT, CANDIDATES_MAX};

/// A topology key with the value a node must have (`None`: it must lack the label).
pub(crate) type Pin = (usize, Option<usize>);

/// A node that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    /// From which pool.
    pub(crate) pool: usize,
    /// How paid for.
    pub(crate) capacity_type: CapacityType,
    /// In which domains.
    pub(crate) pins: &'a [Pin],
    /// For which pods: class and count.
    pub(crate) classes: &'a [(usize, i64)],
}

/// Why there are none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lack {
    /// No offer is large enough or admitted.
    Offer,
    /// Those that are exceed a limit.
    Limit,
    /// Too few distinct values of a key with `minValues`.
    MinValues,
}

/// The candidates, best first.
pub(crate) fn candidates(
    model: &Model<'_>,
    wanted: &Wanted<'_>,
    limits: &Limits,
) -> Result<Vec<usize>, Lack> {
    let carrying = carrying(model, wanted);
    if carrying.is_empty() {
        return Err(Lack::Offer);
    }
    let allowed: Vec<usize> = carrying
        .into_iter()
        .filter(|offer| limits.breached_by(&model.market.offers[*offer]).is_none())
        .collect();
    if allowed.is_empty() {
        return Err(Lack::Limit);
    }
    let suits = |offer: &&usize| {
        let cell = model.market.offers[**offer].cell;
        let mut classes = wanted.classes.iter();
        classes.all(|(class, _)| model.suits[*class][cell])
    };
    let suiting: Vec<usize> = allowed.iter().filter(suits).copied().collect();
    let pool = &model.market.pools[wanted.pool];
    let lists = [suiting, allowed];
    let mut chosen = lists.iter().filter(|list| !list.is_empty());
    chosen
        .find_map(|list| choose(model, pool, wanted.capacity_type, list))
        .ok_or(Lack::MinValues)
}

/// Every offer that could carry the node, cheapest first.
pub(crate) fn carrying(model: &Model<'_>, wanted: &Wanted<'_>) -> Vec<usize> {
    let pool = &model.market.pools[wanted.pool];
    let need = need(model, wanted.classes);
    let cells: BTreeSet<usize> = pool
        .cells
        .iter()
        .copied()
        .filter(|cell| cell_is_admissible(model, wanted, *cell))
        .collect();
    let attaches = wanted
        .classes
        .iter()
        .any(|(class, _)| !model.classes[*class].attachments.is_empty());
    let carries = |index: &usize| {
        let offer = &model.market.offers[*index];
        cells.contains(&offer.cell)
            && dimension::fits(&need, &offer.free)
            && (!attaches || attaches_all(model, wanted.classes, *index))
    };
    pool.offers.iter().copied().filter(carries).collect()
}

fn cell_is_admissible(model: &Model<'_>, wanted: &Wanted<'_>, cell: usize) -> bool {
    let home = &model.market.cells[cell];
    home.capacity_type == wanted.capacity_type
        && wanted.pins.iter().all(|(key, value)| home.values[*key] == *value)
        && wanted
            .classes
            .iter()
            .all(|(class, _)| model.admits_cell[*class][cell])
}

/// What the pods ask for together.
pub(crate) fn need(model: &Model<'_>, classes: &[(usize, i64)]) -> Vector {
    let mut free = model
        .dimensions
        .vector(&spotocean_core::resources::Resources::default());
    for (class, count) in classes {
        dimension::subtract(&mut free, &model.requests[*class], *count);
    }
    free.into_iter().map(i64::saturating_neg).collect()
}

fn attaches_all(model: &Model<'_>, classes: &[(usize, i64)], offer: usize) -> bool {
    let mut load = Load::of_offer(model, offer);
    classes.iter().all(|(class, count)| {
        let is_room = load.room(model, *class, *count) >= *count;
        load.add(model, *class, *count);
        is_room
    })
}

/// How many candidates a launch wants at least.
pub(crate) fn flexibility(pool: &Pool<'_>, capacity_type: CapacityType) -> usize {
    match capacity_type {
        CapacityType::Spot => pool.spec.minimum_flexibility,
        CapacityType::OnDemand => 1,
    }
}

/// Cuts the list (cheapest first) to what is sane to offer; `None` when `minValues` cannot be kept.
fn choose(
    model: &Model<'_>,
    pool: &Pool<'_>,
    capacity_type: CapacityType,
    allowed: &[usize],
) -> Option<Vec<usize>> {
    let offer = |index: &usize| &model.market.offers[*index];
    let mut chosen = keeping_min_values(model, pool, allowed)?;
    let flexibility = flexibility(pool, capacity_type);
    let ceiling = i128::from(offer(&allowed[0]).cost) * i128::from(CANDIDATE_PRICE_PERCENT) / 100;
    for (rank, index) in allowed.iter().enumerate() {
        let is_sane = i128::from(offer(index).cost) <= ceiling;
        let is_full = chosen.len() >= CANDIDATES_MAX;
        if is_full || (!is_sane && rank >= flexibility) {
            break;
        }
        chosen.insert(*index);
    }
    // Offers are numbered cheapest first within a pool.
    Some(chosen.into_iter().collect())
}

/// The cheapest offers that bring each key's distinct values to its `minValues`, the cheapest of all included.
fn keeping_min_values(model: &Model<'_>, pool: &Pool<'_>, allowed: &[usize]) -> Option<BTreeSet<usize>> {
    let mut kept: BTreeSet<usize> = allowed.iter().copied().take(1).collect();
    for (key, wanted) in min_values(pool) {
        let value = |index: &usize| value_of(&model.market.offers[*index], key);
        let mut cheapest: BTreeMap<&str, usize> = BTreeMap::new();
        for index in allowed {
            if let Some(value) = value(index) {
                cheapest.entry(value).or_insert(*index);
            }
        }
        if cheapest.len() < wanted {
            return None;
        }
        let mut firsts: Vec<usize> = cheapest.into_values().collect();
        firsts.sort_unstable();
        kept.extend(firsts.into_iter().take(wanted));
    }
    Some(kept)
}

/// Keys with `minValues`.
pub(crate) fn min_values<'a>(pool: &'a Pool<'_>) -> impl Iterator<Item = (&'a str, usize)> {
    pool.spec.requirements.iter().filter_map(|each| {
        let wanted = each.min_values?;
        Some((each.requirement.key.as_ref(), wanted))
    })
}

/// The value of a label on an offer's nodes.
pub(crate) fn value_of<'a>(offer: &Offer<'a>, key: &str) -> Option<&'a str> {
    offer.spec.labels.get(key).map(AsRef::as_ref)
}
