//! A stage for stories: a cluster with a simulated AWS, the operator under the
//! chart's own permissions, and words to ask for things and to wait for them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use spotocean_api::ocean_node::OceanNode;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_e2e::eventually::{eventually, throughout};
use spotocean_e2e::operator::{Operator, OperatorPlan};
use spotocean_e2e::sim::{Instance, Sim};
use spotocean_e2e::stack::{Shape, Stack, StackPlan};
use spotocean_e2e::world::World;
use spotocean_e2e::{chart, manifest};

/// Long enough for a node to be bought, to boot and to be filled, on two busy cores.
pub(crate) const BOUGHT: Duration = Duration::from_secs(90);

/// A stack with an operator.
pub(crate) struct Scene {
    // Dropped in this order: the operator before the stack that it runs on.
    pub(crate) operator: Operator,
    pub(crate) operator_plan: OperatorPlan,
    pub(crate) sim: Sim,
    pub(crate) client: Client,
    pub(crate) stack: Stack,
}

impl Scene {
    /// A stack whose AWS is as usual, and an operator that is ready.
    pub(crate) async fn open() -> Result<Scene> {
        Scene::open_with(&StackPlan::new(Shape::Cloud)).await
    }

    /// A stack of this plan, and an operator that is ready.
    pub(crate) async fn open_with(plan: &StackPlan) -> Result<Scene> {
        Scene::on(Stack::start(plan).await?).await
    }

    /// On a stack that runs, an operator that is ready.
    pub(crate) async fn on(stack: Stack) -> Result<Scene> {
        let kubeconfig = chart::install_permissions(&stack).await?;
        let operator_plan = OperatorPlan {
            kubeconfig: Some(kubeconfig),
            ..OperatorPlan::new("operator")
        };
        let operator = Operator::start_ready(&stack, &operator_plan).await?;
        let (sim, client) = (stack.sim()?, stack.client().await?);
        Ok(Scene {
            operator,
            operator_plan,
            sim,
            client,
            stack,
        })
    }

    /// Applies any manifest.
    pub(crate) async fn apply(&self, text: &str) -> Result<()> {
        manifest::apply(&self.client, text).await
    }

    /// Applies an ocean.
    pub(crate) async fn ocean(&self, ocean: &Value) -> Result<()> {
        self.apply(&ocean.to_string()).await
    }

    /// Merges a change into the spec of an ocean.
    pub(crate) async fn change_ocean(&self, name: &str, change: Value) -> Result<()> {
        let oceans: Api<SpotOcean> = Api::all(self.client.clone());
        let change = Patch::Merge(json!({"spec": change}));
        oceans
            .patch(name, &PatchParams::default(), &change)
            .await
            .map(drop)
            .context("changing the ocean")
    }

    /// Deletes an ocean and does not wait.
    pub(crate) async fn delete_ocean(&self, name: &str) -> Result<()> {
        let oceans: Api<SpotOcean> = Api::all(self.client.clone());
        oceans
            .delete(name, &DeleteParams::default())
            .await
            .map(drop)
            .context("deleting the ocean")
    }

    /// Deletes an OceanNode and does not wait.
    pub(crate) async fn delete_ocean_node(&self, name: &str) -> Result<()> {
        let nodes: Api<OceanNode> = Api::all(self.client.clone());
        nodes
            .delete(name, &DeleteParams::default())
            .await
            .map(drop)
            .context("deleting the OceanNode")
    }

    /// One look.
    pub(crate) async fn look(&self) -> Result<World> {
        World::look(&self.client).await
    }

    /// Looks until it holds.
    pub(crate) async fn until<T>(
        &mut self,
        deadline: Duration,
        what: &str,
        holds: impl Fn(&World) -> Result<T>,
    ) -> Result<T> {
        let client = self.client.clone();
        let outcome = eventually(deadline, what, || async { holds(&World::look(&client).await?) }).await;
        self.explain(outcome)
    }

    /// Looks for a while and fails when it does not hold once.
    pub(crate) async fn meanwhile(
        &mut self,
        duration: Duration,
        what: &str,
        holds: impl Fn(&World) -> Result<()>,
    ) -> Result<()> {
        let client = self.client.clone();
        let outcome = throughout(duration, what, || async { holds(&World::look(&client).await?) }).await;
        self.explain(outcome)
    }

    /// A failure with what the operator said last: most often it says why.
    fn explain<T>(&mut self, outcome: Result<T>) -> Result<T> {
        self.operator.check_running()?;
        outcome.with_context(|| format!("the operator's last lines:\n{}", self.operator.log_tail()))
    }

    /// Instances that cost money.
    pub(crate) async fn alive(&self) -> Result<Vec<Instance>> {
        Ok(self
            .sim
            .instances()
            .await?
            .into_iter()
            .filter(Instance::is_alive)
            .collect())
    }

    /// Waits until EC2 has this many instances that cost money.
    pub(crate) async fn until_alive(&mut self, deadline: Duration, expected: usize) -> Result<()> {
        let sim = self.sim.clone();
        let outcome = eventually(deadline, &format!("{expected} instances are left"), || async {
            let alive = sim.alive_instances().await?;
            ensure!(
                alive.len() == expected,
                "{} are: {}",
                alive.len(),
                alive.join(", ")
            );
            Ok(())
        })
        .await;
        self.explain(outcome)
    }

    /// Every request of the operator that the apiserver refused for want of permission, from the audit log.
    pub(crate) fn forbidden_requests(&self) -> Result<Vec<String>> {
        let log =
            std::fs::read_to_string(self.stack.directory().join("audit.log")).context("the audit log")?;
        let events = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let account = format!(
            "system:serviceaccount:{}:",
            spotocean_e2e::stack::OPERATOR_NAMESPACE
        );
        let ours = events.filter(|event| {
            event["user"]["username"]
                .as_str()
                .is_some_and(|name| name.starts_with(&account))
        });
        let refused = ours.filter(|event| event["responseStatus"]["code"] == 403);
        Ok(refused
            .map(|event| format!("{} {}", event["verb"], event["requestURI"]))
            .collect())
    }
}

/// An ocean as `examples/01-minimal.yaml` has it, under a name, with `change` merged into its spec.
pub(crate) fn ocean(name: &str, change: Value) -> Value {
    let mut ocean = json!({
        "apiVersion": "spotocean.dev/v1alpha1",
        "kind": "SpotOcean",
        "metadata": {"name": name},
        "spec": {
            "cluster": {"name": "demo"},
            "template": {
                "role": "SpotOceanNodeRole-demo",
                "subnets": [{"tags": {"spotocean.dev/discovery": "demo"}}],
                "securityGroups": [{"tags": {"spotocean.dev/discovery": "demo"}}],
            },
            "disruption": {"consolidateAfter": "2s"},
            "pools": [{"name": "general"}],
        },
    });
    merge(&mut ocean["spec"], change);
    ocean
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change,
    }
}

/// A Deployment `app=<name>`; `change` is merged into its pod spec.
pub(crate) fn deployment(name: &str, replicas: u32, cpu: &str, memory: &str, change: Value) -> Value {
    let mut pod = json!({
        "containers": [{
            "name": "app",
            "image": "registry.k8s.io/pause:3.10",
            "resources": {"requests": {"cpu": cpu, "memory": memory}},
        }],
    });
    merge(&mut pod, change);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    })
}

/// Fails unless this many pods of `app` run.
pub(crate) fn expect_running(world: &World, app: &str, expected: usize) -> Result<()> {
    let running = world.running_of(app).len();
    ensure!(
        running == expected,
        "{running} of {expected} pods of {app} run, {} are pending",
        world.pending_pods()
    );
    Ok(())
}

/// A condition of an ocean.
pub(crate) fn condition(world: &World, ocean: &str, kind: &str) -> Result<Condition> {
    let found = world
        .oceans
        .iter()
        .find(|found| found.metadata.name.as_deref() == Some(ocean));
    let status = found.context("there is no such ocean")?.status.as_ref();
    let mut conditions = status.iter().flat_map(|status| &status.conditions);
    let condition = conditions.find(|condition| condition.type_ == kind).cloned();
    condition.with_context(|| format!("{ocean} has no condition {kind} yet"))
}
