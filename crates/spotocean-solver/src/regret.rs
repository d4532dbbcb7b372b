//! What the unmet wishes of a plan are worth: the other half of its cost, beside its nodes' prices.
//!
//! Counted over nodes to buy, each taken as its first candidate. A wish about the
//! node is unmet by the weight that it falls short of the most liked offer. Pods that
//! would rather be apart are unmet as far as their domain holds more than an even
//! share, those that would rather be together where nobody meant is with them.
//! Cost: nodes × classes on them, and leanings × domains.

use std::collections::BTreeSet;

use crate::assign;
use crate::model::Model;
use crate::params::VALUE_SCALE;
use crate::plan::Plan;
use crate::preference::{self, Leaning};

/// Pods by class and topology value, for one key.
struct Spots {
    /// Of nodes to buy.
    bought: Vec<Vec<i64>>,
    /// Of nodes there.
    there: Vec<Vec<i64>>,
}

/// What unmet wishes are worth, in micro-dollars per hour.
pub(crate) fn regret(model: &Model<'_>, plan: &Plan<'_>) -> i64 {
    let cheapest: Vec<i64> = (0..model.classes.len())
        .map(|class| cheapest(model, class))
        .collect();
    let about_nodes = about_nodes(model, plan, &cheapest);
    let spots: Vec<Spots> = (0..model.topology.keys.names.len())
        .map(|key| spots(model, plan, key))
        .collect();
    let leanings = model.topology.leanings.iter();
    let about_pods: i128 = leanings
        .map(|leaning| {
            let unmet = unmet(model, &spots[leaning.key], leaning);
            let each = preference::worth(cheapest[leaning.holder], leaning.weight.abs());
            i128::from(each) * i128::from(unmet)
        })
        .sum();
    let sum = (about_nodes + about_pods) / i128::from(VALUE_SCALE);
    i64::try_from(sum).unwrap_or(i64::MAX)
}

/// What a pod of the class costs at least; zero where nothing serves it.
fn cheapest(model: &Model<'_>, class: usize) -> i64 {
    let prices = model
        .serving(class)
        .map(|cell| assign::unit_price(model, class, cell));
    prices.min().unwrap_or(0)
}

fn about_nodes(model: &Model<'_>, plan: &Plan<'_>, cheapest: &[i64]) -> i128 {
    let mut sum = 0;
    for (class, cheapest) in cheapest.iter().enumerate() {
        if !model.has_likings(class) {
            continue;
        }
        let likings = model.serving(class).map(|cell| model.liking(class, cell));
        let top = likings.max().unwrap_or(0);
        for node in &plan.nodes {
            let cell = model.market.offers[node.candidates[0]].cell;
            let short = top - model.liking(class, cell).min(top);
            let each = preference::worth(*cheapest, short);
            sum += i128::from(each) * i128::from(node.load.count(class));
        }
    }
    sum
}

/// Pods to buy for whose leaning is not followed.
fn unmet(model: &Model<'_>, spots: &Spots, leaning: &Leaning) -> i64 {
    let meant: Vec<i64> = (0..leaning.residents.len())
        .map(|value| {
            let members = (0..leaning.members.len()).filter(|class| leaning.members[*class]);
            let planned = members.map(|class| spots.bought[class][value] + spots.there[class][value]);
            leaning.residents[value] + planned.sum::<i64>()
        })
        .collect();
    let holders = spots.bought[leaning.holder].iter().zip(&meant);
    if leaning.weight > 0 {
        let share = fair_share(model, leaning, &meant);
        return holders
            .map(|(holders, meant)| (meant - share).clamp(0, *holders))
            .sum();
    }
    let own = i64::from(leaning.members[leaning.holder]);
    let lonely = holders.filter(|(_, meant)| **meant <= own);
    lonely.map(|(holders, _)| holders).sum()
}

/// The most that a domain need hold: where the pods meant are spread as evenly as they can be, or, if others decide
/// where those are, in the domain with fewest.
fn fair_share(model: &Model<'_>, leaning: &Leaning, meant: &[i64]) -> i64 {
    let serving = model.serving(leaning.holder);
    let domains: BTreeSet<usize> = serving
        .filter_map(|cell| model.market.cells[cell].values[leaning.key])
        .collect();
    let counts = domains.iter().map(|value| meant[*value]);
    if !leaning.members[leaning.holder] {
        return counts.min().unwrap_or(0);
    }
    let number = i64::try_from(domains.len().max(1)).unwrap_or(i64::MAX);
    (counts.sum::<i64>() + number - 1) / number
}

fn spots(model: &Model<'_>, plan: &Plan<'_>, key: usize) -> Spots {
    let values = model.topology.keys.values[key].len();
    let empty = || vec![vec![0; values]; model.classes.len()];
    let mut spots = Spots {
        bought: empty(),
        there: empty(),
    };
    for node in &plan.nodes {
        let cell = &model.market.cells[model.market.offers[node.candidates[0]].cell];
        if let Some(value) = cell.values[key] {
            for (class, count) in &node.load.classes {
                spots.bought[*class][value] += count;
            }
        }
    }
    for (site, load) in model.sites.sites.iter().zip(&plan.sites) {
        if let Some(value) = site.values[key] {
            for (class, count) in &load.classes {
                spots.there[*class][value] += count;
            }
        }
    }
    spots
}
