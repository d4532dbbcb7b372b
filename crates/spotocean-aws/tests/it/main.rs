//! The SDK against servers on loopback: one that answers from a script, our simulator, and moto.

mod arm;
mod canned;
mod cloud;
mod conformance;
mod facts;
mod ground;
mod moto;
mod simulator;
mod verify;
mod wire;
