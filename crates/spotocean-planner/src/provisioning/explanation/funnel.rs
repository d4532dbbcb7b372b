//! What each constraint leaves of a pool's offerings for one pod, and the smallest change that would leave some.
//!
//! Offerings are counted as type × zone × way of paying, over the whole region's catalogue, so that the pool's own
//! requirements are steps like the pod's. A step counts what it and all before it leave. The smallest change is
//! read off the offering that breaks the fewest constraints: every constraint it breaks has to give way, and fewer
//! would not do. Constraints between pods, limits and `minValues` depend on the plan as a whole: they are one last
//! step, in the solver's words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{InstanceTypeName, PoolKey};
use spotocean_core::instance_type::InstanceType;
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::Market;
use spotocean_core::pod::Pod;
use spotocean_core::requirement::{Labels, Requirement};
use spotocean_core::resources::Resources;
use spotocean_core::taint::{Taint, untolerated};
use spotocean_solver::problem::VolumeDemand;
use spotocean_solver::solution::{PoolReason, Reason};

use super::super::defaults::Spoken;
use super::super::estimate::{Estimate, estimate};
use super::super::exclusive::Holders;
use super::super::nodes::runs_on;
use super::super::pods::demands;
use super::super::supply::{Stock, Supply, ceiling, zone_labels};
use super::room::{any_holds, names, terms_text};
use crate::pool::PoolView;
use crate::snapshot::Snapshot;
use crate::vocabulary;

mod change;
mod wording;

use change::{cheapest, smallest};

/// Whose constraint a step is, and what it says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Constraint {
    /// The pool's ocean does not serve the pod.
    Served,
    /// The pool buys nothing now.
    Open(Arc<str>),
    /// The zones of the pool's subnets.
    Zones,
    /// What a pool leaves out unless it speaks of it.
    Defaults,
    /// A requirement of the pool.
    PoolRequirement(Arc<str>),
    /// A price is known.
    Priced,
    /// The price ceilings of the pool, and EC2's own for spot.
    Affordable,
    /// An image of the architecture.
    Image,
    /// On demand only where the pool falls back to it or asks for it.
    Fallback,
    /// On sale now: not cooling down after EC2 had none.
    NotCooling,
    /// A taint of the pool is tolerated.
    Taint(Arc<str>),
    /// What the pod asks for is modelled.
    Modelled(Arc<str>),
    /// A claim of the pod is usable.
    Claim(Arc<str>),
    /// The pod's node selector.
    NodeSelector(Arc<str>),
    /// The pod's required node affinity.
    NodeAffinity(Arc<str>),
    /// A volume's place.
    Volume(Arc<str>),
    /// A host port that a DaemonSet takes on such nodes.
    HostPort,
    /// Enough of a resource beside the DaemonSets.
    Resource(Arc<str>),
    /// What depends on the plan as a whole.
    Plan(Reason),
}

/// One constraint and what it leaves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// The constraint.
    pub constraint: Constraint,
    /// The same in words.
    pub text: Arc<str>,
    /// Offerings left after it.
    pub offerings: usize,
    /// Instance types among them.
    pub types: usize,
}

/// Constraints that have to give way together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Change {
    /// What to do, one sentence for each constraint.
    pub steps: Vec<Arc<str>>,
    /// How many offerings it would leave.
    pub admits: usize,
    /// The cheapest of them.
    pub cheapest: Option<Market>,
}

/// One pool's offerings, constraint by constraint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Funnel {
    /// The pool.
    pub pool: PoolKey,
    /// All offerings of the region.
    pub offerings: usize,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The position of the step that left none.
    pub binding: Option<usize>,
    /// The smallest changes that would leave some, each by itself; none where some are left, or nothing helps.
    pub changes: Vec<Change>,
}

/// One offering, with all that constraints look at.
struct Candidate<'a> {
    instance_type: &'a InstanceType,
    market: Market,
    capacity_type: CapacityType,
    labels: Labels,
    price: Option<PricePerHour>,
    figures: Option<&'a Estimate>,
    daemons: Resources,
}

impl Candidate<'_> {
    fn free(&self, name: &str) -> Option<i64> {
        let figures = self.figures?;
        Some(
            figures
                .allocatable
                .amount(name)
                .saturating_sub(self.daemons.amount(name)),
        )
    }
}

type Holds<'a> = Box<dyn Fn(&Candidate<'_>) -> bool + 'a>;

/// Constraints in order.
struct Rules<'a>(Vec<(Constraint, Holds<'a>)>);

impl<'a> Rules<'a> {
    fn add(&mut self, constraint: Constraint, holds: impl Fn(&Candidate<'_>) -> bool + 'a) {
        self.0.push((constraint, Box::new(holds)));
    }

    fn always(&mut self, constraint: Constraint, holds: bool) {
        self.add(constraint, move |_| holds);
    }
}

/// Everything about the question but the pod.
#[derive(Clone, Copy)]
struct Scene<'a> {
    snapshot: &'a Snapshot,
    view: &'a PoolView,
    stock: &'a Stock,
}

/// The funnel of one pool for one pod; `reason` is the solver's, where it left the pod over.
pub(super) fn funnel(
    snapshot: &Snapshot,
    supply: &Supply,
    pod: &Pod,
    volumes: &[VolumeDemand],
    reason: Option<&PoolReason>,
) -> Funnel {
    let view = &supply.view;
    let stock = match &supply.state {
        Ok(stock) => stock,
        Err(closed) => return shut(snapshot, view, &closed.message),
    };
    let scene = Scene {
        snapshot,
        view,
        stock,
    };
    let requirements: Vec<Requirement> = view
        .pool
        .requirements
        .iter()
        .map(vocabulary::requirement)
        .collect();
    let taints: Vec<Taint> = view.pool.taints.iter().map(vocabulary::taint).collect();
    let figures = figures(scene);
    let candidates = scene.candidates(&figures, &taints);
    let mut rules = Rules(Vec::new());
    scene.of_pool(&mut rules, &requirements);
    scene.resting(&mut rules, &candidates);
    scene.of_pod(&mut rules, pod, volumes, &taints);
    let mut steps = Vec::new();
    let mut left: Vec<&Candidate<'_>> = candidates.iter().collect();
    for (constraint, holds) in &rules.0 {
        left.retain(|candidate| holds(candidate));
        steps.push(step(constraint.clone(), &left));
    }
    let mut changes = Vec::new();
    if left.is_empty() {
        changes = smallest(&rules, &candidates, pod);
    } else if let Some(reason) = reason.filter(|reason| depends_on_plan(reason.reason)) {
        let mut last = step(Constraint::Plan(reason.reason), &[]);
        last.text = reason.message.clone();
        steps.push(last);
        changes.push(Change {
            steps: vec![reason.message.clone()],
            admits: left.len(),
            cheapest: cheapest(&left),
        });
    }
    Funnel {
        pool: view.key.clone(),
        offerings: candidates.len(),
        binding: steps.iter().position(|step| step.offerings == 0),
        steps,
        changes,
    }
}

/// A pool that buys nothing for anybody.
fn shut(snapshot: &Snapshot, view: &PoolView, message: &Arc<str>) -> Funnel {
    let catalogue = &snapshot.catalogue;
    Funnel {
        pool: view.key.clone(),
        offerings: catalogue.zones.values().map(BTreeSet::len).sum::<usize>() * 2,
        steps: vec![step(Constraint::Open(message.clone()), &[])],
        binding: Some(0),
        changes: Vec::new(),
    }
}

fn depends_on_plan(reason: Reason) -> bool {
    !matches!(reason, Reason::NotModelled | Reason::NotServed)
}

fn step(constraint: Constraint, left: &[&Candidate<'_>]) -> Step {
    let types: BTreeSet<&InstanceTypeName> = left
        .iter()
        .map(|candidate| &candidate.market.instance_type)
        .collect();
    Step {
        text: wording::text(&constraint).into(),
        constraint,
        offerings: left.len(),
        types: types.len(),
    }
}

/// What nodes of each type would offer; types without an image are left out.
fn figures(scene: Scene<'_>) -> BTreeMap<InstanceTypeName, Estimate> {
    let types = scene.snapshot.catalogue.types.values();
    types
        .filter_map(|described| {
            let image = scene.stock.resolved.images.get(&described.architecture)?;
            let figures = estimate(scene.snapshot, scene.view, image, described);
            Some((described.name.clone(), figures))
        })
        .collect()
}

impl<'a> Scene<'a> {
    /// Every offering of the region.
    fn candidates(
        self,
        figures: &'a BTreeMap<InstanceTypeName, Estimate>,
        taints: &[Taint],
    ) -> Vec<Candidate<'a>> {
        let catalogue = &self.snapshot.catalogue;
        let mut found = Vec::new();
        for described in catalogue.types.values() {
            let of_type = described.labels();
            for zone in catalogue.zones.get(&described.name).into_iter().flatten() {
                for capacity_type in [CapacityType::Spot, CapacityType::OnDemand] {
                    let market = Market {
                        instance_type: described.name.clone(),
                        zone: zone.clone(),
                    };
                    let mut labels = of_type.clone();
                    labels.extend(self.view.labels(capacity_type));
                    labels.extend(zone_labels(self.snapshot, zone));
                    found.push(Candidate {
                        instance_type: described,
                        price: catalogue.price(&market, capacity_type),
                        figures: figures.get(&described.name),
                        daemons: self.daemons(&labels, taints),
                        market,
                        capacity_type,
                        labels,
                    });
                }
            }
        }
        found
    }

    fn daemons(self, labels: &Labels, taints: &[Taint]) -> Resources {
        let own = self
            .snapshot
            .daemon_sets
            .iter()
            .filter(|daemon| runs_on(daemon, labels, taints));
        own.fold(Resources::default(), |sum, daemon| {
            let mut requests = daemon.shape.requests.clone();
            requests.pods = requests.pods.max(1);
            sum.plus(&requests)
        })
    }

    /// The pool's own constraints, as supply applies them.
    fn of_pool(self, rules: &mut Rules<'a>, requirements: &'a [Requirement]) {
        let Scene {
            snapshot,
            view,
            stock,
        } = self;
        rules.add(Constraint::Zones, move |candidate| {
            stock.subnets.contains_key(&candidate.market.zone)
        });
        let spoken = Spoken::of(requirements);
        rules.add(Constraint::Defaults, move |candidate| {
            spoken.admits(candidate.instance_type)
        });
        for requirement in requirements {
            let name = requirement.to_string().into();
            rules.add(Constraint::PoolRequirement(name), move |candidate| {
                requirement.matches(&candidate.labels)
            });
        }
        rules.add(Constraint::Priced, |candidate| {
            let is_sold =
                candidate.capacity_type == CapacityType::OnDemand || candidate.instance_type.supports_spot;
            is_sold && candidate.price.is_some()
        });
        rules.add(Constraint::Affordable, move |candidate| {
            let Some(price) = candidate.price else { return true };
            let list = snapshot
                .catalogue
                .on_demand_prices
                .get(&candidate.market.instance_type);
            let is_dear =
                candidate.capacity_type == CapacityType::Spot && list.is_some_and(|list| price > *list);
            let ceiling = ceiling(snapshot, view, candidate.instance_type, candidate.capacity_type);
            !is_dear && ceiling.is_none_or(|ceiling| price <= ceiling)
        });
        rules.add(Constraint::Image, |candidate| candidate.figures.is_some());
        let falls_back = !view.sells_spot() || view.effective.strategy.fallback_to_on_demand;
        rules.add(Constraint::Fallback, move |candidate| {
            falls_back || candidate.capacity_type == CapacityType::Spot
        });
    }

    /// Supply holds what all the steps so far leave, less what rests after EC2 had none.
    fn resting(self, rules: &mut Rules<'a>, candidates: &[Candidate<'_>]) {
        let offers = self.stock.spot.iter().chain(&self.stock.on_demand);
        let on_sale: BTreeSet<(CapacityType, &Market)> = offers
            .map(|offer| (offer.offering.capacity_type, offer.market()))
            .collect();
        let rests = |candidate: &&Candidate<'_>| {
            let is_on_sale = on_sale.contains(&(candidate.capacity_type, &candidate.market));
            !is_on_sale && rules.0.iter().all(|(_, holds)| holds(candidate))
        };
        let resting: BTreeSet<(CapacityType, Market)> = candidates
            .iter()
            .filter(rests)
            .map(|candidate| (candidate.capacity_type, candidate.market.clone()))
            .collect();
        rules.add(Constraint::NotCooling, move |candidate| {
            resting.is_empty() || !resting.contains(&(candidate.capacity_type, candidate.market.clone()))
        });
    }

    /// The pod's constraints on one node alone, as the solver applies them.
    fn of_pod(self, rules: &mut Rules<'a>, pod: &'a Pod, volumes: &'a [VolumeDemand], taints: &[Taint]) {
        rules.always(Constraint::Served, self.serves(pod));
        let shape = &pod.shape;
        for what in &shape.unmodelled {
            rules.always(Constraint::Modelled(what.to_string().into()), false);
        }
        let blocked = demands(self.snapshot, pod).into_iter().filter_map(Result::err);
        for message in blocked.chain(Holders::of(self.snapshot).refusal(pod)) {
            rules.always(Constraint::Claim(message), false);
        }
        for taint in taints {
            let is_tolerated = untolerated([taint], &shape.tolerations).is_none();
            rules.always(Constraint::Taint(taint.to_string().into()), is_tolerated);
        }
        for requirement in &shape.node_selector {
            rules.add(
                Constraint::NodeSelector(requirement.to_string().into()),
                move |candidate| requirement.matches(&candidate.labels),
            );
        }
        if let Some(terms) = &shape.node_terms {
            rules.add(
                Constraint::NodeAffinity(terms_text(terms).into()),
                move |candidate| any_holds(terms, &candidate.labels, None),
            );
        }
        for demand in volumes {
            let Some(terms) = &demand.terms else { continue };
            let text = format!("volume {}: {}", demand.volume, terms_text(terms));
            rules.add(Constraint::Volume(text.into()), move |candidate| {
                any_holds(terms, &candidate.labels, None)
            });
        }
        if !shape.host_ports.is_empty() {
            let taints = taints.to_vec();
            rules.add(Constraint::HostPort, move |candidate| {
                let mut daemons = self.snapshot.daemon_sets.iter();
                !daemons.any(|daemon| {
                    let ports = &daemon.shape.host_ports;
                    let conflicts = ports
                        .iter()
                        .any(|port| shape.host_ports.iter().any(|own| own.conflicts(port)));
                    conflicts && runs_on(daemon, &candidate.labels, &taints)
                })
            });
        }
        for name in names(&shape.requests) {
            let wanted = shape.requests.amount(&name).max(i64::from(&*name == "pods"));
            if wanted > 0 {
                rules.add(Constraint::Resource(name.clone()), move |candidate| {
                    candidate.free(&name).is_none_or(|free| free >= wanted)
                });
            }
        }
    }

    fn serves(self, pod: &Pod) -> bool {
        let selection = &self.view.ocean.spec.pods;
        let empty = Labels::new();
        let of_namespace = self
            .snapshot
            .namespaces
            .get(pod.namespace())
            .map_or(&empty, AsRef::as_ref);
        let matches = |selector: &Option<spotocean_api::label_selector::LabelSelector>, labels: &Labels| {
            selector
                .as_ref()
                .is_none_or(|own| vocabulary::label_selector(own).matches(labels))
        };
        matches(&selection.namespace_selector, of_namespace) && matches(&selection.selector, &pod.labels)
    }
}
