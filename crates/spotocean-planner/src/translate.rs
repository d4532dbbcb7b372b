//! From the apiserver's objects to the planner's words.
//!
//! k8s-openapi stops here: nothing behind this module knows its types. What a
//! pod asks for and this planner does not model is kept as a reason
//! ([`spotocean_core::pod::Unmodelled`]), never dropped. Pure: which objects
//! belong together (a claim and its volume) is the caller's look-up.

pub mod claim;
pub mod cluster;
mod constraint;
pub mod daemon_set;
pub mod interner;
pub mod node;
pub mod pod;
mod request;

pub use claim::claim;
pub use cluster::{
    cluster_autoscaler_runs, disruption_budget, namespace_labels, other_autoscalers, pod_density,
};
pub use daemon_set::daemon_set;
pub use interner::Interner;
pub use node::node;
pub use pod::pod;
