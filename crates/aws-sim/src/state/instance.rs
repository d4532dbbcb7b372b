//! An instance: what it was launched with, what state it is in, what it left on its console.

use std::net::Ipv4Addr;

use serde::Serialize;

use crate::clock::Moment;
use crate::market::{Lifecycle, Pool};
use crate::state::{LaunchOutcome, Tags};

/// EC2's instance states with their codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// 0.
    Pending,
    /// 16.
    Running,
    /// 32.
    ShuttingDown,
    /// 48.
    Terminated,
}

impl InstanceState {
    /// As EC2 writes it.
    pub fn name(self) -> &'static str {
        match self {
            InstanceState::Pending => "pending",
            InstanceState::Running => "running",
            InstanceState::ShuttingDown => "shutting-down",
            InstanceState::Terminated => "terminated",
        }
    }

    /// EC2's code.
    pub fn code(self) -> u8 {
        match self {
            InstanceState::Pending => 0,
            InstanceState::Running => 16,
            InstanceState::ShuttingDown => 32,
            InstanceState::Terminated => 48,
        }
    }
}

/// How an instance is bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purchase {
    /// On the spot market, by this request.
    Spot {
        /// The spot instance request.
        request_id: String,
    },
    /// On demand.
    OnDemand,
}

/// How far an instance has come with the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// It has not tried.
    Outside,
    /// It was refused, for this reason; it may try again.
    Refused(String),
    /// Its Node exists.
    Joined {
        /// The Node's name.
        node: String,
    },
}

/// A volume of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Id.
    pub id: String,
    /// Device name.
    pub device: String,
    /// Size, in GiB.
    pub size_gib: u64,
    /// `gp3` and so on.
    pub kind: String,
    /// Whether it is encrypted.
    pub is_encrypted: bool,
    /// Whether it goes with the instance.
    pub delete_on_termination: bool,
    /// Tags.
    pub tags: Tags,
}

/// A maintenance event announced for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledEvent {
    /// Id.
    pub id: String,
    /// `instance-retirement`, `system-reboot` and so on.
    pub code: String,
    /// When it begins.
    pub not_before: Moment,
}

/// When a new object can be seen, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visible {
    /// By its id.
    pub by_id: Moment,
    /// In lists.
    pub by_filter: Moment,
    /// By its tags.
    pub by_tag: Moment,
}

/// Instance metadata options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataOptions {
    /// `required` or `optional`.
    pub http_tokens: String,
    /// Hops.
    pub hop_limit: i64,
    /// `enabled` or `disabled`.
    pub http_endpoint: String,
    /// `enabled` or `disabled`.
    pub http_protocol_ipv6: String,
    /// `enabled` or `disabled`.
    pub instance_metadata_tags: String,
}

/// An instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Id.
    pub id: String,
    /// The launch it was part of.
    pub reservation_id: String,
    /// The fleet that launched it.
    pub fleet_id: Option<String>,
    /// Token of the RunInstances or CreateFleet that launched it.
    pub client_token: String,
    /// Place among the instances of its launch.
    pub launch_index: u64,
    /// Type.
    pub instance_type: String,
    /// Zone name.
    pub zone: String,
    /// Zone id.
    pub zone_id: String,
    /// Subnet.
    pub subnet_id: String,
    /// VPC.
    pub vpc_id: String,
    /// Address.
    pub address: Ipv4Addr,
    /// Private DNS name: the Node's name.
    pub private_dns_name: String,
    /// Image.
    pub image_id: String,
    /// Architecture.
    pub architecture: String,
    /// How it is bought.
    pub purchase: Purchase,
    /// State.
    pub state: InstanceState,
    /// Why it left `running`: code and sentence.
    pub state_reason: Option<(String, String)>,
    /// When the state began.
    pub state_since: Moment,
    /// When it was launched.
    pub launched: Moment,
    /// When it can be seen.
    pub visible: Visible,
    /// Security group ids.
    pub security_group_ids: Vec<String>,
    /// Name of its instance profile.
    pub instance_profile: Option<String>,
    /// User data, decoded.
    pub user_data: Vec<u8>,
    /// Metadata options.
    pub metadata_options: MetadataOptions,
    /// Key pair.
    pub key_name: Option<String>,
    /// Detailed monitoring.
    pub is_monitored: bool,
    /// EBS optimised.
    pub is_ebs_optimized: bool,
    /// Has a public address.
    pub public_address: Option<Ipv4Addr>,
    /// Volumes.
    pub volumes: Vec<Volume>,
    /// Tags.
    pub tags: Tags,
    /// Protected against TerminateInstances.
    pub is_protected: bool,
    /// What becomes of it.
    pub outcome: LaunchOutcome,
    /// Its place in the cluster.
    pub membership: Membership,
    /// What its console shows.
    pub console: Vec<String>,
    /// When it is taken back, once a warning was given.
    pub interruption: Option<Moment>,
    /// Maintenance announced.
    pub events: Vec<ScheduledEvent>,
    /// Whether its status checks fail.
    pub is_impaired: bool,
}

impl Instance {
    /// Spot or on-demand.
    pub fn lifecycle(&self) -> Lifecycle {
        match self.purchase {
            Purchase::Spot { .. } => Lifecycle::Spot,
            Purchase::OnDemand => Lifecycle::OnDemand,
        }
    }

    /// Whether it occupies capacity, quota and money.
    pub fn holds_capacity(&self) -> bool {
        matches!(self.state, InstanceState::Pending | InstanceState::Running)
    }

    /// The pool it was taken from.
    pub fn pool(&self) -> Pool {
        Pool {
            instance_type: self.instance_type.clone(),
            zone_id: self.zone_id.clone(),
        }
    }

    /// The Node it has become.
    pub fn node(&self) -> Option<&str> {
        match &self.membership {
            Membership::Joined { node } => Some(node),
            Membership::Outside | Membership::Refused(_) => None,
        }
    }

    /// The Node's providerID.
    pub fn provider_id(&self) -> String {
        format!("aws:///{}/{}", self.zone, self.id)
    }

    /// Writes a line to the console, unless it was the last one.
    pub fn log(&mut self, line: impl Into<String>) {
        let line = line.into();
        if self.console.last() != Some(&line) {
            self.console.push(line);
        }
    }
}
