//! Which nodes to buy, level by level of preference.
//!
//! Each level is optimised as a packing ([`crate::optimise`]). What that could not
//! buy (limits, `minValues`, pods that conflict on one node) is covered greedily,
//! with a look at every node: each pod's value is the least it would cost among
//! its own kind; for each offer on a shelf the pods still left are filled in by
//! several rules; the fill with the least price per value is bought, as often as
//! it repeats; again until nothing is left. A fill stays as good as it was until
//! one of its items runs short. Greedy cover costs at most H(pods per node) times
//! the optimum. Cost: steps × stale fills × rules × items; independent of pod count.

use std::collections::BTreeSet;

use spotocean_core::capacity_type::CapacityType;

use crate::assign::{self, Item};
use crate::budget::Budget;
use crate::candidates::{Pin, Wanted};
use crate::dimension::{self, CPU, MEMORY};
use crate::ledger::Place;
use crate::load::Load;
use crate::model::Model;
use crate::optimise;
use crate::params::{LONE_FILL_MAX, SECOND_OPINION_MAX};
use crate::plan::Plan;

/// In which order items enter a fill.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// Largest share of any resource first.
    DominantShare,
    /// Most CPU first.
    Cpu,
    /// Most memory first.
    Memory,
    /// Most value per dominant share first.
    Value,
    /// Nearest to the offer's own ratio of CPU to memory first.
    Balance,
}

/// All of them are tried for each fill.
const RULES: [Rule; 5] = [
    Rule::DominantShare,
    Rule::Cpu,
    Rule::Memory,
    Rule::Value,
    Rule::Balance,
];

/// Shares are in thousandths of a thousandth.
const SHARE_SCALE: i128 = 1_000_000;

/// One way to fill a node of one offer.
#[derive(Clone, Debug)]
struct Fill {
    /// Item and pods.
    picks: Vec<(usize, i64)>,
    price: i128,
    value: i128,
}

impl Fill {
    /// Whether it costs less per value.
    fn beats(&self, other: &Self) -> bool {
        self.price.saturating_mul(other.value) < other.price.saturating_mul(self.value)
    }

    fn is_valid(&self, items: &[Item]) -> bool {
        self.picks.iter().all(|(item, count)| items[*item].left >= *count)
    }
}

/// What one pass over the offers works on.
struct Pass<'m, 'p> {
    model: &'m Model<'p>,
    /// Items admissible per cell.
    items_of_cell: Vec<Vec<usize>>,
    /// Offers worth planning with.
    shelf: Vec<usize>,
    /// Value of one pod per item, where a cover has asked.
    values: Vec<i64>,
}

/// Buys nodes for the items, best tier first. What stays in `items` could not be bought.
pub(crate) fn pack<'p>(model: &Model<'p>, plan: &mut Plan<'p>, items: &mut [Item]) {
    let levels = levels(model, plan, items);
    let last_level = model.market.pools.iter().map(|pool| pool.tier * 2 + 1).max();
    for level in 0..=last_level.unwrap_or(0) {
        if !opens(items, &levels, level) {
            continue;
        }
        let mut pass = pass(model, items, &levels, level);
        if !pass.has_offers(plan) {
            continue;
        }
        let (mut other, mut other_items) = (plan.clone(), items.to_vec());
        let mut budget = Budget::of(plan.work);
        let is_whole = optimise::optimise(model, plan, items, &pass.items_of_cell, &mut budget);
        cover(&mut pass, plan, items);
        if !is_whole && items.len() * pass.shelf.len() <= SECOND_OPINION_MAX {
            cover(&mut pass, &mut other, &mut other_items);
            if outcome(model, &other, &other_items) < outcome(model, plan, items) {
                other.duals = std::mem::take(&mut plan.duals);
                *plan = other;
                items.clone_from_slice(&other_items);
            }
        }
        buy_alone(&pass, plan, items);
    }
}

/// Puts items into what nodes to buy have left, in this order, and covers the others greedily as limits allow.
pub(crate) fn refill<'p>(model: &Model<'p>, plan: &mut Plan<'p>, items: &mut [Item]) {
    for node in 0..plan.nodes.len() {
        fill_room(model, plan, items, node);
    }
    let levels = levels(model, plan, items);
    let last_level = model.market.pools.iter().map(|pool| pool.tier * 2 + 1).max();
    for level in 0..=last_level.unwrap_or(0) {
        let mut pass = pass(model, items, &levels, level);
        if pass.has_offers(plan) {
            cover(&mut pass, plan, items);
            buy_alone(&pass, plan, items);
        }
    }
}

/// Puts items into what one node to buy has left.
fn fill_room<'p>(model: &Model<'p>, plan: &mut Plan<'p>, items: &mut [Item], node: usize) {
    for item in 0..items.len() {
        let (class, left) = (items[item].class, items[item].left);
        let bought = &plan.nodes[node];
        let room = match left > 0 && model.admits_cell[class][bought.cell] {
            true => bought.load.room(model, class, left),
            false => 0,
        };
        if room > 0 {
            add(model, plan, items, node, &[(item, room)]);
        }
    }
}

/// Pods left, then what the nodes cost.
fn outcome(model: &Model<'_>, plan: &Plan<'_>, items: &[Item]) -> (i64, i64) {
    (items.iter().map(|item| item.left).sum(), plan.cost(model))
}

/// The level at which each item may use each cell; `None` where it may not.
fn levels(model: &Model<'_>, plan: &Plan<'_>, items: &[Item]) -> Vec<Vec<Option<usize>>> {
    let open = plan.open_cells(model);
    let of_item = |item: &Item| {
        let spot_serves: Vec<bool> = (0..model.market.pools.len())
            .map(|pool| model.spot_serves(item.class, Some(&item.tuple), pool))
            .collect();
        let of_cell = |(index, cell): (usize, &crate::offer::Cell<'_>)| {
            let admits =
                open[item.class][index] && model.topology.tuple(item.class, &cell.values) == item.tuple;
            admits.then(|| model.service_level(index, spot_serves[cell.pool]))
        };
        model.market.cells.iter().enumerate().map(of_cell).collect()
    };
    items.iter().map(of_item).collect()
}

/// Whether a level has cells for what is left that those before it did not.
fn opens(items: &[Item], levels: &[Vec<Option<usize>>], level: usize) -> bool {
    let mut items = items.iter().zip(levels);
    items.any(|(item, levels)| item.left > 0 && levels.contains(&Some(level)))
}

fn pass<'m, 'p>(
    model: &'m Model<'p>,
    items: &[Item],
    levels: &[Vec<Option<usize>>],
    level: usize,
) -> Pass<'m, 'p> {
    let is_open = |item: usize, cell: usize| {
        let tier = model.market.pools[model.market.cells[cell].pool].tier;
        levels[item][cell].is_some_and(|needed| needed <= level && tier == level / 2)
    };
    let items_of_cell: Vec<Vec<usize>> = (0..model.market.cells.len())
        .map(|cell| (0..items.len()).filter(|item| is_open(*item, cell)).collect())
        .collect();
    let shelf = (0..model.market.cells.len())
        .filter(|cell| !items_of_cell[*cell].is_empty())
        .flat_map(|cell| model.market.cells[cell].shelf.iter().copied())
        .collect();
    Pass {
        model,
        items_of_cell,
        shelf,
        values: Vec::new(),
    }
}

/// What one pod of each item with pods left is worth: the least it would cost among its own kind.
fn values(pass: &Pass<'_, '_>, items: &[Item]) -> Vec<i64> {
    let mut values = vec![i64::MAX; items.len()];
    for (cell, admitted) in pass.items_of_cell.iter().enumerate() {
        for item in admitted.iter().filter(|item| items[**item].left > 0) {
            let price = assign::unit_price(pass.model, items[*item].class, cell);
            values[*item] = values[*item].min(price);
        }
    }
    values
}

fn cover<'p>(pass: &mut Pass<'_, 'p>, plan: &mut Plan<'p>, items: &mut [Item]) {
    if items.iter().all(|item| item.left <= 0) {
        return;
    }
    pass.values = values(pass, items);
    let mut fills: Vec<Option<Fill>> = vec![None; pass.shelf.len()];
    let mut is_stale = vec![true; pass.shelf.len()];
    let mut refused: BTreeSet<usize> = BTreeSet::new();
    loop {
        for (position, offer) in pass.shelf.iter().enumerate() {
            let has_expired = fills[position].as_ref().is_some_and(|fill| !fill.is_valid(items));
            let is_within_limits = pass.is_within_limits(plan, *offer);
            if (is_stale[position] || has_expired) && is_within_limits {
                fills[position] = best_fill(pass, *offer, items);
                is_stale[position] = false;
            } else if !is_within_limits {
                fills[position] = None;
            }
        }
        let Some(best) = best_position(&fills, &refused) else {
            return;
        };
        let offer = pass.shelf[best];
        let Some(fill) = fills[best].clone() else { return };
        if pass.buy(plan, items, offer, &fill) == 0 {
            refused.insert(best);
        }
    }
}

fn best_position(fills: &[Option<Fill>], refused: &BTreeSet<usize>) -> Option<usize> {
    let mut best: Option<(usize, &Fill)> = None;
    for (position, fill) in fills.iter().enumerate() {
        let Some(fill) = fill.as_ref().filter(|_| !refused.contains(&position)) else {
            continue;
        };
        if best.is_none_or(|(_, known)| fill.beats(known)) {
            best = Some((position, fill));
        }
    }
    best.map(|(position, _)| position)
}

fn best_fill(pass: &Pass<'_, '_>, offer: usize, items: &[Item]) -> Option<Fill> {
    let cell = pass.model.market.offers[offer].cell;
    let open: Vec<usize> = pass.items_of_cell[cell]
        .iter()
        .copied()
        .filter(|item| items[*item].left > 0)
        .collect();
    let requests = open.iter().map(|item| &pass.model.requests[items[*item].class]);
    let least = requests.cloned().reduce(dimension::minimum)?;
    let mut best: Option<Fill> = None;
    for rule in RULES {
        let order = ranked(pass, offer, items, &open, rule);
        let fill = fill(pass, offer, items, &order, &least);
        if fill.value > 0 && best.as_ref().is_none_or(|known| fill.beats(known)) {
            best = Some(fill);
        }
    }
    best
}

fn ranked(pass: &Pass<'_, '_>, offer: usize, items: &[Item], open: &[usize], rule: Rule) -> Vec<usize> {
    let free = &pass.model.market.offers[offer].free;
    let share = |item: usize, dimension: usize| {
        let wanted = pass.model.requests[items[item].class][dimension];
        i128::from(wanted) * SHARE_SCALE / i128::from(free[dimension].max(1))
    };
    let dominant = |item: usize| {
        (0..free.len())
            .map(|dimension| share(item, dimension))
            .max()
            .unwrap_or(0)
    };
    let score = |item: usize| match rule {
        Rule::DominantShare => -dominant(item),
        Rule::Cpu => -share(item, CPU),
        Rule::Memory => -share(item, MEMORY),
        Rule::Value => -(i128::from(pass.values[item]) * SHARE_SCALE / dominant(item).max(1)),
        Rule::Balance => (share(item, CPU) - share(item, MEMORY)).abs() - dominant(item),
    };
    let mut ranked: Vec<(i128, usize)> = open.iter().map(|item| (score(*item), *item)).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, item)| item).collect()
}

/// Puts in what fits, in this order, while there is room for `least`, than which no item asks for less.
fn fill(pass: &Pass<'_, '_>, offer: usize, items: &[Item], order: &[usize], least: &[i64]) -> Fill {
    let mut load = Load::of_offer(pass.model, offer);
    let mut fill = Fill {
        picks: Vec::new(),
        price: i128::from(pass.model.market.offers[offer].weight),
        value: 0,
    };
    for item in order {
        let count = load.room(pass.model, items[*item].class, items[*item].left);
        if count > 0 {
            load.add(pass.model, items[*item].class, count);
            fill.picks.push((*item, count));
            fill.value += i128::from(pass.values[*item]) * i128::from(count);
            if !dimension::fits(least, &load.free) {
                break;
            }
        }
    }
    fill
}

impl<'p> Pass<'_, 'p> {
    fn is_within_limits(&self, plan: &Plan<'p>, offer: usize) -> bool {
        let offer = &self.model.market.offers[offer];
        let pool = self.model.market.cells[offer.cell].pool;
        plan.limits[pool].breached_by(offer).is_none()
    }

    /// Whether limits allow any purchase at all.
    fn has_offers(&self, plan: &Plan<'p>) -> bool {
        self.shelf.iter().any(|offer| self.is_within_limits(plan, *offer))
    }

    /// Buys the fill as often as its items and the limits allow; returns how often.
    fn buy(&self, plan: &mut Plan<'p>, items: &mut [Item], offer: usize, fill: &Fill) -> i64 {
        let cell = &self.model.market.cells[self.model.market.offers[offer].cell];
        let repeats = fill
            .picks
            .iter()
            .map(|(item, count)| items[*item].left / count)
            .min();
        let picks = &fill.picks;
        buy(
            self.model,
            plan,
            items,
            (cell.pool, cell.capacity_type),
            picks,
            repeats.unwrap_or(0),
        )
    }
}

/// Buys nodes with these picks (item and pods), up to `repeats`, as the limits allow; returns how many.
pub(crate) fn buy<'p>(
    model: &Model<'p>,
    plan: &mut Plan<'p>,
    items: &mut [Item],
    (pool, capacity_type): (usize, CapacityType),
    picks: &[(usize, i64)],
    repeats: i64,
) -> i64 {
    let pins = pins(model, items, picks);
    let classes = classes(items, picks);
    let wanted = Wanted {
        pool,
        capacity_type,
        pins: &pins,
        classes: &classes,
    };
    let bought = plan.buy(model, &wanted, repeats).unwrap_or(0);
    if bought > 0 {
        count_bought(plan, items, picks, bought);
    }
    bought
}

/// Adds pods (items and how many) to a node to buy, where candidates and limits allow.
pub(crate) fn add<'p>(
    model: &Model<'p>,
    plan: &mut Plan<'p>,
    items: &mut [Item],
    node: usize,
    picks: &[(usize, i64)],
) {
    let mut more = pins(model, items, picks);
    more.retain(|pin| !plan.nodes[node].pins.contains(pin));
    if plan.add(model, node, &more, &classes(items, picks)) {
        count_bought(plan, items, picks, 1);
    }
}

/// What the items' pods demand of their node's domains.
fn pins(model: &Model<'_>, items: &[Item], picks: &[(usize, i64)]) -> Vec<Pin> {
    let pins = picks.iter().flat_map(|(item, _)| items[*item].pins(model));
    let pins: BTreeSet<Pin> = pins.collect();
    pins.into_iter().collect()
}

fn classes(items: &[Item], picks: &[(usize, i64)]) -> Vec<(usize, i64)> {
    let classes = picks.iter().map(|(item, count)| (items[*item].class, *count));
    classes.collect()
}

/// Takes what has been bought for off the items.
fn count_bought(plan: &mut Plan<'_>, items: &mut [Item], picks: &[(usize, i64)], nodes: i64) {
    for (item, count) in picks {
        let item = &mut items[*item];
        item.left -= count * nodes;
        *plan.bought.entry((item.class, item.tuple.clone())).or_insert(0) += count * nodes;
    }
}

/// Nodes for one class alone, fewer pods each until enough substitutes carry
/// them: `minValues` may refuse every fuller node.
fn buy_alone<'p>(pass: &Pass<'_, 'p>, plan: &mut Plan<'p>, items: &mut [Item]) {
    if !pass.has_offers(plan) {
        return;
    }
    for item in 0..items.len() {
        if items[item].left <= 0 {
            continue;
        }
        let cells = (0..pass.items_of_cell.len()).filter(|cell| pass.items_of_cell[*cell].contains(&item));
        let sources: BTreeSet<(usize, CapacityType)> = cells
            .clone()
            .map(|cell| &pass.model.market.cells[cell])
            .map(|cell| (cell.pool, cell.capacity_type))
            .collect();
        let shelves = cells.flat_map(|cell| &pass.model.market.cells[cell].shelf);
        let class = items[item].class;
        let rooms =
            shelves.map(|offer| Load::of_offer(pass.model, *offer).room(pass.model, class, LONE_FILL_MAX));
        let most = rooms.max().unwrap_or(0);
        for source in sources {
            let mut count = most;
            while count > 0 && items[item].left > 0 {
                let repeats = items[item].left / count;
                let bought = if repeats > 0 {
                    buy(pass.model, plan, items, source, &[(item, count)], repeats)
                } else {
                    0
                };
                if bought == 0 {
                    count /= 2;
                }
            }
        }
    }
}

/// Takes what could not be bought out of the counts, and remembers it.
pub(crate) fn settle(model: &Model<'_>, plan: &mut Plan<'_>, items: &[Item]) {
    for item in items.iter().filter(|item| item.left > 0) {
        plan.ledger
            .count(model, item.class, Place::Cell(item.cell), -item.left);
        let share = (item.class, item.tuple.clone());
        let bought = plan.bought.get(&share).copied().unwrap_or(0);
        plan.learned.insert(share, bought);
    }
}
