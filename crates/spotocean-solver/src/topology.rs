//! Topology: the constraints that count pods per domain ([`crate::topology_key`]).
//!
//! Domains of the host name are single nodes and are handled as [`HostRule`]s:
//! a rule says how many pods of its members one node may hold once a pod of its
//! holder is there. All other keys are counted by [`Counter`]s. Counting follows
//! kube-scheduler's PodTopologySpread plugin (`calPreFilterState`): nodes count
//! when they carry every key of the pod's hard constraints and pass the
//! constraint's inclusion policies; terminating pods do not count.

use std::collections::{BTreeMap, BTreeSet};

use spotocean_core::topology::{NodeInclusion, TopologySpread, WhenUnsatisfiable};

use crate::affinity::{self, Forbidden, Group, Namespaces};
use crate::feasible::{self, NodeView};
use crate::host_rule::{self, HostRule};
use crate::offer::Cell;
use crate::preference::{self, Leaning};
use crate::queue::Class;
use crate::site::{Kind, Site, Sites};
use crate::topology_key::Keys;

/// What a counter demands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Policy {
    /// A topology spread.
    Spread {
        /// The largest difference to the emptiest domain.
        max_skew: i64,
        /// With fewer domains the emptiest counts as zero.
        min_domains: i64,
    },
    /// Anti-affinity: none of the members.
    Apart,
    /// Affinity: one of the members.
    Together,
}

/// A constraint of one class that counts pods per domain of a key.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    /// The class that holds it.
    pub(crate) holder: usize,
    /// The topology key.
    pub(crate) key: usize,
    /// What it demands.
    pub(crate) policy: Policy,
    /// Classes it counts.
    pub(crate) members: Vec<bool>,
    /// Pods already placed, by value.
    pub(crate) residents: Vec<i64>,
    /// Values that nodes there make a domain (spread only).
    pub(crate) domains: Vec<bool>,
    /// Sites that count.
    pub(crate) counts_site: Vec<bool>,
    /// Cells whose nodes count.
    pub(crate) counts_cell: Vec<bool>,
}

/// All constraints between pods.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topology {
    /// Topology keys.
    pub(crate) keys: Keys,
    /// Counters.
    pub(crate) counters: Vec<Counter>,
    /// Host rules.
    pub(crate) rules: Vec<HostRule>,
    /// Affinity by class.
    pub(crate) groups: Vec<Option<Group>>,
    /// What pods already placed forbid.
    pub(crate) forbidden: Forbidden,
    /// Wishes about other pods.
    pub(crate) leanings: Vec<Leaning>,
    /// Keys by class on whose values its nodes must be pinned.
    pub(crate) tracked: Vec<Vec<usize>>,
    /// Those of them that some constraint is about, and not only a wish.
    pub(crate) binding: Vec<Vec<usize>>,
    /// Leanings each class holds.
    pub(crate) leans: Vec<Vec<usize>>,
    /// Leanings that mean each class.
    pub(crate) leant_on: Vec<Vec<usize>>,
    /// Counters each class holds.
    pub(crate) held: Vec<Vec<usize>>,
    /// Counters that count each class.
    pub(crate) counted: Vec<Vec<usize>>,
    /// Rules each class holds.
    pub(crate) rules_held: Vec<Vec<usize>>,
    /// Rules that count each class.
    pub(crate) rules_counted: Vec<Vec<usize>>,
}

/// The hard spread constraints of a class.
pub(crate) fn hard_spread<'p>(class: &Class<'p>) -> impl Iterator<Item = &'p TopologySpread> {
    let spread = class.shape().spread.iter();
    spread.filter(|spread| spread.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule)
}

/// The topology keys that `class` needs its node to have.
pub(crate) fn needed_keys<'p>(class: &Class<'p>) -> impl Iterator<Item = &'p str> {
    let affinity = class.shape().affinity.iter().map(|term| &*term.topology_key);
    hard_spread(class)
        .map(|spread| &*spread.topology_key)
        .chain(affinity)
}

/// What constraints are compiled from.
pub(crate) struct Source<'a, 'p> {
    pub(crate) classes: &'a [Class<'p>],
    looks: Looks,
    sites: &'a [Site<'p>],
    pub(crate) kinds: &'a [Kind<'p>],
    cells: &'a [Cell<'p>],
    pub(crate) namespaces: &'a Namespaces,
}

/// Classes that look alike to selectors: they share namespace and labels. Far fewer than classes.
struct Looks {
    /// One class of each.
    examples: Vec<usize>,
    /// By class.
    of_class: Vec<usize>,
}

impl Looks {
    fn of(classes: &[Class<'_>]) -> Self {
        let mut known = BTreeMap::new();
        let mut looks = Self {
            examples: Vec::new(),
            of_class: Vec::new(),
        };
        for (index, class) in classes.iter().enumerate() {
            let look = *known
                .entry((class.namespace(), class.labels()))
                .or_insert(looks.examples.len());
            if look == looks.examples.len() {
                looks.examples.push(index);
            }
            looks.of_class.push(look);
        }
        looks
    }
}

/// Compiles the constraints of all classes.
pub(crate) fn topology(
    keys: Keys,
    classes: &[Class<'_>],
    sites: &Sites<'_>,
    cells: &[Cell<'_>],
    namespaces: &Namespaces,
) -> Topology {
    let source = Source {
        classes,
        looks: Looks::of(classes),
        sites: &sites.sites,
        kinds: &sites.kinds,
        cells,
        namespaces,
    };
    let mut topology = Topology {
        forbidden: affinity::forbidden(classes, source.sites, &keys, namespaces),
        keys,
        ..Topology::default()
    };
    for holder in 0..classes.len() {
        let group = source.group(holder);
        source.add_spread(&mut topology, holder);
        source.add_anti_affinity(&mut topology, holder);
        source.add_affinity(&mut topology, holder, group.as_ref());
        topology.groups.push(group);
    }
    let leanings = (0..classes.len()).flat_map(|class| preference::leanings(&source, class, &topology.keys));
    topology.leanings = leanings.collect();
    topology.index(classes.len());
    topology
}

impl<'p> Source<'_, 'p> {
    /// The classes that are meant, decided once for all that look alike.
    pub(crate) fn meant(&self, is_meant: impl Fn(&Class<'p>) -> bool) -> Vec<bool> {
        let looks = self.looks.examples.iter();
        let by_look: Vec<bool> = looks.map(|class| is_meant(&self.classes[*class])).collect();
        let of_class = self.looks.of_class.iter();
        of_class.map(|look| by_look[*look]).collect()
    }

    fn group(&self, holder: usize) -> Option<Group> {
        let class = &self.classes[holder];
        let terms = &class.shape().affinity;
        if terms.is_empty() {
            return None;
        }
        let members = self
            .meant(|other| affinity::all_select(terms, other.namespace(), other.labels(), self.namespaces));
        let is_own_member = members[holder];
        Some(affinity::group(
            class,
            (members, is_own_member),
            self.sites,
            self.kinds,
            self.namespaces,
        ))
    }

    fn add_spread(&self, topology: &mut Topology, holder: usize) {
        let class = &self.classes[holder];
        for spread in hard_spread(class) {
            let selects = |labels| {
                spread
                    .selector
                    .as_ref()
                    .is_some_and(|selector| selector.matches(labels))
            };
            let members =
                self.meant(|other| other.namespace() == class.namespace() && selects(other.labels()));
            let by_kind: Vec<bool> = self
                .kinds
                .iter()
                .map(|kind| !kind.is_ending && kind.namespace == class.namespace() && selects(kind.labels))
                .collect();
            match topology.keys.position(&spread.topology_key) {
                None => topology.rules.push(HostRule {
                    holders: self.only(holder),
                    members,
                    // A new node is an empty domain, so the emptiest counts as zero.
                    most: spread.max_skew,
                    is_spread: true,
                    residents: self.by_site(&by_kind),
                }),
                Some(key) => {
                    let counter = self.spread_counter(topology, holder, key, spread, members, &by_kind);
                    topology.counters.push(counter);
                }
            }
        }
    }

    fn spread_counter(
        &self,
        topology: &Topology,
        holder: usize,
        key: usize,
        spread: &TopologySpread,
        members: Vec<bool>,
        by_kind: &[bool],
    ) -> Counter {
        let class = &self.classes[holder];
        let includes = |node: NodeView<'_>| {
            let by_affinity = spread.node_affinity_policy == NodeInclusion::Ignore
                || feasible::selector_admits(class.shape(), node);
            let by_taints = spread.node_taints_policy == NodeInclusion::Ignore
                || feasible::taints_admit(class.shape(), node.taints);
            by_affinity && by_taints
        };
        let has_all_keys = |site: &Site<'_>| hard_spread(class).all(|each| site.has_key(&each.topology_key));
        let counts_site: Vec<bool> = self
            .sites
            .iter()
            .map(|site| has_all_keys(site) && includes(site.view()))
            .collect();
        let counts_cell = self.cells.iter().map(|cell| includes(cell.view())).collect();
        let mut counter = Counter {
            holder,
            key,
            policy: Policy::Spread {
                max_skew: spread.max_skew,
                min_domains: spread.min_domains.unwrap_or(1),
            },
            members,
            residents: vec![0; topology.keys.values[key].len()],
            domains: vec![false; topology.keys.values[key].len()],
            counts_site,
            counts_cell,
        };
        for (site, counts) in self.sites.iter().zip(&counter.counts_site) {
            if let (true, Some(value)) = (*counts, site.values[key]) {
                counter.domains[value] = true;
                counter.residents[value] += affinity::counted(site, by_kind);
            }
        }
        counter
    }

    fn add_anti_affinity(&self, topology: &mut Topology, holder: usize) {
        for term in &self.classes[holder].shape().anti_affinity {
            let selects = |namespace, labels| affinity::selects(term, namespace, labels, self.namespaces);
            let members = self.meant(|other| selects(other.namespace(), other.labels()));
            let by_kind: Vec<bool> = self
                .kinds
                .iter()
                .map(|kind| selects(kind.namespace, kind.labels))
                .collect();
            match topology.keys.position(&term.topology_key) {
                None => topology.rules.push(HostRule {
                    holders: self.only(holder),
                    most: i64::from(members[holder]),
                    is_spread: false,
                    members,
                    residents: self.by_site(&by_kind),
                }),
                Some(key) => {
                    let residents = self.by_site(&by_kind);
                    let counter =
                        self.plain_counter(topology, holder, key, Policy::Apart, members, &residents);
                    topology.counters.push(counter);
                }
            }
        }
    }

    fn add_affinity(&self, topology: &mut Topology, holder: usize, group: Option<&Group>) {
        let Some(group) = group else { return };
        let terms = &self.classes[holder].shape().affinity;
        let keys: BTreeSet<usize> = terms
            .iter()
            .filter_map(|term| topology.keys.position(&term.topology_key))
            .collect();
        for key in keys {
            let members = group.members.clone();
            let counter =
                self.plain_counter(topology, holder, key, Policy::Together, members, &group.residents);
            topology.counters.push(counter);
        }
    }

    fn plain_counter(
        &self,
        topology: &Topology,
        holder: usize,
        key: usize,
        policy: Policy,
        members: Vec<bool>,
        by_site: &[i64],
    ) -> Counter {
        let residents = self.by_value(&topology.keys, key, by_site);
        Counter {
            holder,
            key,
            policy,
            members,
            domains: vec![false; residents.len()],
            residents,
            counts_site: vec![true; self.sites.len()],
            counts_cell: vec![true; self.cells.len()],
        }
    }

    /// What is counted by site, by value of a key.
    pub(crate) fn by_value(&self, keys: &Keys, key: usize, by_site: &[i64]) -> Vec<i64> {
        let mut counts = vec![0; keys.values[key].len()];
        for (site, count) in self.sites.iter().zip(by_site) {
            if let Some(value) = site.values[key] {
                counts[value] += count;
            }
        }
        counts
    }

    fn only(&self, class: usize) -> Vec<bool> {
        (0..self.classes.len()).map(|other| other == class).collect()
    }

    /// Pods of these kinds, by site.
    pub(crate) fn by_site(&self, by_kind: &[bool]) -> Vec<i64> {
        self.sites
            .iter()
            .map(|site| affinity::counted(site, by_kind))
            .collect()
    }
}

/// By class, the positions of the sets that have it.
fn having(classes: usize, sets: &[&Vec<bool>]) -> Vec<Vec<usize>> {
    let of_class = |class: usize| (0..sets.len()).filter(|index| sets[*index][class]).collect();
    (0..classes).map(of_class).collect()
}

impl Topology {
    /// Builds the lookups by class.
    fn index(&mut self, classes: usize) {
        let held = |holders: Vec<usize>| {
            let mut by_class = vec![Vec::new(); classes];
            for (index, holder) in holders.into_iter().enumerate() {
                by_class[holder].push(index);
            }
            by_class
        };
        let counted: Vec<&Vec<bool>> = self.counters.iter().map(|counter| &counter.members).collect();
        self.counted = having(classes, &counted);
        self.held = held(self.counters.iter().map(|counter| counter.holder).collect());
        self.rules = host_rule::gathered(std::mem::take(&mut self.rules));
        let holders: Vec<&Vec<bool>> = self.rules.iter().map(|rule| &rule.holders).collect();
        self.rules_held = having(classes, &holders);
        let counted: Vec<&Vec<bool>> = self.rules.iter().map(|rule| &rule.members).collect();
        self.rules_counted = having(classes, &counted);
        self.tracked = (0..classes).map(|class| self.keys_of(class)).collect();
        self.track_hosts_of_companions();
        self.leans = held(self.leanings.iter().map(|leaning| leaning.holder).collect());
        let meant: Vec<&Vec<bool>> = self.leanings.iter().map(|leaning| &leaning.members).collect();
        self.leant_on = having(classes, &meant);
        self.binding.clone_from(&self.tracked);
        for (keys, leans) in self.tracked.iter_mut().zip(&self.leans) {
            let wished = leans.iter().map(|leaning| self.leanings[*leaning].key);
            let all: BTreeSet<usize> = wished.chain(keys.iter().copied()).collect();
            *keys = all.into_iter().collect();
        }
    }

    /// Forgets all wishes.
    pub(crate) fn drop_leanings(&mut self) {
        self.leanings.clear();
        for lists in [&mut self.leans, &mut self.leant_on] {
            lists.iter_mut().for_each(Vec::clear);
        }
        self.tracked.clone_from(&self.binding);
    }

    fn keys_of(&self, class: usize) -> Vec<usize> {
        let counters = self.held[class].iter().chain(&self.counted[class]);
        let keys: BTreeSet<usize> = counters.map(|counter| self.counters[*counter].key).collect();
        keys.into_iter().collect()
    }

    /// A pod that must share a node with another, and is itself counted in some
    /// domain, needs that node's domain to be known.
    fn track_hosts_of_companions(&mut self) {
        for class in 0..self.groups.len() {
            let Some(group) = self.groups[class].as_ref().filter(|group| group.is_on_host) else {
                continue;
            };
            let keys = self.tracked[class].clone();
            for member in (0..group.members.len()).filter(|member| group.members[*member]) {
                let tracked: BTreeSet<usize> = self.tracked[member].iter().chain(&keys).copied().collect();
                self.tracked[member] = tracked.into_iter().collect();
            }
        }
    }

    /// Whether a pod of `class` must share its node with a particular other pod.
    pub(crate) fn is_companion(&self, class: usize) -> bool {
        self.groups[class].as_ref().is_some_and(|group| group.is_on_host)
    }

    /// The values of `keys` among a node's values.
    pub(crate) fn tuple(&self, class: usize, values: &[Option<usize>]) -> Vec<Option<usize>> {
        self.tracked[class].iter().map(|key| values[*key]).collect()
    }
}
