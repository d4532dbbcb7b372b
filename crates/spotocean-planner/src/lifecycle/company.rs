//! Which new nodes open together.
//!
//! The scheduler tries a pod in vain that must be spread over zones while the
//! nodes of other zones are closed, drops its nomination, and gives its place
//! to somebody else. And a pod whose own node is late is bound wherever another
//! node has room left: if it must be balanced with others, or others must be
//! beside it, the plan does not hold from then on, and those others may wait for
//! good. So a node waits for those that were bought with it, where pods depend
//! on each other across them, and for no others; one that waits is late itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use spotocean_core::pod::Pod;
use spotocean_core::resources::Resources;

use super::nomination::{is_late, may_be_held};
use super::view::{Member, View};
use crate::pool::created_at;
use crate::provisioning::places::Class;
use crate::provisioning::ties::{Tie, waits_for};

/// OceanNodes made so far apart are still bought together: one request each takes its time.
const TOGETHER: SignedDuration = SignedDuration::from_secs(5);

/// Ready nodes that wait for others, by the names of their OceanNodes.
#[derive(Debug, Default)]
pub(super) struct Company<'a>(BTreeSet<&'a str>);

/// A node that pods have places on and that is not open.
struct Door<'v, 'a> {
    name: &'a str,
    bought: Timestamp,
    pods: &'v [&'a Arc<Pod>],
    /// What is left beside those pods.
    room: Resources,
}

/// Waiting pods that are alike, whose nodes are late.
struct Late<'a> {
    pod: &'a Pod,
    /// When the first of those nodes was bought.
    since: Timestamp,
    /// Whether a plan depends on where they are bound.
    is_tied: bool,
}

impl<'a> Company<'a> {
    /// Reads a snapshot.
    pub(super) fn of(view: &View<'a>) -> Self {
        let mut company = Self::default();
        let mut late: Vec<Door<'_, 'a>> = Vec::new();
        let mut ready = Vec::new();
        for member in view.members() {
            if is_late(view, &member) {
                late.extend(Door::of(view, &member));
            } else if member.node.is_some_and(|node| may_be_held(node, view.now())) {
                ready.extend(Door::of(view, &member));
            }
        }
        let seekers = seekers(late.iter().chain(&ready));
        while !late.is_empty() && !ready.is_empty() {
            let missing = missing(&late, &seekers);
            (late, ready) = ready.into_iter().partition(|door| door.waits(&missing));
            company.0.extend(late.iter().map(|door| door.name));
        }
        company
    }

    /// Whether a ready node waits for others.
    pub(super) fn waits(&self, member: &Member<'_>) -> bool {
        self.0.contains(member.name.as_str())
    }
}

/// Pods that are looked for or kept at a distance by others, one of each kind.
fn seekers<'v, 'a: 'v>(doors: impl Iterator<Item = &'v Door<'v, 'a>>) -> Vec<&'a Pod> {
    let pods = doors.flat_map(|door| door.pods);
    let tied = pods.filter(|pod| Tie::of(&pod.shape) != Tie::Loose);
    let kinds: BTreeMap<Class<'a>, &'a Pod> = tied.map(|pod| (Class::of(pod), &***pod)).collect();
    kinds.into_values().collect()
}

fn missing<'a>(late: &[Door<'_, 'a>], seekers: &[&'a Pod]) -> Vec<Late<'a>> {
    let mut kinds: BTreeMap<Class<'a>, (&'a Pod, Timestamp)> = BTreeMap::new();
    for (pod, bought) in late
        .iter()
        .flat_map(|door| door.pods.iter().map(|pod| (*pod, door.bought)))
    {
        let first = kinds.entry(Class::of(pod)).or_insert((pod, bought));
        first.1 = first.1.min(bought);
    }
    let kinds = kinds.into_values().map(|(pod, since)| Late {
        pod,
        since,
        is_tied: Tie::of(&pod.shape) != Tie::Loose || seekers.iter().any(|seeker| waits_for(seeker, pod)),
    });
    kinds.collect()
}

impl<'v, 'a> Door<'v, 'a> {
    /// `None` where nobody has a place.
    fn of(view: &'v View<'a>, member: &Member<'a>) -> Option<Self> {
        let pods = view.nominations.places.on(member.own);
        let requests = pods.iter().map(|pod| &pod.shape.requests);
        let whole = member.node.map(|node| member.room(node)).unwrap_or_default();
        (!pods.is_empty()).then(|| Self {
            name: member.own.metadata.name.as_deref().unwrap_or_default(),
            bought: created_at(&member.own.metadata),
            pods,
            room: requests.fold(whole, |room, own| room.minus(own)),
        })
    }

    /// Whether it should not open without the missing pods.
    fn waits(&self, missing: &[Late<'_>]) -> bool {
        let mut with_it = missing.iter().filter(|late| late.since <= self.bought + TOGETHER);
        with_it.any(|late| {
            let strays = late.is_tied && late.pod.shape.requests.fits(&self.room);
            strays || self.pods.iter().any(|pod| waits_for(pod, late.pod))
        })
    }
}
