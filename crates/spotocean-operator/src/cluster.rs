//! Everything that is read from the apiserver: one feed per watched kind, and now and then the few facts that
//! no watch is worth.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{
    ConfigMap, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::{DeserializeGuard, GroupVersionKind};
use kube::runtime::watcher;
use kube::{Api, Client};
use spotocean_api::ocean_launch::OceanLaunch;
use spotocean_api::ocean_node::OceanNode;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_planner::translate;
use tokio::task::JoinSet;
use tracing::warn;

use crate::batch::News;
use crate::store::feed::feed;
use crate::store::kind::Kind;
use crate::store::{Store, definition};
use crate::wake::Wake;

/// How often the facts are read that are not watched.
const FACTS_EVERY: Duration = Duration::from_secs(60);
/// How often the definitions are read even if nothing of ours was deleted.
const DEFINITIONS_EVERY: Duration = Duration::from_secs(20);
/// The pause after a read of the definitions found a problem.
const DEFINITIONS_RETRY: Duration = Duration::from_secs(2);
/// How often values that nothing uses any more are dropped from the interner.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// Objects in one page of a list: whole pages are held before they are trimmed.
const PAGE_SIZE: u32 = 200;
/// Where EKS keeps its own workloads and settings.
const SYSTEM: &str = "kube-system";

/// What the readers share.
#[derive(Clone)]
pub struct Reader {
    /// The apiserver.
    pub client: Client,
    /// Where what was read goes.
    pub store: Arc<Store>,
    /// Rung on news.
    pub wake: Arc<Wake>,
}

/// Starts every reader.
pub fn start(reader: &Reader, tasks: &mut JoinSet<()>) {
    watch_all::<DeserializeGuard<SpotOcean>>(reader, tasks);
    watch_all::<DeserializeGuard<OceanNode>>(reader, tasks);
    watch_all::<DeserializeGuard<OceanLaunch>>(reader, tasks);
    watch_all::<Pod>(reader, tasks);
    watch_all::<Node>(reader, tasks);
    watch_all::<CSINode>(reader, tasks);
    watch_all::<DaemonSet>(reader, tasks);
    watch_all::<PersistentVolumeClaim>(reader, tasks);
    watch_all::<PersistentVolume>(reader, tasks);
    watch_all::<StorageClass>(reader, tasks);
    watch_all::<PodDisruptionBudget>(reader, tasks);
    watch_all::<Namespace>(reader, tasks);
    let system: Api<ConfigMap> = Api::namespaced(reader.client.clone(), SYSTEM);
    let aws_auth = watcher::Config::default().fields("metadata.name=aws-auth");
    tasks.spawn(feed(system, aws_auth, reader.store.clone(), reader.wake.clone()));
    tasks.spawn(keep_definitions(reader.clone()));
    tasks.spawn(keep_facts(reader.clone()));
    tasks.spawn(keep_swept(reader.store.clone()));
}

fn watch_all<K: Kind>(reader: &Reader, tasks: &mut JoinSet<()>) {
    let api: Api<K> = Api::all(reader.client.clone());
    let all = watcher::Config::default().page_size(PAGE_SIZE);
    tasks.spawn(feed(api, all, reader.store.clone(), reader.wake.clone()));
}

async fn keep_definitions(reader: Reader) {
    let wanted = reader.store.with(|objects| objects.definitions.wanted.clone());
    loop {
        let mark = reader.store.with(|objects| objects.definitions.mark());
        let problem = definition::problem(&reader.client).await;
        let pause = if problem.is_some() {
            DEFINITIONS_RETRY
        } else {
            DEFINITIONS_EVERY
        };
        let is_news = reader
            .store
            .with(|objects| objects.definitions.read(mark, problem.clone()));
        if is_news {
            if let Some(problem) = problem {
                warn!("{problem}");
            }
            reader.wake.ring(News::Change);
        }
        tokio::select! {
            () = wanted.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn keep_swept(store: Arc<Store>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        store.with(|objects| objects.interner.sweep());
    }
}

async fn keep_facts(reader: Reader) {
    loop {
        read_facts(&reader).await;
        tokio::time::sleep(FACTS_EVERY).await;
    }
}

async fn read_facts(reader: &Reader) {
    match reader.client.apiserver_version().await {
        Ok(version) => {
            // EKS writes the minor version as "36+".
            let minor = version.minor.trim_end_matches('+');
            let text: Arc<str> = format!("{}.{minor}", version.major).into();
            reader
                .store
                .with(|objects| objects.kubernetes_version = Some(text));
        }
        Err(error) => warn!(%error, "the apiserver's version cannot be read"),
    }
    let services: Api<Service> = Api::namespaced(reader.client.clone(), SYSTEM);
    match services.get_opt("kube-dns").await {
        Ok(service) => {
            let address = service
                .and_then(|service| service.spec?.cluster_ip)
                .map(Into::into);
            reader.store.with(|objects| objects.cluster_dns = address);
        }
        Err(error) => warn!(%error, "the cluster DNS service cannot be read"),
    }
    match other_autoscalers(&reader.client).await {
        Ok((deployments, node_pools)) => {
            let found = translate::other_autoscalers(&deployments, node_pools);
            reader
                .store
                .with(|objects| objects.other_autoscalers = Some(found));
        }
        Err(error) => warn!(%error, "other autoscalers cannot be looked for"),
    }
    reader.wake.ring(News::Change);
}

/// Deployments of the system namespace, where every guide puts Cluster Autoscaler, and the number of NodePools.
async fn other_autoscalers(client: &Client) -> Result<(Vec<Deployment>, usize), kube::Error> {
    let system: Api<Deployment> = Api::namespaced(client.clone(), SYSTEM);
    let deployments = system.list(&ListParams::default()).await?.items;
    let kind = GroupVersionKind::gvk("karpenter.sh", "v1", "NodePool");
    let node_pools: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    match node_pools.list_metadata(&ListParams::default().limit(1)).await {
        Ok(list) => Ok((deployments, list.items.len())),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok((deployments, 0)),
        Err(error) => Err(error),
    }
}
