//! Says whether a consolidation may be carried out, and whether its figures add up.
//!
//! The pods that move are pods that wait on the cluster without the nodes that go;
//! whether kube-scheduler would bind them where it says is asked of the plan's own
//! checker. Pods that stay are counted here, domain by domain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::id::ObjectKey;
use spotocean_core::label;
use spotocean_core::money::PricePerHour;
use spotocean_core::pod::Pod;
use spotocean_core::requirement::Labels;
use spotocean_core::topology::{NodeInclusion, TopologySpread, WhenUnsatisfiable};
use spotocean_solver::consolidation::{Consolidation, Estate, Holding, Target};
use spotocean_solver::problem::{NodeRef, Problem};
use spotocean_solver::solution::Solution;

/// Every fault found; empty means the answer is sound.
pub(crate) fn faults(estate: &Estate, found: &Consolidation) -> Vec<String> {
    let mut faults = roll_call(estate, found);
    if !faults.is_empty() {
        return faults;
    }
    faults.extend(figures(estate, found));
    let (problem, solution) = as_plan(estate, found);
    faults.extend(crate::checker::faults(&problem, &solution));
    faults.extend(standing_faults(estate, found));
    faults
}

fn gone(found: &Consolidation) -> BTreeSet<&NodeRef> {
    found.changes.iter().flat_map(|change| &change.removed).collect()
}

/// Exactly the pods of nodes that may go move, each once, to a place that is there.
fn roll_call(estate: &Estate, found: &Consolidation) -> Vec<String> {
    let mut faults = Vec::new();
    let gone = gone(found);
    let listed: usize = found.changes.iter().map(|change| change.removed.len()).sum();
    if listed != gone.len() {
        faults.push("a node goes twice".to_owned());
    }
    let mut expected: Vec<(&ObjectKey, &NodeRef)> = Vec::new();
    for holding in &estate.holdings {
        if gone.contains(&holding.node.name) {
            if let Some(why) = &holding.stays {
                faults.push(format!("{:?} goes, though {why}", holding.node.name));
            }
            expected.extend(
                holding
                    .tenants
                    .iter()
                    .map(|tenant| (&tenant.pod.pod.key, &holding.node.name)),
            );
        }
    }
    let known: BTreeSet<&NodeRef> = estate.holdings.iter().map(|holding| &holding.node.name).collect();
    if !gone.is_subset(&known) {
        faults.push(format!("nodes go that are not there: {gone:?}"));
    }
    let mut told: Vec<(&ObjectKey, &NodeRef)> =
        found.moves.iter().map(|each| (&each.pod, &each.from)).collect();
    told.sort();
    expected.sort();
    if told != expected {
        faults.push(format!("{told:?} move, not {expected:?}"));
    }
    for each in &found.moves {
        match &each.to {
            Target::Node(node) if gone.contains(node) || !known.contains(node) => {
                faults.push(format!("{} moves to {node:?}, which is not there", each.pod));
            }
            Target::New(index)
                if !found
                    .new_nodes
                    .get(*index)
                    .is_some_and(|node| node.pods.contains(&each.pod)) =>
            {
                faults.push(format!("{} is not on new node {index}", each.pod));
            }
            Target::Node(_) | Target::New(_) => {}
        }
    }
    let bought: usize = found.new_nodes.iter().map(|node| node.pods.len()).sum();
    let onto_new = found
        .moves
        .iter()
        .filter(|each| matches!(each.to, Target::New(_)))
        .count();
    if bought != onto_new {
        faults.push(format!("{bought} pods on new nodes, {onto_new} move there"));
    }
    faults
}

/// The sums, and that each change pays for itself.
fn figures(estate: &Estate, found: &Consolidation) -> Vec<String> {
    let mut faults = Vec::new();
    let rules = &estate.hysteresis;
    let by_name: BTreeMap<&NodeRef, &Holding> = estate
        .holdings
        .iter()
        .map(|holding| (&holding.node.name, holding))
        .collect();
    let before: PricePerHour = estate.holdings.iter().map(|holding| holding.price).sum();
    let price = |nodes: &[NodeRef]| -> PricePerHour { nodes.iter().map(|node| by_name[node].price).sum() };
    let removed: PricePerHour = found.changes.iter().map(|change| price(&change.removed)).sum();
    let bought: PricePerHour = found.new_nodes.iter().map(|node| node.price).sum();
    if (found.cost_before, found.cost_after) != (before, before - removed + bought) {
        faults.push(format!(
            "costs do not add up: {} to {}",
            found.cost_before, found.cost_after
        ));
    }
    let hourly = |once: i64| (once as f64 * 3600.0 / f64::from(rules.horizon_seconds)).ceil() as i64;
    let mut move_costs = 0;
    let mut parts: BTreeSet<usize> = BTreeSet::new();
    for change in &found.changes {
        let price = price(&change.removed);
        let own: PricePerHour = change
            .bought
            .iter()
            .map(|index| found.new_nodes[*index].price)
            .sum();
        let pods = change.removed.iter().flat_map(|node| &by_name[node].tenants);
        let overlap = change
            .removed
            .iter()
            .map(|node| by_name[node].price.0 * i64::from(rules.overlap_seconds) / 3600);
        let move_cost = pods.map(|tenant| tenant.move_cost).sum::<i64>() + overlap.sum::<i64>();
        let net = (price - own).0 - hourly(move_cost);
        if (change.saving, change.move_cost) != (price - own, move_cost) {
            faults.push(format!("{change:?}: not {} and {move_cost}", price - own));
        }
        if net <= 0 || net * 100 < price.0 * i64::from(rules.min_savings_percent) {
            faults.push(format!("{change:?} does not pay: {net} of {price}"));
        }
        if !change.bought.iter().all(|index| parts.insert(*index)) {
            faults.push(format!("{change:?} shares a new node with another change"));
        }
        move_costs += move_cost;
    }
    let saving = (found.cost_before - found.cost_after).0 - hourly(move_costs);
    if (found.move_cost, found.saving.0) != (move_costs, saving) {
        faults.push(format!(
            "{} and {} are not {move_costs} and {saving}",
            found.move_cost, found.saving
        ));
    }
    if parts.len() != found.new_nodes.len() {
        faults.push("a new node belongs to no change".to_owned());
    }
    if found.lower_bound > found.cost_after {
        faults.push(format!(
            "the bound {} is above the cost {}",
            found.lower_bound, found.cost_after
        ));
    }
    faults
}

/// Pods that move as pods that wait.
fn as_plan(estate: &Estate, found: &Consolidation) -> (Problem, Solution) {
    let gone = gone(found);
    let mut problem = Problem {
        pools: estate.pools.clone(),
        daemon_sets: estate.daemon_sets.clone(),
        namespaces: estate.namespaces.clone(),
        ..Problem::default()
    };
    for holding in &estate.holdings {
        if gone.contains(&holding.node.name) {
            problem
                .pods
                .extend(holding.tenants.iter().map(|tenant| tenant.pod.clone()));
        } else {
            problem.nodes.push(occupied(holding));
        }
    }
    let mut solution = Solution {
        new_nodes: found.new_nodes.clone(),
        ..Solution::default()
    };
    for each in &found.moves {
        if let Target::Node(node) = &each.to {
            solution
                .existing
                .entry(node.clone())
                .or_default()
                .push(each.pod.clone());
        }
    }
    (problem, solution)
}

/// The node with its tenants as pods that are there.
fn occupied(holding: &Holding) -> spotocean_solver::problem::PlacementNode {
    let mut node = holding.node.clone();
    for tenant in &holding.tenants {
        node.pods.push(tenant.pod.pod.clone());
        for demand in &tenant.pod.volumes {
            if let Some(driver) = &demand.driver {
                node.attached
                    .entry(driver.clone())
                    .or_default()
                    .insert(demand.volume.clone());
            }
        }
    }
    node
}

/// A node with its pods.
struct Place {
    labels: Labels,
    taints: Vec<spotocean_core::taint::Taint>,
    pods: Vec<Arc<Pod>>,
}

fn places(estate: &Estate) -> Vec<Place> {
    let holdings = estate.holdings.iter();
    holdings
        .map(|holding| Place {
            labels: holding.node.labels.as_ref().clone(),
            taints: holding.node.taints.clone(),
            pods: occupied(holding).pods,
        })
        .collect()
}

fn standing_faults(estate: &Estate, found: &Consolidation) -> Vec<String> {
    let before = places(estate);
    let after = places(&super::estates::carried_out(estate, found));
    let gone = gone(found);
    let domains_before: BTreeSet<(&str, &str)> = before.iter().flat_map(domains).collect();
    let mut faults = Vec::new();
    for holding in estate
        .holdings
        .iter()
        .filter(|holding| !gone.contains(&holding.node.name))
    {
        for tenant in &holding.tenants {
            let (pod, labels) = (&tenant.pod.pod, &holding.node.labels);
            for spread in hard(pod) {
                let (was, is) = (
                    excess(&before, pod, labels, spread, &domains_before),
                    excess(&after, pod, labels, spread, &domains_before),
                );
                if is > was.max(0) {
                    faults.push(format!("{} is {is} out of balance, was {was}", pod.key));
                }
            }
            let (was, is) = (
                is_met(estate, &before, pod, labels),
                is_met(estate, &after, pod, labels),
            );
            if was && !is {
                faults.push(format!("{} has lost its mate", pod.key));
            }
        }
    }
    faults
}

fn domains(place: &Place) -> impl Iterator<Item = (&str, &str)> {
    place.labels.iter().map(|(key, value)| (&**key, &**value))
}

fn hard(pod: &Pod) -> impl Iterator<Item = &TopologySpread> {
    let zonal = |spread: &&TopologySpread| {
        spread.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule
            && &*spread.topology_key != label::HOSTNAME
    };
    pod.shape.spread.iter().filter(zonal)
}

/// By how much the pod's domain is fuller than it may be; a domain that was not there before is left out.
fn excess(
    places: &[Place],
    pod: &Pod,
    labels: &Labels,
    spread: &TopologySpread,
    known: &BTreeSet<(&str, &str)>,
) -> i64 {
    let key = &spread.topology_key;
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for place in places {
        let selector = pod
            .shape
            .node_selector
            .iter()
            .all(|each| each.matches(&place.labels));
        let by_affinity = spread.node_affinity_policy == NodeInclusion::Ignore || selector;
        let tolerated = spotocean_core::taint::untolerated(&place.taints, &pod.shape.tolerations).is_none();
        let by_taints = spread.node_taints_policy == NodeInclusion::Ignore || tolerated;
        let all = pod
            .shape
            .spread
            .iter()
            .filter(|each| each.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule);
        let has_keys = all
            .clone()
            .all(|each| place.labels.contains_key(&each.topology_key));
        let Some(value) = place
            .labels
            .get(key)
            .filter(|value| known.contains(&(&**key, &***value)))
        else {
            continue;
        };
        if !(by_affinity && by_taints && has_keys) {
            continue;
        }
        let selects = |other: &&Arc<Pod>| {
            other.key.namespace == pod.key.namespace
                && spread
                    .selector
                    .as_ref()
                    .is_some_and(|own| own.matches(&other.labels))
        };
        *counts.entry(value).or_default() += place.pods.iter().filter(selects).count() as i64;
    }
    let Some(here) = labels.get(key).and_then(|value| counts.get(&**value)) else {
        return i64::MIN;
    };
    let enough = counts.len() as i64 >= spread.min_domains.unwrap_or(1);
    let emptiest = if enough {
        counts.values().min().copied().unwrap_or(0)
    } else {
        0
    };
    here - emptiest - spread.max_skew
}

/// Whether each of the pod's affinity terms has another pod in its domain, or nobody else could satisfy it.
fn is_met(estate: &Estate, places: &[Place], pod: &Arc<Pod>, labels: &Labels) -> bool {
    let none = Labels::new();
    let means_all = |other: &Pod| {
        pod.shape.affinity.iter().all(|term| {
            let by_label = term.namespace_selector.as_ref().is_some_and(|selector| {
                let namespace = estate.namespaces.get(&other.key.namespace);
                selector.matches(namespace.map_or(&none, |own| own))
            });
            let selected = term
                .selector
                .as_ref()
                .is_some_and(|own| own.matches(&other.labels));
            selected && (by_label || term.namespaces.contains(&other.key.namespace))
        })
    };
    let mut mates = places
        .iter()
        .filter(|place| {
            place
                .pods
                .iter()
                .any(|other| other.key != pod.key && means_all(other))
        })
        .peekable();
    let is_alone = mates.peek().is_none() && means_all(pod);
    let mates: Vec<&Place> = mates.collect();
    pod.shape.affinity.is_empty()
        || is_alone
        || pod.shape.affinity.iter().all(|term| {
            let here = labels.get(&term.topology_key);
            here.is_some()
                && mates
                    .iter()
                    .any(|place| place.labels.get(&term.topology_key) == here)
        })
}
