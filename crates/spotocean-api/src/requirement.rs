//! What a pool asks of instance types, by node label.

use crate::{schema, validation};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Relation between a node label and the values of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RequirementOperator {
    /// The label has one of the values.
    In,
    /// The label has none of the values, or is absent.
    NotIn,
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The label is an integer greater than the value.
    Gt,
    /// The label is an integer less than the value.
    Lt,
    /// The label is an integer greater than or equal to the value.
    Gte,
    /// The label is an integer less than or equal to the value.
    Lte,
}

/// One condition on a node label.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = validation::requirement_key(),
    validation = validation::comparable_key(),
    validation = validation::closed_values("spotocean.dev/capacity-type", "['spot', 'on-demand']", "spotocean.dev/capacity-type is spot or on-demand: correct the value"),
    validation = validation::closed_values("kubernetes.io/arch", "['amd64', 'arm64']", "kubernetes.io/arch is amd64 or arm64: correct the value"),
    validation = validation::closed_values("kubernetes.io/os", "['linux']", "kubernetes.io/os is linux, the only system that is supported: remove the others"),
    validation = ("!(self.operator in ['In', 'NotIn']) || (has(self.values) && self.values.size() > 0)", "In and NotIn need values: add at least one, or use Exists or DoesNotExist"),
    validation = ("!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || self.values.size() == 0", "Exists and DoesNotExist take no values: remove them, or use In or NotIn"),
    validation = ("!(self.operator in ['Gt', 'Lt', 'Gte', 'Lte']) || (has(self.values) && self.values.size() == 1 && self.values[0].matches('^[0-9]{1,9}$'))", "Gt, Lt, Gte and Lte need exactly one value, a whole number such as 4"),
    validation = ("!has(self.minValues) || self.operator in ['In', 'Exists']", "minValues works with In and Exists only: change the operator, or remove minValues"),
    validation = ("!has(self.minValues) || self.operator != 'In' || !has(self.values) || self.minValues <= self.values.size()", "minValues is above the number of values: add values, or lower minValues")
)]
pub struct Requirement {
    /// Label key, such as spotocean.dev/instance-category, topology.kubernetes.io/zone or kubernetes.io/arch.
    #[schemars(length(min = 1, max = 128))]
    pub key: String,

    /// In, NotIn, Exists, DoesNotExist, or Gt, Lt, Gte, Lte for labels with integer values.
    pub operator: RequirementOperator,

    /// Values to compare with: none for Exists and DoesNotExist, one integer for Gt, Lt, Gte and Lte.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::label_values")]
    pub values: Vec<String>,

    /// Every launch must offer EC2 at least this many values of the label. Only with In and Exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50))]
    pub min_values: Option<u32>,
}
