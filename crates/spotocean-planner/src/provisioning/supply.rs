//! What each pool could buy now: its resolved template, a subnet per zone, and
//! its offers, or the sentence that says why it buys nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_api::annotation::TERMINATION_FINALIZER;
use spotocean_api::condition::Reason;
use spotocean_api::spot_ocean::{Mode, SpotOcean};
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{InstanceTypeName, SubnetId, Zone};
use spotocean_core::instance_type::InstanceType;
use spotocean_core::kubelet::DEFAULT_MAX_PODS;
use spotocean_core::label;
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::{Market, Offering};
use spotocean_core::port::Subnet;
use spotocean_core::requirement::{Labels, Requirement, all_match};
use spotocean_solver::problem::{Offer, PoolClosed};

use super::cooldown::{Cooldowns, State};
use super::defaults::Spoken;
use super::estimate::{Estimate, estimate};
use super::hazard::Hazards;
use super::in_flight;
use crate::pool::{PoolView, is_paused};
use crate::snapshot::{OtherAutoscaler, Snapshot};
use crate::template;
use crate::vocabulary;
use crate::world::resolve::{ResolvedPool, resolve};

/// What one pool could buy.
#[derive(Clone, Debug)]
pub struct Supply {
    /// The pool.
    pub view: PoolView,
    /// What it buys with, or why it buys nothing.
    pub state: Result<Stock, PoolClosed>,
}

/// What an open pool buys with.
#[derive(Clone, Debug)]
pub struct Stock {
    /// What its template came to.
    pub resolved: ResolvedPool,
    /// The subnet to use in each zone.
    pub subnets: BTreeMap<Zone, SubnetId>,
    /// Spot offers, cheapest first.
    pub spot: Vec<Offer>,
    /// On-demand offers, cheapest first.
    pub on_demand: Vec<Offer>,
    /// Resources by type.
    pub estimates: BTreeMap<InstanceTypeName, Estimate>,
}

impl Supply {
    /// Whether the pool is closed only because something that was asked has not been answered yet.
    #[must_use]
    pub fn awaits_answers(&self) -> bool {
        let reason = self.state.as_ref().err().map(|closed| &*closed.reason);
        reason == Some(Reason::SourcesIncomplete.as_str())
    }
}

/// Looks at one pool.
#[must_use]
pub fn supply(snapshot: &Snapshot, cooldowns: &Cooldowns, view: PoolView) -> Supply {
    let state = stock(snapshot, cooldowns, &view);
    Supply { view, state }
}

fn closed(reason: Reason, message: impl Into<Arc<str>>) -> PoolClosed {
    PoolClosed {
        reason: reason.as_str().into(),
        message: message.into(),
    }
}

fn stock(snapshot: &Snapshot, cooldowns: &Cooldowns, view: &PoolView) -> Result<Stock, PoolClosed> {
    may_buy(snapshot, &view.ocean)?;
    if let Some(refusal) = cooldowns.refusal(&view.key, snapshot.now) {
        return Err(closed(refusal.reason, refusal.message));
    }
    if let State::Cooling(_) = cooldowns.throttle(&view.key, snapshot.now) {
        return Err(closed(
            Reason::Throttled,
            "EC2 limits the rate of launches: the pool tries again within minutes",
        ));
    }
    has_distinct_tags(snapshot, view)?;
    let resolved =
        resolve(snapshot, view).map_err(|unresolved| closed(unresolved.reason, unresolved.message))?;
    let subnets = subnets(snapshot, cooldowns, view, &resolved)?;
    has_user_data(snapshot, view, &resolved)?;
    let mut stock = Stock {
        resolved,
        subnets,
        spot: Vec::new(),
        on_demand: Vec::new(),
        estimates: BTreeMap::new(),
    };
    add_offers(snapshot, cooldowns, view, &mut stock)?;
    Ok(stock)
}

/// The schema refuses keys alike in one map; here the ocean's, the pool's and the operator's have come together.
fn has_distinct_tags(snapshot: &Snapshot, view: &PoolView) -> Result<(), PoolClosed> {
    let tags = template::tags(snapshot, view);
    let Some((first, second)) = template::keys_alike(&tags) else {
        return Ok(());
    };
    Err(closed(
        Reason::SpecInvalid,
        format!(
            "the tags of pool {} have the keys {first} and {second}, which differ only in case, and IAM policies read them as the same key: keep one of them in template.tags",
            view.key
        ),
    ))
}

/// User data differs between a pool's templates by a few digits: one of them tells whether it can be made.
fn has_user_data(snapshot: &Snapshot, view: &PoolView, resolved: &ResolvedPool) -> Result<(), PoolClosed> {
    let Some(image) = resolved.images.values().next() else {
        return Ok(());
    };
    let trial = template::launch_template(
        snapshot,
        view,
        resolved,
        image,
        CapacityType::OnDemand,
        DEFAULT_MAX_PODS,
    );
    trial
        .map(|_| ())
        .map_err(|error| closed(Reason::SpecInvalid, error.to_string()))
}

/// Whether the ocean buys at all.
fn may_buy(snapshot: &Snapshot, ocean: &SpotOcean) -> Result<(), PoolClosed> {
    if is_paused(ocean) {
        return Err(closed(
            Reason::Paused,
            "the annotation spotocean.dev/pause stops the ocean: remove it to let it buy again",
        ));
    }
    let has_finalizer = ocean
        .metadata
        .finalizers
        .iter()
        .flatten()
        .any(|finalizer| finalizer == TERMINATION_FINALIZER);
    if !has_finalizer && ocean.spec.mode == Mode::Manage {
        return Err(closed(
            Reason::SourcesIncomplete,
            "the ocean is new and about to be taken into care: nothing to do but wait",
        ));
    }
    let narrows = ocean.spec.pods.selector.is_some() || ocean.spec.pods.namespace_selector.is_some();
    match snapshot.other_autoscalers.first() {
        Some(other) if !narrows && !ocean.spec.allow_overlap && ocean.spec.mode == Mode::Manage => {
            let (reason, name) = match other {
                OtherAutoscaler::Karpenter => (
                    Reason::KarpenterFound,
                    "Karpenter or EKS Auto Mode has node pools",
                ),
                OtherAutoscaler::ClusterAutoscaler => {
                    (Reason::ClusterAutoscalerFound, "Cluster Autoscaler runs")
                }
            };
            Err(closed(
                reason,
                format!(
                    "{name} in this cluster and could serve the same pods: remove it, narrow spec.pods, or set allowOverlap: true"
                ),
            ))
        }
        _ => Ok(()),
    }
}

/// The subnet with most free addresses in each zone, less what is on its way there; full and resting ones left out.
fn subnets(
    snapshot: &Snapshot,
    cooldowns: &Cooldowns,
    view: &PoolView,
    resolved: &ResolvedPool,
) -> Result<BTreeMap<Zone, SubnetId>, PoolClosed> {
    let taken = in_flight::addresses(snapshot);
    let free = |subnet: &Subnet| subnet.free_addresses - taken.get(&subnet.id).copied().unwrap_or(0);
    let mut best: BTreeMap<Zone, &Subnet> = BTreeMap::new();
    for subnet in &resolved.subnets {
        let rests = matches!(cooldowns.subnet(&subnet.id, snapshot.now), State::Cooling(_));
        if rests || free(subnet) <= 0 {
            continue;
        }
        let chosen = best.entry(subnet.zone.clone()).or_insert(subnet);
        if free(subnet) > free(chosen) {
            *chosen = subnet;
        }
    }
    if best.is_empty() {
        return Err(closed(
            Reason::SubnetsFull,
            format!(
                "none of the {} subnets of pool {} has free addresses: add subnets, or free addresses in them",
                resolved.subnets.len(),
                view.key
            ),
        ));
    }
    Ok(best
        .into_iter()
        .map(|(zone, subnet)| (zone, subnet.id.clone()))
        .collect())
}

fn add_offers(
    snapshot: &Snapshot,
    cooldowns: &Cooldowns,
    view: &PoolView,
    stock: &mut Stock,
) -> Result<(), PoolClosed> {
    let requirements: Vec<Requirement> = view
        .pool
        .requirements
        .iter()
        .map(vocabulary::requirement)
        .collect();
    let spoken = Spoken::of(&requirements);
    let catalogue = &snapshot.catalogue;
    if catalogue.types.is_empty() {
        return Err(closed(
            Reason::SourcesIncomplete,
            "EC2 has not yet said which instance types there are: nothing to do but wait",
        ));
    }
    // Without prices there seems to be no spot capacity, and everything would be bought on demand. An error is
    // another matter: capacity at the on-demand price is better than none.
    let prices = &snapshot.sources.prices;
    if view.sells_spot() && prices.as_of.is_none() && prices.error.is_none() {
        return Err(closed(
            Reason::SourcesIncomplete,
            "EC2 has not yet said what spot capacity costs: nothing to do but wait",
        ));
    }
    let hazards = Hazards::of(snapshot);
    let mut admitted = 0_usize;
    let mut without_image = BTreeSet::new();
    for instance_type in catalogue
        .types
        .values()
        .filter(|described| spoken.admits(described))
    {
        let candidates = places(snapshot, view, stock, instance_type, &requirements);
        if candidates.is_empty() {
            continue;
        }
        admitted += 1;
        let Some(image) = stock.resolved.images.get(&instance_type.architecture) else {
            without_image.insert(instance_type.architecture.as_str());
            continue;
        };
        let figures = estimate(snapshot, view, image, instance_type);
        for (offering, labels) in candidates {
            if matches!(
                cooldowns.market(offering.capacity_type, &offering.market, snapshot.now),
                State::Cooling(_)
            ) {
                continue;
            }
            let list = match offering.capacity_type {
                CapacityType::Spot => &mut stock.spot,
                CapacityType::OnDemand => &mut stock.on_demand,
            };
            list.push(Offer {
                risk: risk(snapshot, &hazards, view, &offering),
                offering,
                labels: Arc::new(labels),
                capacity: figures.capacity.clone(),
                allocatable: figures.allocatable.clone(),
                attach_limits: figures.attach_limits.clone(),
            });
        }
        stock.estimates.insert(instance_type.name.clone(), figures);
    }
    for list in [&mut stock.spot, &mut stock.on_demand] {
        list.sort_by(|a, b| (a.offering.price, a.market()).cmp(&(b.offering.price, b.market())));
    }
    judge(view, admitted, &without_image, stock)
}

/// What interruptions of a node of this offering cost per hour on average.
fn risk(snapshot: &Snapshot, hazards: &Hazards<'_>, view: &PoolView, offering: &Offering) -> PricePerHour {
    let on_demand = snapshot
        .catalogue
        .on_demand_prices
        .get(&offering.market.instance_type);
    match (offering.capacity_type, on_demand) {
        (CapacityType::Spot, Some(price)) => {
            hazards.cost(&offering.market, *price, view.effective.strategy.orientation)
        }
        _ => PricePerHour::ZERO,
    }
}

fn judge(
    view: &PoolView,
    admitted: usize,
    without_image: &BTreeSet<&'static str>,
    stock: &Stock,
) -> Result<(), PoolClosed> {
    if admitted == 0 {
        return Err(closed(
            Reason::NoInstanceTypeFits,
            format!(
                "no instance type on sale in the zones of pool {} meets its requirements and price ceilings: loosen them, or add subnets in other zones",
                view.key
            ),
        ));
    }
    if stock.estimates.is_empty() && !without_image.is_empty() {
        return Err(closed(
            Reason::ImageArchitectureMismatch,
            format!(
                "all instance types of pool {} are {}, and the image is not: choose an image of that architecture, or require another kubernetes.io/arch",
                view.key,
                without_image.iter().copied().collect::<Vec<_>>().join(" or ")
            ),
        ));
    }
    Ok(())
}

/// The offerings of a type in the pool's zones that meet its requirements and ceilings, with their labels.
fn places(
    snapshot: &Snapshot,
    view: &PoolView,
    stock: &Stock,
    instance_type: &InstanceType,
    requirements: &[Requirement],
) -> Vec<(Offering, Labels)> {
    let of_type = instance_type.labels();
    let mut found = Vec::new();
    for capacity_type in [CapacityType::Spot, CapacityType::OnDemand] {
        let mut common = of_type.clone();
        common.extend(view.labels(capacity_type));
        for zone in stock.subnets.keys() {
            let market = Market {
                instance_type: instance_type.name.clone(),
                zone: zone.clone(),
            };
            let price = snapshot.catalogue.price(&market, capacity_type);
            let Some(price) =
                price.filter(|price| is_affordable(snapshot, view, instance_type, capacity_type, *price))
            else {
                continue;
            };
            let mut labels = common.clone();
            labels.extend(zone_labels(snapshot, zone));
            if all_match(requirements, &labels) {
                let offering = Offering {
                    market,
                    capacity_type,
                    price,
                };
                found.push((offering, labels));
            }
        }
    }
    found
}

/// Labels that follow from a zone.
#[must_use]
pub fn zone_labels(snapshot: &Snapshot, zone: &Zone) -> Labels {
    let catalogue = &snapshot.catalogue;
    let mut labels = Labels::from([(label::ZONE.into(), zone.0.clone())]);
    if !catalogue.region.is_empty() {
        labels.insert(label::REGION.into(), catalogue.region.clone());
    }
    if let Some(id) = catalogue.zone_ids.get(zone) {
        labels.insert(label::ZONE_ID.into(), id.0.clone());
    }
    labels
}

fn is_affordable(
    snapshot: &Snapshot,
    view: &PoolView,
    instance_type: &InstanceType,
    capacity_type: CapacityType,
    price: PricePerHour,
) -> bool {
    let on_demand = snapshot.catalogue.on_demand_prices.get(&instance_type.name);
    // EC2's own ceiling for spot is the on-demand price; a dearer market would refuse.
    let is_dear = on_demand.is_some_and(|on_demand| price > *on_demand);
    if capacity_type == CapacityType::Spot && (!instance_type.supports_spot || is_dear) {
        return false;
    }
    ceiling(snapshot, view, instance_type, capacity_type).is_none_or(|ceiling| price <= ceiling)
}

/// The most that the pool pays for a type, `None` for no ceiling of its own.
#[must_use]
pub fn ceiling(
    snapshot: &Snapshot,
    view: &PoolView,
    instance_type: &InstanceType,
    capacity_type: CapacityType,
) -> Option<PricePerHour> {
    let max_price = view.effective.strategy.max_price?;
    let per_vcpu = max_price.per_vcpu_hour.map(|ceiling| {
        PricePerHour(i64::try_from(ceiling.micro_usd).unwrap_or(i64::MAX)).times(instance_type.vcpus)
    });
    let on_demand = snapshot.catalogue.on_demand_prices.get(&instance_type.name);
    let share = max_price
        .on_demand_percentage
        .filter(|_| capacity_type == CapacityType::Spot)
        .zip(on_demand)
        .map(|(percent, price)| PricePerHour(price.0.saturating_mul(i64::from(percent)) / 100));
    per_vcpu.into_iter().chain(share).min()
}
