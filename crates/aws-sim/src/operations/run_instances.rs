//! RunInstances: the same checks as a fleet's, one pool, and errors for the whole call.

use crate::market::Lifecycle;
use crate::operations::describe_instances::described;
use crate::operations::launch::{self, TagSpecifications};
use crate::operations::{Answer, create_fleet, launch_template, refuse_dry_run};
use crate::quota::Group;
use crate::state::{ACCOUNT, SpentToken, World};
use crate::throttle::LAUNCH_RESOURCES;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Element;

/// Launches between MinCount and MaxCount instances in one pool.
pub fn run_instances(world: &mut World, params: &Params) -> Answer {
    let data = data(world, params)?;
    let least = params
        .integer("MinCount")?
        .ok_or_else(|| ApiError::missing("MinCount"))?;
    let most = params
        .integer("MaxCount")?
        .ok_or_else(|| ApiError::missing("MaxCount"))?;
    if least < 1 || most < least {
        return Err(ApiError::invalid_value(
            "MaxCount must be at least MinCount, which must be at least 1.",
        ));
    }
    let lifecycle = match data.text("InstanceMarketOptions.MarketType") {
        Some("spot") => Lifecycle::Spot,
        _ => Lifecycle::OnDemand,
    };
    let instance_type = data.required("InstanceType")?.to_owned();
    let subnet_id = subnet(world, &data)?;
    let tags = TagSpecifications::parse(params)?;
    let mut spec = launch::judge(world, &data, (&instance_type, &subnet_id), lifecycle, &tags)?;
    spec.client_token = params.text("ClientToken").unwrap_or_default().to_owned();
    refuse_dry_run(params)?;
    let fingerprint = format!(
        "{:?}",
        params
            .restricted_to(&[
                "InstanceType",
                "MinCount",
                "MaxCount",
                "SubnetId",
                "ImageId",
                "LaunchTemplate"
            ])
            .leaves()
    );
    let key = params
        .text("ClientToken")
        .map(|token| ("RunInstances".to_owned(), token.to_owned()));
    if let Some(spent) = key.as_ref().and_then(|key| world.tokens.get(key)) {
        return spent.replay(&fingerprint);
    }
    let count = granted(world, &spec, least.unsigned_abs(), most.unsigned_abs())?;
    let answer = launched(world, &spec, count);
    if let Some(key) = key {
        world.tokens.insert(
            key,
            SpentToken {
                request: fingerprint,
                answer: answer.clone(),
            },
        );
    }
    Ok(answer)
}

/// The request laid over its launch template, where it names one.
fn data(world: &World, params: &Params) -> Result<Params, ApiError> {
    let Some(specification) = params.at("LaunchTemplate") else {
        return Ok(params.clone());
    };
    let template = launch_template::named(world, specification)?;
    let (_, version) = template.resolve(specification.text("Version").unwrap_or("$Default"))?;
    Ok(version.data.merged_with(params))
}

fn subnet(world: &World, data: &Params) -> Result<String, ApiError> {
    let on_interface = data
        .list("NetworkInterface")
        .first()
        .and_then(|first| first.text("SubnetId"));
    let id = data.text("SubnetId").or(on_interface).ok_or_else(|| {
        ApiError::client(
            "MissingInput",
            "No subnets found for the default VPC. Please specify a subnet.",
        )
    })?;
    if !world.network.subnets.contains_key(id) {
        return Err(ApiError::client(
            "InvalidSubnetID.NotFound",
            format!("The subnet ID '{id}' does not exist"),
        ));
    }
    Ok(id.to_owned())
}

fn granted(world: &mut World, spec: &launch::LaunchSpec, least: u64, most: u64) -> Result<u64, ApiError> {
    let subnet = world.network.subnets[&spec.subnet_id].clone();
    let found = world
        .catalogue
        .types
        .get(&spec.instance_type)
        .ok_or_else(|| launch::unknown_type(&spec.instance_type))?;
    let vcpu = u64::from(found.vcpu).max(1);
    if !found.offered_in(&subnet.zone_id) {
        return Err(ApiError::client(
            "Unsupported",
            format!(
                "Your requested instance type ({}) is not supported in your requested Availability Zone ({}).",
                spec.instance_type, subnet.zone
            ),
        ));
    }
    let pool = world.pool(&spec.instance_type, &subnet.zone_id);
    let depth = world
        .market
        .quote(&pool, spec.lifecycle, world.now())
        .map_or(0, |quote| quote.depth);
    if depth < least {
        // RunInstances answers 500 here, which SDKs retry (spike-fleet).
        return Err(ApiError::new(
            500,
            "InsufficientInstanceCapacity",
            "There is no Spot capacity available that matches your request.",
        ));
    }
    if subnet.free_addresses() < least {
        return Err(ApiError::client(
            "InsufficientFreeAddressesInSubnet",
            format!(
                "There are not enough free addresses in subnet '{}' to satisfy the requested number of instances.",
                subnet.id
            ),
        ));
    }
    let group = Group::of(&spec.instance_type);
    let quota = world.quotas.limit_vcpus(spec.lifecycle, group);
    let by_quota = quota.saturating_sub(world.used_vcpus(spec.lifecycle, group)) / vcpu;
    if by_quota < least {
        return Err(create_fleet::over_quota(spec.lifecycle, quota));
    }
    let count = most.min(depth).min(subnet.free_addresses()).min(by_quota);
    let now_ms = world.clock.real_ms();
    if world.options.scenario.throttle
        && world
            .buckets
            .take("launch resources", LAUNCH_RESOURCES, count, now_ms)
            < count
    {
        return Err(ApiError::new(
            503,
            "RequestLimitExceeded",
            "Request limit exceeded.",
        ));
    }
    let now = world.now();
    Ok(world.market.take(&pool, spec.lifecycle, count, now))
}

fn launched(world: &mut World, spec: &launch::LaunchSpec, count: u64) -> Vec<Element> {
    let reservation_id = world.new_id("r");
    let ids: Vec<String> = (0..count)
        .filter_map(|index| launch::make_instance(world, spec, &reservation_id, index))
        .collect();
    let instances = ids.iter().map(|id| described(world, &world.instances[id]));
    vec![
        Element::text("reservationId", &reservation_id),
        Element::text("ownerId", ACCOUNT),
        Element::new("groupSet"),
        Element::list("instancesSet", instances),
    ]
}
