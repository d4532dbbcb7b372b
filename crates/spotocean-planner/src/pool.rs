//! One pool of one ocean, with the settings that hold for it.

use std::sync::Arc;

use jiff::Timestamp;
use spotocean_api::annotation::PAUSE;
use spotocean_api::effective::{EffectivePool, effective_pool};
use spotocean_api::pool::Pool;
use spotocean_api::spot_ocean::{CompatibilityLabels, Mode, SpotOcean};
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{OceanName, PoolKey, Uid};
use spotocean_core::label;
use spotocean_core::requirement::Labels;

use crate::digest::hexadecimal;
use crate::vocabulary;

/// One pool with the settings that hold for it.
#[derive(Clone, Debug)]
pub struct PoolView {
    /// The ocean.
    pub ocean: Arc<SpotOcean>,
    /// The pool as written.
    pub pool: Pool,
    /// The pair that names it.
    pub key: PoolKey,
    /// The ocean's settings with the pool's own laid over them.
    pub effective: EffectivePool,
}

/// Every pool of an ocean, in the order written.
#[must_use]
pub fn pools_of(ocean: &Arc<SpotOcean>) -> Vec<PoolView> {
    let view = |pool: &Pool| PoolView {
        ocean: ocean.clone(),
        pool: pool.clone(),
        key: PoolKey {
            ocean: ocean_name(ocean),
            pool: pool.name.as_str().into(),
        },
        effective: effective_pool(&ocean.spec, pool),
    };
    ocean.spec.pools.iter().map(view).collect()
}

/// An ocean's name.
#[must_use]
pub fn ocean_name(ocean: &SpotOcean) -> OceanName {
    ocean.metadata.name.as_deref().unwrap_or_default().into()
}

/// An ocean's uid.
#[must_use]
pub fn ocean_uid(ocean: &SpotOcean) -> Uid {
    ocean.metadata.uid.as_deref().unwrap_or_default().into()
}

/// Whether the annotation stops every activity of the ocean.
#[must_use]
pub fn is_paused(ocean: &SpotOcean) -> bool {
    ocean
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(PAUSE))
        .is_some_and(|value| value == "true")
}

/// Whether the ocean is being deleted.
#[must_use]
pub fn is_deleted(ocean: &SpotOcean) -> bool {
    ocean.metadata.deletion_timestamp.is_some()
}

/// Whether the ocean may touch anything: managed, not paused, not being deleted.
#[must_use]
pub fn may_act(ocean: &SpotOcean) -> bool {
    ocean.spec.mode == Mode::Manage && !is_paused(ocean) && !is_deleted(ocean)
}

/// When an object was created; the beginning of time where the apiserver has not said.
#[must_use]
pub fn created_at(metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Timestamp {
    metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

impl PoolView {
    /// Labels of every node of the pool: the user's, the ocean's and the pool's names, and the peers' words for the capacity type.
    #[must_use]
    pub fn labels(&self, capacity_type: CapacityType) -> Labels {
        let mut labels = vocabulary::labels(&self.pool.labels);
        let mut put = |key: &str, value: &str| labels.insert(key.into(), value.into());
        put(label::OCEAN, self.key.ocean.as_str());
        put(label::POOL, self.key.pool.as_str());
        put(label::CAPACITY_TYPE, capacity_type.as_str());
        let is_spot = capacity_type == CapacityType::Spot;
        for peer in &self.ocean.spec.compatibility_labels {
            match peer {
                CompatibilityLabels::Karpenter => put(label::KARPENTER_CAPACITY_TYPE, capacity_type.as_str()),
                CompatibilityLabels::ManagedNodeGroup => put(
                    label::EKS_CAPACITY_TYPE,
                    if is_spot { "SPOT" } else { "ON_DEMAND" },
                ),
                CompatibilityLabels::Ocean => {
                    put(label::OCEAN_NODE_LIFECYCLE, if is_spot { "spot" } else { "od" })
                }
            };
        }
        labels
    }

    /// Whether the pool's requirements and its share of spot leave spot capacity to it.
    #[must_use]
    pub fn sells_spot(&self) -> bool {
        if self.effective.strategy.spot_percentage == 0 {
            return false;
        }
        let spot = Some(CapacityType::Spot.as_str());
        let requirements = self.pool.requirements.iter().map(vocabulary::requirement);
        requirements
            .filter(|own| own.key.as_ref() == label::CAPACITY_TYPE)
            .all(|own| own.matches_value(spot))
    }

    /// Hash of everything a node is launched from, as declared; another one means the node has drifted.
    #[must_use]
    pub fn template_hash(&self) -> String {
        let declared = (
            &self.effective.template,
            &self.effective.pool_user_data,
            &self.pool.labels,
            &self.pool.taints,
            &self.pool.startup_taints,
        );
        hexadecimal(&declared, 16)
    }
}
