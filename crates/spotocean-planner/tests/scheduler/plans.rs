//! Plans against the real kube-scheduler.
//!
//! Random clusters go to the planner and, with the nodes it would buy, to the
//! scheduler. Sound: every planned pod is bound to its node, whichever candidate
//! EC2 takes and whichever pod comes first. Complete: a pod that the planner
//! calls impossible is bound to no node that could be bought for it.

use std::collections::BTreeMap;

use crate::dice::Dice;
use crate::feature::ALL;
use crate::generator;
use crate::minimise::{minimise, to_json};
use crate::oracle::{Answer, Case, ask};
use crate::purchase::{Choice, carried_out, joined, planned_pods};
use crate::world::{Decision, World, key};

/// Clusters in the suite. More on demand: `SPOTOCEAN_ORACLE_CASES`, from seed `SPOTOCEAN_ORACLE_SEED` on.
const CLUSTERS: u64 = 1000;
/// Clusters in which each feature is taken out again.
const STRIPPED_CLUSTERS: u64 = 400;
/// Of a hundred clusters, those in which a feature must change the answer.
const BINDING_PERCENT: usize = 5;
/// Offers tried for a pod that is called impossible.
const OFFERS_TRIED: usize = 8;
/// Faults shown as small as they can be made.
const SHOWN: usize = 2;

pub(crate) fn seeds(clusters: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str, default: u64| {
        let given = std::env::var(name).ok().and_then(|text| text.parse().ok());
        given.unwrap_or(default)
    };
    let first = number("SPOTOCEAN_ORACLE_SEED", 1);
    first..first + number("SPOTOCEAN_ORACLE_CASES", clusters)
}

/// The two ways in which each plan is carried out: EC2's choice and the order of the pods differ.
fn cases(world: &World, decision: &Decision, seed: u64) -> Vec<Case> {
    let forward = carried_out(world, decision, Choice::Best, &format!("{seed} best"));
    let mut backward = carried_out(world, decision, Choice::Any(seed), &format!("{seed} any"));
    backward.pending.reverse();
    vec![forward, backward]
}

/// Planned pods that the scheduler does not bind, with its words.
pub(crate) fn unsound(case: &Case, answer: &Answer) -> Vec<String> {
    let mut faults: Vec<String> = answer
        .preempted
        .iter()
        .map(|pod| format!("{pod} was preempted"))
        .collect();
    if !answer.error.is_empty() {
        faults.push(answer.error.clone());
    }
    for pod in case.pending.iter().map(key).filter(|_| answer.error.is_empty()) {
        if !answer.bound.contains_key(&pod) {
            let words = answer.unschedulable.get(&pod).map_or("", String::as_str);
            faults.push(format!("{pod} was planned and is not bound: {words}"));
        }
    }
    faults
}

/// Whether some way of carrying out the cluster's plan leaves a planned pod unbound.
fn is_unsound(world: &World, seed: u64) -> bool {
    let cases = cases(world, &world.decide(), seed);
    let answers = ask(&cases);
    let is_clean = answers.iter().all(|answer| answer.error.is_empty());
    is_clean
        && cases
            .iter()
            .zip(&answers)
            .any(|(case, answer)| !unsound(case, answer).is_empty())
}

#[test]
fn every_planned_pod_is_bound_where_it_was_planned() {
    let mut asked = Vec::new();
    let (mut pods, mut planned) = (0, 0);
    for seed in seeds(CLUSTERS) {
        let (world, _) = generator::world(seed);
        let decision = world.decide();
        pods += world.pending.len();
        planned += planned_pods(&decision).len();
        asked.extend(
            cases(&world, &decision, seed)
                .into_iter()
                .map(|case| (seed, case)),
        );
    }
    let (seeds, cases): (Vec<u64>, Vec<Case>) = asked.into_iter().unzip();
    let answers = ask(&cases);
    let mut faults: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (seed, (case, answer)) in seeds.into_iter().zip(cases.iter().zip(&answers)) {
        let found = unsound(case, answer).into_iter();
        let found: Vec<String> = found.map(|fault| format!("{}: {fault}", case.id)).collect();
        if !found.is_empty() {
            faults.entry(seed).or_default().extend(found);
        }
    }
    assert!(
        planned * 2 > pods,
        "most of {pods} pods can be served, {planned} were"
    );
    report(&faults, is_unsound);
}

/// Fails with all faults, the first ones as small clusters for the table of named cases.
fn report(faults: &BTreeMap<u64, Vec<String>>, is_faulty: impl Fn(&World, u64) -> bool) {
    let smallest = faults.keys().take(SHOWN).map(|seed| {
        let (world, features) = generator::world(*seed);
        let small = minimise(&world, |world| is_faulty(world, *seed));
        format!("seed {seed}, {features:?}:\n{}", to_json(&small))
    });
    assert!(
        faults.is_empty(),
        "{} clusters\n{}\n{}",
        faults.len(),
        faults.values().flatten().cloned().collect::<Vec<_>>().join("\n"),
        smallest.collect::<Vec<_>>().join("\n")
    );
}

/// Pods of a cluster that the planner would buy nothing for even if they were alone, each with that smaller cluster.
fn impossible(world: &World) -> Vec<(World, Decision)> {
    let decision = world.decide();
    let left = decision
        .solution
        .unplaced
        .iter()
        .map(|unplaced| unplaced.pod.to_string());
    let alone = left.filter_map(|pod| {
        let mut alone = world.clone();
        alone.pending.retain(|one| key(one) == pod);
        let decision = alone.decide();
        (!decision.solution.unplaced.is_empty()).then_some((alone, decision))
    });
    alone.collect()
}

/// A lonely pod with one node that could be bought, for some of all nodes that could be.
fn trials(alone: &World, decision: &Decision, seed: u64) -> Vec<Case> {
    let mut dice = Dice::new(seed);
    let mut offers: Vec<_> = decision.on_sale.offers.iter().collect();
    while offers.len() > OFFERS_TRIED {
        offers.swap_remove(dice.below(offers.len()));
    }
    let trial = |(number, (name, offer)): (usize, (&_, _))| {
        let (pool, capacity_type, market): &(
            spotocean_core::id::PoolKey,
            _,
            spotocean_core::offering::Market,
        ) = name;
        let machine = joined(offer, &decision.on_sale.taints[pool], "new-0");
        Case {
            id: format!(
                "{seed} {} {pool} {market} {capacity_type:?} {number}",
                key(&alone.pending[0])
            ),
            objects: alone.objects.iter().chain(&machine).cloned().collect(),
            daemon_sets: alone.daemon_sets.clone(),
            daemon_nodes: vec!["new-0".to_owned()],
            pending: alone.pending.clone(),
            ..Case::default()
        }
    };
    offers.into_iter().enumerate().map(trial).collect()
}

fn is_incomplete(world: &World, seed: u64) -> bool {
    let cases: Vec<Case> = impossible(world)
        .iter()
        .flat_map(|(alone, decision)| trials(alone, decision, seed))
        .collect();
    let answers = ask(&cases);
    answers.iter().all(|answer| answer.error.is_empty())
        && answers.iter().any(|answer| !answer.bound.is_empty())
}

#[test]
fn no_pod_called_impossible_can_be_bound() {
    let mut asked = Vec::new();
    for seed in seeds(CLUSTERS) {
        let (world, _) = generator::world(seed);
        for (alone, decision) in impossible(&world) {
            asked.extend(
                trials(&alone, &decision, seed)
                    .into_iter()
                    .map(|case| (seed, case)),
            );
        }
    }
    let (seeds, cases): (Vec<u64>, Vec<Case>) = asked.into_iter().unzip();
    assert!(
        cases.len() > seeds.len() / 2,
        "no pod is impossible: nothing is shown"
    );
    let mut faults: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (seed, (case, answer)) in seeds.into_iter().zip(cases.iter().zip(ask(&cases))) {
        let bound = answer
            .bound
            .iter()
            .map(|(pod, node)| format!("{}: {pod} was called impossible and is bound to {node}", case.id));
        let found: Vec<String> = bound
            .chain(Some(answer.error.clone()).filter(|error| !error.is_empty()))
            .collect();
        if !found.is_empty() {
            faults.entry(seed).or_default().extend(found);
        }
    }
    report(&faults, is_incomplete);
}

#[test]
fn each_feature_decides_where_pods_go() {
    let mut binds: BTreeMap<_, usize> = BTreeMap::new();
    let mut clusters = 0;
    for seed in seeds(STRIPPED_CLUSTERS) {
        clusters += 1;
        let (world, features) = generator::world(seed);
        let answer = world.decide().solution;
        for feature in features {
            let mut stripped = world.clone();
            feature.strip(&mut stripped);
            let other = stripped.decide().solution;
            let is_same = other.existing == answer.existing && other.new_nodes == answer.new_nodes;
            *binds.entry(feature).or_default() += usize::from(!is_same);
        }
    }
    let binds = |feature| binds.get(feature).copied().unwrap_or_default();
    let idle: Vec<String> = ALL
        .iter()
        .filter(|feature| binds(feature) * 100 < BINDING_PERCENT * clusters)
        .map(|feature| format!("{feature:?} in {}", binds(feature)))
        .collect();
    assert!(
        idle.is_empty(),
        "of {clusters} clusters, too few are decided by: {}",
        idle.join(", ")
    );
}
