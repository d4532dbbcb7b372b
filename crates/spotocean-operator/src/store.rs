//! The cluster as planning sees it: every watched object translated, trimmed and shared.
//!
//! One lock around plain data; nobody waits while holding it. What a kind is made of is said in [`kind`], how
//! it is kept up to date in [`feed`], which of two views is newer in [`table`].

pub mod definition;
pub mod entry;
pub mod feed;
pub mod kind;
pub mod table;
pub mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use spotocean_api::ocean_launch::OceanLaunch;
use spotocean_api::ocean_node::OceanNode;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::id::ObjectKey;
use spotocean_core::node::Node;
use spotocean_core::pod::Pod;
use spotocean_core::port::{CloudError, CloudErrorKind};
use spotocean_core::requirement::Labels;
use spotocean_planner::snapshot::{AwsAuth, DisruptionBudget, OtherAutoscaler, Source};
use spotocean_planner::translate::Interner;

use definition::Definitions;
use kind::{DaemonSetRow, Readable};
use table::Table;
use volume::Volumes;

/// Attach limits of one node by CSI driver.
pub type AttachLimits = BTreeMap<Arc<str>, i64>;

/// Everything watched.
#[derive(Default)]
pub struct Objects {
    /// Shares equal shapes, labels and names between objects.
    pub interner: Interner,
    /// SpotOceans by name.
    pub oceans: Table<Arc<str>, Readable<SpotOcean>>,
    /// OceanNodes by name.
    pub ocean_nodes: Table<Arc<str>, Readable<OceanNode>>,
    /// OceanLaunches by name.
    pub launches: Table<Arc<str>, Readable<OceanLaunch>>,
    /// Pods.
    pub pods: Table<ObjectKey, Arc<Pod>>,
    /// Nodes by name, attach limits included.
    pub nodes: Table<Arc<str>, Arc<Node>>,
    /// Attach limits by node name.
    pub attach_limits: Table<Arc<str>, AttachLimits>,
    /// DaemonSets.
    pub daemon_sets: Table<ObjectKey, DaemonSetRow>,
    /// Claims, volumes and classes.
    pub volumes: Volumes,
    /// PodDisruptionBudgets.
    pub disruption_budgets: Table<ObjectKey, Arc<DisruptionBudget>>,
    /// Namespaces' labels.
    pub namespaces: Table<Arc<str>, Arc<Labels>>,
    /// `kube-system/aws-auth`, if it exists.
    pub aws_auth: Table<ObjectKey, AwsAuth>,
    /// Kinds that cannot be watched now, with one sentence.
    pub failing: BTreeMap<&'static str, Arc<str>>,
    /// Whether our own kinds are served and not being taken away.
    pub definitions: Definitions,
    /// The cluster DNS service's address.
    pub cluster_dns: Option<Arc<str>>,
    /// The apiserver's `major.minor`.
    pub kubernetes_version: Option<Arc<str>>,
    /// Other autoscalers seen; `None` before the first look.
    pub other_autoscalers: Option<BTreeSet<OtherAutoscaler>>,
}

/// The stores behind their lock.
#[derive(Default)]
pub struct Store(Mutex<Objects>);

impl Store {
    /// Looks at or changes the objects. Keep it short: everyone else waits.
    pub fn with<T>(&self, work: impl FnOnce(&mut Objects) -> T) -> T {
        work(&mut self.0.lock().expect("nothing panics while it holds this lock"))
    }

    /// Kinds that have not been listed to their end yet.
    pub fn unsynced(&self) -> Vec<&'static str> {
        self.with(|objects| objects.unsynced())
    }
}

impl Objects {
    /// Kinds that have not been listed to their end yet.
    pub fn unsynced(&self) -> Vec<&'static str> {
        let kinds = [
            ("SpotOcean", self.oceans.is_listed()),
            ("OceanNode", self.ocean_nodes.is_listed()),
            ("OceanLaunch", self.launches.is_listed()),
            ("Pod", self.pods.is_listed()),
            ("Node", self.nodes.is_listed()),
            ("CSINode", self.attach_limits.is_listed()),
            ("DaemonSet", self.daemon_sets.is_listed()),
            ("PersistentVolumeClaim", self.volumes.claims.is_listed()),
            ("PersistentVolume", self.volumes.volumes.is_listed()),
            ("StorageClass", self.volumes.classes.is_listed()),
            ("PodDisruptionBudget", self.disruption_budgets.is_listed()),
            ("Namespace", self.namespaces.is_listed()),
            ("ConfigMap", self.aws_auth.is_listed()),
        ];
        kinds
            .into_iter()
            .filter(|(_, is_listed)| !is_listed)
            .map(|(kind, _)| kind)
            .collect()
    }

    /// How far all watches together can be trusted, at `now`.
    pub fn source(&self, now: Timestamp) -> Source {
        match self.doubt() {
            None => Source {
                as_of: Some(now),
                is_complete: true,
                error: None,
            },
            Some(message) => Source {
                as_of: None,
                is_complete: false,
                error: Some(CloudError {
                    kind: CloudErrorKind::Unknown,
                    action: "watch".into(),
                    code: "Incomplete".into(),
                    message,
                }),
            },
        }
    }

    /// The first reason why absence from the stores is no evidence.
    fn doubt(&self) -> Option<Arc<str>> {
        let unsynced = self.unsynced();
        if !unsynced.is_empty() {
            return Some(format!("not yet listed: {}", unsynced.join(", ")).into());
        }
        if let Some(sentence) = self.failing.values().next() {
            return Some(sentence.clone());
        }
        self.definitions.doubt().or_else(|| self.unreadable())
    }

    /// An OceanNode or OceanLaunch that cannot be read would make its instance look like nobody's.
    fn unreadable(&self) -> Option<Arc<str>> {
        let nodes = self
            .ocean_nodes
            .iter()
            .filter_map(|(name, row)| row.problem("OceanNode", name));
        let launches = self
            .launches
            .iter()
            .filter_map(|(name, row)| row.problem("OceanLaunch", name));
        nodes.chain(launches).next()
    }
}
