//! One instant CreateFleet: the request as EC2 takes it, and its answer read.
//!
//! A 200 says full, partial or nothing, and may carry errors beside instances;
//! all of it is read and nothing is judged here but what an error code is about.
//! The request is a function of [`FleetRequest`] alone: replayed with its token
//! it is the same request, or EC2 answers `IdempotentParameterMismatch`.

use aws_sdk_ec2::operation::create_fleet::CreateFleetOutput;
use aws_sdk_ec2::operation::create_fleet::builders::CreateFleetInputBuilder;
use aws_sdk_ec2::types::{
    CreateFleetError, CreateFleetInstance, DefaultTargetCapacityType, FleetLaunchTemplateConfigRequest,
    FleetLaunchTemplateOverrides, FleetLaunchTemplateOverridesRequest,
    FleetLaunchTemplateSpecificationRequest, FleetOnDemandAllocationStrategy, FleetType, InstanceLifecycle,
    InstanceType, OnDemandOptionsRequest, ResourceType, SpotAllocationStrategy, SpotOptionsRequest,
    TargetCapacitySpecificationRequest,
};
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{InstanceTypeName, SubnetId, Zone};
use spotocean_core::launch::{
    FleetAnswer, FleetConfig, FleetError, FleetInstance, FleetOverride, FleetRequest,
};
use spotocean_core::money::PricePerHour;
use spotocean_core::port::CloudError;

use crate::client::AwsCloud;
use crate::error::{fleet_scope, invalid};
use crate::tag;
use crate::throttle::Action;

/// Launch templates are never changed after they were made: their name is their content's hash.
const TEMPLATE_VERSION: &str = "1";
/// EC2's limit on client tokens of CreateFleet.
const CLIENT_TOKEN_CHARACTERS_MAX: usize = 64;
const MICRO_PER_USD: i64 = 1_000_000;

/// Sends one instant fleet.
pub(crate) async fn create(cloud: &AwsCloud, request: &FleetRequest) -> Result<FleetAnswer, CloudError> {
    let action = Action::create_fleet(request.target_capacity);
    let input = input(request)?;
    let output = cloud.call(action, input.send_with(&cloud.ec2_writes)).await?;
    Ok(answer(request, &output))
}

/// The request as EC2 takes it.
fn input(request: &FleetRequest) -> Result<CreateFleetInputBuilder, CloudError> {
    let token = &*request.client_token;
    if token.is_empty() || token.len() > CLIENT_TOKEN_CHARACTERS_MAX || !token.is_ascii() {
        return Err(invalid(
            "CreateFleet",
            "InvalidClientToken",
            format!("the client token {token:?} is not 1 to {CLIENT_TOKEN_CHARACTERS_MAX} ASCII characters"),
        ));
    }
    let taggable = [ResourceType::Fleet, ResourceType::Instance, ResourceType::Volume];
    let builder = CreateFleetInputBuilder::default()
        .r#type(FleetType::Instant)
        .client_token(token)
        .target_capacity_specification(target(request)?)
        .set_launch_template_configs(Some(request.configs.iter().map(config).collect()))
        .set_tag_specifications(Some(
            taggable
                .map(|resource| tag::specification(resource, &request.tags))
                .into(),
        ));
    let strategy = request.allocation_strategy.as_str();
    Ok(match request.capacity_type {
        CapacityType::Spot => builder.spot_options(
            SpotOptionsRequest::builder()
                .allocation_strategy(SpotAllocationStrategy::from(strategy))
                .build(),
        ),
        CapacityType::OnDemand => builder.on_demand_options(
            OnDemandOptionsRequest::builder()
                .allocation_strategy(FleetOnDemandAllocationStrategy::from(strategy))
                .build(),
        ),
    })
}

fn target(request: &FleetRequest) -> Result<TargetCapacitySpecificationRequest, CloudError> {
    let capacity = i32::try_from(request.target_capacity).map_err(|_| {
        invalid(
            "CreateFleet",
            "InvalidTargetCapacity",
            "the target capacity is out of range",
        )
    })?;
    Ok(TargetCapacitySpecificationRequest::builder()
        .total_target_capacity(capacity)
        .default_target_capacity_type(match request.capacity_type {
            CapacityType::Spot => DefaultTargetCapacityType::Spot,
            CapacityType::OnDemand => DefaultTargetCapacityType::OnDemand,
        })
        .build())
}

fn config(config: &FleetConfig) -> FleetLaunchTemplateConfigRequest {
    FleetLaunchTemplateConfigRequest::builder()
        .launch_template_specification(
            FleetLaunchTemplateSpecificationRequest::builder()
                .launch_template_name(&*config.launch_template)
                .version(TEMPLATE_VERSION)
                .build(),
        )
        .set_overrides(Some(config.overrides.iter().map(pool).collect()))
        .build()
}

fn pool(pool: &FleetOverride) -> FleetLaunchTemplateOverridesRequest {
    FleetLaunchTemplateOverridesRequest::builder()
        .instance_type(InstanceType::from(pool.instance_type.as_str()))
        .subnet_id(pool.subnet.as_str())
        .availability_zone(pool.zone.as_str())
        .set_priority(pool.priority.map(f64::from))
        .set_max_price(pool.max_price.map(dollars))
        .build()
}

/// A price as EC2 writes it: dollars with six decimals.
fn dollars(price: PricePerHour) -> String {
    let micro_usd = price.micro_usd().max(0);
    format!("{}.{:06}", micro_usd / MICRO_PER_USD, micro_usd % MICRO_PER_USD)
}

/// EC2's 200, read.
fn answer(request: &FleetRequest, output: &CreateFleetOutput) -> FleetAnswer {
    let mut instances: Vec<FleetInstance> = output
        .instances()
        .iter()
        .flat_map(|group| group_instances(request, group))
        .collect();
    instances.sort_by(|a, b| a.id.cmp(&b.id));
    FleetAnswer {
        fleet: output.fleet_id().unwrap_or_default().into(),
        instances,
        errors: output
            .errors()
            .iter()
            .map(|error| fleet_error(request, error))
            .collect(),
    }
}

/// EC2 groups instances by pool.
fn group_instances<'a>(
    request: &'a FleetRequest,
    group: &'a CreateFleetInstance,
) -> impl Iterator<Item = FleetInstance> + 'a {
    let echoed = group
        .launch_template_and_overrides()
        .and_then(|launched| launched.overrides());
    let instance_type = group
        .instance_type()
        .or_else(|| echoed.and_then(|pool| pool.instance_type()))
        .map(|name| InstanceTypeName::from(name.as_str()))
        .unwrap_or_else(|| "".into());
    let subnet = group
        .subnet_id()
        .or_else(|| echoed.and_then(|pool| pool.subnet_id()));
    let zone = group
        .availability_zone()
        .or_else(|| echoed.and_then(|pool| pool.availability_zone()))
        .map(Zone::from)
        .or_else(|| zone_of(request, subnet, &instance_type))
        .unwrap_or_else(|| "".into());
    let capacity_type = match group.lifecycle() {
        Some(InstanceLifecycle::Spot) => CapacityType::Spot,
        Some(InstanceLifecycle::OnDemand) => CapacityType::OnDemand,
        _ => request.capacity_type,
    };
    group.instance_ids().iter().map(move |id| FleetInstance {
        id: id.as_str().into(),
        instance_type: instance_type.clone(),
        zone: zone.clone(),
        capacity_type,
    })
}

/// The zone that the request gave the subnet; without a subnet, the one zone it gave the type.
fn zone_of(request: &FleetRequest, subnet: Option<&str>, instance_type: &InstanceTypeName) -> Option<Zone> {
    let pools = || request.configs.iter().flat_map(|config| &config.overrides);
    if let Some(subnet) = subnet {
        return pools()
            .find(|pool| pool.subnet.as_str() == subnet)
            .map(|pool| pool.zone.clone());
    }
    let mut zones = pools()
        .filter(|pool| pool.instance_type == *instance_type)
        .map(|pool| &pool.zone);
    let first = zones.next()?;
    zones.all(|zone| zone == first).then(|| first.clone())
}

fn fleet_error(request: &FleetRequest, error: &CreateFleetError) -> FleetError {
    let echoed: Option<&FleetLaunchTemplateOverrides> = error
        .launch_template_and_overrides()
        .and_then(|launched| launched.overrides());
    let instance_type = echoed
        .and_then(|pool| pool.instance_type())
        .map(|name| InstanceTypeName::from(name.as_str()));
    let subnet = echoed.and_then(|pool| pool.subnet_id()).map(SubnetId::from);
    let zone = echoed
        .and_then(|pool| pool.availability_zone())
        .map(Zone::from)
        .or_else(|| {
            zone_of(
                request,
                subnet.as_ref().map(SubnetId::as_str),
                instance_type.as_ref()?,
            )
        });
    let code = error.error_code().unwrap_or_default();
    let message = error.error_message().unwrap_or_default();
    FleetError {
        code: code.into(),
        message: message.into(),
        scope: fleet_scope(code, message, instance_type.is_some()),
        instance_type,
        zone,
        subnet,
    }
}

#[cfg(test)]
mod tests;
