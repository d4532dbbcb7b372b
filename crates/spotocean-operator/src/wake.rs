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

    /// Waits until a look is due. While pods are gathered, `is_coming` says whether one is still on its way to the
    /// scheduler's verdict: then the look waits for it as for one that just came.
    pub async fn next(&self, is_coming: impl Fn() -> bool) -> Scope {
        loop {
            let now = Instant::now();
            let due = self.lock().due(now);
            match due {
                Some(due) if due <= now => {
                    let may_gather = self.lock().may_gather(now);
                    if !(may_gather && is_coming()) {
                        return self.lock().take(now);
                    }
                    self.lock().poke(News::PendingPod, now);
                }
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

    /// Waits for forced news while a look is under way, and takes it.
    pub async fn forced(&self) {
        while !self.lock().take_forced(Instant::now()) {
            self.rung.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.batch
            .lock()
            .expect("nothing panics while it holds this lock")
    }
}
