//! Plans against the real kube-scheduler.

mod account;
mod crowd;
mod dice;
mod draft;
mod feature;
mod generator;
mod minimise;
mod named;
mod operated;
mod oracle;
mod plans;
mod purchase;
mod realised;
mod volume;
mod world;
