//! The steps of the demo. Each is done, then looked at until it holds; the first
//! that does not hold in time ends the story with a sentence.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use spotocean_api::ocean_node::Phase;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_e2e::stack::Stack;
use spotocean_e2e::world::{self, World};
use spotocean_e2e::{manifest, repository};

use super::screen::{Screen, dollars};

const OCEAN: &str = "examples/01-minimal.yaml";
const WORKLOADS: [&str; 3] = [
    "examples/workloads/web-shop.yaml",
    "examples/workloads/batch-job.yaml",
    "examples/workloads/database.yaml",
];
/// Running pods of the web shop and of the stateful set, when all is well.
const WEB_PODS: usize = 12;
const DATABASE_PODS: usize = 3;

const SOON: Duration = Duration::from_secs(60);
const BOOTED: Duration = Duration::from_secs(180);
/// What EC2 gives between the notice and the end.
const NOTICE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The story and what was measured in it.
pub(super) struct Story<'a> {
    stack: &'a Stack,
    client: Client,
    screen: Screen,
    figures: Figures,
}

/// Seconds, and what it cost.
#[derive(Debug, Default)]
struct Figures {
    deployed: f64,
    first_node: Option<f64>,
    all_running: f64,
    replaced: f64,
    emptied: f64,
    peak_nodes: usize,
    spent_micro_usd: f64,
    saved: Option<String>,
}

impl<'a> Story<'a> {
    pub(super) async fn new(stack: &'a Stack, screen: Screen) -> Result<Story<'a>> {
        let client = stack.client().await?;
        Ok(Story {
            stack,
            client,
            screen,
            figures: Figures::default(),
        })
    }

    /// Tells it from beginning to end.
    pub(super) async fn tell(&mut self) -> Result<()> {
        self.declare_an_ocean()
            .await
            .context("the ocean was not taken up")?;
        self.deploy()
            .await
            .context("the applications did not get their nodes")?;
        self.lose_a_spot_instance()
            .await
            .context("the lost spot instance was not made good")?;
        self.scale_to_zero().await.context("the empty nodes did not go")
    }

    async fn declare_an_ocean(&mut self) -> Result<()> {
        self.screen.say(&format!("kubectl apply -f {OCEAN}"));
        self.apply(OCEAN).await?;
        self.until(SOON, "the ocean is ready", |world| {
            let ocean = world.oceans.first().context("there is no ocean")?;
            let conditions = ocean.status.iter().flat_map(|status| &status.conditions);
            let ready = conditions.rev().find(|condition| condition.type_ == "Ready");
            let ready = ready.context("it has no Ready condition yet")?;
            ensure!(
                ready.status == "True",
                "Ready is {}: {}: {}",
                ready.status,
                ready.reason,
                ready.message
            );
            Ok(())
        })
        .await
    }

    async fn deploy(&mut self) -> Result<()> {
        for workload in WORKLOADS {
            self.screen.say(&format!("kubectl apply -f {workload}"));
            self.apply(workload).await?;
        }
        self.figures.deployed = self.screen.seconds();
        self.until(BOOTED, "every pod runs on a node of the ocean", everything_runs)
            .await?;
        self.figures.all_running = self.screen.seconds();
        self.screen
            .say("every pod runs; the stateful set lies in three zones");
        Ok(())
    }

    async fn lose_a_spot_instance(&mut self) -> Result<()> {
        let world = self.look().await?;
        let victim = world
            .busy_spot_nodes()
            .into_iter()
            .next()
            .context("no spot node runs a pod")?;
        let name = victim.name_any();
        let status = victim.status.clone().context("a ready node has a status")?;
        let instance_id = status.instance_id.context("a ready node has an instance")?;
        self.screen.say(&format!(
            "EC2 takes {instance_id} ({name}) back: two minutes' notice"
        ));
        let began = self.screen.seconds();
        self.stack.sim()?.interrupt(&instance_id).await?;
        self.until(
            NOTICE,
            "the pods of the lost instance run elsewhere and its node is gone",
            |world| {
                let left: Vec<String> = world
                    .ocean_nodes
                    .iter()
                    .filter(|node| node.name_any() == name)
                    .map(world::describe)
                    .collect();
                ensure!(left.is_empty(), "{} is still there", left.join(", "));
                web_and_database_run(world)
            },
        )
        .await?;
        self.figures.replaced = self.screen.seconds() - began;
        self.screen.say(&format!(
            "replaced and gone {:.0} s after the notice",
            self.figures.replaced
        ));
        Ok(())
    }

    async fn scale_to_zero(&mut self) -> Result<()> {
        // Five minutes, the default, is right for a cluster and long for a demo.
        self.screen
            .say("kubectl patch ocean demo: disruption.consolidateAfter 5s; then delete the applications");
        let oceans: Api<SpotOcean> = Api::all(self.client.clone());
        let shorter = json!({"spec": {"disruption": {"consolidateAfter": "5s"}}});
        oceans
            .patch("demo", &PatchParams::default(), &Patch::Merge(shorter))
            .await
            .context("patching the ocean")?;
        let began = self.screen.seconds();
        for workload in WORKLOADS {
            manifest::delete(&self.client, &read(workload)?).await?;
        }
        self.until(BOOTED, "no node is left", |world| {
            world.expect_ocean_nodes(0)?;
            let left: Vec<String> = world
                .nodes
                .iter()
                .filter(|node| is_ours(node))
                .map(ResourceExt::name_any)
                .collect();
            ensure!(left.is_empty(), "Nodes are left: {}", left.join(", "));
            Ok(())
        })
        .await?;
        self.figures.emptied = self.screen.seconds() - began;
        self.no_instance_is_left().await
    }

    async fn no_instance_is_left(&mut self) -> Result<()> {
        let alive = self.stack.sim()?.alive_instances().await?;
        ensure!(
            alive.is_empty(),
            "EC2 still has {} instances: {}",
            alive.len(),
            alive.join(", ")
        );
        self.screen.say("no node and no instance is left");
        Ok(())
    }

    /// Shows the world until `holds` does.
    async fn until(
        &mut self,
        deadline: Duration,
        what: &str,
        holds: impl Fn(&World) -> Result<()>,
    ) -> Result<()> {
        let started = Instant::now();
        loop {
            self.stack.check_running()?;
            let world = self.look().await?;
            let Err(otherwise) = holds(&world) else {
                return Ok(());
            };
            if started.elapsed() > deadline {
                bail!(
                    "in {} s it never held that {what}; last seen: {otherwise:#}",
                    deadline.as_secs()
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn look(&mut self) -> Result<World> {
        let world = World::look(&self.client).await?;
        self.screen.show(&world);
        let figures = &mut self.figures;
        figures.peak_nodes = figures.peak_nodes.max(world.ocean_nodes.len());
        figures.spent_micro_usd +=
            world.price_micro_usd_per_hour() as f64 * LOOK_AGAIN.as_secs_f64() / 3600.0;
        if figures.first_node.is_none() && !world.in_phase(&[Phase::Initialized]).is_empty() {
            figures.first_node = Some(self.screen.seconds());
        }
        let saved = world
            .oceans
            .iter()
            .find_map(|ocean| ocean.status.as_ref()?.saved.clone());
        figures.saved = saved.or(figures.saved.take());
        Ok(world)
    }

    async fn apply(&self, path: &str) -> Result<()> {
        manifest::apply(&self.client, &read(path)?)
            .await
            .with_context(|| format!("applying {path}"))
    }

    /// The last line of a story that went wrong.
    pub(super) fn give_up(&mut self, failure: &anyhow::Error) {
        self.screen.say(&format!("it went wrong: {failure:#}"));
    }

    /// What the reader should remember.
    pub(super) fn summarise(&mut self) {
        let figures = &self.figures;
        let first = figures.first_node.map_or(0.0, |at| at - figures.deployed);
        let lines = [
            format!("first node ready         {first:>6.1} s after the applications were deployed"),
            format!(
                "every pod running        {:>6.1} s",
                figures.all_running - figures.deployed
            ),
            format!(
                "spot instance replaced   {:>6.1} s after the notice",
                figures.replaced
            ),
            format!("scaled to zero           {:>6.1} s", figures.emptied),
            format!("nodes at the same time   {:>6}", figures.peak_nodes),
            format!(
                "saved against on-demand  {:>6}",
                figures.saved.as_deref().unwrap_or("-")
            ),
            format!(
                "simulated bill           ${}",
                dollars(whole_micro_usd(figures.spent_micro_usd))
            ),
        ];
        self.screen.say("every step held");
        for line in lines {
            println!("             {line}");
        }
    }
}

fn everything_runs(world: &World) -> Result<()> {
    web_and_database_run(world)?;
    let pending = world.pending_pods();
    ensure!(pending == 0, "{pending} pods are pending");
    let zones = world.zones_of(&world.running_of("database"));
    ensure!(zones.len() == DATABASE_PODS, "the stateful set lies in {zones:?}");
    Ok(())
}

fn web_and_database_run(world: &World) -> Result<()> {
    for (app, expected) in [("web", WEB_PODS), ("database", DATABASE_PODS)] {
        let running = world.running_of(app);
        ensure!(
            running.len() == expected,
            "{} of {expected} pods of {app} run",
            running.len()
        );
    }
    let ours: BTreeSet<String> = world
        .nodes
        .iter()
        .filter(|node| is_ours(node))
        .map(ResourceExt::name_any)
        .collect();
    let mut pods = world
        .running_of("web")
        .into_iter()
        .chain(world.running_of("database"));
    let elsewhere = pods.find(|pod| !world::node_of(pod).is_some_and(|node| ours.contains(node)));
    elsewhere.map_or(Ok(()), |pod| {
        Err(anyhow!("{} runs on a node of no ocean", pod.name_any()))
    })
}

fn is_ours(node: &k8s_openapi::api::core::v1::Node) -> bool {
    node.labels().contains_key(spotocean_api::label::OCEAN)
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(repository::path(path)).with_context(|| format!("{path} cannot be read"))
}

/// A display figure: whole and not negative.
fn whole_micro_usd(amount: f64) -> u64 {
    amount.max(0.0).round() as u64
}
