//! How often EC2 takes spot instances back, per type: a built-in table of the Spot Instance Advisor.
//!
//! The feed is public and no API of AWS serves it, so figures are of the date stated in the table.
//! For a region that is not in it those of us-east-1 are taken: two regions agree in half of the types
//! and differ by more than one bucket in few.

use std::collections::BTreeMap;

use serde::Deserialize;
use spotocean_core::id::InstanceTypeName;

const TABLE: &str = include_str!("../data/interruption_buckets.json");
const ELSEWHERE: &str = "us-east-1";

#[derive(Deserialize)]
struct Table {
    regions: BTreeMap<String, BTreeMap<InstanceTypeName, u8>>,
}

/// Buckets by type, 0 (less than 5 % of instances a month) to 4 (more than 20 %).
#[must_use]
pub fn built_in_interruption_buckets(region: &str) -> BTreeMap<InstanceTypeName, u8> {
    let mut table: Table = serde_json::from_str(TABLE).expect("the built-in table is checked by a test");
    let own = table.regions.remove(region);
    own.or_else(|| table.regions.remove(ELSEWHERE))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_has_buckets() {
        for region in ["us-east-1", "us-west-2", "eu-central-1"] {
            let buckets = built_in_interruption_buckets(region);
            assert!(buckets.len() > 800, "{region}");
            assert!(buckets.values().all(|bucket| *bucket <= 4), "{region}");
        }
        assert_ne!(
            built_in_interruption_buckets("us-east-1"),
            built_in_interruption_buckets("us-west-2")
        );
    }
}
