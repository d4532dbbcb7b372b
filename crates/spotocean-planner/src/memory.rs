//! What is remembered after a look: evidence that needs time, and what nodes taught us.
//!
//! Everything here changes later answers, so it is part of the snapshot and
//! persisted; everything is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use spotocean_api::ocean_node::Phase;
use spotocean_core::id::{ImageId, InstanceId, InstanceTypeName};
use spotocean_core::offering::Market;
use spotocean_core::port::CloudEventKind;

use crate::lifecycle::collection_evidence;
use crate::lifecycle::view::View;
use crate::snapshot::{Memory, Snapshot};

/// How long an interruption is remembered.
pub(crate) const INTERRUPTION_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// Interrupted markets remembered at most, the latest first.
const INTERRUPTIONS_MAX: usize = 500;
/// Images per type of which the memory is remembered.
const IMAGES_MAX: usize = 4;
/// Types of which the memory is remembered; more than EC2 has.
const TYPES_MAX: usize = 2000;

/// The memory after this look. `base` is what provisioning has changed already.
#[must_use]
pub fn remember(snapshot: &Snapshot, base: Memory) -> Memory {
    let view = View::of(snapshot);
    Memory {
        learned_memory_bytes: learned(&view, &base),
        unexplained_instances: unexplained(snapshot),
        missing_instances: missing(&view),
        nodeless: nodeless(&view),
        interruptions: interruptions(snapshot),
        ..base
    }
}

/// The word for a market in [`Memory::interruptions`].
#[must_use]
pub fn market_key(market: &Market) -> Arc<str> {
    format!("{}/{}", market.instance_type, market.zone).into()
}

/// The market behind such a word.
#[must_use]
pub fn market_of_key(key: &str) -> Option<Market> {
    let (instance_type, zone) = key.split_once('/')?;
    Some(Market {
        instance_type: instance_type.into(),
        zone: zone.into(),
    })
}

fn unexplained(snapshot: &Snapshot) -> BTreeMap<InstanceId, Timestamp> {
    let before = &snapshot.memory.unexplained_instances;
    let (true, Some(read_at)) = (
        snapshot.sources.instances.is_complete,
        snapshot.sources.instances.as_of,
    ) else {
        return before.clone();
    };
    collection_evidence(snapshot)
        .into_iter()
        .map(|instance| {
            let since = before.get(&instance.id).copied().unwrap_or(read_at);
            (instance.id.clone(), since)
        })
        .collect()
}

fn missing(view: &View<'_>) -> BTreeMap<InstanceId, Timestamp> {
    let snapshot = view.snapshot;
    let before = &snapshot.memory.missing_instances;
    let (true, Some(read_at)) = (
        snapshot.sources.instances.is_complete,
        snapshot.sources.instances.as_of,
    ) else {
        return before.clone();
    };
    view.missing_instances()
        .map(|id| (id.clone(), before.get(id).copied().unwrap_or(read_at)))
        .collect()
}

fn nodeless(view: &View<'_>) -> BTreeMap<Arc<str>, Timestamp> {
    let before = &view.snapshot.memory.nodeless;
    if !view.snapshot.sources.kubernetes.is_complete {
        return before.clone();
    }
    view.members()
        .filter(|member| member.node.is_none())
        .filter(|member| {
            matches!(
                member.status.phase,
                Phase::Registered | Phase::Initialized | Phase::Draining
            )
        })
        .map(|member| {
            let since = before.get(member.name.as_str()).copied().unwrap_or(view.now());
            (member.name.0.clone(), since)
        })
        .collect()
}

fn interruptions(snapshot: &Snapshot) -> BTreeMap<Arc<str>, Timestamp> {
    let mut known = snapshot.memory.interruptions.clone();
    let warnings = snapshot
        .events
        .iter()
        .map(|received| &received.event)
        .filter(|event| event.kind == CloudEventKind::SpotInterruption);
    for event in warnings {
        let hit = snapshot
            .instances
            .iter()
            .filter(|instance| event.instances.contains(&instance.id));
        for instance in hit {
            let market = Market {
                instance_type: instance.instance_type.clone(),
                zone: instance.zone.clone(),
            };
            let at = known.entry(market_key(&market)).or_insert(event.time);
            *at = event.time.max(*at);
        }
    }
    known.retain(|_, at| snapshot.now < *at + INTERRUPTION_KEPT);
    let mut latest: Vec<(Arc<str>, Timestamp)> = known.into_iter().collect();
    latest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    latest.truncate(INTERRUPTIONS_MAX);
    latest.into_iter().collect()
}

/// The smallest capacity that nodes of a type with an image reported.
fn learned(view: &View<'_>, base: &Memory) -> BTreeMap<InstanceTypeName, BTreeMap<ImageId, i64>> {
    let mut learned = base.learned_memory_bytes.clone();
    let mut in_use: BTreeSet<ImageId> = view
        .snapshot
        .instances
        .iter()
        .map(|instance| instance.image.clone())
        .collect();
    let resolved = view
        .snapshot
        .world
        .images
        .values()
        .filter_map(|answer| answer.result.as_ref().ok())
        .flatten();
    in_use.extend(resolved.map(|image| image.id.clone()));
    for member in view.members() {
        let (Some(instance), Some(node)) = (member.instance, member.node) else {
            continue;
        };
        let reported = node.capacity.memory_bytes;
        if reported > 0 && node.is_ready() {
            let of_type = learned.entry(instance.instance_type.clone()).or_default();
            let known = of_type.entry(instance.image.clone()).or_insert(reported);
            *known = reported.min(*known);
        }
    }
    for of_type in learned.values_mut() {
        while of_type.len() > IMAGES_MAX {
            let unused = of_type.keys().find(|image| !in_use.contains(*image)).cloned();
            let victim = unused.or_else(|| of_type.keys().next().cloned());
            victim.and_then(|image| of_type.remove(&image));
        }
    }
    while learned.len() > TYPES_MAX {
        learned.pop_first();
    }
    learned
}
