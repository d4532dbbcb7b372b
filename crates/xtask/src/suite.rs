//! The whole test run: prerequisites, tools, one build, every test program, and
//! a summary of what ran and how long it took.
//!
//! Runs the test programs itself, not through `cargo test`, to know which crate
//! each belongs to. Does not know what the tests test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use spotocean_e2e::{repository, toolchain};

/// Builds what is missing, runs everything, fails when one test failed.
pub(crate) fn run() -> Result<()> {
    let mut phases = Vec::new();
    timed(&mut phases, "prerequisites", toolchain::check_prerequisites)?;
    let tools = timed(&mut phases, "tools", Tools::find_or_build)?;
    timed(&mut phases, "build", || {
        build(&["build", "--workspace", "--all-targets"])
    })?;
    let programs = timed(&mut phases, "list test programs", test_programs)?;
    let mut tally = Tally::default();
    timed(&mut phases, "tests", || {
        programs
            .iter()
            .try_for_each(|program| tally.run(program.kind(), program.command(&tools)?))
    })?;
    timed(&mut phases, "documentation tests", || {
        tally.run("documentation".to_owned(), documentation_tests())
    })?;
    println!("{}", summary(&phases, &tally));
    if tally.failed() > 0 {
        bail!("{} tests failed", tally.failed())
    } else {
        Ok(())
    }
}

/// Builds every library and program of the workspace, with the features that the test run has too.
pub(crate) fn build_programs() -> Result<()> {
    build(&["build", "--workspace"])
}

fn build(arguments: &[&str]) -> Result<()> {
    let status = cargo()
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .context("cargo does not start")?;
    if status.success() {
        Ok(())
    } else {
        bail!("cargo {} failed", arguments.join(" "))
    }
}

/// Runs the checks against a real account; the whole workspace is built, so that the AWS SDK is not built again.
pub(crate) fn verify_aws(arguments: &[String]) -> Result<()> {
    build_programs()?;
    let status = Command::new(repository::program("verify-aws")?)
        .args(arguments)
        .status()
        .context("verify-aws does not start")?;
    if status.success() {
        Ok(())
    } else {
        bail!("AWS does not behave as expected, see above")
    }
}

/// The cargo that runs this program, at the top of the repository.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(repository::root());
    // `cargo run` describes this crate to us by these; to the cargo below they would be changes of the environment.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_")
            || name == "CARGO_MANIFEST_DIR"
            || name == "CARGO_MANIFEST_PATH"
        {
            command.env_remove(name);
        }
    }
    command
}

fn timed<T>(
    phases: &mut Vec<(&'static str, Duration)>,
    name: &'static str,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    let outcome = work();
    phases.push((name, started.elapsed()));
    outcome
}

/// The outside programs, as the environment of the tests names them.
#[derive(Debug)]
struct Tools(Vec<(&'static str, PathBuf)>);

impl Tools {
    fn find_or_build() -> Result<Tools> {
        Ok(Tools(vec![
            (
                "SPOTOCEAN_KUBE_PROGRAMS",
                toolchain::control_plane()?.directory().to_path_buf(),
            ),
            ("SPOTOCEAN_SCHEDULER_ORACLE", toolchain::scheduler_oracle()?),
            ("SPOTOCEAN_KWOK", toolchain::kwok()?),
            ("SPOTOCEAN_NODEADM", toolchain::nodeadm()?),
            ("SPOTOCEAN_MOTO_SERVER", toolchain::moto_server()?),
            ("SPOTOCEAN_HIGHS", toolchain::highs()?),
            ("SPOTOCEAN_HELM", toolchain::helm()?),
        ]))
    }
}

/// One compiled test program.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TestProgram {
    package: String,
    package_directory: PathBuf,
    target_kind: String,
    executable: PathBuf,
}

impl TestProgram {
    fn kind(&self) -> String {
        match self.target_kind.as_str() {
            "test" => format!("integration: {}", self.package),
            _ => format!("unit: {}", self.package),
        }
    }

    fn command(&self, tools: &Tools) -> Result<Command> {
        let mut command = Command::new(&self.executable);
        command
            .current_dir(&self.package_directory)
            .env("CARGO_MANIFEST_DIR", &self.package_directory);
        command.envs(tools.0.iter().map(|(name, path)| (*name, path)));
        Ok(command)
    }
}

fn test_programs() -> Result<Vec<TestProgram>> {
    let output = cargo()
        .args([
            "test",
            "--workspace",
            "--no-run",
            "--message-format=json-render-diagnostics",
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo does not start")?;
    if !output.status.success() {
        bail!("cargo test --no-run failed");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut programs: Vec<TestProgram> = messages.lines().filter_map(test_program).collect();
    // Pure tests first: they fail soonest and cheapest.
    programs.sort_by_key(|program| (program.package == "spotocean-e2e", program.kind()));
    Ok(programs)
}

/// Reads one of cargo's messages; answers for those that announce a test program.
fn test_program(message: &str) -> Option<TestProgram> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let manifest = Path::new(message["manifest_path"].as_str()?);
    let package_directory = manifest.parent()?.to_path_buf();
    Some(TestProgram {
        package: package_directory.file_name()?.to_string_lossy().into_owned(),
        package_directory,
        target_kind: message["target"]["kind"][0].as_str()?.to_owned(),
        executable: PathBuf::from(message["executable"].as_str()?),
    })
}

fn documentation_tests() -> Command {
    let mut command = cargo();
    command.args(["test", "--workspace", "--doc", "--quiet"]);
    command
}

/// Passed and failed tests per kind.
#[derive(Debug, Default)]
struct Tally(BTreeMap<String, Counts>);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Runs one test program, showing its output as it comes.
    fn run(&mut self, kind: String, mut command: Command) -> Result<()> {
        println!("\n=== {kind}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", command.get_program().to_string_lossy()))?;
        let output = child
            .stdout
            .take()
            .context("the test program was started with a pipe for its output")?;
        let counts = self.0.entry(kind).or_default();
        let before = *counts;
        for line in BufReader::new(output).lines() {
            let line = line.context("a test program's output cannot be read")?;
            println!("{line}");
            counts.add(result_line(&line));
        }
        let succeeded = child
            .wait()
            .context("a test program cannot be awaited")?
            .success();
        // A program that died (abort, signal, no compile) has no result line of its own.
        if !succeeded && counts.failed == before.failed {
            counts.failed += 1;
        }
        Ok(())
    }

    fn failed(&self) -> u64 {
        self.0.values().map(|counts| counts.failed).sum()
    }

    fn passed(&self) -> u64 {
        self.0.values().map(|counts| counts.passed).sum()
    }
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Reads `test result: ok. 12 passed; 0 failed; …`; zero for any other line.
fn result_line(line: &str) -> Counts {
    let Some(result) = line.strip_prefix("test result: ") else {
        return Counts::default();
    };
    let number = |what: &str| {
        let part = result
            .split([';', '.'])
            .find_map(|part| part.trim().strip_suffix(what));
        part.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    };
    Counts {
        passed: number("passed"),
        failed: number("failed"),
    }
}

fn summary(phases: &[(&'static str, Duration)], tally: &Tally) -> String {
    let mut lines = vec![String::from("\nphase                     seconds")];
    lines.extend(
        phases
            .iter()
            .map(|(name, spent)| format!("{name:<24} {:>8.1}", spent.as_secs_f64())),
    );
    lines.push(String::from(
        "\ntests                               passed   failed",
    ));
    let counted = tally.0.iter().filter(|(_, counts)| **counts != Counts::default());
    lines.extend(
        counted.map(|(kind, counts)| format!("{kind:<34} {:>7} {:>8}", counts.passed, counts.failed)),
    );
    lines.push(format!("\n{} passed, {} failed", tally.passed(), tally.failed()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_counted() {
        for (line, passed, failed) in [
            (
                "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.31s",
                12,
                0,
            ),
            (
                "test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
                7,
                2,
            ),
            ("test a::b ... ok", 0, 0),
        ] {
            assert_eq!(result_line(line), Counts { passed, failed }, "{line}");
        }
    }

    #[test]
    fn a_program_that_dies_counts_as_a_failure() {
        let mut tally = Tally::default();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo 'test a ... ok'; exit 101"]);
        tally.run("unit: x".to_owned(), command).unwrap();
        assert_eq!((tally.passed(), tally.failed()), (0, 1));
        assert!(summary(&[], &tally).ends_with("\n0 passed, 1 failed"));
    }

    #[test]
    fn cargo_messages_name_the_test_programs() {
        let message = r#"{"reason":"compiler-artifact","manifest_path":"/x/crates/a/Cargo.toml",
            "target":{"kind":["test"],"name":"it"},"profile":{"test":true},"executable":"/t/it-1"}"#;
        let program = test_program(message).unwrap();
        assert_eq!(
            (program.kind().as_str(), program.executable.as_path()),
            ("integration: a", Path::new("/t/it-1"))
        );
        assert_eq!(
            test_program(&message.replace("\"test\":true", "\"test\":false")),
            None
        );
        assert_eq!(test_program("Compiling"), None);
    }
}
