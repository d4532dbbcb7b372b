//! What keeps pools from buying and nodes from serving, and the condition each cause speaks about.
//!
//! Reads what other modules found out; decides only where it is said.

use spotocean_api::condition::{ConditionType, REASONS, Reason};
use spotocean_core::port::{CloudError, CloudErrorKind};
use spotocean_solver::solution::Reason as PodReason;

use super::condition::Subject;
use super::counted;
use crate::lifecycle::is_collection_stopped;
use crate::pool::{is_deleted, ocean_name, pools_of};
use crate::snapshot::Snapshot;
use crate::world::resolve::{Unresolved, resolve};

/// Something that keeps a pool from buying.
pub(super) struct Cause {
    pub(super) condition: ConditionType,
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// Everything that keeps pools of the ocean from buying, or pods from a node.
pub(super) fn causes(subject: &Subject<'_>) -> Vec<Cause> {
    let mut causes = of_sources(subject.snapshot);
    if !is_deleted(subject.ocean) {
        causes.extend(of_templates(subject));
        causes.extend(of_closed_pools(subject));
        causes.extend(of_left_over_pods(subject));
    }
    causes.extend(of_nodes(subject));
    causes
}

/// Reads of AWS that failed.
fn of_sources(snapshot: &Snapshot) -> Vec<Cause> {
    let sources = &snapshot.sources;
    let failed = [
        &sources.instances,
        &sources.catalogue,
        &sources.prices,
        &sources.queue,
    ]
    .into_iter()
    .filter_map(|source| source.error.as_ref());
    let unread = [&sources.instances, &sources.catalogue]
        .into_iter()
        .any(|source| source.as_of.is_none());
    let waiting = unread.then(|| Cause {
        condition: ConditionType::CloudAccess,
        reason: Reason::SourcesIncomplete,
        message: "instances and instance types are being read for the first time".to_owned(),
    });
    failed.map(of_error).chain(waiting).collect()
}

fn of_error(error: &CloudError) -> Cause {
    let CloudError {
        kind,
        action,
        code,
        message,
    } = error;
    let (reason, advice) = match kind {
        CloudErrorKind::Unauthorized => (
            Reason::AccessDenied,
            "allow it in the operator's IAM policy, and look for a service control policy that denies it",
        ),
        CloudErrorKind::Throttled => (Reason::Throttled, "it is asked again by itself"),
        CloudErrorKind::NotFound
        | CloudErrorKind::Invalid
        | CloudErrorKind::TokenMismatch
        | CloudErrorKind::AlreadyExists
        | CloudErrorKind::Unknown => (
            Reason::Unreachable,
            "it is asked again by itself; check network and endpoint if this lasts",
        ),
    };
    Cause {
        condition: ConditionType::CloudAccess,
        reason,
        message: format!("AWS does not carry out {action} ({code}: {message}): {advice}"),
    }
}

/// What the pools' templates come to in AWS.
fn of_templates(subject: &Subject<'_>) -> Vec<Cause> {
    let unresolved = |pool| {
        resolve(subject.snapshot, &pool)
            .err()
            .map(|unresolved| (pool.key, unresolved))
    };
    pools_of(subject.ocean)
        .into_iter()
        .filter_map(unresolved)
        .map(
            |(
                pool,
                Unresolved {
                    condition,
                    reason,
                    message,
                },
            )| Cause {
                condition,
                reason,
                message: format!("pool {}: {message}", pool.pool),
            },
        )
        .collect()
}

/// Why pools are closed, as far as it is not about their templates.
fn of_closed_pools(subject: &Subject<'_>) -> Vec<Cause> {
    let name = ocean_name(subject.ocean);
    let own = subject
        .provision
        .closed
        .iter()
        .filter(|(pool, _)| pool.ocean == name);
    own.filter_map(|(pool, closed)| {
        let reason = *REASONS
            .iter()
            .find(|reason| reason.as_str() == closed.reason.as_ref())?;
        Some(Cause {
            condition: about(reason)?,
            reason,
            message: format!("pool {}: {}", pool.pool, closed.message),
        })
    })
    .collect()
}

/// The condition that a closed pool's reason speaks about; `None` where another condition says it already.
fn about(reason: Reason) -> Option<ConditionType> {
    match reason {
        Reason::NoCapacity
        | Reason::NoInstanceTypeFits
        | Reason::QuotaExceeded
        | Reason::LaunchRefused
        | Reason::NodesNotJoining
        | Reason::CollectionStopped
        | Reason::SpecInvalid => Some(ConditionType::CapacityAvailable),
        Reason::SubnetsFull | Reason::NetworkMismatch | Reason::WrongCluster => {
            Some(ConditionType::NetworkResolved)
        }
        Reason::LimitReached => Some(ConditionType::WithinLimits),
        Reason::CredentialsInvalid | Reason::AccessDenied | Reason::Throttled | Reason::Unreachable => {
            Some(ConditionType::CloudAccess)
        }
        _ => None,
    }
}

/// Pods that nothing could be bought for because of limits or capacity.
fn of_left_over_pods(subject: &Subject<'_>) -> Vec<Cause> {
    let name = ocean_name(subject.ocean);
    let left = |wanted: PodReason| {
        let pods = subject.provision.solution.unplaced.iter().filter(|unplaced| {
            unplaced
                .reasons
                .iter()
                .any(|reason| reason.pool.ocean == name && reason.reason == wanted)
        });
        super::count(pods.count())
    };
    let limited = left(PodReason::LimitReached);
    let unsold = left(PodReason::NoOffering);
    [
        (limited > 0).then(|| Cause {
            condition: ConditionType::WithinLimits,
            reason: Reason::LimitReached,
            message: format!(
                "{} for a limit of the ocean or pool: raise it, or let them wait",
                wait(limited)
            ),
        }),
        (unsold > 0).then(|| Cause {
            condition: ConditionType::CapacityAvailable,
            reason: Reason::NoCapacity,
            message: format!(
                "{} because no market that fits has capacity now: widen the requirements, or allow on-demand",
                wait(unsold)
            ),
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(super) fn wait(pods: u32) -> String {
    let verb = if pods == 1 { "waits" } else { "wait" };
    format!("{} {verb}", counted(pods, "pod"))
}

/// What is wrong with instances that are there.
fn of_nodes(subject: &Subject<'_>) -> Vec<Cause> {
    let failing = subject.tally.whole.failing;
    let joining = (failing > 0).then(|| Cause {
        condition: ConditionType::CapacityAvailable,
        reason: Reason::NodesNotJoining,
        message: format!(
            "{} did not become a Ready node in time: {}",
            counted(failing, "instance"),
            subject
                .tally
                .join_failure
                .as_deref()
                .unwrap_or("see the messages of the OceanNodes")
        ),
    });
    let stopped = is_collection_stopped(subject.snapshot).then(|| Cause {
        condition: ConditionType::CapacityAvailable,
        reason: Reason::CollectionStopped,
        message: "more instances are unexplained or missing at once than is plausible, so none is collected: compare EC2's instances with the OceanNodes".to_owned(),
    });
    joining.into_iter().chain(stopped).collect()
}
