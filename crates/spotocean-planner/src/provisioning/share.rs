//! Share caps: how purchases are split so that they hold whatever EC2 picks.
//!
//! EC2 may put all instances of a launch into any one of the places it is
//! offered. So every launch is booked in full in each market, type and zone it
//! names (the worst case), beside what the pool holds, and beside launches
//! still open, booked the same way. A place may hold its percentage of the
//! pool's spot vCPUs after the purchase (counted low: the smallest type each
//! launch could come to), or one node where that is more.
//!
//! The method: the candidates of n equal nodes are cut into cells, from few to
//! many: zones dealt round by rank into 1, 2, … groups, and types likewise,
//! the groups of types being the same in every group of zones. Nodes go one by
//! one to the cell with fewest of them that can bear one more in the worst
//! case. A cut that takes all nodes is good when each of its launches offers
//! as many places as `minimumFlexibility` asks for; where none does, the one
//! whose narrowest launch is widest is used. Each cell with nodes is a launch.
//!
//! Booked at the worst case, no more than its share of all candidates can be
//! offered to each node: for f places a launch under a share of p percent a
//! market, the candidates must number f × 100 / p, and half as many again
//! because cuts fall between whole zones and types ([`candidates_wanted`]).

use std::collections::{BTreeMap, BTreeSet};

use spotocean_api::strategy::MaxShare;
use spotocean_core::id::{InstanceTypeName, Zone};
use spotocean_core::offering::Market;

/// Types are dealt into at most this many groups.
const GROUPS_MAX: usize = 12;

/// What one pool holds on spot, in vCPUs, booked at the worst case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    markets: BTreeMap<Market, i64>,
    types: BTreeMap<InstanceTypeName, i64>,
    zones: BTreeMap<Zone, i64>,
}

impl Holdings {
    /// Books `vcpus_per_node(type) × nodes` in every place that is offered.
    pub fn book(&mut self, offered: &[Market], nodes: i64, vcpus: impl Fn(&InstanceTypeName) -> i64) {
        let mut types: BTreeMap<&InstanceTypeName, i64> = BTreeMap::new();
        let mut zones: BTreeMap<&Zone, i64> = BTreeMap::new();
        for market in offered.iter().collect::<BTreeSet<_>>() {
            let worst = vcpus(&market.instance_type) * nodes;
            *self.markets.entry(market.clone()).or_default() += worst;
            types.insert(&market.instance_type, worst);
            let zone = zones.entry(&market.zone).or_default();
            *zone = (*zone).max(worst);
        }
        for (name, worst) in types {
            *self.types.entry(name.clone()).or_default() += worst;
        }
        for (zone, worst) in zones {
            *self.zones.entry(zone.clone()).or_default() += worst;
        }
    }

    fn market(&self, market: &Market) -> i64 {
        self.markets.get(market).copied().unwrap_or(0)
    }

    fn of_type(&self, name: &InstanceTypeName) -> i64 {
        self.types.get(name).copied().unwrap_or(0)
    }

    fn zone(&self, zone: &Zone) -> i64 {
        self.zones.get(zone).copied().unwrap_or(0)
    }
}

/// How many candidates a node needs so that launches offer `flexibility` places each, whatever caps make of them.
#[must_use]
pub fn candidates_wanted(flexibility: usize, caps: MaxShare) -> usize {
    let percent = usize::try_from(caps.market.clamp(1, 100)).unwrap_or(100);
    (flexibility * 150).div_ceil(percent)
}

/// Equal nodes to buy on spot.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// How many, at least one.
    pub nodes: usize,
    /// Any of these serves; best first. At least one.
    pub candidates: &'a [Market],
    /// The pool's spot vCPUs after this whole pass, counted low.
    pub total_vcpus: i64,
    /// The pool's caps.
    pub caps: MaxShare,
    /// Places that each launch should offer.
    pub flexibility: usize,
}

/// One launch: so many nodes over these places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    /// How many nodes.
    pub nodes: usize,
    /// The places, best first.
    pub markets: Vec<Market>,
}

impl Split {
    /// Places of the launch that offers fewest.
    #[must_use]
    pub fn narrowest(&self) -> usize {
        narrowest(&self.portions)
    }
}

fn narrowest(portions: &[Portion]) -> usize {
    portions
        .iter()
        .map(|portion| portion.markets.len())
        .min()
        .unwrap_or(0)
}

/// How equal nodes are split, and whether caps had to relax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The launches.
    pub portions: Vec<Portion>,
    /// Whether fewer places exist than the caps need.
    pub is_reduced: bool,
}

/// Splits equal nodes and books them. `suffices` says whether a launch's places alone are enough for it
/// (`minValues`).
pub fn split(
    holdings: &mut Holdings,
    wanted: &Wanted<'_>,
    vcpus: &impl Fn(&InstanceTypeName) -> i64,
    suffices: &impl Fn(&[Market]) -> bool,
) -> Split {
    for relaxed in [false, true] {
        let book = Book {
            holdings,
            caps: Caps::of(wanted, vcpus, relaxed),
            vcpus,
        };
        if let Some(portions) = book.cut(wanted, suffices) {
            for portion in &portions {
                let nodes = i64::try_from(portion.nodes).unwrap_or(i64::MAX);
                holdings.book(&portion.markets, nodes, vcpus);
            }
            return Split {
                portions,
                is_reduced: relaxed,
            };
        }
    }
    let portions = spill(holdings, wanted, vcpus, suffices);
    Split {
        portions,
        is_reduced: true,
    }
}

/// What each place may hold, in vCPUs.
#[derive(Clone, Copy, Debug)]
struct Caps {
    market: i64,
    instance_type: i64,
    zone: i64,
    /// Relaxed caps are rounded up to a whole node.
    rounds_up: bool,
}

impl Caps {
    fn of(wanted: &Wanted<'_>, vcpus: &impl Fn(&InstanceTypeName) -> i64, relaxed: bool) -> Self {
        let MaxShare {
            market,
            instance_type,
            zone,
        } = wanted.caps;
        let types: BTreeSet<_> = wanted
            .candidates
            .iter()
            .map(|place| &place.instance_type)
            .collect();
        let zones: BTreeSet<_> = wanted.candidates.iter().map(|place| &place.zone).collect();
        let largest = types.iter().map(|name| vcpus(name)).max().unwrap_or(0);
        // Relaxed, the nodes at hand count as the largest type they could come to, or an even split would not hold them.
        let total = if relaxed {
            let nodes = i64::try_from(wanted.nodes).unwrap_or(i64::MAX);
            wanted.total_vcpus.max(largest.saturating_mul(nodes))
        } else {
            wanted.total_vcpus
        };
        let share = |percent: u32, places: usize| {
            let places = i64::try_from(places.max(1)).unwrap_or(i64::MAX);
            let of_percent = total.saturating_mul(i64::from(percent)) / 100;
            if relaxed {
                of_percent.max((total + places - 1) / places)
            } else {
                of_percent
            }
        };
        Self {
            market: share(market, wanted.candidates.len()),
            instance_type: share(instance_type, types.len()),
            zone: share(zone, zones.len()),
            rounds_up: relaxed,
        }
    }

    /// Whether a place that holds `held` may take `added` vCPUs in nodes of `node` vCPUs.
    fn bears(&self, cap: i64, held: i64, added: i64, node: i64) -> bool {
        let cap = if self.rounds_up && node > 0 {
            (cap + node - 1) / node * node
        } else {
            cap
        };
        held + added <= cap.max(node)
    }
}

struct Book<'a, V> {
    holdings: &'a Holdings,
    caps: Caps,
    vcpus: &'a V,
}

/// A cell of a cut: the places in it, and the nodes given to it.
struct Cell<'a> {
    places: Vec<&'a Market>,
    nodes: i64,
}

impl<V: Fn(&InstanceTypeName) -> i64> Book<'_, V> {
    /// The first cut that takes all nodes with the flexibility wanted, else the least narrow one.
    fn cut(&self, wanted: &Wanted<'_>, suffices: &impl Fn(&[Market]) -> bool) -> Option<Vec<Portion>> {
        let open: Vec<&Market> = wanted
            .candidates
            .iter()
            .filter(|place| self.bears_one(place))
            .collect();
        let types: BTreeSet<_> = open.iter().map(|place| &place.instance_type).collect();
        let zones: BTreeSet<_> = open.iter().map(|place| &place.zone).collect();
        let groups = types.len().min(GROUPS_MAX);
        let mut cuts: Vec<(usize, usize)> = (1..=zones.len())
            .flat_map(|zones| (1..=groups).map(move |types| (zones, types)))
            .collect();
        cuts.sort_by_key(|(zones, types)| (zones * types, *zones));
        let mut best: Option<Vec<Portion>> = None;
        for (zones, types) in cuts {
            let widest_now = best.as_deref().map_or(0, narrowest);
            // So many cells share the places that none of these cuts can do better.
            if widest_now >= wanted.flexibility.min(open.len() / (zones * types)) && best.is_some() {
                break;
            }
            let cells = cells(&open, zones, types);
            let is_enough = cells.iter().all(|cell| suffices(&owned(&cell.places)));
            let portions = is_enough.then(|| self.deal(cells, wanted.nodes)).flatten();
            if let Some(portions) = portions.filter(|portions| narrowest(portions) > widest_now) {
                best = Some(portions);
            }
        }
        best
    }

    fn bears_one(&self, place: &Market) -> bool {
        let node = (self.vcpus)(&place.instance_type);
        let caps = &self.caps;
        caps.bears(caps.market, self.holdings.market(place), node, node)
            && caps.bears(
                caps.instance_type,
                self.holdings.of_type(&place.instance_type),
                node,
                node,
            )
            && caps.bears(caps.zone, self.holdings.zone(&place.zone), node, node)
    }

    /// Gives nodes to cells one by one; `None` when one finds no cell.
    fn deal(&self, mut cells: Vec<Cell<'_>>, nodes: usize) -> Option<Vec<Portion>> {
        let mut load = Load::default();
        for _ in 0..nodes {
            let chosen = (0..cells.len())
                .filter(|index| self.bears(&cells[*index], &load))
                .min_by_key(|index| (cells[*index].nodes, *index))?;
            let cell = &mut cells[chosen];
            cell.nodes += 1;
            load.add(cell, self.vcpus);
        }
        let taken = cells.into_iter().filter(|cell| cell.nodes > 0);
        Some(
            taken
                .map(|cell| Portion {
                    nodes: usize::try_from(cell.nodes).unwrap_or(0),
                    markets: owned(&cell.places),
                })
                .collect(),
        )
    }

    /// Whether a cell can bear one more node, whichever of its places EC2 picks for all of the cell's nodes.
    fn bears(&self, cell: &Cell<'_>, load: &Load) -> bool {
        let caps = &self.caps;
        let nodes = cell.nodes + 1;
        let mut zones: BTreeMap<&Zone, i64> = BTreeMap::new();
        for place in &cell.places {
            let node = (self.vcpus)(&place.instance_type);
            let worst = zones.entry(&place.zone).or_default();
            *worst = (*worst).max(node);
            let held_of_type =
                self.holdings.of_type(&place.instance_type) + load.of_type(&place.instance_type);
            let is_borne = caps.bears(caps.market, self.holdings.market(place), node * nodes, node)
                && caps.bears(caps.instance_type, held_of_type, node, node);
            if !is_borne {
                return false;
            }
        }
        zones.into_iter().all(|(zone, node)| {
            let held = self.holdings.zone(zone) + load.zone(zone);
            caps.bears(caps.zone, held, node, node)
        })
    }
}

/// What the cells of a cut hold so far, by type and by zone.
#[derive(Default)]
struct Load {
    types: BTreeMap<InstanceTypeName, i64>,
    zones: BTreeMap<Zone, i64>,
}

impl Load {
    fn add(&mut self, cell: &Cell<'_>, vcpus: &impl Fn(&InstanceTypeName) -> i64) {
        let types: BTreeSet<_> = cell.places.iter().map(|place| &place.instance_type).collect();
        let mut zones: BTreeMap<&Zone, i64> = BTreeMap::new();
        for place in &cell.places {
            let worst = zones.entry(&place.zone).or_default();
            *worst = (*worst).max(vcpus(&place.instance_type));
        }
        for name in types {
            *self.types.entry(name.clone()).or_default() += vcpus(name);
        }
        for (zone, worst) in zones {
            *self.zones.entry(zone.clone()).or_default() += worst;
        }
    }

    fn of_type(&self, name: &InstanceTypeName) -> i64 {
        self.types.get(name).copied().unwrap_or(0)
    }

    fn zone(&self, zone: &Zone) -> i64 {
        self.zones.get(zone).copied().unwrap_or(0)
    }
}

fn owned(places: &[&Market]) -> Vec<Market> {
    places.iter().map(|place| (*place).clone()).collect()
}

/// Cuts places into cells: zones and types dealt into groups by rank.
fn cells<'a>(open: &[&'a Market], zone_groups: usize, groups: usize) -> Vec<Cell<'a>> {
    let mut group_of: BTreeMap<&InstanceTypeName, usize> = BTreeMap::new();
    for place in open {
        let next = group_of.len() % groups;
        group_of.entry(&place.instance_type).or_insert(next);
    }
    let mut zone_of: BTreeMap<&Zone, usize> = BTreeMap::new();
    for place in open {
        let next = zone_of.len() % zone_groups;
        zone_of.entry(&place.zone).or_insert(next);
    }
    let mut cells: BTreeMap<(usize, usize), Vec<&Market>> = BTreeMap::new();
    for place in open {
        let group = group_of.get(&place.instance_type).copied().unwrap_or(0);
        let zone = zone_of.get(&place.zone).copied().unwrap_or(0);
        // Diagonal order: neighbours differ in both group and zone, so that the first nodes do.
        let diagonal = (group + groups - zone % groups) % groups;
        cells.entry((diagonal, zone)).or_default().push(place);
    }
    cells
        .into_values()
        .map(|places| Cell { places, nodes: 0 })
        .collect()
}

/// The last resort: each node where least is booked, over all places that are equally light there.
fn spill(
    holdings: &mut Holdings,
    wanted: &Wanted<'_>,
    vcpus: &impl Fn(&InstanceTypeName) -> i64,
    suffices: &impl Fn(&[Market]) -> bool,
) -> Vec<Portion> {
    let mut portions: Vec<Portion> = Vec::new();
    for _ in 0..wanted.nodes {
        let weight = |place: &Market| {
            let zone = holdings.zone(&place.zone);
            let of_type = holdings.of_type(&place.instance_type);
            (holdings.market(place), zone.max(of_type))
        };
        let lightest = wanted.candidates.iter().map(weight).min().unwrap_or_default();
        let mut markets: Vec<Market> = wanted
            .candidates
            .iter()
            .filter(|place| weight(place) == lightest)
            .cloned()
            .collect();
        if !suffices(&markets) {
            markets = wanted.candidates.to_vec();
        }
        holdings.book(&markets, 1, vcpus);
        match portions.iter_mut().find(|portion| portion.markets == markets) {
            Some(portion) => portion.nodes += 1,
            None => portions.push(Portion { nodes: 1, markets }),
        }
    }
    portions
}

#[cfg(test)]
mod tests;
