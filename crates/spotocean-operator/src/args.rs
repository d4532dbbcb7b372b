//! The command line, and nothing but it: every flag has an environment variable of the same name.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs SpotOcean in a cluster.
#[derive(Debug, Parser)]
#[command(name = "spotocean-operator", version, about)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Observe the cluster, buy and remove nodes.
    Run(Box<RunArguments>),
}

/// How lines are written to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For reading.
    Compact,
}

/// Settings of one process; what to buy is said by SpotOcean objects.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Name of the EKS cluster that the operator runs in.
    #[arg(long, env = "SPOTOCEAN_CLUSTER_NAME")]
    pub cluster_name: String,

    /// Name or URL of the SQS queue that EventBridge sends spot interruptions to; without it they are noticed late.
    #[arg(long, env = "SPOTOCEAN_INTERRUPTION_QUEUE")]
    pub interruption_queue: Option<String>,

    /// Address of /metrics.
    #[arg(long, env = "SPOTOCEAN_LISTEN_METRICS", default_value = "0.0.0.0:8080")]
    pub listen_metrics: SocketAddr,

    /// Address of /healthz and /readyz.
    #[arg(long, env = "SPOTOCEAN_LISTEN_HEALTH", default_value = "0.0.0.0:8081")]
    pub listen_health: SocketAddr,

    /// Namespace of the lease and of what the operator remembers.
    #[arg(long, env = "SPOTOCEAN_NAMESPACE", default_value = "spotocean")]
    pub namespace: String,

    /// Name of the lease that the leader holds.
    #[arg(long, env = "SPOTOCEAN_LEASE_NAME", default_value = "spotocean-operator")]
    pub lease_name: String,

    /// How long no further pending pod must come before nodes are planned.
    #[arg(long, env = "SPOTOCEAN_BATCH_IDLE", default_value = "300ms", value_parser = duration)]
    pub batch_idle: Duration,

    /// How long pending pods are gathered at most.
    #[arg(long, env = "SPOTOCEAN_BATCH_MAX", default_value = "10s", value_parser = duration)]
    pub batch_max: Duration,

    /// Form of the log.
    #[arg(long, env = "SPOTOCEAN_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| format!("{text:?} is not a duration: write one such as 300ms or 3s"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        let rows = [
            ("300ms", Some(Duration::from_millis(300))),
            ("3s", Some(Duration::from_secs(3))),
            ("1m30s", Some(Duration::from_secs(90))),
            ("-3s", None),
            ("3", None),
        ];
        for (text, expected) in rows {
            assert_eq!(duration(text).ok(), expected, "{text}");
        }
    }
}
