//! The AWS services at wire level over a pure spot-market model with faults.
//!
//! One HTTP port on loopback answers EC2, SQS, SSM, EKS, IAM, STS, Pricing and Auto Scaling for one
//! account and region. Instances boot by reading their own user data and join a real cluster, if one
//! is given, only if that data, their role and their security groups would let them.
//!
//! It shares no code with the crates it tests: a misreading of EC2 must not cancel out.

pub mod allocation;
pub mod boot;
pub mod catalogue;
pub mod clock;
pub mod cluster;
mod control;
pub mod fault;
pub mod filter;
pub mod market;
pub mod node;
pub mod operations;
pub mod options;
pub mod quota;
pub mod random;
pub mod server;
pub mod state;
pub mod throttle;
pub mod wire;

use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::server::Shared;
use crate::state::World;

pub use crate::options::{MarketOrder, Options, Scenario};

/// Starts simulators.
#[derive(Debug)]
pub struct Simulator;

/// A simulator that runs until it is dropped.
pub struct Running {
    /// Where it answers, for `AWS_ENDPOINT_URL`.
    pub url: String,
    /// URL of the interruption queue.
    pub queue_url: String,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Simulator {
    /// Starts one inside this process and its runtime.
    pub async fn start(options: Options) -> anyhow::Result<Running> {
        let catalogue = Catalogue::of_region(&options.region)?;
        let cluster = match &options.kubeconfig {
            Some(path) => Some(Cluster::from_kubeconfig(path).await?),
            None => None,
        };
        let facts = cluster
            .as_ref()
            .map(|cluster| cluster.facts.clone())
            .unwrap_or_default();
        let listener = TcpListener::bind(&options.listen)
            .await
            .with_context(|| format!("cannot listen on {}: choose a free address", options.listen))?;
        let url = format!("http://{}", listener.local_addr()?);
        let clock = Arc::new(Clock::start(options.speed));
        let mut world = World::new(options, clock, catalogue, facts);
        world.url.clone_from(&url);
        let queue_url = world.queue_url(world.queue_name());
        let shared = Arc::new(Shared::new(world, cluster));
        let tasks = vec![
            tokio::spawn(server::live(shared.clone())),
            tokio::spawn(server::serve(listener, shared.clone())),
        ];
        Ok(Running {
            url,
            queue_url,
            shared,
            tasks,
        })
    }
}

impl Running {
    /// Looks at, or changes, the account directly. Everything here can be done over the control API too.
    pub fn with_world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let found = look(&mut self.shared.world());
        self.shared.wake();
        found
    }

    /// Waits until the simulator stops, which it does only when it fails.
    pub async fn stopped(&mut self) {
        for task in &mut self.tasks {
            let _ = task.await;
        }
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Running")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
