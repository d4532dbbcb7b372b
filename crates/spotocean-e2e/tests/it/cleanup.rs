//! Nothing of a stack outlives its end, however that end comes about: the tests
//! look at the process table and the file system from outside.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use spotocean_e2e::eventually::eventually;
use spotocean_e2e::stack::{Shape, Stack, StackPlan};

/// Set in a second run of this test program: it starts a stack, says where it is, and waits to be ended.
const VICTIM: &str = "SPOTOCEAN_E2E_VICTIM";

#[tokio::test]
async fn dropping_a_stack_leaves_no_process_and_no_file() -> Result<()> {
    let stack = Stack::start(&StackPlan::new(Shape::Schemas)).await?;
    let directory = stack.directory().display().to_string();
    ensure!(
        !processes_naming(&directory)?.is_empty(),
        "the processes of a stack name its directory"
    );
    drop(stack);
    nothing_left(&directory)
}

#[tokio::test]
async fn a_killed_owner_leaves_no_process_and_no_file() -> Result<()> {
    ends_without_a_trace("KILL").await
}

#[tokio::test]
async fn an_interrupted_owner_leaves_no_process_and_no_file() -> Result<()> {
    ends_without_a_trace("INT").await
}

async fn ends_without_a_trace(signal: &str) -> Result<()> {
    let note = std::env::temp_dir().join(format!("spotocean-victim-{}-{signal}", std::process::id()));
    let mut victim = start_victim(&note)?;
    let directory = eventually(
        Duration::from_secs(180),
        "the second process started a stack",
        || async { fs::read_to_string(&note).context("its note") },
    )
    .await?;
    fs::remove_file(&note)?;
    Command::new("/bin/sh")
        .args(["-c", &format!("kill -{signal} {}", victim.id())])
        .status()?;
    victim.wait()?;
    eventually(
        Duration::from_secs(10),
        "nothing is left of its stack",
        || async { nothing_left(&directory) },
    )
    .await
}

fn start_victim(note: &std::path::Path) -> Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["cleanup::victim", "--exact", "--nocapture"])
        .env(VICTIM, note)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("this test program does not start again")
}

/// Not a test of its own: does nothing unless [`ends_without_a_trace`] asked for it.
#[tokio::test]
async fn victim() -> Result<()> {
    let Some(note) = std::env::var_os(VICTIM) else {
        return Ok(());
    };
    let stack = Stack::start(&StackPlan::new(Shape::Schemas)).await?;
    let unfinished = std::path::PathBuf::from(&note).with_extension("partial");
    fs::write(&unfinished, stack.directory().display().to_string())?;
    fs::rename(unfinished, note)?;
    std::future::pending::<()>().await;
    Ok(())
}

fn nothing_left(directory: &str) -> Result<()> {
    let running = processes_naming(directory)?;
    ensure!(running.is_empty(), "still running: {running:?}");
    if std::path::Path::new(directory).exists() {
        bail!("{directory} is still there");
    }
    Ok(())
}

/// The command lines of all processes that name `directory`.
fn processes_naming(directory: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        // A process may end while we look at it.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(directory) {
            found.push(line);
        }
    }
    Ok(found)
}
