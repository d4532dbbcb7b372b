//! Memory that Linux was seen to have, per instance type: a built-in table.
//!
//! DescribeInstanceTypes states what is sold; hypervisor and kernel take some
//! of it. Types that nobody measured are absent, and estimated by the caller.

use std::collections::BTreeMap;

use serde::Deserialize;
use spotocean_core::id::InstanceTypeName;

const TABLE: &str = include_str!("../data/instance_memory.json");
const BYTES_PER_MEBIBYTE: i64 = 1 << 20;

#[derive(Deserialize)]
struct Table {
    mebibytes: BTreeMap<InstanceTypeName, i64>,
}

/// Memory in bytes that Linux saw on an instance of the type.
#[must_use]
pub fn measured_memory_bytes() -> BTreeMap<InstanceTypeName, i64> {
    let table: Table = serde_json::from_str(TABLE).expect("the built-in table is checked by a test");
    table
        .mebibytes
        .into_iter()
        .map(|(name, mebibytes)| (name, mebibytes * BYTES_PER_MEBIBYTE))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_sees_less_than_is_sold() {
        let table = measured_memory_bytes();
        let sold_gib = [
            ("c5.large", 4),
            ("c5.xlarge", 8),
            ("m5.large", 8),
            ("m5.2xlarge", 32),
        ];
        for (name, gib) in sold_gib {
            let sold_bytes = gib << 30;
            let seen_bytes = table[name];
            assert!(
                seen_bytes < sold_bytes && seen_bytes > sold_bytes / 10 * 9,
                "{name}: {seen_bytes} of {sold_bytes}"
            );
        }
        assert!(table.len() > 1000);
    }
}
