//! Bounded schema fragments for lists, maps and strings.
//!
//! Every collection a user can write has an upper bound, because the apiserver prices each CEL rule at the
//! largest object the schema allows and refuses the CRD when a rule costs too much.

use crate::quantity::QUANTITY_PATTERN;
use schemars::{Schema, SchemaGenerator, json_schema};

/// Labels: values as Kubernetes has them (63 characters, may be empty).
pub(crate) fn label_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 50,
        "additionalProperties": {"type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"},
    })
}

/// Annotations: any text, bounded.
pub(crate) fn annotation_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 50,
        "additionalProperties": {"type": "string", "maxLength": 1024},
    })
}

/// EC2 tags. EC2 allows 50 on a resource; the operator needs up to ten of those itself.
pub(crate) fn tag_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 40,
        "additionalProperties": {"type": "string", "maxLength": 256},
    })
}

/// Tags to select by: at least one where given.
pub(crate) fn tag_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 20,
        "additionalProperties": {"type": "string", "maxLength": 256},
    })
}

/// Amounts by resource name.
pub(crate) fn quantity_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 20,
        "additionalProperties": {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": true,
            "minimum": 0,
            "maxLength": 32,
            "pattern": QUANTITY_PATTERN,
        },
    })
}

/// Eviction thresholds by signal: a quantity or a percentage.
pub(crate) fn threshold_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 8,
        "additionalProperties": {
            "type": "string",
            "maxLength": 32,
            "pattern": r"^([0-9]{1,2}(\.[0-9]+)?%|100%|[0-9]+(\.[0-9]+)?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?)$",
        },
    })
}

/// Durations by eviction signal.
pub(crate) fn duration_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 8,
        "additionalProperties": {"type": "string", "minLength": 2, "maxLength": 16, "pattern": crate::duration::DURATION_PATTERN},
    })
}

/// A list of at most `ITEMS` strings of at most `LENGTH` characters.
pub(crate) fn strings<const ITEMS: u32, const LENGTH: u32>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": ITEMS, "items": {"type": "string", "maxLength": LENGTH}})
}

/// A list of label values: at most 50 of at most 63 characters.
pub(crate) fn label_values(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 50,
        "items": {"type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"},
    })
}

/// EC2 tags of a launch: the user's and the operator's own together.
pub(crate) fn launch_tag_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 50,
        "additionalProperties": {"type": "string", "maxLength": 256},
    })
}

/// Requirements as the operator writes them on OceanNodes: those of pods are among them, so any label key may
/// occur, and an instance type list can be as long as the catalogue.
pub(crate) fn node_requirements(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 200,
        "items": {
            "type": "object",
            "required": ["key", "operator"],
            "properties": {
                "key": {"type": "string", "maxLength": 317},
                "operator": {"type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"]},
                "values": {"type": "array", "maxItems": 2000, "items": {"type": "string", "maxLength": 63}},
                "minValues": {"type": "integer", "minimum": 1},
            },
        },
    })
}

/// EBS volume sizes, 1 GiB to 64 TiB. A bare number is let through to the rule that explains the unit.
pub(crate) fn volume_size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": true,
        "maxLength": 16,
        "pattern": "^([1-9][0-9]{0,4}(Gi)?|([1-9]|[1-5][0-9]|6[0-4])Ti)$",
    })
}
