//! What one pod may use, looking at one node alone: node selector and required
//! affinity, taints, volumes' topology. Decided as kube-scheduler's NodeAffinity,
//! TaintToleration and VolumeBinding plugins do. Knows nothing of other pods.

use spotocean_core::label;
use spotocean_core::pod::{NodeTerm, PodShape};
use spotocean_core::requirement::{Labels, Requirement};
use spotocean_core::taint::{self, Taint};

use crate::problem::VolumeDemand;

/// Whether an absent label is really absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Certainty {
    /// The labels are complete.
    Complete,
    /// The machine is not known yet: labels that its type and zone decide may still come.
    MachineUnknown,
}

/// A node, there or imagined, as node predicates see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeView<'a> {
    /// Its labels.
    pub(crate) labels: &'a Labels,
    /// Its taints.
    pub(crate) taints: &'a [Taint],
    /// Its name, once it has one.
    pub(crate) name: Option<&'a str>,
    /// How far its labels are known.
    pub(crate) certainty: Certainty,
}

/// Node selector and required node affinity hold.
pub(crate) fn selector_admits(shape: &PodShape, node: NodeView<'_>) -> bool {
    shape
        .node_selector
        .iter()
        .all(|requirement| holds(requirement, node))
        && shape
            .node_terms
            .as_ref()
            .is_none_or(|terms| any_term_holds(terms, node))
}

/// Every volume can be reached from there.
pub(crate) fn volumes_admit(volumes: &[VolumeDemand], node: NodeView<'_>) -> bool {
    volumes.iter().all(|demand| {
        demand
            .terms
            .as_ref()
            .is_none_or(|terms| any_term_holds(terms, node))
    })
}

/// No hard taint speaks against it.
pub(crate) fn taints_admit(shape: &PodShape, taints: &[Taint]) -> bool {
    taint::untolerated(taints, &shape.tolerations).is_none()
}

/// Terms are alternatives; a term without any requirement matches nothing
/// (k8s.io/component-helpers `nodeaffinity.isEmptyNodeSelectorTerm`).
pub(crate) fn any_term_holds(terms: &[NodeTerm], node: NodeView<'_>) -> bool {
    terms.iter().any(|term| {
        let is_empty = term.expressions.is_empty() && term.fields.is_empty();
        !is_empty && term_holds(term, node)
    })
}

/// All requirements of one term hold.
pub(crate) fn term_holds(term: &NodeTerm, node: NodeView<'_>) -> bool {
    let mut expressions = term.expressions.iter();
    expressions.all(|requirement| holds(requirement, node))
        && term.fields.iter().all(|field| field.matches_value(node.name))
}

/// Whether the requirement holds for certain.
pub(crate) fn holds(requirement: &Requirement, node: NodeView<'_>) -> bool {
    let is_open = node.certainty == Certainty::MachineUnknown
        && !node.labels.contains_key(&requirement.key)
        && is_decided_by_machine(&requirement.key);
    !is_open && requirement.matches(node.labels)
}

/// Labels that only the bought instance settles.
pub(crate) fn is_decided_by_machine(key: &str) -> bool {
    const EXACT: [&str; 9] = [
        label::ZONE,
        label::REGION,
        label::INSTANCE_TYPE,
        label::ARCH,
        label::HOSTNAME,
        label::ZONE_ID,
        label::CAPACITY_TYPE,
        label::KARPENTER_CAPACITY_TYPE,
        label::EKS_CAPACITY_TYPE,
    ];
    EXACT.contains(&key) || key.starts_with("spotocean.dev/instance-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use spotocean_core::requirement::Operator;

    fn view(labels: &Labels, certainty: Certainty) -> NodeView<'_> {
        NodeView {
            labels,
            taints: &[],
            name: Some("n1"),
            certainty,
        }
    }

    #[test]
    fn a_label_still_to_come_is_never_counted_on() {
        let labels = Labels::new();
        let not_in_a = Requirement::new(label::ZONE, Operator::NotIn, ["a"]);
        let absent = Requirement::new("team", Operator::DoesNotExist, []);
        let rows = [
            (&not_in_a, Certainty::Complete, true),
            (&not_in_a, Certainty::MachineUnknown, false),
            (&absent, Certainty::MachineUnknown, true),
        ];
        for (requirement, certainty, expected) in rows {
            assert_eq!(
                holds(requirement, view(&labels, certainty)),
                expected,
                "{requirement} {certainty:?}"
            );
        }
    }

    #[test]
    fn an_empty_term_matches_nothing_and_fields_match_the_name() {
        let labels = Labels::new();
        let node = view(&labels, Certainty::Complete);
        let term = |fields: Vec<Requirement>| NodeTerm {
            expressions: vec![],
            fields,
        };
        let named = |operator, name| Requirement::new("metadata.name", operator, [name]);
        let rows = [
            (vec![], false),
            (vec![term(vec![])], false),
            (vec![term(vec![named(Operator::In, "n1")])], true),
            (vec![term(vec![named(Operator::In, "n2")])], false),
            (vec![term(vec![]), term(vec![named(Operator::NotIn, "n2")])], true),
        ];
        for (terms, expected) in rows {
            assert_eq!(any_term_holds(&terms, node), expected, "{terms:?}");
        }
    }
}
