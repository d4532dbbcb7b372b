//! The last resort where fewer places exist than the share caps need: an even split, booked at the worst case.
//!
//! The candidates of n equal nodes are cut into cells, from few to many: zones
//! dealt round by rank into 1, 2, … groups, and types likewise, the groups of
//! types being the same in every group of zones. Nodes go one by one to the
//! cell with fewest of them that can bear one more in the worst case. A cut
//! that takes all nodes is good when each of its launches offers as many
//! places as `minimumFlexibility` asks for; where none does, the one whose
//! narrowest launch is widest is used. Each cell with nodes is a launch. Where
//! what the pool holds already is in the way of any cut, each node goes where
//! least is booked.

use std::collections::{BTreeMap, BTreeSet};

use spotocean_api::strategy::MaxShare;
use spotocean_core::id::{InstanceTypeName, Zone};
use spotocean_core::offering::Market;

use super::share::{Caps, Holdings, Portion, share};

/// Types are dealt into at most this many groups.
const GROUPS_MAX: usize = 12;

/// Equal nodes to buy on spot.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    /// How many, at least one.
    pub(super) nodes: usize,
    /// Any of these serves; best first. At least one.
    pub(super) candidates: &'a [Market],
    /// The pool's spot vCPUs after this whole pass, counted low.
    pub(super) total_vcpus: i64,
    /// The pool's caps.
    pub(super) caps: MaxShare,
    /// Places that each launch should offer.
    pub(super) flexibility: usize,
}

/// Splits equal nodes evenly. `suffices` says whether a launch's places alone are enough for it (`minValues`).
pub(super) fn split_evenly(
    holdings: &Holdings,
    wanted: &Wanted<'_>,
    vcpus: &impl Fn(&InstanceTypeName) -> i64,
    suffices: &impl Fn(&[Market]) -> bool,
) -> Vec<Portion> {
    let book = Book {
        holdings,
        caps: even_caps(wanted, vcpus),
        vcpus,
    };
    book.cut(wanted, suffices)
        .unwrap_or_else(|| spill(holdings.clone(), wanted, vcpus, suffices))
}

/// The caps, or an even share of each market, type and zone where that is more.
fn even_caps(wanted: &Wanted<'_>, vcpus: &impl Fn(&InstanceTypeName) -> i64) -> Caps {
    let candidates = wanted.candidates.iter();
    let types: BTreeSet<_> = candidates.clone().map(|place| &place.instance_type).collect();
    let zones: BTreeSet<_> = candidates.map(|place| &place.zone).collect();
    let largest = types.iter().map(|name| vcpus(name)).max().unwrap_or(0);
    // The nodes at hand count as the largest type they could come to, or an even split would not hold them.
    let nodes = i64::try_from(wanted.nodes).unwrap_or(i64::MAX);
    let total = wanted.total_vcpus.max(largest.saturating_mul(nodes));
    let even = |percent: u32, places: usize| {
        let places = i64::try_from(places.max(1)).unwrap_or(i64::MAX);
        share(percent, total).max((total + places - 1) / places)
    };
    Caps {
        market: even(wanted.caps.market, wanted.candidates.len()),
        instance_type: even(wanted.caps.instance_type, types.len()),
        zone: even(wanted.caps.zone, zones.len()),
    }
}

/// Whether a place that holds `held` may take `added` vCPUs in nodes of `node` vCPUs: caps are rounded up to a whole
/// node.
fn bears(cap: i64, held: i64, added: i64, node: i64) -> bool {
    let node = node.max(1);
    held + added <= cap.max(node).saturating_add(node - 1) / node * node
}

fn narrowest(portions: &[Portion]) -> usize {
    let places = portions.iter().map(|portion| portion.markets.len());
    places.min().unwrap_or(0)
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
        bears(caps.market, self.holdings.market(place), node, node)
            && bears(
                caps.instance_type,
                self.holdings.of_type(&place.instance_type),
                node,
                node,
            )
            && bears(caps.zone, self.holdings.zone(&place.zone), node, node)
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
            let is_borne = bears(caps.market, self.holdings.market(place), node * nodes, node)
                && bears(caps.instance_type, held_of_type, node, node);
            if !is_borne {
                return false;
            }
        }
        zones.into_iter().all(|(zone, node)| {
            let held = self.holdings.zone(zone) + load.zone(zone);
            bears(caps.zone, held, node, node)
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
    mut holdings: Holdings,
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
