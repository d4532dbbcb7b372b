//! EC2's token buckets (EC2 developer guide, "Request throttling"): how many calls, and how many
//! instances, an account may ask for. Pure: real milliseconds are passed in, because clients pace
//! themselves in real time whatever the simulator's speed.

use std::collections::BTreeMap;

/// A bucket's size and refill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens it holds.
    pub size: u64,
    /// Tokens added per second.
    pub refill_per_second: u64,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    milli_tokens: u64,
    at_ms: i64,
}

/// All buckets of the account.
#[derive(Debug, Clone, Default)]
pub struct Buckets {
    levels: BTreeMap<String, Level>,
}

impl Buckets {
    /// Takes up to `wanted` tokens; answers with how many there were.
    pub fn take(&mut self, name: &str, rate: Rate, wanted: u64, now_ms: i64) -> u64 {
        let full = rate.size * 1000;
        let level = self.levels.entry(name.to_owned()).or_insert(Level {
            milli_tokens: full,
            at_ms: now_ms,
        });
        let passed_ms = u64::try_from(now_ms - level.at_ms).unwrap_or(0);
        level.milli_tokens = full.min(level.milli_tokens + passed_ms * rate.refill_per_second);
        level.at_ms = level.at_ms.max(now_ms);
        let taken = wanted.min(level.milli_tokens / 1000);
        level.milli_tokens -= taken * 1000;
        taken
    }
}

/// The bucket of an EC2 action; Describe calls without filter or paging have one of their own.
pub fn request_rate(action: &str, is_unbounded: bool) -> (String, Rate) {
    let rate = |size, refill_per_second| Rate {
        size,
        refill_per_second,
    };
    let expensive = [
        "DescribeInstances",
        "DescribeInstanceStatus",
        "DescribeSecurityGroups",
        "DescribeVolumes",
        "DescribeNetworkInterfaces",
        "DescribeSpotInstanceRequests",
    ];
    if is_unbounded && expensive.contains(&action) {
        return (format!("{action} (unfiltered, unpaginated)"), rate(50, 10));
    }
    let found = match action {
        "CreateTags" | "DeleteTags" => rate(100, 10),
        "RunInstances" => rate(5, 2),
        "TerminateInstances" | "CreateLaunchTemplateVersion" | "ModifyLaunchTemplate" => rate(100, 5),
        _ if action.starts_with("Describe") || action.starts_with("Get") => rate(100, 20),
        _ => rate(50, 5),
    };
    (action.to_owned(), found)
}

/// Instances that RunInstances, StartInstances and fleets may launch.
pub const LAUNCH_RESOURCES: Rate = Rate {
    size: 1000,
    refill_per_second: 2,
};

/// Instances that TerminateInstances and StopInstances may end.
pub const TERMINATE_RESOURCES: Rate = Rate {
    size: 1000,
    refill_per_second: 20,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_refills() {
        let mut buckets = Buckets::default();
        let rate = Rate {
            size: 5,
            refill_per_second: 2,
        };
        for (wanted, now_ms, expected) in [(3, 0, 3), (3, 0, 2), (1, 400, 0), (1, 500, 1), (9, 100_000, 5)] {
            assert_eq!(
                buckets.take("x", rate, wanted, now_ms),
                expected,
                "{wanted} at {now_ms}"
            );
        }
    }

    #[test]
    fn rates_of_actions() {
        for (action, is_unbounded, expected) in [
            ("CreateFleet", false, (50, 5)),
            ("RunInstances", false, (5, 2)),
            ("DescribeInstances", true, (50, 10)),
            ("DescribeInstances", false, (100, 20)),
            ("DescribeSubnets", true, (100, 20)),
            ("TerminateInstances", false, (100, 5)),
            ("CreateTags", false, (100, 10)),
        ] {
            let (_, rate) = request_rate(action, is_unbounded);
            assert_eq!((rate.size, rate.refill_per_second), expected, "{action}");
        }
    }
}
