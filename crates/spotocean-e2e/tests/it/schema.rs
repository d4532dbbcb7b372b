//! The kinds as the real apiserver judges them: what users may write is taken
//! and stays as it is, what they may not is refused with the sentence that says so.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use spotocean_e2e::kubectl::Kubectl;
use spotocean_e2e::repository;
use spotocean_e2e::stack::{Shape, Stack, StackPlan};

/// What the first line of a bad manifest names: a part of the refusal.
const EXPECT: &str = "# expect: ";

/// One stack for every row: manifests are judged one after another and do not meet.
#[tokio::test]
async fn the_apiserver_judges_manifests_as_their_authors_need() -> Result<()> {
    let stack = Stack::start(&StackPlan::new(Shape::Schemas)).await?;
    let kubectl = stack.kubectl();
    let mut wrong = Vec::new();
    for (folder, judge) in FOLDERS {
        for file in manifests(folder)? {
            if let Err(reason) = judge(&kubectl, &fs::read_to_string(&file)?) {
                wrong.push(format!("{}: {reason:#}", file.display()));
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} manifests were judged otherwise:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    kinds_read_well(&kubectl)
}

type Judge = fn(&Kubectl, &str) -> Result<()>;

const FOLDERS: [(&str, Judge); 4] = [
    ("crates/spotocean-e2e/manifests/good", taken_and_stable),
    ("examples", taken_and_stable),
    ("crates/spotocean-e2e/manifests/bad", refused),
    ("crates/spotocean-e2e/manifests/update", refused_as_a_change),
];

fn manifests(folder: &str) -> Result<Vec<PathBuf>> {
    let directory = repository::path(folder);
    let entries =
        fs::read_dir(&directory).with_context(|| format!("{} cannot be read", directory.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    ensure!(!files.is_empty(), "{} holds no manifest", directory.display());
    Ok(files)
}

/// Applied, and applied again without a difference: schema defaults must not look like drift.
fn taken_and_stable(kubectl: &Kubectl, manifest: &str) -> Result<()> {
    kubectl.apply(manifest)?;
    let before = kubectl.run_with(
        &["get", "-f", "-", "--output=jsonpath={.metadata.generation}"],
        manifest,
    )?;
    kubectl.apply(manifest)?;
    let after = kubectl.run_with(
        &["get", "-f", "-", "--output=jsonpath={.metadata.generation}"],
        manifest,
    )?;
    ensure!(
        before == after,
        "applying it again changed its generation from {before} to {after}"
    );
    let difference = kubectl.ask(
        &["diff", "--server-side", "--force-conflicts", "-f", "-"],
        manifest,
    )?;
    ensure!(
        difference.success,
        "it differs from what was stored: {}",
        difference.output
    );
    kubectl
        .run_with(&["delete", "-f", "-", "--wait=false"], manifest)
        .map(drop)
}

fn refused(kubectl: &Kubectl, manifest: &str) -> Result<()> {
    let answer = kubectl.ask(&["create", "--dry-run=server", "-f", "-"], manifest)?;
    ensure!(!answer.success, "it was taken");
    says(&answer.error, expected(manifest)?)
}

/// The first document is taken, the second, a change of it, is refused.
fn refused_as_a_change(kubectl: &Kubectl, manifest: &str) -> Result<()> {
    let (first, second) = manifest
        .split_once("\n---\n")
        .context("two documents are needed: before and after")?;
    kubectl.apply(first)?;
    let answer = kubectl.ask(
        &["apply", "--server-side", "--force-conflicts", "-f", "-"],
        second,
    )?;
    kubectl.run_with(&["delete", "-f", "-", "--wait=false"], first)?;
    ensure!(!answer.success, "the change was taken");
    says(&answer.error, expected(manifest)?)
}

fn expected(manifest: &str) -> Result<&str> {
    let first = manifest.lines().next().unwrap_or_default();
    first
        .strip_prefix(EXPECT)
        .with_context(|| format!("the first line must be `{EXPECT}…`"))
}

fn says(refusal: &str, expected: &str) -> Result<()> {
    ensure!(
        refusal.contains(expected),
        "refused, but without {expected:?}: {}",
        refusal.trim()
    );
    Ok(())
}

/// What a user types first.
fn kinds_read_well(kubectl: &Kubectl) -> Result<()> {
    let example = fs::read_to_string(repository::path("examples/01-minimal.yaml"))?;
    kubectl.apply(&example)?;
    for (arguments, expected) in [
        (
            &["get", "oceans"][..],
            &[
                "NAME",
                "READY",
                "NODES",
                "SPOT",
                "ON-DEMAND",
                "PENDING",
                "$/HOUR",
                "SAVED",
                "AGE",
            ][..],
        ),
        (&["get", "ocean", "demo", "--no-headers"], &["demo"]),
        (
            &["explain", "spotocean.spec.strategy"],
            &["KIND:", "SpotOcean", "maxShare", "fallbackToOnDemand"],
        ),
        (&["explain", "oceannode.spec"], &["OceanNode", "poolName"]),
    ] {
        let output = kubectl.run(arguments)?;
        let absent: Vec<&&str> = expected.iter().filter(|word| !output.contains(**word)).collect();
        ensure!(
            absent.is_empty(),
            "kubectl {} does not show {absent:?}:\n{output}",
            arguments.join(" ")
        );
    }
    Ok(())
}
