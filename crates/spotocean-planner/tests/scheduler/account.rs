//! An AWS account that answers every question an ocean asks, and sells nine types in three zones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use spotocean_core::catalogue::Catalogue;
use spotocean_core::instance_type::{Accelerator, Architecture, InstanceType, name_parts};
use spotocean_core::kubelet::PodDensity;
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::Market;
use spotocean_core::port::{AccessEntryOutcome, Cluster, Image, SecurityGroup, Subnet};
use spotocean_planner::snapshot::{Memory, Snapshot, Source, Sources};
use spotocean_planner::world::{AccessMethod, AccessOutcome, Answer, World, questions};

/// Zones with their ids, cheapest first, and what spot costs there in percent of on-demand.
const ZONES: [(&str, &str, i64); 3] = [
    ("us-east-1a", "use1-az1", 40),
    ("us-east-1b", "use1-az2", 41),
    ("us-east-1c", "use1-az3", 42),
];

/// The time of the first look.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time")
}

/// A look at an empty cluster whose sources are complete.
pub(crate) fn snapshot(attachment_slots: i64) -> Snapshot {
    let complete = || Source {
        as_of: Some(now()),
        is_complete: true,
        error: None,
    };
    Snapshot {
        now: now(),
        cluster_uid: "cluster-uid".into(),
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
        namespaces: BTreeMap::new(),
        instances: Arc::new(Vec::new()),
        launch_templates: Arc::new(BTreeMap::new()),
        catalogue: Arc::new(catalogue(attachment_slots)),
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
    }
}

/// Answers the snapshot's questions. The second round asks what depends on the first round's answers.
pub(crate) fn answer_questions(snapshot: &mut Snapshot) {
    for _ in 0..2 {
        let world = answers(snapshot);
        snapshot.world = Arc::new(world);
    }
}

fn answer<T>(result: T) -> Answer<T> {
    Answer {
        as_of: now(),
        result: Ok(result),
    }
}

fn answers(snapshot: &Snapshot) -> World {
    let asked = questions(snapshot);
    let access = |method| match method {
        AccessMethod::AccessEntry => AccessOutcome::Entry(AccessEntryOutcome::Present),
        AccessMethod::AwsAuth => AccessOutcome::AwsAuthRow,
    };
    World {
        clusters: asked
            .clusters
            .into_iter()
            .map(|name| (name.clone(), answer(cluster(&name))))
            .collect(),
        subnets: asked
            .subnets
            .into_iter()
            .map(|terms| (terms, answer(subnets())))
            .collect(),
        security_groups: asked
            .security_groups
            .into_iter()
            .map(|terms| (terms, answer(groups())))
            .collect(),
        images: asked
            .images
            .into_iter()
            .map(|query| (query, answer(images())))
            .collect(),
        instance_profiles: asked
            .instance_profiles
            .into_iter()
            .map(|request| (request, answer(())))
            .collect(),
        access: asked
            .access
            .into_iter()
            .map(|request| {
                let outcome = access(request.method);
                (request, answer(outcome))
            })
            .collect(),
        ..World::default()
    }
}

fn cluster(name: &str) -> Cluster {
    Cluster {
        name: name.into(),
        endpoint: "https://shop.eks.example".into(),
        certificate_authority: "Q0E=".into(),
        service_cidr: "10.100.0.0/16".into(),
        version: "1.36".into(),
        authentication_mode: "API".into(),
        is_ipv6: false,
    }
}

fn subnets() -> Vec<Subnet> {
    ZONES
        .iter()
        .map(|(zone, zone_id, _)| Subnet {
            id: format!("subnet-{zone}").into(),
            zone: (*zone).into(),
            zone_id: (*zone_id).into(),
            free_addresses: 1000,
            vpc: "vpc-1".into(),
        })
        .collect()
}

fn groups() -> Vec<SecurityGroup> {
    vec![SecurityGroup {
        id: "sg-1".into(),
        name: "nodes".into(),
        vpc: "vpc-1".into(),
    }]
}

fn images() -> Vec<Image> {
    [("ami-x86", Architecture::Amd64), ("ami-arm", Architecture::Arm64)]
        .into_iter()
        .map(|(id, architecture)| Image {
            id: id.into(),
            name: id.into(),
            architecture,
            created_at: Timestamp::UNIX_EPOCH,
            root_volume_gib: Some(20),
            root_device: "/dev/xvda".into(),
        })
        .collect()
}

/// The last type is sold in the last zone only; types up to 4 vCPUs have so many attachment slots.
fn catalogue(attachment_slots: i64) -> Catalogue {
    let rows = [
        ("m5.large", 2, 8, 96_000),
        ("m5.xlarge", 4, 16, 192_000),
        ("m5.2xlarge", 8, 32, 384_000),
        ("c5.large", 2, 4, 85_000),
        ("c5.xlarge", 4, 8, 170_000),
        ("r5.large", 2, 16, 126_000),
        ("m6g.xlarge", 4, 16, 154_000),
        ("g4dn.xlarge", 4, 16, 526_000),
        ("r6i.xlarge", 4, 32, 252_000),
    ];
    let mut catalogue = Catalogue {
        region: "us-east-1".into(),
        zone_ids: ZONES
            .iter()
            .map(|(zone, id, _)| ((*zone).into(), (*id).into()))
            .collect(),
        spot_prices_as_of: Some(now()),
        ..Catalogue::default()
    };
    for (name, vcpus, memory_gib, micro_usd) in rows {
        let slots = if vcpus <= 4 { attachment_slots } else { 27 };
        let described = instance_type(name, vcpus, memory_gib, slots);
        catalogue.types.insert(name.into(), Arc::new(described));
        let price = PricePerHour(micro_usd);
        catalogue.on_demand_prices.insert(name.into(), price);
        for (zone, _, percent) in ZONES {
            if name == "r6i.xlarge" && zone != ZONES[2].0 {
                continue;
            }
            catalogue
                .zones
                .entry(name.into())
                .or_default()
                .insert(zone.into());
            let market = Market {
                instance_type: name.into(),
                zone: zone.into(),
            };
            let price = PricePerHour(micro_usd / 100 * percent);
            catalogue.spot_prices.insert(market, price);
        }
    }
    catalogue
}

fn instance_type(name: &str, vcpus: i64, memory_gib: i64, attachment_slots: i64) -> InstanceType {
    let family = name_parts(name).family;
    let gpu = Accelerator {
        resource: "nvidia.com/gpu".into(),
        name: "t4".into(),
        count: 1,
    };
    InstanceType {
        name: name.into(),
        architecture: if family == "m6g" {
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
        accelerators: (family == "g4dn").then_some(gpu).into_iter().collect(),
        hypervisor: "nitro".into(),
        is_bare_metal: false,
        is_burstable: false,
        supports_spot: true,
        attachment_slots,
    }
}
