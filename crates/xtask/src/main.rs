//! Developer commands: the demo, the whole test run, the benchmark, generated files, tidiness.
//!
//! Decides which command runs; each lies in a module of its own.

mod bench;
mod codegen;
mod demo;
mod stack_bench;
mod suite;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about,
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell the whole story on this machine: pods become spot nodes, one is taken away, all go again.
    Demo {
        /// End after the story, with status 0 only if every step held.
        #[arg(long)]
        once: bool,
        /// Play in a cluster that runs already; KWOK plays only the Nodes of its oceans.
        #[arg(long, value_name = "PATH")]
        kubeconfig: Option<PathBuf>,
        /// Decides the simulated market.
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
    },
    /// Run every test, building the tools they need first.
    Test,
    /// Measure the operator on a running stack: a burst of 1,000 pods, and its memory with 1,000 nodes and 20,000 pods.
    BenchStack,
    /// Run our planner and Karpenter's scheduler side by side, and write the figures to docs/benchmarks.md.
    Bench {
        /// Leave out the workloads that take Karpenter minutes.
        #[arg(long)]
        quick: bool,
        /// Leave Karpenter out; prints only.
        #[arg(long)]
        alone: bool,
        /// Only workloads whose name contains this; prints only.
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
        /// Take what an earlier run has measured as it stands; target/bench holds it.
        #[arg(long)]
        resume: bool,
    },
    /// Write the files that are generated from the Rust types: crds/ and the reference pages.
    Codegen {
        /// Only compare, and fail when a file differs.
        #[arg(long)]
        check: bool,
    },
    /// Check on a real AWS account, under a dollar cap, what the tests take for granted. Spends money, so it wants --yes.
    VerifyAws {
        /// Passed on; `-- --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check style and structure: file headers and sizes, dependency directions, purity, stray paths.
    Tidy,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Demo {
            once,
            kubeconfig,
            seed,
        } => demo::run(&demo::DemoPlan {
            ending: if once {
                demo::Ending::Leave
            } else {
                demo::Ending::Stay
            },
            cluster: demo::cluster_source(kubeconfig),
            seed,
        }),
        Command::Test => suite::run(),
        Command::BenchStack => stack_bench::run(),
        Command::Bench {
            quick,
            alone,
            only,
            resume,
        } => bench::run(&bench::BenchPlan {
            is_quick: quick,
            is_alone: alone,
            only,
            resumes: resume,
        }),
        Command::Codegen { check: true } => codegen::run(codegen::CodegenMode::Check),
        Command::Codegen { check: false } => codegen::run(codegen::CodegenMode::Write),
        Command::VerifyAws { arguments } => suite::verify_aws(&arguments),
        Command::Tidy => tidy::run(),
    }
}
