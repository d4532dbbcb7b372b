//! A state as a step that others can carry out: pods by name instead of by class.

use std::collections::BTreeMap;

use spotocean_core::id::ObjectKey;

use super::Target;
use super::ground::{Ground, State, count};
use crate::problem::NodeRef;
use crate::solution::NewNode;
use crate::solve;

/// What one round came to.
pub(super) struct Step {
    /// Nodes that go.
    pub(super) removed: Vec<NodeRef>,
    /// Nodes to buy.
    pub(super) new_nodes: Vec<NewNode>,
    /// Where each pod of a node that goes is to be.
    pub(super) moves: Vec<(ObjectKey, Target)>,
}

/// The pods of each class without a place, in order of their nodes.
type Homeless = BTreeMap<usize, Vec<ObjectKey>>;

/// The step that leads to a state; `None` where nothing goes.
pub(super) fn written(ground: &Ground<'_>, state: &State<'_>) -> Option<Step> {
    let gone = || (0..ground.lots.len()).filter(|site| state.is_gone[*site]);
    gone().next()?;
    let mut homeless = Homeless::new();
    for site in gone().rev() {
        for (class, tenants) in &ground.lots[site].tenants {
            // The last is dealt out first.
            let keys = tenants.iter().rev().map(|tenant| tenant.pod.pod.key.clone());
            homeless.entry(*class).or_default().extend(keys);
        }
    }
    let mut step = Step {
        removed: gone()
            .map(|site| ground.lots[site].holding.node.name.clone())
            .collect(),
        new_nodes: Vec::new(),
        moves: Vec::new(),
    };
    for node in &state.plan.nodes {
        let mut pods: Vec<ObjectKey> = Vec::new();
        for (class, wanted) in &node.load.classes {
            pods.extend(deal(&mut homeless, *class, *wanted));
        }
        pods.sort();
        let target = Target::New(step.new_nodes.len());
        step.moves
            .extend(pods.iter().map(|pod| (pod.clone(), target.clone())));
        step.new_nodes.push(solve::new_node(&ground.model, node, pods));
    }
    for (site, load) in state
        .plan
        .sites
        .iter()
        .enumerate()
        .filter(|(site, _)| !state.is_gone[*site])
    {
        let lot = &ground.lots[site];
        for (class, there) in &load.classes {
            let own = lot.tenants.get(class).map_or(0, |tenants| count(tenants.len()));
            let target = Target::Node(lot.holding.node.name.clone());
            let pods = deal(&mut homeless, *class, there - own);
            step.moves
                .extend(pods.into_iter().map(|pod| (pod, target.clone())));
        }
    }
    Some(step)
}

fn deal(homeless: &mut Homeless, class: usize, wanted: i64) -> Vec<ObjectKey> {
    let pods = homeless.entry(class).or_default();
    let kept = pods.len() - usize::try_from(wanted).unwrap_or(0).min(pods.len());
    pods.split_off(kept)
}
