//! Runs the kubectl of the cached control plane, of the cluster's own version.
//! Knows how to start it and read what it says; judges nothing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A kubectl bound to one kubeconfig.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

/// What a run of kubectl printed and how it ended.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Whether it exited with 0.
    pub success: bool,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub error: String,
}

impl Kubectl {
    /// A kubectl at `program` for the cluster of `kubeconfig`.
    pub fn new(program: &Path, kubeconfig: &Path) -> Kubectl {
        Kubectl {
            program: program.to_path_buf(),
            kubeconfig: kubeconfig.to_path_buf(),
        }
    }

    /// Runs it and answers with its standard output; fails when kubectl fails.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_with(arguments, "")
    }

    /// As [`Kubectl::run`], with `input` on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        let answer = self.ask(arguments, input)?;
        if !answer.success {
            bail!("kubectl {} failed: {}", arguments.join(" "), answer.error.trim());
        }
        Ok(answer.output)
    }

    /// Runs it and answers with all it said, whether it succeeded or not.
    pub fn ask(&self, arguments: &[&str], input: &str) -> Result<Answer> {
        let mut child = self.spawn(arguments)?;
        let mut standard_input = child
            .stdin
            .take()
            .context("kubectl was started with a pipe for its input")?;
        let input = input.to_owned();
        // A kubectl that fails early does not read its input: that is not our error.
        let writer = std::thread::spawn(move || drop(standard_input.write_all(input.as_bytes())));
        let output = child.wait_with_output().context("kubectl cannot be awaited")?;
        drop(writer.join());
        Ok(Answer {
            success: output.status.success(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            error: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Applies a manifest server-side.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        self.run_with(
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
            manifest,
        )
    }

    fn spawn(&self, arguments: &[&str]) -> Result<std::process::Child> {
        Command::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments)
            // Its discovery cache would outlive the stack, keyed by a port that another stack may get.
            .env("KUBECACHEDIR", self.kubeconfig.with_file_name("kubectl-cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", self.program.display()))
    }
}
