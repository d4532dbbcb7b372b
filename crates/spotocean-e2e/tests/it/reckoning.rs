//! Whether what EC2 has and what the cluster has on record agree: nothing leaked,
//! nothing doubled, nothing wrongly terminated, every answer on record.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt};
use spotocean_api::ocean_launch::LaunchPhase;
use spotocean_api::ocean_node::Phase;
use spotocean_e2e::sim::{Instance, Sim};
use spotocean_e2e::world::{self, World};

const TAG_CLUSTER_UID: &str = "spotocean.dev/cluster-uid";
const TAG_OCEAN: &str = "spotocean.dev/ocean";
const TAG_OCEAN_UID: &str = "spotocean.dev/ocean-uid";
const TAG_POOL: &str = "spotocean.dev/pool";
const TAG_LAUNCH: &str = "spotocean.dev/launch";

/// One look at both sides.
#[derive(Debug, Clone)]
pub(crate) struct Reckoning {
    pub(crate) world: World,
    /// Every instance that was ever launched.
    pub(crate) instances: Vec<Instance>,
    cluster_uid: String,
}

impl Reckoning {
    /// Looks at both sides.
    pub(crate) async fn look(client: &Client, sim: &Sim) -> Result<Reckoning> {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        Ok(Reckoning {
            world: World::look(client).await?,
            instances: sim.instances().await?,
            cluster_uid: namespaces
                .get("kube-system")
                .await?
                .uid()
                .context("kube-system has a uid")?,
        })
    }

    /// Ids of the instances that cost money.
    pub(crate) fn alive(&self) -> BTreeSet<String> {
        let alive = self.instances.iter().filter(|instance| instance.is_alive());
        alive.map(|instance| instance.id.clone()).collect()
    }

    /// Fails unless exactly so many instances were ever launched: one more was bought twice.
    pub(crate) fn bought(&self, expected: usize) -> Result<()> {
        ensure!(
            self.instances.len() == expected,
            "{} instances were launched instead of {expected}: {}",
            self.instances.len(),
            self.describe()
        );
        Ok(())
    }

    /// Fails when one of these instances is not alive any more.
    pub(crate) fn kept(&self, wanted: &BTreeSet<String>) -> Result<()> {
        let alive = self.alive();
        let lost: Vec<&String> = wanted.difference(&alive).collect();
        ensure!(
            lost.is_empty(),
            "{lost:?} were terminated with pods on them: {}",
            self.describe()
        );
        Ok(())
    }

    /// Fails unless every living instance is in service for one OceanNode and one Node, and nothing else is there.
    pub(crate) fn balanced(&self) -> Result<()> {
        let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for own in &self.world.ocean_nodes {
            let status = own.status.clone().unwrap_or_default();
            ensure!(
                status.phase == Phase::Initialized && own.metadata.deletion_timestamp.is_none(),
                "not in service: {}",
                world::describe(own)
            );
            let id = status
                .instance_id
                .context("an OceanNode in service names its instance")?;
            owners.entry(id).or_default().push(own.name_any());
        }
        let alive = self.alive();
        for id in &alive {
            let names = owners.get(id).map(Vec::as_slice).unwrap_or_default();
            ensure!(names.len() == 1, "{id} is behind {names:?}: {}", self.describe());
        }
        ensure!(
            owners.len() == alive.len(),
            "OceanNodes for {:?}, alive are {alive:?}",
            owners.keys()
        );
        let nodes: BTreeSet<String> = self
            .world
            .nodes
            .iter()
            .filter_map(|node| instance_of(node.spec.as_ref()?.provider_id.as_deref()?))
            .collect();
        ensure!(nodes == alive, "Nodes are for {nodes:?}, alive are {alive:?}");
        Ok(())
    }

    /// Fails unless every launch is answered, its answer is what EC2 has, and every living instance says whose it is.
    pub(crate) fn on_record(&self) -> Result<()> {
        for launch in &self.world.launches {
            let status = launch.status.clone().unwrap_or_default();
            ensure!(
                status.phase == LaunchPhase::Answered,
                "{} is {:?}",
                launch.name_any(),
                status.phase
            );
            let recorded: BTreeSet<String> = status
                .instances
                .into_iter()
                .map(|instance| instance.instance_id)
                .collect();
            let launched: BTreeSet<String> = self
                .instances
                .iter()
                .filter(|instance| tag(instance, TAG_LAUNCH) == launch.name_any())
                .map(|instance| instance.id.clone())
                .collect();
            ensure!(
                recorded == launched,
                "{} has {recorded:?} on record, and EC2 launched {launched:?}",
                launch.name_any()
            );
        }
        self.instances
            .iter()
            .filter(|instance| instance.is_alive())
            .try_for_each(|instance| self.says_whose_it_is(instance))
    }

    fn says_whose_it_is(&self, instance: &Instance) -> Result<()> {
        let launch = self
            .world
            .launches
            .iter()
            .find(|launch| launch.name_any() == tag(instance, TAG_LAUNCH))
            .with_context(|| format!("{} belongs to no launch", instance.id))?;
        for (key, expected) in [
            (TAG_CLUSTER_UID, &self.cluster_uid),
            (TAG_OCEAN, &launch.spec.ocean_name),
            (TAG_OCEAN_UID, &launch.spec.ocean_uid),
            (TAG_POOL, &launch.spec.pool_name),
        ] {
            let found = tag(instance, key);
            ensure!(
                found == expected,
                "{} has {key}={found}, expected {expected}",
                instance.id
            );
        }
        Ok(())
    }

    /// Fails unless nothing is left that costs money or stands for an instance.
    pub(crate) fn nothing_left(&self) -> Result<()> {
        let ended = |state: &str| state == "terminated";
        let left: Vec<&str> = self
            .instances
            .iter()
            .filter(|instance| !ended(&instance.state))
            .map(|instance| instance.id.as_str())
            .collect();
        ensure!(left.is_empty(), "instances are left: {left:?}");
        self.world.expect_ocean_nodes(0)?;
        ensure!(
            self.world.nodes.is_empty(),
            "{} Nodes are left",
            self.world.nodes.len()
        );
        Ok(())
    }

    fn describe(&self) -> String {
        let instances = self.instances.iter().map(|instance| {
            format!(
                "{} {} of {}",
                instance.id,
                instance.state,
                tag(instance, TAG_LAUNCH)
            )
        });
        let nodes = self.world.ocean_nodes.iter().map(world::describe);
        instances.chain(nodes).collect::<Vec<_>>().join(", ")
    }
}

fn tag<'a>(instance: &'a Instance, key: &str) -> &'a str {
    instance.raw["tags"][key].as_str().unwrap_or_default()
}

/// `aws:///zone/instance`.
fn instance_of(provider_id: &str) -> Option<String> {
    provider_id.rsplit('/').next().map(str::to_owned)
}
