//! What a CreateFleet request asks for, and what EC2 refuses before it looks at any pool.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::DEFAULT_STRATEGY;
use crate::allocation::Strategy;
use crate::market::Lifecycle;
use crate::operations::launch::TagSpecifications;
use crate::operations::launch_template;
use crate::state::World;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Element;

const CONFIGS_MAX: usize = 50;
const TARGET_MAX: i64 = 10_000;
const MIN_TARGET_MAX: i64 = 1000;

/// One override of one launch template: a pool to launch from.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) template_id: String,
    pub(super) template_version: u64,
    pub(super) instance_type: String,
    pub(super) subnet_id: String,
    pub(super) zone: String,
    pub(super) zone_id: String,
    pub(super) weight: f64,
    pub(super) priority: Option<f64>,
    pub(super) max_price_micro_usd_per_hour: Option<u64>,
    pub(super) data: Params,
    sent: Params,
}

impl Offer {
    /// The override as it was sent: no zone unless the request named one.
    pub(super) fn echo(&self) -> Element {
        let sent = |name: &str| self.sent.text(name).map(str::to_owned);
        Element::new("overrides")
            .maybe("instanceType", sent("InstanceType"))
            .maybe("maxPrice", sent("MaxPrice"))
            .maybe("subnetId", sent("SubnetId"))
            .maybe("availabilityZone", sent("AvailabilityZone"))
            .maybe("weightedCapacity", sent("WeightedCapacity"))
            .maybe("priority", sent("Priority"))
            .maybe("imageId", sent("ImageId"))
            .maybe("availabilityZoneId", sent("AvailabilityZoneId"))
    }
}

/// The spot or the on-demand side of a request.
#[derive(Debug, Clone)]
pub(super) struct Side {
    pub(super) target: i64,
    pub(super) strategy: Strategy,
    pub(super) pools_to_use: Option<usize>,
    pub(super) single_type: bool,
    pub(super) single_zone: bool,
    pub(super) min_target: Option<i64>,
}

/// A well-formed request.
#[derive(Debug, Clone)]
pub(super) struct FleetRequest {
    pub(super) offers: Vec<Offer>,
    pub(super) spot: Side,
    pub(super) on_demand: Side,
    pub(super) tags: TagSpecifications,
    pub(super) client_token: Option<String>,
}

impl FleetRequest {
    /// Reads and judges a request.
    pub(super) fn parse(world: &World, params: &Params) -> Result<FleetRequest, ApiError> {
        match params.text("Type") {
            Some("instant") => {}
            None | Some("request" | "maintain") => {
                return Err(ApiError::client(
                    "UnsupportedOperation",
                    "This simulator launches fleets of type 'instant' only: set Type to 'instant'.",
                ));
            }
            Some(other) => {
                return Err(ApiError::invalid_value(format!(
                    "Invalid value '{other}' for Type."
                )));
            }
        }
        let client_token = params.text("ClientToken").map(str::to_owned);
        if client_token
            .as_ref()
            .is_some_and(|token| token.len() > 64 || !token.is_ascii())
        {
            return Err(ApiError::invalid_value(
                "ClientToken must be at most 64 ASCII characters.",
            ));
        }
        let spot_options = params.at("SpotOptions");
        if let Some(behavior) = spot_options.and_then(|options| options.text("InstanceInterruptionBehavior"))
            && behavior != "terminate"
        {
            return Err(ApiError::invalid_value(format!(
                "The parameter InstanceInterruptionBehavior with value '{behavior}' is invalid for fleets of type instant. Only 'terminate' is valid."
            )));
        }
        let (spot_target, on_demand_target) = targets(params)?;
        let request = FleetRequest {
            offers: offers(world, params)?,
            spot: side(params, "SpotOptions", spot_target, Strategy::spot)?,
            on_demand: side(params, "OnDemandOptions", on_demand_target, Strategy::on_demand)?,
            tags: TagSpecifications::parse(params)?,
            client_token,
        };
        Ok(request)
    }

    /// The side of a lifecycle.
    pub(super) fn side(&self, lifecycle: Lifecycle) -> &Side {
        match lifecycle {
            Lifecycle::Spot => &self.spot,
            Lifecycle::OnDemand => &self.on_demand,
        }
    }
}

/// Hash of everything the token stands for.
pub(super) fn fingerprint(params: &Params) -> String {
    let mut hasher = Sha256::new();
    for (name, value) in params.leaves() {
        if !["ClientToken", "DryRun", "Action", "Version"].contains(&name.as_str()) {
            hasher.update(format!("{name}={value}\n"));
        }
    }
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Spot and on-demand targets; what neither names goes to the default type.
fn targets(params: &Params) -> Result<(i64, i64), ApiError> {
    let read = |name: &str| params.integer(&format!("TargetCapacitySpecification.{name}"));
    let total = read("TotalTargetCapacity")?
        .ok_or_else(|| ApiError::missing("TargetCapacitySpecification.TotalTargetCapacity"))?;
    if total < 0 {
        return Err(ApiError::invalid_value(
            "TotalTargetCapacity must not be negative.",
        ));
    }
    if total > TARGET_MAX {
        return Err(ApiError::client(
            "TargetCapacityLimitExceeded",
            format!("The total target capacity {total} exceeds the limit of {TARGET_MAX} per fleet."),
        ));
    }
    let spot = read("SpotTargetCapacity")?.unwrap_or(0);
    let on_demand = read("OnDemandTargetCapacity")?.unwrap_or(0);
    let rest = total - spot - on_demand;
    if spot < 0 || on_demand < 0 || rest < 0 {
        return Err(ApiError::invalid_combination(
            "SpotTargetCapacity and OnDemandTargetCapacity must not be negative or exceed TotalTargetCapacity.",
        ));
    }
    match params.text("TargetCapacitySpecification.DefaultTargetCapacityType") {
        Some("spot") => Ok((spot + rest, on_demand)),
        None | Some("on-demand") => Ok((spot, on_demand + rest)),
        Some(other) => Err(ApiError::invalid_value(format!(
            "Invalid value '{other}' for DefaultTargetCapacityType."
        ))),
    }
}

fn side(
    params: &Params,
    name: &str,
    target: i64,
    read: fn(&str) -> Option<Strategy>,
) -> Result<Side, ApiError> {
    let empty = Params::default();
    let options = params.at(name).unwrap_or(&empty);
    let strategy = match options.text("AllocationStrategy") {
        Some(text) => read(text).ok_or_else(|| {
            ApiError::invalid_value(format!("Invalid value '{text}' for {name}.AllocationStrategy."))
        })?,
        None => DEFAULT_STRATEGY,
    };
    let pools_to_use = options.integer("InstancePoolsToUseCount")?;
    if pools_to_use.is_some() && strategy != Strategy::LowestPrice {
        return Err(ApiError::invalid_combination(
            "InstancePoolsToUseCount is supported only when the allocation strategy is lowest-price.",
        ));
    }
    let (single_type, single_zone) = (
        options.flag("SingleInstanceType")?,
        options.flag("SingleAvailabilityZone")?,
    );
    let min_target = options.integer("MinTargetCapacity")?;
    if let Some(least) = min_target {
        if !(0..=MIN_TARGET_MAX).contains(&least) {
            return Err(ApiError::invalid_value(format!(
                "MinTargetCapacity must be between 0 and {MIN_TARGET_MAX}."
            )));
        }
        if !single_type && !single_zone {
            return Err(ApiError::invalid_combination(
                "MinTargetCapacity requires SingleInstanceType or SingleAvailabilityZone to be specified.",
            ));
        }
    }
    Ok(Side {
        target,
        strategy,
        pools_to_use: pools_to_use.and_then(|count| usize::try_from(count).ok()),
        single_type,
        single_zone,
        min_target,
    })
}

fn offers(world: &World, params: &Params) -> Result<Vec<Offer>, ApiError> {
    let configs = params.list("LaunchTemplateConfigs");
    if configs.is_empty() {
        return Err(ApiError::missing("LaunchTemplateConfigs"));
    }
    if configs.len() > CONFIGS_MAX {
        return Err(ApiError::invalid_value(format!(
            "LaunchTemplateConfigs must have at most {CONFIGS_MAX} items."
        )));
    }
    let mut offers = Vec::new();
    for config in configs {
        let specification = config
            .at("LaunchTemplateSpecification")
            .ok_or_else(|| ApiError::missing("LaunchTemplateConfigs.LaunchTemplateSpecification"))?;
        let template = launch_template::named(world, specification)?;
        let (version, found) = template.resolve(specification.required("Version")?)?;
        let mut data = found.data.clone();
        data = data.merged_with(&Params::parse(&format!(
            "SimTemplate.Id={}&SimTemplate.Version={version}",
            template.id
        )));
        let overrides = config.list("Overrides");
        let empty = Params::default();
        let overrides = if overrides.is_empty() {
            vec![&empty]
        } else {
            overrides
        };
        for each in overrides {
            offers.push(offer(world, (&template.id, version), &data, each)?);
        }
    }
    refuse_duplicates(&offers)?;
    Ok(offers)
}

fn offer(
    world: &World,
    (template_id, version): (&str, u64),
    data: &Params,
    sent: &Params,
) -> Result<Offer, ApiError> {
    if sent.at("InstanceRequirements").is_some() {
        return Err(ApiError::client(
            "UnsupportedOperation",
            "This simulator does not choose types by InstanceRequirements: name an InstanceType in each override.",
        ));
    }
    // An override may replace image, block devices and type; user data it may not.
    let data = data.merged_with(&sent.restricted_to(&["ImageId", "InstanceType", "BlockDeviceMapping"]));
    let instance_type = data
        .text("InstanceType")
        .ok_or_else(|| ApiError::missing("LaunchTemplateConfigs.Overrides.InstanceType"))?
        .to_owned();
    let (subnet_id, zone, zone_id) = place(world, &data, sent)?;
    let weight = sent.number("WeightedCapacity")?.unwrap_or(1.0);
    if !(weight > 0.0 && weight <= 999.0) {
        return Err(ApiError::invalid_value(format!(
            "Invalid value '{weight}' for WeightedCapacity."
        )));
    }
    Ok(Offer {
        template_id: template_id.to_owned(),
        template_version: version,
        instance_type,
        subnet_id,
        zone,
        zone_id,
        weight,
        priority: sent.number("Priority")?,
        max_price_micro_usd_per_hour: max_price(sent)?,
        data,
        sent: sent.clone(),
    })
}

fn max_price(sent: &Params) -> Result<Option<u64>, ApiError> {
    let Some(price) = sent.number("MaxPrice")? else {
        return Ok(None);
    };
    if price <= 0.001 {
        return Err(ApiError::invalid_value(format!(
            "Invalid value '{price}' for MaxPrice: it must be above 0.001."
        )));
    }
    Ok(Some((price * 1e6).round() as u64))
}

/// The subnet (and its zone) of an override: named there, on the template's interface, or any of the named zone.
fn place(world: &World, data: &Params, sent: &Params) -> Result<(String, String, String), ApiError> {
    let on_interface = data
        .list("NetworkInterface")
        .first()
        .and_then(|first| first.text("SubnetId"));
    let zone = sent
        .text("AvailabilityZone")
        .or(sent.text("AvailabilityZoneId"))
        .or(data.text("Placement.AvailabilityZone"));
    let subnet = match sent.text("SubnetId").or(on_interface) {
        Some(id) => world.network.subnets.get(id).ok_or_else(|| {
            ApiError::client(
                "InvalidSubnetID.NotFound",
                format!("The subnet ID '{id}' does not exist"),
            )
        })?,
        None => world
            .network
            .subnets
            .values()
            .find(|subnet| zone.is_none_or(|zone| zone == subnet.zone || zone == subnet.zone_id))
            .ok_or_else(|| {
                ApiError::client(
                    "MissingInput",
                    "No subnets found for the default VPC. Please specify a subnet.",
                )
            })?,
    };
    if let Some(zone) = zone.filter(|zone| *zone != subnet.zone && *zone != subnet.zone_id) {
        return Err(ApiError::invalid_combination(format!(
            "The Availability Zone '{zone}' does not match that of subnet '{}' ({}).",
            subnet.id, subnet.zone
        )));
    }
    Ok((subnet.id.clone(), subnet.zone.clone(), subnet.zone_id.clone()))
}

/// A pool is a type in a zone, whatever template or subnet leads there.
fn refuse_duplicates(offers: &[Offer]) -> Result<(), ApiError> {
    let mut seen = BTreeSet::new();
    for offer in offers {
        if !seen.insert((&offer.instance_type, &offer.zone_id)) {
            return Err(ApiError::client(
                "InvalidFleetConfig",
                "The fleet configuration contains duplicate instance pools",
            ));
        }
    }
    Ok(())
}
