//! Why a node stays: what forbids its removal, and what removing it would come to.
//!
//! What it would come to is asked of the planner itself: the same look without the node, its pods waiting. The
//! difference of the two plans is what the removal costs. Decides nothing; what acts on nodes is elsewhere.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spotocean_api::disruption::Consolidate;
use spotocean_core::id::{NodeName, ObjectKey, PoolKey};
use spotocean_core::label;
use spotocean_core::money::PricePerHour;
use spotocean_core::node::Node;
use spotocean_core::offering::Market;
use spotocean_core::pod::Pod;
use spotocean_solver::solution::{PoolReason, Solution};

use super::super::Prepared;
use super::super::in_flight::{market_of, pool_of};
use super::super::nodes::instance_of;
use crate::pool::{PoolView, is_deleted, is_paused, pools_of};
use crate::snapshot::Snapshot;
use crate::vocabulary;
use spotocean_api::ocean_node::OceanNode;

/// Something that forbids a voluntary removal now.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Block {
    /// No ocean bought it.
    NotOurs,
    /// Its ocean is paused.
    Paused,
    /// The pool's consolidation is off.
    ConsolidationOff,
    /// The pool gives back empty nodes only, and this one holds so many pods.
    HoldsPods(usize),
    /// An annotation on the node.
    NodeAsksToStay,
    /// An annotation on a pod.
    PodAsksToStay(ObjectKey),
    /// A disruption budget that allows none: the budget, and a pod it covers.
    Budget(ObjectKey, ObjectKey),
    /// Nothing would make the pod anew.
    NoController(ObjectKey),
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs => write!(f, "no ocean here bought it: whoever did decides"),
            Self::Paused => write!(
                f,
                "its ocean is paused: remove the annotation spotocean.dev/pause"
            ),
            Self::ConsolidationOff => write!(f, "disruption.consolidate of its pool is Never: set WhenEmpty"),
            Self::HoldsPods(count) => write!(
                f,
                "its pool gives back empty nodes only (disruption.consolidate), and it holds {count} pods besides daemons"
            ),
            Self::NodeAsksToStay => write!(
                f,
                "an annotation on the node asks not to disrupt it: take it off to let the node go"
            ),
            Self::PodAsksToStay(pod) => {
                write!(f, "pod {pod} asks not to be disrupted: take its annotation off")
            }
            Self::Budget(budget, pod) => write!(
                f,
                "PodDisruptionBudget {budget} allows no disruption now and covers pod {pod}: add replicas or raise it"
            ),
            Self::NoController(pod) => write!(
                f,
                "pod {pod} has no controller that would make it anew: run it under one, or delete it yourself"
            ),
        }
    }
}

/// What removing the node would come to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WhatIf {
    /// Pods that would have to move.
    pub pods: Vec<ObjectKey>,
    /// Those of them that fit nodes that are there.
    pub onto_existing: usize,
    /// Nodes to buy for the others, beyond those that are bought anyway.
    pub new_nodes: i64,
    /// What the nodes to buy cost more per hour; the node's own price is not taken off.
    pub added_cost: PricePerHour,
    /// Pods that would find no place, with why.
    pub stranded: Vec<(ObjectKey, Vec<PoolReason>)>,
}

/// Why a node stays.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeExplanation {
    /// The node.
    pub node: NodeName,
    /// Its pool, if an ocean here bought it.
    pub pool: Option<PoolKey>,
    /// What it costs per hour, where that is known.
    pub price: Option<PricePerHour>,
    /// What forbids its removal.
    pub blocks: Vec<Block>,
    /// What removing it would come to.
    pub what_if: WhatIf,
    /// All that in one sentence.
    pub verdict: Arc<str>,
}

/// Explains one node; `None` when there is none of that name.
#[must_use]
pub fn explain_node(snapshot: &Snapshot, name: &NodeName) -> Option<NodeExplanation> {
    let node = snapshot.nodes.iter().find(|node| node.name == *name)?;
    let own = snapshot
        .ocean_nodes
        .iter()
        .find(|own| node.instance.is_some() && instance_of(own) == node.instance);
    let view = own.and_then(|own| view_of(snapshot, own));
    let pods = movable(snapshot, name);
    let blocks = blocks(snapshot, node, view.as_ref(), &pods);
    let price = price(snapshot, node, own.map(AsRef::as_ref));
    let what_if = what_if(snapshot, name, &pods);
    Some(NodeExplanation {
        verdict: verdict(&blocks, price, &what_if).into(),
        node: name.clone(),
        pool: own.map(|own| pool_of(own)),
        price,
        blocks,
        what_if,
    })
}

/// The pool of an OceanNode, if an ocean here has it.
pub(in crate::provisioning) fn view_of(snapshot: &Snapshot, own: &OceanNode) -> Option<PoolView> {
    let key = pool_of(own);
    let living = snapshot.oceans.iter().filter(|ocean| !is_deleted(ocean));
    living.flat_map(pools_of).find(|view| view.key == key)
}

/// Pods on the node that a removal has to move.
fn movable<'a>(snapshot: &'a Snapshot, name: &NodeName) -> Vec<&'a Arc<Pod>> {
    let on_node = snapshot.pods.iter().filter(|pod| pod.node.as_ref() == Some(name));
    on_node
        .filter(|pod| pod.holds_resources() && !pod.is_daemon() && !pod.is_mirror && pod.deleted_at.is_none())
        .collect()
}

/// What forbids the removal of a node with these pods to move.
pub(in crate::provisioning) fn blocks(
    snapshot: &Snapshot,
    node: &Node,
    view: Option<&PoolView>,
    pods: &[&Arc<Pod>],
) -> Vec<Block> {
    let mut found = Vec::new();
    match view {
        None => found.push(Block::NotOurs),
        Some(view) => {
            let consolidate = view.effective.disruption.consolidate;
            if is_paused(&view.ocean) {
                found.push(Block::Paused);
            }
            if consolidate == Consolidate::Never {
                found.push(Block::ConsolidationOff);
            } else if consolidate == Consolidate::WhenEmpty && !pods.is_empty() {
                found.push(Block::HoldsPods(pods.len()));
            }
        }
    }
    if node.do_not_disrupt {
        found.push(Block::NodeAsksToStay);
    }
    for pod in pods {
        if pod.blocks_disruption(snapshot.now) {
            found.push(Block::PodAsksToStay(pod.key.clone()));
        }
        if pod.owner.is_none() {
            found.push(Block::NoController(pod.key.clone()));
        }
    }
    for budget in snapshot
        .disruption_budgets
        .iter()
        .filter(|budget| budget.disruptions_allowed <= 0)
    {
        let covers = |pod: &&&Arc<Pod>| {
            let selector = budget.selector.as_ref();
            pod.key.namespace == budget.key.namespace && selector.is_some_and(|own| own.matches(&pod.labels))
        };
        if let Some(pod) = pods.iter().find(covers) {
            found.push(Block::Budget(budget.key.clone(), pod.key.clone()));
        }
    }
    found
}

/// What a node costs: as recorded, else as listed.
pub(in crate::provisioning) fn price(
    snapshot: &Snapshot,
    node: &Node,
    own: Option<&OceanNode>,
) -> Option<PricePerHour> {
    let recorded = own
        .and_then(|own| own.status.as_ref()?.price_micro_usd_per_hour)
        .and_then(|price| i64::try_from(price).ok().map(PricePerHour));
    let listed = || {
        let capacity_type = own.map(|own| vocabulary::capacity_type(own.spec.capacity_type));
        let market = own.and_then(market_of).or_else(|| {
            Some(Market {
                instance_type: node.labels.get(label::INSTANCE_TYPE)?.as_ref().into(),
                zone: node.labels.get(label::ZONE)?.as_ref().into(),
            })
        });
        let on_demand = spotocean_core::capacity_type::CapacityType::OnDemand;
        snapshot
            .catalogue
            .price(&market?, capacity_type.unwrap_or(on_demand))
    };
    recorded.or_else(listed)
}

/// Two plans: as things are, and without the node.
fn what_if(snapshot: &Snapshot, name: &NodeName, pods: &[&Arc<Pod>]) -> WhatIf {
    let moving: BTreeSet<&ObjectKey> = pods.iter().map(|pod| &pod.key).collect();
    let mut without = snapshot.clone();
    without.nodes.retain(|node| node.name != *name);
    without.ocean_nodes.retain(|own| {
        own.status.as_ref().and_then(|status| status.node_name.as_deref()) != Some(name.as_str())
    });
    without
        .pods
        .retain(|pod| pod.node.as_ref() != Some(name) || moving.contains(&pod.key));
    for pod in &mut without.pods {
        if moving.contains(&pod.key) {
            let pod = Arc::make_mut(pod);
            pod.node = None;
            pod.is_unschedulable = true;
            pod.phase = spotocean_core::pod::PodPhase::Pending;
        }
    }
    let (before, after) = (plan(snapshot), plan(&without));
    let onto = after
        .existing
        .values()
        .flatten()
        .filter(|pod| moving.contains(pod));
    let stranded = after
        .unplaced
        .iter()
        .filter(|unplaced| moving.contains(&unplaced.pod));
    let count = |solution: &Solution| i64::try_from(solution.new_nodes.len()).unwrap_or(i64::MAX);
    WhatIf {
        pods: moving.iter().copied().cloned().collect(),
        onto_existing: onto.count(),
        new_nodes: count(&after) - count(&before),
        added_cost: after.cost() - before.cost(),
        stranded: stranded
            .map(|unplaced| (unplaced.pod.clone(), unplaced.reasons.clone()))
            .collect(),
    }
}

fn plan(snapshot: &Snapshot) -> Solution {
    Prepared::of(snapshot).rehearse().solution
}

fn verdict(blocks: &[Block], price: Option<PricePerHour>, what_if: &WhatIf) -> String {
    let effect = effect(price, what_if);
    match blocks {
        [] => effect,
        [only] => format!("it stays: {only}. Otherwise: {effect}"),
        [first, rest @ ..] => format!(
            "it stays: {first}, and for {} other reasons. Otherwise: {effect}",
            rest.len()
        ),
    }
}

fn effect(price: Option<PricePerHour>, what_if: &WhatIf) -> String {
    let pods = what_if.pods.len();
    if !what_if.stranded.is_empty() {
        let count = what_if.stranded.len();
        return format!("without it {count} of its {pods} pods would find no place");
    }
    if pods == 0 {
        return "it holds no pods besides daemons, and can go".to_owned();
    }
    let saved = price.map(|price| price - what_if.added_cost);
    match saved {
        None => format!(
            "its {pods} pods would cost {} USD an hour elsewhere; its own price is not known",
            what_if.added_cost
        ),
        Some(saved) if saved.micro_usd() > 0 => format!(
            "its {pods} pods would have room for {} USD an hour elsewhere: removing it saves {saved} USD an hour",
            what_if.added_cost
        ),
        Some(_) => format!(
            "its {pods} pods would need {} more nodes for {} USD an hour, which is no less than it costs",
            what_if.new_nodes, what_if.added_cost
        ),
    }
}
