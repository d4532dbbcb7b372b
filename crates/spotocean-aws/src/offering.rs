//! Zones of the region, and which type is offered in which of them.

use std::collections::BTreeMap;

use aws_sdk_ec2::operation::describe_availability_zones::builders::DescribeAvailabilityZonesInputBuilder;
use aws_sdk_ec2::operation::describe_instance_type_offerings::builders::DescribeInstanceTypeOfferingsInputBuilder;
use aws_sdk_ec2::types::{AvailabilityZone, AvailabilityZoneState, InstanceTypeOffering, LocationType};
use spotocean_core::id::{Zone, ZoneId};
use spotocean_core::offering::Market;
use spotocean_core::port::CloudError;

use crate::client::AwsCloud;
use crate::page::{self, Page};
use crate::throttle::Action;

const DESCRIBE_ZONES: Action = Action::read("DescribeAvailabilityZones");
const DESCRIBE_OFFERINGS: Action = Action::read("DescribeInstanceTypeOfferings");
/// EC2's largest page of offerings.
const PAGE_SIZE: i32 = 1000;

/// Zones of the region with their ids; local and wavelength zones, and zones that are down, are left out.
pub(crate) async fn zones(cloud: &AwsCloud) -> Result<BTreeMap<Zone, ZoneId>, CloudError> {
    let request = DescribeAvailabilityZonesInputBuilder::default().send_with(&cloud.ec2);
    let answer = cloud.call(DESCRIBE_ZONES, request).await?;
    Ok(answer.availability_zones().iter().filter_map(read_zone).collect())
}

/// Which type is offered in which zone, sorted.
pub(crate) async fn offered(cloud: &AwsCloud) -> Result<Vec<Market>, CloudError> {
    let offerings = page::every(|token| async move {
        let request = DescribeInstanceTypeOfferingsInputBuilder::default()
            .location_type(LocationType::AvailabilityZone)
            .max_results(PAGE_SIZE)
            .set_next_token(token);
        let answer = cloud
            .call(DESCRIBE_OFFERINGS, request.send_with(&cloud.ec2))
            .await?;
        Ok(Page {
            items: answer.instance_type_offerings.unwrap_or_default(),
            next: answer.next_token,
        })
    });
    let mut markets: Vec<_> = offerings.await?.iter().filter_map(read_offering).collect();
    markets.sort();
    markets.dedup();
    Ok(markets)
}

fn read_zone(zone: &AvailabilityZone) -> Option<(Zone, ZoneId)> {
    let is_up = zone
        .state()
        .is_none_or(|state| *state == AvailabilityZoneState::Available);
    let is_regional = zone.zone_type().is_none_or(|kind| kind == "availability-zone");
    if !is_up || !is_regional {
        return None;
    }
    Some((
        zone.zone_name()?.into(),
        zone.zone_id().unwrap_or_default().into(),
    ))
}

fn read_offering(offering: &InstanceTypeOffering) -> Option<Market> {
    let is_zonal = offering
        .location_type()
        .is_none_or(|kind| *kind == LocationType::AvailabilityZone);
    if !is_zonal {
        return None;
    }
    Some(Market {
        instance_type: offering.instance_type()?.as_str().into(),
        zone: offering.location()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_zones_that_are_up_and_regional_count() {
        let zone = |state: AvailabilityZoneState, kind: &str| {
            AvailabilityZone::builder()
                .zone_name("us-east-1a")
                .zone_id("use1-az6")
                .state(state)
                .zone_type(kind)
                .build()
        };
        let rows = [
            (zone(AvailabilityZoneState::Available, "availability-zone"), true),
            (zone(AvailabilityZoneState::Available, "local-zone"), false),
            (zone(AvailabilityZoneState::Impaired, "availability-zone"), false),
        ];
        for (zone, is_read) in rows {
            assert_eq!(read_zone(&zone).is_some(), is_read, "{zone:?}");
        }
    }

    #[test]
    fn an_offering_is_a_market() {
        let offering = InstanceTypeOffering::builder()
            .instance_type("m5.large".into())
            .location_type(LocationType::AvailabilityZone)
            .location("us-east-1a")
            .build();
        let market = Market {
            instance_type: "m5.large".into(),
            zone: "us-east-1a".into(),
        };
        assert_eq!(read_offering(&offering), Some(market));
        let regional = InstanceTypeOffering::builder()
            .location_type(LocationType::Region)
            .build();
        assert_eq!(read_offering(&regional), None);
    }
}
