//! A label selector, as metav1 has it but bounded.

use crate::schema;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Relation between a label and the values of a selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectorOperator {
    /// The label has one of the values.
    In,
    /// The label has none of the values, or is absent.
    NotIn,
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// One expression of a label selector.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!(self.operator in ['In', 'NotIn']) || (has(self.values) && self.values.size() > 0)", "In and NotIn need values: add at least one, or use Exists or DoesNotExist"),
    validation = ("!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || self.values.size() == 0", "Exists and DoesNotExist take no values: remove them, or use In or NotIn")
)]
pub struct SelectorExpression {
    /// Label key.
    #[schemars(length(min = 1, max = 128))]
    pub key: String,

    /// In, NotIn, Exists or DoesNotExist.
    pub operator: SelectorOperator,

    /// Values to compare with: none for Exists and DoesNotExist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::label_values")]
    pub values: Vec<String>,
}

/// A label selector; all of its parts must hold. Empty: everything.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must be present with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::label_map")]
    pub match_labels: BTreeMap<String, String>,

    /// Expressions that must hold as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub match_expressions: Vec<SelectorExpression>,
}
