//! What holds for the CRDs as a whole, whatever fields they have.

mod examples;
mod oldest_kubernetes;
mod schema;
