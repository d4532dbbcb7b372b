//! Pools whose user data is read in these tests, from plain to one with a little of everything.

use std::sync::Arc;

use spotocean_api::kubelet::Kubelet;
use spotocean_api::template::{ImageFamily, InstanceStore};
use spotocean_core::requirement::Labels;
use spotocean_core::taint::{Taint, TaintEffect};
use spotocean_planner::bootstrap::{Bootstrap, BootstrapError, unregistered_taint, user_data};
use spotocean_planner::world::cluster::ClusterFacts;

/// What a pool says about its nodes, with defaults that a minimal one has.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) cluster: ClusterFacts,
    pub(crate) kubelet: Kubelet,
    pub(crate) max_pods: i64,
    pub(crate) labels: Labels,
    pub(crate) taints: Vec<Taint>,
    pub(crate) instance_store: Option<InstanceStore>,
    pub(crate) own: Vec<&'static str>,
}

impl Pool {
    pub(crate) fn minimal() -> Self {
        Self {
            cluster: ClusterFacts {
                name: "shop".into(),
                endpoint: "https://shop.eks.example".into(),
                certificate_authority: "Q0E=".into(),
                service_cidr: "10.100.0.0/16".into(),
                dns: "10.100.0.10".into(),
                version: "1.36".into(),
                authentication_mode: Some("API".into()),
            },
            kubelet: Kubelet::default(),
            max_pods: 29,
            labels: labels(&[("spotocean.dev/pool", "main")]),
            taints: vec![unregistered_taint()],
            instance_store: None,
            own: Vec::new(),
        }
    }

    /// Every kubelet setting there is, labels of all kinds, taints and local disks.
    pub(crate) fn full() -> Self {
        let kubelet = serde_json::json!({
            "maxPods": 50,
            "podsPerCore": 10,
            "kubeReserved": {"cpu": "100m", "memory": "1Gi", "ephemeral-storage": "2Gi"},
            "systemReserved": {"cpu": "50m", "memory": "200Mi"},
            "evictionHard": {"memory.available": "5%", "nodefs.inodesFree": "3%", "pid.available": "200"},
            "evictionSoft": {"memory.available": "500Mi"},
            "evictionSoftGracePeriod": {"memory.available": "1m30s"},
            "imageGCHighThresholdPercent": 80,
            "imageGCLowThresholdPercent": 70,
            "cpuCFSQuota": false,
            "clusterDNS": ["10.100.0.10", "169.254.20.10"],
        });
        Self {
            kubelet: serde_json::from_value(kubelet).expect("these are kubelet settings"),
            max_pods: 50,
            labels: labels(&[
                ("spotocean.dev/pool", "main"),
                ("spotocean.dev/capacity-type", "spot"),
                ("example.com/team_name", "A.b-c"),
                ("empty", ""),
                ("node-role.kubernetes.io/worker", ""),
            ]),
            taints: vec![
                taint("dedicated", "yes", TaintEffect::NoSchedule),
                taint("dedicated", "yes", TaintEffect::NoExecute),
                taint("example.com/agent-not-ready", "", TaintEffect::NoSchedule),
                unregistered_taint(),
            ],
            instance_store: Some(InstanceStore::RAID0),
            ..Self::minimal()
        }
    }

    pub(crate) fn user_data(&self, family: ImageFamily) -> Result<String, BootstrapError> {
        user_data(&Bootstrap {
            family,
            cluster: &self.cluster,
            kubelet: &self.kubelet,
            max_pods: self.max_pods,
            labels: &self.labels,
            taints: &self.taints,
            instance_store: self.instance_store,
            own: &self.own,
        })
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| (Arc::from(*key), Arc::from(*value)))
        .collect()
}

fn taint(key: &str, value: &str, effect: TaintEffect) -> Taint {
    Taint {
        key: key.into(),
        value: value.into(),
        effect,
    }
}
