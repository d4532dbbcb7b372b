//! The kinds, conditions, labels and annotations: the contract with users.
//!
//! Everything a user can write or read through the apiserver is declared here: Rust types from which the
//! CRDs and the reference pages are generated, with the rules (schema and CEL) that refuse a wrong manifest.
//! Nothing here talks to a cluster or to AWS, and nothing here decides what to buy.

#![allow(
    clippy::duplicated_attributes,
    reason = "kube takes one printcolumn attribute for each column"
)]
#![allow(
    unreachable_pub,
    reason = "the KubeSchema derive repeats each public struct inside a function"
)]

pub mod annotation;
pub mod capacity_type;
pub mod cluster;
pub mod condition;
pub mod crd;
pub mod disruption;
pub mod duration;
pub mod effective;
pub mod headroom;
pub mod kubelet;
pub mod label_selector;
pub mod ocean_launch;
pub mod ocean_node;
pub mod ocean_status;
pub mod pool;
pub mod pool_template;
pub mod price;
pub mod quantity;
pub mod requirement;
mod schema;
pub mod spot_ocean;
pub mod strategy;
pub mod taint;
pub mod template;
mod validation;

/// Label and taint keys on our nodes, by the domain's own words.
pub use spotocean_core::label;

/// API group of every kind.
pub const GROUP: &str = "spotocean.dev";

/// The only version served and stored.
pub const VERSION: &str = "v1alpha1";
