//! Plans against the real kube-scheduler.

mod account;
mod dice;
mod draft;
mod feature;
mod generator;
mod minimise;
mod named;
mod oracle;
mod plans;
mod purchase;
mod world;
