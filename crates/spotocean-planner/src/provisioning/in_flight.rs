//! What launches that EC2 has not answered may come to, and what is on its way.

use std::collections::BTreeMap;
use std::sync::Arc;

use spotocean_api::ocean_launch::{FleetOverride, LaunchPhase, OceanLaunch};
use spotocean_api::ocean_node::{OceanNode, Phase};
use spotocean_core::id::{ObjectKey, PoolKey, SubnetId};
use spotocean_core::kubelet::PodDensity;
use spotocean_core::offering::Market;

use crate::snapshot::Snapshot;

/// Launches by name.
#[must_use]
pub fn launches_by_name(snapshot: &Snapshot) -> BTreeMap<&str, &Arc<OceanLaunch>> {
    snapshot
        .launches
        .iter()
        .map(|launch| (launch.metadata.name.as_deref().unwrap_or_default(), launch))
        .collect()
}

/// The places a launch offers EC2.
pub fn overrides(launch: &OceanLaunch) -> impl Iterator<Item = &FleetOverride> {
    launch
        .spec
        .request
        .launch_templates
        .iter()
        .flat_map(|config| &config.overrides)
}

/// The markets a launch offers EC2.
pub fn markets(launch: &OceanLaunch) -> impl Iterator<Item = Market> {
    overrides(launch).map(|place| Market {
        instance_type: place.instance_type.as_str().into(),
        zone: place.zone.as_str().into(),
    })
}

/// Whether EC2's answer to a launch is still open.
#[must_use]
pub fn is_open(launch: &OceanLaunch) -> bool {
    let phase = launch
        .status
        .as_ref()
        .map_or(LaunchPhase::Pending, |status| status.phase);
    matches!(phase, LaunchPhase::Pending | LaunchPhase::Unknown)
}

/// An OceanNode's phase.
#[must_use]
pub fn phase(node: &OceanNode) -> Phase {
    node.status.as_ref().map_or(Phase::Pending, |status| status.phase)
}

/// The pool an OceanNode belongs to.
#[must_use]
pub fn pool_of(node: &OceanNode) -> PoolKey {
    PoolKey {
        ocean: node.spec.ocean_name.as_str().into(),
        pool: node.spec.pool_name.as_str().into(),
    }
}

/// The pods an OceanNode was bought for.
pub fn pods_of(node: &OceanNode) -> impl Iterator<Item = ObjectKey> {
    let pods = node.spec.for_pods.iter();
    pods.map(|pod| ObjectKey::new(&pod.namespace, &pod.name))
}

/// Whether an OceanNode was bought for this pod.
#[must_use]
pub fn is_for(node: &OceanNode, pod: &ObjectKey) -> bool {
    let mut pods = node.spec.for_pods.iter();
    pods.any(|wanted| *wanted.name == *pod.name && wanted.namespace == pod.namespace.as_str())
}

/// The market an OceanNode's instance is in, once it has one.
#[must_use]
pub fn market_of(node: &OceanNode) -> Option<Market> {
    let status = node.status.as_ref()?;
    Some(Market {
        instance_type: status.instance_type.as_deref()?.into(),
        zone: status.zone.as_deref()?.into(),
    })
}

/// The markets an OceanNode's instance may be in: the one that EC2 picked, before that all of its launch.
#[must_use]
pub fn places_of(node: &OceanNode, launches: &BTreeMap<&str, &Arc<OceanLaunch>>) -> Vec<Market> {
    if let Some(market) = market_of(node) {
        return vec![market];
    }
    let launch = launches.get(node.spec.launch_name.as_str());
    launch.map(|launch| markets(launch).collect()).unwrap_or_default()
}

/// Addresses that open launches may still take, by subnet: all of a launch in each of its subnets, the worst case.
#[must_use]
pub fn addresses(snapshot: &Snapshot) -> BTreeMap<SubnetId, i64> {
    let mut taken = BTreeMap::new();
    for launch in snapshot.launches.iter().filter(|launch| is_open(launch)) {
        let subnets: std::collections::BTreeSet<&str> =
            overrides(launch).map(|place| place.subnet_id.as_str()).collect();
        for subnet in subnets {
            *taken.entry(SubnetId::from(subnet)).or_insert(0) +=
                i64::from(launch.spec.request.target_capacity) * addresses_per_node(snapshot);
        }
    }
    taken
}

/// Addresses a node takes as it starts: one for itself, and the first interface's others where the CNI keeps
/// them warm (aws-node's WARM_ENI_TARGET).
fn addresses_per_node(snapshot: &Snapshot) -> i64 {
    match snapshot.pod_density {
        PodDensity::Unlimited => 1,
        PodDensity::SecondaryAddresses { .. } => 10,
        PodDensity::PrefixDelegation { .. } => 17,
    }
}
