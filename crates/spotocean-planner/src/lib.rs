//! Given one [`Snapshot`](snapshot::Snapshot), the
//! [`Plan`](plan::Plan): commands, status, next look.
//!
//! `plan` is pure, total, silent and deterministic. [`guard`] re-checks every
//! command with its own code before the shell may act on it. Nothing here
//! knows a clock, a client, a file, a logger or a random source.

pub mod access;
#[cfg(test)]
mod answers;
pub mod bootstrap;
pub mod command;
pub mod digest;
#[cfg(test)]
#[allow(
    dead_code,
    reason = "a vocabulary for tests; not every word is used at every time"
)]
mod fixtures;
pub mod guard;
pub mod lifecycle;
pub mod memory;
mod pairs;
pub mod plan;
pub mod pool;
pub mod provisioning;
pub mod record;
pub mod report;
pub mod settlement;
pub mod snapshot;
pub mod template;
pub mod translate;
pub mod vocabulary;
pub mod world;
