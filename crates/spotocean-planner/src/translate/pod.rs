//! Pods: what makes them alike to the scheduler, and what is their own.
//!
//! Peers' words for "do not move me" are honoured as they stand, so that
//! nobody edits workloads to come here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Affinity, Container, NodeAffinity, Pod as ApiPod, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use spotocean_api::annotation;
use spotocean_api::duration::Duration;
use spotocean_core::id::{Namespace, NodeName, ObjectKey, Uid};
use spotocean_core::label;
use spotocean_core::pod::{DoNotDisrupt, HostPort, NodeTerm, Owner, Pod, PodPhase, PodShape, Unmodelled};
use spotocean_core::topology::Weighted;

use super::constraint::{self, Subject, Unreadable};
use super::interner::Interner;
use super::request;

/// kubelet's mark on the mirror of a static pod.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
/// core/v1's default grace period.
const DEFAULT_GRACE_SECONDS: i64 = 30;

/// Translates one pod.
pub fn pod(pod: &ApiPod, interner: &mut Interner) -> Pod {
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let status = pod.status.as_ref();
    let metadata = &pod.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or("default");
    let created_at = metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let mut shape = shape(
        spec,
        status,
        Subject {
            namespace,
            labels: metadata.labels.as_ref(),
        },
    );
    let spot_percentage = spot_percentage(metadata).unwrap_or_else(|what| {
        shape.unmodelled.push(Unmodelled::Unreadable(what));
        None
    });
    Pod {
        key: ObjectKey {
            namespace: Namespace(interner.text(namespace)),
            name: metadata.name.as_deref().unwrap_or_default().into(),
        },
        uid: metadata.uid.as_deref().unwrap_or_default().into(),
        labels: interner.labels(metadata.labels.as_ref()),
        shape: interner.shape(shape),
        claims: claims(metadata, spec),
        priority: spec.priority.unwrap_or(0),
        node: spec
            .node_name
            .as_deref()
            .filter(|name| !name.is_empty())
            .map(|name| NodeName(interner.text(name))),
        nominated_node: status
            .and_then(|status| status.nominated_node_name.as_deref())
            .filter(|name| !name.is_empty())
            .map(|name| NodeName(interner.text(name))),
        phase: phase(status),
        is_unschedulable: is_unscheduled_because(status, "Unschedulable"),
        is_gated: spec
            .scheduling_gates
            .as_ref()
            .is_some_and(|gates| !gates.is_empty())
            || is_unscheduled_because(status, "SchedulingGated"),
        owner: owner(metadata, interner),
        is_mirror: has_annotation(metadata, MIRROR_ANNOTATION),
        created_at,
        deleted_at: metadata.deletion_timestamp.as_ref().map(|time| time.0),
        termination_grace_seconds: spec
            .termination_grace_period_seconds
            .unwrap_or(DEFAULT_GRACE_SECONDS),
        do_not_disrupt: do_not_disrupt(metadata, created_at),
        retry: value(metadata.annotations.as_ref(), annotation::RETRY).map(Arc::from),
        spot_percentage,
    }
}

/// How many percent of a workload may run on spot, as one of its pods says.
fn spot_percentage(metadata: &ObjectMeta) -> Result<Option<u8>, Arc<str>> {
    let Some(text) = value(metadata.annotations.as_ref(), annotation::SPOT_PERCENTAGE) else {
        return Ok(None);
    };
    let percentage = text.parse().ok().filter(|percentage| *percentage <= 100);
    percentage.map(Some).ok_or_else(|| {
        let key = annotation::SPOT_PERCENTAGE;
        format!("its annotation {key} is {text:?}: write a whole number from 0 to 100").into()
    })
}

/// The shape of a pod or of a pod template.
pub(super) fn shape(spec: &PodSpec, status: Option<&PodStatus>, subject: Subject<'_>) -> PodShape {
    match readable_shape(spec, status, subject) {
        Ok(shape) => shape,
        Err(what) => PodShape {
            unmodelled: vec![Unmodelled::Unreadable(what)],
            ..PodShape::default()
        },
    }
}

fn readable_shape(
    spec: &PodSpec,
    status: Option<&PodStatus>,
    subject: Subject<'_>,
) -> Result<PodShape, Unreadable> {
    let no_affinity = Affinity::default();
    let affinity = spec.affinity.as_ref().unwrap_or(&no_affinity);
    let together = affinity.pod_affinity.as_ref();
    let apart = affinity.pod_anti_affinity.as_ref();
    Ok(PodShape {
        requests: request::effective_requests(spec, status)?,
        node_selector: constraint::node_selector(spec.node_selector.as_ref()),
        node_terms: required_node_terms(affinity.node_affinity.as_ref())?,
        preferred_node_terms: preferred_node_terms(affinity.node_affinity.as_ref())?,
        tolerations: constraint::tolerations(spec.tolerations.as_ref())?,
        spread: constraint::spread(spec.topology_spread_constraints.as_ref(), subject.labels)?,
        affinity: constraint::affinity_terms(
            together.and_then(|side| side.required_during_scheduling_ignored_during_execution.as_ref()),
            subject,
        )?,
        anti_affinity: constraint::affinity_terms(
            apart.and_then(|side| side.required_during_scheduling_ignored_during_execution.as_ref()),
            subject,
        )?,
        preferred_affinity: constraint::weighted_affinity_terms(
            together.and_then(|side| side.preferred_during_scheduling_ignored_during_execution.as_ref()),
            subject,
        )?,
        preferred_anti_affinity: constraint::weighted_affinity_terms(
            apart.and_then(|side| side.preferred_during_scheduling_ignored_during_execution.as_ref()),
            subject,
        )?,
        host_ports: host_ports(spec),
        unmodelled: unmodelled(spec),
    })
}

fn required_node_terms(affinity: Option<&NodeAffinity>) -> Result<Option<Vec<NodeTerm>>, Unreadable> {
    affinity
        .and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        })
        .map(constraint::node_terms)
        .transpose()
}

/// An empty preference matches everything with no effect (core/v1 PreferredSchedulingTerm) and is left out.
fn preferred_node_terms(affinity: Option<&NodeAffinity>) -> Result<Vec<Weighted<NodeTerm>>, Unreadable> {
    let list = affinity
        .and_then(|affinity| {
            affinity
                .preferred_during_scheduling_ignored_during_execution
                .as_ref()
        })
        .into_iter()
        .flatten();
    let mut terms = Vec::new();
    for preferred in list {
        let term = constraint::node_term(&preferred.preference)?;
        if !term.expressions.is_empty() || !term.fields.is_empty() {
            terms.push(Weighted {
                weight: i64::from(preferred.weight),
                term,
            });
        }
    }
    Ok(terms)
}

/// Ports bound on the node: those of containers and sidecars (kube-scheduler `GetHostPorts`).
/// With host networking a container port is a host port; the apiserver writes that down, a manifest need not.
fn host_ports(spec: &PodSpec) -> BTreeSet<HostPort> {
    let is_on_host = spec.host_network.unwrap_or(false);
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|container| request::is_sidecar(container));
    let of_container = |container: &Container| {
        let ports = container.ports.iter().flatten();
        ports
            .filter_map(|port| {
                let number = port.host_port.filter(|number| *number > 0);
                Some(HostPort {
                    port: number.or(is_on_host.then_some(port.container_port))?,
                    protocol: port.protocol.as_deref().unwrap_or("TCP").into(),
                    host_ip: port.host_ip.as_deref().unwrap_or_default().into(),
                })
            })
            .collect::<Vec<_>>()
    };
    spec.containers
        .iter()
        .chain(sidecars)
        .flat_map(of_container)
        .collect()
}

fn unmodelled(spec: &PodSpec) -> Vec<Unmodelled> {
    let selects_windows = spec
        .node_selector
        .iter()
        .flatten()
        .any(|(key, value)| label::normalized(key) == label::OS && value == "windows");
    let is_windows = selects_windows || spec.os.as_ref().is_some_and(|os| os.name == "windows");
    let scheduler = spec.scheduler_name.as_deref().unwrap_or("default-scheduler");
    let has_claims = spec
        .resource_claims
        .as_ref()
        .is_some_and(|claims| !claims.is_empty());
    [
        is_windows.then_some(Unmodelled::Windows),
        has_claims.then_some(Unmodelled::ResourceClaims),
        spec.scheduling_group.as_ref().map(|_| Unmodelled::Gang),
        (scheduler != "default-scheduler").then(|| Unmodelled::OtherScheduler(scheduler.into())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Names of the claims it mounts. A generic ephemeral volume's claim is called `<pod>-<volume>` (KEP-1698).
fn claims(metadata: &ObjectMeta, spec: &PodSpec) -> Vec<Arc<str>> {
    let pod = metadata.name.as_deref().unwrap_or_default();
    let mut names: Vec<Arc<str>> = spec
        .volumes
        .iter()
        .flatten()
        .filter_map(|volume| {
            let named = volume
                .persistent_volume_claim
                .as_ref()
                .map(|claim| claim.claim_name.clone());
            let generated = volume
                .ephemeral
                .as_ref()
                .map(|_| format!("{pod}-{}", volume.name));
            named.or(generated).map(Arc::from)
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

fn phase(status: Option<&PodStatus>) -> PodPhase {
    match status.and_then(|status| status.phase.as_deref()) {
        Some("Running") => PodPhase::Running,
        Some("Succeeded" | "Failed") => PodPhase::Finished,
        _ => PodPhase::Pending,
    }
}

fn is_unscheduled_because(status: Option<&PodStatus>, reason: &str) -> bool {
    status
        .into_iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| {
            condition.type_ == "PodScheduled"
                && condition.status == "False"
                && condition.reason.as_deref() == Some(reason)
        })
}

fn owner(metadata: &ObjectMeta, interner: &mut Interner) -> Option<Owner> {
    let is_controller = |owner: &&OwnerReference| owner.controller == Some(true);
    let reference = metadata.owner_references.iter().flatten().find(is_controller)?;
    Some(Owner {
        kind: interner.text(&reference.kind),
        name: interner.text(&reference.name),
        uid: Uid(interner.text(&reference.uid)),
    })
}

fn has_annotation(metadata: &ObjectMeta, key: &str) -> bool {
    value(metadata.annotations.as_ref(), key).is_some()
}

fn value<'a>(map: Option<&'a BTreeMap<String, String>>, key: &str) -> Option<&'a str> {
    map.and_then(|map| map.get(key)).map(String::as_str)
}

fn do_not_disrupt(metadata: &ObjectMeta, created_at: Timestamp) -> Option<DoNotDisrupt> {
    let annotations = metadata.annotations.as_ref();
    let stays = value(annotations, annotation::SAFE_TO_EVICT) == Some("false")
        || value(annotations, annotation::SPOTINST_RESTRICT_SCALE_DOWN) == Some("true")
        || value(metadata.labels.as_ref(), annotation::SPOTINST_RESTRICT_SCALE_DOWN) == Some("true");
    let asked = [annotation::DO_NOT_DISRUPT, annotation::KARPENTER_DO_NOT_DISRUPT]
        .into_iter()
        .filter_map(|key| value(annotations, key))
        .filter_map(|text| protection(text, created_at));
    asked
        .chain(stays.then_some(DoNotDisrupt::Always))
        .min_by_key(|protection| match protection {
            DoNotDisrupt::Always => (0, Timestamp::MAX),
            DoNotDisrupt::Until(end) => (1, *end),
        })
}

/// `true`, `false` or a duration since creation; what cannot be read is taken as `true`, the careful side.
fn protection(text: &str, created_at: Timestamp) -> Option<DoNotDisrupt> {
    if text == "false" {
        return None;
    }
    let until = Duration::parse(text)
        .and_then(|duration| i64::try_from(duration.seconds).ok())
        .and_then(|seconds| created_at.checked_add(SignedDuration::from_secs(seconds)).ok());
    Some(until.map_or(DoNotDisrupt::Always, DoNotDisrupt::Until))
}

#[cfg(test)]
mod tests;
