//! `kubectl ocean`: ask the planner of SpotOcean, offline.

mod answer;
mod args;
mod catalogue;
mod consolidated;
mod dump;
mod exit;
mod explain;
mod input;
mod objects;
mod output;
mod rehearsal;
mod replay;
mod simulate;
mod table;
mod zones;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command, Explain};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            // Help and version were asked for; everything else is a slip.
            return if error.use_stderr() {
                exit::bad_input()
            } else {
                exit::ALL_PLACED
            };
        }
    };
    let done = match &arguments.command {
        Command::Simulate(arguments) => simulate::simulate(arguments),
        Command::Explain(Explain::Pod(arguments)) => explain::pod(arguments),
        Command::Explain(Explain::Node(arguments)) => explain::node(arguments),
        Command::Replay(arguments) => replay::replay(arguments),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        exit::bad_input()
    })
}
