//! What a node takes of the limits that bind, as a weight to plan by.
//!
//! Of each limit a node takes a share: its amount of what the limit has left.
//! Limits bind that a plan has used nearly as much as the one it used most. The
//! shares of those, summed, stand in for what the node costs; a little of the
//! cost beside them decides among equals, and more of it where all pods can be
//! served anyway. Offers that the limits never allow are left out.

use crate::limits::Limits;
use crate::model::Model;
use crate::params::BINDING_PERCENT;
use crate::plan::Plan;

/// What an offer of average share weighs.
const UNIT: f64 = 1_000_000.0;

/// Cost for ties only, as a part of a node's weight.
pub(crate) const TIES: f64 = 0.01;

/// Which limits bind.
pub(crate) struct Scarcity {
    limits: Vec<Limits>,
    /// By pool and limit.
    binding: Vec<Vec<bool>>,
}

/// A model whose nodes are weighed so.
pub(crate) struct Scarce<'p> {
    pub(crate) model: Model<'p>,
    /// What nodes may weigh together.
    pub(crate) budget: f64,
}

impl Scarcity {
    /// Those that bind a plan.
    pub(crate) fn of(model: &Model<'_>, plan: &Plan<'_>) -> Self {
        let limits: Vec<Limits> = model
            .market
            .pools
            .iter()
            .map(|pool| Limits::of(pool.spec))
            .collect();
        let mut scarcity = Self {
            binding: limits
                .iter()
                .map(|limits| vec![false; limits.left().len()])
                .collect(),
            limits,
        };
        scarcity.widen(plan);
        scarcity
    }

    /// Counts those in that bind another plan; says whether there were any.
    pub(crate) fn widen(&mut self, plan: &Plan<'_>) -> bool {
        let mut is_wider = false;
        for (pool, known) in self.binding.iter_mut().enumerate() {
            let used = used(&self.limits[pool], &plan.limits[pool]);
            let most = used.iter().copied().max().unwrap_or(0);
            for (used, is_binding) in used.into_iter().zip(known) {
                let binds = used >= 0 && used * 100 >= most * BINDING_PERCENT;
                is_wider |= binds && !*is_binding;
                *is_binding |= binds;
            }
        }
        is_wider
    }

    /// Whether any limit binds that allows anything at all.
    pub(crate) fn binds(&self) -> bool {
        self.binding.iter().flatten().any(|binds| *binds)
    }

    /// The most that a plan has used of any limit that binds, in millionths.
    pub(crate) fn used(&self, plan: &Plan<'_>) -> i64 {
        let pools = self.binding.iter().enumerate();
        let most = pools.flat_map(|(pool, binding)| {
            let used = used(&self.limits[pool], &plan.limits[pool]);
            let binding = used.into_iter().zip(binding).filter(|(_, binds)| **binds);
            binding.map(|(used, _)| used).collect::<Vec<_>>()
        });
        most.max().unwrap_or(0)
    }

    /// The model with nodes weighed by what they take, cost counting `cost` times as much.
    pub(crate) fn weighed<'p>(&self, model: &Model<'p>, cost: f64) -> Scarce<'p> {
        let mut model = within(model, &self.limits).unwrap_or_else(|| model.clone());
        let offers = &model.market.offers;
        let shelves = || {
            model
                .market
                .cells
                .iter()
                .flat_map(|cell| cell.shelf.iter().copied())
        };
        let pools: Vec<usize> = offers
            .iter()
            .map(|offer| model.market.cells[offer.cell].pool)
            .collect();
        let shares: Vec<f64> = (0..offers.len())
            .map(|offer| self.share(&model, pools[offer], offer))
            .collect();
        let mean = |each: &dyn Fn(usize) -> f64| {
            let positive = || shelves().filter(|offer| shares[*offer] > 0.0);
            positive().map(each).sum::<f64>() / positive().count().max(1) as f64
        };
        let share = mean(&|offer| shares[offer]).max(f64::MIN_POSITIVE);
        let price = mean(&|offer| offers[offer].cost as f64).max(1.0);
        let binding = self.binding.iter().flatten().filter(|binds| **binds).count();
        let weights = shares.iter().zip(offers);
        let weights: Vec<i64> = weights
            .map(|(own, offer)| {
                (UNIT * (own / share + cost * offer.cost as f64 / price))
                    .ceil()
                    .clamp(1.0, 1e12) as i64
            })
            .collect();
        for (offer, weight) in model.market.offers.iter_mut().zip(weights) {
            offer.weight = weight;
        }
        Scarce {
            model,
            budget: UNIT / share * binding as f64,
        }
    }

    /// The shares of limits that bind which a node takes, summed.
    fn share(&self, model: &Model<'_>, pool: usize, offer: usize) -> f64 {
        let limits = &self.limits[pool];
        let charge = limits.charge(std::iter::once(&model.market.offers[offer]));
        let each = limits
            .left()
            .into_iter()
            .zip(limits.taken(&charge))
            .zip(&self.binding[pool]);
        each.filter(|(_, binds)| **binds)
            .map(|((left, taken), _)| taken as f64 / left.max(1) as f64)
            .sum()
    }
}

/// The model without offers that these limits do not allow; `None` where they allow all.
pub(crate) fn within<'p>(model: &Model<'p>, limits: &[Limits]) -> Option<Model<'p>> {
    model.keeping(|pool, offer| limits[pool].breached_by(offer).is_none())
}

/// How much of each limit is used, in millionths; -1 where there was nothing to use.
fn used(before: &Limits, after: &Limits) -> Vec<i64> {
    let pairs = before.left().into_iter().zip(after.left());
    pairs
        .map(|(before, after)| match before > 0 {
            true => {
                let used = i128::from(before - after) * 1_000_000 / i128::from(before);
                i64::try_from(used).unwrap_or(i64::MAX / 100)
            }
            false => -1,
        })
        .collect()
}
