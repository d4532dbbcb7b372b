//! The one bell of the loop: anyone rings it with a kind of news, the loop waits for the look that is due.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::batch::{Batch, News, Scope};

/// The bell.
#[derive(Debug)]
pub struct Wake {
    batch: Mutex<Batch>,
    rung: Notify,
}

impl Wake {
    /// A bell with its batch window.
    pub fn new(idle: Duration, max: Duration) -> Self {
        Self {
            batch: Mutex::new(Batch::new(idle, max)),
            rung: Notify::new(),
        }
    }

    /// Rings.
    pub fn ring(&self, news: News) {
        self.lock().poke(news, Instant::now());
        self.rung.notify_one();
    }

    /// A look has ended: see [`Batch::rest`].
    pub fn rest(&self, timer: Instant, not_before: Instant) {
        self.lock().rest(timer, not_before);
    }

    /// Waits until a look is due.
    pub async fn next(&self) -> Scope {
        loop {
            let now = Instant::now();
            let due = self.lock().due(now);
            match due {
                Some(due) if due <= now => return self.lock().take(now),
                Some(due) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(due.into()) => {}
                        () = self.rung.notified() => {}
                    }
                }
                None => self.rung.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.batch
            .lock()
            .expect("nothing panics while it holds this lock")
    }
}
