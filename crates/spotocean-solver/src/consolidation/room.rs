//! Nodes emptied into free room: nothing is bought, and the node's price is saved.
//!
//! The node that costs most for what its pods are worth goes first. Its pods go to
//! nodes in order of preference, as kube-scheduler would bind them; if one finds
//! no place, or a pod that stays would be worse off, all stay. Room only ever
//! fills up, so that what has once been found full is not looked at again.
//! Cost: classes × nodes, and tracked pods × domains.

use std::collections::BTreeMap;

use super::ground::{Ground, State};
use super::standing::Touched;
use crate::assign::{self, Neighbourhood};
use crate::ledger::Place;
use crate::load::Load;

/// Where pods of each class may still find room.
#[derive(Default)]
pub(super) struct Rooms {
    by_class: BTreeMap<usize, Vec<Neighbourhood>>,
}

/// What one emptying has done, to take it back.
#[derive(Default)]
struct Undo<'e> {
    loads: BTreeMap<usize, Load<'e>>,
    cursors: BTreeMap<usize, Vec<usize>>,
    placed: Vec<(usize, usize, i64)>,
}

/// Empties what it can.
pub(super) fn empty_into_room<'e>(ground: &Ground<'e>, state: &mut State<'e>) {
    let mut rooms = Rooms::default();
    for site in by_waste(ground, state) {
        try_to_empty(ground, state, &mut rooms, site);
    }
}

/// Nodes that may go, the dearest for their pods first.
pub(super) fn by_waste(ground: &Ground<'_>, state: &State<'_>) -> Vec<usize> {
    let mut order: Vec<(f64, i64, usize)> = (0..ground.lots.len())
        .filter(|site| ground.lots[*site].is_removable && !state.is_gone[*site])
        .map(|site| {
            let pods = &state.plan.sites[site].classes;
            let worth: f64 = pods
                .iter()
                .map(|(class, count)| ground.worth.of_class[*class].unwrap_or(0.0) * *count as f64)
                .sum();
            let count: i64 = pods.iter().map(|(_, count)| count).sum();
            (worth / (ground.lots[site].cost.max(1) as f64), count, site)
        })
        .collect();
    // Of equals the one with fewer pods, and then the one least preferred as a place.
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(b.2.cmp(&a.2)));
    order.into_iter().map(|(.., site)| site).collect()
}

fn try_to_empty<'e>(ground: &Ground<'e>, state: &mut State<'e>, rooms: &mut Rooms, site: usize) {
    let model = &ground.model;
    let lot = &ground.lots[site];
    let is_worth_it = ground
        .estate
        .hysteresis
        .is_kept_by(lot.cost, lot.move_cost, lot.cost);
    let pods = state.plan.sites[site].classes.clone();
    let needs_mate = pods.iter().any(|(class, _)| model.topology.is_companion(*class));
    if !is_worth_it || needs_mate {
        return;
    }
    let classes = || pods.iter().map(|(class, _)| *class);
    let touched = Touched::by(model, &classes().collect());
    let before = touched.breaches(model, &state.plan);
    let load = state.plan.sites[site].clone();
    ground.vacate(state, site);
    let without = touched.holders(&state.plan);
    let mut undo = Undo::default();
    let is_placed = by_size(ground, &pods)
        .into_iter()
        .all(|(class, count)| place(ground, state, rooms, &mut undo, class, count) == count);
    let is_sound = || {
        touched.worse(model, &state.plan, &before, &without).is_empty()
            && ground.stranded(state, classes()).is_empty()
    };
    if !is_placed || !is_sound() {
        take_back(ground, state, rooms, undo);
        ground.restore(state, site, load);
    }
}

/// Pods in the order in which they are placed, the most valuable first.
fn by_size(ground: &Ground<'_>, pods: &[(usize, i64)]) -> Vec<(usize, i64)> {
    let mut order = pods.to_vec();
    let worth = |class: usize| ground.worth.of_class[class].unwrap_or(f64::INFINITY);
    order.sort_by(|a, b| worth(b.0).total_cmp(&worth(a.0)).then(a.0.cmp(&b.0)));
    order
}

/// Places up to `wanted` pods of a class on nodes that are there; says how many.
fn place<'e>(
    ground: &Ground<'e>,
    state: &mut State<'e>,
    rooms: &mut Rooms,
    undo: &mut Undo<'e>,
    class: usize,
    wanted: i64,
) -> i64 {
    let model = &ground.model;
    let places = rooms
        .by_class
        .entry(class)
        .or_insert_with(|| assign::neighbourhoods(model, class));
    undo.cursors
        .entry(class)
        .or_insert_with(|| places.iter().map(|place| place.next).collect());
    let mut left = wanted;
    while left > 0 {
        let Some(site) = assign::best_site(model, &state.plan, class, places) else {
            break;
        };
        let batch = assign::batch(model, class, left);
        let count = state.plan.sites[site].room(model, class, batch);
        undo.loads
            .entry(site)
            .or_insert_with(|| state.plan.sites[site].clone());
        state.plan.place(model, class, site, count);
        undo.placed.push((class, site, count));
        left -= count;
    }
    wanted - left
}

fn take_back<'e>(ground: &Ground<'e>, state: &mut State<'e>, rooms: &mut Rooms, undo: Undo<'e>) {
    for (class, site, count) in undo.placed {
        state
            .plan
            .ledger
            .count(&ground.model, class, Place::Site(site), -count);
        state.plan.waiting[class] += count;
    }
    for (site, load) in undo.loads {
        state.plan.sites[site] = load;
    }
    for (class, cursors) in undo.cursors {
        let places = rooms.by_class.get_mut(&class).into_iter().flatten();
        places.zip(cursors).for_each(|(place, next)| place.next = next);
    }
}

/// Places what it can of the pods that wait on nodes that are there; those that need a node mate are left out.
pub(super) fn fill<'e>(ground: &Ground<'e>, state: &mut State<'e>) {
    let waiting = state.plan.waiting.iter().enumerate();
    let pods: Vec<(usize, i64)> = waiting
        .filter(|(class, count)| **count > 0 && !ground.model.topology.is_companion(*class))
        .map(|(class, count)| (class, *count))
        .collect();
    let mut rooms = Rooms::default();
    for (class, count) in by_size(ground, &pods) {
        place(ground, state, &mut rooms, &mut Undo::default(), class, count);
    }
}
