//! Where things lie: files of this repository, and the programs that cargo
//! built beside the running one. Knows paths only, reads nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The top folder of this repository.
pub fn root() -> PathBuf {
    let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_directory
        .ancestors()
        .nth(2)
        .expect("this crate lies two folders below the top")
        .to_path_buf()
}

/// A file or folder of this repository by its path from the top.
pub fn path(relative: &str) -> PathBuf {
    root().join(relative)
}

/// A program of this workspace, found beside the running one in cargo's target
/// folder: tests lie in `debug/deps`, programs in `debug`.
pub fn program(name: &str) -> Result<PathBuf> {
    let running = std::env::current_exe().context("the running program cannot name its own path")?;
    let beside = running
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name));
    match beside.into_iter().find(|candidate| candidate.is_file()) {
        Some(found) => Ok(found),
        None => bail!(
            "{name} is not built beside {}: run `cargo xtask test`, or `cargo build --workspace` first",
            running.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace_manifest() {
        assert!(path("Cargo.toml").is_file());
        assert!(path("crates/xtask/kwok/stages.yaml").is_file());
    }

    #[test]
    fn a_program_that_nobody_built_is_named_with_the_command_that_builds_it() {
        let refused = program("no-such-program").unwrap_err().to_string();
        assert!(refused.contains("cargo xtask test"), "{refused}");
    }
}
