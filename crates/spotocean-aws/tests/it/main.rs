//! The SDK against servers on loopback: one that answers from a script, our simulator, and moto.

mod canned;
mod cloud;
mod wire;
