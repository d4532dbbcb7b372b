//! What consolidation would come to, in the planner's words.
//!
//! The cluster is taken as it will be once the waiting pods are where the plan puts them. A node may go when nothing
//! blocks its removal ([`removal::blocks`]), its price is known and it is neither starting nor leaving; that its pool
//! gives back empty nodes only is no block here, since what emptying others would save is the question. Decides
//! nothing: the solver does, and who acts on it is elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use spotocean_api::ocean_node::{OceanNode, Phase};
use spotocean_api::strategy::Orientation;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{InstanceId, NodeName, PoolKey};
use spotocean_core::money::PricePerHour;
use spotocean_core::node::Node;
use spotocean_core::pod::Pod;
use spotocean_core::resources::Resources;
use spotocean_solver::consolidation::{Consolidation, Estate, Holding, Hysteresis, Tenant, solve};
use spotocean_solver::problem::{NodeRef, PendingPod, PlacementNode};
use spotocean_solver::solution::Solution;

use super::explanation::removal::{self, Block};
use super::fallback::planned_number;
use super::hazard::Hazards;
use super::in_flight::{market_of, phase, pool_of};
use super::nodes::instance_of;
use super::pods::{self, Servers, demands};
use super::spot_share::Shares;
use super::supply::Supply;
use super::{Pass, Prepared};
use crate::vocabulary;

/// What a core and a GiB cost in micro-dollars per hour, for pricing a move: about the middle of what spot costs.
const CORE_PRICE: i64 = 20_000;
/// See [`CORE_PRICE`].
const GIB_PRICE: i64 = 2_500;
/// How long a moved pod's share of a node does nothing: eviction, image pull, start.
const RESTART_SECONDS: i64 = 120;

impl Prepared<'_> {
    /// What consolidation would come to once the waiting pods are where `solution` puts them; `None` when no node may
    /// be removed.
    #[must_use]
    pub fn consolidate(&self, solution: &Solution) -> Option<Consolidation> {
        let estate = self.estate(solution);
        let may_remove = estate.holdings.iter().any(|holding| holding.stays.is_none());
        may_remove.then(|| solve(&estate))
    }

    fn estate(&self, solution: &Solution) -> Estate {
        let pass = &self.pass;
        let supplies: Vec<&Supply> = self.supplies.iter().collect();
        let nominated = &pass.landscape.nominated;
        let waiting = pods::waiting(pass.snapshot, &supplies, nominated, &pass.gave_up).pods;
        let settled = pass.settled(&supplies, &waiting, solution);
        let survey = Survey::of(pass, &supplies, solution);
        Estate {
            holdings: settled
                .nodes
                .into_iter()
                .filter(|node| !pass.reserved.has(&node.name))
                .map(|node| survey.holding(node))
                .collect(),
            pools: settled.pools,
            daemon_sets: settled.daemon_sets,
            namespaces: settled.namespaces,
            hysteresis: Hysteresis::default(),
        }
    }
}

/// What holdings are made from.
struct Survey<'a> {
    pass: &'a Pass<'a>,
    servers: Servers<'a>,
    nodes: BTreeMap<&'a NodeName, &'a Arc<Node>>,
    own: BTreeMap<InstanceId, &'a OceanNode>,
    planned: Vec<PricePerHour>,
    hazards: Hazards<'a>,
    orientations: BTreeMap<PoolKey, Orientation>,
    shares: Shares<'a>,
}

impl<'a> Survey<'a> {
    fn of(pass: &'a Pass<'a>, supplies: &[&Supply], solution: &Solution) -> Self {
        let snapshot = pass.snapshot;
        let own = snapshot.ocean_nodes.iter();
        Self {
            servers: Servers::of(snapshot, supplies),
            nodes: snapshot.nodes.iter().map(|node| (&node.name, node)).collect(),
            own: own
                .filter_map(|own| Some((instance_of(own)?, own.as_ref())))
                .collect(),
            planned: solution.new_nodes.iter().map(|node| node.price).collect(),
            hazards: Hazards::of(snapshot),
            shares: Shares::of(snapshot, supplies),
            orientations: supplies
                .iter()
                .map(|supply| {
                    (
                        supply.view.key.clone(),
                        supply.view.effective.strategy.orientation,
                    )
                })
                .collect(),
            pass,
        }
    }

    fn holding(&self, mut node: PlacementNode) -> Holding {
        let NodeRef::Node(name) = &node.name else {
            return self.coming(node);
        };
        let Some(there) = self.nodes.get(name).copied() else {
            return staying(node, PricePerHour::ZERO, "it is not there yet");
        };
        let own = there.instance.as_ref().and_then(|id| self.own.get(id)).copied();
        let price = removal::price(self.pass.snapshot, there, own);
        let pods = std::mem::take(&mut node.pods);
        let (moving, fixed): (Vec<Arc<Pod>>, Vec<Arc<Pod>>) =
            pods.into_iter().partition(|pod| is_movable(pod));
        node.pods = fixed;
        let mut stays = self.why_it_stays(there, own, &moving, price);
        let mut tenants = Vec::new();
        for pod in moving {
            match self.tenant(&pod) {
                Ok(tenant) => tenants.push(tenant),
                Err(why) => {
                    stays = stays.or(Some(why));
                    node.pods.push(pod);
                }
            }
        }
        forget_volumes(&mut node, &tenants);
        Holding {
            node,
            price: price.unwrap_or(PricePerHour::ZERO),
            risk: self.risk(own),
            stays,
            tenants,
        }
    }

    /// What interruptions of a node cost per hour on average; nothing for nodes of others.
    fn risk(&self, own: Option<&OceanNode>) -> PricePerHour {
        let risk = || {
            let own =
                own.filter(|own| vocabulary::capacity_type(own.spec.capacity_type) == CapacityType::Spot)?;
            let orientation = self.orientations.get(&pool_of(own))?;
            let market = market_of(own)?;
            let price = self
                .pass
                .snapshot
                .catalogue
                .on_demand_prices
                .get(&market.instance_type)?;
            Some(self.hazards.cost(&market, *price, *orientation))
        };
        risk().unwrap_or(PricePerHour::ZERO)
    }

    /// A node on its way, or one that the plan buys.
    fn coming(&self, node: PlacementNode) -> Holding {
        let price = planned_number(&node.name)
            .and_then(|number| self.planned.get(number))
            .copied();
        staying(node, price.unwrap_or(PricePerHour::ZERO), "it is on its way")
    }

    fn why_it_stays(
        &self,
        node: &Node,
        own: Option<&OceanNode>,
        pods: &[Arc<Pod>],
        price: Option<PricePerHour>,
    ) -> Option<Arc<str>> {
        let view = own.and_then(|own| removal::view_of(self.pass.snapshot, own));
        let pods: Vec<&Arc<Pod>> = pods.iter().filter(|pod| pod.node.is_some()).collect();
        let blocks = removal::blocks(self.pass.snapshot, node, view.as_ref(), &pods);
        let block = blocks.iter().find(|block| !matches!(block, Block::HoldsPods(_)));
        let is_settled = own
            .is_some_and(|own| phase(own) == Phase::Initialized && own.metadata.deletion_timestamp.is_none());
        match (block, price) {
            (Some(block), _) => Some(block.to_string().into()),
            (None, None) => Some("its price is not known".into()),
            (None, Some(_)) if !is_settled => Some("it is starting or leaving".into()),
            (None, Some(_)) if own.is_some_and(|own| self.shares.needs(own)) => {
                Some("its pool wants it on demand (strategy.onDemandBase, strategy.spotPercentage)".into())
            }
            (None, Some(_)) => None,
        }
    }

    fn tenant(&self, pod: &Arc<Pod>) -> Result<Tenant, Arc<str>> {
        let volumes: Result<Vec<_>, Arc<str>> = demands(self.pass.snapshot, pod).into_iter().collect();
        Ok(Tenant {
            pod: PendingPod {
                pod: pod.clone(),
                volumes: volumes?,
                served_by: self.servers.pools(pod),
            },
            move_cost: if pod.node.is_some() {
                move_cost(&pod.shape.requests)
            } else {
                0
            },
        })
    }
}

fn staying(node: PlacementNode, price: PricePerHour, why: &str) -> Holding {
    Holding {
        node,
        price,
        risk: PricePerHour::ZERO,
        stays: Some(why.into()),
        tenants: Vec::new(),
    }
}

/// Pods that need another place when their node goes.
fn is_movable(pod: &Pod) -> bool {
    pod.holds_resources() && !pod.is_daemon() && !pod.is_mirror && pod.deleted_at.is_none()
}

/// Its tenants' volumes go where they go.
fn forget_volumes(node: &mut PlacementNode, tenants: &[Tenant]) {
    for demand in tenants.iter().flat_map(|tenant| &tenant.pod.volumes) {
        let attached = demand
            .driver
            .as_ref()
            .and_then(|driver| node.attached.get_mut(driver));
        if let Some(attached) = attached {
            attached.remove(&demand.volume);
        }
    }
}

/// What a restart of a pod costs once, in micro-dollars.
fn move_cost(requests: &Resources) -> i64 {
    let cores = i128::from(requests.cpu_millis.max(0)) * i128::from(CORE_PRICE) / 1000;
    let memory = i128::from(requests.memory_bytes.max(0)) * i128::from(GIB_PRICE) / (1 << 30);
    let cost = (cores + memory) * i128::from(RESTART_SECONDS) / 3600;
    i64::try_from(cost).unwrap_or(i64::MAX)
}
