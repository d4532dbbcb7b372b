//! The nodes of a plan, as they would join, and the case that they make.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use spotocean_core::resources::Resources;
use spotocean_core::taint::Taint;
use spotocean_solver::problem::{NodeRef, Offer};
use spotocean_solver::solution::NewNode;

use crate::dice::Dice;
use crate::draft::HOST;
use crate::oracle::Case;
use crate::world::{Decision, World, key};

/// Which of a node's candidates EC2 takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The best one.
    Best,
    /// Any, by this seed.
    Any(u64),
}

/// The name of the n-th node bought.
pub(crate) fn name(number: usize) -> String {
    format!("new-{number}")
}

/// Where the plan puts each pod.
pub(crate) fn planned_pods(decision: &Decision) -> BTreeMap<String, String> {
    let solution = &decision.solution;
    let existing = solution.existing.iter().flat_map(|(node, pods)| {
        let (NodeRef::Node(node), pods) = (node, pods) else {
            panic!("a pod goes to a node on its way: {node:?}");
        };
        pods.iter().map(move |pod| (pod.to_string(), node.to_string()))
    });
    let bought = solution.new_nodes.iter().enumerate();
    let bought =
        bought.flat_map(|(number, node)| node.pods.iter().map(move |pod| (pod.to_string(), name(number))));
    existing.chain(bought).collect()
}

/// The nodes that a plan buys, as they join.
pub(crate) fn machines(decision: &Decision, choice: Choice) -> Vec<[Value; 2]> {
    let mut dice = Dice::new(match choice {
        Choice::Best => 0,
        Choice::Any(seed) => seed,
    });
    let nodes = decision.solution.new_nodes.iter().enumerate();
    nodes
        .map(|(number, node)| {
            let candidate = match choice {
                Choice::Best => 0,
                Choice::Any(_) => dice.below(node.candidates.len()),
            };
            machine(decision, node, candidate, &name(number))
        })
        .collect()
}

/// The cluster with the plan's nodes in it and the planned pods waiting, each for its node alone.
pub(crate) fn carried_out(world: &World, decision: &Decision, choice: Choice, id: &str) -> Case {
    let planned = planned_pods(decision);
    let machines = machines(decision, choice);
    let pending = world.pending.iter().filter(|pod| planned.contains_key(&key(pod)));
    Case {
        id: id.to_owned(),
        objects: world
            .objects
            .iter()
            .chain(machines.iter().flatten())
            .cloned()
            .collect(),
        daemon_sets: world.daemon_sets.clone(),
        daemon_nodes: (0..machines.len()).map(name).collect(),
        pending: pending.cloned().collect(),
        pin: planned,
        ..Case::default()
    }
}

/// The Node and CSINode of one bought node, as its candidate would join.
fn machine(decision: &Decision, node: &NewNode, candidate: usize, name: &str) -> [Value; 2] {
    let market = &node.candidates[candidate];
    let offer = &decision.on_sale.offers[&(node.pool.clone(), node.capacity_type, market.clone())];
    joined(offer, &decision.on_sale.taints[&node.pool], name)
}

/// The Node and CSINode that an offer becomes.
pub(crate) fn joined(offer: &Offer, taints: &[Taint], name: &str) -> [Value; 2] {
    let mut labels: Map<String, Value> = offer
        .labels
        .iter()
        .map(|(key, value)| (key.to_string(), json!(value)))
        .collect();
    labels.insert(HOST.to_owned(), json!(name));
    // The CSI driver's own label, which the kubelet adds.
    labels.insert(
        "topology.ebs.csi.aws.com/zone".to_owned(),
        json!(offer.zone().to_string()),
    );
    let drivers: Vec<Value> = offer
        .attach_limits
        .iter()
        .map(|(driver, count)| json!({"name": driver, "nodeID": name, "topologyKeys": [], "allocatable": {"count": count}}))
        .collect();
    [
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
            "spec": {"taints": taints_json(taints)},
            "status": {"allocatable": quantities(&offer.allocatable), "capacity": quantities(&offer.capacity),
                "conditions": [{"type": "Ready", "status": "True"}]}}),
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": name}, "spec": {"drivers": drivers}}),
    ]
}

/// Taints as a Node has them.
pub(crate) fn taints_json(taints: &[Taint]) -> Value {
    let taint =
        |taint: &Taint| json!({"key": taint.key, "value": taint.value, "effect": taint.effect.as_str()});
    taints.iter().map(taint).collect()
}

fn quantities(resources: &Resources) -> Value {
    let mut amounts = json!({"cpu": format!("{}m", resources.cpu_millis), "memory": resources.memory_bytes.to_string(),
        "ephemeral-storage": resources.ephemeral_storage_bytes.to_string(), "pods": resources.pods.to_string()});
    for (name, amount) in &resources.extended {
        amounts[name.as_ref()] = json!(amount.to_string());
    }
    amounts
}
