//! Why not: for a pod left over and a pool, the constraint that removed the last
//! offer, as data and as a sentence (found, needed, what to change).
//!
//! The constraints form a funnel, asked in a fixed order; each stage keeps some of
//! the pool's offers. The stage that keeps none is the binding one.

use std::collections::BTreeSet;
use std::sync::Arc;

use spotocean_core::money::PricePerHour;
use spotocean_core::pod::NodeTerm;
use spotocean_core::requirement::Requirement;
use spotocean_core::taint;

use crate::candidates::{self, Lack, Wanted};
use crate::feasible;
use crate::ledger::Place;
use crate::load::Load;
use crate::model::{self, Model};
use crate::offer::Pool;
use crate::plan::Plan;
use crate::problem::PendingPod;
use crate::solution::{PoolReason, Reason};
use crate::topology::{self, Policy};

mod amount;

/// What is left of a pool's offers, stage by stage.
struct Funnel<'m, 'p> {
    model: &'m Model<'p>,
    plan: &'m Plan<'p>,
    class: usize,
    pool: usize,
}

/// A stage that keeps nothing: the reason and its sentence.
type Verdict = (Reason, String);

/// Why no pool serves `class`.
pub(crate) fn reasons(model: &Model<'_>, plan: &Plan<'_>, class: usize) -> Vec<PoolReason> {
    let pools = 0..model.market.pools.len();
    pools
        .map(|pool| {
            let funnel = Funnel {
                model,
                plan,
                class,
                pool,
            };
            let (reason, message) = funnel.verdict();
            pool_reason(&model.market.pools[pool], reason, message)
        })
        .collect()
}

/// Why a pod that is not modelled is served by none.
pub(crate) fn refusals(model: &Model<'_>, pending: &PendingPod) -> Vec<PoolReason> {
    let causes: Vec<String> = pending
        .pod
        .shape
        .unmodelled
        .iter()
        .map(ToString::to_string)
        .collect();
    let message = format!("the pod is left to others: {}", causes.join("; "));
    let pools = model.market.pools.iter();
    pools
        .map(|pool| pool_reason(pool, Reason::NotModelled, message.clone()))
        .collect()
}

fn pool_reason(pool: &Pool<'_>, reason: Reason, message: String) -> PoolReason {
    PoolReason {
        pool: pool.spec.key.clone(),
        reason,
        message: message.into(),
    }
}

impl<'p> Funnel<'_, 'p> {
    fn pool(&self) -> &Pool<'p> {
        &self.model.market.pools[self.pool]
    }

    fn pending(&self) -> &'p PendingPod {
        self.model.classes[self.class].example
    }

    fn verdict(&self) -> Verdict {
        let stages: [fn(&Self) -> Option<Verdict>; 10] = [
            Self::not_served,
            Self::closed,
            Self::without_offers,
            Self::tainted,
            Self::labels_missing,
            Self::volumes_out_of_reach,
            Self::too_small,
            Self::kept_apart,
            Self::out_of_balance,
            Self::not_buyable,
        ];
        stages
            .iter()
            .find_map(|stage| stage(self))
            .unwrap_or_else(|| self.dropped())
    }

    fn not_served(&self) -> Option<Verdict> {
        let key = &self.pool().spec.key;
        (!self.pending().served_by.contains(key)).then(|| {
            let message = format!(
                "ocean {} does not serve this pod; widen its spec.pods if it should",
                key.ocean
            );
            (Reason::NotServed, message)
        })
    }

    fn closed(&self) -> Option<Verdict> {
        let closed = self.pool().spec.closed.as_ref()?;
        let message = format!("pool {} buys nothing now: {}", self.name(), closed.message);
        Some((Reason::PoolClosed, message))
    }

    fn without_offers(&self) -> Option<Verdict> {
        self.pool().offers.is_empty().then(|| {
            let message = format!(
                "pool {} has no offering now: every one is cooling down, has no price or is above the price ceiling; allow more types or zones",
                self.name()
            );
            (Reason::NoOffering, message)
        })
    }

    fn tainted(&self) -> Option<Verdict> {
        let tolerations = &self.pending().pod.shape.tolerations;
        let taint = taint::untolerated(&self.pool().spec.taints, tolerations)?;
        let message = format!(
            "pool {} has taint {taint}, which the pod does not tolerate; add a toleration or a pool without the taint",
            self.name()
        );
        Some((Reason::TaintNotTolerated, message))
    }

    /// Cells that selector and needed topology keys leave.
    fn cells_by_label(&self) -> Vec<usize> {
        let class = &self.model.classes[self.class];
        let admits = |cell: &usize| {
            let cell = &self.model.market.cells[*cell];
            let has_key = |key: &str| key == spotocean_core::label::HOSTNAME || cell.labels.contains_key(key);
            feasible::selector_admits(class.shape(), cell.view()) && topology::needed_keys(class).all(has_key)
        };
        self.pool().cells.iter().copied().filter(admits).collect()
    }

    fn labels_missing(&self) -> Option<Verdict> {
        if !self.cells_by_label().is_empty() {
            return None;
        }
        let shape = &self.pending().pod.shape;
        let is_unmet = |requirement: &&Requirement| {
            let cells = self.pool().cells.iter();
            let mut views = cells.map(|cell| self.model.market.cells[*cell].view());
            !views.any(|view| feasible::holds(requirement, view))
        };
        let selector = shape.node_selector.iter().find(is_unmet);
        let wanted = match (selector, shape.node_terms.as_deref()) {
            (Some(requirement), _) => format!("needs {requirement}"),
            (None, Some(terms)) => format!("needs node affinity {}", terms_text(terms)),
            (None, None) => "needs labels that no offering has together".to_owned(),
        };
        let message = format!(
            "{wanted}; none of the {} offerings of pool {} has it; change the pool's requirements or labels, or the pod's node selector",
            self.pool().offers.len(),
            self.name()
        );
        Some((Reason::LabelNotOffered, message))
    }

    /// Cells that volumes leave too.
    fn cells_by_volume(&self) -> Vec<usize> {
        let reaches = |cell: &usize| {
            let view = self.model.market.cells[*cell].view();
            feasible::volumes_admit(&self.pending().volumes, view)
        };
        self.cells_by_label().into_iter().filter(reaches).collect()
    }

    fn volumes_out_of_reach(&self) -> Option<Verdict> {
        if !self.cells_by_volume().is_empty() {
            return None;
        }
        let demands = self.pending().volumes.iter();
        let unmet = demands.filter_map(|demand| demand.terms.as_ref().map(|terms| (demand, terms)));
        let text: Vec<String> = unmet
            .map(|(demand, terms)| format!("volume {} needs {}", demand.volume, terms_text(terms)))
            .collect();
        let message = format!(
            "{}; pool {} offers no node there that the pod could use; add a subnet in that zone to the pool",
            text.join(", "),
            self.name()
        );
        Some((Reason::VolumeNotReachable, message))
    }

    fn too_small(&self) -> Option<Verdict> {
        let cells = self.cells_by_volume();
        let fits = |cell: &usize| {
            let shelf = &self.model.market.cells[*cell].shelf;
            shelf
                .iter()
                .any(|offer| Load::of_offer(self.model, *offer).room(self.model, self.class, 1) > 0)
        };
        if cells.iter().any(fits) {
            return None;
        }
        let message = self
            .short_resource(&cells)
            .or_else(|| self.bound_ports(&cells))
            .unwrap_or_else(|| {
                format!(
                    "no single type of pool {} has all that the pod asks for together; allow larger types in the pool's requirements",
                    self.name()
                )
            });
        Some((Reason::NoInstanceTypeFits, message))
    }

    /// The resource of which even the largest type has too little.
    fn short_resource(&self, cells: &[usize]) -> Option<String> {
        let request = &self.model.requests[self.class];
        let dimensions = 0..request.len();
        let largest = |dimension: usize| {
            let offers = self
                .pool()
                .offers
                .iter()
                .map(|index| &self.model.market.offers[*index]);
            offers
                .filter(|offer| cells.contains(&offer.cell))
                .max_by_key(|offer| (offer.free[dimension], std::cmp::Reverse(offer.price)))
        };
        let (dimension, offer) = dimensions
            .filter_map(|dimension| largest(dimension).map(|offer| (dimension, offer)))
            .find(|(dimension, offer)| {
                let wanted = request[*dimension];
                wanted > 0 && wanted > offer.free[*dimension]
            })?;
        let name = self.model.dimensions.name(dimension);
        let daemons = self.model.market.cells[offer.cell].overhead.amount(name);
        let wanted = request[dimension];
        let total = wanted.saturating_add(daemons);
        let show = |amount: i64| amount::text(name, amount);
        Some(format!(
            "needs {} {name} ({} + {} daemons); the largest type of pool {} is {} with {}; allow larger types in the pool's requirements",
            show(total),
            show(wanted),
            show(daemons),
            self.name(),
            offer.spec.market().instance_type,
            show(offer.spec.allocatable.amount(name)),
        ))
    }

    fn bound_ports(&self, cells: &[usize]) -> Option<String> {
        let ports = &self.pending().pod.shape.host_ports;
        let is_bound =
            |cell: &usize| model::ports_conflict(ports.iter(), &self.model.market.cells[*cell].ports);
        cells.iter().all(is_bound).then(|| {
            format!(
                "needs a host port that a DaemonSet binds on every node of pool {}; change one of the two ports",
                self.name()
            )
        })
    }

    /// Cells that serve the pod when it is looked at alone.
    fn cells_serving(&self) -> Vec<usize> {
        let serves = |cell: &usize| self.model.serves[self.class][*cell];
        self.pool().cells.iter().copied().filter(serves).collect()
    }

    fn kept_apart(&self) -> Option<Verdict> {
        self.cells_serving().is_empty().then(|| {
            let message = format!(
                "a pod already placed, or a DaemonSet, keeps this pod out of every domain that pool {} offers (required anti-affinity); relax the anti-affinity or offer more domains",
                self.name()
            );
            (Reason::PodAntiAffinity, message)
        })
    }

    fn out_of_balance(&self) -> Option<Verdict> {
        if self.model.topology.is_companion(self.class) {
            return Some((Reason::PodAffinity, self.affinity_message()));
        }
        let ledger = &self.plan.ledger;
        let blocks: Option<Vec<Policy>> = self
            .cells_serving()
            .iter()
            .map(|cell| ledger.blocked_by(self.model, self.class, Place::Cell(*cell)))
            .collect();
        let first = blocks?.into_iter().next()?;
        Some(match first {
            Policy::Spread { max_skew, .. } => (Reason::TopologySpread, self.spread_message(max_skew)),
            Policy::Together => (Reason::PodAffinity, self.affinity_message()),
            Policy::Apart => (Reason::PodAntiAffinity, self.apart_message()),
        })
    }

    fn spread_message(&self, max_skew: i64) -> String {
        let keys: BTreeSet<&str> = topology::hard_spread(&self.model.classes[self.class])
            .map(|spread| &*spread.topology_key)
            .collect();
        let keys: Vec<&str> = keys.into_iter().collect();
        format!(
            "a spread over {} allows a difference of {max_skew}, and every domain that pool {} offers is that much fuller than the emptiest; let the pool serve the emptiest domain, or raise maxSkew",
            keys.join(" and "),
            self.name()
        )
    }

    fn affinity_message(&self) -> String {
        format!(
            "required pod affinity finds no matching pod with room in any domain that pool {} offers; start the pod it seeks, allow larger types, or make the affinity preferred",
            self.name()
        )
    }

    fn apart_message(&self) -> String {
        format!(
            "required anti-affinity leaves no domain of pool {} free; offer more domains, or make the anti-affinity preferred",
            self.name()
        )
    }

    fn not_buyable(&self) -> Option<Verdict> {
        let cells = self.cells_serving();
        let lacks: Vec<Lack> = cells.iter().filter_map(|cell| self.lack(*cell)).collect();
        if lacks.len() < cells.len() {
            return None;
        }
        if lacks.contains(&Lack::Limit) {
            Some((Reason::LimitReached, self.limit_message()))
        } else {
            Some((Reason::MinValues, self.min_values_message()))
        }
    }

    /// Why not even one pod of the class can be bought for in a cell now.
    fn lack(&self, cell: usize) -> Option<Lack> {
        let home = &self.model.market.cells[cell];
        let pins: Vec<_> = self.model.topology.tracked[self.class]
            .iter()
            .map(|key| (*key, home.values[*key]))
            .collect();
        let wanted = Wanted {
            pool: self.pool,
            capacity_type: home.capacity_type,
            pins: &pins,
            classes: &[(self.class, 1)],
        };
        candidates::candidates(self.model, &wanted, &self.plan.limits[self.pool]).err()
    }

    fn limit_message(&self) -> String {
        let limits = &self.plan.limits[self.pool];
        let offers = self
            .pool()
            .offers
            .iter()
            .map(|index| &self.model.market.offers[*index]);
        let mut serving = offers.filter(|offer| self.model.serves[self.class][offer.cell]);
        let breach = serving.find_map(|offer| {
            let (name, left, taken) = limits.breached_by(offer)?;
            Some((offer.spec.market().instance_type.clone(), name, left, taken))
        });
        let Some((instance_type, name, left, taken)) = breach else {
            return format!("a limit of pool {} is reached; raise it", self.name());
        };
        let show = |amount: i64| match name {
            "hourlyCost" => format!("{} USD", PricePerHour(amount)),
            other => amount::text(other, amount),
        };
        format!(
            "limit {name} of pool {} has {} left, and the cheapest type that would serve ({instance_type}) takes {}; raise the limit",
            self.name(),
            show(left.max(0)),
            show(taken)
        )
    }

    fn min_values_message(&self) -> String {
        let keys: Vec<String> = candidates::min_values(self.pool())
            .map(|(key, wanted)| format!("{wanted} values of {key}"))
            .collect();
        format!(
            "pool {} must keep {} among the offerings of one launch, and fewer carry this pod; lower minValues or allow more types",
            self.name(),
            keys.join(" and ")
        )
    }

    /// Everything would admit the pod alone: it was taken out again for the sake of the others.
    fn dropped(&self) -> Verdict {
        match self.plan.dropped.get(&self.class) {
            Some(Reason::PodAffinity) => (Reason::PodAffinity, self.affinity_message()),
            Some(_) => (Reason::TopologySpread, self.spread_message(1)),
            None => (Reason::LimitReached, self.limit_message()),
        }
    }

    fn name(&self) -> &Arc<str> {
        &self.pool().spec.key.pool.0
    }
}

/// Alternatives as text, empty ones too.
fn terms_text(terms: &[NodeTerm]) -> String {
    let text = |term: &NodeTerm| {
        let all = term.expressions.iter().chain(&term.fields);
        all.map(ToString::to_string).collect::<Vec<_>>().join(" and ")
    };
    let texts: Vec<String> = terms.iter().map(text).collect();
    format!("({})", texts.join(" or "))
}
