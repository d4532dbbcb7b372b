//! EC2, SQS, SSM, EKS, IAM and Pricing behind the port of `spotocean-core`.
//!
//! [`AwsCloud`] implements [`spotocean_core::port::Cloud`]. Every noun has one
//! module, and in each the request is built by a pure function, sent, and its
//! answer read by a pure function. This crate alone names `aws-sdk-*`; it takes
//! no decision about what to buy, keep or give back, and retries nothing beyond
//! what the SDK does for transport faults.

mod access_entry;
mod capacity_reservation;
mod client;
mod cloud;
mod cluster;
mod error;
mod fleet;
mod image;
mod instance;
mod instance_memory;
mod instance_profile;
mod instance_type;
mod interruption_bucket;
mod launch_template;
mod offering;
mod page;
mod pricing;
mod queue;
mod role;
mod security_group;
mod selector;
mod spot_price;
mod subnet;
mod tag;
mod throttle;
mod timestamp;
pub mod verify;

pub use client::{AwsCloud, LoadError};
pub use error::NO_ANSWER;
pub use instance_memory::measured_memory_bytes;
pub use interruption_bucket::built_in_interruption_buckets;
pub use pricing::{BuiltInPrices, built_in_on_demand_prices};
