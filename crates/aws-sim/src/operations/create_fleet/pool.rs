//! One pool's turn in a fleet: what it gives after price, depth, addresses, quota and the resource
//! bucket, and the error that says which of them stood in the way.

use super::{Outcome, Pool, failed};
use crate::market::Lifecycle;
use crate::operations::launch;
use crate::operations::spot::dollars;
use crate::quota::Group;
use crate::state::World;
use crate::state::network::Subnet;
use crate::throttle::LAUNCH_RESOURCES;
use crate::wire::error::ApiError;

/// Takes what a pool has, then what addresses, quota and the resource bucket leave of it, in that order.
pub(super) fn launch(world: &mut World, pool: Pool, lifecycle: Lifecycle, wanted: u64) -> Outcome {
    let price = pool.candidate.quote.price_micro_usd_per_hour;
    if let Some(limit) = pool
        .offer
        .max_price_micro_usd_per_hour
        .filter(|limit| lifecycle == Lifecycle::Spot && *limit < price)
    {
        let message = format!(
            "Your Spot request price of {} is lower than the minimum required Spot request fulfillment price of {}.",
            dollars(limit),
            dollars(price)
        );
        return failed(
            pool.offer,
            lifecycle,
            ApiError::client("SpotMaxPriceTooLow", message),
        );
    }
    let (count, error) = granted(world, &pool, lifecycle, wanted);
    let market_pool = world.pool(&pool.offer.instance_type, &pool.offer.zone_id);
    let now = world.now();
    let count = world.market.take(&market_pool, lifecycle, count, now);
    let reservation_id = world.new_id("r");
    let mut instance_ids: Vec<String> = (0..count)
        .filter_map(|index| launch::make_instance(world, &pool.spec, &reservation_id, index))
        .collect();
    for _ in instance_ids.len() as u64..count {
        world.market.release(&market_pool, lifecycle);
    }
    instance_ids.sort();
    Outcome {
        offer: pool.offer,
        lifecycle,
        instance_ids,
        error,
    }
}

/// How many instances a pool may give, and what stood in the way of the rest.
fn granted(world: &mut World, pool: &Pool, lifecycle: Lifecycle, wanted: u64) -> (u64, Option<ApiError>) {
    let mut count = wanted;
    let mut error = None;
    let mut limit = |allowed: u64, because: ApiError| {
        if allowed < count {
            count = allowed;
            error.get_or_insert(because);
        }
    };
    limit(
        pool.candidate.quote.depth,
        insufficient_capacity(world, pool, lifecycle),
    );
    let free = world
        .network
        .subnets
        .get(&pool.offer.subnet_id)
        .map_or(0, Subnet::free_addresses);
    limit(free, out_of_addresses(&pool.offer.subnet_id));
    let vcpu = world
        .catalogue
        .types
        .get(&pool.offer.instance_type)
        .map_or(1, |found| u64::from(found.vcpu));
    let group = Group::of(&pool.offer.instance_type);
    let quota = world.quotas.limit_vcpus(lifecycle, group);
    let left = quota.saturating_sub(world.used_vcpus(lifecycle, group));
    limit(left / vcpu.max(1), over_quota(lifecycle, quota));
    if world.options.scenario.throttle && count > 0 {
        let now_ms = world.clock.real_ms();
        let tokens = world
            .buckets
            .take("launch resources", LAUNCH_RESOURCES, count, now_ms);
        if tokens < count {
            count = tokens;
            error.get_or_insert(ApiError::new(
                503,
                "RequestLimitExceeded",
                "Request limit exceeded.",
            ));
        }
    }
    (count, error)
}

fn insufficient_capacity(world: &World, pool: &Pool, lifecycle: Lifecycle) -> ApiError {
    let message = match lifecycle {
        Lifecycle::Spot => "There is no Spot capacity available that matches your request.".to_owned(),
        Lifecycle::OnDemand => {
            let others: Vec<&str> = world
                .catalogue
                .zones
                .iter()
                .filter(|zone| zone.name != pool.offer.zone)
                .map(|zone| zone.name.as_str())
                .collect();
            format!(
                "We currently do not have sufficient {} capacity in the Availability Zone you requested ({}). Our system will be working on provisioning additional capacity. You can currently get {} capacity by not specifying an Availability Zone in your request or choosing {}.",
                pool.offer.instance_type,
                pool.offer.zone,
                pool.offer.instance_type,
                others.join(", ")
            )
        }
    };
    ApiError::client("InsufficientInstanceCapacity", message)
}

fn out_of_addresses(subnet_id: &str) -> ApiError {
    ApiError::client(
        "InsufficientFreeAddressesInSubnet",
        format!(
            "There are not enough free addresses in subnet '{subnet_id}' to satisfy the requested number of instances."
        ),
    )
}

/// The quota error of a side: spot and on-demand have codes of their own.
pub fn over_quota(lifecycle: Lifecycle, limit_vcpus: u64) -> ApiError {
    match lifecycle {
        Lifecycle::Spot => {
            ApiError::client("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
        }
        Lifecycle::OnDemand => ApiError::client(
            "VcpuLimitExceeded",
            format!(
                "You have requested more vCPU capacity than your current vCPU limit of {limit_vcpus} allows for the instance bucket that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit."
            ),
        ),
    }
}
