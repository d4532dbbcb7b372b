//! User data: what an instance reads at its first boot to join the cluster.
//!
//! One description of the pool becomes nodeadm's MIME document, Bottlerocket's
//! TOML, or the user's own text untouched. The user's part is merged in, and
//! where both speak of the same setting ours wins, because the planner counts
//! with it. The same input gives the same bytes: launch templates are named
//! after them. Does not know which instance types will read it.

mod al2023;
mod bottlerocket;
mod mime;
mod node_label;

use std::sync::Arc;

use spotocean_api::kubelet::Kubelet;
use spotocean_api::template::{ImageFamily, InstanceStore};
use spotocean_core::label::UNREGISTERED_TAINT;
use spotocean_core::requirement::Labels;
use spotocean_core::taint::{Taint, TaintEffect};
use thiserror::Error;

use crate::world::cluster::ClusterFacts;

/// EC2's limit, before base64 (EC2 user guide, "Run commands at launch").
pub const USER_DATA_BYTES_MAX: usize = 16_384;

/// What user data is made from.
#[derive(Clone, Copy, Debug)]
pub struct Bootstrap<'a> {
    /// Which form it takes.
    pub family: ImageFamily,
    /// The cluster to join.
    pub cluster: &'a ClusterFacts,
    /// The pool's kubelet settings.
    pub kubelet: &'a Kubelet,
    /// Pods per node, the figure the planner counts with.
    pub max_pods: i64,
    /// Labels of the node; those that a kubelet may not set are left to the operator.
    pub labels: &'a Labels,
    /// Taints the node starts with, the operator's own included.
    pub taints: &'a [Taint],
    /// What becomes of local disks.
    pub instance_store: Option<InstanceStore>,
    /// The user's own: the ocean's, then the pool's.
    pub own: &'a [&'a str],
}

/// Why there is no user data.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BootstrapError {
    /// More than EC2 takes.
    #[error(
        "user data comes to {bytes} bytes and EC2 takes {USER_DATA_BYTES_MAX}: shorten template.userData by {}, or let it fetch what is large",
        bytes - USER_DATA_BYTES_MAX
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The user's part is in no form that AL2023 reads.
    #[error(
        "template.userData is neither a NodeConfig (apiVersion: node.eks.aws/v1alpha1), nor a shell script (#!), nor a MIME document: write it in one of these forms"
    )]
    UnknownForm,
    /// The user's MIME document cannot be taken apart.
    #[error("template.userData is a MIME document that cannot be read: {0}")]
    Mime(&'static str),
    /// The user's TOML cannot be read.
    #[error(
        "template.userData is not TOML that Bottlerocket could read: {0}; correct it, settings stand under [settings…]"
    )]
    Toml(Arc<str>),
    /// Bottlerocket has no setting for that resource (`KubernetesReservedResourceKey` of its settings model).
    #[error(
        "Bottlerocket reserves cpu, memory and ephemeral-storage only: remove {resource} from kubelet.{setting}, or choose image.family AL2023"
    )]
    NotReservable {
        /// The resource.
        resource: Arc<str>,
        /// `kubeReserved` or `systemReserved`.
        setting: &'static str,
    },
}

/// The taint that keeps pods off a node until the operator has labelled it.
#[must_use]
pub fn unregistered_taint() -> Taint {
    Taint {
        key: UNREGISTERED_TAINT.into(),
        value: "".into(),
        effect: TaintEffect::NoExecute,
    }
}

/// The user data of one launch template.
///
/// # Errors
/// When the user's part cannot be read, or all of it is too large.
pub fn user_data(bootstrap: &Bootstrap<'_>) -> Result<String, BootstrapError> {
    let text = match bootstrap.family {
        ImageFamily::AL2023 => al2023::user_data(bootstrap)?,
        ImageFamily::Bottlerocket => bottlerocket::user_data(bootstrap)?,
        ImageFamily::Custom => bootstrap.own.join("\n"),
    };
    if text.len() > USER_DATA_BYTES_MAX {
        return Err(BootstrapError::TooLarge { bytes: text.len() });
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
