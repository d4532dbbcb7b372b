//! The answer of a rehearsal, as the plugin prints it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use spotocean_core::id::{ObjectKey, PoolKey, Zone};
use spotocean_core::money::PricePerHour;
use spotocean_planner::plan::Provision;
use spotocean_planner::provisioning::in_flight::pods_of;
use spotocean_planner::provisioning::nominations::Nominations;
use spotocean_planner::snapshot::Snapshot;
use spotocean_solver::problem::NodeRef;
use spotocean_solver::solution::{NewNode, Reason, Solution};

/// What would happen.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    /// Nodes to buy.
    pub(crate) new_nodes: Vec<Bought>,
    /// Pods that go to nodes that are there.
    pub(crate) existing: Vec<Filled>,
    /// Nodes to give back.
    pub(crate) removed: Vec<Removed>,
    /// Pods that stay pending.
    pub(crate) unschedulable: Vec<Left>,
    /// USD an hour.
    pub(crate) hourly_cost: f64,
    /// What no plan can cost less than, in USD an hour; null where it is not proven.
    pub(crate) lower_bound: Option<f64>,
    /// Cost over bound, less one.
    pub(crate) gap: Option<f64>,
    /// How long the planner took.
    pub(crate) solve_millis: f64,
    /// What share caps add to the cost, in USD an hour; told to people only, since programs rely on the fields above.
    #[serde(skip)]
    pub(crate) share_caps: f64,
    /// What no plan within the share caps can cost less than; told to people only.
    #[serde(skip)]
    pub(crate) capped_bound: Option<f64>,
}

/// A node to buy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bought {
    /// From which pool; with several oceans, `ocean/pool`.
    pub(crate) pool: String,
    /// The type that the plan counts with.
    pub(crate) instance_type: String,
    /// The zone's id.
    pub(crate) zone: String,
    /// How it is paid for.
    pub(crate) capacity_type: &'static str,
    /// USD an hour.
    pub(crate) price_per_hour: f64,
    /// The pods it is for.
    pub(crate) pods: Vec<String>,
    /// Other markets that would serve the same pods and are offered to EC2 too.
    pub(crate) alternatives: usize,
}

/// Pods that go to a node that is there.
#[derive(Debug, Serialize)]
pub(crate) struct Filled {
    /// The node.
    pub(crate) node: String,
    /// The pods.
    pub(crate) pods: Vec<String>,
}

/// A node to give back.
#[derive(Debug, Serialize)]
pub(crate) struct Removed {
    /// The node.
    pub(crate) node: String,
    /// Why.
    pub(crate) reason: String,
}

/// A pod that stays pending.
#[derive(Debug, Serialize)]
pub(crate) struct Left {
    /// The pod.
    pub(crate) pod: String,
    /// Why, pool by pool.
    pub(crate) reasons: Vec<WhyNot>,
}

/// Why one pool does not serve a pod.
#[derive(Debug, Serialize)]
pub(crate) struct WhyNot {
    /// The pool.
    pub(crate) pool: String,
    /// The binding constraint.
    pub(crate) reason: &'static str,
    /// Found, needed, what to change.
    pub(crate) message: String,
}

/// Millionths as a number of dollars.
pub(crate) fn usd(price: PricePerHour) -> f64 {
    millionths(price.micro_usd())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 micro-dollars")]
fn millionths(count: i64) -> f64 {
    count as f64 / 1e6
}

/// How pools are called in an answer.
pub(crate) struct PoolNames {
    has_many_oceans: bool,
}

impl PoolNames {
    /// With one ocean a pool's own name is enough.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self {
            has_many_oceans: snapshot.oceans.len() > 1,
        }
    }

    /// A pool's name.
    pub(crate) fn name(&self, pool: &PoolKey) -> String {
        if self.has_many_oceans {
            pool.to_string()
        } else {
            pool.pool.to_string()
        }
    }
}

/// Writes down what the planner decided.
pub(crate) fn answer(snapshot: &Snapshot, provision: &Provision, solve_millis: f64) -> Answer {
    let names = PoolNames::of(snapshot);
    let solution = &provision.solution;
    // Oceans that buy together share the figure; those that only observe have their own.
    let share_caps = provision.bought.values().map(|bought| bought.share_caps).max();
    let capped_bound = provision
        .bought
        .values()
        .filter_map(|bought| bought.capped_bound)
        .max();
    Answer {
        new_nodes: solution
            .new_nodes
            .iter()
            .map(|node| bought(snapshot, &names, node))
            .collect(),
        existing: existing(solution),
        removed: Vec::new(),
        unschedulable: unschedulable(snapshot, &names, solution),
        hourly_cost: usd(solution.cost()),
        lower_bound: solution.lower_bound.map(usd),
        gap: solution.gap_per_million().map(millionths),
        solve_millis,
        share_caps: usd(share_caps.unwrap_or_default()),
        capped_bound: capped_bound.map(usd),
    }
}

/// A node to buy, as printed.
pub(crate) fn bought(snapshot: &Snapshot, names: &PoolNames, node: &NewNode) -> Bought {
    let first = node.candidates.first();
    Bought {
        pool: names.name(&node.pool),
        instance_type: first
            .map(|market| market.instance_type.to_string())
            .unwrap_or_default(),
        zone: first
            .map(|market| zone_id(snapshot, &market.zone))
            .unwrap_or_default(),
        capacity_type: node.capacity_type.as_str(),
        price_per_hour: usd(node.price),
        pods: node.pods.iter().map(ToString::to_string).collect(),
        alternatives: node.candidates.len().saturating_sub(1),
    }
}

/// A zone's id.
pub(crate) fn zone_id(snapshot: &Snapshot, zone: &Zone) -> String {
    let ids = &snapshot.catalogue.zone_ids;
    ids.get(zone)
        .map_or_else(|| zone.to_string(), ToString::to_string)
}

fn existing(solution: &Solution) -> Vec<Filled> {
    let filled = solution.existing.iter().filter(|(_, pods)| !pods.is_empty());
    filled
        .map(|(node, pods)| Filled {
            node: match node {
                NodeRef::Node(name) => name.to_string(),
                NodeRef::OnItsWay(name) => name.to_string(),
            },
            pods: sorted(pods),
        })
        .collect()
}

fn sorted(pods: &[ObjectKey]) -> Vec<String> {
    let pods: BTreeSet<&ObjectKey> = pods.iter().collect();
    pods.into_iter().map(ToString::to_string).collect()
}

/// Pods left over, and waiting pods that no ocean here serves.
fn unschedulable(snapshot: &Snapshot, names: &PoolNames, solution: &Solution) -> Vec<Left> {
    let mut left: BTreeMap<&ObjectKey, Vec<WhyNot>> = BTreeMap::new();
    for unplaced in &solution.unplaced {
        let reasons = unplaced.reasons.iter().map(|own| WhyNot {
            pool: names.name(&own.pool),
            reason: own.reason.as_str(),
            message: own.message.to_string(),
        });
        left.entry(&unplaced.pod).or_default().extend(reasons);
    }
    let bought = solution.new_nodes.iter().flat_map(|node| &node.pods);
    let placed: BTreeSet<&ObjectKey> = bought.chain(solution.existing.values().flatten()).collect();
    let nominated = nominated(snapshot);
    for pod in snapshot.pods.iter().filter(|pod| pod.waits_for_capacity()) {
        let key = &pod.key;
        if !placed.contains(key) && !nominated.contains(key) && !left.contains_key(key) {
            left.insert(key, not_served(snapshot, names));
        }
    }
    let left = left.into_iter();
    left.map(|(pod, reasons)| Left {
        pod: pod.to_string(),
        reasons,
    })
    .collect()
}

/// Pods that a node on its way was bought for, or that are to be bound to one that is there.
fn nominated(snapshot: &Snapshot) -> BTreeSet<ObjectKey> {
    let bought_for = snapshot.ocean_nodes.iter().flat_map(|own| pods_of(own));
    let nominations = Nominations::of(snapshot);
    let pods = snapshot.pods.iter();
    let named = pods.filter(|pod| nominations.node(pod).is_some());
    bought_for.chain(named.map(|pod| pod.key.clone())).collect()
}

fn not_served(snapshot: &Snapshot, names: &PoolNames) -> Vec<WhyNot> {
    let pools = snapshot.oceans.iter().flat_map(spotocean_planner::pool::pools_of);
    pools
        .map(|view| WhyNot {
            pool: names.name(&view.key),
            reason: Reason::NotServed.as_str(),
            message: format!(
                "ocean {} does not serve this pod; widen its spec.pods if it should",
                view.key.ocean
            ),
        })
        .collect()
}
