//! The capacity market, pure: price, depth and interruption hazard of each pool (type × zone) as a
//! function of seed and simulated time, less what was taken. It knows no clock and no instances.

use std::collections::BTreeMap;

use crate::catalogue::{Catalogue, InstanceType};
use crate::clock::Moment;
use crate::random;

const DAY_MS: i64 = 86_400_000;
const EPOCH_MS: i64 = 4 * 3_600_000;
const PARTS_PER_MILLION: u64 = 1_000_000;

/// One capacity pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pool {
    /// Instance type name.
    pub instance_type: String,
    /// Zone id.
    pub zone_id: String,
}

/// Spot and on-demand capacity of a pool are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lifecycle {
    /// May be taken back.
    Spot,
    /// Stays.
    OnDemand,
}

impl Lifecycle {
    /// As CreateFleet answers it.
    pub fn name(self) -> &'static str {
        match self {
            Lifecycle::Spot => "spot",
            Lifecycle::OnDemand => "on-demand",
        }
    }
}

/// What a pool offers at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// Price of one instance, in millionths of a USD per hour.
    pub price_micro_usd_per_hour: u64,
    /// Instances that could be launched now.
    pub depth: u64,
    /// Expected interruptions per instance and hour, in parts per million.
    pub hazard_ppm_per_hour: u64,
}

/// A change of the spot price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceChange {
    /// When it took effect.
    pub at: Moment,
    /// The price from then on, in millionths of a USD per hour.
    pub price_micro_usd_per_hour: u64,
}

#[derive(Debug, Clone)]
struct Facts {
    on_demand_micro_usd_per_hour: u64,
    mean_spot_micro_usd_per_hour: u64,
    spot: bool,
    vcpu: u64,
    accelerated: bool,
    hazard_ppm_per_hour: u64,
}

#[derive(Debug, Clone, Default)]
struct Override {
    prices: Vec<PriceChange>,
    // Free plus used at the moment of the order, so that what is taken afterwards still counts.
    capacity: BTreeMap<Lifecycle, u64>,
    hazard_ppm_per_hour: Option<u64>,
}

/// An order to change pools; fields left out stay as they are.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Free instances from now on, spot.
    pub depth: Option<u64>,
    /// Free instances from now on, on demand.
    pub on_demand_depth: Option<u64>,
    /// The spot price from now on, in millionths of a USD per hour.
    pub price_micro_usd_per_hour: Option<u64>,
    /// Interruptions per instance and hour, in parts per million.
    pub hazard_ppm_per_hour: Option<u64>,
}

/// All pools of a region.
#[derive(Debug)]
pub struct Market {
    seed: u64,
    facts: BTreeMap<Pool, Facts>,
    used: BTreeMap<(Pool, Lifecycle), u64>,
    overrides: BTreeMap<Pool, Override>,
}

impl Market {
    /// The market of a region under a seed.
    pub fn new(catalogue: &Catalogue, seed: u64) -> Market {
        let mut facts = BTreeMap::new();
        for instance_type in catalogue.types.values() {
            for zone in &catalogue.zones {
                if instance_type.offered_in(&zone.id) {
                    let pool = Pool {
                        instance_type: instance_type.name.clone(),
                        zone_id: zone.id.clone(),
                    };
                    let found = facts_of(catalogue, instance_type, &zone.id, seed);
                    facts.insert(pool, found);
                }
            }
        }
        Market {
            seed,
            facts,
            used: BTreeMap::new(),
            overrides: BTreeMap::new(),
        }
    }

    /// All pools, in order.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.facts.keys()
    }

    /// What a pool offers; none where the type is not sold so in that zone.
    pub fn quote(&self, pool: &Pool, lifecycle: Lifecycle, now: Moment) -> Option<Quote> {
        let facts = self.facts.get(pool)?;
        if lifecycle == Lifecycle::Spot && !facts.spot {
            return None;
        }
        Some(Quote {
            price_micro_usd_per_hour: match lifecycle {
                Lifecycle::OnDemand => facts.on_demand_micro_usd_per_hour,
                Lifecycle::Spot => self.spot_price(pool, facts, now),
            },
            depth: self
                .capacity(pool, facts, lifecycle, now)
                .saturating_sub(self.used(pool, lifecycle)),
            hazard_ppm_per_hour: match lifecycle {
                Lifecycle::OnDemand => 0,
                Lifecycle::Spot => self
                    .overrides
                    .get(pool)
                    .and_then(|found| found.hazard_ppm_per_hour)
                    .unwrap_or(facts.hazard_ppm_per_hour),
            },
        })
    }

    /// Takes up to `count` instances; answers with how many it gave.
    pub fn take(&mut self, pool: &Pool, lifecycle: Lifecycle, count: u64, now: Moment) -> u64 {
        let depth = self.quote(pool, lifecycle, now).map_or(0, |quote| quote.depth);
        let given = count.min(depth);
        *self.used.entry((pool.clone(), lifecycle)).or_default() += given;
        given
    }

    /// Gives one instance back.
    pub fn release(&mut self, pool: &Pool, lifecycle: Lifecycle) {
        if let Some(used) = self.used.get_mut(&(pool.clone(), lifecycle)) {
            *used = used.saturating_sub(1);
        }
    }

    /// Changes the pools whose type and zone match the patterns (`*` and `?`; a zone by id); answers with how many.
    pub fn change(&mut self, types: &str, zone_ids: &[String], change: &Change, now: Moment) -> usize {
        let pools: Vec<Pool> = self
            .facts
            .keys()
            .filter(|pool| {
                crate::filter::wildcard(types, &pool.instance_type) && zone_ids.contains(&pool.zone_id)
            })
            .cloned()
            .collect();
        for pool in &pools {
            let spot = change.depth.map(|depth| depth + self.used(pool, Lifecycle::Spot));
            let on_demand = change
                .on_demand_depth
                .map(|depth| depth + self.used(pool, Lifecycle::OnDemand));
            let entry = self.overrides.entry(pool.clone()).or_default();
            spot.map(|capacity| entry.capacity.insert(Lifecycle::Spot, capacity));
            on_demand.map(|capacity| entry.capacity.insert(Lifecycle::OnDemand, capacity));
            if let Some(price_micro_usd_per_hour) = change.price_micro_usd_per_hour {
                entry.prices.push(PriceChange {
                    at: now,
                    price_micro_usd_per_hour,
                });
            }
            entry.hazard_ppm_per_hour = change.hazard_ppm_per_hour.or(entry.hazard_ppm_per_hour);
        }
        pools.len()
    }

    /// The price changes of a pool inside `[from, to]`, newest first, and the last one before `from`:
    /// EC2 answers a query that starts now with the price in effect.
    pub fn price_history(&self, pool: &Pool, from: Moment, to: Moment) -> Vec<PriceChange> {
        let Some(facts) = self.facts.get(pool).filter(|facts| facts.spot) else {
            return Vec::new();
        };
        let mut changes = self.ordered_changes(pool, facts, from, to);
        let first = changes.partition_point(|change| change.at <= from);
        changes.drain(..first.saturating_sub(1));
        changes.reverse();
        changes
    }

    fn ordered_changes(&self, pool: &Pool, facts: &Facts, from: Moment, to: Moment) -> Vec<PriceChange> {
        let forced = self
            .overrides
            .get(pool)
            .map_or(&[][..], |found| &found.prices[..]);
        // A forced price holds from then on: the seeded walk ends where the first order was given.
        let walk_end = forced
            .first()
            .map_or(to, |change| Moment(change.at.0 - 1).min(to));
        let first_day = from.0.div_euclid(DAY_MS) - 10;
        let mut changes: Vec<PriceChange> = (first_day..=walk_end.0.div_euclid(DAY_MS))
            .flat_map(|day| self.changes_of_day(pool, facts, day))
            .filter(|change| change.at <= walk_end)
            .collect();
        changes.extend(forced.iter().filter(|change| change.at <= to));
        changes
    }

    fn spot_price(&self, pool: &Pool, facts: &Facts, now: Moment) -> u64 {
        self.ordered_changes(pool, facts, now, now)
            .last()
            .map_or(facts.mean_spot_micro_usd_per_hour, |change| {
                change.price_micro_usd_per_hour
            })
    }

    /// 0 to 2 changes on a day, of a few percent around the pool's mean (aws.md 2.8: "adjust gradually").
    fn changes_of_day(&self, pool: &Pool, facts: &Facts, day: i64) -> Vec<PriceChange> {
        let day_text = day.to_string();
        let words = [
            pool.instance_type.as_str(),
            pool.zone_id.as_str(),
            day_text.as_str(),
        ];
        let draw = random::hash(self.seed, &words);
        // Every third day is certain to have one, so that a price is never older than ten days.
        let count = if day.rem_euclid(3) == 0 { 1 } else { draw % 3 };
        let slot_ms = DAY_MS / 2;
        (0..i64::try_from(count).unwrap_or(0))
            .map(|index| {
                let shift = i64::try_from((draw >> (8 + index * 20)) % 43_000).unwrap_or(0) * 1000;
                let at = Moment(day * DAY_MS + index * slot_ms + shift);
                PriceChange {
                    at,
                    price_micro_usd_per_hour: self.walk(pool, facts, at),
                }
            })
            .collect()
    }

    fn walk(&self, pool: &Pool, facts: &Facts, at: Moment) -> u64 {
        let phase = random::unit(self.seed, &["phase", &pool.instance_type, &pool.zone_id]);
        let days = at.0 as f64 / DAY_MS as f64;
        let period_days = 9.0 + 14.0 * phase;
        let swing = 0.08 * (std::f64::consts::TAU * (days / period_days + phase)).sin()
            + 0.03 * (std::f64::consts::TAU * (days / 2.7 + 7.0 * phase)).sin();
        let price = facts.mean_spot_micro_usd_per_hour as f64 * (1.0 + swing);
        let on_demand = facts.on_demand_micro_usd_per_hour;
        // Never above on-demand, never below a tenth of it; AWS rounds to a hundredth of a cent.
        let rounded = (price / 100.0).round() as u64 * 100;
        rounded.clamp((on_demand / 10).max(1), on_demand.max(1))
    }

    fn used(&self, pool: &Pool, lifecycle: Lifecycle) -> u64 {
        self.used.get(&(pool.clone(), lifecycle)).copied().unwrap_or(0)
    }

    fn capacity(&self, pool: &Pool, facts: &Facts, lifecycle: Lifecycle, now: Moment) -> u64 {
        if let Some(forced) = self
            .overrides
            .get(pool)
            .and_then(|found| found.capacity.get(&lifecycle))
        {
            return *forced;
        }
        let words = ["depth", lifecycle.name(), &pool.instance_type, &pool.zone_id];
        let draw = random::unit(self.seed, &words);
        let epoch = now.0.div_euclid(EPOCH_MS).to_string();
        let tide =
            0.75 + 0.5 * random::unit(self.seed, &["tide", &pool.instance_type, &pool.zone_id, &epoch]);
        let vcpus = match (facts.accelerated, lifecycle) {
            (true, Lifecycle::Spot) => draw * draw * 400.0,
            (true, Lifecycle::OnDemand) => draw * 800.0,
            (false, Lifecycle::Spot) => {
                60.0 + 4000.0 * draw * draw / (1.0 + facts.hazard_ppm_per_hour as f64 / 150.0)
            }
            (false, Lifecycle::OnDemand) => 4000.0 + 20_000.0 * draw,
        };
        (vcpus * tide) as u64 / facts.vcpu.max(1)
    }
}

fn facts_of(catalogue: &Catalogue, instance_type: &InstanceType, zone_id: &str, seed: u64) -> Facts {
    let words = ["pool", instance_type.name.as_str(), zone_id];
    let on_demand = instance_type.on_demand_micro_usd_per_hour().unwrap_or(0);
    let advice = catalogue.advice(&instance_type.name);
    let saving_percent = advice.map_or_else(
        || 38 + random::below(seed, &["saving", &instance_type.name], 25),
        |advice| u64::from(advice.saving_percent),
    );
    // Within 15 % of the type's mean from zone to zone (aws.md 2.8).
    let zone_percent = 85 + random::below(seed, &words, 31);
    let mean = on_demand * (100 - saving_percent.min(90)) / 100 * zone_percent / 100;
    Facts {
        on_demand_micro_usd_per_hour: on_demand,
        mean_spot_micro_usd_per_hour: mean.clamp(on_demand / 10, on_demand),
        spot: instance_type.spot && on_demand > 0,
        vcpu: u64::from(instance_type.vcpu),
        accelerated: !instance_type.gpu.is_empty() || !instance_type.neuron.is_empty(),
        hazard_ppm_per_hour: hazard(
            advice.map_or(1, |advice| advice.interruption_bucket),
            seed,
            &words,
        ),
    }
}

/// The middle of the advisor's monthly bucket as a rate per hour, half to one and a half times by zone.
fn hazard(bucket: u32, seed: u64, words: &[&str]) -> u64 {
    let monthly = match bucket {
        0 => 0.025,
        1 => 0.075,
        2 => 0.125,
        3 => 0.175,
        _ => 0.25_f64,
    };
    let hourly = -(1.0 - monthly).ln() / 720.0;
    let factor = 0.5 + random::unit(seed, &[words, &["hazard"]].concat());
    (hourly * factor * PARTS_PER_MILLION as f64) as u64
}

#[cfg(test)]
#[path = "market/tests.rs"]
mod tests;
