//! The one table of conditions: a function for each, and the summary made of them.
//!
//! Messages are one sentence with the number that matters, and hold neither
//! times nor ids that change from look to look.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use spotocean_api::condition::{ConditionStatus, ConditionType, Finding, Reason};
use spotocean_api::spot_ocean::{Mode, SpotOcean};

use super::cause::{Cause, causes, wait};
use super::counted;
use super::tally::Tally;
use crate::command::{Command, Planned};
use crate::plan::Provision;
use crate::pool::{is_deleted, is_paused, ocean_name};
use crate::provisioning::brake::brake;
use crate::snapshot::{OtherAutoscaler, Snapshot};

/// Spot prices older than this are stale; they are read every five minutes.
const PRICES_FRESH_FOR: SignedDuration = SignedDuration::from_mins(15);
/// A message names this many characters of a cause.
const MESSAGE_CHARACTERS_MAX: usize = 1024;

/// Everything about one ocean that its conditions rest on.
pub(super) struct Subject<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) provision: &'a Provision,
    pub(super) commands: &'a [Planned],
    pub(super) ocean: &'a Arc<SpotOcean>,
    pub(super) tally: &'a Tally,
    pub(super) pending_pods: u32,
}

/// Every condition of an ocean.
pub(super) fn findings(subject: &Subject<'_>) -> Vec<Finding> {
    let causes = causes(subject);
    let parts = vec![
        of_causes(
            ConditionType::CloudAccess,
            Reason::Accessible,
            "AWS answers and allows what is needed",
            &causes,
        ),
        of_causes(
            ConditionType::ImagesResolved,
            Reason::Resolved,
            "an image was found for every pool",
            &causes,
        ),
        of_causes(
            ConditionType::NetworkResolved,
            Reason::Resolved,
            "subnets and security groups were found for every pool",
            &causes,
        ),
        of_causes(
            ConditionType::CapacityAvailable,
            Reason::Available,
            "capacity was found where it was wanted",
            &causes,
        ),
        of_causes(
            ConditionType::WithinLimits,
            Reason::BelowLimits,
            "no limit holds back a purchase",
            &causes,
        ),
        prices_fresh(subject),
        diversification_reduced(subject),
        other_autoscaler_active(subject),
    ];
    let stalled = stalled(&parts, &causes);
    let reconciling = reconciling(subject, &parts);
    let ready = ready(subject, &parts, &causes);
    [ready, reconciling, stalled].into_iter().chain(parts).collect()
}

fn finding(
    condition_type: ConditionType,
    status: ConditionStatus,
    reason: Reason,
    message: impl Into<String>,
) -> Finding {
    let message: String = message.into();
    Finding {
        condition_type,
        status,
        reason,
        message: message.chars().take(MESSAGE_CHARACTERS_MAX).collect(),
    }
}

/// What one cause, or the absence of any, says about a condition.
fn of_causes(condition: ConditionType, good: Reason, sentence: &str, causes: &[Cause]) -> Finding {
    let mine: Vec<&Cause> = causes
        .iter()
        .filter(|cause| cause.condition == condition)
        .collect();
    let Some(first) = mine
        .iter()
        .find(|cause| cause.reason != Reason::SourcesIncomplete)
        .or(mine.first())
    else {
        return finding(condition, ConditionStatus::True, good, sentence);
    };
    let status = if first.reason == Reason::SourcesIncomplete {
        ConditionStatus::Unknown
    } else {
        ConditionStatus::False
    };
    finding(condition, status, first.reason, first.message.clone())
}

fn prices_fresh(subject: &Subject<'_>) -> Finding {
    let catalogue = &subject.snapshot.catalogue;
    let condition = ConditionType::PricesFresh;
    let Some(as_of) = catalogue.spot_prices_as_of else {
        return finding(
            condition,
            ConditionStatus::Unknown,
            Reason::SourcesIncomplete,
            "spot prices are being read for the first time",
        );
    };
    if as_of + PRICES_FRESH_FOR < subject.snapshot.now {
        finding(
            condition,
            ConditionStatus::False,
            Reason::SpotPricesStale,
            "spot prices are more than 15 minutes old; the last known ones are used",
        )
    } else if catalogue.on_demand_prices_are_built_in {
        finding(
            condition,
            ConditionStatus::True,
            Reason::BuiltInPrices,
            "spot prices are recent; on-demand prices come from the built-in table, for the Pricing API did not answer",
        )
    } else {
        finding(
            condition,
            ConditionStatus::True,
            Reason::Fresh,
            "spot and on-demand prices are recent",
        )
    }
}

fn diversification_reduced(subject: &Subject<'_>) -> Finding {
    let condition = ConditionType::DiversificationReduced;
    match subject.provision.few_markets.get(&ocean_name(subject.ocean)) {
        Some(message) => finding(
            condition,
            ConditionStatus::True,
            Reason::FewMarkets,
            message.as_ref(),
        ),
        None => finding(
            condition,
            ConditionStatus::False,
            Reason::Diversified,
            "there are markets enough for the share caps",
        ),
    }
}

fn other_autoscaler_active(subject: &Subject<'_>) -> Finding {
    let condition = ConditionType::OtherAutoscalerActive;
    let spec = &subject.ocean.spec;
    let Some(other) = subject.snapshot.other_autoscalers.first() else {
        return finding(
            condition,
            ConditionStatus::False,
            Reason::NoneFound,
            "no other autoscaler was found",
        );
    };
    if spec.allow_overlap || spec.pods.selector.is_some() || spec.pods.namespace_selector.is_some() {
        return finding(
            condition,
            ConditionStatus::False,
            Reason::OverlapAllowed,
            "another autoscaler was found; allowOverlap or spec.pods lets this ocean buy beside it",
        );
    }
    let (reason, name) = match other {
        OtherAutoscaler::Karpenter => (
            Reason::KarpenterFound,
            "Karpenter or EKS Auto Mode has node pools",
        ),
        OtherAutoscaler::ClusterAutoscaler => (Reason::ClusterAutoscalerFound, "Cluster Autoscaler runs"),
    };
    finding(
        condition,
        ConditionStatus::True,
        reason,
        format!(
            "{name} in this cluster and could serve the same pods, so buying waits: remove it, narrow spec.pods, or set allowOverlap: true"
        ),
    )
}

/// Reasons that pass without anybody's doing.
fn passes(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::SourcesIncomplete
            | Reason::Throttled
            | Reason::Unreachable
            | Reason::NoCapacity
            | Reason::NodesNotJoining
            | Reason::LimitReached
    )
}

/// Stalled: only a user can fix it. True when no pool is free of such a cause would be too late: one is enough.
fn stalled(parts: &[Finding], causes: &[Cause]) -> Finding {
    let other = parts.iter().find(|part| {
        part.condition_type == ConditionType::OtherAutoscalerActive && part.status == ConditionStatus::True
    });
    let by_cause = causes.iter().find(|cause| !passes(cause.reason));
    let found = by_cause
        .map(|cause| (cause.reason, cause.message.clone()))
        .or(other.map(|other| (other.reason, other.message.clone())));
    match found {
        Some((reason, message)) => finding(ConditionType::Stalled, ConditionStatus::True, reason, message),
        None => finding(
            ConditionType::Stalled,
            ConditionStatus::False,
            Reason::Healthy,
            "nothing waits for a user",
        ),
    }
}

fn is_unknown(parts: &[Finding]) -> bool {
    parts.iter().any(|part| part.status == ConditionStatus::Unknown)
}

fn reconciling(subject: &Subject<'_>, parts: &[Finding]) -> Finding {
    let condition = ConditionType::Reconciling;
    let share = subject.tally.whole;
    let uid = subject.ocean.metadata.uid.as_deref();
    let buys = subject.commands.iter().any(|planned| {
        matches!(&planned.command, Command::Purchase(purchase) if Some(purchase.launch.spec.ocean_uid.as_str()) == uid)
    });
    if is_deleted(subject.ocean) {
        return finding(
            condition,
            ConditionStatus::True,
            Reason::Deleting,
            format!("{} left to give back", counted(share.nodes(), "node")),
        );
    }
    if !subject.snapshot.sources.kubernetes.is_complete || is_unknown(parts) {
        return finding(
            condition,
            ConditionStatus::True,
            Reason::SourcesIncomplete,
            "not everything that is needed has been read yet",
        );
    }
    if let Some(held) = subject.provision.held.get(&ocean_name(subject.ocean)) {
        return finding(
            condition,
            ConditionStatus::True,
            Reason::LaunchBrake,
            format!(
                "{} on their way, and {held} more wait for the launch brake: {} nodes may start in a minute (20, or half of those there), so the next start within a minute",
                counted(share.coming, "node"),
                brake(subject.snapshot).limit
            ),
        );
    }
    if let Some(following) = subject.provision.following.get(&ocean_name(subject.ocean)) {
        return finding(
            condition,
            ConditionStatus::True,
            Reason::Launching,
            format!(
                "{} on their way, and {following} more follow within seconds, once EC2 has said where these are: shares of the pool hold whatever it picks",
                counted(share.coming, "node")
            ),
        );
    }
    if share.coming > 0 || buys {
        return finding(
            condition,
            ConditionStatus::True,
            Reason::Launching,
            format!("{} on their way", counted(share.coming, "node")),
        );
    }
    if share.leaving > 0 {
        return finding(
            condition,
            ConditionStatus::True,
            Reason::Removing,
            format!("{} leaving", counted(share.leaving, "node")),
        );
    }
    finding(
        condition,
        ConditionStatus::False,
        Reason::Settled,
        "nothing is left to do",
    )
}

/// Conditions that must be true for an ocean to do its job.
const NEEDED: [ConditionType; 4] = [
    ConditionType::CloudAccess,
    ConditionType::ImagesResolved,
    ConditionType::NetworkResolved,
    ConditionType::CapacityAvailable,
];

/// Ready: the summary, never set by hand.
fn ready(subject: &Subject<'_>, parts: &[Finding], causes: &[Cause]) -> Finding {
    let condition = ConditionType::Ready;
    if is_deleted(subject.ocean) {
        return finding(
            condition,
            ConditionStatus::False,
            Reason::Deleting,
            "the ocean is being deleted",
        );
    }
    if is_paused(subject.ocean) {
        return finding(
            condition,
            ConditionStatus::False,
            Reason::Paused,
            "the annotation spotocean.dev/pause stops the ocean: remove it to go on",
        );
    }
    let needed: BTreeSet<ConditionType> = NEEDED.into_iter().collect();
    let broken = parts.iter().find(|part| {
        let is_missing = needed.contains(&part.condition_type) && part.status == ConditionStatus::False;
        let is_in_the_way = part.condition_type == ConditionType::OtherAutoscalerActive
            && part.status == ConditionStatus::True;
        is_missing || is_in_the_way
    });
    if let Some(broken) = broken {
        return finding(
            condition,
            ConditionStatus::False,
            broken.reason,
            broken.message.clone(),
        );
    }
    let is_waiting = causes
        .iter()
        .any(|cause| cause.reason == Reason::SourcesIncomplete);
    if !subject.snapshot.sources.kubernetes.is_complete || is_waiting || is_unknown(parts) {
        return finding(
            condition,
            ConditionStatus::Unknown,
            Reason::SourcesIncomplete,
            "not everything that is needed has been read yet",
        );
    }
    let share = subject.tally.whole;
    let message = format!(
        "{} ({} spot, {} on-demand), {}",
        counted(share.nodes(), "node"),
        share.spot,
        share.on_demand,
        wait(subject.pending_pods)
    );
    let reason = if subject.ocean.spec.mode == Mode::Observe {
        Reason::Observing
    } else {
        Reason::Healthy
    };
    finding(condition, ConditionStatus::True, reason, message)
}
