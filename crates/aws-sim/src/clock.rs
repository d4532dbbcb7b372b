//! Simulated time: how far it has come, and what a moment in it is called on the wire.
//! It does not decide when anything happens; every rule gets a [`Moment`] passed in.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A point in simulated time: milliseconds since the simulator was started (negative: before it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub i64);

impl Moment {
    /// The moment `milliseconds` later.
    #[must_use]
    pub fn plus_ms(self, milliseconds: i64) -> Moment {
        Moment(self.0.saturating_add(milliseconds))
    }

    /// The moment `seconds` later.
    #[must_use]
    pub fn plus_seconds(self, seconds: f64) -> Moment {
        self.plus_ms(ms(seconds))
    }

    /// Seconds since the simulator was started.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

/// Seconds as whole milliseconds.
pub fn ms(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

/// The running clock. Simulated time goes `speed` times as fast as real time and can be made to jump.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    started_at: Timestamp,
    speed: f64,
    skipped_ms: AtomicI64,
}

impl Clock {
    /// Starts at moment zero, now. A speed that is no positive number counts as 1.
    pub fn start(speed: f64) -> Clock {
        Clock {
            started: Instant::now(),
            started_at: Timestamp::now(),
            speed: if speed.is_finite() && speed > 0.0 {
                speed
            } else {
                1.0
            },
            skipped_ms: AtomicI64::new(0),
        }
    }

    /// The simulated time.
    pub fn now(&self) -> Moment {
        let run_ms = (self.started.elapsed().as_secs_f64() * 1000.0 * self.speed) as i64;
        Moment(run_ms + self.skipped_ms.load(Ordering::Relaxed))
    }

    /// Real milliseconds since the start: what clients pace themselves by (token buckets, queue visibility).
    pub fn real_ms(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Makes simulated time jump ahead.
    pub fn skip_seconds(&self, seconds: f64) {
        self.skipped_ms.fetch_add(ms(seconds.max(0.0)), Ordering::Relaxed);
    }

    /// What a simulated moment is called on the wire: clients live in real time, so an event that
    /// lies ten simulated seconds back at speed 10 happened one second ago.
    pub fn timestamp(&self, moment: Moment) -> Timestamp {
        let behind_ms = (self.now().0 - moment.0) as f64 / self.speed;
        let now_ms = self.started_at.as_millisecond() + self.real_ms();
        Timestamp::from_millisecond(now_ms - behind_ms as i64).unwrap_or(self.started_at)
    }

    /// The simulated moment that a wire timestamp names.
    pub fn moment(&self, timestamp: Timestamp) -> Moment {
        let now_ms = self.started_at.as_millisecond() + self.real_ms();
        let behind_ms = (now_ms - timestamp.as_millisecond()) as f64 * self.speed;
        Moment(self.now().0 - behind_ms as i64)
    }

    /// How long `seconds` of simulated time take in real time.
    pub fn real_duration(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64((seconds / self.speed).max(0.0))
    }
}
