//! Topology keys and their values: which domains there are, by index.

use std::collections::BTreeSet;
use std::sync::Arc;

use spotocean_core::label;

use crate::offer::Cell;
use crate::preference;
use crate::queue::Class;
use crate::site::Site;
use crate::topology::hard_spread;

/// The topology keys in play, host name apart, with the values seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    /// Keys.
    pub(crate) names: Vec<Arc<str>>,
    /// Values by key, sorted.
    pub(crate) values: Vec<Vec<Arc<str>>>,
}

impl Keys {
    /// The position of a key; `None` for the host name.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| &**known == name)
    }

    /// The domain of a site under a key.
    pub(crate) fn domain(&self, name: &str, site: &Site<'_>) -> Option<(usize, usize)> {
        let key = self.position(name)?;
        site.values[key].map(|value| (key, value))
    }
}

/// Finds the topology keys and writes each site's and cell's value of them.
pub(crate) fn keys(classes: &[Class<'_>], sites: &mut [Site<'_>], cells: &mut [Cell<'_>]) -> Keys {
    let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
    for class in classes {
        let shape = class.shape();
        let terms = shape.affinity.iter().chain(&shape.anti_affinity);
        names.extend(hard_spread(class).map(|spread| spread.topology_key.clone()));
        names.extend(terms.map(|term| term.topology_key.clone()));
        names.extend(preference::wished_keys(class).cloned());
    }
    for pod in sites.iter().flat_map(|site| &site.node.pods) {
        names.extend(
            pod.shape
                .anti_affinity
                .iter()
                .map(|term| term.topology_key.clone()),
        );
    }
    names.remove(label::HOSTNAME);
    let mut keys = Keys::default();
    for name in names {
        let labels = sites.iter().map(|site| &*site.node.labels);
        let labels = labels.chain(cells.iter().map(|cell| cell.labels));
        let values: BTreeSet<Arc<str>> = labels.filter_map(|labels| labels.get(&name).cloned()).collect();
        let values: Vec<Arc<str>> = values.into_iter().collect();
        let position = |found: Option<&Arc<str>>| found.and_then(|value| values.binary_search(value).ok());
        for site in &mut *sites {
            site.values.push(position(site.node.labels.get(&name)));
        }
        for cell in &mut *cells {
            cell.values.push(position(cell.labels.get(&name)));
        }
        keys.names.push(name);
        keys.values.push(values);
    }
    keys
}
