//! Measures consolidation: `cargo run -p spotocean-solver --example consolidate -- NODES PODS`.
//!
//! A cluster of that size on a region's worth of made-up types, half of it bought on
//! demand, with fewer pods than there is room for; a third of them must be spread.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{ObjectKey, PoolKey};
use spotocean_core::label;
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::{Market, Offering};
use spotocean_core::pod::{Pod, PodPhase, PodShape};
use spotocean_core::requirement::Labels;
use spotocean_core::resources::Resources;
use spotocean_core::selector::LabelSelector;
use spotocean_core::topology::{NodeInclusion, TopologySpread, WhenUnsatisfiable};
use spotocean_solver::consolidation::{Estate, Holding, Hysteresis, Tenant, solve};
use spotocean_solver::problem::{BuyablePool, NodeRef, Offer, PendingPod, PlacementNode, RemainingLimits};

const GIB: i64 = 1 << 30;
const ZONES: [&str; 3] = ["a", "b", "c"];

/// A fixed sequence that looks random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap_or(0)
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect()
}

fn offers() -> Vec<Offer> {
    let mut offers = Vec::new();
    let mut dice = Dice(11);
    for family in 0..70_i64 {
        let ratio = [2, 4, 8][usize::try_from(family % 3).unwrap_or(0)];
        for cpu in [2, 4, 8, 16, 32, 48, 64, 96_i64] {
            let list = cpu * (8_000 + ratio * 3_000) + i64::try_from(dice.below(4_000)).unwrap_or(0);
            for zone in ZONES {
                let percent = 30 + i64::try_from(dice.below(30)).unwrap_or(0);
                let name = format!("f{family}.s{cpu}");
                for (capacity_type, price) in [
                    (CapacityType::Spot, list * percent / 100),
                    (CapacityType::OnDemand, list),
                ] {
                    offers.push(offer(&name, zone, capacity_type, (cpu, cpu * ratio), price));
                }
            }
        }
    }
    offers
}

fn offer(
    name: &str,
    zone: &str,
    capacity_type: CapacityType,
    (cpu, memory): (i64, i64),
    price: i64,
) -> Offer {
    let size = Resources {
        cpu_millis: cpu * 1000,
        memory_bytes: memory * GIB,
        pods: 110,
        ..Resources::default()
    };
    Offer {
        offering: Offering {
            market: Market {
                instance_type: name.into(),
                zone: zone.into(),
            },
            capacity_type,
            price: PricePerHour(price),
        },
        labels: Arc::new(labels(&[
            (label::INSTANCE_TYPE, name),
            (label::ZONE, zone),
            (label::CAPACITY_TYPE, capacity_type.as_str()),
        ])),
        capacity: size.clone(),
        allocatable: size,
        attach_limits: Arc::default(),
        risk: PricePerHour::ZERO,
    }
}

fn shapes(dice: &mut Dice) -> Vec<(String, Arc<PodShape>)> {
    let shape = |kind: usize| {
        let app = format!("app{kind}");
        let amount = |below: usize, dice: &mut Dice| i64::try_from(1 + dice.below(below)).unwrap_or(1);
        let requests = Resources {
            cpu_millis: 100 * amount(12, dice),
            memory_bytes: GIB / 2 * amount(8, dice),
            pods: 1,
            ..Resources::default()
        };
        let spread = TopologySpread {
            max_skew: 1,
            topology_key: label::ZONE.into(),
            when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
            selector: Some(LabelSelector {
                match_labels: labels(&[("app", &app)]),
                match_expressions: vec![],
            }),
            min_domains: None,
            node_affinity_policy: NodeInclusion::Honor,
            node_taints_policy: NodeInclusion::Ignore,
        };
        let shape = PodShape {
            requests,
            spread: if kind.is_multiple_of(3) {
                vec![spread]
            } else {
                vec![]
            },
            ..PodShape::default()
        };
        (app, Arc::new(shape))
    };
    (0..120).map(shape).collect()
}

fn tenant(app: &str, shape: &Arc<PodShape>, number: usize, pool: &PoolKey) -> Tenant {
    Tenant {
        pod: PendingPod {
            pod: Arc::new(Pod {
                key: ObjectKey::new("default", &format!("{app}-{number}")),
                uid: format!("{app}-{number}").as_str().into(),
                labels: Arc::new(labels(&[("app", app)])),
                shape: shape.clone(),
                claims: vec![],
                priority: 0,
                node: None,
                nominated_node: None,
                phase: PodPhase::Running,
                is_unschedulable: false,
                is_gated: false,
                owner: None,
                is_mirror: false,
                created_at: serde_json::from_str(r#""1970-01-01T00:00:00Z""#).unwrap_or_default(),
                deleted_at: None,
                termination_grace_seconds: 30,
                do_not_disrupt: None,
                retry: None,
                spot_percentage: None,
            }),
            volumes: vec![],
            served_by: BTreeSet::from([pool.clone()]),
        },
        move_cost: 500,
    }
}

fn estate(nodes: usize, pods: usize) -> Estate {
    let mut dice = Dice(5);
    let pool = PoolKey {
        ocean: "main".into(),
        pool: "general".into(),
    };
    let offers = offers();
    let shapes = shapes(&mut dice);
    let mut holdings: Vec<Holding> = Vec::new();
    let mut free: Vec<Resources> = Vec::new();
    for number in 0..nodes {
        let of_size = offers.iter().filter(|offer| {
            let cpu = offer.capacity.cpu_millis / 1000;
            (8..=32).contains(&cpu) && &*offer.offering.market.zone.0 == ZONES[number % 3]
        });
        let of_size: Vec<&Offer> = of_size.collect();
        let chosen = of_size[dice.below(of_size.len())];
        let name = format!("node-{number}");
        let mut own = chosen.labels.as_ref().clone();
        own.insert(label::HOSTNAME.into(), name.as_str().into());
        free.push(chosen.allocatable.clone());
        holdings.push(Holding {
            node: PlacementNode {
                name: NodeRef::Node(name.as_str().into()),
                labels: Arc::new(own),
                taints: vec![],
                allocatable: chosen.allocatable.clone(),
                pods: vec![],
                reserved: Resources::default(),
                attached: std::collections::BTreeMap::new(),
                attach_limits: std::collections::BTreeMap::new(),
                accepts_pods: true,
            },
            price: chosen.offering.price,
            risk: PricePerHour::ZERO,
            stays: (number.is_multiple_of(20)).then(|| "a pod on it asks not to be disturbed".into()),
            tenants: vec![],
        });
    }
    for number in 0..pods {
        let (app, shape) = &shapes[(number / 3) % shapes.len()];
        // In threes over the zones, so that spreads are kept.
        let mut at = dice.below(nodes / 3) * 3 + number % 3;
        for _ in 0..nodes {
            if shape.requests.fits(&free[at]) {
                break;
            }
            at = (at + 3) % nodes;
        }
        free[at] = free[at].minus(&shape.requests);
        holdings[at].tenants.push(tenant(app, shape, number, &pool));
    }
    Estate {
        holdings,
        pools: vec![BuyablePool {
            key: pool,
            weight: 0,
            requirements: vec![],
            labels: Arc::default(),
            taints: vec![],
            offers,
            limits: RemainingLimits::default(),
            minimum_flexibility: 15,
            closed: None,
        }],
        hysteresis: Hysteresis::default(),
        ..Estate::default()
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse().ok());
    let (nodes, pods) = (
        arguments.next().unwrap_or(2_000),
        arguments.next().unwrap_or(40_000),
    );
    let estate = estate(nodes, pods);
    let start = (Instant::now(), on_cpu());
    let found = solve(&estate);
    let taken = on_cpu().map_or_else(|| start.0.elapsed(), |now| now - start.1.unwrap_or_default());
    println!(
        "{nodes} nodes, {pods} pods: {} go, {} are bought, {} pods move, {} changes, {} to {} USD/h, bound {}, gap {:.3} %, {:.0} ms",
        found.removed().len(),
        found.new_nodes.len(),
        found.moves.len(),
        found.changes.len(),
        found.cost_before,
        found.cost_after,
        found.lower_bound,
        found.gap_per_million().unwrap_or(-1) as f64 / 1e4,
        taken.as_secs_f64() * 1000.0
    );
}

/// What this thread has spent on a processor, where the system says: others' load does not count.
fn on_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}
