//! Amounts of what a node offers and a pod asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of an extended resource, such as `nvidia.com/gpu`.
pub type ResourceName = Arc<str>;

/// A resource vector. Integers only: milli-CPU, bytes, counts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub cpu_millis: i64,
    /// Memory in bytes.
    pub memory_bytes: i64,
    /// Ephemeral storage in bytes.
    pub ephemeral_storage_bytes: i64,
    /// Number of pods.
    pub pods: i64,
    /// Extended resources and huge pages, in whole units; absent means zero.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extended: BTreeMap<ResourceName, i64>,
}

impl Resources {
    /// The sum, saturating.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.combined(other, i64::saturating_add)
    }

    /// The difference, saturating; may be negative where `other` is larger.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.combined(other, i64::saturating_sub)
    }

    /// The larger amount of each resource.
    #[must_use]
    pub fn maximum(&self, other: &Self) -> Self {
        self.combined(other, i64::max)
    }

    /// This vector `count` times, saturating.
    #[must_use]
    pub fn times(&self, count: i64) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_mul(count),
            memory_bytes: self.memory_bytes.saturating_mul(count),
            ephemeral_storage_bytes: self.ephemeral_storage_bytes.saturating_mul(count),
            pods: self.pods.saturating_mul(count),
            extended: self
                .extended
                .iter()
                .map(|(name, amount)| (name.clone(), amount.saturating_mul(count)))
                .collect(),
        }
    }

    /// Whether this request fits into `free`: each resource that is asked for
    /// (above zero) is there in that amount. A resource not asked for never
    /// speaks against a node, even when the node is overcommitted on it.
    #[must_use]
    pub fn fits(&self, free: &Self) -> bool {
        let enough = |wanted: i64, there: i64| wanted <= 0 || wanted <= there;
        enough(self.cpu_millis, free.cpu_millis)
            && enough(self.memory_bytes, free.memory_bytes)
            && enough(self.ephemeral_storage_bytes, free.ephemeral_storage_bytes)
            && enough(self.pods, free.pods)
            && self
                .extended
                .iter()
                .all(|(name, wanted)| enough(*wanted, free.extended(name)))
    }

    /// The amount of an extended resource; zero when it is not named.
    #[must_use]
    pub fn extended(&self, name: &str) -> i64 {
        self.extended.get(name).copied().unwrap_or(0)
    }

    /// The amount under a Kubernetes resource name, in this crate's units
    /// (milli-CPU for `cpu`, bytes or counts otherwise).
    #[must_use]
    pub fn amount(&self, name: &str) -> i64 {
        match name {
            "cpu" => self.cpu_millis,
            "memory" => self.memory_bytes,
            "ephemeral-storage" => self.ephemeral_storage_bytes,
            "pods" => self.pods,
            other => self.extended(other),
        }
    }

    /// Sets the amount under a Kubernetes resource name, in this crate's units.
    pub fn set(&mut self, name: &str, amount: i64) {
        match name {
            "cpu" => self.cpu_millis = amount,
            "memory" => self.memory_bytes = amount,
            "ephemeral-storage" => self.ephemeral_storage_bytes = amount,
            "pods" => self.pods = amount,
            other => {
                self.extended.insert(other.into(), amount);
            }
        }
    }

    fn combined(&self, other: &Self, combine: fn(i64, i64) -> i64) -> Self {
        let mut extended = self.extended.clone();
        for name in other.extended.keys() {
            extended.entry(name.clone()).or_insert(0);
        }
        for (name, amount) in &mut extended {
            *amount = combine(*amount, other.extended(name));
        }
        Self {
            cpu_millis: combine(self.cpu_millis, other.cpu_millis),
            memory_bytes: combine(self.memory_bytes, other.memory_bytes),
            ephemeral_storage_bytes: combine(self.ephemeral_storage_bytes, other.ephemeral_storage_bytes),
            pods: combine(self.pods, other.pods),
            extended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(millis: i64) -> Resources {
        Resources {
            cpu_millis: millis,
            ..Resources::default()
        }
    }

    #[test]
    fn a_request_fits_what_is_free() {
        let gpu = Resources {
            extended: BTreeMap::from([("nvidia.com/gpu".into(), 1)]),
            ..cpu(100)
        };
        let rows = [
            (cpu(100), cpu(100), true),
            (cpu(101), cpu(100), false),
            (gpu.clone(), cpu(100), false),
            (gpu.clone(), gpu, true),
            (cpu(0), cpu(-5), true),
        ];
        for (request, free, expected) in rows {
            assert_eq!(request.fits(&free), expected, "{request:?} in {free:?}");
        }
    }

    #[test]
    fn arithmetic_covers_the_names_of_both_sides() {
        let a = Resources {
            extended: BTreeMap::from([("a".into(), 1)]),
            ..cpu(5)
        };
        let b = Resources {
            extended: BTreeMap::from([("b".into(), 2)]),
            ..cpu(7)
        };
        let sum = a.plus(&b);
        assert_eq!((sum.cpu_millis, sum.extended("a"), sum.extended("b")), (12, 1, 2));
        let difference = a.minus(&b);
        assert_eq!((difference.cpu_millis, difference.extended("b")), (-2, -2));
        assert_eq!(a.times(3).extended("a"), 3);
    }
}
