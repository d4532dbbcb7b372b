//! How often spot markets are interrupted, and what that costs.
//!
//! A market's hazard is a Gamma-Poisson estimate: the Spot Instance Advisor's figure for the type stands for a month
//! of watching one node, to which come interruptions of our own nodes and the hours that our nodes have run there.
//! A warning counts whole at first and less by the hour until it is forgotten; in other zones of the same type it
//! counts as far as zones of one type were seen to fail together. Where nothing is known of any type there is no prior,
//! and only what happened counts. What an interruption costs is a number of hours of the node's on-demand price, by
//! `strategy.orientation`: the price says what the work of a node of that size is worth.
//! Integers throughout: hazards in billionths per hour.

use std::collections::BTreeMap;

use spotocean_api::strategy::Orientation;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::InstanceTypeName;
use spotocean_core::instance::InstanceState;
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::Market;

use crate::memory::{INTERRUPTION_KEPT, market_of_key};
use crate::snapshot::Snapshot;

/// Billionths.
const BILLION: i64 = 1_000_000_000;
const SECONDS_PER_HOUR: i64 = 3600;
/// The advisor's buckets as hazards per hour, -ln(1 - r) / 730 at their middles: 2.5, 7.5, 12.5, 17.5 and 25 % a month.
const BUCKETS: [i64; 5] = [34_682, 106_797, 182_920, 263_523, 394_085];
/// A type that the advisor does not list is taken to be in this bucket.
const UNLISTED: usize = 2;
/// Node-hours that the prior counts for: the month that the advisor looks back on.
const PRIOR_HOURS: i64 = 730;
/// Hours of one node's run that count as watched, as long as interruptions are remembered.
const WATCHED_HOURS_MAX: i64 = 24;
/// What a warning counts in another zone of the same type, in percent: capacity of one type in two zones of a region
/// was found correlated by 0.43 in the availability traces of SkyPilot.
const NEIGHBOUR_PERCENT: i64 = 43;

/// Hazards by market.
#[derive(Clone, Debug, Default)]
pub struct Hazards<'a> {
    buckets: Option<&'a BTreeMap<InstanceTypeName, u8>>,
    /// Billionths of an interruption that count now, by type and market.
    warnings: BTreeMap<InstanceTypeName, BTreeMap<Market, i64>>,
    watched_hours: BTreeMap<Market, i64>,
}

impl<'a> Hazards<'a> {
    /// Reads what is known.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let mut hazards = Self {
            buckets: Some(&snapshot.catalogue.interruption_buckets),
            ..Self::default()
        };
        for (key, at) in &snapshot.memory.interruptions {
            let left = INTERRUPTION_KEPT.as_secs() - snapshot.now.duration_since(*at).as_secs();
            let Some(market) = market_of_key(key).filter(|_| left > 0) else {
                continue;
            };
            let weight = BILLION.min(BILLION / INTERRUPTION_KEPT.as_secs() * left);
            let of_type = hazards.warnings.entry(market.instance_type.clone()).or_default();
            of_type.insert(market, weight);
        }
        for instance in snapshot.instances.iter() {
            if instance.capacity_type == CapacityType::Spot && instance.state == InstanceState::Running {
                let ran = snapshot.now.duration_since(instance.launched_at).as_secs() / SECONDS_PER_HOUR;
                let market = Market {
                    instance_type: instance.instance_type.clone(),
                    zone: instance.zone.clone(),
                };
                *hazards.watched_hours.entry(market).or_default() += ran.clamp(0, WATCHED_HOURS_MAX);
            }
        }
        hazards
    }

    /// Interruptions of one node there to be expected in an hour, in billionths.
    #[must_use]
    pub fn per_hour(&self, market: &Market) -> i64 {
        let watched = self.watched_hours.get(market).copied().unwrap_or(0);
        let expected = self.prior(&market.instance_type) * PRIOR_HOURS + self.happened(market);
        expected / (PRIOR_HOURS + watched)
    }

    fn prior(&self, name: &InstanceTypeName) -> i64 {
        let Some(buckets) = self.buckets.filter(|buckets| !buckets.is_empty()) else {
            return 0;
        };
        let bucket = buckets.get(name).map_or(UNLISTED, |bucket| usize::from(*bucket));
        BUCKETS[bucket.min(BUCKETS.len() - 1)]
    }

    /// Warnings that count for a market, in billionths.
    fn happened(&self, market: &Market) -> i64 {
        let of_type = self.warnings.get(&market.instance_type).into_iter().flatten();
        let counted = of_type.map(|(place, weight)| match place == market {
            true => *weight,
            false => weight * NEIGHBOUR_PERCENT / 100,
        });
        counted.sum()
    }

    /// What interruptions of a spot node there cost per hour on average, where its type costs so much on demand.
    #[must_use]
    pub fn cost(&self, market: &Market, on_demand: PricePerHour, orientation: Orientation) -> PricePerHour {
        let once = i128::from(on_demand.micro_usd().max(0)) * i128::from(restart_minutes(orientation)) / 60;
        let cost = once * i128::from(self.per_hour(market)) / i128::from(BILLION);
        PricePerHour(i64::try_from(cost).unwrap_or(i64::MAX))
    }
}

/// What an interruption costs, in minutes of the node's on-demand price.
const fn restart_minutes(orientation: Orientation) -> i64 {
    match orientation {
        Orientation::Availability => 50 * 60,
        Orientation::Balanced => 5 * 60,
        Orientation::Cost => 6,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fixtures::{ago, snapshot};

    fn market(name: &str, zone: &str) -> Market {
        Market {
            instance_type: name.into(),
            zone: zone.into(),
        }
    }

    /// A day-old world where `m5.large` is in the calmest bucket and `c5.xlarge` in the worst.
    fn world() -> Snapshot {
        let mut world = snapshot().build();
        let catalogue = Arc::make_mut(&mut world.catalogue);
        catalogue.interruption_buckets = BTreeMap::from([("m5.large".into(), 0), ("c5.xlarge".into(), 4)]);
        world
    }

    fn warned(mut world: Snapshot, key: &str, seconds: i64) -> Snapshot {
        world.memory.interruptions.insert(key.into(), ago(seconds));
        world
    }

    #[test]
    fn the_advisor_is_believed_until_something_happens() {
        let calm = market("m5.large", "us-east-1a");
        let day = 24 * 3600;
        let rows = [
            ("the calmest", world(), &calm, 34_682),
            ("the worst", world(), &market("c5.xlarge", "us-east-1a"), 394_085),
            ("unlisted", world(), &market("r5.large", "us-east-1a"), 182_920),
            ("nothing known", snapshot().build(), &calm, 0),
            // One interruption in 730 hours, beside what was expected in them.
            (
                "just warned",
                warned(world(), "m5.large/us-east-1a", 0),
                &calm,
                34_682 + BILLION / 730,
            ),
            (
                "half a day ago",
                warned(world(), "m5.large/us-east-1a", day / 2),
                &calm,
                34_682 + BILLION / 1460,
            ),
            (
                "a day ago",
                warned(world(), "m5.large/us-east-1a", day),
                &calm,
                34_682,
            ),
            (
                "next door",
                warned(world(), "m5.large/us-east-1b", 0),
                &calm,
                34_682 + BILLION / 730 * 43 / 100,
            ),
            (
                "another type",
                warned(world(), "c5.xlarge/us-east-1a", 0),
                &calm,
                34_682,
            ),
        ];
        for (name, world, market, expected) in rows {
            let found = Hazards::of(&world).per_hour(market);
            assert!(
                (found - expected).abs() <= expected / 1000,
                "{name}: {found}, not {expected}"
            );
        }
    }

    #[test]
    fn quiet_nodes_make_a_market_safer() {
        let calm = market("c5.xlarge", "us-east-1a");
        let mut hazards = Hazards::of(&Snapshot::clone(&world())).per_hour(&calm);
        for nodes in [10, 100] {
            let world = world();
            let mut watched = Hazards::of(&world);
            watched
                .watched_hours
                .insert(calm.clone(), nodes * WATCHED_HOURS_MAX);
            assert!(watched.per_hour(&calm) < hazards, "{nodes} nodes");
            hazards = watched.per_hour(&calm);
        }
    }

    #[test]
    fn orientation_says_what_an_interruption_costs() {
        let world = world();
        let hazards = Hazards::of(&world);
        let worst = market("c5.xlarge", "us-east-1a");
        let rows = [
            // 170,000 micro-dollars x hours x 0.000394 an hour.
            (Orientation::Availability, 3_349),
            (Orientation::Balanced, 334),
            (Orientation::Cost, 6),
        ];
        for (orientation, expected) in rows {
            let cost = hazards.cost(&worst, PricePerHour(170_000), orientation);
            assert_eq!(cost, PricePerHour(expected), "{orientation:?}");
        }
    }
}
