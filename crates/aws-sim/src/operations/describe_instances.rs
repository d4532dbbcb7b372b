//! DescribeInstances, DescribeInstanceStatus and GetConsoleOutput, with what eventual consistency hides.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::filter::Filters;
use crate::operations::{Answer, listed, paging};
use crate::state::instance::{Instance, InstanceState, Purchase};
use crate::state::{ACCOUNT, World};
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::{Element, tag_set};

const FILTERS: [&str; 31] = [
    "tag",
    "availability-zone",
    "availability-zone-id",
    "architecture",
    "client-token",
    "dns-name",
    "group-id",
    "iam-instance-profile.arn",
    "image-id",
    "instance-id",
    "instance-lifecycle",
    "instance-state-code",
    "instance-state-name",
    "instance-type",
    "instance.group-id",
    "ip-address",
    "key-name",
    "launch-time",
    "metadata-options.http-tokens",
    "owner-id",
    "placement.availability-zone",
    "private-dns-name",
    "private-ip-address",
    "reservation-id",
    "root-device-type",
    "spot-instance-request-id",
    "state-reason-code",
    "subnet-id",
    "tenancy",
    "virtualization-type",
    "vpc-id",
];

/// The instances a call names, all of which must be visible by id; or those a list shows.
fn selected<'a>(world: &'a World, ids: &[String], filters: &Filters) -> Result<Vec<&'a Instance>, ApiError> {
    let now = world.now();
    check_outage(world, ids)?;
    if ids.is_empty() {
        let by_tag = filters.is_empty();
        return Ok(world
            .instances
            .values()
            .filter(|instance| {
                instance.visible.by_filter <= now && (by_tag || instance.visible.by_tag <= now)
            })
            .collect());
    }
    check_ids(world, ids)?;
    Ok(ids.iter().filter_map(|id| world.instances.get(id)).collect())
}

/// While a zone is out, a call that names an instance there, or none at all, fails (aws.md 2.7).
fn check_outage(world: &World, ids: &[String]) -> Result<(), ApiError> {
    let is_hit = |id: &String| {
        world
            .instances
            .get(id)
            .is_some_and(|instance| world.outages.contains(&instance.zone_id))
    };
    if !world.outages.is_empty() && (ids.is_empty() || ids.iter().any(is_hit)) {
        return Err(ApiError::new(
            503,
            "Unavailable",
            "The server is overloaded and can't handle the request.",
        ));
    }
    Ok(())
}

/// Refuses malformed ids and ids that are not there (yet), naming all of the latter.
pub fn check_ids(world: &World, ids: &[String]) -> Result<(), ApiError> {
    let now = world.now();
    for id in ids {
        let rest = id.strip_prefix("i-").unwrap_or_default();
        if !matches!(rest.len(), 8 | 17) || !rest.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(ApiError::client(
                "InvalidInstanceID.Malformed",
                format!("Invalid id: \"{id}\""),
            ));
        }
    }
    let missing: Vec<&str> = ids
        .iter()
        .filter(|id| {
            world
                .instances
                .get(*id)
                .is_none_or(|instance| instance.visible.by_id > now)
        })
        .map(String::as_str)
        .collect();
    match missing.as_slice() {
        [] => Ok(()),
        [one] => Err(ApiError::client(
            "InvalidInstanceID.NotFound",
            format!("The instance ID '{one}' does not exist"),
        )),
        several => Err(ApiError::client(
            "InvalidInstanceID.NotFound",
            format!("The instance IDs '{}' do not exist", several.join(", ")),
        )),
    }
}

/// DescribeInstances.
pub fn describe_instances(world: &mut World, params: &Params) -> Answer {
    let ids = params.texts("InstanceId");
    let filters = Filters::parse(params)?;
    filters.check(&FILTERS)?;
    let paging = paging(params, (5, 1000))?;
    if !ids.is_empty() && params.text("MaxResults").is_some() {
        return Err(ApiError::invalid_combination(
            "The parameter instancesSet cannot be used with the parameter maxResults",
        ));
    }
    let mut keyed: Vec<(String, Element)> = selected(world, &ids, &filters)?
        .into_iter()
        .filter(|instance| accepts(world, &filters, instance))
        .map(|instance| (instance.id.clone(), reservation(world, instance)))
        .collect();
    keyed.sort_by(|left, right| left.0.cmp(&right.0));
    keyed.dedup_by(|left, right| left.0 == right.0);
    let (page, next) = paging.or_size(1000).page(keyed);
    Ok(listed("reservationSet", page, next))
}

fn accepts(world: &World, filters: &Filters, instance: &Instance) -> bool {
    filters.accept(Some(&instance.tags), |name| match name {
        "availability-zone" | "placement.availability-zone" => vec![instance.zone.clone()],
        "availability-zone-id" => vec![instance.zone_id.clone()],
        "architecture" => vec![instance.architecture.clone()],
        "client-token" => vec![instance.client_token.clone()],
        "group-id" | "instance.group-id" => instance.security_group_ids.clone(),
        "iam-instance-profile.arn" => profile_arn(world, instance).into_iter().collect(),
        "image-id" => vec![instance.image_id.clone()],
        "instance-id" => vec![instance.id.clone()],
        // On-demand instances have no lifecycle, so the filter never finds them.
        "instance-lifecycle" => match instance.purchase {
            Purchase::Spot { .. } => vec!["spot".to_owned()],
            Purchase::OnDemand => Vec::new(),
        },
        "instance-state-code" => vec![instance.state.code().to_string()],
        "instance-state-name" => vec![instance.state.name().to_owned()],
        "instance-type" => vec![instance.instance_type.clone()],
        "ip-address" => instance
            .public_address
            .map(|address| address.to_string())
            .into_iter()
            .collect(),
        "key-name" => instance.key_name.clone().into_iter().collect(),
        "launch-time" => vec![world.timestamp(instance.launched)],
        "metadata-options.http-tokens" => vec![instance.metadata_options.http_tokens.clone()],
        "owner-id" => vec![ACCOUNT.to_owned()],
        "private-dns-name" => vec![instance.private_dns_name.clone()],
        "private-ip-address" => vec![instance.address.to_string()],
        "reservation-id" => vec![instance.reservation_id.clone()],
        "root-device-type" => vec!["ebs".to_owned()],
        "spot-instance-request-id" => match &instance.purchase {
            Purchase::Spot { request_id } => vec![request_id.clone()],
            Purchase::OnDemand => Vec::new(),
        },
        "state-reason-code" => instance
            .state_reason
            .iter()
            .map(|(code, _)| code.clone())
            .collect(),
        "subnet-id" => vec![instance.subnet_id.clone()],
        "tenancy" => vec!["default".to_owned()],
        "virtualization-type" => vec!["hvm".to_owned()],
        "vpc-id" => vec![instance.vpc_id.clone()],
        _ => Vec::new(),
    })
}

fn profile_arn(world: &World, instance: &Instance) -> Option<String> {
    let name = instance.instance_profile.as_ref()?;
    Some(world.iam.profiles.get(name).map_or_else(
        || format!("arn:aws:iam::{ACCOUNT}:instance-profile/{name}"),
        crate::state::iam::InstanceProfile::arn,
    ))
}

fn reservation(world: &World, instance: &Instance) -> Element {
    Element::new("item")
        .field("reservationId", &instance.reservation_id)
        .field("ownerId", ACCOUNT)
        .with(Element::new("groupSet"))
        .with(Element::list("instancesSet", [described(world, instance)]))
}

/// An instance as DescribeInstances and RunInstances write it.
pub fn described(world: &World, instance: &Instance) -> Element {
    let is_gone = instance.state == InstanceState::Terminated;
    let element = Element::new("item")
        .field("instanceId", &instance.id)
        .field("imageId", &instance.image_id)
        .with(state("instanceState", instance.state))
        .field(
            "privateDnsName",
            if is_gone { "" } else { &instance.private_dns_name },
        )
        .field("dnsName", "")
        .field(
            "reason",
            instance
                .state_reason
                .as_ref()
                .map_or("", |(_, message)| message.as_str()),
        )
        .maybe("keyName", instance.key_name.as_ref())
        .field("amiLaunchIndex", instance.launch_index)
        .with(Element::new("productCodes"))
        .field("instanceType", &instance.instance_type)
        .field("launchTime", world.timestamp(instance.launched))
        .with(placement(instance))
        .with(Element::new("monitoring").field(
            "state",
            if instance.is_monitored {
                "enabled"
            } else {
                "disabled"
            },
        ))
        .field("architecture", &instance.architecture)
        .field("rootDeviceType", "ebs")
        .field("rootDeviceName", "/dev/xvda")
        .with(volumes(world, instance))
        .field("virtualizationType", "hvm")
        .field("clientToken", &instance.client_token)
        .with(tag_set(&instance.tags))
        .field("hypervisor", "xen")
        .field("ebsOptimized", instance.is_ebs_optimized)
        .field("enaSupport", true)
        .field("sourceDestCheck", true);
    let element = purchase(element, instance)
        .extended(profile_arn(world, instance).map(|arn| {
            let name = instance.instance_profile.as_ref();
            let id = name
                .and_then(|name| world.iam.profiles.get(name))
                .map(|found| found.id(world.options.seed));
            Element::new("iamInstanceProfile")
                .field("arn", arn)
                .maybe("id", id)
        }))
        .extended(instance.state_reason.as_ref().map(|(code, message)| {
            Element::new("stateReason")
                .field("code", code)
                .field("message", message)
        }));
    if is_gone {
        element.with(Element::new("networkInterfaceSet"))
    } else {
        network(world, element, instance)
    }
}

fn purchase(element: Element, instance: &Instance) -> Element {
    match &instance.purchase {
        Purchase::Spot { request_id } => element
            .field("instanceLifecycle", "spot")
            .field("spotInstanceRequestId", request_id),
        Purchase::OnDemand => element,
    }
}

/// A state by code and name.
pub fn state(name: &str, state: InstanceState) -> Element {
    Element::new(name)
        .field("code", state.code())
        .field("name", state.name())
}

fn placement(instance: &Instance) -> Element {
    Element::new("placement")
        .field("availabilityZone", &instance.zone)
        .field("availabilityZoneId", &instance.zone_id)
        .field("groupName", "")
        .field("tenancy", "default")
}

fn volumes(world: &World, instance: &Instance) -> Element {
    if instance.state == InstanceState::Terminated {
        return Element::new("blockDeviceMapping");
    }
    let mappings = instance.volumes.iter().map(|volume| {
        let ebs = Element::new("ebs")
            .field("volumeId", &volume.id)
            .field("status", "attached")
            .field("attachTime", world.timestamp(instance.launched))
            .field("deleteOnTermination", volume.delete_on_termination);
        Element::new("item").field("deviceName", &volume.device).with(ebs)
    });
    Element::list("blockDeviceMapping", mappings)
}

fn network(world: &World, element: Element, instance: &Instance) -> Element {
    let groups = || {
        let named = instance.security_group_ids.iter().map(|id| {
            let name = world
                .network
                .security_groups
                .get(id)
                .map_or("", |group| group.name.as_str());
            Element::new("item").field("groupId", id).field("groupName", name)
        });
        Element::list("groupSet", named)
    };
    let options = &instance.metadata_options;
    let metadata = Element::new("metadataOptions")
        .field("state", "applied")
        .field("httpTokens", &options.http_tokens)
        .field("httpPutResponseHopLimit", options.hop_limit)
        .field("httpEndpoint", &options.http_endpoint)
        .field("httpProtocolIpv6", &options.http_protocol_ipv6)
        .field("instanceMetadataTags", &options.instance_metadata_tags);
    let interface = Element::new("item")
        .field("networkInterfaceId", instance.id.replacen("i-", "eni-", 1))
        .field("subnetId", &instance.subnet_id)
        .field("vpcId", &instance.vpc_id)
        .field("ownerId", ACCOUNT)
        .field("status", "in-use")
        .field("privateIpAddress", instance.address)
        .field("privateDnsName", &instance.private_dns_name)
        .field("interfaceType", "interface")
        .with(
            Element::new("attachment")
                .field("deviceIndex", 0)
                .field("status", "attached")
                .field("networkCardIndex", 0),
        )
        .with(groups());
    element
        .field("subnetId", &instance.subnet_id)
        .field("vpcId", &instance.vpc_id)
        .field("privateIpAddress", instance.address)
        .maybe("ipAddress", instance.public_address)
        .with(groups())
        .with(Element::list("networkInterfaceSet", [interface]))
        .with(metadata)
}

/// DescribeInstanceStatus: running instances only, unless all are asked for.
pub fn describe_instance_status(world: &mut World, params: &Params) -> Answer {
    let ids = params.texts("InstanceId");
    let filters = Filters::parse(params)?;
    filters.check(&[
        "availability-zone",
        "event.code",
        "event.instance-event-id",
        "instance-state-name",
        "instance-state-code",
        "instance-status.status",
        "instance-status.reachability",
        "system-status.status",
        "system-status.reachability",
    ])?;
    let all = params.flag("IncludeAllInstances")?;
    let paging = paging(params, (5, 1000))?;
    let keyed: Vec<_> = selected(world, &ids, &Filters::default())?
        .into_iter()
        .filter(|instance| all || instance.state == InstanceState::Running)
        .filter(|instance| {
            filters.accept(None, |name| match name {
                "availability-zone" => vec![instance.zone.clone()],
                "event.code" => instance.events.iter().map(|event| event.code.clone()).collect(),
                "event.instance-event-id" => instance.events.iter().map(|event| event.id.clone()).collect(),
                "instance-state-name" => vec![instance.state.name().to_owned()],
                "instance-state-code" => vec![instance.state.code().to_string()],
                "instance-status.status" => vec![check_status(instance).0.to_owned()],
                "instance-status.reachability" => vec![check_status(instance).1.to_owned()],
                "system-status.status" => vec!["ok".to_owned()],
                _ => vec!["passed".to_owned()],
            })
        })
        .map(|instance| (instance.id.clone(), status(world, instance)))
        .collect();
    let (page, next) = paging.or_size(1000).page(keyed);
    Ok(listed("instanceStatusSet", page, next))
}

fn check_status(instance: &Instance) -> (&'static str, &'static str) {
    match (instance.state, instance.is_impaired) {
        (InstanceState::Running, true) => ("impaired", "failed"),
        (InstanceState::Running, false) => ("ok", "passed"),
        (InstanceState::Pending, _) => ("initializing", "initializing"),
        (InstanceState::ShuttingDown | InstanceState::Terminated, _) => ("not-applicable", "not-applicable"),
    }
}

fn status(world: &World, instance: &Instance) -> Element {
    let summary = |name: &str, (status, reachability): (&str, &str)| {
        let detail = Element::new("item")
            .field("name", "reachability")
            .field("status", reachability);
        Element::new(name)
            .field("status", status)
            .with(Element::list("details", [detail]))
    };
    let events = instance.events.iter().map(|event| {
        Element::new("item")
            .field("instanceEventId", &event.id)
            .field("code", &event.code)
            .field("description", "The instance is running on degraded hardware")
            .field("notBefore", world.timestamp(event.not_before))
    });
    let system = if instance.state == InstanceState::Running {
        ("ok", "passed")
    } else {
        check_status(instance)
    };
    Element::new("item")
        .field("instanceId", &instance.id)
        .field("availabilityZone", &instance.zone)
        .with(Element::list("eventsSet", events))
        .with(state("instanceState", instance.state))
        .with(summary("systemStatus", system))
        .with(summary("instanceStatus", check_status(instance)))
}

/// GetConsoleOutput: what the instance wrote while it booted, base64.
pub fn console_output(world: &mut World, params: &Params) -> Answer {
    let id = params.required("InstanceId")?.to_owned();
    check_ids(world, std::slice::from_ref(&id))?;
    let instance = &world.instances[&id];
    let text = instance
        .console
        .iter()
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    Ok(vec![
        Element::text("instanceId", &id),
        Element::text("timestamp", world.timestamp(world.now())),
        Element::text("output", STANDARD.encode(text)),
    ])
}
