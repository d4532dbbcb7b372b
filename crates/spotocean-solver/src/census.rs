//! Where the pods of a plan are: by class the nodes that hold it, and by node the
//! domains it is in.
//!
//! Nodes to buy that have the same candidates' cells and the same pins are one
//! [`Stock`], and whatever domains and spreads ask of a node is answered once for
//! all of them. Built once per plan; pods that are taken out are taken off here too.

use std::collections::BTreeMap;

use crate::model::Model;
use crate::plan::{Plan, PlannedNode};
use crate::topology::Counter;

/// What holds pods.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spot {
    /// A node there or on its way.
    Site(usize),
    /// A node to buy, of this stock.
    Node(usize),
}

/// Nodes to buy that are in the same domains, as far as is known.
#[derive(Clone, Debug)]
pub(crate) struct Stock {
    /// The values that its nodes are sure to have, by key.
    values: Vec<Option<usize>>,
    /// The cells they may come from, each once.
    cells: Vec<usize>,
}

impl Stock {
    fn of(model: &Model<'_>, node: &PlannedNode<'_>) -> Self {
        let candidates = node.candidates.iter();
        let mut cells: Vec<usize> = candidates.map(|offer| model.market.offers[*offer].cell).collect();
        cells.sort_unstable();
        cells.dedup();
        let mut values = model.market.cells[node.cell].values.clone();
        for (key, value) in &node.pins {
            values[*key] = *value;
        }
        Self { values, cells }
    }

    /// The value of a key that its nodes are sure to have: every candidate has it.
    pub(crate) fn value(&self, key: usize) -> Option<usize> {
        self.values[key]
    }

    /// The domains of a counter that its nodes may turn out to be in.
    pub(crate) fn possible_values(
        &self,
        model: &Model<'_>,
        counter: &Counter,
    ) -> impl Iterator<Item = usize> {
        let cells = self.cells.iter().filter(|cell| counter.counts_cell[**cell]);
        cells.filter_map(|cell| model.market.cells[*cell].values[counter.key])
    }

    /// Whether pods on its nodes count for certain, and whether they may.
    fn counts(&self, counter: &Counter) -> Standing {
        let mut counts = self.cells.iter().map(|cell| counter.counts_cell[*cell]);
        Standing {
            always: counts.clone().all(|each| each),
            sometimes: counts.any(|each| each),
        }
    }
}

/// Whether a counter counts the pods of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    /// Whichever candidate it comes to be.
    pub(crate) always: bool,
    /// With some candidate.
    pub(crate) sometimes: bool,
}

/// The pods of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Census {
    /// Nodes to buy, then nodes there: a pod is taken from one to buy first.
    pub(crate) spots: Vec<Spot>,
    /// Stocks of the nodes to buy.
    pub(crate) stocks: Vec<Stock>,
    /// By class, spots that hold it, in their order, and how many pods of it.
    pub(crate) by_class: Vec<Vec<(usize, i64)>>,
}

impl Census {
    pub(crate) fn of(model: &Model<'_>, plan: &Plan<'_>) -> Self {
        let mut census = Self {
            spots: Vec::with_capacity(plan.nodes.len() + plan.sites.len()),
            stocks: Vec::new(),
            by_class: vec![Vec::new(); model.classes.len()],
        };
        for node in census.stock_of_nodes(model, plan) {
            census.spots.push(Spot::Node(node));
        }
        census.spots.extend((0..plan.sites.len()).map(Spot::Site));
        let loads = plan.nodes.iter().map(|node| &node.load).chain(&plan.sites);
        for (spot, load) in loads.enumerate() {
            for (class, count) in &load.classes {
                census.by_class[*class].push((spot, *count));
            }
        }
        census
    }

    /// The stock of each node to buy.
    fn stock_of_nodes(&mut self, model: &Model<'_>, plan: &Plan<'_>) -> Vec<usize> {
        let mut known = BTreeMap::new();
        let mut stock_of = Vec::with_capacity(plan.nodes.len());
        for (index, node) in plan.nodes.iter().enumerate() {
            let is_copy = index.checked_sub(1).is_some_and(|last| {
                let last: &PlannedNode<'_> = &plan.nodes[last];
                last.cell == node.cell && last.pins == node.pins && last.candidates == node.candidates
            });
            let stock = if is_copy {
                stock_of[index - 1]
            } else {
                let stock = Stock::of(model, node);
                let next = self.stocks.len();
                let key = (stock.values.clone(), stock.cells.clone());
                let found = *known.entry(key).or_insert(next);
                if found == next {
                    self.stocks.push(stock);
                }
                found
            };
            stock_of.push(stock);
        }
        stock_of
    }

    /// The value that a spot is sure to have.
    pub(crate) fn value(&self, model: &Model<'_>, spot: usize, key: usize) -> Option<usize> {
        match self.spots[spot] {
            Spot::Site(site) => model.sites.sites[site].values[key],
            Spot::Node(stock) => self.stocks[stock].value(key),
        }
    }

    /// The node there that a spot is.
    pub(crate) fn site(&self, spot: usize) -> Option<usize> {
        match self.spots[spot] {
            Spot::Site(site) => Some(site),
            Spot::Node(_) => None,
        }
    }

    /// Pods of a class on a spot.
    pub(crate) fn pods(&self, class: usize, spot: usize) -> i64 {
        let holders = &self.by_class[class];
        let found = holders.binary_search_by_key(&spot, |(known, _)| *known);
        found.map_or(0, |position| holders[position].1)
    }

    /// By stock, whether a counter counts the pods of its nodes.
    pub(crate) fn counts(&self, counter: &Counter) -> Vec<Standing> {
        self.stocks.iter().map(|stock| stock.counts(counter)).collect()
    }

    /// Takes pods of a class off a spot.
    pub(crate) fn take(&mut self, spot: usize, class: usize, count: i64) {
        let holders = &mut self.by_class[class];
        if let Ok(position) = holders.binary_search_by_key(&spot, |(known, _)| *known) {
            holders[position].1 -= count;
            if holders[position].1 <= 0 {
                holders.remove(position);
            }
        }
    }
}
