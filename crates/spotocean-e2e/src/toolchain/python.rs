//! Installs a Python program with its pinned requirements into a virtual
//! environment of its own. A virtual environment cannot be moved, so it is made
//! in its final folder, and a file written last says that it is whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{cache, progress};
use crate::repository;

const PYTHON: &str = "python3";
const WHOLE: &str = "whole";

/// moto, whose server answers AWS's wire protocols.
pub(super) const MOTO: PythonProgram = PythonProgram {
    name: "moto",
    requirements: "crates/xtask/moto/requirements.txt",
    script: "moto_server",
    override_variable: "SPOTOCEAN_MOTO_SERVER",
};

/// The Python that has HiGHS, which solves integer programs to the optimum.
pub(super) const HIGHS: PythonProgram = PythonProgram {
    name: "highs",
    requirements: "crates/xtask/highs/requirements.txt",
    script: "python",
    override_variable: "SPOTOCEAN_HIGHS",
};

/// One script of one set of pinned requirements.
#[derive(Debug, Clone, Copy)]
pub(super) struct PythonProgram {
    name: &'static str,
    requirements: &'static str,
    script: &'static str,
    override_variable: &'static str,
}

impl PythonProgram {
    /// The script: named by the environment, cached, or installed now.
    pub(super) fn find_or_build(&self) -> Result<PathBuf> {
        if let Some(given) = std::env::var_os(self.override_variable) {
            return Ok(PathBuf::from(given));
        }
        let requirements = repository::path(self.requirements);
        let pins =
            fs::read(&requirements).with_context(|| format!("{} cannot be read", requirements.display()))?;
        let folder = cache::folder(self.name, &[pins])?;
        let script = folder.join("bin").join(self.script);
        if folder.join(WHOLE).is_file() {
            return Ok(script);
        }
        let _lock = cache::lock(self.name)?;
        if !folder.join(WHOLE).is_file() {
            self.install(&folder, &requirements)?;
        }
        Ok(script)
    }

    fn install(&self, folder: &Path, requirements: &Path) -> Result<()> {
        check()?;
        let mut environment = Command::new(PYTHON);
        environment.args(["-m", "venv", "--clear"]).arg(folder);
        progress::run(
            environment,
            &format!("making a virtual environment for {}", self.name),
        )?;
        let mut install = Command::new(folder.join("bin/python"));
        install
            .args([
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--quiet",
                "--no-deps",
                "--requirement",
            ])
            .arg(requirements);
        progress::run(install, &format!("installing {} (once, then cached)", self.name))?;
        let stamp = folder.join(WHOLE);
        fs::write(&stamp, "").with_context(|| format!("{} cannot be written", stamp.display()))
    }
}

/// Fails with a sentence when Python or its `venv` module is missing.
pub(super) fn check() -> Result<()> {
    match Command::new(PYTHON)
        .args(["-c", "import ensurepip, venv"])
        .output()
    {
        Ok(output) if output.status.success() => Ok(()),
        Ok(_) => bail!(
            "python3 has no venv module: moto and HiGHS, the second opinions on AWS's wire and on plans, \
             are installed into one each. On Debian and Ubuntu: apt install python3-venv"
        ),
        Err(_) => bail!(
            "python3 is missing: moto and HiGHS, the second opinions on AWS's wire and on plans, run on it. \
             Install Python 3.10 or newer."
        ),
    }
}
