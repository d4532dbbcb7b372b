//! What every task of the operator shares, and how a call to AWS is made: measured, and fenced when it writes.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use spotocean_core::port::{CloudError, CloudErrorKind};
use spotocean_planner::snapshot::AttemptError;

use crate::cloud::View;
use crate::config::Config;
use crate::lease::fence::Fence;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::wake::Wake;

/// The longest a read of AWS may take; the slowest one, all instance types, reads a dozen pages.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// What every task shares.
pub struct Context<C> {
    /// The process's settings.
    pub config: Config,
    /// The apiserver. It never repeats a call by itself: 429 is a disruption budget's answer, and what is
    /// tried again when is the planner's choice.
    pub client: Client,
    /// AWS.
    pub cloud: C,
    /// The watched cluster.
    pub store: Arc<Store>,
    /// The cloud as last seen.
    pub view: Arc<View>,
    /// What may still be written.
    pub fence: Arc<Fence>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The loop's bell.
    pub wake: Arc<Wake>,
}

impl<C> Context<C> {
    /// Reads from AWS.
    pub async fn read<T>(
        &self,
        action: &'static str,
        call: impl Future<Output = Result<T, CloudError>>,
    ) -> Result<T, CloudError> {
        self.measured(action, READ_TIMEOUT, call).await
    }

    /// Writes to AWS, unless the lease is too short for it. The call ends before the lease can.
    pub async fn write<T>(
        &self,
        action: &'static str,
        call: impl Future<Output = Result<T, CloudError>>,
    ) -> Result<T, AttemptError> {
        let budget = self
            .fence
            .cloud_budget(Instant::now())
            .ok_or(AttemptError::LeaseTooShort)?;
        self.measured(action, budget, call)
            .await
            .map_err(AttemptError::Cloud)
    }

    async fn measured<T>(
        &self,
        action: &'static str,
        limit: Duration,
        call: impl Future<Output = Result<T, CloudError>>,
    ) -> Result<T, CloudError> {
        let started = Instant::now();
        // Futures of the AWS SDK take tens of kilobytes: they must not add up in every caller's.
        let result = match tokio::time::timeout(limit, Box::pin(call)).await {
            Ok(result) => result,
            Err(_) => Err(CloudError {
                kind: CloudErrorKind::Unknown,
                action: action.into(),
                code: "NoAnswer".into(),
                message: format!("no answer within {} s", limit.as_secs()).into(),
            }),
        };
        let outcome = result.as_ref().err().map_or("ok", |error| word(error.kind));
        self.metrics.called(action, outcome, started.elapsed());
        result
    }
}

/// The metric label of an error.
fn word(kind: CloudErrorKind) -> &'static str {
    match kind {
        CloudErrorKind::Throttled => "throttled",
        CloudErrorKind::Unauthorized => "unauthorized",
        CloudErrorKind::NotFound => "not_found",
        CloudErrorKind::Invalid => "invalid",
        CloudErrorKind::TokenMismatch => "token_mismatch",
        CloudErrorKind::AlreadyExists => "already_exists",
        CloudErrorKind::Unknown => "unknown",
    }
}
