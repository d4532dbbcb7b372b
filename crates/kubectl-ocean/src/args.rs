//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Ask the planner of SpotOcean, offline.
///
/// Exit codes: 0 every pod has a place; 1 the input cannot be used; 2 some pods stay pending (explain pod: the pod does).
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
    /// Say why a pod or a node of a dumped cluster is where it is.
    #[command(subcommand)]
    Explain(Explain),
    /// Plan anew for a recorded snapshot: the same plan, bit for bit.
    Replay(Replay),
}

/// What to explain.
#[derive(Debug, Subcommand)]
pub(crate) enum Explain {
    /// Per pool: what each constraint leaves of the offerings, and the smallest change that would admit the pod.
    Pod(ExplainPod),
    /// What blocks the node's removal, and what removing it would come to.
    Node(ExplainNode),
}

/// Which pod.
#[derive(Debug, Args)]
pub(crate) struct ExplainPod {
    /// The pod, as NAMESPACE/NAME; a name alone is in namespace default.
    pub(crate) pod: String,
    /// The world.
    #[command(flatten)]
    pub(crate) world: World,
    /// How to print the answer.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// Which node.
#[derive(Debug, Args)]
pub(crate) struct ExplainNode {
    /// The node's name.
    pub(crate) node: String,
    /// The world.
    #[command(flatten)]
    pub(crate) world: World,
    /// How to print the answer.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// Plan anew.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The recorded snapshot; - for standard input.
    pub(crate) snapshot: String,
    /// How to print the plan.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
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
    /// Also remove nodes where that saves money, once the pending pods have their places: as if every pool's
    /// disruption.consolidate let nodes with pods go. Without it nothing is removed.
    #[arg(long)]
    pub(crate) consolidate: bool,
    /// Also write the planner's snapshot to this file, to replay. It holds the objects and the pools' user data.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<String>,
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
