//! Random clusters of hundreds of pods.

use std::collections::BTreeSet;

use serde_json::json;

use crate::dice::Dice;
use crate::draft::{Draft, Workload, container};
use crate::feature::{ALL, Feature};
use crate::world::World;

/// Workloads and pods of a crowd, at least and at most.
const WORKLOADS: (usize, usize) = (5, 40);
const PODS: (usize, usize) = (100, 500);
/// Features per crowd.
const FEATURES: usize = 10;
/// What would leave a node for each pod: it says nothing about packing.
const LONELY: [Feature; 3] = [Feature::PodDensity, Feature::HostIp, Feature::Toleration];

/// The crowd of a seed.
pub(crate) fn crowd(seed: u64) -> World {
    let mut draft = Draft::new(seed);
    draft.workloads.clear();
    let workloads = draft.dice.between(WORKLOADS.0, WORKLOADS.1);
    let pods = draft.dice.between(PODS.0, PODS.1);
    for number in 0..workloads {
        let cpu = draft.dice.between(1, 14) * 50;
        let memory = draft.dice.between(1, 24) * 64;
        draft.workloads.push(Workload {
            name: String::leak(format!("app-{number}")),
            namespace: "default",
            labels: json!({}),
            spec: json!({"containers": [container("main", cpu, memory)]}),
            waiting: pods.div_ceil(workloads),
        });
    }
    let mut dice = Dice::new(seed ^ 0xfea7);
    let mut chosen = BTreeSet::new();
    while chosen.len() < FEATURES {
        let feature = *dice.pick(ALL);
        if !LONELY.contains(&feature) {
            chosen.insert(feature);
        }
    }
    for feature in &chosen {
        feature.apply(&mut draft);
    }
    draft.finish()
}
