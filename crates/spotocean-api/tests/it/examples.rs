//! The examples parse, and what a reader fills in is what the schema fills in.

use spotocean_api::spot_ocean::{Mode, SpotOcean};
use std::{collections::BTreeMap, fs, path::Path};

fn examples() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let manifests = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    manifests
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into(),
                fs::read_to_string(path).unwrap(),
            )
        })
        .collect()
}

#[test]
fn examples_parse_and_keep_their_fields() {
    for (name, text) in examples() {
        let ocean: SpotOcean = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!ocean.spec.pools.is_empty(), "{name}");
    }
}

#[test]
fn the_minimal_example_is_minimal() {
    let text = &examples()["01-minimal.yaml"];
    assert!(text.lines().count() < 20, "{text}");
    let ocean: SpotOcean = serde_yaml::from_str(text).unwrap();
    assert_eq!(ocean.spec.mode, Mode::Manage);
    assert_eq!(
        (
            ocean.spec.strategy.max_share.market,
            ocean.spec.strategy.minimum_flexibility
        ),
        (15, 15)
    );
    assert_eq!(ocean.spec.template.metadata.http_put_response_hop_limit, 1);
}

/// Defaults stand in the schema for the apiserver and in the types for readers of plain files: they must agree.
#[test]
fn schema_defaults_agree_with_the_types() {
    let ocean: SpotOcean = serde_yaml::from_str(&examples()["01-minimal.yaml"]).unwrap();
    let spec = serde_json::to_value(&ocean.spec).unwrap();
    let definition = serde_json::to_value(&spotocean_api::crd::definitions()[0]).unwrap();
    let schema = definition
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .unwrap();
    check_defaults(schema, &spec, "spec");
}

fn check_defaults(schema: &serde_json::Value, value: &serde_json::Value, path: &str) {
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if child["properties"].is_object() && value[name].is_object() {
            check_defaults(child, &value[name], &path);
        } else if let Some(default) = child.get("default").filter(|default| !default.is_object()) {
            assert_eq!(value.get(name), Some(default), "{path}");
        }
    }
}
