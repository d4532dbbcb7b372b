//! The outside programs that tests and demo run, each built once from a pinned
//! source and cached by the content of that pin.
//!
//! Decides what is wanted and where the finished program lies; `toolchain/`
//! knows how Go and Python build it. Does not know what the programs do.

mod cache;
mod go;
mod helm;
mod progress;
mod python;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use go::GoProgram;

/// Names the folder of ready-made control plane programs, as kubebuilder and envtest use it.
pub const KUBEBUILDER_ASSETS: &str = "KUBEBUILDER_ASSETS";

/// What the control plane consists of; one program, called by these names.
const CONTROL_PLANE_NAMES: [&str; 5] = [
    "etcd",
    "kube-apiserver",
    "kube-scheduler",
    "kube-controller-manager",
    "kubectl",
];

/// The name under which the control plane's program answers for the scheduler alone.
const SCHEDULER_ORACLE: &str = "scheduler-oracle";

const CONTROL_PLANE: GoProgram = GoProgram {
    name: "controlplane",
    title: "the Kubernetes 1.36 control plane",
    module: "crates/xtask/controlplane",
    package: ".",
    link_flags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
                 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36",
    override_variable: "SPOTOCEAN_CONTROLPLANE",
};

const KWOK: GoProgram = GoProgram {
    name: "kwok",
    title: "KWOK",
    module: "crates/xtask/kwok",
    package: "sigs.k8s.io/kwok/cmd/kwok",
    link_flags: "-s -w -X sigs.k8s.io/kwok/pkg/consts.Version=v0.8.0",
    override_variable: "SPOTOCEAN_KWOK",
};

const NODEADM: GoProgram = GoProgram {
    name: "nodeadm",
    title: "nodeadm's reader of user data",
    module: "crates/xtask/nodeadm",
    package: ".",
    link_flags: "-s -w",
    override_variable: "SPOTOCEAN_NODEADM",
};

const KARPENTER: GoProgram = GoProgram {
    name: "karpenter",
    title: "Karpenter's scheduler",
    module: "crates/xtask/karpenter",
    package: ".",
    link_flags: "-s -w",
    override_variable: "SPOTOCEAN_KARPENTER",
};

/// The programs of a control plane, in one folder under their own names.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    directory: PathBuf,
}

impl ControlPlane {
    /// The program called `name`, for example `kube-apiserver`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The folder they lie in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// The control plane: from `KUBEBUILDER_ASSETS` when that is set, else the cached one, built when missing.
pub fn control_plane() -> Result<ControlPlane> {
    if let Some(directory) = std::env::var_os(KUBEBUILDER_ASSETS) {
        return ready_made(PathBuf::from(directory));
    }
    let program = CONTROL_PLANE.find_or_build()?;
    let directory = program
        .parent()
        .context("the cached program lies in a folder")?
        .to_path_buf();
    for name in CONTROL_PLANE_NAMES {
        link(&program, &directory.join(name))?;
    }
    Ok(ControlPlane { directory })
}

/// The real kube-scheduler as a function from a cluster to bindings; part of the control plane's program.
pub fn scheduler_oracle() -> Result<PathBuf> {
    if let Some(directory) = std::env::var_os(KUBEBUILDER_ASSETS) {
        let ready_made = PathBuf::from(directory).join(SCHEDULER_ORACLE);
        if ready_made.is_file() {
            return Ok(ready_made);
        }
    }
    let program = CONTROL_PLANE.find_or_build()?;
    let oracle = program.with_file_name(SCHEDULER_ORACLE);
    link(&program, &oracle)?;
    Ok(oracle)
}

/// The KWOK controller, which plays the kubelet of every node.
pub fn kwok() -> Result<PathBuf> {
    KWOK.find_or_build()
}

/// AWS's own reader of user data for AL2023: nodeadm up to where it would start daemons. It prints what it has read.
pub fn nodeadm() -> Result<PathBuf> {
    NODEADM.find_or_build()
}

/// Karpenter's scheduler, which the benchmark runs beside ours.
pub fn karpenter() -> Result<PathBuf> {
    KARPENTER.find_or_build()
}

/// `moto_server`, the second opinion on the AWS wire.
pub fn moto_server() -> Result<PathBuf> {
    python::MOTO.find_or_build()
}

/// The Python that has HiGHS, the second opinion on what plans cost.
pub fn highs() -> Result<PathBuf> {
    python::HIGHS.find_or_build()
}

/// Helm, which renders the charts.
pub fn helm() -> Result<PathBuf> {
    helm::find_or_fetch()
}

/// Fails with one sentence per missing prerequisite of the whole test run.
pub fn check_prerequisites() -> Result<()> {
    let checks = [go::check(CONTROL_PLANE.module), python::check(), git()];
    let missing: Vec<String> = checks
        .into_iter()
        .filter_map(Result::err)
        .map(|missing| format!("{missing:#}"))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        bail!("{}", missing.join("\n"))
    }
}

fn git() -> Result<()> {
    match std::process::Command::new("git").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => bail!("git is missing: `tidy` asks it which files are committed; install git"),
    }
}

fn ready_made(directory: PathBuf) -> Result<ControlPlane> {
    let absent: Vec<&str> = CONTROL_PLANE_NAMES
        .into_iter()
        .filter(|name| !directory.join(name).is_file())
        .collect();
    if absent.is_empty() {
        return Ok(ControlPlane { directory });
    }
    bail!(
        "{KUBEBUILDER_ASSETS} is {} and has no {}; the stack needs {}. Add them there, or unset the variable to build them.",
        directory.display(),
        absent.join(", "),
        CONTROL_PLANE_NAMES.join(", ")
    )
}

/// Makes `name` a symbolic link to `program`; another process may do the same at this moment.
fn link(program: &Path, name: &Path) -> Result<()> {
    let target = program.file_name().context("a program has a file name")?;
    match std::os::unix::fs::symlink(target, name) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be linked", name.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_without_a_scheduler_are_refused_with_what_is_missing() {
        let refused = ready_made(PathBuf::from("/nonexistent")).unwrap_err().to_string();
        assert!(
            refused.contains("kube-scheduler") && refused.contains("unset"),
            "{refused}"
        );
    }
}
