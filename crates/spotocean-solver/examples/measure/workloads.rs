//! The workloads measured, each as a name and a way to make it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spotocean_core::id::{Namespace, ObjectKey};
use spotocean_core::kubelet::{GIB, MIB};
use spotocean_core::label;
use spotocean_core::pod::{DaemonSet, Pod, PodPhase, PodShape};
use spotocean_core::requirement::Labels;
use spotocean_core::resources::Resources;
use spotocean_core::selector::LabelSelector;
use spotocean_core::topology::{NodeInclusion, PodAffinityTerm, TopologySpread, WhenUnsatisfiable};
use spotocean_solver::problem::{BuyablePool, NodeRef, PendingPod, PlacementNode, Problem};

use crate::market::{self, Choice};

type Make = Box<dyn Fn() -> Problem>;

const REAL: Choice = Choice {
    vcpus: 192,
    is_general: true,
    zones_differ: false,
    has_on_demand: false,
};

/// All of them.
pub(crate) fn all(data: &Path) -> Vec<(String, Make)> {
    let mut all: Vec<(String, Make)> = Vec::new();
    let mut add = |name: String, make: Make| all.push((name, make));
    for vcpus in [32, 192] {
        for zones_differ in [false, true] {
            let choice = Choice {
                vcpus,
                zones_differ,
                ..REAL
            };
            let tag = format!("{vcpus}{}", if zones_differ { " zonal" } else { "" });
            let own = data.to_owned();
            add(
                format!("openb {tag}"),
                Box::new(move || real(&own, choice, openb(&own, vcpus))),
            );
            for pods in [50, 500, 3000] {
                let own = data.to_owned();
                add(
                    format!("generic {pods} {tag}"),
                    Box::new(move || real(&own, choice, generic(pods, 42))),
                );
                let own = data.to_owned();
                add(
                    format!("lognormal {pods} {tag}"),
                    Box::new(move || real(&own, choice, lognormal(pods, 7, 700.0, 1400.0))),
                );
                let own = data.to_owned();
                add(
                    format!("large {pods} {tag}"),
                    Box::new(move || real(&own, choice, lognormal(pods, 9, 4000.0, 12000.0))),
                );
                let own = data.to_owned();
                add(
                    format!("spread {pods} {tag}"),
                    Box::new(move || real(&own, choice, spread_services(pods, 11))),
                );
            }
        }
    }
    for pods in [100, 1000, 5000, 20000] {
        add(
            format!("karpenter diverse {pods}"),
            Box::new(move || problem(diverse(pods), vec![market::fake_types(400)])),
        );
        add(
            format!("karpenter generic {pods}"),
            Box::new(move || problem(generic(pods, 42), vec![market::fake_types(400)])),
        );
        let own = data.to_owned();
        add(
            format!("diverse {pods} real 192"),
            Box::new(move || real(&own, REAL, diverse(pods))),
        );
    }
    add_sizes(data, &mut add);
    all
}

fn add_sizes(data: &Path, add: &mut impl FnMut(String, Make)) {
    let whole = Choice {
        vcpus: 192,
        is_general: false,
        zones_differ: true,
        has_on_demand: true,
    };
    for (pods, shapes) in [(10_000, 30), (10_000, 150), (100_000, 30), (100_000, 300)] {
        let own = data.to_owned();
        add(
            format!("size {pods} of {shapes} shapes, 900 types"),
            Box::new(move || real(&own, whole, shaped(pods, shapes))),
        );
    }
    for pods in [500, 5000] {
        let own = data.to_owned();
        add(
            format!("1000 nodes there, {pods} pods"),
            Box::new(move || {
                let mut problem = real(&own, REAL, generic(pods, 5));
                problem.nodes = (0..1000).map(there).collect();
                problem
            }),
        );
    }
    let own = data.to_owned();
    add(
        "20 pools, 15 daemon sets, 3000 pods".to_owned(),
        Box::new(move || pools_and_daemons(&own)),
    );
}

fn real(data: &Path, choice: Choice, pods: Vec<PendingPod>) -> Problem {
    problem(pods, vec![market::us_east_1(data, choice)])
}

fn problem(pods: Vec<PendingPod>, pools: Vec<BuyablePool>) -> Problem {
    Problem {
        pods,
        pools,
        ..Problem::default()
    }
}

/// A small generator whose numbers are the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// Pods under construction: equal shapes share one allocation.
#[derive(Default)]
struct Workload {
    pods: Vec<PendingPod>,
    shapes: std::collections::BTreeMap<PodShape, Arc<PodShape>>,
}

impl Workload {
    fn add(&mut self, labels: &[(&str, &str)], shape: PodShape, pools: &Arc<[&str]>) {
        let shape = self
            .shapes
            .entry(shape.clone())
            .or_insert_with(|| Arc::new(shape))
            .clone();
        let name = format!("pod-{}", self.pods.len());
        let labels: Labels = labels
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect();
        let pod = pod(&name, Arc::new(labels), shape);
        self.pods.push(PendingPod {
            pod: Arc::new(pod),
            volumes: vec![],
            served_by: pools.iter().map(|name| market::key(name)).collect(),
        });
    }
}

fn pod(name: &str, labels: Arc<Labels>, shape: Arc<PodShape>) -> Pod {
    Pod {
        key: ObjectKey::new("default", name),
        uid: name.into(),
        labels,
        shape,
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
    }
}

fn general() -> Arc<[&'static str]> {
    Arc::from(["general"])
}

fn sized(cpu_millis: i64, memory_bytes: i64) -> PodShape {
    PodShape {
        requests: Resources {
            cpu_millis,
            memory_bytes,
            pods: 1,
            ..Resources::default()
        },
        ..PodShape::default()
    }
}

fn karpenter_size(random: &mut Random) -> PodShape {
    let cpu = [100, 250, 500, 1000, 1500][random.below(5)];
    let memory = [100, 256, 512, 1024, 2048, 4096][random.below(6)];
    sized(cpu, memory * MIB)
}

/// Karpenter's generic mix.
fn generic(pods: usize, seed: u64) -> Vec<PendingPod> {
    let mut random = Random(seed);
    let mut workload = Workload::default();
    for _ in 0..pods {
        let shape = karpenter_size(&mut random);
        workload.add(&[], shape, &general());
    }
    workload.pods
}

fn letter(random: &mut Random) -> &'static str {
    ["a", "b", "c", "d", "e", "f", "g"][random.below(7)]
}

fn selector(key: &str, value: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Labels::from([(key.into(), value.into())]),
        match_expressions: vec![],
    }
}

fn spread(key: &str, selector: LabelSelector) -> TopologySpread {
    TopologySpread {
        max_skew: 1,
        topology_key: key.into(),
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: Some(selector),
        min_domains: None,
        node_affinity_policy: NodeInclusion::Honor,
        node_taints_policy: NodeInclusion::Ignore,
    }
}

fn term(key: &str, selector: LabelSelector) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: key.into(),
        selector: Some(selector),
        namespaces: BTreeSet::from([Namespace::from("default")]),
        namespace_selector: None,
    }
}

/// Karpenter's diverse mix: generic, zone spread, host spread, zone affinity, host anti-affinity, a fifth each.
fn diverse(pods: usize) -> Vec<PendingPod> {
    let mut random = Random(42);
    let mut workload = Workload::default();
    for _ in 0..pods / 5 {
        let shape = karpenter_size(&mut random);
        let own = letter(&mut random);
        workload.add(&[("my-label", own)], shape, &general());
    }
    for key in [label::ZONE, label::HOSTNAME] {
        for _ in 0..pods / 5 {
            let mut shape = karpenter_size(&mut random);
            let own = letter(&mut random);
            shape
                .spread
                .push(spread(key, selector("my-label", letter(&mut random))));
            workload.add(&[("my-label", own)], shape, &general());
        }
    }
    for _ in 0..pods / 5 {
        let mut shape = karpenter_size(&mut random);
        let own = letter(&mut random);
        shape
            .affinity
            .push(term(label::ZONE, selector("my-affininity", letter(&mut random))));
        workload.add(&[("my-affininity", own)], shape, &general());
    }
    for _ in 0..pods / 5 {
        let mut shape = karpenter_size(&mut random);
        shape
            .anti_affinity
            .push(term(label::HOSTNAME, selector("app", "nginx")));
        workload.add(&[("app", "nginx")], shape, &general());
    }
    workload.pods
}

/// Pods of lognormal sizes in services of some ten.
fn lognormal(pods: usize, seed: u64, cpu: f64, memory: f64) -> Vec<PendingPod> {
    let mut random = Random(seed);
    let mut workload = Workload::default();
    while workload.pods.len() < pods {
        let millis = (cpu * random.normal().exp() / 50.0).ceil().clamp(1.0, 400.0) * 50.0;
        let mib = (memory * (random.normal() * 0.9).exp() / 64.0)
            .ceil()
            .clamp(1.0, 1500.0)
            * 64.0;
        let shape = sized(millis as i64, mib as i64 * MIB);
        for _ in 0..(1 + random.below(19)).min(pods - workload.pods.len()) {
            workload.add(&[], shape.clone(), &general());
        }
    }
    workload.pods
}

/// Services with a zone spread each, or apart from their own kind by host, or free.
fn spread_services(pods: usize, seed: u64) -> Vec<PendingPod> {
    let mut random = Random(seed);
    let mut workload = Workload::default();
    let mut service = 0;
    while workload.pods.len() < pods {
        service += 1;
        let app = format!("s{service}");
        let mut shape = sized(
            (1 + random.below(40)) as i64 * 100,
            (1 + random.below(64)) as i64 * 128 * MIB,
        );
        match random.below(4) {
            0 | 1 => shape.spread.push(spread(label::ZONE, selector("app", &app))),
            2 => shape
                .anti_affinity
                .push(term(label::HOSTNAME, selector("app", &app))),
            _ => {}
        }
        for _ in 0..(2 + random.below(20)).min(pods - workload.pods.len()) {
            workload.add(&[("app", &app)], shape.clone(), &general());
        }
    }
    workload.pods
}

/// So many pods of so many shapes.
fn shaped(pods: usize, shapes: usize) -> Vec<PendingPod> {
    let mut random = Random(3);
    let mut workload = Workload::default();
    let sizes: Vec<PodShape> = (0..shapes)
        .map(|_| {
            let cpu = (1 + random.below(80)) as i64 * 50;
            let memory = (1 + random.below(160)) as i64 * 64 * MIB;
            sized(cpu, memory)
        })
        .collect();
    for index in 0..pods {
        workload.add(&[], sizes[index % shapes].clone(), &general());
    }
    workload.pods
}

/// Real CPU pods of the openb trace that fit `vcpus`.
fn openb(data: &Path, vcpus: i64) -> Vec<PendingPod> {
    let path: PathBuf = data.join("workloads/openb_pod_list_default.csv");
    let text = std::fs::read_to_string(path).expect("the trace");
    let mut workload = Workload::default();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |at: usize| fields[at].parse::<i64>().unwrap_or(0);
        let (cpu, memory, gpus) = (number(1), number(2), number(3));
        let fits = cpu <= vcpus * 1000 - 1500 && memory <= vcpus * 7000;
        if gpus == 0 && fits {
            workload.add(&[], sized(cpu, memory * MIB), &general());
        }
    }
    workload.pods
}

/// A node that is there, partly used.
fn there(index: i64) -> PlacementNode {
    let name = format!("node-{index}");
    let mut random = Random(index.unsigned_abs());
    let cpu = 4000_i64 << random.below(3);
    let used = (70 + random.below(30)) as i64;
    let name = name.as_str();
    PlacementNode {
        name: NodeRef::Node(name.into()),
        labels: Arc::new(Labels::from([
            (
                label::ZONE.into(),
                ["us-east-1a", "us-east-1b", "us-east-1c"][random.below(3)].into(),
            ),
            (label::HOSTNAME.into(), name.into()),
            (label::ARCH.into(), "amd64".into()),
        ])),
        taints: vec![],
        allocatable: Resources {
            cpu_millis: cpu,
            memory_bytes: cpu / 1000 * 4 * GIB,
            ephemeral_storage_bytes: 100 * GIB,
            pods: 110,
            ..Resources::default()
        },
        pods: vec![],
        reserved: Resources {
            cpu_millis: cpu * used / 100,
            memory_bytes: cpu / 1000 * 4 * GIB * (used - 5) / 100,
            pods: 20,
            ..Resources::default()
        },
        attached: std::collections::BTreeMap::new(),
        attach_limits: std::collections::BTreeMap::new(),
        accepts_pods: true,
    }
}

/// Twenty pools of two weights over different slices of the region, and 15 DaemonSets.
fn pools_and_daemons(data: &Path) -> Problem {
    let choice = Choice {
        zones_differ: true,
        has_on_demand: true,
        ..REAL
    };
    let whole = market::us_east_1(data, choice);
    let mut pools = Vec::new();
    let names: Vec<String> = (0..20).map(|index| format!("pool-{index}")).collect();
    for (index, name) in names.iter().enumerate() {
        let mut pool = market::empty(name);
        pool.weight = i32::try_from(index % 2).unwrap_or(0);
        let offers = whole.offers.iter().enumerate();
        pool.offers = offers
            .filter(|(position, _)| position % 7 != index % 7)
            .map(|(_, offer)| offer.clone())
            .collect();
        pools.push(pool);
    }
    let served: Arc<[&str]> = names.iter().map(String::as_str).collect();
    let mut random = Random(17);
    let mut workload = Workload::default();
    for _ in 0..3000 {
        let shape = karpenter_size(&mut random);
        workload.add(&[], shape, &served);
    }
    let daemon_sets = (0..15).map(|index| {
        let name = format!("daemon-{index}");
        Arc::new(DaemonSet {
            key: ObjectKey::new("kube-system", &name),
            uid: name.as_str().into(),
            labels: Arc::default(),
            shape: Arc::new(sized(10 + 5 * index, (20 + 10 * index) * MIB)),
        })
    });
    Problem {
        pods: workload.pods,
        pools,
        daemon_sets: daemon_sets.collect(),
        ..Problem::default()
    }
}
