//! When the next look is due: changes wake the loop, pending pods are gathered first.
//!
//! Pure: the time comes in with each call. A pod rarely comes alone; planning on the first of a thousand
//! would buy badly, so pods are awaited until none has come for `idle`, at most `max` after the first. A pod that
//! kube-scheduler has not looked at yet is still coming, however long that takes it.
//! Forced news never waits; while pods are being gathered it gets a look of its own, in which nothing else is done.

use std::time::{Duration, Instant};

/// The time from an ordinary change to the look at it: changes come in groups.
const SETTLE: Duration = Duration::from_millis(50);

/// What a look may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Whole,
    /// Everything, and what is forced before anything is solved.
    ForcedFirst,
    /// Forced commands only: pods are still being gathered.
    ForcedOnly,
}

/// Why the loop is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// A pod that may need a node.
    PendingPod,
    /// Any other change.
    Change,
    /// Something with a deadline.
    Forced,
}

/// The gathering of news for the next look.
#[derive(Debug)]
pub struct Batch {
    idle: Duration,
    max: Duration,
    first_pod: Option<Instant>,
    last_pod: Option<Instant>,
    change: Option<Instant>,
    is_forced: bool,
    timer: Option<Instant>,
    not_before: Option<Instant>,
}

impl Batch {
    /// An empty batch with its window.
    pub fn new(idle: Duration, max: Duration) -> Self {
        Self {
            idle,
            max,
            first_pod: None,
            last_pod: None,
            change: None,
            is_forced: false,
            timer: None,
            not_before: None,
        }
    }

    /// Takes note of news.
    pub fn poke(&mut self, news: News, now: Instant) {
        match news {
            News::PendingPod => {
                self.first_pod.get_or_insert(now);
                self.last_pod = Some(now);
            }
            News::Change => {
                self.change.get_or_insert(now);
            }
            News::Forced => self.is_forced = true,
        }
    }

    /// After a look: the next one is due at `timer` whatever happens, and none but a forced one before `not_before`.
    pub fn rest(&mut self, timer: Instant, not_before: Instant) {
        self.timer = Some(timer);
        self.not_before = Some(not_before);
    }

    /// When the next look is due; `None` when nothing is known that it could be about.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        if self.is_forced {
            return Some(now);
        }
        let due = match self.pods_due() {
            // While pods are gathered, other changes wait with them.
            Some(pods) => Some(pods),
            None => [self.change.map(|change| change + SETTLE), self.timer]
                .into_iter()
                .flatten()
                .min(),
        };
        due.map(|due| self.not_before.map_or(due, |earliest| due.max(earliest)))
    }

    /// Whether the look that is due at `now` may still wait for pods: some were gathered, and their window is open.
    pub fn may_gather(&self, now: Instant) -> bool {
        let is_open = self.first_pod.is_some_and(|first| now < first + self.max);
        is_open && !self.is_forced
    }

    /// Begins the look that is due.
    pub fn take(&mut self, now: Instant) -> Scope {
        let is_gathering = self.pods_due().is_some_and(|due| due > now);
        let is_forced = std::mem::take(&mut self.is_forced);
        if is_forced && is_gathering {
            return Scope::ForcedOnly;
        }
        self.first_pod = None;
        self.last_pod = None;
        self.change = None;
        self.timer = None;
        if is_forced {
            Scope::ForcedFirst
        } else {
            Scope::Whole
        }
    }

    /// Takes forced news out while another look is under way; an ordinary look at it follows.
    pub fn take_forced(&mut self, now: Instant) -> bool {
        let is_forced = std::mem::take(&mut self.is_forced);
        if is_forced {
            self.change.get_or_insert(now);
        }
        is_forced
    }

    fn pods_due(&self) -> Option<Instant> {
        let first = self.first_pod?;
        let last = self.last_pod?;
        Some((last + self.idle).min(first + self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Pokes at the given milliseconds; expects the next look at `expected`.
    fn check(pokes: &[(News, u64)], expected: Option<u64>) {
        let start = Instant::now();
        let mut batch = Batch::new(milliseconds(300), milliseconds(3000));
        let mut now = start;
        for (news, at) in pokes {
            now = start + milliseconds(*at);
            batch.poke(*news, now);
        }
        let due = batch.due(now).map(|due| due.duration_since(start));
        assert_eq!(due, expected.map(milliseconds), "{pokes:?}");
    }

    #[test]
    fn news_is_gathered_as_its_kind_asks() {
        use News::{Change, Forced, PendingPod};
        check(&[], None);
        check(&[(Change, 10), (Change, 40)], Some(60));
        check(&[(PendingPod, 10)], Some(310));
        check(&[(PendingPod, 10), (PendingPod, 200)], Some(500));
        // A pod every 200 ms: the window closes 3 s after the first.
        let stream: Vec<_> = (0..16).map(|index| (PendingPod, 10 + 200 * index)).collect();
        check(&stream, Some(3010));
        check(&[(PendingPod, 10), (Change, 20)], Some(310));
        check(&[(PendingPod, 10), (Forced, 20)], Some(20));
    }

    #[test]
    fn forced_news_leaves_the_gathered_pods_for_their_own_look() {
        let start = Instant::now();
        let mut batch = Batch::new(milliseconds(300), milliseconds(3000));
        batch.poke(News::PendingPod, start);
        batch.poke(News::Forced, start + milliseconds(100));
        assert_eq!(batch.take(start + milliseconds(100)), Scope::ForcedOnly);
        assert_eq!(
            batch.due(start + milliseconds(100)),
            Some(start + milliseconds(300))
        );
        assert_eq!(batch.take(start + milliseconds(300)), Scope::Whole);
        assert_eq!(batch.due(start + milliseconds(300)), None);
    }

    #[test]
    fn pods_still_to_come_hold_the_window_open_to_its_end_and_no_longer() {
        let start = Instant::now();
        let mut batch = Batch::new(milliseconds(300), milliseconds(3000));
        assert!(!batch.may_gather(start), "no pod was gathered");
        batch.poke(News::PendingPod, start);
        assert!(batch.may_gather(start + milliseconds(2999)));
        assert!(!batch.may_gather(start + milliseconds(3000)));
        batch.poke(News::Forced, start);
        assert!(!batch.may_gather(start), "forced news waits for nobody");
    }

    #[test]
    fn forced_news_during_a_look_is_taken_once_and_looked_at_again() {
        let start = Instant::now();
        let mut batch = Batch::new(milliseconds(300), milliseconds(3000));
        assert!(!batch.take_forced(start));
        assert_eq!(batch.due(start), None);
        batch.poke(News::Forced, start);
        assert!(batch.take_forced(start));
        assert!(!batch.take_forced(start));
        assert_eq!(batch.due(start), Some(start + SETTLE));
    }

    #[test]
    fn looks_are_spaced_but_for_forced_ones() {
        let start = Instant::now();
        let mut batch = Batch::new(milliseconds(300), milliseconds(3000));
        batch.rest(start + milliseconds(5000), start + milliseconds(200));
        assert_eq!(
            batch.due(start),
            Some(start + milliseconds(5000)),
            "the timer alone"
        );
        batch.poke(News::Change, start);
        assert_eq!(batch.due(start), Some(start + milliseconds(200)));
        batch.poke(News::Forced, start + milliseconds(1));
        assert_eq!(batch.due(start + milliseconds(1)), Some(start + milliseconds(1)));
        assert_eq!(batch.take(start + milliseconds(1)), Scope::ForcedFirst);
    }
}
