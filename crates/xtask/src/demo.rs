//! `cargo xtask demo`: the whole of SpotOcean on one machine, told as a story.
//!
//! Decides what is started and how it ends; `demo/story.rs` knows the steps,
//! `demo/screen.rs` how they are shown.

mod screen;
mod story;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use spotocean_e2e::operator::{Operator, OperatorPlan};
use spotocean_e2e::stack::{ClusterSource, Shape, Stack, StackPlan};

use crate::suite;
use screen::Screen;
use story::Story;

/// How the demo is run.
#[derive(Debug)]
pub(crate) struct DemoPlan {
    /// What happens after the last step.
    pub(crate) ending: Ending,
    /// Whose cluster it plays in.
    pub(crate) cluster: ClusterSource,
    /// Decides the simulated market.
    pub(crate) seed: u64,
}

/// What happens after the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The demo ends.
    Leave,
    /// Everything stays up to be explored, until Ctrl-C.
    Stay,
}

/// The clause of `cargo xtask demo`'s `--kubeconfig`.
pub(crate) fn cluster_source(kubeconfig: Option<PathBuf>) -> ClusterSource {
    kubeconfig.map_or(ClusterSource::Own, |kubeconfig| ClusterSource::Existing {
        kubeconfig,
    })
}

/// Builds, starts, tells the story, and ends everything it started. Fails with the first step that did not hold.
pub(crate) fn run(plan: &DemoPlan) -> Result<()> {
    suite::build_programs()?;
    let runtime = tokio::runtime::Runtime::new().context("no runtime can be started")?;
    runtime.block_on(async {
        tokio::select! {
            outcome = play(plan) => outcome,
            // Dropping the other branch drops the stack, and with it every process and file.
            signal = tokio::signal::ctrl_c() => {
                signal.context("Ctrl-C cannot be awaited")?;
                eprintln!();
                match plan.ending {
                    Ending::Stay => Ok(()),
                    Ending::Leave => bail!("the demo was interrupted before its end"),
                }
            }
        }
    })
}

async fn play(plan: &DemoPlan) -> Result<()> {
    let mut screen = Screen::new();
    screen.say("starting a cluster, a simulated AWS and the operator on 127.0.0.1");
    let stack_plan = StackPlan {
        cluster: plan.cluster.clone(),
        seed: plan.seed,
        ..StackPlan::new(Shape::Cloud)
    };
    let stack = Stack::start(&stack_plan).await?;
    let mut operator = Operator::start(&stack, &OperatorPlan::new("operator"))?;
    let outcome = tell(plan, &stack, &mut operator, screen).await;
    if outcome.is_err() {
        eprintln!("\nthe operator's last lines:\n{}", operator.log_tail());
    }
    // An operator that ends cleanly gives its lease back; the stack would kill it anyway.
    let _ended_or_killed = operator.terminate(Duration::from_secs(10)).await;
    outcome
}

async fn tell(plan: &DemoPlan, stack: &Stack, operator: &mut Operator, screen: Screen) -> Result<()> {
    operator.await_ready().await?;
    let mut story = Story::new(stack, screen).await?;
    let told = story.tell().await;
    if let Err(failure) = told {
        story.give_up(&failure);
        return Err(failure);
    }
    story.summarise();
    if plan.ending == Ending::Stay {
        println!("{}", invitation(stack));
        watch(stack, operator).await?;
    }
    Ok(())
}

fn invitation(stack: &Stack) -> String {
    format!(
        "\nEverything is still up; the ocean is empty and waits for pods. In another shell:\n\n  \
         export KUBECONFIG={}\n  kubectl apply -f examples/workloads/web-shop.yaml\n  kubectl get oceans\n  \
         kubectl get oceannodes --watch\n\nCtrl-C ends it and removes every trace.",
        stack.kubeconfig().display()
    )
}

/// Stays until something ends that should not.
async fn watch(stack: &Stack, operator: &mut Operator) -> Result<()> {
    loop {
        stack.check_running()?;
        operator.check_running()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
