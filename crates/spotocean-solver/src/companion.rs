//! Pods that must share a node with a particular other pod (affinity on the host name).
//!
//! They come last: pod by pod onto nodes that already hold what they seek, there
//! or planned; a planned node takes a larger type where that is needed. The first
//! pod of a group that seeks itself opens a node, on the offer that would hold
//! most of the group, since all of it must fit that one node.

use crate::assign;
use crate::candidates::Wanted;
use crate::ledger::{Ledger, Place};
use crate::load::Load;
use crate::model::Model;
use crate::plan::Plan;

/// Places what it can of every class that seeks a node mate.
pub(crate) fn place_companions<'p>(model: &Model<'p>, plan: &mut Plan<'p>) {
    for class in assign::order(model) {
        if !model.topology.is_companion(class) {
            continue;
        }
        while plan.waiting[class] > 0 {
            let is_placed = join_site(model, plan, class)
                || join_node(model, plan, class)
                || (plan.ledger.may_come_first(model, class) && open_node(model, plan, class));
            if !is_placed {
                break;
            }
        }
    }
}

fn has_mate(model: &Model<'_>, class: usize, load: &Load<'_>) -> bool {
    let group = model.topology.groups[class].as_ref();
    group.is_some_and(|group| load.members(&group.members, &group.residents) > 0)
}

fn join_site<'p>(model: &Model<'p>, plan: &mut Plan<'p>, class: usize) -> bool {
    let comes_first = plan.ledger.may_come_first(model, class);
    let site = (0..plan.sites.len()).find(|site| {
        let load = &plan.sites[*site];
        model.admits_site[class][*site]
            && (comes_first || has_mate(model, class, load))
            && load.room(model, class, 1) > 0
            && plan.ledger.blocked_by(model, class, Place::Site(*site)).is_none()
    });
    if let Some(site) = site {
        plan.place(model, class, site, 1);
    }
    site.is_some()
}

fn join_node<'p>(model: &Model<'p>, plan: &mut Plan<'p>, class: usize) -> bool {
    for node in 0..plan.nodes.len() {
        let planned = &plan.nodes[node];
        let is_pinned = |key: &usize| planned.pins.iter().any(|(pinned, _)| pinned == key);
        let mut imagined = planned.load.clone();
        // Resources are no obstacle here: a larger type may be had.
        imagined.free.iter_mut().for_each(|free| *free = i64::MAX);
        let place = Place::Cell(planned.cell);
        let may_join = has_mate(model, class, &planned.load)
            && model.topology.tracked[class].iter().all(is_pinned)
            && model.admits_cell[class][planned.cell]
            && imagined.room(model, class, 1) > 0
            && plan.ledger.blocked_by(model, class, place).is_none();
        if may_join && plan.enlarge(model, node, class) {
            plan.ledger
                .count(model, class, Place::Cell(plan.nodes[node].cell), 1);
            return true;
        }
    }
    false
}

/// Opens a node for the first pod of a group.
fn open_node<'p>(model: &Model<'p>, plan: &mut Plan<'p>, class: usize) -> bool {
    let mut sources = sources(model, &plan.ledger, class, plan.waiting[class]);
    sources.sort_unstable();
    for (.., offer) in sources {
        let cell = model.market.offers[offer].cell;
        let home = &model.market.cells[cell];
        let pins: Vec<_> = model.topology.tracked[class]
            .iter()
            .map(|key| (*key, home.values[*key]))
            .collect();
        let wanted = Wanted {
            pool: home.pool,
            capacity_type: home.capacity_type,
            pins: &pins,
            classes: &[(class, 1)],
        };
        if plan.buy(model, &wanted, 1).is_ok_and(|bought| bought == 1) {
            plan.ledger.count(model, class, Place::Cell(cell), 1);
            return true;
        }
    }
    false
}

/// Offers for a group's node: by level, then most pods of the class, then price.
fn sources(
    model: &Model<'_>,
    ledger: &Ledger,
    class: usize,
    waiting: i64,
) -> Vec<(usize, std::cmp::Reverse<i64>, i64, usize)> {
    let mut sources = Vec::new();
    for (cell, home) in model.market.cells.iter().enumerate() {
        let is_blocked = || ledger.blocked_by(model, class, Place::Cell(cell)).is_some();
        if !model.serves[class][cell] || is_blocked() {
            continue;
        }
        let level = model.service_level(cell, model.spot_serves(class, None, home.pool));
        for offer in &home.shelf {
            let room = Load::of_offer(model, *offer).room(model, class, waiting);
            let price = model.market.offers[*offer].cost;
            sources.push((level, std::cmp::Reverse(room), price, *offer));
        }
    }
    sources
}
