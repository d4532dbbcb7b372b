//! Every set of nodes given back, every place for every pod: the least cost of a
//! tiny cluster without rules between pods. Shares no code with the solver.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use spotocean_core::money::PricePerHour;
use spotocean_core::resources::Resources;
use spotocean_solver::consolidation::{Estate, Hysteresis, solve};
use spotocean_solver::problem::{Offer, PendingPod};

use super::estates::{Since, estate};
use crate::generator;

/// A node that stays, or one being filled with pods to be bought for.
struct Bin<'a> {
    offers: Option<Vec<&'a Offer>>,
    node: Option<&'a spotocean_solver::problem::PlacementNode>,
    pods: Vec<&'a PendingPod>,
}

fn admits(pod: &PendingPod, labels: &spotocean_core::requirement::Labels) -> bool {
    pod.pod
        .shape
        .node_selector
        .iter()
        .all(|each| each.matches(labels))
        && pod.volumes.iter().all(|demand| {
            demand.terms.as_ref().is_none_or(|terms| {
                let mut terms = terms.iter();
                terms.any(|term| term.expressions.iter().all(|each| each.matches(labels)))
            })
        })
}

fn alone_on_ports(pods: &[&PendingPod]) -> bool {
    let ports = |pod: &PendingPod| pod.pod.shape.host_ports.clone();
    pods.iter().enumerate().all(|(index, pod)| {
        let mut later = pods[index + 1..].iter().flat_map(|other| ports(other));
        !later.any(|other| ports(pod).iter().any(|port| port.conflicts(&other)))
    })
}

fn attached(pods: &[&PendingPod]) -> i64 {
    let mut volumes: Vec<_> = pods
        .iter()
        .flat_map(|pod| &pod.volumes)
        .map(|demand| &demand.volume)
        .collect();
    volumes.sort();
    volumes.dedup();
    volumes.len() as i64
}

fn fits(
    pods: &[&PendingPod],
    labels: &spotocean_core::requirement::Labels,
    allocatable: &Resources,
    attach_limits: &std::collections::BTreeMap<std::sync::Arc<str>, i64>,
) -> bool {
    let requests = pods
        .iter()
        .fold(Resources::default(), |sum, pod| sum.plus(&pod.pod.shape.requests));
    requests.fits(allocatable)
        && pods.iter().all(|pod| admits(pod, labels))
        && alone_on_ports(pods)
        && attach_limits.values().all(|limit| attached(pods) <= *limit)
}

impl Bin<'_> {
    fn price(&self) -> Option<i64> {
        match (&self.offers, self.node) {
            (Some(offers), _) => {
                let fitting = offers.iter().filter(|offer| {
                    fits(
                        &self.pods,
                        &offer.labels,
                        &offer.allocatable,
                        &offer.attach_limits,
                    )
                });
                fitting.map(|offer| offer.offering.price.0).min()
            }
            (None, Some(node)) => {
                fits(&self.pods, &node.labels, &node.allocatable, &node.attach_limits).then_some(0)
            }
            (None, None) => None,
        }
    }
}

fn place<'a>(left: &[&'a PendingPod], bins: &mut Vec<Bin<'a>>, offers: &'a [Offer], best: &mut i64) {
    let cost: Option<i64> = bins.iter().map(Bin::price).sum();
    let Some(cost) = cost.filter(|cost| cost < best) else {
        return;
    };
    let Some((pod, rest)) = left.split_first() else {
        *best = cost;
        return;
    };
    for index in 0..bins.len() {
        bins[index].pods.push(pod);
        place(rest, bins, offers, best);
        bins[index].pods.pop();
    }
    bins.push(Bin {
        offers: Some(offers.iter().collect()),
        node: None,
        pods: vec![pod],
    });
    place(rest, bins, offers, best);
    bins.pop();
}

/// The least that the cluster can cost.
fn optimum(estate: &Estate) -> i64 {
    let may_go: Vec<usize> = (0..estate.holdings.len())
        .filter(|index| estate.holdings[*index].stays.is_none())
        .collect();
    let mut best = i64::MAX;
    for mask in 0..(1_usize << may_go.len()) {
        let gone: Vec<usize> = (0..may_go.len())
            .filter(|bit| mask >> bit & 1 == 1)
            .map(|bit| may_go[bit])
            .collect();
        let kept = || (0..estate.holdings.len()).filter(|index| !gone.contains(index));
        let price: i64 = kept().map(|index| estate.holdings[index].price.0).sum();
        let mut bins: Vec<Bin<'_>> = kept()
            .map(|index| Bin {
                offers: None,
                node: Some(&estate.holdings[index].node),
                pods: estate.holdings[index]
                    .tenants
                    .iter()
                    .map(|tenant| &tenant.pod)
                    .collect(),
            })
            .collect();
        let pods: Vec<&PendingPod> = gone
            .iter()
            .flat_map(|index| &estate.holdings[*index].tenants)
            .map(|tenant| &tenant.pod)
            .collect();
        let mut most = best.saturating_sub(price);
        place(&pods, &mut bins, &estate.pools[0].offers, &mut most);
        best = best.min(most.saturating_add(price));
    }
    best
}

fn tiny() -> impl Strategy<Value = Estate> {
    let problems = generator::plain(3, 3, 5).prop_filter("few pods", |problem| problem.pods.len() <= 7);
    (problems, super::estates::since())
        .prop_map(|(problem, since)| {
            let since = Since {
                move_cost: 0,
                hysteresis: Hysteresis {
                    min_savings_percent: 0,
                    horizon_seconds: 3600,
                    overlap_seconds: 0,
                },
                ..since
            };
            estate(&problem, &since)
        })
        .prop_filter("few nodes", |estate| estate.holdings.len() <= 4)
}

#[test]
fn tiny_clusters_end_near_the_least_they_can_cost() {
    let mut runner = TestRunner::deterministic();
    let (mut optimal, mut changed, mut excess, cases) = (0, 0, 0.0, 400);
    for _ in 0..cases {
        let estate = tiny().new_tree(&mut runner).expect("a cluster").current();
        let least = optimum(&estate);
        let found = solve(&estate);
        let cost = found.cost_after.0;
        assert!(
            found.lower_bound <= PricePerHour(least),
            "{} is above {least}: {estate:#?}",
            found.lower_bound
        );
        assert!(cost >= least, "{cost} is below {least}: {estate:#?}");
        assert!(found.cost_after <= found.cost_before);
        optimal += usize::from(cost == least);
        changed += usize::from(least < found.cost_before.0);
        excess += (cost - least) as f64 / least.max(1) as f64;
    }
    println!(
        "{optimal} of {cases} optimal ({changed} could be bettered), {:.3} % above on average",
        excess * 100.0 / cases as f64
    );
    assert!(
        changed * 3 >= cases,
        "only {changed} of {cases} could be bettered"
    );
    assert!(
        optimal * 100 >= cases * 97,
        "only {optimal} of {cases} are optimal"
    );
    assert!(excess * 200.0 <= cases as f64, "{excess} over {cases} cases");
}
