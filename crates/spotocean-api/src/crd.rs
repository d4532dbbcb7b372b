//! The CustomResourceDefinitions, in the form in which they are applied.
//!
//! What kube's derive makes is correct but wordy; here it is brought to the form that an apiserver keeps
//! unchanged: no nulls, no formats it does not know, `default: {}` on parents.

use crate::{ocean_launch::OceanLaunch, ocean_node::OceanNode, spot_ocean::SpotOcean};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

/// The three kinds, in the order in which they are applied.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![
        definition::<SpotOcean>(),
        definition::<OceanNode>(),
        definition::<OceanLaunch>(),
    ]
}

fn definition<Kind: CustomResourceExt>() -> CustomResourceDefinition {
    let mut value = serde_json::to_value(Kind::crd()).expect("a derived definition is plain data");
    if let Some(versions) = value.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        for schema in versions
            .iter_mut()
            .filter_map(|version| version.pointer_mut("/schema/openAPIV3Schema"))
        {
            normalize(schema);
        }
    }
    value["spec"]["conversion"] = json!({"strategy": "None"});
    serde_json::from_value(value).expect("normalizing keeps the form of a definition")
}

fn normalize(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    schema.remove("nullable");
    schema.remove("title");
    remove_unknown_format(schema);
    shorten_default(schema);
    join_lines(schema);
    for (keyword, children) in schema.iter_mut() {
        match keyword.as_str() {
            "properties" => children
                .as_object_mut()
                .into_iter()
                .flatten()
                .for_each(|(_, child)| normalize(child)),
            "items" | "additionalProperties" => normalize(children),
            _ => {}
        }
    }
}

/// The apiserver warns about `uint32` and the like; the range is in `minimum` and `maximum` anyway.
fn remove_unknown_format(schema: &mut Map<String, Value>) {
    if schema
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|format| format.starts_with("uint"))
    {
        schema.remove("format");
    }
}

/// A parent's default is `{}`: the apiserver fills in the children's own.
fn shorten_default(schema: &mut Map<String, Value>) {
    if schema.get("default").is_some_and(Value::is_object) {
        schema.insert("default".to_owned(), json!({}));
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}

/// Doc comments are wrapped for their source file; `kubectl explain` wraps for its terminal.
fn join_lines(schema: &mut Map<String, Value>) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description
            .split("\n\n")
            .map(|paragraph| paragraph.replace('\n', " "))
            .collect::<Vec<_>>()
            .join("\n\n");
    }
}
