//! Numbers that look random and are the same on every machine (SplitMix64), so that a workload is its seed.

/// A generator; its state is its seed.
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end`, without it.
    pub(super) fn below(&mut self, end: i64) -> i64 {
        let end = u64::try_from(end).unwrap_or(1).max(1);
        i64::try_from(self.next() % end).unwrap_or(0)
    }

    /// One of several.
    pub(super) fn of<'a, T>(&mut self, several: &'a [T]) -> &'a T {
        let index = self.below(i64::try_from(several.len()).unwrap_or(1));
        &several[usize::try_from(index).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence() {
        let draw = |seed| {
            let mut random = Random(seed);
            (0..4).map(|_| random.below(1000)).collect::<Vec<_>>()
        };
        // SplitMix64's published first number for seed 0 is 0xe220a8397b1dcdaf.
        assert_eq!(Random(0).next(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
