//! The checked settings of one process, or one error that lists everything wrong with them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::args::{LogFormat, RunArguments};

/// The longest wait for pending pods that still feels like scaling.
const BATCH_MAX_LIMIT: Duration = Duration::from_secs(60);

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The EKS cluster's name.
    pub cluster_name: Arc<str>,
    /// The queue of interruption notices.
    pub interruption_queue: Option<Arc<str>>,
    /// Address of /metrics.
    pub listen_metrics: SocketAddr,
    /// Address of /healthz and /readyz.
    pub listen_health: SocketAddr,
    /// Namespace of lease and memory.
    pub namespace: String,
    /// The lease's name.
    pub lease_name: String,
    /// Time without a further pending pod that ends the gathering.
    pub batch_idle: Duration,
    /// The longest gathering.
    pub batch_max: Duration,
    /// Form of the log.
    pub log_format: LogFormat,
}

/// Everything wrong with the settings.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the settings cannot be used: {}", .0.join("; "))]
pub struct ConfigError(pub Vec<String>);

impl TryFrom<RunArguments> for Config {
    type Error = ConfigError;

    fn try_from(arguments: RunArguments) -> Result<Self, ConfigError> {
        let problems = problems(&arguments);
        if !problems.is_empty() {
            return Err(ConfigError(problems));
        }
        let queue = arguments.interruption_queue.filter(|queue| !queue.is_empty());
        Ok(Self {
            cluster_name: arguments.cluster_name.into(),
            interruption_queue: queue.map(Into::into),
            listen_metrics: arguments.listen_metrics,
            listen_health: arguments.listen_health,
            namespace: arguments.namespace,
            lease_name: arguments.lease_name,
            batch_idle: arguments.batch_idle,
            batch_max: arguments.batch_max,
            log_format: arguments.log_format,
        })
    }
}

fn problems(arguments: &RunArguments) -> Vec<String> {
    let mut problems = Vec::new();
    // EKS: 1 to 100 letters, digits, dashes and underscores, the first one a letter or digit.
    let name = &arguments.cluster_name;
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if name.is_empty() || name.len() > 100 || !name.chars().all(is_word) {
        problems.push(format!(
            "--cluster-name is {name:?}, which no EKS cluster can be called; give the name that `aws eks list-clusters` shows"
        ));
    }
    if arguments.batch_idle > arguments.batch_max {
        problems.push(format!(
            "--batch-idle {:?} is longer than --batch-max {:?}; make it at most that",
            arguments.batch_idle, arguments.batch_max
        ));
    }
    if arguments.batch_max > BATCH_MAX_LIMIT {
        problems.push(format!(
            "--batch-max {:?} would keep pods waiting; make it at most {BATCH_MAX_LIMIT:?}",
            arguments.batch_max
        ));
    }
    let is_same = arguments.listen_metrics == arguments.listen_health;
    if is_same && arguments.listen_metrics.port() != 0 {
        problems.push(format!(
            "--listen-metrics and --listen-health are both {}; give them different ports",
            arguments.listen_metrics
        ));
    }
    problems
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Arguments, Task};

    /// How many problems the flags have.
    fn check(flags: &[&str], expected: usize) {
        let line = [&["spotocean-operator", "run"], flags].concat();
        let Task::Run(arguments) = Arguments::try_parse_from(line).expect("the flags parse").task;
        let found = Config::try_from(*arguments).map_or_else(|error| error.0.len(), |_| 0);
        assert_eq!(found, expected, "{flags:?}");
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        check(&["--cluster-name", "prod"], 0);
        check(&["--cluster-name", "a/b"], 1);
        check(
            &[
                "--cluster-name",
                "",
                "--batch-idle",
                "15s",
                "--listen-health",
                "0.0.0.0:8080",
            ],
            3,
        );
        check(&["--cluster-name", "prod", "--batch-max", "5m"], 1);
    }
}
