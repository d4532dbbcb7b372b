//! The actions, by service. Each reads its parameters, checks what AWS checks, changes the state and
//! answers with its result; none knows HTTP.

pub mod auto_scaling;
pub mod capacity_reservation;
pub mod catalogue;
pub mod create_fleet;
pub mod describe_instances;
pub mod eks;
pub mod fleet;
pub mod iam;
pub mod image;
pub mod launch;
pub mod launch_template;
pub mod network;
pub mod pricing;
pub mod run_instances;
pub mod spot;
pub mod sqs;
pub mod ssm;
pub mod sts;
pub mod tag;
pub mod terminate_instances;
pub mod volume;

use crate::state::World;
use crate::wire::error::ApiError;
use crate::wire::page::Paging;
use crate::wire::query::Params;
use crate::wire::xml::Element;

/// What a query action answers with: the children of its result.
pub type Answer = Result<Vec<Element>, ApiError>;

/// Carries out an EC2 action.
pub fn ec2(world: &mut World, action: &str, params: &Params) -> Answer {
    if action.starts_with("Describe") || action.starts_with("Get") {
        refuse_dry_run(params)?;
    }
    match action {
        "CreateFleet" => create_fleet::create_fleet(world, params),
        "DescribeFleets" => fleet::describe_fleets(world, params),
        "DeleteFleets" => fleet::delete_fleets(world, params),
        "RunInstances" => run_instances::run_instances(world, params),
        "DescribeInstances" => describe_instances::describe_instances(world, params),
        "DescribeInstanceStatus" => describe_instances::describe_instance_status(world, params),
        "GetConsoleOutput" => describe_instances::console_output(world, params),
        "TerminateInstances" => terminate_instances::terminate_instances(world, params),
        "StopInstances" => terminate_instances::stop_instances(world, params),
        "CreateLaunchTemplate" => launch_template::create(world, params),
        "CreateLaunchTemplateVersion" => launch_template::create_version(world, params),
        "ModifyLaunchTemplate" => launch_template::modify(world, params),
        "DescribeLaunchTemplates" => launch_template::describe(world, params),
        "DescribeLaunchTemplateVersions" => launch_template::describe_versions(world, params),
        "DeleteLaunchTemplate" => launch_template::delete(world, params),
        "DeleteLaunchTemplateVersions" => launch_template::delete_versions(world, params),
        "DescribeInstanceTypes" => catalogue::describe_instance_types(world, params),
        "DescribeInstanceTypeOfferings" => catalogue::describe_offerings(world, params),
        "DescribeAvailabilityZones" => network::describe_zones(world, params),
        "DescribeSubnets" => network::describe_subnets(world, params),
        "DescribeVpcs" => network::describe_vpcs(world, params),
        "DescribeSecurityGroups" => network::describe_security_groups(world, params),
        "DescribeImages" => image::describe_images(world, params),
        "DescribeCapacityReservations" => capacity_reservation::describe(world, params),
        "DescribeSpotPriceHistory" => spot::describe_spot_price_history(world, params),
        "GetSpotPlacementScores" => spot::spot_placement_scores(world, params),
        "CreateTags" => tag::create_tags(world, params),
        "DeleteTags" => tag::delete_tags(world, params),
        "DescribeTags" => tag::describe_tags(world, params),
        "DescribeVolumes" => volume::describe_volumes(world, params),
        _ => Err(ApiError::unknown_action(action)),
    }
}

/// Ends a request whose checks have passed, if it asked only for those.
pub fn refuse_dry_run(params: &Params) -> Result<(), ApiError> {
    if params.flag("DryRun")? {
        Err(ApiError::dry_run())
    } else {
        Ok(())
    }
}

/// The paging of a Describe call with these limits of `MaxResults`.
pub fn paging(params: &Params, limits: (i64, i64)) -> Result<Paging, ApiError> {
    Paging::new(params.integer("MaxResults")?, limits, params.text("NextToken"))
}

/// A list and the token of the next page, as Describe calls answer.
pub fn listed(name: &str, items: Vec<Element>, next: Option<String>) -> Vec<Element> {
    let mut children = vec![Element::list(name, items)];
    children.extend(next.map(|token| Element::text("nextToken", token)));
    children
}
