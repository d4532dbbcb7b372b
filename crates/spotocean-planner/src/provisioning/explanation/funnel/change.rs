//! The smallest change that would leave a pool some offerings: read off the offering that breaks the fewest
//! constraints, all of which have to give way together.

use std::collections::BTreeMap;

use spotocean_core::offering::Market;
use spotocean_core::pod::Pod;

use super::{Candidate, Change, Constraint, Rules, wording};

/// How many changes of one size are worth telling.
const CHANGES_MAX: usize = 5;

/// The fewest constraints that an offering breaks; where several offerings break as few, each way by itself. Those
/// come first that leave the pod as it is, then those that admit most.
pub(super) fn smallest(rules: &Rules<'_>, candidates: &[Candidate<'_>], pod: &Pod) -> Vec<Change> {
    let mut by_broken: BTreeMap<Vec<usize>, Vec<&Candidate<'_>>> = BTreeMap::new();
    for candidate in candidates {
        let broken = (0..rules.0.len()).filter(|index| !rules.0[*index].1(candidate));
        by_broken.entry(broken.collect()).or_default().push(candidate);
    }
    by_broken.retain(|broken, _| {
        broken
            .iter()
            .all(|index| wording::can_give_way(&rules.0[*index].0))
    });
    let Some(fewest) = by_broken.keys().map(Vec::len).min() else {
        return Vec::new();
    };
    let ways = by_broken.into_iter().filter(|(broken, _)| broken.len() == fewest);
    let mut changes: Vec<(usize, Change)> = ways
        .map(|(broken, admitted)| {
            let constraints: Vec<&Constraint> = broken.iter().map(|index| &rules.0[*index].0).collect();
            let of_pod = constraints.iter().filter(|own| wording::is_the_pods(own)).count();
            (of_pod, change(&constraints, &admitted, pod))
        })
        .collect();
    changes.sort_by(|(a_pod, a), (b_pod, b)| (a_pod, b.admits, &a.steps).cmp(&(b_pod, a.admits, &b.steps)));
    changes.truncate(CHANGES_MAX);
    changes.into_iter().map(|(_, change)| change).collect()
}

/// What has to give way for these offerings. A request shrinks as little as the roomiest of them allows.
fn change(broken: &[&Constraint], admitted: &[&Candidate<'_>], pod: &Pod) -> Change {
    let short: Vec<&str> = broken
        .iter()
        .filter_map(|constraint| match constraint {
            Constraint::Resource(name) => Some(&**name),
            _ => None,
        })
        .collect();
    let room = |candidate: &Candidate<'_>| -> Vec<i64> {
        short
            .iter()
            .map(|name| candidate.free(name).unwrap_or(0))
            .collect()
    };
    let most = admitted
        .iter()
        .map(|candidate| room(candidate))
        .max()
        .unwrap_or_default();
    let holds =
        |candidate: &&&Candidate<'_>| room(candidate).iter().zip(&most).all(|(own, most)| own >= most);
    let kept: Vec<&Candidate<'_>> = admitted.iter().filter(holds).copied().collect();
    let steps = broken.iter().map(|constraint| {
        let amount = match constraint {
            Constraint::Resource(name) => short.iter().position(|own| *own == &**name).map(|at| most[at]),
            _ => None,
        };
        let example = kept.first().map(|candidate| &candidate.market);
        wording::remedy(constraint, amount, example, pod).into()
    });
    Change {
        steps: steps.collect(),
        admits: kept.len(),
        cheapest: cheapest(&kept),
    }
}

/// The market of the cheapest offering.
pub(super) fn cheapest(left: &[&Candidate<'_>]) -> Option<Market> {
    let priced = left
        .iter()
        .filter_map(|candidate| Some((candidate.price?, &candidate.market)));
    priced.min().map(|(_, market)| market.clone())
}
