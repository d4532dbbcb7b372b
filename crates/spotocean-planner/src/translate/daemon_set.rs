//! DaemonSets: the pods that each matching new node carries before any other.

use k8s_openapi::api::apps::v1::DaemonSet as ApiDaemonSet;
use k8s_openapi::api::core::v1::PodSpec;
use spotocean_core::id::{Namespace, ObjectKey};
use spotocean_core::pod::DaemonSet;
use spotocean_core::taint::{TaintEffect, Toleration, TolerationOperator};

use super::constraint::Subject;
use super::interner::Interner;
use super::pod;

/// Translates one DaemonSet.
pub fn daemon_set(daemon_set: &ApiDaemonSet, interner: &mut Interner) -> DaemonSet {
    let metadata = &daemon_set.metadata;
    let template = daemon_set.spec.as_ref().map(|spec| &spec.template);
    let labels = template
        .and_then(|template| template.metadata.as_ref())
        .and_then(|metadata| metadata.labels.as_ref());
    let empty = PodSpec::default();
    let spec = template
        .and_then(|template| template.spec.as_ref())
        .unwrap_or(&empty);
    let namespace = metadata.namespace.as_deref().unwrap_or("default");
    let mut shape = pod::shape(spec, None, Subject { namespace, labels });
    shape.tolerations.extend(added_tolerations(spec));
    DaemonSet {
        key: ObjectKey {
            namespace: Namespace(interner.text(namespace)),
            name: metadata.name.as_deref().unwrap_or_default().into(),
        },
        uid: metadata.uid.as_deref().unwrap_or_default().into(),
        labels: interner.labels(labels),
        shape: interner.shape(shape),
    }
}

/// What the DaemonSet controller adds to every pod it creates
/// (pkg/controller/daemon/util `AddOrUpdateDaemonPodTolerations`).
fn added_tolerations(spec: &PodSpec) -> Vec<Toleration> {
    use TaintEffect::{NoExecute, NoSchedule};
    let always = [
        ("node.kubernetes.io/not-ready", NoExecute),
        ("node.kubernetes.io/unreachable", NoExecute),
        ("node.kubernetes.io/disk-pressure", NoSchedule),
        ("node.kubernetes.io/memory-pressure", NoSchedule),
        ("node.kubernetes.io/pid-pressure", NoSchedule),
        ("node.kubernetes.io/unschedulable", NoSchedule),
    ];
    let on_host = spec
        .host_network
        .unwrap_or(false)
        .then_some(("node.kubernetes.io/network-unavailable", NoSchedule));
    always
        .into_iter()
        .chain(on_host)
        .map(|(key, effect)| Toleration {
            key: key.into(),
            operator: TolerationOperator::Exists,
            value: "".into(),
            effect: Some(effect),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn daemons_tolerate_what_their_controller_adds() {
        for (is_on_host, added) in [(false, 6), (true, 7)] {
            let object = json!({"metadata": {"name": "agent", "namespace": "kube-system"}, "spec": {
                "selector": {}, "template": {"metadata": {"labels": {"app": "agent"}}, "spec": {
                    "hostNetwork": is_on_host, "tolerations": [{"operator": "Exists"}],
                    "containers": [{"name": "a", "resources": {"requests": {"cpu": "100m"}}}]}}}});
            let read = daemon_set(&serde_json::from_value(object).unwrap(), &mut Interner::default());
            assert_eq!(read.shape.tolerations.len(), added + 1);
            assert_eq!(read.shape.requests.cpu_millis, 100);
            assert_eq!(read.labels.get("app").map(AsRef::as_ref), Some("agent"));
        }
    }
}
