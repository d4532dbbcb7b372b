//! Conditions of the kinds: closed sets of types and reasons, and the metav1 form of one.
//!
//! Which condition holds is decided by the planner's report; this file only fixes the words.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use std::fmt;

/// Declares a closed set of words once: the variant, its meaning, and its word, which is the variant's name.
macro_rules! words {
    ($(#[doc = $about:literal])+ $name:ident, $(#[doc = $about_all:literal])+ $all:ident:
     $($(#[doc = $meaning:literal])+ $variant:ident,)+) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[doc = $meaning])+ $variant,)+ }

        $(#[doc = $about_all])+
        pub const $all: &[$name] = &[$($name::$variant,)+];

        impl $name {
            /// The word as it is written in status.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }

            /// Its meaning in a sentence, for the reference page.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($meaning,)+).trim_ascii(),)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What a condition is about.
    ConditionType,
    /// All condition types, in the order in which they are written.
    CONDITION_TYPES:
    /// Summary of all others: the ocean does its job.
    Ready,
    /// Work is under way. Abnormal when true, in kstatus's sense.
    Reconciling,
    /// Only a user can fix it. Abnormal when true, in kstatus's sense.
    Stalled,
    /// AWS answers and allows what is needed.
    CloudAccess,
    /// Images were found for every pool.
    ImagesResolved,
    /// Subnets and security groups were found for every pool.
    NetworkResolved,
    /// Some market has capacity for what is wanted.
    CapacityAvailable,
    /// Nothing is held back by a limit.
    WithinLimits,
    /// Prices are recent.
    PricesFresh,
    /// Fewer markets than the share caps need: they were relaxed to an even split. Abnormal when true.
    DiversificationReduced,
    /// Another autoscaler could serve the same pods. Abnormal when true.
    OtherAutoscalerActive,
}

/// Truth value of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Not known, for instance before the first look.
    Unknown,
}

impl ConditionStatus {
    /// The word in `status.conditions[].status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

words! {
    /// Why a condition has its status. The word in `reason` is the variant's name.
    Reason,
    /// Every reason, in order of declaration.
    REASONS:
    /// Nothing is wrong.
    Healthy,
    /// Nothing is left to do.
    Settled,
    /// Nobody has looked yet.
    NotObserved,
    /// Some source (a watch, an AWS call) has not answered completely yet.
    SourcesIncomplete,
    /// Nodes are being launched.
    Launching,
    /// Nodes are being drained or terminated.
    Removing,
    /// The ocean is being deleted and its nodes with it.
    Deleting,
    /// Stopped by the annotation spotocean.dev/pause.
    Paused,
    /// Mode Observe: plans are published, nothing is touched.
    Observing,
    /// The ocean cannot be read by this operator; its nodes are left alone.
    SpecUnreadable,
    /// The merged settings of a pool contradict each other.
    SpecInvalid,
    /// The ocean names another cluster than the one that the operator runs in.
    WrongCluster,
    /// AWS answers and allows what is needed.
    Accessible,
    /// No credentials were found, or they are not valid.
    CredentialsInvalid,
    /// AWS refused an action: a missing permission or a service control policy.
    AccessDenied,
    /// AWS answers too slowly or with throttling errors.
    Throttled,
    /// AWS does not answer.
    Unreachable,
    /// The IAM role of nodes does not exist.
    RoleNotFound,
    /// The instance profile does not exist.
    InstanceProfileNotFound,
    /// The role could not be admitted to the cluster.
    RoleNotAdmitted,
    /// Everything that was selected was found.
    Resolved,
    /// No image matches the selector or version.
    ImageNotFound,
    /// The image's architecture fits no instance type of the pool.
    ImageArchitectureMismatch,
    /// No subnet matches the selector.
    SubnetNotFound,
    /// No security group matches the selector.
    SecurityGroupNotFound,
    /// Subnets and security groups are in different VPCs.
    NetworkMismatch,
    /// The subnets have no free addresses left.
    SubnetsFull,
    /// Capacity was found where it was wanted.
    Available,
    /// No market that fits has capacity.
    NoCapacity,
    /// No instance type meets the requirements of a pool.
    NoInstanceTypeFits,
    /// A quota of the AWS account is used up.
    QuotaExceeded,
    /// EC2 refused the launch request itself; the message names the parameter.
    LaunchRefused,
    /// Launched nodes do not join the cluster.
    NodesNotJoining,
    /// More candidates for collection than is plausible: collection has stopped.
    CollectionStopped,
    /// New nodes a minute are held back by the launch brake.
    LaunchBrake,
    /// Usage is below every limit.
    BelowLimits,
    /// A limit holds back purchases.
    LimitReached,
    /// Prices are recent.
    Fresh,
    /// Spot prices are old; the last known ones are used.
    SpotPricesStale,
    /// On-demand prices come from the built-in table.
    BuiltInPrices,
    /// Enough markets for the share caps.
    Diversified,
    /// Fewer markets than the share caps need.
    FewMarkets,
    /// No other autoscaler was found.
    NoneFound,
    /// Karpenter has node pools in this cluster.
    KarpenterFound,
    /// Cluster Autoscaler runs in this cluster.
    ClusterAutoscalerFound,
    /// EKS Auto Mode is on.
    AutoModeFound,
    /// Another autoscaler was found, and the ocean allows the overlap or serves selected pods only.
    OverlapAllowed,
    /// Another ocean could serve the same pods with the same weight.
    OceanOverlap,
    /// The instance has been asked for.
    LaunchPending,
    /// EC2 has launched the instance.
    Launched,
    /// The node has joined the cluster.
    Registered,
    /// The node is ready for pods.
    Initialized,
    /// The drain waits for a PodDisruptionBudget; the message names it.
    DrainBlocked,
    /// The drain goes on.
    Draining,
}

/// What one pass found out about one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub condition_type: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why.
    pub reason: Reason,
    /// One sentence with the number that matters; no times or ids that churn.
    pub message: String,
}

/// The metav1 form of `findings`. `lastTransitionTime` is kept from `previous` unless the status flips.
pub fn conditions(
    findings: &[Finding],
    previous: &[Condition],
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    findings
        .iter()
        .map(|finding| condition(finding, previous, generation, now))
        .collect()
}

/// metav1's own limit for a message.
const MESSAGE_CHARACTERS_MAX: usize = 32_768;

fn condition(finding: &Finding, previous: &[Condition], generation: i64, now: Timestamp) -> Condition {
    let condition_type = finding.condition_type.as_str();
    let status = finding.status.as_str();
    let unchanged = previous
        .iter()
        .find(|old| old.type_ == condition_type && old.status == status);
    Condition {
        type_: condition_type.to_owned(),
        status: status.to_owned(),
        reason: finding.reason.as_str().to_owned(),
        message: finding.message.chars().take(MESSAGE_CHARACTERS_MAX).collect(),
        observed_generation: Some(generation),
        last_transition_time: unchanged.map_or(Time(now), |old| old.last_transition_time.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::{CONDITION_TYPES, ConditionStatus, ConditionType, Finding, REASONS, Reason, conditions};
    use k8s_openapi::jiff::Timestamp;
    use std::collections::BTreeSet;

    fn finding(status: ConditionStatus) -> Finding {
        Finding {
            condition_type: ConditionType::Ready,
            status,
            reason: Reason::Healthy,
            message: "3 nodes".into(),
        }
    }

    #[test]
    fn transition_time_moves_only_when_the_status_flips() {
        let (first, second) = (
            Timestamp::from_second(100).unwrap(),
            Timestamp::from_second(200).unwrap(),
        );
        let before = conditions(&[finding(ConditionStatus::True)], &[], 1, first);
        let same = conditions(&[finding(ConditionStatus::True)], &before, 2, second);
        let flipped = conditions(&[finding(ConditionStatus::False)], &before, 2, second);
        assert_eq!(same[0].last_transition_time.0, first);
        assert_eq!(same[0].observed_generation, Some(2));
        assert_eq!(flipped[0].last_transition_time.0, second);
    }

    #[test]
    fn words_are_unique_and_camel_case() {
        let reasons: BTreeSet<_> = REASONS.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(reasons.len(), REASONS.len());
        let types: BTreeSet<_> = CONDITION_TYPES
            .iter()
            .map(|condition| condition.as_str())
            .collect();
        assert_eq!(types.len(), CONDITION_TYPES.len());
        for word in reasons.iter().chain(&types) {
            assert!(
                word.starts_with(|first: char| first.is_ascii_uppercase()),
                "{word}"
            );
        }
    }
}
