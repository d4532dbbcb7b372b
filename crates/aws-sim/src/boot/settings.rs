//! What a kubelet is started with, whichever image read it from user data.

use std::collections::BTreeMap;

/// A taint a Node registers with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeTaint {
    /// Key.
    pub key: String,
    /// Value, perhaps empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// What a kubelet is started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeSettings {
    /// Cluster name.
    pub cluster_name: String,
    /// Address of the apiserver.
    pub api_server: String,
    /// Certificate authority, base64.
    pub certificate_authority: String,
    /// Service CIDR, where the image asks for it.
    pub service_cidr: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<NodeTaint>,
    /// Pods at most; the image's own rule when unset.
    pub max_pods: Option<u32>,
    /// `kubeReserved`, where given.
    pub kube_reserved: Option<BTreeMap<String, String>>,
    /// `systemReserved`.
    pub system_reserved: BTreeMap<String, String>,
    /// `evictionHard`, where given.
    pub eviction_hard: Option<BTreeMap<String, String>>,
    /// Whether instance storage is bound together for pods.
    pub uses_instance_storage: bool,
}

/// Labels of Kubernetes' own domains that a kubelet may set on its Node (KEP-279, NodeRestriction).
const ALLOWED: [&str; 13] = [
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.kubernetes.io/zone",
    "failure-domain.kubernetes.io/region",
];

impl NodeSettings {
    /// A kubelet told to set a label it may not set does not start.
    pub fn check_labels(&self) -> Result<(), String> {
        let forbidden: Vec<&str> = self
            .labels
            .keys()
            .map(String::as_str)
            .filter(|key| !may_set(key))
            .collect();
        if forbidden.is_empty() {
            return Ok(());
        }
        Err(format!(
            "kubelet: failed to validate kubelet flags: unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: [{}]",
            forbidden.join(" ")
        ))
    }
}

fn may_set(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let is_reserved = ["kubernetes.io", "k8s.io"]
        .iter()
        .any(|reserved| domain == *reserved || domain.ends_with(&format!(".{reserved}")));
    let is_for_kubelets = ["kubelet.kubernetes.io", "node.kubernetes.io"]
        .iter()
        .any(|allowed| domain == *allowed || domain.ends_with(&format!(".{allowed}")));
    !is_reserved || is_for_kubelets || ALLOWED.contains(&key)
}

/// Reads `key=value:effect`, `key:effect` or, for Bottlerocket, the part after the key.
pub fn taint(key: &str, value_and_effect: &str) -> Result<NodeTaint, String> {
    let (value, effect) = value_and_effect
        .rsplit_once(':')
        .unwrap_or(("", value_and_effect));
    if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
        return Err(format!(
            "kubelet: invalid taint effect '{effect}' of taint '{key}'"
        ));
    }
    Ok(NodeTaint {
        key: key.to_owned(),
        value: value.to_owned(),
        effect: effect.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubelets_may_not_set_every_label() {
        for (key, expected) in [
            ("spotocean.dev/pool", true),
            ("team", true),
            ("node.kubernetes.io/exclude", true),
            ("kubernetes.io/arch", true),
            ("topology.kubernetes.io/zone", true),
            ("node-role.kubernetes.io/worker", false),
            ("kubernetes.io/made-up", false),
            ("x.k8s.io/y", false),
        ] {
            assert_eq!(may_set(key), expected, "{key}");
        }
    }

    #[test]
    fn taints_are_read() {
        let expected = NodeTaint {
            key: "a".into(),
            value: "b".into(),
            effect: "NoSchedule".into(),
        };
        assert_eq!(taint("a", "b:NoSchedule"), Ok(expected));
        assert!(taint("a", "NoExecute").is_ok());
        assert!(taint("a", "b:Sometimes").is_err());
    }
}
