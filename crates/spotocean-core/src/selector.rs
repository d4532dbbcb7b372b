//! Label selectors over pods and namespaces (metav1.LabelSelector).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::requirement::{Labels, Operator};

/// One expression of a label selector. Unlike node requirements, keys are
/// taken as written: pods' labels have no deprecated spellings.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Expression {
    /// The label's key.
    pub key: Arc<str>,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: Operator,
    /// The values for `In` and `NotIn`.
    pub values: Vec<Arc<str>>,
}

/// A label selector: every label and every expression must hold. The empty
/// selector matches everything; "no selector" is an `Option` around this.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LabelSelector {
    /// Labels that must be equal.
    pub match_labels: Labels,
    /// Expressions that must hold.
    pub match_expressions: Vec<Expression>,
}

impl LabelSelector {
    /// Whether an object with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self
                .match_expressions
                .iter()
                .all(|expression| expression.matches(labels))
    }
}

impl Expression {
    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let is_listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            Operator::In => is_listed,
            Operator::NotIn => !is_listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            // The apiserver refuses ordering operators in a LabelSelector.
            Operator::Gt | Operator::Lt | Operator::Gte | Operator::Lte => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn a_selector_needs_all_its_parts() {
        let selector = LabelSelector {
            match_labels: labels(&[("app", "web")]),
            match_expressions: vec![Expression {
                key: "tier".into(),
                operator: Operator::NotIn,
                values: vec!["db".into()],
            }],
        };
        assert!(selector.matches(&labels(&[("app", "web")])));
        assert!(!selector.matches(&labels(&[("app", "web"), ("tier", "db")])));
        assert!(!selector.matches(&labels(&[("tier", "x")])));
        assert!(LabelSelector::default().matches(&labels(&[])));
    }
}
