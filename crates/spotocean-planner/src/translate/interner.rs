//! Equal texts, labels and shapes share one allocation.
//!
//! A ReplicaSet's thousand pods differ in name and uid only; without sharing,
//! 20,000 pods would not fit the operator's memory. Knows nothing about when
//! objects go: [`Interner::sweep`] drops what nobody else holds.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::pod::PodShape;
use spotocean_core::requirement::Labels;

/// The shared values.
#[derive(Clone, Debug, Default)]
pub struct Interner {
    texts: BTreeSet<Arc<str>>,
    labels: BTreeSet<Arc<Labels>>,
    shapes: BTreeSet<Arc<PodShape>>,
}

impl Interner {
    /// The shared form of a text.
    pub fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.texts.get(text) {
            return shared.clone();
        }
        let shared: Arc<str> = text.into();
        self.texts.insert(shared.clone());
        shared
    }

    /// The shared form of an object's labels.
    pub fn labels(&mut self, labels: Option<&BTreeMap<String, String>>) -> Arc<Labels> {
        let translated = labels
            .into_iter()
            .flatten()
            .map(|(key, value)| (self.text(key), self.text(value)))
            .collect();
        shared(&mut self.labels, translated)
    }

    /// The shared form of a pod's shape.
    pub fn shape(&mut self, shape: PodShape) -> Arc<PodShape> {
        shared(&mut self.shapes, shape)
    }

    /// Forgets what only the interner still holds. Worth a call after many objects have gone.
    pub fn sweep(&mut self) {
        self.shapes.retain(|shape| Arc::strong_count(shape) > 1);
        self.labels.retain(|labels| Arc::strong_count(labels) > 1);
        self.texts.retain(|text| Arc::strong_count(text) > 1);
    }

    /// How many values are shared: texts, label sets and shapes together.
    #[must_use]
    pub fn size(&self) -> usize {
        self.texts.len() + self.labels.len() + self.shapes.len()
    }
}

fn shared<T: Ord>(known: &mut BTreeSet<Arc<T>>, value: T) -> Arc<T>
where
    Arc<T>: Borrow<T>,
{
    if let Some(same) = known.get(&value) {
        return same.clone();
    }
    let value = Arc::new(value);
    known.insert(value.clone());
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_one_allocation_until_nobody_needs_them() {
        let mut interner = Interner::default();
        let pairs = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let (first, second) = (interner.labels(Some(&pairs)), interner.labels(Some(&pairs)));
        assert!(Arc::ptr_eq(&first, &second));
        let shape = interner.shape(PodShape::default());
        assert!(Arc::ptr_eq(&shape, &interner.shape(PodShape::default())));
        assert_eq!(interner.size(), 4);
        drop((first, second, shape));
        interner.sweep();
        assert_eq!(interner.size(), 0);
    }
}
