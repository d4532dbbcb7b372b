//! A thousand pods at once: how soon everything is bought, and with how many calls.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::Value;
use spotocean_e2e::eventually::eventually;
use spotocean_e2e::operator::Operator;
use spotocean_e2e::sim::Sim;
use spotocean_e2e::stack::Stack;
use spotocean_e2e::world::World;

use super::{Figure, create, figure, pod};

const PODS: u64 = 1_000;
const SHAPES: u64 = 20;
const WITHIN: Duration = Duration::from_secs(300);

/// Measures one burst; its pods run afterwards.
pub(super) async fn measure(stack: &Stack, operator: &Operator, client: &Client) -> Result<Vec<Figure>> {
    let sim = stack.sim()?;
    eventually(WITHIN, "the ocean is ready", || async {
        let world = World::look(client).await?;
        let status = world.oceans.first().and_then(|ocean| ocean.status.as_ref());
        let mut conditions = status.iter().flat_map(|status| &status.conditions);
        let is_ready = conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
        ensure!(is_ready, "{status:?}");
        Ok(())
    })
    .await?;
    let planned_before = operator.metric("spotocean_plan_seconds_sum").await?;
    let begun = Timestamp::now();
    let pods = (0..PODS).map(|number| {
        let shape = number % SHAPES;
        // 100m to 2 cores, with 1 to 8 GiB a core.
        let cpu = 100 * (1 + shape);
        pod(
            &format!("burst-{number}"),
            cpu,
            cpu * 1024 / 1000 * (1 + shape % 4 * 2),
        )
    });
    create(client, pods.collect()).await?;
    let created = Timestamp::now();
    let waited = Instant::now();
    // Looking at all of them again and again would slow down what is measured.
    let all: Api<Pod> = Api::namespaced(client.clone(), "default");
    let one_pending = ListParams::default().fields("status.phase=Pending").limit(1);
    eventually(WITHIN, "every pod of the burst runs", || async {
        let pending = all.list(&one_pending).await?;
        let name = pending.items.first().map(kube::ResourceExt::name_any);
        ensure!(name.is_none(), "{} is pending", name.unwrap_or_default());
        Ok(())
    })
    .await?;
    let running = waited.elapsed();
    let planning = operator.metric("spotocean_plan_seconds_sum").await? - planned_before;
    let calls = Calls::since(&sim, begun).await?;
    let nodes = World::look(client).await?.ocean_nodes.len();
    Ok(vec![
        figure("burst: pods, shapes", format!("{PODS}, {SHAPES}")),
        figure("burst: creating them", seconds(created.duration_since(begun))),
        figure(
            "burst: last pod created to last CreateFleet sent (batch window included)",
            seconds(calls.last_fleet.duration_since(created)),
        ),
        figure("burst: CreateFleet calls", calls.fleets.to_string()),
        figure(
            "burst: all AWS calls until then",
            calls.until_last_fleet.values().sum::<usize>().to_string(),
        ),
        figure("burst: those calls", calls.sentence()),
        figure("burst: planning, all looks together", format!("{planning:.2} s")),
        figure("burst: nodes bought", nodes.to_string()),
        figure(
            "burst: last pod created to every pod running",
            format!("{:.2} s", running.as_secs_f64()),
        ),
    ])
}

/// What was asked of AWS.
struct Calls {
    fleets: usize,
    until_last_fleet: BTreeMap<String, usize>,
    last_fleet: Timestamp,
}

impl Calls {
    async fn since(sim: &Sim, begun: Timestamp) -> Result<Calls> {
        let answer = sim.get("/_sim/calls").await?;
        let all = answer["calls"].as_array().context("aws-sim lists no calls")?;
        let timed: Vec<(Timestamp, &str)> = all
            .iter()
            .map(|call| Ok((time_of(call)?, call["action"].as_str().unwrap_or_default())))
            .collect::<Result<_>>()?;
        let recent: Vec<_> = timed.into_iter().filter(|(time, _)| *time >= begun).collect();
        let fleets: Vec<Timestamp> = recent
            .iter()
            .filter(|(_, action)| *action == "CreateFleet")
            .map(|(time, _)| *time)
            .collect();
        let last_fleet = fleets.iter().max().copied().context("nothing was bought")?;
        let mut until_last_fleet = BTreeMap::new();
        for (_, action) in recent.iter().filter(|(time, _)| *time <= last_fleet) {
            *until_last_fleet.entry((*action).to_owned()).or_default() += 1;
        }
        Ok(Calls {
            fleets: fleets.len(),
            until_last_fleet,
            last_fleet,
        })
    }
}

impl Calls {
    fn sentence(&self) -> String {
        let words = self.until_last_fleet.iter();
        let words: Vec<String> = words.map(|(action, count)| format!("{count} {action}")).collect();
        words.join(", ")
    }
}

fn time_of(call: &Value) -> Result<Timestamp> {
    let text = call["time"].as_str().context("a call has a time")?;
    text.parse().with_context(|| format!("{text} is a time"))
}

fn seconds(duration: SignedDuration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
