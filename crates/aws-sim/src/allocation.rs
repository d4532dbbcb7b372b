//! Which pools a fleet is launched from: allocation strategies over quotes, pure. It does not take
//! capacity; the caller does, and says how much each pool gave.
//!
//! The model is aws.md 2.4's: availability in tiers relative to the number wanted, price inside a
//! tier; at most `pools_tried` pools are really tried (measured on AWS: about three).

use serde::{Deserialize, Serialize};

use crate::market::Quote;
use crate::random;

/// EC2 Fleet's allocation strategies, spot and on-demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The most available pools, the cheapest of those.
    PriceCapacityOptimized,
    /// The most available pools.
    CapacityOptimized,
    /// The most available pools, priorities on a best-effort basis.
    CapacityOptimizedPrioritized,
    /// The cheapest pools.
    LowestPrice,
    /// Spread over all pools.
    Diversified,
    /// By priority (on-demand only).
    Prioritized,
}

impl Strategy {
    /// Reads a `SpotOptions.AllocationStrategy`.
    pub fn spot(text: &str) -> Option<Strategy> {
        Some(match text {
            "price-capacity-optimized" => Strategy::PriceCapacityOptimized,
            "capacity-optimized" => Strategy::CapacityOptimized,
            "capacity-optimized-prioritized" => Strategy::CapacityOptimizedPrioritized,
            "lowest-price" => Strategy::LowestPrice,
            "diversified" => Strategy::Diversified,
            _ => return None,
        })
    }

    /// Reads an `OnDemandOptions.AllocationStrategy`.
    pub fn on_demand(text: &str) -> Option<Strategy> {
        match text {
            "lowest-price" => Some(Strategy::LowestPrice),
            "prioritized" => Some(Strategy::Prioritized),
            _ => None,
        }
    }
}

/// A pool as a fleet request offers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Names the pool; ties are broken by its hash.
    pub key: String,
    /// What the pool offers.
    pub quote: Quote,
    /// Units of target capacity one instance fills.
    pub weight: f64,
    /// Lower comes first; none comes last.
    pub priority: Option<f64>,
    /// On-demand price of the type, in millionths of a USD per hour.
    pub on_demand_micro_usd_per_hour: u64,
}

impl Candidate {
    fn price_per_unit(&self) -> f64 {
        self.quote.price_micro_usd_per_hour as f64 / self.weight
    }

    /// Instances needed to fill `units`.
    pub fn instances_for(&self, units: f64) -> u64 {
        (units / self.weight).ceil().max(0.0) as u64
    }

    /// How comfortably the pool holds what is wanted, 0 to 4 (powers of two), none when empty.
    fn tier(&self, units: f64) -> i32 {
        let wanted = self.instances_for(units).max(1);
        if self.quote.depth == 0 {
            return -1;
        }
        let ratio = (self.quote.depth + 1) as f64 / wanted as f64;
        (ratio.log2().floor() as i32).clamp(0, 4)
    }
}

/// The order in which a strategy goes through the candidates, as indices; candidates it would never use are left out.
pub fn order(strategy: Strategy, candidates: &[Candidate], units: f64, seed: u64) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..candidates.len())
        .filter(|index| {
            let candidate = &candidates[*index];
            strategy != Strategy::Diversified
                || candidate.quote.price_micro_usd_per_hour < candidate.on_demand_micro_usd_per_hour
        })
        .collect();
    let tie = |index: usize| random::hash(seed, &["tie", &candidates[index].key]);
    indices.sort_by(|left, right| {
        let (one, other) = (&candidates[*left], &candidates[*right]);
        let by_price = one.price_per_unit().total_cmp(&other.price_per_unit());
        let by_depth = other.quote.depth.cmp(&one.quote.depth);
        let by_tier = other.tier(units).cmp(&one.tier(units));
        let by_priority = priority(one).total_cmp(&priority(other));
        let ordering = match strategy {
            Strategy::PriceCapacityOptimized => by_tier.then(by_price),
            Strategy::CapacityOptimized => by_depth,
            // Best effort: priority decides among pools of about the same availability.
            Strategy::CapacityOptimizedPrioritized => by_tier.then(by_priority).then(by_depth),
            Strategy::LowestPrice | Strategy::Diversified => by_price,
            Strategy::Prioritized => by_priority.then(by_price),
        };
        ordering.then_with(|| tie(*left).cmp(&tie(*right)))
    });
    indices
}

fn priority(candidate: &Candidate) -> f64 {
    candidate.priority.unwrap_or(f64::MAX)
}

/// How many instances a pool should give at its turn, `remaining_pools` counting itself.
pub fn wanted(strategy: Strategy, candidate: &Candidate, units_left: f64, remaining_pools: usize) -> u64 {
    let share = match strategy {
        Strategy::Diversified => units_left / remaining_pools.max(1) as f64,
        _ => units_left,
    };
    candidate.instances_for(share)
}

/// How many pools a strategy really tries.
pub fn tries(
    strategy: Strategy,
    pools_tried: usize,
    pools_to_use: Option<usize>,
    candidates: usize,
) -> usize {
    match strategy {
        Strategy::Diversified => candidates,
        Strategy::LowestPrice => pools_tried.max(pools_to_use.unwrap_or(0)),
        _ => pools_tried,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Strategy;
    use super::*;

    fn candidate(key: &str, price: u64, depth: u64, priority: Option<f64>) -> Candidate {
        Candidate {
            key: key.into(),
            quote: Quote {
                price_micro_usd_per_hour: price,
                depth,
                hazard_ppm_per_hour: 0,
            },
            weight: 1.0,
            priority,
            on_demand_micro_usd_per_hour: 100,
        }
    }

    #[test]
    fn strategies_order_pools() {
        let pools = [
            candidate("cheap-shallow", 10, 1, Some(2.0)),
            candidate("dear-deep", 50, 500, Some(1.0)),
            candidate("fair-deep", 30, 400, None),
            candidate("above-on-demand", 120, 900, None),
        ];
        for (strategy, units, expected) in [
            (Strategy::PriceCapacityOptimized, 10.0, vec![2, 1, 3, 0]),
            (Strategy::PriceCapacityOptimized, 1.0, vec![2, 1, 3, 0]),
            (Strategy::CapacityOptimized, 10.0, vec![3, 1, 2, 0]),
            (Strategy::CapacityOptimizedPrioritized, 10.0, vec![1, 3, 2, 0]),
            (Strategy::LowestPrice, 10.0, vec![0, 2, 1, 3]),
            (Strategy::Prioritized, 10.0, vec![1, 0, 2, 3]),
            (Strategy::Diversified, 10.0, vec![0, 2, 1]),
        ] {
            assert_eq!(
                order(strategy, &pools, units, 1),
                expected,
                "{strategy:?} {units}"
            );
        }
    }

    #[test]
    fn weights_round_instances_up_and_price_counts_per_unit() {
        let big = Candidate {
            weight: 16.0,
            ..candidate("big", 160, 10, None)
        };
        assert_eq!(big.instances_for(40.0), 3);
        let small = candidate("small", 12, 100, None);
        assert_eq!(order(Strategy::LowestPrice, &[small, big], 40.0, 1), [1, 0]);
    }

    #[test]
    fn diversified_spreads_evenly() {
        let pool = candidate("x", 10, 100, None);
        assert_eq!(wanted(Strategy::Diversified, &pool, 10.0, 4), 3);
        assert_eq!(wanted(Strategy::LowestPrice, &pool, 10.0, 4), 10);
    }

    proptest! {
        #[test]
        fn order_is_a_stable_permutation(seed in any::<u64>(), pools in prop::collection::vec((1u64..100, 0u64..1000), 1..20), units in 1u32..200) {
            let candidates: Vec<Candidate> = pools.iter().enumerate()
                .map(|(index, (price, depth))| candidate(&index.to_string(), *price, *depth, None)).collect();
            for strategy in [Strategy::PriceCapacityOptimized, Strategy::CapacityOptimized, Strategy::LowestPrice] {
                let found = order(strategy, &candidates, f64::from(units), seed);
                prop_assert_eq!(&found, &order(strategy, &candidates, f64::from(units), seed));
                let mut sorted = found.clone();
                sorted.sort_unstable();
                prop_assert_eq!(sorted, (0..candidates.len()).collect::<Vec<_>>());
            }
        }
    }
}
