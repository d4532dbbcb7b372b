//! The problem, compiled: classes, places, offers and constraints by index, and
//! the node predicates decided once for each pair of class and place.

use std::collections::BTreeMap;

use spotocean_core::capacity_type::CapacityType;
use spotocean_core::label;
use spotocean_core::pod::HostPort;

use crate::affinity;
use crate::assign;
use crate::dimension::{Dimensions, Vector};
use crate::feasible;
use crate::load::Load;
use crate::offer::{self, Cell, Market, Offer};
use crate::preference::{self, Ware};
use crate::problem::{PendingPod, PlacementNode, Problem};
use crate::queue::{self, Class};
use crate::site::{self, Sites};
use crate::topology::{self, Topology};
use crate::topology_key;

/// The compiled problem.
#[derive(Clone, Debug)]
pub(crate) struct Model<'p> {
    /// The problem.
    pub(crate) problem: &'p Problem,
    /// Resources.
    pub(crate) dimensions: Dimensions<'p>,
    /// Classes of pods.
    pub(crate) classes: Vec<Class<'p>>,
    /// What one pod of each class asks for.
    pub(crate) requests: Vec<Vector>,
    /// Pods that are not modelled.
    pub(crate) refused: Vec<&'p PendingPod>,
    /// Nodes there and on their way.
    pub(crate) sites: Sites<'p>,
    /// What may be bought.
    pub(crate) market: Market<'p>,
    /// Constraints between pods.
    pub(crate) topology: Topology,
    /// By class and site: no predicate of the node alone speaks against it.
    pub(crate) admits_site: Vec<Vec<bool>>,
    /// By class and cell: the same for nodes to buy.
    pub(crate) admits_cell: Vec<Vec<bool>>,
    /// By class and cell: admitted, and at least one pod fits some offer.
    pub(crate) serves: Vec<Vec<bool>>,
    /// By class and cell: serves, and is liked well enough for its price among those of its domains and level.
    pub(crate) suits: Vec<Vec<bool>>,
}

/// What cells share among which a wish about nodes decides: domains, and the level of preference.
type Rivals = (Vec<Option<usize>>, usize);

/// Compiles a problem.
pub(crate) fn model(problem: &Problem) -> Model<'_> {
    let mut nodes: Vec<&PlacementNode> = problem.nodes.iter().collect();
    nodes.sort_by_key(|node| &node.name);
    in_order(problem, &nodes)
}

/// Compiles a problem with its nodes in this order of preference.
pub(crate) fn in_order<'p>(problem: &'p Problem, nodes: &[&'p PlacementNode]) -> Model<'p> {
    let selected_keys = queue::selected_keys(problem);
    let queue = queue::queue(problem, &selected_keys);
    let dimensions = Dimensions::of(queue.classes.iter().map(|class| &class.shape().requests));
    let mut market = offer::market(problem, &dimensions, &offer::node_keys(problem));
    let mut sites = site::sites(nodes, &dimensions, &selected_keys);
    let keys = topology_key::keys(&queue.classes, &mut sites.sites, &mut market.cells);
    let topology = topology::topology(keys, &queue.classes, &sites, &market.cells, &problem.namespaces);
    let requests = queue
        .classes
        .iter()
        .map(|class| request(class, &dimensions))
        .collect();
    let mut model = Model {
        problem,
        dimensions,
        requests,
        classes: queue.classes,
        refused: queue.refused,
        sites,
        market,
        topology,
        admits_site: Vec::new(),
        admits_cell: Vec::new(),
        serves: Vec::new(),
        suits: Vec::new(),
    };
    model.decide();
    model
}

/// Every pod takes one place whatever its shape says.
fn request(class: &Class<'_>, dimensions: &Dimensions<'_>) -> Vector {
    let mut requests = class.shape().requests.clone();
    requests.pods = requests.pods.max(1);
    dimensions.request(&requests)
}

impl<'p> Model<'p> {
    /// The same without anybody's wishes.
    pub(crate) fn without_wishes(&self) -> Self {
        let mut model = self.clone();
        model.suits.clone_from(&model.serves);
        model.topology.drop_leanings();
        model
    }

    /// The same with only such offers worth planning with; `None` where that leaves none out.
    pub(crate) fn keeping(&self, keeps: impl Fn(usize, &Offer<'p>) -> bool) -> Option<Self> {
        let offers = &self.market.offers;
        let is_kept = |cell: &Cell<'_>, offer: &usize| keeps(cell.pool, &offers[*offer]);
        let mut cells = self.market.cells.iter();
        if cells.all(|cell| cell.shelf.iter().all(|offer| is_kept(cell, offer))) {
            return None;
        }
        let mut model = self.clone();
        for cell in &mut model.market.cells {
            let pool = cell.pool;
            cell.shelf.retain(|offer| keeps(pool, &offers[*offer]));
        }
        for class in 0..model.classes.len() {
            for cell in 0..model.market.cells.len() {
                let serves = model.serves[class][cell] && model.fits_some_offer(class, cell);
                model.serves[class][cell] = serves;
                model.suits[class][cell] &= serves;
            }
        }
        Some(model)
    }

    /// Whether any class has wishes that some choice of nodes could meet.
    pub(crate) fn has_wishes(&self) -> bool {
        !self.topology.leanings.is_empty() || (0..self.classes.len()).any(|class| self.has_likings(class))
    }

    /// Whether the class likes some cells that serve it more than others.
    pub(crate) fn has_likings(&self, class: usize) -> bool {
        let shape = self.classes[class].shape();
        let may = !shape.preferred_node_terms.is_empty() || self.has_soft_taints();
        let mut serving = self.serving(class);
        let first = serving.next().map(|cell| self.liking(class, cell));
        may && serving.any(|cell| Some(self.liking(class, cell)) != first)
    }

    fn has_soft_taints(&self) -> bool {
        let mut taints = self.market.pools.iter().flat_map(|pool| &pool.spec.taints);
        taints.any(|taint| !taint.is_hard())
    }

    fn decide(&mut self) {
        let classes = 0..self.classes.len();
        self.decide_predicates(classes.clone());
        self.suits = classes.map(|class| self.suiting_cells(class)).collect();
    }

    fn decide_predicates(&mut self, classes: std::ops::Range<usize>) {
        self.admits_site = classes
            .clone()
            .map(|class| {
                (0..self.sites.sites.len())
                    .map(|site| self.site_is_admissible(class, site))
                    .collect()
            })
            .collect();
        self.admits_cell = classes
            .clone()
            .map(|class| self.admissible_cells(class))
            .collect();
        self.serves = classes
            .map(|class| {
                (0..self.market.cells.len())
                    .map(|cell| self.admits_cell[class][cell] && self.fits_some_offer(class, cell))
                    .collect()
            })
            .collect();
    }

    /// Nothing about the node alone speaks against it; what other pods demand is left out.
    pub(crate) fn site_may_admit(&self, class: usize, site: usize) -> bool {
        let pending = self.classes[class].example;
        let site = &self.sites.sites[site];
        site.node.accepts_pods
            && feasible::taints_admit(&pending.pod.shape, &site.node.taints)
            && feasible::selector_admits(&pending.pod.shape, site.view())
            && feasible::volumes_admit(&pending.volumes, site.view())
    }

    fn site_is_admissible(&self, class: usize, site: usize) -> bool {
        let index = site;
        let site = &self.sites.sites[index];
        let forbidden = &self.topology.forbidden;
        let is_open = |key: &usize| site.is_open(&self.topology.keys.names[*key]);
        self.site_may_admit(class, index)
            && topology::needed_keys(&self.classes[class]).all(|key| site.has_key(key))
            && !forbidden.sites[class].contains(&index)
            && !self.is_forbidden(class, &site.values)
            && !self.topology.binding[class].iter().any(is_open)
            && !forbidden.domains[class].iter().any(|(key, _)| is_open(key))
    }

    fn admissible_cells(&self, class: usize) -> Vec<bool> {
        // Taints, ports and daemons differ by pool and daemon set alone.
        let mut by_company: BTreeMap<(usize, &[usize]), bool> = BTreeMap::new();
        self.market
            .cells
            .iter()
            .map(|cell| {
                *by_company
                    .entry((cell.pool, &cell.daemons))
                    .or_insert_with(|| self.company_admits(class, cell))
                    && self.labels_admit(class, cell)
            })
            .collect()
    }

    /// Pool and DaemonSets admit the class.
    fn company_admits(&self, class: usize, cell: &Cell<'_>) -> bool {
        let pending = self.classes[class].example;
        let shape = &pending.pod.shape;
        pending.served_by.contains(&self.market.pools[cell.pool].spec.key)
            && feasible::taints_admit(shape, cell.taints)
            && !ports_conflict(shape.host_ports.iter(), &cell.ports)
            && cell
                .daemons
                .iter()
                .all(|daemon| self.tolerates_daemon(class, *daemon))
    }

    /// Labels, volumes and pods already placed admit the class.
    fn labels_admit(&self, class: usize, cell: &Cell<'_>) -> bool {
        let pending = self.classes[class].example;
        let has_key = |key: &str| key == label::HOSTNAME || cell.labels.contains_key(key);
        feasible::selector_admits(&pending.pod.shape, cell.view())
            && feasible::volumes_admit(&pending.volumes, cell.view())
            && topology::needed_keys(&self.classes[class]).all(has_key)
            && !self.is_forbidden(class, &cell.values)
    }

    /// Neither the class nor the DaemonSet's pods refuse to be near the other.
    /// Wherever such a node is bought, the daemon is in all of its domains.
    pub(crate) fn tolerates_daemon(&self, class: usize, daemon: usize) -> bool {
        let class = &self.classes[class];
        let daemon = self.market.daemon_sets[daemon];
        let namespaces = &self.problem.namespaces;
        let of_class = &class.shape().anti_affinity;
        let of_daemon = &daemon.shape.anti_affinity;
        !of_class
            .iter()
            .any(|term| affinity::selects(term, &daemon.key.namespace, &daemon.labels, namespaces))
            && !of_daemon
                .iter()
                .any(|term| affinity::selects(term, class.namespace(), class.labels(), namespaces))
    }

    fn is_forbidden(&self, class: usize, values: &[Option<usize>]) -> bool {
        let domains = &self.topology.forbidden.domains[class];
        domains.iter().any(|(key, value)| values[*key] == Some(*value))
    }

    fn fits_some_offer(&self, class: usize, cell: usize) -> bool {
        let shelf = &self.market.cells[cell].shelf;
        shelf
            .iter()
            .any(|offer| Load::of_offer(self, *offer).room(self, class, 1) > 0)
    }

    /// The cells to buy from, where the class has wishes about nodes: of those that serve it in one combination of
    /// domains and at one level of preference.
    fn suiting_cells(&self, class: usize) -> Vec<bool> {
        if !self.has_likings(class) {
            return self.serves[class].clone();
        }
        let mut wares: BTreeMap<Rivals, Vec<(usize, Ware)>> = BTreeMap::new();
        for (cell, home) in self.market.cells.iter().enumerate() {
            if self.serves[class][cell] {
                let tuple = self.topology.tuple(class, &home.values);
                let spot_serves = self.spot_serves(class, Some(&tuple), home.pool);
                let ware = Ware {
                    liking: self.liking(class, cell),
                    price: assign::unit_price(self, class, cell),
                };
                let level = self.service_level(cell, spot_serves);
                wares.entry((tuple, level)).or_default().push((cell, ware));
            }
        }
        let mut suits = vec![false; self.market.cells.len()];
        for group in wares.into_values() {
            let known: Vec<Ware> = group.iter().map(|(_, ware)| *ware).collect();
            let least = preference::least_liked(&known);
            for (cell, ware) in group {
                suits[cell] = least.is_some_and(|least| ware.liking >= least);
            }
        }
        suits
    }

    /// The cells that serve a class.
    pub(crate) fn serving(&self, class: usize) -> impl Iterator<Item = usize> + Clone + '_ {
        (0..self.market.cells.len()).filter(move |cell| self.serves[class][*cell])
    }

    /// How well the class likes a cell's nodes.
    pub(crate) fn liking(&self, class: usize, cell: usize) -> i64 {
        preference::liking(self.classes[class].shape(), self.market.cells[cell].view())
    }

    /// Whether wishes keep the class from some cell that serves it, or tie it to domains.
    pub(crate) fn is_choosy(&self, class: usize) -> bool {
        self.suits[class] != self.serves[class] || !self.topology.leans[class].is_empty()
    }

    /// Whether some spot offer of `pool` serves the class, in these domains where given.
    pub(crate) fn spot_serves(&self, class: usize, tuple: Option<&[Option<usize>]>, pool: usize) -> bool {
        self.market.pools[pool].cells.iter().any(|index| {
            let cell = &self.market.cells[*index];
            cell.capacity_type == CapacityType::Spot
                && self.serves[class][*index]
                && tuple.is_none_or(|tuple| self.topology.tuple(class, &cell.values) == tuple)
        })
    }

    /// Where in the order of preference a cell stands, lower first: tiers
    /// strictly, and inside a tier the on-demand offers of a pool whose spot
    /// offers serve come after everything else.
    pub(crate) fn service_level(&self, cell: usize, spot_serves: bool) -> usize {
        let home = &self.market.cells[cell];
        let waits = home.capacity_type == CapacityType::OnDemand && spot_serves;
        self.market.pools[home.pool].tier * 2 + usize::from(waits)
    }
}

/// Whether any two ports cannot be bound on one node.
pub(crate) fn ports_conflict<'a>(
    mut wanted: impl Iterator<Item = &'a HostPort>,
    bound: &[&HostPort],
) -> bool {
    wanted.any(|port| bound.iter().any(|other| port.conflicts(other)))
}
