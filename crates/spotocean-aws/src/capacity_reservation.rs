//! Capacity reservations that on-demand instances fall into by themselves.
//!
//! An instance whose launch says nothing about reservations runs in an open one
//! that matches its type, zone, platform and tenancy (EC2 User Guide, On-Demand
//! Capacity Reservations). Targeted ones must be named, and are left out.

use aws_sdk_ec2::operation::describe_capacity_reservations::builders::DescribeCapacityReservationsInputBuilder;
use aws_sdk_ec2::types::{
    CapacityReservation as Described, CapacityReservationInstancePlatform, CapacityReservationState,
    CapacityReservationTenancy, Filter, InstanceMatchCriteria,
};
use spotocean_core::catalogue::CapacityReservation;
use spotocean_core::offering::Market;
use spotocean_core::port::CloudError;

use crate::client::AwsCloud;
use crate::page::{self, Page};
use crate::throttle::Action;

const DESCRIBE: Action = Action::read("DescribeCapacityReservations");
/// EC2's largest page of reservations.
const PAGE_SIZE: i32 = 1000;

/// Open reservations for Linux with default tenancy that have room, sorted by id.
pub(crate) async fn open(cloud: &AwsCloud) -> Result<Vec<CapacityReservation>, CloudError> {
    let active = Filter::builder().name("state").values("active").build();
    let request = DescribeCapacityReservationsInputBuilder::default()
        .filters(active)
        .max_results(PAGE_SIZE);
    let request = &request;
    let described = page::every(|token| async move {
        let request = request.clone().set_next_token(token);
        let answer = cloud.call(DESCRIBE, request.send_with(&cloud.ec2)).await?;
        Ok(Page {
            items: answer.capacity_reservations.unwrap_or_default(),
            next: answer.next_token,
        })
    });
    let mut open: Vec<_> = described.await?.iter().filter_map(read).collect();
    open.sort();
    Ok(open)
}

fn read(described: &Described) -> Option<CapacityReservation> {
    let is_open = described.instance_match_criteria() == Some(&InstanceMatchCriteria::Open)
        && described.state() == Some(&CapacityReservationState::Active)
        && described.tenancy() == Some(&CapacityReservationTenancy::Default)
        && described.instance_platform() == Some(&CapacityReservationInstancePlatform::LinuxUnix);
    let available = i64::from(described.available_instance_count()?);
    if !is_open || available <= 0 {
        return None;
    }
    Some(CapacityReservation {
        id: described.capacity_reservation_id()?.into(),
        market: Market {
            instance_type: described.instance_type()?.into(),
            zone: described.availability_zone()?.into(),
        },
        available,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described() -> aws_sdk_ec2::types::builders::CapacityReservationBuilder {
        Described::builder()
            .capacity_reservation_id("cr-1")
            .instance_type("m5.large")
            .availability_zone("us-east-1a")
            .instance_platform(CapacityReservationInstancePlatform::LinuxUnix)
            .tenancy(CapacityReservationTenancy::Default)
            .instance_match_criteria(InstanceMatchCriteria::Open)
            .state(CapacityReservationState::Active)
            .available_instance_count(3)
    }

    #[test]
    fn only_what_instances_fall_into_by_themselves_counts() {
        let found = read(&described().build()).expect("it is open");
        assert_eq!((&*found.id, found.available), ("cr-1", 3));
        let others = [
            described().available_instance_count(0),
            described().instance_match_criteria(InstanceMatchCriteria::Targeted),
            described().tenancy(CapacityReservationTenancy::Dedicated),
            described().instance_platform(CapacityReservationInstancePlatform::Windows),
            described().state(CapacityReservationState::Expired),
        ];
        for other in others {
            assert_eq!(read(&other.build()), None);
        }
    }
}
