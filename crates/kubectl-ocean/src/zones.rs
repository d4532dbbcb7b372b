//! Which name nodes carry for each zone id.
//!
//! Ids are the same in every account, names are not. A Node that carries both labels says how its account
//! numbers them; where something in the dump or the ocean names a zone and no Node says which one is meant, the
//! catalogue's own account is taken as an example, and that is told. Otherwise zones are called by their ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::claim::{Claim, ClaimState};
use spotocean_core::id::{ObjectKey, Zone, ZoneId};
use spotocean_core::label;
use spotocean_core::pod::{NodeTerm, PodShape};
use spotocean_core::requirement::Requirement;
use spotocean_planner::vocabulary;

use crate::objects::Objects;

/// Names by id, and what had to be assumed.
#[derive(Default)]
pub(crate) struct ZoneNames {
    /// A name for every id of the region.
    pub(crate) names: BTreeMap<ZoneId, Zone>,
    /// Ids whose name is the catalogue's.
    pub(crate) assumed: BTreeMap<ZoneId, Zone>,
}

/// Names the zones of a region.
pub(crate) fn zone_names(
    zones: &BTreeMap<ZoneId, Option<Zone>>,
    oceans: &[Arc<SpotOcean>],
    objects: &Objects,
    claims: &BTreeMap<ObjectKey, Arc<Claim>>,
) -> ZoneNames {
    let learned = learned(objects);
    let taken: BTreeSet<&Zone> = learned.values().collect();
    let mentioned = mentioned(oceans, objects, claims);
    let is_mentioned = zones.values().flatten().any(|name| mentioned.contains(&*name.0));
    let mut found = ZoneNames::default();
    for (id, example) in zones {
        let example = example
            .as_ref()
            .filter(|name| is_mentioned && !taken.contains(name));
        let name = match (learned.get(id), example) {
            (Some(name), _) => name.clone(),
            (None, Some(name)) => {
                found.assumed.insert(id.clone(), name.clone());
                name.clone()
            }
            (None, None) => Zone(id.0.clone()),
        };
        found.names.insert(id.clone(), name);
    }
    found.assumed.retain(|_, name| mentioned.contains(&*name.0));
    found
}

/// What Nodes say by carrying both labels.
fn learned(objects: &Objects) -> BTreeMap<ZoneId, Zone> {
    let both = objects.nodes.values().filter_map(|node| {
        let id = node.labels.get(label::ZONE_ID)?;
        let name = node.labels.get(label::ZONE)?;
        Some((ZoneId(id.clone()), Zone(name.clone())))
    });
    both.collect()
}

/// Every value that somebody gives or wants for the zone's label.
fn mentioned(
    oceans: &[Arc<SpotOcean>],
    objects: &Objects,
    claims: &BTreeMap<ObjectKey, Arc<Claim>>,
) -> BTreeSet<Arc<str>> {
    let mut found: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut note = |requirement: &Requirement| {
        if &*requirement.key == label::ZONE {
            found.extend(requirement.values.iter().cloned());
        }
    };
    for pool in oceans.iter().flat_map(|ocean| &ocean.spec.pools) {
        pool.requirements
            .iter()
            .map(vocabulary::requirement)
            .for_each(|own| note(&own));
    }
    let mut seen = BTreeSet::new();
    let shapes = objects.pods.values().map(|pod| &pod.shape);
    for shape in shapes.chain(objects.daemon_sets.values().map(|daemon| &daemon.shape)) {
        if seen.insert(Arc::as_ptr(shape)) {
            of_shape(shape).for_each(&mut note);
        }
    }
    for claim in claims.values() {
        if let ClaimState::Usable {
            terms: Some(terms), ..
        } = &claim.state
        {
            terms.iter().flat_map(of_term).for_each(&mut note);
        }
    }
    let on_nodes = objects
        .nodes
        .values()
        .filter_map(|node| node.labels.get(label::ZONE).cloned());
    found.extend(on_nodes);
    found
}

fn of_shape(shape: &PodShape) -> impl Iterator<Item = &Requirement> {
    let terms = shape.node_terms.iter().flatten();
    let preferred = shape.preferred_node_terms.iter().map(|weighted| &weighted.term);
    shape
        .node_selector
        .iter()
        .chain(terms.chain(preferred).flat_map(of_term))
}

fn of_term(term: &NodeTerm) -> impl Iterator<Item = &Requirement> {
    term.expressions.iter()
}
