//! One process of the stack: started into the stack's process group with its
//! output in a file, signalled, awaited. Does not know what the process is.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Lines of a log that a failure shows.
const TAIL_LINES: usize = 40;

/// A started process; dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// A signal that tests send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Asks for a clean end.
    Terminate,
    /// Interrupts, as Ctrl-C does.
    Interrupt,
    /// Freezes the process: it neither runs nor notices that time passes.
    Stop,
    /// Lets a frozen process go on.
    Continue,
    /// Ends the process at whatever instruction it is.
    Kill,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Signal::Terminate => "TERM",
            Signal::Interrupt => "INT",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
            Signal::Kill => "KILL",
        }
    }
}

impl Process {
    /// Starts `command` under `name`, joined to the process group `group`, with
    /// both outputs appended to `<log_directory>/<name>.log`.
    pub fn start(name: &str, mut command: Command, group: u32, log_directory: &Path) -> Result<Process> {
        let log = log_directory.join(format!("{name}.log"));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("{} cannot be written", log.display()))?;
        let group = i32::try_from(group).context("a process group is a positive 32-bit number")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("a log file cannot be shared")?)
            .stderr(output)
            .process_group(group)
            .spawn()
            .with_context(|| {
                format!(
                    "{name} ({}) does not start",
                    command.get_program().to_string_lossy()
                )
            })?;
        Ok(Process {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where the process writes its output.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What the process has written so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(
            |_| String::new(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// The last lines of its output, for a failure's text.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(TAIL_LINES);
        lines.get(from..).unwrap_or_default().join("\n")
    }

    /// Fails with the end of the log when the process has ended.
    pub fn check_running(&mut self) -> Result<()> {
        match self
            .child
            .try_wait()
            .context("a child cannot be asked whether it runs")?
        {
            None => Ok(()),
            Some(status) => bail!(
                "{} ended with {status}; its last lines:\n{}",
                self.name,
                self.log_tail()
            ),
        }
    }

    /// Sends one signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        send(signal, &self.id().to_string())
    }

    /// Ends the process now and waits until it is gone.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        // A stopped process dies of SIGKILL too; one that ended already is no error.
        let _already_gone = self.child.kill();
        self.child
            .wait()
            .with_context(|| format!("{} cannot be awaited", self.name))
    }

    /// Waits until the process ends by itself, at most `deadline` long.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self
                .child
                .try_wait()
                .context("a child cannot be asked whether it runs")?
            {
                return Ok(status);
            }
            if started.elapsed() > deadline {
                bail!(
                    "{} still runs after {} s; its last lines:\n{}",
                    self.name,
                    deadline.as_secs(),
                    self.log_tail()
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = self.kill();
    }
}

/// Signals a process, or with a leading `-` a process group. Through the shell's
/// own `kill`, because this workspace has no unsafe code to call kill(2) with.
fn send(signal: Signal, target: &str) -> Result<()> {
    let status = Command::new("/bin/sh")
        .args(["-c", "kill -s \"$1\" -- \"$2\"", "kill", signal.name(), target])
        .stderr(Stdio::null())
        .status()
        .context("/bin/sh does not start")?;
    if status.success() {
        Ok(())
    } else {
        bail!("SIG{} could not be sent to {target}", signal.name())
    }
}
