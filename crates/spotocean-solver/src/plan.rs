//! A plan in the making: loads of nodes there, nodes to buy, counts, limits, and
//! what attempts at it have taught.

use std::collections::{BTreeMap, BTreeSet};

use spotocean_core::capacity_type::CapacityType;

use crate::candidates::{self, Lack, Pin, Wanted};
use crate::ledger::{Ledger, Place};
use crate::limits::{Charge, Limits};
use crate::load::Load;
use crate::model::Model;
use crate::params::WORK_MAX;
use crate::solution::Reason;

/// A class in one combination of domains.
pub(crate) type Share = (usize, Vec<Option<usize>>);

/// What a pod is worth in micro-dollars: as smoothed, and as the program had it last.
pub(crate) type Duals = (f64, f64);

/// What earlier attempts at a plan have taught the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// No more pods than these can be bought for there.
    pub(crate) ceilings: BTreeMap<Share, i64>,
    /// Counter and value: nodes bought for others make this a domain.
    pub(crate) domains: BTreeSet<(usize, usize)>,
}

/// A node to buy.
#[derive(Clone, Debug)]
pub(crate) struct PlannedNode<'p> {
    /// The pool.
    pub(crate) pool: usize,
    /// How it is paid for.
    pub(crate) capacity_type: CapacityType,
    /// A cell it may come from.
    pub(crate) cell: usize,
    /// Domains it must be in.
    pub(crate) pins: Vec<Pin>,
    /// Its pods.
    pub(crate) load: Load<'p>,
    /// Offers that can carry it, best first.
    pub(crate) candidates: Vec<usize>,
    /// Pods it carried when its candidates were chosen.
    pub(crate) pods_bought_for: i64,
    charge: Charge,
}

/// A plan.
#[derive(Clone, Debug)]
pub(crate) struct Plan<'p> {
    /// Loads of nodes there.
    pub(crate) sites: Vec<Load<'p>>,
    /// Nodes to buy.
    pub(crate) nodes: Vec<PlannedNode<'p>>,
    /// Pods per domain.
    pub(crate) ledger: Ledger,
    /// Limits by pool.
    pub(crate) limits: Vec<Limits>,
    /// Pods without a place, by class.
    pub(crate) waiting: Vec<i64>,
    /// Pods bought for, by share.
    pub(crate) bought: BTreeMap<Share, i64>,
    /// Shares that turned out smaller than wanted.
    pub(crate) learned: BTreeMap<Share, i64>,
    /// Why the audit took pods out again.
    pub(crate) dropped: BTreeMap<usize, Reason>,
    /// What one pod of a share was worth when nodes were bought.
    pub(crate) duals: BTreeMap<Share, Duals>,
    /// Work allowed for the purchases of one level.
    pub(crate) work: u64,
    /// Whether wishes about nodes no longer count, since pods wait for them.
    pub(crate) is_desperate: bool,
    /// Whether limits are so short that substitutes must not take more of them than needed.
    pub(crate) is_frugal: bool,
}

impl<'p> Plan<'p> {
    /// A plan that places nothing.
    pub(crate) fn empty(model: &Model<'p>) -> Self {
        let sites = 0..model.sites.sites.len();
        let pools = model.market.pools.iter();
        let classes = model.classes.iter();
        Self {
            sites: sites.map(|site| Load::of_site(model, site)).collect(),
            nodes: Vec::new(),
            ledger: Ledger::of(model),
            limits: pools.map(|pool| Limits::of(pool.spec)).collect(),
            waiting: classes
                .map(|class| i64::try_from(class.pods.len()).unwrap_or(i64::MAX))
                .collect(),
            bought: BTreeMap::new(),
            learned: BTreeMap::new(),
            dropped: BTreeMap::new(),
            duals: BTreeMap::new(),
            work: WORK_MAX,
            is_desperate: false,
            is_frugal: false,
        }
    }

    /// What its nodes cost, interruptions counted, in micro-dollars per hour.
    pub(crate) fn cost(&self, model: &Model<'p>) -> i64 {
        let first = self.nodes.iter().filter_map(|node| node.candidates.first());
        first.map(|offer| model.market.offers[*offer].cost).sum()
    }

    /// By class and cell, whether to buy there.
    pub(crate) fn open_cells<'m>(&self, model: &'m Model<'p>) -> &'m [Vec<bool>] {
        if self.is_desperate {
            &model.serves
        } else {
            &model.suits
        }
    }

    /// Puts pods on a node that is there.
    pub(crate) fn place(&mut self, model: &Model<'p>, class: usize, site: usize, count: i64) {
        self.sites[site].add(model, class, count);
        self.ledger.count(model, class, Place::Site(site), count);
        self.waiting[class] -= count;
    }

    /// Buys up to `copies` nodes with these pods on each; returns how many the limits allowed.
    /// The pods are not counted in the ledger.
    pub(crate) fn buy(&mut self, model: &Model<'p>, wanted: &Wanted<'_>, copies: i64) -> Result<i64, Lack> {
        let limits = &self.limits[wanted.pool];
        let candidates = self.candidates(model, wanted, limits)?;
        let charge = limits.charge(candidates.iter().map(|index| &model.market.offers[*index]));
        let copies = limits.affordable(&charge, copies);
        let mut load = Load::of_offer(model, candidates[0]);
        for (class, count) in wanted.classes {
            load.add(model, *class, *count);
            self.waiting[*class] -= count * copies;
        }
        self.limits[wanted.pool].take(&charge, copies);
        let node = PlannedNode {
            pool: wanted.pool,
            capacity_type: wanted.capacity_type,
            cell: model.market.offers[candidates[0]].cell,
            pins: wanted.pins.to_vec(),
            load,
            candidates,
            pods_bought_for: wanted.classes.iter().map(|(_, count)| count).sum(),
            charge,
        };
        self.nodes.extend((0..copies).map(|_| node.clone()));
        Ok(copies)
    }

    fn candidates(
        &self,
        model: &Model<'p>,
        wanted: &Wanted<'_>,
        limits: &Limits,
    ) -> Result<Vec<usize>, Lack> {
        let candidates = candidates::candidates(model, wanted, limits)?;
        let pool = &model.market.pools[wanted.pool];
        if !self.is_frugal || candidates::min_values(pool).next().is_some() {
            return Ok(candidates);
        }
        let least = candidates::flexibility(pool, wanted.capacity_type);
        Ok(limits.frugal(candidates, &model.market.offers, least))
    }

    /// Adds a pod to a node to buy, taking larger types where needed; says whether that was possible.
    /// Host rules are the caller's to check; the ledger is not touched.
    pub(crate) fn enlarge(&mut self, model: &Model<'p>, node: usize, class: usize) -> bool {
        self.add(model, node, &[], &[(class, 1)])
    }

    /// Adds pods that demand these pins too to a node to buy; says whether that was possible.
    /// The ledger is not touched.
    pub(crate) fn add(
        &mut self,
        model: &Model<'p>,
        node: usize,
        pins: &[Pin],
        pods: &[(usize, i64)],
    ) -> bool {
        let planned = &mut self.nodes[node];
        let before = planned.pins.len();
        let mut classes = planned.load.classes.clone();
        for (class, count) in pods {
            match classes.iter_mut().find(|(known, _)| known == class) {
                Some((_, present)) => *present += count,
                None => classes.push((*class, *count)),
            }
        }
        planned.pins.extend_from_slice(pins);
        if !self.choose_again(model, node, &classes) {
            self.nodes[node].pins.truncate(before);
            return false;
        }
        for (class, count) in pods {
            self.waiting[*class] -= count;
        }
        true
    }

    /// Chooses candidates for a node anew, for these pods; leaves it as it was where there are none.
    pub(crate) fn choose_again(&mut self, model: &Model<'p>, node: usize, classes: &[(usize, i64)]) -> bool {
        let planned = &self.nodes[node];
        let pool = planned.pool;
        let mut limits = self.limits[pool].clone();
        limits.take(&planned.charge, -1);
        let wanted = Wanted {
            pool,
            capacity_type: planned.capacity_type,
            pins: &planned.pins,
            classes,
        };
        let Ok(candidates) = self.candidates(model, &wanted, &limits) else {
            return false;
        };
        let charge = limits.charge(candidates.iter().map(|index| &model.market.offers[*index]));
        if limits.affordable(&charge, 1) < 1 {
            return false;
        }
        limits.take(&charge, 1);
        self.limits[pool] = limits;
        let mut load = Load::of_offer(model, candidates[0]);
        for (class, count) in classes {
            load.add(model, *class, *count);
        }
        let planned = &mut self.nodes[node];
        planned.cell = model.market.offers[candidates[0]].cell;
        planned.load = load;
        planned.candidates = candidates;
        planned.pods_bought_for = classes.iter().map(|(_, count)| count).sum();
        planned.charge = charge;
        true
    }

    /// Gives up nodes without pods.
    pub(crate) fn drop_empty_nodes(&mut self) {
        for node in self.nodes.iter().filter(|node| node.load.classes.is_empty()) {
            self.limits[node.pool].take(&node.charge, -1);
        }
        self.nodes.retain(|node| !node.load.classes.is_empty());
    }
}
