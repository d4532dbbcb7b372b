//! What the ocean's own template came to in AWS.

use std::sync::Arc;

use spotocean_api::effective::effective_pool;
use spotocean_api::ocean_status::{PodDensity as ApiPodDensity, Resolved, ResolvedImage, ResolvedSubnet};
use spotocean_api::pool::Pool;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::id::PoolKey;
use spotocean_core::kubelet::{DEFAULT_MAX_PODS, PodDensity};

use crate::pool::{PoolView, ocean_name};
use crate::snapshot::Snapshot;
use crate::world::AccessMethod;
use crate::world::resolve::{ResolvedPool, resolve};

/// Lists are cut to this.
const SUBNETS_MAX: usize = 50;

/// The ocean's template as it came out, `None` while it does not.
pub(super) fn resolved(snapshot: &Snapshot, ocean: &Arc<SpotOcean>) -> Option<Resolved> {
    let pool = Pool::default();
    let view = PoolView {
        effective: effective_pool(&ocean.spec, &pool),
        key: PoolKey {
            ocean: ocean_name(ocean),
            pool: "".into(),
        },
        ocean: ocean.clone(),
        pool,
    };
    let found = resolve(snapshot, &view).ok()?;
    let fixed = view.effective.template.kubelet.max_pods;
    let (pod_density, max_pods) = match (fixed, snapshot.pod_density) {
        (Some(fixed), _) => (ApiPodDensity::Fixed, Some(fixed)),
        (None, PodDensity::SecondaryAddresses { .. }) => (ApiPodDensity::NetworkInterfaces, None),
        (None, PodDensity::PrefixDelegation { .. }) => (ApiPodDensity::PrefixDelegation, None),
        (None, PodDensity::Unlimited) => (ApiPodDensity::Default, u32::try_from(DEFAULT_MAX_PODS).ok()),
    };
    Some(Resolved {
        pod_density: Some(pod_density),
        max_pods,
        ..of_pool(&found)
    })
}

fn of_pool(found: &ResolvedPool) -> Resolved {
    let images = found.images.iter().map(|(architecture, image)| ResolvedImage {
        id: image.id.to_string(),
        architecture: architecture.as_str().to_owned(),
        name: Some(image.name.to_string()).filter(|name| !name.is_empty()),
    });
    let subnets = found
        .subnets
        .iter()
        .take(SUBNETS_MAX)
        .map(|subnet| ResolvedSubnet {
            id: subnet.id.to_string(),
            zone: subnet.zone.to_string(),
            zone_id: Some(subnet.zone_id.to_string()),
        });
    let access = match found.access {
        Some(AccessMethod::AccessEntry) => "AccessEntry",
        Some(AccessMethod::AwsAuth) => "AwsAuth",
        None => "Unmanaged",
    };
    Resolved {
        images: images.collect(),
        subnets: subnets.collect(),
        security_groups: found
            .security_groups
            .iter()
            .take(SUBNETS_MAX)
            .map(ToString::to_string)
            .collect(),
        instance_profile: Some(found.instance_profile.to_string()),
        access: Some(access.to_owned()),
        kubernetes_version: Some(found.cluster.version.to_string()),
        ..Resolved::default()
    }
}
