//! Pod affinity and anti-affinity: which pods a term means, and what pods
//! already placed forbid to those that wait.
//!
//! As kube-scheduler's InterPodAffinity plugin: an affinity needs a pod that
//! matches *all* of the newcomer's affinity terms in the domain of each; the
//! first pod of a group that matches its own terms may go anywhere; anti-affinity
//! counts each term alone and holds in both directions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::id::Namespace;
use spotocean_core::label;
use spotocean_core::requirement::Labels;
use spotocean_core::topology::PodAffinityTerm;

use crate::queue::Class;
use crate::site::{Kind, Site};
use crate::topology_key::Keys;

/// Labels of namespaces.
pub(crate) type Namespaces = BTreeMap<Namespace, Arc<Labels>>;

/// Whether `term` means a pod with these labels in this namespace.
pub(crate) fn selects(
    term: &PodAffinityTerm,
    namespace: &Namespace,
    labels: &Labels,
    namespaces: &Namespaces,
) -> bool {
    let by_label = || {
        let none = Labels::new();
        let labels = namespaces.get(namespace).map_or(&none, AsRef::as_ref);
        term.namespace_selector
            .as_ref()
            .is_some_and(|selector| selector.matches(labels))
    };
    term.selector
        .as_ref()
        .is_some_and(|selector| selector.matches(labels))
        && (term.namespaces.contains(namespace) || by_label())
}

/// Whether every term means such a pod.
pub(crate) fn all_select(
    terms: &[PodAffinityTerm],
    namespace: &Namespace,
    labels: &Labels,
    namespaces: &Namespaces,
) -> bool {
    terms
        .iter()
        .all(|term| selects(term, namespace, labels, namespaces))
}

/// A class's required affinity.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Classes whose pods satisfy it.
    pub(crate) members: Vec<bool>,
    /// Whether the class satisfies its own terms.
    pub(crate) is_own_member: bool,
    /// Whether a term is about the node itself.
    pub(crate) is_on_host: bool,
    /// Pods that satisfy it, by site.
    pub(crate) residents: Vec<i64>,
    /// Pods that satisfy it in any domain of its keys.
    pub(crate) residents_in_domains: i64,
}

/// The affinity of one class that has any, with the classes that satisfy it and whether it is one of them.
pub(crate) fn group(
    class: &Class<'_>,
    (members, is_own_member): (Vec<bool>, bool),
    sites: &[Site<'_>],
    kinds: &[Kind<'_>],
    namespaces: &Namespaces,
) -> Group {
    let terms = &class.shape().affinity;
    let by_kind: Vec<bool> = kinds
        .iter()
        .map(|kind| all_select(terms, kind.namespace, kind.labels, namespaces))
        .collect();
    let residents: Vec<i64> = sites.iter().map(|site| counted(site, &by_kind)).collect();
    let in_domains = |site: &Site<'_>| terms.iter().any(|term| site.has_key(&term.topology_key));
    Group {
        members,
        is_own_member,
        is_on_host: terms.iter().any(|term| &*term.topology_key == label::HOSTNAME),
        residents_in_domains: sites
            .iter()
            .zip(&residents)
            .filter(|(site, _)| in_domains(site))
            .map(|(_, count)| count)
            .sum(),
        residents,
    }
}

/// Pods on a site whose kind is listed.
pub(crate) fn counted(site: &Site<'_>, by_kind: &[bool]) -> i64 {
    site.residents
        .iter()
        .filter(|(kind, _)| by_kind[*kind])
        .map(|(_, count)| count)
        .sum()
}

/// What the anti-affinity of pods already placed forbids, by class.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forbidden {
    /// Domains: topology key and value.
    pub(crate) domains: Vec<BTreeSet<(usize, usize)>>,
    /// Single sites.
    pub(crate) sites: Vec<BTreeSet<usize>>,
}

/// Reads the anti-affinity of pods already placed.
pub(crate) fn forbidden(
    classes: &[Class<'_>],
    sites: &[Site<'_>],
    keys: &Keys,
    namespaces: &Namespaces,
) -> Forbidden {
    let mut found = Forbidden {
        domains: vec![BTreeSet::new(); classes.len()],
        sites: vec![BTreeSet::new(); classes.len()],
    };
    let mut meant: BTreeMap<&PodAffinityTerm, Vec<usize>> = BTreeMap::new();
    for (index, site) in sites.iter().enumerate() {
        let pods = site.node.pods.iter().filter(|pod| pod.holds_resources());
        for term in pods.flat_map(|pod| &pod.shape.anti_affinity) {
            let meant = meant.entry(term).or_insert_with(|| {
                let selects =
                    |class: &Class<'_>| selects(term, class.namespace(), class.labels(), namespaces);
                (0..classes.len())
                    .filter(|class| selects(&classes[*class]))
                    .collect()
            });
            for class in meant {
                if &*term.topology_key == label::HOSTNAME {
                    found.sites[*class].insert(index);
                } else if let Some((key, value)) = keys.domain(&term.topology_key, site) {
                    found.domains[*class].insert((key, value));
                }
            }
        }
    }
    found
}
