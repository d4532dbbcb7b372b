//! Small builders: what a row does not say is a plain default.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{Namespace, ObjectKey, PoolKey};
use spotocean_core::label;
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::{Market, Offering};
use spotocean_core::pod::{DaemonSet, HostPort, NodeTerm, Pod, PodPhase, PodShape};
use spotocean_core::requirement::{Labels, Operator, Requirement};
use spotocean_core::resources::Resources;
use spotocean_core::selector::LabelSelector;
use spotocean_core::taint::{Taint, TaintEffect, Toleration, TolerationOperator};
use spotocean_core::topology::{NodeInclusion, PodAffinityTerm, TopologySpread, Weighted, WhenUnsatisfiable};
use spotocean_solver::problem::{
    BuyablePool, NodeRef, Offer, PendingPod, PlacementNode, PoolRequirement, Problem, RemainingLimits,
    VolumeDemand,
};

pub(crate) const GIB: i64 = 1 << 30;

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect()
}

pub(crate) fn selector(pairs: &[(&str, &str)]) -> LabelSelector {
    LabelSelector {
        match_labels: labels(pairs),
        match_expressions: vec![],
    }
}

pub(crate) fn resources(cpu_millis: i64, memory_gib: i64) -> Resources {
    Resources {
        cpu_millis,
        memory_bytes: memory_gib * GIB,
        ephemeral_storage_bytes: 0,
        pods: 1,
        extended: BTreeMap::new(),
    }
}

pub(crate) fn requirement<const N: usize>(key: &str, operator: Operator, values: [&str; N]) -> Requirement {
    Requirement::new(key, operator, values)
}

pub(crate) fn taint(key: &str) -> Taint {
    Taint {
        key: key.into(),
        value: "".into(),
        effect: TaintEffect::NoSchedule,
    }
}

pub(crate) fn spread(key: &str, app: &str) -> TopologySpread {
    TopologySpread {
        max_skew: 1,
        topology_key: key.into(),
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: Some(selector(&[("app", app)])),
        min_domains: None,
        node_affinity_policy: NodeInclusion::Honor,
        node_taints_policy: NodeInclusion::Ignore,
    }
}

/// The same, only wished for.
pub(crate) fn soft(spread: TopologySpread) -> TopologySpread {
    TopologySpread {
        when_unsatisfiable: WhenUnsatisfiable::ScheduleAnyway,
        ..spread
    }
}

pub(crate) fn term(key: &str, app: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: key.into(),
        selector: Some(selector(&[("app", app)])),
        namespaces: BTreeSet::from([Namespace::from("default")]),
        namespace_selector: None,
    }
}

/// A pod; 1 CPU and 1 GiB, label `app` = its name's part before the first dash.
#[derive(Clone, Debug)]
pub(crate) struct PodBuilder {
    pub(crate) pod: Pod,
    pub(crate) shape: PodShape,
    pub(crate) volumes: Vec<VolumeDemand>,
    pub(crate) served_by: BTreeSet<PoolKey>,
}

pub(crate) fn pod(name: &str) -> PodBuilder {
    let app = name.split('-').next().unwrap_or(name);
    PodBuilder {
        pod: Pod {
            key: ObjectKey::new("default", name),
            uid: name.into(),
            labels: Arc::new(labels(&[("app", app)])),
            shape: Arc::default(),
            claims: vec![],
            priority: 0,
            node: None,
            nominated_node: None,
            phase: PodPhase::Pending,
            is_unschedulable: true,
            is_gated: false,
            owner: None,
            is_mirror: false,
            created_at: serde_json::from_str(r#""1970-01-01T00:00:00Z""#).expect("a time"),
            deleted_at: None,
            termination_grace_seconds: 30,
            do_not_disrupt: None,
            retry: None,
            spot_percentage: None,
        },
        shape: PodShape {
            requests: resources(1000, 1),
            ..PodShape::default()
        },
        volumes: vec![],
        served_by: ["general", "second", "third"].map(pool_key).into(),
    }
}

impl PodBuilder {
    pub(crate) fn cpu(mut self, millis: i64) -> Self {
        self.shape.requests.cpu_millis = millis;
        self
    }

    pub(crate) fn memory(mut self, gib: i64) -> Self {
        self.shape.requests.memory_bytes = gib * GIB;
        self
    }

    pub(crate) fn asks(mut self, name: &str, amount: i64) -> Self {
        self.shape.requests.set(name, amount);
        self
    }

    pub(crate) fn selects(mut self, key: &str, value: &str) -> Self {
        self.shape
            .node_selector
            .push(Requirement::new(key, Operator::In, [value]));
        self
    }

    pub(crate) fn affine(mut self, terms: Vec<NodeTerm>) -> Self {
        self.shape.node_terms = Some(terms);
        self
    }

    pub(crate) fn tolerates(mut self, key: &str) -> Self {
        self.shape.tolerations.push(Toleration {
            key: key.into(),
            operator: TolerationOperator::Exists,
            value: "".into(),
            effect: None,
        });
        self
    }

    pub(crate) fn spread(mut self, spread: TopologySpread) -> Self {
        self.shape.spread.push(spread);
        self
    }

    pub(crate) fn with(mut self, term: PodAffinityTerm) -> Self {
        self.shape.affinity.push(term);
        self
    }

    pub(crate) fn without(mut self, term: PodAffinityTerm) -> Self {
        self.shape.anti_affinity.push(term);
        self
    }

    /// Prefers nodes with this label.
    pub(crate) fn likes(mut self, key: &str, value: &str, weight: i64) -> Self {
        let term = NodeTerm {
            expressions: vec![Requirement::new(key, Operator::In, [value])],
            fields: vec![],
        };
        self.shape.preferred_node_terms.push(Weighted { weight, term });
        self
    }

    pub(crate) fn would_be_with(mut self, term: PodAffinityTerm, weight: i64) -> Self {
        self.shape.preferred_affinity.push(Weighted { weight, term });
        self
    }

    pub(crate) fn would_be_without(mut self, term: PodAffinityTerm, weight: i64) -> Self {
        self.shape.preferred_anti_affinity.push(Weighted { weight, term });
        self
    }

    pub(crate) fn port(mut self, port: i32) -> Self {
        self.shape.host_ports.insert(HostPort {
            port,
            protocol: "TCP".into(),
            host_ip: "".into(),
        });
        self
    }

    pub(crate) fn volume(mut self, name: &str, zones: Option<&[&str]>, driver: &str) -> Self {
        let term = |zones: &[&str]| {
            vec![NodeTerm {
                expressions: vec![Requirement::new(
                    label::EBS_ZONE,
                    Operator::In,
                    zones.iter().copied(),
                )],
                fields: vec![],
            }]
        };
        self.volumes.push(VolumeDemand {
            volume: name.into(),
            terms: zones.map(term),
            driver: Some(driver.into()),
        });
        self
    }

    pub(crate) fn namespace(mut self, namespace: &str) -> Self {
        self.pod.key.namespace = namespace.into();
        self
    }

    pub(crate) fn named(mut self, name: &str) -> Self {
        self.pod.key.name = name.into();
        self
    }

    pub(crate) fn resident(mut self) -> Arc<Pod> {
        self.pod.shape = Arc::new(self.shape);
        self.pod.phase = PodPhase::Running;
        Arc::new(self.pod)
    }

    pub(crate) fn pending(mut self) -> PendingPod {
        self.pod.shape = Arc::new(self.shape);
        PendingPod {
            pod: Arc::new(self.pod),
            volumes: self.volumes,
            served_by: self.served_by,
        }
    }

    /// `count` alike, named `<app>-0`, `<app>-1`, …
    pub(crate) fn times(self, count: usize) -> Vec<PendingPod> {
        let first = self.clone().pending();
        (0..count)
            .map(|index| {
                let mut pending = first.clone();
                let mut pod = (*pending.pod).clone();
                pod.key.name = format!("{}-{index}", self.pod.key.name).into();
                pending.pod = Arc::new(pod);
                pending
            })
            .collect()
    }
}

pub(crate) fn daemon(name: &str, cpu_millis: i64) -> DaemonSet {
    DaemonSet {
        key: ObjectKey::new("kube-system", name),
        uid: name.into(),
        labels: Arc::new(labels(&[("app", name)])),
        shape: Arc::new(PodShape {
            requests: resources(cpu_millis, 0),
            ..PodShape::default()
        }),
    }
}

pub(crate) fn pool_key(name: &str) -> PoolKey {
    PoolKey {
        ocean: "main".into(),
        pool: name.into(),
    }
}

/// A pool without offers, weight 0.
pub(crate) fn pool(name: &str) -> BuyablePool {
    BuyablePool {
        key: pool_key(name),
        weight: 0,
        requirements: vec![],
        labels: Arc::new(labels(&[(label::POOL, name)])),
        taints: vec![],
        offers: vec![],
        limits: RemainingLimits::default(),
        minimum_flexibility: 1,
        closed: None,
    }
}

/// What offers of a pool are built from.
pub(crate) trait Stocked: Sized {
    fn offer(self, instance_type: &str, zone: &str, cpu: i64, memory_gib: i64, micro_usd: i64) -> Self;
    fn on_demand(self, instance_type: &str, zone: &str, cpu: i64, memory_gib: i64, micro_usd: i64) -> Self;
    fn weight(self, weight: i32) -> Self;
    fn tainted(self, key: &str) -> Self;
    fn limited(self, limits: RemainingLimits) -> Self;
    fn keeps(self, key: &str, min_values: usize) -> Self;
    fn each_offer(self, change: impl Fn(&mut Offer)) -> Self;
}

impl Stocked for BuyablePool {
    fn offer(mut self, instance_type: &str, zone: &str, cpu: i64, memory_gib: i64, micro_usd: i64) -> Self {
        let made = offer(
            &self,
            (instance_type, zone),
            CapacityType::Spot,
            (cpu, memory_gib),
            micro_usd,
        );
        self.offers.push(made);
        self
    }

    fn on_demand(
        mut self,
        instance_type: &str,
        zone: &str,
        cpu: i64,
        memory_gib: i64,
        micro_usd: i64,
    ) -> Self {
        let made = offer(
            &self,
            (instance_type, zone),
            CapacityType::OnDemand,
            (cpu, memory_gib),
            micro_usd,
        );
        self.offers.push(made);
        self
    }

    fn weight(mut self, weight: i32) -> Self {
        self.weight = weight;
        self
    }

    fn tainted(mut self, key: &str) -> Self {
        self.taints.push(taint(key));
        self
    }

    fn limited(mut self, limits: RemainingLimits) -> Self {
        self.limits = limits;
        self
    }

    fn keeps(mut self, key: &str, min_values: usize) -> Self {
        self.requirements.push(PoolRequirement {
            requirement: Requirement::new(key, Operator::Exists, []),
            min_values: Some(min_values),
        });
        self
    }

    fn each_offer(mut self, change: impl Fn(&mut Offer)) -> Self {
        self.offers.iter_mut().for_each(change);
        self
    }
}

fn offer(
    pool: &BuyablePool,
    (instance_type, zone): (&str, &str),
    capacity_type: CapacityType,
    (cpu, memory_gib): (i64, i64),
    micro_usd: i64,
) -> Offer {
    let mut own = labels(&[
        (label::INSTANCE_TYPE, instance_type),
        (label::ZONE, zone),
        (label::CAPACITY_TYPE, capacity_type.as_str()),
        (
            label::INSTANCE_FAMILY,
            instance_type.split('.').next().unwrap_or(""),
        ),
        (label::INSTANCE_CPU, &cpu.to_string()),
        (label::ARCH, "amd64"),
    ]);
    own.extend(
        pool.labels
            .iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    let size = Resources {
        pods: 110,
        ..resources(cpu * 1000, memory_gib)
    };
    Offer {
        offering: Offering {
            market: Market {
                instance_type: instance_type.into(),
                zone: zone.into(),
            },
            capacity_type,
            price: PricePerHour(micro_usd),
        },
        labels: Arc::new(own),
        capacity: size.clone(),
        allocatable: size,
        attach_limits: Arc::default(),
        risk: PricePerHour::ZERO,
    }
}

/// A running node with 4 CPU and 16 GiB.
pub(crate) fn node(name: &str, zone: &str) -> PlacementNode {
    PlacementNode {
        name: NodeRef::Node(name.into()),
        labels: Arc::new(labels(&[
            (label::ZONE, zone),
            (label::HOSTNAME, name),
            (label::ARCH, "amd64"),
        ])),
        taints: vec![],
        allocatable: Resources {
            pods: 110,
            ..resources(4000, 16)
        },
        pods: vec![],
        reserved: Resources::default(),
        attached: BTreeMap::new(),
        attach_limits: BTreeMap::new(),
        accepts_pods: true,
    }
}

/// A node whose zone EC2 has not chosen yet.
pub(crate) fn on_its_way(name: &str) -> PlacementNode {
    PlacementNode {
        name: NodeRef::OnItsWay(name.into()),
        labels: Arc::default(),
        ..node(name, "a")
    }
}

/// One spot type of 4 CPU and 16 GiB in each of three zones, at 40, 41 and 42 millidollars.
pub(crate) fn three_zones(name: &str) -> BuyablePool {
    pool(name)
        .offer("m5.xlarge", "a", 4, 16, 40_000)
        .offer("m5.xlarge", "b", 4, 16, 41_000)
        .offer("m5.xlarge", "c", 4, 16, 42_000)
}

pub(crate) fn problem(pods: Vec<Vec<PendingPod>>, pools: Vec<BuyablePool>) -> Problem {
    Problem {
        pods: pods.into_iter().flatten().collect(),
        pools,
        ..Problem::default()
    }
}
