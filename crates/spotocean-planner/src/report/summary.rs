//! Mode Observe: what would be bought.

use std::collections::BTreeMap;

use spotocean_api::ocean_status::{PlanSummary, PlannedLaunch};
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{InstanceTypeName, OceanName, PoolName};
use spotocean_core::money::PricePerHour;
use spotocean_solver::solution::NewNode;

use super::{count, dollars};
use crate::plan::Provision;
use crate::vocabulary;

/// Rows of planned launches.
const LAUNCHES_MAX: usize = 50;

/// What the plan would buy for one ocean.
pub(super) fn summary(provision: &Provision, ocean: &OceanName) -> PlanSummary {
    let own: Vec<&NewNode> = provision
        .solution
        .new_nodes
        .iter()
        .filter(|node| node.pool.ocean == *ocean)
        .collect();
    let left_over = provision
        .solution
        .unplaced
        .iter()
        .filter(|unplaced| unplaced.reasons.iter().any(|reason| reason.pool.ocean == *ocean));
    PlanSummary {
        nodes: count(own.len()),
        hourly_cost_usd: dollars(own.iter().map(|node| node.price).sum()),
        // An ocean that is only observed has no nodes of its own to remove.
        removed_nodes: 0,
        unschedulable_pods: count(left_over.count()),
        launches: launches(&own),
    }
}

type Row = (PoolName, CapacityType, InstanceTypeName);

fn launches(own: &[&NewNode]) -> Vec<PlannedLaunch> {
    let mut groups: BTreeMap<Row, Vec<&NewNode>> = BTreeMap::new();
    for node in own {
        if let Some(first) = node.candidates.first() {
            let row = (
                node.pool.pool.clone(),
                node.capacity_type,
                first.instance_type.clone(),
            );
            groups.entry(row).or_default().push(node);
        }
    }
    let mut rows: Vec<(PricePerHour, PlannedLaunch)> = groups
        .into_iter()
        .map(|((pool, capacity_type, instance_type), nodes)| {
            let cost: PricePerHour = nodes.iter().map(|node| node.price).sum();
            let alternatives = nodes.iter().map(|node| node.candidates.len()).min().unwrap_or(0);
            let row = PlannedLaunch {
                pool: pool.to_string(),
                capacity_type: vocabulary::api_capacity_type(capacity_type),
                nodes: count(nodes.len()),
                instance_type: instance_type.to_string(),
                alternatives: count(alternatives),
                pods: count(nodes.iter().map(|node| node.pods.len()).sum()),
                hourly_cost_usd: dollars(cost),
            };
            (cost, row)
        })
        .collect();
    rows.sort_by(|(a, _), (b, _)| b.cmp(a));
    rows.into_iter().take(LAUNCHES_MAX).map(|(_, row)| row).collect()
}
