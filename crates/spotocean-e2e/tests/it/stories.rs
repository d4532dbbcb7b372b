//! What users see: pods get nodes, nodes go again, and what was promised about
//! spot interruptions, changes of the ocean and shadow mode holds.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use serde_json::json;
use spotocean_api::capacity_type::CapacityType;
use spotocean_api::label;
use spotocean_api::ocean_node::Phase;
use spotocean_e2e::world::{self, World};

use crate::scene::{BOUGHT, Scene, condition, deployment, expect_running, ocean};

/// What EC2 gives between its notice and the end.
const NOTICE: Duration = Duration::from_secs(120);
/// AWS calls that change nothing.
const READING: [&str; 4] = ["Describe", "Get", "List", "ReceiveMessage"];

#[tokio::test]
async fn a_pending_pod_gets_a_spot_node_that_goes_when_it_is_empty() -> Result<()> {
    let mut scene = Scene::open().await?;
    scene.ocean(&ocean("demo", json!({}))).await?;
    let web = deployment("web", 3, "500m", "1Gi", json!({})).to_string();
    scene.apply(&web).await?;
    scene
        .until(BOUGHT, "three pods run", |world| expect_running(world, "web", 3))
        .await?;

    let world = scene.look().await?;
    for pod in world.running_of("web") {
        let node = world
            .nodes
            .iter()
            .find(|node| Some(node.name_any().as_str()) == world::node_of(pod));
        let labels = node.context("its node")?.labels();
        for (key, value) in [
            (label::OCEAN, "demo"),
            (label::POOL, "general"),
            (label::CAPACITY_TYPE, "spot"),
        ] {
            ensure!(
                labels.get(key).map(String::as_str) == Some(value),
                "{key} is {:?}",
                labels.get(key)
            );
        }
    }
    // Three half-core pods fit one small node: more would be paid for nothing.
    world.expect_ocean_nodes(1)?;
    ensure!(
        world.ocean_nodes[0].spec.capacity_type == CapacityType::Spot,
        "{:?}",
        world.ocean_nodes[0].spec
    );
    ensure!(
        scene.sim.calls("CreateFleet").await? == 1,
        "CreateFleet was called more than once"
    );
    scene
        .until(
            Duration::from_secs(40),
            "the ocean's status tells of its node",
            |world| {
                let status = world.oceans[0].status.clone().unwrap_or_default();
                let nodes = (status.nodes, status.spot_nodes, status.pending_pods);
                ensure!(nodes == (Some(1), Some(1), Some(0)), "{status:?}");
                ensure!(status.hourly_cost_usd.is_some(), "{status:?}");
                let ready = condition(world, "demo", "Ready")?;
                ensure!(ready.status == "True", "{ready:?}");
                Ok(())
            },
        )
        .await?;

    spotocean_e2e::manifest::delete(&scene.client, &web).await?;
    scene
        .until(BOUGHT, "the empty node went", |world| world.expect_ocean_nodes(0))
        .await?;
    scene.until_alive(BOUGHT, 0).await?;
    ensure!(
        scene.look().await?.nodes.is_empty(),
        "a Node outlived its instance"
    );
    let forbidden = scene.forbidden_requests()?;
    ensure!(
        forbidden.is_empty(),
        "the chart's permissions do not reach: {forbidden:?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_interrupted_node_is_replaced_and_drained_inside_the_notice() -> Result<()> {
    let mut scene = Scene::open().await?;
    scene.ocean(&ocean("demo", json!({}))).await?;
    scene
        .apply(&deployment("web", 6, "1", "2Gi", json!({})).to_string())
        .await?;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
        "spec": {"minAvailable": 4, "selector": {"matchLabels": {"app": "web"}}},
    });
    scene.apply(&budget.to_string()).await?;
    scene
        .until(BOUGHT, "six pods run", |world| expect_running(world, "web", 6))
        .await?;

    let world = scene.look().await?;
    let victim = world
        .busy_spot_nodes()
        .first()
        .map(|node| (*node).clone())
        .context("no spot node runs a pod")?;
    let instance = victim
        .status
        .clone()
        .and_then(|status| status.instance_id)
        .context("its instance")?;
    let name = victim.name_any();
    let began = Instant::now();
    scene.sim.interrupt(&instance).await?;
    scene
        .until(NOTICE, "six pods run and the interrupted node is gone", |world| {
            let left: Vec<String> = world
                .ocean_nodes
                .iter()
                .filter(|node| node.name_any() == name)
                .map(world::describe)
                .collect();
            ensure!(left.is_empty(), "{left:?}");
            expect_running(world, "web", 6)
        })
        .await?;
    ensure!(
        began.elapsed() < NOTICE,
        "it took {} s",
        began.elapsed().as_secs()
    );
    let ended = scene
        .sim
        .instances()
        .await?
        .into_iter()
        .find(|found| found.id == instance)
        .context("its instance")?;
    // The operator gave it back; EC2 did not have to take it.
    ensure!(
        ended.raw["stateReason"] == "Client.UserInitiatedShutdown",
        "{}",
        ended.raw["stateReason"]
    );
    Ok(())
}

#[tokio::test]
async fn a_node_that_a_user_deletes_and_one_that_ec2_loses_are_replaced() -> Result<()> {
    let mut scene = Scene::open().await?;
    scene.ocean(&ocean("demo", json!({}))).await?;
    scene
        .apply(&deployment("web", 2, "1", "2Gi", json!({})).to_string())
        .await?;
    scene
        .until(BOUGHT, "two pods run", |world| expect_running(world, "web", 2))
        .await?;

    let first = scene.look().await?.ocean_nodes[0].name_any();
    scene.delete_ocean_node(&first).await?;
    scene
        .until(BOUGHT, "the deleted node is replaced", |world| {
            elsewhere(world, &first)
        })
        .await?;

    let second = scene.look().await?.ocean_nodes[0].clone();
    let instance = second
        .status
        .clone()
        .and_then(|status| status.instance_id)
        .context("its instance")?;
    scene.sim.terminate(&instance).await?;
    scene
        .until(BOUGHT, "the lost node is replaced", |world| {
            elsewhere(world, &second.name_any())
        })
        .await
}

/// Two pods run, on nodes other than this one, which is gone.
fn elsewhere(world: &World, lost: &str) -> Result<()> {
    let names: Vec<String> = world.ocean_nodes.iter().map(ResourceExt::name_any).collect();
    ensure!(!names.iter().any(|name| name == lost), "{names:?}");
    expect_running(world, "web", 2)
}

#[tokio::test]
async fn a_removed_pool_is_drained_into_another_and_a_deleted_ocean_leaves_nothing() -> Result<()> {
    let mut scene = Scene::open().await?;
    let pools = json!({"pools": [{"name": "first", "weight": 10}, {"name": "second"}]});
    scene.ocean(&ocean("demo", pools)).await?;
    scene
        .apply(&deployment("web", 2, "1", "2Gi", json!({})).to_string())
        .await?;
    scene
        .until(BOUGHT, "two pods run in the heavier pool", |world| {
            runs_in_pool(world, "first")
        })
        .await?;

    scene
        .change_ocean("demo", json!({"pools": [{"name": "second"}]}))
        .await?;
    scene
        .until(BOUGHT, "two pods run in the pool that is left", |world| {
            runs_in_pool(world, "second")
        })
        .await?;

    scene.delete_ocean("demo").await?;
    scene
        .until(BOUGHT, "the ocean and its nodes are gone", |world| {
            ensure!(world.oceans.is_empty(), "the ocean is still there");
            world.expect_ocean_nodes(0)
        })
        .await?;
    scene.until_alive(BOUGHT, 0).await
}

fn runs_in_pool(world: &World, pool: &str) -> Result<()> {
    expect_running(world, "web", 2)?;
    let pools: BTreeSet<&str> = world
        .ocean_nodes
        .iter()
        .map(|node| node.spec.pool_name.as_str())
        .collect();
    ensure!(pools == BTreeSet::from([pool]), "nodes are in {pools:?}");
    Ok(())
}

#[tokio::test]
async fn an_orphaned_ocean_leaves_its_nodes_running() -> Result<()> {
    let mut scene = Scene::open().await?;
    scene
        .ocean(&ocean("demo", json!({"deletionPolicy": "Orphan"})))
        .await?;
    scene
        .apply(&deployment("web", 2, "1", "2Gi", json!({})).to_string())
        .await?;
    scene
        .until(BOUGHT, "two pods run", |world| expect_running(world, "web", 2))
        .await?;

    let bought = scene.look().await?.ocean_nodes.len();

    scene.delete_ocean("demo").await?;
    scene
        .until(BOUGHT, "the ocean is gone", |world| {
            ensure!(world.oceans.is_empty(), "the ocean is still there");
            world.expect_ocean_nodes(0)
        })
        .await?;
    scene
        .meanwhile(Duration::from_secs(10), "the pods run on", |world| {
            expect_running(world, "web", 2)
        })
        .await?;
    let alive = scene.alive().await?;
    ensure!(
        alive.len() == bought,
        "{} of {bought} instances are alive",
        alive.len()
    );
    Ok(())
}

#[tokio::test]
async fn shadow_mode_plans_and_touches_nothing() -> Result<()> {
    let mut scene = Scene::open().await?;
    scene.ocean(&ocean("demo", json!({"mode": "Observe"}))).await?;
    scene
        .apply(&deployment("web", 3, "1", "2Gi", json!({})).to_string())
        .await?;
    scene
        .until(Duration::from_secs(60), "the plan is published", |world| {
            let plan = world.oceans[0]
                .status
                .clone()
                .and_then(|status| status.plan)
                .context("no plan yet")?;
            ensure!(plan.nodes > 0 && !plan.launches.is_empty(), "{plan:?}");
            Ok(())
        })
        .await?;
    scene
        .meanwhile(Duration::from_secs(5), "nothing is bought", |world| {
            ensure!(world.launches.is_empty(), "an OceanLaunch was written");
            world.expect_ocean_nodes(0)
        })
        .await?;
    let actions = scene.sim.actions().await?;
    let writing: BTreeSet<&String> = actions
        .iter()
        .filter(|action| !READING.iter().any(|verb| action.starts_with(verb)))
        .collect();
    ensure!(writing.is_empty(), "AWS was changed: {writing:?}");
    Ok(())
}

#[tokio::test]
async fn without_spot_capacity_pods_run_on_demand() -> Result<()> {
    let mut scene = Scene::open().await?;
    scene.sim.change_market(&json!({"depth": 0})).await?;
    scene.ocean(&ocean("demo", json!({}))).await?;
    scene
        .apply(&deployment("web", 2, "1", "2Gi", json!({})).to_string())
        .await?;
    scene
        .until(BOUGHT, "two pods run", |world| expect_running(world, "web", 2))
        .await?;
    for instance in scene.alive().await? {
        ensure!(
            instance.lifecycle == "on-demand",
            "{} is {}",
            instance.id,
            instance.lifecycle
        );
    }
    Ok(())
}

#[tokio::test]
async fn applying_the_same_ocean_again_changes_nothing() -> Result<()> {
    let mut scene = Scene::open().await?;
    let manifest = std::fs::read_to_string(spotocean_e2e::repository::path("examples/01-minimal.yaml"))?;
    scene.stack.kubectl().apply(&manifest)?;
    scene
        .apply(&deployment("web", 1, "1", "2Gi", json!({})).to_string())
        .await?;
    scene
        .until(BOUGHT, "the pod runs", |world| expect_running(world, "web", 1))
        .await?;
    let before = scene.look().await?.oceans[0].clone();
    let difference = scene.stack.kubectl().ask(
        &["diff", "--server-side", "--force-conflicts", "-f", "-"],
        &manifest,
    )?;
    ensure!(
        difference.success,
        "the operator changed what the user wrote: {}",
        difference.output
    );
    ensure!(
        before.metadata.generation == Some(1),
        "generation {:?}",
        before.metadata.generation
    );
    Ok(())
}

#[tokio::test]
async fn a_second_operator_takes_over_when_the_first_is_frozen() -> Result<()> {
    let mut scene = Scene::open().await?;
    scene.ocean(&ocean("demo", json!({}))).await?;
    scene
        .until(Duration::from_secs(60), "the ocean is ready", |world| {
            let ready = condition(world, "demo", "Ready")?;
            ensure!(ready.status == "True", "{ready:?}");
            Ok(())
        })
        .await?;
    let mut plan = scene.operator_plan.clone();
    plan.name = "second".to_owned();
    let second = spotocean_e2e::operator::Operator::start_ready(&scene.stack, &plan).await?;
    scene.operator.pause()?;
    scene
        .apply(&deployment("web", 2, "1", "2Gi", json!({})).to_string())
        .await?;
    scene
        .until(BOUGHT, "two pods run", |world| expect_running(world, "web", 2))
        .await?;
    let bought = scene.look().await?.ocean_nodes.len();
    scene.operator.resume()?;
    // The first wakes up with a plan of its own in mind, and finds that it may not act on it.
    scene
        .meanwhile(Duration::from_secs(10), "what was bought is enough", |world| {
            world.expect_ocean_nodes(bought)
        })
        .await?;
    let alive = scene.alive().await?.len();
    ensure!(
        alive == bought,
        "{alive} instances are alive, {bought} were bought"
    );
    drop(second);
    Ok(())
}

#[tokio::test]
async fn an_operator_that_is_asked_to_end_gives_its_lease_back() -> Result<()> {
    let mut scene = Scene::open().await?;
    let status = scene.operator.terminate(Duration::from_secs(20)).await?;
    ensure!(status.success(), "it ended with {status}");
    let holder = scene.stack.kubectl().run(&[
        "get",
        "lease",
        "spotocean-operator",
        "--namespace=spotocean",
        "--output=jsonpath={.spec.holderIdentity}",
    ])?;
    ensure!(holder.is_empty(), "the lease is still held by {holder}");
    Ok(())
}

#[tokio::test]
async fn metrics_and_health_are_served() -> Result<()> {
    let mut scene = Scene::open().await?;
    scene.ocean(&ocean("demo", json!({}))).await?;
    scene
        .apply(&deployment("web", 1, "1", "2Gi", json!({})).to_string())
        .await?;
    scene
        .until(BOUGHT, "the pod runs", |world| expect_running(world, "web", 1))
        .await?;
    ensure!(
        !scene
            .look()
            .await?
            .in_phase(&[Phase::Initialized, Phase::Registered])
            .is_empty(),
        "a node is ready"
    );
    let metrics = scene.operator.metrics().await?;
    let ours: BTreeSet<&str> = metrics
        .lines()
        .filter(|line| line.starts_with("spotocean_"))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    ensure!(ours.len() >= 5, "/metrics has only {ours:?}");
    for line in metrics.lines().filter(|line| line.starts_with("# HELP")) {
        ensure!(
            line.split_whitespace().count() > 3,
            "a metric has no help: {line}"
        );
    }
    Ok(())
}
