//! VPCs, subnets with their free addresses, security groups. Who may use them is the launch's business.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::catalogue::Catalogue;
use crate::options::Options;
use crate::random;
use crate::state::Tags;

/// The tag by which an ocean finds its subnets and security groups.
pub const DISCOVERY_TAG: &str = "spotocean.dev/discovery";

/// A VPC.
#[derive(Debug, Clone)]
pub struct Vpc {
    /// Id.
    pub id: String,
    /// IPv4 range.
    pub cidr: String,
    /// The region's default VPC.
    pub is_default: bool,
    /// Tags.
    pub tags: Tags,
}

/// A subnet.
#[derive(Debug, Clone)]
pub struct Subnet {
    /// Id.
    pub id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Zone name.
    pub zone: String,
    /// Zone id.
    pub zone_id: String,
    /// First address of the range.
    pub base: Ipv4Addr,
    /// Length of the prefix.
    pub prefix: u32,
    /// Addresses that may be in use by instances at most.
    pub size: u64,
    /// Tags.
    pub tags: Tags,
    used: BTreeSet<u32>,
    next: u32,
}

impl Subnet {
    /// Addresses left.
    pub fn free_addresses(&self) -> u64 {
        self.size.saturating_sub(self.used.len() as u64)
    }

    /// Sets how many addresses are left.
    pub fn set_free_addresses(&mut self, free: u64) {
        self.size = self.used.len() as u64 + free;
    }

    /// `a.b.c.d/n`.
    pub fn cidr(&self) -> String {
        format!("{}/{}", self.base, self.prefix)
    }

    /// Takes an address; AWS keeps the first four and the last. Addresses come round late, so that a
    /// Node's name is not soon that of another instance.
    pub fn take_address(&mut self) -> Option<Ipv4Addr> {
        if self.free_addresses() == 0 {
            return None;
        }
        let range = (1u32 << (32 - self.prefix)) - 5;
        for _ in 0..range {
            let offset = 4 + self.next % range;
            self.next += 1;
            if self.used.insert(offset) {
                return Some(Ipv4Addr::from(u32::from(self.base) + offset));
            }
        }
        None
    }

    /// Gives an address back.
    pub fn release_address(&mut self, address: Ipv4Addr) {
        self.used
            .remove(&u32::from(address).wrapping_sub(u32::from(self.base)));
    }
}

/// A security group.
#[derive(Debug, Clone)]
pub struct SecurityGroup {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Tags.
    pub tags: Tags,
    /// Whether its members reach the cluster's control plane.
    pub reaches_cluster: bool,
}

/// All of it, by id.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// VPCs.
    pub vpcs: BTreeMap<String, Vpc>,
    /// Subnets.
    pub subnets: BTreeMap<String, Subnet>,
    /// Security groups.
    pub security_groups: BTreeMap<String, SecurityGroup>,
    /// The cluster's VPC.
    pub vpc_id: String,
    /// The security group EKS makes for the cluster.
    pub cluster_security_group_id: String,
}

impl Network {
    /// One VPC with a subnet per zone, the cluster's security group, the nodes' and one that fits
    /// nobody; and the region's default VPC, empty but for its group.
    pub fn prepared(options: &Options, catalogue: &Catalogue) -> Network {
        let id = |prefix: &str, name: &str| {
            format!("{prefix}-0{}", random::hex(options.seed, &[prefix, name], 16))
        };
        let cluster = options.cluster.as_str();
        let mut network = Network {
            vpc_id: id("vpc", "cluster"),
            ..Network::default()
        };
        network.add_vpc(
            &network.vpc_id.clone(),
            "10.64.0.0/16",
            false,
            &[("Name", cluster)],
        );
        network.add_vpc(&id("vpc", "default"), "172.31.0.0/16", true, &[]);
        let zones = catalogue
            .zones
            .iter()
            .filter(|zone| options.scenario.zones.is_empty() || options.scenario.zones.contains(&zone.name));
        for (index, zone) in (0u8..).zip(zones) {
            let mut subnet = Subnet {
                id: id("subnet", &zone.name),
                vpc_id: network.vpc_id.clone(),
                zone: zone.name.clone(),
                zone_id: zone.id.clone(),
                base: Ipv4Addr::new(10, 64, index * 32, 0),
                prefix: 19,
                size: (1 << 13) - 5,
                tags: tags(&[
                    ("Name", &format!("{cluster}-{}", zone.name)),
                    (DISCOVERY_TAG, cluster),
                ]),
                used: BTreeSet::new(),
                next: 0,
            };
            if let Some(free) = options.scenario.free_addresses.get(&zone.name) {
                subnet.set_free_addresses(*free);
            }
            network.subnets.insert(subnet.id.clone(), subnet);
        }
        network.add_groups(cluster, &id);
        network
    }

    fn add_vpc(&mut self, id: &str, cidr: &str, is_default: bool, named: &[(&str, &str)]) {
        let vpc = Vpc {
            id: id.to_owned(),
            cidr: cidr.to_owned(),
            is_default,
            tags: tags(named),
        };
        self.vpcs.insert(id.to_owned(), vpc);
    }

    fn add_groups(&mut self, cluster: &str, id: &dyn Fn(&str, &str) -> String) {
        let vpc = self.vpc_id.clone();
        let elsewhere = id("vpc", "default");
        let cluster_group = format!("eks-cluster-sg-{cluster}");
        let node_group = format!("{cluster}-nodes");
        let owned = format!("kubernetes.io/cluster/{cluster}");
        self.cluster_security_group_id = id("sg", "cluster");
        let groups = [
            (
                "cluster",
                cluster_group.as_str(),
                "EKS created security group",
                &vpc,
                tags(&[("aws:eks:cluster-name", cluster), (&owned, "owned")]),
                true,
            ),
            (
                "nodes",
                node_group.as_str(),
                "Nodes of the cluster",
                &vpc,
                tags(&[("Name", &node_group), (DISCOVERY_TAG, cluster)]),
                true,
            ),
            (
                "other",
                "database",
                "Lets nobody near the cluster",
                &vpc,
                tags(&[("Name", "database")]),
                false,
            ),
            (
                "default",
                "default",
                "default VPC security group",
                &elsewhere,
                Tags::new(),
                false,
            ),
        ];
        for (key, name, description, vpc_id, tags, reaches_cluster) in groups {
            let group = SecurityGroup {
                id: id("sg", key),
                name: name.to_owned(),
                description: description.to_owned(),
                vpc_id: vpc_id.clone(),
                tags,
                reaches_cluster,
            };
            self.security_groups.insert(group.id.clone(), group);
        }
    }

    /// The security groups of a VPC that are called `default`.
    pub fn default_group(&self, vpc_id: &str) -> Option<&SecurityGroup> {
        self.security_groups
            .values()
            .find(|group| group.vpc_id == vpc_id && group.name == "default")
    }
}

/// Tags from pairs.
pub fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        let catalogue = Catalogue::of_region("us-east-1").expect("a known region");
        Network::prepared(&Options::default(), &catalogue)
    }

    #[test]
    fn there_is_a_tagged_subnet_per_zone() {
        let network = network();
        assert_eq!(network.subnets.len(), 6);
        assert!(
            network
                .subnets
                .values()
                .all(|subnet| subnet.tags[DISCOVERY_TAG] == "demo")
        );
        assert!(
            network
                .subnets
                .values()
                .all(|subnet| subnet.free_addresses() == 8187)
        );
    }

    #[test]
    fn addresses_are_unique_and_come_back() {
        let mut network = network();
        let subnet = network.subnets.values_mut().next().expect("one per zone");
        subnet.set_free_addresses(2);
        let (one, other) = (subnet.take_address(), subnet.take_address());
        assert!(one.is_some() && one != other);
        assert_eq!(subnet.take_address(), None);
        subnet.release_address(one.expect("taken"));
        let again = subnet.take_address();
        assert!(again.is_some() && again != one, "a released address rests");
    }
}
