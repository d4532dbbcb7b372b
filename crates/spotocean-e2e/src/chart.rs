//! The Helm charts, rendered as a user's Helm renders them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::stack::{self, Stack};
use crate::{manifest, repository, toolchain};

/// The operator's chart.
pub const OPERATOR: &str = "deploy/helm/spotocean";
/// The kinds' chart.
pub const KINDS: &str = "deploy/helm/spotocean-crds";

const PERMISSION_KINDS: [&str; 5] = [
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
];

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

/// Installs what the operator's chart says about permissions, and nothing else of it; answers with a kubeconfig
/// that has exactly those.
///
/// # Errors
/// When the chart has no service account, or the apiserver refuses an object of it.
pub async fn install_permissions(stack: &Stack) -> Result<PathBuf> {
    let rendered = render(OPERATOR, &["clusterName=demo", "interruptionQueue=demo"])?;
    let client = stack.client().await?;
    let mut account = None;
    for document in rendered.split("\n---\n") {
        let object: Value =
            serde_yaml::from_str(document).context("Helm rendered something that is not YAML")?;
        let kind = object["kind"].as_str().unwrap_or_default();
        if PERMISSION_KINDS.contains(&kind) {
            manifest::apply(&client, document).await?;
        }
        if kind == "ServiceAccount" {
            account = object["metadata"]["name"].as_str().map(str::to_owned);
        }
    }
    let account = account.context("the operator's chart has no service account")?;
    stack.kubeconfig_of(stack::OPERATOR_NAMESPACE, &account).await
}
