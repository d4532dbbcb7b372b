//! The cloud as last seen. Tasks keep it up to date at their own pace; a look takes what is there.
//!
//! An error leaves the last good data in place and marks its source as incomplete.

pub mod catalogue;
pub mod instances;
pub mod question;
pub mod queue;
pub mod templates;
pub mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use spotocean_core::catalogue::Catalogue;
use spotocean_core::id::InstanceId;
use spotocean_core::instance::{Instance, InstanceState};
use spotocean_core::port::CloudError;
use spotocean_planner::snapshot::{ReceivedEvent, Source};
use spotocean_planner::world::World;
use tokio::sync::Notify;

/// Everything seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Instances with our cluster's tag.
    pub instances: Arc<Vec<Instance>>,
    /// Trust in them.
    pub instances_source: Source,
    /// Types, zones and prices.
    pub catalogue: Arc<Catalogue>,
    /// Trust in types and zones.
    pub catalogue_source: Source,
    /// Trust in spot prices.
    pub prices_source: Source,
    /// Trust in the queue.
    pub queue_source: Source,
    /// Launch templates of ours.
    pub launch_templates: Arc<BTreeMap<Arc<str>, Timestamp>>,
    /// Answers to the oceans' questions.
    pub world: Arc<World>,
    /// Events not yet acknowledged.
    pub events: Vec<ReceivedEvent>,
}

/// What was seen, behind its lock, and the wish to see instances anew.
#[derive(Debug)]
pub struct View {
    seen: Mutex<Seen>,
    /// Rings when instances should be listed at once.
    pub instances_wanted: Notify,
}

impl View {
    /// Nothing seen yet but the built-in part of the catalogue. Without a queue its source is complete.
    pub fn new(catalogue: Catalogue, has_queue: bool) -> Self {
        let seen = Seen {
            instances: Arc::default(),
            instances_source: Source::unread(),
            catalogue: Arc::new(catalogue),
            catalogue_source: Source::unread(),
            prices_source: Source::unread(),
            queue_source: Source {
                as_of: None,
                is_complete: !has_queue,
                error: None,
            },
            launch_templates: Arc::default(),
            world: Arc::default(),
            events: Vec::new(),
        };
        Self {
            seen: Mutex::new(seen),
            instances_wanted: Notify::new(),
        }
    }

    /// Looks at or changes what was seen. Keep it short.
    pub fn with<T>(&self, work: impl FnOnce(&mut Seen) -> T) -> T {
        work(&mut self.seen.lock().expect("nothing panics while it holds this lock"))
    }

    /// A termination was accepted: shown until the next listing says otherwise.
    pub fn terminating(&self, ids: &[InstanceId]) {
        self.with(|seen| {
            for instance in Arc::make_mut(&mut seen.instances) {
                if ids.contains(&instance.id) && !instance.state.is_ending() {
                    instance.state = InstanceState::ShuttingDown;
                }
            }
        });
        self.instances_wanted.notify_one();
    }

    /// Tags were removed.
    pub fn untagged(&self, ids: &[InstanceId], keys: &[Arc<str>]) {
        self.with(|seen| {
            for instance in Arc::make_mut(&mut seen.instances) {
                if ids.contains(&instance.id) {
                    instance.tags.retain(|key, _| !keys.contains(key));
                }
            }
        });
        self.instances_wanted.notify_one();
    }

    /// Messages were deleted from the queue.
    pub fn acknowledged(&self, receipts: &[Arc<str>]) {
        self.with(|seen| seen.events.retain(|event| !receipts.contains(&event.receipt)));
    }

    /// Whether a launch template is known to exist.
    pub fn has_template(&self, name: &str) -> bool {
        self.with(|seen| seen.launch_templates.contains_key(name))
    }

    /// A launch template was made or found.
    pub fn template_exists(&self, name: &Arc<str>) {
        self.with(|seen| {
            Arc::make_mut(&mut seen.launch_templates)
                .entry(name.clone())
                .or_insert_with(Timestamp::now);
        });
    }

    /// A launch template was deleted, or turned out not to exist.
    pub fn template_gone(&self, name: &str) {
        self.with(|seen| Arc::make_mut(&mut seen.launch_templates).remove(name));
    }
}

/// Takes note of a read's end in its source.
pub fn note(source: &mut Source, error: Option<CloudError>) {
    if error.is_none() {
        source.as_of = Some(Timestamp::now());
    }
    source.is_complete = error.is_none();
    source.error = error;
}
