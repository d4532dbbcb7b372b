//! Runs a long build and says on standard error how it goes: one line that is
//! redrawn on a terminal, else one line every half minute. A failed build is
//! shown by its last lines.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, IsTerminal};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const REDRAW: Duration = Duration::from_secs(1);
const REPEAT: Duration = Duration::from_secs(30);
const KEPT_LINES: usize = 40;

/// Runs `command`, whose error output is one line per step; `title` says what is being done.
pub(super) fn run(mut command: Command, title: &str) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} does not start"))?;
    let output = child
        .stderr
        .take()
        .context("the build was started with a pipe for its errors")?;
    let (sender, steps) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let last = follow(&steps, title);
    drop(reader.join());
    let status = child
        .wait()
        .with_context(|| format!("{program} cannot be awaited"))?;
    if !status.success() {
        bail!(
            "{title} failed ({program} ended with {status}):\n{}",
            Vec::from(last).join("\n")
        );
    }
    Ok(())
}

/// Reports until the build closes its output; answers with its last lines.
fn follow(steps: &Receiver<String>, title: &str) -> VecDeque<String> {
    let redrawn = std::io::stderr().is_terminal();
    let interval = if redrawn { REDRAW } else { REPEAT };
    let started = Instant::now();
    let mut reported = started;
    let mut count = 0_usize;
    let mut last = VecDeque::new();
    eprintln!("{title} …");
    loop {
        match steps.recv_timeout(interval) {
            Ok(line) => {
                count += 1;
                if last.len() == KEPT_LINES {
                    last.pop_front();
                }
                last.push_back(line);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if reported.elapsed() >= interval {
            reported = Instant::now();
            report(redrawn.then_some("\r"), &line(title, count, started));
        }
    }
    report(redrawn.then_some("\r"), &line(title, count, started));
    if redrawn {
        eprintln!();
    }
    last
}

fn line(title: &str, steps: usize, started: Instant) -> String {
    let seconds = started.elapsed().as_secs();
    format!("{title}: {steps} steps, {}:{:02}", seconds / 60, seconds % 60)
}

fn report(redraw: Option<&str>, line: &str) {
    match redraw {
        Some(start) => eprint!("{start}{line}"),
        None => eprintln!("{line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_build_shows_its_last_lines() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo first >&2; echo the reason >&2; exit 3"]);
        let failure = run(command, "building a test").unwrap_err().to_string();
        assert!(
            failure.contains("the reason") && failure.contains("building a test"),
            "{failure}"
        );
    }
}
