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
    let mut events: Events<K> = watcher(api.clone(), selection.clone()).boxed();
    let mut pause = PAUSE_MIN;
    let mut proven_at: Option<Instant> = None;
    loop {
        let proven = async {
            match proven_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => {
                    let is_listed = matches!(event, Event::InitDone);
                    take(event, &store, &wake);
                    if is_listed {
                        recovered::<K>(&store, &wake, &mut pause, &mut proven_at);
                    }
                }
                Some(Err(error)) => {
                    failed::<K>(&store, &error, proven_at.is_none());
                    if must_start_over(&error) {
                        events = watcher(api.clone(), selection.clone()).boxed();
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                    proven_at = Some(Instant::now() + PROVEN_AFTER);
                }
                None => events = watcher(api.clone(), selection.clone()).boxed(),
            },
            () = proven => recovered::<K>(&store, &wake, &mut pause, &mut proven_at),
        }
    }
}

fn recovered<K: Kind>(store: &Store, wake: &Wake, pause: &mut Duration, proven_at: &mut Option<Instant>) {
    *pause = PAUSE_MIN;
    if proven_at.take().is_some() {
        info!(kind = K::NAME, "watched again");
        store.with(|objects| objects.failing.remove(K::NAME));
        wake.ring(News::Change);
    }
}

fn failed<K: Kind>(store: &Store, error: &watcher::Error, is_first: bool) {
    if is_first {
        warn!(kind = K::NAME, %error, "cannot be watched; nothing is removed until it can");
    }
    let text: Arc<str> = format!("{} cannot be watched: {error}", K::NAME).into();
    store.with(|objects| objects.failing.insert(K::NAME, text));
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
                Seen::New | Seen::Replaced(_) => Some(K::news(&after)),
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
