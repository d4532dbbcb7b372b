//! What a simulator is started with, from flags or a scenario file. It does not decide what the
//! settings do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::fault::Rule;

/// Everything a simulator is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address to listen on; port 0 takes a free one.
    pub listen: String,
    /// Decides market, identifiers and delays.
    pub seed: u64,
    /// The region.
    pub region: String,
    /// The EKS cluster's name; subnets and the node security group are tagged with it.
    pub cluster: String,
    /// The interruption queue's name; the cluster's when unset.
    pub queue: Option<String>,
    /// The real cluster that instances join. Without it they run, and never join.
    pub kubeconfig: Option<PathBuf>,
    /// Simulated seconds per real second.
    pub speed: f64,
    /// Factor on the market's hazard; 0 (the default) interrupts nothing by itself.
    pub hazard: f64,
    /// The knobs.
    pub scenario: Scenario,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: "127.0.0.1:0".to_owned(),
            seed: 1,
            region: "us-east-1".to_owned(),
            cluster: "demo".to_owned(),
            queue: None,
            kubeconfig: None,
            speed: 1.0,
            hazard: 0.0,
            scenario: Scenario::default(),
        }
    }
}

/// The knobs (aws.md 5); every one has a default. Times are simulated seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// Kubernetes version of the cluster.
    pub kubernetes_version: String,
    /// `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`.
    pub authentication_mode: String,
    /// Service CIDR of the cluster.
    pub service_cidr: String,
    /// Zone names to make subnets in; all zones of the region when empty.
    pub zones: Vec<String>,
    /// Free addresses by zone name, where not the whole of the subnet.
    pub free_addresses: BTreeMap<String, u64>,
    /// Pools a fleet really tries.
    pub pools_tried: usize,
    /// Whether EC2's token buckets are enforced.
    pub throttle: bool,
    /// Delays of the life of an instance.
    pub timing: Timing,
    /// Eventual consistency.
    pub visibility: Visibility,
    /// What happens to events on their way into the queue.
    pub events: Events,
    /// vCPU limits: `{"spot": {"standard": 64}, "on-demand": {...}}`.
    pub quotas: BTreeMap<String, BTreeMap<String, u64>>,
    /// Changes of the market in force from the start.
    pub market: Vec<MarketOrder>,
    /// Fault rules in force from the start.
    pub faults: Vec<Rule>,
    /// Actions refused from the start (`CreateFleet` or `ec2:CreateFleet`).
    pub deny: Vec<String>,
}

impl Default for Scenario {
    fn default() -> Scenario {
        Scenario {
            kubernetes_version: "1.36".to_owned(),
            authentication_mode: "API_AND_CONFIG_MAP".to_owned(),
            service_cidr: "10.0.0.0/24".to_owned(),
            zones: Vec::new(),
            free_addresses: BTreeMap::new(),
            pools_tried: 3,
            throttle: true,
            timing: Timing::default(),
            visibility: Visibility::default(),
            events: Events::default(),
            quotas: BTreeMap::new(),
            market: Vec::new(),
            faults: Vec::new(),
            deny: Vec::new(),
        }
    }
}

/// Delays, in simulated seconds (measured on AWS where aws.md 2.7 says so).
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Timing {
    /// How long CreateFleet and RunInstances take to answer.
    pub launch_call_seconds: f64,
    /// From launch to `running`.
    pub running_seconds: f64,
    /// From launch to the kubelet's first contact with the cluster.
    pub boot_seconds: f64,
    /// Spread of the boot time, either way.
    pub boot_spread_seconds: f64,
    /// From `shutting-down` to `terminated`.
    pub shutdown_seconds: f64,
    /// How long terminated instances stay visible.
    pub terminated_visible_seconds: f64,
    /// From the interruption warning to `shutting-down`.
    pub notice_seconds: f64,
    /// From the termination of an instance to the deletion of its Node by the cloud's node lifecycle; never when unset.
    pub node_deletion_seconds: Option<f64>,
    /// How long a new instance profile is unknown to EC2.
    pub instance_profile_seconds: f64,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            launch_call_seconds: 1.9,
            running_seconds: 5.0,
            boot_seconds: 32.0,
            boot_spread_seconds: 8.0,
            shutdown_seconds: 30.0,
            terminated_visible_seconds: 3000.0,
            notice_seconds: 120.0,
            node_deletion_seconds: None,
            instance_profile_seconds: 0.0,
        }
    }
}

/// How long a new object may stay unseen, in simulated seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Visibility {
    /// By id, at most.
    pub by_id_seconds: f64,
    /// In filtered or unfiltered lists, at most.
    pub by_filter_seconds: f64,
    /// In the tag index, at most.
    pub tags_seconds: f64,
    /// How many objects in a thousand take `tail_seconds`.
    pub tail_per_mille: u64,
    /// The long tail.
    pub tail_seconds: f64,
}

impl Default for Visibility {
    fn default() -> Visibility {
        Visibility {
            by_id_seconds: 1.0,
            by_filter_seconds: 2.0,
            tags_seconds: 2.0,
            tail_per_mille: 5,
            tail_seconds: 30.0,
        }
    }
}

/// What happens to events on their way into the queue.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Events {
    /// Events in a thousand that are lost.
    pub loss_per_mille: u64,
    /// Events in a thousand that come twice.
    pub duplicate_per_mille: u64,
    /// Delay, in simulated seconds.
    pub delay_seconds: f64,
    /// Whether a rebalance recommendation precedes an interruption, and by how many seconds.
    pub rebalance_lead_seconds: Option<f64>,
}

/// A change of the market, as `/_sim/market` takes it too.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarketOrder {
    /// Instance type, with wildcards.
    #[serde(rename = "type", default = "any")]
    pub instance_type: String,
    /// Zone name or id, with wildcards.
    #[serde(default = "any")]
    pub zone: String,
    /// Free spot instances.
    #[serde(default)]
    pub depth: Option<u64>,
    /// Free on-demand instances.
    #[serde(default)]
    pub on_demand_depth: Option<u64>,
    /// Spot price, in USD per hour.
    #[serde(default)]
    pub price: Option<f64>,
    /// Expected interruptions per instance and hour.
    #[serde(default)]
    pub hazard: Option<f64>,
}

fn any() -> String {
    "*".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_read_and_a_misspelt_knob_is_refused() {
        let text = "poolsTried: 5\ntiming: {bootSeconds: 1}\nmarket: [{type: 'm5.*', zone: us-east-1a, depth: 3}]\nquotas: {spot: {standard: 64}}\n";
        let scenario: Scenario = serde_yaml::from_str(text).expect("well formed");
        assert_eq!((scenario.pools_tried, scenario.timing.boot_seconds), (5, 1.0));
        assert_eq!(scenario.timing.running_seconds, 5.0);
        assert!(serde_yaml::from_str::<Scenario>("poolTried: 5\n").is_err());
    }
}
