//! Random clusters as a scheduler has left them: what the solver planned for random
//! pods, bought; then some pods have gone, and prices have moved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use spotocean_core::label;
use spotocean_core::money::PricePerHour;
use spotocean_core::pod::Pod;
use spotocean_core::requirement::{Labels, all_match};
use spotocean_core::taint::untolerated;
use spotocean_solver::consolidation::{Consolidation, Estate, Holding, Hysteresis, Target, Tenant};
use spotocean_solver::problem::{NodeRef, Offer, PendingPod, PlacementNode, Problem};
use spotocean_solver::solution::NewNode;
use spotocean_solver::solve::solve;

use crate::fixtures::*;

/// What has happened since the nodes were bought.
#[derive(Clone, Debug)]
pub(crate) struct Since {
    /// Prices in percent, in turn.
    pub(crate) prices: Vec<i64>,
    /// Pods that are still there, in turn.
    pub(crate) is_left: Vec<bool>,
    /// Nodes that may not go, in turn.
    pub(crate) stays: Vec<bool>,
    /// What moving a pod costs.
    pub(crate) move_cost: i64,
    /// What a change must bring.
    pub(crate) hysteresis: Hysteresis,
}

/// Things that may have happened.
pub(crate) fn since() -> impl Strategy<Value = Since> {
    (
        proptest::collection::vec(60..220_i64, 1..8),
        proptest::collection::vec(proptest::bool::weighted(0.7), 1..20),
        proptest::collection::vec(proptest::bool::weighted(0.2), 1..8),
        proptest::sample::select(vec![0, 0, 100, 3_000]),
        proptest::sample::select(vec![0_u32, 2, 10]),
        proptest::sample::select(vec![0_u32, 180]),
    )
        .prop_map(
            |(prices, is_left, stays, move_cost, min_savings_percent, overlap_seconds)| Since {
                prices,
                is_left,
                stays,
                move_cost,
                hysteresis: Hysteresis {
                    min_savings_percent,
                    horizon_seconds: 3600,
                    overlap_seconds,
                },
            },
        )
}

/// The cluster that a problem leads to.
pub(crate) fn estate(problem: &Problem, since: &Since) -> Estate {
    let solution = solve(problem);
    let pending: BTreeMap<_, &PendingPod> = problem.pods.iter().map(|pod| (&pod.pod.key, pod)).collect();
    let mut is_left = since.is_left.iter().copied().cycle();
    let mut tenants = |keys: &[spotocean_core::id::ObjectKey]| -> Vec<Tenant> {
        keys.iter()
            .filter(|_| is_left.next().unwrap_or(true))
            .map(|key| Tenant {
                pod: pending[key].clone(),
                move_cost: since.move_cost,
            })
            .collect()
    };
    let mut holdings: Vec<Holding> = Vec::new();
    for node in &problem.nodes {
        let own = solution
            .existing
            .get(&node.name)
            .map_or(Vec::new(), |keys| tenants(keys));
        holdings.push(of_before(node, own));
    }
    for (number, new) in solution.new_nodes.iter().enumerate() {
        let own = tenants(&new.pods);
        let node = standing(problem, new, &format!("bought-{number}"));
        holdings.push(Holding {
            node,
            price: new.price,
            risk: PricePerHour::ZERO,
            stays: None,
            tenants: own,
        });
    }
    for (index, holding) in holdings.iter_mut().enumerate() {
        let percent = since.prices[index % since.prices.len()];
        holding.price = PricePerHour(holding.price.0 * percent / 100);
        if since.stays[index % since.stays.len()] || matches!(holding.node.name, NodeRef::OnItsWay(_)) {
            holding.stays = Some("it was told to".into());
        }
    }
    Estate {
        holdings,
        pools: problem.pools.clone(),
        daemon_sets: problem.daemon_sets.clone(),
        namespaces: problem.namespaces.clone(),
        hysteresis: since.hysteresis.clone(),
    }
}

/// A node that was there before: its own pods are tenants too.
fn of_before(node: &PlacementNode, mut tenants: Vec<Tenant>) -> Holding {
    let mut node = node.clone();
    for pod in std::mem::take(&mut node.pods) {
        tenants.push(Tenant {
            pod: PendingPod {
                pod,
                volumes: vec![],
                served_by: ["general", "second"].map(pool_key).into(),
            },
            move_cost: 50,
        });
    }
    Holding {
        node,
        price: PricePerHour(45_000),
        risk: PricePerHour::ZERO,
        stays: None,
        tenants,
    }
}

/// A bought node as it stands in the cluster, its daemons on it.
fn standing(problem: &Problem, new: &NewNode, name: &str) -> PlacementNode {
    let pool = problem
        .pools
        .iter()
        .find(|pool| pool.key == new.pool)
        .expect("a pool");
    let is_it = |offer: &&Offer| {
        *offer.market() == new.candidates[0] && offer.offering.capacity_type == new.capacity_type
    };
    let offer = pool.offers.iter().find(is_it).expect("an offer");
    let mut labels = (*offer.labels).clone();
    labels.insert(label::HOSTNAME.into(), name.into());
    let daemons = problem.daemon_sets.iter().filter(|daemon| {
        all_match(&daemon.shape.node_selector, &labels)
            && untolerated(&pool.taints, &daemon.shape.tolerations).is_none()
    });
    let pods = daemons.map(|daemon| {
        let like = pod("agent").pod;
        Arc::new(Pod {
            key: daemon.key.clone(),
            labels: daemon.labels.clone(),
            shape: daemon.shape.clone(),
            ..like
        })
    });
    PlacementNode {
        pods: pods.collect(),
        taints: pool.taints.clone(),
        allocatable: offer.allocatable.clone(),
        attach_limits: (*offer.attach_limits).clone(),
        labels: Arc::new(labels),
        ..node(name, "a")
    }
}

/// The cluster once a consolidation has been carried out.
pub(crate) fn carried_out(estate: &Estate, found: &Consolidation) -> Estate {
    let mut after = estate.clone();
    let mut tenants: BTreeMap<_, Tenant> = BTreeMap::new();
    let gone = found.removed();
    after.holdings.retain(|holding| {
        let is_gone = gone.contains(&&holding.node.name);
        if is_gone {
            let own = holding.tenants.iter().cloned();
            tenants.extend(own.map(|tenant| (tenant.pod.pod.key.clone(), tenant)));
        }
        !is_gone
    });
    let problem = Problem {
        pools: estate.pools.clone(),
        daemon_sets: estate.daemon_sets.clone(),
        ..Problem::default()
    };
    let first = after.holdings.len();
    for (number, new) in (unused(&estate.holdings)..).zip(&found.new_nodes) {
        after.holdings.push(Holding {
            node: standing(&problem, new, &format!("afterwards-{number}")),
            price: new.price,
            risk: PricePerHour::ZERO,
            stays: None,
            tenants: vec![],
        });
        spend(&mut after, new);
    }
    for each in &found.moves {
        let at = match &each.to {
            Target::New(index) => first + index,
            Target::Node(node) => {
                let mut holdings = after.holdings.iter();
                holdings
                    .position(|holding| holding.node.name == *node)
                    .expect("a node")
            }
        };
        after.holdings[at].tenants.extend(tenants.remove(&each.pod));
    }
    after
}

/// The first number that no node bought before has.
fn unused(holdings: &[Holding]) -> usize {
    let number = |holding: &Holding| match &holding.node.name {
        NodeRef::Node(name) => name.as_str().strip_prefix("afterwards-")?.parse().ok(),
        NodeRef::OnItsWay(_) => None,
    };
    let highest: Option<usize> = holdings.iter().filter_map(number).max();
    highest.map_or(0, |highest| highest + 1)
}

/// The labels that name a market and how it is paid for.
const MARKET: [&str; 3] = [label::INSTANCE_TYPE, label::ZONE, label::CAPACITY_TYPE];

/// The market of a node or an offer, as far as its labels say.
pub(crate) fn market(labels: &Labels) -> Option<[Arc<str>; 3]> {
    let [a, b, c] = MARKET.map(|key| labels.get(key).cloned());
    Some([a?, b?, c?])
}

/// The same cluster with each market's prices so many thousandths of what they are, in turn.
pub(crate) fn repriced(estate: &Estate, thousandths: &[i64]) -> Estate {
    let mut after = estate.clone();
    let offers = || estate.pools.iter().flat_map(|pool| &pool.offers);
    let markets: BTreeSet<_> = offers().filter_map(|offer| market(&offer.labels)).collect();
    let scale: BTreeMap<_, i64> = markets
        .into_iter()
        .zip(thousandths.iter().copied().cycle())
        .collect();
    let scaled = |price: PricePerHour, labels: &Labels| {
        let known = market(labels).and_then(|market| scale.get(&market).copied());
        PricePerHour(price.0 * known.unwrap_or(1000) / 1000)
    };
    for offer in after.pools.iter_mut().flat_map(|pool| &mut pool.offers) {
        offer.offering.price = scaled(offer.offering.price, &offer.labels);
    }
    for holding in &mut after.holdings {
        holding.price = scaled(holding.price, &holding.node.labels);
    }
    after
}

/// Takes a bought node from what its pool may still add.
fn spend(estate: &mut Estate, new: &NewNode) {
    for pool in estate.pools.iter_mut().filter(|pool| pool.key == new.pool) {
        let offers: Vec<Offer> = pool
            .offers
            .iter()
            .filter(|offer| {
                new.candidates.contains(offer.market()) && offer.offering.capacity_type == new.capacity_type
            })
            .cloned()
            .collect();
        for (name, left) in &mut pool.limits.resources {
            *left -= offers
                .iter()
                .map(|offer| offer.capacity.amount(name))
                .max()
                .unwrap_or(0);
        }
        pool.limits.nodes = pool.limits.nodes.map(|left| left - 1);
        let dearest = offers.iter().map(|offer| offer.offering.price).max();
        let left = pool
            .limits
            .hourly_cost
            .zip(dearest)
            .map(|(left, price)| left - price);
        pool.limits.hourly_cost = left;
    }
}
