//! An `AwsCloud` that talks to a server on loopback. Sets no environment variable: tests run side by side.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::Credentials;
use spotocean_aws::AwsCloud;

/// The region of every test.
pub(crate) const REGION: &str = "us-east-1";

/// The SDK's configuration for the server at `endpoint`.
pub(crate) async fn sdk(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
        .load()
        .await
}

/// The cloud behind `endpoint`.
pub(crate) async fn cloud(endpoint: &str) -> AwsCloud {
    AwsCloud::new(&sdk(endpoint).await).expect("a region is set")
}
