//! From files to the planner's own snapshot: an ocean, a dump and a catalogue as one look at a world in which
//! nothing else stands in the way.
//!
//! AWS is assumed to have what the ocean names. Every pod without a node waits, whether a scheduler has looked
//! at it or not. Nodes with the labels of a pool are that pool's. The time is an hour after the newest object,
//! so that the same files give the same plan on every day.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spotocean_api::annotation::TERMINATION_FINALIZER;
use spotocean_api::ocean_node::{OceanNode, OceanNodeSpec, OceanNodeStatus, Phase};
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{InstanceId, ObjectKey, Uid};
use spotocean_core::instance::{
    Instance, InstanceState, TAG_CLUSTER_UID, TAG_LAUNCH, TAG_OCEAN, TAG_OCEAN_UID, TAG_POOL,
};
use spotocean_core::kubelet::PodDensity;
use spotocean_core::label;
use spotocean_core::node::Node;
use spotocean_core::offering::Market;
use spotocean_core::pod::Pod;
use spotocean_planner::snapshot::{Memory, Snapshot, Source, Sources};
use spotocean_planner::vocabulary;
use spotocean_planner::world::{World, assumed::assume};

use crate::catalogue::{Goods, measured_memory_bytes};
use crate::objects::Objects;
use crate::zones::{ZoneNames, zone_names};

/// The control plane that is assumed where the ocean states none; only the image's name depends on it.
const KUBERNETES_VERSION: &str = "1.36";
/// Between the newest object and the look.
const SETTLED: SignedDuration = SignedDuration::from_hours(1);

/// A world to plan for.
pub(crate) struct Rehearsal {
    /// The planner's question.
    pub(crate) snapshot: Snapshot,
    /// What was assumed, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// Puts the snapshot together.
pub(crate) fn rehearsal(oceans: Vec<SpotOcean>, mut objects: Objects, goods: &Goods) -> Rehearsal {
    objects.settle();
    let now = objects.newest.unwrap_or(Timestamp::UNIX_EPOCH) + SETTLED;
    let oceans: Vec<Arc<SpotOcean>> = oceans
        .into_iter()
        .map(|ocean| Arc::new(taken_into_care(ocean)))
        .collect();
    let claims = objects.claims();
    let zones = zone_names(&goods.zones, &oceans, &objects, &claims);
    let mut catalogue = goods.catalogue(&zones.names);
    catalogue.spot_prices_as_of = Some(now);
    adopt(&mut objects, &oceans, &catalogue);
    let pods = waiting(std::mem::take(&mut objects.pods), &objects.nodes);
    let complete = || Source {
        as_of: Some(now),
        is_complete: true,
        error: None,
    };
    let cluster_uid: Uid = objects.cluster_uid.as_deref().unwrap_or("rehearsal").into();
    let instances = instances(&objects.ocean_nodes, &cluster_uid);
    let mut snapshot = Snapshot {
        now,
        cluster_uid,
        kubernetes_version: Some(KUBERNETES_VERSION.into()),
        sources: Sources {
            kubernetes: complete(),
            instances: complete(),
            catalogue: complete(),
            prices: complete(),
            queue: complete(),
        },
        oceans,
        unreadable_oceans: BTreeSet::new(),
        ocean_nodes: shared(objects.ocean_nodes),
        launches: shared(objects.launches),
        pods,
        nodes: shared(objects.nodes),
        daemon_sets: shared(objects.daemon_sets),
        claims,
        disruption_budgets: shared(objects.disruption_budgets),
        namespaces: objects.namespaces,
        instances: Arc::new(instances),
        launch_templates: Arc::new(BTreeMap::new()),
        catalogue: Arc::new(catalogue),
        measured_memory_bytes: Arc::new(measured_memory_bytes()),
        world: Arc::new(World::default()),
        pod_density: objects.pod_density.unwrap_or(PodDensity::Unlimited),
        cluster_dns: None,
        aws_auth: None,
        other_autoscalers: BTreeSet::new(),
        events: Vec::new(),
        running: BTreeSet::new(),
        attempts: BTreeMap::new(),
        memory: Memory::default(),
    };
    assume(&mut snapshot);
    Rehearsal {
        snapshot,
        notes: notes(&zones),
    }
}

fn shared<K, V>(map: BTreeMap<K, V>) -> Vec<Arc<V>> {
    map.into_values().map(Arc::new).collect()
}

fn notes(zones: &ZoneNames) -> Vec<String> {
    if zones.assumed.is_empty() {
        return Vec::new();
    }
    let pairs: Vec<String> = zones
        .assumed
        .iter()
        .map(|(id, name)| format!("{name} = {id}"))
        .collect();
    vec![format!(
        "zone names are taken as in the catalogue's account ({}); dump a Node with the labels {} and {} to say how \
         this account names its zones",
        pairs.join(", "),
        label::ZONE,
        label::ZONE_ID
    )]
}

/// An ocean as if the operator had seen it already.
fn taken_into_care(mut ocean: SpotOcean) -> SpotOcean {
    let metadata = &mut ocean.metadata;
    metadata.deletion_timestamp = None;
    let finalizers = metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|own| own == TERMINATION_FINALIZER) {
        finalizers.push(TERMINATION_FINALIZER.to_owned());
    }
    let name = metadata.name.clone().unwrap_or_default();
    metadata.uid.get_or_insert(name);
    ocean
}

/// Every pod that could be bound waits; a nomination to a node that is not there is void.
fn waiting(pods: BTreeMap<ObjectKey, Pod>, nodes: &BTreeMap<Arc<str>, Node>) -> Vec<Arc<Pod>> {
    let prepared = pods.into_values().map(|mut pod| {
        pod.is_unschedulable = pod.node.is_none();
        pod.nominated_node = pod.nominated_node.filter(|name| nodes.contains_key(&name.0));
        Arc::new(pod)
    });
    prepared.collect()
}

/// Gives Nodes with a pool's labels the OceanNode that the operator would have for them.
fn adopt(objects: &mut Objects, oceans: &[Arc<SpotOcean>], catalogue: &spotocean_core::catalogue::Catalogue) {
    let recorded: BTreeSet<String> = objects
        .ocean_nodes
        .values()
        .filter_map(|own| own.status.as_ref()?.node_name.clone())
        .collect();
    for (name, node) in &mut objects.nodes {
        let Some(ocean) = oceans.iter().find(|ocean| owns(ocean, node)) else {
            continue;
        };
        if recorded.contains(&**name) {
            continue;
        }
        let instance = node
            .instance
            .get_or_insert_with(|| InstanceId::from(format!("i-{name}")));
        let instance = instance.to_string();
        let own = ocean_node(ocean, node, instance, catalogue);
        objects.ocean_nodes.entry(name.clone()).or_insert(own);
    }
}

/// The instance behind each OceanNode that has one, running.
fn instances(ocean_nodes: &BTreeMap<Arc<str>, OceanNode>, cluster_uid: &Uid) -> Vec<Instance> {
    let instance = |own: &OceanNode| {
        let status = own.status.as_ref()?;
        let tag = |key: &str, value: &str| (Arc::from(key), Arc::from(value));
        Some(Instance {
            id: status.instance_id.as_deref()?.into(),
            instance_type: status.instance_type.as_deref()?.into(),
            zone: status.zone.as_deref()?.into(),
            capacity_type: vocabulary::capacity_type(own.spec.capacity_type),
            state: InstanceState::Running,
            state_reason: "".into(),
            image: status.image_id.as_deref().unwrap_or_default().into(),
            launched_at: status
                .launched_at
                .as_ref()
                .map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            private_dns_name: status.node_name.as_deref().unwrap_or_default().into(),
            tags: BTreeMap::from([
                tag(TAG_CLUSTER_UID, cluster_uid.as_str()),
                tag(TAG_OCEAN, &own.spec.ocean_name),
                tag(TAG_OCEAN_UID, &own.spec.ocean_uid),
                tag(TAG_POOL, &own.spec.pool_name),
                tag(TAG_LAUNCH, &own.spec.launch_name),
            ]),
        })
    };
    let mut found: Vec<Instance> = ocean_nodes.values().filter_map(instance).collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found
}

fn owns(ocean: &SpotOcean, node: &Node) -> bool {
    let label = |key: &str| node.labels.get(key).map(AsRef::as_ref);
    let is_pool = |pool: &str| ocean.spec.pools.iter().any(|own| own.name == pool);
    label(label::OCEAN) == ocean.metadata.name.as_deref() && label(label::POOL).is_some_and(is_pool)
}

fn ocean_node(
    ocean: &SpotOcean,
    node: &Node,
    instance: String,
    catalogue: &spotocean_core::catalogue::Catalogue,
) -> OceanNode {
    let label = |key: &str| node.labels.get(key).map(ToString::to_string);
    let capacity_type = label(label::CAPACITY_TYPE)
        .and_then(|word| CapacityType::parse(&word))
        .unwrap_or(CapacityType::OnDemand);
    let (instance_type, zone) = (label(label::INSTANCE_TYPE), label(label::ZONE));
    let price = instance_type
        .as_deref()
        .zip(zone.as_deref())
        .and_then(|(instance_type, zone)| {
            let market = Market {
                instance_type: instance_type.into(),
                zone: zone.into(),
            };
            catalogue.price(&market, capacity_type)
        });
    let created = Some(Time(node.created_at));
    let mut own = OceanNode::new(
        node.name.as_str(),
        OceanNodeSpec {
            ocean_name: ocean.metadata.name.clone().unwrap_or_default(),
            ocean_uid: ocean.metadata.uid.clone().unwrap_or_default(),
            pool_name: label(label::POOL).unwrap_or_default(),
            launch_name: format!("before-{}", node.name),
            launch_index: 0,
            capacity_type: vocabulary::api_capacity_type(capacity_type),
            requirements: Vec::new(),
            resources: BTreeMap::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            taints: Vec::new(),
            startup_taints: Vec::new(),
            max_pods: None,
            template_hash: String::new(),
            for_pods: Vec::new(),
        },
    );
    own.metadata.uid = Some(format!("ocean-node-{}", node.name));
    own.metadata.creation_timestamp.clone_from(&created);
    own.metadata.finalizers = Some(vec![TERMINATION_FINALIZER.to_owned()]);
    own.status = Some(OceanNodeStatus {
        phase: Phase::Initialized,
        instance_id: Some(instance),
        instance_type,
        zone,
        capacity_type: Some(vocabulary::api_capacity_type(capacity_type)),
        price_micro_usd_per_hour: price.and_then(|price| u64::try_from(price.micro_usd()).ok()),
        node_name: Some(node.name.to_string()),
        launched_at: created.clone(),
        registered_at: created.clone(),
        initialized_at: created,
        ..OceanNodeStatus::default()
    });
    own
}
