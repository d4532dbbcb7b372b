//! Zones, VPCs, subnets and security groups, described.

use crate::filter::Filters;
use crate::operations::{Answer, listed, paging};
use crate::state::network::{SecurityGroup, Subnet};
use crate::state::{ACCOUNT, World};
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::{Element, tag_set};

/// DescribeAvailabilityZones.
pub fn describe_zones(world: &mut World, params: &Params) -> Answer {
    let (names, ids) = (params.texts("ZoneName"), params.texts("ZoneId"));
    let filters = Filters::parse(params)?;
    filters.check(&[
        "group-name",
        "opt-in-status",
        "region-name",
        "state",
        "zone-id",
        "zone-name",
        "zone-type",
    ])?;
    for name in names.iter().chain(&ids) {
        if world.catalogue.zone(name).is_none() {
            return Err(ApiError::invalid_value(format!(
                "Invalid availability zone: [{name}]"
            )));
        }
    }
    let region = world.options.region.clone();
    let zones = world
        .catalogue
        .zones
        .iter()
        .filter(|zone| names.is_empty() || names.contains(&zone.name))
        .filter(|zone| ids.is_empty() || ids.contains(&zone.id))
        .filter(|zone| {
            filters.accept(None, |filter| {
                vec![match filter {
                    "group-name" => format!("{region}-zg-1"),
                    "opt-in-status" => "opt-in-not-required".to_owned(),
                    "region-name" => region.clone(),
                    "state" => "available".to_owned(),
                    "zone-id" => zone.id.clone(),
                    "zone-name" => zone.name.clone(),
                    _ => "availability-zone".to_owned(),
                }]
            })
        })
        .map(|zone| {
            Element::new("item")
                .field("zoneName", &zone.name)
                .field(
                    "zoneState",
                    if world.outages.contains(&zone.id) {
                        "impaired"
                    } else {
                        "available"
                    },
                )
                .field("regionName", &region)
                .with(Element::new("messageSet"))
                .field("optInStatus", "opt-in-not-required")
                .field("zoneId", &zone.id)
                .field("groupName", format!("{region}-zg-1"))
                .field("networkBorderGroup", &region)
                .field("zoneType", "availability-zone")
        })
        .collect();
    Ok(listed("availabilityZoneInfo", zones, None))
}

fn check_known<T>(
    ids: &[String],
    known: &std::collections::BTreeMap<String, T>,
    (code, what): (&str, &str),
) -> Result<(), ApiError> {
    match ids.iter().find(|id| !known.contains_key(*id)) {
        Some(id) => Err(ApiError::client(
            code,
            format!("The {what} ID '{id}' does not exist"),
        )),
        None => Ok(()),
    }
}

/// DescribeSubnets.
pub fn describe_subnets(world: &mut World, params: &Params) -> Answer {
    let ids = params.texts("SubnetId");
    let filters = Filters::parse(params)?;
    filters.check(&[
        "tag",
        "availability-zone",
        "availability-zone-id",
        "available-ip-address-count",
        "cidr-block",
        "cidr",
        "cidrBlock",
        "default-for-az",
        "owner-id",
        "state",
        "subnet-arn",
        "subnet-id",
        "vpc-id",
    ])?;
    check_known(
        &ids,
        &world.network.subnets,
        ("InvalidSubnetID.NotFound", "subnet"),
    )?;
    let keyed: Vec<_> = world
        .network
        .subnets
        .values()
        .filter(|subnet| ids.is_empty() || ids.contains(&subnet.id))
        .filter(|subnet| {
            filters.accept(Some(&subnet.tags), |filter| {
                vec![match filter {
                    "availability-zone" => subnet.zone.clone(),
                    "availability-zone-id" => subnet.zone_id.clone(),
                    "available-ip-address-count" => subnet.free_addresses().to_string(),
                    "default-for-az" => "false".to_owned(),
                    "owner-id" => ACCOUNT.to_owned(),
                    "state" => "available".to_owned(),
                    "subnet-arn" => subnet_arn(world, subnet),
                    "subnet-id" => subnet.id.clone(),
                    "vpc-id" => subnet.vpc_id.clone(),
                    _ => subnet.cidr(),
                }]
            })
        })
        .map(|subnet| (subnet.id.clone(), subnet_element(world, subnet)))
        .collect();
    let (page, next) = paging(params, (5, 1000))?.page(keyed);
    Ok(listed("subnetSet", page, next))
}

fn subnet_arn(world: &World, subnet: &Subnet) -> String {
    format!(
        "arn:aws:ec2:{}:{ACCOUNT}:subnet/{}",
        world.options.region, subnet.id
    )
}

fn subnet_element(world: &World, subnet: &Subnet) -> Element {
    Element::new("item")
        .field("subnetId", &subnet.id)
        .field("subnetArn", subnet_arn(world, subnet))
        .field("state", "available")
        .field("ownerId", ACCOUNT)
        .field("vpcId", &subnet.vpc_id)
        .field("cidrBlock", subnet.cidr())
        .field("availableIpAddressCount", subnet.free_addresses())
        .field("availabilityZone", &subnet.zone)
        .field("availabilityZoneId", &subnet.zone_id)
        .field("defaultForAz", false)
        .field("mapPublicIpOnLaunch", false)
        .field("assignIpv6AddressOnCreation", false)
        .with(tag_set(&subnet.tags))
}

/// DescribeVpcs.
pub fn describe_vpcs(world: &mut World, params: &Params) -> Answer {
    let ids = params.texts("VpcId");
    let filters = Filters::parse(params)?;
    filters.check(&[
        "tag",
        "cidr",
        "is-default",
        "isDefault",
        "owner-id",
        "state",
        "vpc-id",
    ])?;
    check_known(&ids, &world.network.vpcs, ("InvalidVpcID.NotFound", "vpc"))?;
    let keyed: Vec<_> = world
        .network
        .vpcs
        .values()
        .filter(|vpc| ids.is_empty() || ids.contains(&vpc.id))
        .filter(|vpc| {
            filters.accept(Some(&vpc.tags), |filter| {
                vec![match filter {
                    "cidr" => vpc.cidr.clone(),
                    "is-default" | "isDefault" => vpc.is_default.to_string(),
                    "owner-id" => ACCOUNT.to_owned(),
                    "state" => "available".to_owned(),
                    _ => vpc.id.clone(),
                }]
            })
        })
        .map(|vpc| {
            let element = Element::new("item")
                .field("vpcId", &vpc.id)
                .field("ownerId", ACCOUNT)
                .field("state", "available")
                .field("cidrBlock", &vpc.cidr)
                .field("instanceTenancy", "default")
                .with(tag_set(&vpc.tags))
                .field("isDefault", vpc.is_default);
            (vpc.id.clone(), element)
        })
        .collect();
    let (page, next) = paging(params, (5, 1000))?.page(keyed);
    Ok(listed("vpcSet", page, next))
}

/// DescribeSecurityGroups.
pub fn describe_security_groups(world: &mut World, params: &Params) -> Answer {
    let (ids, names) = (params.texts("GroupId"), params.texts("GroupName"));
    let filters = Filters::parse(params)?;
    filters.check(&[
        "tag",
        "description",
        "group-id",
        "group-name",
        "owner-id",
        "vpc-id",
    ])?;
    if let Some(id) = ids
        .iter()
        .find(|id| !world.network.security_groups.contains_key(*id))
    {
        return Err(ApiError::client(
            "InvalidGroup.NotFound",
            format!("The security group '{id}' does not exist"),
        ));
    }
    let keyed: Vec<_> = world
        .network
        .security_groups
        .values()
        .filter(|group| ids.is_empty() || ids.contains(&group.id))
        .filter(|group| names.is_empty() || names.contains(&group.name))
        .filter(|group| {
            filters.accept(Some(&group.tags), |filter| {
                vec![match filter {
                    "description" => group.description.clone(),
                    "group-id" => group.id.clone(),
                    "group-name" => group.name.clone(),
                    "owner-id" => ACCOUNT.to_owned(),
                    _ => group.vpc_id.clone(),
                }]
            })
        })
        .map(|group| (group.id.clone(), group_element(group)))
        .collect();
    let (page, next) = paging(params, (5, 1000))?.page(keyed);
    Ok(listed("securityGroupInfo", page, next))
}

fn group_element(group: &SecurityGroup) -> Element {
    let within = Element::new("item").field("ipProtocol", "-1").with(Element::list(
        "groups",
        [Element::new("item")
            .field("userId", ACCOUNT)
            .field("groupId", &group.id)],
    ));
    let outwards = Element::new("item").field("ipProtocol", "-1").with(Element::list(
        "ipRanges",
        [Element::new("item").field("cidrIp", "0.0.0.0/0")],
    ));
    Element::new("item")
        .field("ownerId", ACCOUNT)
        .field("groupId", &group.id)
        .field("groupName", &group.name)
        .field("groupDescription", &group.description)
        .field("vpcId", &group.vpc_id)
        .with(Element::list("ipPermissions", [within]))
        .with(Element::list("ipPermissionsEgress", [outwards]))
        .with(tag_set(&group.tags))
}
