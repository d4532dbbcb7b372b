//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Ask the planner of SpotOcean, offline.
///
/// Exit codes: 0 every pod has a place; 1 the input cannot be used; 2 some pods stay pending.
#[derive(Debug, Parser)]
#[command(name = "kubectl-ocean", bin_name = "kubectl ocean", version)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Plan for a dumped cluster as the operator would, and buy nothing.
    Simulate(Simulate),
}

/// What a rehearsal is made of.
#[derive(Debug, Args)]
pub(crate) struct World {
    /// Manifest of the SpotOcean; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) ocean: String,
    /// Dump of the cluster: what kubectl get -o yaml (or json) printed; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) cluster: String,
    /// Instance types and prices; without it the figures built in.
    #[arg(long, value_name = "FILE")]
    pub(crate) catalogue: Option<String>,
    /// The AWS region of the catalogue to buy in.
    #[arg(long, default_value = "us-east-1")]
    pub(crate) region: String,
}

/// Plan for a dumped cluster.
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// The world.
    #[command(flatten)]
    pub(crate) world: World,
    /// How to print the answer.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For programs that people read.
    Yaml,
}
