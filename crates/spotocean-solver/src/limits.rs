//! What a pool may still add. Counted conservatively: a new node weighs as much
//! as the largest and the dearest of its candidates, since EC2 chooses among them.

use std::sync::Arc;

use spotocean_core::money::PricePerHour;

use crate::offer::Offer;
use crate::problem::BuyablePool;

/// What is left of a pool's limits.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    resources: Vec<(Arc<str>, i64)>,
    nodes: Option<i64>,
    micro_usd_per_hour: Option<i64>,
}

/// What one node takes from them at worst.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charge {
    resources: Vec<i64>,
    micro_usd_per_hour: i64,
}

impl Limits {
    pub(crate) fn of(pool: &BuyablePool) -> Self {
        let resources = pool.limits.resources.iter();
        Self {
            resources: resources.map(|(name, left)| (name.clone(), *left)).collect(),
            nodes: pool.limits.nodes,
            micro_usd_per_hour: pool.limits.hourly_cost.map(PricePerHour::micro_usd),
        }
    }

    /// The first limit that forbids even one node of this offer: its name, what is left, what the offer takes.
    pub(crate) fn breached_by(&self, offer: &Offer<'_>) -> Option<(&str, i64, i64)> {
        let resource = self
            .resources
            .iter()
            .map(|(name, left)| (name.as_ref(), *left, offer.spec.capacity.amount(name)))
            .find(|(_, left, taken)| *taken > 0 && taken > left);
        let nodes = self.nodes.filter(|left| *left < 1).map(|left| ("nodes", left, 1));
        let cost = self
            .micro_usd_per_hour
            .filter(|left| offer.price > *left)
            .map(|left| ("hourlyCost", left, offer.price));
        nodes.or(resource).or(cost)
    }

    /// What a node with these candidates takes at worst.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an iterator is handed over, to be read twice"
    )]
    pub(crate) fn charge<'a>(&self, candidates: impl Iterator<Item = &'a Offer<'a>> + Clone) -> Charge {
        let largest = |name: &str| {
            let amounts = candidates.clone().map(|offer| offer.spec.capacity.amount(name));
            amounts.max().unwrap_or(0)
        };
        Charge {
            resources: self.resources.iter().map(|(name, _)| largest(name)).collect(),
            micro_usd_per_hour: candidates.clone().map(|offer| offer.price).max().unwrap_or(0),
        }
    }

    /// What is left of each limit.
    pub(crate) fn left(&self) -> Vec<i64> {
        let resources = self.resources.iter().map(|(_, left)| *left);
        resources
            .chain(self.nodes)
            .chain(self.micro_usd_per_hour)
            .collect()
    }

    /// What a node takes of each limit, in the same order.
    pub(crate) fn taken(&self, charge: &Charge) -> Vec<i64> {
        let resources = charge.resources.iter().copied();
        let nodes = self.nodes.map(|_| 1);
        let cost = self.micro_usd_per_hour.map(|_| charge.micro_usd_per_hour);
        resources.chain(nodes).chain(cost).collect()
    }

    /// Of candidates, best first, those that take no more of any limit than the first and the `least` - 1 thriftiest
    /// others do.
    pub(crate) fn frugal(&self, candidates: Vec<usize>, offers: &[Offer<'_>], least: usize) -> Vec<usize> {
        let taken = |offer: usize| self.taken(&self.charge(std::iter::once(&offers[offer])));
        let share = |offer: usize| {
            let shares = taken(offer).into_iter().zip(self.left());
            let shares = shares.map(|(taken, left)| i128::from(taken) * 1_000_000 / i128::from(left.max(1)));
            shares.max().unwrap_or(0)
        };
        let mut thrifty = candidates.get(1..).unwrap_or_default().to_vec();
        thrifty.sort_by_cached_key(|offer| share(*offer));
        thrifty.truncate(least.saturating_sub(1));
        let kept = candidates.iter().take(1).chain(&thrifty);
        let most = self.taken(&self.charge(kept.map(|offer| &offers[*offer])));
        let mut candidates = candidates;
        candidates.retain(|offer| taken(*offer).iter().zip(&most).all(|(own, most)| own <= most));
        candidates
    }

    /// How many such nodes are left, at most `most`.
    pub(crate) fn affordable(&self, charge: &Charge, most: i64) -> i64 {
        let share = |left: i64, taken: i64| if taken > 0 { (left / taken).max(0) } else { most };
        let resources = self.resources.iter().zip(&charge.resources);
        let by_resource = resources.map(|((_, left), taken)| share(*left, *taken)).min();
        let by_cost = self
            .micro_usd_per_hour
            .map(|left| share(left, charge.micro_usd_per_hour));
        [by_resource, by_cost, self.nodes.map(|left| left.max(0))]
            .into_iter()
            .flatten()
            .fold(most, i64::min)
    }

    /// Takes `count` such nodes; a negative count gives them back.
    pub(crate) fn take(&mut self, charge: &Charge, count: i64) {
        for ((_, left), taken) in self.resources.iter_mut().zip(&charge.resources) {
            *left = left.saturating_sub(taken.saturating_mul(count));
        }
        self.nodes = self.nodes.map(|left| left.saturating_sub(count));
        let cost = charge.micro_usd_per_hour.saturating_mul(count);
        self.micro_usd_per_hour = self.micro_usd_per_hour.map(|left| left.saturating_sub(cost));
    }
}
