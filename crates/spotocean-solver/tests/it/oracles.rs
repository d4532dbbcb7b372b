//! Other ways to the same answer: exhaustive search on tiny problems, and the
//! plainest cost-density greedy on small ones. Neither shares code with the solver.

use proptest::prelude::*;
use spotocean_core::resources::Resources;
use spotocean_solver::problem::{Offer, PendingPod, Problem};
use spotocean_solver::solve::solve;

use crate::generator;

/// Whether these pods can share a node of this offer, in a problem without anything between pods but ports and volumes.
fn fits(pods: &[&PendingPod], offer: &Offer) -> bool {
    let requests = pods.iter().fold(Resources::default(), |sum, pending| {
        sum.plus(&pending.pod.shape.requests)
    });
    let admits = |pending: &&PendingPod| {
        pending
            .pod
            .shape
            .node_selector
            .iter()
            .all(|each| each.matches(&offer.labels))
            && pending.volumes.iter().all(|demand| {
                let term = |term: &spotocean_core::pod::NodeTerm| {
                    term.expressions.iter().all(|each| each.matches(&offer.labels))
                };
                demand.terms.as_ref().is_none_or(|terms| terms.iter().any(term))
            })
    };
    let mut volumes: Vec<_> = pods
        .iter()
        .flat_map(|pending| &pending.volumes)
        .map(|demand| &demand.volume)
        .collect();
    volumes.sort();
    volumes.dedup();
    let attaches = offer
        .attach_limits
        .values()
        .all(|limit| volumes.len() as i64 <= *limit);
    let ports_are_free = pods.iter().enumerate().all(|(index, pending)| {
        let mut later = pods[index + 1..]
            .iter()
            .flat_map(|other| &other.pod.shape.host_ports);
        !later.any(|other| {
            pending
                .pod
                .shape
                .host_ports
                .iter()
                .any(|port| port.conflicts(other))
        })
    });
    requests.fits(&offer.allocatable) && pods.iter().all(admits) && attaches && ports_are_free
}

fn cheapest(pods: &[&PendingPod], offers: &[Offer]) -> Option<i64> {
    let fitting = offers.iter().filter(|offer| fits(pods, offer));
    fitting.map(|offer| offer.offering.price.micro_usd()).min()
}

/// The least cost of serving every pod that can be served at all: all partitions tried.
fn exhaustive(pods: &[&PendingPod], offers: &[Offer]) -> (usize, i64) {
    let servable: Vec<&PendingPod> = pods
        .iter()
        .copied()
        .filter(|pending| cheapest(&[pending], offers).is_some())
        .collect();
    let mut best = i64::MAX;
    partition(&servable, offers, &mut Vec::new(), &mut best);
    (servable.len(), if servable.is_empty() { 0 } else { best })
}

fn partition<'a>(
    left: &[&'a PendingPod],
    offers: &[Offer],
    groups: &mut Vec<Vec<&'a PendingPod>>,
    best: &mut i64,
) {
    let Some((pod, rest)) = left.split_first() else {
        let cost: Option<i64> = groups.iter().map(|group| cheapest(group, offers)).sum();
        *best = cost.map_or(*best, |cost| cost.min(*best));
        return;
    };
    for index in 0..groups.len() {
        groups[index].push(pod);
        if cheapest(&groups[index], offers).is_some() {
            partition(rest, offers, groups, best);
        }
        groups[index].pop();
    }
    groups.push(vec![pod]);
    partition(rest, offers, groups, best);
    groups.pop();
}

/// Plain cost-density greedy: fill each offer with the largest pods first, buy
/// the fill with the least price per value, one node at a time.
fn plain_greedy(problem: &Problem) -> i64 {
    let offers = &problem.pools[0].offers;
    let mut left: Vec<&PendingPod> = problem
        .pods
        .iter()
        .filter(|pod| cheapest(&[pod], offers).is_some())
        .collect();
    left.sort_by_key(|pending| {
        let requests = &pending.pod.shape.requests;
        std::cmp::Reverse((requests.cpu_millis, requests.memory_bytes))
    });
    let value = |pending: &PendingPod| {
        let each = offers.iter().filter_map(|offer| {
            let copies = (1..=200)
                .take_while(|count| pending.pod.shape.requests.times(*count).fits(&offer.allocatable));
            let copies = copies.last()?;
            fits(&[pending], offer).then(|| offer.offering.price.micro_usd() * 1000 / copies)
        });
        i128::from(each.min().unwrap_or(0))
    };
    let mut cost = 0;
    while !left.is_empty() {
        let fill = |offer: &Offer| {
            let mut taken: Vec<&PendingPod> = Vec::new();
            let mut chosen = Vec::new();
            for (index, pending) in left.iter().enumerate() {
                taken.push(pending);
                if fits(&taken, offer) {
                    chosen.push(index);
                } else {
                    taken.pop();
                }
            }
            let value: i128 = taken.iter().map(|pending| value(pending)).sum();
            (offer.offering.price.micro_usd(), value, chosen)
        };
        let fills = offers
            .iter()
            .map(fill)
            .filter(|(_, _, chosen)| !chosen.is_empty());
        let best = fills.min_by(|a, b| (i128::from(a.0) * b.1).cmp(&(i128::from(b.0) * a.1)));
        let (price, _, chosen) = best.expect("every pod left fits some offer");
        cost += price;
        let mut index = 0;
        left.retain(|_| {
            index += 1;
            !chosen.contains(&(index - 1))
        });
    }
    cost
}

proptest! {
    #![proptest_config(generator::fixed_cases(600))]

    #[test]
    fn exhaustive_search_is_never_beaten_and_serves_no_more(problem in generator::plain(3, 2, 4)) {
        let pods: Vec<&PendingPod> = problem.pods.iter().collect();
        let (servable, optimum) = exhaustive(&pods, &problem.pools[0].offers);
        let solution = solve(&problem);
        prop_assert_eq!(pods.len() - solution.unplaced.len(), servable);
        let cost = solution.cost().micro_usd();
        prop_assert!(cost >= optimum, "{cost} is below the optimum {optimum}");
        prop_assert!(cost <= optimum * 2, "{cost} is twice the optimum {optimum}");
        let bound = solution.lower_bound.map_or(0, spotocean_core::money::PricePerHour::micro_usd);
        prop_assert!(bound <= optimum, "the bound {bound} is above the optimum {optimum}");
    }

    #[test]
    fn the_plain_greedy_is_hardly_ever_cheaper(problem in generator::plain(6, 12, 12)) {
        let greedy = plain_greedy(&problem);
        let cost = solve(&problem).cost().micro_usd();
        prop_assert!(cost * 4 <= greedy * 5, "{cost} is above 1.25 × {greedy}");
    }
}

#[test]
fn small_problems_are_solved_to_the_optimum() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut optimal, mut excess, cases) = (0, 0.0, 300);
    for _ in 0..cases {
        let problem = generator::plain(4, 2, 6)
            .new_tree(&mut runner)
            .expect("a problem")
            .current();
        let pods: Vec<&PendingPod> = problem.pods.iter().collect();
        let (_, optimum) = exhaustive(&pods, &problem.pools[0].offers);
        let cost = solve(&problem).cost().micro_usd();
        optimal += usize::from(cost == optimum);
        excess += (cost - optimum) as f64 / optimum.max(1) as f64;
    }
    println!(
        "{optimal} of {cases} optimal, {:.3} % above on average",
        excess * 100.0 / cases as f64
    );
    assert!(
        optimal * 100 >= cases * 95,
        "only {optimal} of {cases} are optimal"
    );
    assert!(excess * 100.0 <= cases as f64, "{excess} over {cases} cases");
}
