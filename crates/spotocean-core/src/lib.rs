//! The domain's words: quantities, requirements, taints, instance types,
//! offerings, prices, pods, nodes, and the ports the shell implements.
//!
//! Everything here is plain data and total functions. Nothing in this crate
//! knows a clock, a client, a file, a logger or a random source: time arrives
//! as a [`jiff::Timestamp`] inside the data.

pub mod capacity_type;
pub mod catalogue;
pub mod claim;
pub mod id;
pub mod instance;
pub mod instance_type;
pub mod kubelet;
pub mod label;
pub mod launch;
pub mod money;
pub mod node;
pub mod offering;
pub mod pod;
pub mod port;
pub mod quantity;
pub mod requirement;
pub mod resources;
pub mod selector;
pub mod taint;
pub mod topology;
