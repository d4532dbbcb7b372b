//! What a pod asks of its node, as kube-scheduler counts it.
//!
//! Source: k8s.io/component-helpers `resource.PodRequests`: the larger of all
//! containers with all sidecars, and of each init container with the sidecars
//! started before it; pod-level requests replace that sum; overhead comes on top.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, PodSpec, PodStatus, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use spotocean_core::quantity;
use spotocean_core::resources::Resources;

type Quantities = BTreeMap<String, Quantity>;

/// The pod's effective requests, or a sentence about the quantity that could not be read.
pub(super) fn effective_requests(spec: &PodSpec, status: Option<&PodStatus>) -> Result<Resources, Arc<str>> {
    let statuses = |list: Option<&Vec<ContainerStatus>>| list.cloned().unwrap_or_default();
    let running = statuses(status.and_then(|status| status.container_statuses.as_ref()));
    let started = statuses(status.and_then(|status| status.init_container_statuses.as_ref()));
    let mut together = Resources::default();
    for container in &spec.containers {
        together = together.plus(&of_container(container, &running)?);
    }
    let mut sidecars = Resources::default();
    let mut largest_init = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let own = of_container(container, &started)?;
        if is_sidecar(container) {
            sidecars = sidecars.plus(&own);
            largest_init = largest_init.maximum(&sidecars);
        } else {
            largest_init = largest_init.maximum(&sidecars.plus(&own));
        }
    }
    let mut requests = together.plus(&sidecars).maximum(&largest_init);
    override_by_pod_level(&mut requests, spec.resources.as_ref())?;
    let overhead = read(spec.overhead.as_ref())?;
    requests = requests.plus(&overhead);
    requests.pods = 1;
    requests.extended.retain(|_, amount| *amount > 0);
    Ok(requests)
}

/// Whether an init container keeps running beside the others (KEP-753).
pub(super) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Reads a resource list into core units.
pub(super) fn read(quantities: Option<&Quantities>) -> Result<Resources, Arc<str>> {
    let mut resources = Resources::default();
    for (name, quantity) in quantities.into_iter().flatten() {
        let amount = if name == "cpu" {
            quantity::parse_milli(&quantity.0)
        } else {
            quantity::parse_units(&quantity.0)
        };
        let amount =
            amount.map_err(|error| Arc::from(format!("its amount of {name} cannot be read: {error}")))?;
        if amount < 0 {
            // The apiserver takes none; room that such a pod would give back is not there.
            return Err(format!("its amount of {name} is {}: zero or more is needed", quantity.0).into());
        }
        resources.set(name, amount);
    }
    Ok(resources)
}

/// A container's requests; while a resize in place is under way the largest of wanted and allocated counts.
fn of_container(container: &Container, statuses: &[ContainerStatus]) -> Result<Resources, Arc<str>> {
    let wanted = read(Some(&requests_with_defaults(container.resources.as_ref())))?;
    let status = statuses.iter().find(|status| status.name == container.name);
    let allocated = read(status.and_then(|status| status.allocated_resources.as_ref()))?;
    Ok(wanted.maximum(&allocated))
}

/// The apiserver sets a missing request to its limit; a manifest from a file has not been there.
fn requests_with_defaults(resources: Option<&ResourceRequirements>) -> Quantities {
    let Some(resources) = resources else {
        return Quantities::new();
    };
    let mut requests = resources.limits.clone().unwrap_or_default();
    requests.extend(resources.requests.clone().unwrap_or_default());
    requests
}

/// Pod-level resources (KEP-2837) replace the containers' sum for the resources they name.
fn override_by_pod_level(
    requests: &mut Resources,
    pod_level: Option<&ResourceRequirements>,
) -> Result<(), Arc<str>> {
    let named = requests_with_defaults(pod_level);
    let amounts = read(Some(&named))?;
    for name in named.keys() {
        requests.set(name, amounts.amount(name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn cpu(amount: &str) -> Value {
        json!({"requests": {"cpu": amount}})
    }

    fn check(spec: Value, expected_cpu_millis: i64) {
        let text = spec.to_string();
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        let requests = effective_requests(&spec, None).unwrap();
        assert_eq!(
            (requests.cpu_millis, requests.pods),
            (expected_cpu_millis, 1),
            "{text}"
        );
    }

    #[test]
    fn requests_are_counted_as_the_scheduler_counts_them() {
        let main = json!([{"name": "a", "resources": cpu("1")}, {"name": "b", "resources": cpu("500m")}]);
        check(json!({"containers": main}), 1500);
        check(
            json!({"containers": main, "initContainers": [{"name": "i", "resources": cpu("3")}]}),
            3000,
        );
        let sidecar = json!({"name": "s", "restartPolicy": "Always", "resources": cpu("1")});
        check(json!({"containers": main, "initContainers": [sidecar]}), 2500);
        check(
            json!({"containers": main, "initContainers": [sidecar, {"name": "i", "resources": cpu("2")}]}),
            3000,
        );
        check(
            json!({"containers": main, "initContainers": [{"name": "i", "resources": cpu("2")}, sidecar]}),
            2500,
        );
        check(json!({"containers": main, "overhead": {"cpu": "250m"}}), 1750);
        check(json!({"containers": main, "resources": cpu("4")}), 4000);
        check(
            json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": "2"}}}]}),
            2000,
        );
        check(json!({"containers": [{"name": "a"}]}), 0);
    }

    #[test]
    fn a_resize_under_way_counts_with_the_larger_amount() {
        let spec = json!({"containers": [{"name": "a", "resources": cpu("1")}]});
        let status = json!({"containerStatuses": [{"name": "a", "image": "", "imageID": "", "ready": true,
            "restartCount": 0, "allocatedResources": {"cpu": "2"}}]});
        let status: PodStatus = serde_json::from_value(status).unwrap();
        let requests = effective_requests(&serde_json::from_value(spec).unwrap(), Some(&status)).unwrap();
        assert_eq!(requests.cpu_millis, 2000);
    }

    #[test]
    fn extended_resources_are_whole_and_zero_is_none() {
        let spec = json!({"containers": [{"name": "a", "resources":
            {"requests": {"nvidia.com/gpu": "2", "example.com/none": "0", "memory": "1Gi"}}}]});
        let requests = effective_requests(&serde_json::from_value(spec).unwrap(), None).unwrap();
        assert_eq!(requests.extended.len(), 1);
        assert_eq!(
            (requests.extended("nvidia.com/gpu"), requests.memory_bytes),
            (2, 1 << 30)
        );
    }

    #[test]
    fn an_unreadable_amount_is_named() {
        let spec = json!({"containers": [{"name": "a", "resources": {"requests": {"cpu": "lots"}}}]});
        let error = effective_requests(&serde_json::from_value(spec).unwrap(), None).unwrap_err();
        assert!(error.contains("cpu") && error.contains("lots"), "{error}");
    }
}
