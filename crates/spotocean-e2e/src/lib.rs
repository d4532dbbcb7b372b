//! The local stack that the black-box tests and the demo run on: a real control
//! plane, KWOK for kubelets, `aws-sim` for AWS and the operator, on loopback.
//!
//! Knows processes, files and HTTP; does not know how the operator decides.

pub mod chart;
pub mod eventually;
pub mod kubectl;
pub mod manifest;
pub mod operator;
pub mod process;
pub mod repository;
pub mod shim;
pub mod sim;
pub mod stack;
pub mod toolchain;
pub mod world;
