//! A stage for bad days: a stack whose operator sees the world through a shim,
//! dies at the calls that a law names, and is started again each time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::DeleteParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use spotocean_e2e::eventually::{eventually, throughout};
use spotocean_e2e::operator::{Operator, OperatorPlan};
use spotocean_e2e::shim::{Law, Shim};
use spotocean_e2e::sim::Sim;
use spotocean_e2e::stack::{OPERATOR_NAMESPACE, Shape, Stack, StackPlan};
use spotocean_e2e::{chart, manifest};

use crate::reckoning::Reckoning;

/// How often an operator that ended by itself is noticed.
const PULSE: Duration = Duration::from_millis(500);

/// Calls that a failure shows.
const CALLS_SHOWN: usize = 60;

/// A stack with an operator behind a shim.
pub(crate) struct Ordeal {
    // Dropped in this order: the operator before what it talks to.
    pub(crate) operator: Operator,
    pub(crate) shim: Shim,
    pub(crate) law: Law,
    /// The call at which each incarnation died.
    pub(crate) deaths: Vec<String>,
    pub(crate) sim: Sim,
    pub(crate) client: Client,
    plan: OperatorPlan,
    kubeconfig: PathBuf,
    pub(crate) stack: Stack,
}

impl Ordeal {
    /// A stack, and an operator that is ready, under this law.
    pub(crate) async fn open(mut plan: StackPlan, law: Law) -> Result<Ordeal> {
        // Two zones are enough here, and every start of the operator reads the prices of each.
        plan.scenario["zones"] = json!(["us-east-1a", "us-east-1b"]);
        let stack = Stack::start(&plan).await?;
        let kubeconfig = chart::install_permissions(&stack).await?;
        let (sim, client) = (stack.sim()?, stack.client().await?);
        let plan = OperatorPlan {
            arguments: vec!["--batch-idle=100ms".to_owned(), "--batch-max=500ms".to_owned()],
            ..OperatorPlan::new("operator")
        };
        let shim = Shim::start(&kubeconfig, &sim.url(), stack.directory(), law.clone()).await?;
        let operator = Operator::start(&stack, &through(&plan, &shim))?;
        Ok(Ordeal {
            operator,
            shim,
            law,
            deaths: Vec::new(),
            sim,
            client,
            plan,
            kubeconfig,
            stack,
        })
    }

    /// A stack whose AWS is as usual, and an operator that nothing happens to yet.
    pub(crate) async fn open_calm() -> Result<Ordeal> {
        let mut ordeal = Ordeal::open(StackPlan::new(Shape::Cloud), calm()).await?;
        ordeal.operator.await_ready().await?;
        Ok(ordeal)
    }

    /// A second operator on the same stack, under a law of its own.
    pub(crate) async fn second(&self, name: &str, law: Law) -> Result<(Shim, Operator)> {
        let shim = Shim::start(&self.kubeconfig, &self.sim.url(), self.stack.directory(), law).await?;
        let plan = OperatorPlan {
            name: name.to_owned(),
            ..self.plan.clone()
        };
        let operator = Operator::start_ready(&self.stack, &through(&plan, &shim)).await?;
        Ok((shim, operator))
    }

    /// Ends the operator at whatever instruction it is, and starts it again under the law as it stands.
    pub(crate) async fn reborn(&mut self) -> Result<()> {
        self.operator.kill()?;
        // As an administrator would who knows that the holder is dead. Waiting the lease out takes half a minute
        // each time, and is what the tale of the frozen leader tells.
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), OPERATOR_NAMESPACE);
        match leases
            .delete("spotocean-operator", &DeleteParams::default())
            .await
        {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error).context("the dead holder's lease"),
        }
        self.shim = Shim::start(
            &self.kubeconfig,
            &self.sim.url(),
            self.stack.directory(),
            self.law.clone(),
        )
        .await?;
        self.operator = Operator::start(&self.stack, &through(&self.plan, &self.shim))?;
        Ok(())
    }

    /// Applies an object.
    pub(crate) async fn apply(&self, object: &Value) -> Result<()> {
        manifest::apply(&self.client, &object.to_string()).await
    }

    /// Deletes an object and does not wait.
    pub(crate) async fn delete(&self, object: &Value) -> Result<()> {
        manifest::delete(&self.client, &object.to_string()).await
    }

    /// One look at both sides.
    pub(crate) async fn look(&self) -> Result<Reckoning> {
        Reckoning::look(&self.client, &self.sim).await
    }

    /// Looks until it holds; meanwhile the operator dies and is reborn as the law says.
    pub(crate) async fn until<T>(
        &mut self,
        deadline: Duration,
        what: &str,
        holds: impl Fn(&Reckoning) -> Result<T>,
    ) -> Result<T> {
        let (client, sim) = (self.client.clone(), self.sim.clone());
        let looking = eventually(deadline, what, || async {
            holds(&Reckoning::look(&client, &sim).await?)
        });
        self.live_through(looking).await
    }

    /// Looks for a while and fails when it does not hold once; the operator may die meanwhile, too.
    pub(crate) async fn meanwhile(
        &mut self,
        duration: Duration,
        what: &str,
        holds: impl Fn(&Reckoning) -> Result<()>,
    ) -> Result<()> {
        let (client, sim) = (self.client.clone(), self.sim.clone());
        let looking = throughout(duration, what, || async {
            holds(&Reckoning::look(&client, &sim).await?)
        });
        self.live_through(looking).await
    }

    async fn live_through<T>(&mut self, looking: impl Future<Output = Result<T>>) -> Result<T> {
        let mut looking = std::pin::pin!(looking);
        loop {
            let pulse = tokio::time::sleep(PULSE);
            tokio::select! {
                outcome = &mut looking => return self.explain(outcome),
                struck = self.shim.struck() => {
                    self.deaths.push(struck?.name);
                    self.reborn().await?;
                }
                () = pulse => self.operator.check_running()?,
            }
        }
    }

    /// A failure with where the operator died and what it said last: most often that says why.
    pub(crate) fn explain<T>(&mut self, outcome: Result<T>) -> Result<T> {
        outcome.with_context(|| {
            format!(
                "the operator died at {:?}; its last calls:\n{}\nits last lines:\n{}",
                self.deaths,
                self.last_calls(),
                self.operator.log_tail()
            )
        })
    }

    fn last_calls(&self) -> String {
        let calls = self.shim.calls();
        let last = &calls[calls.len().saturating_sub(CALLS_SHOWN)..];
        let lines = last
            .iter()
            .map(|call| format!("{} {:?} {}", call.name, call.answer, call.path));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// How long something took, for the test's output.
    pub(crate) fn told(&self, since: Instant, what: &str) {
        println!(
            "{:6.1} s  {what} ({} deaths)",
            since.elapsed().as_secs_f64(),
            self.deaths.len()
        );
    }
}

/// A law that lets everything pass.
pub(crate) fn calm() -> Law {
    spotocean_e2e::shim::law(|_| spotocean_e2e::shim::Verdict::Pass)
}

fn through(plan: &OperatorPlan, shim: &Shim) -> OperatorPlan {
    OperatorPlan {
        kubeconfig: Some(shim.kubeconfig()),
        aws_endpoint: Some(shim.aws_endpoint()),
        ..plan.clone()
    }
}
