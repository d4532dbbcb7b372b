//! What is left alone for a while, computed from the launches kept for a day.
//!
//! Nothing is stored: the same launches give the same answer after a restart.
//! An error strikes what it speaks about ([`LaunchErrorScope`]); the first
//! strike lasts three minutes (Karpenter's fixed time), each further one twice
//! as long up to an hour, and a success wipes the slate. A strike counts only
//! when it falls after the end of the one before, so that ten launches failing
//! in the same second are one failure. When the time is over the place is half
//! open: one small launch may try it ([`State::Probing`]).
//!
//! `UnfulfillableCapacity` says nothing about a place: EC2 tries about three
//! pools of a request and names all others so (`spike-fleet` measurements,
//! parallelcluster-node #740). When it is all an answer holds, the very same
//! request rests briefly, and after three times its places cool as well, lest
//! fallback never comes.

mod drought;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use spotocean_api::condition::Reason;
use spotocean_api::ocean_launch::{LaunchErrorScope, LaunchPhase, OceanLaunch};
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{PoolKey, SubnetId};
use spotocean_core::instance_type::name_parts;
use spotocean_core::offering::Market;
use spotocean_core::pod::Pod;

use crate::digest::hexadecimal;
use crate::memory::market_of_key;
use crate::snapshot::Snapshot;
use crate::vocabulary;
pub use drought::name_classes;

/// Annotation on an OceanLaunch: the ocean's generation it was planned for.
pub const LAUNCH_GENERATION: &str = "spotocean.dev/ocean-generation";

/// Strikes after which a request that EC2 never tried counts as no capacity.
const UNTRIED_STRIKES: u32 = 3;

/// How fast pauses grow.
#[derive(Clone, Copy, Debug)]
struct Growth {
    first_seconds: i64,
    most_seconds: i64,
}

const MARKET: Growth = Growth {
    first_seconds: 180,
    most_seconds: 3_600,
};
/// A catalogue error: the type is not sold there. As long as launches are kept.
const OFFERING: Growth = Growth {
    first_seconds: 86_400,
    most_seconds: 86_400,
};
const REFUSAL: Growth = Growth {
    first_seconds: 60,
    most_seconds: 3_600,
};
const THROTTLE: Growth = Growth {
    first_seconds: 5,
    most_seconds: 300,
};
const UNTRIED: Growth = Growth {
    first_seconds: 15,
    most_seconds: 180,
};

/// Failures in a row, and how long they count.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Strikes {
    count: u32,
    until: Timestamp,
}

/// Strikes by key.
#[derive(Clone, Debug)]
struct Track<K>(BTreeMap<K, Strikes>);

impl<K> Default for Track<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Track<K> {
    fn strike(&mut self, key: K, at: Timestamp, growth: Growth) {
        let strikes = self.0.entry(key).or_insert(Strikes {
            count: 0,
            until: Timestamp::MIN,
        });
        if at < strikes.until {
            return;
        }
        strikes.count += 1;
        let doublings = (strikes.count - 1).min(20);
        let seconds = growth
            .first_seconds
            .saturating_mul(1 << doublings)
            .min(growth.most_seconds);
        strikes.until = at
            .saturating_add(SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MAX);
    }

    fn state(&self, key: &K, now: Timestamp) -> State {
        match self.0.get(key) {
            None => State::Open,
            Some(strikes) if now < strikes.until => State::Cooling(strikes.until),
            Some(_) => State::Probing,
        }
    }
}

/// Whether something may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Yes.
    Open,
    /// By one small launch: the pause is over and nothing has succeeded since.
    Probing,
    /// Not before this time.
    Cooling(Timestamp),
}

/// Why a whole pool rests after EC2 refused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The condition's reason.
    pub reason: Reason,
    /// One sentence.
    pub message: Arc<str>,
    /// When it is tried again by itself.
    pub until: Timestamp,
}

/// Everything that is left alone now.
#[derive(Clone, Debug, Default)]
pub struct Cooldowns {
    markets: Track<(CapacityType, Market)>,
    offerings: Track<Market>,
    quotas: Track<(CapacityType, &'static str)>,
    subnets: Track<SubnetId>,
    requests: Track<String>,
    throttles: Track<PoolKey>,
    refusals: Track<PoolKey>,
    droughts: drought::Droughts,
    sentences: BTreeMap<PoolKey, (Reason, Arc<str>)>,
}

impl Cooldowns {
    /// Reads the launches of a snapshot.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut answered: Vec<Answered<'_>> = snapshot
            .launches
            .iter()
            .filter_map(|launch| Answered::of(launch))
            .collect();
        answered.sort_by(|a, b| (a.at, a.name()).cmp(&(b.at, b.name())));
        let generations: BTreeMap<&str, i64> =
            snapshot.oceans.iter().map(|ocean| generation(ocean)).collect();
        let mut cooldowns = Self::default();
        for launch in &answered {
            let spec = &launch.launch.spec;
            let is_current = generations.get(spec.ocean_name.as_str()) == launch.generation().as_ref();
            cooldowns.take(launch, is_current);
        }
        for (key, at) in &snapshot.memory.interruptions {
            if let Some(market) = market_of_key(key) {
                cooldowns
                    .markets
                    .strike((CapacityType::Spot, market), *at, MARKET);
            }
        }
        cooldowns
    }

    /// Whether a market may be tried under a capacity type.
    #[must_use]
    pub fn market(&self, capacity_type: CapacityType, market: &Market, now: Timestamp) -> State {
        let family = quota_family(market.instance_type.as_str());
        let own = self.markets.state(&(capacity_type, market.clone()), now);
        let offered = self.offerings.state(market, now);
        let quota = self.quotas.state(&(capacity_type, family), now);
        own.max(offered).max(quota)
    }

    /// Whether a subnet may be tried.
    #[must_use]
    pub fn subnet(&self, subnet: &SubnetId, now: Timestamp) -> State {
        self.subnets.state(subnet, now)
    }

    /// Whether spot has run dry for pods like this one.
    #[must_use]
    pub fn is_dry(&self, pod: &Pod, now: Timestamp) -> bool {
        self.droughts.is_dry(pod, now)
    }

    /// Whether this very request may be sent: same pool, capacity type and places.
    #[must_use]
    pub fn request(&self, key: &str, now: Timestamp) -> State {
        self.requests.state(&key.to_owned(), now)
    }

    /// Whether a pool's launches are held back by a rate limit.
    #[must_use]
    pub fn throttle(&self, pool: &PoolKey, now: Timestamp) -> State {
        self.throttles.state(pool, now)
    }

    /// Why a pool rests as a whole, if it does.
    #[must_use]
    pub fn refusal(&self, pool: &PoolKey, now: Timestamp) -> Option<Refusal> {
        let State::Cooling(until) = self.refusals.state(pool, now) else {
            return None;
        };
        let (reason, message) = self.sentences.get(pool)?.clone();
        Some(Refusal {
            reason,
            message,
            until,
        })
    }

    /// The next time at which something may be tried again.
    #[must_use]
    pub fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        fn ends<K>(track: &Track<K>) -> impl Iterator<Item = Timestamp> {
            track.0.values().map(|strikes| strikes.until)
        }
        ends(&self.markets)
            .chain(ends(&self.offerings))
            .chain(ends(&self.quotas))
            .chain(ends(&self.subnets))
            .chain(ends(&self.requests))
            .chain(ends(&self.throttles))
            .chain(ends(&self.refusals))
            .chain(ends(&self.droughts.dry))
            .filter(|until| *until > now)
            .min()
    }

    fn take(&mut self, answered: &Answered<'_>, is_current: bool) {
        let (pool, at) = (answered.pool(), answered.at);
        let capacity_type = answered.capacity_type();
        let bought = answered.bought();
        for market in &bought {
            self.markets.0.remove(&(capacity_type, market.clone()));
            self.offerings.0.remove(market);
            let family = quota_family(market.instance_type.as_str());
            self.quotas.0.remove(&(capacity_type, family));
        }
        for subnet in answered.subnets_of(&bought) {
            self.subnets.0.remove(&subnet);
        }
        self.take_errors(answered, &bought);
        self.take_untried(answered, &bought);
        self.droughts.take(answered);
        let refused = answered.refusal().filter(|_| bought.is_empty());
        match refused {
            Some(sentence) if is_current => {
                self.refusals.strike(pool.clone(), at, REFUSAL);
                self.sentences.insert(pool.clone(), sentence);
            }
            Some(_) => {}
            None if answered.has_scope(LaunchErrorScope::Throttle) => {}
            None => {
                self.refusals.0.remove(&pool);
            }
        }
        if answered.has_scope(LaunchErrorScope::Throttle) {
            self.throttles.strike(pool, at, THROTTLE);
        } else {
            self.throttles.0.remove(&pool);
        }
    }

    fn take_errors(&mut self, answered: &Answered<'_>, bought: &BTreeSet<Market>) {
        let (at, capacity_type) = (answered.at, answered.capacity_type());
        for error in answered.errors() {
            let market = error
                .instance_type
                .as_deref()
                .zip(error.zone.as_deref())
                .map(market_of);
            // An error beside an instance of the same place is a note, not a failure.
            if market.as_ref().is_some_and(|market| bought.contains(market)) {
                continue;
            }
            match error.scope {
                LaunchErrorScope::Market => {
                    for market in market.into_iter() {
                        self.markets.strike((capacity_type, market), at, MARKET);
                    }
                }
                LaunchErrorScope::Offering => {
                    for market in market.into_iter() {
                        self.offerings.strike(market, at, OFFERING);
                    }
                }
                LaunchErrorScope::Quota => {
                    let family = quota_family(error.instance_type.as_deref().unwrap_or("m5"));
                    self.quotas.strike((capacity_type, family), at, MARKET);
                }
                LaunchErrorScope::Subnet => {
                    let own = error.subnet_id.as_deref().map(SubnetId::from);
                    let by_zone = || answered.subnet_in(error.zone.as_deref()?);
                    if let Some(subnet) = own.or_else(by_zone) {
                        self.subnets.strike(subnet, at, MARKET);
                    }
                }
                LaunchErrorScope::Request
                | LaunchErrorScope::Account
                | LaunchErrorScope::Throttle
                | LaunchErrorScope::Nothing => {}
            }
        }
    }

    fn take_untried(&mut self, answered: &Answered<'_>, bought: &BTreeSet<Market>) {
        let key = answered.request_key();
        let is_untried = bought.is_empty()
            && answered.errors().next().is_some()
            && answered
                .errors()
                .all(|error| error.scope == LaunchErrorScope::Nothing);
        if !is_untried {
            self.requests.0.remove(&key);
            return;
        }
        self.requests.strike(key.clone(), answered.at, UNTRIED);
        let count = self.requests.0.get(&key).map_or(0, |strikes| strikes.count);
        if count >= UNTRIED_STRIKES {
            for market in answered.offered() {
                self.markets
                    .strike((answered.capacity_type(), market), answered.at, MARKET);
            }
        }
    }
}

fn generation(ocean: &SpotOcean) -> (&str, i64) {
    (
        ocean.metadata.name.as_deref().unwrap_or_default(),
        ocean.metadata.generation.unwrap_or(0),
    )
}

fn market_of((instance_type, zone): (&str, &str)) -> Market {
    Market {
        instance_type: instance_type.into(),
        zone: zone.into(),
    }
}

/// Names a request for its pause: the same pool, capacity type and places in any order.
#[must_use]
pub fn request_key(pool: &PoolKey, capacity_type: CapacityType, markets: &BTreeSet<Market>) -> String {
    hexadecimal(&(pool, capacity_type, markets), 32)
}

/// The group of families that share one vCPU quota ("On-Demand and Spot instance quotas", EC2 user guide).
#[must_use]
pub fn quota_family(instance_type: &str) -> &'static str {
    match name_parts(instance_type).category {
        "g" | "vt" | "gr" => "G and VT",
        "p" => "P",
        "dl" => "DL",
        "f" => "F",
        "inf" => "Inf",
        "trn" => "Trn",
        "x" => "X",
        "u" => "High Memory",
        "hpc" => "HPC",
        _ => "Standard",
    }
}

/// A launch that EC2 has answered.
struct Answered<'a> {
    launch: &'a OceanLaunch,
    at: Timestamp,
}

impl<'a> Answered<'a> {
    fn of(launch: &'a OceanLaunch) -> Option<Self> {
        let status = launch.status.as_ref()?;
        let at = status.answered_at.as_ref()?.0;
        (status.phase == LaunchPhase::Answered).then_some(Self { launch, at })
    }

    fn name(&self) -> &str {
        self.launch.metadata.name.as_deref().unwrap_or_default()
    }

    fn generation(&self) -> Option<i64> {
        let annotations = self.launch.metadata.annotations.as_ref()?;
        annotations.get(LAUNCH_GENERATION)?.parse().ok()
    }

    fn pool(&self) -> PoolKey {
        PoolKey {
            ocean: self.launch.spec.ocean_name.as_str().into(),
            pool: self.launch.spec.pool_name.as_str().into(),
        }
    }

    fn capacity_type(&self) -> CapacityType {
        vocabulary::capacity_type(self.launch.spec.request.capacity_type)
    }

    fn errors(&self) -> impl Iterator<Item = &'a spotocean_api::ocean_launch::LaunchError> {
        self.launch.status.iter().flat_map(|status| &status.errors)
    }

    fn has_scope(&self, scope: LaunchErrorScope) -> bool {
        self.errors().any(|error| error.scope == scope)
    }

    fn bought(&self) -> BTreeSet<Market> {
        let instances = self.launch.status.iter().flat_map(|status| &status.instances);
        instances
            .map(|instance| market_of((&instance.instance_type, &instance.zone)))
            .collect()
    }

    fn overrides(&self) -> impl Iterator<Item = &'a spotocean_api::ocean_launch::FleetOverride> {
        self.launch
            .spec
            .request
            .launch_templates
            .iter()
            .flat_map(|config| &config.overrides)
    }

    fn offered(&self) -> BTreeSet<Market> {
        self.overrides()
            .map(|place| market_of((&place.instance_type, &place.zone)))
            .collect()
    }

    fn request_key(&self) -> String {
        request_key(&self.pool(), self.capacity_type(), &self.offered())
    }

    fn subnet_in(&self, zone: &str) -> Option<SubnetId> {
        self.overrides()
            .find(|place| place.zone == zone)
            .map(|place| place.subnet_id.as_str().into())
    }

    fn subnets_of(&self, bought: &BTreeSet<Market>) -> Vec<SubnetId> {
        bought
            .iter()
            .filter_map(|market| self.subnet_in(market.zone.as_str()))
            .collect()
    }

    /// The refusal of the whole request, as a condition's reason and sentence.
    fn refusal(&self) -> Option<(Reason, Arc<str>)> {
        let error = self
            .errors()
            .find(|error| matches!(error.scope, LaunchErrorScope::Request | LaunchErrorScope::Account))?;
        let (code, message) = (&error.code, &error.message);
        Some(if error.scope == LaunchErrorScope::Account {
            (
                Reason::AccessDenied,
                format!("AWS refuses to launch for this account ({code}: {message}): correct the operator's IAM policy, a service control policy or the account itself; it is tried again in growing intervals").into(),
            )
        } else {
            (
                Reason::LaunchRefused,
                format!("EC2 refuses the launch as it stands ({code}: {message}): correct what the message names in the template; it is tried again when the ocean changes, or in growing intervals").into(),
            )
        })
    }
}

#[cfg(test)]
mod tests;
