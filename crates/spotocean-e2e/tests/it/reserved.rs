//! What is paid for already is filled before anything is bought.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use spotocean_e2e::eventually::eventually;
use spotocean_e2e::sim::Instance;
use spotocean_e2e::stack::{Shape, Stack, StackPlan};

use crate::scene::{BOUGHT, Scene, deployment, expect_running, ocean};

#[tokio::test]
async fn a_reservation_is_filled_and_the_rest_is_spot() -> Result<()> {
    let stack = Stack::start(&StackPlan::new(Shape::Cloud)).await?;
    let reservation = json!({"instanceType": "m6i.large", "zone": "us-east-1a", "total": 1});
    stack.sim()?.post("/_sim/reservation", &reservation).await?;
    let mut scene = Scene::on(stack).await?;
    let sim = scene.sim.clone();
    eventually(
        Duration::from_secs(30),
        "the operator looks for reservations",
        || async {
            let calls = sim.calls("DescribeCapacityReservations").await?;
            ensure!(calls > 0, "it has not yet");
            Ok(())
        },
    )
    .await?;
    // Two of these do not fit one node of two vCPUs.
    let spec = json!({"pools": [{"name": "general", "requirements": [
        {"key": "spotocean.dev/instance-cpu", "operator": "Lte", "values": ["2"]},
    ]}]});
    scene.ocean(&ocean("demo", spec)).await?;
    let web = deployment("web", 2, "1500m", "1Gi", json!({}));
    scene.apply(&web.to_string()).await?;
    scene
        .until(BOUGHT, "both pods run", |world| expect_running(world, "web", 2))
        .await?;
    let alive = scene.alive().await?;
    let (reserved, others): (Vec<Instance>, Vec<Instance>) = alive
        .into_iter()
        .partition(|instance| instance.lifecycle == "on-demand");
    ensure!(
        reserved.len() == 1 && others.len() == 1,
        "{reserved:?} {others:?}"
    );
    let [reserved] = reserved.as_slice() else {
        unreachable!("there is one")
    };
    ensure!(
        reserved.zone == "us-east-1a" && reserved.raw["type"] == "m6i.large",
        "{reserved:?}"
    );
    Ok(())
}
