//! Why one node that is there does not take one pod, looked at alone. Constraints between pods are the solver's.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spotocean_core::pod::{NodeTerm, Pod};
use spotocean_core::requirement::{Labels, Requirement, all_match};
use spotocean_core::resources::Resources;
use spotocean_core::taint::untolerated;
use spotocean_solver::problem::{NodeRef, PlacementNode, VolumeDemand};

/// The first thing that speaks against a node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Refusal {
    /// The pod is on it.
    Home,
    /// It takes no pods: cordoned, not ready, or being given back.
    Closed,
    /// A taint is not tolerated.
    Taint(Arc<str>),
    /// A label is not as the pod wants it.
    Label(Arc<str>),
    /// A volume cannot be reached from there, or no more can be attached.
    Volume(Arc<str>),
    /// A host port is taken.
    HostPort,
    /// Too little of a resource is free.
    Resource(Arc<str>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home => write!(f, "the pod is on it"),
            Self::Closed => write!(f, "takes no pods: cordoned, not ready or being given back"),
            Self::Taint(taint) => write!(f, "has taint {taint}, which the pod does not tolerate"),
            Self::Label(wanted) => write!(f, "does not match {wanted}"),
            Self::Volume(volume) => write!(f, "cannot attach volume {volume}"),
            Self::HostPort => write!(f, "has the host port taken"),
            Self::Resource(name) => write!(f, "has too little {name} free"),
        }
    }
}

/// What speaks against the node; `None` for nothing.
#[must_use]
pub fn refusal(pod: &Pod, volumes: &[VolumeDemand], node: &PlacementNode) -> Option<Refusal> {
    let shape = &pod.shape;
    if node.pods.iter().any(|own| own.key == pod.key) {
        return Some(Refusal::Home);
    }
    if !node.accepts_pods {
        return Some(Refusal::Closed);
    }
    if let Some(taint) = untolerated(&node.taints, &shape.tolerations) {
        return Some(Refusal::Taint(taint.to_string().into()));
    }
    if let Some(wanted) = unmet(&shape.node_selector, &node.labels) {
        return Some(Refusal::Label(wanted.to_string().into()));
    }
    let name = name_of(node);
    if let Some(terms) = shape
        .node_terms
        .as_ref()
        .filter(|terms| !any_holds(terms, &node.labels, name))
    {
        return Some(Refusal::Label(terms_text(terms).into()));
    }
    let is_unreachable = |demand: &&VolumeDemand| {
        let is_elsewhere = demand
            .terms
            .as_ref()
            .is_some_and(|terms| !any_holds(terms, &node.labels, name));
        is_elsewhere || !is_attachable(demand, volumes, node)
    };
    if let Some(demand) = volumes.iter().find(is_unreachable) {
        return Some(Refusal::Volume(demand.volume.clone()));
    }
    let mut bound = node.pods.iter().flat_map(|own| &own.shape.host_ports);
    if bound.any(|port| shape.host_ports.iter().any(|own| own.conflicts(port))) {
        return Some(Refusal::HostPort);
    }
    short(&shape.requests, &free(node)).map(Refusal::Resource)
}

/// A node's name, where it has one.
fn name_of(node: &PlacementNode) -> Option<&str> {
    match &node.name {
        NodeRef::Node(name) => Some(name.as_str()),
        NodeRef::OnItsWay(_) => None,
    }
}

/// The first requirement that labels do not meet.
pub(super) fn unmet<'a>(requirements: &'a [Requirement], labels: &Labels) -> Option<&'a Requirement> {
    requirements
        .iter()
        .find(|requirement| !requirement.matches(labels))
}

/// Whether one of the terms holds for a node; a term without requirements matches nothing.
pub(super) fn any_holds(terms: &[NodeTerm], labels: &Labels, name: Option<&str>) -> bool {
    terms.iter().any(|term| {
        let is_empty = term.expressions.is_empty() && term.fields.is_empty();
        !is_empty
            && all_match(&term.expressions, labels)
            && term.fields.iter().all(|field| field.matches_value(name))
    })
}

/// Alternatives as a person would say them.
pub(super) fn terms_text(terms: &[NodeTerm]) -> String {
    let term = |term: &NodeTerm| {
        let parts = term.expressions.iter().chain(&term.fields);
        parts.map(ToString::to_string).collect::<Vec<_>>().join(" and ")
    };
    let terms: Vec<String> = terms.iter().map(term).collect();
    if terms.is_empty() {
        "a node affinity without terms, which matches nothing".to_owned()
    } else {
        terms.join(", or ")
    }
}

fn is_attachable(demand: &VolumeDemand, volumes: &[VolumeDemand], node: &PlacementNode) -> bool {
    let Some((driver, limit)) = demand
        .driver
        .as_ref()
        .and_then(|driver| Some((driver, node.attach_limits.get(driver)?)))
    else {
        return true;
    };
    let there = node.attached.get(driver);
    let is_new = |own: &&VolumeDemand| {
        own.driver.as_ref() == Some(driver) && !there.is_some_and(|there| there.contains(&own.volume))
    };
    let wanted = volumes.iter().filter(is_new).count();
    let held = there.map_or(0, std::collections::BTreeSet::len);
    i64::try_from(held + wanted).is_ok_and(|count| count <= *limit)
}

fn free(node: &PlacementNode) -> Resources {
    let used = node.pods.iter().fold(node.reserved.clone(), |sum, pod| {
        let mut requests = pod.shape.requests.clone();
        requests.pods = requests.pods.max(1);
        sum.plus(&requests)
    });
    node.allocatable.minus(&used)
}

/// The first resource of which less is free than wanted.
pub(super) fn short(wanted: &Resources, free: &Resources) -> Option<Arc<str>> {
    names(wanted).into_iter().find(|name| {
        let amount = wanted.amount(name);
        amount > 0 && amount > free.amount(name)
    })
}

/// Every resource that is asked for.
pub(super) fn names(wanted: &Resources) -> Vec<Arc<str>> {
    const OWN: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "pods"];
    let own = OWN.into_iter().map(Arc::from);
    own.chain(wanted.extended.keys().cloned()).collect()
}
