//! The settings that hold for one pool: the ocean's with the pool's own laid over them.
//!
//! Unset inherits, scalars replace, maps merge by key, lists replace whole, user data is appended.

use crate::{
    disruption::{Disruption, PoolDisruption},
    kubelet::Kubelet,
    pool::Pool,
    pool_template::{PoolImage, PoolMetadataOptions, PoolTemplate},
    spot_ocean::{DeletionPolicy, SpotOceanSpec},
    strategy::{MaxPrice, MaxShare, PoolMaxShare, PoolStrategy, Strategy},
    template::{Image, MetadataOptions, Template},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The settings that hold for one pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectivePool {
    /// Launch settings. `user_data` holds the ocean's part; the pool's is in `pool_user_data`.
    pub template: Template,
    /// The pool's user data, to be merged after the ocean's by the image family's rules.
    pub pool_user_data: Option<String>,
    /// How capacity is chosen.
    pub strategy: Strategy,
    /// When nodes are removed.
    pub disruption: Disruption,
    /// What removing the pool does to its nodes.
    pub deletion_policy: DeletionPolicy,
}

/// Merges `pool` over `ocean`.
pub fn effective_pool(ocean: &SpotOceanSpec, pool: &Pool) -> EffectivePool {
    let own = pool.template.as_ref();
    EffectivePool {
        template: own.map_or_else(|| ocean.template.clone(), |own| template(&ocean.template, own)),
        pool_user_data: own.and_then(|own| own.user_data.clone()),
        strategy: pool
            .strategy
            .as_ref()
            .map_or_else(|| ocean.strategy.clone(), |own| strategy(&ocean.strategy, own)),
        disruption: pool.disruption.as_ref().map_or_else(
            || ocean.disruption.clone(),
            |own| disruption(&ocean.disruption, own),
        ),
        deletion_policy: pool.deletion_policy.unwrap_or(ocean.deletion_policy),
    }
}

fn template(ocean: &Template, own: &PoolTemplate) -> Template {
    // A role and an instance profile exclude each other, so naming either replaces both.
    let (role, instance_profile) = match (&own.role, &own.instance_profile) {
        (None, None) => (ocean.role.clone(), ocean.instance_profile.clone()),
        (role, profile) => (role.clone(), profile.clone()),
    };
    Template {
        image: own
            .image
            .as_ref()
            .map_or_else(|| ocean.image.clone(), |own| image(&ocean.image, own)),
        role,
        instance_profile,
        access: own.access.unwrap_or(ocean.access),
        subnets: own.subnets.clone().unwrap_or_else(|| ocean.subnets.clone()),
        security_groups: own
            .security_groups
            .clone()
            .unwrap_or_else(|| ocean.security_groups.clone()),
        block_devices: own
            .block_devices
            .clone()
            .unwrap_or_else(|| ocean.block_devices.clone()),
        instance_store: own.instance_store.or(ocean.instance_store),
        metadata: own
            .metadata
            .map_or(ocean.metadata, |own| metadata(ocean.metadata, own)),
        user_data: ocean.user_data.clone(),
        tags: merged(&ocean.tags, &own.tags),
        kubelet: own
            .kubelet
            .as_ref()
            .map_or_else(|| ocean.kubelet.clone(), |own| kubelet(&ocean.kubelet, own)),
        monitoring: own.monitoring.unwrap_or(ocean.monitoring),
        public_ip: own.public_ip.or(ocean.public_ip),
        key_pair: own.key_pair.clone().or_else(|| ocean.key_pair.clone()),
    }
}

/// A pin of the public images and a selector of one's own exclude each other, so naming either replaces both;
/// and neither means anything to another family.
fn image(ocean: &Image, own: &PoolImage) -> Image {
    let family = own.family.unwrap_or(ocean.family);
    let defaults = Image {
        family,
        ..Image::default()
    };
    if own.version.is_none() && own.selector.is_none() {
        return if family == ocean.family {
            ocean.clone()
        } else {
            defaults
        };
    }
    Image {
        family,
        version: own.version.clone().unwrap_or(defaults.version),
        selector: own.selector.clone().unwrap_or(defaults.selector),
    }
}

fn metadata(ocean: MetadataOptions, own: PoolMetadataOptions) -> MetadataOptions {
    MetadataOptions {
        http_tokens: own.http_tokens.unwrap_or(ocean.http_tokens),
        http_put_response_hop_limit: own
            .http_put_response_hop_limit
            .unwrap_or(ocean.http_put_response_hop_limit),
        http_endpoint: own.http_endpoint.unwrap_or(ocean.http_endpoint),
        http_protocol_ipv6: own.http_protocol_ipv6.unwrap_or(ocean.http_protocol_ipv6),
    }
}

fn kubelet(ocean: &Kubelet, own: &Kubelet) -> Kubelet {
    Kubelet {
        max_pods: own.max_pods.or(ocean.max_pods),
        pods_per_core: own.pods_per_core.or(ocean.pods_per_core),
        kube_reserved: merged(&ocean.kube_reserved, &own.kube_reserved),
        system_reserved: merged(&ocean.system_reserved, &own.system_reserved),
        eviction_hard: merged(&ocean.eviction_hard, &own.eviction_hard),
        eviction_soft: merged(&ocean.eviction_soft, &own.eviction_soft),
        eviction_soft_grace_period: merged(
            &ocean.eviction_soft_grace_period,
            &own.eviction_soft_grace_period,
        ),
        image_gc_high_threshold_percent: own
            .image_gc_high_threshold_percent
            .or(ocean.image_gc_high_threshold_percent),
        image_gc_low_threshold_percent: own
            .image_gc_low_threshold_percent
            .or(ocean.image_gc_low_threshold_percent),
        cpu_cfs_quota: own.cpu_cfs_quota.or(ocean.cpu_cfs_quota),
        cluster_dns: own.cluster_dns.clone().or_else(|| ocean.cluster_dns.clone()),
    }
}

fn strategy(ocean: &Strategy, own: &PoolStrategy) -> Strategy {
    Strategy {
        spot_percentage: own.spot_percentage.unwrap_or(ocean.spot_percentage),
        on_demand_base: own.on_demand_base.unwrap_or(ocean.on_demand_base),
        use_reservations: own.use_reservations.unwrap_or(ocean.use_reservations),
        fallback_to_on_demand: own.fallback_to_on_demand.unwrap_or(ocean.fallback_to_on_demand),
        max_share: own
            .max_share
            .map_or(ocean.max_share, |own| max_share(ocean.max_share, own)),
        orientation: own.orientation.unwrap_or(ocean.orientation),
        minimum_flexibility: own.minimum_flexibility.unwrap_or(ocean.minimum_flexibility),
        max_price: max_price(ocean.max_price, own.max_price),
    }
}

fn max_share(ocean: MaxShare, own: PoolMaxShare) -> MaxShare {
    MaxShare {
        market: own.market.unwrap_or(ocean.market),
        instance_type: own.instance_type.unwrap_or(ocean.instance_type),
        zone: own.zone.unwrap_or(ocean.zone),
    }
}

fn max_price(ocean: Option<MaxPrice>, own: Option<MaxPrice>) -> Option<MaxPrice> {
    let Some(own) = own else { return ocean };
    let ocean = ocean.unwrap_or_default();
    Some(MaxPrice {
        per_vcpu_hour: own.per_vcpu_hour.or(ocean.per_vcpu_hour),
        on_demand_percentage: own.on_demand_percentage.or(ocean.on_demand_percentage),
    })
}

fn disruption(ocean: &Disruption, own: &PoolDisruption) -> Disruption {
    Disruption {
        consolidate: own.consolidate.unwrap_or(ocean.consolidate),
        consolidate_after: own.consolidate_after.unwrap_or(ocean.consolidate_after),
        drain_timeout: own.drain_timeout.unwrap_or(ocean.drain_timeout),
        registration_timeout: own.registration_timeout.unwrap_or(ocean.registration_timeout),
    }
}

fn merged<Value: Clone>(
    under: &BTreeMap<String, Value>,
    over: &BTreeMap<String, Value>,
) -> BTreeMap<String, Value> {
    under
        .iter()
        .chain(over)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::effective_pool;
    use crate::{pool::Pool, spot_ocean::SpotOceanSpec};
    use serde_json::{Value, json};

    fn ocean() -> SpotOceanSpec {
        serde_json::from_value(json!({
            "cluster": {"name": "demo"},
            "template": {
                "image": {"version": "v20260915"},
                "role": "nodes",
                "subnets": [{"id": "subnet-1"}],
                "securityGroups": [{"id": "sg-1"}],
                "tags": {"team": "a", "cost": "1"},
                "userData": "echo ocean",
                "kubelet": {"maxPods": 50, "kubeReserved": {"cpu": "100m"}},
            },
            "strategy": {"maxPrice": {"perVCPUHour": "0.05"}},
            "pools": [{"name": "general"}],
        }))
        .unwrap()
    }

    /// What is at `pointer` of the merged pool, when the pool has `own` as its settings; both are JSON.
    fn check(own: &str, pointer: &str, expected: &str) {
        let mut pool: Value = serde_json::from_str(own).unwrap();
        pool["name"] = json!("p");
        let pool: Pool = serde_json::from_value(pool).unwrap();
        let merged = serde_json::to_value(effective_pool(&ocean(), &pool)).unwrap();
        let found = merged
            .pointer(pointer)
            .map_or("null".to_owned(), Value::to_string);
        assert_eq!(found, expected, "{own} at {pointer}");
    }

    #[test]
    fn pools_inherit_replace_and_merge() {
        for (own, pointer, expected) in [
            ("{}", "/template/role", r#""nodes""#),
            (
                r#"{"template": {"instanceProfile": "own"}}"#,
                "/template/role",
                "null",
            ),
            (
                r#"{"template": {"tags": {"cost": "2"}}}"#,
                "/template/tags",
                r#"{"cost":"2","team":"a"}"#,
            ),
            (
                r#"{"template": {"subnets": [{"id": "subnet-2"}]}}"#,
                "/template/subnets",
                r#"[{"id":"subnet-2"}]"#,
            ),
            (
                r#"{"template": {"userData": "echo pool"}}"#,
                "/template/userData",
                r#""echo ocean""#,
            ),
            (
                r#"{"template": {"userData": "echo pool"}}"#,
                "/poolUserData",
                r#""echo pool""#,
            ),
            (
                r#"{"template": {"kubelet": {"maxPods": 10}}}"#,
                "/template/kubelet/kubeReserved/cpu",
                r#""100m""#,
            ),
            (
                r#"{"template": {"metadata": {"httpTokens": "optional"}}}"#,
                "/template/metadata/httpPutResponseHopLimit",
                "1",
            ),
            (
                r#"{"strategy": {"maxShare": {"zone": 80}}}"#,
                "/strategy/maxShare",
                r#"{"market":15,"type":35,"zone":80}"#,
            ),
            (
                r#"{"strategy": {"onDemandBase": 8}}"#,
                "/strategy/spotPercentage",
                "100",
            ),
            (
                r#"{"strategy": {"maxPrice": {"onDemandPercentage": 60}}}"#,
                "/strategy/maxPrice/perVCPUHour",
                r#""0.05""#,
            ),
            (
                r#"{"disruption": {"drainTimeout": "1h"}}"#,
                "/disruption/registrationTimeout",
                r#""10m""#,
            ),
            (
                r#"{"deletionPolicy": "Orphan"}"#,
                "/deletionPolicy",
                r#""Orphan""#,
            ),
        ] {
            check(own, pointer, expected);
        }
    }

    #[test]
    fn image_pin_and_selector_replace_each_other() {
        for (own, expected) in [
            ("{}", r#""v20260915""#),
            (
                r#"{"template": {"image": {"family": "Bottlerocket"}}}"#,
                r#""latest""#,
            ),
            (
                r#"{"template": {"image": {"selector": [{"id": "ami-1"}]}}}"#,
                r#""latest""#,
            ),
            (
                r#"{"template": {"image": {"version": "v20261001"}}}"#,
                r#""v20261001""#,
            ),
        ] {
            check(own, "/template/image/version", expected);
        }
    }
}
