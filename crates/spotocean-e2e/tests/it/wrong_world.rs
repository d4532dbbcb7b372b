//! Right manifests in a wrong world: a condition names what is missing, the
//! operator waits, and what is right goes on beside it.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::scene::{BOUGHT, Scene, condition, deployment, expect_running, ocean};

const TOLD: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_is_missing_is_named_and_stops_nobody_else() -> Result<()> {
    let mut scene = Scene::open().await?;
    let rows: [(&str, Value, &str, &str); 3] = [
        (
            "no-subnet",
            json!({"template": {"subnets": [{"tags": {"team": "nobody"}}]}}),
            "NetworkResolved",
            "team",
        ),
        (
            "no-group",
            json!({"template": {"securityGroups": [{"tags": {"team": "nobody"}}]}}),
            "NetworkResolved",
            "team",
        ),
        (
            "no-image",
            json!({"template": {"image": {"version": "v19990101"}}}),
            "ImagesResolved",
            "v19990101",
        ),
    ];
    for (name, change, _, _) in &rows {
        scene.ocean(&ocean(name, change.clone())).await?;
    }
    for (name, _, kind, named) in rows {
        scene
            .until(TOLD, &format!("{name} says what is missing"), |world| {
                let told = condition(world, name, kind)?;
                ensure!(told.status == "False" && told.message.contains(named), "{told:?}");
                let ready = condition(world, name, "Ready")?;
                ensure!(ready.status == "False", "{ready:?}");
                Ok(())
            })
            .await?;
    }
    scene.ocean(&ocean("right", json!({}))).await?;
    scene
        .apply(&deployment("web", 2, "1", "2Gi", json!({})).to_string())
        .await?;
    scene
        .until(BOUGHT, "the ocean that is right serves the pods", |world| {
            expect_running(world, "web", 2)
        })
        .await
}

#[tokio::test]
async fn a_refused_launch_is_told_and_tried_again_when_it_is_allowed() -> Result<()> {
    let mut scene = Scene::open().await?;
    scene
        .sim
        .post("/_sim/deny", &json!({"action": "CreateFleet"}))
        .await?;
    scene.ocean(&ocean("demo", json!({}))).await?;
    scene
        .apply(&deployment("web", 1, "1", "2Gi", json!({})).to_string())
        .await?;
    scene
        .until(TOLD, "the refusal is told", |world| {
            let told = condition(world, "demo", "CloudAccess")?;
            ensure!(
                told.status == "False" && told.message.contains("CreateFleet"),
                "{told:?}"
            );
            Ok(())
        })
        .await?;
    let calls = scene.sim.calls("CreateFleet").await?;
    ensure!(calls <= 10, "{calls} calls without a back-off");
    scene
        .sim
        .post("/_sim/deny", &json!({"action": "CreateFleet", "denied": false}))
        .await?;
    scene
        .until(
            Duration::from_secs(180),
            "the pod runs once it is allowed",
            |world| expect_running(world, "web", 1),
        )
        .await
}

#[tokio::test]
async fn an_apiserver_that_restarts_costs_time_and_nothing_else() -> Result<()> {
    let mut scene = Scene::open().await?;
    scene.ocean(&ocean("demo", json!({}))).await?;
    scene
        .apply(&deployment("web", 2, "1", "2Gi", json!({})).to_string())
        .await?;
    scene.stack.restart("kube-apiserver")?;
    scene.stack.await_api_server().await?;
    scene
        .until(BOUGHT, "two pods run", |world| expect_running(world, "web", 2))
        .await?;
    // Pods that came before and after the restart may have been planned apart, but nothing is bought twice.
    let (nodes, alive) = (scene.look().await?.ocean_nodes.len(), scene.alive().await?.len());
    ensure!(alive == nodes, "{alive} instances for {nodes} nodes");
    ensure!(alive <= 2, "{alive} instances for two pods");
    Ok(())
}
