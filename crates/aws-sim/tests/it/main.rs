//! The simulator over HTTP, with raw requests: what AWS would answer, and what the control API orders.

mod account;
mod catalogue;
mod client;
mod consistency;
mod fault;
mod fleet;
mod interruption;
mod join;
