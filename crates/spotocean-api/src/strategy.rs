//! How capacity is chosen: spot or on-demand, and how far it is spread over markets.

use crate::price::PriceUsd;
use crate::validation;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How capacity is chosen. Pools inherit it and may override each field.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// How much of what a pool holds beyond onDemandBase should be spot: percent of vCPUs, default 100. The rest is bought
    /// on demand, as far as on-demand offers serve the pods; never the reason for a pod to stay pending.
    #[serde(default = "default_spot_percentage")]
    #[schemars(range(max = 100))]
    pub spot_percentage: u32,

    /// vCPUs that a pool should hold on demand before it holds any on spot. Default 0.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub on_demand_base: u32,

    /// Fill unused open capacity reservations of the account first: they are paid for anyway. Default true.
    #[serde(default = "default_use_reservations")]
    pub use_reservations: bool,

    /// Buy on-demand when no spot market that fits has capacity. Default true.
    #[serde(default = "default_fallback_to_on_demand")]
    pub fallback_to_on_demand: bool,

    /// What an interruption counts for beside the price: Availability avoids markets that are often interrupted at a
    /// price, Cost hardly looks at them. Default Balanced.
    #[serde(default)]
    pub orientation: Orientation,

    /// Largest shares of a pool's spot vCPUs that one place may hold.
    #[serde(default)]
    pub max_share: MaxShare,

    /// Spot markets (instance type in a zone) that one launch should offer EC2, where the constraints
    /// allow. Default 15.
    #[serde(default = "default_minimum_flexibility")]
    #[schemars(range(min = 1, max = 60))]
    pub minimum_flexibility: u32,

    /// Price ceilings. Unset: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_price: Option<MaxPrice>,
}

const fn default_spot_percentage() -> u32 {
    100
}

const fn default_use_reservations() -> bool {
    true
}

const fn default_fallback_to_on_demand() -> bool {
    true
}

const fn default_minimum_flexibility() -> u32 {
    15
}

impl Default for Strategy {
    fn default() -> Self {
        Self {
            spot_percentage: default_spot_percentage(),
            on_demand_base: 0,
            use_reservations: default_use_reservations(),
            fallback_to_on_demand: default_fallback_to_on_demand(),
            orientation: Orientation::default(),
            max_share: MaxShare::default(),
            minimum_flexibility: default_minimum_flexibility(),
            max_price: None,
        }
    }
}

/// What an interruption of a node is taken to cost, in hours of the node's on-demand price. Times how often its market
/// is interrupted, this is added to the spot price where nodes are chosen.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Orientation {
    /// 50 hours.
    Availability,
    /// 5 hours.
    #[default]
    Balanced,
    /// Six minutes: about what a restart wastes.
    Cost,
}

/// Largest shares, in percent of a pool's spot vCPUs. Never less than one node; relaxed to an even split where
/// fewer markets exist (condition DiversificationReduced); never the reason for a pod to stay pending.
#[derive(KubeSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = validation::max_share_order()
)]
pub struct MaxShare {
    /// One market: an instance type in one zone. Percent, default 15.
    #[serde(default = "default_market_share")]
    #[schemars(range(min = 1, max = 100))]
    pub market: u32,

    /// One instance type over all zones. Percent, default 35.
    #[serde(default = "default_type_share", rename = "type")]
    #[schemars(range(min = 1, max = 100))]
    pub instance_type: u32,

    /// One zone. Percent, default 60.
    #[serde(default = "default_zone_share")]
    #[schemars(range(min = 1, max = 100))]
    pub zone: u32,
}

const fn default_market_share() -> u32 {
    15
}

const fn default_type_share() -> u32 {
    35
}

const fn default_zone_share() -> u32 {
    60
}

impl Default for MaxShare {
    fn default() -> Self {
        Self {
            market: default_market_share(),
            instance_type: default_type_share(),
            zone: default_zone_share(),
        }
    }
}

/// Price ceilings; an offering must be within all that are set.
#[derive(KubeSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.perVCPUHour) || has(self.onDemandPercentage)", "maxPrice has no ceiling in it: give perVCPUHour or onDemandPercentage, or remove maxPrice"),
    validation = ("!has(self.perVCPUHour) || self.perVCPUHour.matches('^[0-9.]*[1-9][0-9.]*$')",
        "maxPrice.perVCPUHour is no amount above 0: write US dollars as a plain amount, such as '0.03'")
)]
pub struct MaxPrice {
    /// Most to pay per vCPU and hour, US dollars, such as "0.03". Spot and on-demand.
    #[serde(default, rename = "perVCPUHour", skip_serializing_if = "Option::is_none")]
    pub per_vcpu_hour: Option<PriceUsd>,

    /// Most to pay for spot, percent of the same type's on-demand price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub on_demand_percentage: Option<u32>,
}

/// A pool's own strategy: what is unset is inherited.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolStrategy {
    /// How much of what the pool holds beyond onDemandBase should be spot: percent of vCPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub spot_percentage: Option<u32>,

    /// vCPUs that the pool should hold on demand before it holds any on spot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000))]
    pub on_demand_base: Option<u32>,

    /// Fill unused open capacity reservations of the account first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_reservations: Option<bool>,

    /// Buy on-demand when no spot market that fits has capacity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_to_on_demand: Option<bool>,

    /// What an interruption counts for beside the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orientation: Option<Orientation>,

    /// Largest shares of the pool's spot vCPUs that one place may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_share: Option<PoolMaxShare>,

    /// Spot markets that one launch should offer EC2, where the constraints allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60))]
    pub minimum_flexibility: Option<u32>,

    /// Price ceilings; each that is set replaces the ocean's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_price: Option<MaxPrice>,
}

/// A pool's own largest shares: what is unset is inherited.
#[derive(KubeSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolMaxShare {
    /// One market: an instance type in one zone. Percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub market: Option<u32>,

    /// One instance type over all zones. Percent.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub instance_type: Option<u32>,

    /// One zone. Percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub zone: Option<u32>,
}
