//! Publishes events, each once.
//!
//! An event's name is the hash of what it says and about what, so that a repeat, also one by the next leader,
//! meets the first one and is left out. kube's own recorder is not used: it joins events that differ in their
//! note alone and shows the old note.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use spotocean_planner::plan::{EventSubject, EventToPublish};
use tracing::warn;

/// An event that has not been wanted for this long may be published again: the apiserver keeps events an hour.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// Events of one look at most; the rest is wanted again by the next one.
const PER_LOOK_MAX: usize = 200;
/// Events written at once.
const WRITES_MAX: usize = 8;
/// The longest a write may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest note and reason (events.k8s.io/v1 validation: 1 kB and 128 characters).
const NOTE_BYTES_MAX: usize = 1000;

/// Knows what has been said.
pub struct Publisher {
    client: Client,
    instance: String,
    said: Said,
}

/// Events by when they were last wanted.
#[derive(Debug, Default)]
struct Said(BTreeMap<EventToPublish, Instant>);

impl Said {
    /// Of the events wanted now, those that are new.
    fn news(&mut self, wanted: Vec<EventToPublish>, now: Instant) -> Vec<EventToPublish> {
        self.0.retain(|_, at| now.duration_since(*at) < KEPT_FOR);
        let wanted: BTreeSet<EventToPublish> = wanted.into_iter().collect();
        let mut news = Vec::new();
        for event in wanted {
            let is_known = self.0.contains_key(&event);
            if !is_known && news.len() == PER_LOOK_MAX {
                continue;
            }
            if self.0.insert(event.clone(), now).is_none() {
                news.push(event);
            }
        }
        news
    }
}

impl Publisher {
    /// A publisher that speaks for `instance`.
    pub fn new(client: Client, instance: String) -> Self {
        Self {
            client,
            instance,
            said: Said::default(),
        }
    }

    /// Publishes what is new.
    pub async fn publish(&mut self, wanted: Vec<EventToPublish>) {
        let news = self.said.news(wanted, Instant::now());
        futures::stream::iter(news)
            .for_each_concurrent(WRITES_MAX, |event| self.create(event))
            .await;
    }

    async fn create(&self, event: EventToPublish) {
        let object = object(&event, &self.instance, Timestamp::now());
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let write = async { events.create(&PostParams::default(), &object).await };
        match tokio::time::timeout(TIMEOUT, write).await {
            Ok(Ok(_)) => {}
            // Said before, or the pod's namespace is going.
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 403 | 404 | 409) => {
                if status.code == 403 && !status.message.contains("terminat") {
                    warn!(
                        reason = &*event.reason,
                        error = status.message,
                        "an event cannot be published"
                    );
                }
            }
            Ok(Err(error)) => warn!(reason = &*event.reason, %error, "an event cannot be published"),
            Err(_) => warn!(reason = &*event.reason, "an event cannot be published: no answer"),
        }
    }
}

fn object(event: &EventToPublish, instance: &str, now: Timestamp) -> Event {
    let regarding = reference(&event.subject);
    // Events about objects without a namespace belong into `default`.
    let namespace = regarding
        .namespace
        .clone()
        .unwrap_or_else(|| "default".to_owned());
    let mut hasher = DefaultHasher::new();
    event.hash(&mut hasher);
    // The longest name is 253 characters.
    let head = cut(regarding.name.as_deref().unwrap_or_default(), 230);
    let name = format!("{head}.{:016x}", hasher.finish());
    Event {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        reporting_controller: Some("spotocean.dev/operator".to_owned()),
        reporting_instance: Some(cut(instance, 128)),
        action: Some(event.reason.to_string()),
        reason: Some(event.reason.to_string()),
        note: Some(cut(&event.message, NOTE_BYTES_MAX)),
        type_: Some(if event.is_warning { "Warning" } else { "Normal" }.to_owned()),
        regarding: Some(regarding),
        related: event.related.as_ref().map(reference),
        ..Event::default()
    }
}

fn reference(subject: &EventSubject) -> ObjectReference {
    let (version, kind, namespace, name, uid) = match subject {
        EventSubject::Ocean { name, uid } => ("spotocean.dev/v1alpha1", "SpotOcean", None, name, uid),
        EventSubject::OceanNode { name, uid } => ("spotocean.dev/v1alpha1", "OceanNode", None, name, uid),
        EventSubject::Node { name, uid } => ("v1", "Node", None, name, uid),
        EventSubject::Pod { key, uid } => ("v1", "Pod", Some(key.namespace.to_string()), &key.name, uid),
    };
    ObjectReference {
        api_version: Some(version.to_owned()),
        kind: Some(kind.to_owned()),
        namespace,
        name: Some(name.to_string()),
        uid: Some(uid.to_string()),
        ..ObjectReference::default()
    }
}

/// At most `bytes` bytes, whole characters.
fn cut(text: &str, bytes: usize) -> String {
    text.chars()
        .scan(0, |length, letter| {
            *length += letter.len_utf8();
            (*length <= bytes).then_some(letter)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, message: &str) -> EventToPublish {
        EventToPublish {
            subject: EventSubject::Ocean {
                name: name.into(),
                uid: "u".into(),
            },
            related: None,
            is_warning: true,
            reason: "NoCapacity".into(),
            message: message.into(),
        }
    }

    #[test]
    fn repeats_are_left_out_until_nobody_remembers() {
        let start = Instant::now();
        let mut said = Said::default();
        let hour = KEPT_FOR;
        assert_eq!(said.news(vec![event("a", "x"), event("a", "x")], start).len(), 1);
        assert_eq!(said.news(vec![event("a", "x")], start + hour / 2).len(), 0);
        assert_eq!(
            said.news(vec![event("a", "x")], start + hour).len(),
            0,
            "it is still so"
        );
        assert_eq!(
            said.news(vec![event("a", "y")], start + hour).len(),
            1,
            "another message"
        );
        assert_eq!(said.news(vec![event("a", "x")], start + hour * 3).len(), 1);
    }

    #[test]
    fn a_flood_is_spread_over_looks() {
        let mut said = Said::default();
        let start = Instant::now();
        let flood: Vec<_> = (0..PER_LOOK_MAX + 5)
            .map(|index| event(&format!("a{index:04}"), "x"))
            .collect();
        assert_eq!(said.news(flood.clone(), start).len(), PER_LOOK_MAX);
        assert_eq!(said.news(flood, start).len(), 5);
    }

    #[test]
    fn the_same_event_has_the_same_name_and_another_message_another() {
        let name = |event: &EventToPublish| object(event, "us", Timestamp::UNIX_EPOCH).metadata.name;
        assert_eq!(name(&event("a", "x")), name(&event("a", "x")));
        assert_ne!(name(&event("a", "x")), name(&event("a", "y")));
        assert_eq!(cut("aäb", 2), "a", "no half characters");
    }
}
