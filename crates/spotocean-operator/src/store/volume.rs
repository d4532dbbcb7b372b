//! Claims joined with their volumes and classes, only when one of the three changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use spotocean_core::claim::Claim;
use spotocean_core::id::ObjectKey;
use spotocean_planner::translate::{self, claim::is_default_class};

use super::table::Table;

/// The three kinds and what they come to.
#[derive(Default)]
pub struct Volumes {
    /// Claims.
    pub claims: Table<ObjectKey, Arc<PersistentVolumeClaim>>,
    /// Volumes by name.
    pub volumes: Table<Arc<str>, Arc<PersistentVolume>>,
    /// Classes by name.
    pub classes: Table<Arc<str>, Arc<StorageClass>>,
    joined: Option<BTreeMap<ObjectKey, Arc<Claim>>>,
}

impl Volumes {
    /// One of the three has changed.
    pub fn outdate(&mut self) {
        self.joined = None;
    }

    /// Every claim, resolved.
    pub fn joined(&mut self) -> BTreeMap<ObjectKey, Arc<Claim>> {
        if let Some(joined) = &self.joined {
            return joined.clone();
        }
        let joined: BTreeMap<_, _> = self
            .claims
            .iter()
            .map(|(key, claim)| (key.clone(), Arc::new(self.join(claim))))
            .collect();
        self.joined = Some(joined.clone());
        joined
    }

    fn join(&self, claim: &PersistentVolumeClaim) -> Claim {
        let spec = claim.spec.as_ref();
        let volume = spec
            .and_then(|spec| spec.volume_name.as_deref())
            .and_then(|name| self.volumes.entry(&name.into()));
        let class = match spec.and_then(|spec| spec.storage_class_name.as_deref()) {
            Some(name) => self.classes.entry(&name.into()).map(|row| &row.value),
            // KEP-3333: a claim without a class takes the default one, also when that appears later.
            None => self
                .classes
                .iter()
                .map(|(_, class)| class)
                .find(|class| is_default_class(class)),
        };
        translate::claim(
            claim,
            volume.map(|row| row.value.as_ref()),
            class.map(AsRef::as_ref),
        )
    }
}
