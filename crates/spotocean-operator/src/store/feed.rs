//! Keeps one table equal to what the apiserver holds: list, watch, resume, start over.
//!
//! Objects are translated as they arrive and dropped at once; the store never holds a whole one.
//! A feed is failing from its first error until a watch has been open for a while or a list was read whole.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::kind::Kind;
use super::table::Seen;
use super::{Store, entry};
use crate::batch::News;
use crate::wake::Wake;

/// The first pause after an error; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// The longest pause: how long recovery may go unnoticed.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A watch that was opened again and has not failed for this long works.
const PROVEN_AFTER: Duration = Duration::from_secs(3);

type Events<K> = std::pin::Pin<Box<dyn Stream<Item = Result<Event<K>, watcher::Error>> + Send>>;

/// Feeds the table of `K` for as long as it is polled.
pub async fn feed<K: Kind>(api: Api<K>, selection: watcher::Config, store: Arc<Store>, wake: Arc<Wake>) {
    let open = || -> Events<K> { watcher(api.clone(), selection.clone()).boxed() };
    let mut events = open();
    let mut trust = Trust::new(K::NAME, &store, &wake);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => {
                    trust.heed(&event);
                    take(event, &store, &wake);
                    if !trust.is_listing {
                        trust.listed_or_watched();
                    }
                }
                Some(Err(error)) => {
                    trust.lose(&error);
                    if must_start_over(&error) {
                        events = open();
                    }
                    sleep(trust.pause).await;
                    trust.try_again();
                }
                None => events = open(),
            },
            () = trust.proven() => trust.restore(),
        }
    }
}

/// Whether one kind's table can be believed to be up to date.
struct Trust<'a> {
    kind: &'static str,
    store: &'a Store,
    wake: &'a Wake,
    /// A list has begun and not ended: silence proves nothing.
    is_listing: bool,
    is_failing: bool,
    pause: Duration,
    proven_at: Instant,
}

impl<'a> Trust<'a> {
    fn new(kind: &'static str, store: &'a Store, wake: &'a Wake) -> Self {
        Self {
            kind,
            store,
            wake,
            is_listing: true,
            is_failing: false,
            pause: PAUSE_MIN,
            proven_at: Instant::now(),
        }
    }

    fn heed<K>(&mut self, event: &Event<K>) {
        match event {
            Event::Init => self.is_listing = true,
            Event::InitDone => self.is_listing = false,
            Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => {}
        }
    }

    /// An event of an open watch, or the end of a list: it works.
    fn listed_or_watched(&mut self) {
        if self.is_failing {
            self.restore();
        }
    }

    fn lose(&mut self, error: &watcher::Error) {
        if !self.is_failing {
            warn!(kind = self.kind, %error, "cannot be watched; nothing is removed until it can");
        }
        self.is_failing = true;
        let text: Arc<str> = format!("{} cannot be watched: {error}", self.kind).into();
        self.store.with(|objects| objects.failing.insert(self.kind, text));
    }

    fn try_again(&mut self) {
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.proven_at = Instant::now() + PROVEN_AFTER;
    }

    /// Waits until a watch that was opened again has been silent, that is open, for a while.
    async fn proven(&self) {
        if self.is_failing && !self.is_listing {
            sleep_until(self.proven_at).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    fn restore(&mut self) {
        info!(kind = self.kind, "watched again");
        self.is_failing = false;
        self.pause = PAUSE_MIN;
        self.store.with(|objects| objects.failing.remove(self.kind));
        self.wake.ring(News::Change);
    }
}

/// Whether the version we would resume from is of no use: too old, or of a kind that was taken away.
fn must_start_over(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => matches!(status.code, 404 | 410),
        watcher::Error::WatchError(status) => matches!(status.code, 404 | 410),
        _ => false,
    }
}

fn take<K: Kind>(event: Event<K>, store: &Store, wake: &Wake) {
    let news = store.with(|objects| match event {
        Event::Init => {
            K::table(objects).begin();
            None
        }
        Event::InitApply(object) => {
            let (key, row) = read(object, objects);
            K::table(objects).stage(key, row);
            None
        }
        Event::InitDone => {
            let is_news = K::table(objects).finish();
            K::settle(objects, None);
            is_news.then_some(News::Change)
        }
        Event::Apply(object) => {
            let (key, row) = read(object, objects);
            let after = row.value.clone();
            let seen = K::table(objects).observe(key.clone(), row);
            K::settle(objects, Some(&key));
            match seen {
                Seen::Ignored => None,
                Seen::Replaced(before) if !K::differs(&before, &after) => None,
                Seen::Replaced(before) => Some(K::news(Some(&before), &after)),
                Seen::New => Some(K::news(None, &after)),
            }
        }
        Event::Delete(object) => {
            let (key, uid) = (
                K::key(object.meta()),
                object.meta().uid.clone().unwrap_or_default(),
            );
            let is_news = K::table(objects).forget(&key, &uid);
            K::settle(objects, Some(&key));
            is_news.then_some(News::Change)
        }
    });
    if let Some(news) = news {
        wake.ring(news);
    }
}

fn read<K: Kind>(object: K, objects: &mut super::Objects) -> (K::Key, super::table::Entry<K::Value>) {
    let key = K::key(object.meta());
    let (uid, version) = entry::identity(object.meta());
    let value = K::translate(object, objects);
    (key, super::table::Entry { uid, version, value })
}
