//! Starts the operator: TLS provider, arguments, log, then [`spotocean_operator::wiring`]. Decides nothing else.

use anyhow::Context;
use clap::Parser;
use spotocean_operator::args::{Arguments, Task};
use spotocean_operator::config::Config;
use spotocean_operator::{log, wiring};

/// Stack of a worker thread in bytes. A `CreateFleet` through the SDK takes more than Tokio's 2 MiB in a build
/// without optimisation; the pages are only used where they are needed.
const WORKER_STACK_BYTES: usize = 16 << 20;

fn main() -> anyhow::Result<()> {
    // kube and the AWS SDK both speak through rustls and would not agree on a provider by themselves.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider was installed before main"))?;
    let Task::Run(arguments) = Arguments::parse().task;
    let config = Config::try_from(*arguments)?;
    log::start(config.log_format);
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(WORKER_STACK_BYTES)
        .build()
        .context("the async runtime did not start")?
        .block_on(wiring::run(config))
}
