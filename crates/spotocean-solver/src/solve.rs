//! The one loop: places classes of pods on nodes there, then on nodes bought.
//!
//! Problem: given pods in classes, nodes, and offers, find placements that
//! kube-scheduler would accept at little cost. Method: (1) compile
//! ([`crate::model`]); (2) deal classes out over topology domains, nodes there
//! first ([`crate::assign`]); (3) cover what is left with nodes, tier by tier
//! ([`crate::pack`]); (4) place pods that seek a node mate ([`crate::companion`]).
//! Where pods have wishes ([`crate::preference`]) and those met cost more than they seem
//! worth, a plan that hears none is made too, and the one with less cost and
//! [`crate::regret`] together is the answer.
//! Where limits leave pods out, what they serve is planned by [`crate::ration`].
//! What could not be bought otherwise is a fact for the next attempt; when nothing new is
//! learned, or attempts run out, the last plan is audited ([`crate::audit`]) and
//! what is left over explained ([`crate::explanation`]). The answer carries a bound
//! that no plan for the same pods is below ([`crate::bound`]).
//! Cost: independent of pods per class but for those dealt out over domains.

use std::collections::BTreeMap;

use spotocean_core::id::ObjectKey;
use spotocean_core::money::PricePerHour;
use spotocean_core::resources::Resources;

use crate::assign;
use crate::audit;
use crate::bound;
use crate::companion;
use crate::explanation;
use crate::load::Load;
use crate::model::{self, Model};
use crate::pack;
use crate::params::{ATTEMPTS_MAX, GOOD_PERCENT, LEARNING_CLASSES_MAX};
use crate::plan::{Facts, Plan, PlannedNode};
use crate::problem::Problem;
use crate::ration;
use crate::regret;
use crate::scarcity;
use crate::solution::{Certificate, NewNode, Solution, Unplaced};

/// Solves one problem. Never fails: what cannot be placed is in the answer with its reasons.
#[must_use]
pub fn solve(problem: &Problem) -> Solution {
    if problem.pods.is_empty() {
        return Solution::default();
    }
    let model = model::model(problem);
    let plan = planned(&model);
    let certificate = bound::certificate(&model, &plan);
    if !model.has_wishes() {
        return written(&model, &plan, certificate);
    }
    let own = burden(&model, &plan);
    if is_good(own, &certificate) {
        return written(&model, &plan, certificate);
    }
    let blunt = model.without_wishes();
    let other = planned(&blunt);
    if burden(&model, &other) < own {
        let certificate = bound::certificate(&blunt, &other);
        return written(&blunt, &other, certificate);
    }
    written(&model, &plan, certificate)
}

/// The best plan of a few attempts.
fn planned<'p>(model: &Model<'p>) -> Plan<'p> {
    let within = scarcity::within(model, &Plan::empty(model).limits);
    let possible = within.as_ref().unwrap_or(model);
    let mut facts = Facts::default();
    let mut plan = attempt(possible, &facts);
    for _ in 1..ATTEMPTS_MAX {
        let is_long = model.classes.len() > LEARNING_CLASSES_MAX && ration::is_short(model, &plan);
        if is_long || !learn(model, &plan, &mut facts) {
            break;
        }
        plan = attempt(possible, &facts);
    }
    if ration::is_short(model, &plan) {
        return ration::ration(model, plan);
    }
    audit::audit(model, &mut plan);
    plan
}

/// Pods left over, then what nodes cost and unmet wishes are worth.
fn burden(model: &Model<'_>, plan: &Plan<'_>) -> (i64, i64) {
    let cost = plan.cost(model).saturating_add(regret::regret(model, plan));
    (plan.waiting.iter().sum(), cost)
}

/// Whether no plan could be much better, wishes met or not.
fn is_good((left, cost): (i64, i64), certificate: &Certificate) -> bool {
    let bound = i128::from(certificate.lower_bound.micro_usd());
    left == 0 && i128::from(cost) * 100 <= bound * i128::from(100 + GOOD_PERCENT)
}

/// Makes a plan, knowing `facts`.
fn attempt<'p>(model: &Model<'p>, facts: &Facts) -> Plan<'p> {
    let mut plan = Plan::empty(model);
    complete(model, facts, &mut plan);
    plan
}

/// Finds a place for every pod of the plan that waits and has one.
pub(crate) fn complete<'p>(model: &Model<'p>, facts: &Facts, plan: &mut Plan<'p>) {
    loop {
        let waiting: i64 = plan.waiting.iter().sum();
        round(model, facts, plan);
        let left: i64 = plan.waiting.iter().sum();
        let is_stuck = left == waiting;
        let is_over = left == 0 || (is_stuck && plan.is_desperate);
        if is_over || (ration::is_short(model, plan) && !model.has_wishes()) {
            return;
        }
        plan.is_desperate |= is_stuck;
    }
}

/// Finds places for the pods of the plan that wait, once.
pub(crate) fn round<'p>(model: &Model<'p>, facts: &Facts, plan: &mut Plan<'p>) {
    let mut items = assign::assign(model, facts, plan);
    pack::pack(model, plan, &mut items);
    pack::settle(model, plan, &items);
    companion::place_companions(model, plan);
}

/// Adds what the plan taught; says whether it was anything new that another attempt could use.
fn learn(model: &Model<'_>, plan: &Plan<'_>, facts: &mut Facts) -> bool {
    let before = facts.clone();
    let is_balanced = |class: usize| !model.topology.tracked[class].is_empty();
    for ((class, tuple), bought) in &plan.learned {
        if is_balanced(*class) {
            facts.ceilings.insert((*class, tuple.clone()), *bought);
        }
    }
    facts
        .domains
        .extend(audit::surprising_domains(model, plan).domains);
    *facts != before
}

/// The plan as an answer, with pods by name.
fn written(model: &Model<'_>, plan: &Plan<'_>, certificate: Certificate) -> Solution {
    let mut roster = Roster::of(model);
    let mut existing = BTreeMap::new();
    for (site, load) in plan.sites.iter().enumerate() {
        let pods = roster.take(load);
        if !pods.is_empty() {
            existing.insert(model.sites.sites[site].node.name.clone(), pods);
        }
    }
    let nodes = plan.nodes.iter();
    let new_nodes = nodes
        .map(|node| new_node(model, node, roster.take(&node.load)))
        .collect();
    Solution {
        existing,
        new_nodes,
        unplaced: unplaced(model, plan, &roster),
        lower_bound: Some(certificate.lower_bound),
        certificates: vec![certificate],
    }
}

/// Which pods of each class already have a place.
struct Roster<'m, 'p> {
    model: &'m Model<'p>,
    next: Vec<usize>,
}

impl<'m, 'p> Roster<'m, 'p> {
    fn of(model: &'m Model<'p>) -> Self {
        Self {
            model,
            next: vec![0; model.classes.len()],
        }
    }

    fn take(&mut self, load: &Load<'p>) -> Vec<ObjectKey> {
        let mut pods = Vec::new();
        for (class, count) in &load.classes {
            let count = usize::try_from(*count).unwrap_or(0);
            let start = self.next[*class];
            let taken = self.model.classes[*class].pods.iter().skip(start).take(count);
            pods.extend(taken.map(|pending| pending.pod.key.clone()));
            self.next[*class] += count;
        }
        pods.sort();
        pods
    }
}

/// A planned node as an answer.
pub(crate) fn new_node(model: &Model<'_>, node: &PlannedNode<'_>, pods: Vec<ObjectKey>) -> NewNode {
    let offers = node.candidates.iter().map(|index| &model.market.offers[*index]);
    let price = offers.clone().map(|offer| offer.price).next().unwrap_or(0);
    let daemons = offers
        .clone()
        .map(|offer| &model.market.cells[offer.cell].overhead)
        .fold(Resources::default(), |most, overhead| most.maximum(overhead));
    let requests = node.load.classes.iter().fold(daemons, |sum, (class, count)| {
        let mut one = model.classes[*class].shape().requests.clone();
        one.pods = one.pods.max(1);
        sum.plus(&one.times(*count))
    });
    NewNode {
        pool: model.market.pools[node.pool].spec.key.clone(),
        capacity_type: node.capacity_type,
        candidates: offers.map(|offer| offer.spec.market().clone()).collect(),
        price: PricePerHour(price),
        requests,
        pods,
    }
}

fn unplaced(model: &Model<'_>, plan: &Plan<'_>, roster: &Roster<'_, '_>) -> Vec<Unplaced> {
    let mut unplaced: Vec<Unplaced> = Vec::new();
    for (class, next) in roster.next.iter().enumerate() {
        let left = &model.classes[class].pods[*next..];
        if left.is_empty() {
            continue;
        }
        let reasons = explanation::reasons(model, plan, class);
        unplaced.extend(left.iter().map(|pending| Unplaced {
            pod: pending.pod.key.clone(),
            reasons: reasons.clone(),
        }));
    }
    unplaced.extend(model.refused.iter().map(|pending| Unplaced {
        pod: pending.pod.key.clone(),
        reasons: explanation::refusals(model, pending),
    }));
    unplaced.sort_by(|a, b| a.pod.cmp(&b.pod));
    unplaced
}
