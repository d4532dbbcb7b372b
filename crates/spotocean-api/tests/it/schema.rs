//! The schema's own rules: bounded, described, structural, no default inside a list.

use serde_json::Value;
use spotocean_api::crd::definitions;

/// Far below etcd's and the apiserver's limits, and what `kubectl apply` can still put into an annotation.
const DEFINITION_BYTES_MAX: usize = 200_000;

fn definitions_json() -> Vec<Value> {
    definitions()
        .iter()
        .map(|definition| serde_json::to_value(definition).unwrap())
        .collect()
}

/// Visits every schema below `schema` with its path and whether it is inside a list.
fn visit(schema: &Value, path: &str, in_list: bool, check: &mut impl FnMut(&Value, &str, bool)) {
    check(schema, path, in_list);
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        visit(child, &format!("{path}.{name}"), in_list, check);
    }
    if schema["items"].is_object() {
        visit(&schema["items"], &format!("{path}[]"), true, check);
    }
    if schema["additionalProperties"].is_object() {
        visit(
            &schema["additionalProperties"],
            &format!("{path}.*"),
            in_list,
            check,
        );
    }
}

fn visit_all(mut check: impl FnMut(&Value, &str, bool)) {
    for definition in definitions_json() {
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        for part in ["spec", "status"] {
            let pointer = format!("/spec/versions/0/schema/openAPIV3Schema/properties/{part}");
            visit(
                definition.pointer(&pointer).unwrap(),
                &format!("{kind}.{part}"),
                false,
                &mut check,
            );
        }
    }
}

#[test]
fn collections_and_texts_are_bounded() {
    visit_all(|schema, path, _| {
        // metav1's conditions come as Kubernetes has them.
        if path.contains(".conditions[]") {
            return;
        }
        let bounded = match schema["type"].as_str() {
            Some("array") => schema["maxItems"].is_u64(),
            Some("object") if schema["additionalProperties"].is_object() => schema["maxProperties"].is_u64(),
            Some("object") => schema["properties"].is_object(),
            Some("string") => {
                schema["maxLength"].is_u64() || schema["enum"].is_array() || schema["format"] == "date-time"
            }
            Some("integer" | "boolean") => true,
            None => schema["x-kubernetes-int-or-string"] == true && schema["maxLength"].is_u64(),
            Some(_) => false,
        };
        assert!(
            bounded,
            "{path} is unbounded or of a type that the kinds do not use: {schema}"
        );
    });
}

#[test]
fn nothing_in_a_list_has_a_default() {
    visit_all(|schema, path, in_list| assert!(!in_list || schema.get("default").is_none(), "{path}"));
}

#[test]
fn parents_of_defaults_default_to_nothing_but_braces() {
    visit_all(|schema, path, _| {
        let default = schema.get("default");
        assert!(
            !default.is_some_and(|default| default.is_object() && default != &serde_json::json!({})),
            "{path}"
        );
        assert!(schema.get("nullable").is_none(), "{path}");
    });
}

#[test]
fn every_field_is_described() {
    visit_all(|schema, path, _| {
        let field = !path.ends_with(".*")
            && !path.ends_with("[]")
            && !path.starts_with("OceanNode.spec.requirements");
        let described = schema["description"]
            .as_str()
            .is_some_and(|text| text.ends_with('.') || text.contains("http"));
        assert!(
            !field || described,
            "{path} needs a description that is a sentence"
        );
    });
}

#[test]
fn definitions_stay_small_and_need_no_webhook() {
    for definition in definitions_json() {
        let name = &definition["metadata"]["name"];
        let bytes = serde_json::to_vec(&definition).unwrap().len();
        assert!(bytes < DEFINITION_BYTES_MAX, "{name} has {bytes} bytes");
        assert_eq!(definition["spec"]["conversion"]["strategy"], "None", "{name}");
        assert_eq!(definition["spec"]["scope"], "Cluster", "{name}");
        assert!(
            definition["spec"]["versions"][0]["subresources"]["status"].is_object(),
            "{name}"
        );
    }
}

#[test]
fn columns_answer_the_first_question() {
    let expected = [
        (
            "SpotOcean",
            "Ready Nodes Spot On-Demand Pending $/Hour Saved Gap Age",
        ),
        (
            "OceanNode",
            "Pool Type Zone Capacity $/Hour Node Phase Reason Age",
        ),
        ("OceanLaunch", "Ocean Pool Capacity Wanted Attempt Phase Age"),
    ];
    for (definition, (kind, columns)) in definitions_json().iter().zip(expected) {
        assert_eq!(definition["spec"]["names"]["kind"], kind);
        let printed = definition["spec"]["versions"][0]["additionalPrinterColumns"]
            .as_array()
            .unwrap();
        let narrow = printed
            .iter()
            .filter(|column| column["priority"].as_u64().unwrap_or(0) == 0);
        let names: Vec<_> = narrow.map(|column| column["name"].as_str().unwrap()).collect();
        assert_eq!(names.join(" "), columns);
    }
}
