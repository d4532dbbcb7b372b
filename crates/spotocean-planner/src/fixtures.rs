//! Small worlds for tests: a snapshot with everything complete, and objects to put into it.
//!
//! Names are the identity: the uid of an object called `x` is `uid-x`, the
//! instance behind OceanNode `n1` is `i-n1`, its Node is called `n1` too.

pub(crate) mod play;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use spotocean_api::annotation::TERMINATION_FINALIZER;
use spotocean_api::capacity_type::CapacityType as ApiCapacityType;
use spotocean_api::cluster::Cluster;
use spotocean_api::ocean_node::{OceanNode, OceanNodeSpec, OceanNodeStatus, Phase};
use spotocean_api::pool::Pool;
use spotocean_api::spot_ocean::{SpotOcean, SpotOceanSpec};
use spotocean_api::template::Template;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::catalogue::Catalogue;
use spotocean_core::id::{InstanceId, ObjectKey, Uid};
use spotocean_core::instance::{
    Instance, InstanceState, TAG_CLUSTER_UID, TAG_LAUNCH, TAG_OCEAN, TAG_OCEAN_UID, TAG_POOL,
};
use spotocean_core::instance_type::{Architecture, InstanceType};
use spotocean_core::kubelet::{GIB, PodDensity};
use spotocean_core::money::PricePerHour;
use spotocean_core::node::{Node, Readiness};
use spotocean_core::offering::Market;
use spotocean_core::pod::{Owner, Pod, PodPhase, PodShape};
use spotocean_core::port::{CloudEvent, CloudEventKind};
use spotocean_core::requirement::Labels;
use spotocean_core::resources::Resources;
use spotocean_core::{instance_type, label};

use crate::snapshot::{Memory, ReceivedEvent, Snapshot, Source, Sources};
use crate::world::World;

/// The UID of the kube-system namespace in all fixtures.
pub(crate) const CLUSTER_UID: &str = "cluster-uid";

/// The time of every fixture's look.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// So many seconds before [`now`].
pub(crate) fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

/// Labels from pairs.
pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect()
}

/// CPU in milli-CPU and memory in GiB, with room for `pods` pods.
pub(crate) fn resources(cpu_millis: i64, memory_gib: i64, pods: i64) -> Resources {
    Resources {
        cpu_millis,
        memory_bytes: memory_gib * GIB,
        ephemeral_storage_bytes: 20 * GIB,
        pods,
        extended: BTreeMap::new(),
    }
}

/// A snapshot under construction.
#[derive(Clone)]
pub(crate) struct SnapshotBuilder {
    snapshot: Snapshot,
}

/// A complete, empty world at [`now`] with [`catalogue`] on sale.
pub(crate) fn snapshot() -> SnapshotBuilder {
    let complete = || Source {
        as_of: Some(now()),
        is_complete: true,
        error: None,
    };
    SnapshotBuilder {
        snapshot: Snapshot {
            now: now(),
            cluster_uid: CLUSTER_UID.into(),
            kubernetes_version: Some("1.36".into()),
            sources: Sources {
                kubernetes: complete(),
                instances: complete(),
                catalogue: complete(),
                prices: complete(),
                queue: complete(),
            },
            oceans: Vec::new(),
            unreadable_oceans: BTreeSet::new(),
            ocean_nodes: Vec::new(),
            launches: Vec::new(),
            pods: Vec::new(),
            nodes: Vec::new(),
            daemon_sets: Vec::new(),
            claims: BTreeMap::new(),
            disruption_budgets: Vec::new(),
            namespaces: BTreeMap::from([("default".into(), Arc::new(Labels::new()))]),
            instances: Arc::new(Vec::new()),
            launch_templates: Arc::new(BTreeMap::new()),
            catalogue: Arc::new(catalogue()),
            measured_memory_bytes: Arc::new(BTreeMap::new()),
            world: Arc::new(World::default()),
            pod_density: PodDensity::Unlimited,
            cluster_dns: Some("10.100.0.10".into()),
            aws_auth: None,
            other_autoscalers: BTreeSet::new(),
            events: Vec::new(),
            running: BTreeSet::new(),
            attempts: BTreeMap::new(),
            memory: Memory::default(),
        },
    }
}

impl From<Snapshot> for SnapshotBuilder {
    fn from(snapshot: Snapshot) -> Self {
        Self { snapshot }
    }
}

impl SnapshotBuilder {
    /// Adds an ocean.
    pub(crate) fn ocean(mut self, ocean: SpotOcean) -> Self {
        self.snapshot.oceans.push(Arc::new(ocean));
        self
    }

    /// Adds a pod.
    pub(crate) fn pod(mut self, pod: Pod) -> Self {
        self.snapshot.pods.push(Arc::new(pod));
        self.snapshot.pods.sort_by(|a, b| a.key.cmp(&b.key));
        self
    }

    /// Adds a Node alone.
    pub(crate) fn node(mut self, node: Node) -> Self {
        self.snapshot.nodes.push(Arc::new(node));
        self.snapshot.nodes.sort_by(|a, b| a.name.cmp(&b.name));
        self
    }

    /// Adds an OceanNode alone.
    pub(crate) fn ocean_node(mut self, node: OceanNode) -> Self {
        self.snapshot.ocean_nodes.push(Arc::new(node));
        self
    }

    /// Adds an instance alone.
    pub(crate) fn instance(mut self, instance: Instance) -> Self {
        let instances = Arc::make_mut(&mut self.snapshot.instances);
        instances.push(instance);
        instances.sort_by(|a, b| a.id.cmp(&b.id));
        self
    }

    /// Adds a whole node: OceanNode in `phase`, its running instance, and its Ready Node where the phase has one.
    pub(crate) fn member(self, name: &str, ocean: &str, phase: Phase) -> Self {
        let world = self.ocean_node(ocean_node(name, ocean, phase)).instance(instance(
            name,
            ocean,
            InstanceState::Running,
        ));
        match phase {
            Phase::Pending | Phase::Launched => world,
            Phase::Registered | Phase::Initialized | Phase::Draining | Phase::Terminating => {
                world.node(node(name, ocean))
            }
        }
    }

    /// Adds a queue event about the instance of OceanNode `name`.
    pub(crate) fn event(mut self, name: &str, kind: CloudEventKind, time: Timestamp) -> Self {
        let number = self.snapshot.events.len();
        self.snapshot.events.push(ReceivedEvent {
            receipt: format!("receipt-{number}").into(),
            event: CloudEvent {
                id: format!("event-{number}").into(),
                time,
                instances: vec![InstanceId::from(format!("i-{name}"))],
                kind,
            },
        });
        self
    }

    /// Changes whatever the other methods do not reach.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Snapshot)) -> Self {
        change(&mut self.snapshot);
        self
    }

    /// The snapshot.
    pub(crate) fn build(self) -> Snapshot {
        self.snapshot
    }
}

/// An ocean with one default pool per name, its finalizer in place.
pub(crate) fn ocean(name: &str, pools: &[&str]) -> SpotOcean {
    let pools = pools
        .iter()
        .map(|name| Pool {
            name: (*name).to_owned(),
            ..Pool::default()
        })
        .collect();
    let spec = SpotOceanSpec {
        cluster: Cluster {
            name: "shop".into(),
            ..Cluster::default()
        },
        template: Template {
            role: Some("node-role".into()),
            ..Template::default()
        },
        pools,
        ..SpotOceanSpec::default()
    };
    let mut ocean = SpotOcean::new(name, spec);
    ocean.metadata = ObjectMeta {
        finalizers: Some(vec![TERMINATION_FINALIZER.into()]),
        generation: Some(1),
        ..metadata(name)
    };
    ocean
}

/// The metadata of an object created an hour ago.
pub(crate) fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        uid: Some(format!("uid-{name}")),
        resource_version: Some("1".into()),
        creation_timestamp: Some(Time(ago(3600))),
        ..ObjectMeta::default()
    }
}

/// An OceanNode of pool `main`, bought as m5.large spot in us-east-1a an hour ago by launch `launch-<name>`.
pub(crate) fn ocean_node(name: &str, ocean: &str, phase: Phase) -> OceanNode {
    let spec = OceanNodeSpec {
        ocean_name: ocean.to_owned(),
        ocean_uid: format!("uid-{ocean}"),
        pool_name: "main".into(),
        launch_name: format!("launch-{name}"),
        launch_index: 0,
        capacity_type: ApiCapacityType::Spot,
        requirements: Vec::new(),
        resources: BTreeMap::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        taints: Vec::new(),
        startup_taints: Vec::new(),
        max_pods: None,
        template_hash: "hash".into(),
        for_pods: Vec::new(),
    };
    let mut node = OceanNode::new(name, spec);
    node.metadata = ObjectMeta {
        finalizers: Some(vec![TERMINATION_FINALIZER.into()]),
        ..metadata(name)
    };
    node.status = (phase != Phase::Pending).then(|| status(name, phase));
    node
}

fn status(name: &str, phase: Phase) -> OceanNodeStatus {
    let has_node = !matches!(phase, Phase::Pending | Phase::Launched);
    let at = |seconds| Some(Time(ago(seconds)));
    OceanNodeStatus {
        phase,
        instance_id: Some(format!("i-{name}")),
        provider_id: Some(format!("aws:///us-east-1a/i-{name}")),
        instance_type: Some("m5.large".into()),
        zone: Some("us-east-1a".into()),
        capacity_type: Some(ApiCapacityType::Spot),
        image_id: Some("ami-1".into()),
        node_name: has_node.then(|| name.to_owned()),
        launched_at: at(3600),
        registered_at: at(3500).filter(|_| has_node),
        initialized_at: at(3400).filter(|_| has_node && phase != Phase::Registered),
        ..OceanNodeStatus::default()
    }
}

/// The instance `i-<name>`: m5.large spot in us-east-1a, launched an hour ago, with our tags.
pub(crate) fn instance(name: &str, ocean: &str, state: InstanceState) -> Instance {
    let tag = |key: &str, value: String| (Arc::from(key), Arc::from(value));
    Instance {
        id: InstanceId::from(format!("i-{name}")),
        instance_type: "m5.large".into(),
        zone: "us-east-1a".into(),
        capacity_type: CapacityType::Spot,
        state,
        state_reason: "".into(),
        image: "ami-1".into(),
        launched_at: ago(3600),
        private_dns_name: format!("{name}.ec2.internal").into(),
        tags: BTreeMap::from([
            tag(TAG_CLUSTER_UID, CLUSTER_UID.to_owned()),
            tag(TAG_OCEAN, ocean.to_owned()),
            tag(TAG_OCEAN_UID, format!("uid-{ocean}")),
            tag(TAG_POOL, "main".to_owned()),
            tag(TAG_LAUNCH, format!("launch-{name}")),
        ]),
    }
}

/// The Ready Node `<name>` of instance `i-<name>`, with the labels of an m5.large in us-east-1a.
pub(crate) fn node(name: &str, ocean: &str) -> Node {
    let own = labels(&[
        (label::HOSTNAME, name),
        (label::ZONE, "us-east-1a"),
        (label::OCEAN, ocean),
        (label::POOL, "main"),
        (label::CAPACITY_TYPE, "spot"),
    ]);
    let mut all = instance_type("m5.large", 2, 8).labels();
    all.extend(own);
    Node {
        name: name.into(),
        uid: Uid::from(format!("uid-{name}")),
        resource_version: "1".into(),
        labels: Arc::new(all),
        taints: Vec::new(),
        is_cordoned: false,
        instance: Some(InstanceId::from(format!("i-{name}"))),
        capacity: resources(2000, 8, 110),
        allocatable: resources(1930, 7, 110),
        attach_limits: BTreeMap::new(),
        readiness: Readiness::Ready,
        created_at: ago(3500),
        deleted_at: None,
        do_not_disrupt: false,
    }
}

/// A pending, unschedulable pod of ReplicaSet `web` in `default` that asks for half a core and 1 GiB.
pub(crate) fn pod(name: &str) -> Pod {
    Pod {
        key: ObjectKey::new("default", name),
        uid: Uid::from(format!("uid-{name}")),
        labels: Arc::new(labels(&[("app", "web")])),
        shape: Arc::new(PodShape {
            requests: Resources {
                ephemeral_storage_bytes: 0,
                ..resources(500, 1, 1)
            },
            ..PodShape::default()
        }),
        claims: Vec::new(),
        priority: 0,
        node: None,
        nominated_node: None,
        phase: PodPhase::Pending,
        is_unschedulable: true,
        is_gated: false,
        owner: Some(Owner {
            kind: "ReplicaSet".into(),
            name: "web".into(),
            uid: "uid-web".into(),
        }),
        is_mirror: false,
        created_at: ago(60),
        deleted_at: None,
        termination_grace_seconds: 30,
        do_not_disrupt: None,
        retry: None,
        spot_percentage: None,
    }
}

/// The same pod running on a node.
pub(crate) fn running(name: &str, node: &str) -> Pod {
    Pod {
        node: Some(node.into()),
        phase: PodPhase::Running,
        is_unschedulable: false,
        created_at: ago(3000),
        ..pod(name)
    }
}

/// A DaemonSet's pod running on a node.
pub(crate) fn daemon(name: &str, node: &str) -> Pod {
    Pod {
        owner: Some(Owner {
            kind: "DaemonSet".into(),
            name: "agent".into(),
            uid: "uid-agent".into(),
        }),
        ..running(name, node)
    }
}

/// A Nitro amd64 type of so many vCPUs and GiB.
pub(crate) fn instance_type(name: &str, vcpus: i64, memory_gib: i64) -> InstanceType {
    let parts = instance_type::name_parts(name);
    InstanceType {
        name: name.into(),
        architecture: if parts.family.ends_with('g') {
            Architecture::Arm64
        } else {
            Architecture::Amd64
        },
        vcpus,
        memory_mib: memory_gib * 1024,
        network_interfaces: 3,
        ipv4_per_interface: 10,
        network_gbps: 10,
        local_nvme_gb: 0,
        local_nvme_disks: 0,
        accelerators: Vec::new(),
        hypervisor: "nitro".into(),
        is_bare_metal: false,
        is_burstable: parts.category == "t",
        supports_spot: true,
        attachment_slots: 27,
    }
}

/// Six types in three zones of us-east-1; spot costs 40 % of on-demand in zone a, 41 % in b, 42 % in c.
pub(crate) fn catalogue() -> Catalogue {
    let rows = [
        ("m5.large", 2, 8, 96_000),
        ("m5.xlarge", 4, 16, 192_000),
        ("m5.4xlarge", 16, 64, 768_000),
        ("c5.xlarge", 4, 8, 170_000),
        ("r5.large", 2, 16, 126_000),
        ("m6g.xlarge", 4, 16, 154_000),
    ];
    let zones = [
        ("us-east-1a", "use1-az1", 40),
        ("us-east-1b", "use1-az2", 41),
        ("us-east-1c", "use1-az3", 42),
    ];
    let mut catalogue = Catalogue {
        region: "us-east-1".into(),
        zone_ids: zones
            .iter()
            .map(|(zone, id, _)| ((*zone).into(), (*id).into()))
            .collect(),
        spot_prices_as_of: Some(now()),
        ..Catalogue::default()
    };
    for (name, vcpus, memory_gib, micro_usd) in rows {
        let described = Arc::new(instance_type(name, vcpus, memory_gib));
        catalogue.types.insert(name.into(), described);
        catalogue
            .on_demand_prices
            .insert(name.into(), PricePerHour(micro_usd));
        for (zone, _, percent) in zones {
            catalogue
                .zones
                .entry(name.into())
                .or_default()
                .insert(zone.into());
            let market = Market {
                instance_type: name.into(),
                zone: zone.into(),
            };
            catalogue
                .spot_prices
                .insert(market, PricePerHour(micro_usd / 100 * percent));
        }
    }
    catalogue
}
