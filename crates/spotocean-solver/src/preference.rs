//! What pods would rather have of their nodes, and what that may cost.
//!
//! Preferred terms, `PreferNoSchedule` taints and `ScheduleAnyway` spreads bind
//! nobody: kube-scheduler only scores by them. So here they are costs. A wish of
//! the greatest weight, 100, is worth [`WISH_PERCENT`] of what the pod costs at least;
//! it is followed where following it costs no more, and never keeps a pod waiting.
//! Wishes about a node alone ([`liked`]) decide which cells a class buys from, inside
//! one level of preference of pools, which is strict. Wishes about other pods per
//! domain are [`Leaning`]s, which decide between domains of like price
//! ([`crate::assign`]). Neither buys a node while one that is there has room:
//! kube-scheduler would bind the pod there. What is wished of other pods on the
//! same node (host name) does not decide what is bought.

use std::collections::BTreeMap;
use std::sync::Arc;

use spotocean_core::id::Namespace;
use spotocean_core::pod::PodShape;
use spotocean_core::requirement::Labels;
use spotocean_core::taint::{Taint, TaintEffect};
use spotocean_core::topology::{PodAffinityTerm, TopologySpread, WhenUnsatisfiable};

use crate::affinity;
use crate::feasible::{self, NodeView};
use crate::params::WISH_PERCENT;
use crate::queue::Class;
use crate::topology::Source;
use crate::topology_key::Keys;

/// The weight of a wish that has none of its own: a spread's, a taint's.
const FULL_WEIGHT: i64 = 100;

/// A wish of one class about which pods its nodes' domains hold.
#[derive(Clone, Debug)]
pub(crate) struct Leaning {
    /// The class that holds it.
    pub(crate) holder: usize,
    /// The topology key.
    pub(crate) key: usize,
    /// Its weight for each such pod: positive away from them, negative towards them.
    pub(crate) weight: i64,
    /// Classes that are meant.
    pub(crate) members: Vec<bool>,
    /// Such pods already placed, by value.
    pub(crate) residents: Vec<i64>,
}

impl Leaning {
    /// Whether one pod of the class changes where the next would rather be.
    pub(crate) fn shifts(&self) -> bool {
        self.weight > 0 && self.members[self.holder]
    }

    /// Whether there is anybody meant beside the pod itself.
    fn matters(&self, classes: &[Class<'_>]) -> bool {
        let members = classes
            .iter()
            .enumerate()
            .filter(|(class, _)| self.members[*class]);
        let pods: usize = members
            .map(|(class, of)| of.pods.len() - usize::from(class == self.holder))
            .sum();
        pods > 0 || self.residents.iter().any(|count| *count > 0)
    }
}

/// How well a node suits the class: the weights of the preferred terms that it matches, less those of the soft
/// taints that are not tolerated.
pub(crate) fn liking(shape: &PodShape, node: NodeView<'_>) -> i64 {
    let matched = shape.preferred_node_terms.iter();
    let matched = matched.filter(|preferred| feasible::term_holds(&preferred.term, node));
    let avoided = node.taints.iter().filter(|taint| is_avoided(shape, taint));
    let avoided = i64::try_from(avoided.count()).unwrap_or(i64::MAX);
    matched.map(|preferred| preferred.weight).sum::<i64>() - avoided.saturating_mul(FULL_WEIGHT)
}

fn is_avoided(shape: &PodShape, taint: &Taint) -> bool {
    taint.effect == TaintEffect::PreferNoSchedule
        && !shape
            .tolerations
            .iter()
            .any(|toleration| toleration.tolerates(taint))
}

/// What a weight is worth to a pod that costs `price` at least, in the unit of `price`.
pub(crate) fn worth(price: i64, weight: i64) -> i64 {
    let worth = i128::from(price) * i128::from(weight) * i128::from(WISH_PERCENT);
    i64::try_from(worth / i128::from(100 * FULL_WEIGHT)).unwrap_or(i64::MAX)
}

/// Something that can be bought from: how well it is liked, and what one pod costs there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ware {
    /// See [`liking`].
    pub(crate) liking: i64,
    /// The least that one pod costs.
    pub(crate) price: i64,
}

/// The least liking to buy at: where price, and what wishes that stay unmet are worth, are least together; of
/// equals the most liked. `None` of nothing.
pub(crate) fn least_liked(wares: &[Ware]) -> Option<i64> {
    let cheapest = wares.iter().map(|ware| ware.price).min()?;
    let top = wares.iter().map(|ware| ware.liking).max()?;
    let mut best_at: BTreeMap<i64, i64> = BTreeMap::new();
    for ware in wares {
        let price = best_at.entry(ware.liking).or_insert(ware.price);
        *price = ware.price.min(*price);
    }
    let cost = |liking: i64, price: i64| price.saturating_add(worth(cheapest, top.saturating_sub(liking)));
    let levels = best_at.into_iter();
    let best = levels.min_by_key(|(liking, price)| (cost(*liking, *price), std::cmp::Reverse(*liking)));
    best.map(|(liking, _)| liking)
}

/// The soft spread constraints of a class.
fn soft_spread<'p>(class: &Class<'p>) -> impl Iterator<Item = &'p TopologySpread> {
    let spread = class.shape().spread.iter();
    spread.filter(|spread| spread.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway)
}

/// The preferred terms about other pods, with their weights: positive away from them.
fn weighted_terms<'p>(class: &Class<'p>) -> impl Iterator<Item = (&'p PodAffinityTerm, i64)> {
    let shape = class.shape();
    let apart = shape.preferred_anti_affinity.iter();
    let together = shape.preferred_affinity.iter();
    apart
        .map(|own| (&own.term, own.weight))
        .chain(together.map(|own| (&own.term, -own.weight)))
}

/// The topology keys that a class has wishes about.
pub(crate) fn wished_keys<'p>(class: &Class<'p>) -> impl Iterator<Item = &'p Arc<str>> {
    let spread = soft_spread(class).map(|spread| &spread.topology_key);
    spread.chain(weighted_terms(class).map(|(term, _)| &term.topology_key))
}

/// The leanings of a class; those without anybody to lean on are left out.
pub(crate) fn leanings(source: &Source<'_, '_>, holder: usize, keys: &Keys) -> Vec<Leaning> {
    let class = &source.classes[holder];
    let mut leanings = Vec::new();
    for spread in soft_spread(class) {
        let selects = |namespace: &Namespace, labels: &Labels| {
            let selector = spread.selector.as_ref();
            namespace == class.namespace() && selector.is_some_and(|selector| selector.matches(labels))
        };
        let key = keys.position(&spread.topology_key);
        leanings.extend(key.map(|key| leaning(source, holder, keys, (key, FULL_WEIGHT), selects)));
    }
    for (term, weight) in weighted_terms(class) {
        let selects = |namespace: &Namespace, labels: &Labels| {
            affinity::selects(term, namespace, labels, source.namespaces)
        };
        let key = keys.position(&term.topology_key);
        leanings.extend(key.map(|key| leaning(source, holder, keys, (key, weight), selects)));
    }
    leanings.retain(|leaning| leaning.matters(source.classes));
    leanings
}

fn leaning(
    source: &Source<'_, '_>,
    holder: usize,
    keys: &Keys,
    (key, weight): (usize, i64),
    selects: impl Fn(&Namespace, &Labels) -> bool,
) -> Leaning {
    let kinds = source.kinds.iter();
    let by_kind: Vec<bool> = kinds.map(|kind| selects(kind.namespace, kind.labels)).collect();
    Leaning {
        holder,
        key,
        weight,
        members: source.meant(|other| selects(other.namespace(), other.labels())),
        residents: source.by_value(keys, key, &source.by_site(&by_kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_followed_while_it_costs_no_more_than_it_is_worth() {
        let ware = |liking, price| Ware { liking, price };
        // A pod costs 1,000; a weight of 100 is worth 200.
        let rows = [
            (vec![], None),
            (vec![ware(0, 1000)], Some(0)),
            (vec![ware(0, 1000), ware(100, 1200)], Some(100)),
            (vec![ware(0, 1000), ware(100, 1201)], Some(0)),
            (vec![ware(0, 1000), ware(10, 1020)], Some(10)),
            (vec![ware(0, 1000), ware(10, 1021)], Some(0)),
            (vec![ware(0, 1000), ware(50, 1100), ware(100, 1201)], Some(50)),
            (vec![ware(-100, 1000), ware(0, 1150)], Some(0)),
            (vec![ware(100, 1000), ware(0, 1000)], Some(100)),
            (vec![ware(0, i64::MAX), ware(1, i64::MAX)], Some(1)),
        ];
        for (wares, expected) in rows {
            assert_eq!(least_liked(&wares), expected, "{wares:?}");
        }
    }
}
