//! From nodes to buy to lots: equal nodes together, split so that share caps hold.
//!
//! Markets that are half open after a cooldown are tried by one small launch
//! only: larger launches leave them out, and where nothing else is left one
//! node goes ahead and the others wait for its answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{InstanceTypeName, ObjectKey, OceanName, PoolKey};
use spotocean_core::offering::Market;
use spotocean_solver::solution::{NewNode, Reason, Solution, Unplaced};

use super::Pass;
use super::cooldown::{State, request_key};
use super::fallback::left_over;
use super::in_flight::{is_open, launches_by_name, market_of, markets, pool_of};
use super::launch::Lot;
use super::share::{Holdings, Portion, Split, Wanted, split};
use super::supply::{Stock, Supply};
use crate::snapshot::Snapshot;
use crate::vocabulary;

/// A launch of at most so many nodes may try markets that are half open.
const PROBE_NODES: usize = 2;
/// A substitute may cost this many percent of the planned price, while there are others enough.
const SANE_PRICE_PERCENT: i64 = 150;
/// Members of one OceanLaunch, as its schema bounds them.
const MEMBERS_MAX: usize = 1000;

/// What became of the nodes to buy.
#[derive(Default)]
pub(super) struct Lots {
    /// Lots with their pools, in order.
    pub(super) lots: Vec<(PoolKey, Lot)>,
    /// Oceans with too few markets for their caps.
    pub(super) few_markets: BTreeMap<OceanName, Arc<str>>,
    /// Whether nodes wait for the answer of a probe.
    pub(super) is_probing: bool,
}

/// Equal nodes of one pool.
struct Group {
    pool: PoolKey,
    capacity_type: CapacityType,
    candidates: Vec<Market>,
    nodes: Vec<NewNode>,
}

impl Pass<'_> {
    /// Lots for the new nodes of a solution. Nodes that have to wait leave it, their pods with the reason.
    pub(super) fn lots(&self, supplies: &[&Supply], solution: &mut Solution) -> Lots {
        let stocks: BTreeMap<&PoolKey, (&Supply, &Stock)> = supplies
            .iter()
            .filter_map(|supply| Some((&supply.view.key, (*supply, supply.state.as_ref().ok()?))))
            .collect();
        let mut made = Lots::default();
        let left_before = solution.unplaced.len();
        let mut probed: BTreeSet<Market> = self.probed();
        let mut ready: BTreeMap<PoolKey, Vec<Group>> = BTreeMap::new();
        for group in grouped(std::mem::take(&mut solution.new_nodes)) {
            let (group, waits) = self.open(group, &mut probed);
            made.is_probing |= !waits.is_empty();
            solution.unplaced.extend(waits);
            if !group.nodes.is_empty() {
                ready.entry(group.pool.clone()).or_default().push(group);
            }
        }
        for (pool, groups) in ready {
            let Some((supply, stock)) = stocks.get(&pool) else {
                continue;
            };
            self.split_pool(supply, stock, groups, &mut made, solution);
        }
        let waiting: Vec<ObjectKey> = solution.unplaced[left_before..]
            .iter()
            .map(|left| left.pod.clone())
            .collect();
        solution.forgo(waiting.iter());
        made
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

    fn split_pool(
        &self,
        supply: &Supply,
        stock: &Stock,
        mut groups: Vec<Group>,
        made: &mut Lots,
        solution: &mut Solution,
    ) {
        let vcpus = |name: &InstanceTypeName| vcpus(self.snapshot, name);
        let (mut holdings, held) = holdings(self.snapshot, &supply.view.key);
        let smallest = |group: &Group| {
            let least = group
                .candidates
                .iter()
                .map(|market| vcpus(&market.instance_type))
                .min();
            least.unwrap_or(0) * i64::try_from(group.nodes.len()).unwrap_or(0)
        };
        let is_spot = |group: &&Group| group.capacity_type == CapacityType::Spot;
        let total_vcpus = held + groups.iter().filter(is_spot).map(smallest).sum::<i64>();
        let suffices = |places: &[Market]| has_min_values(supply, stock, places);
        // What EC2 may pick counts as held everywhere: who has few places goes first, or others would fill them by name.
        let flexibility = flexibility(supply);
        groups.sort_by_key(|group| self.spans(group, flexibility, &suffices).0);
        for group in groups {
            let portions = if group.capacity_type == CapacityType::OnDemand {
                vec![Portion {
                    nodes: group.nodes.len(),
                    markets: group.candidates.clone(),
                }]
            } else {
                let (split, markets) = self.widened(&mut holdings, supply, &group, total_vcpus, &suffices);
                if split.is_reduced {
                    made.few_markets
                        .entry(supply.view.key.ocean.clone())
                        .or_insert_with(|| few_markets(supply, markets));
                }
                split.portions
            };
            self.add_lots(group, portions, made, solution);
        }
    }

    /// Splits a group over as few of its candidates as give each launch `minimumFlexibility` places, and says how
    /// many those are. The solver hands over more than a single launch needs, dear ones last: they are for launches
    /// that caps cut apart.
    fn widened(
        &self,
        holdings: &mut Holdings,
        supply: &Supply,
        group: &Group,
        total_vcpus: i64,
        suffices: &impl Fn(&[Market]) -> bool,
    ) -> (Split, usize) {
        let vcpus = |name: &InstanceTypeName| vcpus(self.snapshot, name);
        let strategy = &supply.view.effective.strategy;
        let flexibility = flexibility(supply);
        let (mut count, most) = self.spans(group, flexibility, suffices);
        let mut best: Option<(Split, Holdings, usize)> = None;
        loop {
            let mut booked = holdings.clone();
            let wanted = Wanted {
                nodes: group.nodes.len(),
                candidates: &group.candidates[..count],
                total_vcpus,
                caps: strategy.max_share,
                flexibility,
            };
            let made = split(&mut booked, &wanted, &vcpus, suffices);
            let launches = made.portions.len();
            let is_good = !made.is_reduced && made.narrowest() >= flexibility;
            let is_better = best.as_ref().is_none_or(|(best, _, _)| {
                (!made.is_reduced, made.narrowest()) > (!best.is_reduced, best.narrowest())
            });
            if is_better {
                best = Some((made, booked, count));
            }
            if is_good || count == most {
                break;
            }
            count = (count * 2).max(launches * flexibility).min(most);
        }
        let (split, booked, count) = best.expect("the first split is better than none");
        *holdings = booked;
        (split, count)
    }

    /// How many of a group's candidates one launch gets by itself, and how many may be drawn on at most: none that
    /// costs more than the planned type on demand.
    fn spans(
        &self,
        group: &Group,
        flexibility: usize,
        suffices: &impl Fn(&[Market]) -> bool,
    ) -> (usize, usize) {
        let catalogue = &self.snapshot.catalogue;
        let price = |market: &Market| catalogue.price(market, CapacityType::Spot);
        let all = &group.candidates;
        let first = all.first();
        let sane = first
            .and_then(price)
            .map(|price| price.0.saturating_mul(SANE_PRICE_PERCENT) / 100);
        let on_demand = first.and_then(|market| catalogue.on_demand_prices.get(&market.instance_type));
        let within = |ceiling: Option<i64>| {
            let is_within = |market: &&Market| {
                let price = price(market).map(|price| price.0);
                price.zip(ceiling).is_none_or(|(price, ceiling)| price <= ceiling)
            };
            all.iter().take_while(is_within).count()
        };
        let mut base = within(sane).max(flexibility.min(all.len()));
        while base < all.len() && !suffices(&all[..base]) {
            base += 1;
        }
        let most = within(on_demand.map(|price| price.0)).max(base);
        (base, most)
    }

    fn add_lots(&self, group: Group, portions: Vec<Portion>, made: &mut Lots, solution: &mut Solution) {
        let mut nodes = group.nodes.into_iter();
        for portion in portions {
            let mut own: Vec<NewNode> = nodes.by_ref().take(portion.nodes).collect();
            let places = portion.markets.iter().cloned().collect();
            let key = request_key(&group.pool, group.capacity_type, &places);
            if let State::Cooling(_) = self.cooldowns.request(&key, self.snapshot.now) {
                let message =
                    "EC2 could not fulfil this very request a moment ago: it is tried again within minutes";
                solution.unplaced.extend(
                    own.iter()
                        .flat_map(|node| left_over(node, Reason::NoOffering, message)),
                );
                made.is_probing = true;
                continue;
            }
            for node in &mut own {
                self.narrow(node, &portion.markets);
            }
            while !own.is_empty() {
                let rest = own.split_off(own.len().min(MEMBERS_MAX));
                solution.new_nodes.extend(own.iter().cloned());
                let lot = Lot {
                    capacity_type: group.capacity_type,
                    markets: portion.markets.clone(),
                    nodes: std::mem::replace(&mut own, rest),
                };
                made.lots.push((group.pool.clone(), lot));
            }
        }
    }
}

impl Pass<'_> {
    /// Leaves a node the places of its launch: what is planned, and what it costs, is what may be bought.
    fn narrow(&self, node: &mut NewNode, markets: &[Market]) {
        let first = markets.first();
        let price = first.and_then(|market| self.snapshot.catalogue.price(market, node.capacity_type));
        node.price = price.unwrap_or(node.price);
        node.candidates = markets.to_vec();
    }
}

fn flexibility(supply: &Supply) -> usize {
    usize::try_from(supply.view.effective.strategy.minimum_flexibility).unwrap_or(1)
}

fn few_markets(supply: &Supply, markets: usize) -> Arc<str> {
    let share = supply.view.effective.strategy.max_share;
    format!(
        "pool {} has {markets} markets for some of its pods, too few for shares of {} % a market, {} % a type and {} % a zone: \
         allow more instance types or zones, or raise strategy.maxShare",
        supply.view.key.pool, share.market, share.instance_type, share.zone
    )
    .into()
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

fn vcpus(snapshot: &Snapshot, name: &InstanceTypeName) -> i64 {
    snapshot
        .catalogue
        .types
        .get(name)
        .map_or(0, |described| described.vcpus)
}

/// What a pool holds on spot: nodes where they are, open launches wherever they may come to be. And its total, counted low.
fn holdings(snapshot: &Snapshot, pool: &PoolKey) -> (Holdings, i64) {
    let vcpus = |name: &InstanceTypeName| vcpus(snapshot, name);
    let mut holdings = Holdings::default();
    let mut total = 0;
    let launches = launches_by_name(snapshot);
    let own = snapshot.ocean_nodes.iter().filter(|own| {
        pool_of(own) == *pool
            && own.metadata.deletion_timestamp.is_none()
            && vocabulary::capacity_type(own.spec.capacity_type) == CapacityType::Spot
    });
    for node in own {
        let places: Vec<Market> = match market_of(node) {
            Some(market) => vec![market],
            None => launches
                .get(node.spec.launch_name.as_str())
                .map(|launch| markets(launch).collect())
                .unwrap_or_default(),
        };
        total += places
            .iter()
            .map(|place| vcpus(&place.instance_type))
            .min()
            .unwrap_or(0);
        holdings.book(&places, 1, vcpus);
    }
    (holdings, total)
}

/// Whether the places keep as many distinct values of each label as `minValues` asks for.
fn has_min_values(supply: &Supply, stock: &Stock, places: &[Market]) -> bool {
    let counted: Vec<(&str, usize)> = supply
        .view
        .pool
        .requirements
        .iter()
        .filter_map(|own| Some((own.key.as_str(), usize::try_from(own.min_values?).ok()?)))
        .collect();
    if counted.is_empty() {
        return true;
    }
    let wanted: BTreeSet<&Market> = places.iter().collect();
    let offers: Vec<_> = stock
        .spot
        .iter()
        .filter(|offer| wanted.contains(offer.market()))
        .collect();
    counted.into_iter().all(|(key, least)| {
        let key = spotocean_core::label::normalized(key);
        let values: BTreeSet<_> = offers.iter().filter_map(|offer| offer.labels.get(key)).collect();
        values.len() >= least
    })
}

#[cfg(test)]
mod tests;
