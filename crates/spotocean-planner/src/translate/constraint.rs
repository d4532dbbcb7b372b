//! Selectors, affinity, tolerations and spread, with the defaults the apiserver and kube-scheduler apply.
//!
//! Knows one pod at a time; which nodes or pods match is the solver's question.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector as ApiSelector;
use spotocean_core::id::Namespace;
use spotocean_core::pod::NodeTerm;
use spotocean_core::requirement::{Labels, Operator, Requirement};
use spotocean_core::selector::{Expression, LabelSelector};
use spotocean_core::taint::{TaintEffect, Toleration, TolerationOperator};
use spotocean_core::topology::{NodeInclusion, PodAffinityTerm, TopologySpread, Weighted, WhenUnsatisfiable};

/// A sentence about a field that could not be read.
pub(super) type Unreadable = Arc<str>;

/// A pod's node selector as requirements.
pub(super) fn node_selector(selector: Option<&BTreeMap<String, String>>) -> Vec<Requirement> {
    selector
        .into_iter()
        .flatten()
        .map(|(key, value)| Requirement::new(key, Operator::In, [value.as_str()]))
        .collect()
}

/// Alternatives of a node selector. A term without any requirement matches nothing (core/v1 NodeSelectorTerm) and is left out.
pub(super) fn node_terms(selector: &v1::NodeSelector) -> Result<Vec<NodeTerm>, Unreadable> {
    let terms = selector.node_selector_terms.iter().map(node_term);
    let is_empty = |term: &NodeTerm| term.expressions.is_empty() && term.fields.is_empty();
    Ok(terms
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .filter(|term| !is_empty(term))
        .collect())
}

/// One term of node affinity.
pub(super) fn node_term(term: &v1::NodeSelectorTerm) -> Result<NodeTerm, Unreadable> {
    let all = |list: Option<&Vec<v1::NodeSelectorRequirement>>| {
        let requirements = list.into_iter().flatten().map(node_requirement);
        requirements.collect::<Result<Vec<_>, Unreadable>>()
    };
    Ok(NodeTerm {
        expressions: all(term.match_expressions.as_ref())?,
        fields: all(term.match_fields.as_ref())?,
    })
}

fn node_requirement(requirement: &v1::NodeSelectorRequirement) -> Result<Requirement, Unreadable> {
    let values = requirement.values.iter().flatten().map(String::as_str);
    let operator = operator(&requirement.operator)?;
    Ok(Requirement::new(&requirement.key, operator, values))
}

fn operator(word: &str) -> Result<Operator, Unreadable> {
    Operator::parse(word).ok_or_else(|| format!("its operator {word:?} is not known here").into())
}

/// A label selector over pods or namespaces.
pub(super) fn label_selector(selector: &ApiSelector) -> Result<LabelSelector, Unreadable> {
    let expressions = selector.match_expressions.iter().flatten().map(|expression| {
        Ok(Expression {
            key: expression.key.as_str().into(),
            operator: operator(&expression.operator)?,
            values: expression
                .values
                .iter()
                .flatten()
                .map(|value| value.as_str().into())
                .collect(),
        })
    });
    Ok(LabelSelector {
        match_labels: labels(selector.match_labels.as_ref()),
        match_expressions: expressions.collect::<Result<_, Unreadable>>()?,
    })
}

fn labels(pairs: Option<&BTreeMap<String, String>>) -> Labels {
    pairs
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
        .collect()
}

/// Tolerations; one with an operator unknown here is reported, for it may matter.
pub(super) fn tolerations(list: Option<&Vec<v1::Toleration>>) -> Result<Vec<Toleration>, Unreadable> {
    list.into_iter().flatten().map(toleration).collect()
}

fn toleration(toleration: &v1::Toleration) -> Result<Toleration, Unreadable> {
    let operator = match toleration.operator.as_deref() {
        None | Some("" | "Equal") => TolerationOperator::Equal,
        Some("Exists") => TolerationOperator::Exists,
        Some(other) => return Err(format!("its toleration operator {other:?} is not known here").into()),
    };
    let effect =
        match toleration.effect.as_deref() {
            None | Some("") => None,
            Some(word) => Some(TaintEffect::parse(word).ok_or_else(|| {
                Unreadable::from(format!("its toleration effect {word:?} is not known here"))
            })?),
        };
    Ok(Toleration {
        key: toleration.key.as_deref().unwrap_or_default().into(),
        operator,
        value: toleration.value.as_deref().unwrap_or_default().into(),
        effect,
    })
}

/// Topology spread constraints, `matchLabelKeys` merged into the selector (KEP-3243).
pub(super) fn spread(
    list: Option<&Vec<v1::TopologySpreadConstraint>>,
    own: Option<&BTreeMap<String, String>>,
) -> Result<Vec<TopologySpread>, Unreadable> {
    list.into_iter()
        .flatten()
        .map(|constraint| one_spread(constraint, own))
        .collect()
}

fn one_spread(
    constraint: &v1::TopologySpreadConstraint,
    own: Option<&BTreeMap<String, String>>,
) -> Result<TopologySpread, Unreadable> {
    let mut selector = constraint
        .label_selector
        .as_ref()
        .map(label_selector)
        .transpose()?;
    if let Some(selector) = &mut selector {
        merge_keys(selector, constraint.match_label_keys.as_ref(), own, Operator::In);
    }
    let inclusion = |word: Option<&str>, default| match word {
        Some("Honor") => NodeInclusion::Honor,
        Some("Ignore") => NodeInclusion::Ignore,
        _ => default,
    };
    Ok(TopologySpread {
        max_skew: i64::from(constraint.max_skew),
        topology_key: spotocean_core::label::normalized(&constraint.topology_key).into(),
        when_unsatisfiable: match constraint.when_unsatisfiable.as_str() {
            "ScheduleAnyway" => WhenUnsatisfiable::ScheduleAnyway,
            _ => WhenUnsatisfiable::DoNotSchedule,
        },
        selector,
        min_domains: constraint.min_domains.map(i64::from),
        node_affinity_policy: inclusion(constraint.node_affinity_policy.as_deref(), NodeInclusion::Honor),
        node_taints_policy: inclusion(constraint.node_taints_policy.as_deref(), NodeInclusion::Ignore),
    })
}

/// Adds `key operator [own value]` for each listed key the pod carries, unless the apiserver has done so already.
fn merge_keys(
    selector: &mut LabelSelector,
    keys: Option<&Vec<String>>,
    own: Option<&BTreeMap<String, String>>,
    operator: Operator,
) {
    for key in keys.into_iter().flatten() {
        let Some(value) = own.and_then(|own| own.get(key)) else {
            continue;
        };
        let expression = Expression {
            key: key.as_str().into(),
            operator,
            values: vec![value.as_str().into()],
        };
        if !selector.match_expressions.contains(&expression) {
            selector.match_expressions.push(expression);
        }
    }
}

/// Whose pod a term belongs to: its namespace and labels fill the term's defaults.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    /// The pod's namespace.
    pub(super) namespace: &'a str,
    /// The pod's labels.
    pub(super) labels: Option<&'a BTreeMap<String, String>>,
}

/// Required terms of pod affinity or anti-affinity.
pub(super) fn affinity_terms(
    list: Option<&Vec<v1::PodAffinityTerm>>,
    subject: Subject<'_>,
) -> Result<Vec<PodAffinityTerm>, Unreadable> {
    list.into_iter()
        .flatten()
        .map(|term| affinity_term(term, subject))
        .collect()
}

/// Preferred terms of pod affinity or anti-affinity.
pub(super) fn weighted_affinity_terms(
    list: Option<&Vec<v1::WeightedPodAffinityTerm>>,
    subject: Subject<'_>,
) -> Result<Vec<Weighted<PodAffinityTerm>>, Unreadable> {
    let weighted = |term: &v1::WeightedPodAffinityTerm| {
        Ok(Weighted {
            weight: i64::from(term.weight),
            term: affinity_term(&term.pod_affinity_term, subject)?,
        })
    };
    list.into_iter().flatten().map(weighted).collect()
}

fn affinity_term(term: &v1::PodAffinityTerm, subject: Subject<'_>) -> Result<PodAffinityTerm, Unreadable> {
    let mut selector = term.label_selector.as_ref().map(label_selector).transpose()?;
    if let Some(selector) = &mut selector {
        merge_keys(
            selector,
            term.match_label_keys.as_ref(),
            subject.labels,
            Operator::In,
        );
        merge_keys(
            selector,
            term.mismatch_label_keys.as_ref(),
            subject.labels,
            Operator::NotIn,
        );
    }
    let mut namespaces: BTreeSet<Namespace> = term
        .namespaces
        .iter()
        .flatten()
        .map(|name| name.as_str().into())
        .collect();
    if namespaces.is_empty() && term.namespace_selector.is_none() {
        namespaces.insert(subject.namespace.into());
    }
    Ok(PodAffinityTerm {
        topology_key: spotocean_core::label::normalized(&term.topology_key).into(),
        selector,
        namespaces,
        namespace_selector: term.namespace_selector.as_ref().map(label_selector).transpose()?,
    })
}
