//! What may be bought, grouped.
//!
//! Offers of one pool and capacity type whose labels agree wherever some pod
//! looks, and that carry the same DaemonSets, form a [`Cell`]: node predicates
//! are decided once per cell. Inside a cell only the offers that no cheaper,
//! safer, larger one dominates are worth planning with: the cell's shelf. (562 types of
//! c, m and r have about 33 such types.) The others stay substitutes at launch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::capacity_type::CapacityType;
use spotocean_core::pod::{DaemonSet, HostPort, NodeTerm, PodShape};
use spotocean_core::requirement::{Labels, Requirement};
use spotocean_core::resources::Resources;
use spotocean_core::taint::Taint;

use crate::daemon_overhead;
use crate::dimension::{Dimensions, Vector};
use crate::feasible::{Certainty, NodeView};
use crate::params::PRICE_MAX;
use crate::problem::{self, BuyablePool, Problem};

/// A pool, in order of preference.
#[derive(Clone, Debug)]
pub(crate) struct Pool<'p> {
    /// Its description.
    pub(crate) spec: &'p BuyablePool,
    /// Pools of one weight share a tier; 0 is asked first.
    pub(crate) tier: usize,
    /// Its offers, those of least cost first.
    pub(crate) offers: Vec<usize>,
    /// Its cells.
    pub(crate) cells: Vec<usize>,
}

/// Offers that pods cannot tell apart but by size.
#[derive(Clone, Debug)]
pub(crate) struct Cell<'p> {
    /// The pool.
    pub(crate) pool: usize,
    /// How its nodes are paid for.
    pub(crate) capacity_type: CapacityType,
    /// Labels; equal over the cell wherever a pod looks.
    pub(crate) labels: &'p Labels,
    /// Taints of its nodes.
    pub(crate) taints: &'p [Taint],
    /// DaemonSets that its nodes carry.
    pub(crate) daemons: Vec<usize>,
    /// What those ask for.
    pub(crate) overhead: Resources,
    /// Ports that those bind.
    pub(crate) ports: Vec<&'p HostPort>,
    /// Value index by topology key.
    pub(crate) values: Vec<Option<usize>>,
    /// Undominated offers, those of least cost first.
    pub(crate) shelf: Vec<usize>,
}

impl Cell<'_> {
    /// A node of this cell, as node predicates see it.
    pub(crate) fn view(&self) -> NodeView<'_> {
        NodeView {
            labels: self.labels,
            taints: self.taints,
            name: None,
            certainty: Certainty::Complete,
        }
    }
}

/// One offer.
#[derive(Clone, Debug)]
pub(crate) struct Offer<'p> {
    /// Its description.
    pub(crate) spec: &'p problem::Offer,
    /// Its cell.
    pub(crate) cell: usize,
    /// Allocatable less DaemonSets.
    pub(crate) free: Vector,
    /// Its price in micro-dollars per hour.
    pub(crate) price: i64,
    /// What plans count with: the price, and what interruptions cost on average.
    pub(crate) cost: i64,
    /// What purchases are weighed by: the cost; where limits are short, what a node takes of them.
    pub(crate) weight: i64,
}

/// Everything on sale.
#[derive(Clone, Debug, Default)]
pub(crate) struct Market<'p> {
    /// Pools by weight (high first), then name.
    pub(crate) pools: Vec<Pool<'p>>,
    /// Cells.
    pub(crate) cells: Vec<Cell<'p>>,
    /// Offers.
    pub(crate) offers: Vec<Offer<'p>>,
    /// DaemonSets in canonical order.
    pub(crate) daemon_sets: Vec<&'p Arc<DaemonSet>>,
}

type CellKey<'p> = (CapacityType, Vec<Option<&'p str>>);

/// Groups the offers of all pools that buy.
pub(crate) fn market<'p>(
    problem: &'p Problem,
    dimensions: &Dimensions<'p>,
    node_keys: &BTreeSet<&'p str>,
) -> Market<'p> {
    let mut daemon_sets: Vec<&Arc<DaemonSet>> = problem.daemon_sets.iter().collect();
    daemon_sets.sort_by(|a, b| (&a.key, &a.uid).cmp(&(&b.key, &b.uid)));
    let mut market = Market {
        daemon_sets,
        ..Market::default()
    };
    let mut specs: Vec<&BuyablePool> = problem.pools.iter().collect();
    specs.sort_by(|a, b| (-i64::from(a.weight), &a.key).cmp(&(-i64::from(b.weight), &b.key)));
    let weights: BTreeSet<i64> = specs.iter().map(|spec| -i64::from(spec.weight)).collect();
    for spec in specs {
        let tier = weights.range(..-i64::from(spec.weight)).count();
        market.add_pool(spec, tier, dimensions, node_keys);
    }
    market
}

impl<'p> Market<'p> {
    /// Whether anything on sale costs more than its price.
    pub(crate) fn has_risk(&self) -> bool {
        self.offers.iter().any(|offer| offer.cost > offer.price)
    }

    fn add_pool(
        &mut self,
        spec: &'p BuyablePool,
        tier: usize,
        dimensions: &Dimensions<'p>,
        node_keys: &BTreeSet<&'p str>,
    ) {
        let pool = self.pools.len();
        let (first_cell, first_offer) = (self.cells.len(), self.offers.len());
        let mut cells: BTreeMap<CellKey<'p>, usize> = BTreeMap::new();
        for offer in sorted_offers(spec) {
            let key = (
                offer.offering.capacity_type,
                crate::queue::restricted(&offer.labels, node_keys),
            );
            let cell = *cells.entry(key).or_insert_with(|| {
                self.cells.push(cell(pool, spec, offer, &self.daemon_sets));
                self.cells.len() - 1
            });
            let allocatable = offer.allocatable.minus(&self.cells[cell].overhead);
            self.offers.push(Offer {
                spec: offer,
                cell,
                free: dimensions.room(&allocatable),
                price: offer.offering.price.micro_usd(),
                cost: cost(offer),
                weight: cost(offer),
            });
        }
        self.fill_shelves(first_offer, spec);
        self.pools.push(Pool {
            spec,
            tier,
            offers: (first_offer..self.offers.len()).collect(),
            cells: (first_cell..self.cells.len()).collect(),
        });
    }

    /// Offers of least cost come first, so that only those already on the shelf can dominate.
    fn fill_shelves(&mut self, first_offer: usize, spec: &BuyablePool) {
        for index in first_offer..self.offers.len() {
            let offer = &self.offers[index];
            let shelf = &mut self.cells[offer.cell].shelf;
            let is_dominated = shelf
                .iter()
                .any(|kept| dominates(&self.offers[*kept], offer, spec));
            if !is_dominated {
                shelf.push(index);
            }
        }
    }
}

/// What plans count with in micro-dollars per hour; a risk that cannot be meant is none.
fn cost(offer: &problem::Offer) -> i64 {
    let price = offer.offering.price.micro_usd();
    price + offer.risk.micro_usd().clamp(0, PRICE_MAX)
}

/// The offers of a pool that buys, those of least cost first; without a price that can be meant nothing is on sale.
fn sorted_offers(spec: &BuyablePool) -> Vec<&problem::Offer> {
    if spec.closed.is_some() {
        return Vec::new();
    }
    let on_sale = |offer: &&problem::Offer| (1..=PRICE_MAX).contains(&offer.offering.price.micro_usd());
    let mut offers: Vec<_> = spec.offers.iter().filter(on_sale).collect();
    offers.sort_by(|a, b| sale_order(a).cmp(&sale_order(b)));
    offers
}

fn sale_order(offer: &problem::Offer) -> impl Ord + '_ {
    let offering = &offer.offering;
    (
        cost(offer),
        offering.price,
        &offering.market,
        offering.capacity_type,
        offer,
    )
}

fn cell<'p>(
    pool: usize,
    spec: &'p BuyablePool,
    offer: &'p problem::Offer,
    daemon_sets: &[&'p Arc<DaemonSet>],
) -> Cell<'p> {
    let view = NodeView {
        labels: &offer.labels,
        taints: &spec.taints,
        name: None,
        certainty: Certainty::Complete,
    };
    let daemons = daemon_overhead::carried(daemon_sets, view);
    let ports = daemons
        .iter()
        .flat_map(|index| &daemon_sets[*index].shape.host_ports)
        .collect();
    Cell {
        pool,
        capacity_type: offer.offering.capacity_type,
        labels: &offer.labels,
        taints: &spec.taints,
        overhead: daemon_overhead::overhead(daemon_sets, &daemons),
        daemons,
        ports,
        values: Vec::new(),
        shelf: Vec::new(),
    }
}

/// Whether `kept`, which costs no more, can stand in for `offer` wherever a plan or a bound on prices could use it.
fn dominates(kept: &Offer<'_>, offer: &Offer<'_>, spec: &BuyablePool) -> bool {
    let is_no_dearer = kept.price <= offer.price;
    let is_larger = kept.free.iter().zip(&offer.free).all(|(a, b)| a >= b);
    let attaches_more = kept.spec.attach_limits.iter().all(|(driver, limit)| {
        offer
            .spec
            .attach_limits
            .get(driver)
            .is_some_and(|other| other <= limit)
    });
    // A smaller node may be all that a resource limit still allows.
    let costs_no_more_limit = spec
        .limits
        .resources
        .keys()
        .all(|name| kept.spec.capacity.amount(name) <= offer.spec.capacity.amount(name));
    is_no_dearer && is_larger && attaches_more && costs_no_more_limit
}

/// The node labels that some pod, volume or DaemonSet looks at.
pub(crate) fn node_keys(problem: &Problem) -> BTreeSet<&str> {
    let mut keys = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let daemons = problem.daemon_sets.iter().map(|daemon| &daemon.shape);
    for shape in problem
        .pods
        .iter()
        .map(|pending| &pending.pod.shape)
        .chain(daemons)
    {
        if seen.insert(Arc::as_ptr(shape)) {
            keys.extend(shape_keys(shape));
        }
    }
    for demand in problem.pods.iter().flat_map(|pending| &pending.volumes) {
        keys.extend(demand.terms.iter().flat_map(|terms| term_keys(terms)));
    }
    for pod in problem.nodes.iter().flat_map(|node| &node.pods) {
        keys.extend(pod.shape.anti_affinity.iter().map(|term| &*term.topology_key));
    }
    keys
}

fn shape_keys(shape: &PodShape) -> impl Iterator<Item = &str> {
    let selector = shape.node_selector.iter().map(key);
    let terms = shape.node_terms.iter().flat_map(|terms| term_keys(terms));
    let spread = shape.spread.iter().map(|spread| &*spread.topology_key);
    let wished = shape
        .preferred_affinity
        .iter()
        .chain(&shape.preferred_anti_affinity);
    let affinity = shape.affinity.iter().chain(&shape.anti_affinity);
    let affinity = affinity.chain(wished.map(|wished| &wished.term));
    let affinity = affinity.map(|term| &*term.topology_key);
    let preferred = shape.preferred_node_terms.iter();
    let preferred = preferred.flat_map(|wished| term_keys(std::slice::from_ref(&wished.term)));
    selector
        .chain(terms)
        .chain(spread)
        .chain(affinity)
        .chain(preferred)
}

fn term_keys(terms: &[NodeTerm]) -> impl Iterator<Item = &str> {
    terms.iter().flat_map(|term| &term.expressions).map(key)
}

fn key(requirement: &Requirement) -> &str {
    &requirement.key
}
