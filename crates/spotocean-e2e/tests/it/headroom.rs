//! Room is there before the pod that needs it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use spotocean_api::ocean_status::HeadroomStatus;
use spotocean_e2e::world::World;

use crate::scene::{BOUGHT, Scene, deployment, expect_running, ocean};

/// Status is written every fifteen seconds at most.
const TOLD: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_pod_takes_headroom_at_once_and_what_it_took_is_bought_again() -> Result<()> {
    let mut scene = Scene::open().await?;
    // Two of these do not fit one of the small nodes that one of them is cheapest on.
    let unit = json!({"name": "spare", "cpu": "1500m", "memory": "1Gi", "count": 1});
    let spec = json!({
        "headroom": {"manual": [unit]},
        "pools": [{"name": "general", "requirements": [
            {"key": "spotocean.dev/instance-cpu", "operator": "Lte", "values": ["2"]},
        ]}],
    });
    scene.ocean(&ocean("demo", spec)).await?;
    scene
        .until(BOUGHT, "a node is kept ready", |world| is_told(world, 1, 1))
        .await?;
    let world = scene.look().await?;
    world.expect_ocean_nodes(1)?;

    let web = deployment("web", 1, "1500m", "1Gi", json!({})).to_string();
    scene.apply(&web).await?;
    scene
        .until(BOUGHT, "the pod runs and headroom is there again", |world| {
            expect_running(world, "web", 1)?;
            world.expect_ocean_nodes(2)?;
            is_told(world, 1, 1)
        })
        .await?;
    let world = scene.look().await?;
    ensure!(
        world.ocean_nodes.iter().all(|own| own.spec.for_pods.is_empty()),
        "a node was bought for the pod, though there was room"
    );

    spotocean_e2e::manifest::delete(&scene.client, &web).await?;
    scene
        .until(BOUGHT, "the node too many went", |world| {
            world.expect_ocean_nodes(1)
        })
        .await?;
    // Longer than consolidateAfter: being empty is no reason for this one to go.
    scene
        .meanwhile(Duration::from_secs(10), "headroom stays", |world| {
            world.expect_ocean_nodes(1)
        })
        .await?;
    scene.change_ocean("demo", json!({"headroom": null})).await?;
    scene
        .until(TOLD, "nothing is kept any more", |world| {
            world.expect_ocean_nodes(0)
        })
        .await
}

/// Whether the ocean's status tells of so much headroom.
fn is_told(world: &World, units: u32, ready: u32) -> Result<()> {
    let status = world.oceans.first().and_then(|ocean| ocean.status.as_ref());
    let told = status.and_then(|status| status.headroom.clone());
    let expected = HeadroomStatus {
        units,
        ready,
        message: None,
    };
    let told = told.context("status tells of no headroom yet")?;
    ensure!(told == expected, "{told:?}");
    Ok(())
}
