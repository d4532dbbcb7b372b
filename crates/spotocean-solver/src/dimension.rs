//! Resource vectors as plain arrays, over only those resources that a waiting pod asks for.

use std::collections::BTreeSet;

use spotocean_core::resources::Resources;

use crate::params::AMOUNT_MAX;

/// Amounts by dimension: CPU, memory, ephemeral storage, pods, then extended resources by name.
pub(crate) type Vector = Vec<i64>;

/// Position of CPU in a [`Vector`].
pub(crate) const CPU: usize = 0;
/// Position of memory in a [`Vector`].
pub(crate) const MEMORY: usize = 1;

const NAMES: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "pods"];

/// Which resource stands where.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dimensions<'p> {
    extended: Vec<&'p str>,
}

impl<'p> Dimensions<'p> {
    /// The dimensions that `requests` need.
    pub(crate) fn of(requests: impl Iterator<Item = &'p Resources>) -> Self {
        let names: BTreeSet<&str> = requests
            .flat_map(|request| &request.extended)
            .filter(|(_, amount)| **amount > 0)
            .map(|(name, _)| name.as_ref())
            .collect();
        Self {
            extended: names.into_iter().collect(),
        }
    }

    /// The amounts as they are; they may be negative.
    pub(crate) fn vector(&self, resources: &Resources) -> Vector {
        let own = [
            resources.cpu_millis,
            resources.memory_bytes,
            resources.ephemeral_storage_bytes,
            resources.pods,
        ];
        let extended = self.extended.iter().map(|name| resources.extended(name));
        own.into_iter().chain(extended).collect()
    }

    /// What a node has to give: more than [`AMOUNT_MAX`] of anything is not believed, so that sums stay exact.
    pub(crate) fn room(&self, resources: &Resources) -> Vector {
        let amounts = self.vector(resources).into_iter();
        amounts.map(|amount| amount.min(AMOUNT_MAX)).collect()
    }

    /// A request; a negative amount asks for nothing.
    pub(crate) fn request(&self, resources: &Resources) -> Vector {
        self.vector(resources)
            .into_iter()
            .map(|amount| amount.max(0))
            .collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        NAMES.len() + self.extended.len()
    }

    /// Kubernetes' name of a dimension.
    pub(crate) fn name(&self, dimension: usize) -> &'p str {
        NAMES
            .get(dimension)
            .copied()
            .unwrap_or_else(|| self.extended[dimension - NAMES.len()])
    }
}

/// Whether what is asked for (above zero) is there; as [`Resources::fits`].
pub(crate) fn fits(request: &[i64], free: &[i64]) -> bool {
    request
        .iter()
        .zip(free)
        .all(|(wanted, there)| *wanted <= 0 || wanted <= there)
}

/// The lesser of two amounts of everything.
pub(crate) fn minimum(mut one: Vector, other: Vector) -> Vector {
    for (least, amount) in one.iter_mut().zip(other) {
        *least = (*least).min(amount);
    }
    one
}

/// How many times `request` fits, at most `most`.
pub(crate) fn copies(request: &[i64], free: &[i64], most: i64) -> i64 {
    let bounds = request
        .iter()
        .zip(free)
        .filter(|(wanted, _)| **wanted > 0)
        .map(|(wanted, there)| there.max(&0) / wanted);
    bounds.min().map_or(most, |bound| bound.min(most))
}

/// Takes `count` copies of `request` out of `free`.
pub(crate) fn subtract(free: &mut [i64], request: &[i64], count: i64) {
    for (there, wanted) in free.iter_mut().zip(request) {
        *there = there.saturating_sub(wanted.saturating_mul(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_bounded_by_the_scarcest_resource() {
        let rows = [
            (vec![2, 1], vec![7, 100], 10, 3),
            (vec![0, 1], vec![-5, 4], 10, 4),
            (vec![0, 0], vec![0, 0], 10, 10),
            (vec![1, 1], vec![-1, 4], 10, 0),
        ];
        for (request, free, most, expected) in rows {
            assert_eq!(copies(&request, &free, most), expected, "{request:?} in {free:?}");
        }
    }

    #[test]
    fn only_what_is_asked_for_counts() {
        assert!(fits(&[0, 1], &[-3, 1]));
        assert!(!fits(&[1, 1], &[0, 1]));
    }
}
