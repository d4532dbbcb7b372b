//! How long this process's word still counts: asked before every write to AWS.
//!
//! Kept apart from the election's own task on purpose. A process that was frozen and woken again must refuse
//! on its next write, before that task has had a chance to notice.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Timing;

/// Time left unused at the end of the lease, for the answer's way back.
const MARGIN: Duration = Duration::from_secs(1);

/// The term under way, if any.
#[derive(Clone, Copy, Debug)]
struct Term {
    renewed_at: Instant,
    cloud_from: Instant,
}

/// Tells what may still be written.
#[derive(Debug)]
pub struct Fence {
    timing: Timing,
    term: Mutex<Option<Term>>,
}

impl Fence {
    /// A fence that lets nothing through.
    pub fn closed(timing: Timing) -> Self {
        Self {
            timing,
            term: Mutex::new(None),
        }
    }

    /// A term begins; AWS is not written to before `cloud_from`.
    pub fn open(&self, renewed_at: Instant, cloud_from: Instant) {
        *self.lock() = Some(Term {
            renewed_at,
            cloud_from,
        });
    }

    /// The lease was renewed by a write sent at `sent`.
    pub fn renew(&self, sent: Instant) {
        if let Some(term) = &mut *self.lock() {
            term.renewed_at = sent;
        }
    }

    /// The term is over.
    pub fn close(&self) {
        *self.lock() = None;
    }

    /// Whether the lease is ours at `now`: enough for writes to the apiserver, which carry preconditions.
    pub fn holds(&self, now: Instant) -> bool {
        self.lock()
            .is_some_and(|term| now.duration_since(term.renewed_at) < self.timing.lease)
    }

    /// How long a write to AWS that starts at `now` may take; `None` when it must not start.
    pub fn cloud_budget(&self, now: Instant) -> Option<Duration> {
        let term = (*self.lock())?;
        let age = now.duration_since(term.renewed_at);
        let may_start = now >= term.cloud_from && age <= self.timing.lease / 2;
        may_start.then(|| self.timing.lease.saturating_sub(age + MARGIN))
    }

    /// When AWS may first be written to in this term.
    pub fn cloud_from(&self) -> Option<Instant> {
        self.lock().map(|term| term.cloud_from)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Term>> {
        self.term.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_end_before_the_lease_does() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let fence = Fence::closed(Timing::DEFAULT);
        assert_eq!(fence.cloud_budget(start), None);
        assert!(!fence.holds(start));
        fence.open(start, at(5));
        assert_eq!(
            fence.cloud_budget(at(4)),
            None,
            "the previous holder's calls may still run"
        );
        fence.renew(at(4));
        assert_eq!(fence.cloud_budget(at(5)), Some(Duration::from_secs(13)));
        assert_eq!(
            fence.cloud_budget(at(12)),
            None,
            "not renewed within half the lease"
        );
        assert!(fence.holds(at(18)));
        assert!(!fence.holds(at(19)));
        fence.close();
        assert!(!fence.holds(at(5)));
    }
}
