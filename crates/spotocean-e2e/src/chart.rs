//! The Helm charts, rendered as a user's Helm renders them.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{repository, stack, toolchain};

/// The operator's chart.
pub const OPERATOR: &str = "deploy/helm/spotocean";
/// The kinds' chart.
pub const KINDS: &str = "deploy/helm/spotocean-crds";

/// Renders a chart under its own name into the operator's namespace; `settings` are Helm's `--set`.
///
/// # Errors
/// What Helm says when it refuses the values.
pub fn render(chart: &str, settings: &[&str]) -> Result<String> {
    let output = Command::new(toolchain::helm()?)
        .args(["template", "spotocean"])
        .arg(repository::path(chart))
        .args(["--namespace", stack::OPERATOR_NAMESPACE])
        .args(settings.iter().flat_map(|setting| ["--set", setting]))
        .stdin(Stdio::null())
        .output()
        .context("helm does not start")?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim())
    }
}
