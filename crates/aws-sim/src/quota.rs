//! vCPU quotas per family group, spot and on-demand apart. Which instances count is the state's business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::market::Lifecycle;

/// A family group with a quota of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// A, C, D, H, I, M, R, T, Z.
    Standard,
    /// G and VT.
    G,
    /// P.
    P,
    /// DL.
    Dl,
    /// F.
    F,
    /// Inf.
    Inf,
    /// Trn.
    Trn,
    /// X.
    X,
    /// U: high memory.
    HighMemory,
    /// HPC.
    Hpc,
    /// Mac.
    Mac,
}

impl Group {
    /// The group an instance type belongs to, by the letters its name begins with.
    pub fn of(instance_type: &str) -> Group {
        let letters: String = instance_type
            .chars()
            .take_while(char::is_ascii_lowercase)
            .collect();
        match letters.as_str() {
            "dl" => Group::Dl,
            "inf" => Group::Inf,
            "trn" => Group::Trn,
            "hpc" => Group::Hpc,
            "mac" => Group::Mac,
            "vt" | "g" | "gr" => Group::G,
            _ => match letters.chars().next() {
                Some('g') => Group::G,
                Some('p') => Group::P,
                Some('f') => Group::F,
                Some('x') => Group::X,
                Some('u') => Group::HighMemory,
                _ => Group::Standard,
            },
        }
    }
}

/// The account's quotas, in vCPUs.
#[derive(Debug, Clone, Default)]
pub struct Quotas {
    limits: BTreeMap<(Lifecycle, Group), u64>,
}

impl Quotas {
    /// The limit of a group: what was set, else that of an account that has been in use for a while.
    pub fn limit_vcpus(&self, lifecycle: Lifecycle, group: Group) -> u64 {
        self.limits
            .get(&(lifecycle, group))
            .copied()
            .unwrap_or(match group {
                Group::Standard => 20_000,
                _ => 1_000,
            })
    }

    /// Sets a limit.
    pub fn set(&mut self, lifecycle: Lifecycle, group: Group, vcpus: u64) {
        self.limits.insert((lifecycle, group), vcpus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_by_name() {
        for (instance_type, expected) in [
            ("m5.large", Group::Standard),
            ("t3.micro", Group::Standard),
            ("i4i.large", Group::Standard),
            ("is4gen.large", Group::Standard),
            ("inf2.xlarge", Group::Inf),
            ("g5.xlarge", Group::G),
            ("gr6.4xlarge", Group::G),
            ("vt1.3xlarge", Group::G),
            ("p5.48xlarge", Group::P),
            ("dl1.24xlarge", Group::Dl),
            ("d3.xlarge", Group::Standard),
            ("trn1.2xlarge", Group::Trn),
            ("x2idn.16xlarge", Group::X),
            ("u-6tb1.56xlarge", Group::HighMemory),
            ("u7i-12tb.224xlarge", Group::HighMemory),
        ] {
            assert_eq!(Group::of(instance_type), expected, "{instance_type}");
        }
    }
}
