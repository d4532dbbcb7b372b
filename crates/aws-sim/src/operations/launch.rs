//! What CreateFleet and RunInstances have in common: a launch template's data judged for one pool,
//! and the instances made from it.

use std::net::Ipv4Addr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::clock::{Moment, ms};
use crate::market::Lifecycle;
use crate::operations::tag;
use crate::random;
use crate::state::instance::{
    Instance, InstanceState, Membership, MetadataOptions, Purchase, Visible, Volume,
};
use crate::state::life::Event;
use crate::state::{LaunchOutcome, Tags, World};
use crate::wire::error::ApiError;
use crate::wire::query::Params;

/// EC2's limit on user data, before base64.
pub const USER_DATA_BYTES_MAX: usize = 16_384;

/// Tags by the type of resource they are for.
#[derive(Debug, Clone, Default)]
pub struct TagSpecifications {
    /// For the instances.
    pub instance: Tags,
    /// For their volumes.
    pub volume: Tags,
    /// For the fleet.
    pub fleet: Tags,
    /// Whether any is for spot requests.
    pub names_spot_requests: bool,
}

impl TagSpecifications {
    /// Reads `TagSpecification.N`.
    pub fn parse(params: &Params) -> Result<TagSpecifications, ApiError> {
        let mut found = TagSpecifications::default();
        for specification in params.list("TagSpecification") {
            let kind = specification.required("ResourceType")?;
            let tags = tag::parse(&specification.list("Tag"))?;
            match kind {
                "instance" => found.instance.extend(tags),
                "volume" => found.volume.extend(tags),
                "fleet" => found.fleet.extend(tags),
                "spot-instances-request" => found.names_spot_requests = true,
                "network-interface" | "launch-template" | "elastic-gpu" => {}
                other => {
                    return Err(ApiError::invalid_value(format!(
                        "'{other}' is not a valid taggable resource type for this operation."
                    )));
                }
            }
        }
        Ok(found)
    }
}

/// A launch that passed all checks.
#[derive(Debug, Clone)]
pub struct LaunchSpec {
    /// Type.
    pub instance_type: String,
    /// Subnet.
    pub subnet_id: String,
    /// Image.
    pub image_id: String,
    /// Spot or on-demand.
    pub lifecycle: Lifecycle,
    /// Security groups.
    pub security_group_ids: Vec<String>,
    /// Instance profile's name.
    pub instance_profile: Option<String>,
    /// User data, decoded.
    pub user_data: Vec<u8>,
    /// Tags.
    pub tags: TagSpecifications,
    /// The launch template's data with the overrides laid over it.
    pub data: Params,
    /// The fleet.
    pub fleet_id: Option<String>,
    /// The request's token.
    pub client_token: String,
}

/// Reads user data from base64.
pub fn decoded_user_data(data: &Params) -> Result<Vec<u8>, ApiError> {
    let text = data.text("UserData").unwrap_or_default();
    let decoded = STANDARD.decode(text.trim()).map_err(|_| {
        ApiError::client(
            "InvalidUserData.Malformed",
            "Invalid BASE64 encoding of user data.",
        )
    })?;
    if decoded.len() > USER_DATA_BYTES_MAX {
        return Err(ApiError::client(
            "InvalidUserData.Malformed",
            "User data is limited to 16384 bytes",
        ));
    }
    Ok(decoded)
}

/// Judges launch data for a type in a subnet, in EC2's order: image, architecture, groups, profile, user data, tags.
pub fn judge(
    world: &World,
    data: &Params,
    (instance_type, subnet_id): (&str, &str),
    lifecycle: Lifecycle,
    request_tags: &TagSpecifications,
) -> Result<LaunchSpec, ApiError> {
    let image_id = judged_image(world, data, instance_type)?;
    let security_group_ids = judged_groups(world, data, subnet_id)?;
    let instance_profile = judged_profile(world, data)?;
    let user_data = decoded_user_data(data)?;
    let mut tags = TagSpecifications::parse(data)?;
    let names_spot_requests = tags.names_spot_requests || request_tags.names_spot_requests;
    if names_spot_requests && lifecycle == Lifecycle::OnDemand {
        return Err(ApiError::invalid_value(
            "You cannot specify tags for Spot instances requests if there are no Spot instances requests being created by the request.",
        ));
    }
    tags.instance.extend(request_tags.instance.clone());
    tags.volume.extend(request_tags.volume.clone());
    tag::check_count(&tags.instance)?;
    judged_metadata(data)?;
    Ok(LaunchSpec {
        instance_type: instance_type.to_owned(),
        subnet_id: subnet_id.to_owned(),
        image_id,
        lifecycle,
        security_group_ids,
        instance_profile,
        user_data,
        tags,
        data: data.clone(),
        fleet_id: None,
        client_token: String::new(),
    })
}

fn judged_image(world: &World, data: &Params, instance_type: &str) -> Result<String, ApiError> {
    let id = data.text("ImageId").ok_or_else(|| ApiError::missing("ImageId"))?;
    let id = match id.strip_prefix("resolve:ssm:") {
        Some(name) => world.parameters.get(name).map(String::as_str).ok_or_else(|| {
            ApiError::invalid_value(format!("The SSM parameter '{name}' could not be resolved"))
        })?,
        None => id,
    };
    let well_formed = id.strip_prefix("ami-").is_some_and(|rest| {
        matches!(rest.len(), 8 | 17) && rest.chars().all(|digit| digit.is_ascii_hexdigit())
    });
    if !well_formed {
        return Err(ApiError::client(
            "InvalidAMIID.Malformed",
            format!("Invalid id: \"{id}\""),
        ));
    }
    let image = world.images.get(id).ok_or_else(|| {
        ApiError::client(
            "InvalidAMIID.NotFound",
            format!("The image id '[{id}]' does not exist"),
        )
    })?;
    let found = world
        .catalogue
        .types
        .get(instance_type)
        .ok_or_else(|| unknown_type(instance_type))?;
    if !found.arch.contains(&image.architecture) {
        return Err(ApiError::invalid_value(format!(
            "The architecture '{}' of the specified instance type does not match the architecture '{}' of the specified AMI. Specify an instance type and an AMI that have matching architectures, and try again. You can use 'describe-instance-types' or 'describe-images' to discover the architecture of the instance type or AMI.",
            found.arch.join(","),
            image.architecture
        )));
    }
    Ok(id.to_owned())
}

/// EC2's word for a type it does not know.
pub fn unknown_type(instance_type: &str) -> ApiError {
    ApiError::invalid_value(format!("Invalid value '{instance_type}' for InstanceType."))
}

/// Security groups come directly or on the first network interface.
fn judged_groups(world: &World, data: &Params, subnet_id: &str) -> Result<Vec<String>, ApiError> {
    let vpc_id = world
        .network
        .subnets
        .get(subnet_id)
        .map_or("", |subnet| subnet.vpc_id.as_str());
    let mut ids = data.texts("SecurityGroupId");
    let interfaces = data.list("NetworkInterface");
    if !interfaces.is_empty() && !ids.is_empty() {
        return Err(ApiError::invalid_combination(
            "Network interfaces and an instance-level security groups may not be specified on the same request",
        ));
    }
    if let Some(first) = interfaces.first() {
        ids = first.texts("SecurityGroupId");
    }
    for id in &ids {
        let group = world.network.security_groups.get(id).ok_or_else(|| {
            ApiError::client(
                "InvalidGroup.NotFound",
                format!("The security group '{id}' does not exist"),
            )
        })?;
        if group.vpc_id != vpc_id {
            return Err(ApiError::client(
                "InvalidParameter",
                format!("Security group {id} and subnet {subnet_id} belong to different networks."),
            ));
        }
    }
    Ok(ids)
}

fn judged_profile(world: &World, data: &Params) -> Result<Option<String>, ApiError> {
    let (name, arn) = (
        data.text("IamInstanceProfile.Name"),
        data.text("IamInstanceProfile.Arn"),
    );
    let Some(wanted) = name.or(arn) else {
        return Ok(None);
    };
    let delay_seconds = world.options.scenario.timing.instance_profile_seconds;
    let known = world
        .iam
        .profile(wanted)
        .filter(|profile| world.now() >= profile.created.plus_seconds(delay_seconds));
    let profile = known.ok_or_else(|| {
        let what = if name.is_some() { "name" } else { "ARN" };
        ApiError::invalid_value(format!(
            "Value ({wanted}) for parameter iamInstanceProfile.{} is invalid. Invalid IAM Instance Profile {what}",
            what.to_lowercase()
        ))
    })?;
    Ok(Some(profile.name.clone()))
}

fn judged_metadata(data: &Params) -> Result<MetadataOptions, ApiError> {
    let text = |name: &str, default: &str| {
        data.text(&format!("MetadataOptions.{name}"))
            .unwrap_or(default)
            .to_owned()
    };
    // AL2023 and Bottlerocket images are registered with imds-support v2.0: tokens required, two hops.
    let hop_limit = data
        .integer("MetadataOptions.HttpPutResponseHopLimit")?
        .unwrap_or(2);
    if !(1..=64).contains(&hop_limit) {
        return Err(ApiError::invalid_value(format!(
            "Invalid value '{hop_limit}' for HttpPutResponseHopLimit: it must be between 1 and 64."
        )));
    }
    let options = MetadataOptions {
        http_tokens: text("HttpTokens", "required"),
        hop_limit,
        http_endpoint: text("HttpEndpoint", "enabled"),
        http_protocol_ipv6: text("HttpProtocolIpv6", "disabled"),
        instance_metadata_tags: text("InstanceMetadataTags", "disabled"),
    };
    if !["required", "optional"].contains(&options.http_tokens.as_str()) {
        return Err(ApiError::invalid_value(format!(
            "Invalid value '{}' for HttpTokens.",
            options.http_tokens
        )));
    }
    Ok(options)
}

/// Makes one instance in a pool that has already given the capacity; none when the subnet is out of addresses.
pub fn make_instance(
    world: &mut World,
    spec: &LaunchSpec,
    reservation_id: &str,
    launch_index: u64,
) -> Option<String> {
    let address = world.network.subnets.get_mut(&spec.subnet_id)?.take_address()?;
    let id = world.new_id("i");
    let volumes = volumes(world, spec);
    let purchase = match spec.lifecycle {
        Lifecycle::Spot => Purchase::Spot {
            request_id: format!("sir-{}", &random::hex(world.options.seed, &["sir", &id], 8)),
        },
        Lifecycle::OnDemand => Purchase::OnDemand,
    };
    let outcome = world.next_outcome();
    let now = world.now();
    let subnet = world.network.subnets.get(&spec.subnet_id)?.clone();
    let image = world.images.get(&spec.image_id)?;
    let instance = Instance {
        reservation_id: reservation_id.to_owned(),
        fleet_id: spec.fleet_id.clone(),
        client_token: spec.client_token.clone(),
        launch_index,
        instance_type: spec.instance_type.clone(),
        zone: subnet.zone.clone(),
        zone_id: subnet.zone_id.clone(),
        subnet_id: subnet.id.clone(),
        vpc_id: subnet.vpc_id.clone(),
        address,
        private_dns_name: private_dns_name(&world.options.region, address),
        image_id: spec.image_id.clone(),
        architecture: image.architecture.clone(),
        purchase,
        state: InstanceState::Pending,
        state_reason: None,
        state_since: now,
        launched: now,
        visible: visibility(world, &id, now),
        security_group_ids: groups_or_default(world, spec, &subnet.vpc_id),
        instance_profile: spec.instance_profile.clone(),
        user_data: spec.user_data.clone(),
        metadata_options: judged_metadata(&spec.data).ok()?,
        key_name: spec.data.text("KeyName").map(str::to_owned),
        is_monitored: spec.data.flag("Monitoring.Enabled").unwrap_or(false),
        is_ebs_optimized: spec.data.flag("EbsOptimized").unwrap_or(false),
        public_address: public_address(spec, address),
        volumes,
        tags: instance_tags(spec),
        is_protected: spec.data.flag("DisableApiTermination").unwrap_or(false),
        outcome,
        membership: Membership::Outside,
        console: Vec::new(),
        interruption: None,
        events: Vec::new(),
        is_impaired: false,
        id: id.clone(),
    };
    world.instances.insert(id.clone(), instance);
    plan_life(world, &id, outcome, now);
    Some(id)
}

/// The tags asked for and those that EC2 adds.
fn instance_tags(spec: &LaunchSpec) -> Tags {
    let mut tags = spec.tags.instance.clone();
    for (key, value) in [
        ("aws:ec2:fleet-id", spec.fleet_id.as_deref()),
        ("aws:ec2launchtemplate:id", spec.data.text("SimTemplate.Id")),
        (
            "aws:ec2launchtemplate:version",
            spec.data.text("SimTemplate.Version"),
        ),
    ] {
        if let Some(value) = value {
            tags.insert(key.to_owned(), value.to_owned());
        }
    }
    tags
}

fn private_dns_name(region: &str, address: Ipv4Addr) -> String {
    let dashed = address.to_string().replace('.', "-");
    match region {
        "us-east-1" => format!("ip-{dashed}.ec2.internal"),
        _ => format!("ip-{dashed}.{region}.compute.internal"),
    }
}

/// Only a launch that asks for one on its interface gets a public address: the subnets give none.
fn public_address(spec: &LaunchSpec, address: Ipv4Addr) -> Option<Ipv4Addr> {
    let interfaces = spec.data.list("NetworkInterface");
    let is_wanted = interfaces.first()?.flag("AssociatePublicIpAddress") == Ok(true);
    is_wanted.then(|| Ipv4Addr::from(0x3600_0000 | (u32::from(address) & 0x00ff_ffff)))
}

fn groups_or_default(world: &World, spec: &LaunchSpec, vpc_id: &str) -> Vec<String> {
    if spec.security_group_ids.is_empty() {
        world
            .network
            .default_group(vpc_id)
            .map(|group| group.id.clone())
            .into_iter()
            .collect()
    } else {
        spec.security_group_ids.clone()
    }
}

fn plan_life(world: &mut World, id: &str, outcome: LaunchOutcome, now: Moment) {
    let timing = world.options.scenario.timing;
    world.emit_state(id);
    if outcome == LaunchOutcome::ClientInternalError {
        world.schedule(
            now.plus_seconds(timing.running_seconds),
            Event::FailLaunch(id.to_owned()),
        );
        return;
    }
    let spread = random::unit(world.options.seed, &["boot", id]) * 2.0 - 1.0;
    let boot_seconds =
        (timing.boot_seconds + spread * timing.boot_spread_seconds).max(timing.running_seconds);
    world.schedule(
        now.plus_seconds(timing.running_seconds),
        Event::Run(id.to_owned()),
    );
    world.schedule(now.plus_seconds(boot_seconds), Event::Boot(id.to_owned()));
}

fn visibility(world: &World, id: &str, now: Moment) -> Visible {
    let knobs = world.options.scenario.visibility;
    let seen = |what: &str, most_seconds: f64| {
        let in_tail = random::below(world.options.seed, &["tail", what, id], 1000) < knobs.tail_per_mille;
        let most_seconds = if in_tail { knobs.tail_seconds } else { most_seconds };
        now.plus_ms((ms(most_seconds) as f64 * random::unit(world.options.seed, &["seen", what, id])) as i64)
    };
    Visible {
        by_id: seen("id", knobs.by_id_seconds),
        by_filter: seen("filter", knobs.by_filter_seconds),
        by_tag: seen("tag", knobs.tags_seconds),
    }
}

/// The image's volumes with the launch's block devices laid over them.
fn volumes(world: &mut World, spec: &LaunchSpec) -> Vec<Volume> {
    let image_volumes = world
        .images
        .get(&spec.image_id)
        .map(|image| image.volumes.clone())
        .unwrap_or_default();
    let mut volumes: Vec<Volume> = image_volumes
        .into_iter()
        .map(|(device, size_gib)| Volume {
            id: String::new(),
            device,
            size_gib,
            kind: "gp3".to_owned(),
            is_encrypted: false,
            delete_on_termination: true,
            tags: spec.tags.volume.clone(),
        })
        .collect();
    for mapping in spec.data.list("BlockDeviceMapping") {
        let Some(device) = mapping.text("DeviceName").filter(|_| mapping.at("Ebs").is_some()) else {
            continue;
        };
        let previous = volumes
            .iter()
            .position(|volume| volume.device == device)
            .map(|index| volumes.remove(index));
        let default_size = previous.map_or(8, |volume| volume.size_gib);
        volumes.push(Volume {
            id: String::new(),
            device: device.to_owned(),
            size_gib: mapping
                .integer("Ebs.VolumeSize")
                .ok()
                .flatten()
                .map_or(default_size, i64::unsigned_abs),
            kind: mapping.text("Ebs.VolumeType").unwrap_or("gp3").to_owned(),
            is_encrypted: mapping.flag("Ebs.Encrypted").unwrap_or(false),
            delete_on_termination: mapping.text("Ebs.DeleteOnTermination") != Some("false"),
            tags: spec.tags.volume.clone(),
        });
    }
    for volume in &mut volumes {
        volume.id = world.new_id("vol");
    }
    volumes
}
