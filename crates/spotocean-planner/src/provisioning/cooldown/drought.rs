//! Classes of pods for which spot has run dry: three launches in a row for such pods bought nothing.
//!
//! A pool may reach a thousand markets. Asking them a hundred at a time until
//! the last is cooling takes longer than the first one rests, so a pod would
//! never get to fall back. What a launch was for is on the launch itself
//! ([`LAUNCH_CLASSES`]), so this too is computed from the launches of a day.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use spotocean_api::ocean_launch::{LaunchErrorScope, OceanLaunch};
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::pod::Pod;

use super::super::futile::pod_class;
use super::{Answered, MARKET, State, Track};

/// Annotation on an OceanLaunch: the classes of the pods it was for, separated by commas.
const LAUNCH_CLASSES: &str = "spotocean.dev/pod-classes";

/// Launches without an instance after which a class is served on demand.
const DRY_LAUNCHES: u32 = 3;
/// Classes named on a launch, and pods looked at for them; of a launch for more, the others count by their own.
const CLASSES_MAX: usize = 16;
const PODS_MAX: usize = 256;

/// Notes on a launch what it is for.
pub fn name_classes<'p>(launch: &mut OceanLaunch, pods: impl Iterator<Item = &'p Pod>) {
    let classes: BTreeSet<Arc<str>> = pods.take(PODS_MAX).map(pod_class).collect();
    let names: Vec<&str> = classes.iter().take(CLASSES_MAX).map(AsRef::as_ref).collect();
    if !names.is_empty() {
        let annotations = launch.metadata.annotations.get_or_insert_default();
        annotations.insert(LAUNCH_CLASSES.to_owned(), names.join(","));
    }
}

/// Failures in a row by class, and how long the class is dry for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Droughts {
    failures: BTreeMap<Arc<str>, u32>,
    pub(super) dry: Track<Arc<str>>,
}

impl Droughts {
    pub(super) fn take(&mut self, answered: &Answered<'_>) {
        if answered.capacity_type() != CapacityType::Spot {
            return;
        }
        let has_bought = !answered.bought().is_empty();
        let is_about_capacity = answered.errors().next().is_some()
            && answered.errors().all(|error| {
                matches!(
                    error.scope,
                    LaunchErrorScope::Market | LaunchErrorScope::Nothing | LaunchErrorScope::Offering
                )
            });
        for class in classes(answered.launch) {
            if has_bought {
                self.failures.remove(&class);
                self.dry.0.remove(&class);
            } else if is_about_capacity {
                let failures = self.failures.entry(class.clone()).or_default();
                *failures += 1;
                if *failures >= DRY_LAUNCHES {
                    self.dry.strike(class, answered.at, MARKET);
                }
            }
        }
    }

    pub(super) fn is_dry(&self, pod: &Pod, now: Timestamp) -> bool {
        !self.dry.0.is_empty() && matches!(self.dry.state(&pod_class(pod), now), State::Cooling(_))
    }
}

fn classes(launch: &OceanLaunch) -> impl Iterator<Item = Arc<str>> {
    let annotations = launch.metadata.annotations.as_ref();
    let names = annotations.and_then(|all| all.get(LAUNCH_CLASSES));
    names
        .into_iter()
        .flat_map(|names| names.split(','))
        .map(Arc::from)
}
