//! Runs the operator under test as its own process beside the stack: started as
//! in a cluster, killed, frozen, asked for its health and metrics.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http::Method;

use crate::eventually::eventually;
use crate::process::{Process, Signal};
use crate::repository;
use crate::sim;
use crate::stack::{self, Stack};

/// The region of the simulated AWS.
pub const REGION: &str = "us-east-1";

const READY_WITHIN: Duration = Duration::from_secs(60);

/// How the operator is started.
#[derive(Debug, Clone)]
pub struct OperatorPlan {
    /// Names its log file; two operators of one stack need two names.
    pub name: String,
    /// Whose permissions it has; the administrator's when unset.
    pub kubeconfig: Option<PathBuf>,
    /// The queue it reads interruption notices from.
    pub interruption_queue: Option<String>,
    /// Where it sends AWS calls; the stack's `aws-sim` when unset.
    pub aws_endpoint: Option<String>,
    /// Further arguments.
    pub arguments: Vec<String>,
}

impl OperatorPlan {
    /// An operator as the chart would start it, under the administrator's permissions.
    pub fn new(name: &str) -> OperatorPlan {
        OperatorPlan {
            name: name.to_owned(),
            kubeconfig: None,
            interruption_queue: Some(stack::INTERRUPTION_QUEUE.to_owned()),
            aws_endpoint: None,
            arguments: Vec::new(),
        }
    }
}

/// A running operator; dropping it kills it, and shows its log when the test failed.
#[derive(Debug)]
pub struct Operator {
    process: Process,
    health_port: u16,
    metrics_port: u16,
}

impl Operator {
    /// Starts an operator and does not wait for anything.
    pub fn start(stack: &Stack, plan: &OperatorPlan) -> Result<Operator> {
        let [health_port, metrics_port] = stack::free_ports()?;
        let kubeconfig = plan.kubeconfig.clone().unwrap_or_else(|| stack.kubeconfig());
        let endpoint = match &plan.aws_endpoint {
            Some(endpoint) => endpoint.clone(),
            None => stack.sim()?.url(),
        };
        let mut command = Command::new(repository::program("spotocean-operator")?);
        command
            .args(["run", "--cluster-name", stack::CLUSTER_NAME])
            .args([
                "--namespace",
                stack::OPERATOR_NAMESPACE,
                "--lease-name",
                "spotocean-operator",
            ])
            .args(["--log-format", "compact"])
            .arg(format!("--listen-health=127.0.0.1:{health_port}"))
            .arg(format!("--listen-metrics=127.0.0.1:{metrics_port}"))
            .args(
                plan.interruption_queue
                    .iter()
                    .flat_map(|queue| ["--interruption-queue", queue.as_str()]),
            )
            .args(&plan.arguments)
            .env("KUBECONFIG", kubeconfig)
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            // The machine's own AWS settings must not decide what a test does.
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_SESSION_TOKEN");
        let process = stack.run(&plan.name, command)?;
        Ok(Operator {
            process,
            health_port,
            metrics_port,
        })
    }

    /// Starts an operator and waits until it says that it is ready.
    pub async fn start_ready(stack: &Stack, plan: &OperatorPlan) -> Result<Operator> {
        let mut operator = Operator::start(stack, plan)?;
        operator.await_ready().await?;
        Ok(operator)
    }

    /// Waits until `/readyz` answers; fails at once when the operator has ended.
    pub async fn await_ready(&mut self) -> Result<()> {
        let url = format!("http://127.0.0.1:{}/readyz", self.health_port);
        let process = &mut self.process;
        eventually(READY_WITHIN, "the operator is ready", || {
            let running = process.check_running();
            let url = url.clone();
            async move {
                match running {
                    Ok(()) => sim::send(Method::GET, &url, None).await.map(|_| Ok(())),
                    Err(ended) => Ok(Err(ended)),
                }
            }
        })
        .await?
    }

    /// Fails with the end of its log when it has ended.
    pub fn check_running(&mut self) -> Result<()> {
        self.process.check_running()
    }

    /// Ends it at whatever instruction it is, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill().map(drop)
    }

    /// Asks it to end and waits until it has.
    pub async fn terminate(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.process.signal(Signal::Terminate)?;
        self.process.wait(deadline).await
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.process.wait(deadline).await
    }

    /// Freezes it.
    pub fn pause(&self) -> Result<()> {
        self.process.signal(Signal::Stop)
    }

    /// Lets it go on after [`Operator::pause`].
    pub fn resume(&self) -> Result<()> {
        self.process.signal(Signal::Continue)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The last lines it logged.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// Its metrics, as Prometheus would read them.
    pub async fn metrics(&self) -> Result<String> {
        sim::send(
            Method::GET,
            &format!("http://127.0.0.1:{}/metrics", self.metrics_port),
            None,
        )
        .await
    }

    /// The sum over all series of one metric.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.metrics().await?;
        sum_of(&text, name).with_context(|| format!("/metrics has no {name}"))
    }

    /// Resident memory.
    pub fn memory_bytes(&self) -> Result<u64> {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.id())).context("/proc cannot be read")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        match line.and_then(|value| value.trim().trim_end_matches(" kB").parse::<u64>().ok()) {
            Some(kibibytes) => Ok(kibibytes * 1024),
            None => bail!("/proc/{}/status names no VmRSS", self.id()),
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the operator's last lines:\n{}", self.process.log_tail());
        }
    }
}

fn sum_of(metrics: &str, name: &str) -> Option<f64> {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        // Another metric may begin with this name.
        if !rest.starts_with(['{', ' ']) {
            return None;
        }
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_sum_of_its_series() {
        let text = "# HELP a_total x\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3.5\na_total_more 9\nb 1\n";
        for (name, expected) in [("a_total", Some(5.5)), ("b", Some(1.0)), ("a", None)] {
            assert_eq!(sum_of(text, name), expected, "{name}");
        }
    }
}
