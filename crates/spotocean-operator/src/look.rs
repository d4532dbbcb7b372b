//! One look: everything known, as one snapshot that shares what it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use spotocean_core::id::{InstanceTypeName, Namespace, Uid};
use spotocean_core::kubelet::PodDensity;
use spotocean_planner::snapshot::{Memory, Snapshot, Sources};

use crate::act::ledger::Ledger;
use crate::cloud::Seen;
use crate::store::{Objects, Store};

/// What a snapshot holds that no store knows.
#[derive(Clone)]
pub struct Own {
    /// The cluster's name for good.
    pub cluster_uid: Uid,
    /// Memory that Linux sees per type.
    pub measured_memory_bytes: Arc<BTreeMap<InstanceTypeName, i64>>,
    /// What is remembered.
    pub memory: Memory,
}

/// The UID of the kube-system namespace, once it has been seen.
pub fn cluster_uid(store: &Store) -> Option<Arc<str>> {
    store.with(|objects| {
        let system: Arc<str> = "kube-system".into();
        objects.namespaces.entry(&system).map(|row| row.uid.clone())
    })
}

/// Whether kube-scheduler has yet to say where a pod goes that was created within `window`. Older ones it may never
/// look at: their scheduler has another name and does not run.
pub fn is_pod_coming(store: &Store, window: Duration, now: Timestamp) -> bool {
    let is_young = |created_at: Timestamp| now.duration_since(created_at) <= window_of(window);
    store.with(|objects| {
        let mut pods = objects.pods.iter();
        pods.any(|(_, pod)| pod.awaits_scheduler() && is_young(pod.created_at))
    })
}

/// Creation times have whole seconds: a pod may be a second younger than it says.
fn window_of(window: Duration) -> SignedDuration {
    SignedDuration::try_from(window).unwrap_or(SignedDuration::ZERO) + SignedDuration::from_secs(1)
}

/// Puts together what is known at `now`.
pub fn snapshot(store: &Store, seen: Seen, ledger: &Ledger, own: Own, now: Timestamp) -> Snapshot {
    let (running, attempts) = (ledger.running(), ledger.attempts());
    store.with(|objects| {
        let (oceans, unreadable_oceans) = oceans(objects);
        let (daemon_sets, pod_density) = daemon_sets(objects);
        Snapshot {
            now,
            cluster_uid: own.cluster_uid,
            kubernetes_version: objects.kubernetes_version.clone(),
            sources: Sources {
                kubernetes: objects.source(now),
                instances: seen.instances_source,
                catalogue: seen.catalogue_source,
                prices: seen.prices_source,
                queue: seen.queue_source,
            },
            oceans,
            unreadable_oceans,
            ocean_nodes: readable(objects.ocean_nodes.iter()),
            launches: readable(objects.launches.iter()),
            pods: objects.pods.values(),
            nodes: objects.nodes.values(),
            daemon_sets,
            claims: objects.volumes.joined(),
            disruption_budgets: objects.disruption_budgets.values(),
            namespaces: namespaces(objects),
            instances: seen.instances,
            launch_templates: seen.launch_templates,
            catalogue: seen.catalogue,
            measured_memory_bytes: own.measured_memory_bytes,
            world: seen.world,
            pod_density,
            cluster_dns: objects.cluster_dns.clone(),
            aws_auth: objects.aws_auth.values().into_iter().next(),
            other_autoscalers: objects.other_autoscalers.clone().unwrap_or_default(),
            events: seen.events,
            running,
            attempts,
            memory: own.memory,
        }
    })
}

fn readable<'a, T: 'a>(
    rows: impl Iterator<Item = (&'a Arc<str>, &'a crate::store::kind::Readable<T>)>,
) -> Vec<Arc<T>> {
    rows.filter_map(|(_, row)| row.object().cloned()).collect()
}

fn oceans(objects: &Objects) -> (Vec<Arc<spotocean_api::spot_ocean::SpotOcean>>, BTreeSet<Arc<str>>) {
    let unreadable = objects.oceans.iter().filter(|(_, row)| row.object().is_none());
    let names = unreadable.map(|(name, _)| name.clone()).collect();
    (readable(objects.oceans.iter()), names)
}

fn daemon_sets(objects: &Objects) -> (Vec<Arc<spotocean_core::pod::DaemonSet>>, PodDensity) {
    let rows = objects.daemon_sets.values();
    let density = rows.iter().find_map(|row| row.pod_density);
    let daemon_sets = rows.into_iter().map(|row| row.daemon_set).collect();
    (daemon_sets, density.unwrap_or(PodDensity::Unlimited))
}

fn namespaces(objects: &Objects) -> BTreeMap<Namespace, Arc<spotocean_core::requirement::Labels>> {
    let rows = objects.namespaces.iter();
    rows.map(|(name, labels)| (Namespace(name.clone()), labels.clone()))
        .collect()
}
