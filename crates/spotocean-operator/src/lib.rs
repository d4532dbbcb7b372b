//! Observes, asks the planner, acts: caches, lease, metrics, health.
//!
//! The shell around `spotocean-planner`. It decides *when* to look, never *what* to do: every effect is a
//! command that the planner gave and the guard let through.

pub mod act;
pub mod admin;
pub mod args;
pub mod batch;
pub mod cloud;
pub mod cluster;
pub mod config;
pub mod context;
pub mod lease;
pub mod log;
pub mod look;
pub mod memory;
pub mod metrics;
pub mod reconcile;
pub mod report;
pub mod store;
pub mod wake;
pub mod wiring;
