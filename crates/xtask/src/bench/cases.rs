//! The list of workloads, each with the sides that answer it. Makes no file and runs nothing.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::catalogue::{Catalogue, Choice, Families, Prices};
use super::estate::wasteful;
use super::pods::{generic, karpenter_mix, openb, openb_sample, shaped};
use super::world::{Caps, World, daemon_sets, pods_of_teams, running, twenty_pools, vpc_cni};

/// The types of Karpenter's benchmark.
const FAKE_TYPES: i64 = 400;
/// Karpenter's mix in pods; the last two take it minutes.
const MIX_PODS: [usize; 6] = [100, 500, 1000, 5000, 10_000, 20_000];
const MIX_PODS_LONG: usize = 5000;
/// Pods of the generic mix on the real catalogue.
const GENERIC_PODS: usize = 3000;
/// Workloads of fewer than a hundred pods, of each kind.
const SMALL_CASES: usize = 20;
/// Nodes, and pods left on them, of the cluster to consolidate.
pub(super) const ESTATE: (usize, usize) = (2000, 40_000);
/// The curve: classes at [`CURVE_FIXED`] pods each, and pods per class at so many classes.
const CURVE_CLASSES: [usize; 6] = [10, 30, 100, 300, 1000, 2000];
const CURVE_PER_CLASS: [usize; 6] = [1, 10, 30, 100, 300, 1000];
/// What stays as it is along either curve.
pub(super) const CURVE_FIXED: usize = 30;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Side {
    /// SpotOcean.
    Ours(Caps),
    /// SpotOcean, consolidating without caps.
    Consolidated,
    /// Karpenter's scheduler.
    Karpenter,
}

/// Both, without caps.
const BOTH: &[Side] = &[Side::Ours(Caps::Off), Side::Karpenter];
/// Both, and SpotOcean with its default caps.
const WITH_CAPS: &[Side] = &[Side::Ours(Caps::Off), Side::Ours(Caps::Default), Side::Karpenter];
/// SpotOcean alone.
const ALONE: &[Side] = &[Side::Ours(Caps::Off)];

/// Consolidation: Karpenter's goes node by node on a live cluster, and has no such question.
const CONSOLIDATED: &[Side] = &[Side::Consolidated];

/// What a workload is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Karpenter's own benchmark.
    Mix,
    /// Small pods on the real catalogue.
    SmallPods,
    /// The openb trace; up to so many vCPUs a node.
    Openb {
        /// The largest node.
        vcpus_max: i64,
    },
    /// A cluster that is there.
    Cluster,
    /// Fewer than a hundred pods.
    Few,
    /// So many pods on so many types, ours alone.
    Size,
    /// A cluster that has come to waste, to be consolidated.
    Estate,
    /// What measured memory is worth: without it, and with it.
    Memory,
    /// A point of the curve.
    Curve {
        /// Distinct shapes.
        classes: usize,
        /// Pods of each.
        per_class: usize,
    },
}

/// One workload.
pub(super) struct Case {
    /// What it is called in the table.
    pub(super) name: String,
    /// What it is for.
    pub(super) kind: Kind,
    /// Who answers it.
    pub(super) sides: &'static [Side],
    /// Whether a quick run leaves it out.
    pub(super) is_long: bool,
    /// Makes it.
    pub(super) world: Box<dyn Fn() -> Result<World>>,
}

impl Case {
    fn new(
        name: impl Into<String>,
        kind: Kind,
        sides: &'static [Side],
        world: impl Fn() -> Result<World> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            kind,
            sides,
            is_long: false,
            world: Box::new(world),
        }
    }
}

/// All of them, in the order of the table.
pub(super) fn all() -> Vec<Case> {
    let mut cases = mixes();
    cases.extend(on_the_real_catalogue());
    cases.extend(clusters());
    cases.extend(few());
    cases.extend(sizes());
    cases.push(estate());
    cases.extend(memory());
    cases.extend(curve());
    cases
}

fn real(vcpus_max: i64, prices: Prices) -> Result<Catalogue> {
    Catalogue::us_east_1(Choice {
        vcpus_max,
        families: Families::General,
        prices,
    })
}

fn mixes() -> Vec<Case> {
    let case = |pods: usize| Case {
        is_long: pods > MIX_PODS_LONG,
        ..Case::new("Karpenter's mix, 400 fake types", Kind::Mix, BOTH, move || {
            Ok(World::of(Catalogue::fake(FAKE_TYPES), karpenter_mix(pods)))
        })
    };
    MIX_PODS.into_iter().map(case).collect()
}

fn on_the_real_catalogue() -> Vec<Case> {
    let mut cases = Vec::new();
    for prices in [Prices::ByType, Prices::ByZone] {
        let zonal = match prices {
            Prices::ByType => "",
            Prices::ByZone => ", prices by zone",
        };
        for vcpus_max in [32, 192] {
            cases.push(Case::new(
                format!("generic mix, up to {vcpus_max} vCPU{zonal}"),
                Kind::SmallPods,
                WITH_CAPS,
                move || Ok(World::of(real(vcpus_max, prices)?, generic(GENERIC_PODS, 42))),
            ));
            cases.push(Case::new(
                format!("openb CPU pods, up to {vcpus_max} vCPU{zonal}"),
                Kind::Openb { vcpus_max },
                WITH_CAPS,
                move || {
                    let catalogue = real(vcpus_max, prices)?;
                    let pods = openb(|size| catalogue.holds(size));
                    Ok(World::of(catalogue, pods))
                },
            ));
        }
    }
    cases
}

fn clusters() -> Vec<Case> {
    vec![
        Case::new("1,000 nodes there, generic pods", Kind::Cluster, BOTH, || {
            let mut world = World::of(real(192, Prices::ByType)?, generic(500, 5));
            world.objects.extend(running(1000, 9));
            Ok(world)
        }),
        Case::new(
            "20 pools, 15 DaemonSets, generic pods",
            Kind::Cluster,
            BOTH,
            || {
                let catalogue = real(192, Prices::ByZone)?;
                let mut world = World::of(catalogue, pods_of_teams(GENERIC_PODS, 17));
                world.pools = twenty_pools(&world.catalogue);
                world.objects.extend(daemon_sets(15));
                Ok(world)
            },
        ),
    ]
}

fn few() -> Vec<Case> {
    let mut cases = Vec::new();
    for index in 0..SMALL_CASES {
        let (count, seed) = (5 + index * 90 / SMALL_CASES, 100 + index as u64);
        cases.push(Case::new("generic mix, few", Kind::Few, ALONE, move || {
            Ok(World::of(real(32, Prices::ByType)?, generic(count, seed)))
        }));
        cases.push(Case::new("openb CPU pods, few", Kind::Few, ALONE, move || {
            let catalogue = real(192, Prices::ByType)?;
            let pods = openb_sample(count, seed, |size| catalogue.holds(size));
            Ok(World::of(catalogue, pods))
        }));
    }
    cases
}

fn sizes() -> Vec<Case> {
    let case = |name: &str, pods: usize, shapes: usize| {
        Case::new(name, Kind::Size, ALONE, move || {
            let choice = Choice {
                vcpus_max: i64::MAX,
                families: Families::All,
                prices: Prices::ByZone,
            };
            Ok(World::of(Catalogue::us_east_1(choice)?, shaped(pods, shapes)))
        })
    };
    vec![
        case("150 shapes, all types", 10_000, 150),
        case("150 shapes, all types", 100_000, 150),
    ]
}

fn estate() -> Case {
    let (nodes, pods) = ESTATE;
    Case::new("half of the load gone", Kind::Estate, CONSOLIDATED, move || {
        let catalogue = real(192, Prices::ByZone)?;
        let (objects, standing) = wasteful(&catalogue, nodes, pods, 21);
        Ok(World {
            standing: Some(standing),
            ..World::of(catalogue, objects)
        })
    })
}

fn memory() -> Vec<Case> {
    let world = || {
        let catalogue = real(192, Prices::ByType)?;
        let pods = openb(|size| catalogue.holds(size));
        let mut world = World::of(catalogue, pods);
        world.objects.push(vpc_cni());
        anyhow::Ok(world)
    };
    vec![
        Case::new("openb CPU pods, memory less 7.5 %", Kind::Memory, ALONE, world),
        Case::new(
            "openb CPU pods, memory as measured",
            Kind::Memory,
            ALONE,
            move || {
                let mut world = world()?;
                world.catalogue = world.catalogue.without_allocatable();
                Ok(world)
            },
        ),
    ]
}

fn curve() -> Vec<Case> {
    let case = |classes: usize, per_class: usize| {
        Case::new("curve", Kind::Curve { classes, per_class }, ALONE, move || {
            Ok(World::of(
                real(192, Prices::ByType)?,
                shaped(classes * per_class, classes),
            ))
        })
    };
    let by_classes = CURVE_CLASSES
        .into_iter()
        .map(|classes| case(classes, CURVE_FIXED));
    let by_pods = CURVE_PER_CLASS
        .into_iter()
        .map(|per_class| case(CURVE_FIXED, per_class));
    by_classes.chain(by_pods).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_has_every_kind() {
        for case in all().iter().filter(|case| case.is_long) {
            let same = |other: &&Case| other.kind == case.kind && !other.is_long;
            assert!(all().iter().any(|other| same(&other)), "{}", case.name);
        }
    }

    #[test]
    fn few_is_less_than_a_hundred() {
        for case in all().iter().filter(|case| case.kind == Kind::Few).step_by(13) {
            let pending = (case.world)().unwrap().pending();
            assert!((1..100).contains(&pending), "{pending}");
        }
    }
}
