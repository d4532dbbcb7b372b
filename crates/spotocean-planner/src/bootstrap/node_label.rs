//! Which labels a kubelet may put on its own node.
//!
//! Source: NodeRestriction (KEP-279) and the kubelet's check of `--node-labels`
//! (k8s.io/kubelet `IsKubeletLabel`): under `kubernetes.io` and `k8s.io` a
//! kubelet that is given any but these does not start. The operator sets the
//! others at registration.

use std::sync::Arc;

use spotocean_core::requirement::Labels;

const ALLOWED: [&str; 11] = [
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];
const ALLOWED_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// The labels among `labels` that a kubelet may set.
pub(super) fn settable(labels: &Labels) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
    labels.iter().filter(|(key, _)| is_settable(key))
}

fn is_settable(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else {
        return true;
    };
    let within = |parent: &str| {
        domain == parent
            || domain
                .strip_suffix(parent)
                .is_some_and(|rest| rest.ends_with('.'))
    };
    if !within("kubernetes.io") && !within("k8s.io") {
        return true;
    }
    ALLOWED.contains(&key) || ALLOWED_DOMAINS.into_iter().any(within)
}

#[cfg(test)]
mod tests {
    use super::is_settable;

    #[test]
    fn kubelets_may_set_these_labels_only() {
        let rows = [
            ("team", true),
            ("example.com/team", true),
            ("spotocean.dev/pool", true),
            ("node.kubernetes.io/role", true),
            ("sub.node.kubernetes.io/role", true),
            ("topology.kubernetes.io/zone", true),
            ("node-role.kubernetes.io/worker", false),
            ("node-restriction.kubernetes.io/team", false),
            ("kops.k8s.io/instancegroup", false),
            ("topology.k8s.aws/zone-id", true),
            ("notkubernetes.io/a", true),
        ];
        for (key, expected) in rows {
            assert_eq!(is_settable(key), expected, "{key}");
        }
    }
}
