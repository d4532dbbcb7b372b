//! Which commands are under way and how the last runs of each ended.
//!
//! Kept in this process alone: losing it costs a retry that comes too early, nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use spotocean_planner::command::{CommandKey, Outcome};
use spotocean_planner::snapshot::{Attempt, AttemptError};

/// How long an attempt is remembered; longer than any back-off.
const KEPT_FOR: Duration = Duration::from_secs(3600);

/// The book of commands.
#[derive(Debug, Default)]
pub struct Ledger {
    running: BTreeSet<CommandKey>,
    attempts: BTreeMap<CommandKey, Attempt>,
}

impl Ledger {
    /// Begins a command unless the same one is under way.
    pub fn begin(&mut self, key: &CommandKey) -> bool {
        self.running.insert(key.clone())
    }

    /// A command has ended.
    pub fn end(&mut self, key: &CommandKey, result: &Result<Outcome, AttemptError>, now: Timestamp) {
        self.running.remove(key);
        let error = match result {
            Ok(Outcome::Done | Outcome::Stale | Outcome::Fleet(_)) => None,
            Ok(Outcome::FleetFailed(error)) => Some(AttemptError::Cloud(error.clone())),
            Err(error) => Some(error.clone()),
        };
        let before = self.attempts.get(key).map_or(0, |attempt| attempt.failures);
        let failures = if error.is_some() {
            before.saturating_add(1)
        } else {
            0
        };
        let attempt = Attempt {
            ended_at: now,
            failures,
            error,
        };
        self.attempts.insert(key.clone(), attempt);
    }

    /// Forgets what is too old to matter.
    pub fn prune(&mut self, now: Timestamp) {
        self.attempts
            .retain(|_, attempt| now.duration_since(attempt.ended_at).unsigned_abs() < KEPT_FOR);
    }

    /// Commands under way.
    pub fn running(&self) -> BTreeSet<CommandKey> {
        self.running.clone()
    }

    /// How the last runs ended.
    pub fn attempts(&self) -> BTreeMap<CommandKey, Attempt> {
        self.attempts.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_until_a_run_succeeds() {
        let key = CommandKey {
            kind: "EvictPod".into(),
            subject: "uid".into(),
        };
        let failure = || {
            Err(AttemptError::Kubernetes {
                status: 429,
                message: "budget".into(),
            })
        };
        let mut ledger = Ledger::default();
        let now = Timestamp::UNIX_EPOCH;
        assert!(ledger.begin(&key));
        assert!(!ledger.begin(&key), "it is under way");
        for (result, failures) in [
            (failure(), 1),
            (failure(), 2),
            (Ok(Outcome::Stale), 0),
            (failure(), 1),
            (Ok(Outcome::Done), 0),
        ] {
            ledger.end(&key, &result, now);
            assert_eq!(ledger.attempts()[&key].failures, failures, "{result:?}");
        }
        assert!(ledger.running().is_empty());
        ledger.prune(now + Duration::from_secs(3601));
        assert!(ledger.attempts().is_empty());
    }
}
