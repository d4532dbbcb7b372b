//! Every rule of the schema has a manifest that it refuses, so that no sentence is written and never seen.
//!
//! Whether the apiserver says that sentence is tested on a real one, in spotocean-e2e.

use serde_json::Value;
use spotocean_api::crd::definitions;
use std::{collections::BTreeSet, fs, path::Path};

/// The sentences that manifests expect, from their first lines.
fn expectations() -> BTreeSet<String> {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spotocean-e2e/manifests");
    let folders = ["bad", "update"].map(|folder| manifests.join(folder));
    let paths = folders
        .iter()
        .flat_map(|folder| folder.read_dir().unwrap())
        .map(|entry| entry.unwrap().path());
    paths.map(|path| expectation(&path)).collect()
}

fn expectation(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let line = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# expect: "));
    line.unwrap_or_else(|| panic!("{} does not begin with `# expect: `", path.display()))
        .to_owned()
}

/// Collects the rules at and below `schema`.
fn rules<'schema>(schema: &'schema Value, found: &mut Vec<&'schema Value>) {
    found.extend(
        schema["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten(),
    );
    schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .for_each(|(_, child)| rules(child, found));
    for keyword in ["items", "additionalProperties"] {
        if schema[keyword].is_object() {
            rules(&schema[keyword], found);
        }
    }
}

#[test]
fn every_rule_refuses_some_manifest() {
    let expectations = expectations();
    let definitions: Vec<_> = definitions()
        .iter()
        .map(|definition| serde_json::to_value(definition).unwrap())
        .collect();
    let mut found = Vec::new();
    for definition in &definitions {
        rules(
            definition
                .pointer("/spec/versions/0/schema/openAPIV3Schema")
                .unwrap(),
            &mut found,
        );
    }
    let unseen: BTreeSet<_> = found
        .into_iter()
        .filter(|rule| !is_expected(rule, &expectations))
        .map(sentence)
        .collect();
    assert!(
        unseen.is_empty(),
        "no manifest in spotocean-e2e/manifests is refused with:\n{unseen:#?}"
    );
}

fn is_expected(rule: &Value, expectations: &BTreeSet<String>) -> bool {
    let sentence = sentence(rule);
    expectations
        .iter()
        .any(|expected| match rule["message"].as_str() {
            Some(_) => sentence.contains(expected.as_str()),
            None => expected.starts_with(sentence),
        })
}

/// The sentence of a rule, or how it begins where it goes on with the value that was found.
fn sentence(rule: &Value) -> &str {
    let expression = || {
        rule["messageExpression"]
            .as_str()
            .and_then(|expression| expression.split('\'').nth(1))
    };
    rule["message"]
        .as_str()
        .or_else(expression)
        .expect("every rule has a sentence")
}
