//! Steps carried out in thought, and their sum.
//!
//! A node bought in one step stands as any other in the next, under a name no
//! node can have; if it is given back there, it was never bought. What is answered
//! is the difference between the estate asked about and where the steps have led.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::id::ObjectKey;
use spotocean_core::label;
use spotocean_core::money::PricePerHour;
use spotocean_core::pod::{DaemonSet, Pod};
use spotocean_core::requirement::Labels;
use spotocean_core::resources::Resources;

use super::changes::Step;
use super::{Change, Consolidation, Estate, Holding, Move, Target, Tenant};
use crate::daemon_overhead;
use crate::feasible::{Certainty, NodeView};
use crate::offer;
use crate::problem::{BuyablePool, NodeRef, Offer, PlacementNode, Problem};
use crate::queue;
use crate::solution::NewNode;

/// An estate on its way.
pub(super) struct Progress<'e> {
    original: &'e Estate,
    /// The estate after the steps so far.
    pub(super) current: Estate,
    /// Nodes bought and still there, in the order of buying.
    bought: BTreeMap<NodeRef, NewNode>,
    number: usize,
}

impl<'e> Progress<'e> {
    pub(super) fn of(estate: &'e Estate) -> Self {
        Self {
            original: estate,
            current: estate.clone(),
            bought: BTreeMap::new(),
            number: 0,
        }
    }

    /// Carries out one step.
    pub(super) fn carry_out(&mut self, step: &Step) {
        let gone: BTreeSet<&NodeRef> = step.removed.iter().collect();
        let holdings = std::mem::take(&mut self.current.holdings);
        let (removed, kept): (Vec<Holding>, Vec<Holding>) = holdings
            .into_iter()
            .partition(|holding| gone.contains(&holding.node.name));
        self.current.holdings = kept;
        self.bought.retain(|name, _| !gone.contains(name));
        let tenants = removed.into_iter().flat_map(|holding| holding.tenants);
        let mut moving: BTreeMap<ObjectKey, Tenant> = tenants
            .map(|tenant| (tenant.pod.pod.key.clone(), tenant))
            .collect();
        let mut onto: BTreeMap<&Target, Vec<Tenant>> = BTreeMap::new();
        for (pod, target) in &step.moves {
            onto.entry(target).or_default().extend(moving.remove(pod));
        }
        for holding in &mut self.current.holdings {
            let target = Target::Node(holding.node.name.clone());
            if let Some(tenants) = onto.remove(&target) {
                if let Some(node) = self.bought.get_mut(&holding.node.name) {
                    add_pods(self.original, node, holding, &tenants);
                }
                holding.tenants.extend(tenants);
            }
        }
        for (index, node) in step.new_nodes.iter().enumerate() {
            let tenants = onto.remove(&Target::New(index)).unwrap_or_default();
            self.add(node, tenants);
        }
        self.renew_limits();
    }

    fn add(&mut self, node: &NewNode, tenants: Vec<Tenant>) {
        let Some((pool, offer)) = first_offer(self.original, node) else {
            return;
        };
        self.number += 1;
        // A space is in no node's name; digits keep the order of buying.
        let name: Arc<str> = format!("new node {:06}", self.number).into();
        let described = placement(self.original, pool, offer, &name, tenants.first());
        self.bought.insert(described.name.clone(), node.clone());
        self.current.holdings.push(Holding {
            node: described,
            price: node.price,
            risk: offer.risk,
            stays: None,
            tenants,
        });
    }

    /// What pools may still add: what they could at first, less the nodes bought that are still there.
    fn renew_limits(&mut self) {
        for (pool, original) in self.current.pools.iter_mut().zip(&self.original.pools) {
            pool.limits = original.limits.clone();
            let limits = &mut pool.limits;
            for node in self.bought.values().filter(|node| node.pool == pool.key) {
                let offers = candidates(original, node);
                let worst = |measure: &dyn Fn(&Offer) -> i64| {
                    offers.iter().map(|offer| measure(offer)).max().unwrap_or(0)
                };
                for (name, left) in &mut limits.resources {
                    *left = left.saturating_sub(worst(&|offer| offer.capacity.amount(name)));
                }
                limits.nodes = limits.nodes.map(|left| left - 1);
                let price = PricePerHour(worst(&|offer| offer.offering.price.micro_usd()));
                limits.hourly_cost = limits.hourly_cost.map(|left| left - price);
            }
        }
    }

    /// The difference to where it began.
    pub(super) fn written(self, lower_bound: PricePerHour) -> Consolidation {
        let index: BTreeMap<&NodeRef, usize> = self.bought.keys().zip(0..).collect();
        let mut now: BTreeMap<&ObjectKey, &NodeRef> = BTreeMap::new();
        for holding in &self.current.holdings {
            now.extend(
                holding
                    .tenants
                    .iter()
                    .map(|tenant| (&tenant.pod.pod.key, &holding.node.name)),
            );
        }
        let standing: BTreeSet<&NodeRef> = self
            .current
            .holdings
            .iter()
            .map(|holding| &holding.node.name)
            .collect();
        let mut written = Consolidation {
            lower_bound,
            cost_before: self.original.holdings.iter().map(|holding| holding.price).sum(),
            cost_after: self.current.holdings.iter().map(|holding| holding.price).sum(),
            ..Consolidation::default()
        };
        let mut parts = Vec::new();
        for holding in &self.original.holdings {
            if standing.contains(&holding.node.name) {
                continue;
            }
            let mut bought = BTreeSet::new();
            for tenant in &holding.tenants {
                let key = &tenant.pod.pod.key;
                let Some(to) = now.get(key) else { continue };
                let to = match index.get(to) {
                    Some(position) => {
                        bought.insert(*position);
                        Target::New(*position)
                    }
                    None => Target::Node((*to).clone()),
                };
                written.moves.push(Move {
                    pod: key.clone(),
                    from: holding.node.name.clone(),
                    to,
                });
            }
            parts.push(part(self.original, holding, bought));
        }
        let prices: Vec<PricePerHour> = self.bought.values().map(|node| node.price).collect();
        written.moves.sort_by(|a, b| a.pod.cmp(&b.pod));
        written.changes = joined(self.original, parts, &prices);
        written.move_cost = written
            .changes
            .iter()
            .map(|change| change.move_cost)
            .fold(0, i64::saturating_add);
        let hourly = self.original.hysteresis.hourly(written.move_cost);
        written.saving = written.cost_before - written.cost_after - PricePerHour(hourly);
        written.new_nodes = self.bought.into_values().collect();
        written
    }
}

/// A node that goes, with the nodes that are bought for its pods.
struct Part {
    removed: Vec<NodeRef>,
    bought: BTreeSet<usize>,
    price: i64,
    move_cost: i64,
}

fn part(estate: &Estate, holding: &Holding, bought: BTreeSet<usize>) -> Part {
    let pods = holding.tenants.iter().map(|tenant| tenant.move_cost.max(0));
    Part {
        removed: vec![holding.node.name.clone()],
        bought,
        price: holding.price.micro_usd().max(0),
        move_cost: pods.fold(estate.hysteresis.overlap(holding.price), i64::saturating_add),
    }
}

/// Parts that share a new node are one change; one that does not pay for itself
/// belongs to the one that saves most, and the two together to the next if need be.
fn joined(estate: &Estate, parts: Vec<Part>, prices: &[PricePerHour]) -> Vec<Change> {
    let mut groups: Vec<Part> = Vec::new();
    for mut part in parts {
        let (touching, apart): (Vec<Part>, Vec<Part>) = groups
            .into_iter()
            .partition(|group| !group.bought.is_disjoint(&part.bought));
        groups = apart;
        touching.into_iter().for_each(|group| merge(&mut part, group));
        groups.push(part);
    }
    let saving = |part: &Part| {
        let bought: i64 = part.bought.iter().map(|index| prices[*index].micro_usd()).sum();
        part.price - bought
    };
    let pays = |part: &Part| {
        estate
            .hysteresis
            .is_kept_by(saving(part), part.move_cost, part.price)
    };
    let by_saving = |a: &Part, b: &Part| (saving(b), &a.removed).cmp(&(saving(a), &b.removed));
    groups.sort_by(by_saving);
    while let Some(losing) = groups
        .iter()
        .rposition(|part| !pays(part))
        .filter(|_| groups.len() > 1)
    {
        let part = groups.remove(losing);
        merge(&mut groups[0], part);
        groups.sort_by(by_saving);
    }
    let mut changes: Vec<Change> = groups
        .into_iter()
        .map(|mut part| {
            part.removed.sort();
            Change {
                saving: PricePerHour(saving(&part)),
                removed: part.removed,
                bought: part.bought.into_iter().collect(),
                move_cost: part.move_cost,
            }
        })
        .collect();
    changes.sort_by(|a, b| a.removed.cmp(&b.removed));
    changes
}

fn merge(into: &mut Part, other: Part) {
    into.removed.extend(other.removed);
    into.bought.extend(other.bought);
    into.price += other.price;
    into.move_cost = into.move_cost.saturating_add(other.move_cost);
}

fn first_offer<'a>(estate: &'a Estate, node: &NewNode) -> Option<(&'a BuyablePool, &'a Offer)> {
    let pool = estate.pools.iter().find(|pool| pool.key == node.pool)?;
    let market = node.candidates.first()?;
    let mut offers = pool.offers.iter();
    let is_first =
        |offer: &&Offer| offer.market() == market && offer.offering.capacity_type == node.capacity_type;
    Some((pool, offers.find(is_first)?))
}

fn candidates<'a>(pool: &'a BuyablePool, node: &NewNode) -> Vec<&'a Offer> {
    let markets: BTreeSet<_> = node.candidates.iter().collect();
    let offers = pool
        .offers
        .iter()
        .filter(|offer| offer.offering.capacity_type == node.capacity_type);
    offers.filter(|offer| markets.contains(offer.market())).collect()
}

/// A node of this offer as it will stand, with its daemons.
fn placement(
    estate: &Estate,
    pool: &BuyablePool,
    offer: &Offer,
    name: &Arc<str>,
    tenant: Option<&Tenant>,
) -> PlacementNode {
    let mut labels = offer.labels.as_ref().clone();
    labels.insert(label::HOSTNAME.into(), name.clone());
    let view = NodeView {
        labels: &offer.labels,
        taints: &pool.taints,
        name: None,
        certainty: Certainty::Complete,
    };
    let daemon_sets: Vec<&Arc<DaemonSet>> = estate.daemon_sets.iter().collect();
    let carried = daemon_overhead::carried(&daemon_sets, view);
    let pods = carried
        .into_iter()
        .filter_map(|index| Some(daemon(daemon_sets[index], &tenant?.pod.pod)));
    PlacementNode {
        name: NodeRef::Node(name.as_ref().into()),
        labels: Arc::new(labels),
        taints: pool.taints.clone(),
        allocatable: offer.allocatable.clone(),
        pods: pods.collect(),
        reserved: Resources::default(),
        attached: BTreeMap::new(),
        attach_limits: offer.attach_limits.as_ref().clone(),
        // What is bought must keep to minValues with whatever is put there later.
        accepts_pods: pool.requirements.iter().all(|each| each.min_values.is_none()),
    }
}

/// A pod of a DaemonSet; what any pod has is taken from `like`.
fn daemon(set: &DaemonSet, like: &Pod) -> Arc<Pod> {
    Arc::new(Pod {
        key: set.key.clone(),
        labels: set.labels.clone(),
        shape: set.shape.clone(),
        claims: Vec::new(),
        ..like.clone()
    })
}

/// More pods for a node that is to be bought: only candidates that are to pods as the first, and no smaller, are left.
fn add_pods(estate: &Estate, node: &mut NewNode, holding: &Holding, tenants: &[Tenant]) {
    for tenant in tenants {
        let mut one = tenant.pod.pod.shape.requests.clone();
        one.pods = one.pods.max(1);
        node.requests = node.requests.plus(&one);
        node.pods.push(tenant.pod.pod.key.clone());
    }
    node.pods.sort();
    let Some((pool, first)) = first_offer(estate, node) else {
        return;
    };
    let looked_at = Problem {
        pods: holding
            .tenants
            .iter()
            .chain(tenants)
            .map(|tenant| tenant.pod.clone())
            .collect(),
        daemon_sets: estate.daemon_sets.clone(),
        ..Problem::default()
    };
    let keys = offer::node_keys(&looked_at);
    let traits = |labels: &Arc<Labels>| {
        queue::restricted(labels, &keys)
            .into_iter()
            .map(|value| value.map(Arc::<str>::from))
            .collect::<Vec<_>>()
    };
    let wanted = traits(&first.labels);
    let fits = |offer: &&Offer| {
        let attaches = first.attach_limits == offer.attach_limits;
        first.allocatable.fits(&offer.allocatable) && attaches && traits(&offer.labels) == wanted
    };
    let kept: BTreeSet<_> = candidates(pool, node)
        .into_iter()
        .filter(fits)
        .map(|offer| offer.market().clone())
        .collect();
    node.candidates.retain(|market| kept.contains(market));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node of this price that goes, and what is bought for its pods.
    fn part(name: &str, price: i64, bought: &[usize]) -> Part {
        Part {
            removed: vec![NodeRef::Node(name.into())],
            bought: bought.iter().copied().collect(),
            price,
            move_cost: 0,
        }
    }

    #[test]
    fn every_change_pays_where_all_together_do() {
        let mut estate = Estate::default();
        estate.hysteresis.min_savings_percent = 10;
        let prices = [940, 399, 500].map(PricePerHour);
        let rows = [
            (
                "each for itself",
                vec![part("a", 1_100, &[0]), part("b", 1_000, &[2])],
                2,
            ),
            (
                "a loss with the best",
                vec![part("a", 400, &[1]), part("b", 1_000, &[2])],
                1,
            ),
            (
                "a loss that is too much for the best alone",
                vec![part("a", 1_050, &[0]), part("b", 600, &[2]), part("c", 400, &[1])],
                1,
            ),
        ];
        for (name, parts, expected) in rows {
            let changes = joined(&estate, parts, &prices);
            assert_eq!(changes.len(), expected, "{name}: {changes:?}");
        }
    }
}
