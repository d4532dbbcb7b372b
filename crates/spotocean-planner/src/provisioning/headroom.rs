//! Spare room for pods to come, as pods that nobody runs.
//!
//! A unit is planned like a waiting pod: it takes free room where there is
//! some, else it is bought for, in one plan with the pods that do wait. It
//! never goes beyond the plan: nothing is created in the cluster, no node is
//! recorded as bought for it, and the next look asks for all units anew.
//!
//! Manual units ask for what they say; those of a pool tolerate its taints and
//! no others, those of an ocean none. Automatic ones have the shapes of the
//! five workloads that request most of what runs on the ocean's or the pool's
//! nodes, with all their constraints but volumes, in turn from the biggest
//! until they come to the percentage of what runs in CPU and in memory.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use spotocean_api::headroom::{Headroom, HeadroomUnit};
use spotocean_core::id::{NodeName, ObjectKey, OceanName, PoolKey, Uid};
use spotocean_core::label;
use spotocean_core::pod::{Pod, PodPhase, PodShape};
use spotocean_core::requirement::{Labels, Operator, Requirement};
use spotocean_core::resources::Resources;
use spotocean_core::taint::{Taint, Toleration, TolerationOperator};
use spotocean_solver::problem::{NodeRef, PendingPod};
use spotocean_solver::solution::Solution;

use super::supply::Supply;
use crate::plan::SpareRoom;
use crate::snapshot::Snapshot;
use crate::vocabulary;

/// Workloads that automatic units are shaped like.
const WORKLOADS_MAX: usize = 5;
/// Automatic units of one ocean or pool.
const AUTOMATIC_MAX: usize = 10_000;
/// What `gpu` counts.
const GPU: &str = "nvidia.com/gpu";

/// Where room is wanted: on an ocean's nodes, or on those of one pool.
struct Scope<'a> {
    ocean: &'a OceanName,
    pools: BTreeSet<PoolKey>,
    pool: Option<&'a Supply>,
    wanted: &'a Headroom,
}

/// The units that the oceans behind `supplies` and their pools want.
#[must_use]
pub(super) fn units(snapshot: &Snapshot, supplies: &[&Supply]) -> Vec<PendingPod> {
    let scopes = scopes(supplies);
    if scopes.is_empty() {
        return Vec::new();
    }
    let labels: BTreeMap<&NodeName, &Labels> = snapshot
        .nodes
        .iter()
        .map(|node| (&node.name, node.labels.as_ref()))
        .collect();
    scopes
        .iter()
        .flat_map(|scope| scope.units(snapshot, &labels))
        .collect()
}

/// Whether a key names a unit: no pod is without a namespace.
#[must_use]
pub fn is_unit(key: &ObjectKey) -> bool {
    key.namespace.as_str().is_empty()
}

/// Takes the units out of a solution; says of each ocean what became of its own.
pub(super) fn settle(snapshot: &Snapshot, solution: &mut Solution) -> BTreeMap<OceanName, SpareRoom> {
    // Most solutions are without units.
    let ready = LazyCell::new(|| {
        let ready = snapshot.nodes.iter().filter(|node| node.is_ready());
        ready.map(|node| &node.name).collect::<BTreeSet<_>>()
    });
    let mut rooms: BTreeMap<OceanName, SpareRoom> = BTreeMap::new();
    for (node, pods) in &mut solution.existing {
        for unit in take_units(pods) {
            let room = rooms.entry(ocean_of(&unit)).or_default();
            room.units += 1;
            if let NodeRef::Node(name) = node {
                room.ready += u32::from(ready.contains(name));
                room.nodes.insert(name.clone());
            }
        }
    }
    for unit in solution
        .new_nodes
        .iter_mut()
        .flat_map(|node| take_units(&mut node.pods))
    {
        rooms.entry(ocean_of(&unit)).or_default().units += 1;
    }
    solution.unplaced.retain(|unplaced| {
        if !is_unit(&unplaced.pod) {
            return true;
        }
        let room = rooms.entry(ocean_of(&unplaced.pod)).or_default();
        room.units += 1;
        let reason = unplaced.reasons.first();
        room.message = room
            .message
            .take()
            .or(reason.map(|reason| reason.message.clone()));
        false
    });
    solution.existing.retain(|_, pods| !pods.is_empty());
    rooms
}

fn take_units(pods: &mut Vec<ObjectKey>) -> Vec<ObjectKey> {
    let (units, kept) = std::mem::take(pods).into_iter().partition(is_unit);
    *pods = kept;
    units
}

/// A unit's key begins with its ocean.
fn ocean_of(unit: &ObjectKey) -> OceanName {
    unit.name.split('/').next().unwrap_or_default().into()
}

fn scopes<'a>(supplies: &[&'a Supply]) -> Vec<Scope<'a>> {
    let mut of_ocean: BTreeMap<&OceanName, Scope<'_>> = BTreeMap::new();
    let mut scopes = Vec::new();
    for supply in supplies {
        let view = &supply.view;
        if let Some(wanted) = &view.ocean.spec.headroom {
            let scope = of_ocean.entry(&view.key.ocean).or_insert_with(|| Scope {
                ocean: &view.key.ocean,
                pools: BTreeSet::new(),
                pool: None,
                wanted,
            });
            scope.pools.insert(view.key.clone());
        }
        if let Some(wanted) = &view.pool.headroom {
            scopes.push(Scope {
                ocean: &view.key.ocean,
                pools: BTreeSet::from([view.key.clone()]),
                pool: Some(supply),
                wanted,
            });
        }
    }
    scopes.extend(of_ocean.into_values());
    scopes
}

impl Scope<'_> {
    fn units(&self, snapshot: &Snapshot, labels: &BTreeMap<&NodeName, &Labels>) -> Vec<PendingPod> {
        let percentage = self.wanted.automatic.map_or(0, |automatic| automatic.percentage);
        let manual = self.wanted.manual.iter().flat_map(|unit| self.manual(unit));
        let automatic = match percentage {
            0 => Vec::new(),
            _ => self.automatic(percentage, &self.running(snapshot, labels)),
        };
        manual.chain(automatic).collect()
    }

    fn manual(&self, unit: &HeadroomUnit) -> Vec<PendingPod> {
        let shape = Arc::new(PodShape {
            requests: requests(unit),
            tolerations: self.taints().iter().map(tolerance).collect(),
            node_selector: vec![self.place()],
            ..PodShape::default()
        });
        let name = |index| format!("{}/{}", unit.name, index);
        let pod = |index| self.pod(&name(index), &Arc::default(), &shape);
        (0..unit.count).map(pod).collect()
    }

    /// Units in the shapes of the biggest workloads until they come to a percentage of what runs.
    fn automatic(&self, percentage: u32, running: &[&Arc<Pod>]) -> Vec<PendingPod> {
        let total = sum(running);
        let biggest = biggest(running, &total);
        let target = total.times(i64::from(percentage));
        let within_reach = sum(&biggest);
        let lacks = |have: &Resources| {
            let short = |have: i64, target: i64, reach: i64| reach > 0 && have.saturating_mul(100) < target;
            short(have.cpu_millis, target.cpu_millis, within_reach.cpu_millis)
                || short(have.memory_bytes, target.memory_bytes, within_reach.memory_bytes)
        };
        let mut have = Resources::default();
        let mut units = Vec::new();
        for (index, model) in biggest.iter().cycle().take(AUTOMATIC_MAX).enumerate() {
            if !lacks(&have) {
                break;
            }
            have = have.plus(&model.shape.requests);
            let mut shape = model.shape.as_ref().clone();
            shape.node_selector.push(self.place());
            units.push(self.pod(&format!("automatic/{index}"), &model.labels, &Arc::new(shape)));
        }
        units
    }

    /// The pods that run on the scope's nodes, those of DaemonSets and mirrors left out.
    fn running<'s>(
        &self,
        snapshot: &'s Snapshot,
        labels: &BTreeMap<&NodeName, &Labels>,
    ) -> Vec<&'s Arc<Pod>> {
        let place = self.place();
        let is_here = |pod: &&Arc<Pod>| {
            let node = pod.node.as_ref().and_then(|node| labels.get(node));
            node.is_some_and(|labels| place.matches(labels))
        };
        let pods = snapshot.pods.iter();
        let pods = pods.filter(|pod| pod.holds_resources() && !pod.is_daemon() && !pod.is_mirror);
        pods.filter(is_here).collect()
    }

    /// What marks the scope's nodes.
    fn place(&self) -> Requirement {
        match self.pool {
            Some(supply) => Requirement::new(label::POOL, Operator::In, [supply.view.key.pool.as_str()]),
            None => Requirement::new(label::OCEAN, Operator::In, [self.ocean.as_str()]),
        }
    }

    fn taints(&self) -> Vec<Taint> {
        let taints = self.pool.map_or(&[][..], |supply| &supply.view.pool.taints);
        taints.iter().map(vocabulary::taint).collect()
    }

    fn pod(&self, name: &str, labels: &Arc<Labels>, shape: &Arc<PodShape>) -> PendingPod {
        let pool = self.pool.map_or("", |supply| supply.view.key.pool.as_str());
        let key = ObjectKey::new("", &format!("{}/{pool}/{name}", self.ocean));
        PendingPod {
            pod: Arc::new(Pod {
                uid: Uid(key.name.clone()),
                key,
                labels: labels.clone(),
                shape: shape.clone(),
                claims: Vec::new(),
                priority: i32::MIN,
                node: None,
                nominated_node: None,
                phase: PodPhase::Pending,
                is_unschedulable: true,
                is_gated: false,
                owner: None,
                is_mirror: false,
                created_at: Timestamp::UNIX_EPOCH,
                deleted_at: None,
                termination_grace_seconds: 0,
                do_not_disrupt: None,
                retry: None,
                spot_percentage: None,
            }),
            volumes: Vec::new(),
            served_by: self.pools.clone(),
        }
    }
}

fn requests(unit: &HeadroomUnit) -> Resources {
    let amount = |name, text: &Option<_>| text.as_ref().and_then(|text| vocabulary::amount(name, text));
    let gpu = unit.gpu.map(|count| (Arc::from(GPU), i64::from(count)));
    Resources {
        cpu_millis: amount("cpu", &unit.cpu).unwrap_or(0),
        memory_bytes: amount("memory", &unit.memory).unwrap_or(0),
        pods: 1,
        extended: gpu.into_iter().collect(),
        ..Resources::default()
    }
}

fn tolerance(taint: &Taint) -> Toleration {
    Toleration {
        key: taint.key.clone(),
        operator: TolerationOperator::Equal,
        value: taint.value.clone(),
        effect: Some(taint.effect),
    }
}

fn sum(pods: &[&Arc<Pod>]) -> Resources {
    let requests = pods.iter().map(|pod| &pod.shape.requests);
    requests.fold(Resources::default(), |sum, own| sum.plus(own))
}

/// A pod of each of the workloads that request most, the biggest first. What a workload is: the pods of one controller.
fn biggest<'s>(running: &[&'s Arc<Pod>], total: &Resources) -> Vec<&'s Arc<Pod>> {
    let mut workloads: BTreeMap<&Uid, (Resources, &Arc<Pod>)> = BTreeMap::new();
    for pod in running {
        let asks = pod.shape.requests.cpu_millis > 0 || pod.shape.requests.memory_bytes > 0;
        if let Some(owner) = pod.owner.as_ref().filter(|_| asks) {
            let (requests, _) = workloads
                .entry(&owner.uid)
                .or_insert_with(|| (Resources::default(), *pod));
            *requests = requests.plus(&pod.shape.requests);
        }
    }
    let share = |part: i64, whole: i64| i128::from(part) * 1_000_000 / i128::from(whole.max(1));
    let rank = |requests: &Resources| {
        let of_cpu = share(requests.cpu_millis, total.cpu_millis);
        of_cpu.max(share(requests.memory_bytes, total.memory_bytes))
    };
    let mut ranked: Vec<_> = workloads.into_values().collect();
    ranked.sort_by(|(a, of_a), (b, of_b)| rank(b).cmp(&rank(a)).then_with(|| of_a.key.cmp(&of_b.key)));
    ranked
        .into_iter()
        .take(WORKLOADS_MAX)
        .map(|(_, pod)| pod)
        .collect()
}

#[cfg(test)]
mod tests;
