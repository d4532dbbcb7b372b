//! From nodes to buy to lots: equal nodes together, dealt so that share caps hold.
//!
//! Nodes that find room at about the price they were planned at are dealt to
//! launches of this round or of one that follows it. The pods of the others
//! are planned anew without the markets that are full by then, again and
//! again; where that is no better the nodes take what room there is, and with
//! none left the caps relax.
//!
//! Markets that are half open after a cooldown are tried by one small launch
//! only: larger launches leave them out, and where nothing else is left one
//! node goes ahead and the others wait for its answer.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{ObjectKey, OceanName, PoolKey};
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::Market;
use spotocean_solver::problem::PendingPod;
use spotocean_solver::solution::{NewNode, Reason, Solution, Unplaced};

use super::Pass;
use super::cooldown::{State, request_key};
use super::counter::{Ceiling, Counter, Draft, Group};
use super::fallback::left_over;
use super::in_flight::{is_open, markets};
use super::launch::Lot;
use super::supply::Supply;

/// A launch of at most so many nodes may try markets that are half open.
const PROBE_NODES: usize = 2;
/// Members of one OceanLaunch, as its schema bounds them.
const MEMBERS_MAX: usize = 1000;
/// How often pods are planned anew in one look.
const ANEW_MAX: usize = 12;

/// What became of the nodes to buy.
#[derive(Default)]
pub(super) struct Lots {
    /// Lots with their pools, in order.
    pub(super) lots: Vec<(PoolKey, Lot)>,
    /// Nodes of each ocean that follow EC2's answers.
    pub(super) following: BTreeMap<OceanName, u32>,
    /// Oceans with too few markets for their caps.
    pub(super) few_markets: BTreeMap<OceanName, Arc<str>>,
    /// Whether nodes wait for the answer of a probe.
    pub(super) is_probing: bool,
}

/// All that is decided on the way to lots.
struct Desk<'a> {
    counters: BTreeMap<&'a PoolKey, Counter<'a>>,
    probed: BTreeSet<Market>,
    drafts: Vec<Draft>,
    waits: Vec<Unplaced>,
    made: Lots,
}

impl Desk<'_> {
    /// Whether a market of a pool is full once EC2 has answered as expected.
    fn is_full(&self, pool: &PoolKey, market: &Market) -> bool {
        self.counters
            .get(pool)
            .is_some_and(|counter| counter.is_full(market))
    }

    /// What a node comes to where it stays as planned.
    fn next_price(&self, node: &NewNode) -> PricePerHour {
        let counter = self.counters.get(&node.pool);
        counter.map_or(node.price, |counter| counter.next_price(&node.candidates))
    }
}

impl Pass<'_> {
    /// Lots for the new nodes of a solution, of which `allowance` may start now. Nodes that follow stay in the
    /// solution; nodes that have to wait leave it, their pods with the reason.
    pub(super) fn lots(&self, supplies: &[&Supply], solution: &mut Solution, allowance: usize) -> Lots {
        let mut nodes = std::mem::take(&mut solution.new_nodes);
        let mut desk = self.desk(supplies, &nodes);
        let pods = OnceCell::new();
        for _ in 0..ANEW_MAX {
            nodes = self.deal(&mut desk, nodes, Ceiling::Planned);
            let Some(found) = self.planned_anew(supplies, &pods, &mut desk, solution, &mut nodes) else {
                break;
            };
            for (node, pods) in found.existing {
                solution.existing.entry(node).or_default().extend(pods);
            }
            nodes = found.new_nodes;
        }
        self.deal(&mut desk, nodes, Ceiling::OnDemand);
        self.finish(desk, solution, allowance)
    }

    fn desk<'d>(&'d self, supplies: &[&'d Supply], nodes: &[NewNode]) -> Desk<'d> {
        let buying: BTreeSet<&PoolKey> = nodes.iter().map(|node| &node.pool).collect();
        let supplies = supplies.iter().filter(|supply| buying.contains(&supply.view.key));
        Desk {
            counters: supplies
                .filter_map(|supply| Some((&supply.view.key, Counter::of(self.snapshot, supply, nodes)?)))
                .collect(),
            probed: self.probed(),
            drafts: Vec::new(),
            waits: Vec::new(),
            made: Lots::default(),
        }
    }

    /// Deals nodes, and returns those that are too dear.
    fn deal(&self, desk: &mut Desk<'_>, nodes: Vec<NewNode>, ceiling: Ceiling) -> Vec<NewNode> {
        let mut ready: BTreeMap<PoolKey, Vec<Group>> = BTreeMap::new();
        for group in grouped(nodes) {
            let (group, waits) = self.open(group, &mut desk.probed);
            desk.made.is_probing |= !waits.is_empty();
            desk.waits.extend(waits);
            if !group.nodes.is_empty() {
                ready.entry(group.pool.clone()).or_default().push(group);
            }
        }
        let mut dear = Vec::new();
        for (pool, mut groups) in ready {
            let Some(counter) = desk.counters.get_mut(&pool) else {
                continue;
            };
            // Who has few places goes first, or others would fill them by name.
            groups.sort_by_key(|group| counter.sane(&group.candidates));
            for group in groups {
                let (drafts, left) = counter.deal(group, ceiling);
                desk.drafts.extend(drafts);
                if ceiling == Ceiling::OnDemand && !left.nodes.is_empty() {
                    let few = || counter.few_markets(&left);
                    desk.made
                        .few_markets
                        .entry(pool.ocean.clone())
                        .or_insert_with(few);
                    counter.relax(left, &mut desk.drafts);
                } else {
                    dear.extend(left.nodes);
                }
            }
        }
        dear
    }

    /// The pods of nodes planned once more without full markets, where that is no dearer than what room there is.
    /// Nodes whose pods depend on where others are take that room at once.
    fn planned_anew(
        &self,
        supplies: &[&Supply],
        pods: &OnceCell<Vec<PendingPod>>,
        desk: &mut Desk<'_>,
        solution: &Solution,
        nodes: &mut Vec<NewNode>,
    ) -> Option<Solution> {
        if nodes.is_empty() {
            return None;
        }
        let pods = pods.get_or_init(|| self.waiting(supplies));
        let (free, bound) = super::anew::parted(pods, std::mem::take(nodes));
        self.deal(desk, bound, Ceiling::OnDemand);
        *nodes = free;
        let stands = Solution {
            existing: solution.existing.clone(),
            new_nodes: desk
                .drafts
                .iter()
                .flat_map(|draft| draft.nodes.iter().cloned())
                .collect(),
            ..Solution::default()
        };
        let is_full = |pool: &PoolKey, market: &Market| desk.is_full(pool, market);
        let found = self.anew(supplies, pods, &stands, nodes, &is_full)?;
        let next: PricePerHour = nodes.iter().map(|node| desk.next_price(node)).sum();
        (found.cost() <= next).then_some(found)
    }

    /// Drafts as lots. What the launch brake does not allow follows.
    fn finish(&self, mut desk: Desk<'_>, solution: &mut Solution, mut allowance: usize) -> Lots {
        for mut draft in std::mem::take(&mut desk.drafts) {
            if let Some(counter) = desk.counters.get_mut(&draft.pool) {
                counter.widen(&mut draft);
            }
            let allowed = if draft.is_now { allowance } else { 0 };
            let following = draft.nodes.split_off(draft.nodes.len().min(allowed));
            allowance -= draft.nodes.len();
            if !following.is_empty() {
                let count = u32::try_from(following.len()).unwrap_or(u32::MAX);
                *desk.made.following.entry(draft.pool.ocean.clone()).or_default() += count;
            }
            solution.new_nodes.extend(following);
            self.add_lots(draft, &mut desk, solution);
        }
        let waiting: Vec<ObjectKey> = desk.waits.iter().map(|left| left.pod.clone()).collect();
        solution.unplaced.extend(desk.waits);
        solution.forgo(waiting.iter());
        desk.made
    }

    fn add_lots(&self, draft: Draft, desk: &mut Desk<'_>, solution: &mut Solution) {
        let mut nodes = draft.nodes;
        let places = draft.markets.iter().cloned().collect();
        let key = request_key(&draft.pool, draft.capacity_type, &places);
        if !nodes.is_empty() && matches!(self.cooldowns.request(&key, self.snapshot.now), State::Cooling(_)) {
            let message =
                "EC2 could not fulfil this very request a moment ago: it is tried again within minutes";
            let waits = nodes
                .iter()
                .flat_map(|node| left_over(node, Reason::NoOffering, message));
            desk.waits.extend(waits);
            desk.made.is_probing = true;
            return;
        }
        while !nodes.is_empty() {
            let rest = nodes.split_off(nodes.len().min(MEMBERS_MAX));
            solution.new_nodes.extend(nodes.iter().cloned());
            let lot = Lot {
                capacity_type: draft.capacity_type,
                markets: draft.markets.clone(),
                nodes: std::mem::replace(&mut nodes, rest),
            };
            desk.made.lots.push((draft.pool.clone(), lot));
        }
    }

    /// Markets of launches that EC2 has not answered: a half-open one among them is being tried already.
    fn probed(&self) -> BTreeSet<Market> {
        let open = self.snapshot.launches.iter().filter(|launch| is_open(launch));
        open.flat_map(|launch| markets(launch)).collect()
    }

    /// Leaves half-open markets out, or sends one node ahead.
    fn open(&self, mut group: Group, probed: &mut BTreeSet<Market>) -> (Group, Vec<Unplaced>) {
        let is_half_open = |market: &Market| {
            self.cooldowns
                .market(group.capacity_type, market, self.snapshot.now)
                == State::Probing
        };
        let half: BTreeSet<Market> = group
            .candidates
            .iter()
            .filter(|market| is_half_open(market))
            .cloned()
            .collect();
        if half.is_empty() {
            return (group, Vec::new());
        }
        let is_free = half.is_disjoint(probed);
        let whole: Vec<Market> = group
            .candidates
            .iter()
            .filter(|market| !half.contains(*market))
            .cloned()
            .collect();
        let mut waits = Vec::new();
        if is_free && group.nodes.len() <= PROBE_NODES {
            probed.extend(half);
        } else if !whole.is_empty() {
            group.candidates = whole;
        } else {
            let ahead = usize::from(is_free).min(group.nodes.len());
            let message = "every market that fits had no capacity a while ago, and one node is trying again: the others follow its answer";
            for node in group.nodes.split_off(ahead) {
                waits.extend(left_over(&node, Reason::NoOffering, message));
            }
            probed.extend(half);
        }
        (group, waits)
    }
}

/// Nodes with the same pool, capacity type and candidates, in the order in which the first of each came.
fn grouped(nodes: Vec<NewNode>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut index: BTreeMap<(PoolKey, CapacityType, Vec<Market>), usize> = BTreeMap::new();
    for node in nodes {
        let key = (node.pool.clone(), node.capacity_type, node.candidates.clone());
        let position = *index.entry(key).or_insert_with(|| {
            groups.push(Group {
                pool: node.pool.clone(),
                capacity_type: node.capacity_type,
                candidates: node.candidates.clone(),
                nodes: Vec::new(),
            });
            groups.len() - 1
        });
        groups[position].nodes.push(node);
    }
    groups
}

#[cfg(test)]
mod tests;
