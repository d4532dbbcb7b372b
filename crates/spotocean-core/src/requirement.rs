//! Requirements on node labels: one vocabulary for pod node affinity, pool
//! requirements and volume topology.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::label;

/// Labels of one object.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// How a requirement compares a label with its values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Operator {
    /// The label is one of the values.
    In,
    /// The label is none of the values, or is absent.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
    /// The label is an integer above the value.
    Gt,
    /// The label is an integer below the value.
    Lt,
    /// The label is an integer at or above the value (pools only).
    Gte,
    /// The label is an integer at or below the value (pools only).
    Lte,
}

impl Operator {
    /// Kubernetes' word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
            Self::Gt => "Gt",
            Self::Lt => "Lt",
            Self::Gte => "Gte",
            Self::Lte => "Lte",
        }
    }

    /// Reads Kubernetes' word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::In,
            Self::NotIn,
            Self::Exists,
            Self::DoesNotExist,
            Self::Gt,
            Self::Lt,
            Self::Gte,
            Self::Lte,
        ]
        .into_iter()
        .find(|operator| operator.as_str() == text)
    }
}

/// One requirement on one label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Requirement {
    /// The label's key, already [`label::normalized`].
    pub key: Arc<str>,
    /// How it compares.
    pub operator: Operator,
    /// The values; one integer for the ordering operators, none for the existence ones.
    pub values: Vec<Arc<str>>,
}

impl Requirement {
    /// A requirement on `key`, with deprecated keys replaced by today's.
    pub fn new<'a>(key: &str, operator: Operator, values: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            key: label::normalized(key).into(),
            operator,
            values: values.into_iter().map(Arc::from).collect(),
        }
    }

    /// Whether a node with these labels satisfies the requirement
    /// (k8s.io/component-helpers `nodeaffinity`; `NotIn` holds for an absent label).
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_value(labels.get(&self.key).map(AsRef::as_ref))
    }

    /// Whether the requirement holds for one label value, `None` when absent.
    #[must_use]
    pub fn matches_value(&self, value: Option<&str>) -> bool {
        let is_listed = |value: &str| self.values.iter().any(|listed| listed.as_ref() == value);
        match self.operator {
            Operator::In => value.is_some_and(is_listed),
            Operator::NotIn => !value.is_some_and(is_listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => self.compares(value, |label, bound| label > bound),
            Operator::Lt => self.compares(value, |label, bound| label < bound),
            Operator::Gte => self.compares(value, |label, bound| label >= bound),
            Operator::Lte => self.compares(value, |label, bound| label <= bound),
        }
    }

    fn compares(&self, value: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let label = value.and_then(|value| value.parse().ok());
        let bound = self.values.first().and_then(|bound| bound.parse().ok());
        label.zip(bound).is_some_and(|(label, bound)| holds(label, bound))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.operator.as_str())?;
        if self.values.is_empty() {
            return Ok(());
        }
        write!(f, " [{}]", self.values.join(", "))
    }
}

/// All of `requirements` hold for a node with these labels.
#[must_use]
pub fn all_match(requirements: &[Requirement], labels: &Labels) -> bool {
    requirements.iter().all(|requirement| requirement.matches(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_decide_as_kubernetes_does() {
        use Operator::{DoesNotExist, Exists, Gt, Gte, In, Lt, Lte, NotIn};
        let rows = [
            (In, vec!["a", "b"], Some("a"), true),
            (In, vec!["a"], None, false),
            (NotIn, vec!["a"], Some("a"), false),
            (NotIn, vec!["a"], None, true),
            (Exists, vec![], Some(""), true),
            (DoesNotExist, vec![], None, true),
            (Gt, vec!["4"], Some("5"), true),
            (Gt, vec!["4"], Some("4"), false),
            (Gt, vec!["4"], Some("many"), false),
            (Gt, vec!["4"], None, false),
            (Lt, vec!["4"], Some("-5"), true),
            (Gte, vec!["4"], Some("4"), true),
            (Lte, vec!["4"], Some("5"), false),
        ];
        for (operator, values, label, expected) in rows {
            let requirement = Requirement::new("k", operator, values);
            assert_eq!(
                requirement.matches_value(label),
                expected,
                "{requirement} on {label:?}"
            );
        }
    }

    #[test]
    fn deprecated_keys_mean_todays() {
        let requirement = Requirement::new(
            "failure-domain.beta.kubernetes.io/zone",
            Operator::In,
            ["us-east-1a"],
        );
        assert_eq!(requirement.key.as_ref(), label::ZONE);
    }
}
