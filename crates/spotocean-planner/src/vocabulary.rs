//! The contract's words as the domain's words, and back.
//!
//! Knows only how each is written; what they mean together is decided elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use spotocean_api as api;
use spotocean_api::quantity::Quantity;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::kubelet::KubeletSettings;
use spotocean_core::launch::ErrorScope;
use spotocean_core::port::SelectorTerm;
use spotocean_core::quantity;
use spotocean_core::requirement::{Labels, Operator, Requirement};
use spotocean_core::resources::Resources;
use spotocean_core::selector::{Expression, LabelSelector};
use spotocean_core::taint::{Taint, TaintEffect};

use api::capacity_type::CapacityType as ApiCapacityType;
use api::label_selector::SelectorOperator;
use api::ocean_launch::LaunchErrorScope;
use api::requirement::RequirementOperator;
use api::taint::TaintEffect as ApiTaintEffect;

/// The domain's capacity type.
#[must_use]
pub fn capacity_type(word: ApiCapacityType) -> CapacityType {
    match word {
        ApiCapacityType::Spot => CapacityType::Spot,
        ApiCapacityType::OnDemand => CapacityType::OnDemand,
    }
}

/// The contract's capacity type.
#[must_use]
pub fn api_capacity_type(word: CapacityType) -> ApiCapacityType {
    match word {
        CapacityType::Spot => ApiCapacityType::Spot,
        CapacityType::OnDemand => ApiCapacityType::OnDemand,
    }
}

/// The domain's taint.
#[must_use]
pub fn taint(taint: &api::taint::Taint) -> Taint {
    Taint {
        key: taint.key.as_str().into(),
        value: taint.value.as_deref().unwrap_or_default().into(),
        effect: match taint.effect {
            ApiTaintEffect::NoSchedule => TaintEffect::NoSchedule,
            ApiTaintEffect::PreferNoSchedule => TaintEffect::PreferNoSchedule,
            ApiTaintEffect::NoExecute => TaintEffect::NoExecute,
        },
    }
}

/// The domain's requirement on a node label.
#[must_use]
pub fn requirement(requirement: &api::requirement::Requirement) -> Requirement {
    let operator = match requirement.operator {
        RequirementOperator::In => Operator::In,
        RequirementOperator::NotIn => Operator::NotIn,
        RequirementOperator::Exists => Operator::Exists,
        RequirementOperator::DoesNotExist => Operator::DoesNotExist,
        RequirementOperator::Gt => Operator::Gt,
        RequirementOperator::Lt => Operator::Lt,
        RequirementOperator::Gte => Operator::Gte,
        RequirementOperator::Lte => Operator::Lte,
    };
    Requirement::new(
        &requirement.key,
        operator,
        requirement.values.iter().map(String::as_str),
    )
}

/// The domain's selector of pods or namespaces.
#[must_use]
pub fn label_selector(selector: &api::label_selector::LabelSelector) -> LabelSelector {
    LabelSelector {
        match_labels: labels(&selector.match_labels),
        match_expressions: selector
            .match_expressions
            .iter()
            .map(|expression| Expression {
                key: expression.key.as_str().into(),
                operator: match expression.operator {
                    SelectorOperator::In => Operator::In,
                    SelectorOperator::NotIn => Operator::NotIn,
                    SelectorOperator::Exists => Operator::Exists,
                    SelectorOperator::DoesNotExist => Operator::DoesNotExist,
                },
                values: expression
                    .values
                    .iter()
                    .map(|value| value.as_str().into())
                    .collect(),
            })
            .collect(),
    }
}

/// Labels, shared.
#[must_use]
pub fn labels(map: &BTreeMap<String, String>) -> Labels {
    map.iter()
        .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
        .collect()
}

/// Labels as the contract writes them.
#[must_use]
pub fn api_labels(labels: &Labels) -> BTreeMap<String, String> {
    labels
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

/// The kubelet settings that change allocatable.
#[must_use]
pub fn kubelet_settings(kubelet: &api::kubelet::Kubelet) -> KubeletSettings {
    let quantities = |map: &BTreeMap<String, Quantity>| {
        map.iter()
            .map(|(name, amount)| (Arc::from(name.as_str()), Arc::from(amount.0.as_str())))
            .collect()
    };
    KubeletSettings {
        max_pods: kubelet.max_pods.map(i64::from),
        pods_per_core: kubelet.pods_per_core.map(i64::from),
        kube_reserved: quantities(&kubelet.kube_reserved),
        system_reserved: quantities(&kubelet.system_reserved),
        eviction_hard: labels(&kubelet.eviction_hard),
    }
}

/// Selector terms of subnets or security groups.
#[must_use]
pub fn selector_terms(terms: &[api::template::SelectorTerm]) -> Vec<SelectorTerm> {
    terms
        .iter()
        .map(|term| SelectorTerm {
            id: term.id.as_deref().map(Arc::from),
            tags: labels(&term.tags),
            ..SelectorTerm::default()
        })
        .collect()
}

/// Selector terms of images.
#[must_use]
pub fn image_terms(terms: &[api::template::ImageTerm]) -> Vec<SelectorTerm> {
    terms
        .iter()
        .map(|term| SelectorTerm {
            id: term.id.as_deref().map(Arc::from),
            name: term.name.as_deref().map(Arc::from),
            tags: labels(&term.tags),
            owner: term.owner.as_deref().map(Arc::from),
            ssm_parameter: term.ssm_parameter.as_deref().map(Arc::from),
        })
        .collect()
}

/// Amounts by resource name; what cannot be read is left out.
#[must_use]
pub fn resources(map: &BTreeMap<String, Quantity>) -> Resources {
    let mut resources = Resources::default();
    for (name, text) in map {
        if let Some(amount) = amount(name, text) {
            resources.set(name, amount);
        }
    }
    resources
}

/// One amount in the domain's units: milli-CPU for `cpu`, bytes or counts otherwise.
#[must_use]
pub fn amount(name: &str, text: &Quantity) -> Option<i64> {
    if name == "cpu" {
        quantity::parse_milli(&text.0).ok()
    } else {
        quantity::parse_units(&text.0).ok()
    }
}

/// Resources as the contract writes them; zero amounts are left out.
#[must_use]
pub fn quantities(resources: &Resources) -> BTreeMap<String, Quantity> {
    let own = [
        ("cpu", format!("{}m", resources.cpu_millis), resources.cpu_millis),
        (
            "memory",
            resources.memory_bytes.to_string(),
            resources.memory_bytes,
        ),
        (
            "ephemeral-storage",
            resources.ephemeral_storage_bytes.to_string(),
            resources.ephemeral_storage_bytes,
        ),
        ("pods", resources.pods.to_string(), resources.pods),
    ];
    let own = own
        .into_iter()
        .map(|(name, text, amount)| (name.to_owned(), text, amount));
    let extended = resources
        .extended
        .iter()
        .map(|(name, amount)| (name.to_string(), amount.to_string(), *amount));
    own.chain(extended)
        .filter(|(_, _, amount)| *amount > 0)
        .map(|(name, text, _)| (name, Quantity(text)))
        .collect()
}

/// The contract's word for what an error speaks about.
#[must_use]
pub fn api_error_scope(scope: ErrorScope) -> LaunchErrorScope {
    match scope {
        ErrorScope::Market => LaunchErrorScope::Market,
        ErrorScope::Offering => LaunchErrorScope::Offering,
        ErrorScope::Quota => LaunchErrorScope::Quota,
        ErrorScope::Subnet => LaunchErrorScope::Subnet,
        ErrorScope::Request => LaunchErrorScope::Request,
        ErrorScope::Account => LaunchErrorScope::Account,
        ErrorScope::Throttle => LaunchErrorScope::Throttle,
        ErrorScope::Nothing => LaunchErrorScope::Nothing,
    }
}
