//! DescribeSpotPriceHistory and GetSpotPlacementScores.

use jiff::Timestamp;

use crate::clock::Moment;
use crate::filter::Filters;
use crate::market::{Lifecycle, Pool};
use crate::operations::{Answer, listed, paging};
use crate::state::World;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Element;

const PRODUCTS: [&str; 2] = ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"];
const HISTORY_MS: i64 = 90 * 86_400_000;

/// Millionths of a USD as EC2 writes prices: USD with six decimals.
pub fn dollars(micro_usd: u64) -> String {
    format!("{}.{:06}", micro_usd / 1_000_000, micro_usd % 1_000_000)
}

/// DescribeSpotPriceHistory: change points, newest first within a pool; every pool in two products.
pub fn describe_spot_price_history(world: &mut World, params: &Params) -> Answer {
    let filters = Filters::parse(params)?;
    filters.check(&[
        "availability-zone",
        "availability-zone-id",
        "instance-type",
        "product-description",
        "spot-price",
        "timestamp",
    ])?;
    let (types, products) = (params.texts("InstanceType"), params.texts("ProductDescription"));
    let zone = params
        .text("AvailabilityZone")
        .or(params.text("AvailabilityZoneId"));
    if let Some(zone) = zone.filter(|zone| world.catalogue.zone(zone).is_none()) {
        return Err(ApiError::invalid_value(format!(
            "Invalid availability zone: [{zone}]"
        )));
    }
    let now = world.now();
    let end = time(world, params, "EndTime")?.unwrap_or(now).min(now);
    let start = time(world, params, "StartTime")?
        .unwrap_or(Moment(now.0 - HISTORY_MS))
        .max(Moment(now.0 - HISTORY_MS));
    let paging = paging(params, (1, 10_000))?.or_size(1000);
    let mut keyed = Vec::new();
    for pool in world.market.pools() {
        // One more than the page holds tells that there is another page.
        if paging.max_results.is_some_and(|size| keyed.len() > size) {
            break;
        }
        // Every key of this pool sorts before its name with a tilde.
        if paging.is_past(&format!("{}/{}/~", pool.instance_type, pool.zone_id)) {
            continue;
        }
        let wanted = types.is_empty() || types.contains(&pool.instance_type);
        let Some(found) = world.catalogue.zone(&pool.zone_id) else {
            continue;
        };
        if !wanted || zone.is_some_and(|zone| zone != found.name && zone != found.id) {
            continue;
        }
        let before = keyed.len();
        for product in PRODUCTS {
            if !products.is_empty() && !products.iter().any(|wanted| wanted == product) {
                continue;
            }
            let is_in = filters.accept(None, |name| match name {
                "availability-zone" => vec![found.name.clone()],
                "availability-zone-id" => vec![found.id.clone()],
                "instance-type" => vec![pool.instance_type.clone()],
                "product-description" => vec![product.to_owned()],
                _ => vec!["*".to_owned()],
            });
            if is_in {
                add_changes(world, pool, (&found.name, product), (start, end), &mut keyed);
            }
        }
        // The last page may have ended inside this pool.
        let of_pool = keyed.split_off(before);
        keyed.extend(of_pool.into_iter().filter(|(key, _)| !paging.is_past(key)));
    }
    let (page, next) = paging.page(keyed);
    let mut children = listed("spotPriceHistorySet", page, None);
    // EC2 ends the pages of this action with an empty token, not with none.
    children.push(Element::text("nextToken", next.unwrap_or_default()));
    Ok(children)
}

fn add_changes(
    world: &World,
    pool: &Pool,
    (zone, product): (&str, &str),
    (start, end): (Moment, Moment),
    keyed: &mut Vec<(String, Element)>,
) {
    for (index, change) in world
        .market
        .price_history(pool, start, end)
        .into_iter()
        .enumerate()
    {
        let element = Element::new("item")
            .field("instanceType", &pool.instance_type)
            .field("productDescription", product)
            .field("spotPrice", dollars(change.price_micro_usd_per_hour))
            .field("timestamp", world.timestamp(change.at))
            .field("availabilityZone", zone)
            .field("availabilityZoneId", &pool.zone_id);
        keyed.push((
            format!("{}/{}/{product}/{index:06}", pool.instance_type, pool.zone_id),
            element,
        ));
    }
}

fn time(world: &World, params: &Params, name: &str) -> Result<Option<Moment>, ApiError> {
    params
        .text(name)
        .map(|text| {
            text.parse::<Timestamp>()
                .map(|timestamp| world.clock.moment(timestamp))
                .map_err(|_| {
                    ApiError::invalid_value(format!("Invalid value '{text}' for {name}: not a timestamp."))
                })
        })
        .transpose()
}

/// GetSpotPlacementScores for this region, by region or by zone; fewer than three types score low.
pub fn spot_placement_scores(world: &mut World, params: &Params) -> Answer {
    let target = params
        .integer("TargetCapacity")?
        .ok_or_else(|| ApiError::missing("TargetCapacity"))?
        .unsigned_abs();
    let types = params.texts("InstanceType");
    if types.is_empty() {
        return Err(ApiError::missing("InstanceType"));
    }
    let regions = params.texts("RegionName");
    if !regions.is_empty() && !regions.contains(&world.options.region) {
        return Ok(listed("spotPlacementScoreSet", Vec::new(), None));
    }
    let score = |zone_id: Option<&str>| {
        let depth: u64 = world
            .market
            .pools()
            .filter(|pool| types.contains(&pool.instance_type))
            .filter(|pool| zone_id.is_none_or(|zone_id| zone_id == pool.zone_id))
            .filter_map(|pool| world.market.quote(pool, Lifecycle::Spot, world.now()))
            .map(|quote| quote.depth)
            .sum();
        let most = if types.len() < 3 { 3 } else { 10 };
        (depth * 3 / target.max(1)).clamp(1, most)
    };
    let region = &world.options.region;
    let scores = if params.flag("SingleAvailabilityZone")? {
        world
            .catalogue
            .zones
            .iter()
            .map(|zone| {
                Element::new("item")
                    .field("region", region)
                    .field("availabilityZoneId", &zone.id)
                    .field("score", score(Some(&zone.id)))
            })
            .collect()
    } else {
        vec![
            Element::new("item")
                .field("region", region)
                .field("score", score(None)),
        ]
    };
    Ok(listed("spotPlacementScoreSet", scores, None))
}
