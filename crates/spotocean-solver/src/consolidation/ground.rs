//! An estate, compiled: every tenant is a pod the solver has planned, on the node
//! where it stands, so that rules between pods hold for all of them alike.
//!
//! Nodes come in an order of preference that their names decide last: the same
//! cluster under other names has the same plan. Offers that would open a domain
//! over which some tenant is spread (a zone without nodes) are left out: the pods
//! that stay would be out of balance from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::label;
use spotocean_core::pod::PodShape;
use spotocean_core::requirement::Labels;
use spotocean_core::resources::Resources;
use spotocean_core::topology::WhenUnsatisfiable;

use super::worth::{Reach, Worth};
use super::{Estate, Holding, Tenant};
use crate::census::Census;
use crate::grounding::Grounding;
use crate::load::Load;
use crate::model::{self, Model};
use crate::packing::Measure;
use crate::plan::Plan;
use crate::problem::{PendingPod, PlacementNode, Problem};

/// One node of the estate.
#[derive(Clone, Debug)]
pub(super) struct Lot<'e> {
    /// Its description.
    pub(super) holding: &'e Holding,
    /// What it costs in micro-dollars per hour, interruptions counted.
    pub(super) cost: i64,
    /// What removing it costs once, its pods included.
    pub(super) move_cost: i64,
    /// Whether it may go.
    pub(super) is_removable: bool,
    /// Its tenants by class.
    pub(super) tenants: BTreeMap<usize, Vec<&'e Tenant>>,
}

impl Lot<'_> {
    /// Its price alone, which the bound is about.
    pub(super) fn price(&self) -> i64 {
        self.holding.price.micro_usd().max(0)
    }
}

/// The compiled estate.
pub(super) struct Ground<'e> {
    /// The estate.
    pub(super) estate: &'e Estate,
    /// The problem in which all tenants are planned.
    pub(super) model: Model<'e>,
    /// By site.
    pub(super) lots: Vec<Lot<'e>>,
    /// What pods are worth.
    pub(super) worth: Worth,
    /// By class, whether its pods seek others or are sought.
    is_about_mates: Vec<bool>,
    /// Class and site, and how many pods of those that no order of binding would get there.
    unbound: BTreeMap<(usize, usize), i64>,
}

/// A cluster in the making.
#[derive(Clone)]
pub(super) struct State<'e> {
    /// Where pods are.
    pub(super) plan: Plan<'e>,
    /// Sites that go.
    pub(super) is_gone: Vec<bool>,
}

/// The estate's tenants as pods to plan, on nodes in order of preference; offers
/// that open a domain are left out, and said to be.
pub(super) fn problem(estate: &Estate) -> (Problem, bool) {
    let mut whole = unrestricted(estate);
    let keys = spread_keys(estate);
    let present: BTreeSet<(&str, Option<&Arc<str>>)> = keys
        .iter()
        .flat_map(|key| {
            let holdings = estate.holdings.iter();
            holdings.map(move |holding| (*key, holding.node.labels.get(*key)))
        })
        .collect();
    let opens = |labels: &Labels| {
        keys.iter()
            .any(|key| !present.contains(&(*key, labels.get(*key))))
    };
    let mut is_restricted = false;
    for pool in &mut whole.pools {
        let before = pool.offers.len();
        pool.offers.retain(|offer| !opens(&offer.labels));
        is_restricted |= pool.offers.len() < before;
    }
    (whole, is_restricted)
}

/// The same with all offers.
pub(super) fn unrestricted(estate: &Estate) -> Problem {
    let ordered = ordered(estate);
    let mut problem = Problem {
        pods: Vec::new(),
        nodes: Vec::with_capacity(ordered.len()),
        pools: estate.pools.clone(),
        daemon_sets: estate.daemon_sets.clone(),
        namespaces: estate.namespaces.clone(),
    };
    for holding in ordered {
        let mut node = holding.node.clone();
        for tenant in &holding.tenants {
            if is_modelled(tenant) {
                problem.pods.push(tenant.pod.clone());
            } else {
                node.pods.push(tenant.pod.pod.clone());
            }
        }
        problem.nodes.push(node);
    }
    problem
}

fn is_modelled(tenant: &Tenant) -> bool {
    tenant.pod.pod.shape.unmodelled.is_empty()
}

/// Keys other than the host name over which some tenant must be spread.
fn spread_keys(estate: &Estate) -> BTreeSet<&str> {
    let mut shapes: BTreeMap<*const PodShape, &PodShape> = BTreeMap::new();
    for tenant in estate.holdings.iter().flat_map(|holding| &holding.tenants) {
        let shape = &tenant.pod.pod.shape;
        shapes.insert(Arc::as_ptr(shape), shape);
    }
    let spread = shapes.into_values().flat_map(|shape| &shape.spread);
    spread
        .filter(|spread| spread.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule)
        .map(|spread| &*spread.topology_key)
        .filter(|key| *key != label::HOSTNAME)
        .collect()
}

/// Holdings in order of preference as places: those that stay anyway, then the
/// cheap for their size; then whatever tells two apart, the name last.
fn ordered(estate: &Estate) -> Vec<&Holding> {
    let mut keyed: Vec<_> = estate
        .holdings
        .iter()
        .map(|holding| (rank(holding), holding))
        .collect();
    keyed.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| traits(a.1).cmp(&traits(b.1))));
    keyed.into_iter().map(|(_, holding)| holding).collect()
}

fn rank(holding: &Holding) -> (bool, i64, &Resources, usize) {
    let allocatable = &holding.node.allocatable;
    // A core and 4 GiB weigh the same; only the order is made of it.
    let size = allocatable.cpu_millis.max(0) + (allocatable.memory_bytes.max(0) >> 22);
    let price = i128::from(holding.price.micro_usd()) * 1_000_000 / i128::from(size.max(1));
    let unit_price = i64::try_from(price).unwrap_or(i64::MAX);
    let is_removable = holding.stays.is_none();
    (is_removable, unit_price, allocatable, holding.tenants.len())
}

/// Everything else about a holding, for ties.
fn traits(holding: &Holding) -> impl Ord + '_ {
    let node = &holding.node;
    let labels: Vec<_> = node
        .labels
        .iter()
        .filter(|(key, _)| &***key != label::HOSTNAME)
        .collect();
    let mut tenants: Vec<_> = holding
        .tenants
        .iter()
        .map(|tenant| {
            (
                &tenant.pod.pod.key.namespace,
                &tenant.pod.pod.shape,
                &tenant.pod.pod.labels,
            )
        })
        .collect();
    tenants.sort();
    (labels, &node.taints, node.accepts_pods, tenants, &node.name)
}

impl<'e> Ground<'e> {
    /// Compiles.
    pub(super) fn of(estate: &'e Estate, problem: &'e Problem) -> Self {
        let nodes: Vec<&PlacementNode> = problem.nodes.iter().collect();
        let model = model::in_order(problem, &nodes);
        let mut class_of: BTreeMap<*const PendingPod, usize> = BTreeMap::new();
        for (class, described) in model.classes.iter().enumerate() {
            class_of.extend(described.pods.iter().map(|pod| (std::ptr::from_ref(*pod), class)));
        }
        let mut pods = problem.pods.iter();
        let lots: Vec<Lot<'e>> = ordered(estate)
            .into_iter()
            .map(|holding| {
                let mut lot = lot(estate, holding);
                let modelled = holding.tenants.iter().filter(|tenant| is_modelled(tenant));
                for (tenant, pod) in modelled.zip(pods.by_ref()) {
                    let class = class_of[&std::ptr::from_ref(pod)];
                    lot.tenants.entry(class).or_default().push(tenant);
                }
                lot.tenants
                    .values_mut()
                    .for_each(|own| own.sort_by_key(|tenant| &tenant.pod.pod.key));
                lot
            })
            .collect();
        let worth = Worth::of(&model, &lots, Reach::First, Measure::Weight);
        let mut ground = Self {
            estate,
            is_about_mates: (0..model.classes.len())
                .map(|class| is_about_mates(&model, class))
                .collect(),
            model,
            lots,
            worth,
            unbound: BTreeMap::new(),
        };
        ground.unbound = unbound(&ground.model, &ground.start().plan);
        ground
    }

    /// The cluster as it stands.
    pub(super) fn start(&self) -> State<'e> {
        let mut plan = Plan::empty(&self.model);
        for (site, lot) in self.lots.iter().enumerate() {
            for (class, tenants) in &lot.tenants {
                plan.place(&self.model, *class, site, count(tenants.len()));
            }
        }
        State {
            plan,
            is_gone: vec![false; self.lots.len()],
        }
    }

    /// Takes a node out with its pods: they wait, and nothing has room there any more. Says which pods.
    pub(super) fn vacate(&self, state: &mut State<'e>, site: usize) -> Vec<(usize, i64)> {
        let load = &mut state.plan.sites[site];
        let pods = std::mem::take(&mut load.classes);
        load.free.iter_mut().for_each(|free| *free = 0);
        for (class, count) in &pods {
            let place = crate::ledger::Place::Site(site);
            state.plan.ledger.count(&self.model, *class, place, -count);
            state.plan.waiting[*class] += count;
        }
        state.is_gone[site] = true;
        pods
    }

    /// Classes of which some pod has come to where no order of binding would get it,
    /// all pods that seek others waiting at once. `moved` are the classes that have
    /// changed places since that was last looked at.
    ///
    /// Pods that stand so already may stay, but nothing is built on them: the steps
    /// of a consolidation are carried out together, and of two pods that seek each
    /// other one could move in each step.
    pub(super) fn stranded(
        &self,
        state: &State<'_>,
        moved: impl IntoIterator<Item = usize>,
    ) -> BTreeSet<usize> {
        if !moved.into_iter().any(|class| self.is_about_mates[class]) {
            return BTreeSet::new();
        }
        let found = unbound(&self.model, &state.plan).into_iter();
        let is_new =
            |(place, pods): &((usize, usize), i64)| self.unbound.get(place).is_none_or(|had| pods > had);
        found.filter(is_new).map(|((class, _), _)| class).collect()
    }

    /// Puts a node back as it was, its pods on it.
    pub(super) fn restore(&self, state: &mut State<'e>, site: usize, load: Load<'e>) {
        for (class, count) in &load.classes {
            let place = crate::ledger::Place::Site(site);
            state.plan.ledger.count(&self.model, *class, place, *count);
            state.plan.waiting[*class] -= count;
        }
        state.plan.sites[site] = load;
        state.is_gone[site] = false;
    }
}

fn is_about_mates(model: &Model<'_>, class: usize) -> bool {
    let groups = &model.topology.groups;
    groups[class].is_some() || groups.iter().flatten().any(|group| group.members[class])
}

/// By class and site (nodes to buy after all sites), pods that no order of binding would get there.
fn unbound(model: &Model<'_>, plan: &Plan<'_>) -> BTreeMap<(usize, usize), i64> {
    if model.topology.groups.iter().all(Option::is_none) {
        return BTreeMap::new();
    }
    let census = Census::of(model, plan);
    let (_, waiting) = Grounding::whole(model, &census);
    let mut unbound = BTreeMap::new();
    for (class, spot) in waiting {
        let place = census.site(spot).unwrap_or(plan.sites.len() + spot);
        unbound.insert((class, place), census.pods(class, spot));
    }
    unbound
}

fn lot<'e>(estate: &Estate, holding: &'e Holding) -> Lot<'e> {
    let pods = holding.tenants.iter().map(|tenant| tenant.move_cost.max(0));
    let pods = pods.fold(0, i64::saturating_add);
    Lot {
        holding,
        cost: holding.price.micro_usd().max(0) + holding.risk.micro_usd().max(0),
        move_cost: pods.saturating_add(estate.hysteresis.overlap(holding.price)),
        is_removable: holding.stays.is_none() && holding.tenants.iter().all(is_modelled),
        tenants: BTreeMap::new(),
    }
}

/// A length as a count of pods.
pub(super) fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
