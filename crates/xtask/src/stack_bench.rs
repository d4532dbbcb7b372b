//! `cargo xtask bench --stack`: the operator under load, on a running stack.
//!
//! Two figures. A burst: [`burst`] creates 1,000 pods of 20 shapes and reads
//! from the simulator's own log when the last CreateFleet was sent and how many
//! AWS calls it took. Memory: [`crowd`] fills the stores with 1,000 nodes and
//! 20,000 pods and reads the operator's resident set. Decides nothing but what
//! is measured; nothing fails for being slow.

mod burst;
mod crowd;

use std::fmt::Write as _;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use spotocean_e2e::operator::{Operator, OperatorPlan};
use spotocean_e2e::stack::{Shape, Stack, StackPlan};
use spotocean_e2e::{manifest, repository};

use crate::suite;

/// Writes under way at once; the apiserver takes some thousand a second.
const AT_ONCE: usize = 64;

/// One line of the result: what, and how much.
#[derive(Debug)]
struct Figure {
    what: &'static str,
    value: String,
}

fn figure(what: &'static str, value: impl Into<String>) -> Figure {
    Figure {
        what,
        value: value.into(),
    }
}

/// Builds, measures, prints.
pub(crate) fn run() -> Result<()> {
    suite::build_programs()?;
    let runtime = tokio::runtime::Runtime::new().context("no runtime can be started")?;
    runtime.block_on(measure())
}

async fn measure() -> Result<()> {
    let stack = Stack::start(&StackPlan::new(Shape::Cloud)).await?;
    let operator = Operator::start_ready(&stack, &OperatorPlan::new("operator")).await?;
    let client = stack.client().await?;
    manifest::apply(
        &client,
        &std::fs::read_to_string(repository::path("examples/01-minimal.yaml"))?,
    )
    .await?;
    print!("{}", table(&burst::measure(&stack, &operator, &client).await?));
    print!("{}", table(&crowd::measure(&stack, &operator, &client).await?));
    Ok(())
}

fn table(figures: &[Figure]) -> String {
    let width = figures.iter().map(|figure| figure.what.len()).max().unwrap_or(0);
    figures.iter().fold(String::new(), |mut text, figure| {
        // Writing to a string cannot fail.
        let _written = writeln!(text, "{:width$}  {}", figure.what, figure.value);
        text
    })
}

/// Creates pods, many at once.
async fn create(client: &Client, pods: Vec<Value>) -> Result<()> {
    let api: Api<Pod> = Api::namespaced(client.clone(), "default");
    stream::iter(pods)
        .map(|pod| {
            let api = api.clone();
            async move {
                let pod: Pod = serde_json::from_value(pod).context("a pod")?;
                let created = api.create(&PostParams::default(), &pod).await;
                created.map(drop).context("a pod is created")
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// A pod that asks for so much.
fn pod(name: &str, cpu_millis: u64, memory_mib: u64) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "spec": {"containers": [{
            "name": "app",
            "image": "registry.k8s.io/pause:3.10",
            "resources": {"requests": {"cpu": format!("{cpu_millis}m"), "memory": format!("{memory_mib}Mi")}},
        }]},
    })
}
