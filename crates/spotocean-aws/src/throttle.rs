//! Keeps every call inside EC2's token buckets, on our side of the wire.
//!
//! The figures are EC2's ("Request throttling for the Amazon EC2 API", per
//! account and region) less a fifth, because others in the account call too.
//! EC2 counts some actions apart that share a bucket here: that only makes us
//! slower, never faster. A read may wait; a write that would have to wait
//! longer than [`WRITE_PATIENCE`] is refused instead, because the caller's
//! lease runs out while it waits. Knows nothing of what is called.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use spotocean_core::port::{CloudError, CloudErrorKind};
use tokio::time::Instant;

/// The longest a write waits for its token. The lease that allows it lasts 15 s and the call itself up to 8 s.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);
/// The longest a read waits for its token.
const READ_PATIENCE: Duration = Duration::from_secs(60);
/// The code of a call refused on our side.
pub(crate) const REFUSED_CODE: &str = "ClientRateLimit";

/// Calls that draw on one bucket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Group {
    /// EC2's non-mutating actions, filtered or paged.
    Read,
    /// EC2's mutating actions without a bucket of their own.
    Write,
    /// CreateTags and DeleteTags.
    Tag,
    /// TerminateInstances.
    Terminate,
    /// Instances launched: EC2's resource tokens, which fleets drain too.
    LaunchedInstances,
    /// Instances terminated: EC2's resource tokens.
    TerminatedInstances,
    /// SSM, EKS, IAM, SQS and Pricing, whose limits AWS states only in part.
    Other,
}

impl Group {
    /// The bucket's size and refill per second: four fifths of EC2's figures.
    fn limits(self) -> (i64, i64) {
        match self {
            Self::Read => (80, 16),
            Self::Write => (40, 4),
            Self::Tag => (80, 8),
            Self::Terminate => (80, 4),
            // EC2 refills 2 a second: four fifths of it is no whole number, so the bucket alone is smaller.
            Self::LaunchedInstances => (800, 2),
            Self::TerminatedInstances => (800, 16),
            Self::Other => (20, 10),
        }
    }

    fn is_write(self) -> bool {
        !matches!(self, Self::Read | Self::Other)
    }
}

/// One API action as the throttle sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Action {
    /// Its name, such as `CreateFleet`.
    pub(crate) name: &'static str,
    group: Group,
    resources: Option<(Group, i64)>,
}

impl Action {
    const fn of(name: &'static str, group: Group) -> Self {
        Self {
            name,
            group,
            resources: None,
        }
    }

    /// A call that reads from EC2.
    pub(crate) const fn read(name: &'static str) -> Self {
        Self::of(name, Group::Read)
    }

    /// A call that changes something in EC2.
    pub(crate) const fn write(name: &'static str) -> Self {
        Self::of(name, Group::Write)
    }

    /// A call that sets or removes tags.
    pub(crate) const fn tag(name: &'static str) -> Self {
        Self::of(name, Group::Tag)
    }

    /// A call to another service than EC2.
    pub(crate) const fn other(name: &'static str) -> Self {
        Self::of(name, Group::Other)
    }

    /// `CreateFleet` for this many instances.
    pub(crate) fn create_fleet(instances: i64) -> Self {
        Self {
            resources: Some((Group::LaunchedInstances, instances)),
            ..Self::write("CreateFleet")
        }
    }

    /// `TerminateInstances` of this many instances.
    pub(crate) fn terminate(instances: usize) -> Self {
        let count = i64::try_from(instances).unwrap_or(i64::MAX);
        Self {
            resources: Some((Group::TerminatedInstances, count)),
            ..Self::of("TerminateInstances", Group::Terminate)
        }
    }

    fn costs(&self) -> impl Iterator<Item = (Group, i64)> {
        std::iter::once((self.group, 1)).chain(self.resources)
    }

    fn patience(&self) -> Duration {
        if self.group.is_write() {
            WRITE_PATIENCE
        } else {
            READ_PATIENCE
        }
    }
}

/// A token bucket. Time is what the caller says it is; tokens are kept in
/// thousandths, so that refilling loses nothing over a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Bucket {
    size: i64,
    refill_per_second: i64,
    level_milli: i64,
    as_of: Duration,
}

impl Bucket {
    fn full(group: Group) -> Self {
        let (size, refill_per_second) = group.limits();
        Self {
            size,
            refill_per_second,
            level_milli: size * 1000,
            as_of: Duration::ZERO,
        }
    }

    /// The bucket at `now`.
    fn at(self, now: Duration) -> Self {
        let elapsed_millis = i64::try_from(now.saturating_sub(self.as_of).as_millis()).unwrap_or(i64::MAX);
        let refilled = elapsed_millis.saturating_mul(self.refill_per_second);
        Self {
            level_milli: self.level_milli.saturating_add(refilled).min(self.size * 1000),
            as_of: self.as_of + Duration::from_millis(elapsed_millis.unsigned_abs()),
            ..self
        }
    }

    /// The bucket after `tokens` were taken. The level may go below zero: later
    /// calls queue behind this one. More than the bucket holds counts as all of it.
    fn less(self, tokens: i64) -> Self {
        Self {
            level_milli: self.level_milli - tokens.min(self.size) * 1000,
            ..self
        }
    }

    /// How long until the level is zero again.
    fn debt(self) -> Duration {
        let missing = u64::try_from(-self.level_milli).unwrap_or(0);
        Duration::from_millis(missing.div_ceil(self.refill_per_second.unsigned_abs()))
    }
}

/// All buckets of one account and region.
#[derive(Debug)]
pub(crate) struct Throttle {
    started: Instant,
    buckets: Mutex<BTreeMap<Group, Bucket>>,
}

impl Throttle {
    /// Full buckets.
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            buckets: Mutex::default(),
        }
    }

    /// Waits for the action's tokens, or refuses where that would take too long.
    pub(crate) async fn admit(&self, action: Action) -> Result<(), CloudError> {
        let now = self.started.elapsed();
        let reserved = {
            let mut buckets = self
                .buckets
                .lock()
                .expect("nothing panics while it holds the lock");
            reserve(&mut buckets, action, now)
        };
        match reserved {
            Ok(wait) if wait.is_zero() => Ok(()),
            Ok(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            Err(wait) => Err(refusal(action, wait)),
        }
    }
}

/// Takes the action's tokens and says how long to wait for them; takes none and
/// fails with that time where it is longer than the action's patience.
fn reserve(
    buckets: &mut BTreeMap<Group, Bucket>,
    action: Action,
    now: Duration,
) -> Result<Duration, Duration> {
    let after: Vec<(Group, Bucket)> = action
        .costs()
        .map(|(group, tokens)| {
            let bucket = buckets
                .get(&group)
                .copied()
                .unwrap_or_else(|| Bucket::full(group));
            (group, bucket.at(now).less(tokens))
        })
        .collect();
    let wait = after
        .iter()
        .map(|(_, bucket)| bucket.debt())
        .max()
        .unwrap_or_default();
    if wait > action.patience() {
        return Err(wait);
    }
    buckets.extend(after);
    Ok(wait)
}

fn refusal(action: Action, wait: Duration) -> CloudError {
    CloudError {
        kind: CloudErrorKind::Throttled,
        action: action.name.into(),
        code: REFUSED_CODE.into(),
        message: format!(
            "not sent: EC2's rate limit would have held this call back for {} s; it is sent again later",
            wait.as_secs_f32().ceil()
        )
        .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(calls: &[(Action, u64)]) -> Vec<Result<u64, u64>> {
        let mut buckets = BTreeMap::new();
        let millis = |wait: Duration| u64::try_from(wait.as_millis()).expect("a short wait");
        calls
            .iter()
            .map(|(action, now_millis)| {
                reserve(&mut buckets, *action, Duration::from_millis(*now_millis))
                    .map(millis)
                    .map_err(millis)
            })
            .collect()
    }

    #[test]
    fn a_burst_passes_and_the_next_call_waits_for_the_refill() {
        let write = Action::write("CreateLaunchTemplate");
        let mut calls = vec![(write, 0); 42];
        calls.push((write, 10_000));
        let waits = after(&calls);
        assert_eq!(waits[..40], vec![Ok(0); 40], "the bucket's size");
        assert_eq!(waits[40..], [Ok(250), Ok(500), Ok(0)], "four a second after that");
    }

    #[test]
    fn a_write_is_refused_before_it_outwaits_its_lease_and_takes_no_token() {
        let write = Action::write("CreateFleet");
        let waits = after(&[(write, 0); 50]);
        assert_eq!(waits[47], Ok(2000));
        assert_eq!(waits[48..], [Err(2250), Err(2250)], "a refusal takes nothing");
    }

    #[test]
    fn a_read_is_patient() {
        let waits = after(&[(Action::read("DescribeInstances"), 0); 120]);
        assert_eq!(waits[119], Ok(2500));
    }

    #[test]
    fn instances_are_counted_apart_from_calls() {
        let rows = [
            (
                "the resource bucket alone",
                vec![(Action::create_fleet(800), 0)],
                vec![Ok(0)],
            ),
            (
                "the second fleet finds it empty",
                vec![(Action::create_fleet(800), 0), (Action::create_fleet(10), 0)],
                vec![Ok(0), Err(5000)],
            ),
            (
                "more than the bucket holds passes when it is full",
                vec![(Action::create_fleet(5000), 0), (Action::create_fleet(1), 0)],
                vec![Ok(0), Ok(500)],
            ),
            (
                "terminations refill faster and draw on their own",
                vec![
                    (Action::create_fleet(800), 0),
                    (Action::terminate(800), 0),
                    (Action::terminate(16), 0),
                ],
                vec![Ok(0), Ok(0), Ok(1000)],
            ),
        ];
        for (what, calls, expected) in rows {
            assert_eq!(after(&calls), expected, "{what}");
        }
    }

    #[test]
    fn every_bucket_is_below_the_figures_of_ec2() {
        let rows = [
            (Group::Read, 100, 20),
            (Group::Write, 50, 5),
            (Group::Tag, 100, 10),
            (Group::Terminate, 100, 5),
            (Group::LaunchedInstances, 1000, 2),
            (Group::TerminatedInstances, 1000, 20),
        ];
        for (group, size, refill) in rows {
            let (ours, ours_per_second) = group.limits();
            assert!(ours < size && ours_per_second <= refill, "{group:?}");
        }
    }

    #[tokio::test]
    async fn a_refusal_says_that_nothing_was_sent() {
        let throttle = Throttle::new();
        throttle
            .admit(Action::create_fleet(10_000))
            .await
            .expect("the bucket is full");
        let refused = throttle
            .admit(Action::create_fleet(10))
            .await
            .expect_err("the bucket is empty now");
        assert_eq!(
            (refused.kind, &*refused.code),
            (CloudErrorKind::Throttled, REFUSED_CODE)
        );
        assert!(refused.message.starts_with("not sent"));
    }
}
