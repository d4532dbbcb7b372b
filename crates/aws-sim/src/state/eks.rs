//! The cluster as EKS describes it, and its access entries. Whether a role is let in is decided in `boot`.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::options::Options;
use crate::state::Tags;
use crate::state::network::Network;

/// What is known of the real cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFacts {
    /// Address of the apiserver.
    pub endpoint: String,
    /// PEM certificate authority, base64.
    pub certificate_authority: String,
}

impl Default for ClusterFacts {
    /// A cluster nobody can reach.
    fn default() -> ClusterFacts {
        ClusterFacts {
            endpoint: "https://simulated.gr7.us-east-1.eks.amazonaws.com".to_owned(),
            // base64 of "simulated certificate authority\n"
            certificate_authority: "c2ltdWxhdGVkIGNlcnRpZmljYXRlIGF1dGhvcml0eQo=".to_owned(),
        }
    }
}

/// An access entry.
#[derive(Debug, Clone)]
pub struct AccessEntry {
    /// The role or user.
    pub principal_arn: String,
    /// `STANDARD`, `EC2_LINUX` and so on.
    pub kind: String,
    /// Groups in Kubernetes.
    pub groups: Vec<String>,
    /// User name in Kubernetes.
    pub username: String,
    /// Tags.
    pub tags: Tags,
    /// When it was made.
    pub created: Moment,
    /// When it was changed.
    pub modified: Moment,
}

/// The cluster and who may enter it.
#[derive(Debug, Clone)]
pub struct Eks {
    /// Cluster name.
    pub name: String,
    /// Kubernetes version, such as `1.36`.
    pub version: String,
    /// Endpoint and certificate authority.
    pub facts: ClusterFacts,
    /// Service CIDR.
    pub service_cidr: String,
    /// `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`.
    pub authentication_mode: String,
    /// `ACTIVE` unless ordered otherwise.
    pub status: String,
    /// VPC.
    pub vpc_id: String,
    /// The group EKS made for the cluster.
    pub security_group_id: String,
    /// Subnets of the control plane.
    pub subnet_ids: Vec<String>,
    /// Access entries by principal.
    pub access_entries: BTreeMap<String, AccessEntry>,
}

impl Eks {
    /// The active cluster of `options` inside `network`.
    pub fn prepared(options: &Options, network: &Network, facts: ClusterFacts) -> Eks {
        Eks {
            name: options.cluster.clone(),
            version: options.scenario.kubernetes_version.clone(),
            facts,
            service_cidr: options.scenario.service_cidr.clone(),
            authentication_mode: options.scenario.authentication_mode.clone(),
            status: "ACTIVE".to_owned(),
            vpc_id: network.vpc_id.clone(),
            security_group_id: network.cluster_security_group_id.clone(),
            subnet_ids: network.subnets.keys().cloned().collect(),
            access_entries: BTreeMap::new(),
        }
    }

    /// Whether access entries count.
    pub fn has_access_entries(&self) -> bool {
        self.authentication_mode != "CONFIG_MAP"
    }

    /// Whether the `aws-auth` ConfigMap counts.
    pub fn reads_aws_auth(&self) -> bool {
        self.authentication_mode != "API"
    }
}
