//! The SDK's clients, and the one way any call leaves this crate: admitted by
//! the throttle, bounded in time, its failure put in the port's words.
//!
//! Credentials, region and endpoints are the SDK's default chain's: this file
//! reads no environment variable, so `AWS_ENDPOINT_URL` and its kin work for
//! every service alike.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use spotocean_core::port::CloudError;
use thiserror::Error;

use crate::error::cloud_error;
use crate::throttle::{Action, Throttle};

/// A write must end while the lease that allowed it (15 s) still holds.
const WRITE_TIMEOUT: Duration = Duration::from_secs(8);
/// A read of a page of 1,000 instances or 100 instance types takes seconds on a bad day.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A long poll of 20 s, and its way there and back.
const POLL_TIMEOUT: Duration = Duration::from_secs(30);
/// Attempts per read, within [`READ_TIMEOUT`].
const READ_ATTEMPTS: u32 = 3;
/// Attempts per write, within [`WRITE_TIMEOUT`]; a repeated CreateFleet carries the same token.
const WRITE_ATTEMPTS: u32 = 2;
/// The Pricing API answers for all commercial regions from here ("Price List Query API endpoints").
const PRICING_REGION: &str = "us-east-1";

/// Why no client could be made.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Neither the caller nor the SDK's chain knows a region.
    #[error("no AWS region is set; set AWS_REGION, or name a region in the profile in use")]
    NoRegion,
}

/// AWS. Cheap to clone; all clones share clients and rate limits.
#[derive(Clone, Debug)]
pub struct AwsCloud {
    /// The region everything but Pricing and IAM happens in.
    pub region: Arc<str>,
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) ec2_writes: aws_sdk_ec2::Client,
    pub(crate) eks: aws_sdk_eks::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) pricing: aws_sdk_pricing::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) ssm: aws_sdk_ssm::Client,
    pub(crate) queue_urls: Arc<Mutex<BTreeMap<Arc<str>, Arc<str>>>>,
    throttle: Arc<Throttle>,
}

impl AwsCloud {
    /// Clients by the SDK's default chain; `region` wins over the chain's.
    ///
    /// # Errors
    /// When there is no region.
    pub async fn load(region: Option<&str>) -> Result<Self, LoadError> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        Self::new(&loader.load().await)
    }

    /// Clients from a configuration that was made elsewhere.
    ///
    /// # Errors
    /// When it has no region.
    pub fn new(sdk: &SdkConfig) -> Result<Self, LoadError> {
        let region = sdk.region().ok_or(LoadError::NoRegion)?;
        let reads = bounded(sdk, READ_TIMEOUT, READ_ATTEMPTS);
        let writes = bounded(sdk, WRITE_TIMEOUT, WRITE_ATTEMPTS);
        let polls = bounded(sdk, POLL_TIMEOUT, WRITE_ATTEMPTS);
        let pricing = reads
            .to_builder()
            .region(Region::from_static(PRICING_REGION))
            .build();
        Ok(Self {
            region: region.as_ref().into(),
            ec2: aws_sdk_ec2::Client::new(&reads),
            ec2_writes: aws_sdk_ec2::Client::new(&writes),
            eks: aws_sdk_eks::Client::new(&writes),
            iam: aws_sdk_iam::Client::new(&writes),
            pricing: aws_sdk_pricing::Client::new(&pricing),
            sqs: aws_sdk_sqs::Client::new(&polls),
            ssm: aws_sdk_ssm::Client::new(&reads),
            queue_urls: Arc::default(),
            throttle: Arc::new(Throttle::new()),
        })
    }

    /// Sends one request once the throttle admits it.
    pub(crate) async fn call<T, E>(
        &self,
        action: Action,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> Result<T, CloudError>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        self.throttle.admit(action).await?;
        request.await.map_err(|error| cloud_error(action.name, &error))
    }
}

fn bounded(sdk: &SdkConfig, timeout: Duration, attempts: u32) -> SdkConfig {
    sdk.to_builder()
        .timeout_config(TimeoutConfig::builder().operation_timeout(timeout).build())
        .retry_config(RetryConfig::standard().with_max_attempts(attempts))
        .build()
}
