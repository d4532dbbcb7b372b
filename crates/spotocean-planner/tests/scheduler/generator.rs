//! Random clusters: a plain one with some features put into it.

use std::collections::BTreeSet;

use crate::dice::Dice;
use crate::draft::Draft;
use crate::feature::{ALL, Feature};
use crate::world::World;

/// Features per cluster.
const FEATURES: usize = 7;

/// The cluster of a seed, with what was put into it.
pub(crate) fn world(seed: u64) -> (World, BTreeSet<Feature>) {
    let mut draft = Draft::new(seed);
    let mut dice = Dice::new(seed ^ 0xfea7);
    let mut chosen = BTreeSet::new();
    while chosen.len() < FEATURES {
        chosen.insert(*dice.pick(ALL));
    }
    for feature in &chosen {
        feature.apply(&mut draft);
    }
    (draft.finish(), chosen)
}
