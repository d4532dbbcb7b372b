//! Who leads: client-go's rules as a state machine over an injected clock.
//!
//! A lease is judged by *when this process saw it change*, never by the times written in it, so that clocks of
//! other machines do not matter. Taking over is a replacement under the resource version, so that of two
//! candidates one loses with a conflict. Knows no client; [`election`] talks to the apiserver, [`fence`] tells
//! the rest of the process how long its word still counts.

pub mod election;
pub mod fence;

use std::time::{Duration, Instant};

/// client-go's three times.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long others must leave the lease alone after they last saw it change.
    pub lease: Duration,
    /// How long the holder tries to renew before it gives up; shorter than `lease`.
    pub renew_deadline: Duration,
    /// The pause between tries.
    pub retry: Duration,
}

impl Timing {
    /// client-go's defaults.
    pub const DEFAULT: Self = Self {
        lease: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry: Duration::from_secs(2),
    };
}

/// The lease as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty when it was released.
    pub holder: String,
    /// Its resource version.
    pub resource_version: String,
    /// How often it changed hands.
    pub transitions: i32,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is no lease: make one.
    Create,
    /// Replace the lease of this resource version by one of ours.
    Take {
        /// The version to replace.
        resource_version: String,
        /// Transitions to write.
        transitions: i32,
    },
    /// Replace our own lease by a fresher one.
    Renew {
        /// The version to replace.
        resource_version: String,
        /// Transitions to write.
        transitions: i32,
    },
    /// Somebody else holds it.
    Wait,
    /// We held it and can no longer be sure of it: stop all work.
    StepDown,
}

/// How leadership came about, which decides when AWS may first be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody held the lease, or the holder had given it back.
    Free,
    /// The holder fell silent: calls of its own may still be under way.
    TakenOver,
}

/// One candidate's view.
#[derive(Debug)]
pub struct Candidate {
    identity: String,
    timing: Timing,
    /// The lease as last seen, and when this process first saw it so.
    seen: Option<(Record, Instant)>,
    /// When our last successful write was *sent*, while we lead.
    renewed_at: Option<Instant>,
}

impl Candidate {
    /// A candidate that has seen nothing.
    pub fn new(identity: String, timing: Timing) -> Self {
        Self {
            identity,
            timing,
            seen: None,
            renewed_at: None,
        }
    }

    /// Takes note of the lease as read; `None` when there is none.
    pub fn observe(&mut self, record: Option<Record>, now: Instant) {
        match record {
            None => self.seen = None,
            Some(record) => {
                let is_news = self.seen.as_ref().is_none_or(|(seen, _)| *seen != record);
                if is_news {
                    self.seen = Some((record, now));
                }
            }
        }
    }

    /// What to do now.
    pub fn step(&self, now: Instant) -> Step {
        if let Some(renewed_at) = self.renewed_at {
            let is_ours = self
                .seen
                .as_ref()
                .is_some_and(|(seen, _)| seen.holder == self.identity);
            if !is_ours || now.duration_since(renewed_at) >= self.timing.renew_deadline {
                return Step::StepDown;
            }
        }
        let Some((seen, since)) = &self.seen else {
            return Step::Create;
        };
        let resource_version = seen.resource_version.clone();
        if seen.holder == self.identity {
            let transitions = seen.transitions;
            return Step::Renew {
                resource_version,
                transitions,
            };
        }
        let is_free = seen.holder.is_empty() || now.duration_since(*since) >= self.timing.lease;
        if is_free {
            let transitions = seen.transitions.saturating_add(1);
            return Step::Take {
                resource_version,
                transitions,
            };
        }
        Step::Wait
    }

    /// A write of ours, sent at `sent`, was accepted. Returns how we came to lead if we did not lead before.
    pub fn accept(&mut self, record: Record, sent: Instant) -> Option<Origin> {
        let origin = match (&self.renewed_at, &self.seen) {
            (Some(_), _) => None,
            (None, Some((before, _))) if !before.holder.is_empty() && before.holder != self.identity => {
                Some(Origin::TakenOver)
            }
            (None, _) => Some(Origin::Free),
        };
        self.seen = Some((record, sent));
        self.renewed_at = Some(sent);
        origin
    }

    /// We no longer lead.
    pub fn step_down(&mut self) {
        self.renewed_at = None;
    }

    /// Whether we lead as far as we know.
    pub fn leads(&self) -> bool {
        self.renewed_at.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(holder: &str, version: &str) -> Record {
        Record {
            holder: holder.to_owned(),
            resource_version: version.to_owned(),
            transitions: 3,
        }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn candidate() -> Candidate {
        Candidate::new("us".to_owned(), Timing::DEFAULT)
    }

    #[test]
    fn nobody_takes_a_lease_that_changed_within_its_duration() {
        let start = Instant::now();
        let mut us = candidate();
        assert_eq!(us.step(start), Step::Create);
        us.observe(Some(record("them", "1")), start);
        us.observe(Some(record("them", "1")), start + seconds(10));
        assert_eq!(us.step(start + seconds(14)), Step::Wait);
        us.observe(Some(record("them", "2")), start + seconds(14));
        assert_eq!(us.step(start + seconds(28)), Step::Wait, "it was renewed at 14 s");
        assert_eq!(
            us.step(start + seconds(29)),
            Step::Take {
                resource_version: "2".to_owned(),
                transitions: 4
            }
        );
        assert_eq!(
            us.accept(record("us", "3"), start + seconds(29)),
            Some(Origin::TakenOver)
        );
    }

    #[test]
    fn a_released_lease_is_free_at_once() {
        let start = Instant::now();
        let mut us = candidate();
        us.observe(Some(record("", "7")), start);
        assert!(matches!(us.step(start), Step::Take { .. }));
        assert_eq!(us.accept(record("us", "8"), start), Some(Origin::Free));
        assert_eq!(
            us.accept(record("us", "9"), start + seconds(2)),
            None,
            "a renewal"
        );
    }

    #[test]
    fn a_leader_steps_down_when_it_cannot_renew() {
        let start = Instant::now();
        let mut us = candidate();
        us.accept(record("us", "1"), start);
        assert!(matches!(us.step(start + seconds(9)), Step::Renew { .. }));
        assert_eq!(us.step(start + seconds(10)), Step::StepDown);
        us.step_down();
        assert!(!us.leads());
    }

    #[test]
    fn a_leader_steps_down_when_somebody_else_holds_the_lease() {
        let start = Instant::now();
        let mut us = candidate();
        us.accept(record("us", "1"), start);
        us.observe(Some(record("them", "2")), start + seconds(1));
        assert_eq!(us.step(start + seconds(1)), Step::StepDown);
        us.step_down();
        assert_eq!(us.step(start + seconds(2)), Step::Wait);
    }

    #[test]
    fn a_lease_that_was_deleted_under_us_ends_our_term() {
        let start = Instant::now();
        let mut us = candidate();
        us.accept(record("us", "1"), start);
        us.observe(None, start + seconds(1));
        assert_eq!(us.step(start + seconds(1)), Step::StepDown);
    }
}
