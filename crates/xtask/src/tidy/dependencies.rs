//! Dependencies point one way: which crate may name which, checked over what
//! cargo resolved. Does not read sources.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::sources::PURE_CRATES;
use crate::suite;

/// Every crate of the workspace and the crates of it that it may depend on.
const ALLOWED: [(&str, &[&str]); 10] = [
    ("aws-sim", &[]),
    ("spotocean-core", &[]),
    // For the label keys: the kinds and the decisions must not spell one key twice.
    ("spotocean-api", &["spotocean-core"]),
    ("spotocean-solver", &["spotocean-core"]),
    (
        "spotocean-planner",
        &["spotocean-api", "spotocean-core", "spotocean-solver"],
    ),
    ("spotocean-aws", &["spotocean-core"]),
    (
        "spotocean-operator",
        &[
            "spotocean-api",
            "spotocean-aws",
            "spotocean-core",
            "spotocean-planner",
            "spotocean-solver",
        ],
    ),
    (
        "kubectl-ocean",
        &[
            "spotocean-api",
            "spotocean-core",
            "spotocean-planner",
            "spotocean-solver",
        ],
    ),
    ("spotocean-e2e", &["spotocean-api"]),
    ("xtask", &["spotocean-api", "spotocean-core", "spotocean-e2e"]),
];

/// Allowed for tests alone: the SDK shell is tested against the simulator.
const ALLOWED_IN_TESTS: [(&str, &str); 1] = [("spotocean-aws", "aws-sim")];

/// What a pure crate may not reach, directly or through others.
const IMPURE: [&str; 9] = [
    "tokio",
    "reqwest",
    "hyper",
    "rand",
    "log",
    "tracing",
    "kube-client",
    "kube-runtime",
    "async-std",
];

/// What `cargo metadata` says, as far as the rules need it.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// Asks cargo.
pub(super) fn metadata() -> Result<Metadata> {
    let output = suite::cargo()
        .args(["metadata", "--format-version=1", "--locked"])
        .output()
        .context("cargo does not start")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata answered with something else")
}

/// Every dependency that points the wrong way.
pub(super) fn complaints(metadata: &Metadata) -> Vec<String> {
    let graph = Graph::of(metadata);
    graph
        .members
        .iter()
        .flat_map(|member| graph.judge(member))
        .collect()
}

/// Who depends on whom, by name.
struct Graph {
    members: BTreeSet<String>,
    normal: BTreeMap<String, BTreeSet<String>>,
    for_tests: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn of(metadata: &Metadata) -> Graph {
        let names: BTreeMap<&str, &str> = metadata
            .packages
            .iter()
            .map(|package| (package.id.as_str(), package.name.as_str()))
            .collect();
        let name = |id: &str| names.get(id).copied().unwrap_or(id).to_owned();
        let members = metadata.workspace_members.iter().map(|id| name(id)).collect();
        let mut graph = Graph {
            members,
            normal: BTreeMap::new(),
            for_tests: BTreeMap::new(),
        };
        for node in &metadata.resolve.nodes {
            for dependency in &node.deps {
                for kind in &dependency.dep_kinds {
                    let edges = match kind.kind.as_deref() {
                        None => &mut graph.normal,
                        Some("dev") => &mut graph.for_tests,
                        // Build scripts run on the builder's machine: they are no part of the program.
                        Some(_) => continue,
                    };
                    edges
                        .entry(name(&node.id))
                        .or_default()
                        .insert(name(&dependency.pkg));
                }
            }
        }
        graph
    }

    fn judge(&self, member: &str) -> Vec<String> {
        let mut found = Vec::new();
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == member) else {
            return vec![format!(
                "{member}: a new crate: say in xtask's tidy rules what it may depend on"
            )];
        };
        for target in self.normal.get(member).into_iter().flatten() {
            if self.members.contains(target) && !allowed.contains(&target.as_str()) {
                found.push(format!(
                    "{member} depends on {target}, which points the wrong way (ARCHITECTURE.md)"
                ));
            }
            if target.starts_with("aws-sdk-") && member != "spotocean-aws" {
                found.push(format!(
                    "{member} depends on {target}: only spotocean-aws names the AWS SDK"
                ));
            }
        }
        found.extend(self.judge_tests(member, allowed));
        found
    }

    fn judge_tests(&self, member: &str, allowed: &[&str]) -> Vec<String> {
        let targets = self.for_tests.get(member).into_iter().flatten();
        targets
            .filter(|target| self.members.contains(*target))
            .filter(|target| !allowed.contains(&target.as_str()))
            .filter(|target| !ALLOWED_IN_TESTS.contains(&(member, target.as_str())))
            .map(|target| format!("the tests of {member} depend on {target}, which points the wrong way"))
            .collect()
    }
}

/// Impure crates in the tree of each pure one, with the features it asks for itself: those of a
/// whole workspace are the union of what every crate asks for, and would blame the innocent.
pub(super) fn impurities() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for member in PURE_CRATES {
        found.extend(impure_names(member, &tree(member)?));
    }
    Ok(found)
}

fn tree(member: &str) -> Result<String> {
    let output = suite::cargo()
        .args([
            "tree",
            "--locked",
            "--edges=normal",
            "--prefix=none",
            "--package",
            member,
        ])
        .output()
        .context("cargo does not start")?;
    if !output.status.success() {
        bail!(
            "cargo tree failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn impure_names(member: &str, tree: &str) -> Vec<String> {
    let reached: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let impure = IMPURE.iter().filter(|name| reached.contains(**name));
    impure
        .map(|name| format!("{member} reaches {name}: it must stay pure (ARCHITECTURE.md)"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(normal: &[(&str, &str)], for_tests: &[(&str, &str)]) -> Graph {
        let edges = |pairs: &[(&str, &str)]| {
            let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for (from, to) in pairs {
                edges
                    .entry((*from).to_owned())
                    .or_default()
                    .insert((*to).to_owned());
            }
            edges
        };
        let members = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
        Graph {
            members,
            normal: edges(normal),
            for_tests: edges(for_tests),
        }
    }

    fn check(member: &str, normal: &[(&str, &str)], for_tests: &[(&str, &str)], expected: &[&str]) {
        let found = graph(normal, for_tests).judge(member);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (complaint, part) in found.iter().zip(expected) {
            assert!(complaint.contains(part), "{complaint} has no {part}");
        }
    }

    #[test]
    fn each_rule_has_a_graph_that_breaks_it() {
        check(
            "spotocean-core",
            &[("spotocean-core", "spotocean-aws")],
            &[],
            &["wrong way"],
        );
        check(
            "spotocean-operator",
            &[("spotocean-operator", "aws-sdk-ec2")],
            &[],
            &["only spotocean-aws"],
        );
        check("aws-sim", &[("aws-sim", "spotocean-core")], &[], &["wrong way"]);
        check(
            "spotocean-core",
            &[],
            &[("spotocean-core", "aws-sim")],
            &["the tests of spotocean-core"],
        );
        check("another", &[], &[], &["a new crate"]);
    }

    #[test]
    fn a_pure_crate_that_reaches_a_runtime_is_named() {
        assert_eq!(
            impure_names("spotocean-core", "spotocean-core v0.1.0\nserde v1\n"),
            Vec::<String>::new()
        );
        let found = impure_names("spotocean-core", "spotocean-core v0.1.0\nx v1\ntokio v1.0.0\n");
        assert!(found.len() == 1 && found[0].contains("tokio"), "{found:?}");
    }

    #[test]
    fn what_is_allowed_passes() {
        check(
            "spotocean-aws",
            &[("spotocean-aws", "aws-sdk-ec2")],
            &[("spotocean-aws", "aws-sim")],
            &[],
        );
        check(
            "spotocean-operator",
            &[("spotocean-operator", "spotocean-planner")],
            &[],
            &[],
        );
    }
}
