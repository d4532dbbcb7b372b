//! Style and structure as a check: what the compiler does not refuse and a
//! reviewer should not have to look for.
//!
//! Collects complaints; `tidy/` knows the rules. Changes nothing.

mod dependencies;
mod features;
mod sources;

use std::process::Command;

use anyhow::{Context, Result, bail};
use spotocean_e2e::repository;

/// Prints nothing and succeeds, or fails with every complaint.
pub(crate) fn run() -> Result<()> {
    let complaints = complaints()?;
    if complaints.is_empty() {
        Ok(())
    } else {
        bail!("{}", complaints.join("\n"))
    }
}

fn complaints() -> Result<Vec<String>> {
    let mut complaints = dependencies::complaints(&dependencies::metadata()?);
    complaints.extend(dependencies::impurities()?);
    complaints.extend(features::complaints()?);
    for file in committed_files()? {
        // Committed but deleted in the work tree, or no text: nothing to read.
        let Ok(content) = std::fs::read_to_string(repository::path(&file)) else {
            continue;
        };
        complaints.extend(sources::complaints(&file, &content));
    }
    Ok(complaints)
}

/// Every file that git knows or would add.
fn committed_files() -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(repository::root())
        .output()
        .context("git does not start: tidy asks it which files belong to the repository")?;
    if !output.status.success() {
        bail!(
            "git ls-files failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let complaints = complaints().unwrap();
        assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    }
}
