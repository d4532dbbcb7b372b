//! The election as a task: reads and writes the Lease object as the [`Candidate`] says.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::fence::Fence;
use super::{Candidate, Origin, Record, Step, Timing};

/// Takes part in the election of one lease.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    namespace: String,
    identity: String,
    timing: Timing,
    candidate: Candidate,
    fence: Arc<Fence>,
    leads: watch::Sender<bool>,
    /// When the lease came into our hands, as written in it.
    acquired_at: Option<Timestamp>,
}

/// A name that no other process has: host, process, start.
pub fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "localhost".to_owned());
    let started = Timestamp::now().as_nanosecond();
    format!("{host}_{}_{started:x}", std::process::id())
}

impl Election {
    /// A candidate for `namespace`/`name`; says on `leads` whether it leads.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        timing: Timing,
        fence: Arc<Fence>,
        leads: watch::Sender<bool>,
    ) -> Self {
        let identity = identity();
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            candidate: Candidate::new(identity.clone(), timing),
            identity,
            timing,
            fence,
            leads,
            acquired_at: None,
        }
    }

    /// Runs until `stop`, then gives the lease back.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            self.turn().await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(self.timing.retry) => {}
            }
        }
        self.release().await;
    }

    async fn turn(&mut self) {
        // A leader knows the lease's version from its last write; reading it first would only cost time.
        if !self.candidate.leads() && !self.read().await {
            return;
        }
        let step = self.candidate.step(Instant::now());
        match step {
            Step::Wait => {}
            Step::StepDown => self.step_down("the lease could not be renewed in time"),
            Step::Create => self.write(None, 0).await,
            Step::Take {
                resource_version,
                transitions,
            }
            | Step::Renew {
                resource_version,
                transitions,
            } => self.write(Some(resource_version), transitions).await,
        }
        if self.candidate.leads() && self.candidate.step(Instant::now()) == Step::StepDown {
            self.step_down("somebody else holds the lease, or it could not be renewed in time");
        }
    }

    async fn read(&mut self) -> bool {
        let answer =
            tokio::time::timeout(self.timing.renew_deadline / 2, self.leases.get_opt(&self.name)).await;
        match answer {
            Ok(Ok(lease)) => {
                self.candidate.observe(lease.as_ref().map(record), Instant::now());
                true
            }
            Ok(Err(error)) => {
                warn!(%error, lease = self.name, "the lease cannot be read");
                false
            }
            Err(_) => {
                warn!(lease = self.name, "the lease cannot be read: no answer");
                false
            }
        }
    }

    async fn write(&mut self, replaces: Option<String>, transitions: i32) {
        let lease = self.lease(replaces.clone(), transitions, &self.identity);
        let sent = Instant::now();
        let parameters = PostParams::default();
        let write = async {
            match replaces {
                None => self.leases.create(&parameters, &lease).await,
                Some(_) => self.leases.replace(&self.name, &parameters, &lease).await,
            }
        };
        match tokio::time::timeout(self.timing.renew_deadline / 2, write).await {
            Ok(Ok(lease)) => self.accepted(&lease, sent),
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
                // Somebody was faster, or the lease (or its namespace) is gone: read what there is.
                if status.code == 404 {
                    warn!(namespace = self.namespace, error = %status.message, "the lease cannot be written");
                }
                self.read().await;
            }
            Ok(Err(error)) => warn!(%error, lease = self.name, "the lease cannot be written"),
            Err(_) => {
                // It may have been written all the same: the version we know may be outdated.
                warn!(lease = self.name, "the lease cannot be written: no answer");
                self.read().await;
            }
        }
    }

    fn accepted(&mut self, lease: &Lease, sent: Instant) {
        let Some(origin) = self.candidate.accept(record(lease), sent) else {
            self.fence.renew(sent);
            return;
        };
        self.acquired_at = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.acquire_time.as_ref())
            .map(|time| time.0);
        let wait = match origin {
            Origin::Free => std::time::Duration::ZERO,
            Origin::TakenOver => self.timing.lease,
        };
        self.fence.open(sent, sent + wait);
        info!(identity = self.identity, ?origin, cloud_writes_after = ?wait, "leading");
        self.leads.send_replace(true);
    }

    fn step_down(&mut self, why: &str) {
        warn!(identity = self.identity, "no longer leading: {why}");
        self.fence.close();
        self.candidate.step_down();
        self.acquired_at = None;
        self.leads.send_replace(false);
    }

    /// Ends the term and leaves the lease to the next one at once.
    async fn release(&mut self) {
        if !self.candidate.leads() {
            return;
        }
        let Step::Renew {
            resource_version,
            transitions,
        } = self.candidate.step(Instant::now())
        else {
            return;
        };
        self.fence.close();
        self.leads.send_replace(false);
        let lease = self.lease(Some(resource_version), transitions, "");
        let parameters = PostParams::default();
        let write = self.leases.replace(&self.name, &parameters, &lease);
        match tokio::time::timeout(self.timing.retry, write).await {
            Ok(Ok(_)) => info!("the lease is given back"),
            Ok(Err(error)) => warn!(%error, "the lease cannot be given back; it runs out by itself"),
            Err(_) => warn!("the lease cannot be given back: no answer; it runs out by itself"),
        }
    }

    fn lease(&self, resource_version: Option<String>, transitions: i32, holder: &str) -> Lease {
        let now = Timestamp::now();
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                resource_version,
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: i32::try_from(self.timing.lease.as_secs()).ok(),
                acquire_time: Some(MicroTime(self.acquired_at.unwrap_or(now))),
                renew_time: Some(MicroTime(now)),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        }
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        resource_version: lease.metadata.resource_version.clone().unwrap_or_default(),
        transitions: spec.lease_transitions.unwrap_or_default(),
    }
}
