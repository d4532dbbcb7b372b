//! Measures the solver: cost, bound, gap, time and memory over workloads.
//!
//! `cargo run -p spotocean-solver --example measure -- DATA [FILTER]`, where
//! `DATA` is a folder with `ec2_catalogue.json`, `spot_advisor.json` and
//! `workloads/openb_pod_list_default.csv`; rows whose name contains `FILTER` are run.

mod market;
mod workloads;

use std::path::Path;
use std::time::{Duration, Instant};

use spotocean_solver::problem::Problem;
use spotocean_solver::solve::solve;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let data = arguments.next().unwrap_or_else(|| ".".to_owned());
    let filter = arguments.next().unwrap_or_default();
    let data = Path::new(&data);
    println!(
        "{:<44} {:>7} {:>6} {:>12} {:>12} {:>8} {:>9} {:>7}",
        "workload", "pods", "nodes", "$/h", "bound", "gap %", "ms", "MiB"
    );
    for (name, make) in workloads::all(data) {
        if name.contains(&filter) {
            measure(&name, &make());
        }
    }
}

fn measure(name: &str, problem: &Problem) {
    let start = (Instant::now(), on_cpu());
    let solution = solve(problem);
    let taken = on_cpu().map_or_else(|| start.0.elapsed(), |now| now - start.1.unwrap_or_default());
    println!(
        "{name:<44} {:>7} {:>6} {:>12} {:>12} {:>8} {:>9.1} {:>7} {}",
        problem.pods.len(),
        solution.new_nodes.len(),
        solution.cost().to_string(),
        solution
            .lower_bound
            .map_or("-".to_owned(), |bound| bound.to_string()),
        solution
            .gap_per_million()
            .map_or("-".to_owned(), |gap| format!("{:.3}", gap as f64 / 1e4)),
        taken.as_secs_f64() * 1000.0,
        peak_mib(),
        if solution.unplaced.is_empty() {
            String::new()
        } else {
            format!("{} left over", solution.unplaced.len())
        }
    );
}

/// What this thread has spent on a processor, where the system says: others' load does not count.
fn on_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// The most memory this process has held so far, in MiB, where the system says.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
