//! Runs one side on one question as a process of its own, and reads what it says and the most memory it held.
//!
//! Time is what the sides say themselves: both leave out reading files and setting up. Memory is the whole
//! process's, reading included, looked up in `/proc` while it runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::cases::Side;
use super::world::Caps;

/// How often a running process is asked for its peak of memory; what it takes after the last look is not seen.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The programs of the two sides.
#[derive(Debug)]
pub(super) struct Programs {
    /// Built in release.
    pub(super) kubectl_ocean: PathBuf,
    /// Not built where Karpenter is left out.
    pub(super) karpenter: Option<PathBuf>,
}

/// One answer, and what it took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Nodes to buy.
    pub(super) nodes: usize,
    /// Nodes to give back.
    #[serde(default)]
    pub(super) removed: usize,
    /// Pods without a place.
    pub(super) left: usize,
    /// USD an hour of the new nodes.
    pub(super) hourly_cost: f64,
    /// What no plan costs less than.
    pub(super) lower_bound: Option<f64>,
    /// Deciding.
    pub(super) seconds: f64,
    /// The most memory held at a time.
    pub(super) peak_bytes: Option<u64>,
}

/// What `kubectl ocean simulate` prints, as far as it counts here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OursAnswer {
    new_nodes: Vec<IgnoredAny>,
    unschedulable: Vec<IgnoredAny>,
    hourly_cost: f64,
    #[serde(default)]
    removed: Vec<IgnoredAny>,
    lower_bound: Option<f64>,
    solve_millis: f64,
}

/// What the program around Karpenter's scheduler prints, as far as it counts here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KarpenterAnswer {
    new_nodes: usize,
    unschedulable: usize,
    hourly_cost: f64,
    solve_millis: f64,
}

/// The name of the ocean's file for these caps.
pub(super) fn ocean_file(caps: Caps) -> &'static str {
    match caps {
        Caps::Off => "ocean.json",
        Caps::Default => "ocean-with-caps.json",
    }
}

/// Asks one side the question that lies in `folder`.
pub(super) fn run(programs: &Programs, side: Side, folder: &Path) -> Result<Measured> {
    let (mut command, ocean) = match (side, &programs.karpenter) {
        (Side::Ours(caps), _) => {
            let mut command = Command::new(&programs.kubectl_ocean);
            command.args(["simulate", "-o", "json"]);
            (command, ocean_file(caps))
        }
        (Side::Consolidated, _) => {
            let mut command = Command::new(&programs.kubectl_ocean);
            command.args(["simulate", "--consolidate", "-o", "json"]);
            (command, ocean_file(Caps::Off))
        }
        (Side::Karpenter, Some(program)) => (Command::new(program), ocean_file(Caps::Off)),
        (Side::Karpenter, None) => bail!("Karpenter's program was not built"),
    };
    command.arg("--ocean").arg(folder.join(ocean));
    command.arg("--cluster").arg(folder.join("cluster.json"));
    command.arg("--catalogue").arg(folder.join("catalogue.json"));
    let (answer, peak_bytes) = output_and_peak(command)?;
    let measured = match side {
        Side::Ours(_) | Side::Consolidated => read_ours(&answer),
        Side::Karpenter => read_karpenter(&answer),
    };
    let measured = measured.with_context(|| format!("the answer to {} is odd", folder.display()))?;
    Ok(Measured {
        peak_bytes,
        ..measured
    })
}

fn read_ours(answer: &[u8]) -> Result<Measured> {
    let read: OursAnswer = serde_json::from_slice(answer)?;
    Ok(Measured {
        nodes: read.new_nodes.len(),
        removed: read.removed.len(),
        left: read.unschedulable.len(),
        hourly_cost: read.hourly_cost,
        lower_bound: read.lower_bound,
        seconds: read.solve_millis / 1e3,
        peak_bytes: None,
    })
}

fn read_karpenter(answer: &[u8]) -> Result<Measured> {
    let read: KarpenterAnswer = serde_json::from_slice(answer)?;
    Ok(Measured {
        nodes: read.new_nodes,
        removed: 0,
        left: read.unschedulable,
        hourly_cost: read.hourly_cost,
        lower_bound: None,
        seconds: read.solve_millis / 1e3,
        peak_bytes: None,
    })
}

/// Standard output, and the peak of resident memory where the system tells it.
fn output_and_peak(mut command: Command) -> Result<(Vec<u8>, Option<u64>)> {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} does not start"))?;
    let status_file = format!("/proc/{}/status", child.id());
    let is_over = AtomicBool::new(false);
    let (output, peak) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak = None;
            while !is_over.load(Ordering::Relaxed) {
                let status = std::fs::read_to_string(&status_file).unwrap_or_default();
                peak = peak_of(&status).or(peak);
                std::thread::sleep(LOOK_EVERY);
            }
            peak
        });
        let output = child.wait_with_output();
        is_over.store(true, Ordering::Relaxed);
        (output, watch.join().ok().flatten())
    });
    let output = output.with_context(|| format!("{name} cannot be awaited"))?;
    // 2 says that pods were left over, which the answer tells too.
    if !matches!(output.status.code(), Some(0 | 2)) {
        bail!(
            "{name} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok((output.stdout, peak))
}

/// The high-water mark in a `/proc/…/status`.
fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_answers_are_read() {
        let ours = br#"{"newNodes": [{"pods": ["a/b"]}, {}], "existing": [], "removed": [],
            "unschedulable": [{}], "hourlyCost": 1.5, "lowerBound": null, "gap": null, "solveMillis": 2500.0}"#;
        let karpenter = br#"{"newNodes":2,"existing":3,"unschedulable":1,"hourlyCost":1.5,"setUpMillis":7.5,
            "solveMillis":2500}"#;
        let expected = Measured {
            nodes: 2,
            removed: 0,
            left: 1,
            hourly_cost: 1.5,
            lower_bound: None,
            seconds: 2.5,
            peak_bytes: None,
        };
        assert_eq!(read_ours(ours).unwrap(), expected);
        assert_eq!(read_karpenter(karpenter).unwrap(), expected);
        assert!(read_karpenter(ours).is_err());
    }

    #[test]
    fn a_process_that_holds_memory_is_seen_to() {
        assert_eq!(
            peak_of("Name:\tx\nVmHWM:\t   2048 kB\nThreads:\t1\n"),
            Some(2 << 20)
        );
        assert_eq!(peak_of("Name:\tx\n"), None);
    }

    #[test]
    fn a_side_that_fails_says_why() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo no such file >&2; exit 1"]);
        let failure = output_and_peak(command).unwrap_err().to_string();
        assert!(failure.ends_with("failed: no such file"), "{failure}");
    }
}
