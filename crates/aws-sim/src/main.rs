//! The `aws-sim` program: flags in, one line with the address out, then it serves until it is told to stop.

use std::path::{Path, PathBuf};

use anyhow::Context;
use aws_sim::{Options, Scenario, Simulator};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Simulated AWS for one account and region, on loopback.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// Decides market, identifiers and delays.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Region: us-east-1 or us-west-2.
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Name of the EKS cluster.
    #[arg(long, alias = "cluster-name", default_value = "demo")]
    cluster: String,
    /// Name of the interruption queue; the cluster's when left out.
    #[arg(long, alias = "interruption-queue")]
    queue: Option<String>,
    /// The real cluster that instances join; without it they run and never join.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Simulated seconds per real second.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Factor on the market's interruption hazard; 0 interrupts nothing by itself.
    #[arg(long, default_value_t = 0.0)]
    hazard: f64,
    /// YAML file with further knobs.
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// File that gets the address once the simulator listens.
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Fails only if a provider was installed before, and none was.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let args = Args::parse();
    let ready_file = args.ready_file.clone();
    let mut running = Simulator::start(options(args)?).await?;
    let ready = serde_json::json!({"url": running.url, "queueUrl": running.queue_url}).to_string();
    if let Some(path) = &ready_file {
        write_whole(path, &ready)?;
    }
    println!("{ready}");
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        () = running.stopped() => anyhow::bail!("the simulator stopped by itself"),
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
    Ok(())
}

fn options(args: Args) -> anyhow::Result<Options> {
    let scenario = match &args.scenario {
        Some(path) => read_scenario(path)?,
        None => Scenario::default(),
    };
    Ok(Options {
        listen: args.listen,
        seed: args.seed,
        region: args.region,
        cluster: args.cluster,
        queue: args.queue,
        kubeconfig: args.kubeconfig,
        speed: args.speed,
        hazard: args.hazard,
        scenario,
    })
}

fn read_scenario(path: &Path) -> anyhow::Result<Scenario> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_yaml::from_str(&text).with_context(|| format!("{} is no scenario", path.display()))
}

/// Whoever waits for the file never sees half of it.
fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, text).with_context(|| format!("{} cannot be written", partial.display()))?;
    std::fs::rename(&partial, path).with_context(|| format!("{} cannot be written", path.display()))
}
