//! What holds for the CRDs as a whole, whatever fields they have.

#![allow(clippy::unwrap_used, reason = "a fixture that is missing fails its test")]

mod examples;
mod oldest_kubernetes;
mod refusals;
mod schema;
