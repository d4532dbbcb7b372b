//! Makes sure that nothing of a stack outlives the process that started it, also
//! when that process is killed and can do nothing itself.
//!
//! All processes of a stack share one process group. A watcher (a shell, outside
//! the group) reads a pipe that only the starting process holds open: when that
//! process ends in whatever way, the kernel closes the pipe, the watcher kills
//! the group and removes the directory. prctl(PR_SET_PDEATHSIG) would not do: it
//! follows the starting *thread*, and test threads end before their shared stack.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// Kills until the group is empty (a member may be starting), then removes the directory.
/// The bound is for members that nobody waits for: as zombies they stay in the group.
const WATCH: &str = r#"
cat > /dev/null
tries=0
while kill -s KILL -- "-$1" 2> /dev/null && [ "$tries" -lt 40 ]; do
  tries=$((tries + 1))
  sleep 0.05
done
rm -rf -- "$2"
"#;

/// The process group of one stack and its watcher.
#[derive(Debug)]
pub(super) struct Group {
    /// First member and leader: it keeps the group's id taken.
    anchor: Child,
    watcher: Child,
}

impl Group {
    /// A new group; `directory` is removed with it.
    pub(super) fn start(directory: &Path) -> Result<Group> {
        let anchor = silent(&mut Command::new("cat")).context("cat does not start")?;
        let mut watch = Command::new("/bin/sh");
        watch
            .args(["-c", WATCH, "spotocean-watcher", &anchor.id().to_string()])
            .arg(directory);
        let watcher = silent(&mut watch).context("/bin/sh does not start")?;
        Ok(Group { anchor, watcher })
    }

    /// The group's id.
    pub(super) fn id(&self) -> u32 {
        self.anchor.id()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The anchor goes first: while it is an unawaited zombie, the group does not look empty.
        let _already_gone = self.anchor.kill();
        let _already_awaited = self.anchor.wait();
        drop(self.watcher.stdin.take());
        let _already_awaited = self.watcher.wait();
    }
}

/// Starts a process in a group of its own that lives until its input is closed and holds no output of ours open.
fn silent(command: &mut Command) -> std::io::Result<Child> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// A new directory for one stack, readable by its owner alone: it holds keys and tokens.
pub(super) fn new_directory() -> Result<PathBuf> {
    let mut number = 0;
    loop {
        let path = std::env::temp_dir().join(format!("spotocean-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error).with_context(|| format!("{} cannot be made", path.display())),
        }
    }
}
