//! Random small problems: a few pods of a few shapes, a few nodes, a few pools.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use spotocean_core::id::Namespace;
use spotocean_core::label;
use spotocean_core::money::PricePerHour;
use spotocean_core::topology::{NodeInclusion, PodAffinityTerm, TopologySpread};
use spotocean_solver::problem::{BuyablePool, PendingPod, PlacementNode, Problem, RemainingLimits};

use crate::fixtures::*;

const APPS: [&str; 3] = ["web", "db", "job"];
const ZONES: [&str; 4] = ["a", "b", "c", "d"];
const KEYS: [&str; 3] = [label::ZONE, label::HOSTNAME, label::CAPACITY_TYPE];

/// How much of the vocabulary a problem uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Richness {
    /// Nothing between pods, one pool without limits.
    Alone,
    /// Everything that binds.
    Strict,
    /// Wishes too.
    All,
}

fn app() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(APPS.to_vec())
}

fn key() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(KEYS.to_vec())
}

fn spreads() -> impl Strategy<Value = TopologySpread> {
    let policy = || proptest::sample::select(vec![NodeInclusion::Honor, NodeInclusion::Ignore]);
    (
        key(),
        app(),
        1..3_i64,
        sometimes(0.2, 1..4_i64),
        policy(),
        policy(),
    )
        .prop_map(
            |(key, app, max_skew, min_domains, node_affinity_policy, node_taints_policy)| TopologySpread {
                max_skew,
                min_domains,
                node_affinity_policy,
                node_taints_policy,
                ..spread(key, app)
            },
        )
}

fn terms() -> impl Strategy<Value = PodAffinityTerm> {
    (key(), app(), 0..6_u8).prop_map(|(key, app, scope)| match scope {
        0 => PodAffinityTerm {
            namespace_selector: Some(selector(&[("team", "x")])),
            ..term(key, app)
        },
        1 => PodAffinityTerm {
            namespaces: BTreeSet::from([Namespace::from("other")]),
            ..term(key, app)
        },
        _ => term(key, app),
    })
}

/// What a pod would rather have.
#[derive(Clone, Debug)]
enum Wish {
    Zone(&'static str, i64),
    With(PodAffinityTerm, i64),
    Without(PodAffinityTerm, i64),
    Spread(TopologySpread),
}

impl Wish {
    fn of(self, pod: PodBuilder) -> PodBuilder {
        match self {
            Self::Zone(zone, weight) => pod.likes(label::ZONE, zone, weight),
            Self::With(term, weight) => pod.would_be_with(term, weight),
            Self::Without(term, weight) => pod.would_be_without(term, weight),
            Self::Spread(spread) => pod.spread(soft(spread)),
        }
    }
}

fn wishes() -> impl Strategy<Value = Wish> {
    let zone = proptest::sample::select(ZONES.to_vec());
    let weight = || 1..=100_i64;
    prop_oneof![
        (zone, weight()).prop_map(|(zone, weight)| Wish::Zone(zone, weight)),
        (terms(), weight()).prop_map(|(term, weight)| Wish::With(term, weight)),
        (terms(), weight()).prop_map(|(term, weight)| Wish::Without(term, weight)),
        spreads().prop_map(Wish::Spread),
    ]
}

/// Sometimes a value; with no chance, never.
fn sometimes<S>(chance: f64, some: S) -> BoxedStrategy<Option<S::Value>>
where
    S: Strategy + 'static,
    S::Value: Clone,
{
    if chance > 0.0 {
        proptest::option::weighted(chance, some).boxed()
    } else {
        Just(None).boxed()
    }
}

fn shapes(richness: Richness) -> impl Strategy<Value = PodBuilder> {
    let chance = if richness == Richness::Alone { 0.0 } else { 0.25 };
    let wishing = if richness == Richness::All { 0.25 } else { 0.0 };
    let own = (
        app(),
        1..9_i64,
        0..9_i64,
        sometimes(0.15, proptest::sample::select(ZONES.to_vec())),
        sometimes(0.1, 80..82_i32),
        sometimes(0.15, (0..3_u8, proptest::option::of(0..4_usize))),
        proptest::bool::weighted(0.3),
    );
    let between = (
        sometimes(chance, spreads()),
        sometimes(chance, spreads()),
        sometimes(chance, terms()),
        sometimes(chance, terms()),
        proptest::bool::weighted(chance),
        sometimes(wishing, wishes()),
    );
    (own, between).prop_map(|(own, between)| {
        let (app, cpu, memory, zone, port, volume, tolerates) = own;
        let mut pod = pod(app).cpu(cpu * 500).memory(memory);
        if let Some(zone) = zone {
            pod = pod.selects(label::ZONE, zone);
        }
        if let Some(port) = port {
            pod = pod.port(port);
        }
        if let Some((volume, zone)) = volume {
            let zone = zone.map(|zone| [ZONES[zone]]);
            pod = pod.volume(
                &format!("v{volume}"),
                zone.as_ref().map(<[&str; 1]>::as_slice),
                "ebs",
            );
        }
        if tolerates {
            pod = pod.tolerates("dedicated");
        }
        let (first, second, with, without, is_elsewhere, wish) = between;
        for spread in first.into_iter().chain(second) {
            pod = pod.spread(spread);
        }
        pod.shape.affinity.extend(with);
        pod.shape.anti_affinity.extend(without);
        if is_elsewhere {
            pod = pod.namespace("other");
        }
        match wish {
            Some(wish) => wish.of(pod),
            None => pod,
        }
    })
}

fn waiting(richness: Richness, classes: usize, count: usize) -> impl Strategy<Value = Vec<PendingPod>> {
    proptest::collection::vec((shapes(richness), 1..=count), 1..=classes).prop_map(|classes| {
        let named = classes.into_iter().enumerate().map(|(index, (mut pod, count))| {
            pod.pod.key.name = format!("{}{index}", pod.pod.key.name).into();
            pod.times(count)
        });
        named.flatten().collect()
    })
}

fn pools(richness: Richness, offers: usize) -> impl Strategy<Value = BuyablePool> {
    let chance = if richness == Richness::Alone { 0.0 } else { 0.3 };
    let offer = (
        0..3_u32,
        0..3_i64,
        0..3_usize,
        10..100_i64,
        proptest::bool::weighted(chance),
    );
    (
        proptest::collection::vec(offer, 1..=offers),
        sometimes(chance / 2.0, 0..4_i64),
        sometimes(chance / 2.0, 4..40_i64),
        sometimes(chance / 2.0, 50..400_i64),
        sometimes(chance / 2.0, 1..3_usize),
        proptest::bool::weighted(chance),
        sometimes(0.3, 1..3_i64),
        0..5_usize,
    )
        .prop_map(
            |(offers, nodes, cpu, cost, min_values, is_tainted, attach, flexibility)| {
                let mut pool = pool("general").limited(RemainingLimits {
                    nodes,
                    resources: cpu.map(|cpu| ("cpu".into(), cpu * 1000)).into_iter().collect(),
                    hourly_cost: cost.map(|cost| PricePerHour(cost * 1000)),
                });
                pool.minimum_flexibility = flexibility;
                let mut seen = BTreeSet::new();
                for (size, ratio, zone, price, is_on_demand) in offers {
                    if !seen.insert((size, ratio, zone, is_on_demand)) {
                        continue;
                    }
                    let cpu = 2_i64 << size;
                    let name = format!("{}.{cpu}", ["c", "m", "r"][usize::try_from(ratio).unwrap_or(0)]);
                    let price = price * cpu * 100;
                    let (zone, memory) = (ZONES[zone], cpu * (2 << ratio));
                    pool = if is_on_demand {
                        pool.on_demand(&name, zone, cpu, memory, price * 3)
                    } else {
                        pool.offer(&name, zone, cpu, memory, price)
                    };
                }
                if let Some(min_values) = min_values {
                    pool = pool.keeps(label::INSTANCE_FAMILY, min_values);
                }
                if is_tainted {
                    pool = pool.tainted("dedicated");
                }
                if let Some(limit) = attach {
                    pool = pool.each_offer(|offer| {
                        offer.attach_limits = Arc::new(BTreeMap::from([("ebs".into(), limit)]));
                    });
                }
                pool
            },
        )
}

fn nodes() -> impl Strategy<Value = Vec<PlacementNode>> {
    let one = (
        0..4_usize,
        proptest::collection::vec(shapes(Richness::Strict), 0..3),
        proptest::bool::weighted(0.15),
        proptest::bool::weighted(0.15),
        proptest::bool::weighted(0.2),
        sometimes(0.3, 1..3_i64),
    );
    proptest::collection::vec(one, 0..4).prop_map(|nodes| {
        let made = nodes.into_iter().enumerate();
        made.map(
            |(index, (zone, pods, is_closed, is_tainted, is_on_its_way, attach))| {
                let name = format!("n{index}");
                let mut made = if is_on_its_way {
                    on_its_way(&name)
                } else {
                    node(&name, ZONES[zone])
                };
                made.accepts_pods = !is_closed;
                if is_tainted {
                    made.taints.push(taint("dedicated"));
                }
                if !is_on_its_way {
                    let residents = pods.into_iter().enumerate().map(|(number, mut pod)| {
                        pod.pod.key.name = format!("r{index}-{number}").into();
                        pod.resident()
                    });
                    made.pods.extend(residents);
                }
                if let Some(limit) = attach {
                    made.attach_limits = BTreeMap::from([("ebs".into(), limit)]);
                    made.attached = BTreeMap::from([("ebs".into(), BTreeSet::from(["v0".into()]))]);
                }
                made
            },
        )
        .collect()
    })
}

/// Problems with everything in them.
pub(crate) fn rich() -> impl Strategy<Value = Problem> {
    problems(Richness::All, 5, 5)
}

/// Problems with everything that binds, of up to so many classes of up to so many pods.
pub(crate) fn rich_of(classes: usize, count: usize) -> impl Strategy<Value = Problem> {
    problems(Richness::Strict, classes, count)
}

fn problems(richness: Richness, classes: usize, count: usize) -> impl Strategy<Value = Problem> {
    (
        waiting(richness, classes, count),
        nodes(),
        proptest::collection::vec((pools(richness, 8), 0..3_i32), 1..3),
        proptest::option::of(1..3_i64),
    )
        .prop_map(|(pods, nodes, pools, daemon_cpu)| {
            let pools = pools
                .into_iter()
                .zip(["general", "second"])
                .map(|((mut pool, weight), name)| {
                    pool.key = pool_key(name);
                    pool.weight(weight)
                });
            Problem {
                pods,
                nodes,
                pools: pools.collect(),
                daemon_sets: daemon_cpu
                    .map(|cpu| Arc::new(daemon("agent", cpu * 100)))
                    .into_iter()
                    .collect(),
                namespaces: BTreeMap::from([("other".into(), Arc::new(labels(&[("team", "x")])))]),
            }
        })
}

/// Problems without anything between pods, limits or nodes; one spot pool.
pub(crate) fn plain(classes: usize, count: usize, offers: usize) -> impl Strategy<Value = Problem> {
    (
        waiting(Richness::Alone, classes, count),
        pools(Richness::Alone, offers),
    )
        .prop_map(|(pods, pool)| Problem {
            pods,
            pools: vec![pool],
            ..Problem::default()
        })
}

/// The same cases each time: a suite that fails now and then teaches nobody.
pub(crate) fn fixed_cases(cases: u32) -> ProptestConfig {
    let seed = std::env::var("SPOTOCEAN_SOLVER_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(seed.unwrap_or(7)),
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}
